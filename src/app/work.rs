//! The jobs behind the window: what runs on which thread and how its end becomes an event.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::exports::{Export, created_now};
use super::measures::MeasureStore;
use super::results::ResultStore;
use crate::findings::{Findings, ModelInfo};
use crate::gpu::self_test::Fault;
use crate::inference::canal::canal_path;
use crate::inference::kept::KeptKey;
use crate::inference::occlusion::{self, Check};
use crate::inference::{self, Request, Unfinished};
use crate::jobs::{Cancelled, Job, JobCtx, MaybeCancelled, Outcome, Wake, When};
use crate::measure::Levels;
use crate::model::{DevicePreference, Network};
use crate::state::{
    AnalysisOrder, AttributesOf, DeviceSetting, Effect, Ended, Event, ExportKind, ExportRefusal, Machine,
    OcclusionOrder, ReadAhead, RequestId, SheetKey, StudyOrder, Thumbnail,
};
use crate::study::password::{Password, Passwords};
use crate::study::{Catalog, LoadedSeries, ReformatError, Series, to_axial};
use crate::training::dataset::truth_beside;
use crate::volume::{Slice, Solid, Stack, Window};
use crate::{dicom, phantom};

/// A job that answers with an event, and the answer for when it does not.
pub struct Running {
    pub job: Job<Option<Event>, Stopped>,
    on_end: Box<dyn Fn(Ended) -> Option<Event>>,
}

/// Why a job gave no answer.
pub enum Stopped {
    Cancelled,
    Failed(String),
    /// A quality gate.
    Gate(String),
}

impl MaybeCancelled for Stopped {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}
impl From<Cancelled> for Stopped {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

fn stopped(error: impl MaybeCancelled + std::fmt::Display) -> Stopped {
    if error.is_cancelled() { Stopped::Cancelled } else { Stopped::Failed(error.to_string()) }
}

impl Running {
    /// `None` while it runs.
    pub fn poll(&self) -> Option<Option<Event>> {
        Some(match self.job.poll()? {
            Outcome::Done(event) => event,
            Outcome::Cancelled => (self.on_end)(Ended::Cancelled),
            Outcome::Failed(Stopped::Cancelled) => (self.on_end)(Ended::Cancelled),
            Outcome::Failed(Stopped::Failed(text)) => (self.on_end)(Ended::Failed(text)),
            Outcome::Failed(Stopped::Gate(text)) => (self.on_end)(Ended::Stopped(text)),
            Outcome::Panicked(text) => {
                log::error!("a worker panicked: {text}");
                (self.on_end)(Ended::Failed(format!(
                    "an error in this program stopped the work ({text}); nothing on disk was changed"
                )))
            }
        })
    }
}

/// The network last used, kept between analyses, with what it was asked for.
pub type NetworkShelf = Arc<Mutex<Option<(Option<PathBuf>, DevicePreference, Arc<Network>)>>>;

/// What earlier analyses, and the reader, left behind.
pub struct Earlier {
    /// Where results are kept.
    pub results: Option<ResultStore>,
    /// Where the reader's measurements are kept.
    pub measures: Option<MeasureStore>,
    pub unfinished: Arc<Unfinished>,
}

/// Starts jobs.
pub struct Worker {
    pub sender: Sender<Event>,
    pub wake: Wake,
}

impl Worker {
    fn start(
        self,
        name: &str,
        work: impl FnOnce(&JobCtx, &Sender<Event>) -> Result<Option<Event>, Stopped> + Send + 'static,
        on_end: impl Fn(Ended) -> Option<Event> + 'static,
    ) -> Running {
        let sender = self.sender;
        Running { job: Job::spawn(name, self.wake, move |ctx| work(ctx, &sender)), on_end: Box::new(on_end) }
    }

    pub fn scan(self, request: RequestId, paths: Vec<PathBuf>, passwords: Passwords) -> Running {
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let catalog = dicom::scan_all(&paths, &passwords, ctx).map_err(stopped)?;
            Ok(Some(Event::Scanned { request, result: Ok(Arc::new(catalog)) }))
        };
        self.start("scan", work, move |end| Some(Event::Scanned { request, result: Err(end) }))
    }

    pub fn try_password(self, request: RequestId, archives: Vec<PathBuf>, password: Password) -> Running {
        let tried = password.clone();
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let mut opened = Vec::new();
            for archive in archives {
                if dicom::password_opens(&archive, &password, ctx).map_err(stopped)? {
                    opened.push(archive);
                }
            }
            Ok(Some(Event::PasswordTried { request, password, opened: Ok(opened) }))
        };
        self.start("password", work, move |end| {
            Some(Event::PasswordTried { request, password: tried.clone(), opened: Err(end) })
        })
    }

    pub fn demo(self, request: RequestId) -> Running {
        let work = move |ctx: &JobCtx, sender: &Sender<Event>| {
            let patient = phantom::demo_patient(phantom::DEMO_SEED);
            sender.send(Event::DemoMade { request, loaded: patient.loaded }).ok(); // window gone
            // Not as the job's ending: what was open is closed now, and with it the job is cancelled.
            sender.send(Event::TruthFound { request, truth: Arc::new(patient.truth) }).ok();
            ctx.wake(When::Now);
            Ok(None)
        };
        self.start("demo", work, move |end| Some(Event::Scanned { request, result: Err(end) }))
    }

    pub fn load(self, request: RequestId, series: Arc<Series>, first: usize) -> Running {
        let work = move |ctx: &JobCtx, sender: &Sender<Event>| {
            let began = Instant::now();
            let sender = Mutex::new(sender.clone());
            let on_slice = |index: usize, slice: Arc<Slice>| {
                let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
                sender.send(Event::SliceDecoded { request, index, slice }).ok(); // window gone
                ctx.wake(if index == first { When::Now } else { When::Soon });
            };
            if let Some(loaded) = series.in_memory() {
                return Ok(Some(Event::Loaded { request, result: Ok((loaded, Vec::new())), seconds: 0.0 }));
            }
            let done = dicom::load_series(&series, first, ctx, &on_slice).map_err(stopped)?;
            if let Some(truth) = truth_beside(&done.loaded.series) {
                let truth = Arc::new(truth);
                let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
                sender.send(Event::TruthFound { request, truth }).ok(); // window gone
            }
            let result = Ok((done.loaded, done.refused));
            Ok(Some(Event::Loaded { request, result, seconds: began.elapsed().as_secs_f64() }))
        };
        self.start("load", work, move |end| Some(Event::Loaded { request, result: Err(end), seconds: 0.0 }))
    }

    /// As [`Self::load`], answered once.
    pub fn prefetch(self, request: RequestId, series: Arc<Series>) -> Running {
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let began = Instant::now();
            let middle = series.slices.len() / 2;
            let done = dicom::load_series(&series, middle, ctx, &|_, _| {}).map_err(stopped)?;
            let truth = truth_beside(&done.loaded.series).map(Arc::new);
            let (loaded, refused, seconds) = (done.loaded, done.refused, began.elapsed().as_secs_f64());
            let read = Box::new(ReadAhead { loaded, refused, truth, seconds });
            Ok(Some(Event::Prefetched { request, result: Ok(read) }))
        };
        self.start("prefetch", work, move |end| Some(Event::Prefetched { request, result: Err(end) }))
    }

    pub fn thumbnails(self, request: RequestId, catalog: Arc<Catalog>) -> Running {
        let work = move |ctx: &JobCtx, sender: &Sender<Event>| {
            for (index, series) in catalog.series.iter().enumerate() {
                ctx.check()?;
                // A slice that cannot be decoded leaves its thumbnail empty; loading says why.
                if let Ok(slice) = dicom::decode_slice(series, series.slices.len() / 2) {
                    let thumbnail = Arc::new(thumbnail(&slice));
                    sender.send(Event::Thumbnail { request, series: index, thumbnail }).ok(); // window gone
                    ctx.wake(When::Now);
                }
            }
            Ok(None)
        };
        self.start("thumbnails", work, |_| None)
    }

    pub fn analyse(
        self,
        order: AnalysisOrder,
        earlier: Earlier,
        focus: Arc<AtomicUsize>,
        networks: NetworkShelf,
    ) -> Running {
        let request = order.request;
        let work = move |ctx: &JobCtx, sender: &Sender<Event>| analyse(&order, &earlier, focus, &networks, ctx, sender);
        self.start("analysis", work, move |end| Some(Event::AnalysisEnded { request, result: Err(end) }))
    }

    pub fn analyse_study(self, order: StudyOrder, earlier: Earlier, networks: NetworkShelf) -> Running {
        let request = order.request;
        let work = move |ctx: &JobCtx, sender: &Sender<Event>| analyse_study(order, &earlier, &networks, ctx, sender);
        self.start("worklist", work, move |end| Some(Event::StudyAnalysed { request, result: Err(end) }))
    }

    pub fn clear_results(self, results: Option<ResultStore>) {
        let (sender, wake) = (self.sender, self.wake);
        std::thread::spawn(move || {
            let cleared = results.map_or(Ok((0, 0)), |store| store.clear());
            sender.send(Event::ResultsCleared(cleared)).ok(); // window gone
            wake(When::Now);
        });
    }

    pub fn export(self, export: Export, ctx: egui::Context) -> Running {
        let work = move |_: &JobCtx, _: &Sender<Event>| Ok(Some(export.run(&ctx)));
        self.start("export", work, |end| {
            let text = match end {
                Ended::Cancelled => "the export was cancelled; nothing was written".to_owned(),
                Ended::Failed(text) | Ended::Stopped(text) => text,
            };
            Some(Event::Exported { path: PathBuf::new(), result: Err(ExportRefusal::Failed(text)) })
        })
    }

    pub fn occlude(self, check: OcclusionOrder, networks: NetworkShelf) -> Running {
        let request = check.request;
        let work = move |ctx: &JobCtx, _: &Sender<Event>| occlude(&check, &networks, ctx);
        self.start("occlusion", work, move |end| Some(Event::Occluded { request, result: Err(end) }))
    }

    pub fn attributes(self, of: AttributesOf) -> Running {
        let asked = of.clone();
        let work = move |_: &JobCtx, _: &Sender<Event>| {
            let result = dicom::attributes(&of.path, of.packed.as_ref(), &of.name).map(Arc::new).map_err(|r| r.text);
            Ok(Some(Event::AttributesRead { of, result }))
        };
        self.start("attributes", work, move |end| {
            let text = match end {
                Ended::Cancelled => "Reading the attributes was cancelled.".to_owned(),
                Ended::Failed(text) | Ended::Stopped(text) => text,
            };
            Some(Event::AttributesRead { of: asked.clone(), result: Err(text) })
        })
    }

    pub fn solid(self, request: RequestId, stack: Stack) -> Running {
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let solid = Solid::of(&stack, &|| ctx.check().is_ok());
            ctx.check()?;
            Ok(Some(Event::SolidMade { request, result: Ok(solid.map(Arc::new)) }))
        };
        self.start("bone view", work, move |end| Some(Event::SolidMade { request, result: Err(end) }))
    }

    pub fn reformat(self, request: RequestId, loaded: LoadedSeries, limit_bytes: u64) -> Running {
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let progress = |done, total| {
                ctx.progress(done, total);
                ctx.check().is_ok()
            };
            match to_axial(&loaded, limit_bytes, &progress) {
                Ok(made) => Ok(Some(Event::Reformatted { request, result: Ok(made) })),
                Err(ReformatError::Cancelled) => Err(Stopped::Cancelled),
                Err(error) => Err(Stopped::Failed(error.to_string())),
            }
        };
        self.start("reformat", work, move |end| Some(Event::Reformatted { request, result: Err(end) }))
    }

    pub fn find_canal(self, request: RequestId, loaded: LoadedSeries) -> Running {
        let work = move |ctx: &JobCtx, _: &Sender<Event>| {
            let path = canal_path(&loaded, ctx)?;
            Ok(Some(Event::CanalFound { request, result: Ok(path) }))
        };
        self.start("canal", work, move |end| Some(Event::CanalFound { request, result: Err(end) }))
    }

    /// A check that fails in any way leaves the pictures to the processor.
    pub fn check_graphics(self, check: impl FnOnce() -> Result<(), Fault> + Send + 'static) -> Running {
        let work = move |_: &JobCtx, _: &Sender<Event>| {
            let result = check().map_err(|fault| fault.to_string());
            Ok(Some(Event::GraphicsChecked(result)))
        };
        self.start("graphics check", work, |end| match end {
            Ended::Cancelled => None,
            Ended::Failed(text) | Ended::Stopped(text) => Some(Event::GraphicsChecked(Err(text))),
        })
    }

    /// Asks through the desktop's own dialog on a thread of its own; an answer may never come.
    pub fn pick(self, effect: Effect) {
        let dialog = rfd::AsyncFileDialog::new();
        let (sender, wake) = (self.sender, self.wake);
        std::thread::spawn(move || {
            let path = |file: Option<rfd::FileHandle>| file.map(|f| f.path().to_owned());
            let event = match effect {
                Effect::PickFolder => {
                    let title = dialog.set_title("Open the folder of a study");
                    Event::StudyPicked(path(pollster::block_on(title.pick_folder())))
                }
                Effect::PickFile => {
                    // Files of a study often have no extension, so that all are offered first.
                    let filtered = dialog
                        .set_title("Open a zip archive, a DICOMDIR or a DICOM file")
                        .add_filter("all files", &["*"])
                        .add_filter("zip archives", &["zip", "ZIP"])
                        .add_filter("DICOM files", &["dcm", "DCM", "dicom", "ima", "IMA"]);
                    Event::StudyPicked(path(pollster::block_on(filtered.pick_file())))
                }
                Effect::PickModel => {
                    let filtered =
                        dialog.set_title("Weights with a model card").add_filter("weights", &["safetensors"]);
                    Event::ModelPicked(path(pollster::block_on(filtered.pick_file())))
                }
                Effect::PickExportPath { kind, suggested } => {
                    let suggested = PathBuf::from(suggested);
                    let name = suggested.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    let mut dialog = match kind {
                        ExportKind::Report => dialog.add_filter("report", &["pdf", "png", "json"]),
                        ExportKind::Picture | ExportKind::Panes => dialog.add_filter("picture", &["png"]),
                        ExportKind::Readings => dialog.add_filter("table", &["csv"]),
                    };
                    if let Some(folder) = suggested.parent().filter(|f| f.is_dir()) {
                        dialog = dialog.set_directory(folder);
                    }
                    Event::ExportPathPicked(path(pollster::block_on(dialog.set_file_name(name).save_file())))
                }
                _ => return,
            };
            sender.send(event).ok(); // window gone
            wake(When::Now);
        });
    }
}

fn device_preference(device: DeviceSetting) -> DevicePreference {
    match device {
        DeviceSetting::Auto => DevicePreference::Auto,
        DeviceSetting::Cpu => DevicePreference::Cpu,
        DeviceSetting::CpuHalf => DevicePreference::CpuHalf,
        DeviceSetting::Cuda => DevicePreference::Cuda,
        DeviceSetting::Metal => DevicePreference::Metal,
    }
}

fn analyse(
    order: &AnalysisOrder,
    earlier: &Earlier,
    focus: Arc<AtomicUsize>,
    networks: &NetworkShelf,
    ctx: &JobCtx,
    sender: &Sender<Event>,
) -> Result<Option<Event>, Stopped> {
    let request = order.request;
    let read = focus.clone();
    let tell = |event: Event| {
        let when = match &event {
            Event::SliceRunning { .. } => When::Soon,
            Event::SliceScored { index, .. } if *index != read.load(Ordering::Relaxed) => When::Soon,
            _ => When::Now,
        };
        sender.send(event).ok(); // window gone
        ctx.wake(when);
    };
    let found = findings_of(order, earlier, focus, networks, ctx, &mut |said| {
        tell(match said {
            Said::Model(model, note) => Event::ModelReady { request, model, note },
            Said::Event(inference::Event::Judged(lines)) => Event::Judged { request, lines },
            Said::Event(inference::Event::Started(provenance)) => Event::AnalysisStarted { request, provenance },
            Said::Event(inference::Event::Running(index)) => Event::SliceRunning { request, index },
            Said::Event(inference::Event::Slice(index, finding)) => Event::SliceScored { request, index, finding },
            Said::Event(inference::Event::Case(case)) => Event::CaseScored { request, case },
            Said::Event(inference::Event::Doubt(doubt)) => Event::Doubted { request, doubt },
        });
    })?;
    let Some(findings) = found else { return Ok(None) };
    let result = Ok((findings.seconds, findings.warnings.clone()));
    if findings.provenance.computed_earlier.is_some() {
        tell(Event::Recalled { request, findings: Box::new(findings) });
    }
    Ok(Some(Event::AnalysisEnded { request, result }))
}

/// What an analysis tells on its way.
enum Said {
    Model(Arc<ModelInfo>, Option<String>),
    Event(inference::Event),
}

/// Findings that were kept, where they will do, else new ones, which are kept; `None` where only kept ones would do and
/// there are none.
fn findings_of(
    order: &AnalysisOrder,
    earlier: &Earlier,
    focus: Arc<AtomicUsize>,
    networks: &NetworkShelf,
    ctx: &JobCtx,
    tell: &mut dyn FnMut(Said),
) -> Result<Option<Findings>, Stopped> {
    if order.only_kept && earlier.results.as_ref().is_none_or(ResultStore::is_empty) {
        return Ok(None);
    }
    let network = network_for(&order.machine, networks)?;
    ctx.check()?;
    let model = Arc::new(inference::model_info(&network));
    let tell_model =
        |tell: &mut dyn FnMut(Said)| tell(Said::Model(model.clone(), network.device_note().map(str::to_owned)));
    if !order.only_kept {
        tell_model(tell);
    }
    let key = KeptKey::new(&order.loaded, network.as_ref(), &model, order.force);
    ctx.check()?;
    let wanted = earlier.results.as_ref().filter(|_| order.recall);
    if let Some(findings) = wanted.and_then(|store| store.read(&key, &order.loaded, &model, order.force)) {
        if order.only_kept {
            tell_model(tell);
        }
        return Ok(Some(findings));
    }
    if order.only_kept {
        return Ok(None);
    }
    let request = Request {
        loaded: order.loaded.clone(),
        network,
        model,
        focus,
        threads: order.machine.threads,
        load_seconds: order.load_seconds,
        force: order.force,
        resume: order.recall.then(|| (key.clone(), earlier.unfinished.clone())),
    };
    let findings = inference::analyse_or_on_cpu(&request, order.machine.model.as_deref(), ctx, &mut |event| {
        tell(Said::Event(event))
    })
    .map_err(|error| match error {
        inference::AnalysisError::Stopped(_) => Stopped::Gate(error.to_string()),
        other => stopped(other),
    })?;
    if let Some(store) = &earlier.results {
        store.write(&key, &findings, &order.loaded, &created_now());
    }
    Ok(Some(findings))
}

/// Reads a study of the worklist and analyses it; its voxels are gone when this returns.
fn analyse_study(
    order: StudyOrder,
    earlier: &Earlier,
    networks: &NetworkShelf,
    ctx: &JobCtx,
    sender: &Sender<Event>,
) -> Result<Option<Event>, Stopped> {
    let StudyOrder { request, series, machine, keep_bytes } = order;
    let tell = |event: Event| {
        sender.send(event).ok(); // window gone
        ctx.wake(When::Now);
    };
    let began = Instant::now();
    let middle = series.slices.len() / 2;
    let loaded = match series.in_memory() {
        Some(loaded) => loaded,
        None => dicom::load_series(&series, middle, ctx, &|_, _| {}).map_err(stopped)?.loaded,
    };
    tell(Event::StudyRead { request });
    if let (Some(store), Some(key)) = (&earlier.measures, SheetKey::of(&loaded)) {
        tell(Event::StudyNamed { request, levels: Levels::of(&store.look(&key).measurements) });
    }
    let order = AnalysisOrder {
        request,
        loaded,
        machine,
        load_seconds: began.elapsed().as_secs_f64(),
        force: false,
        recall: true,
        only_kept: false,
        keep_bytes,
    };
    let findings = findings_of(&order, earlier, Arc::new(AtomicUsize::new(middle)), networks, ctx, &mut |said| {
        if let Said::Event(inference::Event::Judged(lines)) = said {
            tell(Event::StudyJudged { request, lines });
        }
    })?;
    Ok(findings.map(|findings| Event::StudyAnalysed { request, result: Ok(Box::new(findings)) }))
}

fn occlude(check: &OcclusionOrder, networks: &NetworkShelf, ctx: &JobCtx) -> Result<Option<Event>, Stopped> {
    let network = network_for(&check.machine, networks)?;
    let model = inference::model_info(&network);
    if model.sha256 != check.sha256 {
        let text = "the weights are not those that scored the slice; run the analysis again first";
        return Err(Stopped::Failed(text.to_owned()));
    }
    let wanted = Check {
        loaded: &check.loaded,
        model: &model,
        index: check.index,
        cells: check.cells,
        logit: check.logit,
        threads: check.machine.threads,
    };
    let map = occlusion::occlude(network.as_ref(), &wanted, ctx).map_err(stopped)?;
    Ok(Some(Event::Occluded { request: check.request, result: Ok(Arc::new(map)) }))
}

/// Reads the network before the first study asks for it, so that its first score does not wait. A failure is told
/// by the analysis that meets it again.
pub fn read_ahead(machine: Machine, networks: NetworkShelf) {
    std::thread::spawn(move || network_for(&machine, &networks).is_ok());
}

/// The network from the shelf, or read anew. Held while reading, so that two analyses do not read it twice.
fn network_for(machine: &Machine, networks: &NetworkShelf) -> Result<Arc<Network>, Stopped> {
    let (model, device) = (machine.model.clone(), device_preference(machine.device));
    let mut shelf = networks.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, on, network)) = &*shelf
        && (of, on) == (&model, &device)
    {
        return Ok(network.clone());
    }
    *shelf = None;
    let network = inference::default_network(model.as_deref(), device).map_err(|e| Stopped::Failed(e.to_string()))?;
    let network = Arc::new(network);
    *shelf = Some((model, device, network.clone()));
    Ok(network)
}

const THUMBNAIL: usize = 96;

/// A small picture: bone where the values allow it, else all that the slice has. Box average, no aliasing.
pub fn thumbnail(slice: &Slice) -> Thumbnail {
    let range = slice.min_max().unwrap_or([0.0, 1.0]);
    let looks_like_hu = range[0] < -500.0 && range[1] > 300.0;
    let window =
        if looks_like_hu { Window::SOFT_TISSUE } else { Window::covering(f64::from(range[0]), f64::from(range[1])) };
    let step = slice.columns.max(slice.rows).div_ceil(THUMBNAIL).max(1);
    let (width, height) = ((slice.columns / step).max(1), (slice.rows / step).max(1));
    let mut grey = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let (mut sum, mut n) = (0u32, 0u32);
            for row in y * step..(y + 1) * step {
                for column in x * step..(x + 1) * step {
                    if let Some(value) = slice.at(column, row) {
                        sum += if slice.is_padding(value) { 0 } else { u32::from(window.grey8(value)) };
                        n += 1;
                    }
                }
            }
            grey.push(u8::try_from(sum / n.max(1)).unwrap_or(255));
        }
    }
    Thumbnail { width, height, grey }
}
