//! Several studies in a real queue, and blind-first reading, by keys and accessible labels alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use dens::app::{App, Start};
use dens::findings::describe::score_text;
use dens::measure::Kind;
use dens::state::{AnalysisState, Command, MeasureCommand, Saved, Settings, Tool, Work, WorklistCommand};
use dens::view::planes::Pane;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::ui::{is_loaded, press, until, window_with};

const SIZE: [f32; 2] = [1280.0, 720.0];

/// `cases` small synthetic necks in a folder.
pub fn necks(folder: &Path, cases: u32) -> PathBuf {
    let out = folder.join("necks");
    let done = Process::new(env!("CARGO_BIN_EXE_dens"))
        .args(["phantom", "--matrix", "128", "--spacing", "3", "--difficulty", "easy", "--positive-fraction", "0.5"])
        .args(["--seed", "21", "--cases", &cases.to_string(), "--out"])
        .arg(&out)
        .output()
        .expect("dens starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out.join("train_images")
}

/// Ends the program as closing its window does.
fn close(mut harness: Harness<'_, App>) {
    eframe::App::on_exit(harness.state_mut());
}

fn opened(path: &Path, folder: &Path, settings: &Settings) -> Harness<'static, App> {
    let start = Start { paths: vec![path.to_owned()], ..Start::default() };
    let mut harness = window_with(SIZE, start, folder, settings);
    until(&mut harness, "the list is there", |app| app.state().shows_worklist());
    until(&mut harness, "the verdicts have been looked at", |app| {
        app.state().worklist.rows.iter().all(|row| row.reading_read)
    });
    harness
}

fn by_hand() -> Settings {
    Settings { auto_analyse: false, model: Some("nano".into()), ..Settings::default() }
}

fn all_ended(app: &App) -> bool {
    app.state().worklist.count().waiting == 0
}

fn command_key(harness: &mut Harness<'_, App>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
}

/// Everything that a screen reader could say.
fn said(harness: &Harness<'_, App>) -> String {
    let texts = harness.root().children_recursive().flat_map(|node| {
        let node = node.accesskit_node();
        [node.label(), node.value()]
    });
    texts.flatten().collect::<Vec<_>>().join("\n")
}

fn write_csv(harness: &mut Harness<'_, App>, path: &Path) -> Vec<HashMap<String, String>> {
    harness.get_by_label("Export the worklist as CSV");
    harness.state_mut().command(Command::SetExportPath(path.display().to_string()));
    harness.run_steps(2);
    harness.get_by_label("Write").click();
    until(harness, "the file", |app| app.state().export.is_none());
    let mut reader = csv::Reader::from_path(path).expect("a table");
    let rows: Result<Vec<_>, _> = reader.deserialize().collect();
    rows.expect("every row has every column")
}

#[test]
fn the_queue_analyses_every_study_that_it_can_and_results_are_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 3);
    let mut harness = opened(&images, folder.path(), &by_hand());
    harness.get_by_label_contains("Study 1: PHANTOM");
    // A drive that is gone.
    let gone = {
        let state = harness.state().state();
        let path = &state.row_series(&state.worklist.rows[1]).expect("a series").slices[0].path;
        path.parent().expect("its folder").to_owned()
    };
    std::fs::remove_dir_all(gone).expect("removed");
    harness.get_by_label("Analyse all").click();
    harness.run_steps(2);
    until(&mut harness, "the end of the queue", all_ended);
    let works: Vec<Work> = harness.state().state().worklist.rows.iter().map(|row| row.work.clone()).collect();
    assert!(works[0] == Work::Done && matches!(works[1], Work::Failed(_)) && works[2] == Work::Done, "{works:?}");
    assert_eq!(harness.state().state().in_memory(), (0, 0), "voxels are dropped after the analysis");
    let score = |harness: &Harness<'_, App>, row: usize| {
        harness.state().state().seen_result(row).and_then(|r| r.case).expect("a score")
    };
    harness.get_by_label_contains(&format!("done, {}", score_text(score(&harness, 0))));
    assert!(harness.query_all_by_label_contains("Study 2").any(|n| said_by(&n).contains("failed: ")));
    harness.get_by_label_contains("trained on synthetic necks only");
    harness.get_by_label_contains("not the absence of a fracture");
    assert!(!said(&harness).contains("no fracture"));

    press(&mut harness, Key::R);
    let highest = usize::from(score(&harness, 2) > score(&harness, 0)) * 2;
    assert_eq!(harness.state().state().rows_in_order()[0], highest);
    // With the settings open the keys of the list go on.
    command_key(&mut harness, Modifiers::COMMAND, Key::Comma);
    let cursor = |harness: &Harness<'_, App>| harness.state().state().worklist.cursor;
    press(&mut harness, Key::Home);
    let top = cursor(&harness);
    press(&mut harness, Key::ArrowDown);
    assert_ne!(cursor(&harness), top);
    press(&mut harness, Key::Escape);
    assert!(!harness.state().state().show_settings && harness.state().state().shows_worklist());
    press(&mut harness, Key::Home);
    press(&mut harness, Key::Enter);
    until(&mut harness, "the study is read", is_loaded);
    harness.get_by_label_contains("Image, slice");
    assert_eq!(harness.state().state().active_row(), Some(highest));
    harness.get_by_label("study 1 of 3");
    // Another start finds the result, says that it is an earlier one, and computes it anew when asked.
    close(harness);
    let small = Settings { model: Some("nano".into()), prefetch: false, ..Settings::default() };
    let mut harness = opened(&images, folder.path(), &small);
    press(&mut harness, Key::Enter);
    until(&mut harness, "the kept result", |app| matches!(app.state().analysis, AnalysisState::Done));
    harness.get_by_label_contains("computed earlier, 2");
    assert!(harness.state().state().findings().is_some_and(|f| f.is_complete()));
    command_key(&mut harness, Modifiers::COMMAND, Key::R);
    until(&mut harness, "the new result", |app| matches!(app.state().analysis, AnalysisState::Done));
    assert!(harness.query_by_label_contains("computed earlier").is_none());
    command_key(&mut harness, Modifiers::COMMAND, Key::Comma);
    harness.get_by_label_contains("1 series takes ");
    harness.get_by_label("Clear results").click();
    until(&mut harness, "the removal", |app| {
        app.state().notices.iter().any(|n| n.text.starts_with("2 kept results removed"))
    });
}

fn said_by(node: &egui_kittest::Node<'_>) -> String {
    node.accesskit_node().label().unwrap_or_default()
}

#[test]
fn the_list_is_walked_filtered_and_left_by_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 3);
    let mut harness = opened(&images, folder.path(), &by_hand());
    press(&mut harness, Key::ArrowDown);
    press(&mut harness, Key::ArrowDown);
    press(&mut harness, Key::ArrowUp);
    assert_eq!(harness.state().state().worklist.cursor, 1);
    press(&mut harness, Key::Slash);
    let second = harness.state().state().row_name(2);
    harness.get_by_label("Filter the worklist").type_text(&second);
    harness.run_steps(3);
    assert_eq!(harness.state().state().rows_in_order(), [2], "letters are no commands while one types");
    press(&mut harness, Key::Escape);
    assert_eq!(harness.state().state().rows_in_order(), [2], "Esc leaves the field first");
    press(&mut harness, Key::Escape);
    assert_eq!(harness.state().state().rows_in_order().len(), 3);
    press(&mut harness, Key::Enter);
    until(&mut harness, "the study is read", is_loaded);
    assert_eq!(harness.state().state().active_row(), Some(2));
    command_key(&mut harness, Modifiers::COMMAND, Key::ArrowUp);
    until(&mut harness, "its neighbour is read", |app| is_loaded(app) && app.state().active_row() == Some(1));
    let slice = harness.state().state().active.as_ref().map(|a| a.current);
    press(&mut harness, Key::F8);
    assert!(harness.state().state().shows_worklist() && harness.query_by_label_contains("Image, slice").is_none());
    for key in [Key::Num1, Key::ArrowDown, Key::End, Key::I] {
        press(&mut harness, key);
    }
    press(&mut harness, Key::Escape);
    let active = harness.state().state().active.as_ref().map(|a| (a.current, a.invert));
    assert_eq!(active, slice.map(|slice| (slice, false)), "keys of the list leave the image alone");
    command_key(&mut harness, Modifiers::COMMAND, Key::ArrowDown);
    assert!(is_loaded(harness.state()), "what was read is still there");
    press(&mut harness, Key::Questionmark);
    harness.get_by_label_contains("Ctrl+Down: next study");
    press(&mut harness, Key::Escape);
    command_key(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    press(&mut harness, Key::Escape);
    assert!(harness.query_all_by_label_contains("identity hidden").count() >= 3);
    assert!(!said(&harness).contains("PHANTOM"));
}

#[test]
fn blind_first_shows_nothing_of_a_result_before_the_verdict_and_logs_it() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 2);
    let model = Some("nano".into());
    let settings =
        Settings { blind_first: true, reader: "R1".into(), show_series: false, model, ..Settings::default() };
    let mut harness = opened(&images, folder.path(), &settings);
    until(&mut harness, "the end of the queue", all_ended);
    harness.run_steps(3);
    let result = |harness: &Harness<'_, App>, row: usize| {
        harness.state().state().worklist.rows[row].result.clone().expect("analysed behind the curtain")
    };
    let (first, second) = (result(&harness, 0), result(&harness, 1));
    let mut secrets: Vec<String> = [&first, &second]
        .into_iter()
        .flat_map(|r| [r.case.map(score_text), r.top.map(|top| score_text(top.score))])
        .flatten()
        .collect();
    secrets.extend(
        ["above threshold", "below threshold", "Peak ", "Grad-CAM", "fit for it", "disagree"].map(String::from),
    );
    let silent = |harness: &Harness<'_, App>, where_: &str| {
        let said = said(harness);
        for secret in &secrets {
            assert!(!said.contains(secret), "{where_} says {secret:?}:\n{said}");
        }
    };
    silent(&harness, "the list");
    assert!(said(&harness).contains("hidden"));
    press(&mut harness, Key::Enter);
    until(&mut harness, "the study and its result", |app| {
        is_loaded(app) && matches!(app.state().analysis, AnalysisState::Done)
    });
    harness.run_steps(3);
    silent(&harness, "the study");
    for key in [Key::N, Key::E, Key::F, Key::G, Key::B] {
        press(&mut harness, key);
        silent(&harness, "the study after a key");
    }
    command_key(&mut harness, Modifiers::SHIFT, Key::F);
    assert!(harness.state().state().heatmap_layer().is_none());
    command_key(&mut harness, Modifiers::COMMAND, Key::E);
    assert!(harness.state().state().export.is_none(), "no report before the verdict");
    harness.get_by_label_contains("Score strip, ");
    silent(&harness, "the study after all");

    press(&mut harness, Key::J);
    press(&mut harness, Key::Y);
    command_key(&mut harness, Modifiers::ALT, Key::Num6);
    command_key(&mut harness, Modifiers::SHIFT, Key::Y);
    harness.get_by_label("Note").type_text("body, anterior");
    harness.run_steps(3);
    press(&mut harness, Key::Enter);
    assert!(harness.state().state().results_hidden(), "Enter in the field ends writing only");
    press(&mut harness, Key::Enter);
    assert!(!harness.state().state().results_hidden());
    harness.run_steps(3);
    harness.get_by_label_contains("you: finding, C6");
    assert!(said(&harness).contains(&format!("{:.3}", first.case.expect("a score"))));
    press(&mut harness, Key::J);
    press(&mut harness, Key::Escape);
    assert!(harness.state().state().shows_worklist());
    let row = harness.get_by_label_contains("Study 1: ");
    let text = said_by(&row);
    assert!(text.contains("finding, C6; disagrees with the result"), "{text}");
    assert!(text.contains(&score_text(first.case.expect("a score"))), "{text}");
    let other = said_by(&harness.get_by_label_contains("Study 2: "));
    assert!(!other.contains(&score_text(second.case.expect("a score"))) && other.contains("hidden"), "{other}");

    let csv = folder.path().join("out.csv");
    command_key(&mut harness, Modifiers::COMMAND, Key::E);
    let rows = write_csv(&mut harness, &csv);
    assert_eq!(rows.len(), 2);
    let one = &rows[0];
    for (column, value) in [
        ("order", "1"),
        ("reader", "R1"),
        ("blind", "yes"),
        ("own_verdict", "finding"),
        ("own_level", "C6"),
        ("own_note", "body, anterior"),
        ("opinion", "disagree"),
        ("results", "shown"),
    ] {
        assert_eq!(one[column], value, "{column}");
    }
    assert!(!one["case_score"].is_empty() && !one["opened"].is_empty() && one["model_sha256"].len() == 64);
    assert!(rows[1]["case_score"].is_empty() && rows[1]["network_verdict"].is_empty(), "{:?}", rows[1]);
    assert!(rows[1]["results"].starts_with("hidden") && rows[1]["order"].is_empty());
    close(harness);

    // Another start knows the verdict.
    let mut harness = opened(&images, folder.path(), &settings);
    let reading = harness.state().state().worklist.rows[0].reading.clone();
    assert!(reading.is_blind() && reading.own.is_some_and(|own| own.note == "body, anterior"));
    until(&mut harness, "the kept results", all_ended);
    harness.state_mut().command(Command::Worklist(WorklistCommand::Open(0)));
    until(&mut harness, "the study", is_loaded);
    harness.get_by_label_contains("you: finding, C6");
}

/// Names the vertebra at the middle of a slice.
fn name_vertebra(harness: &mut Harness<'_, App>, slice: usize, name: &str) {
    let app = harness.state_mut();
    app.command(Command::SetTool(Tool::Measure(Kind::Vertebra)));
    app.command(Command::GoToSlice(slice));
    let pose = app.state().active.as_ref().and_then(|a| a.series.slices[slice].pose).expect("a place");
    app.command(Command::Measure(MeasureCommand::Place { pane: Pane::Slices, at: pose.origin }));
    let id = app.state().active.as_ref().and_then(|a| a.measures.sheet.selected).expect("drawn");
    app.command(Command::Measure(MeasureCommand::Rename(id, name.into())));
}

#[test]
fn the_level_of_a_peak_is_known_after_a_restart_without_opening_the_study() {
    let folder = tempfile::tempdir().expect("folder");
    let images = necks(folder.path(), 2);
    let mut harness = opened(&images, folder.path(), &by_hand());
    press(&mut harness, Key::Enter);
    until(&mut harness, "the study is read", is_loaded);
    let read = harness.state().state().active_row().expect("a study");
    let last = harness.state().state().active.as_ref().map_or(0, |a| a.slice_count() - 1);
    name_vertebra(&mut harness, 0, "C1");
    name_vertebra(&mut harness, last, "C7");
    until(&mut harness, "saved", |app| {
        app.state().active.as_ref().is_some_and(|active| active.measures.saved == Saved::Yes)
    });
    close(harness);
    let small = Settings { model: Some("nano".into()), ..Settings::default() };
    let mut harness = opened(&images, folder.path(), &small);
    until(&mut harness, "the end of the queue", all_ended);
    let state = harness.state().state();
    let level = state.seen_result(read).and_then(|result| state.top_level(result)).expect("a level");
    assert!(state.active.is_none() && state.in_memory() == (0, 0), "nothing was opened");
    harness.run_steps(3);
    harness.get_by_label_contains(&format!("{}, z ", level.name()));
    #[cfg(target_os = "linux")]
    {
        let kept = folder.path().join("data/dens/measurements");
        std::fs::create_dir_all(kept.parent().expect("a folder")).expect("a folder");
        std::fs::rename(folder.path().join("measurements"), &kept).expect("the folder of the window's files");
        let images = images.display().to_string();
        let args = ["worklist", &images, "--model", "nano", "--csv", "list.csv"];
        let mut command = crate::support::dens_command(&args, folder.path());
        let output = command.env("XDG_DATA_HOME", folder.path().join("data")).output().expect("dens starts");
        assert!(output.status.success(), "{output:?}");
        let mut table = csv::Reader::from_path(folder.path().join("list.csv")).expect("a table");
        let levels = table
            .deserialize()
            .map(|row: Result<HashMap<String, String>, _>| row.expect("a row")["peak_level"].clone());
        let levels: Vec<String> = levels.collect();
        assert_eq!((levels[read].as_str(), levels[1 - read].as_str()), (level.name(), ""));
    }
}
