//! The two typefaces of reports and pictures (those of the window), measured and outlined the same way for every
//! output, so that a line breaks at the same word in PDF and PNG.

use std::ops::Range;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};
use tiny_skia::{Path, PathBuilder};

/// Which typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Face {
    /// Proportional, for reading.
    Text,
    /// Tabular, for digests, numbers in columns and letters.
    Mono,
}

impl Face {
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Self::Text => epaint_default_fonts::UBUNTU_LIGHT,
            Self::Mono => epaint_default_fonts::HACK_REGULAR,
        }
    }
    fn font(self) -> &'static FontRef<'static> {
        static FONTS: LazyLock<[FontRef<'static>; 2]> = LazyLock::new(|| {
            [Face::Text, Face::Mono].map(|f| FontRef::try_from_slice(f.bytes()).expect("an embedded typeface"))
        });
        &FONTS[self as usize]
    }
    fn other(self) -> Self {
        match self {
            Self::Text => Self::Mono,
            Self::Mono => Self::Text,
        }
    }
    fn units_per_em(self) -> f32 {
        self.font().units_per_em().unwrap_or(1000.0)
    }
}

/// Stands for a character that neither typeface has, and for control characters.
pub(super) const REPLACEMENT: char = '\u{25a1}';

/// A character of a line with its place: `advance_em` in fractions of the type size, kerning included.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) face: Face,
    pub(super) glyph: u16,
    pub(super) advance_em: f32,
    /// Bytes of [`drawable`] text that this glyph stands for.
    pub(super) range: Range<usize>,
}

/// The typeface that has the character, the asked one first.
fn face_for(c: char, face: Face) -> Option<Face> {
    [face, face.other()].into_iter().find(|f| f.font().glyph_id(c) != GlyphId(0))
}

/// Text with nothing in it that cannot be drawn: control and direction characters and characters that neither
/// typeface has become [`REPLACEMENT`], white space becomes a space.
pub(super) fn drawable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' | '\u{a0}' | '\u{2007}' | '\u{202f}' => ' ',
            c if c.is_control() || is_direction_mark(c) || face_for(c, Face::Text).is_none() => REPLACEMENT,
            c => c,
        })
        .collect()
}

/// Marks that would reorder or hide text around them (bidirectional controls, zero width, variation selectors).
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// The glyphs of a line of [`drawable`] text from left to right.
pub(super) fn place(text: &str, face: Face) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::with_capacity(text.len());
    for (start, c) in text.char_indices() {
        let face = face_for(c, face).unwrap_or(face);
        let (font, upem) = (face.font(), face.units_per_em());
        let id = font.glyph_id(c);
        if let Some(before) = placed.last_mut().filter(|before| before.face == face) {
            before.advance_em += font.kern_unscaled(GlyphId(before.glyph), id) / upem;
        }
        let advance_em = font.h_advance_unscaled(id) / upem;
        placed.push(Placed { face, glyph: id.0, advance_em, range: start..start + c.len_utf8() });
    }
    placed
}

/// Length of a line of [`drawable`] text at a type size, in the unit of `size`.
pub(super) fn width(text: &str, face: Face, size: f32) -> f32 {
    place(text, face).iter().map(|g| g.advance_em).sum::<f32>() * size
}

/// The text, cut and closed with an ellipsis where it is longer than `max`; empty where not even that fits.
pub(super) fn ellipsized(text: &str, face: Face, size: f32, max: f32) -> String {
    let text = drawable(text);
    if width(&text, face, size) <= max {
        return text;
    }
    let room = max - width("\u{2026}", face, size);
    let mut length = 0.0;
    let mut end = 0;
    for glyph in place(&text, face) {
        length += glyph.advance_em * size;
        if length > room {
            break;
        }
        end = glyph.range.end;
    }
    let kept = text.get(..end).unwrap_or("").trim_end();
    let cut = format!("{kept}\u{2026}");
    // Kerning before the ellipsis may widen the line by a hair.
    if kept.is_empty() || width(&cut, face, size) > max { String::new() } else { cut }
}

/// The words between spaces where a line may break, [`drawable`]. A space that does not break stays in its word.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).map(drawable)
}

/// The text in lines no longer than `max`, broken at spaces, and inside a word only where the word alone is longer.
pub(super) fn wrapped(text: &str, face: Face, size: f32, max: f32) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(text) {
        let line = lines.last().map_or("", String::as_str);
        let longer = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
        if width(&longer, face, size) <= max {
            lines.pop();
            lines.push(longer);
            continue;
        }
        if line.is_empty() {
            lines.pop();
        }
        lines.extend(broken(&word, face, size, max));
    }
    lines.retain(|l| !l.is_empty());
    lines
}

/// A word in pieces no longer than `max`, at least one character each.
fn broken(word: &str, face: Face, size: f32, max: f32) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut length = 0.0;
    for glyph in place(word, face) {
        let advance = glyph.advance_em * size;
        if length + advance > max && length > 0.0 {
            pieces.push(String::new());
            length = 0.0;
        }
        length += advance;
        if let (Some(piece), Some(text)) = (pieces.last_mut(), word.get(glyph.range)) {
            piece.push_str(text);
        }
    }
    pieces
}

/// Outline of a line of [`drawable`] text with its baseline's start at `(x, baseline)`, y down; `None` for blanks.
pub(super) fn outline(text: &str, face: Face, size: f32, x: f32, baseline: f32) -> Option<Path> {
    let mut path = PathBuilder::new();
    let mut pen = x;
    for glyph in place(text, face) {
        let scale = size / glyph.face.units_per_em();
        if let Some(outline) = glyph.face.font().outline(GlyphId(glyph.glyph)) {
            append(&mut path, &outline.curves, scale, pen, baseline);
        }
        pen += glyph.advance_em * size;
    }
    path.finish()
}

fn append(path: &mut PathBuilder, curves: &[OutlineCurve], scale: f32, x: f32, baseline: f32) {
    let at = |p: &ab_glyph::Point| (x + p.x * scale, baseline - p.y * scale);
    let mut last: Option<ab_glyph::Point> = None;
    for curve in curves {
        let (from, to) = match curve {
            OutlineCurve::Line(a, b) | OutlineCurve::Quad(a, _, b) | OutlineCurve::Cubic(a, _, _, b) => (a, b),
        };
        if last != Some(*from) {
            if last.is_some() {
                path.close();
            }
            let (px, py) = at(from);
            path.move_to(px, py);
        }
        let (ex, ey) = at(to);
        match curve {
            OutlineCurve::Line(..) => path.line_to(ex, ey),
            OutlineCurve::Quad(_, c, _) => {
                let (cx, cy) = at(c);
                path.quad_to(cx, cy, ex, ey);
            }
            OutlineCurve::Cubic(_, c, d, _) => {
                let ((cx, cy), (dx, dy)) = (at(c), at(d));
                path.cubic_to(cx, cy, dx, dy, ex, ey);
            }
        }
        last = Some(*to);
    }
    if last.is_some() {
        path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_typefaces_can_draw_what_the_program_writes() {
        let ours = "ABCxyz 0123456789 .,:;-()[]/<>%\u{d7}\u{b0}\u{2026}\u{b7}\u{25a1}\u{2265}\u{2022}";
        assert_eq!(drawable(ours), ours);
    }

    #[test]
    fn names_in_other_alphabets_keep_what_can_be_drawn() {
        assert_eq!(
            drawable("M\u{fc}ller \u{418}\u{432}\u{430}\u{43d} \u{391}\u{3bb}"),
            "M\u{fc}ller \u{418}\u{432}\u{430}\u{43d} \u{391}\u{3bb}"
        );
        assert_eq!(drawable("\u{5c71}\u{7530}"), "\u{25a1}\u{25a1}");
        assert_eq!(drawable("a\u{202e}b\u{7}c\td"), "a\u{25a1}b\u{25a1}c d");
    }

    #[test]
    fn cut_and_broken_text_fits() {
        let long = "A name so long that no corner of any picture could ever hold the whole of it";
        for max in [0.0, 5.0, 30.0, 80.0, 200.0, 1000.0] {
            let cut = ellipsized(long, Face::Text, 12.0, max);
            assert!(width(&cut, Face::Text, 12.0) <= max, "{max}: {cut}");
        }
        let lines = wrapped(&format!("{long} {}", "0123456789abcdef".repeat(8)), Face::Mono, 10.0, 90.0);
        assert!(lines.iter().all(|l| width(l, Face::Mono, 10.0) <= 90.0), "{lines:?}");
        assert_eq!(
            lines.concat().replace(' ', ""),
            format!("{}{}", long.replace(' ', ""), "0123456789abcdef".repeat(8))
        );
    }

    #[test]
    fn an_outline_lies_between_ascender_and_descender() {
        let bounds = outline("Mg", Face::Text, 20.0, 100.0, 50.0).expect("ink").bounds();
        assert!(bounds.left() >= 99.0 && bounds.right() <= 100.0 + width("Mg", Face::Text, 20.0) + 1.0);
        assert!(bounds.top() > 50.0 - 20.0 && bounds.bottom() < 50.0 + 8.0 && bounds.bottom() > 51.0, "{bounds:?}");
    }
}
