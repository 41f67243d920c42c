//! What the mouse does on pictures, in menus, panels and settings: by accessible label and state.

use std::path::Path;

use dens::app::{App, Start};
use dens::geometry::{Plane, Vec3};
use dens::measure::Kind;
use dens::state::{
    AnalysisState, AppState, BesideCommand, CineEnd, Command, DeviceSetting, ExportKind, OverlayDensity, Settings,
    ThemeSetting, Tool, Work,
};
use dens::view::planes::{Layout, Pane};
use dens::view::{HeatmapStyle, ImageShape, ViewState};
use egui::accesskit::Role;
use egui::{Event, Modifiers, PointerButton, Pos2, Rect, Vec2, vec2};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::keys::{Screen, active, two_series, wish};
use crate::ui::{click, current, demo, drag, is_loaded, pretend_analysis, until, window_with};
use crate::worklist::necks;

const SIZE: [f32; 2] = [1280.0, 800.0];

fn picture(screen: &Screen) -> Rect {
    screen.get_by_label_contains("Image, slice").rect()
}

fn view(screen: &Screen) -> ViewState {
    active(screen.state().state()).view
}

fn crosshair(screen: &Screen) -> Vec3 {
    active(screen.state().state()).planes.as_ref().expect("planes").crosshair.0
}

fn button(screen: &Screen, pos: Pos2, button: PointerButton, pressed: bool, modifiers: Modifiers) {
    screen.event(Event::PointerButton { pos, button, pressed, modifiers });
}

/// As [`drag`], with another button or with a key held.
fn drag_with(screen: &mut Screen, which: PointerButton, held: Modifiers, from: Pos2, by: Vec2) {
    screen.event(Event::ModifiersChanged(held));
    screen.hover_at(from);
    screen.run_steps(2);
    button(screen, from, which, true, held);
    screen.run_steps(1);
    for share in [0.4, 0.7, 1.0] {
        screen.hover_at(from + by * share);
        screen.run_steps(1);
    }
    button(screen, from + by, which, false, held);
    screen.run_steps(2);
    screen.event(Event::ModifiersChanged(Modifiers::NONE));
    screen.run_steps(1);
}

/// One notch of the wheel; away from the reader where `by` is 1.
fn notch(screen: &mut Screen, at: Pos2, by: f32, modifiers: Modifiers) {
    screen.hover_at(at);
    screen.run_steps(1);
    screen.event(Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 40.0 * by),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Trackpad,
        modifiers,
    });
    screen.run_steps(2);
}

/// Both clicks in one frame: a frame of the tests' window takes longer than a double click may.
fn double_click(screen: &mut Screen, at: Pos2) {
    screen.hover_at(at);
    screen.run_steps(3);
    let events = [true, false, true, false].map(|pressed| Event::PointerButton {
        pos: at,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    });
    screen.input_mut().events.extend(events);
    screen.run_steps(3);
}

fn right_click(screen: &mut Screen, at: Pos2) {
    screen.hover_at(at);
    screen.run_steps(2);
    for pressed in [true, false] {
        button(screen, at, PointerButton::Secondary, pressed, Modifiers::NONE);
        screen.run_steps(2);
    }
}

/// Clicks what is called so; through the accessibility tree, since it may lie below the edge of a list.
fn click_on(screen: &mut Screen, label: &str) {
    screen.get_by_label(label).click_accesskit();
    screen.run_steps(4);
}

fn second(screen: &Screen) -> (usize, usize) {
    let state = screen.state().state();
    (active(state).current, state.beside().expect("a second series").shown.current)
}

#[test]
fn a_second_series_is_chosen_scrolled_windowed_zoomed_and_closed_by_mouse() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = two_series(folder.path());
    click_on(&mut screen, "Beside");
    until(&mut screen, "the second series", |app| app.state().beside().is_some_and(|b| !b.is_loading()));
    let pane = screen.get_by_label_contains("Second series, slice").rect();
    assert!(picture(&screen).right() <= pane.left(), "side by side");
    assert!((picture(&screen).width() - pane.width()).abs() < 2.0, "in equal parts");
    let (first_before, second_before) = second(&screen);
    notch(&mut screen, pane.center(), -1.0, Modifiers::NONE);
    let (first, beside) = second(&screen);
    assert!(beside == second_before + 1 && first > first_before, "{first} {beside}: the wheel leads both");
    let over_first = picture(&screen).center();
    notch(&mut screen, over_first, 1.0, Modifiers::NONE);
    assert!(second(&screen).0 == first - 1, "and over the first it moves that one");

    // Windows belong to the one under the hand; zoom and place to both, at the same place of the patient.
    let window = active(screen.state().state()).window.clone();
    drag(&mut screen, pane.center(), vec2(40.0, 0.0));
    let shown = |screen: &Screen| screen.state().state().beside().expect("a second series").shown.window.clone();
    assert_eq!(active(screen.state().state()).window.clone(), window);
    assert!(shown(&screen).width > window.width);
    drag_with(&mut screen, PointerButton::Secondary, Modifiers::NONE, pane.center(), vec2(0.0, -50.0));
    assert!(near(view(&screen).zoom, 0.4_f64.exp()), "{:?}", view(&screen));
    drag_with(&mut screen, PointerButton::Middle, Modifiers::NONE, pane.center(), vec2(30.0, 10.0));
    assert!(view(&screen).pan[0] > 0.01, "{:?}", view(&screen));

    right_click(&mut screen, pane.center());
    choose(&mut screen, "soft-tissue 300/80", "1");
    assert_eq!(shown(&screen), dens::volume::Window::PRESETS[0].1);
    click_on(&mut screen, "Link of the two series: linked by place");
    screen.get_by_label("Link of the two series: not linked");
    click_on(&mut screen, "Swap the two series");
    assert_eq!(active(screen.state().state()).index, 1);
    click_on(&mut screen, "Close the second series");
    assert!(screen.query_by_label_contains("Second series, slice").is_none());
}

#[test]
fn beside_several_panes_the_second_series_fills_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = two_series(folder.path());
    click_on(&mut screen, "Beside");
    until(&mut screen, "the second series", |app| app.state().beside().is_some_and(|b| !b.is_loading()));
    for layout in [Layout::One, Layout::Three, Layout::Four] {
        wish(&mut screen, [Command::SetLayout(layout), Command::ResetView]);
        until(&mut screen, "planes", |app| active(app.state()).planes.is_some());
        let pane = screen.get_by_label_contains("Second series, slice").rect();
        let edge = f64::from(pane.width().min(pane.height()));
        drag_with(&mut screen, PointerButton::Middle, Modifiers::NONE, pane.center(), vec2(60.0, 0.0));
        let moved = view(&screen).pan[0] * edge;
        assert!((moved - 60.0).abs() < 5.0, "{layout:?}: {moved} of an image as large as the pane");
    }
}

#[test]
fn all_panes_are_saved_as_they_stand_on_the_screen() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = two_series(folder.path());
    wish(&mut screen, [Command::Beside(BesideCommand::Open(1)), Command::SetLayout(Layout::Three)]);
    until(&mut screen, "the second series", |app| app.state().beside().is_some_and(|b| !b.is_loading()));
    let last = screen.get_by_label_contains("Second series, slice").rect();
    let width = last.right() - picture(&screen).left();
    let png = folder.path().join("panes.png");
    wish(&mut screen, [Command::BeginExport(ExportKind::Panes), Command::SetExportPath(png.display().to_string())]);
    wish(&mut screen, [Command::ConfirmExport]);
    until(&mut screen, "written", |app| app.state().export.is_none());
    let picture = image::open(&png).expect("a picture").to_rgb8();
    assert!((f64::from(picture.width()) - f64::from(width)).abs() <= 2.0, "{} {width}", picture.width());
    // Each of the four has something in it, and the gap between the two series nothing.
    let lit = |x0: f64, x1: f64, y0: f64, y1: f64| {
        let at = |share: f64, n: u32| (share * f64::from(n)) as u32;
        let (w, h) = picture.dimensions();
        (at(x0, w)..at(x1, w)).any(|x| (at(y0, h)..at(y1, h)).any(|y| picture.get_pixel(x, y).0 != [0, 0, 0]))
    };
    assert!(
        lit(0.0, 0.25, 0.2, 0.8) && lit(0.25, 0.5, 0.1, 0.4) && lit(0.25, 0.5, 0.6, 0.9) && lit(0.5, 1.0, 0.2, 0.8)
    );
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.02
}

#[test]
fn a_drag_with_the_right_button_and_the_wheel_with_ctrl_zoom() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let (middle, slice) = (picture(&screen).center(), current(&screen));
    assert_eq!(view(&screen), ViewState::default());
    drag_with(&mut screen, PointerButton::Secondary, Modifiers::NONE, middle, vec2(0.0, -50.0));
    // 0.8 % per point upwards.
    assert!(near(view(&screen).zoom, 0.4_f64.exp()), "{:?}", view(&screen));
    assert!(screen.query_by_label_contains("Flip left and right").is_none(), "a drag opens no menu");
    drag_with(&mut screen, PointerButton::Secondary, Modifiers::NONE, middle, vec2(0.0, 50.0));
    assert!(near(view(&screen).zoom, 1.0), "{:?}", view(&screen));

    notch(&mut screen, middle, 1.0, Modifiers::COMMAND);
    assert!(near(view(&screen).zoom, 0.15_f64.exp()), "{:?}", view(&screen));
    notch(&mut screen, middle, -1.0, Modifiers::CTRL | Modifiers::COMMAND);
    assert!(near(view(&screen).zoom, 1.0), "{:?}", view(&screen));
    assert_eq!(current(&screen), slice, "no slice was left");

    wish(&mut screen, [Command::SetTool(Tool::Zoom)]);
    drag(&mut screen, middle, vec2(0.0, -50.0));
    assert!(near(view(&screen).zoom, 0.4_f64.exp()), "{:?}", view(&screen));
}

#[test]
fn the_middle_button_shift_and_the_tool_pan() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let middle = picture(&screen).center();
    let window = active(screen.state().state()).window.clone();
    let pan = |screen: &Screen| view(screen).pan;
    let (by, mut panned) = (vec2(60.0, 30.0), [0.0, 0.0]);
    for (which, held, tool) in [
        (PointerButton::Middle, Modifiers::NONE, Tool::Window),
        (PointerButton::Primary, Modifiers::SHIFT, Tool::Window),
        (PointerButton::Primary, Modifiers::NONE, Tool::Pan),
    ] {
        wish(&mut screen, [Command::SetTool(tool)]);
        drag_with(&mut screen, which, held, middle, by);
        let moved = [0, 1].map(|axis| pan(&screen)[axis] - panned[axis]);
        // The pan is in shares of the picture, which fills the pane's height; pixels are square.
        let share = f64::from(by.y / picture(&screen).height());
        assert!((moved[1] - share).abs() < 0.01, "{which:?} {held:?} {tool:?}: {moved:?}, {share} down");
        assert!((moved[0] - 2.0 * moved[1]).abs() < 0.02, "{which:?} {held:?} {tool:?}: {moved:?}");
        panned = pan(&screen);
    }
    assert_eq!((active(screen.state().state()).window.clone(), view(&screen).zoom), (window, 1.0));
}

#[test]
fn a_drag_with_alt_and_the_tool_scroll_and_shift_makes_the_wheel_faster() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let (middle, height) = (picture(&screen).center(), picture(&screen).height());
    let slices = active(screen.state().state()).slice_count();
    let points_per_slice = (height / slices as f32).clamp(2.0, 12.0);
    let by = vec2(0.0, points_per_slice * 6.5);
    let window = active(screen.state().state()).window.clone();
    wish(&mut screen, [Command::GoToSlice(10)]);
    drag_with(&mut screen, PointerButton::Primary, Modifiers::ALT, middle, by);
    assert_eq!(current(&screen), 16);
    drag_with(&mut screen, PointerButton::Primary, Modifiers::ALT, middle, -by);
    assert_eq!(current(&screen), 10);
    wish(&mut screen, [Command::SetTool(Tool::Scroll)]);
    drag(&mut screen, middle, by);
    assert_eq!((current(&screen), active(screen.state().state()).window.clone()), (16, window));

    notch(&mut screen, middle, -1.0, Modifiers::NONE);
    assert_eq!(current(&screen), 17);
    notch(&mut screen, middle, -1.0, Modifiers::SHIFT);
    assert_eq!(current(&screen), 22);
    notch(&mut screen, middle, 1.0, Modifiers::SHIFT);
    assert_eq!((current(&screen), view(&screen).zoom), (17, 1.0));
}

#[test]
fn a_double_click_maximises_a_pane_and_leads_back() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    wish(&mut screen, [Command::SetLayout(Layout::Three)]);
    let layout = |screen: &Screen| screen.state().state().settings.layout;
    let sagittal = screen.get_by_label_contains("Plane, sagittal").rect();
    double_click(&mut screen, sagittal.center() + vec2(40.0, 30.0));
    assert_eq!(layout(&screen), Layout::One);
    assert_eq!(screen.state().state().focused_pane(), Pane::Across(Plane::Sagittal));
    let whole = screen.get_by_label_contains("Plane, sagittal").rect();
    assert!(whole.width() > sagittal.width() * 1.8 && screen.query_by_label_contains("Image, slice").is_none());
    double_click(&mut screen, whole.center() + vec2(40.0, 30.0));
    assert_eq!(layout(&screen), Layout::Three);
    screen.get_by_label_contains("Image, slice");

    // With one pane: fits a view that was moved, then folds the panels, then unfolds them.
    wish(&mut screen, [Command::SetLayout(Layout::One)]);
    let middle = picture(&screen).center();
    notch(&mut screen, middle, 1.0, Modifiers::COMMAND);
    assert!(view(&screen).zoom > 1.1);
    double_click(&mut screen, middle);
    assert_eq!((view(&screen), layout(&screen)), (ViewState::default(), Layout::One));
    for shown in [false, true] {
        let middle = picture(&screen).center();
        double_click(&mut screen, middle);
        assert_eq!(screen.state().state().settings.show_findings, shown);
        assert_eq!(screen.query_by_label("Analyse").is_some(), shown);
    }
}

#[test]
fn a_line_is_dragged_to_move_its_plane_and_the_crossing_to_move_both() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    wish(&mut screen, [Command::SetLayout(Layout::Three)]);
    let pane = screen.get_by_label_contains("Plane, coronal").rect();
    let at = pane.center();
    click(&mut screen, at);
    let (before, window) = (crosshair(&screen), active(screen.state().state()).window.clone());
    // The sagittal plane's line stands upright through the crosshair.
    let on_line = at - vec2(0.0, pane.height() * 0.15);
    drag(&mut screen, on_line, vec2(30.0, 0.0));
    let aside = crosshair(&screen);
    assert!(aside.x > before.x + 2.0, "towards the patient's left: {before:?} to {aside:?}");
    assert_eq!((aside.y, aside.z), (before.y, before.z));
    screen.get_by_label(&format!("Plane, sagittal at x {:.1} mm", aside.x));
    // Where the lines cross both are held.
    drag(&mut screen, at + vec2(30.0, 0.0), vec2(-30.0, 40.0));
    let both = crosshair(&screen);
    assert!((both.x - before.x).abs() < 1.0 && both.z < before.z - 3.0 && both.y == before.y, "{before:?} to {both:?}");
    // The crosshair as a tool goes where the pointer is, on a line or not.
    wish(&mut screen, [Command::SetTool(Tool::Crosshair)]);
    drag(&mut screen, at + vec2(60.0, -50.0), vec2(20.0, -20.0));
    let there = crosshair(&screen);
    assert!(there.x > before.x + 5.0 && there.z > before.z + 5.0 && there.y == before.y, "{before:?} to {there:?}");
    assert_eq!(active(screen.state().state()).window.clone(), window);
}

/// The entry of an open menu that is written so, with or without its key behind it; the bar at the top may have a button
/// of that name too.
fn choose(screen: &mut Screen, entry: &str, key: &str) {
    const BAR: f32 = 40.0;
    let written = [entry.to_owned(), format!("{entry} {key}")];
    let buttons = screen.query_all_by_role(Role::Button);
    let named = buttons.filter(|node| node.accesskit_node().label().is_some_and(|label| written.contains(&label)));
    let found: Vec<Pos2> = named.map(|node| node.rect().center()).filter(|at| at.y > BAR).collect();
    let [at] = found.as_slice() else { panic!("{entry}: {} entries of that name", found.len()) };
    click(screen, *at);
    screen.run_steps(2);
}

#[test]
fn the_menu_of_tools_gives_each_tool_to_the_left_button() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    for (entry, key, tool) in [
        ("window from a region", "Shift+W", Tool::WindowRegion),
        ("window", "W", Tool::Window),
        ("zoom", "Z", Tool::Zoom),
        ("pan", "T", Tool::Pan),
        ("scroll", "S", Tool::Scroll),
        ("crosshair", "X", Tool::Crosshair),
        ("length", "D", Tool::Measure(Kind::Length)),
        ("angle", "A", Tool::Measure(Kind::Angle)),
        ("Cobb angle", "Shift+A", Tool::Measure(Kind::Cobb)),
        ("ellipse", "Shift+E", Tool::Measure(Kind::Ellipse)),
        ("rectangle", "Shift+R", Tool::Measure(Kind::Rectangle)),
        ("HU pin", "P", Tool::Measure(Kind::Pin)),
        ("text arrow", "Shift+T", Tool::Measure(Kind::Arrow)),
        ("vertebra", "Shift+K", Tool::Measure(Kind::Vertebra)),
    ] {
        assert_ne!(screen.state().state().tool, tool, "{entry}");
        screen.get_by_label("Tool").click();
        screen.run_steps(3);
        choose(&mut screen, entry, key);
        assert_eq!(screen.state().state().tool, tool, "{entry}");
    }
}

/// An entry of the menu of a right click, its key, and what is to be seen once it was chosen.
type Entry = (&'static str, &'static str, fn(&AppState) -> bool);

const ENTRIES: &[Entry] = &[
    ("soft-tissue 300/80", "1", |state| active(state).window.preset_name() == Some("soft-tissue")),
    ("bone 1800/500", "2", |state| active(state).window.preset_name() == Some("bone")),
    ("gross-bone 650/400", "3", |state| active(state).window.preset_name() == Some("gross-bone")),
    ("Invert", "I", |state| active(state).invert),
    ("Flip left and right", "H", |state| active(state).view.flip_horizontal),
    ("Flip up and down", "V", |state| active(state).view.flip_vertical),
    ("Reset view", "R", |state| {
        let active = active(state);
        !active.invert && active.view == ViewState::default() && active.window.preset_name() == Some("bone")
    }),
    ("Planes upright", "Ctrl+U", |state| active(state).planes.as_ref().is_some_and(|planes| !planes.any_turned())),
    ("Text on the image", "O", |state| state.settings.overlay == OverlayDensity::Minimal),
    ("From peak to evidence, and back", "E", |state| {
        state.notices.iter().any(|notice| notice.text.contains("has not been run"))
    }),
    ("Length", "D", |state| state.tool == Tool::Measure(Kind::Length)),
    ("Angle", "A", |state| state.tool == Tool::Measure(Kind::Angle)),
    ("Ellipse", "Shift+E", |state| state.tool == Tool::Measure(Kind::Ellipse)),
    ("Mark as key slice", "K", |state| active(state).is_key_slice(active(state).current)),
    ("Cine begins at this slice", "Alt+Home", |state| active(state).cine_range.is_set(CineEnd::First)),
    ("Cine ends at this slice", "Alt+End", |state| active(state).cine_range.is_set(CineEnd::Last)),
    ("Copy the view", "Ctrl+C", |state| {
        state.notices.iter().any(|notice| notice.text == "The picture is on the clipboard.")
    }),
    ("Hide heatmap", "F", |state| !state.heatmap_on),
    ("Show heatmap", "F", |state| state.heatmap_on),
    ("Save the view as PNG", "Ctrl+Shift+S", |state| {
        state.export.as_ref().is_some_and(|dialog| dialog.kind == ExportKind::Picture)
    }),
    ("Save all panes as PNG", "Ctrl+Alt+S", |state| {
        state.export.as_ref().is_some_and(|dialog| dialog.kind == ExportKind::Panes)
    }),
    ("Report", "Ctrl+E", |state| state.export.as_ref().is_some_and(|dialog| dialog.kind == ExportKind::Report)),
    ("DICOM attributes", "Ctrl+T", |state| state.attributes.open),
];

#[test]
fn each_entry_of_the_menu_on_the_picture_does_what_it_says() {
    let folder = tempfile::tempdir().expect("folder");
    // High enough for the whole menu.
    let mut screen = demo([1280.0, 1000.0], folder.path());
    // Buttons of the panel at the right and of the bar at the top have names like those of entries.
    wish(&mut screen, [Command::TogglePanel(dens::state::PanelSide::Findings)]);
    for (entry, key, seen) in ENTRIES {
        if *entry == "Planes upright" {
            wish(&mut screen, [Command::TurnBy(5.0)]);
        }
        assert!(!seen(screen.state().state()), "{entry}: nothing would change");
        let pane = screen.query_by_label_contains("Image, slice");
        let pane = pane.unwrap_or_else(|| screen.get_by_label_contains("Plane, axial")).rect();
        right_click(&mut screen, pane.center() - vec2(100.0, 300.0));
        choose(&mut screen, entry, key);
        until(&mut screen, entry, |app| seen(app.state()));
        wish(&mut screen, [Command::Escape]);
    }
}

#[test]
fn what_stands_between_pixels_is_chosen_in_the_settings_and_said_on_the_picture() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1100.0], folder.path());
    for (name, badge) in [
        ("cubic, sharp", "interpolated, cubic. Enlarged"),
        ("cubic, smooth", "smoothed, cubic. Enlarged"),
        ("squares", "exact. Enlarged"),
        ("linear", "interpolated. Enlarged"),
    ] {
        wish(&mut screen, [Command::ToggleSettings]);
        screen.get_by_label(&format!("Between pixels: {name}")).click_accesskit();
        screen.run_steps(3);
        assert_eq!(screen.state().state().settings.interpolation.name(), name);
        wish(&mut screen, [Command::ToggleSettings]);
        screen.get_by_label_contains(&format!("Shown, slices: {badge}"));
    }
}

fn bent(screen: &Screen, plane: Plane) -> Option<dens::geometry::Bent> {
    active(screen.state().state()).planes.as_ref().expect("planes").bent(plane)
}

#[test]
fn a_plane_curves_along_the_canal_and_its_line_is_bent_by_its_points() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1400.0, 900.0], folder.path());
    wish(&mut screen, [Command::SetLayout(Layout::Three)]);
    let pane = screen.get_by_label_contains("Plane, coronal at y").rect();
    right_click(&mut screen, pane.center());
    choose(&mut screen, "Curved along the spinal canal, or flat", "Shift+C");
    until(&mut screen, "a curve", |app| active(app.state()).planes.as_ref().expect("planes").is_bent(Plane::Coronal));
    screen.run_steps(3);
    screen.get_by_label_contains("Plane, coronal along a curve, ");
    screen.get_by_label_contains("Shown, coronal: interpolated, curved, unrolled.");
    // A click on the curved picture brings the crosshair there, on the surface.
    let shift_mm = bent(&screen, Plane::Coronal).expect("bent").shift_mm;
    click(&mut screen, pane.center() + vec2(10.0, 25.0));
    let planes = active(screen.state().state()).planes.as_ref().expect("planes");
    assert!((bent(&screen, Plane::Coronal).expect("bent").shift_mm - shift_mm).abs() < 1e-3, "it stays on the surface");
    // In the sagittal plane its line is a curve with points that a hand can move.
    let side = screen.get_by_label_contains("Plane, sagittal at x").rect();
    let (_, knot) = {
        let grid = planes.grid(Plane::Sagittal).expect("a grid");
        let shape = ImageShape { rows: grid.rows, columns: grid.columns, spacing: [grid.spacing_mm; 2] };
        let view = planes.view(Plane::Sagittal).resolve(shape, f64::from(side.width()), f64::from(side.height()));
        let knots = planes.knots(Plane::Coronal);
        let knot = knots[knots.len() / 2];
        let (x, y) = view.expect("an area").pixel_from_screen.screen(grid.pixel_from_patient(knot));
        (knot, side.min + vec2(x as f32, y as f32))
    };
    drag(&mut screen, knot, vec2(30.0, 0.0));
    let planes = active(screen.state().state()).planes.as_ref().expect("planes");
    assert_eq!(planes.bent_along(Plane::Coronal), Some(dens::geometry::PathOrigin::Reader));
    assert!((bent(&screen, Plane::Coronal).expect("bent").shift_mm - shift_mm).abs() < 1e-3);
    // Flat again by its button.
    screen.get_by_label("Flat, coronal").click();
    screen.run_steps(3);
    assert!(bent(&screen, Plane::Coronal).is_none());
    screen.get_by_label_contains("Plane, coronal at y");
}

#[test]
fn what_the_middle_and_right_buttons_do_is_chosen_in_the_settings() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1100.0], folder.path());
    wish(&mut screen, [Command::ToggleSettings]);
    screen.get_by_label("Middle drag: window").click_accesskit();
    screen.get_by_label("Right drag: scroll").click_accesskit();
    screen.run_steps(3);
    wish(&mut screen, [Command::ToggleSettings]);
    let centre = picture(&screen).center();
    let before = active(screen.state().state());
    let (window, view_before, slice) = (before.window.clone(), before.view, before.current);
    drag_with(&mut screen, PointerButton::Middle, Modifiers::NONE, centre, vec2(60.0, 0.0));
    let now = active(screen.state().state());
    assert!(now.window.width > window.width && now.view == view_before && now.current == slice, "{:?}", now.window);
    let window = now.window.clone();
    drag_with(&mut screen, PointerButton::Secondary, Modifiers::NONE, centre, vec2(0.0, 60.0));
    let now = active(screen.state().state());
    assert!(now.current > slice && now.view == view_before && now.window == window, "{}", now.current);
    assert!(screen.query_by_label_contains("Flip left and right").is_none(), "a drag opens no menu");
}

#[test]
fn what_a_cine_plays_is_set_in_the_strips_menu_and_dragged_by_its_mark() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let strip = screen.get_by_label_contains("Score strip").rect();
    let slices = active(screen.state().state()).slice_count();
    let played = |screen: &Screen| active(screen.state().state()).cine_range.of(slices);
    wish(&mut screen, [Command::GoToSlice(20)]);
    right_click(&mut screen, strip.center());
    choose(&mut screen, "Cine begins at this slice", "Alt+Home");
    assert_eq!(played(&screen), [20, slices - 1]);
    screen.get_by_label_contains(&format!("Score strip, {slices} slices, cine from 21 to {slices}"));
    // The letters of both ends have 20 points each.
    let row = (strip.height() - 40.0) / slices as f32;
    let mark = strip.left_top() + vec2(5.0, 20.0 + 20.0 * row);
    drag(&mut screen, mark, vec2(0.0, 100.0));
    let expected = 20.0 + 100.0 / row;
    assert!((played(&screen)[0] as f32 - expected).abs() < 3.0, "{:?}, expected {expected}", played(&screen));
    assert_eq!(active(screen.state().state()).current, 20, "the slice being read stays");
    drag(&mut screen, strip.center(), vec2(0.0, 30.0));
    assert_ne!(active(screen.state().state()).current, 20, "elsewhere a drag goes through the slices");
    right_click(&mut screen, strip.center());
    click_on(&mut screen, "Cine over all slices");
    assert_eq!(played(&screen), [0, slices - 1]);
}

#[test]
fn the_layout_buttons_divide_the_screen() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    for (button, layout, planes, fourth) in [
        ("3-up", Layout::Three, 2, false),
        ("2 x 2", Layout::Four, 2, true),
        ("1-up", Layout::One, 0, false),
        ("2 x 2", Layout::Four, 2, true),
        ("3-up", Layout::Three, 2, false),
        ("1-up", Layout::One, 0, false),
    ] {
        assert_ne!(screen.state().state().settings.layout, layout);
        screen.get_by_label(button).click();
        screen.run_steps(4);
        assert_eq!(screen.state().state().settings.layout, layout);
        assert_eq!(screen.query_all_by_label_contains("Plane, ").count(), planes, "{button}");
        assert_eq!(screen.query_by_label("Place").is_some(), fourth, "{button}");
        screen.get_by_label_contains("Image, slice");
    }
}

/// A check box of the settings and what it switches.
type Switch = (&'static str, fn(&AppState) -> bool);

const SWITCHES: &[Switch] = &[
    ("Drag down to brighten (default: up)", |state| state.settings.invert_vertical_drag),
    ("Heatmap below the threshold too", |state| state.settings.heatmap_everywhere),
    ("Analyse a study as soon as it has been read", |state| state.settings.auto_analyse),
    ("A cine goes there and back, not round and round", |state| state.settings.cine_sweep),
    ("Read the next study of a worklist ahead, within that memory", |state| state.settings.prefetch),
    ("Remember the paths of recent studies", |state| state.settings.remember_recents),
    ("Hide the patient's identity on screen and in exports", |state| state.hide_identity),
];

#[test]
fn each_check_box_of_the_settings_switches_what_it_names() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1000.0], folder.path());
    wish(&mut screen, [Command::ToggleSettings]);
    for (label, seen) in SWITCHES {
        let before = seen(screen.state().state());
        for expected in [!before, before] {
            let boxes = screen.query_all_by_role(Role::CheckBox);
            let all: Vec<_> = boxes.filter(|node| node.accesskit_node().label().as_deref() == Some(label)).collect();
            let [one] = all.as_slice() else { panic!("{label}: {} boxes", all.len()) };
            one.click_accesskit();
            screen.run_steps(3);
            assert_eq!(seen(screen.state().state()), expected, "{label}");
        }
    }
}

#[test]
fn the_direction_of_a_drag_can_be_turned_over() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let dragged = |screen: &mut Screen| {
        wish(screen, [Command::Preset(2)]);
        let centre = |screen: &Screen| active(screen.state().state()).window.clone().center;
        let (middle, before) = (picture(screen).center(), centre(screen));
        drag(screen, middle, vec2(0.0, 40.0));
        centre(screen) - before
    };
    let usual = dragged(&mut screen);
    wish(&mut screen, [Command::SetInvertVerticalDrag(true)]);
    let turned = dragged(&mut screen);
    assert!(usual > 50.0 && turned == -usual, "{usual} and {turned}");
}

#[test]
fn themes_devices_and_sizes_are_chosen_by_their_buttons() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1000.0], folder.path());
    wish(&mut screen, [Command::ToggleSettings]);
    for (label, theme) in [
        ("Theme: light", ThemeSetting::Light),
        ("Theme: as the system", ThemeSetting::System),
        ("Theme: dark", ThemeSetting::Dark),
    ] {
        click_on(&mut screen, label);
        assert_eq!(screen.state().state().settings.theme, theme);
    }
    for (label, device) in [
        ("CPU", DeviceSetting::Cpu),
        ("CPU, bfloat16", DeviceSetting::CpuHalf),
        ("CUDA", DeviceSetting::Cuda),
        ("Metal", DeviceSetting::Metal),
        ("auto", DeviceSetting::Auto),
    ] {
        click_on(&mut screen, label);
        assert_eq!(screen.state().state().settings.device, device);
    }
    for (label, percent) in [("Larger", 110), ("Larger", 120), ("Smaller", 110), ("100 %", 100)] {
        click_on(&mut screen, label);
        assert_eq!(screen.state().state().settings.scale_percent, percent, "{label}");
        assert!((screen.ctx.zoom_factor() - f32::from(percent) / 100.0).abs() < 1e-6);
    }
    click_on(&mut screen, "Keys");
    screen.get_by_label("like Horos");
    click_on(&mut screen, "General");
    screen.get_by_label("Theme: dark");
}

/// Sets a slider as assistive technology does.
fn slide(screen: &mut Screen, label: &str, to: f64) {
    let sliders = screen.query_all_by_role(Role::Slider);
    let named = |node: &egui_kittest::Node<'_>| {
        let written = node.accesskit_node().label();
        written.is_some_and(|written| written.starts_with(label))
    };
    let all: Vec<_> = sliders.filter(named).collect();
    let [one] = all.as_slice() else { panic!("{label}: {} sliders", all.len()) };
    one.set_value_accesskit(to);
    screen.run_steps(4);
}

#[test]
fn the_sliders_of_the_settings_set_what_they_name() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1000.0], folder.path());
    wish(&mut screen, [Command::ToggleSettings]);
    slide(&mut screen, "times the usual change of the window by a drag", 2.0);
    slide(&mut screen, "slices per notch of the wheel", 4.0);
    slide(&mut screen, "slices per second of a cine", 24.0);
    for (label, to) in [("Size of kept results, MB", 640.0), ("Memory for series that were read, MB", 3000.0)] {
        screen.get_by_label(label).set_value_accesskit(to);
        screen.run_steps(4);
    }
    let s = &screen.state().state().settings;
    assert_eq!((s.drag_sensitivity, s.wheel_slices, s.cine_rate), (2.0, 4, 24.0));
    assert_eq!((s.kept_results_mb, s.memory_mb), (640, 3000));
}

#[test]
fn the_heatmap_is_switched_outlined_and_weakened_in_its_panel() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1280.0, 1400.0], folder.path());
    pretend_analysis(&mut screen);
    wish(&mut screen, [Command::GoToSlice(10)]);
    let style = |screen: &Screen| screen.state().state().heatmap_layer().map(|layer| layer.style);
    assert_eq!(style(&screen), Some(HeatmapStyle::Smooth));
    for expected in [HeatmapStyle::Cells, HeatmapStyle::Outline] {
        crate::ui::press(&mut screen, egui::Key::G);
        assert_eq!(style(&screen), Some(expected));
    }
    slide(&mut screen, "opacity", 0.2);
    let layer = screen.state().state().heatmap_layer().expect("drawn");
    assert!((layer.opacity - 0.2).abs() < 1e-6 && layer.style == HeatmapStyle::Outline, "{}", layer.opacity);
    click_on(&mut screen, "Show (F)");
    assert_eq!(style(&screen), None);
    click_on(&mut screen, "Show (F)");
    wish(&mut screen, [Command::GoToSlice(0)]);
    assert_eq!(style(&screen), None, "below the threshold nothing is drawn");
    click_on(&mut screen, "Below the threshold too");
    assert_eq!(style(&screen), Some(HeatmapStyle::Outline));
}

#[test]
fn thresholds_and_prevalence_are_set_in_the_panel_and_an_analysis_is_cancelled() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo([1500.0, 1400.0], folder.path());
    click_on(&mut screen, "Analyse");
    until(&mut screen, "the network is there", |app| {
        app.state().model.is_some() && matches!(app.state().analysis, AnalysisState::Running)
    });
    click_on(&mut screen, "Cancel analysis");
    until(&mut screen, "the end", |app| matches!(app.state().analysis, AnalysisState::Cancelled));
    screen.get_by_label_contains("cancelled at ");
    screen.get_by_label("Run again");

    screen.get_by_label("Prevalence").set_value_accesskit(12.0);
    screen.run_steps(4);
    assert!((screen.state().state().settings.prevalence - 0.12).abs() < 1e-9);
    assert!(screen.query_all_by_label_contains("at 12 % prevalence").count() >= 2, "PPV and NPV");
    let card = screen.state().state().thresholds().expect("a model");
    slide(&mut screen, "Threshold for slices", 0.777);
    let moved = screen.state().state().thresholds().expect("a model");
    assert!((moved.slice - 0.777).abs() < 1e-3 && moved.case == card.case, "{moved:?}");
    screen.get_by_label_contains("chosen by you");
    slide(&mut screen, "Threshold for the case", 0.999);
    let moved = screen.state().state().thresholds().expect("a model");
    assert!(moved.case > 0.98 && (moved.slice - 0.777).abs() < 1e-3, "{moved:?}");
    click_on(&mut screen, "card's default");
    assert_eq!(screen.state().state().thresholds(), Some(card));
}

fn listed(path: &Path, folder: &Path) -> Screen {
    let settings = Settings { auto_analyse: false, model: Some("nano".into()), ..Settings::default() };
    let start = Start { paths: vec![path.to_owned()], ..Start::default() };
    let mut screen = window_with(SIZE, start, folder, &settings);
    until(&mut screen, "the list is there", |app: &App| app.state().shows_worklist());
    screen
}

#[test]
fn the_queue_is_paused_continued_and_stopped_by_its_buttons() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = listed(&necks(folder.path(), 2), folder.path());
    assert!(screen.query_by_label("Pause").is_none(), "nothing to pause yet");
    // Paused before it begins, so that no study is ready before the buttons are looked at.
    click_on(&mut screen, "Analyse all");
    let waiting = |screen: &Screen| screen.state().state().worklist.count().waiting;
    assert_eq!(waiting(&screen), 2);
    click_on(&mut screen, "Pause");
    assert!(screen.state().state().worklist.paused);
    screen.get_by_label("0 of 2 analysed, 2 paused");
    click_on(&mut screen, "Continue");
    assert!(!screen.state().state().worklist.paused);
    click_on(&mut screen, "Stop");
    assert_eq!(waiting(&screen), 0);
    let stopped = |work: &Work| *work == Work::Stopped;
    assert!(screen.state().state().worklist.rows.iter().any(|row| stopped(&row.work)));
    screen.get_by_label("Analyse all");
    // The blind mode's switch, and the way from a row to its study by the mouse.
    click_on(&mut screen, "Blind first");
    assert!(screen.state().state().settings.blind_first);
    screen.get_by_label_contains("Study 2: ").click();
    screen.run_steps(3);
    until(&mut screen, "the study is read", is_loaded);
    assert_eq!(screen.state().state().active_row(), Some(1));
    click_on(&mut screen, "Previous study");
    until(&mut screen, "its neighbour", |app| is_loaded(app) && app.state().active_row() == Some(0));
    screen.get_by_label("study 1 of 2");
}

#[test]
fn a_drag_with_space_held_pans() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    let (middle, window) = (picture(&screen).center(), active(screen.state().state()).window.clone());
    screen.key_down(egui::Key::Space);
    screen.run_steps(1);
    drag(&mut screen, middle, vec2(60.0, 30.0));
    screen.key_up(egui::Key::Space);
    screen.run_steps(1);
    assert!(view(&screen).pan.iter().all(|share| *share > 0.01), "{:?}", view(&screen));
    assert_eq!(active(screen.state().state()).window.clone(), window);
}

#[test]
fn the_threshold_of_the_bone_is_typed_in_its_pane() {
    let folder = tempfile::tempdir().expect("folder");
    let mut screen = demo(SIZE, folder.path());
    wish(&mut screen, [Command::SetLayout(Layout::Four)]);
    until(&mut screen, "the bone", |app| app.state().surface_draw().is_some());
    screen.get_by_label("Bone threshold").focus();
    screen.run_steps(3);
    screen.event(Event::Text("420".to_owned()));
    screen.key_press(egui::Key::Enter);
    screen.run_steps(3);
    let threshold = screen.state().state().surface_draw().map(|draw| draw.threshold_hu);
    assert_eq!(threshold, Some(420.0));
    screen.get_by_label_contains("Bone surface from 420 HU");
}

#[test]
fn the_level_of_a_verdict_is_chosen_in_its_menu() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 1);
    let settings = Settings { blind_first: true, auto_analyse: false, show_series: false, ..Settings::default() };
    let start = Start { paths: vec![images], ..Start::default() };
    let mut screen = window_with(SIZE, start, folder.path(), &settings);
    until(&mut screen, "the study", is_loaded);
    let level = |screen: &Screen| {
        let state = screen.state().state();
        let row = state.active_row().and_then(|row| state.worklist.rows.get(row));
        row.and_then(|row| row.reading.draft.level)
    };
    assert_eq!(level(&screen), None);
    screen.get_by_label("Level").click();
    screen.run_steps(3);
    screen.get_by_label("C5").click();
    screen.run_steps(3);
    assert_eq!(level(&screen), Some(dens::truth::Level::C5));
}
