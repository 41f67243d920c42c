//! The list of DICOM attributes, keys of one's own, themes and scaling, the first start: by label, as in `ui`.

use dens::app::{App, Start};
use dens::state::Command;
use egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding};
use crate::support::zips;
use crate::ui::{current, demo, is_loaded, press, until, window};

fn press_with(harness: &mut Harness<'_, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
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
    let start = Start { path: Some(zip), ..Start::default() };
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
    harness.get_by_label("1 of 26 lines");
    press(&mut harness, Key::ArrowDown);
    let before = current(&harness);
    harness.get_by_label_contains("(0018,1030)").focus();
    harness.run_steps(3);
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
