//! The bar at the top: what is open, the window, and the few actions that everybody looks for.

use egui::{Align, Layout, RichText};

use super::theme;
use crate::measure::Kind;
use crate::state::{AppState, Command, ExportKind, NO_REPORT, PanelSide, Tool};
use crate::study::describe;
use crate::view::planes;
use crate::volume::Window;

pub fn show(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let frame = egui::Frame::NONE.fill(theme::PANEL).inner_margin(egui::Margin::symmetric(10, 5));
    egui::Panel::top("top").frame(frame).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(RichText::new("dens").strong().size(16.0).color(theme::TEXT));
            ui.add_space(6.0);
            if ui.button("Open folder").on_hover_text("Ctrl+O, or drop a folder on the window").clicked() {
                commands.push(Command::PickFolder);
            }
            let hint = "A zip archive, a DICOMDIR or a DICOM file: Ctrl+Shift+O, or drop it on the window";
            // Where the bar is full of a study's buttons the key and the start screen remain.
            let room = state.active.is_none() || ui.available_width() > 1100.0;
            if room && ui.button("Open file").on_hover_text(hint).clicked() {
                commands.push(Command::PickFile);
            }
            if (state.active.is_some() || state.has_worklist())
                && ui.button("Close").on_hover_text("Back to the start screen").clicked()
            {
                commands.push(Command::CloseStudy);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                actions(ui, state, commands);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add_space(8.0);
                    ui.add(egui::Label::new(RichText::new(study_title(state)).color(theme::DIM)).truncate());
                });
            });
        });
    });
}

fn actions(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if ui.button("?").on_hover_text("Keys and mouse (?)").clicked() {
        commands.push(Command::ToggleHelp);
    }
    if ui.button("Settings").on_hover_text("Ctrl+,").clicked() {
        commands.push(Command::ToggleSettings);
    }
    let Some(active) = state.active.as_ref().filter(|_| !state.shows_worklist()) else { return };
    let report = ui.add_enabled(!state.results_hidden(), egui::Button::new("Report"));
    if report.on_hover_text("Export PDF, PNG or JSON (Ctrl+E)").on_disabled_hover_text(NO_REPORT).clicked() {
        commands.push(Command::BeginExport(ExportKind::Report));
    }
    toggle(ui, state.settings.show_findings, "Findings", "F10", Command::TogglePanel(PanelSide::Findings), commands);
    toggle(ui, state.settings.show_series, "Series", "F9", Command::TogglePanel(PanelSide::Series), commands);
    toggle(ui, state.heatmap_on, "Heatmap", "F; hold to peek", Command::ToggleHeatmap, commands);
    if active.truth.is_some() {
        let hint = "B: boxes of the reference standard on the image, marks on the strip";
        toggle(ui, state.truth_on, "Reference", hint, Command::ToggleTruth, commands);
    }
    window_menu(ui, active.window, state, commands);
    tool_menu(ui, state, commands);
    // From right to left.
    for (layout, text, hint) in [
        (planes::Layout::Four, "2 x 2", "Shift+M: three planes and the bone from any side"),
        (planes::Layout::Three, "3-up", "M: axial, sagittal and coronal"),
        (planes::Layout::One, "1-up", "M: one pane; F2 axial, F3 sagittal, F4 coronal"),
    ] {
        toggle(ui, state.settings.layout == layout, text, hint, Command::SetLayout(layout), commands);
    }
}

fn toggle(ui: &mut egui::Ui, on: bool, text: &str, hint: &str, command: Command, commands: &mut Vec<Command>) {
    if ui.selectable_label(on, text).on_hover_text(hint).clicked() {
        commands.push(command);
    }
}

/// "bone 1800/500", as name width/centre.
pub fn window_text(window: &Window) -> String {
    let numbers = format!("{:.0}/{:.0}", window.width, window.center);
    match window.preset_name() {
        Some(name) => format!("{name} {numbers}"),
        None => format!("W/L {numbers}"),
    }
}

fn window_menu(ui: &mut egui::Ui, window: Window, state: &AppState, commands: &mut Vec<Command>) {
    let response = egui::ComboBox::from_id_salt("window")
        .selected_text(window_text(&window))
        .width(168.0)
        .height(360.0)
        .show_ui(ui, |ui| {
            for (i, (name, preset)) in Window::PRESETS.iter().enumerate() {
                let text = format!("{}   {name} {:.0}/{:.0}", i + 1, preset.width, preset.center);
                if ui.selectable_label(*preset == window, text).clicked() {
                    commands.push(Command::Preset(i + 1));
                }
            }
            let own = match state.settings.user_window {
                Some(w) => format!("9   your own {:.0}/{:.0}", w.width, w.center),
                None => "9   your own (Shift+9 stores)".to_owned(),
            };
            if ui.add_enabled(state.settings.user_window.is_some(), egui::Button::selectable(false, own)).clicked() {
                commands.push(Command::Preset(9));
            }
            if ui.selectable_label(false, "0   full range").clicked() {
                commands.push(Command::FullRangeWindow);
            }
            if ui.selectable_label(false, "`   the file's own").clicked() {
                commands.push(Command::FileWindow);
            }
        })
        .response;
    response.accessible_name("Window").on_hover_text("Window width/centre (keys 0 to 9)");
}

/// What the left button can do: `(tool, what, key)`.
const TOOLS: [(Tool, &str, &str); 13] = [
    (Tool::Window, "window", "W"),
    (Tool::WindowRegion, "window from a region", "Shift+W"),
    (Tool::Zoom, "zoom", "Z"),
    (Tool::Pan, "pan", "T"),
    (Tool::Scroll, "scroll", "S"),
    (Tool::Crosshair, "crosshair", "X"),
    (Tool::Measure(Kind::Length), "length", "D"),
    (Tool::Measure(Kind::Angle), "angle", "A"),
    (Tool::Measure(Kind::Cobb), "Cobb angle", "Shift+A"),
    (Tool::Measure(Kind::Ellipse), "ellipse", "Shift+E"),
    (Tool::Measure(Kind::Rectangle), "rectangle", "Shift+R"),
    (Tool::Measure(Kind::Pin), "HU pin", "P"),
    (Tool::Measure(Kind::Arrow), "text arrow", "Shift+T"),
];

fn tool_menu(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let name = TOOLS.iter().find(|(tool, ..)| *tool == state.tool).map_or("", |(_, name, _)| name);
    let response = egui::ComboBox::from_id_salt("tool")
        .selected_text(name)
        .width(104.0)
        .height(420.0)
        .show_ui(ui, |ui| {
            ui.set_min_width(190.0);
            for (tool, name, key) in TOOLS {
                let button = egui::Button::selectable(tool == state.tool, name).right_text(key);
                if ui.add(button).clicked() {
                    commands.push(Command::SetTool(tool));
                }
            }
        })
        .response;
    response.accessible_name("Tool").on_hover_text("What the left button does");
}

/// The study in the top bar; says so when the identity is hidden.
fn study_title(state: &AppState) -> String {
    let Some(active) = state.active.as_ref().filter(|_| !state.shows_worklist()) else { return String::new() };
    let series = &active.series;
    let mut parts = Vec::new();
    if state.hide_identity {
        parts.push("identity hidden".to_owned());
    } else if !series.patient.name.is_empty() {
        parts.push(describe::person_name(&series.patient.name));
    }
    if !series.study.description.is_empty() {
        parts.push(series.study.description.clone());
    }
    if !series.description.is_empty() && series.description != series.study.description {
        parts.push(series.description.clone());
    }
    if parts.is_empty() {
        parts.push(format!("{} without name or description", series.modality));
    }
    parts.join("  |  ")
}
