//! A page of any report: A4 in points, items on it, and pages being filled from the top. PDF and PNG draw these items and decide
//! nothing themselves.

use std::sync::Arc;

use super::fonts::{self, Face};
use super::pictures::PictureSource;
use super::raster::Raster;
use crate::RESEARCH_LINE;

/// A4 in points.
pub(super) const PAGE: [f32; 2] = [595.28, 841.89];
pub(super) const LEFT: f32 = 48.0;
pub(super) const RIGHT: f32 = PAGE[0] - 48.0;
pub(super) const TOP: f32 = 52.0;
pub(super) const FOOT: f32 = PAGE[1] - 62.0;
pub(super) const WIDTH: f32 = RIGHT - LEFT;
pub(super) const BODY: f32 = 8.6;
pub(super) const SMALL: f32 = 7.4;
pub(super) const LEADING: f32 = 1.38;

pub(super) type Colour = [u8; 3];
pub(super) const INK: Colour = [24, 27, 31];
pub(super) const DIM: Colour = [84, 92, 100];
pub(super) const RULE: Colour = [200, 205, 210];
pub(super) const PANEL: Colour = [244, 246, 248];
pub(super) const ACCENT: Colour = [38, 84, 130];
pub(super) const BAR: Colour = [150, 166, 182];
pub(super) const STOP: Colour = [150, 38, 38];

/// How heavy letters are drawn; the typeface has one weight, a thin rim makes the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Weight {
    Regular,
    Strong,
}

/// How a line of text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) face: Face,
    pub(super) size: f32,
    pub(super) weight: Weight,
    pub(super) colour: Colour,
}

impl Style {
    pub(super) const fn text(size: f32, colour: Colour) -> Self {
        Self { face: Face::Text, size, weight: Weight::Regular, colour }
    }
    pub(super) const fn mono(size: f32, colour: Colour) -> Self {
        Self { face: Face::Mono, size, weight: Weight::Regular, colour }
    }
    pub(super) const fn strong(size: f32, colour: Colour) -> Self {
        Self { face: Face::Text, size, weight: Weight::Strong, colour }
    }
    /// Width of the rim in points; the reading typeface is a light one and gets a hair of it always.
    pub(super) fn rim(&self) -> f32 {
        let share = match (self.weight, self.face) {
            (Weight::Strong, _) => 0.045,
            (Weight::Regular, Face::Text) => 0.012,
            (Weight::Regular, Face::Mono) => 0.0,
        };
        share * self.size
    }
    pub(super) fn width(&self, text: &str) -> f32 {
        fonts::width(&fonts::drawable(text), self.face, self.size)
    }
    pub(super) fn line(&self) -> f32 {
        self.size * LEADING
    }
}

/// Something on a page; points, origin at the top left, y down.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// [`fonts::drawable`] text.
    Text {
        x: f32,
        baseline: f32,
        style: Style,
        text: String,
    },
    /// `[left, top, right, bottom]`.
    Fill {
        rect: [f32; 4],
        colour: Colour,
    },
    Line {
        from: [f32; 2],
        to: [f32; 2],
        width: f32,
        colour: Colour,
        dash: Option<[f32; 2]>,
    },
    Picture {
        rect: [f32; 4],
        source: Source,
    },
}

/// What a picture shows.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Square, drawn at whatever size the output asks for.
    View(Arc<PictureSource>),
    Raster(Arc<Raster>),
}

/// One page.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
}

impl Page {
    pub(super) fn text(&mut self, x: f32, baseline: f32, style: Style, text: &str) {
        let text = fonts::drawable(text);
        if !text.trim().is_empty() {
            self.items.push(Item::Text { x, baseline, style, text });
        }
    }
    pub(super) fn right(&mut self, x: f32, baseline: f32, style: Style, text: &str) {
        self.text(x - style.width(text), baseline, style, text);
    }
    pub(super) fn centred(&mut self, x: f32, baseline: f32, style: Style, text: &str) {
        self.text(x - style.width(text) / 2.0, baseline, style, text);
    }
    pub(super) fn rule(&mut self, from: [f32; 2], to: [f32; 2], width: f32, colour: Colour) {
        self.items.push(Item::Line { from, to, width, colour, dash: None });
    }
    pub(super) fn fill(&mut self, rect: [f32; 4], colour: Colour) {
        self.items.push(Item::Fill { rect, colour });
    }
    pub(super) fn frame(&mut self, [left, top, right, bottom]: [f32; 4], width: f32, colour: Colour) {
        self.rule([left, top], [right, top], width, colour);
        self.rule([left, bottom], [right, bottom], width, colour);
        self.rule([left, top], [left, bottom], width, colour);
        self.rule([right, top], [right, bottom], width, colour);
    }
    /// Wrapped text of at most `lines` lines; returns the y below it.
    pub(super) fn block(&mut self, at: [f32; 2], width: f32, style: Style, text: &str, lines: usize) -> f32 {
        let mut y = at[1];
        for line in limited(text, style, width, lines) {
            self.text(at[0], y + style.size, style, &line);
            y += style.line();
        }
        y
    }
}

/// The first lines of wrapped text, the last with an ellipsis when there are more.
pub(super) fn limited(text: &str, style: Style, width: f32, lines: usize) -> Vec<String> {
    let mut wrapped = fonts::wrapped(text, style.face, style.size, width);
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            *last = fonts::ellipsized(&format!("{last}{}", "\u{2026} ".repeat(40)), style.face, style.size, width);
            *last = format!("{}\u{2026}", last.trim_end_matches(['\u{2026}', ' ']));
        }
    }
    wrapped
}

/// Pages being filled from the top.
pub(super) struct Flow {
    pub(super) pages: Vec<Page>,
    pub(super) y: f32,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { pages: vec![Page::default()], y: TOP }
    }
    /// Height of an empty page.
    pub(super) fn whole_page() -> f32 {
        FOOT - TOP - 10.0
    }
    pub(super) fn page(&mut self) -> &mut Page {
        if self.pages.is_empty() {
            self.pages.push(Page::default());
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }
    pub(super) fn new_page(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP + 10.0;
    }
    /// Begins a page unless so much is left on this one.
    pub(super) fn ensure(&mut self, height: f32) {
        if self.y + height > FOOT {
            self.new_page();
        }
    }
    pub(super) fn heading(&mut self, text: &str, with: f32) {
        self.ensure(34.0 + with);
        if self.y > TOP + 10.0 {
            self.y += 16.0;
        }
        let y = self.y;
        let page = self.page();
        page.text(LEFT, y + 11.0, Style::strong(11.0, ACCENT), text);
        page.rule([LEFT, y + 16.5], [RIGHT, y + 16.5], 0.5, RULE);
        self.y = y + 22.0;
    }
    /// Text over the whole width, over as many pages as it takes.
    pub(super) fn paragraph(&mut self, indent: f32, style: Style, text: &str) {
        for line in fonts::wrapped(text, style.face, style.size, WIDTH - indent) {
            self.ensure(style.line());
            let y = self.y;
            self.page().text(LEFT + indent, y + style.size, style, &line);
            self.y += style.line();
        }
    }
}

/// The foot of every page of every report: the research line, who made it, and the page's number.
pub(super) fn feet(pages: &mut [Page], made: &str) {
    let total = pages.len();
    for (i, page) in pages.iter_mut().enumerate() {
        let foot = FOOT + 16.0;
        let style = Style::text(SMALL, DIM);
        page.rule([LEFT, foot], [RIGHT, foot], 0.5, RULE);
        page.text(LEFT, foot + 11.0, Style::strong(SMALL, INK), RESEARCH_LINE);
        page.text(LEFT, foot + 21.0, style, made);
        page.right(RIGHT, foot + 21.0, style, &format!("page {} of {total}", i + 1));
    }
}

/// `made`, and where something could not be drawn what stands in its place.
pub(super) fn with_replacements_told(pages: &[Page], made: &str) -> String {
    let is_replaced = |item: &Item| matches!(item, Item::Text { text, .. } if text.contains(fonts::REPLACEMENT));
    if pages.iter().flat_map(|page| &page.items).any(is_replaced) {
        format!("{made}. {} stands for a character that the report's typeface does not have.", fonts::REPLACEMENT)
    } else {
        made.to_owned()
    }
}
