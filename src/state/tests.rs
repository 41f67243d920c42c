use std::sync::Arc;

use super::*;
use crate::findings::{CaseResult, Seconds, SliceFinding, SliceOutcome};
use crate::study::{Patient, SliceInfo, StudyInfo, Technique};
use crate::volume::{SlicePixels, Volume};

pub(super) fn slice(value: i16) -> Arc<Slice> {
    Arc::new(Slice { rows: 4, columns: 4, pixels: SlicePixels::I16(vec![value; 16].into()), padding: None })
}

pub(super) fn series(slices: usize) -> Series {
    Series {
        uid: "1.2.3".into(),
        frame_of_reference: String::new(),
        study: Arc::new(StudyInfo::default()),
        patient: Arc::new(Patient::default()),
        modality: "CT".into(),
        number: Some(1),
        description: String::new(),
        rows: 4,
        columns: 4,
        spacing_mm: Some([0.5, 0.5]),
        slice_spacing_mm: Some(2.0),
        slices: (0..slices)
            .map(|i| SliceInfo {
                path: PathBuf::from(format!("{i}")),
                packed: None,
                frame: None,
                file: format!("{i}"),
                sop_instance_uid: String::new(),
                instance_number: None,
                pose: None,
            })
            .collect(),
        technique: Technique::default(),
        photometric: Photometric::Monochrome2,
        values_are_hu: true,
        is_localizer: false,
        part: None,
        file_windows: vec![Window::linear(30.0, 350.0)],
        file_window_names: Vec::new(),
        reformatted: None,
        warnings: Vec::new(),
    }
}

/// A state with a series of `n` slices on screen, and the number of its load.
fn opened(n: usize) -> (AppState, RequestId) {
    let mut state = AppState::new(Settings::default());
    let effects = state.apply(Command::OpenPath("/study".into()));
    let request = effects
        .iter()
        .find_map(|e| match e {
            Effect::Scan { request, .. } => Some(*request),
            _ => None,
        })
        .expect("scans");
    let catalog = Catalog { series: vec![series(3), series(n)], ..Catalog::default() };
    let effects = state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
    let load = effects.iter().find_map(|e| match e {
        Effect::Load { request, .. } => Some(*request),
        _ => None,
    });
    (state, load.expect("loads"))
}

pub(super) fn loaded_from(state: &AppState) -> LoadedSeries {
    let series = state.active.as_ref().expect("active").series.clone();
    let volume = Volume::new((0..series.slices.len()).map(|i| slice(i as i16)).collect()).expect("volume");
    LoadedSeries { series, volume: Arc::new(volume) }
}

/// A state whose analysis has begun, the load done; and the analysis' number and provenance.
fn analysing(n: usize) -> (AppState, RequestId) {
    let (mut state, load) = opened(n);
    let loaded = loaded_from(&state);
    let result = Ok((loaded.clone(), Vec::new()));
    let effects = state.receive(Event::Loaded { request: load, result, seconds: 0.1 });
    let request = effects
        .iter()
        .find_map(|e| match e {
            Effect::Analyse(order) => Some(order.request),
            _ => None,
        })
        .expect("analyses");
    let mut provenance = crate::findings::tests::with_scores(&[]).provenance;
    provenance.volume = loaded.volume.id();
    state.receive(Event::AnalysisStarted { request, provenance });
    (state, request)
}

pub(super) fn scored(score: f32) -> SliceFinding {
    let all = crate::findings::tests::with_scores(&[Some(score)]);
    match all.slices.into_iter().next() {
        Some(SliceState::Done(finding)) => finding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_likeliest_series_opens_in_bone_at_its_middle() {
    let (state, _) = opened(9);
    let active = state.active.as_ref().expect("active");
    assert_eq!((active.index, active.current, active.window.clone()), (1, 4, Window::BONE));
    assert_eq!(state.settings.recents, [PathBuf::from("/study")]);
}

#[test]
fn what_is_added_joins_what_is_open() {
    let (mut state, _) = opened(5);
    let scans = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| if let Effect::Scan { paths, .. } = effect { Some(paths) } else { None })
    };
    state.apply(Command::PickFolderToAdd);
    let effects = state.receive(Event::StudyPicked(Some("/other".into())));
    assert_eq!(scans(effects), Some(vec!["/study".into(), "/other".into()]));
    // The same once more changes nothing, and a plain choice takes its place again.
    let effects = state.apply(Command::AddPaths(vec!["/study".into()]));
    assert_eq!(scans(effects), Some(vec!["/study".into()]));
    state.apply(Command::PickFolderToAdd);
    state.receive(Event::StudyPicked(None));
    state.apply(Command::PickFolder);
    let effects = state.receive(Event::StudyPicked(Some("/third".into())));
    assert_eq!(scans(effects), Some(vec!["/third".into()]));
    assert!(state.active.is_some(), "what is open stays until the rest is there");
}

#[test]
fn answers_to_old_questions_are_dropped() {
    let (mut state, old_load) = opened(5);
    state.apply(Command::ShowSeries(0));
    state.receive(Event::SliceDecoded { request: old_load, index: 0, slice: slice(1) });
    assert_eq!(state.active.as_ref().expect("active").decoded(), 0);

    let (mut state, analysis) = analysing(5);
    state.apply(Command::ShowSeries(0));
    state.receive(Event::SliceScored { request: analysis, index: 0, finding: scored(0.9) });
    state.receive(Event::AnalysisEnded { request: analysis, result: Ok((Seconds::default(), Vec::new())) });
    assert!(state.findings().is_none() && matches!(state.analysis, AnalysisState::NotRun));
}

#[test]
fn another_model_cancels_and_forgets() {
    let (mut state, analysis) = analysing(5);
    state.receive(Event::SliceScored { request: analysis, index: 1, finding: scored(0.9) });
    let effects = state.apply(Command::UseModel(Some("/m.safetensors".into())));
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelAnalysis)));
    assert!(effects.iter().any(|e| matches!(e, Effect::Analyse(order) if order.machine.model.is_some())));
    assert!(state.findings().is_none());
    state.receive(Event::SliceScored { request: analysis, index: 2, finding: scored(0.9) });
    assert!(state.findings().is_none(), "a late score of the old model");
}

#[test]
fn a_result_for_another_volume_is_not_taken() {
    let (mut state, request) = analysing(4);
    let provenance = crate::findings::tests::with_scores(&[]).provenance;
    state.findings = None;
    state.receive(Event::AnalysisStarted { request, provenance });
    assert!(state.findings().is_none());
}

#[test]
fn the_strip_fills_live_and_peaks_are_visited_in_order() {
    let (mut state, request) = analysing(9);
    for (index, score) in [(1, 0.7), (4, 0.2), (7, 0.9)] {
        state.receive(Event::SliceRunning { request, index });
        state.receive(Event::SliceScored { request, index, finding: scored(score) });
    }
    assert_eq!(state.peaks(), [7, 1]);
    let current = |s: &AppState| s.active.as_ref().expect("active").current;
    let effects = state.apply(Command::NextPeak);
    assert!(effects.iter().any(|e| matches!(e, Effect::Focus(7))));
    assert_eq!(current(&state), 7);
    state.apply(Command::NextPeak);
    assert_eq!(current(&state), 1, "round the end");
    state.apply(Command::PreviousPeak);
    assert_eq!(current(&state), 7);
    state.receive(Event::CaseScored { request, case: CaseResult { score: 0.6, logit: 0.4, attribution: vec![] } });
    state.receive(Event::AnalysisEnded { request, result: Ok((Seconds::default(), Vec::new())) });
    assert!(matches!(state.analysis, AnalysisState::Done));
}

#[test]
fn a_short_f_toggles_and_a_long_f_peeks_without_touching_the_view() {
    let (mut state, _) = opened(5);
    let before = {
        let a = state.active.as_ref().expect("active");
        (a.window.clone(), a.view, a.current)
    };
    let on = state.heatmap_on;
    let press = |state: &mut AppState, from: f64, to: f64| {
        state.apply(Command::HeatmapKey { down: true, time_s: from });
        let during = state.heatmap_on;
        state.apply(Command::HeatmapKey { down: false, time_s: to });
        (during, state.heatmap_on)
    };
    assert_eq!(press(&mut state, 0.0, 0.1), (!on, !on));
    assert_eq!(press(&mut state, 1.0, 3.0), (on, !on));
    let a = state.active.as_ref().expect("active");
    assert_eq!((a.window.clone(), a.view, a.current), before);
}

#[test]
fn a_hard_stop_gives_a_sentence_and_no_analysis() {
    let (mut state, load) = opened(3);
    let mut loaded = loaded_from(&state);
    let mut series = Series::clone(&loaded.series);
    series.spacing_mm = None;
    loaded.series = Arc::new(series);
    let effects = state.receive(Event::Loaded { request: load, result: Ok((loaded, Vec::new())), seconds: 0.0 });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Analyse(_))));
    assert!(matches!(&state.analysis, AnalysisState::NotApplicable(text) if text.contains("spacing")));
}

#[test]
fn slices_that_failed_leave_the_reader_on_the_same_picture() {
    let (mut state, load) = opened(7);
    state.apply(Command::GoToSlice(5));
    let mut loaded = loaded_from(&state);
    let mut series = Series::clone(&loaded.series);
    series.slices.remove(2);
    loaded.series = Arc::new(series);
    loaded.volume = Arc::new(Volume::new((0..6).map(slice).collect()).expect("volume"));
    let refused = vec![Refused { file: "2".into(), kind: crate::study::Kind::Corrupt, text: "broken".into() }];
    state.receive(Event::Loaded { request: load, result: Ok((loaded, refused)), seconds: 0.0 });
    let active = state.active.as_ref().expect("active");
    assert_eq!(active.series.slices.get(active.current).map(|s| s.file.as_str()), Some("5"));
    assert!(state.notices.iter().any(|n| n.text.contains("broken")));
}

#[test]
fn files_refused_for_one_reason_share_a_notice_that_hides_their_name_with_the_identity() {
    let (mut state, load) = opened(3);
    let loaded = loaded_from(&state);
    let file =
        |name: &str, text: &str| Refused { file: name.into(), kind: crate::study::Kind::Encrypted, text: text.into() };
    let refused = vec![
        file("DOE_JANE/1.dcm", "it is encrypted"),
        file("notes", "notes: it is empty"),
        file("DOE_JANE/2.dcm", "it is encrypted"),
        file("DOE_JANE/3.dcm", "it is encrypted"),
    ];
    state.receive(Event::Loaded { request: load, result: Ok((loaded, refused)), seconds: 0.0 });
    let texts = |hide: bool| state.notices.iter().map(|n| n.shown(hide).into_owned()).collect::<Vec<_>>();
    assert_eq!(texts(false), ["DOE_JANE/1.dcm and 2 more files, each: it is encrypted", "notes: it is empty"]);
    assert_eq!(texts(true), ["[hidden] and 2 more files, each: it is encrypted", "[hidden]: it is empty"]);
}

#[test]
fn escape_closes_one_thing_at_a_time_and_never_the_image() {
    let (mut state, load) = opened(3);
    state.receive(Event::SliceDecoded { request: load, index: 1, slice: slice(0) });
    state.apply(Command::ToggleHelp);
    state.apply(Command::BeginExport(ExportKind::Report));
    assert!(state.export.is_some());
    state.apply(Command::Escape);
    assert!(state.export.is_none() && state.show_help);
    state.apply(Command::Escape);
    assert!(!state.show_help);
    state.apply(Command::Escape);
    assert!(state.active.is_some());
}

#[test]
fn windows_by_key_drag_and_reset() {
    let (mut state, load) = opened(3);
    state.receive(Event::SliceDecoded { request: load, index: 1, slice: slice(7) });
    let window = |s: &AppState| s.active.as_ref().expect("active").window.clone();
    state.apply(Command::Preset(1));
    assert_eq!((window(&state).width, window(&state).center), (300.0, 80.0));
    state.apply(Command::DragWindow { width: 100.0, center: -20.0 });
    assert_eq!((window(&state).width, window(&state).center), (400.0, 60.0));
    state.apply(Command::StoreUserWindow);
    state.apply(Command::FileWindow);
    assert_eq!(window(&state), Window::linear(30.0, 350.0));
    state.apply(Command::Preset(9));
    assert_eq!(window(&state), Window::linear(60.0, 400.0));
    state.apply(Command::DragWindow { width: -1e9, center: 0.0 });
    assert!(window(&state).is_valid());
    state.apply(Command::ResetView);
    assert_eq!(window(&state), Window::BONE);
}

#[test]
fn an_existing_file_is_replaced_only_after_the_user_said_so_twice() {
    let (mut state, load) = opened(3);
    state.receive(Event::SliceDecoded { request: load, index: 1, slice: slice(0) });
    state.apply(Command::BeginExport(ExportKind::Picture));
    state.apply(Command::SetExportPath("/tmp/x.png".into()));
    let replace = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::WritePicture { replace, .. }] => *replace,
        other => panic!("{other:?}"),
    };
    assert!(!replace(state.apply(Command::ConfirmExport)));
    assert!(state.apply(Command::ConfirmExport).is_empty(), "not while writing");
    state.receive(Event::Exported { path: "/tmp/x.png".into(), result: Err(ExportRefusal::Exists) });
    assert!(replace(state.apply(Command::ConfirmExport)));
    state.receive(Event::Exported { path: "/tmp/x.png".into(), result: Ok(()) });
    assert!(state.export.is_none());
    assert!(state.notices.iter().any(|n| n.text.contains("/tmp/x.png")));
}

#[test]
fn nothing_found_is_said_and_never_silent() {
    let mut state = AppState::new(Settings::default());
    let effects = state.apply(Command::OpenPath("/empty".into()));
    let Some(Effect::Scan { request, .. }) = effects.last() else { panic!("{effects:?}") };
    state.receive(Event::Scanned { request: *request, result: Ok(Arc::new(Catalog::default())) });
    assert!(state.active.is_none() && state.scanning.is_none());
    assert!(state.notices.iter().any(|n| n.severity == Severity::Error));
    assert!(state.settings.recents.is_empty());
}

#[test]
fn several_paths_open_as_one_study_and_each_is_remembered_while_they_are_few() {
    for (n, remembered) in [(2, 2), (5, 0)] {
        let mut state = AppState::new(Settings::default());
        let wanted: Vec<PathBuf> = (0..n).map(|i| format!("/study{i}.zip").into()).collect();
        let effects = state.apply(Command::OpenPaths(wanted.clone()));
        let Some(Effect::Scan { request, paths, .. }) = effects.last() else { panic!("{effects:?}") };
        assert_eq!((paths, state.scanning.as_ref()), (&wanted, Some(&wanted)));
        let catalog = Catalog { series: vec![series(3)], ..Catalog::default() };
        state.receive(Event::Scanned { request: *request, result: Ok(Arc::new(catalog)) });
        assert_eq!(state.study.as_ref().expect("open").paths, wanted);
        assert_eq!(state.settings.recents, wanted[..remembered]);
    }
    assert!(AppState::new(Settings::default()).apply(Command::OpenPaths(Vec::new())).is_empty());
}

#[test]
fn a_typed_path_stays_until_it_has_opened_something() {
    let mut state = AppState::new(Settings::default());
    for (catalog, left) in
        [(Catalog::default(), "/study"), (Catalog { series: vec![series(3)], ..Catalog::default() }, "")]
    {
        state.apply(Command::SetPathField("/study".into()));
        let effects = state.apply(Command::OpenPath("/study".into()));
        let Some(Effect::Scan { request, .. }) = effects.last() else { panic!("{effects:?}") };
        state.receive(Event::Scanned { request: *request, result: Ok(Arc::new(catalog)) });
        assert_eq!(state.path_field, left);
    }
}

#[test]
fn excluded_slices_are_kept_apart_from_scores() {
    let (mut state, request) = analysing(3);
    let outcome = SliceOutcome::Excluded(crate::findings::Exclusion::EmptySlice);
    state.receive(Event::SliceScored { request, index: 0, finding: SliceFinding { outcome, flags: Vec::new() } });
    let findings = state.findings().expect("findings");
    assert_eq!(findings.slices[0].score(), None);
    assert_eq!(findings.progress(), (1, 3));
}

/// Axial slices, 2 mm apart, head first.
pub(super) fn placed(mut series: Series) -> Series {
    for (i, slice) in series.slices.iter_mut().enumerate() {
        slice.pose = Some(crate::geometry::SlicePose {
            origin: PatientPoint(Vec3::new(0.0, 0.0, 20.0 - 2.0 * i as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        });
    }
    series
}

/// A state with ten axial slices, 2 mm apart, head first, all there.
pub(super) fn with_planes() -> AppState {
    let mut state = AppState::new(Settings::default());
    let study = placed(series(10));
    let effects = state.apply(Command::OpenPath("/study".into()));
    let scan = effects.iter().find_map(|e| if let Effect::Scan { request, .. } = e { Some(*request) } else { None });
    let catalog = Catalog { series: vec![study], ..Catalog::default() };
    let effects = state.receive(Event::Scanned { request: scan.expect("scans"), result: Ok(Arc::new(catalog)) });
    let load = effects.iter().find_map(|e| if let Effect::Load { request, .. } = e { Some(*request) } else { None });
    let result = Ok((loaded_from(&state), Vec::new()));
    state.receive(Event::Loaded { request: load.expect("loads"), result, seconds: 0.1 });
    state
}

use crate::geometry::{PatientPoint, Plane, Vec3};
use crate::view::planes::{Layout, Pane};

fn planes(state: &AppState) -> &Planes {
    state.active.as_ref().and_then(|a| a.planes.as_ref()).expect("planes")
}

fn crosshair(state: &AppState) -> Vec3 {
    planes(state).crosshair.0
}

#[test]
fn the_crosshair_and_the_slice_follow_each_other() {
    let mut state = with_planes();
    assert_eq!((state.active.as_ref().map(|a| a.current), crosshair(&state).z), (Some(5), 10.0));
    state.apply(Command::ScrollBy(2));
    assert_eq!(crosshair(&state).z, 6.0);
    let before = crosshair(&state);
    let effects = state.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(0.5, 1.0, 15.2))));
    assert_eq!(state.active.as_ref().map(|a| a.current), Some(2), "the slice at 16 mm is nearest to 15.2");
    assert!(effects.iter().any(|e| matches!(e, Effect::Focus(2))), "the analysis looks there too");
    assert_eq!(crosshair(&state), Vec3::new(0.5, 1.0, 15.2), "not drawn to a slice");
    assert_ne!(before, crosshair(&state));
    state.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(1e9, f64::NAN, 0.0))));
    assert_eq!(crosshair(&state), Vec3::new(0.5, 1.0, 15.2), "no point");
    state.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(1e9, 1.0, -1e9))));
    assert_eq!(crosshair(&state), Vec3::new(1.5, 1.0, 1.25), "the volume's edge");
}

#[test]
fn keys_act_on_the_pane_last_used() {
    let mut state = with_planes();
    state.apply(Command::ToggleLayout);
    assert_eq!(state.panes(), [Pane::Slices, Pane::Across(Plane::Sagittal), Pane::Across(Plane::Coronal)]);
    let slice = state.active.as_ref().map(|a| a.current);
    let x = crosshair(&state).x;
    state.apply(Command::FocusPane(Pane::Across(Plane::Sagittal)));
    state.apply(Command::ScrollBy(1));
    assert_eq!(crosshair(&state).x, x + 0.5, "one pixel to the left");
    assert_eq!(state.active.as_ref().map(|a| a.current), slice);
    state.apply(Command::FlipHorizontal);
    let active = state.active.as_ref().expect("active");
    assert!(active.view_of(Pane::Across(Plane::Sagittal)).flip_horizontal && !active.view.flip_horizontal);
    state.apply(Command::ShowPlane(Plane::Axial));
    assert_eq!(state.focused_pane(), Pane::Slices, "the slices are the axial plane");
}

/// The planes' normals are perpendicular to each other.
fn are_orthogonal(planes: &Planes) -> bool {
    let [a, b, c] = Plane::ALL.map(|plane| planes.normal(plane));
    [a.dot(b), b.dot(c), c.dot(a)].iter().all(|dot| dot.abs() < 1e-9)
}

#[test]
fn turning_in_one_pane_leans_the_other_planes_and_keeps_them_orthogonal() {
    let mut state = with_planes();
    state.apply(Command::ToggleLayout);
    let at = crosshair(&state);
    state.apply(Command::TurnPlanes { within: Plane::Sagittal, degrees: 12.0, only: None });
    let words = |state: &AppState, plane| planes(state).tilt(plane).map(|tilt| tilt.words());
    assert_eq!(words(&state, Plane::Axial).as_deref(), Some("oblique, 12\u{b0} about L-R"));
    assert_eq!(words(&state, Plane::Coronal).as_deref(), Some("oblique, 12\u{b0} about L-R"));
    assert_eq!(words(&state, Plane::Sagittal), None, "the plane in which one turns stays");
    assert_eq!(state.panes()[0], Pane::Across(Plane::Axial), "the slices' own plane is cut from the volume now");
    assert_eq!(state.focused_pane(), Pane::Across(Plane::Axial));
    assert!(are_orthogonal(planes(&state)));
    // Double-oblique comes from turning in a second pane.
    state.apply(Command::TurnPlanes { within: Plane::Coronal, degrees: -7.0, only: None });
    let double = words(&state, Plane::Axial).expect("leans");
    assert!(double.contains("about L-R and 7") && double.contains("about A-P"), "{double}");
    assert!(are_orthogonal(planes(&state)));
    assert_eq!(crosshair(&state), at, "about the crosshair");
    state.apply(Command::TurnPlanes { within: Plane::Coronal, degrees: 7.0, only: None });
    state.apply(Command::TurnPlanes { within: Plane::Sagittal, degrees: -12.0, only: None });
    assert!(!planes(&state).any_turned(), "back where they stood");
    assert_eq!(state.panes()[0], Pane::Slices);
    // One alone.
    state.apply(Command::TurnPlanes { within: Plane::Axial, degrees: 30.0, only: Some(Plane::Coronal) });
    assert!(planes(&state).is_turned(Plane::Coronal) && !planes(&state).is_turned(Plane::Sagittal));
    assert_eq!(state.panes()[0], Pane::Slices, "the slices do not lean");
    state.apply(Command::StandUp);
    assert!(!planes(&state).any_turned());
}

#[test]
fn keys_turn_clockwise_as_the_pane_shows_it_and_the_picture_keeps_its_place() {
    let mut state = with_planes();
    state.apply(Command::ToggleLayout);
    let middle = |state: &AppState| {
        let grid = planes(state).grid(Plane::Coronal).expect("a plane");
        (grid.pixel_from_patient(planes(state).crosshair), grid.columns, grid.rows)
    };
    let before = middle(&state);
    state.apply(Command::FocusPane(Pane::Across(Plane::Sagittal)));
    state.apply(Command::TurnBy(5.0));
    let normal = planes(&state).normal(Plane::Coronal);
    let after = middle(&state);
    assert!((before.0.column - after.0.column).abs() < 1e-9 && (before.0.row - after.0.row).abs() < 1e-9);
    assert_eq!((before.1, before.2), (after.1, after.2), "nothing grows or shrinks while one turns");
    state.apply(Command::StandUp);
    state.apply(Command::FlipHorizontal);
    state.apply(Command::TurnBy(-5.0));
    assert!((planes(&state).normal(Plane::Coronal) - normal).length() < 1e-9, "mirrored, so the other way round");
    // The crosshair moves within the turned plane, the picture does not.
    let grid = planes(&state).grid(Plane::Coronal).expect("a plane");
    let beside = grid.patient_from_pixel(crate::geometry::PixelPoint { column: 2.0, row: 12.0 });
    state.apply(Command::MoveCrosshair(beside));
    let moved = planes(&state).grid(Plane::Coronal).expect("a plane");
    assert!((grid.pose.origin.0 - moved.pose.origin.0).length() < 1e-9);
}

#[test]
fn a_leaning_plane_is_scrolled_along_its_normal_by_its_spacing() {
    let mut state = with_planes();
    state.apply(Command::ToggleLayout);
    state.apply(Command::TurnPlanes { within: Plane::Sagittal, degrees: 20.0, only: None });
    state.apply(Command::FocusPane(Pane::Slices));
    assert_eq!(state.focused_pane(), Pane::Across(Plane::Axial));
    let (before, normal) = (crosshair(&state), planes(&state).normal(Plane::Axial));
    state.apply(Command::ScrollBy(1));
    let by = crosshair(&state) - before;
    assert!((by.length() - 0.5).abs() < 1e-9 && by.cross(normal).length() < 1e-9, "{by:?}");
    assert!(by.z < 0.0, "towards the feet");
    state.apply(Command::ScrollBy(-1));
    assert!((crosshair(&state) - before).length() < 1e-9);
    state.apply(Command::ScrollBy(1_000_000));
    let end = crosshair(&state);
    assert!((end - before).cross(normal).length() < 1e-9, "to the volume's edge and not along it: {end:?}");
    // A strip click brings the crosshair to the slice, along the line in which the other two planes cross.
    state.apply(Command::MoveCrosshair(PatientPoint(before)));
    let others = [Plane::Sagittal, Plane::Coronal].map(|plane| planes(&state).grid(plane).expect("a plane"));
    state.apply(Command::GoToSlice(4));
    assert_eq!(state.active.as_ref().map(|a| a.current), Some(4));
    assert!((crosshair(&state).z - 12.0).abs() < 1e-9);
    for grid in others {
        assert!((crosshair(&state) - grid.pose.origin.0).dot(grid.pose.normal()).abs() < 1e-9, "still on the plane");
    }
}

#[test]
fn the_bone_is_made_once_it_is_to_be_seen_and_an_old_one_is_dropped() {
    use crate::view::surface::Side;
    let asked = |effects: &[Effect]| {
        effects.iter().find_map(|e| if let Effect::MakeSolid { request, .. } = e { Some(*request) } else { None })
    };
    let mut state = with_planes();
    assert_eq!(asked(&state.apply(Command::ToggleLayout)), None, "three panes do not show it");
    state.apply(Command::Surface(SurfaceCommand::Show(FourthPane::Place)));
    assert_eq!(asked(&state.apply(Command::SetLayout(Layout::Four))), None);
    let request = asked(&state.apply(Command::Surface(SurfaceCommand::Show(FourthPane::Bone)))).expect("asks");
    assert_eq!(asked(&state.apply(Command::ScrollBy(1))), None, "once");
    state.receive(Event::SolidMade { request: RequestId(9_999), result: Ok(None) });
    let solid = |state: &AppState| state.active.as_ref().map(|a| format!("{:?}", a.surface.solid)).expect("active");
    assert!(solid(&state).starts_with("Making"), "an answer to another question");
    state.receive(Event::SolidMade { request, result: Ok(None) });
    assert!(solid(&state).contains("nothing in this series is as dense as bone"), "{}", solid(&state));
    assert!(state.surface_draw().is_none());
    // Sides, turns and the threshold.
    state.apply(Command::Surface(SurfaceCommand::Look(Side::Left)));
    state.apply(Command::Surface(SurfaceCommand::Turn([5.0, -10.0])));
    let view = state.active.as_ref().expect("active").surface.view;
    assert_eq!((view.azimuth_deg, view.elevation_deg), (95.0, -10.0));
    state.apply(Command::Surface(SurfaceCommand::Reset));
    assert_eq!(state.active.as_ref().expect("active").surface.view.side(), Some(Side::Front));
}

#[test]
fn a_click_on_the_strip_costs_one_look_of_the_analysis_and_no_new_maps() {
    let mut state = with_peaks();
    state.apply(Command::SetLayout(Layout::Four));
    state.apply(Command::GoToSlice(1));
    let heat = state.plane_heat().expect("maps").stack;
    let effects = state.apply(Command::GoToSlice(8));
    assert!(matches!(effects.as_slice(), [Effect::Focus(8)]), "{effects:?}");
    assert!(Arc::ptr_eq(&heat, &state.plane_heat().expect("maps").stack));
    let effects = state.apply(Command::GoToPeak(2));
    assert!(matches!(effects.as_slice(), [Effect::Focus(2)]), "{effects:?}");
    assert_eq!(state.peak_points().first().map(|(slice, _)| *slice), Some(7), "best first");
}

#[test]
fn a_double_click_shows_one_pane_and_leads_back() {
    let mut state = with_planes();
    state.apply(Command::SetLayout(Layout::Four));
    state.apply(Command::FocusPane(Pane::Across(Plane::Coronal)));
    state.apply(Command::DoubleClick);
    assert_eq!((state.settings.layout, state.panes()), (Layout::One, vec![Pane::Across(Plane::Coronal)]));
    state.apply(Command::DoubleClick);
    assert_eq!(state.settings.layout, Layout::Four);
    state.apply(Command::SetLayout(Layout::One));
    assert_eq!(state.panes(), [Pane::Slices]);
    state.apply(Command::DoubleClick);
    assert!(!state.settings.show_series, "with one pane it folds the panels away as ever");
}

#[test]
fn slabs_grow_in_steps_and_end() {
    let mut state = with_planes();
    state.apply(Command::ShowPlane(Plane::Sagittal));
    for expected in [1.0, 2.0, 3.0, 5.0] {
        state.apply(Command::StepSlab(1));
        assert_eq!(state.slab.thickness_mm, expected);
    }
    state.apply(Command::StepSlab(-100));
    assert_eq!(state.slab.thickness_mm, 0.0);
    state.apply(Command::CycleProjection);
    assert_eq!((state.slab.thickness_mm, state.slab.projection), (5.0, crate::volume::Projection::Mip));
    state.apply(Command::StepSlab(100));
    assert_eq!(state.slab.thickness_mm, 50.0);
}

#[test]
fn a_slab_of_the_slices_own_plane_stands_in_for_them_and_scrolls_with_them() {
    let mut state = with_planes();
    state.apply(Command::FlipHorizontal);
    let before = state.active.as_ref().map(|a| (a.current, a.view)).expect("a series");
    state.apply(Command::StepSlab(4));
    assert_eq!(state.panes(), [Pane::Across(Plane::Axial)], "drawn from the volume");
    let draw = |state: &AppState, plane| {
        let active = state.active.as_ref().expect("a series");
        active.plane_draw(plane, state.slab, 1, state.settings.interpolation).expect("a plane").slab.thickness_mm
    };
    assert_eq!((draw(&state, Plane::Axial), draw(&state, Plane::Sagittal)), (5.0, 0.0), "the planes across stay thin");
    let view = |state: &AppState| state.active.as_ref().map(|a| *a.view_of(state.focused_pane()));
    assert!(before.1.flip_horizontal && view(&state) == Some(before.1), "looked at alike");
    for (by, expected) in [(1, before.0 + 1), (-3, before.0 - 2), (100, 9), (-100, 0)] {
        state.apply(Command::ScrollBy(by));
        let active = state.active.as_ref().expect("a series");
        assert_eq!(active.current, expected, "by {by}");
        let stack = &active.planes.as_ref().expect("planes").stack.geometry;
        assert_eq!(stack.nearest_slice(active.planes.as_ref().expect("planes").crosshair), expected);
    }
    state.apply(Command::StepSlab(-100));
    assert_eq!(state.panes(), [Pane::Slices]);
    state.apply(Command::CycleProjection);
    assert_eq!(state.panes(), [Pane::Across(Plane::Axial)]);
    state.apply(Command::ResetView);
    assert_eq!(state.panes(), [Pane::Slices], "the slices as acquired again");
}

#[test]
fn what_was_read_before_a_cancelled_loading_can_be_seen() {
    let (mut state, request) = opened(4);
    state.receive(Event::SliceDecoded { request, index: 2, slice: slice(7) });
    let effects = state.apply(Command::CancelLoading);
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelLoad)) && state.is_loading(), "until it has ended");
    state.receive(Event::Loaded { request, result: Err(Ended::Cancelled), seconds: 0.0 });
    let active = state.active.as_ref().expect("the series stays");
    assert!(!state.is_loading() && active.slice().is_some() && active.decoded() == 1);
    assert!(state.notices.iter().any(|n| n.text.contains("1 of 4 slices")), "{:?}", state.notices);
    let effects = state.apply(Command::ShowSeries(1));
    assert!(effects.iter().any(|e| matches!(e, Effect::Load { .. })), "chosen again it is read");
}

#[test]
fn what_is_open_stays_until_something_else_can_be_shown() {
    let mut state = with_planes();
    let scan = |state: &mut AppState| {
        let effects = state.apply(Command::OpenPath("/elsewhere".into()));
        let request =
            effects.iter().find_map(|e| if let Effect::Scan { request, .. } = e { Some(*request) } else { None });
        let gives_up = effects.iter().any(|e| matches!(e, Effect::CancelLoad | Effect::CancelThumbnails));
        assert!(!gives_up, "what is open goes on");
        request.expect("scans")
    };
    let shown = |state: &AppState| state.active.as_ref().is_some_and(|a| a.loaded.is_some());
    let request = scan(&mut state);
    assert!(matches!(state.apply(Command::CancelLoading)[..], [Effect::CancelScan]));
    state.receive(Event::Scanned { request, result: Err(Ended::Cancelled) });
    assert!(shown(&state) && state.scanning.is_none());
    let request = scan(&mut state);
    state.receive(Event::Scanned { request, result: Ok(Arc::new(Catalog::default())) });
    assert!(shown(&state), "nothing was found there");
    let request = scan(&mut state);
    let catalog = Catalog { series: vec![series(4)], ..Catalog::default() };
    let effects = state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
    assert!(!shown(&state) && effects.iter().any(|e| matches!(e, Effect::Load { .. })));
}

#[test]
fn a_series_without_positions_says_why_it_has_no_planes() {
    let (mut state, load) = opened(4);
    let result = Ok((loaded_from(&state), Vec::new()));
    state.receive(Event::Loaded { request: load, result, seconds: 0.1 });
    state.apply(Command::ToggleLayout);
    assert!(state.notices.iter().any(|n| n.text.contains("does not say where it lies")), "{:?}", state.notices);
    state.apply(Command::FocusPane(Pane::Across(Plane::Sagittal)));
    assert_eq!(state.focused_pane(), Pane::Slices);
    state.apply(Command::ScrollBy(1));
    assert_eq!(state.active.as_ref().map(|a| a.current), Some(3), "the slices can still be read");
}

/// [`with_planes`] with scores and maps: slice 7 is the highest, slice 2 the other peak; all maps are hottest in the
/// last of 2 x 2 cells over the whole slice.
fn with_peaks() -> AppState {
    let mut state = with_planes();
    state.apply(Command::StartAnalysis);
    let request = state.analysis_request();
    let mut provenance = crate::findings::tests::with_scores(&[]).provenance;
    provenance.volume = state.active.as_ref().and_then(|a| a.loaded.as_ref()).expect("loaded").volume.id();
    state.receive(Event::AnalysisStarted { request, provenance });
    for (index, score) in [(2, 0.7), (5, 0.1), (7, 0.9)] {
        let cam = Arc::new(crate::findings::Cam { rows: 2, columns: 2, values: vec![0.0, 0.1, 0.2, score] });
        let outcome = SliceOutcome::Scored { score, logit: 0.0, region: [0.0, 0.0, 4.0, 4.0], cam };
        state.receive(Event::SliceScored { request, index, finding: SliceFinding { outcome, flags: Vec::new() } });
    }
    state
}

fn current(state: &AppState) -> usize {
    state.active.as_ref().expect("active").current
}

#[test]
fn one_key_leads_from_a_peak_to_its_evidence_and_back() {
    let mut state = with_peaks();
    state.apply(Command::Preset(1));
    state.apply(Command::GoToSlice(9));
    let (window, view) =
        (state.active.as_ref().expect("active").window.clone(), state.active.as_ref().expect("active").view);
    let effects = state.apply(Command::PeakToEvidence);
    assert!(effects.iter().any(|e| matches!(e, Effect::Focus(7))), "the analysis follows");
    assert_eq!((state.settings.layout, current(&state)), (Layout::Three, 7));
    assert_eq!(state.active.as_ref().expect("active").window, Window::BONE);
    // The last cell's middle is the edge between pixels 2 and 3: 2.5 pixels of 0.5 mm.
    assert_eq!(crosshair(&state), Vec3::new(1.25, 1.25, 6.0));
    let words = state.evidence_lines().join("\n");
    for part in ["Peak 1 of 2 so far", "score 0.900", "slice 8", "z 6.0 mm", "(1.2, 1.2, 6.0) mm", "not a diagnosis"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(words.contains("the numbers mean nothing"), "what the network was trained on: {words}");

    // Planes that lean do not hide the slice that the network saw.
    state.apply(Command::PeakToEvidence);
    state.apply(Command::TurnPlanes { within: Plane::Sagittal, degrees: 9.0, only: None });
    state.apply(Command::PeakToEvidence);
    assert_eq!(state.panes()[0], Pane::Slices);
    state.apply(Command::PeakToEvidence);
    assert!(planes(&state).is_turned(Plane::Axial), "they lean again on the way back");
    state.apply(Command::StandUp);
    state.apply(Command::PeakToEvidence);

    state.apply(Command::NextPeak);
    assert_eq!(current(&state), 2, "round the end");
    assert_eq!(crosshair(&state), Vec3::new(1.25, 1.25, 16.0), "the crosshair goes too");
    assert!(state.evidence_lines().join("").contains("Peak 2 of 2"));
    state.apply(Command::ScrollBy(1));
    assert!(state.evidence_lines().is_empty(), "beside the peak nothing is claimed of it");

    state.apply(Command::PeakToEvidence);
    let active = state.active.as_ref().expect("active");
    assert_eq!((state.settings.layout, active.window.clone(), active.view), (Layout::One, window, view));
    assert_eq!(active.current, 3, "the reader stays where he is");
}

#[test]
fn evidence_without_peaks_scores_or_places_says_so() {
    let mut state = with_planes();
    state.apply(Command::PeakToEvidence);
    assert_eq!(state.settings.layout, Layout::One);
    assert!(state.notices.iter().any(|n| n.text.contains("No slice has a score")), "{:?}", state.notices);

    // Nothing over the threshold: the highest, and said to be below.
    let mut state = with_peaks();
    let model = Arc::make_mut(&mut state.findings.as_mut().expect("findings").provenance.model);
    model.threshold = 0.95;
    state.apply(Command::PeakToEvidence);
    assert_eq!(current(&state), 7);
    assert!(state.evidence_lines().join("").contains("below the threshold 0.950"), "{:?}", state.evidence_lines());

    // No place in the patient: the slice alone.
    let (mut state, request) = analysing(4);
    state.receive(Event::SliceScored { request, index: 3, finding: scored(0.9) });
    state.apply(Command::PeakToEvidence);
    assert_eq!((state.settings.layout, current(&state)), (Layout::One, 3));
    assert!(state.notices.iter().any(|n| n.text.contains("No planes")), "{:?}", state.notices);
}

#[test]
fn planes_show_the_maps_of_slices_over_the_threshold_only() {
    let mut state = with_peaks();
    let shown = |state: &AppState| -> Vec<usize> {
        let heat = state.plane_heat().expect("heat");
        (0..10).filter(|i| heat.stack.map(*i).is_some()).collect()
    };
    assert_eq!(shown(&state), [2, 7]);
    assert_eq!(state.plane_heat().map(|h| h.stack.maximum), Some(0.9));
    state.apply(Command::SetHeatmapEverywhere(true));
    assert_eq!(shown(&state), [2, 5, 7]);
    state.apply(Command::ToggleHeatmap);
    assert!(state.plane_heat().is_none());
    state.apply(Command::ToggleHeatmap);
    for style in ["cells", "outline", "smooth"] {
        state.apply(Command::CycleHeatmapStyle);
        assert_eq!(state.plane_heat().map(|h| h.style.name()), Some(style));
    }
    state.apply(Command::CloseStudy);
    assert!(state.plane_heat().is_none());
}

use crate::findings::operating::Thresholds;

#[test]
fn the_readers_thresholds_rule_everywhere_and_are_remembered_with_the_model() {
    let mut state = with_peaks();
    assert_eq!(state.peaks(), [7, 2]);
    let chosen = Thresholds { slice: 0.8, case: 0.6 };
    let effects = state.apply(Command::ChooseThresholds(chosen));
    assert!(effects.iter().any(|e| matches!(e, Effect::SaveSettings)));
    let findings = state.findings().expect("findings");
    assert_eq!((findings.threshold(), findings.case_threshold(), state.thresholds()), (0.8, 0.6, Some(chosen)));
    assert_eq!(state.peaks(), [7], "strip and list");
    let heat = state.plane_heat().expect("heat");
    assert!(heat.stack.map(2).is_none() && heat.stack.map(7).is_some(), "the heatmap's rule");
    state.apply(Command::GoToSlice(2));
    assert!(state.heatmap_layer().is_none());

    // The next analysis by the same weights begins with them, one by others does not.
    let stored = serde_json::to_string(&state.settings).expect("settings");
    let again: Settings = serde_json::from_str(&stored).expect("settings");
    for (sha256, expected) in [("0".repeat(64), 0.8), ("1".repeat(64), 0.5)] {
        let mut state = with_planes();
        state.settings = again.clone();
        state.apply(Command::StartAnalysis);
        let mut provenance = crate::findings::tests::with_scores(&[]).provenance;
        provenance.volume = state.active.as_ref().and_then(|a| a.loaded.as_ref()).expect("loaded").volume.id();
        Arc::make_mut(&mut provenance.model).sha256 = sha256;
        state.receive(Event::AnalysisStarted { request: state.analysis_request(), provenance });
        assert_eq!(state.findings().map(Findings::threshold), Some(expected));
    }

    state.apply(Command::ChooseThresholds(Thresholds { slice: f32::NAN, case: 0.1 }));
    assert_eq!(state.findings().map(|f| f.chosen), Some(None), "no number is no threshold");
    state.apply(Command::ChooseThresholds(chosen));
    state.apply(Command::CardThresholds);
    assert_eq!((state.peaks(), state.settings.thresholds.len()), (vec![7, 2], 0));
}

#[test]
fn the_passport_judges_the_header_first_and_the_voxels_when_the_analysis_begins() {
    use crate::study::quality::{Line, Weight};
    let mut state = with_planes();
    state.apply(Command::CancelAnalysis);
    let before = state.passport().expect("a series is open");
    assert_eq!(before.weight, Weight::Stop, "ten slices are no neck");
    assert!(before.verdict.starts_with("Not fit for a score") && before.lines.iter().any(|l| l.topic == "Voxels"));
    state.apply(Command::StartAnalysis);
    let request = state.analysis_request();
    let lines = vec![Line::stop("Values", "air has -690 HU"), Line::note("Canal", "found along 90 % of the range")];
    state.receive(Event::Judged { request, lines });
    state.receive(Event::AnalysisEnded { request, result: Err(Ended::Stopped("no score: air has -690 HU".into())) });
    let judged = state.passport().expect("a series is open");
    assert_eq!(judged.verdict, "Not fit for a score: 1 reason");
    assert!(judged.lines.iter().any(|l| l.topic == "Canal") && !judged.lines.iter().any(|l| l.topic == "Voxels"));
    state.apply(Command::ShowSeries(0));
    state.apply(Command::CloseStudy);
    assert!(state.passport().is_none());
}

#[test]
fn the_occlusion_check_shows_its_map_in_the_heatmaps_place_and_can_be_taken_back() {
    let mut state = with_peaks();
    let occluding = |effects: &[Effect]| {
        effects.iter().find_map(|e| match e {
            Effect::Occlude(order) => Some((order.request, order.index, order.cells)),
            _ => None,
        })
    };
    assert!(occluding(&state.apply(Command::CheckByOcclusion)).is_none(), "not while the analysis runs");
    assert!(state.notices.iter().any(|n| n.text.contains("wait until the analysis has ended")));
    let request = state.analysis_request();
    state.receive(Event::AnalysisEnded { request, result: Ok((Seconds::default(), Vec::new())) });
    state.heatmap_on = false;
    let (request, slice, cells) = occluding(&state.apply(Command::CheckByOcclusion)).expect("a check");
    assert_eq!((current(&state), cells), (slice, [2, 2]), "the peak is on the screen");
    assert!(occluding(&state.apply(Command::CheckByOcclusion)).is_none(), "one at a time");
    assert!(state.shown_occlusion().is_none() && state.occlusion_sentence().is_none());

    let scores = [0.9, 0.9, 0.9, 0.2];
    let map = crate::findings::Occlusion::new(slice, [0.0, 0.0, 4.0, 4.0], 0.9, [2, 2], &scores).expect("a map");
    state.receive(Event::Occluded { request: RequestId(9999), result: Ok(Arc::new(map.clone())) });
    assert!(state.shown_occlusion().is_none(), "an answer to another question");
    state.receive(Event::Occluded { request, result: Ok(Arc::new(map)) });
    let layer = state.heatmap_layer().expect("drawn, although maps were off");
    assert!((layer.maximum - 0.7).abs() < 1e-6 && state.plane_heat().is_none());
    assert!(state.occlusion_sentence().is_some_and(|s| s.contains("agree: the same cell")));
    state.apply(Command::CheckByOcclusion);
    assert!(state.heatmap_layer().is_some_and(|l| (l.maximum - 0.7).abs() > 1e-3), "the heatmap again");
    state.apply(Command::ShowOcclusion(true));
    assert!(state.shown_occlusion().is_some());
    state.apply(Command::GoToSlice(slice + 1));
    assert!(state.shown_occlusion().is_none(), "another slice has none");
    state.apply(Command::StartAnalysis);
    state.apply(Command::GoToSlice(slice));
    assert!(state.occlusion_here().is_none(), "new scores, no old check");
}

#[test]
fn an_occlusion_check_that_ends_early_leaves_nothing_or_a_sentence() {
    for (end, stays) in [(Ended::Cancelled, false), (Ended::Failed("no memory".to_owned()), true)] {
        let mut state = with_peaks();
        let request = state.analysis_request();
        state.receive(Event::AnalysisEnded { request, result: Ok((Seconds::default(), Vec::new())) });
        let effects = state.apply(Command::CheckByOcclusion);
        let request = effects.iter().find_map(|e| match e {
            Effect::Occlude(order) => Some(order.request),
            _ => None,
        });
        let cancels = state.apply(Command::CancelOcclusion);
        assert!(matches!(cancels[..], [Effect::CancelOcclusion]));
        state.receive(Event::Occluded { request: request.expect("a check"), result: Err(end) });
        assert_eq!(state.occlusion_here().is_some(), stays);
        assert_eq!(state.notices.iter().any(|n| n.text.contains("no memory")), stays);
        assert!(state.shown_occlusion().is_none() && state.heatmap_layer().is_some());
    }
}

#[test]
fn the_attributes_follow_the_slice_one_file_at_a_time() {
    use crate::study::attributes::{Attribute, Attributes};
    let (mut state, _) = opened(5);
    let asked = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|e| match e {
            Effect::ReadAttributes(of) => Some(of),
            _ => None,
        })
    };
    let first = asked(state.apply(Command::ToggleAttributes)).expect("asked");
    assert_eq!(asked(state.apply(Command::GoToSlice(0))), None, "one at a time");
    let line = |tag: [u16; 2], vr: &str, value: &str| Attribute {
        depth: 0,
        parent: None,
        key: u64::from(tag[1]),
        tag: Some(tag),
        name: "Name".into(),
        vr: vr.into(),
        value: value.into(),
        holds_others: false,
    };
    let lines = vec![line([0x10, 0x10], "PN", "Doe^Jane"), line([0x18, 0x50], "DS", "1.25")];
    let list: AttributesRead = Ok(Arc::new(Attributes { lines, note: None }));
    let second =
        asked(state.receive(Event::AttributesRead { of: first.clone(), result: list.clone() })).expect("the new slice");
    assert_ne!(first, second);
    assert!(state.attributes.shown().is_some() && state.attributes.is_waiting());
    assert_eq!(asked(state.receive(Event::AttributesRead { of: second, result: list })), None);
    let copied = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|e| match e {
            Effect::CopyText(text) => Some(text),
            _ => None,
        })
    };
    let copy = |line: usize, whole: bool| Command::CopyAttribute { line, whole };
    assert_eq!(copied(state.apply(copy(0, false))).as_deref(), Some("Doe^Jane"));
    assert_eq!(copied(state.apply(copy(1, true))).as_deref(), Some("(0018,0050)\tName\tDS\t1.25"));
    state.apply(Command::ToggleIdentity);
    assert_eq!(copied(state.apply(copy(0, false))), None);
    assert!(state.notices.iter().any(|n| n.text.contains("was not copied")));
    assert_eq!(copied(state.apply(copy(1, false))).as_deref(), Some("1.25"));
    state.apply(Command::Escape);
    assert!(!state.attributes.open);
    assert_eq!(asked(state.apply(Command::GoToSlice(3))), None, "nothing is read unseen");
}
