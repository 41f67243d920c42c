//! Every key of the table, pressed in the real window: each action has a check of what is seen of it, and one that has
//! none makes the tests fail.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use dens::app::{App, Start};
use dens::geometry::{PatientPoint, Plane};
use dens::measure::Kind;
use dens::reading::Answer;
use dens::state::keymap::{Chord, Does, GROUPS, LIST, actions};
use dens::state::{
    ActiveSeries, AnalysisState, AppState, Beside, BesideCommand, Command, Effect, ExportKind, Link, MeasureCommand,
    OverlayDensity, ReadingCommand, Reply, Settings, SortBy, SurfaceCommand, Tool, WorklistCommand,
};
use dens::truth::Level;
use dens::view::planes::{Layout, Pane};
use dens::view::surface::Side;
use dens::view::{Interpolation, ViewState};
use dens::volume::{Projection, Slab, Window};
use egui::{Key, Modifiers, Shape};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding};
use crate::ui::{demo, is_loaded, pretend_analysis, until, window_with};
use crate::worklist::necks;

pub type Screen = Harness<'static, App>;

const SIZE: [f32; 2] = [1280.0, 800.0];

/// One key of an action.
struct Press {
    action: &'static str,
    key: &'static str,
}

/// Presses the key and looks at what came of it.
type Check = fn(&mut Screen, &Press);

/// What is seen of each action, under the headings of the table.
const CHECKS: &[(&str, &[(&str, Check)])] = &[
    ("Slices", SLICES),
    ("A second series", SECOND),
    ("Planes", PLANES),
    ("Bone (fourth pane)", BONE),
    ("Window", WINDOW),
    ("View", VIEW),
    ("Measure", MEASURE),
    ("Network", NETWORK),
    ("Worklist and verdicts", READING),
    ("Files and window", FILES),
];

impl Press {
    fn press(&self, screen: &mut Screen) {
        let (modifiers, key) = key_of(self.key);
        // Modifiers that come and go cost frames, and a key held for long means something else.
        match modifiers {
            Modifiers::NONE => screen.key_press(key),
            _ => screen.key_press_modifiers(modifiers, key),
        }
        screen.run_steps(3);
    }

    /// The key changes what is seen from one value into another that differs.
    #[track_caller]
    fn changes<T: PartialEq + Debug>(
        &self,
        screen: &mut Screen,
        see: impl Fn(&AppState) -> T,
        after: impl Fn(&T) -> T,
    ) {
        let Self { action, key } = self;
        let before = see(screen.state().state());
        let expected = after(&before);
        assert_ne!(before, expected, "{action}: {key} would change nothing");
        self.press(screen);
        assert_eq!(see(screen.state().state()), expected, "{action}: {key}, from {before:?}");
    }

    /// The key switches something on or off, and again back.
    #[track_caller]
    fn toggles(&self, screen: &mut Screen, see: impl Fn(&AppState) -> bool) {
        self.changes(screen, &see, |on| !on);
        self.changes(screen, &see, |on| !on);
    }

    /// The key takes a tool into the left hand.
    #[track_caller]
    fn takes(&self, screen: &mut Screen, tool: Tool) {
        let other = if tool == Tool::Window { Tool::Zoom } else { Tool::Window };
        wish(screen, [Command::SetTool(other)]);
        self.changes(screen, |state| state.tool, |_| tool);
    }
}

/// The window system's key and what is held with it.
fn key_of(written: &str) -> (Modifiers, Key) {
    let chord: Chord = written.parse().expect("a key of the table");
    let written = chord.to_string();
    let (mut rest, mut held) = (written.as_str(), Modifiers::NONE);
    for (name, modifier) in [("Ctrl+", Modifiers::COMMAND), ("Alt+", Modifiers::ALT), ("Shift+", Modifiers::SHIFT)] {
        if let Some(key) = rest.strip_prefix(name).filter(|key| !key.is_empty()) {
            (rest, held) = (key, held | modifier);
        }
    }
    (held, Key::from_name(chord.key()).expect("a key of the window system"))
}

/// Brings the window to where a key has something to do.
pub fn wish<const N: usize>(screen: &mut Screen, commands: [Command; N]) {
    for command in commands {
        screen.state_mut().command(command);
    }
    screen.run_steps(2);
}

pub fn active(state: &AppState) -> &ActiveSeries {
    state.active.as_ref().expect("a series")
}

fn slice(state: &AppState) -> usize {
    active(state).current
}

/// Presses every key of the actions under a heading that are asked for.
fn press_all(screen: &mut Screen, heading: &str, wanted: impl Fn(&str) -> bool) {
    let (_, group) = GROUPS.iter().find(|(name, _)| *name == heading).expect("a heading of the table");
    let (_, checks) = CHECKS.iter().find(|(name, _)| *name == heading).expect("checks under the heading");
    let mut pressed = 0;
    for action in group.iter().filter(|action| wanted(action.name)) {
        let (_, check) = checks.iter().find(|(name, _)| *name == action.name).expect("a check of the action");
        for key in action.keys {
            check(screen, &Press { action: action.name, key });
            pressed += 1;
        }
    }
    assert!(pressed > 0, "{heading}: nothing was pressed");
}

#[test]
fn every_action_of_the_table_has_a_check() {
    let checked: Vec<(&str, &str)> =
        CHECKS.iter().flat_map(|(heading, checks)| checks.iter().map(move |(name, _)| (*heading, *name))).collect();
    let wanted: Vec<(&str, &str)> =
        GROUPS.iter().flat_map(|(heading, group)| group.iter().map(move |action| (*heading, action.name))).collect();
    let sets = [&checked, &wanted].map(|all| all.iter().copied().collect::<BTreeSet<_>>());
    let without: Vec<_> = sets[1].difference(&sets[0]).collect();
    let unknown: Vec<_> = sets[0].difference(&sets[1]).collect();
    assert!(without.is_empty() && unknown.is_empty(), "without a check: {without:?}; no such action: {unknown:?}");
    assert_eq!(checked.len(), wanted.len(), "one check each");
    assert!(actions().all(|action| !action.keys.is_empty()), "every action has a key to press");
}

const SLICES: &[(&str, Check)] = &[
    ("next-slice", |screen, key| {
        wish(screen, [Command::GoToSlice(10)]);
        key.changes(screen, slice, |at| at + 1);
    }),
    ("previous-slice", |screen, key| {
        wish(screen, [Command::GoToSlice(10)]);
        key.changes(screen, slice, |at| at - 1);
    }),
    ("ten-slices-on", |screen, key| {
        wish(screen, [Command::GoToSlice(10)]);
        key.changes(screen, slice, |at| at + 10);
    }),
    ("ten-slices-back", |screen, key| {
        wish(screen, [Command::GoToSlice(15)]);
        key.changes(screen, slice, |at| at - 10);
    }),
    ("first-slice", |screen, key| {
        wish(screen, [Command::GoToSlice(15)]);
        key.changes(screen, slice, |_| 0);
    }),
    ("last-slice", |screen, key| {
        let last = active(screen.state().state()).slice_count() - 1;
        wish(screen, [Command::GoToSlice(15)]);
        key.changes(screen, slice, |_| last);
        screen.get_by_label(&format!("Image, slice {} of {}", last + 1, last + 1));
    }),
    ("next-series", |screen, key| {
        wish(screen, [Command::ShowSeries(0)]);
        key.changes(screen, |state| active(state).index, |_| 1);
    }),
    ("previous-series", |screen, key| {
        wish(screen, [Command::ShowSeries(1)]);
        key.changes(screen, |state| active(state).index, |_| 0);
    }),
    ("next-peak", |screen, key| {
        wish(screen, [Command::GoToSlice(0)]);
        key.changes(screen, slice, |_| 10);
        key.changes(screen, slice, |_| 20);
    }),
    ("previous-peak", |screen, key| {
        wish(screen, [Command::GoToSlice(25)]);
        key.changes(screen, slice, |_| 20);
        key.changes(screen, slice, |_| 10);
    }),
    ("cine", |screen, key| key.toggles(screen, |state| state.cine.is_some())),
    ("cine-faster", |screen, key| paces(screen, key, [10.0, 15.0])),
    ("cine-slower", |screen, key| paces(screen, key, [10.0, 8.0])),
    ("cine-first", |screen, key| {
        wish(screen, [Command::GoToSlice(5)]);
        key.changes(screen, played, |[_, last]| [5, *last]);
        key.changes(screen, played, |[_, last]| [0, *last]);
    }),
    ("cine-last", |screen, key| {
        wish(screen, [Command::GoToSlice(12)]);
        key.changes(screen, played, |_| [0, 12]);
        wish(screen, [Command::ToggleCine]);
        key.press(screen);
        assert!(screen.state().state().cine.is_some(), "it goes on");
        wish(screen, [Command::StopCine, Command::ClearCineRange]);
    }),
];

/// What a cine plays.
fn played(state: &AppState) -> [usize; 2] {
    active(state).cine_range.of(active(state).slice_count())
}

/// The key changes the pace of a cine that goes on.
#[track_caller]
fn paces(screen: &mut Screen, key: &Press, [from, to]: [f32; 2]) {
    wish(screen, [Command::StopCine, Command::SetCineRate(from), Command::ToggleCine]);
    key.changes(screen, |state| state.settings.cine_rate, |_| to);
    assert!(screen.state().state().cine.is_some(), "it goes on");
    wish(screen, [Command::StopCine]);
}

#[test]
fn keys_go_through_slices_and_peaks() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    pretend_analysis(&mut screen);
    press_all(&mut screen, "Slices", |action| !action.ends_with("-series"));
}

#[test]
fn keys_go_through_the_series_of_a_study() {
    let folder = tempfile::tempdir().expect("folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    for series in [1, 2] {
        for z in 1..=3 {
            let mut dcm = Dcm::ct(z, f64::from(z));
            dcm.text((0x20, 0x0E), "UI", &format!("2.25.{series}"));
            std::fs::write(study.join(format!("{series}-{z}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("written");
        }
    }
    let mut screen = opened(&study, folder.path());
    until(&mut screen, "the series is read", is_loaded);
    press_all(&mut screen, "Slices", |action| action.ends_with("-series"));
}

fn second(state: &AppState) -> Option<usize> {
    state.beside().map(|beside| beside.shown.index)
}

fn second_has_keys(state: &AppState) -> bool {
    state.beside().is_some_and(Beside::is_focused)
}

const SECOND: &[(&str, Check)] = &[
    ("beside", |screen, key| {
        wish(screen, [Command::Beside(BesideCommand::Close)]);
        key.changes(screen, |state| second(state).is_some(), |_| true);
        screen.get_by_label_contains("Second series, slice");
        key.changes(screen, |state| second(state).is_some(), |_| false);
        assert!(screen.query_by_label_contains("Second series, slice").is_none());
        wish(screen, [Command::Beside(BesideCommand::Open(1))]);
        until(screen, "the second series is read", |app| app.state().beside().is_some_and(|b| !b.is_loading()));
    }),
    ("beside-link", |screen, key| {
        key.toggles(screen, |state| state.beside().is_some_and(|beside| beside.link != Link::Off));
        screen.get_by_label("Link of the two series: linked by place");
    }),
    ("beside-focus", |screen, key| {
        key.toggles(screen, second_has_keys);
        // What has the keys answers to them.
        key.changes(screen, second_has_keys, |_| true);
        wish(screen, [Command::Preset(1)]);
        let window = |screen: &Screen| screen.state().state().beside().map(|beside| beside.shown.window.clone());
        assert_eq!(window(screen), Some(Window::PRESETS[0].1.clone()));
        assert_eq!(active(screen.state().state()).window, Window::BONE);
        key.changes(screen, second_has_keys, |_| false);
    }),
    ("beside-swap", |screen, key| {
        key.changes(screen, |state| (active(state).index, second(state)), |(a, b)| (b.expect("two"), Some(*a)));
        key.changes(screen, |state| (active(state).index, second(state)), |(a, b)| (b.expect("two"), Some(*a)));
    }),
];

#[test]
fn keys_bind_a_second_series_to_the_first() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = two_series(folder.path());
    press_all(&mut screen, "A second series", |_| true);
}

/// The window with a study of two series that share their frame of reference, the first on the screen.
pub fn two_series(folder: &Path) -> Screen {
    let study = folder.join("study");
    std::fs::create_dir(&study).expect("a folder");
    for (series, slices) in [(1, 6), (2, 3)] {
        for z in 0..slices {
            let mut dcm = Dcm::ct(z, f64::from(z) * 6.0 / f64::from(slices));
            dcm.text((0x20, 0x0E), "UI", &format!("2.25.{series}")).text((0x20, 0x52), "UI", "2.25.9");
            std::fs::write(study.join(format!("{series}-{z}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("written");
        }
    }
    let mut screen = opened(&study, folder);
    until(&mut screen, "the series is read", is_loaded);
    wish(&mut screen, [Command::ShowSeries(0)]);
    until(&mut screen, "the series is read", is_loaded);
    screen
}

/// The window with what lies under a path, where nothing is analysed by itself.
fn opened(path: &Path, folder: &Path) -> Screen {
    let settings = Settings { auto_analyse: false, model: Some("nano".into()), ..Settings::default() };
    window_with(SIZE, Start { paths: vec![path.to_owned()], ..Start::default() }, folder, &settings)
}

fn layout(state: &AppState) -> Layout {
    state.settings.layout
}

/// Which way the coronal plane looks round the patient, seen from the feet; whole degrees.
fn coronal_turn(state: &AppState) -> i64 {
    let normal = active(state).planes.as_ref().expect("planes").normal(Plane::Coronal);
    normal.y.atan2(normal.x).to_degrees().round() as i64
}

#[track_caller]
fn turns(screen: &mut Screen, key: &Press, by_deg: i64) {
    wish(screen, [Command::SetLayout(Layout::Three), Command::StandUp, Command::FocusPane(Pane::Slices)]);
    key.changes(screen, coronal_turn, |deg| deg + by_deg);
    screen.get_by_label_contains("Plane, coronal, oblique");
}

/// From one pane with the slices, or with another plane where they are to be shown.
#[track_caller]
fn shows(screen: &mut Screen, key: &Press, pane: Pane, label: &str) {
    wish(screen, [Command::SetLayout(Layout::One), Command::StandUp]);
    if pane == Pane::Slices {
        wish(screen, [Command::ShowPlane(Plane::Sagittal)]);
    }
    assert!(screen.query_by_label_contains(label).is_none());
    key.changes(screen, AppState::focused_pane, |_| pane);
    screen.get_by_label_contains(label);
}

const PLANES: &[(&str, Check)] = &[
    ("three-planes", |screen, key| {
        wish(screen, [Command::SetLayout(Layout::One)]);
        key.changes(screen, layout, |_| Layout::Three);
        screen.get_by_label_contains("Plane, coronal at y");
        key.changes(screen, layout, |_| Layout::One);
    }),
    ("four-panes", |screen, key| {
        wish(screen, [Command::SetLayout(Layout::One)]);
        key.changes(screen, layout, |_| Layout::Four);
        screen.get_by_label("Place");
    }),
    ("axial", |screen, key| shows(screen, key, Pane::Slices, "Image, slice")),
    ("sagittal", |screen, key| shows(screen, key, Pane::Across(Plane::Sagittal), "Plane, sagittal at x")),
    ("coronal", |screen, key| shows(screen, key, Pane::Across(Plane::Coronal), "Plane, coronal at y")),
    ("turn-left", |screen, key| turns(screen, key, -1)),
    ("turn-right", |screen, key| turns(screen, key, 1)),
    ("turn-left-more", |screen, key| turns(screen, key, -5)),
    ("turn-right-more", |screen, key| turns(screen, key, 5)),
    ("upright", |screen, key| {
        wish(screen, [Command::SetLayout(Layout::Three), Command::TurnBy(5.0)]);
        key.changes(screen, |state| active(state).planes.as_ref().expect("planes").any_turned(), |_| false);
    }),
    ("curved", |screen, key| {
        let is_bent = |state: &AppState| active(state).planes.as_ref().expect("planes").is_bent(Plane::Coronal);
        wish(screen, [Command::SetLayout(Layout::Three), Command::ShowPlane(Plane::Coronal)]);
        assert!(!is_bent(screen.state().state()));
        key.press(screen);
        until(screen, "a curved plane", |app| is_bent(app.state()));
        key.changes(screen, is_bent, |_| false);
    }),
    ("lines", |screen, key| key.toggles(screen, |state| state.lines_on)),
    ("reformat", |screen, key| {
        wish(screen, [Command::DismissNotices]);
        key.changes(screen, |state| state.notices.len(), |_| 1);
        let state = screen.state().state();
        assert!(state.notices[0].text.contains("axial within 0 degrees already"), "{:?}", state.notices);
    }),
    ("thinner-slab", |screen, key| thickens(screen, key, 1.0)),
    ("thicker-slab", |screen, key| thickens(screen, key, 3.0)),
    ("slab-projection", |screen, key| {
        for plane in [Plane::Axial, Plane::Coronal] {
            wish(screen, [Command::ResetView, Command::ShowPlane(plane), Command::StepSlab(2)]);
            for next in [Projection::Mip, Projection::MinIp, Projection::Mean] {
                key.changes(screen, |state| slab_of(state, plane).projection, |_| next);
            }
        }
    }),
];

fn slab_of(state: &AppState, plane: Plane) -> Slab {
    active(state).planes.as_ref().expect("planes").slab_of(plane, state.slab)
}

/// From 2 mm, the slices' own plane and those across apart from each other.
#[track_caller]
fn thickens(screen: &mut Screen, key: &Press, to_mm: f64) {
    for (plane, other) in [(Plane::Axial, Plane::Coronal), (Plane::Coronal, Plane::Axial)] {
        wish(screen, [Command::StandUp, Command::ResetView, Command::ShowPlane(plane), Command::StepSlab(2)]);
        let thick = |state: &AppState| [plane, other].map(|plane| slab_of(state, plane).thickness_mm);
        key.changes(screen, thick, |_| [to_mm, 0.0]);
    }
}

#[test]
fn keys_show_turn_and_thicken_the_planes() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    press_all(&mut screen, "Planes", |_| true);
}

#[track_caller]
fn looks_from(screen: &mut Screen, key: &Press, side: Side) {
    let other = if side == Side::Left { Side::Right } else { Side::Left };
    wish(screen, [Command::Surface(SurfaceCommand::Look(other))]);
    key.changes(screen, |state| active(state).surface.view.side(), |_| Some(side));
    let said = format!("Bone surface from 250 HU, seen from the patient's {}", side.name().to_lowercase());
    screen.get_by_label(&said);
}

const BONE: &[(&str, Check)] = &[
    ("bone-front", |screen, key| looks_from(screen, key, Side::Front)),
    ("bone-left", |screen, key| looks_from(screen, key, Side::Left)),
    ("bone-right", |screen, key| looks_from(screen, key, Side::Right)),
    ("bone-back", |screen, key| looks_from(screen, key, Side::Back)),
    ("bone-top", |screen, key| looks_from(screen, key, Side::Top)),
];

#[test]
fn keys_look_at_the_bone_from_each_side() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    wish(&mut screen, [Command::SetLayout(Layout::Four)]);
    until(&mut screen, "the bone is there", |app| app.state().surface_draw().is_some());
    press_all(&mut screen, "Bone (fourth pane)", |_| true);
}

/// A window that no key sets.
const ODD: Window = Window::linear(123.0, 777.0);

fn window_of(state: &AppState) -> Window {
    active(state).window.clone()
}

#[track_caller]
fn sets(screen: &mut Screen, key: &Press, window: Window) {
    wish(screen, [Command::SetWindow(ODD)]);
    key.changes(screen, window_of, |_| window.clone());
}

/// All values of the slice on the screen.
fn whole_range(state: &AppState) -> Window {
    let [low, high] = active(state).slice().and_then(|slice| slice.min_max()).expect("a slice with values");
    Window::covering(f64::from(low), f64::from(high))
}

const WINDOW: &[(&str, Check)] = &[
    ("window-1", |screen, key| sets(screen, key, Window::linear(80.0, 300.0))),
    ("window-2", |screen, key| sets(screen, key, Window::linear(500.0, 1800.0))),
    ("window-3", |screen, key| sets(screen, key, Window::linear(400.0, 650.0))),
    ("window-4", |screen, key| sets(screen, key, Window::linear(40.0, 400.0))),
    ("window-5", |screen, key| sets(screen, key, Window::linear(-600.0, 1500.0))),
    ("window-6", |screen, key| sets(screen, key, Window::linear(40.0, 80.0))),
    ("window-7", |screen, key| sets(screen, key, Window::linear(480.0, 2500.0))),
    ("window-8", |screen, key| sets(screen, key, Window::linear(50.0, 350.0))),
    ("window-9", |screen, key| {
        let own = Window::linear(-5.0, 234.0);
        wish(screen, [Command::SetWindow(own.clone()), Command::StoreUserWindow]);
        sets(screen, key, own);
    }),
    ("store-window", |screen, key| {
        wish(screen, [Command::SetWindow(ODD)]);
        key.changes(screen, |state| state.settings.user_windows.first().map(|own| own.window.clone()), |_| Some(ODD));
    }),
    ("full-range", |screen, key| {
        let all = whole_range(screen.state().state());
        sets(screen, key, all);
    }),
    ("file-window", |screen, key| {
        let state = screen.state().state();
        let of_file = active(state).series.file_windows.first().cloned();
        let expected = of_file.unwrap_or_else(|| whole_range(state));
        sets(screen, key, expected);
    }),
    ("invert", |screen, key| key.toggles(screen, |state| active(state).invert)),
];

#[test]
fn keys_set_the_window() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    press_all(&mut screen, "Window", |_| true);
}

const VIEW: &[(&str, Check)] = &[
    ("reset-view", |screen, key| {
        wish(screen, [Command::Invert, Command::FlipHorizontal, Command::Preset(1), Command::StepSlab(1)]);
        let seen = |state: &AppState| {
            let active = active(state);
            (active.invert, active.view, active.window.preset_name(), slab_of(state, Plane::Axial).thickness_mm)
        };
        key.changes(screen, seen, |_| (false, ViewState::default(), Some("bone"), 0.0));
    }),
    ("actual-pixels", |screen, key| {
        let image = screen.get_by_label_contains("Image, slice").rect();
        let per_point = screen.ctx.pixels_per_point();
        key.press(screen);
        let active = active(screen.state().state());
        let resolved = active.view.resolve(
            active.image_shape(),
            f64::from((image.width() * per_point).round()),
            f64::from((image.height() * per_point).round()),
        );
        let per_x = resolved.expect("an area").pixel_from_screen.column_per_x;
        assert!((per_x - 1.0).abs() < 1e-6, "{per_x}");
        wish(screen, [Command::ResetView]);
    }),
    ("interpolation", |screen, key| {
        let now = |screen: &Screen| screen.state().state().settings.interpolation;
        let first = now(screen);
        let seen: Vec<Interpolation> = (0..4)
            .map(|_| {
                key.press(screen);
                now(screen)
            })
            .collect();
        assert_eq!(seen.last(), Some(&first), "all of them and back");
        assert!(Interpolation::ALL.iter().all(|each| seen.contains(each)));
    }),
    ("flip-horizontal", |screen, key| key.toggles(screen, |state| active(state).view.flip_horizontal)),
    ("flip-vertical", |screen, key| key.toggles(screen, |state| active(state).view.flip_vertical)),
    ("tool-window", |screen, key| key.takes(screen, Tool::Window)),
    ("tool-zoom", |screen, key| key.takes(screen, Tool::Zoom)),
    ("tool-pan", |screen, key| key.takes(screen, Tool::Pan)),
    ("tool-scroll", |screen, key| key.takes(screen, Tool::Scroll)),
    ("tool-crosshair", |screen, key| key.takes(screen, Tool::Crosshair)),
    ("magnifier", magnifies_while_held),
    ("image-text", |screen, key| {
        for next in [OverlayDensity::Minimal, OverlayDensity::None, OverlayDensity::Full] {
            key.changes(screen, |state| state.settings.overlay, |_| next);
        }
    }),
    ("series-panel", |screen, key| key.toggles(screen, |state| state.settings.show_series)),
    ("findings-panel", |screen, key| {
        key.changes(screen, |state| state.settings.show_findings, |_| false);
        assert!(screen.query_by_label("Analyse").is_none(), "the panel is gone");
        key.changes(screen, |state| state.settings.show_findings, |_| true);
        screen.get_by_label("Analyse");
    }),
    ("full-screen", |screen, key| key.toggles(screen, |state| state.fullscreen)),
    ("larger", |screen, key| {
        wish(screen, [Command::StepScale(0)]);
        key.changes(screen, |state| state.settings.scale_percent, |_| 110);
        assert!((screen.ctx.zoom_factor() - 1.1).abs() < 1e-6, "{}", screen.ctx.zoom_factor());
    }),
    ("smaller", |screen, key| {
        wish(screen, [Command::StepScale(0), Command::StepScale(2)]);
        key.changes(screen, |state| state.settings.scale_percent, |_| 110);
    }),
    ("normal-size", |screen, key| {
        wish(screen, [Command::StepScale(3)]);
        key.changes(screen, |state| state.settings.scale_percent, |_| 100);
    }),
];

/// The lens has no widget of its own; its frame is among what the window draws.
fn lens_is_drawn(screen: &Screen) -> bool {
    const SIDE: f32 = 230.0;
    let is_frame = |shape: &Shape| match shape {
        Shape::Rect(rect) => (rect.rect.size() - egui::vec2(SIDE, SIDE)).length() < 2.0 && rect.stroke.width > 0.0,
        _ => false,
    };
    screen.output().shapes.iter().any(|clipped| is_frame(&clipped.shape))
}

fn magnifies_while_held(screen: &mut Screen, key: &Press) {
    let (_, key) = key_of(key.key);
    let middle = screen.get_by_label_contains("Image, slice").rect().center();
    screen.hover_at(middle);
    screen.run_steps(2);
    assert!(!lens_is_drawn(screen));
    screen.key_down(key);
    screen.run_steps(3);
    assert!(lens_is_drawn(screen), "as long as the key is held");
    screen.key_up(key);
    screen.run_steps(2);
    assert!(!lens_is_drawn(screen), "gone with the key");
}

#[test]
fn keys_change_the_view_the_tool_and_the_panels() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    press_all(&mut screen, "View", |_| true);
}

/// So many pins lie on the slice, drawn one after the other and the last selected; nothing else is there.
fn pins(screen: &mut Screen, count: usize) {
    wish(screen, [Command::Measure(MeasureCommand::Clear), Command::SetTool(Tool::Measure(Kind::Pin))]);
    let PatientPoint(middle) = active(screen.state().state()).planes.as_ref().expect("planes").crosshair;
    for pin in 0..count {
        let aside = dens::geometry::Vec3::new(pin as f64 * 5.0, 0.0, 0.0);
        let (pane, at) = (Pane::Slices, PatientPoint(middle + aside));
        wish(screen, [Command::Measure(MeasureCommand::Place { pane, at })]);
    }
}

fn drawn(state: &AppState) -> usize {
    active(state).measures.sheet.measurements().len()
}

fn selected(state: &AppState) -> Option<usize> {
    let sheet = &active(state).measures.sheet;
    sheet.measurements().iter().position(|m| Some(m.id) == sheet.selected)
}

fn handle(state: &AppState) -> Option<usize> {
    active(state).measures.chosen_handle()
}

const MEASURE: &[(&str, Check)] = &[
    ("length", |screen, key| key.takes(screen, Tool::Measure(Kind::Length))),
    ("angle", |screen, key| key.takes(screen, Tool::Measure(Kind::Angle))),
    ("cobb", |screen, key| key.takes(screen, Tool::Measure(Kind::Cobb))),
    ("ellipse", |screen, key| key.takes(screen, Tool::Measure(Kind::Ellipse))),
    ("rectangle", |screen, key| key.takes(screen, Tool::Measure(Kind::Rectangle))),
    ("pin", |screen, key| key.takes(screen, Tool::Measure(Kind::Pin))),
    ("arrow", |screen, key| key.takes(screen, Tool::Measure(Kind::Arrow))),
    ("vertebra", |screen, key| key.takes(screen, Tool::Measure(Kind::Vertebra))),
    ("window-region", |screen, key| key.takes(screen, Tool::WindowRegion)),
    ("draw-here", |screen, key| {
        pins(screen, 0);
        wish(screen, [Command::SetTool(Tool::Measure(Kind::Length))]);
        key.changes(screen, drawn, |_| 1);
        screen.get_by_label_contains("Measurement Length 1, 20.0 mm");
    }),
    ("next-handle", |screen, key| {
        pins(screen, 0);
        wish(screen, [Command::SetTool(Tool::Measure(Kind::Length)), Command::Measure(MeasureCommand::DrawHere)]);
        for next in [0, 1, 0] {
            key.changes(screen, handle, |_| Some(next));
        }
    }),
    ("previous-handle", |screen, key| {
        pins(screen, 0);
        wish(screen, [Command::SetTool(Tool::Measure(Kind::Length)), Command::Measure(MeasureCommand::DrawHere)]);
        for next in [1, 0, 1] {
            key.changes(screen, handle, |_| Some(next));
        }
    }),
    ("rename-measurement", |screen, key| {
        pins(screen, 1);
        let edited = |state: &AppState| active(state).measures.editing.is_some();
        key.changes(screen, edited, |_| true);
        screen.key_press(Key::Escape);
        screen.run_steps(3);
        assert!(!edited(screen.state().state()), "given up");
    }),
    ("previous-measurement", |screen, key| {
        pins(screen, 3);
        key.changes(screen, selected, |_| Some(1));
        key.changes(screen, selected, |_| Some(0));
    }),
    ("next-measurement", |screen, key| {
        pins(screen, 3);
        key.changes(screen, selected, |_| Some(0));
        key.changes(screen, selected, |_| Some(1));
    }),
    ("delete", |screen, key| {
        pins(screen, 2);
        key.changes(screen, drawn, |_| 1);
        assert!(screen.query_by_label_contains("Measurement HU pin 2, ").is_none());
        screen.get_by_label_contains("Measurement HU pin 1, ");
    }),
    ("undo", |screen, key| {
        pins(screen, 2);
        key.changes(screen, drawn, |_| 1);
    }),
    ("redo", |screen, key| {
        pins(screen, 2);
        wish(screen, [Command::Measure(MeasureCommand::Undo)]);
        key.changes(screen, drawn, |_| 2);
    }),
    ("key-slice", |screen, key| {
        wish(screen, [Command::Measure(MeasureCommand::Clear), Command::GoToSlice(7)]);
        let marked = |state: &AppState| active(state).is_key_slice(7);
        key.changes(screen, marked, |_| true);
        screen.get_by_label("key slice 8");
        key.changes(screen, marked, |_| false);
    }),
];

#[test]
fn keys_measure() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    press_all(&mut screen, "Measure", |_| true);
}

fn opacity_percent(state: &AppState) -> i32 {
    (state.settings.heatmap_opacity * 100.0).round() as i32
}

fn is_under_way(state: &AppState) -> bool {
    matches!(state.analysis, AnalysisState::Preparing(_) | AnalysisState::Running)
}

const NETWORK: &[(&str, Check)] = &[
    ("evidence", |screen, key| {
        wish(screen, [Command::SetLayout(Layout::One), Command::GoToSlice(0)]);
        let seen = |state: &AppState| (state.shows_evidence(), layout(state), slice(state));
        key.changes(screen, seen, |_| (true, Layout::Three, 10));
        screen.get_by_label("Back to the view before");
        key.changes(screen, seen, |_| (false, Layout::One, 10));
    }),
    ("heatmap", |screen, key| {
        wish(screen, [Command::GoToSlice(10)]);
        key.toggles(screen, |state| state.heatmap_on && state.heatmap_layer().is_some());
        peeks_while_held(screen, key);
    }),
    ("heatmap-style", |screen, key| {
        for next in ["cells", "outline", "smooth"] {
            key.changes(screen, |state| state.settings.heatmap_style.name(), |_| next);
        }
    }),
    ("occlusion", |screen, key| {
        wish(screen, [Command::GoToSlice(0)]);
        key.changes(screen, |state| (slice(state), state.occlusion_here().is_some()), |_| (10, true));
    }),
    ("heatmap-stronger", |screen, key| {
        wish(screen, [Command::SetHeatmapOpacity(0.3)]);
        key.changes(screen, opacity_percent, |_| 35);
    }),
    ("heatmap-weaker", |screen, key| {
        wish(screen, [Command::SetHeatmapOpacity(0.3)]);
        key.changes(screen, opacity_percent, |_| 25);
    }),
    ("heatmap-everywhere", |screen, key| {
        wish(screen, [Command::GoToSlice(0)]);
        key.toggles(screen, |state| state.settings.heatmap_everywhere && state.heatmap_layer().is_some());
    }),
    ("reference", |screen, key| {
        until(screen, "the reference is there", |app| active(app.state()).truth.is_some());
        key.toggles(screen, |state| state.truth().is_some());
    }),
    ("analyse", |screen, key| {
        key.changes(screen, is_under_way, |_| true);
        wish(screen, [Command::CancelAnalysis]);
        until(screen, "the end of the analysis", |app| !is_under_way(app.state()));
    }),
];

/// Held longer than a short press, the heatmap is there (or gone) only so long.
fn peeks_while_held(screen: &mut Screen, key: &Press) {
    let (_, key) = key_of(key.key);
    let shown = |screen: &Screen| screen.state().state().heatmap_layer().is_some();
    let before = shown(screen);
    screen.key_down(key);
    screen.run_steps(4);
    assert_eq!(shown(screen), !before, "while it is held");
    screen.key_up(key);
    screen.run_steps(2);
    assert_eq!(shown(screen), before, "as it was before");
}

#[test]
fn keys_show_what_the_network_looked_at() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    pretend_analysis(&mut screen);
    until(&mut screen, "the end of the analysis", |app| !is_under_way(app.state()));
    press_all(&mut screen, "Network", |_| true);
}

/// A study of the list is on the screen, blind first or not.
fn read_study(screen: &mut Screen, row: usize, blind: bool) {
    wish(screen, [Command::Worklist(WorklistCommand::Open(row))]);
    until(screen, "the study is read", is_loaded);
    if screen.state().state().settings.blind_first != blind {
        wish(screen, [Command::Reading(ReadingCommand::ToggleBlindFirst)]);
    }
}

#[track_caller]
fn answers(screen: &mut Screen, key: &Press, answer: Answer) {
    let other = if answer == Answer::Unsure { Reply::Yes } else { Reply::Unsure };
    read_study(screen, 0, true);
    wish(screen, [Command::Reading(ReadingCommand::Reply(other))]);
    key.changes(screen, |state| state.reading().and_then(|reading| reading.draft.answer), |_| Some(answer));
}

#[track_caller]
fn names_level(screen: &mut Screen, key: &Press, level: Option<Level>) {
    let other = if level == Some(Level::C1) { Level::C2 } else { Level::C1 };
    read_study(screen, 0, true);
    wish(screen, [Command::Reading(ReadingCommand::SetLevel(Some(other)))]);
    key.changes(screen, |state| state.reading().and_then(|reading| reading.draft.level), |_| level);
}

/// The key opens the sheet of an export, which Esc closes.
#[track_caller]
fn exports(screen: &mut Screen, key: &Press, kind: ExportKind, heading: &str) {
    key.changes(screen, |state| state.export.as_ref().map(|dialog| dialog.kind), |_| Some(kind));
    screen.get_by_label(heading);
    wish(screen, [Command::Escape]);
    assert!(screen.query_by_label(heading).is_none());
}

const READING: &[(&str, Check)] = &[
    ("worklist", |screen, key| {
        read_study(screen, 0, false);
        key.changes(screen, AppState::shows_worklist, |_| true);
        screen.get_by_label("Filter the worklist");
        key.changes(screen, AppState::shows_worklist, |_| false);
        screen.get_by_label_contains("Image, slice");
    }),
    ("next-study", |screen, key| {
        read_study(screen, 0, false);
        key.changes(screen, AppState::active_row, |_| Some(1));
    }),
    ("previous-study", |screen, key| {
        read_study(screen, 1, false);
        key.changes(screen, AppState::active_row, |_| Some(0));
    }),
    ("blind-first", |screen, key| {
        read_study(screen, 0, false);
        key.changes(screen, AppState::results_hidden, |_| true);
        screen.get_by_label("Your verdict, results hidden:");
        key.changes(screen, AppState::results_hidden, |_| false);
    }),
    ("verdict-yes", |screen, key| answers(screen, key, Answer::Finding)),
    ("verdict-unsure", |screen, key| answers(screen, key, Answer::Unsure)),
    ("verdict-no", |screen, key| answers(screen, key, Answer::NoFinding)),
    ("level-1", |screen, key| names_level(screen, key, Some(Level::C1))),
    ("level-2", |screen, key| names_level(screen, key, Some(Level::C2))),
    ("level-3", |screen, key| names_level(screen, key, Some(Level::C3))),
    ("level-4", |screen, key| names_level(screen, key, Some(Level::C4))),
    ("level-5", |screen, key| names_level(screen, key, Some(Level::C5))),
    ("level-6", |screen, key| names_level(screen, key, Some(Level::C6))),
    ("level-7", |screen, key| names_level(screen, key, Some(Level::C7))),
    ("level-8", |screen, key| names_level(screen, key, Some(Level::T1))),
    ("level-none", |screen, key| names_level(screen, key, None)),
    ("note", |screen, key| {
        read_study(screen, 0, true);
        assert!(!screen.get_by_label("Note").is_focused());
        key.press(screen);
        assert!(screen.get_by_label("Note").is_focused(), "the field has the keyboard");
        screen.key_press(Key::Escape);
        screen.run_steps(3);
        assert!(!screen.get_by_label("Note").is_focused() && !screen.state().state().shows_worklist());
    }),
    ("export-readings", |screen, key| exports(screen, key, ExportKind::Readings, "Export the worklist as CSV")),
];

#[test]
fn keys_read_one_study_after_the_other() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 2);
    let mut screen = opened(&images, folder.path());
    list_is_there(&mut screen);
    press_all(&mut screen, "Worklist and verdicts", |_| true);
}

fn list_is_there(screen: &mut Screen) {
    until(screen, "the list is there", |app| {
        app.state().shows_worklist() && app.state().worklist.rows.iter().all(|row| row.reading_read)
    });
}

/// The desktop's own dialog would open: the key has the action, and the action asks for the dialog.
#[track_caller]
fn asks_for(screen: &mut Screen, key: &Press, asks: fn(&Effect) -> bool) {
    let chord: Chord = key.key.parse().expect("a key");
    let action = screen.state().state().keymap.action(chord).expect("an action");
    assert_eq!(action.name, key.action);
    let Does::Command(command) = &action.does else { panic!("{}: no command", key.action) };
    let effects = AppState::new(Settings::default()).apply(command.clone());
    assert!(effects.iter().any(asks), "{}: {effects:?}", key.action);
}

const FILES: &[(&str, Check)] = &[
    ("add-folder", |screen, key| asks_for(screen, key, |effect| matches!(effect, Effect::PickFolder))),
    ("open-folder", |screen, key| asks_for(screen, key, |effect| matches!(effect, Effect::PickFolder))),
    ("open-file", |screen, key| asks_for(screen, key, |effect| matches!(effect, Effect::PickFile))),
    ("report", |screen, key| exports(screen, key, ExportKind::Report, "Export a report")),
    ("save-view", |screen, key| exports(screen, key, ExportKind::Picture, "Save the view as PNG")),
    ("save-panes", |screen, key| exports(screen, key, ExportKind::Panes, "Save all panes as PNG")),
    // The picture goes to the window system with a frame's output, which the tests' window keeps to itself.
    ("copy-view", |screen, key| {
        let copied = |app: &App| app.state().notices.iter().any(|n| n.text == "The picture is on the clipboard.");
        assert!(!copied(screen.state()));
        key.press(screen);
        until(screen, "the picture is copied", copied);
    }),
    ("attributes", |screen, key| key.toggles(screen, |state| state.attributes.open)),
    ("hide-identity", |screen, key| key.toggles(screen, |state| state.hide_identity)),
    ("settings", |screen, key| {
        key.changes(screen, |state| state.show_settings, |_| true);
        screen.get_by_label("Between pixels: linear");
        key.changes(screen, |state| state.show_settings, |_| false);
    }),
    ("help", |screen, key| {
        key.changes(screen, |state| state.show_help, |_| true);
        screen.get_by_label("Keys and mouse");
        key.changes(screen, |state| state.show_help, |_| false);
    }),
];

#[test]
fn keys_open_export_and_explain() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    press_all(&mut screen, "Files and window", |_| true);
}

/// Twelve studies, whose names and dates both order them otherwise than they were found.
fn twelve_studies(folder: &Path) -> std::path::PathBuf {
    let root = folder.join("studies");
    for study in 0..12_i16 {
        let name = format!("Name^{:02}", (study * 5) % 12);
        let date = format!("202001{:02}", 1 + (study * 7) % 12);
        let place = root.join(format!("{study:02}"));
        std::fs::create_dir_all(&place).expect("a folder");
        for z in 1..=3 {
            let mut dcm = Dcm::ct(z, f64::from(z));
            dcm.text((0x10, 0x10), "PN", &name)
                .text((0x10, 0x20), "LO", &format!("P{study}"))
                .text((0x08, 0x20), "DA", &date)
                .text((0x20, 0x0D), "UI", &format!("2.25.7{study}"))
                .text((0x20, 0x0E), "UI", &format!("2.25.8{study}"));
            std::fs::write(place.join(format!("{z}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("written");
        }
    }
    root
}

/// Place of the chosen study in the list.
fn place(state: &AppState) -> usize {
    state.rows_in_order().iter().position(|row| *row == state.worklist.cursor).expect("a row of the list")
}

fn put_at(screen: &mut Screen, place: i64) {
    let moves = [-1000, place].map(|by| Command::Worklist(WorklistCommand::MoveCursor(by)));
    wish(screen, moves);
}

#[track_caller]
fn sorts(screen: &mut Screen, key: &Press, by: SortBy, heading: &str) {
    let other = if by == SortBy::AsFound { SortBy::Name } else { SortBy::AsFound };
    wish(screen, [Command::Worklist(WorklistCommand::SortBy(other))]);
    let order = |state: &AppState| (state.worklist.sort, state.worklist.backwards);
    key.changes(screen, order, |_| (by, false));
    let state = screen.state().state();
    let onwards = state.rows_in_order();
    let dated = |row: usize| state.row_series(&state.worklist.rows[row]).expect("a series").study.date.clone();
    let texts: Vec<String> = match by {
        // Without results the order is that in which they were found.
        SortBy::AsFound | SortBy::Result => onwards.iter().map(|row| format!("{row:02}")).collect(),
        SortBy::Name => onwards.iter().map(|row| state.row_name(*row)).collect(),
        SortBy::Date => onwards.iter().map(|row| dated(*row)).collect(),
    };
    assert!(texts.is_sorted(), "{heading}: {texts:?}");
    // Studies are found in the order of their dates; without a result that order stays.
    assert_eq!(onwards.is_sorted(), by != SortBy::Name, "{heading}: {onwards:?}");
    key.changes(screen, order, |_| (by, true));
    let backwards: Vec<usize> = screen.state().state().rows_in_order().into_iter().rev().collect();
    assert_eq!(backwards, onwards, "{heading}: again is backwards");
    screen.get_by_label(heading);
}

/// The field that filters has the keyboard, and Esc gives it back.
#[track_caller]
fn filters(screen: &mut Screen, key: &Press) {
    assert!(!screen.get_by_label("Filter the worklist").is_focused());
    key.press(screen);
    assert!(screen.get_by_label("Filter the worklist").is_focused(), "{}", key.key);
    screen.key_press(Key::Escape);
    screen.run_steps(3);
    assert!(!screen.get_by_label("Filter the worklist").is_focused());
}

const IN_LIST: &[(&str, Check)] = &[
    ("Up", |screen, key| {
        put_at(screen, 5);
        key.changes(screen, place, |at| at - 1);
    }),
    ("Down", |screen, key| {
        put_at(screen, 5);
        key.changes(screen, place, |at| at + 1);
    }),
    ("PgUp", |screen, key| {
        put_at(screen, 11);
        key.changes(screen, place, |at| at - 10);
    }),
    ("PgDn", |screen, key| {
        put_at(screen, 0);
        key.changes(screen, place, |at| at + 10);
    }),
    ("Home", |screen, key| {
        put_at(screen, 5);
        key.changes(screen, place, |_| 0);
    }),
    ("End", |screen, key| {
        put_at(screen, 5);
        key.changes(screen, place, |_| 11);
    }),
    ("/", filters),
    ("Ctrl+F", filters),
    ("O", |screen, key| sorts(screen, key, SortBy::AsFound, "Sort by order as found")),
    ("N", |screen, key| sorts(screen, key, SortBy::Name, "Sort by patient")),
    ("D", |screen, key| sorts(screen, key, SortBy::Date, "Sort by study date")),
    ("R", |screen, key| sorts(screen, key, SortBy::Result, "Sort by case score")),
    ("P", |screen, key| key.toggles(screen, |state| state.worklist.paused)),
    ("Ctrl+E", |screen, key| exports(screen, key, ExportKind::Readings, "Export the worklist as CSV")),
    ("Enter", |screen, _| {
        wish(screen, [Command::Worklist(WorklistCommand::SortBy(SortBy::Name))]);
        put_at(screen, 3);
        let chosen = screen.state().state().rows_in_order()[3];
        screen.key_press(Key::Enter);
        until(screen, "the study is read", is_loaded);
        assert_eq!(screen.state().state().active_row(), Some(chosen));
        screen.get_by_label_contains("Image, slice");
        wish(screen, [Command::Worklist(WorklistCommand::Show)]);
    }),
    ("Esc", |screen, _| {
        wish(screen, [Command::Worklist(WorklistCommand::SetFilter("name".into()))]);
        let seen = |state: &AppState| (state.worklist.filter.is_empty(), state.shows_worklist());
        for expected in [(true, true), (true, false), (true, true)] {
            screen.key_press(Key::Escape);
            screen.run_steps(3);
            assert_eq!(seen(screen.state().state()), expected, "the filter, the list, and back to it");
        }
    }),
];

#[test]
fn keys_of_the_list_choose_sort_filter_and_leave() {
    let written: BTreeSet<&str> = LIST.iter().flat_map(|(keys, _)| keys.split(", ")).collect();
    assert_eq!(written, IN_LIST.iter().map(|(key, _)| *key).collect(), "each key of the list has a check");
    let folder = tempfile::tempdir().expect("folder");
    let studies = twelve_studies(folder.path());
    let mut screen = opened(&studies, folder.path());
    list_is_there(&mut screen);
    // In this order: Esc last, when a study is open to go back to.
    for (key, check) in IN_LIST {
        check(&mut screen, &Press { action: "in the list", key });
    }
}
