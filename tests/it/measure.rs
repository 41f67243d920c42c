//! Measuring in the window, by mouse and by keyboard alone.

use dens::app::App;
use dens::measure::{Kind, Measurement, Reading};
use dens::state::{Command, MeasureCommand, Saved, Tool};
use egui::{Key, Modifiers, Pos2, Rect, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::ui::{click, current, demo, drag, press, pretend_analysis, until};

fn measurements<'a>(harness: &'a Harness<'_, App>) -> &'a [Measurement] {
    harness.state().state().active.as_ref().expect("a series").measures.sheet.measurements()
}

fn image(harness: &Harness<'_, App>) -> Rect {
    harness.get_by_label_contains("Image, slice").rect()
}

fn chord(harness: &mut Harness<'_, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
}

/// Millimetres per point of the pane with the slices, as it is fitted.
fn mm_per_point(harness: &Harness<'_, App>) -> f64 {
    let (rect, active) = (image(harness), harness.state().state().active.as_ref().expect("a series"));
    let [between_rows, between_columns] = active.series.spacing_mm.expect("spacing");
    let size = (active.series.columns as f64 * between_columns, active.series.rows as f64 * between_rows);
    (size.0 / f64::from(rect.width())).max(size.1 / f64::from(rect.height()))
}

#[test]
fn a_length_is_drawn_listed_undone_deleted_and_found_again() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::D);
    let centre = image(&harness).center();
    drag(&mut harness, centre - vec2(60.0, 10.0), vec2(120.0, 50.0));
    let [length] = measurements(&harness) else { panic!("one length") };
    let Reading::Length(mm) = length.reading else { panic!("a length") };
    let expected = 130.0 * mm_per_point(&harness);
    assert!((mm - expected).abs() < 0.5, "{mm} mm, {expected} expected");
    harness.get_by_label_contains("Measurement Length 1, ");

    let window = harness.state().state().active.as_ref().map(|a| (a.window.clone(), a.view));
    chord(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(measurements(&harness).is_empty());
    chord(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(measurements(&harness).len(), 1);
    press(&mut harness, Key::Period);
    press(&mut harness, Key::Delete);
    assert!(measurements(&harness).is_empty());
    chord(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(measurements(&harness).len(), 1);
    assert_eq!(
        harness.state().state().active.as_ref().map(|a| (a.window.clone(), a.view)),
        window,
        "the picture is left alone"
    );

    // Elsewhere it is listed and not drawn; a click on its line leads back.
    let slice = current(&harness);
    press(&mut harness, Key::Home);
    harness.get_by_label_contains("Measurement Length 1, ").click();
    harness.run_steps(3);
    assert_eq!(current(&harness), slice);

    // A window opened later has it again.
    let on_disk = |app: &App| app.state().active.as_ref().is_some_and(|a| a.measures.saved == Saved::Yes);
    until(&mut harness, "it is on disk", on_disk);
    let kept: Vec<Measurement> = measurements(&harness).to_vec();
    drop(harness);
    let mut again = demo([1280.0, 720.0], folder.path());
    until(&mut again, "it is read", |app| {
        app.state().active.as_ref().is_some_and(|a| !a.measures.sheet.measurements().is_empty())
    });
    let [read] = measurements(&again) else { panic!("one length") };
    assert_eq!((read.kind, read.ground.source, &read.name), (kept[0].kind, kept[0].ground.source, &kept[0].name));
    // JSON costs the last bit of a number.
    let near = read.points.iter().zip(&kept[0].points).all(|(a, b)| (a.0 - b.0).length() < 1e-9);
    assert!(near && matches!(read.reading, Reading::Length(again) if (again - mm).abs() < 1e-9), "{read:?}");
}

#[test]
fn two_clicks_draw_as_a_drag_does_and_escape_gives_up() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let centre = image(&harness).center();
    press(&mut harness, Key::A);
    for by in [vec2(-80.0, 0.0), vec2(0.0, 0.0)] {
        click(&mut harness, centre + by);
    }
    assert!(harness.state().state().active.as_ref().is_some_and(|a| a.measures.draft.is_some()));
    press(&mut harness, Key::Escape);
    assert!(measurements(&harness).is_empty());
    assert_eq!(harness.state().state().tool, Tool::Measure(Kind::Angle), "the tool stays in hand");
    for by in [vec2(-80.0, 0.0), vec2(0.0, 0.0), vec2(0.0, -70.0)] {
        click(&mut harness, centre + by);
    }
    let [angle] = measurements(&harness) else { panic!("one angle") };
    assert!(matches!(angle.reading, Reading::Angle(degrees) if (degrees - 90.0).abs() < 0.5), "{:?}", angle.reading);

    chord(&mut harness, Modifiers::SHIFT, Key::A);
    drag(&mut harness, centre + vec2(-100.0, 60.0), vec2(100.0, 0.0));
    drag(&mut harness, centre + vec2(-100.0, 100.0), vec2(100.0, 100.0));
    let cobb = measurements(&harness).last().expect("drawn");
    assert!(matches!(cobb.reading, Reading::Angle(degrees) if (degrees - 45.0).abs() < 0.5), "{:?}", cobb.reading);
}

#[test]
fn handles_and_lines_are_dragged_and_the_window_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let centre = image(&harness).center();
    press(&mut harness, Key::D);
    drag(&mut harness, centre, vec2(100.0, 0.0));
    press(&mut harness, Key::W);
    let window = harness.state().state().active.as_ref().map(|a| a.window.clone());
    let before = measurements(&harness)[0].clone();
    drag(&mut harness, centre + vec2(100.0, 0.0), vec2(50.0, 0.0));
    let Reading::Length(longer) = measurements(&harness)[0].reading else { panic!("a length") };
    assert!((longer - 150.0 * mm_per_point(&harness)).abs() < 0.5);
    drag(&mut harness, centre + vec2(60.0, 0.0), vec2(0.0, 40.0));
    let moved = measurements(&harness)[0].clone();
    assert!((moved.points[0].0.y - before.points[0].0.y - 40.0 * mm_per_point(&harness)).abs() < 0.5);
    assert_eq!(harness.state().state().active.as_ref().map(|a| a.window.clone()), window);
    // Beside it the left button does what the tool says.
    drag(&mut harness, centre + vec2(-150.0, -120.0), vec2(40.0, 0.0));
    assert_ne!(harness.state().state().active.as_ref().map(|a| a.window.clone()), window);
}

/// Tab until what carries this label has the keyboard.
fn tab_to(harness: &mut Harness<'_, App>, label: &str) {
    for _ in 0..200 {
        press(harness, Key::Tab);
        if harness.query_by_label_contains(label).is_some_and(|node| node.is_focused()) {
            return;
        }
    }
    panic!("Tab never came to {label}");
}

#[test]
fn the_keyboard_alone_reaches_moves_names_and_removes() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::P);
    press(&mut harness, Key::Insert);
    let x = |harness: &Harness<'_, App>| measurements(harness)[0].points[0].0.x;
    let before = x(&harness);
    chord(&mut harness, Modifiers::ALT, Key::ArrowRight);
    chord(&mut harness, Modifiers::ALT | Modifiers::SHIFT, Key::ArrowRight);
    assert!((x(&harness) - before - 1.1).abs() < 1e-6);

    // In the list the plain arrows do it.
    let slice = current(&harness);
    tab_to(&mut harness, "Measurement HU pin 1, ");
    press(&mut harness, Key::ArrowRight);
    assert!((x(&harness) - before - 2.1).abs() < 1e-6);
    assert_eq!(current(&harness), slice);

    chord(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::N);
    assert!(harness.get_by_label("Name of the measurement").is_focused());
    harness.event(egui::Event::Text("dens tip".to_owned()));
    harness.run_steps(3);
    press(&mut harness, Key::Enter);
    assert_eq!(measurements(&harness)[0].name, "dens tip");
    harness.get_by_label_contains("Measurement dens tip, HU");
    press(&mut harness, Key::Backspace);
    assert!(measurements(&harness).is_empty());
}

#[test]
fn every_tool_draws_by_one_key_where_the_view_or_the_crosshair_is() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::Insert);
    assert!(measurements(&harness).is_empty(), "no tool is in hand");
    let tools = [
        (Modifiers::NONE, Key::D, Kind::Length),
        (Modifiers::NONE, Key::A, Kind::Angle),
        (Modifiers::SHIFT, Key::A, Kind::Cobb),
        (Modifiers::SHIFT, Key::E, Kind::Ellipse),
        (Modifiers::SHIFT, Key::R, Kind::Rectangle),
        (Modifiers::NONE, Key::P, Kind::Pin),
        (Modifiers::SHIFT, Key::T, Kind::Arrow),
    ];
    for (count, (modifiers, key, kind)) in tools.into_iter().enumerate() {
        chord(&mut harness, modifiers, key);
        chord(&mut harness, Modifiers::COMMAND, Key::D);
        assert_eq!(measurements(&harness).len(), count + 1, "{kind:?}");
        let drawn = &measurements(&harness)[count];
        assert!(drawn.kind == kind && !drawn.is_nothing());
        let selected = harness.state().state().active.as_ref().and_then(|a| a.measures.sheet.selected);
        assert_eq!(selected, Some(drawn.id));
    }
    // The arrow asks for its text.
    harness.event(egui::Event::Text("look".to_owned()));
    press(&mut harness, Key::Enter);
    let all = measurements(&harness);
    assert_eq!(all[6].name, "look");
    assert!(matches!(all[0].reading, Reading::Length(mm) if (mm - 20.0).abs() < 1e-6));
    assert!(matches!(all[1].reading, Reading::Angle(degrees) if (degrees - 90.0).abs() < 1e-6));
    assert!(all[3].half_axes().iter().all(|half| (half - 5.0).abs() < 1e-6));
    // In the middle of the view that is fitted lies the middle of the slice.
    let middle = {
        let active = harness.state().state().active.as_ref().expect("a series");
        let at = [active.series.columns, active.series.rows].map(|n| (n as f64 - 1.0) / 2.0);
        all[0].ground.point(dens::geometry::PixelPoint { column: at[0], row: at[1] })
    };
    assert!((all[5].points[0].0 - middle.0).length() < 1e-6);

    // Again at the same place it steps aside; where the crosshair is seen it is drawn there, in the pane last used.
    press(&mut harness, Key::P);
    press(&mut harness, Key::Insert);
    let apart = measurements(&harness)[7].points[0].0 - measurements(&harness)[5].points[0].0;
    assert!(apart.length() > 1.0);
    press(&mut harness, Key::M);
    press(&mut harness, Key::F3);
    press(&mut harness, Key::Insert);
    let crosshair = harness.state().state().active.as_ref().and_then(|a| a.planes.as_ref()).map(|p| p.crosshair);
    let pin = measurements(&harness)[8].points[0];
    assert!((pin.0 - crosshair.expect("planes").0).length() < 1e-6);
    assert!(matches!(measurements(&harness)[8].ground.source, dens::measure::Source::Plane { .. }));
}

#[test]
fn a_handle_is_chosen_and_moved_by_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::D);
    press(&mut harness, Key::Insert);
    let ends = |harness: &Harness<'_, App>| [0, 1].map(|at| measurements(harness)[0].points[at].0);
    let before = ends(&harness);
    chord(&mut harness, Modifiers::COMMAND, Key::G);
    harness.get_by_label_contains("handle 1 of 2: Alt+arrows move it");
    chord(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::G);
    harness.get_by_label_contains("handle 2 of 2");
    for _ in 0..3 {
        chord(&mut harness, Modifiers::ALT, Key::ArrowRight);
    }
    let after = ends(&harness);
    assert!((after[0] - before[0]).length() < 1e-9 && (after[1].x - before[1].x - 3.0).abs() < 1e-6);
    assert!(matches!(measurements(&harness)[0].reading, Reading::Length(mm) if (mm - 23.0).abs() < 1e-6));
    // Esc: the whole of it again, and after that nothing.
    press(&mut harness, Key::Escape);
    assert!(harness.query_by_label_contains("handle 2 of 2").is_none());
    chord(&mut harness, Modifiers::ALT, Key::ArrowDown);
    let moved = ends(&harness);
    assert!([0, 1].iter().all(|at| (moved[*at].y - after[*at].y - 1.0).abs() < 1e-6));
    press(&mut harness, Key::Escape);
    assert_eq!(harness.state().state().active.as_ref().and_then(|a| a.measures.sheet.selected), None);
    // A corner that is moved past its opposite stays the one that moves.
    chord(&mut harness, Modifiers::SHIFT, Key::R);
    press(&mut harness, Key::Insert);
    chord(&mut harness, Modifiers::COMMAND, Key::G);
    for _ in 0..25 {
        chord(&mut harness, Modifiers::ALT, Key::ArrowRight);
    }
    let half = measurements(&harness)[1].half_axes();
    assert!((half[0] - 7.5).abs() < 1e-6 && (half[1] - 5.0).abs() < 1e-6, "{half:?}");
    chord(&mut harness, Modifiers::COMMAND, Key::Z);
    let half = measurements(&harness)[1].half_axes();
    assert!((half[0] - 5.0).abs() < 1e-6, "steps of one push are undone together: {half:?}");
}

#[test]
fn regions_are_read_and_a_region_sets_the_window() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let centre = image(&harness).center();
    chord(&mut harness, Modifiers::SHIFT, Key::E);
    drag(&mut harness, centre - vec2(20.0, 20.0), vec2(40.0, 30.0));
    chord(&mut harness, Modifiers::SHIFT, Key::R);
    drag(&mut harness, centre - vec2(60.0, 60.0), vec2(40.0, 30.0));
    for m in measurements(&harness) {
        assert!(matches!(m.reading, Reading::Region(r) if r.n > 20 && r.statistics.is_some()), "{:?}", m.reading);
    }
    assert_eq!(measurements(&harness).len(), 2);
    let window = harness.state().state().active.as_ref().map(|a| a.window.clone());
    chord(&mut harness, Modifiers::SHIFT, Key::W);
    drag(&mut harness, centre - vec2(60.0, 60.0), vec2(120.0, 120.0));
    assert_eq!(measurements(&harness).len(), 2);
    assert_ne!(harness.state().state().active.as_ref().map(|a| a.window.clone()), window);
    assert_eq!(harness.state().state().tool, Tool::Window);
}

#[test]
fn planes_are_measured_where_they_are_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press(&mut harness, Key::M);
    let before = harness.state().state().active.as_ref().and_then(|a| a.planes.as_ref()).map(|p| p.crosshair);
    let sagittal = harness.get_by_label_contains("Plane, sagittal").rect();
    press(&mut harness, Key::D);
    let from: Pos2 = sagittal.center() + vec2(-40.0, -30.0);
    drag(&mut harness, from, vec2(80.0, 60.0));
    let [m] = measurements(&harness) else { panic!("one length") };
    let x = before.expect("planes").0.x;
    assert!(m.points.iter().all(|p| (p.0.x - x).abs() < 1e-6), "on the plane shown: {m:?}");
    let after = harness.state().state().active.as_ref().and_then(|a| a.planes.as_ref()).map(|p| p.crosshair);
    assert_eq!(after, before, "a press that draws does not move the crosshair");
    harness.get_by_label_contains("Measurement Length 1, ");
}

#[test]
fn what_was_measured_is_on_the_saved_picture_and_in_the_report() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let pictures = ["without.png", "with.png"].map(|name| {
        if name == "with.png" {
            press(&mut harness, Key::D);
            let centre = image(&harness).center();
            drag(&mut harness, centre - vec2(100.0, 0.0), vec2(200.0, 0.0));
        }
        export(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::S, &folder.path().join(name));
        image::open(folder.path().join(name)).expect("a PNG").into_rgb8()
    });
    let yellow = |p: &image::Rgb<u8>| p.0[0] > 120 && p.0[0] > p.0[2].saturating_add(25);
    let count = |picture: &image::RgbImage| picture.pixels().filter(|p| yellow(p)).count();
    assert!(count(&pictures[1]) > count(&pictures[0]) + 150, "{} {}", count(&pictures[0]), count(&pictures[1]));

    let path = folder.path().join("report.json");
    export(&mut harness, Modifiers::COMMAND, Key::E, &path);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
    let m = &report["measurements"][0];
    assert_eq!((m["kind"].as_str(), m["reading"]["unit"].as_str()), (Some("length"), Some("mm")));
    assert_eq!(m["points"].as_array().map(Vec::len), Some(2));
    #[cfg(target_os = "linux")]
    {
        until(&mut harness, "saved", |app| {
            app.state().active.as_ref().is_some_and(|active| active.measures.saved == Saved::Yes)
        });
        the_command_line_reports_it_when_asked(folder.path(), m);
    }
}

/// The window's file is where `dens report` looks for it.
#[cfg(target_os = "linux")]
fn the_command_line_reports_it_when_asked(folder: &std::path::Path, drawn: &serde_json::Value) {
    let kept = folder.join("data/dens/measurements");
    std::fs::create_dir_all(kept.parent().expect("a folder")).expect("a folder");
    std::fs::rename(folder.join("measurements"), &kept).expect("the folder of the window's files");
    let report = |more: &[&str]| -> serde_json::Value {
        let args = [&["report", "demo:", "--out", "cli.json"], more].concat();
        let mut command = crate::support::dens_command(&args, folder);
        let output = command.env("XDG_DATA_HOME", folder.join("data")).output().expect("dens starts");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&std::fs::read(folder.join("cli.json")).expect("there")).expect("JSON")
    };
    assert_eq!(report(&["--measurements"])["measurements"][0]["reading"], drawn["reading"]);
    assert_eq!(report(&[])["measurements"], serde_json::json!([]));
}

fn export(harness: &mut Harness<'_, App>, modifiers: Modifiers, key: Key, path: &std::path::Path) {
    chord(harness, modifiers, key);
    harness.state_mut().command(Command::SetExportPath(path.display().to_string()));
    harness.run_steps(2);
    harness.get_by_label("Write").click();
    until(harness, "the file", |app| app.state().export.is_none());
}

#[test]
fn the_menu_of_tools_says_what_the_left_button_does() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    harness.get_by_label("Tool").click();
    harness.run_steps(3);
    harness.get_by_label_contains("Cobb angle").click();
    harness.run_steps(3);
    assert_eq!(harness.state().state().tool, Tool::Measure(Kind::Cobb));

    harness.get_by_label("Tool").click();
    harness.run_steps(3);
    press(&mut harness, Key::Escape);
    assert_eq!(harness.state().state().tool, Tool::Measure(Kind::Cobb), "Esc closes the menu and nothing else");
    press(&mut harness, Key::Escape);
    assert_eq!(harness.state().state().tool, Tool::Window);
}

#[test]
fn a_cine_plays_by_key_only_and_ends_at_any_input() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let slice = current(&harness);
    harness.run_steps(20);
    assert_eq!(current(&harness), slice, "never by itself");
    press(&mut harness, Key::C);
    until(&mut harness, "it plays", |app| app.state().active.as_ref().is_some_and(|a| a.current == slice + 2));
    press(&mut harness, Key::Num2);
    assert_eq!(harness.state().state().cine, None);
    let stopped = current(&harness);
    harness.run_steps(20);
    assert_eq!(current(&harness), stopped);
}

#[test]
fn a_cine_goes_round_without_leaving_a_slice_out() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let app = harness.state_mut();
    let slices = app.state().active.as_ref().expect("a series").slice_count();
    app.command(Command::GoToSlice(slices - 2));
    app.command(Command::ToggleCine);
    let mut seen = Vec::new();
    for second in 0..5 {
        app.command(Command::CineTick(f64::from(second)));
        seen.push(app.state().active.as_ref().expect("a series").current);
    }
    assert_eq!(seen, [slices - 2, slices - 1, 0, 1, 2]);
}

#[test]
fn the_menu_of_a_right_click_speaks_of_what_lies_there() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let centre = image(&harness).center();
    press(&mut harness, Key::D);
    drag(&mut harness, centre, vec2(100.0, 0.0));
    press(&mut harness, Key::Escape);
    press(&mut harness, Key::Escape);
    let active =
        |harness: &Harness<'_, App>| harness.state().state().active.as_ref().map(|a| a.measures.sheet.selected);
    assert_eq!(active(&harness), Some(None));
    let at = centre + vec2(50.0, 1.0);
    harness.hover_at(at);
    harness.run_steps(2);
    for pressed in [true, false] {
        let (button, modifiers) = (egui::PointerButton::Secondary, Modifiers::NONE);
        harness.event(egui::Event::PointerButton { pos: at, button, pressed, modifiers });
        harness.run_steps(2);
    }
    assert!(matches!(active(&harness), Some(Some(_))));
    harness.get_by_label("Delete   Del").click();
    harness.run_steps(3);
    assert!(measurements(&harness).is_empty());
}

#[test]
fn a_marked_slice_is_listed_and_led_to() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let slice = current(&harness);
    press(&mut harness, Key::K);
    press(&mut harness, Key::Home);
    harness.get_by_label(&format!("key slice {}", slice + 1)).click();
    harness.run_steps(3);
    assert_eq!(current(&harness), slice);
    press(&mut harness, Key::K);
    assert!(harness.query_by_label(&format!("key slice {}", slice + 1)).is_none());
}

#[test]
fn vertebrae_that_are_named_tell_the_level_of_peaks() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    pretend_analysis(&mut harness);
    chord(&mut harness, Modifiers::SHIFT, Key::K);
    let names = |harness: &Harness<'_, App>| measurements(harness).iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    let centre = image(&harness).center();
    harness.state_mut().command(Command::GoToSlice(8));
    harness.run_steps(3);
    click(&mut harness, centre);
    assert_eq!(names(&harness), ["C2"], "the one that is easiest to tell, until it is renamed");
    // The field that opened takes another name in its place.
    harness.run_steps(3);
    harness.event(egui::Event::Text("C3".to_owned()));
    press(&mut harness, Key::Enter);
    assert_eq!(names(&harness), ["C3"]);
    for slice in [15, 22] {
        harness.state_mut().command(Command::GoToSlice(slice));
        harness.run_steps(3);
        click(&mut harness, centre);
    }
    assert_eq!(names(&harness), ["C3", "C4", "C5"], "the others are counted from there");
    harness.get_by_label("Peak 1, slice 11, C3");
    harness.get_by_label("Peak 2, slice 21, C5");
    harness.get_by_label_contains("Score strip").hover();
    harness.state_mut().command(Command::GoToSlice(10));
    harness.run_steps(3);
    harness.get_by_label_contains("C3 by your names");
    // Names that go up instead of down are told and used no more.
    let first = measurements(&harness)[0].id;
    harness.state_mut().command(Command::Measure(MeasureCommand::Rename(first, "C7".to_owned())));
    harness.run_steps(3);
    harness.get_by_label("Peak 1, slice 11");
    chord(&mut harness, Modifiers::COMMAND, Key::Z);
    harness.get_by_label("Peak 1, slice 11, C3");
}
