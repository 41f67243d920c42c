//! The bar at the top: what is open, the window, and the few actions that everybody looks for.

use egui::{Align, Layout, RichText};

use super::theme;
use crate::measure::Kind;
use crate::state::{
    ActiveSeries, AppState, BesideCommand, Command, ExportKind, MOST_USER_WINDOWS, PanelSide, Tool, WindowsCommand,
};
use crate::study::Part;
use crate::study::describe;
use crate::study::describe::table_text;
use crate::view::planes;
use crate::volume::Window;

/// Below these widths, points, buttons move into the menu: first those that have keys and panels of their own, then all but
/// the window and the tool.
const ROOMY: f32 = 1200.0;
const NARROW: f32 = 860.0;

pub fn show(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let frame = egui::Frame::NONE.fill(theme::of(ui).panel).inner_margin(egui::Margin::symmetric(10, 5));
    egui::Panel::top("top").frame(frame).show(ui, |ui| {
        ui.horizontal(|ui| {
            let width = ui.available_width();
            let active = being_read(state);
            let fold = active.is_some() && width < ROOMY;
            let narrow = active.is_some() && width < NARROW;
            ui.label(RichText::new("dens").strong().size(16.0).color(theme::of(ui).text));
            ui.add_space(6.0);
            if !narrow {
                open_folder(ui, state, commands);
                if active.is_none() {
                    add_folder(ui, state, commands);
                }
                // Where the bar is full of a study's buttons the menu, the key and the start screen remain.
                if active.is_none() || width > 1500.0 {
                    open_file(ui, state, commands);
                }
                close(ui, state, commands);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if fold {
                    more(ui, state, narrow, commands);
                } else {
                    settings_and_help(ui, state, commands);
                    panels(ui, state, commands);
                }
                if let Some(active) = state.at_hand().filter(|_| active.is_some()) {
                    window_menu(ui, active, state, commands);
                    tool_menu(ui, state, commands);
                }
                if !narrow {
                    layouts(ui, state, commands);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add_space(8.0);
                    let title = RichText::new(study_title(state)).color(theme::of(ui).dim);
                    ui.add(egui::Label::new(title).truncate());
                });
            });
        });
    });
}

/// The series on the screen; none while the worklist is.
fn being_read(state: &AppState) -> Option<&ActiveSeries> {
    state.active.as_ref().filter(|_| !state.shows_worklist())
}

/// What there is no room for.
fn more(ui: &mut egui::Ui, state: &AppState, narrow: bool, commands: &mut Vec<Command>) {
    let menu = ui.menu_button("More", |ui| {
        let before = commands.len();
        ui.set_min_width(150.0);
        if narrow {
            open_folder(ui, state, commands);
        }
        open_file(ui, state, commands);
        add_folder(ui, state, commands);
        if narrow {
            close(ui, state, commands);
            ui.separator();
            layouts(ui, state, commands);
        }
        ui.separator();
        panels(ui, state, commands);
        ui.separator();
        settings_and_help(ui, state, commands);
        if commands.len() > before {
            ui.close();
        }
    });
    menu.response.on_hover_text("Panels, heatmap, report, settings, keys");
}

fn open_folder(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let hint = state.keymap.hint("Or drop a folder on the window", "open-folder");
    if ui.button("Open folder").on_hover_text(hint).clicked() {
        commands.push(Command::PickFolder);
    }
}

/// Beside what is open; where a list is on the screen it is a button, else the key and the menu have it.
fn add_folder(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let hint = state.keymap.hint("Beside what is open, as one list; or drop one with Shift held", "add-folder");
    if state.study.is_some() && ui.button("Add folder").on_hover_text(hint).clicked() {
        commands.push(Command::PickFolderToAdd);
    }
}

fn open_file(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let what = "A zip archive, a DICOMDIR or a DICOM file; or drop it on the window";
    if ui.button("Open file").on_hover_text(state.keymap.hint(what, "open-file")).clicked() {
        commands.push(Command::PickFile);
    }
}

fn close(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let open = state.active.is_some() || state.has_worklist();
    if open && ui.button("Close").on_hover_text("Back to the start screen").clicked() {
        commands.push(Command::CloseStudy);
    }
}

fn settings_and_help(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if ui.button("?").on_hover_text(state.keymap.hint("Keys and mouse", "help")).clicked() {
        commands.push(Command::ToggleHelp);
    }
    let hint = state.keymap.hint("Network, picture, theme, keys, privacy", "settings");
    if ui.button("Settings").on_hover_text(hint).clicked() {
        commands.push(Command::ToggleSettings);
    }
}

/// From right to left.
fn panels(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let Some(active) = being_read(state) else { return };
    let hint = |what: &str, name: &str| state.keymap.hint(what, name);
    let report = ui.add_enabled(!state.results_hidden(), egui::Button::new("Report"));
    let report = report.on_hover_text(hint("Export PDF, PNG or JSON", "report"));
    if report.on_disabled_hover_text(state.no_report()).clicked() {
        commands.push(Command::BeginExport(ExportKind::Report));
    }
    let text = hint("Panel of the network's findings", "findings-panel");
    toggle(ui, state.settings.show_findings, "Findings", &text, Command::TogglePanel(PanelSide::Findings), commands);
    let text = hint("Panel of the study's series", "series-panel");
    toggle(ui, state.settings.show_series, "Series", &text, Command::TogglePanel(PanelSide::Series), commands);
    let text = hint("Hold the key to peek", "heatmap");
    toggle(ui, state.heatmap_on, "Heatmap", &text, Command::ToggleHeatmap, commands);
    if active.truth.is_some() {
        let text = hint("Boxes of the reference standard on the image, marks on the strip", "reference");
        toggle(ui, state.truth_on, "Reference", &text, Command::ToggleTruth, commands);
    }
}

/// From right to left.
fn layouts(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if being_read(state).is_none() {
        return;
    }
    let hint = |what: &str, name: &str| state.keymap.hint(what, name);
    let one = format!(
        "{}; axial {}, sagittal {}, coronal {}",
        hint("One pane", "three-planes"),
        state.keymap.text("axial"),
        state.keymap.text("sagittal"),
        state.keymap.text("coronal")
    );
    for (layout, text, hint) in [
        (planes::Layout::Four, "2 x 2", hint("Three planes and the bone from any side", "four-panes")),
        (planes::Layout::Three, "3-up", hint("Axial, sagittal and coronal", "three-planes")),
        (planes::Layout::One, "1-up", one),
    ] {
        toggle(ui, state.settings.layout == layout, text, &hint, Command::SetLayout(layout), commands);
    }
    if state.study.as_ref().is_some_and(|study| study.catalog.series.len() > 1) {
        let hint = hint("A second series beside this one, linked by place", "beside");
        let beside = Command::Beside(BesideCommand::Toggle);
        toggle(ui, state.beside().is_some(), "Beside", &hint, beside, commands);
    }
}

fn toggle(ui: &mut egui::Ui, on: bool, text: &str, hint: &str, command: Command, commands: &mut Vec<Command>) {
    if ui.selectable_label(on, text).on_hover_text(hint).clicked() {
        commands.push(command);
    }
}

/// "bone 1800/500", as name width/centre; "VOI LUT NAME" for a table of the file's.
pub fn window_text(window: &Window) -> String {
    if let Some(table) = &window.table {
        return table_text(table);
    }
    let numbers = format!("{:.0}/{:.0}", window.width, window.center);
    match window.preset_name() {
        Some(name) => format!("{name} {numbers}"),
        None => format!("W/L {numbers}"),
    }
}

fn window_menu(ui: &mut egui::Ui, active: &ActiveSeries, state: &AppState, commands: &mut Vec<Command>) {
    let response = egui::ComboBox::from_id_salt("window")
        .selected_text(window_text(&active.window))
        .width(168.0)
        .height(460.0)
        // A name is written in it.
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show_ui(ui, |ui| {
            ui.set_min_width(230.0);
            let before = commands.len();
            windows_to_choose(ui, active, state, commands);
            ui.separator();
            store_window(ui, active, state, commands);
            if commands.len() > before {
                ui.close();
            }
        })
        .response;
    response.accessible_name("Window").on_hover_text("Window width/centre of the picture");
}

/// "name 1800/500", as width/centre.
fn named(name: &str, window: &Window) -> String {
    format!("{name} {:.0}/{:.0}", window.width, window.center)
}

fn windows_to_choose(ui: &mut egui::Ui, active: &ActiveSeries, state: &AppState, commands: &mut Vec<Command>) {
    let mut entry = |ui: &mut egui::Ui, on: bool, text: String, action: &str, command: Command| {
        let key = state.keymap.text(action);
        if ui.add(egui::Button::selectable(on, text).right_text(key)).clicked() {
            commands.push(command);
        }
    };
    for (i, (name, preset)) in Window::PRESETS.iter().enumerate() {
        let action = format!("window-{}", i + 1);
        entry(ui, *preset == active.window, named(name, preset), &action, Command::Preset(i + 1));
    }
    for (i, own) in state.settings.user_windows.iter().enumerate() {
        let action = if i == 0 { "window-9" } else { "" };
        let command = Command::Windows(WindowsCommand::Use(i));
        entry(ui, own.window == active.window, named(own.title(), &own.window), action, command);
    }
    entry(ui, false, "full range".to_owned(), "full-range", Command::FullRangeWindow);
    let series = &active.series;
    if series.file_windows.is_empty() {
        entry(ui, false, "the file's own".to_owned(), "file-window", Command::FileWindow);
    }
    for (i, window) in series.file_windows.iter().enumerate() {
        let name = series.file_window_names.get(i).map_or("", String::as_str);
        let which = match (&window.table, name, series.file_windows.len()) {
            (Some(table), _, _) => format!("the file's own: {}", table_text(table)),
            (None, "", 1) => named("the file's own", window),
            (None, "", _) => named(&format!("the file's own {}", i + 1), window),
            (None, ..) => named(&format!("the file's own: {name}"), window),
        };
        let action = if i == 0 { "file-window" } else { "" };
        let command = Command::Windows(WindowsCommand::UseOfFile(i));
        entry(ui, *window == active.window, which, action, command);
    }
}

/// The window at hand joins the reader's own under a name.
fn store_window(ui: &mut egui::Ui, active: &ActiveSeries, state: &AppState, commands: &mut Vec<Command>) {
    let id = egui::Id::unique("name of a window");
    let mut name: String = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    let room = state.settings.user_windows.len() < MOST_USER_WINDOWS;
    ui.label(RichText::new(named("Keep", &active.window)).small().color(theme::of(ui).dim));
    ui.horizontal(|ui| {
        let field = egui::TextEdit::singleline(&mut name).hint_text("name").desired_width(130.0).char_limit(40);
        let response = ui.add_enabled(room, field).accessible_name("Name to keep the window under");
        let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let full = format!("{MOST_USER_WINDOWS} are kept; delete one in the settings");
        let hint =
            state.keymap.hint("Your own windows are in the settings; the first is stored by key too", "store-window");
        let button = ui.add_enabled(room, egui::Button::new("Store")).on_hover_text(hint).on_disabled_hover_text(full);
        if button.accessible_name("Store the window").clicked() || entered {
            commands.push(Command::Windows(WindowsCommand::Store(std::mem::take(&mut name))));
        }
    });
    ui.data_mut(|data| data.insert_temp(id, name));
}

/// What the left button can do: `(tool, what, the action that takes it)`.
const TOOLS: [(Tool, &str, &str); 14] = [
    (Tool::Window, "window", "tool-window"),
    (Tool::WindowRegion, "window from a region", "window-region"),
    (Tool::Zoom, "zoom", "tool-zoom"),
    (Tool::Pan, "pan", "tool-pan"),
    (Tool::Scroll, "scroll", "tool-scroll"),
    (Tool::Crosshair, "crosshair", "tool-crosshair"),
    (Tool::Measure(Kind::Length), "length", "length"),
    (Tool::Measure(Kind::Angle), "angle", "angle"),
    (Tool::Measure(Kind::Cobb), "Cobb angle", "cobb"),
    (Tool::Measure(Kind::Ellipse), "ellipse", "ellipse"),
    (Tool::Measure(Kind::Rectangle), "rectangle", "rectangle"),
    (Tool::Measure(Kind::Pin), "HU pin", "pin"),
    (Tool::Measure(Kind::Arrow), "text arrow", "arrow"),
    (Tool::Measure(Kind::Vertebra), "vertebra", "vertebra"),
];

fn tool_menu(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let name = TOOLS.iter().find(|(tool, ..)| *tool == state.tool).map_or("", |(_, name, _)| name);
    let response = egui::ComboBox::from_id_salt("tool")
        .selected_text(name)
        .width(104.0)
        .height(420.0)
        .show_ui(ui, |ui| {
            ui.set_min_width(190.0);
            for (tool, name, action) in TOOLS {
                let key = state.keymap.text(action);
                let button = egui::Button::selectable(tool == state.tool, name).right_text(key);
                if ui.add(button).clicked() {
                    commands.push(Command::SetTool(tool));
                }
            }
        })
        .response;
    response.accessible_name("Tool").on_hover_text("What the left button does");
}

/// What the window system calls the window.
pub fn window_title(state: &AppState) -> String {
    match study_title(state) {
        title if !title.is_empty() => format!("{title} - dens"),
        _ if state.shows_worklist() => "worklist - dens".to_owned(),
        _ => "dens".to_owned(),
    }
}

/// The study in the top bar; says so when the identity is hidden.
fn study_title(state: &AppState) -> String {
    let Some(active) = being_read(state) else { return String::new() };
    let series = &active.series;
    let mut parts = Vec::new();
    if state.hide_identity {
        parts.push(describe::IDENTITY_HIDDEN.to_owned());
        parts.push(active.mask().scrub(&series.description));
        parts.extend(series.part.as_ref().map(Part::short));
    } else {
        parts.push(describe::person_name(&series.patient.name));
        parts.push(series.study.description.clone());
        parts.push(series.description.clone());
        parts.dedup();
        parts.extend(series.part.as_ref().map(Part::short));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        parts.push(format!("{} without name or description", series.modality));
    }
    parts.join("  |  ")
}
