//! The bar of the study being read: its place in the worklist, the reader's own verdict, and the opinion of the result.

use egui::{Align, RichText, Ui};

use super::{UiCache, theme, worklist};
use crate::reading::{Answer, Opinion, Reading};
use crate::state::{AppState, Command, ReadingCommand, Reply, WorklistCommand};
use crate::truth::Level;

pub fn show(ui: &mut Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(reading) = state.reading() else { return };
    let hidden = state.results_hidden();
    let said = reading.own.is_some() || reading.said.is_some();
    if !(state.has_worklist() || state.settings.blind_first || said) {
        return;
    }
    let frame = egui::Frame::NONE.fill(theme::of(ui).raised).inner_margin(egui::Margin::symmetric(10, 4));
    egui::Panel::top("reading").frame(frame).show(ui, |ui| {
        let wide = ui.available_width() > 1100.0;
        let content = |ui: &mut Ui| {
            place(ui, state, commands);
            if hidden {
                own(ui, state, reading, cache, commands);
            } else {
                opinion(ui, state, reading, cache, commands);
            }
            if wide {
                ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
                    worklist::blind_first(ui, state, commands);
                });
            } else {
                worklist::blind_first(ui, state, commands);
            }
        };
        if wide {
            ui.horizontal(content)
        } else {
            ui.horizontal_wrapped(content)
        };
    });
}

/// "Study 2 of 5" with the ways to its neighbours.
fn place(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    if !state.has_worklist() {
        return;
    }
    let rows = state.rows_in_order();
    let at = state.active_row().and_then(|active| rows.iter().position(|row| *row == active));
    let mut button = |text: &str, name: &str, hint: &str, command: WorklistCommand| {
        if ui.small_button(text).on_hover_text(hint).accessible_name(name).clicked() {
            commands.push(Command::Worklist(command));
        }
    };
    let hint = |what: &str, name: &str| state.keymap.hint(what, name);
    button("Worklist", "Worklist", &hint("The list, also by Esc", "worklist"), WorklistCommand::Show);
    button("<", "Previous study", &hint("Previous study", "previous-study"), WorklistCommand::StepStudy(-1));
    button(">", "Next study", &hint("Next study", "next-study"), WorklistCommand::StepStudy(1));
    let text = at.map_or_else(|| "not in the filter".to_owned(), |at| format!("study {} of {}", at + 1, rows.len()));
    ui.label(RichText::new(text).color(theme::of(ui).text));
    ui.separator();
}

fn reply(ui: &mut Ui, on: bool, text: &str, hint: &str, reply: Reply, commands: &mut Vec<Command>) {
    if ui.selectable_label(on, text).on_hover_text(hint).clicked() {
        commands.push(Command::Reading(ReadingCommand::Reply(reply)));
    }
}

/// The reader's own verdict, before anything of the network's is seen.
fn own(ui: &mut Ui, state: &AppState, reading: &Reading, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let draft = &reading.draft;
    ui.label(RichText::new("Your verdict, results hidden:").color(theme::of(ui).warning));
    for (answer, name, action, by) in [
        (Answer::Finding, "finding", "verdict-yes", Reply::Yes),
        (Answer::Unsure, "unsure", "verdict-unsure", Reply::Unsure),
        (Answer::NoFinding, "no finding", "verdict-no", Reply::No),
    ] {
        let hint = state.keymap.hint(answer.name(), action);
        reply(ui, draft.answer == Some(answer), &state.keymap.hint(name, action), &hint, by, commands);
    }
    let chosen = draft.level.map_or("level", Level::name);
    let response = egui::ComboBox::from_id_salt("level").selected_text(chosen).width(58.0).show_ui(ui, |ui| {
        let levels = std::iter::once(None).chain(Level::ALL.into_iter().map(Some));
        for level in levels {
            let name = level.map_or("none", Level::name);
            if ui.selectable_label(draft.level == level, name).clicked() {
                commands.push(Command::Reading(ReadingCommand::SetLevel(level)));
            }
        }
    });
    let keys = |name: &str| state.keymap.text(name);
    let hint = format!("C1 to T1 by {} to {}, none by {}", keys("level-1"), keys("level-8"), keys("level-none"));
    response.response.accessible_name("Level").on_hover_text(hint);
    note(ui, state, &draft.note, cache, commands);
    let commit = egui::Button::new("Commit and reveal");
    let hint = "Enter: your verdict is final, the result appears";
    if ui.add_enabled(draft.answer.is_some(), commit).on_hover_text(hint).clicked() {
        commands.push(Command::Reading(ReadingCommand::Commit));
    }
}

/// What the reader thinks of the result.
fn opinion(ui: &mut Ui, state: &AppState, reading: &Reading, cache: &mut UiCache, commands: &mut Vec<Command>) {
    if let Some(own) = &reading.own {
        let level = own.level.map_or_else(String::new, |level| format!(", {}", level.name()));
        let seconds = reading.before_ms as f64 / 1000.0;
        let blind = if reading.is_blind() { "" } else { ", not blind" };
        let text = format!("you: {}{level} ({seconds:.0} s{blind})", own.answer.name());
        let response = ui.label(RichText::new(text).color(theme::of(ui).text));
        if !own.note.is_empty() {
            response.on_hover_text(&own.note);
        }
        ui.separator();
    }
    if state.findings().is_none() {
        ui.label(RichText::new("no result yet").color(theme::of(ui).dim));
        return;
    }
    ui.label(RichText::new("the network's result:").color(theme::of(ui).dim));
    for (opinion, action, by) in [
        (Opinion::Agree, "verdict-yes", Reply::Yes),
        (Opinion::Unsure, "verdict-unsure", Reply::Unsure),
        (Opinion::Disagree, "verdict-no", Reply::No),
    ] {
        let on = reading.said.as_ref().is_some_and(|said| said.opinion == opinion);
        let text = state.keymap.hint(opinion.name(), action);
        reply(ui, on, &text, "Your opinion of the result", by, commands);
    }
    note(ui, state, &reading.note, cache, commands);
}

fn note(ui: &mut Ui, state: &AppState, text: &str, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let mut text = text.to_owned();
    // Room for what follows it.
    let width = (ui.available_width() - 260.0).clamp(70.0, 360.0);
    let field = egui::TextEdit::singleline(&mut text).hint_text(state.keymap.hint("note", "note")).desired_width(width);
    let response = ui.add(field).accessible_name("Note");
    cache.field_focused |= response.has_focus();
    if std::mem::take(&mut cache.focus_note) {
        response.request_focus();
    }
    if response.changed() {
        commands.push(Command::Reading(ReadingCommand::SetNote(text)));
    }
}
