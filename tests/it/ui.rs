//! The window, driven by the accessible labels of its widgets as a screen reader or a person would.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dens::app::{App, Start, Store};
use dens::findings::{Cam, SliceFinding, SliceOutcome};
use dens::state::{Command, Event, Settings};
use dens::volume::Window;
use egui::{Key, Modifiers, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding};
use crate::support::{shared_data, zips};

/// A window of this size whose settings live in a folder that is thrown away. Draws with a graphics adapter where
/// there is one; labels and keys work without.
pub fn window(size: [f32; 2], start: Start, folder: &Path, auto_analyse: bool) -> Harness<'static, App> {
    // The small network, however fast this machine is.
    let model = Some("nano".into());
    window_with(size, start, folder, &Settings { auto_analyse, model, ..Settings::default() })
}

/// As [`window`], with settings of one's own.
pub fn window_with(size: [f32; 2], start: Start, folder: &Path, settings: &Settings) -> Harness<'static, App> {
    let store = Store::at(folder.join("settings.json"));
    let settings = Settings { acknowledged: true, ..settings.clone() };
    window_stored(size, start, store, &settings)
}

/// A window whose settings, these at first, lie in a store of one's own.
pub fn window_stored(size: [f32; 2], start: Start, store: Store, settings: &Settings) -> Harness<'static, App> {
    store.write(settings).expect("the settings are stored");
    let start = Start { store: Some(store), ..start };
    let builder = Harness::builder().with_size(Vec2::from(size)).with_max_steps(2000);
    let builder = if dens::gpu::offscreen::Offscreen::new().is_ok() { builder.wgpu() } else { builder };
    builder.build_eframe(move |cc| App::new(cc, start))
}

/// Steps the window until something holds; workers run meanwhile.
pub fn until(harness: &mut Harness<'_, App>, what: &str, holds: impl Fn(&App) -> bool) {
    for _ in 0..4000 {
        harness.step();
        if holds(harness.state()) {
            harness.step();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never happened: {what}");
}

pub fn is_loaded(app: &App) -> bool {
    app.state().active.as_ref().is_some_and(|a| a.loaded.is_some())
}

pub fn current(harness: &Harness<'_, App>) -> usize {
    harness.state().state().active.as_ref().expect("a series").current
}

fn shown_window(harness: &Harness<'_, App>) -> Window {
    harness.state().state().active.as_ref().expect("a series").window.clone()
}

pub fn press(harness: &mut Harness<'_, App>, key: Key) {
    harness.key_press(key);
    harness.run_steps(3);
}

pub fn demo(size: [f32; 2], folder: &Path) -> Harness<'static, App> {
    let mut harness = window(size, Start { demo: true, ..Start::default() }, folder, false);
    until(&mut harness, "the demo study is there", is_loaded);
    harness
}

#[test]
fn the_start_screen_offers_ways_in_and_says_what_this_is() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = window([1280.0, 720.0], Start::default(), folder.path(), false);
    harness.run_steps(3);
    harness.get_by_label("Path of a folder or file");
    assert!(harness.query_all_by_label("Open folder").count() >= 1);
    assert!(harness.query_all_by_label_contains("Not for diagnosis").count() >= 1);
    harness.get_by_label("Demo study").click();
    until(&mut harness, "the demo study is there", is_loaded);
    harness.get_by_label_contains("Image, slice");
    assert!(harness.query_all_by_label_contains("Not for diagnosis").count() >= 1, "the line stays");
}

#[test]
fn a_path_that_is_not_there_gets_a_sentence() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = window([1280.0, 720.0], Start::default(), folder.path(), false);
    harness.run_steps(2);
    harness.get_by_label("Path of a folder or file").focus();
    harness.run_steps(2);
    harness.get_by_label("Path of a folder or file").type_text("/no/such/folder");
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    until(&mut harness, "a notice", |app| !app.state().notices.is_empty() && app.state().scanning.is_none());
    let text = &harness.state().state().notices[0].text;
    assert!(text.contains("/no/such/folder"), "{text}");
    assert!(harness.state().state().study.is_none());
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }
    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the path is enough".to_owned())
    }
}

#[test]
fn archives_and_folders_dropped_together_open_as_one_list() {
    let folder = tempfile::tempdir().expect("folder");
    let slice = |z: i16, series: &str| {
        let mut dcm = Dcm::ct(z, f64::from(z));
        dcm.text((0x20, 0x0E), "UI", series).bytes(Encoding::ExplicitLe)
    };
    let entries = [1, 2, 3, 4, 5].map(|z| zips::Entry::deflated(&format!("CT/{z}.dcm"), &slice(z, "2.25.1")));
    let zip = folder.path().join("a.zip");
    std::fs::write(&zip, zips::archive(&entries, zips::Form::default())).expect("written");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("1.dcm"), slice(9, "2.25.2")).expect("written");
    let mut harness = window([1280.0, 720.0], Start::default(), folder.path(), false);
    harness.run_steps(2);
    harness.get_by_label("Open archive or file");
    harness.input_mut().dropped_files.extend([zip.clone(), other.clone()].map(|path| Arc::new(Dropped(path)) as _));
    until(&mut harness, "the dropped studies are there", is_loaded);
    let state = harness.state().state();
    let active = state.active.as_ref().expect("a series");
    assert_eq!((active.slice_count(), active.series.slices[0].file.as_str()), (5, "a.zip/CT/5.dcm"));
    assert_eq!(state.study.as_ref().expect("open").catalog.series.len(), 2);
    assert_eq!(state.settings.recents, [zip, other]);
}

#[test]
fn keys_scroll_window_and_open_help() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let middle = current(&harness);
    press(&mut harness, Key::ArrowDown);
    assert_eq!(current(&harness), middle + 1);
    harness.get_by_label(&format!("Image, slice {} of {}", middle + 2, slices(&harness)));
    press(&mut harness, Key::Home);
    assert_eq!(current(&harness), 0);
    press(&mut harness, Key::End);
    assert_eq!(current(&harness), slices(&harness) - 1);
    for (key, name) in [(Key::Num1, "soft-tissue"), (Key::Num2, "bone"), (Key::Num3, "gross-bone")] {
        press(&mut harness, key);
        assert_eq!(shown_window(&harness).preset_name(), Some(name));
    }
    press(&mut harness, Key::Questionmark);
    harness.get_by_label("Keys and mouse");
    press(&mut harness, Key::Escape);
    assert!(harness.query_by_label("Keys and mouse").is_none());
    assert_eq!(current(&harness), slices(&harness) - 1, "help and Esc leave the slice alone");
}

#[test]
fn the_help_key_works_again_where_shift_was_released_first() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    for round in 0..2 {
        for (key, pressed, modifiers) in
            [(Key::Questionmark, true, Modifiers::SHIFT), (Key::Slash, false, Modifiers::NONE)]
        {
            harness.event(egui::Event::Key { key, physical_key: None, pressed, repeat: false, modifiers });
            harness.run_steps(2);
        }
        assert!(harness.query_by_label("Keys and mouse").is_some(), "round {round}");
        press(&mut harness, Key::Escape);
    }
}

fn slices(harness: &Harness<'_, App>) -> usize {
    harness.state().state().active.as_ref().expect("a series").slice_count()
}

#[test]
fn typing_in_a_field_is_not_a_key_binding() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let (slice, before) = (current(&harness), shown_window(&harness));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::E);
    harness.run_steps(3);
    let field = harness.get_by_label("File to write");
    field.focus();
    harness.run_steps(2);
    harness.get_by_label("File to write").type_text("1nN3");
    press(&mut harness, Key::Num1);
    press(&mut harness, Key::N);
    assert_eq!((current(&harness), shown_window(&harness)), (slice, before));
    press(&mut harness, Key::Escape);
    assert!(harness.state().state().export.is_none());
}

#[test]
fn the_view_is_saved_and_an_existing_file_is_asked_about() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let path = folder.path().join("view.png");
    for round in 0..2 {
        harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::S);
        harness.run_steps(3);
        harness.state_mut().command(Command::SetExportPath(path.display().to_string()));
        harness.run_steps(2);
        harness.get_by_label("Write").click();
        if round == 1 {
            until(&mut harness, "the question", |app| app.state().export.as_ref().is_some_and(|e| e.replace));
            harness.get_by_label("Write").click();
        }
        until(&mut harness, "the file", |app| app.state().export.is_none());
    }
    let picture = image::open(&path).expect("a PNG");
    assert!(picture.width() > 300 && picture.height() > 300);
}

/// Scores as an analysis would send them: a peak at two slices.
pub fn pretend_analysis(harness: &mut Harness<'_, App>) {
    let app = harness.state_mut();
    app.command(Command::StartAnalysis);
    let request = app.state().analysis_request();
    let loaded = app.state().active.as_ref().and_then(|a| a.loaded.clone()).expect("loaded");
    let provenance = dens::findings::Provenance {
        model: std::sync::Arc::new(dens::findings::ModelInfo {
            name: "pretended".into(),
            architecture: "none".into(),
            sha256: "ab".repeat(32),
            trained_on: "untrained: the numbers mean nothing".into(),
            trained: false,
            threshold: 0.5,
            calibrated: false,
            recipe: "paper/1".into(),
            operating: dens::findings::Operating::default(),
            card: serde_json::Value::Null,
            choice: Some("small network: too slow here".into()),
        }),
        volume: loaded.volume.id(),
        series_uid: loaded.series.uid.clone(),
        recipe: "paper/1".into(),
        device: "CPU".into(),
        software: "dens".into(),
        computed_earlier: None,
    };
    app.receive(Event::AnalysisStarted { request, provenance });
    for index in 0..loaded.series.slices.len() {
        let score = if [10, 20].contains(&index) { 0.9 } else { 0.1 };
        let mut values = vec![0.0; 144];
        values[70] = 3.0;
        let cam = std::sync::Arc::new(Cam { rows: 12, columns: 12, values });
        let outcome = SliceOutcome::Scored { score, logit: 0.0, region: [0.0, 0.0, 200.0, 200.0], cam };
        app.receive(Event::SliceScored { request, index, finding: SliceFinding { outcome, flags: Vec::new() } });
    }
    app.command(Command::CancelAnalysis);
    // What the panel says of its end takes another height than what it says before, and a click must not miss for that.
    let ended = |app: &App| matches!(app.state().analysis, dens::state::AnalysisState::Cancelled);
    until(harness, "the end of the analysis", ended);
    harness.run_steps(3);
}

#[test]
fn the_choice_of_the_network_is_told_and_can_be_turned_over() {
    let folder = tempfile::tempdir().expect("folder");
    let start = Start { demo: true, ..Start::default() };
    let settings = Settings { auto_analyse: false, ..Settings::default() };
    let mut harness = window_with([1280.0, 800.0], start, folder.path(), &settings);
    until(&mut harness, "the demo study is there", is_loaded);
    pretend_analysis(&mut harness);
    harness.get_by_label("small network: too slow here");
    harness.get_by_label("Use ResNet-50").click();
    harness.run_steps(2);
    assert_eq!(harness.state().state().settings.model.as_deref(), Some(Path::new("resnet50")));
    harness.get_by_label("Built-in weights");
}

#[test]
fn peaks_strip_and_heatmap_answer_to_mouse_and_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 800.0], folder.path());
    pretend_analysis(&mut harness);
    assert!(harness.query_all_by_label_contains("the numbers mean nothing").count() >= 1);
    harness.get_by_label("Peak 1, slice 11").click();
    harness.run_steps(3);
    assert_eq!(current(&harness), 10);
    press(&mut harness, Key::N);
    assert_eq!(current(&harness), 20);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::N);
    harness.run_steps(3);
    assert_eq!(current(&harness), 10);

    let before = harness.state().state().active.as_ref().map(|a| (a.window.clone(), a.view, a.current));
    assert!(harness.state().state().heatmap_layer().is_some());
    press(&mut harness, Key::F);
    assert!(harness.state().state().heatmap_layer().is_none());
    press(&mut harness, Key::F);
    assert!(harness.state().state().heatmap_layer().is_some());
    assert_eq!(harness.state().state().active.as_ref().map(|a| (a.window.clone(), a.view, a.current)), before);

    let strip = harness.get_by_label_contains("Score strip").rect();
    harness.get_by_label_contains("Score strip").click();
    harness.run_steps(3);
    assert!(strip.height() > 400.0);
    assert!(current(&harness).abs_diff(slices(&harness) / 2) <= 1, "a click in the middle goes to the middle");
    press(&mut harness, Key::Home);
    assert!(harness.state().state().heatmap_layer().is_none(), "below the threshold nothing is drawn");
}

#[test]
fn a_real_study_opens_shows_its_series_and_warnings() {
    let Some(data) = shared_data() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let start = Start { paths: vec![data.join("ct-headneck")], ..Start::default() };
    let mut harness = window([1500.0, 900.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    assert_eq!(slices(&harness), 64);
    harness.get_by_label_contains("Image, slice 33 of 64");
    harness.get_by_label_contains("Series 1:");
}

#[test]
fn three_planes_are_linked_and_each_answers_to_keys_and_mouse() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    assert!(harness.query_by_label_contains("Plane, sagittal").is_none(), "one pane at first");
    press(&mut harness, Key::M);
    harness.get_by_label_contains("Plane, sagittal at x");
    harness.get_by_label_contains("Plane, coronal at y");
    harness.get_by_label_contains("Image, slice");

    // A click in the sagittal plane goes to that height; the coronal plane goes to that depth.
    let place = harness.get_by_label_contains("Plane, sagittal").rect();
    let (slice, before) = (current(&harness), crosshair(&harness));
    let at = place.center() + egui::vec2(place.width() * 0.05, -place.height() * 0.3);
    click(&mut harness, at);
    let after = crosshair(&harness);
    assert!(after.z > before.z && after.y > before.y && after.x == before.x, "{before:?} to {after:?}");
    assert!(current(&harness) < slice, "towards the head");
    harness.get_by_label(&format!("Plane, coronal at y {:.1} mm", after.y));

    // A drag beside the lines is the window, on a line it moves that line's plane.
    let window = shown_window(&harness);
    drag(&mut harness, place.left_top() + egui::vec2(40.0, 200.0), egui::vec2(40.0, -20.0));
    assert!(shown_window(&harness).width > window.width && shown_window(&harness).center < window.center);
    assert_eq!(crosshair(&harness), after, "the crosshair stays");
    drag(&mut harness, egui::pos2(place.left() + 30.0, at.y), egui::vec2(0.0, 30.0));
    let lower = crosshair(&harness);
    assert!(lower.z < after.z - 2.0 && (lower.x, lower.y) == (after.x, after.y), "{after:?} to {lower:?}");

    // The keys act there now: down is to the left.
    press(&mut harness, Key::ArrowDown);
    assert!(crosshair(&harness).x > after.x);
    press(&mut harness, Key::CloseBracket);
    press(&mut harness, Key::L);
    assert!(harness.state().state().slab.thickness_mm > 0.0);

    press(&mut harness, Key::F4);
    press(&mut harness, Key::M);
    assert!(harness.query_by_label_contains("Plane,").is_none(), "M leads back to the slices");
    press(&mut harness, Key::F3);
    harness.get_by_label_contains("Plane, sagittal");
    assert!(harness.query_by_label_contains("Image, slice").is_none(), "one pane shows one plane");
    harness.get_by_label("2 x 2").click();
    harness.run_steps(3);
    harness.get_by_label_contains("Image, slice");
}

#[test]
fn a_lines_end_turns_the_other_planes_and_keys_do_the_same() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::M);
    let place = harness.get_by_label_contains("Plane, sagittal").rect();
    let at = place.center() + egui::vec2(10.0, -20.0);
    click(&mut harness, at);
    let before = crosshair(&harness);
    // The handle stands at this share of the way to the pane's margin.
    let arm = 0.86 * (place.right() - 26.0 - at.x);
    let turned = (10.0_f32).to_radians();
    drag(&mut harness, at + egui::vec2(arm, 0.0), egui::vec2(arm * turned.cos() - arm, arm * turned.sin()));
    assert_eq!(crosshair(&harness), before, "about the crosshair");
    let words = |harness: &Harness<'_, App>, plane| {
        let active = harness.state().state().active.as_ref().expect("a series");
        active.planes.as_ref().expect("planes").tilt(plane).map(|tilt| tilt.words())
    };
    let axial = words(&harness, dens::geometry::Plane::Axial).expect("the axial plane leans");
    assert!(axial.starts_with("oblique, 10") || axial.starts_with("oblique, 9.9"), "{axial}");
    assert!(axial.contains("about L-R"), "{axial}");
    harness.get_by_label_contains("Plane, axial, oblique");
    harness.get_by_label_contains("Plane, coronal, oblique");
    harness.get_by_label_contains("Plane, sagittal at x");
    assert!(harness.query_by_label_contains("Image, slice").is_none(), "no slice leans");
    harness.get_by_label_contains("Shown, axial: interpolated");
    harness.get_by_label("Upright, axial").click();
    harness.run_steps(3);
    harness.get_by_label_contains("Image, slice");
    // The same by keys, a degree at a time.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::ArrowRight);
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::ArrowRight);
    harness.run_steps(3);
    assert_eq!(words(&harness, dens::geometry::Plane::Coronal).as_deref(), Some("oblique, 6\u{b0} about L-R"));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::U);
    harness.run_steps(3);
    harness.get_by_label_contains("Image, slice");
}

#[test]
fn the_fourth_pane_shows_the_bone_from_any_side_or_the_place() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 800.0], folder.path());
    harness.get_by_label("2 x 2").click();
    harness.run_steps(2);
    until(&mut harness, "the bone is there", |app| app.state().surface_draw().is_some());
    harness.run_steps(3);
    let seen = |harness: &Harness<'_, App>| harness.get_by_label_contains("Bone surface from").rect();
    harness.get_by_label("Bone surface from 250 HU, seen from the patient's front");
    harness.get_by_label_contains("Shown, bone: rendering, not for measuring");
    harness.get_by_label("Bone from: Left").click();
    harness.run_steps(3);
    harness.get_by_label("Bone surface from 250 HU, seen from the patient's left");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    harness.run_steps(3);
    harness.get_by_label("Bone surface from 250 HU, seen from the patient's back");
    assert!(harness.state().state().active.is_some(), "no preset of the window was meant");

    // A drag turns, the wheel makes larger, a double click leads back to the front.
    let middle = seen(&harness).center();
    drag(&mut harness, middle + egui::vec2(40.0, 30.0), egui::vec2(-40.0, 20.0));
    harness.get_by_label_contains("degrees round from the front");
    let view = |harness: &Harness<'_, App>| harness.state().state().active.as_ref().expect("a series").surface.view;
    assert!((view(&harness).azimuth_deg - (180.0 + 18.0 - 360.0)).abs() < 1.0, "{:?}", view(&harness));
    harness.event(egui::Event::Zoom(1.5));
    harness.run_steps(3);
    assert!(view(&harness).zoom > 1.2);
    let slice = current(&harness);
    let beside = egui::pos2(seen(&harness).right() - 12.0, seen(&harness).center().y);
    harness.hover_at(beside);
    harness.run_steps(2);
    // Both clicks in one frame: a frame of the harness takes longer than a double click may.
    let (button, modifiers) = (egui::PointerButton::Primary, Modifiers::NONE);
    let clicks = [true, false, true, false].map(|pressed| egui::Event::PointerButton {
        pos: beside,
        button,
        pressed,
        modifiers,
    });
    harness.input_mut().events.extend(clicks);
    harness.run_steps(3);
    assert_eq!(view(&harness), dens::view::surface::Side::Front.view());
    assert_eq!(current(&harness), slice, "beside the bone there is no place to go to");

    // A click on the bone brings the crosshair there.
    let before = crosshair(&harness);
    harness.run_steps(4);
    let place = seen(&harness);
    let at = place.center() + egui::vec2(0.0, place.height() * 0.2);
    click(&mut harness, at);
    let after = crosshair(&harness);
    assert!(after != before && after.y < before.y + 40.0, "{before:?} to {after:?}");
    harness.run_steps(2);

    harness.get_by_label("Place").click();
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("Bone surface from").is_none());
    assert!(harness.query_by_label_contains("Bone from: Left").is_none());
}

#[test]
fn one_key_goes_from_the_peak_to_three_planes_at_its_hottest_cell_and_back() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 800.0], folder.path());
    press(&mut harness, Key::E);
    assert!(harness.query_by_label_contains("Plane,").is_none(), "there is nothing to show yet");
    assert!(harness.state().state().notices.iter().any(|n| n.text.contains("has not been run")));
    pretend_analysis(&mut harness);
    press(&mut harness, Key::Num1);
    press(&mut harness, Key::E);
    assert_eq!(current(&harness), 20, "the peak nearest to the middle");
    assert_eq!(shown_window(&harness).preset_name(), Some("bone"));
    // Row 5, column 10 of 12 x 12 cells over pixels 0 to 200.
    let at = {
        let active = harness.state().state().active.as_ref().expect("a series");
        let pixel = dens::geometry::PixelPoint { column: 10.5 / 12.0 * 200.0 - 0.5, row: 5.5 / 12.0 * 200.0 - 0.5 };
        let pose = active.series.slices[20].pose.expect("a place");
        pose.patient_from_pixel(pixel, active.series.spacing_mm.expect("millimetres")).0
    };
    assert!((crosshair(&harness) - at).length() < 1e-6, "{:?} is not {at:?}", crosshair(&harness));
    harness.get_by_label(&format!("Plane, sagittal at x {:.1} mm", at.x));
    harness.get_by_label(&format!("Plane, coronal at y {:.1} mm", at.y));
    harness.get_by_label_contains("not a diagnosis");
    press(&mut harness, Key::G);
    assert_eq!(harness.state().state().settings.heatmap_style.name(), "cells");
    press(&mut harness, Key::N);
    assert_eq!(current(&harness), 10);
    harness.get_by_label_contains("Image, slice 11 of");
    // Not by place: what arrives in the background may move the button while the pointer is on its way.
    harness.get_by_label("Back to the view before").click_accesskit();
    until(&mut harness, "the view before", |app| !app.state().shows_evidence());
    harness.run_steps(2);
    assert!(harness.query_by_label_contains("Plane,").is_none(), "back in one pane");
    assert_eq!(shown_window(&harness).preset_name(), Some("soft-tissue"));
}

#[test]
fn a_peak_is_checked_by_occlusion_or_told_why_not() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 1000.0], folder.path());
    pretend_analysis(&mut harness);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::G);
    harness.run_steps(2);
    assert_eq!(current(&harness), 20, "the peak nearest to the middle");
    // The pretended scores are of no weights that the program has.
    let failed = |app: &App| app.state().notices.iter().any(|n| n.text.contains("not those that scored the slice"));
    until(&mut harness, "the refusal", failed);
    assert!(harness.query_all_by_label_contains("occlusion check failed: the weights are not those").count() >= 1);
    harness.get_by_label("Check by occlusion");
}

#[test]
fn thresholds_are_moved_named_and_given_back() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1500.0, 1400.0], folder.path());
    pretend_analysis(&mut harness);
    harness.get_by_label_contains("holds no results on held-out cases");
    harness.get_by_label("Peak 2, slice 21");
    harness.get_by_label("Threshold for the case");
    let slider = harness.get_by_label("Threshold for the case").rect();
    drag(&mut harness, egui::pos2(slider.center().x, slider.center().y), egui::vec2(-slider.width() * 0.2, 0.0));
    let moved = harness.state().state().thresholds().expect("a model");
    assert!(moved.case < 0.45 && moved.slice == 0.5, "{moved:?}");
    harness.get_by_label_contains("chosen by you");
    let chosen = dens::findings::operating::Thresholds { slice: 0.95, case: 0.5 };
    harness.state_mut().command(Command::ChooseThresholds(chosen));
    harness.run_steps(3);
    harness.get_by_label_contains("chosen by you; the model card has 0.500");
    assert!(harness.query_by_label_contains("Peak 1").is_none(), "nothing reaches 0.95");
    harness.get_by_label_contains("none above the threshold of 0.950");
    harness.get_by_label("Back to the card's thresholds").click();
    harness.run_steps(3);
    harness.get_by_label("Peak 1, slice 11");
    assert!(harness.query_by_label_contains("chosen by you").is_none());
}

#[test]
fn the_passport_stands_before_any_score() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1500.0, 1200.0], folder.path());
    harness.get_by_label_contains("Input: nothing in the header speaks against a score");
    harness.get_by_label_contains("looked at and in order").click();
    harness.run_steps(3);
    harness.get_by_label_contains("Field of view: 2");
    let Some(data) = shared_data() else { return };
    let start = Start { paths: vec![data.join("ct-tilt")], ..Start::default() };
    let mut harness = window([1500.0, 1200.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    harness.get_by_label_contains("Input: not fit for a score");
    harness.get_by_label_contains("x Extent: the series has 28 slices");
    harness.get_by_label_contains("! Tilt: The slices are stacked 18.5 degrees off");
    harness.get_by_label_contains("! Gaps: Slices are");
}

#[test]
fn each_view_says_whether_it_is_exact_and_why() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    harness.get_by_label_contains("Shown, slices: interpolated. Enlarged");
    harness.state_mut().command(Command::SetInterpolation(dens::view::Interpolation::Nearest));
    harness.run_steps(2);
    harness.get_by_label_contains("Shown, slices: exact. Enlarged");
    harness.state_mut().command(Command::SetInterpolation(dens::view::Interpolation::Linear));
    harness.state_mut().command(Command::SetLayout(dens::view::planes::Layout::Four));
    harness.run_steps(2);
    harness.get_by_label_contains("Shown, sagittal: interpolated. Cut from the volume");
    press(&mut harness, Key::L);
    harness.get_by_label_contains("Shown, axial: interpolated, MIP 5 mm.");
    harness.get_by_label_contains("Shown, coronal: interpolated. Cut from the volume");
    for _ in 0..5 {
        press(&mut harness, Key::OpenBracket);
    }
    harness.get_by_label_contains("Shown, slices: interpolated, shrunk.");
    press(&mut harness, Key::F4);
    for _ in 0..4 {
        press(&mut harness, Key::L);
    }
    let slab = harness.state().state().slab;
    let words = format!("Shown, coronal: interpolated, {} {} mm.", slab.projection.name(), slab.thickness_mm);
    harness.get_by_label_contains(&words);
    // The text on the image can be taken away, this cannot.
    for _ in 0..2 {
        press(&mut harness, Key::O);
    }
    assert_eq!(harness.state().state().settings.overlay, dens::state::OverlayDensity::None);
    let badge = harness.get_by_label_contains(&words).rect();
    assert!(badge.width() > 60.0, "{badge:?}");
    harness.hover_at(badge.center());
    std::thread::sleep(Duration::from_millis(400));
    harness.run_steps(30);
    assert!(harness.query_all_by_label_contains("Cut from the volume").count() >= 3, "two badges and the tooltip");
}

#[test]
fn a_driver_that_failed_its_check_is_told_and_the_processor_draws_the_same_pictures() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    harness.state_mut().command(Command::SetLayout(dens::view::planes::Layout::Three));
    harness.run_steps(30);
    assert!(harness.state().state().graphics_fault.is_none(), "this device is right");
    let before = harness.render().ok();
    let fault = "the graphics driver draws other grey values than the reference (largest difference 9 of 255 levels)";
    harness.state_mut().receive(Event::GraphicsChecked(Err(fault.to_owned())));
    harness.run_steps(4);
    let notices = &harness.state().state().notices;
    assert!(notices.iter().any(|n| n.text.contains("(largest difference 9 of 255") && n.text.contains("processor")));
    harness.get_by_label_contains("Shown, slices: drawn by the processor, interpolated");
    harness.get_by_label_contains("Shown, coronal: drawn by the processor, interpolated");
    let Some((before, after)) = before.zip(harness.render().ok()) else { return };
    for pane in ["Image, slice", "Plane, sagittal", "Plane, coronal"] {
        // The middle, where no text stands.
        let rect = harness.get_by_label_contains(pane).rect();
        let middle = egui::Rect::from_center_size(rect.center(), rect.size() * 0.4);
        let (mut differ, mut all, mut bright) = (0, 0, 0);
        for y in middle.top() as u32..middle.bottom() as u32 {
            for x in middle.left() as u32..middle.right() as u32 {
                let (a, b) = (before.get_pixel(x, y).0, after.get_pixel(x, y).0);
                differ += usize::from(a[0].abs_diff(b[0]) > 1);
                bright += usize::from(a[0] > 60);
                all += 1;
            }
        }
        assert!(bright > all / 50 && differ <= all / 200, "{pane}: {differ} of {all} differ, {bright} bright");
    }
}

#[test]
fn tilt_and_gaps_stand_on_the_planes_with_their_amounts() {
    let Some(data) = shared_data() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let start = Start { paths: vec![data.join("ct-tilt")], ..Start::default() };
    let mut harness = window([1500.0, 900.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    press(&mut harness, Key::M);
    harness.get_by_label_contains("Shown, sagittal: interpolated, tilt 18.5\u{b0} resampled, gaps");
}

#[test]
fn a_plane_is_saved_as_it_is_seen() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::F3);
    let path = folder.path().join("plane.png");
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::S);
    harness.run_steps(3);
    harness.state_mut().command(Command::SetExportPath(path.display().to_string()));
    harness.run_steps(2);
    harness.get_by_label("Write").click();
    until(&mut harness, "the file", |app| app.state().export.is_none());
    let picture = image::open(&path).expect("a PNG").into_luma8();
    let bright = picture.pixels().filter(|px| px.0[0] > 100).count();
    assert!(bright > 2000, "bone is on it: {bright} bright pixels");
}

fn crosshair(harness: &Harness<'_, App>) -> dens::geometry::Vec3 {
    let active = harness.state().state().active.as_ref().expect("a series");
    active.planes.as_ref().expect("planes").crosshair.0
}

pub fn drag(harness: &mut Harness<'_, App>, from: egui::Pos2, by: egui::Vec2) {
    let button = |pos, pressed| {
        let (button, modifiers) = (egui::PointerButton::Primary, Modifiers::NONE);
        egui::Event::PointerButton { pos, button, pressed, modifiers }
    };
    harness.hover_at(from);
    harness.run_steps(2);
    harness.event(button(from, true));
    harness.run_steps(1);
    for share in [0.4, 0.7, 1.0] {
        harness.hover_at(from + by * share);
        harness.run_steps(1);
    }
    harness.event(button(from + by, false));
    harness.run_steps(2);
}

pub fn click(harness: &mut Harness<'_, App>, at: egui::Pos2) {
    harness.hover_at(at);
    harness.run_steps(2);
    for pressed in [true, false] {
        let (button, modifiers) = (egui::PointerButton::Primary, Modifiers::NONE);
        harness.event(egui::Event::PointerButton { pos: at, button, pressed, modifiers });
        harness.run_steps(2);
    }
}

#[test]
fn an_encrypted_archive_asks_for_its_password_and_opens_with_it() {
    let folder = tempfile::tempdir().expect("folder");
    let archive = folder.path().join("study.zip");
    let files = (1..4).map(|seed| Dcm::ct(seed, f64::from(seed) * 3.0).bytes(Encoding::ExplicitLe));
    let entries: Vec<zips::Entry> = (1..)
        .zip(files)
        .map(|(n, bytes)| zips::Entry::deflated(&format!("s/{n}.dcm"), &bytes).sealed("atlas", 32, 2))
        .collect();
    std::fs::write(&archive, zips::archive(&entries, zips::Form::default())).expect("written");
    let start = Start { paths: vec![archive.clone()], ..Start::default() };
    let mut harness = window([1280.0, 720.0], start, folder.path(), false);
    until(&mut harness, "the question", |app| app.state().unlock.is_some());
    harness.get_by_label_contains("3 files in study.zip are encrypted");
    // The field has the keyboard already.
    harness.get_by_label("Password of the archive").type_text("axis");
    harness.run_steps(3);
    harness.key_press(Key::Enter);
    until(&mut harness, "the refusal", |app| app.state().unlock.as_ref().is_some_and(|u| u.wrong));
    harness.get_by_label_contains("Wrong password");
    assert!(harness.query_all_by_label_contains("axis").count() == 0, "what is written is masked");
    assert_eq!(harness.state().state().unlock.as_ref().map(|u| u.typed.text()), Some("axis"));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.get_by_label("Password of the archive").type_text("atlas");
    harness.run_steps(3);
    harness.get_by_label("Unlock").click();
    until(&mut harness, "the series is read", is_loaded);
    assert_eq!(slices(&harness), 3);
    assert!(harness.state().state().unlock.is_none());
    let kept = std::fs::read_to_string(folder.path().join("settings.json")).expect("settings");
    assert!(!kept.contains("atlas"));

    // Esc in the field leaves the files out and says so.
    harness.state_mut().command(Command::CloseStudy);
    harness.state_mut().command(Command::OpenPath(archive));
    until(&mut harness, "the question again", |app| app.state().unlock.is_some());
    harness.run_steps(3);
    press(&mut harness, Key::Escape);
    let state = harness.state().state();
    assert!(state.unlock.is_none() && state.study.is_none());
    assert!(state.notices.iter().any(|n| n.text.contains("3 encrypted files were left out")), "{:?}", state.notices);
}

/// Keeps every thread that decodes slices busy until it goes, so that a loading lasts for as long as a test wants.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn all_threads() -> Self {
        let (over, busy) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let wanted = rayon::current_num_threads();
        let (until, count) = (over.clone(), busy.clone());
        rayon::spawn_broadcast(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            while !until.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let busy_threads = || busy.load(Ordering::SeqCst);
        for _ in 0..60_000 {
            if busy_threads() == wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(busy_threads(), wanted, "all threads are held");
        Self(over)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn loading_is_cancelled_by_its_button_and_taken_up_again() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = crate::keys::two_series(folder.path());
    assert!(harness.query_by_label("Cancel loading slices").is_none(), "nothing is being read");
    let busy = Busy::all_threads();
    harness.state_mut().command(Command::ShowSeries(1));
    harness.run_steps(3);
    assert!(harness.state().state().is_loading());
    // Its thread may not have begun to count yet.
    for _ in 0..4000 {
        if harness.query_by_label("loading slices: 0 of 3").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.get_by_label("loading slices: 0 of 3");
    harness.get_by_label("Cancel loading slices").click();
    harness.run_steps(2);
    drop(busy);
    until(&mut harness, "the loading has ended", |app| !app.state().is_loading());
    let state = harness.state().state();
    let active = state.active.as_ref().expect("the series stays");
    assert!(active.index == 1 && active.loaded.is_none(), "and is not taken for a whole one");
    assert_eq!(active.load_failed.as_deref(), Some("loading was cancelled; the slices read so far can be seen"));
    let told = state.notices.iter().filter(|n| n.text.contains("cancelled: 0 of 3 slices")).count();
    assert_eq!(told, 1, "{:?}", state.notices);
    assert_eq!(state.in_memory().0, 2, "the series before it is kept");
    assert!(harness.query_by_label("Cancel loading slices").is_none());
    // What was read before is there at once, and the other one is read anew.
    harness.state_mut().command(Command::ShowSeries(0));
    assert!(is_loaded(harness.state()));
    harness.state_mut().command(Command::ShowSeries(1));
    until(&mut harness, "all of it", is_loaded);
}
