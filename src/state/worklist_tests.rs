use std::sync::Arc;

use super::tests::{loaded_from, placed, scored, series};
use super::*;
use crate::findings::{CaseResult, Doubt, Findings};
use crate::geometry::Vec3;
use crate::measure::{Content, Ground, Kind, Levels, Sheet, Source, Space};
use crate::reading::{Answer, Moment, Opinion, Reading};
use crate::study::{self, Patient, StudyInfo};
use crate::truth::Level;

fn study(n: usize) -> Series {
    Series {
        uid: format!("1.2.{n}"),
        study: Arc::new(StudyInfo { uid: format!("9.{n}"), date: format!("2020010{}", 9 - n), ..StudyInfo::default() }),
        patient: Arc::new(Patient { name: format!("N{}^X", n % 2), id: format!("ID{n}"), ..Patient::default() }),
        ..placed(series(4 + n))
    }
}

/// Three studies, the second with two series; the readings on disk are empty.
fn opened(settings: Settings) -> (AppState, Vec<Effect>) {
    let mut state = AppState::new(settings);
    state.apply(Command::OpenPath("/studies".into()));
    let request = state.scan_request;
    let mut other = study(1);
    other.uid = "1.2.9".into();
    other.slices.truncate(2);
    let catalog = Catalog { series: vec![study(0), study(1), other, study(2)], ..Catalog::default() };
    let mut effects = state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
    let keys = state.worklist.rows.iter().map(|row| (row.key.clone(), Ok(Reading::default()))).collect();
    effects.extend(state.receive(Event::ReadingsRead(keys)));
    (state, effects)
}

fn blind() -> Settings {
    Settings { blind_first: true, ..Settings::default() }
}

fn queued(effects: &[Effect]) -> Option<(RequestId, String)> {
    effects.iter().find_map(|e| match e {
        Effect::AnalyseStudy(order) => Some((order.request, order.series.study.uid.clone())),
        _ => None,
    })
}

fn result(slices: usize, score: f32) -> Findings {
    let mut findings = crate::findings::tests::with_scores(&vec![Some(score / 2.0); slices]);
    findings.slices[1] = SliceState::Done(scored(score));
    findings.case = Some(CaseResult { score, logit: 0.0, attribution: vec![None; slices] });
    findings.doubts = vec![Doubt::outside_training("outside")];
    findings
}

fn finish(state: &mut AppState, request: RequestId, slices: usize, score: f32) -> Vec<Effect> {
    state.receive(Event::StudyAnalysed { request, result: Ok(Box::new(result(slices, score))) })
}

fn works(state: &AppState) -> Vec<Work> {
    state.worklist.rows.iter().map(|row| row.work.clone()).collect()
}

fn list(state: &mut AppState, command: WorklistCommand) -> Vec<Effect> {
    state.apply(Command::Worklist(command))
}

fn read(state: &mut AppState, command: ReadingCommand) -> Vec<Effect> {
    state.apply(Command::Reading(command))
}

/// Opens a row and gives it its voxels.
fn open(state: &mut AppState, row: usize) -> Vec<Effect> {
    let mut effects = list(state, WorklistCommand::Open(row));
    let request = state.load_request;
    let result = Ok((loaded_from(state), Vec::new()));
    effects.extend(state.receive(Event::Loaded { request, result, seconds: 0.1 }));
    effects
}

/// The analysis of the study on the screen, from beginning to end.
fn analyse_active(state: &mut AppState, score: f32) -> Vec<Effect> {
    let request = state.analysis_request();
    let active = state.active.as_ref().expect("a study");
    let mut findings = result(active.slice_count(), score);
    findings.provenance.volume = active.loaded.as_ref().expect("loaded").volume.id();
    let mut effects = state.receive(Event::Recalled { request, findings: Box::new(findings) });
    let result = Ok((Default::default(), Vec::new()));
    effects.extend(state.receive(Event::AnalysisEnded { request, result }));
    effects
}

#[test]
fn several_studies_open_as_a_list_and_one_as_ever() {
    let (state, effects) = opened(Settings::default());
    assert!(state.shows_worklist() && state.active.is_none());
    assert_eq!(
        state.worklist.rows.iter().map(|r| r.series.clone()).collect::<Vec<_>>(),
        [vec![0], vec![1, 2], vec![3]]
    );
    assert_eq!(state.worklist.rows[1].chosen, 1, "the larger series");
    assert!(effects.iter().any(|e| matches!(e, Effect::ReadReadings { keys } if keys.len() == 3)));
    let catalog = Catalog { series: vec![study(1), series(3)], ..Catalog::default() };
    assert_eq!(catalog.studies().len(), 2);
}

#[test]
fn the_queue_goes_on_past_a_study_that_fails() {
    let (mut state, effects) = opened(Settings::default());
    let (first, uid) = queued(&effects).expect("the first is begun");
    assert_eq!((uid.as_str(), works(&state)), ("9.0", vec![Work::Reading, Work::Queued, Work::Queued]));
    state.receive(Event::StudyRead { request: first });
    assert_eq!(works(&state)[0], Work::Running);
    let failed = Err(Ended::Failed("slice 3 is broken".into()));
    let effects = state.receive(Event::StudyAnalysed { request: first, result: failed });
    let (second, uid) = queued(&effects).expect("the next");
    assert_eq!((uid.as_str(), &works(&state)[0]), ("9.1", &Work::Failed("slice 3 is broken".into())));
    let (third, _) = queued(&finish(&mut state, second, 5, 0.75)).expect("the last");
    // What a job that is over sends is of no interest.
    finish(&mut state, second, 5, 0.1);
    let effects = state.receive(Event::StudyAnalysed { request: third, result: Err(Ended::Stopped("no neck".into())) });
    assert!(queued(&effects).is_none());
    assert_eq!(works(&state)[1..], [Work::Done, Work::Gated("no neck".into())]);
    assert_eq!(state.seen_result(1).and_then(|r| r.case), Some(0.75));
    let done = state.notices.iter().any(|n| n.text.contains("1 of 3 done; 2 without a result"));
    assert!(done, "{:?}", state.notices);
    let effects = list(&mut state, WorklistCommand::AnalyseAll);
    assert_eq!(queued(&effects).map(|q| q.1).as_deref(), Some("9.0"), "what failed may be tried again");
    assert_eq!(works(&state)[2], Work::Gated("no neck".into()), "a gate stays closed");
}

#[test]
fn pause_and_stop_cancel_the_job_and_lose_nothing() {
    let (mut state, effects) = opened(Settings::default());
    let (first, _) = queued(&effects).expect("begun");
    let effects = list(&mut state, WorklistCommand::TogglePause);
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelQueue)));
    assert_eq!(works(&state)[0], Work::Queued);
    assert_eq!(state.work_text(0, None), "paused");
    assert!(queued(&finish(&mut state, first, 4, 0.9)).is_none() && state.seen_result(0).is_none(), "too late");
    let effects = list(&mut state, WorklistCommand::TogglePause);
    let (again, uid) = queued(&effects).expect("goes on");
    assert_eq!(uid, "9.0");
    let effects = list(&mut state, WorklistCommand::StopQueue);
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelQueue)) && queued(&effects).is_none());
    assert_eq!(works(&state), [Work::Stopped, Work::Stopped, Work::Stopped]);
    finish(&mut state, again, 4, 0.9);
    assert_eq!(state.worklist.count().done, 0);
    let quiet = opened(Settings { auto_analyse: false, ..Settings::default() });
    assert!(queued(&quiet.1).is_none() && works(&quiet.0)[0] == Work::NotRun);
}

#[test]
fn the_study_being_read_goes_first() {
    let (mut state, _) = opened(Settings::default());
    let effects = open(&mut state, 0);
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelQueue)), "the queue gives way");
    assert!(queued(&effects).is_none(), "while the study is loaded and analysed");
    assert_eq!(works(&state)[0], Work::Running);
    let effects = analyse_active(&mut state, 0.6);
    assert_eq!(works(&state)[0], Work::Done);
    assert_eq!(queued(&effects).map(|q| q.1).as_deref(), Some("9.1"), "then the next of the list");
    // Who leaves in the middle leaves the study to the queue.
    open(&mut state, 1);
    list(&mut state, WorklistCommand::StepStudy(1));
    assert_eq!(works(&state)[1], Work::Queued);
    assert_eq!(state.active.as_ref().map(|a| a.index), Some(3));
}

#[test]
fn a_scout_that_is_looked_at_leaves_the_result_of_its_study() {
    let (mut state, _) = opened(Settings::default());
    open(&mut state, 1);
    analyse_active(&mut state, 0.6);
    let mut scout = (*state.study.as_ref().expect("open").catalog).clone();
    scout.series[2].values_are_hu = false;
    state.study.as_mut().expect("open").catalog = Arc::new(scout);
    state.apply(Command::StepSeries(1));
    assert_eq!(state.active.as_ref().map(|a| a.index), Some(2), "within the study");
    state.apply(Command::StepSeries(5));
    assert_eq!(state.active.as_ref().map(|a| a.index), Some(2), "and not beyond it");
    let (request, result) = (state.load_request, Ok((loaded_from(&state), Vec::new())));
    state.receive(Event::Loaded { request, result, seconds: 0.1 });
    assert!(matches!(state.analysis, AnalysisState::NotApplicable(_)));
    assert_eq!((works(&state)[1].clone(), state.worklist.rows[1].chosen), (Work::Done, 1));
}

#[test]
fn the_list_is_sorted_filtered_and_walked_by_keys() {
    let (mut state, effects) = opened(Settings::default());
    let mut next = queued(&effects);
    for (slices, score) in [(4, 0.2), (5, 0.9), (6, 0.5)] {
        let (request, _) = next.take().expect("one after the other");
        next = queued(&finish(&mut state, request, slices, score));
    }
    for (by, order) in [
        (SortBy::Result, [1, 2, 0]),
        (SortBy::Result, [0, 2, 1]),
        (SortBy::Date, [2, 1, 0]),
        (SortBy::Name, [0, 2, 1]),
        (SortBy::AsFound, [0, 1, 2]),
    ] {
        list(&mut state, WorklistCommand::SortBy(by));
        assert_eq!(state.rows_in_order(), order, "{by:?}");
    }
    list(&mut state, WorklistCommand::SetFilter("id2".into()));
    assert_eq!((state.rows_in_order(), state.worklist.cursor), (vec![2], 2));
    state.apply(Command::ToggleIdentity);
    assert!(state.rows_in_order().is_empty(), "what is hidden is not searched");
    assert_eq!(state.row_name(2), "identity hidden");
    state.apply(Command::ToggleIdentity);
    state.apply(Command::Escape);
    assert_eq!(state.rows_in_order().len(), 3, "Esc empties the filter");
    list(&mut state, WorklistCommand::MoveCursor(-1_000_000));
    list(&mut state, WorklistCommand::MoveCursor(1));
    list(&mut state, WorklistCommand::OpenCursor);
    assert_eq!((state.active_row(), state.shows_worklist()), (Some(1), false));
    list(&mut state, WorklistCommand::StepStudy(1));
    assert_eq!(state.active_row(), Some(2));
    list(&mut state, WorklistCommand::StepStudy(1));
    assert!(state.active_row() == Some(2) && state.notices.iter().any(|n| n.text.contains("last study")));
    state.apply(Command::Escape);
    assert!(state.shows_worklist() && state.worklist.cursor == 2);
    state.apply(Command::Escape);
    assert!(!state.shows_worklist(), "and back to the study");
}

#[test]
fn nothing_of_a_result_is_known_before_the_verdict() {
    let (mut state, effects) = opened(blind());
    let (request, _) = queued(&effects).expect("analysed all the same");
    let (request, _) = queued(&finish(&mut state, request, 4, 0.2)).expect("next");
    finish(&mut state, request, 5, 0.93);
    list(&mut state, WorklistCommand::SortBy(SortBy::Result));
    assert_eq!(state.rows_in_order(), [0, 1, 2], "not even by their order");
    let (text, _) = state.row_passport(1).expect("a passport");
    assert!(!text.contains("outside") && !text.contains("Scored"), "{text}");
    assert!(state.seen_result(1).is_none() && state.reading_lines()[1].told.is_none());

    open(&mut state, 1);
    analyse_active(&mut state, 0.93);
    assert!(matches!(state.analysis, AnalysisState::Done) && state.results_hidden());
    state.truth_on = true;
    state.settings.heatmap_everywhere = true;
    state.apply(Command::CycleHeatmapStyle);
    assert!(state.findings().is_none() && state.heatmap_layer().is_none() && state.plane_heat().is_none());
    assert!(state.peaks().is_empty() && state.truth().is_none() && state.evidence_lines().is_empty());
    assert!(state.peak_points().is_empty(), "nor on the bone");
    let before = state.active.as_ref().map(|a| a.current);
    for command in [Command::NextPeak, Command::PeakToEvidence, Command::CheckByOcclusion] {
        state.apply(command.clone());
        assert_eq!(state.active.as_ref().map(|a| a.current), before, "{command:?}");
    }
    assert!(state.notices.iter().all(|n| !n.text.contains("0.9")));
    state.apply(Command::BeginExport(ExportKind::Report));
    assert!(state.export.is_none() && state.notices.last().is_some_and(|n| n.text.starts_with(NO_REPORT)));

    read(&mut state, ReadingCommand::Commit);
    assert!(state.results_hidden(), "no verdict without an answer");
    read(&mut state, ReadingCommand::Reply(Reply::No));
    assert!(state.results_hidden(), "the answer is not final yet");
    read(&mut state, ReadingCommand::Commit);
    assert!(!state.results_hidden() && state.findings().is_some() && state.heatmap_layer().is_some());
    assert!(!state.peak_points().is_empty());
    assert_eq!(state.seen_result(1).and_then(|r| r.case), Some(0.93));
    assert!(state.seen_result(0).is_none(), "of this study alone");
    assert_eq!(state.rows_in_order(), [1, 0, 2]);
    state.apply(Command::BeginExport(ExportKind::Report));
    assert!(state.export.is_some());
}

#[test]
fn verdicts_are_logged_with_time_and_order_and_the_first_is_final() {
    let (mut state, _) = opened(blind());
    let at = |state: &mut AppState, s: i64| state.set_now(Moment(1_000_000 + 1000 * s));
    at(&mut state, 0);
    open(&mut state, 1);
    assert_eq!(state.reading().and_then(|r| r.opened), Some(Moment(1_000_000)));
    at(&mut state, 7);
    read(&mut state, ReadingCommand::Reply(Reply::Yes));
    read(&mut state, ReadingCommand::SetLevel(Some(Level::C6)));
    let effects = read(&mut state, ReadingCommand::SetNote("dens".into()));
    let kept = effects.iter().any(|e| matches!(e, Effect::SaveReading { reading, .. } if reading.draft.note == "dens"));
    assert!(kept, "also what is being written");
    at(&mut state, 9);
    list(&mut state, WorklistCommand::Show);
    at(&mut state, 100);
    list(&mut state, WorklistCommand::Toggle);
    at(&mut state, 102);
    let effects = read(&mut state, ReadingCommand::Commit);
    assert!(effects.iter().any(|e| matches!(e, Effect::SaveReading { reading, .. } if reading.own.is_some())));
    let reading = state.reading().cloned().expect("a study");
    let own = reading.own.clone().expect("committed");
    assert_eq!((own.answer, own.level, own.note.as_str()), (Answer::Finding, Some(Level::C6), "dens"));
    assert_eq!((reading.before_ms, own.at), (11_000, Moment(1_102_000)), "the list is no reading");
    assert!(reading.revealed.is_none(), "there is nothing to see yet");
    read(&mut state, ReadingCommand::Reply(Reply::Yes));
    assert!(state.reading().is_some_and(|r| r.said.is_none()), "and nothing to agree with");
    at(&mut state, 110);
    analyse_active(&mut state, 0.4);
    assert_eq!(state.reading().and_then(|r| r.revealed), Some(Moment(1_110_000)));
    read(&mut state, ReadingCommand::Reply(Reply::No));
    read(&mut state, ReadingCommand::SetNote("a vessel".into()));
    read(&mut state, ReadingCommand::Commit);
    let reading = state.reading().cloned().expect("a study");
    assert_eq!(reading.own, Some(own), "the first verdict stands");
    assert_eq!(reading.said.as_ref().map(|s| s.opinion), Some(Opinion::Disagree));
    assert!(reading.is_blind() && reading.note == "a vessel");
    at(&mut state, 120);
    open(&mut state, 0);
    let lines = state.reading_lines();
    let text = String::from_utf8(crate::reading::table::to_csv(&lines).expect("CSV")).expect("UTF-8");
    let orders: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(orders, ["2", "1", ""]);
    assert!(lines[1].told.as_ref().is_some_and(|t| t.case_score == Some(0.4) && t.peak_slice == Some(2)));
}

#[test]
fn a_result_that_was_seen_makes_a_later_verdict_not_blind() {
    let (mut state, effects) = opened(Settings::default());
    let (request, _) = queued(&effects).expect("begun");
    finish(&mut state, request, 4, 0.2);
    assert!(state.worklist.rows[0].reading.revealed.is_some(), "the list shows it");
    state.set_now(Moment(5));
    read(&mut state, ReadingCommand::ToggleBlindFirst);
    open(&mut state, 0);
    assert!(state.results_hidden());
    read(&mut state, ReadingCommand::Reply(Reply::Unsure));
    read(&mut state, ReadingCommand::Commit);
    let reading = state.reading().expect("a study");
    assert!(reading.own.is_some() && !reading.is_blind());
}

#[test]
fn each_reader_has_verdicts_of_their_own() {
    let (mut state, _) = opened(blind());
    open(&mut state, 0);
    read(&mut state, ReadingCommand::Reply(Reply::Yes));
    read(&mut state, ReadingCommand::Commit);
    let key = state.worklist.rows[0].key.clone();
    let effects = read(&mut state, ReadingCommand::SetReader("B".into()));
    assert!(state.results_hidden() && state.worklist.rows[0].key != key);
    assert!(effects.iter().any(|e| matches!(e, Effect::ReadReadings { keys } if !keys.contains(&key))));
    // Before the file has been looked at nothing is written over it.
    let effects = read(&mut state, ReadingCommand::Reply(Reply::No));
    assert!(!effects.iter().any(|e| matches!(e, Effect::SaveReading { .. })));
    let answer = vec![(state.worklist.rows[0].key.clone(), Ok(Reading { note: "B's".into(), ..Reading::default() }))];
    state.receive(Event::ReadingsRead(answer));
    let reading = state.reading().expect("a study");
    assert_eq!((reading.note.as_str(), reading.draft.answer), ("B's", Some(Answer::NoFinding)));
}

#[test]
fn what_was_read_stays_in_memory_as_far_as_the_budget_goes() {
    let (mut state, _) = opened(Settings { auto_analyse: false, ..Settings::default() });
    open(&mut state, 0);
    state.apply(Command::GoToSlice(3));
    let one = state.in_memory();
    assert_eq!(one.0, 1);
    open(&mut state, 1);
    let effects = list(&mut state, WorklistCommand::Open(0));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Load { .. })), "it is still there");
    assert_eq!(state.active.as_ref().map(|a| (a.current, a.loaded.is_some())), Some((3, true)));
    assert_eq!(state.in_memory().0, 2);
    // Room for the one on the screen and nothing else.
    state.settings.memory_mb = 0;
    open(&mut state, 2);
    assert_eq!(state.in_memory().0, 1);
    let effects = list(&mut state, WorklistCommand::Open(0));
    assert!(effects.iter().any(|e| matches!(e, Effect::Load { .. })));
    state.settings.memory_mb = 2048;
    open(&mut state, 0);
    open(&mut state, 1);
    state.apply(Command::CloseStudy);
    assert_eq!(state.in_memory(), (0, 0));
    assert!(state.worklist.rows.is_empty());
}

#[test]
fn results_come_back_with_their_study_but_not_those_of_another_network() {
    let (mut state, _) = opened(Settings::default());
    open(&mut state, 0);
    analyse_active(&mut state, 0.8);
    open(&mut state, 1);
    let effects = list(&mut state, WorklistCommand::Open(0));
    assert!(state.findings().is_some() && !effects.iter().any(|e| matches!(e, Effect::Analyse(_))));
    open(&mut state, 1);
    state.apply(Command::UseModel(None));
    assert!(state.worklist.rows.iter().all(|row| row.result.is_none()));
    let effects = list(&mut state, WorklistCommand::Open(0));
    assert!(state.findings().is_none());
    assert!(effects.iter().any(|e| matches!(e, Effect::Analyse(order) if order.recall)));
}

fn ahead(effects: &[Effect]) -> Option<(RequestId, usize)> {
    effects.iter().find_map(|e| match e {
        Effect::Prefetch { request, series } => Some((*request, series.slices.len())),
        _ => None,
    })
}

/// The answer to reading a series ahead.
fn read_ahead(series: Series) -> Box<ReadAhead> {
    let mut state = AppState::new(Settings::default());
    state.active = Some(active_series(0, Arc::new(series), None));
    let loaded = loaded_from(&state);
    let refused = vec![Refused { file: "im9".into(), kind: study::Kind::Corrupt, text: "im9 is damaged.".into() }];
    Box::new(ReadAhead { loaded, refused, truth: None, seconds: 0.2 })
}

fn quiet() -> Settings {
    Settings { auto_analyse: false, ..Settings::default() }
}

#[test]
fn the_next_study_is_read_ahead_and_is_there_at_once() {
    let (mut state, effects) = opened(quiet());
    assert!(ahead(&effects).is_none(), "nothing is being read");
    let effects = list(&mut state, WorklistCommand::Open(0));
    assert!(ahead(&effects).is_none(), "the study on the screen goes first");
    let request = state.load_request;
    let result = Ok((loaded_from(&state), Vec::new()));
    let effects = state.receive(Event::Loaded { request, result, seconds: 0.1 });
    let (request, slices) = ahead(&effects).expect("the next is read");
    assert_eq!(slices, 5, "the larger series of the second study");
    assert!(state.row_is_on_its_way(1) && !state.row_is_ready(1));
    state.receive(Event::Prefetched { request, result: Ok(read_ahead(study(1))) });
    assert!(state.row_is_ready(1) && !state.row_is_on_its_way(1) && !state.row_is_ready(2));
    assert!(state.notices.is_empty(), "of what nobody has looked at nothing is told yet");
    let effects = list(&mut state, WorklistCommand::StepStudy(1));
    let active = state.active.as_ref().expect("a study");
    assert!(active.index == 1 && active.loaded.is_some());
    assert!(!effects.iter().any(|e| matches!(e, Effect::Load { .. })));
    assert!(state.notices.iter().any(|n| n.text.contains("im9 is damaged")), "{:?}", state.notices);
    assert!(effects.iter().any(|e| matches!(e, Effect::ReadMeasures { .. } | Effect::Analyse(_))), "{effects:?}");
    assert_eq!(ahead(&effects).map(|(_, slices)| slices), Some(6), "and then the one after it");
    // In another order another one comes next; the last has none.
    let effects = list(&mut state, WorklistCommand::SortBy(SortBy::AsFound));
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelPrefetch)) && ahead(&effects).is_none(), "0 is there");
    assert!(state.row_is_ready(0));
}

#[test]
fn reading_ahead_keeps_to_the_budget_gives_up_once_and_can_be_switched_off() {
    let (mut state, _) = opened(Settings { prefetch: false, ..quiet() });
    assert!(ahead(&open(&mut state, 0)).is_none());
    let effects = state.apply(Command::SetPrefetch(true));
    let (request, _) = ahead(&effects).expect("switched on");
    state.receive(Event::Prefetched { request, result: Err(Ended::Failed("gone".into())) });
    assert!(state.notices.is_empty() && !state.row_is_on_its_way(1));
    assert!(ahead(&state.apply(Command::ToggleHelp)).is_none(), "it is not tried again and again");
    let effects = state.apply(Command::SetPrefetch(false));
    assert!(!effects.iter().any(|e| matches!(e, Effect::CancelPrefetch)), "nothing ran");

    let (mut state, _) = opened(quiet());
    state.apply(Command::SetMemory(0));
    assert!(ahead(&open(&mut state, 0)).is_none(), "no room");
    assert!(state.active.as_ref().is_some_and(|a| a.loaded.is_some()) && !state.row_is_ready(1));

    // The queue reads from the same disk: it waits for that, and not for the network.
    let (mut state, _) = opened(Settings::default());
    let effects = open(&mut state, 0);
    assert!(ahead(&effects).is_some(), "while the study on the screen is analysed");
    state.apply(Command::CloseStudy);
    assert!(!state.row_is_on_its_way(1));
}

/// Vertebrae by name at heights, as they are kept.
fn vertebrae(named: &[(Level, f64)]) -> Content {
    let mut sheet = Sheet::default();
    for (level, z) in named {
        let pose = SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, *z)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        let ground = Ground { space: Space::Patient, pose, spacing: [0.5, 0.5], source: Source::Slice { index: 0 } };
        sheet.add_named(
            Kind::Vertebra,
            level.name().into(),
            ground,
            vec![pose.origin],
            crate::measure::Reading::Nothing,
        );
    }
    sheet.content().clone()
}

#[test]
fn vertebrae_that_were_named_before_the_start_tell_the_level_of_a_peak() {
    let (mut state, effects) = opened(blind());
    let level = |state: &AppState, row: usize| {
        let told = state.reading_lines().swap_remove(row).told;
        (state.seen_result(row).and_then(|r| state.top_level(r)), told.map(|told| told.peak_level))
    };
    // The highest slice is the second one, at z 18.
    let kept = |named: &[(Level, f64)]| Levels::of(&vertebrae(named).measurements);
    let (request, _) = queued(&effects).expect("begun");
    state.receive(Event::StudyNamed { request, levels: kept(&[(Level::C4, 18.0)]) });
    let (second, _) = queued(&finish(&mut state, request, 4, 0.8)).expect("the next");
    state.receive(Event::StudyNamed { request, levels: kept(&[(Level::C7, 18.0)]) });
    finish(&mut state, second, 5, 0.7);
    assert_eq!(level(&state, 0), (None, None), "nothing before the verdict");
    state.apply(Command::Reading(ReadingCommand::ToggleBlindFirst));
    assert_eq!(level(&state, 0), (Some(Level::C4), Some("C4".into())));
    assert_eq!(level(&state, 1), (None, Some(String::new())), "what an ended job sends is of no interest");

    // The study is opened: what its file says now counts, also when it is no longer in memory.
    state.settings.memory_mb = 0;
    open(&mut state, 0);
    let key = state.active.as_ref().and_then(|a| a.measures.key.clone()).expect("a UID");
    let content = vertebrae(&[(Level::C5, 18.0)]);
    state.receive(Event::MeasuresRead { key, result: Ok(MeasuresFile { content, damage: None }) });
    analyse_active(&mut state, 0.8);
    assert_eq!(level(&state, 0).0, Some(Level::C5));
    open(&mut state, 1);
    assert_eq!(state.in_memory().0, 1);
    assert_eq!(level(&state, 0).0, Some(Level::C5));
}
