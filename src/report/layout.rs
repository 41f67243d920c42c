//! The shape of a study's report: what [`Content`] says, set on pages.

use std::sync::Arc;

use super::content::{Content, Fact, KeySlice, Notice, made_line};
use super::fonts::{self, Face};
use super::page::{
    ACCENT, BODY, DIM, FOOT, Flow, INK, Item, LEADING, LEFT, PANEL, Page, RIGHT, RULE, SMALL, STOP, Source, Style, TOP,
    WIDTH, feet, limited, with_replacements_told,
};
use super::pictures::{PictureSource, WINDOWS};
use super::{measures, strip, table};
use crate::findings::Findings;
use crate::findings::describe::{KNOWN_TO_MISLEAD, counted, score_text};
use crate::study::Series;
use crate::study::describe::{self, SYNTHETIC_LINE};
use crate::study::quality::Weight;

/// Rows of the table of peaks; the rest stand in the table of all scores.
const PEAK_ROWS: usize = 6;

/// Sets the whole report. `series` and `findings` give the strip its shape; the pictures are those of the key slices and
/// those of what was measured.
pub(super) fn pages(
    content: &Content,
    series: &Series,
    findings: Option<&Findings>,
    [pictures, measured]: [&[Vec<Arc<PictureSource>>]; 2],
) -> Vec<Page> {
    let mut flow = Flow::new();
    title(&mut flow, content);
    identity(&mut flow, content);
    result_panel(&mut flow, content);
    if let (Some(findings), Some(outcome)) = (findings, &content.outcome) {
        flow.heading("Score of each slice", 150.0);
        let y = flow.y;
        let numbered = outcome.peaks.get(..PEAK_ROWS).unwrap_or(&outcome.peaks);
        strip::draw(flow.page(), [LEFT, y, RIGHT, y + 142.0], series, findings, numbered);
        flow.y = y + 148.0;
        flow.paragraph(0.0, note_style(outcome.trained), &format!("Scores: {}.", outcome.standing));
        peak_table(&mut flow, series, findings, &outcome.peaks);
    }
    // What limits the result stands before the pictures; refused files, which can be many, at the end.
    passport_section(&mut flow, content);
    notices_section(&mut flow, "Slices left out or with a remark", &content.excluded);
    measurements(&mut flow, content);
    key_slices(&mut flow, "Measured and marked by the reader", &content.measured, content, measured);
    key_slices(&mut flow, "Key slices", &content.key_slices, content, pictures);
    facts_section(&mut flow, "Reference standard (not by the network)", &content.reference);
    facts_section(&mut flow, "Model and analysis", &content.model);
    notices_section(&mut flow, "Files that were refused", &content.refused);
    if let (Some(findings), Some(outcome)) = (findings, &content.outcome) {
        score_table(&mut flow, series, findings, &outcome.standing, outcome.trained);
    }
    let mut pages = flow.pages;
    let made = with_replacements_told(&pages, &made_line(content));
    heads(&mut pages, content);
    feet(&mut pages, &made);
    pages
}

fn note_style(trained: bool) -> Style {
    if trained { Style::text(SMALL, DIM) } else { Style::strong(SMALL, STOP) }
}

fn title(flow: &mut Flow, content: &Content) {
    let y = flow.y;
    let page = flow.page();
    page.text(LEFT, y + 15.0, Style::text(21.0, INK), "CT of the neck: fracture network");
    page.right(RIGHT, y + 5.0, Style::text(SMALL, DIM), crate::SOFTWARE);
    page.right(RIGHT, y + 15.0, Style::text(SMALL, DIM), &content.created);
    page.rule([LEFT, y + 25.0], [RIGHT, y + 25.0], 0.9, INK);
    if content.synthetic {
        page.text(LEFT, y + 40.0, Style::strong(10.0, STOP), SYNTHETIC_LINE);
    }
    flow.y = y + if content.synthetic { 48.0 } else { 34.0 };
}

/// Patient and study at the left, series and geometry at the right.
fn identity(flow: &mut Flow, content: &Content) {
    let (y, column) = (flow.y, (WIDTH - 24.0) / 2.0);
    let page = flow.page();
    let left = fact_list(page, [LEFT, y], column, "Patient and study", &content.patient);
    let right = fact_list(page, [LEFT + column + 24.0, y], column, "Series and geometry", &content.series);
    flow.y = left.max(right) + 8.0;
}

fn fact_list(page: &mut Page, at: [f32; 2], width: f32, heading: &str, facts: &[Fact]) -> f32 {
    let label_width = 56.0;
    page.text(at[0], at[1] + 9.0, Style::strong(9.0, ACCENT), heading);
    let mut y = at[1] + 15.0;
    for fact in facts {
        page.text(at[0], y + BODY, Style::text(BODY, DIM), &fact.label);
        let is_uid = fact.label.ends_with("UID");
        let style = if is_uid { Style::mono(6.4, INK) } else { Style::text(BODY, INK) };
        let top = y + BODY - style.size;
        let end = page.block([at[0] + label_width, top], width - label_width, style, &fact.value, 3);
        y = end.max(y + BODY * LEADING);
    }
    y
}

/// Case score, sentences, and what the numbers rest on.
fn result_panel(flow: &mut Flow, content: &Content) {
    flow.y += 4.0;
    let top = flow.y;
    let Some(outcome) = &content.outcome else {
        let text = content.analysis_note.as_deref().unwrap_or("no analysis was run");
        let style = Style::text(10.0, INK);
        let height = 34.0 + limited(text, style, WIDTH - 24.0, 6).len() as f32 * style.line();
        let page = flow.page();
        page.fill([LEFT, top, RIGHT, top + height], PANEL);
        page.text(LEFT + 12.0, top + 18.0, Style::strong(11.0, STOP), "No score");
        page.block([LEFT + 12.0, top + 24.0], WIDTH - 24.0, style, text, 6);
        flow.y = top + height + 4.0;
        return;
    };
    let column = 128.0;
    let text_left = LEFT + 12.0 + column;
    let text_width = RIGHT - 12.0 - text_left;
    let page = flow.page();
    let background = page.items.len();
    let mut y = top + 12.0;
    for (i, sentence) in outcome.sentences.iter().chain(&content.analysis_note).enumerate() {
        let style = if i == 0 { Style::strong(11.0, INK) } else { Style::text(BODY + 0.6, INK) };
        y = page.block([text_left, y], text_width, style, sentence, 4) + 2.0;
    }
    page.text(LEFT + 12.0, top + 20.0, Style::text(BODY, DIM), "case score");
    let score = outcome.case_score.map_or_else(|| "none".to_owned(), score_text);
    page.text(LEFT + 12.0, top + 48.0, Style::text(30.0, INK), &score);
    page.text(LEFT + 12.0, top + 60.0, Style::text(SMALL, DIM), "a score, not a probability");
    let (size, colour) = if outcome.trained { (BODY + 0.6, INK) } else { (13.0, STOP) };
    let standing = Style::strong(size, colour);
    y = y.max(top + 66.0);
    page.rule([LEFT + 12.0, y], [RIGHT - 12.0, y], 0.5, RULE);
    y = page.block([LEFT + 12.0, y + 5.0], WIDTH - 24.0, standing, &outcome.standing, 3);
    let model = content.model.iter().filter(|f| matches!(f.label.as_str(), "Model" | "Network"));
    let model = model.map(|f| f.value.as_str()).collect::<Vec<_>>().join(", ");
    y = page.block([LEFT + 12.0, y], WIDTH - 24.0, Style::text(BODY, DIM), &model, 2);
    if let Some(hash) = content.model.iter().find(|f| f.label == "SHA-256") {
        let text = format!("SHA-256 {}", hash.value);
        y = page.block([LEFT + 12.0, y], WIDTH - 24.0, Style::mono(6.8, DIM), &text, 2);
    }
    let rect = [LEFT, top, RIGHT, y + 6.0];
    page.items.insert(background, Item::Fill { rect, colour: PANEL });
    if !outcome.trained {
        page.frame(rect, 1.0, STOP);
    }
    flow.y = y + 8.0;
}

fn peak_table(flow: &mut Flow, series: &Series, findings: &Findings, peaks: &[usize]) {
    if peaks.is_empty() {
        return;
    }
    flow.ensure(40.0);
    flow.y += 5.0;
    let columns = [LEFT + 4.0, LEFT + 52.0, LEFT + 110.0, LEFT + 205.0];
    let y = flow.y + BODY;
    for (x, text) in columns.iter().zip(["peak", "slice", "position", "score"]) {
        flow.page().text(*x, y, Style::text(SMALL, DIM), text);
    }
    flow.y += BODY * LEADING;
    for (rank, &index) in peaks.iter().enumerate().take(PEAK_ROWS) {
        let y = flow.y + BODY;
        let pose = series.slices.get(index).and_then(|s| s.pose);
        let position = pose.map_or_else(String::new, |p| describe::position_text(&p));
        let score = findings.slices.get(index).and_then(|s| s.score()).map_or_else(String::new, score_text);
        let cells = [(rank + 1).to_string(), (index + 1).to_string(), position, score];
        for (x, text) in columns.iter().zip(&cells) {
            flow.page().text(*x, y, Style::text(BODY, INK), text);
        }
        flow.y += BODY * LEADING;
    }
    if let Some(more) = peaks.len().checked_sub(PEAK_ROWS).filter(|n| *n > 0) {
        let text = format!("and {} more; all scores stand in the table at the end", counted(more, "peak"));
        flow.paragraph(4.0, Style::text(SMALL, DIM), &text);
    }
}

/// The verdict on the series, what weighs against it in full, and in one paragraph what was in order.
fn passport_section(flow: &mut Flow, content: &Content) {
    let passport = &content.passport;
    flow.heading("Input passport", BODY * LEADING * 4.0);
    let style = if passport.weight == Weight::Stop { Style::strong(10.0, STOP) } else { Style::strong(10.0, INK) };
    flow.paragraph(0.0, style, &format!("{}.", passport.verdict));
    flow.y += 2.0;
    for line in passport.lines.iter().filter(|line| line.weight != Weight::Note) {
        flow.ensure(BODY * LEADING * 2.0);
        let (mark, colour) = if line.weight == Weight::Stop { ("stop", STOP) } else { ("remark", INK) };
        flow.paragraph(0.0, Style::strong(BODY, colour), &format!("{}, {mark}", line.topic));
        flow.paragraph(10.0, Style::text(BODY, INK), &line.text);
        flow.y += 2.0;
    }
    let notes = passport.lines.iter().filter(|line| line.weight == Weight::Note);
    let notes: Vec<String> = notes.map(|line| format!("{}: {}", line.topic, line.text)).collect();
    if !notes.is_empty() {
        flow.paragraph(0.0, Style::text(BODY, DIM), &format!("Looked at and in order. {}.", notes.join(". ")));
    }
    let themes = KNOWN_TO_MISLEAD.join("; ");
    let text =
        format!("Known to mislead such networks (published of others, not measured with these weights): {themes}.");
    flow.paragraph(0.0, Style::text(BODY, DIM), &text);
}

/// Side of a picture in points.
const PICTURE: f32 = 158.0;
const PICTURE_GAP: f32 = 6.0;

/// What the reader measured; nothing of it comes from the network.
fn measurements(flow: &mut Flow, content: &Content) {
    if content.measurements.is_empty() {
        return;
    }
    flow.heading("Measurements", 60.0);
    let head = ["Name", "Kind", "Value", "On", "Middle"].map(str::to_owned);
    let row = |row: &measures::Row| {
        vec![row.title.clone(), row.kind.to_owned(), row.value.clone(), row.place.clone(), row.position.clone()]
    };
    let rows: Vec<Vec<String>> = content.measurements.iter().map(row).collect();
    table::draw(flow, "Drawn by the reader, read from the pixels by this program", &head, &rows);
}

fn key_slices(
    flow: &mut Flow,
    heading: &str,
    slices: &[KeySlice],
    content: &Content,
    pictures: &[Vec<Arc<PictureSource>>],
) {
    if slices.is_empty() {
        return;
    }
    let rows = |sources: &[Arc<PictureSource>]| sources.len().div_ceil(WINDOWS.len());
    let first = pictures.first().map_or(0.0, |s| rows(s) as f32 * (PICTURE + PICTURE_GAP));
    flow.heading(heading, first);
    for (slice, sources) in slices.iter().zip(pictures) {
        let height = rows(sources) as f32 * (PICTURE + PICTURE_GAP);
        flow.ensure(height);
        let top = flow.y;
        key_slice_text(flow.page(), slice, content, top);
        // The first row without heatmap, the second with it, one column per window.
        for (i, source) in sources.iter().enumerate() {
            let column = (i % WINDOWS.len()) as f32;
            let row = (i / WINDOWS.len()) as f32;
            let left = RIGHT - (WINDOWS.len() as f32 - column) * PICTURE - (1.0 - column) * PICTURE_GAP;
            let top = top + row * (PICTURE + PICTURE_GAP);
            let rect = [left, top, left + PICTURE, top + PICTURE];
            flow.page().items.push(Item::Picture { rect, source: Source::View(source.clone()) });
        }
        flow.y = top + height + 8.0;
    }
}

fn key_slice_text(page: &mut Page, slice: &KeySlice, content: &Content, top: f32) {
    let width = WIDTH - 2.0 * PICTURE - 2.0 * PICTURE_GAP - 6.0;
    page.text(LEFT, top + 10.0, Style::strong(11.0, INK), &slice.title);
    let mut y = top + 18.0;
    if let (Some(score), Some(outcome)) = (slice.score, &content.outcome) {
        page.text(LEFT, y + 20.0, Style::text(22.0, INK), &score_text(score));
        page.text(LEFT, y + 30.0, Style::text(SMALL, DIM), "score of this slice");
        y = page.block([LEFT, y + 35.0], width, note_style(outcome.trained), &outcome.standing, 4) + 5.0;
    }
    for line in &slice.lines {
        y = page.block([LEFT, y], width, Style::text(BODY, INK), line, 4);
    }
}

fn facts_section(flow: &mut Flow, heading: &str, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    flow.heading(heading, 40.0);
    let indent = 112.0;
    for fact in facts {
        let style = if fact.label == "SHA-256" { Style::mono(7.6, INK) } else { Style::text(BODY, INK) };
        let label = fonts::ellipsized(&fact.label, Face::Text, BODY, indent - 8.0);
        flow.ensure(style.line());
        let y = flow.y + BODY;
        flow.page().text(LEFT, y, Style::text(BODY, DIM), &label);
        flow.paragraph(indent, style, &fact.value);
    }
}

fn notices_section(flow: &mut Flow, heading: &str, notices: &[Notice]) {
    if notices.is_empty() {
        return;
    }
    flow.heading(heading, BODY * LEADING * 3.0);
    for notice in notices {
        flow.ensure(BODY * LEADING * 2.0);
        let head =
            if notice.about.is_empty() { notice.kind.clone() } else { format!("{}: {}", notice.kind, notice.about) };
        flow.paragraph(0.0, Style::strong(BODY, INK), &head);
        flow.paragraph(10.0, Style::text(BODY, INK), &notice.text);
        flow.y += 3.0;
    }
}

/// Every slice with its score, column by column.
fn score_table(flow: &mut Flow, series: &Series, findings: &Findings, standing: &str, trained: bool) {
    const COLUMNS: usize = 4;
    let row_height = 9.6;
    flow.heading("All scores", 60.0);
    flow.paragraph(
        0.0,
        note_style(trained),
        &format!("Scores: {standing}. A line marks scores at or above the threshold."),
    );
    flow.y += 4.0;
    let column_width = WIDTH / COLUMNS as f32;
    let mut next = 0;
    while next < findings.slices.len() {
        flow.ensure(row_height * 6.0);
        let left = findings.slices.len() - next;
        let room = ((FOOT - flow.y) / row_height).floor().max(1.0) as usize - 1;
        let rows = left.div_ceil(COLUMNS).min(room.max(1));
        let top = flow.y;
        for column in 0..COLUMNS {
            let start = next + column * rows;
            let x = LEFT + column as f32 * column_width;
            if start < findings.slices.len() {
                score_head(flow.page(), x, top + 7.0);
            }
            for (row, index) in (start..findings.slices.len().min(start + rows)).enumerate() {
                score_row(flow.page(), x, top + row_height * (row + 1) as f32 + 7.0, series, findings, index);
            }
        }
        flow.y = top + row_height * (rows + 1) as f32;
        next += rows * COLUMNS;
    }
}

fn score_head(page: &mut Page, x: f32, baseline: f32) {
    let style = Style::text(SMALL - 0.8, DIM);
    page.right(x + 20.0, baseline, style, "slice");
    page.right(x + 62.0, baseline, style, "position");
    page.text(x + 72.0, baseline, style, "score");
}

fn score_row(page: &mut Page, x: f32, baseline: f32, series: &Series, findings: &Findings, index: usize) {
    let style = Style::mono(SMALL - 0.8, INK);
    page.right(x + 20.0, baseline, style, &(index + 1).to_string());
    if let Some(pose) = series.slices.get(index).and_then(|s| s.pose) {
        let text = describe::position_text(&pose);
        page.right(
            x + 62.0,
            baseline,
            style,
            text.trim_end_matches(" mm").trim_start_matches(char::is_alphabetic).trim(),
        );
    }
    let Some(state) = findings.slices.get(index) else { return };
    match (state.score(), state.excluded()) {
        (Some(score), _) => {
            page.text(x + 72.0, baseline, style, &score_text(score));
            if score >= findings.threshold() {
                page.rule([x + 68.5, baseline - 6.0], [x + 68.5, baseline + 1.0], 1.2, ACCENT);
            }
        }
        (None, Some(why)) => page.text(x + 72.0, baseline, Style::text(SMALL - 0.8, DIM), why.name()),
        (None, None) => page.text(x + 72.0, baseline, Style::text(SMALL - 0.8, DIM), "not-run"),
    }
}

/// Whose report it is, on every page but the first, which says so at length.
fn heads(pages: &mut [Page], content: &Content) {
    let style = Style::text(SMALL, DIM);
    for page in pages.iter_mut().skip(1) {
        let half = WIDTH * 0.6;
        let whose = fonts::ellipsized(&content.whose, Face::Text, SMALL, half);
        let series = fonts::ellipsized(&content.series_name, Face::Text, SMALL, WIDTH - half - 12.0);
        page.text(LEFT, TOP - 14.0, style, &whose);
        page.right(RIGHT, TOP - 14.0, style, &series);
        page.rule([LEFT, TOP - 8.0], [RIGHT, TOP - 8.0], 0.5, RULE);
    }
}
