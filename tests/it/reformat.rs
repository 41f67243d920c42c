//! Axial slices of a sagittal series, in the window and on the command line.

use std::path::{Path, PathBuf};

use dens::app::{App, Start};
use dens::state::Command;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding};
use crate::support::dens;
use crate::ui::{is_loaded, until, window};

const SIZE: [f32; 2] = [1600.0, 1000.0];

/// Twenty sagittal slices every `every_mm` of 40 x 40 pixels of 2 mm: a body with a column of bone.
fn sagittal(folder: &Path, every_mm: f64) -> PathBuf {
    let study = folder.join("sagittal");
    std::fs::create_dir(&study).expect("a folder");
    for i in 0..20_u16 {
        let x = every_mm * f64::from(i);
        let value = |k: u16| {
            let (y, z) = (k % 40, k / 40);
            let bone = (8..12).contains(&i) && (18..26).contains(&y) && z % 9 < 7;
            if bone { 1800 } else { 1060 + z }
        };
        let words: Vec<u16> = (0..1600).map(value).collect();
        let mut dcm = Dcm::ct(i.cast_signed(), x);
        dcm.text((0x20, 0x11), "IS", "7")
            .text((0x20, 0x32), "DS", &format!("{x}\\0\\0"))
            .text((0x20, 0x37), "DS", "0\\1\\0\\0\\0\\-1")
            .text((0x28, 0x30), "DS", "2\\2")
            .us((0x28, 0x10), 40)
            .us((0x28, 0x11), 40)
            .words(&words);
        std::fs::write(study.join(format!("{i}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("written");
    }
    study
}

fn reads_axial(app: &App) -> bool {
    is_loaded(app) && app.state().active.as_ref().is_some_and(|a| a.series.reformatted.is_some())
}

fn z_of(harness: &Harness<'_, App>) -> f64 {
    let active = harness.state().state().active.as_ref().expect("a series");
    active.series.slices[active.current].z_mm().expect("a place")
}

#[test]
fn a_button_beside_the_stop_makes_axial_slices_that_are_read_and_scored_as_any_others() {
    let folder = tempfile::tempdir().expect("folder");
    let study = sagittal(folder.path(), 3.0);
    let start = Start { paths: vec![study], ..Start::default() };
    let mut harness = window(SIZE, start, folder.path(), false);
    until(&mut harness, "the series is there", is_loaded);
    harness.run_steps(3);
    harness.get_by_label_contains("90 degrees off axial, more than 20");
    harness.get_by_label("Reformat to axial").click();
    until(&mut harness, "the axial slices", reads_axial);
    harness.run_steps(3);
    harness.get_by_label_contains("Series 2: axial, reformatted from series 7 by dens, 40 images");
    harness.get_by_label_contains("these axial slices were not acquired: dens interpolated them");
    assert!(harness.query_by_label("Reformat to axial").is_none());
    assert!(harness.query_by_label_contains("off axial, more than").is_none());
    harness.get_by_label_contains("Image, slice");

    let before = z_of(&harness);
    harness.key_press(Key::ArrowDown);
    harness.run_steps(3);
    assert_eq!(z_of(&harness), before - 2.0, "head to feet");
    // There is no more of a neck in it than a network may be forced to look at.
    harness.state_mut().command(Command::ForceAnalysis);
    until(&mut harness, "the scores", |app| {
        app.state().findings().is_some_and(|f| f.is_complete()) && !app.state().is_reformatting()
    });
    let seen = harness.state().state().findings().map(|f| (f.slices.len(), f.provenance.series_uid.clone()));
    assert!(seen.is_some_and(|(slices, uid)| slices == 40 && uid.starts_with("2.25.")));

    // Away and back by key, without files.
    harness.key_press(Key::PageUp);
    until(&mut harness, "the sagittal slices", |app| is_loaded(app) && !reads_axial(app));
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::ALT, Key::R);
    until(&mut harness, "the axial slices again", reads_axial);
    assert_eq!(harness.state().state().study.as_ref().map(|s| s.catalog.series.len()), Some(2));
    harness.state_mut().command(Command::CloseStudy);
    harness.run_steps(2);
    assert_eq!(harness.state().state().in_memory(), (0, 0));
}

#[test]
fn the_command_line_names_the_option_and_its_results_say_that_they_were_reformatted() {
    let folder = tempfile::tempdir().expect("folder");
    sagittal(folder.path(), 4.0);
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = dens(&["analyze", "sagittal", "--out", "a.json"], folder.path());
    assert!(!refused.status.success());
    assert!(said(&refused).contains("`dens analyze --reformat-axial` makes axial slices"), "{}", said(&refused));

    // What was interpolated from slices too far apart is no better than those.
    let stopped = dens(&["analyze", "sagittal", "--reformat-axial", "--out", "a.json"], folder.path());
    let text = said(&stopped);
    assert!(text.contains("the slices of series 7, which these were reformatted from, lie 4.0 mm apart"), "{text}");
    assert!(!text.contains("off axial"), "{text}");

    let forced = dens(&["analyze", "sagittal", "--reformat-axial", "--force", "--out", "a.json"], folder.path());
    assert!(forced.status.success(), "{}", said(&forced));
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("a.json")).expect("there")).expect("JSON");
    assert_eq!(json["reformatted"]["from"], "series 7");
    assert_eq!(
        (json["reformatted"]["pixel_mm"].as_f64(), json["slices"].as_array().map(Vec::len)),
        (Some(2.0), Some(40))
    );
    assert!(json["warnings"].as_array().expect("a list").iter().any(|w| w["kind"] == "reformatted"));

    let axial = dens(&["analyze", "demo:", "--reformat-axial", "--out", "b.json"], folder.path());
    assert!(said(&axial).contains("axial within 0 degrees already"), "{}", said(&axial));
}
