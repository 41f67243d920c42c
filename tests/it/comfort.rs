//! The list of DICOM attributes, keys of one's own, themes and scaling, the first start: by label, as in `ui`.

use dens::app::{App, Start, Store};
use dens::measure::Kind;
use dens::state::keymap::actions;
use dens::state::{Command, MOST_USER_WINDOWS, Settings, Tool, WindowsCommand};
use dens::volume::Window;
use egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding};
use crate::keys::two_series;
use crate::support::zips;
use crate::ui::{current, demo, is_loaded, press, until, window, window_stored};

fn press_with(harness: &mut Harness<'_, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
}

fn press_on(harness: &mut Harness<'_, App>, label: &str) {
    harness.get_by_label(label).focus();
    harness.run_steps(2);
    press(harness, Key::Enter);
}

#[test]
fn the_attributes_of_the_slice_are_listed_searched_and_copied_also_from_an_archive() {
    let folder = tempfile::tempdir().expect("folder");
    let slice = |z: i16| {
        let mut dcm = Dcm::ct(z, f64::from(z));
        dcm.text((0x18, 0x1030), "LO", &format!("Protocol {z}")).nested(2).bytes(Encoding::ExplicitLe)
    };
    let entries = [1, 2, 3, 4, 5].map(|z| zips::Entry::deflated(&format!("CT/{z}.dcm"), &slice(z)));
    let zip = folder.path().join("a.zip");
    std::fs::write(&zip, zips::archive(&entries, zips::Form::default())).expect("written");
    let start = Start { paths: vec![zip], ..Start::default() };
    let mut harness = window([1280.0, 720.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    press_with(&mut harness, Modifiers::COMMAND, Key::T);
    let read = |app: &App| app.state().attributes.shown().is_some_and(Result::is_ok);
    until(&mut harness, "the attributes", read);
    harness.get_by_label("(0010,0010) PatientName PN: Test^Neck");
    harness.get_by_label("(0018,1030) ProtocolName LO: Protocol 3");
    harness.get_by_label("(0008,1140) ReferencedImageSequence SQ: 1 item, folded").click();
    harness.run_steps(3);
    harness.get_by_label("Item 1 : , folded");

    // A word finds, and the keyboard goes from the field to the row, whose value Ctrl+C copies.
    harness.get_by_label("Search the attributes").focus();
    harness.run_steps(2);
    harness.get_by_label("Search the attributes").type_text("protocol");
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("PatientName").is_none());
    harness.get_by_label("1 of 29 lines");
    press(&mut harness, Key::ArrowDown);
    let before = current(&harness);
    assert!(harness.get_by_label("(0018,1030) ProtocolName LO: Protocol 3").is_focused());
    press(&mut harness, Key::ArrowDown);
    assert_eq!(current(&harness), before, "the arrows belong to the list");
    harness.event(Event::Copy);
    harness.step();
    let copied = harness
        .output()
        .platform_output
        .commands
        .iter()
        .any(|command| matches!(command, egui::OutputCommand::CopyText(text) if text == "Protocol 3"));
    assert!(copied, "{:?}", harness.output().platform_output.commands);

    // The list follows the slice, and hides who the patient is.
    harness.state_mut().command(Command::ScrollBy(1));
    until(&mut harness, "the next file", |app| !app.state().attributes.is_waiting());
    harness.get_by_label("(0018,1030) ProtocolName LO: Protocol 2");
    harness.get_by_label("Clear").click();
    press_with(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    harness.get_by_label("(0010,0010) PatientName PN: (hidden)");
    harness.get_by_label_contains("not shown, not found and not copied");
    press(&mut harness, Key::Escape);
    press(&mut harness, Key::Escape);
    assert!(harness.query_by_label("Search the attributes").is_none());
}

#[test]
fn the_built_in_patient_has_no_attributes_and_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press_with(&mut harness, Modifiers::COMMAND, Key::T);
    harness.get_by_label_contains("has no DICOM attributes: the study is the built-in synthetic neck");
    press_with(&mut harness, Modifiers::COMMAND, Key::T);
    assert!(harness.query_by_label_contains("has no DICOM attributes").is_none());
}

#[test]
fn the_sheet_prints_the_keys_in_force() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = window([1280.0, 720.0], Start::default(), folder.path(), false);
    press(&mut harness, Key::Questionmark);
    for action in actions() {
        let keys = harness.state().state().keymap.text(action.name);
        harness.get_by_label(&format!("{keys}: {}", action.what));
    }
    harness.get_by_label("Wheel: slices (Shift: five times as many)");
    harness.get_by_label("map: dens");
    harness.get_by_label("Change keys").click();
    harness.run_steps(3);
    harness.get_by_label("like Horos").click();
    harness.run_steps(3);
    press(&mut harness, Key::Escape);
    press(&mut harness, Key::Questionmark);
    harness.get_by_label("map: like Horos");
    harness.get_by_label("M: left button: translate");
    harness.get_by_label("L: length");
}

#[test]
fn a_key_is_changed_its_conflict_is_told_and_it_acts_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    harness.get_by_label("Keys").click();
    harness.run_steps(3);
    // By the keyboard alone, further down than the list shows.
    press_on(&mut harness, "Change: length");
    harness.get_by_label_contains("Press a key for \"length\"");
    let slice = current(&harness);
    press(&mut harness, Key::Tab);
    harness.get_by_label_contains("Tab means the same everywhere");
    press(&mut harness, Key::N);
    harness.get_by_label("N belongs to \"next peak of the strip\" already.");
    harness.get_by_label("Leave all as it was");
    harness.get_by_label("Take N from it");
    harness.get_by_label("Swap: that gets D");
    press(&mut harness, Key::Enter);
    assert!(harness.query_by_label_contains("Press a key").is_none());
    harness.get_by_label("yours: N");
    harness.get_by_label("yours: D");
    press(&mut harness, Key::Escape);
    press(&mut harness, Key::N);
    assert_eq!(harness.state().state().tool, Tool::Measure(Kind::Length));
    assert_eq!(current(&harness), slice);
    // A key that nobody has goes without a question, and Reset all brings the map back.
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    press_on(&mut harness, "Add: angle");
    press_with(&mut harness, Modifiers::COMMAND, Key::J);
    harness.get_by_label("yours: A, Ctrl+J");
    press_on(&mut harness, "None: angle");
    harness.get_by_label("yours: no key");
    press_on(&mut harness, "Reset: angle");
    harness.get_by_label("Reset all").click();
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("yours:").is_none());
    assert!(harness.state().state().settings.own_keys.is_empty());
}

#[test]
fn a_map_of_ones_own_lies_beside_the_settings_and_its_faults_are_told() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::create_dir(folder.path().join("keymaps")).expect("a folder");
    let text = "name = \"mine\"\n[keys]\ncine = [\"J\"]\nfly = [\"U\"]\n";
    std::fs::write(folder.path().join("keymaps/mine.toml"), text).expect("written");
    std::fs::write(folder.path().join("keymaps/bad.toml"), "name =").expect("written");
    let store = Store::at(folder.path().join("settings.json"));
    let settings =
        Settings { keymap: "mine".into(), acknowledged: true, model: Some("nano".into()), ..Settings::default() };
    let harness = window_stored([1000.0, 700.0], Start::default(), store, &settings);
    let state = harness.state().state();
    assert_eq!(state.keymap.text("cine"), "J");
    let notices: Vec<&str> = state.notices.iter().map(|n| n.text.as_str()).collect();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].contains("bad.toml could not be understood") && notices[1].contains("\"fly\""), "{notices:?}");
}

#[test]
fn theme_and_size_change_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 900.0], folder.path());
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    assert_eq!(harness.ctx.theme(), egui::Theme::Dark);
    harness.get_by_label("Theme: light").click();
    harness.run_steps(3);
    assert_eq!(harness.ctx.theme(), egui::Theme::Light);
    harness.get_by_label("Theme: dark").click();
    harness.run_steps(3);
    assert_eq!(harness.ctx.theme(), egui::Theme::Dark);
    harness.get_by_label("Larger").click();
    harness.run_steps(3);
    harness.get_by_label("110 %");
    press(&mut harness, Key::Escape);
    press_with(&mut harness, Modifiers::COMMAND, Key::Equals);
    press_with(&mut harness, Modifiers::COMMAND, Key::Plus);
    assert_eq!(harness.state().state().settings.scale_percent, 130);
    assert!((harness.ctx.zoom_factor() - 1.3).abs() < 1e-6);
    press_with(&mut harness, Modifiers::COMMAND, Key::Minus);
    assert_eq!(harness.state().state().settings.scale_percent, 120);
    press_with(&mut harness, Modifiers::COMMAND, Key::Num0);
    assert_eq!((harness.state().state().settings.scale_percent, harness.ctx.zoom_factor()), (100, 1.0));
}

#[test]
fn the_top_bar_never_overlaps() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1500.0, 700.0], folder.path());
    never_overlaps(&mut harness);
    harness.get_by_label("More").click();
    harness.run_steps(3);
    harness.get_by_label("Report").click();
    harness.run_steps(3);
    harness.get_by_label("Export a report");
    // A study of more than one series has one button more.
    let folder = tempfile::tempdir().expect("folder");
    never_overlaps(&mut two_series(folder.path()));
}

#[track_caller]
fn never_overlaps(harness: &mut Harness<'_, App>) {
    let buttons = [
        "Beside",
        "Open folder",
        "Open file",
        "Close",
        "1-up",
        "3-up",
        "2 x 2",
        "Window",
        "Tool",
        "More",
        "Reference",
        "Heatmap",
        "Series",
        "Findings",
        "Report",
        "Settings",
        "?",
    ];
    for width in [1920.0, 1500.0, 1280.0, 1210.0, 1190.0, 1030.0, 900.0, 850.0, 760.0, 512.0] {
        harness.set_size(egui::vec2(width, 700.0));
        harness.run_steps(3);
        let rects: Vec<(&str, egui::Rect)> = buttons
            .iter()
            .filter_map(|name| Some((*name, harness.query_by_label(name)?.rect())))
            .filter(|(_, rect)| rect.top() < 40.0)
            .collect();
        assert!(rects.len() >= 3, "{width}: {rects:?}");
        for (at, (name, rect)) in rects.iter().enumerate() {
            assert!(rect.left() >= 0.0 && rect.right() <= width, "{width}: {name} at {rect:?}");
            for (other, place) in &rects[at + 1..] {
                assert!(!rect.shrink(0.5).intersects(*place), "{width}: {name} {rect:?} on {other} {place:?}");
            }
        }
    }
}

#[test]
fn the_first_page_is_read_once() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::at(folder.path().join("settings.json"));
    let fresh = Settings { auto_analyse: false, ..Settings::default() };
    let mut harness = window_stored([1000.0, 700.0], Start::default(), store.clone(), &fresh);
    harness.run_steps(3);
    harness.get_by_label("Before you begin");
    assert!(harness.query_all_by_label_contains("synthetic necks only").count() >= 1);
    harness.get_by_label("Demo study");
    harness.get_by_label("I have read this").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Before you begin").is_none() && harness.state().state().settings.acknowledged);
    // A study that was opened from outside is not stood in the way of.
    let start = Start { demo: true, ..Start::default() };
    let mut harness = window_stored([1000.0, 700.0], start, store, &fresh);
    until(&mut harness, "the demo study is there", is_loaded);
    harness.get_by_label_contains("Image, slice");
    assert!(harness.query_by_label("Before you begin").is_none());
    harness.get_by_label_contains("has seen synthetic necks only: on a patient");
    harness.get_by_label("I have read this").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("I have read this").is_none());
}

#[test]
fn recents_are_hidden_with_the_identity() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::at(folder.path().join("settings.json"));
    let settings = Settings {
        recents: vec!["/data/doe^jane".into()],
        acknowledged: true,
        model: Some("nano".into()),
        ..Settings::default()
    };
    let mut harness = window_stored([1000.0, 700.0], Start::default(), store, &settings);
    harness.run_steps(2);
    harness.get_by_label("/data/doe^jane");
    press_with(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    harness.get_by_label("(path hidden)");
    assert!(harness.query_by_label_contains("doe").is_none());
}

#[test]
fn the_wheel_and_a_drag_go_at_the_readers_pace() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let middle = harness.get_by_label_contains("Image, slice").rect().center();
    let notch = |harness: &mut Harness<'_, App>| {
        let before = current(harness);
        harness.hover_at(middle);
        harness.run_steps(1);
        harness.event(Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, -40.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Trackpad,
            modifiers: Modifiers::NONE,
        });
        harness.run_steps(2);
        current(harness) - before
    };
    assert_eq!(notch(&mut harness), 1);
    harness.state_mut().command(Command::SetWheelSlices(3));
    assert_eq!(notch(&mut harness), 3);
    let width = |h: &Harness<'_, App>| h.state().state().active.as_ref().expect("a series").window.width;
    let dragged = |harness: &mut Harness<'_, App>| {
        harness.state_mut().command(Command::Preset(2));
        let before = width(harness);
        crate::ui::drag(harness, middle, egui::vec2(40.0, 0.0));
        width(harness) - before
    };
    let usual = dragged(&mut harness);
    harness.state_mut().command(Command::SetDragSensitivity(0.25));
    let slow = dragged(&mut harness);
    assert!(usual > 0.0 && slow > 0.0 && slow < usual * 0.4, "{usual} and {slow}");
}

#[test]
fn what_has_the_keyboard_scrolls_with_the_arrows() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    for label in ["Score strip", "Image, slice"] {
        harness.get_by_label_contains(label).focus();
        harness.run_steps(3);
        let before = current(&harness);
        press(&mut harness, Key::ArrowDown);
        press(&mut harness, Key::ArrowDown);
        assert_eq!(current(&harness), before + 2, "{label}");
    }
}

#[test]
fn a_second_window_says_that_it_shares_its_files_with_another() {
    let folder = tempfile::tempdir().expect("folder");
    let warned = |harness: &Harness<'_, App>| {
        harness.state().state().notices.iter().any(|notice| notice.text.starts_with("Another window of dens is open"))
    };
    let first = demo([1280.0, 720.0], folder.path());
    let second = demo([1280.0, 720.0], folder.path());
    assert_eq!([&first, &second].map(warned), [false, true]);
    drop((first, second));
    assert!(!warned(&demo([1280.0, 720.0], folder.path())));
}

#[test]
fn the_title_of_the_window_says_what_is_read_and_hides_it_with_the_identity() {
    let folder = tempfile::tempdir().expect("folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    for (n, name) in ["Zaphodia_1.dcm", "Zaphodia_2.dcm", "Zaphodia_4.dcm", "Zaphodia_5.dcm"].into_iter().enumerate() {
        let at = if n < 2 { n as i16 } else { n as i16 + 1 };
        let mut slice = Dcm::ct(at, f64::from(at));
        slice.text((0x10, 0x10), "PN", "Beeblebrox^Zaphodia").text((0x08, 0x1030), "LO", "Zaphodia's neck");
        std::fs::write(study.join(name), slice.bytes(Encoding::ExplicitLe)).expect("written");
    }
    let mut harness = window([1280.0, 720.0], Start { paths: vec![study], ..Start::default() }, folder.path(), false);
    until(&mut harness, "loaded", is_loaded);
    assert_eq!(dens::ui::window_title(harness.state().state()), "Beeblebrox, Zaphodia  |  Zaphodia's neck - dens");
    press_with(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    let state = harness.state().state();
    let mut said = vec![dens::ui::window_title(state)];
    said.extend(state.passport().expect("a passport").lines.into_iter().map(|line| line.text));
    assert!(said[0].starts_with("identity hidden") && !said.join(" ").contains("Zaphodia"), "{said:?}");
}

#[test]
fn a_kept_result_is_shown_where_nothing_is_analysed_by_itself() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let done = |app: &App| app.state().findings().is_some_and(|findings| findings.is_complete());
    assert!(!done(harness.state()));
    harness.state_mut().command(Command::StartAnalysis);
    until(&mut harness, "analysed", done);
    until(&mut harness, "kept", |_| {
        std::fs::read_dir(folder.path().join("results")).is_ok_and(|mut f| f.next().is_some())
    });
    harness.state_mut().command(Command::CloseStudy);
    harness.state_mut().command(Command::OpenDemo);
    until(&mut harness, "found again", done);
    assert!(harness.state().state().findings().is_some_and(|f| f.provenance.computed_earlier.is_some()));
}

fn beside(harness: &Harness<'_, App>, id: &str) -> Option<egui::Rect> {
    harness.ctx.memory(|memory| memory.area_rect(egui::Id::unique(id)))
}

fn scrolled_and_windowed(harness: &mut Harness<'_, App>) {
    let image = harness.get_by_label_contains("Image, slice").rect();
    let at = |harness: &Harness<'_, App>| {
        let active = harness.state().state().active.as_ref().expect("a series");
        (active.current, active.window.width)
    };
    press(harness, Key::Num1);
    let (slice, width) = at(harness);
    press(harness, Key::ArrowDown);
    press(harness, Key::Num2);
    let (next, wider) = at(harness);
    assert_eq!(next, slice + 1);
    assert!(wider > width, "by key");
    crate::ui::drag(harness, image.center(), egui::vec2(40.0, 0.0));
    assert!(at(harness).1 > wider, "by a drag");
}

#[test]
fn settings_help_and_notices_leave_the_image_in_use() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let image = harness.get_by_label_contains("Image, slice").rect();
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    harness.get_by_label("General");
    scrolled_and_windowed(&mut harness);
    press(&mut harness, Key::Questionmark);
    harness.get_by_label("Keys and mouse");
    scrolled_and_windowed(&mut harness);
    harness.state_mut().command(Command::ToggleNotices);
    harness.run_steps(3);
    harness.get_by_label("Copy all");
    scrolled_and_windowed(&mut harness);
    let windows =
        [("help", Command::ToggleHelp), ("settings", Command::ToggleSettings), ("notices", Command::ToggleNotices)];
    for (id, toggle) in windows.clone() {
        let window = beside(&harness, id).expect("it is open");
        assert!(
            egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1280.0, 720.0)).contains_rect(window),
            "{window}"
        );
        let covered = image.intersect(window);
        assert!(!window.contains(image.center()) && covered.area() < image.area() * 0.4, "{id}: {window} on {image}");
        // A press on it is not one on the image below.
        let before = harness.state().state().active.as_ref().map(|a| a.window.clone());
        let heading = egui::pos2(window.center().x, window.top() + 18.0);
        crate::ui::drag(&mut harness, heading, egui::vec2(-6.0, 0.0));
        assert_eq!(harness.state().state().active.as_ref().map(|a| a.window.clone()), before, "{id}");
        let moved = beside(&harness, id).expect("it is open");
        assert!((moved.left() - window.left() + 6.0).abs() < 1.5, "{id} from {window} to {moved}");
        // Help lies on the settings.
        harness.state_mut().command(toggle);
        harness.run_steps(3);
    }
    for (_, toggle) in windows {
        harness.state_mut().command(toggle);
    }
    harness.run_steps(3);
    let open = |harness: &Harness<'_, App>| {
        let state = harness.state().state();
        [state.show_help, state.show_settings, state.show_notices]
    };
    for left in [[false, true, true], [false, false, true], [false; 3]] {
        press(&mut harness, Key::Escape);
        assert_eq!(open(&harness), left, "one thing at a time");
    }
}

#[test]
fn a_measurement_that_is_being_drawn_is_given_up_before_a_window_is_closed() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    let centre = harness.get_by_label_contains("Image, slice").rect().center();
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    press(&mut harness, Key::D);
    crate::ui::click(&mut harness, centre);
    let drawing = |harness: &Harness<'_, App>| {
        let state = harness.state().state();
        (state.active.as_ref().is_some_and(|a| a.measures.draft.is_some()), state.show_settings)
    };
    assert_eq!(drawing(&harness), (true, true));
    press(&mut harness, Key::Escape);
    assert_eq!(drawing(&harness), (false, true));
    press(&mut harness, Key::Escape);
    assert_eq!(drawing(&harness), (false, false));
    assert_eq!(harness.state().state().tool, Tool::Measure(Kind::Length));
}

#[test]
fn tab_reaches_the_window_beside_the_image_and_its_fields_keep_their_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    press(&mut harness, Key::Tab);
    let focused: Vec<egui::Rect> =
        harness.query_all_by_label("Close").filter(|node| node.is_focused()).map(|node| node.rect()).collect();
    let window = beside(&harness, "settings").expect("it is open");
    assert!(focused.len() == 1 && window.contains_rect(focused[0]), "{focused:?}");
    harness.get_by_label("Size of kept results, MB").focus();
    harness.run_steps(3);
    let before = (current(&harness), harness.state().state().active.as_ref().map(|a| a.window.clone()));
    harness.get_by_label("Size of kept results, MB").type_text("8");
    harness.key_press(Key::Num8);
    harness.run_steps(3);
    assert_eq!((current(&harness), harness.state().state().active.as_ref().map(|a| a.window.clone())), before);
    press(&mut harness, Key::Escape);
    assert!(harness.state().state().show_settings, "Esc leaves the field first");
    press(&mut harness, Key::Escape);
    assert!(!harness.state().state().show_settings);
    press(&mut harness, Key::Num8);
    assert_ne!(harness.state().state().active.as_ref().map(|a| a.window.clone()), before.1);
}

fn shown(harness: &Harness<'_, App>) -> Window {
    harness.state().state().active.as_ref().expect("a series").window.clone()
}

fn choose_window(harness: &mut Harness<'_, App>, entry: &str) {
    harness.get_by_label("Window").click();
    harness.run_steps(3);
    harness.get_by_label_contains(entry).click();
    harness.run_steps(3);
}

#[test]
fn windows_of_ones_own_are_stored_named_changed_and_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let mut harness = demo([1280.0, 720.0], folder.path());
    harness.state_mut().command(Command::SetWindow(Window::linear(60.0, 444.0)));
    harness.get_by_label("Window").click();
    harness.run_steps(3);
    harness.get_by_label("Name to keep the window under").focus();
    harness.run_steps(3);
    let before = current(&harness);
    harness.event(Event::Text("disc 2".to_owned()));
    harness.key_press(Key::Num2);
    harness.run_steps(3);
    assert_eq!((current(&harness), shown(&harness)), (before, Window::linear(60.0, 444.0)), "typing is no key");
    harness.get_by_label("Store the window").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Store the window").is_none(), "the menu closes");
    harness.state_mut().command(Command::SetWindow(Window::linear(-20.0, 120.0)));
    harness.get_by_label("Window").click();
    harness.run_steps(3);
    harness.get_by_label("Name to keep the window under").focus();
    harness.run_steps(3);
    harness.event(Event::Text("fat".to_owned()));
    press(&mut harness, Key::Enter);
    press(&mut harness, Key::Num9);
    assert_eq!(shown(&harness), Window::linear(60.0, 444.0), "key 9 is the first");
    choose_window(&mut harness, "fat 120/-20");
    assert_eq!(shown(&harness), Window::linear(-20.0, 120.0));
    // Shift+9 puts the window into the first, which keeps its name.
    press_with(&mut harness, Modifiers::SHIFT, Key::Num9);
    press(&mut harness, Key::Num2);
    choose_window(&mut harness, "disc 2 120/-20");

    press_with(&mut harness, Modifiers::COMMAND, Key::Comma);
    harness.get_by_label("Width of window 1");
    harness.get_by_label("Centre of window 1");
    harness.get_by_label("Name of window 2").focus();
    harness.run_steps(3);
    harness.event(Event::Text("!".to_owned()));
    harness.run_steps(3);
    assert_eq!(harness.state().state().settings.user_windows[1].name, "fat!");
    press(&mut harness, Key::Escape);
    press_on(&mut harness, "Delete window 1");
    let names = |app: &App| app.state().settings.user_windows.iter().map(|own| own.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(harness.state()), ["fat!"]);
    press(&mut harness, Key::Escape);
    for _ in 0..7 {
        harness.state_mut().command(Command::Windows(WindowsCommand::Store("more".to_owned())));
    }
    assert_eq!(names(harness.state()).len(), MOST_USER_WINDOWS);
    assert!(harness.state().state().notices.iter().any(|n| n.text.contains("windows of your own are kept")));
    eframe::App::on_exit(harness.state_mut());
    let kept = Store::at(folder.path().join("settings.json")).read();
    assert_eq!((kept.user_windows.len(), kept.user_windows[0].name.as_str()), (MOST_USER_WINDOWS, "fat!"));
}

#[test]
fn all_windows_of_a_file_are_offered_as_it_calls_them() {
    let folder = tempfile::tempdir().expect("folder");
    let series = folder.path().join("CT");
    std::fs::create_dir(&series).expect("a folder");
    for z in 1..=3 {
        let mut dcm = Dcm::ct(z, f64::from(z));
        dcm.text((0x28, 0x1050), "DS", "40\\600\\-500").text((0x28, 0x1051), "DS", "350\\2000\\1400");
        let bytes = dcm.text((0x28, 0x1055), "LO", "SOFT\\BONE NECK").bytes(Encoding::ExplicitLe);
        std::fs::write(series.join(format!("{z}.dcm")), bytes).expect("written");
    }
    let start = Start { paths: vec![series], ..Start::default() };
    let mut harness = window([1280.0, 720.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    choose_window(&mut harness, "the file's own: BONE NECK 2000/600");
    assert_eq!(shown(&harness), Window::linear(600.0, 2000.0));
    choose_window(&mut harness, "the file's own 3 1400/-500");
    assert_eq!(shown(&harness), Window::linear(-500.0, 1400.0));
    choose_window(&mut harness, "the file's own: SOFT 350/40");
    press(&mut harness, Key::Num2);
    press(&mut harness, Key::Backtick);
    assert_eq!(shown(&harness), Window::linear(40.0, 350.0), "the key is the first");
}

#[test]
fn phases_are_series_of_the_list_and_can_be_compared() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("CT");
    std::fs::create_dir(&path).expect("a folder");
    for (time, z) in (0..3).flat_map(|time| (1..=3).map(move |z| (time, z))) {
        let mut dcm = Dcm::ct(10 * time + z, f64::from(z));
        dcm.text((0x08, 0x103E), "LO", "PERFUSION").text((0x20, 0x12), "IS", &(time + 1).to_string());
        let bytes = dcm.text((0x20, 0x52), "UI", "2.25.9").bytes(Encoding::ExplicitLe);
        std::fs::write(path.join(format!("{time}{z}.dcm")), bytes).expect("written");
    }
    let start = Start { paths: vec![path], ..Start::default() };
    let mut harness = window([1500.0, 900.0], start, folder.path(), false);
    until(&mut harness, "the first phase is read", is_loaded);
    for phase in 1..=3 {
        harness.get_by_label(&format!("Series {phase}: PERFUSION, phase {phase} of 3, 3 images"));
    }
    let part = |app: &App| app.state().active.as_ref().and_then(|a| a.series.part.clone()).map(|part| part.words());
    let key = |app: &App| {
        let loaded = app.state().active.as_ref().and_then(|a| a.loaded.clone());
        loaded.and_then(|loaded| dens::state::SheetKey::of(&loaded))
    };
    assert_eq!(part(harness.state()).as_deref(), Some("phase 1 of 3: acquisition 1"));
    let first = key(harness.state());
    press(&mut harness, Key::ArrowRight);
    until(&mut harness, "the second phase is read", |app| {
        is_loaded(app) && part(app).as_deref() == Some("phase 2 of 3: acquisition 2")
    });
    assert!(first.is_some() && first != key(harness.state()), "each phase is measured for itself");
    let passport = dens::study::quality::of_header(&harness.state().state().active.as_ref().expect("a series").series);
    assert!(passport.iter().any(|line| line.text.starts_with("phase 2 of 3: acquisition 2")), "{passport:?}");
    press_with(&mut harness, Modifiers::SHIFT, Key::S);
    until(&mut harness, "a phase is beside it", |app| app.state().beside().is_some_and(|b| b.shown.loaded.is_some()));
    let beside = harness.state().state().beside().expect("a second series");
    assert_eq!(beside.shown.series.part.as_ref().map(|part| part.number), Some(1));
}
