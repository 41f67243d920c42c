//! The studies of an opened folder as a list: who, when, how far the analysis has come and what it said; by keyboard
//! alone. What is hidden from the reader is asked for nowhere here.

use std::sync::Arc;

use egui::{Align, Align2, Color32, Key, Rect, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::passport_panel::{colour as weight_colour, mark};
use super::theme::Palette;
use super::{Progress, UiCache, series_panel, theme};
use crate::findings::describe::{score_text, standing, thresholds_text};
use crate::reading::Reading;
use crate::state::{AppState, Command, ExportKind, ReadingCommand, RowResult, SortBy, Work, WorklistCommand};
use crate::study::describe;

const ROW: f32 = 48.0;
const GAP: f32 = 12.0;

/// `(heading, least width, share of what is left, order)`.
const COLUMNS: [(&str, f32, f32, Option<SortBy>); 10] = [
    ("#", 26.0, 0.0, Some(SortBy::AsFound)),
    ("", 44.0, 0.0, None),
    ("Patient", 120.0, 1.3, Some(SortBy::Name)),
    ("Study date", 84.0, 0.0, Some(SortBy::Date)),
    ("Slices", 44.0, 0.0, None),
    ("Analysis", 92.0, 0.6, None),
    ("Case score", 84.0, 0.2, Some(SortBy::Result)),
    ("Highest slice", 140.0, 0.4, None),
    ("Input passport", 140.0, 0.8, None),
    ("Verdict", 190.0, 0.6, None),
];

pub fn show(ui: &mut Ui, state: &AppState, cache: &mut UiCache, progress: Progress, commands: &mut Vec<Command>) {
    let rows = state.rows_in_order();
    let margin = egui::Margin::symmetric(14, 10);
    egui::Frame::NONE.inner_margin(margin).show(ui, |ui| {
        head(ui, state, cache, rows.len(), commands);
        ui.add_space(4.0);
        queue(ui, state, commands);
        ui.add_space(6.0);
        let columns = columns(ui.available_width());
        headings(ui, state, &columns, commands);
        let foot = if ui.available_width() < 1000.0 { 62.0 } else { 46.0 };
        let height = (ui.available_height() - foot).max(ROW);
        list(ui, state, cache, progress, &rows, &columns, height, commands);
        honesty(ui, state);
    });
}

/// Columns that give way in a narrow window, the first first.
const GIVES_WAY: [&str; 5] = ["Slices", "Study date", "Input passport", "Highest slice", "Analysis"];
/// The least width of the verdict where there is no more room.
const NARROW_VERDICT: f32 = 120.0;

/// Left edges and widths; a column without room has none.
fn columns(width: f32) -> [(f32, f32); COLUMNS.len()] {
    let room = width - 14.0;
    let mut least = COLUMNS.map(|(_, least, ..)| least);
    let needed = |least: &[f32]| least.iter().filter(|w| **w > 0.0).map(|w| w + GAP).sum::<f32>();
    if needed(&least) > room
        && let Some(verdict) = least.last_mut()
    {
        *verdict = NARROW_VERDICT;
    }
    for name in GIVES_WAY {
        let at = COLUMNS.iter().position(|(column, ..)| *column == name);
        if needed(&least) > room
            && let Some(width) = at.and_then(|at| least.get_mut(at))
        {
            *width = 0.0;
        }
    }
    let share = |at: usize| COLUMNS.get(at).filter(|_| least.get(at).is_some_and(|w| *w > 0.0)).map_or(0.0, |c| c.2);
    let shares: f32 = (0..COLUMNS.len()).map(share).sum();
    let left_over = (room - needed(&least)).max(0.0);
    let mut x = 6.0;
    std::array::from_fn(|at| {
        let least = least.get(at).copied().unwrap_or(0.0);
        let place = (x, least + left_over * share(at) / shares);
        x += if least > 0.0 { place.1 + GAP } else { 0.0 };
        place
    })
}

fn head(ui: &mut Ui, state: &AppState, cache: &mut UiCache, shown: usize, commands: &mut Vec<Command>) {
    let studies = state.worklist.rows.len();
    let wide = ui.available_width() > 780.0;
    ui.horizontal(|ui| {
        ui.label(RichText::new("Worklist").size(19.0).color(theme::of(ui).text));
        let text =
            if shown == studies { format!("{studies} studies") } else { format!("{shown} of {studies} studies") };
        ui.label(RichText::new(text).color(theme::of(ui).dim));
        ui.add_space(10.0);
        let mut filter = state.worklist.filter.clone();
        let field =
            egui::TextEdit::singleline(&mut filter).hint_text("filter by name, ID, date (/)").desired_width(210.0);
        let response = ui.add(field).accessible_name("Filter the worklist");
        cache.field_focused |= response.has_focus();
        if std::mem::take(&mut cache.focus_filter) {
            response.request_focus();
        }
        if response.changed() {
            commands.push(Command::Worklist(WorklistCommand::SetFilter(filter)));
        }
        if response.has_focus() {
            for (key, by) in [(Key::ArrowDown, 1), (Key::ArrowUp, -1)] {
                if ui.input(|i| i.key_pressed(key)) {
                    commands.push(Command::Worklist(WorklistCommand::MoveCursor(by)));
                }
            }
        }
        if wide {
            ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| sides(ui, state, cache, commands));
        }
    });
    if !wide {
        ui.horizontal_wrapped(|ui| sides(ui, state, cache, commands));
    }
}

/// What stands beside the filter, or below it where there is no room.
fn sides(ui: &mut Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let hint = state.keymap.hint("Studies, results that may be seen, verdicts and times", "export-readings");
    if ui.button("Export CSV").on_hover_text(hint).clicked() {
        commands.push(Command::BeginExport(ExportKind::Readings));
    }
    blind_first(ui, state, commands);
    reader(ui, state, cache, commands);
}

/// The switch, wherever it stands.
pub fn blind_first(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let mut on = state.settings.blind_first;
    let what = "Hides every result of a study until you have committed your own verdict of it";
    let hint = state.keymap.hint(what, "blind-first");
    if ui.checkbox(&mut on, "Blind first").on_hover_text(hint).clicked() {
        commands.push(Command::Reading(ReadingCommand::ToggleBlindFirst));
    }
}

fn reader(ui: &mut Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let name = cache.reader_field.get_or_insert_with(|| state.settings.reader.clone());
    let field = egui::TextEdit::singleline(name).hint_text("reader (optional)").desired_width(120.0);
    let hint = "Each reader has verdicts of their own; the name goes into the CSV";
    let response = ui.add(field).accessible_name("Reader").on_hover_text(hint);
    cache.field_focused |= response.has_focus();
    if response.lost_focus() {
        commands.push(Command::Reading(ReadingCommand::SetReader(name.clone())));
        cache.reader_field = None;
    } else if !response.has_focus() {
        cache.reader_field = None;
    }
}

/// How far the queue has come, in words, and what can be done about it.
fn queue(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let (list, count) = (&state.worklist, state.worklist.count());
    ui.horizontal(|ui| {
        ui.set_min_height(22.0);
        let mut text = format!("{} of {} analysed", count.done, count.studies);
        if count.failed > 0 {
            text += &format!(", {} without a result", count.failed);
        }
        if count.waiting > 0 {
            text += &format!(", {} {}", count.waiting, if list.paused { "paused" } else { "to come" });
        }
        ui.label(RichText::new(text).color(theme::of(ui).text));
        let mut button = |text: &str, hint: &str, command: WorklistCommand| {
            if ui.small_button(text).on_hover_text(hint).clicked() {
                commands.push(Command::Worklist(command));
            }
        };
        if count.waiting > 0 {
            let (text, hint) = match list.paused {
                true => ("Continue", "P: goes on with the next study"),
                false => ("Pause", "P: the study under way goes on where it was when you continue"),
            };
            button(text, hint, WorklistCommand::TogglePause);
            button("Stop", "What is finished stays", WorklistCommand::StopQueue);
        }
        if list.rows.iter().any(|row| matches!(row.work, Work::NotRun | Work::Stopped | Work::Failed(_))) {
            button("Analyse all", "All that have no result yet, one after the other", WorklistCommand::AnalyseAll);
        }
        if ui.available_width() > 330.0 {
            ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
                let keys =
                    "Up, Down, Enter   |   sort: O as found, N name, D date, R result   |   P pause   |   ? all keys";
                ui.add(egui::Label::new(RichText::new(keys).small().color(theme::of(ui).dim)).truncate());
            });
        }
    });
}

fn headings(ui: &mut Ui, state: &AppState, columns: &[(f32, f32)], commands: &mut Vec<Command>) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 22.0), Sense::hover());
    let list = &state.worklist;
    for ((name, _, _, sort), (x, width)) in COLUMNS.iter().zip(columns).filter(|(_, (_, width))| *width > 0.0) {
        let place = Rect::from_min_size(rect.min + vec2(*x, 0.0), vec2(*width, rect.height()));
        let sorted = sort.is_some_and(|by| by == list.sort);
        let colour = if sorted { theme::of(ui).text } else { theme::of(ui).dim };
        let font = egui::FontId::proportional(11.5);
        let written = ui.painter().text(place.left_center(), Align2::LEFT_CENTER, name, font, colour);
        if sorted {
            arrow(ui, written.right_center() + vec2(9.0, 0.5), list.backwards);
        }
        let Some(by) = sort else { continue };
        let what = if *name == "#" { "order as found".to_owned() } else { name.to_lowercase() };
        let response = ui.interact(place, ui.scope_id().with(("heading", what.clone())), Sense::click());
        let label = format!("Sort by {what}");
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, sorted, label.clone()));
        if response.hovered() || response.has_focus() {
            let (left, right) = (written.left_bottom(), written.right_bottom());
            ui.painter().line_segment([left, right], Stroke::new(1.0, theme::of(ui).accent));
        }
        if response.clicked() {
            commands.push(Command::Worklist(WorklistCommand::SortBy(*by)));
        }
    }
    ui.painter().line_segment([rect.left_bottom(), rect.right_bottom()], Stroke::new(1.0, theme::of(ui).line));
}

/// Downwards: in the order that the heading names; upwards: backwards.
fn arrow(ui: &Ui, at: egui::Pos2, up: bool) {
    let tip = if up { -3.0 } else { 3.0 };
    let corners = vec![at + vec2(-3.5, -tip), at + vec2(3.5, -tip), at + vec2(0.0, tip)];
    ui.painter().add(egui::Shape::convex_polygon(corners, theme::of(ui).text, Stroke::NONE));
}

#[expect(clippy::too_many_arguments, reason = "a table and where it stands")]
fn list(
    ui: &mut Ui,
    state: &AppState,
    cache: &mut UiCache,
    progress: Progress,
    rows: &[usize],
    columns: &[(f32, f32)],
    height: f32,
    commands: &mut Vec<Command>,
) {
    ui.spacing_mut().item_spacing.y = 0.0;
    let cursor = rows.iter().position(|row| *row == state.worklist.cursor);
    let area = egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height).auto_shrink([false, false]);
    area.show_viewport(ui, |ui, view| {
        ui.set_height(rows.len() as f32 * ROW);
        if rows.is_empty() {
            let text = "No study fits the filter; Esc empties it.";
            ui.label(RichText::new(text).color(theme::of(ui).dim));
            return;
        }
        let top = ui.max_rect().top();
        let place = |at: usize| {
            let y = top + at as f32 * ROW;
            Rect::from_min_size(pos2(ui.max_rect().left(), y), vec2(ui.max_rect().width(), ROW))
        };
        // The row that the keys have reached comes into sight once, so that the wheel may leave it.
        if let Some(at) = cursor
            && cache.worklist_scrolled_to != cursor
        {
            ui.scroll_to_rect(place(at), None);
        }
        cache.worklist_scrolled_to = cursor;
        let first = (view.top() / ROW).floor().max(0.0) as usize;
        let last = ((view.bottom() / ROW).ceil().max(0.0) as usize).min(rows.len());
        let places: Vec<Rect> = (first..last).map(place).collect();
        for (at, place) in (first..last).zip(places) {
            if let Some(index) = rows.get(at) {
                row(ui, state, cache, progress, *index, place, columns, commands);
            }
        }
    });
}

/// What a row says, column by column.
struct Cells {
    /// Text and its second line, with their colours, for the columns that hold text.
    text: Vec<[(String, Color32); 2]>,
    spoken: String,
}

#[expect(clippy::too_many_arguments, reason = "a row and where it stands")]
fn row(
    ui: &mut Ui,
    state: &AppState,
    cache: &mut UiCache,
    progress: Progress,
    index: usize,
    rect: Rect,
    columns: &[(f32, f32)],
    commands: &mut Vec<Command>,
) {
    let Some(cells) = cells(state, progress, index, theme::of(ui)) else { return };
    let response = ui.interact(rect, ui.scope_id().with(("study", index)), Sense::click());
    let selected = state.worklist.cursor == index;
    response
        .widget_info(|| egui::WidgetInfo::selected(egui::Role::ListBoxOption, true, selected, cells.spoken.clone()));
    let fill = match (selected, response.hovered()) {
        (true, _) => theme::of(ui).accent_fill,
        (false, true) => theme::of(ui).raised,
        (false, false) => theme::of(ui).background,
    };
    ui.painter().rect_filled(rect, 0.0, fill);
    if state.active_row() == Some(index) {
        let edge = Rect::from_min_size(rect.min, vec2(3.0, rect.height()));
        ui.painter().rect_filled(edge, 0.0, theme::of(ui).accent);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, 2.0, Stroke::new(1.0, theme::of(ui).accent), StrokeKind::Inside);
    }
    let foot = [rect.left_bottom(), rect.right_bottom()];
    ui.painter().line_segment(foot, Stroke::new(1.0, theme::of(ui).panel));
    thumbnail(ui, state, cache, index, rect, columns);
    let text_columns = columns.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, column)| column);
    for ((x, width), lines) in text_columns.zip(&cells.text).filter(|((_, width), _)| *width > 0.0) {
        paint_cell(ui, pos2(rect.left() + x, rect.center().y), *width, lines);
    }
    if response.clicked() {
        commands.push(Command::Worklist(WorklistCommand::Open(index)));
    }
    let hint = hint(state, index);
    if !hint.is_empty() {
        response.on_hover_text_at_pointer(hint);
    }
}

/// A line with a smaller one below, each cut with an ellipsis where it is too long; a first line alone may take two.
fn paint_cell(ui: &Ui, left_centre: egui::Pos2, width: f32, [first, second]: &[(String, Color32); 2]) {
    let layout = |(text, colour): &(String, Color32), size: f32, rows: usize| {
        let font = egui::FontId::proportional(size);
        let mut job = egui::text::LayoutJob::simple(text.clone(), font, *colour, width);
        job.wrap.max_rows = rows;
        ui.painter().layout_job(job)
    };
    let alone = second.0.is_empty();
    let mut galleys = vec![layout(first, 13.5, 1)];
    if alone && galleys.iter().any(|galley| galley.elided) {
        galleys = vec![layout(first, 11.5, 2)];
    }
    if !alone {
        galleys.push(layout(second, 11.5, 1));
    }
    let height: f32 = galleys.iter().map(|galley| galley.size().y).sum();
    let mut y = left_centre.y - height / 2.0;
    for galley in galleys {
        let below = y + galley.size().y;
        ui.painter().galley(pos2(left_centre.x, y), galley, theme::of(ui).text);
        y = below;
    }
}

/// Longer than a cell: the reason of a failure, the notes.
fn hint(state: &AppState, index: usize) -> String {
    let Some(row) = state.worklist.rows.get(index) else { return String::new() };
    let mut lines = Vec::new();
    if let Work::Failed(why) | Work::Gated(why) | Work::NotApplicable(why) = &row.work {
        lines.push(why.clone());
    }
    if let Some(result) = state.seen_result(index) {
        lines.push(format!("{}, {}", result.model.name, standing(&result.model)));
        if let Some(at) = &result.computed_earlier {
            lines.push(format!("computed earlier, {at}, by {}", result.software));
        }
    }
    lines.extend(row.reading_lost.as_ref().map(|why| format!("verdict in this window only: {why}")));
    let own = row.reading.own.as_ref().map(|own| own.note.clone()).unwrap_or_default();
    lines.extend([own, row.reading.note.clone()].into_iter().filter(|note| !note.is_empty()));
    lines.join("\n")
}

fn thumbnail(ui: &Ui, state: &AppState, cache: &mut UiCache, index: usize, rect: Rect, columns: &[(f32, f32)]) {
    let Some((x, width)) = columns.get(1) else { return };
    let place = Rect::from_center_size(
        pos2(rect.left() + x + width / 2.0, rect.center().y),
        vec2(width.min(ROW - 4.0), width.min(ROW - 4.0)),
    );
    ui.painter().rect_filled(place, 0.0, Color32::BLACK);
    let Some(chosen) = state.worklist.rows.get(index).map(|row| row.chosen) else { return };
    let thumbnails = state.study.as_ref().map(|study| &study.thumbnails);
    if let Some(thumbnail) = thumbnails.and_then(|t| t.get(chosen)).and_then(Option::as_ref) {
        let texture = series_panel::texture(ui.ctx(), cache, chosen, &Arc::clone(thumbnail));
        let scale = place.width() / thumbnail.width.max(thumbnail.height).max(1) as f32;
        let size = vec2(thumbnail.width as f32 * scale, thumbnail.height as f32 * scale);
        let uv = Rect::from_min_max(egui::Pos2::ZERO, pos2(1.0, 1.0));
        ui.painter().image(texture, Rect::from_center_size(place.center(), size), uv, Color32::WHITE);
    }
}

fn cells(state: &AppState, progress: Progress, index: usize, palette: &Palette) -> Option<Cells> {
    let row = state.worklist.rows.get(index)?;
    let series = state.row_series(row)?;
    let here = state.active_row() == Some(index);
    let job =
        if here { progress.analysis } else { progress.queue.filter(|_| state.worklist.running_row() == Some(index)) };
    let work = state.work_text(index, job);
    let work_colour = match row.work {
        Work::Failed(_) | Work::Gated(_) | Work::NotApplicable(_) => palette.stop,
        Work::Done => palette.text,
        _ => palette.dim,
    };
    let ahead = match here {
        true => "",
        false if state.row_is_ready(index) => "ready",
        false if state.row_is_on_its_way(index) => "being read ahead",
        false => "",
    };
    let name = state.row_name(index);
    let id = if state.hide_identity { String::new() } else { series.patient.id.clone() };
    let date = if state.hide_identity { String::new() } else { describe::date(&series.study.date) };
    let [score, peak] = result_cells(state, index, palette);
    let (passport, weight) = state.row_passport(index)?;
    let passport_text = format!("{}{passport}", mark(weight));
    let verdict = verdict_cell(state, &row.reading, index, palette);
    let (dim, text) = (palette.dim, palette.text);
    let one = |line: String, colour| [(line, colour), (String::new(), colour)];
    let spoken = [
        format!("Study {}: {name}", index + 1),
        id.clone(),
        date.clone(),
        format!("{} slices", series.slices.len()),
        work.clone(),
        ahead.to_owned(),
        [score[0].0.as_str(), score[1].0.as_str()].join(" ").trim().to_owned(),
        [peak[0].0.as_str(), peak[1].0.as_str()].join(" ").trim().to_owned(),
        format!("input: {passport}"),
        [verdict[0].0.as_str(), verdict[1].0.as_str()].join("; ").trim_end_matches("; ").to_owned(),
    ];
    let spoken = spoken.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let (first, rest) = match work.split_once(": ") {
        Some((first, rest)) => (first.to_owned(), rest.to_owned()),
        None => (work, String::new()),
    };
    // A reason is not displaced; the screen reader has both.
    let (rest, rest_colour) = if rest.is_empty() { (ahead.to_owned(), dim) } else { (rest, work_colour) };
    let description = if id.is_empty() { series.description.clone() } else { id };
    let text = vec![
        one((index + 1).to_string(), dim),
        [(name, text), (description, dim)],
        one(if date.is_empty() { "no date".to_owned() } else { date }, dim),
        one(series.slices.len().to_string(), dim),
        [(first, work_colour), (rest, rest_colour)],
        score,
        peak,
        one(passport_text, weight_colour(palette, weight)),
        verdict,
    ];
    Some(Cells { text, spoken })
}

fn result_cells(state: &AppState, index: usize, palette: &Palette) -> [[(String, Color32); 2]; 2] {
    let nothing = || [(String::new(), palette.dim), (String::new(), palette.dim)];
    if state.row_hidden(index) {
        let hidden = || [("hidden".to_owned(), palette.dim), (String::new(), palette.dim)];
        return [hidden(), hidden()];
    }
    let Some(result) = state.seen_result(index) else { return [nothing(), nothing()] };
    let colour = if result.doubtful || !result.model.trained { palette.warning } else { palette.text };
    let thresholds = state.thresholds_of(&result.model);
    // Each number stands beside its own threshold: slices and the case have different ones.
    let side = |score: f32, threshold: f32| {
        let (word, colour) = if score >= threshold { ("reaches", palette.text) } else { ("below", palette.dim) };
        (format!("{word} {}", score_text(threshold)), colour)
    };
    let case = match result.case {
        Some(case) => [(score_text(case), colour), side(case, thresholds.case)],
        None => [("none".to_owned(), palette.dim), (String::new(), palette.dim)],
    };
    let top = result.top.map_or_else(nothing, |top| {
        let (side, _) = side(top.score, thresholds.slice);
        let level = state.top_level(result).map_or_else(String::new, |level| format!("{}, ", level.name()));
        let place = top.z_mm().map_or_else(String::new, |z| format!("z {z:.1} mm, "));
        [
            (format!("{}, {side}", score_text(top.score)), colour),
            (format!("{level}{place}slice {}", top.slice + 1), palette.dim),
        ]
    });
    [case, top]
}

fn verdict_cell(state: &AppState, reading: &Reading, index: usize, palette: &Palette) -> [(String, Color32); 2] {
    let own = reading.own.as_ref().map(|own| {
        let level = own.level.map_or_else(String::new, |level| format!(", {}", level.name()));
        format!("{}{level}", own.answer.name())
    });
    let said = reading.said.as_ref().filter(|_| !state.row_hidden(index)).map(|said| match said.opinion.name() {
        "unsure" => "unsure about the result".to_owned(),
        name => format!("{name}s with the result"),
    });
    let opened = reading.opened.is_some();
    match (own, said) {
        (Some(own), said) => [(own, palette.text), (said.unwrap_or_default(), palette.dim)],
        (None, Some(said)) => [(said, palette.text), (String::new(), palette.dim)],
        (None, None) if opened => [("opened".to_owned(), palette.dim), (String::new(), palette.dim)],
        (None, None) => [(String::new(), palette.dim), (String::new(), palette.dim)],
    }
}

/// What the numbers are worth, under them all.
fn honesty(ui: &mut Ui, state: &AppState) {
    ui.add_space(6.0);
    let seen = (0..state.worklist.rows.len()).find_map(|row| state.seen_result(row));
    let line = |result: &RowResult| {
        let thresholds = thresholds_text(state.thresholds_of(&result.model));
        format!(
            "Scores of {} ({}), threshold {thresholds}. A score is no probability, and none above the threshold is not the \
             absence of a fracture.",
            result.model.name,
            standing(&result.model)
        )
    };
    let blind = "Blind first: results stay hidden for each study until you have committed your own verdict of it.";
    let lines = [seen.map(line), state.settings.blind_first.then(|| blind.to_owned())];
    for text in lines.into_iter().flatten() {
        ui.add(egui::Label::new(RichText::new(&text).small().color(theme::of(ui).warning)).wrap());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_is_shown_has_its_room() {
        for width in [460.0, 590.0, 730.0, 860.0, 1000.0, 1252.0, 3800.0] {
            let columns = columns(width);
            let shown: Vec<&(f32, f32)> = columns.iter().filter(|(_, width)| *width > 0.0).collect();
            assert!(shown.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0), "{width}: {columns:?}");
            let (x, last) = columns[COLUMNS.len() - 1];
            assert!(last >= NARROW_VERDICT && x + last <= width, "{width}: the verdict stays: {columns:?}");
            assert_eq!(shown.len() == COLUMNS.len(), width > 1100.0, "{width}");
        }
    }
}
