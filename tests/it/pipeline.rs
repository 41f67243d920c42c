//! From a volume to findings: with a cheap network that marks where the brightest bone is, and once with the true one.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dens::findings::{Exclusion, Findings, ModelInfo, SliceOutcome, SliceState};
use dens::geometry::{PatientPoint, SlicePose, Vec3};
use dens::inference::kept::KeptKey;
use dens::inference::{
    AnalysisError, COARSE_STEP, Event, NEIGHBOURHOOD, Request, SliceNetwork, Subject, Unfinished, analyse,
    analyse_with, default_network, model_info,
};
use dens::jobs::{Job, JobCtx, MaybeCancelled, Outcome};
use dens::model::{CaseForward, DevicePreference, ModelError, SliceForward};
use dens::preprocess::{INPUT_SIZE, NO_BONE};
use dens::study::{LoadedSeries, Patient, Photometric, Series, SliceInfo, StudyInfo, Technique};
use dens::volume::{Slice, SlicePixels, Volume};

/// Edge of the fake network's maps.
const GRID: usize = 12;

/// Scores a slice by the mean of its gross-bone channel and maps the mean of the bone channel above 0.9 per cell.
#[derive(Default)]
struct FakeNetwork {
    calls: AtomicUsize,
    /// The call (from 0) that answers NaN, and the one that fails.
    not_finite_at: Option<usize>,
    fails_at: Option<usize>,
    /// Seen by `forward_case`: the first feature of each slice.
    case_order: Mutex<Vec<f32>>,
    threads: AtomicUsize,
    /// 0 counts as 1.
    at_once: usize,
    /// Slices of each call.
    counts: Mutex<Vec<usize>>,
}

impl SliceNetwork for FakeNetwork {
    fn device_name(&self) -> &str {
        "CPU"
    }
    fn device_note(&self) -> Option<&str> {
        Some("CUDA 0 could not be used")
    }
    fn slices_at_once(&self, _threads: usize) -> usize {
        self.at_once.max(1)
    }
    fn forward_slices(&self, planes: &[f32], count: usize) -> Result<Vec<SliceForward>, ModelError> {
        assert_eq!(planes.len(), 3 * INPUT_SIZE * INPUT_SIZE * count);
        self.threads.store(rayon::current_num_threads(), Ordering::Relaxed);
        self.counts.lock().expect("not poisoned").push(count);
        planes.chunks_exact(3 * INPUT_SIZE * INPUT_SIZE).map(|one| self.slice(one)).collect()
    }
    fn forward_case(&self, features: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
        let first: Vec<f32> = features.iter().map(|f| f[0]).collect();
        *self.case_order.lock().expect("not poisoned") = first.clone();
        Ok(CaseForward { logit: first.iter().sum(), attribution: first })
    }
}

impl FakeNetwork {
    fn slice(&self, planes: &[f32]) -> Result<SliceForward, ModelError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fails_at == Some(call) {
            return Err(ModelError::Forward("out of memory".into()));
        }
        let area = INPUT_SIZE * INPUT_SIZE;
        let mean = planes[2 * area..].iter().sum::<f32>() / area as f32;
        let cell = INPUT_SIZE / GRID;
        let mut cam = vec![0.0; GRID * GRID];
        for (i, value) in planes[area..2 * area].iter().enumerate() {
            cam[i / INPUT_SIZE / cell * GRID + i % INPUT_SIZE / cell] += (value - 0.9).max(0.0);
        }
        let logit = if self.not_finite_at == Some(call) { f32::NAN } else { mean };
        Ok(SliceForward { logit, features: vec![mean; 4], cam, cam_size: GRID })
    }
}

/// A series of `slices`, head to feet, 3 mm apart, 0.5 mm pixels.
fn series_of(slices: Vec<Slice>) -> LoadedSeries {
    let info = |index: usize| SliceInfo {
        path: Default::default(),
        packed: None,
        frame: None,
        file: format!("{index}.dcm"),
        sop_instance_uid: format!("2.25.{index}"),
        instance_number: Some(1),
        pose: Some(SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, -3.0 * index as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        }),
    };
    let series = Series {
        uid: "2.25.1".into(),
        frame_of_reference: String::new(),
        study: Arc::new(StudyInfo::default()),
        patient: Arc::new(Patient::default()),
        modality: "CT".into(),
        number: None,
        description: String::new(),
        rows: slices[0].rows,
        columns: slices[0].columns,
        spacing_mm: Some([0.5, 0.5]),
        slice_spacing_mm: Some(3.0),
        slices: (0..slices.len()).map(info).collect(),
        technique: Technique::default(),
        photometric: Photometric::default(),
        values_are_hu: true,
        is_localizer: false,
        part: None,
        file_windows: Vec::new(),
        file_window_names: Vec::new(),
        reformatted: None,
        warnings: Vec::new(),
    };
    let volume = Volume::new(slices.into_iter().map(Arc::new).collect()).expect("slices of one size");
    LoadedSeries { series: Arc::new(series), volume: Arc::new(volume) }
}

/// 100 x 80 pixels of soft tissue with a block of bone that grows with `index`, and a hot 3 x 3 spot in it.
fn bony(index: usize, spot: (usize, usize)) -> Slice {
    let (columns, rows) = (100, 80);
    let mut values = vec![40_i16; columns * rows];
    values[0] = 220; // between soft tissue and bone, so that the threshold lies there too
    for row in 20..60 {
        values[row * columns + 30..row * columns + 60 + index % 32].fill(600);
    }
    for row in spot.1 - 1..=spot.1 + 1 {
        values[row * columns + spot.0 - 1..=row * columns + spot.0 + 1].fill(1390);
    }
    Slice { rows, columns, pixels: SlicePixels::I16(values.into()), padding: None }
}

fn flat(hu: i16) -> Slice {
    Slice { rows: 80, columns: 100, pixels: SlicePixels::I16(vec![hu; 8000].into()), padding: None }
}

fn bony_series(count: usize) -> LoadedSeries {
    series_of((0..count).map(|i| bony(i, (45, 40))).collect())
}

fn model() -> Arc<ModelInfo> {
    Arc::new(ModelInfo {
        name: "fake".into(),
        architecture: String::new(),
        sha256: "0".repeat(64),
        trained_on: "nothing".into(),
        trained: false,
        threshold: 0.5,
        calibrated: false,
        recipe: "paper/1".into(),
        operating: dens::findings::Operating::default(),
        card: serde_json::Value::Null,
        choice: None,
    })
}

/// Runs the fake network over a series; `on_event` may move the focus or cancel.
fn run(
    network: &FakeNetwork,
    loaded: &LoadedSeries,
    focus: &AtomicUsize,
    ctx: &JobCtx,
    on_event: &mut dyn FnMut(Event),
) -> Result<Findings, AnalysisError> {
    let model = model();
    let subject = Subject { loaded, model: &model, focus, threads: 3, load_seconds: 0.25, force: false, resume: None };
    analyse_with(network, subject, ctx, on_event)
}

fn run_quietly(network: &FakeNetwork, loaded: &LoadedSeries) -> Result<Findings, AnalysisError> {
    run(network, loaded, &AtomicUsize::new(0), &JobCtx::detached(), &mut |_| {})
}

fn running(event: &Event) -> Option<usize> {
    if let Event::Running(index) = event { Some(*index) } else { None }
}

#[test]
fn slices_follow_the_reader() {
    let (loaded, focus) = (bony_series(40), AtomicUsize::new(10));
    let mut order = Vec::new();
    let findings = run(&FakeNetwork::default(), &loaded, &focus, &JobCtx::detached(), &mut |event| {
        order.extend(running(&event));
        // The reader jumps after the first slice of the overview has begun.
        if order.len() == 2 * NEIGHBOURHOOD + 2 {
            focus.store(33, Ordering::Relaxed);
        }
    })
    .expect("it runs");
    assert_eq!(order[..9], [10, 11, 9, 12, 8, 13, 7, 14, 6]);
    assert_eq!(order[9..19], [0, 33, 34, 32, 35, 31, 36, 30, 37, 29]);
    assert_eq!(order[19..21], [2 * COARSE_STEP, 3 * COARSE_STEP]);
    assert_eq!(order.len(), 40);
    assert!(findings.is_complete());
}

#[test]
fn slices_far_from_the_reader_go_through_the_network_together() {
    let (loaded, focus) = (bony_series(30), AtomicUsize::new(10));
    let one_by_one = run(&FakeNetwork::default(), &loaded, &focus, &JobCtx::detached(), &mut |_| {}).expect("it runs");
    let together = FakeNetwork { at_once: 4, ..FakeNetwork::default() };
    let mut order = Vec::new();
    let findings =
        run(&together, &loaded, &focus, &JobCtx::detached(), &mut |event| order.extend(running(&event))).expect("runs");
    assert_eq!((&findings.slices, &findings.case), (&one_by_one.slices, &one_by_one.case));
    // What is being read alone, the other 21 by fours.
    assert_eq!(order[..9], [10, 11, 9, 12, 8, 13, 7, 14, 6]);
    let counts = together.counts.lock().expect("not poisoned").clone();
    assert_eq!(counts, [[1; 9].as_slice(), &[4; 5], &[1]].concat());
    order.sort_unstable();
    assert!(order.into_iter().eq(0..30));
}

/// What was not finished when the reader stopped it is done again, and nothing of it is kept.
#[test]
fn several_slices_are_dropped_together() {
    let (loaded, ctx) = (bony_series(30), JobCtx::detached());
    let network = FakeNetwork { at_once: 4, ..FakeNetwork::default() };
    let done = Cell::new(0);
    let error = run(&network, &loaded, &AtomicUsize::new(0), &ctx, &mut |event| match event {
        // In the midst of the first four of the overview.
        Event::Running(16) => ctx.cancel(),
        Event::Slice(..) => done.set(done.get() + 1),
        _ => {}
    })
    .expect_err("cancelled");
    assert!(error.is_cancelled());
    assert_eq!((done.get(), network.calls.load(Ordering::Relaxed)), (5, 9));
}

#[test]
fn events_tell_everything_that_the_findings_hold() {
    let loaded = bony_series(5);
    let (mut names, mut kept, mut case) = (Vec::new(), vec![SliceState::NotRun; 5], None);
    let network = FakeNetwork::default();
    let ctx = JobCtx::detached();
    let findings = run(&network, &loaded, &AtomicUsize::new(4), &ctx, &mut |event| match event {
        Event::Started(provenance) => {
            assert_eq!(provenance.volume, loaded.volume.id());
            assert_eq!((provenance.series_uid.as_str(), provenance.recipe.as_str()), ("2.25.1", "paper/1"));
            assert_eq!(provenance.device, "CPU, 3 threads");
            names.push("started".to_owned());
        }
        Event::Running(index) => names.push(format!("running {index}")),
        Event::Slice(index, finding) => {
            names.push(format!("slice {index}"));
            kept[index] = SliceState::Done(finding);
        }
        Event::Case(result) => {
            names.push("case".into());
            case = Some(result);
        }
        Event::Judged(_) | Event::Doubt(_) => {}
    })
    .expect("it runs");
    let slices = [4, 3, 2, 1, 0].iter().flat_map(|i| [format!("running {i}"), format!("slice {i}")]);
    let expected: Vec<String> = std::iter::once("started".into()).chain(slices).chain(["case".into()]).collect();
    assert_eq!(names, expected);
    assert_eq!((kept, case), (findings.slices.clone(), findings.case.clone()));
    assert_eq!(ctx.progress_now(), (5, 5));
    assert_eq!(network.threads.load(Ordering::Relaxed), 3);
    assert_eq!(findings.seconds.load, 0.25);
    assert!(findings.seconds.total >= findings.seconds.load + findings.seconds.preprocess + findings.seconds.network);
    assert_eq!(findings.warnings[0], "CUDA 0 could not be used");
    assert!(findings.warnings.iter().any(|text| text.contains("covers 15 mm")), "{:?}", findings.warnings);
}

#[test]
fn the_case_is_read_from_head_to_feet_whatever_the_order_of_work() {
    let (loaded, network) = (bony_series(20), FakeNetwork::default());
    let findings = run(&network, &loaded, &AtomicUsize::new(12), &JobCtx::detached(), &mut |_| {}).expect("it runs");
    let logits: Vec<f32> = findings
        .slices
        .iter()
        .filter_map(|s| match s {
            SliceState::Done(finding) => Some(&finding.outcome),
            _ => None,
        })
        .filter_map(|outcome| if let SliceOutcome::Scored { logit, .. } = outcome { Some(*logit) } else { None })
        .collect();
    assert!(logits.windows(2).all(|pair| pair[0] != pair[1]), "the slices differ");
    assert_eq!(*network.case_order.lock().expect("not poisoned"), logits);
    let case = findings.case.expect("a case");
    assert_eq!(case.attribution, logits.iter().map(|l| Some(*l)).collect::<Vec<_>>());
    assert!((case.score - 1.0 / (1.0 + (-case.logit).exp())).abs() < 1e-6);
}

#[test]
fn a_cancelled_analysis_stops_and_drops_the_slice_it_was_at() {
    let (loaded, network, ctx) = (bony_series(30), FakeNetwork::default(), JobCtx::detached());
    let (done, began) = (Cell::new(0), Cell::new(0));
    let error = run(&network, &loaded, &AtomicUsize::new(0), &ctx, &mut |event| match event {
        Event::Running(_) => {
            began.set(began.get() + 1);
            if began.get() == 3 {
                ctx.cancel();
            }
        }
        Event::Slice(..) => done.set(done.get() + 1),
        Event::Judged(_) | Event::Started(_) | Event::Doubt(_) => {}
        Event::Case(_) => panic!("no case after a cancellation"),
    })
    .expect_err("cancelled");
    assert!(error.is_cancelled());
    assert_eq!((began.get(), done.get(), network.calls.load(Ordering::Relaxed)), (3, 2, 3));
}

#[test]
fn a_stopped_analysis_goes_on_where_it_was_and_ends_the_same() {
    let (loaded, model, unfinished) = (bony_series(30), model(), Unfinished::default());
    let whole = run_quietly(&FakeNetwork::default(), &loaded).expect("it runs");
    let network = FakeNetwork::default();
    let key = KeptKey::new(&loaded, &network, &model, false);
    let run = |at: usize, ctx: &JobCtx, on_event: &mut dyn FnMut(Event)| {
        let (focus, resume) = (AtomicUsize::new(at), Some((&key, &unfinished)));
        let subject = Subject {
            loaded: &loaded,
            model: &model,
            focus: &focus,
            threads: 3,
            load_seconds: 0.0,
            force: false,
            resume,
        };
        analyse_with(&network, subject, ctx, on_event)
    };
    // Stopped twice, the second time where something else is being read.
    for (at, stop_at) in [(0, 6), (20, 15)] {
        let ctx = JobCtx::detached();
        let stopped = run(at, &ctx, &mut |event| {
            if matches!(event, Event::Running(_)) && network.calls.load(Ordering::Relaxed) == stop_at {
                ctx.cancel();
            }
        });
        assert!(stopped.expect_err("stopped").is_cancelled());
    }
    let mut told = 0;
    let findings = run(0, &JobCtx::detached(), &mut |event| told += usize::from(matches!(event, Event::Slice(..))));
    let findings = findings.expect("it runs");
    assert_eq!((findings.slices.clone(), &findings.case), (whole.slices, &whole.case));
    assert!(told == 30 && findings.seconds.total >= findings.seconds.preprocess + findings.seconds.network);
    // Each slice once, but for the two at which it was stopped.
    assert_eq!(network.calls.load(Ordering::Relaxed), 32);
    run(0, &JobCtx::detached(), &mut |_| {}).expect("it runs");
    assert_eq!(network.calls.load(Ordering::Relaxed), 62, "what is done is not kept here");
}

#[test]
fn as_a_job_it_ends_cancelled_and_nothing_comes_late() {
    let (loaded, model, focus) = (bony_series(200), model(), Arc::new(AtomicUsize::new(0)));
    let (events, received) = std::sync::mpsc::channel();
    let job = Job::<Findings, AnalysisError>::spawn("analysis", Arc::new(|_| {}), move |ctx| {
        let network = FakeNetwork::default();
        let subject = Subject {
            loaded: &loaded,
            model: &model,
            focus: &focus,
            threads: 1,
            load_seconds: 0.0,
            force: false,
            resume: None,
        };
        analyse_with(&network, subject, ctx, &mut |event| {
            events.send(event).ok();
        })
    });
    assert!(matches!(received.recv(), Ok(Event::Judged(_))), "the passport comes before everything else");
    assert!(matches!(received.recv(), Ok(Event::Started(_))));
    job.cancel();
    // The channel closes when the worker is gone; what was under way by then may have been finished, no more.
    let after: Vec<Event> = received.iter().collect();
    assert!(after.iter().filter(|event| matches!(event, Event::Slice(..))).count() < 200);
    assert!(!after.iter().any(|event| matches!(event, Event::Case(_))));
    let outcome = std::iter::repeat_with(|| job.poll()).find_map(|outcome| outcome);
    assert!(matches!(outcome, Some(Outcome::Cancelled)));
}

#[test]
fn empty_slices_and_broken_numbers_are_excluded_with_their_reason() {
    let mut slices: Vec<Slice> = (0..6).map(|i| bony(i, (45, 40))).collect();
    slices[0] = flat(-1000);
    slices[3] = flat(60);
    let network = FakeNetwork { not_finite_at: Some(4), ..FakeNetwork::default() };
    let findings = run_quietly(&network, &series_of(slices)).expect("it runs");
    let excluded: Vec<_> = findings.slices.iter().map(SliceState::excluded).collect();
    assert_eq!(excluded, [Some(Exclusion::EmptySlice), None, None, None, None, Some(Exclusion::NotFinite)]);
    let flags = |i: usize| match &findings.slices[i] {
        SliceState::Done(finding) => finding.flags.clone(),
        _ => Vec::new(),
    };
    assert_eq!((flags(2), flags(3)), (vec![], vec![NO_BONE]));
    let case = findings.case.as_ref().expect("a case");
    let attributed: Vec<bool> = case.attribution.iter().map(Option::is_some).collect();
    assert_eq!(attributed, [false, true, true, true, true, false]);
    let said = |part: &str| findings.warnings.iter().any(|text| text.contains(part));
    assert!(said("1 of 6 slices show no bone") && said("1 of 6 slices hold nothing"), "{:?}", findings.warnings);
}

#[test]
fn only_air_gives_findings_without_a_case() {
    let network = FakeNetwork::default();
    let findings = run_quietly(&network, &series_of(vec![flat(-1000), flat(-1000)])).expect("it runs");
    assert!(findings.is_complete() && findings.case.is_none());
    assert_eq!(network.calls.load(Ordering::Relaxed), 0);
    assert!(findings.warnings.iter().any(|text| text.contains("no case score")));
}

#[test]
fn a_failing_network_is_an_error_with_its_reason() {
    let network = FakeNetwork { fails_at: Some(1), ..FakeNetwork::default() };
    let error = run_quietly(&network, &bony_series(3)).expect_err("the second slice fails");
    assert_eq!(error.to_string(), "the network failed: out of memory");
}

#[test]
fn the_two_hard_stops_come_before_any_event() {
    for spoil in [|s: &mut Series| s.values_are_hu = false, |s: &mut Series| s.spacing_mm = None] {
        let mut loaded = bony_series(3);
        spoil(Arc::make_mut(&mut loaded.series));
        let (network, focus, ctx) = (FakeNetwork::default(), AtomicUsize::new(0), JobCtx::detached());
        let error = run(&network, &loaded, &focus, &ctx, &mut |_| panic!("no event")).expect_err("stopped");
        assert!(matches!(&error, AnalysisError::NotApplicable(reason) if reason.starts_with("not applicable")));
    }
}

#[test]
fn a_hot_point_of_the_map_lies_on_its_dicom_pixel() {
    for spot in [(33, 22), (58, 57), (45, 40), (40, 55)] {
        let findings = run_quietly(&FakeNetwork::default(), &series_of(vec![bony(0, spot)])).expect("it runs");
        let ([x0, y0, x1, y1], cam) = findings.slices[0].cam().expect("a map");
        let hottest = (0..GRID * GRID).max_by(|&a, &b| cam.values[a].total_cmp(&cam.values[b])).expect("cells");
        let cell = (x1 - x0) / GRID as f64;
        let column = x0 + (hottest % GRID) as f64 * cell;
        let row = y0 + (hottest / GRID) as f64 * cell;
        // The 3 x 3 spot in pixel edges; the hottest cell must overlap it.
        let overlaps = |at: f64, centre: usize| at < centre as f64 + 2.0 && at + cell > centre as f64 - 1.0;
        assert!(overlaps(column, spot.0) && overlaps(row, spot.1), "{spot:?}: cell at {column}, {row}, {cell} wide");
        assert!((x1 - x0 - (y1 - y0)).abs() < 1e-9);
    }
}

#[test]
fn the_true_network_scores_a_few_slices_of_the_demo_study() {
    let demo = dens::phantom::demo_study(dens::phantom::DEMO_SEED);
    let middle = demo.volume.slices().len() / 2;
    let mut series = Series::clone(&demo.series);
    series.slices = series.slices[middle..middle + 2].to_vec();
    let volume = Volume::new(demo.volume.slices()[middle..middle + 2].to_vec()).expect("two slices");
    let loaded = LoadedSeries { series: Arc::new(series), volume: Arc::new(volume) };
    let network =
        Arc::new(default_network(Some(Path::new("untrained")), DevicePreference::Cpu).expect("a seeded network"));
    let model = Arc::new(model_info(&network));
    assert!(!model.trained && model.trained_on == dens::findings::describe::UNTRAINED);
    let focus = Arc::new(AtomicUsize::new(0));
    let request = Request { loaded, network, model, focus, threads: 2, load_seconds: 0.0, force: false, resume: None };
    let findings = analyse(&request, &JobCtx::detached(), &mut |_| {}).expect("it runs");
    let scores: Vec<f32> = findings.slices.iter().filter_map(SliceState::score).collect();
    assert_eq!(scores.len(), 2);
    assert!(scores.iter().all(|score| *score > 0.0 && *score < 1.0) && scores[0] != scores[1], "{scores:?}");
    let (_, cam) = findings.slices[0].cam().expect("a map");
    assert_eq!((cam.rows, cam.columns), (12, 12));
    let flagged = findings.slices.iter().any(|s| matches!(s, SliceState::Done(f) if f.flags.contains(&NO_BONE)));
    assert!(!flagged, "the demo study's bone is found");
    assert!(findings.case.is_some_and(|case| case.logit.is_finite()));
}
