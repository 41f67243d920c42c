//! The window with the DICOM attributes of the slice being read: search, unfold, copy.

use std::collections::HashSet;
use std::sync::Arc;

use egui::{Key, Modifiers, Rect, RichText, Sense, TextStyle, TextWrapMode, Ui, WidgetText, pos2, vec2};

use super::theme;
use crate::state::{ActiveSeries, AppState, Command};
use crate::study::attributes::{Attribute, Attributes, Found};

const ROW: f32 = 20.0;
/// Widths of tag and VR, points; name and value share the rest.
const TAG: f32 = 92.0;
const VR: f32 = 30.0;
/// Height of the whole value below the list, points.
const VALUE: f32 = 44.0;
/// A level of nesting, points.
const INDENT: f32 = 14.0;

/// Of which list, for which words, with the identity hidden or not: the lines to be seen.
type Searched = (Arc<Attributes>, String, bool, Arc<[Found]>);

/// What the window keeps between frames.
#[derive(Default)]
pub struct Panel {
    words: String,
    unfolded: HashSet<u64>,
    /// The line whose whole value is shown below, by its place in the file's structure.
    selected: Option<u64>,
    was_open: bool,
    found: Option<Searched>,
    /// The row that has the keyboard, as a line of the list.
    pub focused_line: Option<usize>,
    /// The row that gets the keyboard next.
    wanted_row: Option<usize>,
}

pub fn show(ctx: &egui::Context, state: &AppState, panel: &mut Panel, commands: &mut Vec<Command>) {
    panel.focused_line = None;
    let Some(active) = state.active.as_ref().filter(|_| state.attributes.open) else {
        panel.was_open = false;
        return;
    };
    let screen = ctx.content_rect();
    let size = vec2((screen.width() * 0.55).clamp(420.0, 760.0), (screen.height() * 0.72).max(260.0));
    let mut open = true;
    egui::Window::new("DICOM attributes")
        .id(egui::Id::unique("attributes"))
        .open(&mut open)
        .collapsible(false)
        .default_pos(screen.min + vec2(24.0, 64.0))
        .default_size(size.min(screen.size() - vec2(40.0, 120.0)))
        .min_size(vec2(380.0, 220.0))
        .show(ctx, |ui| contents(ui, state, active, panel, commands));
    if !open {
        commands.push(Command::ToggleAttributes);
    }
    panel.was_open = true;
}

fn contents(ui: &mut Ui, state: &AppState, active: &ActiveSeries, panel: &mut Panel, commands: &mut Vec<Command>) {
    let hidden = state.hide_identity;
    heading(ui, active, hidden);
    if hidden {
        let text = "The patient's identity is hidden: values that may tell it are not shown, not found and not copied.";
        ui.label(RichText::new(text).small().color(theme::of(ui).warning));
    }
    let list = match state.attributes.shown() {
        Some(Ok(list)) => list.clone(),
        Some(Err(why)) => {
            ui.label(why);
            return;
        }
        None => {
            ui.label(RichText::new("reading the file").color(theme::of(ui).dim));
            return;
        }
    };
    search_field(ui, panel);
    let kept = |(of, words, was, _): &Searched| Arc::ptr_eq(of, &list) && *words == panel.words && *was == hidden;
    if !panel.found.as_ref().is_some_and(kept) {
        let found = list.search(&panel.words, hidden, |key| panel.unfolded.contains(&key));
        panel.found = Some((list.clone(), panel.words.clone(), hidden, found.into()));
    }
    let Some(found) = panel.found.as_ref().map(|(.., found)| found.clone()) else { return };
    summary(ui, &list, &found, panel);
    // A line with the buttons and the whole value below; more would make the window grow.
    let height = (ui.available_height() - VALUE - 48.0).max(80.0);
    ui.allocate_ui(vec2(ui.available_width(), height), |ui| rows(ui, &list, &found, hidden, panel));
    ui.separator();
    selected(ui, &list, hidden, panel, commands);
}

fn heading(ui: &mut Ui, active: &ActiveSeries, hidden: bool) {
    let file = active.series.slices.get(active.current).map(|slice| slice.file.as_str()).unwrap_or_default();
    let mut text = format!("Slice {} of {}", active.current + 1, active.slice_count());
    if !hidden && !file.is_empty() {
        text += &format!(": {file}");
    }
    ui.add(egui::Label::new(RichText::new(text).color(theme::of(ui).text)).truncate());
}

fn search_field(ui: &mut Ui, panel: &mut Panel) {
    ui.horizontal(|ui| {
        let field = egui::TextEdit::singleline(&mut panel.words)
            .hint_text("search by tag, keyword or value")
            .desired_width((ui.available_width() - 80.0).max(120.0));
        let response = ui.add(field).accessible_name("Search the attributes");
        if !panel.was_open {
            response.request_focus();
        }
        if response.has_focus() && ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::ArrowDown)) {
            panel.wanted_row = Some(0);
        }
        if ui.add_enabled(!panel.words.is_empty(), egui::Button::new("Clear")).clicked() {
            panel.words.clear();
        }
    });
}

fn summary(ui: &mut Ui, list: &Attributes, found: &[Found], panel: &mut Panel) {
    ui.horizontal(|ui| {
        let searching = !panel.words.trim().is_empty();
        let text = match (searching, found.iter().filter(|f| f.matches).count()) {
            (true, 0) => "nothing is found".to_owned(),
            (true, n) => format!("{n} of {} lines", list.lines.len()),
            (false, _) => format!("{} lines", list.lines.len()),
        };
        ui.label(RichText::new(text).small().color(theme::of(ui).dim));
        if !searching && list.lines.iter().any(|line| line.holds_others) {
            if ui.small_button("Unfold all").clicked() {
                panel.unfolded = list.lines.iter().filter(|line| line.holds_others).map(|line| line.key).collect();
                panel.found = None;
            }
            if ui.small_button("Fold all").clicked() {
                panel.unfolded.clear();
                panel.found = None;
            }
        }
    });
    if let Some(note) = &list.note {
        ui.label(RichText::new(note).small().color(theme::of(ui).warning));
    }
}

fn rows(ui: &mut Ui, list: &Attributes, found: &[Found], hidden: bool, panel: &mut Panel) {
    egui::ScrollArea::vertical().auto_shrink([false, false]).show_viewport(ui, |ui, viewport| {
        ui.set_height(found.len() as f32 * ROW);
        let (left, top, width) = (ui.max_rect().left(), ui.max_rect().top(), ui.available_width());
        let place = |row: usize| Rect::from_min_size(pos2(left, top + row as f32 * ROW), vec2(width, ROW));
        let wanted = panel.wanted_row.take().map(|row| row.min(found.len().saturating_sub(1)));
        if let Some(row) = wanted.filter(|_| !found.is_empty()) {
            ui.scroll_to_rect(place(row), None);
            ui.memory_mut(|memory| memory.request_focus(id_of(row)));
        }
        // One more on each side, so that the keyboard can step there.
        let first = ((viewport.top() / ROW).floor() as usize).saturating_sub(1);
        let last = ((viewport.bottom() / ROW).ceil() as usize + 1).min(found.len());
        let page = ((viewport.height() / ROW) as usize).max(1);
        let drawn = (first..last).chain(wanted.filter(|row| !(first..last).contains(row)));
        for row in drawn {
            let Some((at, line)) = found.get(row).and_then(|f| Some((*f, list.lines.get(f.line)?))) else { continue };
            one_row(ui, place(row), (row, page, found.len()), at, line, hidden, panel);
        }
    });
}

fn id_of(row: usize) -> egui::Id {
    egui::Id::unique("attribute").with(row)
}

fn one_row(
    ui: &mut Ui,
    rect: Rect,
    (row, page, rows): (usize, usize, usize),
    found: Found,
    line: &Attribute,
    hidden: bool,
    panel: &mut Panel,
) {
    let response = ui.interact(rect, id_of(row), Sense::click());
    let searching = !panel.words.trim().is_empty();
    let open = searching || panel.unfolded.contains(&line.key);
    let selected = panel.selected == Some(line.key);
    let value = line.shown(hidden);
    response.widget_info(|| {
        let fold = match (line.holds_others, open) {
            (true, true) => ", unfolded",
            (true, false) => ", folded",
            _ => "",
        };
        let label = format!("{} {} {}: {value}{fold}", line.tag_text(), line.name, line.vr);
        egui::WidgetInfo::selected(egui::Role::ListBoxOption, true, selected, label.trim().to_owned())
    });
    let fill = match (selected, response.hovered()) {
        (true, _) => Some(theme::of(ui).accent_fill),
        (false, true) => Some(theme::of(ui).raised),
        _ => None,
    };
    if let Some(fill) = fill {
        ui.painter().rect_filled(rect, 2.0, fill);
    }
    if response.has_focus() {
        let stroke = egui::Stroke::new(1.0, theme::of(ui).accent);
        ui.painter().rect_stroke(rect, 2.0, stroke, egui::StrokeKind::Inside);
        panel.focused_line = Some(found.line);
        if panel.selected.replace(line.key) != Some(line.key) {
            // A row above has been drawn as the selected one.
            ui.ctx().request_repaint();
        }
        keyboard(ui, response.id, (row, page, rows), line, panel);
    }
    draw(ui, rect, line, value, (open, found.matches));
    if response.clicked() {
        panel.selected = Some(line.key);
        if line.holds_others && !searching {
            unfold(panel, line.key, !open);
        }
    }
    if value.chars().count() > 30 {
        response.on_hover_text(shortened(value));
    }
}

/// The keys of the row that has the keyboard; they are kept from everything else.
fn keyboard(ui: &Ui, id: egui::Id, (row, page, rows): (usize, usize, usize), line: &Attribute, panel: &mut Panel) {
    let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    // Taken, so that the row that gets the keyboard does not hear the same key.
    let pressed = |key: Key| ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let last = rows.saturating_sub(1);
    for (key, target) in [
        (Key::ArrowDown, row + 1),
        (Key::ArrowUp, row.saturating_sub(1)),
        (Key::PageDown, row + page),
        (Key::PageUp, row.saturating_sub(page)),
        (Key::Home, 0),
        (Key::End, last),
    ] {
        if pressed(key) {
            panel.wanted_row = Some(target.min(last));
        }
    }
    if line.holds_others && pressed(Key::ArrowRight) {
        unfold(panel, line.key, true);
    }
    if line.holds_others && pressed(Key::ArrowLeft) {
        unfold(panel, line.key, false);
    }
}

fn unfold(panel: &mut Panel, key: u64, open: bool) {
    if open {
        panel.unfolded.insert(key);
    } else {
        panel.unfolded.remove(&key);
    }
    panel.found = None;
}

fn draw(ui: &Ui, rect: Rect, line: &Attribute, value: &str, (open, matches): (bool, bool)) {
    let colour = if matches { theme::of(ui).text } else { theme::of(ui).dim };
    let name_width = ((rect.width() - TAG - VR) * 0.44).clamp(90.0, 290.0);
    let indent = (line.depth as f32 * INDENT).min(name_width * 0.5);
    let mut x = rect.left() + 4.0;
    let mut cell = |text: String, style: TextStyle, width: f32, colour| {
        let text = WidgetText::from(RichText::new(text).color(colour));
        let galley = text.into_galley(ui, Some(TextWrapMode::Truncate), (width - 6.0).max(10.0), style);
        let at = pos2(x, rect.center().y - galley.size().y / 2.0);
        ui.painter().galley(at, galley, colour);
        x += width;
    };
    cell(line.tag_text(), TextStyle::Monospace, TAG, theme::of(ui).dim);
    cell(String::new(), TextStyle::Body, indent, colour);
    let sign = match (line.holds_others, open) {
        (true, true) => "- ",
        (true, false) => "+ ",
        _ => "",
    };
    cell(format!("{sign}{}", line.name), TextStyle::Body, name_width - indent, colour);
    cell(line.vr.clone(), TextStyle::Monospace, VR, theme::of(ui).dim);
    cell(value.to_owned(), TextStyle::Body, rect.width() - 4.0 - TAG - name_width - VR, colour);
}

/// What a tooltip can hold.
fn shortened(value: &str) -> String {
    const MOST: usize = 1200;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// The whole value of the selected line.
fn selected(ui: &mut Ui, list: &Attributes, hidden: bool, panel: &Panel, commands: &mut Vec<Command>) {
    let line = panel.selected.and_then(|key| list.lines.iter().enumerate().find(|(_, line)| line.key == key));
    let Some((at, line)) = line else {
        let text = "Up, Down: step. Right, Left: unfold, fold. Ctrl+C: copy the value. The list follows the slice.";
        ui.label(RichText::new(text).small().color(theme::of(ui).dim));
        return;
    };
    let masked = hidden && line.may_identify();
    ui.horizontal(|ui| {
        ui.label(RichText::new(format!("{} {}", line.tag_text(), line.name)).small().color(theme::of(ui).dim));
        let mut copy = |ui: &mut Ui, text: &str, whole: bool| {
            let button = ui.add_enabled(!masked, egui::Button::new(text).small());
            if button.on_disabled_hover_text("The patient's identity is hidden").clicked() {
                commands.push(Command::CopyAttribute { line: at, whole });
            }
        };
        copy(ui, "Copy the value", false);
        copy(ui, "Copy the line", true);
    });
    let area = egui::ScrollArea::vertical().id_salt("whole value").max_height(VALUE).min_scrolled_height(VALUE);
    area.auto_shrink([false, false]).show(ui, |ui| {
        ui.add(egui::Label::new(RichText::new(line.shown(hidden)).color(theme::of(ui).text)).wrap().selectable(true));
    });
}
