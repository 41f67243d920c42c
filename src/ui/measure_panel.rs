//! The list of measurements and marked slices in the panel at the right.

use egui::{RichText, Ui, vec2};

use super::{UiCache, caption, theme};
use crate::measure::{self, MeasureId, Measurement};
use crate::state::{ActiveSeries, AppState, Command, MeasureCommand, Saved};

pub fn show(ui: &mut Ui, state: &AppState, active: &ActiveSeries, cache: &mut UiCache, commands: &mut Vec<Command>) {
    cache.measure_row_focused = false;
    let sheet = &active.measures.sheet;
    if sheet.content() == &measure::Content::default() && !sheet.can_undo() && !sheet.can_redo() {
        return;
    }
    caption(ui, "Measurements");
    for measurement in sheet.measurements() {
        row(ui, state, active, measurement, cache, commands);
    }
    for key in sheet.key_slices() {
        let text = format!("key slice {}", key.index + 1);
        if ui.add(egui::Button::selectable(key.index == active.current, text)).clicked() {
            commands.push(Command::GoToSlice(key.index));
        }
    }
    ui.horizontal_wrapped(|ui| {
        let mut button = |text: &str, hint: &str, on: bool, command: MeasureCommand| {
            if ui.add_enabled(on, egui::Button::new(text).small()).on_hover_text(hint).clicked() {
                commands.push(Command::Measure(command));
            }
        };
        button("Undo", &state.keymap.text("undo"), sheet.can_undo(), MeasureCommand::Undo);
        button("Redo", &state.keymap.text("redo"), sheet.can_redo(), MeasureCommand::Redo);
        let any = !sheet.measurements().is_empty();
        button("Copy", "All values as text, to paste into a table", any, MeasureCommand::Copy);
        let anything = any || !sheet.key_slices().is_empty();
        button("Clear", "Deletes all of them; Undo brings them back", anything, MeasureCommand::Clear);
    });
    let (text, colour) = match &active.measures.saved {
        Saved::Yes => ("saved on this computer, beside the program's own data".to_owned(), theme::of(ui).dim),
        Saved::Pending if active.measures.is_waiting() => {
            ("not saved yet: it will be when the series has been read".to_owned(), theme::of(ui).warning)
        }
        Saved::Pending => ("being saved".to_owned(), theme::of(ui).dim),
        Saved::No(why) => (format!("! not saved: {why}"), theme::of(ui).warning),
    };
    ui.label(RichText::new(text).small().color(colour));
    ui.add_space(6.0);
}

fn row(
    ui: &mut Ui,
    state: &AppState,
    active: &ActiveSeries,
    measurement: &Measurement,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let id = measurement.id;
    let selected = active.measures.sheet.selected == Some(id);
    let on_screen = state.panes().iter().any(|pane| active.shows(*pane, state.slab, measurement));
    let (title, place) = (measure::title(measurement), measure::place(measurement));
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let colour = if on_screen { theme::of(ui).measure } else { theme::of(ui).dim };
        let elsewhere = if on_screen { "" } else { ", not on the screen: click to go there" };
        let text = RichText::new(&title).color(colour);
        let width = (ui.available_width() - 28.0).max(60.0);
        let button =
            egui::Button::selectable(selected, text).right_text(RichText::new(&place).small().color(theme::of(ui).dim));
        let response = ui.add(button.min_size(vec2(width, 0.0)).truncate());
        let response = response
            .on_hover_text(format!("{}{elsewhere}", measure::position(measurement)))
            .accessible_name(format!("Measurement {title}, {}", measure::value(measurement, active.values())));
        if selected && cache.measure_scrolled_to != Some(id) {
            cache.measure_scrolled_to = Some(id);
            response.scroll_to_me(None);
        }
        if response.gained_focus() && !selected {
            commands.push(Command::Measure(MeasureCommand::Select(Some(id))));
        }
        if response.has_focus() {
            // The arrows move the measurement then, not the focus.
            let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
            ui.ctx().memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            cache.measure_row_focused = true;
        }
        if response.clicked() {
            commands.push(Command::Measure(MeasureCommand::GoTo(id)));
        }
        if response.double_clicked() {
            commands.push(Command::Measure(MeasureCommand::Edit(Some(id))));
        }
        response.context_menu(|ui| menu(ui, measurement, active, commands));
        let delete = ui.small_button("x").on_hover_text("Delete (Undo brings it back)");
        if delete.accessible_name(format!("Delete {title}")).clicked() {
            commands.push(Command::Measure(MeasureCommand::Delete(id)));
        }
    });
    let mut said = measure::value(measurement, active.values());
    if let Some(remark) = measure::remark(measurement, active.values()) {
        said = if said.is_empty() { remark } else { format!("{said} ({remark})") };
    }
    if let Some(handle) = active.measures.chosen_handle().filter(|_| selected) {
        let which = format!("handle {} of {}: Alt+arrows move it", handle + 1, measurement.handles().len());
        said = if said.is_empty() { which } else { format!("{said}\n{which}") };
    }
    if !said.is_empty() {
        ui.indent(("value", id), |ui| ui.label(RichText::new(said).small().color(theme::of(ui).text)));
    }
}

/// What can be done with one measurement.
pub fn menu(ui: &mut Ui, measurement: &Measurement, active: &ActiveSeries, commands: &mut Vec<Command>) {
    let id: MeasureId = measurement.id;
    let mut entry = |ui: &mut Ui, text: &str, command: MeasureCommand| {
        if ui.button(text).clicked() {
            commands.push(Command::Measure(command));
            ui.close();
        }
    };
    entry(ui, "Go there", MeasureCommand::GoTo(id));
    entry(ui, "Rename", MeasureCommand::Edit(Some(id)));
    entry(ui, "Delete   Del", MeasureCommand::Delete(id));
    if ui.button("Copy").clicked() {
        ui.ctx().copy_text(measure::described(measurement, active.values()));
        ui.close();
    }
}
