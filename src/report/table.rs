//! A table on pages: columns as wide as their texts ask for, cells broken into lines, the head again on every page.

use super::fonts;
use super::page::{DIM, Flow, INK, LEADING, LEFT, RULE, Style, WIDTH};
use crate::evaluation::unbroken;

/// Type sizes in points, the first in which every word finds room in its column.
const SIZES: [f32; 5] = [7.4, 7.0, 6.6, 6.2, 5.8];
/// Between columns, points.
const GAP: f32 = 7.0;
/// Above and below the lines of a row, points.
const AIR: f32 = 1.6;
/// Words longer than this (digests, paths) are broken before a column is made wider for them, points.
const LONG_WORD: f32 = 120.0;
/// Lines of a row that stay on one page.
const MOST_LINES: usize = 40;

pub(super) fn draw(flow: &mut Flow, caption: &str, head: &[String], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| unbroken(cell)).collect()).collect();
    let (size, widths) = columns(head, &rows);
    let (head_style, style) = (Style::strong(size, INK), Style::text(size, INK));
    let head = lines_of(head, &widths, head_style);
    let rows: Vec<Row> = rows.iter().map(|row| lines_of(row, &widths, style)).collect();
    let caption_style = Style::strong(8.6, INK);
    let with_it = rows.first().map_or(0.0, |row| height(tallest(row).min(MOST_LINES), style));
    flow.ensure(2.0 * caption_style.line() + height(tallest(&head), head_style) + with_it);
    flow.paragraph(0.0, caption_style, caption);
    flow.y += 2.0;
    draw_head(flow, &head, &widths, head_style);
    for row in &rows {
        // A row taller than a page goes on on the next one.
        for from in (0..tallest(row).max(1)).step_by(MOST_LINES) {
            let part: Row = row.iter().map(|cell| cell.iter().skip(from).take(MOST_LINES).cloned().collect()).collect();
            let pages = flow.pages.len();
            flow.ensure(height(tallest(&part), style));
            if flow.pages.len() > pages {
                draw_head(flow, &head, &widths, head_style);
            }
            draw_row(flow, &part, &widths, style);
        }
        let y = flow.y;
        flow.page().rule([LEFT, y], [LEFT + widths.iter().sum::<f32>(), y], 0.4, RULE);
    }
    flow.y += 8.0;
}

/// The lines of each cell.
type Row = Vec<Vec<String>>;

fn lines_of(row: &[String], widths: &[f32], style: Style) -> Row {
    let cell = |(text, width): (&String, &f32)| fonts::wrapped(text, style.face, style.size, (width - GAP).max(1.0));
    row.iter().zip(widths).map(cell).collect()
}

fn tallest(row: &Row) -> usize {
    row.iter().map(Vec::len).max().unwrap_or(0)
}

fn height(lines: usize, style: Style) -> f32 {
    lines.max(1) as f32 * style.line() + 2.0 * AIR
}

fn draw_head(flow: &mut Flow, head: &Row, widths: &[f32], style: Style) {
    draw_row(flow, head, widths, style);
    let y = flow.y;
    flow.page().rule([LEFT, y], [LEFT + widths.iter().sum::<f32>(), y], 0.8, DIM);
}

fn draw_row(flow: &mut Flow, row: &Row, widths: &[f32], style: Style) {
    let top = flow.y + AIR;
    let mut x = LEFT;
    for (cell, width) in row.iter().zip(widths) {
        let mut y = top;
        for line in cell {
            flow.page().text(x, y + style.size, style, line);
            y += style.size * LEADING;
        }
        x += width;
    }
    flow.y += height(tallest(row), style);
}

/// Type size and widths of the columns with their gaps: as the texts ask where that fits on the page; else no column is
/// narrower than its longest word, and what is left goes to those that ask for more.
fn columns(head: &[String], rows: &[Vec<String>]) -> (f32, Vec<f32>) {
    let count = rows.iter().map(Vec::len).chain([head.len()]).max().unwrap_or(0);
    let mut found = (SIZES[0], Vec::new());
    for size in SIZES {
        let (strong, plain) = (Style::strong(size, INK), Style::text(size, INK));
        let cells = |column: usize| {
            let head = head.get(column).map(|cell| (cell, strong));
            head.into_iter().chain(rows.iter().filter_map(move |row| Some((row.get(column)?, plain))))
        };
        let widest = |column: usize, of: &dyn Fn(&str, Style) -> f32| {
            cells(column).map(|(cell, style)| of(cell, style)).fold(0.0, f32::max) + GAP
        };
        // A hair more than measured, so that what fits exactly is not broken.
        let whole = |text: &str, style: Style| style.width(text) + 0.1;
        let word = |text: &str, style: Style| {
            fonts::words(text).map(|word| style.width(&word).min(LONG_WORD)).fold(0.0, f32::max) + 0.1
        };
        let full: Vec<f32> = (0..count).map(|column| widest(column, &whole)).collect();
        if full.iter().sum::<f32>() <= WIDTH {
            return (size, full);
        }
        let least: Vec<f32> = (0..count).map(|column| widest(column, &word)).collect();
        let room = WIDTH - least.iter().sum::<f32>();
        if room >= 0.0 {
            let wish: f32 = full.iter().zip(&least).map(|(full, least)| full - least).sum();
            let share = |(full, least): (&f32, &f32)| least + room * (full - least) / wish.max(1e-3);
            return (size, full.iter().zip(&least).map(share).collect());
        }
        // Too many columns for this page: words break.
        let shrunk = WIDTH / least.iter().sum::<f32>();
        found = (size, least.iter().map(|least| least * shrunk).collect());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::{FOOT, Item, RIGHT, TOP};

    fn cells(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
    fn drawn(head: &[&str], rows: &[Vec<String>]) -> Flow {
        let mut flow = Flow::new();
        draw(&mut flow, "A caption", &cells(head), rows);
        flow
    }
    fn texts(flow: &Flow) -> Vec<(f32, f32, String)> {
        let of = |item: &Item| match item {
            Item::Text { x, baseline, style, text } => Some((x + style.width(text), *baseline, text.clone())),
            _ => None,
        };
        flow.pages.iter().flat_map(|page| &page.items).filter_map(of).collect()
    }

    #[test]
    fn an_interval_is_not_broken_where_it_need_not_be() {
        let row = vec!["0.812 (0.741 to 0.867)".to_owned(); 10];
        let found = drawn(&["Metric"; 10], &[row]);
        let found: Vec<String> = texts(&found).into_iter().map(|(.., text)| text).collect();
        assert!(found.iter().any(|text| text == "(0.741 to 0.867)"), "{found:?}");
    }

    #[test]
    fn nothing_leaves_the_page_and_no_word_is_lost() {
        let digest = "0123456789abcdef".repeat(8);
        let long = format!("a reason of many words, {} {digest}", "and again ".repeat(900));
        let rows = [[cells(&["one", "two"]), vec![digest.clone(), long.clone()]].concat(), vec![String::new()]];
        let flow = drawn(&["Case", "Reason", "Third", "Fourth"], &rows);
        assert!(flow.pages.len() > 1);
        let found = texts(&flow);
        assert!(found.iter().all(|(right, baseline, _)| *right <= RIGHT + 0.5 && (TOP..FOOT).contains(baseline)));
        let all: String = found.iter().map(|(.., text)| text.replace(' ', "")).collect();
        assert_eq!(all.matches("again").count(), 900);
        assert_eq!(all.matches("Reason").count(), flow.pages.len(), "the head is on every page");
    }

    #[test]
    fn more_columns_than_fit_are_still_drawn_inside() {
        let row = vec!["incomparable".to_owned(); 30];
        let flow = drawn(&["h"; 30], &[row]);
        assert!(texts(&flow).iter().all(|(right, ..)| *right <= RIGHT + 0.5));
    }
}
