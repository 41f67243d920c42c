//! Owns the state, the running jobs and the graphics context; carries out effects. The only place with side effects
//! besides the workers themselves.

mod exports;
mod keeper;
mod measures;
mod milestones;
mod readings;
mod results;
mod store;
mod work;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use exports::created_now;
use keeper::Keeper;
pub use measures::MeasureStore;
use milestones::Milestones;
pub use milestones::{SCORE_SHOWN, SLICE_SHOWN};
pub use readings::ReadingStore;
pub use results::ResultStore;
pub use store::Store;

use crate::gpu::paint;
use crate::inference::Unfinished;
use crate::jobs::{Wake, When};
use crate::reading::Moment;
use crate::state::{AppState, Command, DeviceSetting, Effect, Event, Severity};
use crate::study::password::Password;
use crate::ui::{self, Progress, UiCache};
use work::{Earlier, NetworkShelf, Running};

/// How the window begins.
#[derive(Debug, Default)]
pub struct Start {
    /// Opened together.
    pub paths: Vec<PathBuf>,
    pub demo: bool,
    /// Overrides the remembered weights for this start.
    pub model: Option<PathBuf>,
    pub device: Option<DeviceSetting>,
    /// Where settings are kept; `None` keeps nothing (tests).
    pub store: Option<Store>,
    /// Of encrypted archives among `paths`.
    pub password: Option<Password>,
}

/// The program behind the window.
pub struct App {
    state: AppState,
    cache: UiCache,
    ctx: egui::Context,
    wake: Wake,
    sender: Sender<Event>,
    events: Receiver<Event>,
    scan: Option<Running>,
    /// A password is being tried.
    unlock: Option<Running>,
    load: Option<Running>,
    /// Of the series beside the one being read.
    beside: Option<Running>,
    thumbnails: Option<Running>,
    analysis: Option<Running>,
    export: Option<Running>,
    graphics_check: Option<Running>,
    occlusion: Option<Running>,
    attributes: Option<Running>,
    /// The worklist's job.
    queue: Option<Running>,
    solid: Option<Running>,
    reformat: Option<Running>,
    canal: Option<Running>,
    /// The study that comes next.
    prefetch: Option<Running>,
    focus: Arc<AtomicUsize>,
    networks: NetworkShelf,
    unfinished: Arc<Unfinished>,
    store: Option<Store>,
    measures: Keeper<measures::Order>,
    readings: Keeper<readings::Order>,
    settings: Keeper<store::SaveSettings>,
    title: String,
    milestones: Milestones,
    /// `None` where another window keeps its files in the same place.
    _claim: Option<store::Claim>,
    settings_changed: Option<f64>,
    /// Why nothing can be drawn, when the graphics failed.
    no_picture: Option<String>,
}

/// Settings are written this long after the last change, seconds, so that a dragged slider writes once.
const SETTLE_S: f64 = 1.0;

/// News of a job's progress are drawn within this time ...
const SOON: Duration = Duration::from_millis(40);
/// ... and within this one where the driver draws with the processor, whose cores the jobs need.
const SOON_IN_SOFTWARE: Duration = Duration::from_millis(200);

/// Two readers of one study would overwrite each other.
const ANOTHER_WINDOW: &str = "Another window of dens is open. Both keep settings, verdicts and measurements in the same \
    place: read different studies in them, for of one study what is saved last stays.";

impl App {
    pub fn new(cc: &eframe::CreationContext<'_>, start: Start) -> Self {
        ui::theme::apply(&cc.egui_ctx);
        let no_picture = match &cc.wgpu_render_state {
            Some(render_state) => paint::init(render_state).err().map(|e| e.to_string()),
            None => Some(crate::gpu::GpuError::NoAdapter.to_string()),
        };
        let (mut settings, damage) = start.store.as_ref().map(Store::take).unwrap_or_default();
        if let Some(device) = start.device {
            settings.device = device;
        }
        if start.model.is_some() {
            settings.model = start.model;
        }
        let ctx = cc.egui_ctx.clone();
        let waker = ctx.clone();
        let (sender, events) = channel();
        let soon = match &cc.wgpu_render_state {
            Some(render_state) if paint::has_software_driver(render_state) => SOON_IN_SOFTWARE,
            _ => SOON,
        };
        let wake: Wake = Arc::new(move |when| match when {
            When::Now => waker.request_repaint(),
            When::Soon => waker.request_repaint_after(soon),
        });
        let kept = start.store.as_ref().map(Store::measures);
        let measures = Keeper::start("measurements", kept, sender.clone(), wake.clone());
        let kept = start.store.as_ref().map(Store::readings);
        let readings = Keeper::start("readings", kept, sender.clone(), wake.clone());
        let settings_keeper = Keeper::start("settings", start.store.clone(), sender.clone(), wake.clone());
        let claim = start.store.as_ref().map(Store::claim);
        let shared = matches!(claim, Some(None));
        let mut app = Self {
            state: AppState::new(settings),
            cache: UiCache::default(),
            ctx,
            wake,
            sender,
            events,
            scan: None,
            unlock: None,
            load: None,
            beside: None,
            thumbnails: None,
            analysis: None,
            export: None,
            graphics_check: None,
            occlusion: None,
            attributes: None,
            queue: None,
            solid: None,
            reformat: None,
            canal: None,
            prefetch: None,
            focus: Arc::new(AtomicUsize::new(0)),
            networks: Arc::new(Mutex::new(None)),
            unfinished: Arc::default(),
            store: start.store,
            measures,
            readings,
            settings: settings_keeper,
            title: String::new(),
            milestones: Milestones::default(),
            _claim: claim.flatten(),
            settings_changed: None,
            no_picture,
        };
        if let Some(render_state) = &cc.wgpu_render_state {
            app.cache.max_volume_side = paint::max_volume_side(render_state);
            if app.no_picture.is_none() {
                app.graphics_check = Some(app.worker().check_graphics(paint::self_test(render_state)));
            }
        }
        if let Some(store) = &app.store {
            app.state.add_keymaps(store.keymaps());
        }
        if let Some(damage) = damage {
            app.state.notice(Severity::Warning, damage);
        }
        if shared {
            app.state.notice(Severity::Warning, ANOTHER_WINDOW);
        }
        app.state.export_folder = store::export_folder();
        let settings = &app.state.settings;
        if settings.auto_analyse {
            work::read_ahead(settings.machine(), app.networks.clone());
        }
        if let Some(reason) = app.no_picture.clone() {
            app.state.notice(Severity::Error, format!("Pictures cannot be drawn: {reason}"));
        }
        if start.demo {
            app.command(Command::OpenDemo);
        } else {
            if let Some(password) = start.password {
                app.state.start_with_password(&password, &start.paths);
            }
            app.command(Command::OpenPaths(start.paths));
        }
        app
    }

    /// The state, for tests that look behind the window.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Decides a wish and carries out what follows from it.
    pub fn command(&mut self, command: Command) {
        self.state.set_now(now());
        let effects = self.state.apply(command);
        self.perform(effects);
    }

    /// Takes a result as if a worker had sent it.
    pub fn receive(&mut self, event: Event) {
        self.state.set_now(now());
        let effects = self.state.receive(event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.perform_one(effect);
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Scan { request, paths, passwords } => {
                self.scan = Some(self.worker().scan(request, paths, passwords));
            }
            Effect::TryPassword { request, archives, password } => {
                self.unlock = Some(self.worker().try_password(request, archives, password));
            }
            Effect::MakeDemo { request } => self.scan = Some(self.worker().demo(request)),
            Effect::Load { request, series, first } => {
                cancel(&self.solid);
                self.load = Some(self.worker().load(request, series, first));
            }
            Effect::LoadBeside { request, series, first } => {
                cancel(&self.beside);
                self.beside = Some(self.worker().load(request, series, first));
            }
            Effect::CancelBeside => cancel(&self.beside),
            Effect::Thumbnails { request, catalog } => {
                self.thumbnails = Some(self.worker().thumbnails(request, catalog));
            }
            Effect::ThumbnailOf { request, series, slice } => {
                let thumbnail = Arc::new(work::thumbnail(&slice));
                self.sender.send(Event::Thumbnail { request, series, thumbnail }).ok();
            }
            Effect::Analyse(order) => {
                cancel(&self.occlusion);
                let (earlier, focus) = (self.earlier(order.keep_bytes), self.focus.clone());
                self.analysis = Some(self.worker().analyse(order, earlier, focus, self.networks.clone()));
            }
            Effect::Occlude(check) => {
                cancel(&self.occlusion);
                self.occlusion = Some(self.worker().occlude(check, self.networks.clone()));
            }
            Effect::AnalyseStudy(order) => {
                let earlier = self.earlier(order.keep_bytes);
                self.queue = Some(self.worker().analyse_study(order, earlier, self.networks.clone()));
            }
            // Dropping cancels; whatever it may still send is of an old request.
            Effect::CancelQueue => self.queue = None,
            Effect::Prefetch { request, series } => self.prefetch = Some(self.worker().prefetch(request, series)),
            Effect::CancelPrefetch => self.prefetch = None,
            Effect::CancelOcclusion => cancel(&self.occlusion),
            Effect::CancelScan => cancel(&self.scan),
            Effect::CancelThumbnails => cancel(&self.thumbnails),
            Effect::CancelLoad => {
                cancel(&self.load);
                cancel(&self.solid);
            }
            Effect::MakeSolid { request, stack } => {
                cancel(&self.solid);
                self.solid = Some(self.worker().solid(request, stack));
            }
            Effect::Reformat { request, loaded, limit_bytes } => {
                self.reformat = Some(self.worker().reformat(request, loaded, limit_bytes));
            }
            Effect::CancelReformat => cancel(&self.reformat),
            Effect::FindCanal { request, loaded } => self.canal = Some(self.worker().find_canal(request, loaded)),
            Effect::CancelCanal => cancel(&self.canal),
            Effect::CancelAnalysis => {
                cancel(&self.analysis);
                cancel(&self.occlusion);
            }
            Effect::Focus(index) => self.focus.store(index, Ordering::Relaxed),
            Effect::PickFolder | Effect::PickFile | Effect::PickModel | Effect::PickExportPath { .. } => {
                self.worker().pick(effect);
            }
            Effect::WriteReport { .. }
            | Effect::WritePicture { .. }
            | Effect::WritePanes { .. }
            | Effect::WriteReadings { .. }
            | Effect::CopyPicture => self.export(effect),
            Effect::ReadReadings { keys } => self.readings.send(readings::Order::Read(keys)),
            Effect::SaveReading { key, reading } => self.readings.send(readings::Order::Save(key, reading)),
            Effect::ClearResults => self.worker().clear_results(self.store.as_ref().map(|store| store.results(0))),
            Effect::SaveSettings => self.settings_changed = Some(self.ctx.input(|i| i.time)),
            Effect::ReadMeasures { key } => self.measures.send(measures::Order::Read(key)),
            Effect::SaveMeasures { key, content } => self.measures.send(measures::Order::Save(key, content)),
            Effect::ReadAttributes(of) => self.attributes = Some(self.worker().attributes(of)),
            Effect::CopyText(text) => self.ctx.copy_text(text),
            Effect::SetFullscreen(on) => self.ctx.send_viewport_cmd(egui::ViewportCommand::Fullscreen(on)),
        }
    }

    /// Results are kept nowhere with a size of 0.
    fn earlier(&self, keep_bytes: u64) -> Earlier {
        let results = self.store.as_ref().filter(|_| keep_bytes > 0).map(|store| store.results(keep_bytes));
        let measures = self.store.as_ref().map(Store::measures);
        Earlier { results, measures, unfinished: self.unfinished.clone() }
    }

    fn worker(&self) -> work::Worker {
        work::Worker { sender: self.sender.clone(), wake: self.wake.clone() }
    }

    fn export(&mut self, effect: Effect) {
        let screen = exports::Screen {
            shown: &self.cache.shown,
            focused: self.cache.view_rect,
            pixels_per_point: self.ctx.pixels_per_point(),
        };
        match exports::prepare(&self.state, &effect, &screen) {
            Ok(work) => self.export = Some(self.worker().export(work, self.ctx.clone())),
            Err(event) => self.receive(*event),
        }
    }

    fn poll(&mut self) {
        let endings =
            [&self.scan, &self.load, &self.thumbnails, &self.analysis, &self.export, &self.beside].map(ending);
        // Partial results were sent before the ending and must be taken before it.
        while let Ok(event) = self.events.try_recv() {
            self.receive(event);
        }
        let [scan, load, thumbnails, analysis, export, beside] = endings;
        for (slot, ending) in [
            (&mut self.scan, &scan),
            (&mut self.load, &load),
            (&mut self.thumbnails, &thumbnails),
            (&mut self.analysis, &analysis),
            (&mut self.export, &export),
            (&mut self.beside, &beside),
        ] {
            if ending.is_some() {
                *slot = None;
            }
        }
        for event in [scan, load, thumbnails, analysis, export, beside].into_iter().flatten().flatten() {
            self.receive(event);
        }
        let mut lone = [
            &mut self.graphics_check,
            &mut self.queue,
            &mut self.solid,
            &mut self.occlusion,
            &mut self.attributes,
            &mut self.reformat,
            &mut self.canal,
            &mut self.unlock,
            &mut self.prefetch,
        ];
        let lone: Vec<_> = lone.iter_mut().filter_map(|slot| ending(slot).inspect(|_| **slot = None)).collect();
        lone.into_iter().flatten().for_each(|event| self.receive(event));
    }

    fn progress(&self) -> Progress {
        let of = |running: &Option<Running>| running.as_ref().map(|r| r.job.progress());
        Progress {
            scan: of(&self.scan),
            load: of(&self.load),
            analysis: of(&self.analysis),
            occlusion: of(&self.occlusion),
            queue: of(&self.queue),
            reformat: of(&self.reformat),
            canal: of(&self.canal),
            export: self.export.is_some(),
        }
    }

    fn save_settings(&self) {
        self.settings.send(store::SaveSettings(Box::new(self.state.settings.clone())));
    }

    fn save_when_settled(&mut self, now: f64) {
        let Some(since) = self.settings_changed else { return };
        if now - since < SETTLE_S {
            self.ctx.request_repaint_after(Duration::from_secs_f64(SETTLE_S));
            return;
        }
        self.settings_changed = None;
        self.save_settings();
    }
}

/// `Some(event)` when the job has ended; the event is `None` where an ending needs no answer.
fn ending(running: &Option<Running>) -> Option<Option<Event>> {
    running.as_ref().and_then(Running::poll)
}

fn now() -> Moment {
    Moment(jiff::Timestamp::now().as_millisecond())
}

fn cancel(running: &Option<Running>) {
    if let Some(running) = running {
        running.job.cancel();
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.milestones.tell();
        ui::theme::follow(ctx, &self.state.settings);
        self.poll();
        let now = ctx.input(|i| i.time);
        self.save_when_settled(now);
        let title = ui::window_title(&self.state);
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
        if self.state.cine.is_some() {
            self.command(Command::CineTick(now));
            let step_s = 1.0 / f64::from(self.state.settings.cine_rate.max(1.0));
            ctx.request_repaint_after(Duration::from_secs_f64(step_s / 2.0));
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let progress = self.progress();
        let commands = ui::show(ui, &self.state, &mut self.cache, progress);
        let any = self.milestones.see(&self.state) || !commands.is_empty();
        for command in commands {
            self.command(command);
        }
        if any {
            // What was just decided is shown at once, not at the next movement of the mouse.
            ui.ctx().request_repaint();
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        [0.0, 0.0, 0.0, 1.0]
    }

    fn on_exit(&mut self) {
        // Times and drafts of the study being read are written down.
        self.command(Command::CloseStudy);
        for running in
            [&self.scan, &self.load, &self.beside, &self.thumbnails, &self.analysis, &self.occlusion, &self.solid]
        {
            cancel(running);
        }
        if self.settings_changed.take().is_some() {
            self.save_settings();
        }
        self.settings.finish();
        self.measures.finish();
        self.readings.finish();
    }
}

/// Opens the window and stays until it is closed.
pub fn run(start: Start) -> Result<(), eframe::Error> {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("dens")
            .with_app_id("dens")
            .with_inner_size([1500.0, 950.0])
            // 1280 x 720 pixels at 250 % are no more.
            .with_min_inner_size([480.0, 270.0])
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: crate::gpu::wgpu_setup(),
        persist_window: false,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native("dens", options, Box::new(|cc| Ok(Box::new(App::new(cc, start)))))
}
