//! Volume to findings: order of slices, device, progress. Knows no window and no file format.

pub mod canal;
mod gates;
pub mod kept;
mod metal;
mod noise;
pub mod occlusion;
mod order;
mod sharpness;
mod start;
mod unfinished;
mod warnings;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::SOFTWARE;
use crate::findings::{
    Cam, CaseResult, Doubt, Exclusion, Findings, ModelInfo, Provenance, Seconds, SliceFinding, SliceOutcome, SliceState,
};
pub use crate::jobs::default_threads;
use crate::jobs::{Cancelled, JobCtx, MaybeCancelled};
use crate::model::{CaseForward, DevicePreference, FeatureDistance, ModelError, Network, SliceForward};
use crate::preprocess::{self, CropPlan, INPUT_SIZE, Recipe, network_input, thinned};
use crate::study::LoadedSeries;
use crate::study::quality::{Line, Weight};

pub use order::{COARSE_STEP, NEIGHBOURHOOD, Pending};
pub use start::{UNTRAINED_NAME, default_network};
pub use unfinished::Unfinished;
use unfinished::{Part, Scored, Spent};

use gates::Gates;
use kept::KeptKey;

/// One analysis.
#[derive(Clone)]
pub struct Request {
    pub loaded: LoadedSeries,
    pub network: Arc<Network>,
    pub model: Arc<ModelInfo>,
    /// The slice being read (0-based), read anew before each slice so that the reader's neighbourhood comes first.
    pub focus: Arc<AtomicUsize>,
    /// Compute threads; leave a core's worth of room for the window.
    pub threads: usize,
    /// Seconds that loading took, for the record.
    pub load_seconds: f64,
    /// Scores even what the quality gates would stop; the reasons then stand beside the score.
    pub force: bool,
    /// Where to go on from if this analysis was stopped before, and where to leave what there is if it is stopped.
    pub resume: Option<(KeptKey, Arc<Unfinished>)>,
}

/// What happens during an analysis, in order, called on the worker's thread.
#[derive(Debug, Clone)]
pub enum Event {
    Started(Provenance),
    Running(usize),
    Slice(usize, SliceFinding),
    Case(CaseResult),
    /// What header and voxels say for and against a score; before everything else, also where none follows.
    Judged(Vec<Line>),
    /// Why the scores must be read with care; before the first score, or after the last.
    Doubt(Doubt),
}

#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// A hard stop in words ([`crate::study::Series::analysis_stop`]).
    #[error("{0}")]
    NotApplicable(String),
    /// Quality gates that a reader may override knowingly, in words.
    #[error("no score: {}", .0.join("; "))]
    Stopped(Vec<String>),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
impl MaybeCancelled for AnalysisError {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

/// What an analysis asks of a network. [`Network`] is the true one; tests bring cheaper ones.
pub trait SliceNetwork: Sync {
    /// The device in words.
    fn device_name(&self) -> &str;
    /// Why it is not the device that was asked for.
    fn device_note(&self) -> Option<&str>;
    /// Edge of its input in pixels.
    fn input_side(&self) -> usize {
        INPUT_SIZE
    }
    /// As [`Network::slices_at_once`].
    fn slices_at_once(&self, _threads: usize) -> usize {
        1
    }
    /// As [`Network::forward_slices`].
    fn forward_slices(&self, planes: &[f32], count: usize) -> Result<Vec<SliceForward>, ModelError>;
    /// As [`Network::forward_case`].
    fn forward_case(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError>;
}

impl SliceNetwork for Network {
    fn device_name(&self) -> &str {
        self.device_name()
    }
    fn device_note(&self) -> Option<&str> {
        self.device_note()
    }
    fn input_side(&self) -> usize {
        self.card().network.input_side
    }
    fn slices_at_once(&self, threads: usize) -> usize {
        self.slices_at_once(threads)
    }
    fn forward_slices(&self, planes: &[f32], count: usize) -> Result<Vec<SliceForward>, ModelError> {
        self.forward_slices(planes, count)
    }
    fn forward_case(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        self.forward_case(features)
    }
}

/// What is analysed: a [`Request`] without its network.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub loaded: &'a LoadedSeries,
    pub model: &'a Arc<ModelInfo>,
    pub focus: &'a AtomicUsize,
    pub threads: usize,
    pub load_seconds: f64,
    pub force: bool,
    pub resume: Option<(&'a KeptKey, &'a Unfinished)>,
}

/// What the user must know of a network, from its card.
pub fn model_info(network: &Network) -> ModelInfo {
    let card = network.card();
    ModelInfo {
        name: card.name.clone(),
        architecture: card.architecture.clone(),
        sha256: network.sha256().to_owned(),
        trained_on: card.trained_on.clone(),
        trained: card.trained,
        threshold: card.threshold,
        calibrated: card.calibrated,
        recipe: card.recipe.clone(),
        operating: card.operating(),
        card: card.json.clone(),
        choice: network.choice().map(str::to_owned),
    }
}

/// Runs the whole analysis: slices near the focus first, then every eighth slice, then the rest, then the case.
///
/// Blocks its thread; cancelled between slices, and what a slice gave after a cancellation is dropped unseen.
///
/// # Errors
/// A hard stop before any score; the network failed; cancelled.
pub fn analyse(request: &Request, ctx: &JobCtx, on_event: &mut dyn FnMut(Event)) -> Result<Findings, AnalysisError> {
    let Request { loaded, network, model, focus, threads, load_seconds, force, resume } = request;
    let (threads, load_seconds, force) = (*threads, *load_seconds, *force);
    let resume = resume.as_ref().map(|(key, unfinished)| (key, unfinished.as_ref()));
    let subject = Subject { loaded, model, focus, threads, load_seconds, force, resume };
    analyse_with(network.as_ref(), subject, ctx, on_event)
}

/// [`analyse`]; where an accelerator fails on the way, the whole analysis is begun anew on the CPU with the same
/// weights (`None`: the seeded ones), and a warning of the findings says so.
///
/// # Errors
/// As [`analyse`], and those of reading the weights again.
pub fn analyse_or_on_cpu(
    request: &Request,
    weights: Option<&Path>,
    ctx: &JobCtx,
    on_event: &mut dyn FnMut(Event),
) -> Result<Findings, AnalysisError> {
    let failed = match analyse(request, ctx, on_event) {
        Err(error) => error,
        done => return done,
    };
    let Some(note) = device_failure(request.network.device_name(), &failed) else { return Err(failed) };
    log::warn!("{note}");
    let network = Arc::new(start::again(weights, request.network.sha256(), DevicePreference::Cpu)?);
    // What another device had scored is not gone on from.
    let mut findings = analyse(&Request { network, resume: None, ..request.clone() }, ctx, on_event)?;
    findings.warnings.insert(0, note);
    Ok(findings)
}

/// The sentence for a failure that another device may not have; `None` for any other.
fn device_failure(device_name: &str, error: &AnalysisError) -> Option<String> {
    match error {
        AnalysisError::Model(error) if !device_name.starts_with("CPU") => {
            Some(format!("{device_name} failed during the analysis ({error}); everything was computed anew on the CPU"))
        }
        _ => None,
    }
}

/// [`analyse`] with any network.
///
/// # Errors
/// As [`analyse`].
pub fn analyse_with(
    network: &dyn SliceNetwork,
    subject: Subject<'_>,
    ctx: &JobCtx,
    on_event: &mut dyn FnMut(Event),
) -> Result<Findings, AnalysisError> {
    let started = Instant::now();
    let LoadedSeries { series, volume } = subject.loaded;
    let spacing_mm = match (series.analysis_stop(), series.spacing_mm) {
        (None, Some(spacing_mm)) => spacing_mm,
        (reason, _) => return Err(AnalysisError::NotApplicable(reason.unwrap_or_default())),
    };
    let recipe = recipe_of(subject.model)?;
    ctx.check()?;
    let pool = pool_of(subject.threads)?;
    let provenance = provenance(network, &subject, recipe);
    let count = volume.slices().len();
    ctx.progress(0, count);
    let planning = Instant::now();
    // As loading did, on all threads: the first score waits for it, and it takes a moment only.
    let plan = preprocess::plan(recipe, volume, spacing_mm, &series.position_mm(), ctx)?;
    let spent = Spent { preprocess: planning.elapsed(), ..Spent::default() };
    let findings = Findings::new(provenance.clone(), count);
    let mut run = Run { network, subject, pool, plan, findings, features: vec![None; count], spent, started };
    let resumed = subject.resume.and_then(|(key, unfinished)| unfinished.part(key));
    let (gates, first) = run.judged_while_scoring(resumed.as_ref());
    ctx.check()?;
    on_event(Event::Judged(gates.lines.clone()));
    let stops = gates.texts(Weight::Stop);
    if !stops.is_empty() && subject.model.trained && !subject.force {
        return Err(AnalysisError::Stopped(stops));
    }
    on_event(Event::Started(provenance));
    run.findings.warnings = warnings::warnings(network.device_note(), &run.plan);
    let remarks = gates.texts(Weight::Warning);
    (run.findings.judged, run.findings.doubts) = (gates.lines, gates.doubts);
    match subject.model.trained {
        true => run.findings.doubts.extend(stops.into_iter().map(Doubt::quality)),
        false => run.findings.warnings.extend(stops),
    }
    run.findings.warnings.extend(remarks);
    run.findings.doubts.iter().for_each(|doubt| on_event(Event::Doubt(doubt.clone())));
    run.slices(resumed, first, ctx, on_event)?;
    run.case(on_event);
    ctx.check()?;
    if let Some((key, unfinished)) = subject.resume {
        unfinished.remove(key);
    }
    run.findings.warnings.extend(gates::after(&run.findings));
    run.findings.seconds = Seconds {
        load: subject.load_seconds,
        preprocess: run.spent.preprocess.as_secs_f64(),
        network: run.spent.in_network.as_secs_f64(),
        total: subject.load_seconds + (run.spent.total + started.elapsed()).as_secs_f64(),
    };
    Ok(run.findings)
}

/// The recipe that the model was made for; another would feed it pictures that it has never seen.
fn recipe_of(model: &ModelInfo) -> Result<Recipe, AnalysisError> {
    Recipe::parse(&model.recipe).ok_or_else(|| {
        let known = Recipe::ALL.map(Recipe::name).join(", ");
        AnalysisError::NotApplicable(format!(
            "not applicable: the model asks for the preprocessing recipe \"{}\", which this program does not have (it has \
             {known}); take another model or a newer version",
            model.recipe
        ))
    })
}

/// A pool of its own for the network: the convolutions and matrix products take the pool they are called in, so its size
/// is what an analysis takes of the machine, whatever the global pool does for loading and drawing.
fn pool_of(threads: usize) -> Result<ThreadPool, ModelError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|index| format!("dens-network-{index}"))
        .build()
        .map_err(|error| ModelError::Forward(format!("its threads could not be started: {error}")))
}

fn provenance(network: &dyn SliceNetwork, subject: &Subject<'_>, recipe: Recipe) -> Provenance {
    let device = match (network.device_name(), subject.threads.max(1)) {
        (cpu, 1) if cpu.starts_with("CPU") => format!("{cpu}, 1 thread"),
        (cpu, threads) if cpu.starts_with("CPU") => format!("{cpu}, {threads} threads"),
        (accelerator, _) => accelerator.to_owned(),
    };
    Provenance {
        model: subject.model.clone(),
        volume: subject.loaded.volume.id(),
        series_uid: subject.loaded.series.uid.clone(),
        recipe: recipe.name().to_owned(),
        device,
        software: SOFTWARE.to_owned(),
        computed_earlier: None,
    }
}

/// What the network said of some slices.
struct Answers {
    /// Which of them it saw.
    seen: Vec<bool>,
    forwards: Vec<SliceForward>,
    preprocess: Duration,
    in_network: Duration,
}

/// The slice that was scored before the gates had spoken.
struct First {
    index: usize,
    answers: Result<Answers, ModelError>,
}

/// An analysis under way.
struct Run<'a> {
    network: &'a dyn SliceNetwork,
    subject: Subject<'a>,
    pool: ThreadPool,
    plan: CropPlan,
    findings: Findings,
    /// Per slice, display order; `None` until (or unless) it is scored.
    features: Vec<Option<Vec<f32>>>,
    /// `total` is that of the runs before this one.
    spent: Spent,
    started: Instant,
}

impl Run<'_> {
    /// The slices that a network is to see (display order).
    fn waiting(&self) -> Vec<bool> {
        (0..self.features.len()).map(|index| matches!(self.plan.crops.get(index), Some(Some(_)))).collect()
    }

    /// The quality gates, and meanwhile the slice that comes first: nobody is told of its score before the gates have spoken.
    fn judged_while_scoring(&self, resumed: Option<&Part>) -> (Gates, Option<First>) {
        let Subject { loaded: LoadedSeries { series, volume }, model, focus, .. } = self.subject;
        let mut pending = Pending::new(self.waiting());
        resumed.iter().flat_map(|part| &part.scored).for_each(|scored| pending.take(scored.index));
        let first = pending.take_next(focus.load(Ordering::Relaxed));
        std::thread::scope(|scope| {
            let scoring = first.map(|index| (index, scope.spawn(move || self.answers(&[index]))));
            // Half of the cores, so that they do not take the network's.
            let half = ThreadPoolBuilder::new().num_threads((rayon::current_num_threads() / 2).max(1)).build();
            let judge = || gates::before(series, volume, &self.plan, model);
            let gates = half.map_or_else(|_| judge(), |half| half.install(judge));
            let first = scoring.map(|(index, answers)| First {
                index,
                answers: answers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            });
            (gates, first)
        })
    }

    /// Everything that needs no network first, then slice by slice in the order that the reader's place asks for.
    fn slices(
        &mut self,
        resumed: Option<Part>,
        first: Option<First>,
        ctx: &JobCtx,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), AnalysisError> {
        let mut waiting = self.waiting();
        for index in (0..waiting.len()).filter(|&index| !waiting[index]) {
            let outside = self.plan.outside_range.get(index) == Some(&true);
            let why = if outside { Exclusion::OutsideRange } else { Exclusion::EmptySlice };
            self.keep(index, excluded(why, Vec::new()), ctx, on_event);
        }
        self.go_on(resumed, &mut waiting, ctx, on_event);
        let mut pending = Pending::new(waiting);
        if let Some(First { index, answers }) = first {
            pending.take(index);
            on_event(Event::Running(index));
            self.take(vec![index], answers?, ctx, on_event)?;
        }
        let at_once = self.network.slices_at_once(self.subject.threads.max(1));
        loop {
            let focus = self.subject.focus.load(Ordering::Relaxed);
            let Some(first) = pending.take_next(focus) else { return Ok(()) };
            // What is being read is soonest there when all threads work on it alone.
            let more = if first.abs_diff(focus) <= NEIGHBOURHOOD { 0 } else { at_once.saturating_sub(1) };
            let indices: Vec<usize> =
                std::iter::once(first).chain(std::iter::from_fn(|| pending.take_next(focus)).take(more)).collect();
            ctx.check()?;
            indices.iter().for_each(|index| on_event(Event::Running(*index)));
            let answers = self.answers(&indices)?;
            self.take(indices, answers, ctx, on_event)?;
        }
    }

    /// Takes over what was scored before the same analysis was stopped.
    fn go_on(&mut self, part: Option<Part>, waiting: &mut [bool], ctx: &JobCtx, on_event: &mut dyn FnMut(Event)) {
        let Some(part) = part else { return };
        self.spent.preprocess += part.spent.preprocess;
        self.spent.in_network += part.spent.in_network;
        self.spent.total = part.spent.total;
        for Scored { index, finding, features } in part.scored {
            if let (Some(waits), Some(place)) = (waiting.get_mut(index), self.features.get_mut(index))
                && std::mem::take(waits)
            {
                *place = features;
                self.keep(index, finding, ctx, on_event);
            }
        }
    }

    /// Makes findings of the network's answers and tells them.
    fn take(
        &mut self,
        indices: Vec<usize>,
        answers: Answers,
        ctx: &JobCtx,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), AnalysisError> {
        let findings = self.findings(&indices, answers)?;
        ctx.check()?;
        for (index, finding) in indices.into_iter().zip(findings) {
            self.keep(index, finding.clone(), ctx, on_event);
            self.leave(index, finding);
        }
        Ok(())
    }

    /// Leaves a slice for the case that this analysis is stopped.
    fn leave(&self, index: usize, finding: SliceFinding) {
        let Some((key, unfinished)) = self.subject.resume else { return };
        let features = self.features.get(index).cloned().flatten();
        let spent = Spent { total: self.spent.total + self.started.elapsed(), ..self.spent };
        unfinished.add(key, Scored { index, finding, features }, spent);
    }

    fn keep(&mut self, index: usize, finding: SliceFinding, ctx: &JobCtx, on_event: &mut dyn FnMut(Event)) {
        if let Some(state) = self.findings.slices.get_mut(index) {
            *state = SliceState::Done(finding.clone());
        }
        on_event(Event::Slice(index, finding));
        let (done, total) = self.findings.progress();
        ctx.progress(done, total);
    }

    /// Some slices through preprocessing and network.
    fn answers(&self, indices: &[usize]) -> Result<Answers, ModelError> {
        let preparing = Instant::now();
        let (slices, plan, side) = (self.subject.loaded.volume.slices(), &self.plan, self.network.input_side());
        let crop_of = |index: usize| plan.crops.get(index).and_then(Option::as_ref);
        let input = |index: &usize| Some(network_input(slices.get(*index)?, crop_of(*index)?, side));
        let inputs: Vec<Option<Vec<f32>>> =
            self.pool.install(|| indices.par_iter().with_max_len(1).map(input).collect());
        let planes = match inputs.as_slice() {
            [Some(one)] => Cow::Borrowed(one.as_slice()),
            all => Cow::Owned(all.iter().flatten().map(Vec::as_slice).collect::<Vec<_>>().concat()),
        };
        let preprocess = preparing.elapsed();
        let computing = Instant::now();
        let (network, count) = (self.network, inputs.iter().flatten().count());
        let forwards = match count {
            0 => Vec::new(),
            _ => self.pool.install(|| network.forward_slices(&planes, count))?,
        };
        let seen = inputs.iter().map(Option::is_some).collect();
        Ok(Answers { seen, forwards, preprocess, in_network: computing.elapsed() })
    }

    fn findings(&mut self, indices: &[usize], answers: Answers) -> Result<Vec<SliceFinding>, ModelError> {
        let Answers { seen, forwards, preprocess, in_network } = answers;
        self.spent.preprocess += preprocess;
        self.spent.in_network += in_network;
        let mut forwards = forwards.into_iter();
        let finding = |(&index, seen): (&usize, bool)| match seen {
            true => self.finding(index, forwards.next()),
            false => Ok(excluded(Exclusion::EmptySlice, Vec::new())),
        };
        indices.iter().zip(seen).map(finding).collect()
    }

    /// What the network's answer says of a slice; its features are kept for the case.
    fn finding(&mut self, index: usize, answer: Option<SliceForward>) -> Result<SliceFinding, ModelError> {
        let answer = answer.ok_or_else(|| ModelError::Forward("it gave no answer for a slice".into()))?;
        let SliceForward { logit, features, cam, cam_size } = answer;
        let Some(Some(crop)) = self.plan.crops.get(index) else {
            return Ok(excluded(Exclusion::EmptySlice, Vec::new()));
        };
        let flags = crop.flags.clone();
        if cam.len() != cam_size * cam_size {
            let have = cam.len();
            return Err(ModelError::Forward(format!("a map of {have} values is not {cam_size} x {cam_size}")));
        }
        if !(logit.is_finite() && features.iter().chain(&cam).all(|value| value.is_finite())) {
            return Ok(excluded(Exclusion::NotFinite, flags));
        }
        if let Some(place) = self.features.get_mut(index) {
            *place = Some(features);
        }
        let cam = Arc::new(Cam { rows: cam_size, columns: cam_size, values: cam });
        let operating = &self.subject.model.operating;
        let outcome =
            SliceOutcome::Scored { score: operating.slice_scaling.score(logit), logit, region: crop.region, cam };
        Ok(SliceFinding { outcome, flags })
    }

    /// Says so when the slices look unlike those of the training; nothing where the card does not describe these.
    fn compare_with_training(&mut self, features: &[Vec<f32>], on_event: &mut dyn FnMut(Event)) {
        let training = self.subject.model.card.get("ood").and_then(FeatureDistance::from_json);
        let Some((limit, distance)) = training.and_then(|t| Some((t.limit, t.of_case(features)?))) else { return };
        if distance > limit {
            let doubt = Doubt::outside_training(format!(
                "outside the training data: the slices look unlike those the network learned from (distance {distance:.1}; \
                 99 % of its training cases lie within {limit:.1})"
            ));
            self.findings.doubts.push(doubt.clone());
            on_event(Event::Doubt(doubt));
        }
    }

    /// The sequence network over all scored slices. Its failure leaves the slices' scores and a warning.
    fn case(&mut self, on_event: &mut dyn FnMut(Event)) {
        let scored: Vec<usize> = (0..self.features.len()).filter(|&i| self.features[i].is_some()).collect();
        if scored.is_empty() {
            self.findings.warnings.push("no slice could be scored, so there is no case score".into());
            return;
        }
        let position_mm = self.subject.loaded.series.position_mm();
        let step_mm = self.subject.model.card.pointer("/input/z_step_mm").and_then(serde_json::Value::as_f64);
        // The sequence network knows slices that far apart; more of them would be a longer neck to it.
        let scored = thinned(&scored, &position_mm, step_mm.unwrap_or(0.0));
        let mut all = std::mem::take(&mut self.features);
        let features: Vec<Vec<f32>> = scored.iter().filter_map(|&i| all.get_mut(i)?.take()).collect();
        self.compare_with_training(&features, on_event);
        let computing = Instant::now();
        let network = self.network;
        let forward = self.pool.install(|| network.forward_case(&features));
        self.spent.in_network += computing.elapsed();
        match forward {
            Ok(CaseForward { logit, attribution: parts })
                if logit.is_finite() && parts.len() == scored.len() && parts.iter().all(|part| part.is_finite()) =>
            {
                let mut attribution = vec![None; self.findings.slices.len()];
                for (index, part) in scored.into_iter().zip(parts) {
                    attribution[index] = Some(part);
                }
                let score = self.subject.model.operating.case_scaling.score(logit);
                let case = CaseResult { score, logit, attribution };
                self.findings.case = Some(case.clone());
                on_event(Event::Case(case));
            }
            Ok(_) => {
                self.findings.warnings.push("there is no case score: the network returned no finite number".into())
            }
            Err(error) => self.findings.warnings.push(format!("there is no case score: {error}")),
        }
    }
}

fn excluded(why: Exclusion, flags: Vec<&'static str>) -> SliceFinding {
    SliceFinding { outcome: SliceOutcome::Excluded(why), flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failing_accelerator_is_replaced_by_the_cpu() {
        let failed = || AnalysisError::Model(ModelError::Forward("out of memory".into()));
        let note = device_failure("CUDA 0", &failed()).expect("begun anew");
        assert!(note.contains("CUDA 0") && note.contains("out of memory") && note.contains("CPU"), "{note}");
        assert_eq!(device_failure("CPU", &failed()), None);
        assert_eq!(device_failure("CUDA 0", &AnalysisError::Cancelled(Cancelled)), None);
        assert_eq!(device_failure("CUDA 0", &AnalysisError::NotApplicable("not HU".into())), None);
    }
}
