//! The question for the password of encrypted archives, beside what is open.

use egui::{Key, RichText, TextEdit, Ui};

use super::beside::{self, Beside};
use super::{UiCache, theme};
use crate::findings::describe::counted;
use crate::state::{AppState, Command, Unlock, UnlockCommand};
use crate::study::describe::HIDDEN;
use crate::study::password::Password;

pub fn show(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(unlock) = &state.unlock else { return };
    let window = Beside { id: "password", size: egui::vec2(440.0, 150.0), corner: egui::Align2::CENTER_TOP };
    window.show(ctx, cache, |ui, cache| {
        let close = Command::Unlock(UnlockCommand::LeaveOut);
        beside::title(ui, "Password", &close, cache, commands, |_, _| {});
        ui.label(what(unlock, state.hide_identity));
        field(ui, unlock, cache, commands);
        if unlock.wrong {
            let text = "Wrong password. Nothing was lost; try another.";
            ui.label(RichText::new(text).color(theme::of(ui).stop));
        } else {
            let text = "Kept in memory while the archive is open, and nowhere else.";
            ui.label(RichText::new(text).color(theme::of(ui).dim));
        }
    });
}

fn what(unlock: &Unlock, hide: bool) -> String {
    let files = unlock.archives.iter().map(|archive| archive.files).sum();
    let first = match unlock.archives.first() {
        Some(archive) if !hide => archive.name.as_str(),
        _ => HIDDEN,
    };
    let which = match unlock.archives.len() {
        0 | 1 => first.to_owned(),
        2 => format!("{first} and another archive"),
        n => format!("{first} and {} more archives", n - 1),
    };
    format!("{} in {which} {} encrypted.", counted(files, "file"), if files == 1 { "is" } else { "are" })
}

fn field(ui: &mut Ui, unlock: &Unlock, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let mut text = unlock.typed.text().to_owned();
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 170.0).max(100.0);
        let response = ui.add(TextEdit::singleline(&mut text).password(true).desired_width(width));
        let response = response.accessible_name("Password of the archive");
        // What was written before is not kept to be brought back.
        if let Some(mut written) = TextEdit::load_state(ui.ctx(), response.id) {
            written.clear_undoer();
            written.store(ui.ctx(), response.id);
        }
        // Once for each question, so that the image keeps the keyboard when it has been given back.
        if cache.password_asked.replace(unlock.asked) != Some(unlock.asked) {
            response.request_focus();
        }
        let left = response.lost_focus();
        let entered = left && ui.input(|i| i.key_pressed(Key::Enter));
        let given_up = left && ui.input(|i| i.key_pressed(Key::Escape));
        let typed = Password::new(std::mem::take(&mut text));
        let ready = !typed.is_empty() && !unlock.trying;
        if response.changed() {
            commands.push(Command::Unlock(UnlockCommand::Type(typed)));
        }
        if ui.add_enabled(ready, egui::Button::new("Unlock")).clicked() || (entered && ready) {
            commands.push(Command::Unlock(UnlockCommand::Try));
            response.request_focus();
        }
        if ui.button("Leave out").on_hover_text("Esc").clicked() || given_up {
            commands.push(Command::Unlock(UnlockCommand::LeaveOut));
        }
        if unlock.trying {
            ui.spinner();
        }
    });
}
