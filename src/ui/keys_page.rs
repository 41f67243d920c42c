//! The page of the settings where keys are chosen.

use egui::{RichText, Ui};

use super::{caption, theme};
use crate::state::keymap::{Action, GROUPS, action, taken_in_list};
use crate::state::{AppState, Command, KeyCapture, KeysCommand, OWN_MAP, OnConflict};

pub fn show(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    maps(ui, state, commands);
    capture(ui, state, commands);
    egui::ScrollArea::vertical().id_salt("keys").auto_shrink(false).show(ui, |ui| {
        for (heading, actions) in GROUPS {
            caption(ui, heading);
            for action in *actions {
                row(ui, state, action, commands);
            }
            ui.add_space(6.0);
        }
    });
}

fn maps(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let chosen = state.keymaps().iter().find(|map| map.id == state.settings.keymap);
    ui.horizontal_wrapped(|ui| {
        ui.label("Map");
        if ui.selectable_label(chosen.is_none(), "dens").clicked() {
            commands.push(Command::Keys(KeysCommand::Choose(OWN_MAP.to_owned())));
        }
        for map in state.keymaps() {
            let on = chosen.is_some_and(|c| c.id == map.id);
            if ui.selectable_label(on, &map.name).on_hover_text(&map.about).clicked() {
                commands.push(Command::Keys(KeysCommand::Choose(map.id.clone())));
            }
        }
        ui.separator();
        let any = !state.settings.own_keys.is_empty();
        let hint = "All keys as in the chosen map";
        if ui.add_enabled(any, egui::Button::new("Reset all")).on_hover_text(hint).clicked() {
            commands.push(Command::Keys(KeysCommand::ResetAll));
        }
    });
    let about =
        chosen.map_or("The keys of dens: what OHIF, Weasis and Horos have in common.", |map| map.about.as_str());
    ui.label(RichText::new(about).small().color(theme::of(ui).dim));
}

/// What is awaited or asked, above the list, where it does not scroll away.
fn capture(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    if state.key_capture.as_ref().is_none_or(|capture| capture.conflict.is_none()) {
        ui.data_mut(|data| data.remove::<String>(egui::Id::unique("key conflict")));
    }
    let Some(capture) = &state.key_capture else {
        let text =
            "The mouse is not part of a map. Your own maps (keymaps/*.toml beside the settings) stand here as well.";
        ui.label(RichText::new(text).small().color(theme::of(ui).dim));
        ui.separator();
        return;
    };
    let what = action(capture.action).map_or(capture.action, |a| a.what);
    let frame = egui::Frame::NONE
        .fill(theme::of(ui).raised)
        .inner_margin(8.0)
        .stroke(egui::Stroke::new(1.0, theme::of(ui).accent));
    frame.show(ui, |ui| match capture.conflict {
        None => {
            ui.label(format!("Press a key for \"{what}\". Esc gives up."));
            if let Some(why) = &capture.refusal {
                ui.label(RichText::new(why).color(theme::of(ui).warning));
            }
        }
        Some((chord, other)) => conflict(ui, state, capture, (&chord.to_string(), other), commands),
    });
    ui.separator();
}

fn conflict(
    ui: &mut Ui,
    state: &AppState,
    capture: &KeyCapture,
    (chord, other): (&str, &'static str),
    commands: &mut Vec<Command>,
) {
    let what = |name: &'static str| action(name).map_or(name, |a| a.what);
    let text = format!("{chord} belongs to \"{}\" already.", what(other));
    ui.label(RichText::new(text).color(theme::of(ui).warning));
    // The keyboard goes to the first answer, once for each question.
    let asked = egui::Id::unique("key conflict");
    let question = format!("{chord} {}", capture.action);
    let mut first_time = ui.data(|data| data.get_temp::<String>(asked)) != Some(question.clone());
    ui.data_mut(|data| data.insert_temp(asked, question));
    ui.horizontal_wrapped(|ui| {
        let mut answer = |ui: &mut Ui, text: String, how: OnConflict| {
            let response = ui.button(text);
            if std::mem::take(&mut first_time) {
                response.request_focus();
            }
            if response.clicked() {
                commands.push(Command::Keys(KeysCommand::Resolve(how)));
            }
        };
        if let Some(first) = state.keymap.keys(capture.action).first().filter(|_| !capture.add) {
            answer(ui, format!("Swap: that gets {first}"), OnConflict::Swap);
        }
        answer(ui, format!("Take {chord} from it"), OnConflict::Take);
        answer(ui, "Leave all as it was".to_owned(), OnConflict::Leave);
    });
}

fn row(ui: &mut Ui, state: &AppState, action: &'static Action, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let own = state.has_own_keys(action.name);
        let keys = state.keymap.text(action.name);
        let text = if keys.is_empty() { "no key".to_owned() } else { keys.clone() };
        let colour = if keys.is_empty() { theme::of(ui).dim } else { theme::of(ui).text };
        // The buttons of the row need 270.
        let width = (ui.available_width() - 270.0).max(160.0);
        let cell = |ui: &mut Ui, width: f32, text: RichText| {
            let label = egui::Label::new(text).truncate();
            ui.allocate_ui_with_layout(
                egui::vec2(width, 20.0),
                egui::Layout::left_to_right(egui::Align::Center),
                |ui| {
                    ui.set_width(width);
                    ui.add(label)
                },
            );
        };
        cell(ui, width * 0.62, RichText::new(action.what).color(theme::of(ui).text));
        let mark = if own { "yours: " } else { "" };
        cell(ui, width * 0.38, RichText::new(format!("{mark}{text}")).color(colour));
        let mut button = |ui: &mut Ui, text: &str, on: bool, command: KeysCommand| {
            let response = ui.add_enabled(on, egui::Button::new(text).small());
            if response.accessible_name(format!("{text}: {}", action.what)).clicked() {
                commands.push(Command::Keys(command));
            }
        };
        let name = action.name;
        button(ui, "Change", true, KeysCommand::Capture { action: name, add: false });
        button(ui, "Add", !keys.is_empty(), KeysCommand::Capture { action: name, add: true });
        button(ui, "None", !keys.is_empty(), KeysCommand::Clear(name));
        button(ui, "Reset", own, KeysCommand::Reset(name));
    });
    for chord in state.keymap.keys(action.name).iter().filter(|_| action.in_list) {
        let Some(what) = taken_in_list(chord) else { continue };
        let text = format!("      {chord} has another meaning while the worklist is on the screen: {what}");
        ui.label(RichText::new(text).small().color(theme::of(ui).warning));
    }
    for (chord, other) in state.keymap.lost(action.name) {
        let text = format!("      {chord} of the map is with \"{}\" now", other.what);
        ui.label(RichText::new(text).small().color(theme::of(ui).warning));
    }
}
