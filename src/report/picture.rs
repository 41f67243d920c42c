//! One view as a picture: image and heatmap as the CPU draws them, corner texts, letters, ruler, heatmap scale and
//! the research line burnt in. Where everything stands is decided first ([`arrange`]), then drawn.

use tiny_skia::{Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::ViewPicture;
use super::fonts::{self, Face};
use crate::view::{colormap, raster, ruler_length_mm};
use crate::{RESEARCH_LINE, RESEARCH_LINE_SHORT};

/// Type size in pixels at a text scale of 1.
const TEXT_PX: f32 = 16.0;
/// Below this no letter can be read.
const SMALLEST_TEXT_PX: f32 = 9.0;
/// Distance of two baselines over the type size.
const LEADING: f32 = 1.3;
const TEXT_COLOUR: [u8; 3] = [226, 230, 234];

/// A line of text with the rectangle that nothing else may enter, `[left, top, right, bottom]` in pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlacedLine {
    pub(super) text: String,
    pub(super) size: f32,
    pub(super) baseline: f32,
    pub(super) rect: [f32; 4],
}

/// Where everything that is not image stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Arrangement {
    pub(super) lines: Vec<PlacedLine>,
    /// The ruler's line with its end ticks.
    pub(super) ruler: Option<[f32; 4]>,
    /// The heatmap's colour bar.
    pub(super) scale: Option<[f32; 4]>,
    /// Type size of the corners, from which line widths follow.
    pub(super) size: f32,
}

/// What [`arrange`] needs to know of a picture.
pub(super) struct Wanted<'a> {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) text: &'a super::CornerText,
    pub(super) pixels_per_mm: Option<f64>,
    /// The map value at the top of the heatmap's scale; `None` when no heatmap is drawn.
    pub(super) heat_maximum: Option<f32>,
    pub(super) text_scale: f32,
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Centre,
    Right,
}

/// Running state of the arrangement.
struct Board {
    width: f32,
    pad: f32,
    out: Arrangement,
}

impl Board {
    /// Puts a line (cut to `max_width`) with its top at `top`; returns the top of the next.
    fn line(&mut self, text: &str, size: f32, side: Side, top: f32, max_width: f32) -> f32 {
        let text = fonts::ellipsized(text, Face::Text, size, max_width);
        if !text.is_empty() {
            let length = fonts::width(&text, Face::Text, size);
            let left = match side {
                Side::Left => self.pad,
                Side::Centre => (self.width - length) / 2.0,
                Side::Right => self.width - self.pad - length,
            };
            let rect = [left, top, left + length, top + size * LEADING];
            self.out.lines.push(PlacedLine { text, size, baseline: top + size, rect });
        }
        top + size * LEADING
    }
}

/// RGBA of the picture, `width * height * 4` bytes, opaque; empty when either side is 0.
///
/// A text scale of 1 is 16 pixels, fit for a picture 1000 pixels high. Text is made smaller where the picture is
/// small; lines too long for their corner end in an ellipsis, lines for which there is no room are left out from
/// below. The research line always stands, in its short form where the whole does not fit.
pub fn view_picture(picture: &ViewPicture) -> Vec<u8> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    annotated(picture, raster::rgba8(&picture.draw, width, height))
}

/// As [`view_picture`], over RGBA of its size that has been drawn already. Empty when the sizes do not agree.
pub fn annotated(picture: &ViewPicture, rgba: Vec<u8>) -> Vec<u8> {
    let Some(mut pixmap) =
        tiny_skia::IntSize::from_wh(picture.width, picture.height).and_then(|size| Pixmap::from_vec(rgba, size))
    else {
        return Vec::new();
    };
    let arrangement = arrange(&Wanted {
        width: picture.width as f32,
        height: picture.height as f32,
        text: &picture.text,
        pixels_per_mm: picture.pixels_per_mm,
        heat_maximum: picture.draw.heatmap.as_ref().map(|layer| layer.maximum),
        text_scale: picture.text_scale,
    });
    super::marks::draw(&mut pixmap, &picture.marks, &arrangement);
    draw(&mut pixmap, &arrangement);
    pixmap.take()
}

/// Sizes of a picture's text, pixels.
#[derive(Clone, Copy)]
struct Type {
    size: f32,
    pad: f32,
    letter: f32,
    /// What a corner may take of the width: half of it, less the letters in the middle.
    corner_width: f32,
}

impl Type {
    fn of(width: f32, height: f32, text_scale: f32) -> Self {
        let asked = if text_scale.is_finite() { TEXT_PX * text_scale } else { TEXT_PX };
        let size = asked.min(width.min(height) / 24.0).max(SMALLEST_TEXT_PX);
        let (pad, letter) = (size * 0.6, size * 1.15);
        let reserved = fonts::width("PFL", Face::Text, letter) + size;
        Self { size, pad, letter, corner_width: ((width - reserved) / 2.0 - pad).max(0.0) }
    }
}

/// A sentence that must be read whole, in lines that fit a corner of a picture of that size in pixels at a text scale of 1.
pub fn corner_wrapped(text: &str, width: u32, height: u32) -> Vec<String> {
    let of = Type::of(width as f32, height as f32, 1.0);
    fonts::wrapped(text, Face::Text, of.size, of.corner_width)
}

/// Decides where texts, ruler and scale stand so that none covers another.
pub(super) fn arrange(wanted: &Wanted<'_>) -> Arrangement {
    let Type { size, pad, letter, corner_width } = Type::of(wanted.width, wanted.height, wanted.text_scale);
    let mut board = Board { width: wanted.width, pad, out: Arrangement { size, ..Arrangement::default() } };
    let bottom = research_line(&mut board, wanted.height);
    let [top_letter, right_letter, bottom_letter, left_letter] = &wanted.text.letters;
    let letter_row = letter * LEADING;
    let middle = (pad + bottom) / 2.0;
    let room = wanted.width / 4.0;
    board.line(top_letter, letter, Side::Centre, pad, room);
    board.line(bottom_letter, letter, Side::Centre, bottom - letter_row, room);
    board.line(left_letter, letter, Side::Left, middle - letter_row / 2.0, room);
    board.line(right_letter, letter, Side::Right, middle - letter_row / 2.0, room);
    // What the corners may take of the height: half of it, less the letters aside.
    let above = [pad, middle - letter_row / 2.0 - size * 0.4];
    let below = [middle + letter_row / 2.0 + size * 0.4, bottom];
    corner_down(&mut board, &wanted.text.top_left, Side::Left, above, corner_width);
    corner_up(&mut board, &wanted.text.bottom_left, Side::Left, below, corner_width);
    let scale_height = wanted.heat_maximum.map_or(0.0, |_| ((above[1] - above[0]) * 0.45).min(wanted.height * 0.2));
    let end =
        corner_down(&mut board, &wanted.text.top_right, Side::Right, [above[0], above[1] - scale_height], corner_width);
    if let Some(maximum) = wanted.heat_maximum {
        heat_scale(&mut board, maximum, end, scale_height, corner_width);
    }
    let ruler_mm = wanted.pixels_per_mm.and_then(|per_mm| {
        let longest = f64::from(corner_width.min(wanted.width / 4.0));
        Some((ruler_length_mm(longest / per_mm)?, per_mm))
    });
    let ruler_height = if ruler_mm.is_some() { size * (LEADING + 0.8) } else { 0.0 };
    let start = corner_up(
        &mut board,
        &wanted.text.bottom_right,
        Side::Right,
        [below[0] + ruler_height, below[1]],
        corner_width,
    );
    if let Some((mm, per_mm)) = ruler_mm {
        ruler(&mut board, mm, (mm * per_mm) as f32, start - ruler_height, corner_width);
    }
    board.out
}

/// The research line along the foot; returns where it begins.
fn research_line(board: &mut Board, height: f32) -> f32 {
    let room = board.width - 2.0 * board.pad;
    let size = (board.out.size * 0.8).max(SMALLEST_TEXT_PX);
    let whole = fonts::wrapped(RESEARCH_LINE, Face::Text, size, room);
    let (lines, size) = if whole.len() == 1 || (whole.len() == 2 && height > size * 30.0) {
        (whole, size)
    } else {
        let length = fonts::width(RESEARCH_LINE_SHORT, Face::Text, size);
        (vec![RESEARCH_LINE_SHORT.to_owned()], size * (room / length).min(1.0))
    };
    let start = height - board.pad * 0.5 - lines.len() as f32 * size * LEADING;
    let mut top = start;
    for line in &lines {
        // The slack absorbs rounding where the size was chosen to fit exactly.
        top = board.line(line, size, Side::Centre, top, room + 0.5);
    }
    start - board.pad * 0.5
}

/// Lines that fit between the two heights; when not all do, the last says so.
fn fitting(lines: &[String], span: [f32; 2], size: f32) -> Vec<String> {
    let room = ((span[1] - span[0]) / (size * LEADING) + 1e-3).floor().max(0.0) as usize;
    let mut kept: Vec<String> = lines.iter().take(room).cloned().collect();
    if kept.len() < lines.len()
        && let Some(last) = kept.last_mut()
    {
        last.push_str(" \u{2026}");
    }
    kept
}

fn corner_down(board: &mut Board, lines: &[String], side: Side, span: [f32; 2], max_width: f32) -> f32 {
    let size = board.out.size;
    fitting(lines, span, size).iter().fold(span[0], |top, line| board.line(line, size, side, top, max_width))
}

/// As [`corner_down`], but standing on the lower end; returns where the first line begins.
fn corner_up(board: &mut Board, lines: &[String], side: Side, span: [f32; 2], max_width: f32) -> f32 {
    let size = board.out.size;
    let kept = fitting(lines, span, size);
    let start = span[1] - kept.len() as f32 * size * LEADING;
    kept.iter().fold(start, |top, line| board.line(line, size, side, top, max_width));
    start
}

/// The colour bar with its two numbers to the left of it.
fn heat_scale(board: &mut Board, maximum: f32, top: f32, height: f32, max_width: f32) {
    let size = board.out.size;
    let (gap, bar) = (size * 0.5, size * 0.7);
    let (top, bottom) = (top + gap, top + height - gap * 0.5);
    if bottom - top < size * 2.0 {
        return;
    }
    let right = board.width - board.pad;
    board.out.scale = Some([right - bar, top, right, bottom]);
    for (text, line_top) in [(map_value(maximum), top), ("map 0".to_owned(), bottom - size * LEADING)] {
        let text = fonts::ellipsized(&text, Face::Text, size, max_width - bar - gap);
        let left = right - bar - gap - fonts::width(&text, Face::Text, size);
        let rect = [left, line_top, right - bar - gap, line_top + size * LEADING];
        board.out.lines.push(PlacedLine { text, size, baseline: line_top + size, rect });
    }
}

/// A map value in three digits or so.
pub(super) fn map_value(value: f32) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}

fn ruler(board: &mut Board, mm: f64, length: f32, top: f32, max_width: f32) {
    let size = board.out.size;
    let label = format!("{} mm", crate::study::describe::short(mm));
    let below = board.line(&label, size, Side::Right, top, max_width);
    let right = board.width - board.pad;
    board.out.ruler = Some([right - length, below, right, below + size * 0.5]);
}

fn draw(pixmap: &mut Pixmap, arrangement: &Arrangement) {
    let size = arrangement.size;
    if let Some([left, top, right, bottom]) = arrangement.scale {
        let rows = ((bottom - top).ceil() as usize).max(1);
        frame(pixmap, [left, top, right, bottom], size * 0.08);
        for row in 0..rows {
            let [r, g, b] = colormap::colour(1.0 - (row as f32 + 0.5) / rows as f32);
            let y = top + (bottom - top) * row as f32 / rows as f32;
            let next = top + (bottom - top) * (row + 1) as f32 / rows as f32;
            if let (Some(rect), Some(colour)) = (Rect::from_ltrb(left, y, right, next), Color::from_rgba(r, g, b, 1.0))
            {
                pixmap.fill_rect(rect, &plain(colour), Transform::identity(), None);
            }
        }
    }
    if let Some([left, top, right, bottom]) = arrangement.ruler {
        let mut path = PathBuilder::new();
        let y = (top + bottom) / 2.0;
        path.move_to(left, top);
        path.line_to(left, bottom);
        path.move_to(left, y);
        path.line_to(right, y);
        path.move_to(right, top);
        path.line_to(right, bottom);
        if let Some(path) = path.finish() {
            let thin = (size * 0.09).max(1.0);
            stroke(pixmap, &path, thin + size * 0.14, Color::from_rgba8(0, 0, 0, 220));
            stroke(pixmap, &path, thin, text_colour());
        }
    }
    for line in &arrangement.lines {
        let Some(path) = fonts::outline(&line.text, Face::Text, line.size, line.rect[0], line.baseline) else {
            continue;
        };
        // A dark rim keeps the letters readable over bright bone.
        stroke(pixmap, &path, line.size * 0.34, Color::from_rgba8(0, 0, 0, 225));
        stroke(pixmap, &path, line.size * 0.035, text_colour());
        pixmap.fill_path(&path, &plain(text_colour()), FillRule::Winding, Transform::identity(), None);
    }
}

fn text_colour() -> Color {
    Color::from_rgba8(TEXT_COLOUR[0], TEXT_COLOUR[1], TEXT_COLOUR[2], 255)
}

fn plain(colour: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour);
    paint
}

fn stroke(pixmap: &mut Pixmap, path: &Path, width: f32, colour: Color) {
    let stroke = Stroke { width, line_join: LineJoin::Round, ..Stroke::default() };
    pixmap.stroke_path(path, &plain(colour), &stroke, Transform::identity(), None);
}

fn frame(pixmap: &mut Pixmap, [left, top, right, bottom]: [f32; 4], width: f32) {
    let rect = Rect::from_ltrb(left - width, top - width, right + width, bottom + width);
    if let Some(rect) = rect {
        pixmap.fill_rect(rect, &plain(Color::from_rgba8(0, 0, 0, 220)), Transform::identity(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::describe::CornerText;

    fn overlap(a: &[f32; 4], b: &[f32; 4]) -> bool {
        a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
    }

    #[test]
    fn nothing_overlaps_and_nothing_leaves_the_picture_at_any_size() {
        let many = |tag: &str, n: usize| -> Vec<String> {
            (0..n).map(|i| format!("{tag} {i} a line far too long for its corner, and then some more of it")).collect()
        };
        for lines in [0, 1, 3, 9, 40] {
            let text = CornerText {
                top_left: many("tl", lines),
                top_right: many("tr", lines),
                bottom_left: many("bl", lines),
                bottom_right: many("br", lines),
                letters: ["AH", "LPH", "PF", "RA"].map(str::to_owned),
            };
            for (width, height) in [(256, 256), (256, 1024), (512, 512), (1000, 700), (1920, 1080), (3840, 2160)] {
                for text_scale in [0.2, 1.0, 3.0, f32::NAN] {
                    let (width, height) = (width as f32, height as f32);
                    let a = arrange(&Wanted {
                        width,
                        height,
                        text: &text,
                        pixels_per_mm: Some(2.3),
                        heat_maximum: Some(1234.5),
                        text_scale,
                    });
                    let mut rects: Vec<[f32; 4]> = a.lines.iter().map(|l| l.rect).collect();
                    rects.extend(a.ruler.iter().chain(&a.scale));
                    for (i, r) in rects.iter().enumerate() {
                        assert!(
                            r[0] >= 0.0 && r[1] >= 0.0 && r[2] <= width && r[3] <= height,
                            "{r:?} {width}x{height}"
                        );
                        for s in &rects[i + 1..] {
                            assert!(!overlap(r, s), "{width}x{height} x{text_scale} {lines} lines: {r:?} {s:?}");
                        }
                    }
                    assert!(a.ruler.is_some() && a.lines.iter().any(|l| l.text.contains("Research software.")));
                }
            }
        }
    }

    #[test]
    fn a_wrapped_sentence_is_read_whole_in_its_corner() {
        let sentence = "rendering, not for measuring";
        for (width, height) in [(180, 160), (256, 256), (300, 500), (1000, 700)] {
            let lines = corner_wrapped(sentence, width, height);
            assert_eq!(lines.join(" "), sentence);
            let text = CornerText { bottom_right: lines.clone(), ..CornerText::default() };
            let wanted = Wanted {
                width: width as f32,
                height: height as f32,
                text: &text,
                pixels_per_mm: Some(2.0),
                heat_maximum: None,
                text_scale: 1.0,
            };
            let placed = arrange(&wanted);
            let found = |line: &String| placed.lines.iter().any(|placed| placed.text == *line);
            assert!(lines.iter().all(found), "{width}x{height}: {lines:?}");
        }
        assert!(corner_wrapped(sentence, 180, 160).len() > 1);
    }

    #[test]
    fn map_values_are_short() {
        assert_eq!([0.0, 0.004, 0.25, 17.3, 1234.5].map(map_value), ["0.00", "4.0e-3", "0.25", "17.30", "1234"]);
    }
}
