//! Training: data sets, augmentation, the two stages, cross-validation, checkpoints. With `model`, the only place that
//! knows candle.
//!
//! A run is a function of its [`Settings`]: which slices are shown in which order, how they are turned, what is dropped,
//! all come from streams keyed by seed, fold and position. A checkpoint therefore holds weights, optimiser and a position,
//! and on the CPU a resumed run ends as an uninterrupted one does, to the last bit.
//!
//! ```text
//! RUN/run.toml            the settings
//!     folds.csv           case, patient, label, fold, and the folds whose inner validation it is in
//!     excluded.csv        cases left out, with the reason
//!     log.csv             one row per epoch
//!     fold-K/last, best   .safetensors of stage 1, last-cases and best-cases of stage 2
//!     fold-K/crops/       the same of the crops before stage 1, where the run has them
//!     fold-K/features/    the backbone's features of each case
//!     fold-K/model.safetensors
//!     predictions/fold-K.json (test part), inner-K.json (inner validation)
//! ```

pub mod augment;
pub mod baselines;
pub mod cache;
mod crops;
mod crossfit;
pub mod dataset;
mod features;
mod fold;
pub mod folds;
mod images;
pub mod log;
mod places;
pub mod predict;
pub mod sampler;
mod sequence;
pub mod settings;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

pub use fold::Aucs;
pub use settings::{CropStage, Preset, Settings};

use cache::{CacheError, SliceRecipe, StoredCase};
use dataset::{CaseRef, DatasetError, Excluded};
use fold::Fold;
use folds::Subject;
use log::{LogRow, RunLog};

use crate::files;
use crate::jobs::{Cancelled, JobCtx};
use crate::model::{DevicePreference, ModelError};

/// Name of the settings in a run folder.
pub const SETTINGS_FILE: &str = "run.toml";

/// What a run needs beside its settings; changes nothing about its result on the CPU.
#[derive(Debug, Clone)]
pub struct Request {
    pub settings: Settings,
    /// The run folder.
    pub out: PathBuf,
    /// Folder of preprocessed slices.
    pub cache: PathBuf,
    /// Where the features of a backbone that is not trained lie; `None`: in the run.
    pub features: Option<PathBuf>,
    pub threads: usize,
    pub device: DevicePreference,
    /// Go on with the run in `out` instead of beginning one.
    pub resume: bool,
}

/// What happens during a run, for whoever watches.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stretch of work of `total` things begins. Fold 0: before the folds.
    Phase { fold: usize, what: String, total: usize },
    /// So many of them are done.
    Batch { done: usize, loss: Option<f64> },
    /// An epoch ended.
    Epoch(LogRow),
    /// A sentence that the user should read.
    Note(String),
    /// A fold is complete.
    Fold(FoldSummary),
}

/// What came out of a fold.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldSummary {
    /// From 1.
    pub fold: usize,
    pub model: PathBuf,
    /// The epochs that were kept, from 1.
    pub image_epoch: usize,
    pub case_epoch: usize,
    pub validation: Aucs,
    pub test: Aucs,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub cases: usize,
    pub excluded: usize,
    /// Folds trained by this call; others may have been complete before.
    pub folds: Vec<FoldSummary>,
    pub complete_before: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A sentence: what is wrong and what to do.
    #[error("{0}")]
    Refused(String),
    /// A fold that lacks a class, or boxes to learn crops by; the other folds go on.
    #[error("{0}")]
    OneClass(String),
    #[error(
        "fold {fold}: the loss was no number in epoch {epoch}, batch {batch} of {stage} (learning rate {rate:.1e}); the last \
         checkpoint was kept, a new run with a smaller {option} is likely to help",
        option = rate_option(.stage)
    )]
    Diverged { fold: usize, stage: String, epoch: usize, batch: usize, rate: f64 },
    #[error("{path}: {source}")]
    Disk { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cache(CacheError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The option that sets a stage's learning rate.
fn rate_option(stage: &str) -> &'static str {
    match stage {
        "cases" => "--case-lr",
        stage if stage.starts_with("crops") => "--crop-lr",
        _ => "--lr",
    }
}

impl TrainError {
    fn disk(path: &Path, source: std::io::Error) -> Self {
        Self::Disk { path: path.to_path_buf(), source }
    }
}

impl From<CacheError> for TrainError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Cache(other),
        }
    }
}

impl From<DatasetError> for TrainError {
    fn from(error: DatasetError) -> Self {
        match error {
            DatasetError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            DatasetError::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// Called with every event, from whichever thread it happens on.
pub type OnEvent<'a> = &'a (dyn Fn(&Event) + Sync);

/// How a run runs.
struct Exec<'a> {
    ctx: &'a JobCtx,
    device: DevicePreference,
    features: Option<PathBuf>,
    on_event: OnEvent<'a>,
    log: Mutex<RunLog>,
    log_path: PathBuf,
}

impl Exec<'_> {
    fn tell(&self, event: Event) {
        (self.on_event)(&event);
    }
    fn log(&self, row: LogRow) -> Result<(), TrainError> {
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        log.push(row.clone()).map_err(|error| TrainError::disk(&self.log_path, error))?;
        self.tell(Event::Epoch(row));
        Ok(())
    }
}

/// A case with its slices in the cache.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    id: String,
    patient: String,
    sex: Option<char>,
    age_years: Option<f64>,
    source: String,
    twin: Option<String>,
    stored: StoredCase,
}

/// Trains everything that the settings ask for, or what of it is not done yet.
///
/// # Errors
/// A data set that cannot be opened, nothing to train on, a disk that is full, a loss that is no number. Cancelled: all
/// work up to the last batch is kept, and the same call with `resume` goes on.
pub fn run(request: &Request, ctx: &JobCtx, on_event: OnEvent<'_>) -> Result<Summary, TrainError> {
    let settings = settings_of(request)?;
    settings.check().map_err(TrainError::Refused)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(request.threads.max(1))
        .thread_name(|index| format!("dens-training-{index}"))
        .build()
        .map_err(|error| TrainError::Refused(format!("the threads could not be started: {error}")))?;
    let exec = Exec {
        ctx,
        device: request.device,
        features: request.features.clone(),
        on_event,
        log: Mutex::new(RunLog::open(&request.out)),
        log_path: request.out.join("log.csv"),
    };
    pool.install(|| {
        let (cases, excluded) = gather(&settings, &request.cache, &exec)?;
        write_excluded(&request.out, &excluded)?;
        let mut summary = train_cases(&settings, &cases, &request.out, &exec)?;
        summary.excluded = excluded.len();
        Ok(summary)
    })
}

/// The settings asked for, or those of the run that is resumed.
fn settings_of(request: &Request) -> Result<Settings, TrainError> {
    let path = request.out.join(SETTINGS_FILE);
    let features_for = |settings: &Settings| {
        match &request.features {
        Some(_) if !settings.backbone_is_given() => Err(TrainError::Refused(
            "--features shares what a backbone makes of slices that is used as it is (--weights FILE --epochs 0 without \
             --crops); this run trains its backbone"
                .into(),
        )),
        _ => Ok(()),
    }
    };
    if request.resume {
        let settings = stored_settings(&request.out)?;
        return features_for(&settings).map(|()| settings);
    }
    request.settings.check().map_err(TrainError::Refused)?;
    features_for(&request.settings)?;
    if path.exists() {
        let out = request.out.display();
        return Err(TrainError::Refused(format!(
            "{out} already holds a run: --resume goes on with it, another --out begins a new one"
        )));
    }
    let text = toml::to_string(&request.settings)
        .map_err(|error| TrainError::Refused(format!("the settings cannot be written down: {error}")))?;
    let head = format!("# {}\n# {}\n\n", crate::SOFTWARE, crate::RESEARCH_LINE);
    let write = || {
        std::fs::create_dir_all(&request.out)?;
        files::write_whole(&path, |file| std::io::Write::write_all(file, format!("{head}{text}").as_bytes()))
    };
    write().map_err(|error| TrainError::disk(&path, error))?;
    Ok(request.settings.clone())
}

/// The settings of the run in a folder.
///
/// # Errors
/// There is none, or it is not understood.
pub fn stored_settings(out: &Path) -> Result<Settings, TrainError> {
    let path = out.join(SETTINGS_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| TrainError::Refused(format!("{}: there is no run to go on with ({error})", path.display())))?;
    toml::from_str(&text).map_err(|error| TrainError::Refused(format!("{}: {error}", path.display())))
}

/// Opens the data sets and puts every case's slices into the cache.
fn gather(settings: &Settings, cache: &Path, exec: &Exec<'_>) -> Result<(Vec<Case>, Vec<Excluded>), TrainError> {
    std::fs::create_dir_all(cache).map_err(|error| TrainError::disk(cache, error))?;
    let mut excluded = Vec::new();
    let mut refs: Vec<CaseRef> = Vec::new();
    for spec in &settings.datasets {
        let opened = dataset::open(spec, exec.ctx)?;
        opened.notes.into_iter().for_each(|note| exec.tell(Event::Note(note)));
        excluded.extend(opened.excluded);
        refs.extend(opened.cases);
    }
    excluded.extend(unique(&mut refs));
    let how = SliceRecipe { recipe: settings.recipe, side: settings.input_side, z_step_mm: settings.z_step_mm };
    exec.tell(Event::Phase { fold: 0, what: "preparing slices".into(), total: refs.len() });
    let done = AtomicUsize::new(0);
    let fetched: Vec<Result<Case, CacheError>> = refs
        .par_iter()
        .map(|case| {
            let stored = cache::fetch(case, how, cache, exec.ctx);
            exec.tell(Event::Batch { done: done.fetch_add(1, Ordering::Relaxed) + 1, loss: None });
            stored.map(|stored| Case {
                id: case.id.clone(),
                patient: case.patient.clone(),
                sex: case.sex,
                age_years: case.age_years,
                source: case.source.clone(),
                twin: case.twin.clone(),
                stored,
            })
        })
        .collect();
    let mut cases = Vec::new();
    for (case, reference) in fetched.into_iter().zip(&refs) {
        match case {
            Ok(case) => cases.push(case),
            Err(CacheError::Unusable(reason)) => {
                exec.tell(Event::Note(format!("left out: {reason}")));
                excluded.push(Excluded { id: reference.id.clone(), reason });
            }
            Err(other) => return Err(other.into()),
        }
    }
    if cases.is_empty() {
        return Err(TrainError::Refused("no case is left to train on; excluded.csv says why".into()));
    }
    Ok((cases, excluded))
}

/// Cases sorted by id, each once: the same one named by two data sets goes, another one of the same id gets a number.
fn unique(refs: &mut Vec<CaseRef>) -> Vec<Excluded> {
    refs.sort_by(|a, b| (&a.id, &a.content_key).cmp(&(&b.id, &b.content_key)));
    let mut twice = Vec::new();
    refs.dedup_by(|later, first| {
        let same = later.id == first.id && later.content_key == first.content_key;
        if same {
            twice.push(Excluded { id: later.id.clone(), reason: format!("{}: named twice", later.id) });
        }
        same
    });
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in refs.iter_mut() {
        let count = seen.entry(case.id.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            case.id = format!("{}@{count}", case.id);
        }
    }
    twice
}

fn write_excluded(out: &Path, excluded: &[Excluded]) -> Result<(), TrainError> {
    let path = out.join("excluded.csv");
    files::write_whole(&path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["case", "reason"])?;
        excluded.iter().try_for_each(|case| writer.write_record([&case.id, &case.reason]))?;
        writer.flush()
    })
    .map_err(|error| TrainError::disk(&path, error))
}

/// The folds of prepared cases.
fn train_cases(settings: &Settings, cases: &[Case], out: &Path, exec: &Exec<'_>) -> Result<Summary, TrainError> {
    let network = settings.architecture().map_err(TrainError::Refused)?;
    let subjects: Vec<Subject> = cases.iter().map(subject).collect();
    let fold_of = match settings.folds {
        // No fold has this number, so no case is tested.
        1 => vec![usize::MAX; cases.len()],
        folds => folds::deal(&subjects, folds, settings.seed),
    };
    let parts: Vec<folds::Parts> =
        (0..settings.folds).map(|fold| folds::parts(&subjects, &fold_of, fold, settings.seed)).collect();
    write_folds(out, cases, &fold_of, &parts)?;
    let mut summary = Summary { cases: cases.len(), excluded: 0, folds: Vec::new(), complete_before: 0 };
    let mut refused = None;
    for &number in &settings.train_folds {
        let parts = parts.get(number - 1).cloned().expect("checked with the settings");
        let fold = Fold { cases, settings, network, parts, number, run: out };
        if fold.model().exists() {
            summary.complete_before += 1;
            continue;
        }
        match fold.train(exec) {
            Ok(done) => {
                exec.tell(Event::Fold(done.clone()));
                summary.folds.push(done);
            }
            Err(TrainError::OneClass(reason)) => {
                exec.tell(Event::Note(reason.clone()));
                refused = Some(reason);
            }
            Err(other) => return Err(other),
        }
    }
    match refused {
        Some(reason) if summary.folds.is_empty() && summary.complete_before == 0 => Err(TrainError::OneClass(reason)),
        _ => Ok(summary),
    }
}

fn subject(case: &Case) -> Subject {
    Subject {
        patient: case.patient.clone(),
        fractured: case.stored.head.fractured,
        source: case.source.clone(),
        sex: case.sex,
        age_years: case.age_years,
    }
}

fn write_folds(out: &Path, cases: &[Case], fold_of: &[usize], parts: &[folds::Parts]) -> Result<(), TrainError> {
    let path = out.join("folds.csv");
    files::write_whole(&path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["case", "patient", "fractured", "source", "fold", "inner_validation_of"])?;
        for (index, case) in cases.iter().enumerate() {
            let inner = parts.iter().enumerate().filter(|(_, parts)| parts.inner.contains(&index));
            let inner: Vec<String> = inner.map(|(fold, _)| (fold + 1).to_string()).collect();
            let fold = fold_of[index].checked_add(1).map_or_else(String::new, |fold| fold.to_string());
            let fractured = if case.stored.head.fractured { "1" } else { "0" };
            writer.write_record([&case.id, &case.patient, fractured, &case.source, &fold, &inner.join(" ")])?;
        }
        writer.flush()
    })
    .map_err(|error| TrainError::disk(&path, error))
}
