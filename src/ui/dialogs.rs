//! Settings and notices beside the image, and the export sheet in front of it.

use egui::{RichText, Ui};

use super::beside::{self, Beside};
use super::{Progress, UiCache, keys_page, theme};
use crate::state::{
    AppState, Command, DeviceSetting, DragDoes, ExportDialog, ExportKind, MOST_USER_WINDOWS, Severity, ThemeSetting,
    WindowsCommand,
};
use crate::view::Interpolation;

pub fn show(
    ctx: &egui::Context,
    state: &AppState,
    progress: Progress,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    if state.show_notices {
        notices(ctx, state, cache, commands);
    }
    if state.show_settings {
        settings(ctx, state, cache, commands);
    }
    if let Some(dialog) = &state.export {
        export(ctx, state, dialog, progress, cache, commands);
    }
}

fn export(
    ctx: &egui::Context,
    state: &AppState,
    dialog: &ExportDialog,
    progress: Progress,
    cache: &UiCache,
    commands: &mut Vec<Command>,
) {
    let heading = match dialog.kind {
        ExportKind::Report => "Export a report",
        ExportKind::Picture => "Save the view as PNG",
        ExportKind::Panes => "Save all panes as PNG",
        ExportKind::Readings => "Export the worklist as CSV",
    };
    egui::Modal::new(egui::Id::unique("export")).show(ctx, |ui| {
        ui.set_width(560.0_f32.min(ctx.content_rect().width() - 60.0));
        beside::title(ui, heading, &Command::Escape, cache, commands, |_, _| {});
        let hint = match dialog.kind {
            ExportKind::Report => "The ending decides: .pdf and .png to read, .json with every number.",
            ExportKind::Picture => "The present view with its text; the research line is burnt in.",
            ExportKind::Panes => "All panes as they stand on the screen; the research line is burnt into each.",
            ExportKind::Readings => {
                "A line per study: results that you may see, verdicts, times and notes. Columns: README."
            }
        };
        ui.label(RichText::new(hint).color(theme::of(ui).dim));
        let mut path = dialog.path.clone();
        let mut confirm = false;
        ui.horizontal(|ui| {
            let field = egui::TextEdit::singleline(&mut path).desired_width(ui.available_width() - 90.0);
            let response = ui.add(field).accessible_name("File to write");
            if response.changed() {
                commands.push(Command::SetExportPath(path.clone()));
            }
            confirm = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            if !response.has_focus() && ctx.memory(|m| m.focused().is_none()) {
                response.request_focus();
            }
            if ui.button("Browse").clicked() {
                commands.push(Command::PickExportPath);
            }
        });
        let mut hide = state.hide_identity;
        if ui.checkbox(&mut hide, state.keymap.hint("Mask the patient's identity", "hide-identity")).clicked() {
            commands.push(Command::ToggleIdentity);
        }
        if state.findings().is_none_or(|f| !f.is_complete()) && dialog.kind == ExportKind::Report {
            let text = "The analysis is not complete; the report will say which slices have a score.";
            ui.label(RichText::new(text).color(theme::of(ui).warning));
        }
        if let Some(error) = &dialog.error {
            ui.label(RichText::new(error).color(theme::of(ui).stop));
        }
        ui.horizontal(|ui| {
            let ready = !dialog.writing && !path.trim().is_empty();
            if ui.add_enabled(ready, egui::Button::new("Write")).clicked() || (confirm && ready) {
                commands.push(Command::ConfirmExport);
            }
            if ui.button("Cancel").clicked() {
                commands.push(Command::Escape);
            }
            if dialog.writing || progress.export {
                ui.spinner();
                ui.label("writing");
            }
        });
    });
}

fn settings(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    // Each page opens as large as it needs.
    let (id, wide) = if state.keys_page { ("settings, keys", 660.0) } else { ("settings", 500.0) };
    let window = Beside { id, size: egui::vec2(wide, 2000.0), corner: egui::Align2::RIGHT_TOP };
    window.show(ctx, cache, |ui, cache| {
        beside::title(ui, "Settings", &Command::ToggleSettings, cache, commands, |_, _| {});
        ui.horizontal(|ui| {
            if ui.selectable_label(!state.keys_page, "General").clicked() {
                commands.push(Command::ShowGeneralPage);
            }
            if ui.selectable_label(state.keys_page, "Keys").clicked() {
                commands.push(Command::ShowKeysPage);
            }
        });
        ui.separator();
        if state.keys_page {
            return keys_page::show(ui, state, commands);
        }
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            analysis_settings(ui, state, commands);
            kept_settings(ui, &state.settings, commands);
            memory_settings(ui, state, commands);
            prefetch_settings(ui, &state.settings, commands);
            ui.add_space(8.0);
            picture_settings(ui, state, commands);
            ui.add_space(8.0);
            window_settings(ui, state, commands);
            ui.add_space(8.0);
            look_settings(ui, state, commands);
            ui.add_space(8.0);
            privacy_settings(ui, state, commands);
            ui.add_space(8.0);
            ui.label(RichText::new(crate::RESEARCH_LINE).small().color(theme::of(ui).warning));
            ui.label(RichText::new(crate::SOFTWARE).small().color(theme::of(ui).dim));
        });
    });
}

fn picture_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let s = &state.settings;
    super::caption(ui, "Picture and mouse");
    interpolation_setting(ui, state, commands);
    let text = "Drag down to brighten (default: up)";
    check(ui, s.invert_vertical_drag, text, commands, Command::SetInvertVerticalDrag);
    let mut pace = s.drag_sensitivity;
    let slider = egui::Slider::new(&mut pace, crate::state::DRAG_SENSITIVITIES).logarithmic(true).max_decimals(2);
    if ui.add(slider.text("times the usual change of the window by a drag")).changed() {
        commands.push(Command::SetDragSensitivity(pace));
    }
    drag_setting(ui, "Middle", s.middle_drag, Command::SetMiddleDrag, commands);
    drag_setting(ui, "Right", s.right_drag, Command::SetRightDrag, commands);
    let mut slices = s.wheel_slices;
    let slider = egui::Slider::new(&mut slices, crate::state::WHEEL_SLICES);
    if ui.add(slider.text("slices per notch of the wheel (Shift: five times as many)")).changed() {
        commands.push(Command::SetWheelSlices(slices));
    }
    let mut rate = s.cine_rate;
    let slider = egui::Slider::new(&mut rate, crate::state::CINE_RATES).max_decimals(0);
    if ui.add(slider.text(state.keymap.hint("slices per second of a cine", "cine"))).changed() {
        commands.push(Command::SetCineRate(rate));
    }
    check(ui, s.cine_sweep, "A cine goes there and back, not round and round", commands, Command::SetCineSweep);
    check(ui, s.heatmap_everywhere, "Heatmap below the threshold too", commands, Command::SetHeatmapEverywhere);
}

fn interpolation_setting(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let what = "Linear: no value beyond those around it. Cubic, sharp: keeps edges, and overshoots beside them. Cubic, smooth: \
                softens noise and edges. The badge of each picture says which";
    ui.horizontal(|ui| {
        ui.label("Between pixels").on_hover_text(state.keymap.hint(what, "interpolation"));
        for each in Interpolation::ALL {
            let response = ui.selectable_label(state.settings.interpolation == each, each.name());
            if response.accessible_name(format!("Between pixels: {}", each.name())).clicked() {
                commands.push(Command::SetInterpolation(each));
            }
        }
    });
}

/// What a drag with a button does on every picture but the bone's.
fn drag_setting(
    ui: &mut Ui,
    button: &str,
    now: DragDoes,
    command: impl Fn(DragDoes) -> Command,
    commands: &mut Vec<Command>,
) {
    ui.horizontal(|ui| {
        ui.label(format!("{button} drag"));
        for does in DragDoes::ALL {
            let response = ui.selectable_label(now == does, does.name());
            if response.accessible_name(format!("{button} drag: {}", does.name())).clicked() {
                commands.push(command(does));
            }
        }
    });
}

/// The reader's own windows.
fn window_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    super::caption(ui, "Your own windows");
    for (at, own) in state.settings.user_windows.iter().enumerate() {
        let mut send = |command| commands.push(Command::Windows(command));
        let which = at + 1;
        ui.horizontal(|ui| {
            let (mut name, mut window) = (own.name.clone(), own.window.clone());
            let field = egui::TextEdit::singleline(&mut name).hint_text("your own").desired_width(150.0).char_limit(40);
            if ui.add(field).accessible_name(format!("Name of window {which}")).changed() {
                send(WindowsCommand::Rename(at, name));
            }
            let width = egui::DragValue::new(&mut window.width).range(1.0..=65_536.0).prefix("width ");
            let mut changed = ui.add(width).accessible_name(format!("Width of window {which}")).changed();
            let center = egui::DragValue::new(&mut window.center).range(-70_000.0..=70_000.0).prefix("centre ");
            changed |= ui.add(center).accessible_name(format!("Centre of window {which}")).changed();
            if changed {
                send(WindowsCommand::Change(at, window));
            }
            let delete = ui.small_button("Delete");
            if delete.accessible_name(format!("Delete window {which}")).clicked() {
                send(WindowsCommand::Delete(at));
            }
            if at == 0 {
                ui.label(RichText::new(state.keymap.text("window-9")).small().color(theme::of(ui).dim));
            }
        });
    }
    let text = match state.settings.user_windows.len() {
        MOST_USER_WINDOWS => format!("{MOST_USER_WINDOWS} are kept at most."),
        _ => "The window at hand is stored under a name in the menu of windows at the top.".to_owned(),
    };
    ui.label(RichText::new(text).small().color(theme::of(ui).dim));
}

fn look_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    super::caption(ui, "Panels and text");
    ui.horizontal(|ui| {
        ui.label("Theme");
        for (theme, name) in
            [(ThemeSetting::Dark, "dark"), (ThemeSetting::Light, "light"), (ThemeSetting::System, "as the system")]
        {
            let response = ui.selectable_label(state.settings.theme == theme, name);
            if response.accessible_name(format!("Theme: {name}")).clicked() {
                commands.push(Command::SetTheme(theme));
            }
        }
        ui.label(RichText::new("images stay black in all").small().color(theme::of(ui).dim));
    });
    ui.horizontal(|ui| {
        ui.label("Size of text and buttons");
        let keys = &state.keymap;
        for (text, name, hint, steps) in
            [("-", "Smaller", keys.hint("Smaller", "smaller"), -1), ("+", "Larger", keys.hint("Larger", "larger"), 1)]
        {
            if ui.button(text).on_hover_text(hint).accessible_name(name).clicked() {
                commands.push(Command::StepScale(steps));
            }
        }
        ui.label(format!("{} %", state.settings.scale_percent));
        let hint = keys.hint("Back to 100 %", "normal-size");
        if ui.add_enabled(state.settings.scale_percent != 100, egui::Button::new("100 %")).on_hover_text(hint).clicked()
        {
            commands.push(Command::StepScale(0));
        }
    });
}

fn privacy_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    super::caption(ui, "Privacy");
    let recents = state.settings.remember_recents;
    check(ui, recents, "Remember the paths of recent studies", commands, Command::SetRememberRecents);
    check(ui, state.hide_identity, "Hide the patient's identity on screen and in exports", commands, |_| {
        Command::ToggleIdentity
    });
}

fn analysis_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let s = &state.settings;
    super::caption(ui, "Network");
    check(ui, s.auto_analyse, "Analyse a study as soon as it has been read", commands, Command::SetAutoAnalyse);
    ui.horizontal(|ui| {
        let mut threads = s.threads.unwrap_or_else(crate::state::default_threads);
        let most = std::thread::available_parallelism().map_or(1, |n| n.get());
        if ui.add(egui::Slider::new(&mut threads, 1..=most).text("compute threads")).changed() {
            commands.push(Command::SetThreads(threads));
        }
        ui.label(RichText::new("(one fewer than cores keeps the window smooth)").small().color(theme::of(ui).dim));
    });
    ui.horizontal(|ui| {
        ui.label("Device");
        for (device, name) in [
            (DeviceSetting::Auto, "auto"),
            (DeviceSetting::Cpu, "CPU"),
            (DeviceSetting::CpuHalf, "CPU, bfloat16"),
            (DeviceSetting::Cuda, "CUDA"),
            (DeviceSetting::Metal, "Metal"),
        ] {
            if ui.selectable_label(s.device == device, name).clicked() {
                commands.push(Command::SetDevice(device));
            }
        }
    });
    ui.label(
        RichText::new(state.keymap.hint("Threads and device count from the next analysis", "analyse"))
            .small()
            .color(theme::of(ui).dim),
    );
}

/// How much stays in memory, and how much does now.
fn memory_settings(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let mut mb = state.settings.memory_mb;
        let field = egui::DragValue::new(&mut mb).range(0..=1_000_000).speed(32).suffix(" MB");
        if ui.add(field).accessible_name("Memory for series that were read, MB").changed() {
            commands.push(Command::SetMemory(mb));
        }
        let (count, bytes) = state.in_memory();
        let series = if count == 1 { "1 series takes".to_owned() } else { format!("{count} series take") };
        ui.label(format!("of memory for series that were read; {series} {:.0} MB now", bytes as f64 / 1e6)).on_hover_text(
            "Going back to one of them is instant. The least recently read is freed first; closing frees all. The one on \
             the screen is always kept.",
        );
    });
}

/// What is read before it is asked for.
fn prefetch_settings(ui: &mut Ui, s: &crate::state::Settings, commands: &mut Vec<Command>) {
    let text = "Read the next study of a worklist ahead, within that memory";
    check(ui, s.prefetch, text, commands, Command::SetPrefetch);
}

/// What is kept between starts, and how much of it.
fn kept_settings(ui: &mut Ui, s: &crate::state::Settings, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let mut mb = s.kept_results_mb;
        let field = egui::DragValue::new(&mut mb).range(0..=100_000).speed(8).suffix(" MB");
        if ui.add(field).accessible_name("Size of kept results, MB").changed() {
            commands.push(Command::SetKeptResults(mb));
        }
        ui.label("of results kept on this computer").on_hover_text(
            "By voxels, geometry, weights and recipe, without a patient's name; the oldest are removed first. 0 keeps none.",
        );
        if ui.button("Clear results").clicked() {
            commands.push(Command::ClearResults);
        }
    });
}

fn check(ui: &mut Ui, on: bool, text: &str, commands: &mut Vec<Command>, command: impl Fn(bool) -> Command) {
    let mut now = on;
    if ui.checkbox(&mut now, text).clicked() {
        commands.push(command(now));
    }
}

fn notices(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let window = Beside { id: "notices", size: egui::vec2(560.0, 230.0), corner: egui::Align2::LEFT_BOTTOM };
    window.show(ctx, cache, |ui, cache| {
        beside::title(ui, "Notices", &Command::ToggleNotices, cache, commands, |_, _| {});
        // The line with the buttons stands below the list.
        let height = (ui.available_height() - 40.0).max(40.0);
        egui::ScrollArea::vertical().max_height(height).auto_shrink(false).show(ui, |ui| {
            for notice in &state.notices {
                let (sign, colour) = match notice.severity {
                    Severity::Info => ("note", theme::of(ui).dim),
                    Severity::Warning => ("warning", theme::of(ui).warning),
                    Severity::Error => ("error", theme::of(ui).stop),
                };
                ui.horizontal_wrapped(|ui| {
                    ui.label(RichText::new(sign).color(colour));
                    ui.label(notice.shown(state.hide_identity));
                });
            }
            if state.notices.is_empty() {
                ui.label(RichText::new("nothing to report").color(theme::of(ui).dim));
            }
        });
        ui.separator();
        ui.horizontal(|ui| {
            if ui.button("Copy all").clicked() {
                let lines: Vec<_> = state.notices.iter().map(|n| n.shown(state.hide_identity)).collect();
                ctx.copy_text(lines.join("\n"));
            }
            if ui.button("Clear").clicked() {
                commands.push(Command::DismissNotices);
            }
        });
    });
}
