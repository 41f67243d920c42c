use super::*;
use crate::geometry::Vec3;
use crate::state::tests::{series, slice};
use crate::study::{Patient, StudyInfo};
use crate::view::planes::Layout;
use crate::volume::Volume;

/// How the slices of a series lie.
#[derive(Clone, Copy)]
struct Lie {
    slices: usize,
    /// Of the first slice's first pixel.
    corner: [f64; 3],
    spacing_mm: f64,
    sagittal: bool,
    frame: &'static str,
}

const AXIAL: Lie = Lie { slices: 21, corner: [-10.0, -10.0, 100.0], spacing_mm: 1.0, sagittal: false, frame: "1.9" };
const THICK: Lie = Lie { slices: 8, corner: [-12.0, -9.0, 101.0], spacing_mm: 3.0, ..AXIAL };
const SAGITTAL: Lie = Lie { slices: 15, corner: [-7.0, -10.0, 105.0], sagittal: true, ..AXIAL };

/// A series of 20 x 20 mm slices.
fn lying(lie: Lie, number: usize) -> Series {
    let [x, y, z] = lie.corner;
    let mut of = series(lie.slices);
    of.uid = format!("1.2.{number}");
    of.frame_of_reference = lie.frame.to_owned();
    (of.rows, of.columns, of.spacing_mm) = (40, 40, Some([0.5, 0.5]));
    of.slice_spacing_mm = Some(lie.spacing_mm);
    for (i, slice) in of.slices.iter_mut().enumerate() {
        let on = i as f64 * lie.spacing_mm;
        let (origin, along_row, along_column) = if lie.sagittal {
            (Vec3::new(x + on, y, z), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0))
        } else {
            (Vec3::new(x, y, z - on), Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0))
        };
        slice.pose = Some(SlicePose { origin: PatientPoint(origin), along_row, along_column });
    }
    of
}

fn read(series: &Arc<Series>) -> Event {
    let plain = |value: i16| {
        let mut slice = Slice::clone(&slice(value));
        (slice.rows, slice.columns) = (series.rows, series.columns);
        slice.pixels = crate::volume::SlicePixels::I16(vec![value; series.rows * series.columns].into());
        Arc::new(slice)
    };
    let volume = Volume::new((0..series.slices.len()).map(|i| plain(i as i16)).collect()).expect("a volume");
    let loaded = LoadedSeries { series: series.clone(), volume: Arc::new(volume) };
    Event::Loaded { request: RequestId::default(), result: Ok((loaded, Vec::new())), seconds: 0.1 }
}

/// Answers what is asked to be loaded.
fn load(state: &mut AppState, effects: Vec<Effect>) -> usize {
    let mut loads = 0;
    for effect in effects {
        if let Effect::Load { request: asked, series, .. } | Effect::LoadBeside { request: asked, series, .. } = effect
        {
            loads += 1;
            let Event::Loaded { result, seconds, .. } = read(&series) else { continue };
            state.receive(Event::Loaded { request: asked, result, seconds });
        }
    }
    loads
}

fn wish(state: &mut AppState, command: BesideCommand) -> usize {
    let effects = state.apply(Command::Beside(command));
    load(state, effects)
}

/// A study whose first series is on the screen, read.
fn opened(all: Vec<Series>) -> AppState {
    let mut state = AppState::new(Settings { auto_analyse: false, ..Settings::default() });
    let effects = state.apply(Command::OpenPath("/study".into()));
    let Some(Effect::Scan { request, .. }) = effects.into_iter().find(|e| matches!(e, Effect::Scan { .. })) else {
        panic!("nothing is scanned");
    };
    let catalog = Arc::new(Catalog { series: all, ..Catalog::default() });
    let effects = state.receive(Event::Scanned { request, result: Ok(catalog) });
    load(&mut state, effects);
    let effects = state.apply(Command::ShowSeries(0));
    load(&mut state, effects);
    assert_eq!(state.active.as_ref().map(|a| (a.index, a.loaded.is_some())), Some((0, true)));
    state
}

fn two(a: Lie, b: Lie) -> AppState {
    let mut state = opened(vec![lying(a, 1), lying(b, 2)]);
    assert!(wish(&mut state, BesideCommand::Toggle) <= 1);
    state
}

fn places(state: &AppState) -> (usize, usize) {
    (state.active.as_ref().expect("a series").current, state.beside().expect("a second").shown.current)
}

fn go(state: &mut AppState, slice: usize) {
    state.apply(Command::GoToSlice(slice));
}

#[test]
fn by_place_both_show_the_same_height_whatever_their_spacing() {
    let mut state = two(AXIAL, THICK);
    assert_eq!(state.beside().map(|b| b.link), Some(Link::Place));
    // z 100 - i against 101 - 3 j.
    for (slice, beside) in [(0, 0), (1, 1), (2, 1), (5, 2), (20, 7)] {
        go(&mut state, slice);
        assert_eq!(places(&state), (slice, beside));
    }
    // The other way round the first goes to the second's own height, and the second stays where it was scrolled to.
    state.apply(Command::Beside(BesideCommand::Focus(true)));
    state.apply(Command::ScrollBy(-3));
    assert_eq!(places(&state), (11, 4), "z 89 in both");
    state.apply(Command::ScrollBy(-100));
    assert_eq!(places(&state), (0, 0), "as far as there are slices");
    assert!(state.besides_aligned());
    state.apply(Command::Beside(BesideCommand::ToggleLink));
    state.apply(Command::ScrollBy(5));
    assert_eq!(places(&state), (0, 5), "each for itself");
    assert!(!state.besides_aligned());
}

#[test]
fn a_sagittal_series_goes_with_the_crosshair_and_leads_it() {
    let mut state = two(AXIAL, SAGITTAL);
    assert!(!state.besides_aligned(), "other planes are not laid out alike");
    state.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(-3.0, -4.0, 90.0))));
    assert_eq!(places(&state), (10, 4), "x -7 + 4");
    go(&mut state, 3);
    assert_eq!(places(&state), (3, 4), "up and down the sagittal slice stays");
    state.apply(Command::Beside(BesideCommand::Focus(true)));
    state.apply(Command::ScrollBy(2));
    assert_eq!(places(&state), (3, 6), "and scrolling it leaves the axial slice");
    let crosshair = state.active.as_ref().and_then(|a| a.planes.as_ref()).map(|p| p.crosshair.0);
    assert!(crosshair.is_some_and(|at| (at.x - -1.0).abs() < 1e-9 && (at.z - 97.0).abs() < 1e-9), "{crosshair:?}");
}

#[test]
fn without_a_frame_in_common_they_go_in_parallel() {
    // The second one's middle slice lies 30 - 1.5 mm further up than the first one's.
    let mut state = two(AXIAL, Lie { frame: "7.7", corner: [0.0, 0.0, 130.0], ..THICK });
    let Some(Link::Distance { mm }) = state.beside().map(|b| b.link) else { panic!("no distance") };
    assert!((mm - (118.0 - 90.0)).abs() < 1e-9, "{mm}");
    let before = places(&state);
    assert_eq!(before, (10, 4));
    go(&mut state, 13);
    assert_eq!(places(&state), (13, 5));
    // It opens as far down as the first one is.
    let mut low = opened(vec![lying(AXIAL, 1), lying(Lie { frame: "7.7", ..THICK }, 2)]);
    go(&mut low, 20);
    wish(&mut low, BesideCommand::Open(1));
    assert_eq!(places(&low), (20, 7));
    // Moved against each other and linked again they keep the new distance.
    wish(&mut state, BesideCommand::ToggleLink);
    state.apply(Command::Beside(BesideCommand::SwitchFocus));
    state.apply(Command::ScrollBy(-4));
    wish(&mut state, BesideCommand::ToggleLink);
    state.apply(Command::ScrollBy(2));
    assert_eq!(places(&state), (19, 3), "6 mm on in both");
    // Slices that are not parallel cannot be linked, and it is said.
    let mut state = two(AXIAL, Lie { frame: "", ..SAGITTAL });
    assert_eq!(state.beside().map(|b| b.link), Some(Link::Off));
    wish(&mut state, BesideCommand::ToggleLink);
    assert!(state.notices.iter().any(|n| n.text.contains("cannot be linked")));
}

#[test]
fn without_geometry_they_go_by_number() {
    let mut flat = lying(THICK, 2);
    flat.slices.iter_mut().for_each(|slice| slice.pose = None);
    let mut state = opened(vec![lying(AXIAL, 1), flat]);
    wish(&mut state, BesideCommand::Open(1));
    assert_eq!(state.beside().map(|b| b.link), Some(Link::Number { slices: -6 }));
    for (slice, beside) in [(0, 0), (8, 2), (12, 6), (20, 7)] {
        go(&mut state, slice);
        assert_eq!(places(&state), (slice, beside));
    }
}

#[test]
fn keys_act_on_the_one_that_has_them() {
    let mut state = two(AXIAL, THICK);
    let windows = |state: &AppState| {
        (state.active.as_ref().expect("one").window.clone(), state.beside().expect("two").shown.window.clone())
    };
    assert_eq!(windows(&state), (Window::BONE, Window::BONE), "seen alike at first");
    state.apply(Command::Beside(BesideCommand::SwitchFocus));
    assert_eq!(state.at_hand().map(|a| a.index), Some(1));
    state.apply(Command::Preset(1));
    state.apply(Command::Invert);
    assert_eq!(windows(&state), (Window::BONE, Window::PRESETS[0].1.clone()));
    assert!(state.beside().is_some_and(|b| b.shown.invert) && state.active.as_ref().is_some_and(|a| !a.invert));
    // Laid out alike they share the zoom.
    let image = state.active.as_ref().expect("one").image_shape();
    let view = ViewRect { image, width: 100.0, height: 100.0 };
    state.apply(Command::Zoom { view, x: 50.0, y: 50.0, factor: 2.0 });
    assert!(state.active.as_ref().is_some_and(|a| a.view.zoom == 2.0));
    state.apply(Command::FocusPane(Pane::Slices));
    state.apply(Command::Preset(5));
    assert_eq!(windows(&state), (Window::PRESETS[4].1.clone(), Window::PRESETS[0].1.clone()));
    // A slice of the strip is one of the first, wherever the keys are.
    state.apply(Command::Beside(BesideCommand::Focus(true)));
    go(&mut state, 7);
    assert_eq!(places(&state).0, 7);
}

#[test]
fn the_two_change_places_without_being_read_again() {
    let mut state = two(AXIAL, THICK);
    go(&mut state, 6);
    let volumes = |state: &AppState| {
        let id = |active: &ActiveSeries| active.loaded.as_ref().map(|l| l.volume.id());
        (id(state.active.as_ref().expect("one")), id(&state.beside().expect("two").shown))
    };
    let before = volumes(&state);
    state.settings.memory_mb = 0;
    let effects = state.apply(Command::Beside(BesideCommand::Swap));
    let reads = |e: &Effect| matches!(e, Effect::Load { .. } | Effect::LoadBeside { .. });
    assert!(!effects.iter().any(reads), "nothing is read again, however small the memory");
    assert_eq!(volumes(&state), (before.1, before.0));
    assert_eq!(state.active.as_ref().map(|a| a.index), Some(1));
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Analyse(order) if order.only_kept)),
        "a kept result is looked for"
    );
    assert_eq!(state.in_memory().0, 2);
    // To choose the second one in the list is the same.
    let effects = state.apply(Command::ShowSeries(0));
    assert!(!effects.iter().any(reads) && state.active.as_ref().is_some_and(|a| a.index == 0));
    assert_eq!(state.beside().map(|b| (b.shown.index, b.link)), Some((1, Link::Place)));
}

#[test]
fn it_goes_away_when_asked_and_with_its_study() {
    let mut state = two(AXIAL, THICK);
    wish(&mut state, BesideCommand::Toggle);
    assert!(state.beside().is_none());
    // It is still in memory, and comes back at once.
    assert_eq!(wish(&mut state, BesideCommand::Toggle), 0);
    assert!(state.beside().is_some());
    state.apply(Command::CloseStudy);
    assert!(state.beside().is_none());

    // While it is being read its loading ends with it.
    let mut state = opened(vec![lying(AXIAL, 1), lying(THICK, 2)]);
    state.apply(Command::Beside(BesideCommand::Close));
    state.settings.memory_mb = 0;
    state.keep_budget();
    let effects = state.apply(Command::Beside(BesideCommand::Open(1)));
    assert!(effects.iter().any(|e| matches!(e, Effect::LoadBeside { .. })));
    assert!(state.beside().is_some_and(Beside::is_loading));
    let effects = state.apply(Command::Beside(BesideCommand::Close));
    assert!(effects.iter().any(|e| matches!(e, Effect::CancelBeside)));
    // A single series has nothing to be beside.
    let mut state = opened(vec![lying(AXIAL, 1)]);
    wish(&mut state, BesideCommand::Toggle);
    assert!(state.beside().is_none() && state.notices.iter().any(|n| n.text.contains("No second series")));
}

#[test]
fn another_patient_is_told_and_another_study_leaves_it_behind() {
    let mut other = lying(THICK, 2);
    other.patient = Arc::new(Patient { id: "B".into(), ..Patient::default() });
    other.study = Arc::new(StudyInfo { uid: "5.5".into(), ..StudyInfo::default() });
    let mut state = opened(vec![lying(AXIAL, 1), other]);
    wish(&mut state, BesideCommand::Open(1));
    assert_eq!(state.beside_warning(), Some("Another PatientID than that of the series being read"));
    let third = two(AXIAL, THICK);
    assert_eq!(third.beside_warning(), None);
    state.apply(Command::SetLayout(Layout::Three));
    let effects = state.apply(Command::ShowSeries(1));
    load(&mut state, effects);
    assert!(state.active.as_ref().is_some_and(|a| a.index == 1));
}
