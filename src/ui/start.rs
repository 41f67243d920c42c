//! The start screen: four ways to begin, the keys that matter, a place to drop a folder.

use std::path::PathBuf;

use egui::{Key, RichText};

use super::{Progress, first_run, theme};
use crate::state::{AppState, Command};

const HIDDEN_PATH: &str = "(path hidden)";

pub fn show(ui: &mut egui::Ui, state: &AppState, progress: Progress, commands: &mut Vec<Command>) {
    let width = ui.available_width().min(760.0);
    let top = (ui.available_height() * 0.10).clamp(12.0, 120.0);
    egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        ui.vertical_centered(|ui| {
            ui.set_max_width(width);
            ui.add_space(top);
            ui.label(RichText::new("dens").size(40.0).color(theme::of(ui).text));
            ui.label(
                RichText::new("CT of the neck, slice by slice, with a fracture network beside it")
                    .color(theme::of(ui).dim),
            );
            ui.add_space(22.0);
            if let Some(paths) = &state.scanning {
                scanning(ui, paths, state.hide_identity, progress, commands);
                return;
            }
            first_run::block(ui, state, commands);
            choices(ui, state, commands);
            ui.add_space(14.0);
            path_field(ui, state, commands);
            ui.add_space(14.0);
            recents(ui, state, commands);
            ui.add_space(16.0);
            // The block above says it already.
            if state.settings.acknowledged {
                ui.label(RichText::new(crate::RESEARCH_LINE).color(theme::of(ui).warning));
            }
            ui.add_space(10.0);
            let mouse = "Wheel or arrows scroll   |   left drag windows   |   right drag zooms   |   middle drag pans";
            let keys = [
                ("window-1", "soft tissue"),
                ("window-2", "bone"),
                ("window-3", "gross bone"),
                ("heatmap", "heatmap"),
                ("next-peak", "next peak"),
                ("help", "all keys"),
            ];
            let with_key = |(name, what): (&str, &str)| Some(format!("{} {what}", state.keymap.keys(name).first()?));
            let keys: Vec<String> = keys.into_iter().filter_map(with_key).collect();
            for line in [mouse.to_owned(), keys.join("   |   ")] {
                ui.label(RichText::new(line).small().color(theme::of(ui).dim));
            }
        });
    });
}

fn choices(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let gap = 16.0;
    let size = egui::vec2(((ui.available_width() - 2.0 * gap) / 3.0).min(240.0), 74.0);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(((ui.available_width() - 3.0 * size.x - 2.0 * gap) / 2.0).max(0.0));
        ui.spacing_mut().item_spacing.x = gap;
        if choice(ui, size, "Open folder", &state.keymap.hint("or drop one here", "open-folder")) {
            commands.push(Command::PickFolder);
        }
        if choice(ui, size, "Open archive or file", &state.keymap.hint("zip, DICOMDIR", "open-file")) {
            commands.push(Command::PickFile);
        }
        if choice(ui, size, "Demo study", "a synthetic neck, nothing needed") {
            commands.push(Command::OpenDemo);
        }
    });
}

fn choice(ui: &mut egui::Ui, size: egui::Vec2, title: &str, hint: &str) -> bool {
    let response = ui.add_sized(size, egui::Button::new("")).accessible_name(title);
    let centre = response.rect.center();
    let line = |dy: f32, text: &str, size: f32, colour| {
        let font = egui::FontId::proportional(size);
        ui.painter().text(centre + egui::vec2(0.0, dy), egui::Align2::CENTER_CENTER, text, font, colour);
    };
    line(-11.0, title, 19.0, theme::of(ui).text);
    line(14.0, hint, 13.0, theme::of(ui).dim);
    response.clicked()
}

fn path_field(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    let mut text = state.path_field.clone();
    ui.horizontal(|ui| {
        ui.add_space(((ui.available_width() - 496.0) / 2.0).max(0.0));
        let field = egui::TextEdit::singleline(&mut text)
            .hint_text("or type the path of a folder, a zip archive or a file")
            .desired_width(420.0);
        let response = ui.add(field).accessible_name("Path of a folder or file");
        let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
        let clicked = ui.add_enabled(!text.trim().is_empty(), egui::Button::new("Open")).clicked();
        if response.changed() {
            commands.push(Command::SetPathField(text.clone()));
        }
        if (entered || clicked) && !text.trim().is_empty() {
            commands.push(Command::OpenPath(PathBuf::from(text.trim())));
        }
    });
}

fn recents(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if state.settings.recents.is_empty() {
        return;
    }
    ui.label(RichText::new("Recent studies").color(theme::of(ui).dim));
    for path in &state.settings.recents {
        let text = if state.hide_identity { HIDDEN_PATH.to_owned() } else { path.display().to_string() };
        let button = egui::Button::new(RichText::new(shortened(&text, 84))).frame(false);
        if ui.add(button).on_hover_text("Open this study").clicked() {
            commands.push(Command::OpenPath(path.clone()));
        }
    }
    if ui.small_button("Clear the list").clicked() {
        commands.push(Command::ClearRecents);
    }
}

/// The end of a path says more than its beginning.
fn shortened(text: &str, longest: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return text.to_owned();
    }
    format!("...{}", text.chars().skip(count - longest + 3).collect::<String>())
}

fn scanning(ui: &mut egui::Ui, paths: &[PathBuf], hidden: bool, progress: Progress, commands: &mut Vec<Command>) {
    let shown =
        |path: &PathBuf| if hidden { HIDDEN_PATH.to_owned() } else { shortened(&path.display().to_string(), 84) };
    let first = paths.first().map(shown).unwrap_or_default();
    ui.label(match paths.len() {
        0 | 1 => format!("Reading {first}"),
        n => format!("Reading {first} and {} more", n - 1),
    });
    let (done, total) = progress.scan.unwrap_or((0, 0));
    let fraction = if total == 0 { 0.0 } else { done as f32 / total as f32 };
    ui.add(egui::ProgressBar::new(fraction).desired_width(420.0).text(format!("{done} of {total} files")));
    if ui.button("Cancel").clicked() {
        commands.push(Command::CancelLoading);
    }
}
