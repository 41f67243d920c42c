//! The report's pages as PDF: real text in embedded typefaces, so that it can be searched and copied.

use std::sync::Arc;

use krilla::Document;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::image::{BitsPerComponent, CustomImage, Image, ImageColorspace};
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke, StrokeDash};
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};

use super::ReportError;
use super::fonts::{self, Face, Placed};
use super::page::{Colour, Item, PAGE, Page, Source, Style};

/// Picture pixels per point: 216 to the inch.
const PIXELS_PER_POINT: f32 = 3.0;
/// Type size in pictures, points.
pub(super) const PICTURE_TEXT_PT: f32 = 6.2;

/// The pages as a PDF. `title` names the program and nobody: it is shown where the file is only listed. `created` becomes the file's creation date where it begins with an ISO date and time.
pub(super) fn document(pages: &[Page], title: &str, created: &str) -> Result<Vec<u8>, ReportError> {
    let mut document = Document::new();
    let mut metadata = Metadata::new()
        .title(title.to_owned())
        .creator(crate::SOFTWARE.to_owned())
        .description(crate::RESEARCH_LINE.to_owned())
        .language("en".to_owned());
    if let Some(date) = creation_date(created) {
        metadata = metadata.creation_date(date);
    }
    document.set_metadata(metadata);
    let faces = Typefaces::new()?;
    for page in pages {
        let settings = PageSettings::from_wh(PAGE[0], PAGE[1])
            .ok_or_else(|| ReportError::Layout("a page has no size".to_owned()))?;
        let mut sheet = document.start_page_with(settings);
        let mut surface = sheet.surface();
        for item in &page.items {
            draw(&mut surface, item, &faces)?;
        }
        surface.finish();
        sheet.finish();
    }
    document.finish().map_err(|error| ReportError::Layout(format!("{error:?}")))
}

fn creation_date(created: &str) -> Option<DateTime> {
    let joined = created.replacen(' ', "T", 1).replace(' ', "");
    let pieces = jiff::fmt::temporal::Pieces::parse(&joined).ok()?;
    let (date, time) = (pieces.date(), pieces.time()?);
    let small = |v: i8| u8::try_from(v).ok();
    let at = DateTime::new(u16::try_from(date.year()).ok()?)
        .month(small(date.month())?)
        .day(small(date.day())?)
        .hour(small(time.hour())?)
        .minute(small(time.minute())?)
        .second(small(time.second())?);
    let Some(offset) = pieces.to_numeric_offset() else { return Some(at) };
    let minutes = offset.seconds() / 60;
    let hours = i8::try_from(minutes / 60).ok()?;
    Some(at.utc_offset_hour(hours).utc_offset_minute(u8::try_from((minutes % 60).abs()).ok()?))
}

struct Typefaces {
    text: Font,
    mono: Font,
}

impl Typefaces {
    fn new() -> Result<Self, ReportError> {
        let load = |face: Face| {
            Font::new(face.bytes().into(), 0).ok_or_else(|| ReportError::Layout("a typeface cannot be read".to_owned()))
        };
        Ok(Self { text: load(Face::Text)?, mono: load(Face::Mono)? })
    }
    fn get(&self, face: Face) -> Font {
        match face {
            Face::Text => self.text.clone(),
            Face::Mono => self.mono.clone(),
        }
    }
}

fn fill([r, g, b]: Colour) -> Fill {
    Fill { paint: rgb::Color::new(r, g, b).into(), ..Fill::default() }
}

fn stroke([r, g, b]: Colour, width: f32) -> Stroke {
    Stroke { paint: rgb::Color::new(r, g, b).into(), width, ..Stroke::default() }
}

fn draw(surface: &mut Surface<'_>, item: &Item, faces: &Typefaces) -> Result<(), ReportError> {
    match item {
        Item::Text { x, baseline, style, text } => draw_text(surface, faces, [*x, *baseline], style, text),
        Item::Fill { rect: [left, top, right, bottom], colour } => {
            surface.set_fill(Some(fill(*colour)));
            surface.set_stroke(None);
            let mut path = PathBuilder::new();
            if let Some(rect) = Rect::from_ltrb(*left, *top, *right, *bottom) {
                path.push_rect(rect);
            }
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
        Item::Line { from, to, width, colour, dash } => {
            let dash = dash.map(|array| StrokeDash { array: array.to_vec(), offset: 0.0 });
            surface.set_fill(None);
            surface.set_stroke(Some(Stroke { dash, ..stroke(*colour, *width) }));
            let mut path = PathBuilder::new();
            path.move_to(from[0], from[1]);
            path.line_to(to[0], to[1]);
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
        Item::Picture { rect: [left, top, right, bottom], source } => {
            let image = match source {
                Source::View(view) => {
                    let side = ((right - left) * PIXELS_PER_POINT).round().max(1.0) as u32;
                    image([side, side], &view.render(side, PICTURE_TEXT_PT * PIXELS_PER_POINT / 16.0))?
                }
                Source::Raster(raster) => image([raster.width, raster.height], &raster.rgba)?,
            };
            surface.push_transform(&Transform::from_translate(*left, *top));
            if let Some(size) = Size::from_wh(right - left, bottom - top) {
                surface.draw_image(image, size);
            }
            surface.pop();
        }
    }
    Ok(())
}

/// Glyphs go where [`fonts::place`] puts them, so that PDF and PNG agree to the hair.
fn draw_text(surface: &mut Surface<'_>, faces: &Typefaces, at: [f32; 2], style: &Style, text: &str) {
    surface.set_fill(Some(fill(style.colour)));
    let rim = style.rim();
    surface.set_stroke((rim > 0.0).then(|| stroke(style.colour, rim)));
    let placed = fonts::place(text, style.face);
    let mut x = at[0];
    for run in placed.chunk_by(|a: &Placed, b: &Placed| a.face == b.face) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let begin = first.range.start;
        let glyphs: Vec<KrillaGlyph> = run
            .iter()
            .map(|g| {
                let range = g.range.start - begin..g.range.end - begin;
                KrillaGlyph::new(GlyphId::new(u32::from(g.glyph)), g.advance_em, 0.0, 0.0, 0.0, range, None)
            })
            .collect();
        let part = text.get(begin..last.range.end).unwrap_or("");
        surface.draw_glyphs(Point::from_xy(x, at[1]), &glyphs, faces.get(first.face), part, style.size, false);
        x += run.iter().map(|g| g.advance_em).sum::<f32>() * style.size;
    }
}

/// Raw samples; grey where every pixel is, which a picture without heatmap is.
#[derive(Clone, Hash)]
struct Samples {
    size: [u32; 2],
    bytes: Arc<Vec<u8>>,
    grey: bool,
}

impl CustomImage for Samples {
    fn color_channel(&self) -> &[u8] {
        &self.bytes
    }
    fn alpha_channel(&self) -> Option<&[u8]> {
        None
    }
    fn bits_per_component(&self) -> BitsPerComponent {
        BitsPerComponent::Eight
    }
    fn size(&self) -> (u32, u32) {
        (self.size[0], self.size[1])
    }
    fn icc_profile(&self) -> Option<&[u8]> {
        None
    }
    fn color_space(&self) -> ImageColorspace {
        if self.grey { ImageColorspace::Luma } else { ImageColorspace::Rgb }
    }
}

fn image(size: [u32; 2], rgba: &[u8]) -> Result<Image, ReportError> {
    let pixels = || rgba.chunks_exact(4);
    let grey = pixels().all(|p| p[0] == p[1] && p[1] == p[2]);
    let bytes: Vec<u8> =
        if grey { pixels().map(|p| p[0]).collect() } else { pixels().flat_map(|p| [p[0], p[1], p[2]]).collect() };
    Image::from_custom(Samples { size, bytes: Arc::new(bytes), grey }, true).map_err(ReportError::Layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_making_is_read_with_its_offset_or_left_out() {
        let date = |created| creation_date(created).map(|d| format!("{d:?}"));
        let expected = date("2026-03-04T05:06:07-09:30").expect("a date");
        assert!(expected.contains("2026") && expected.contains("-9") && expected.contains("30"), "{expected}");
        assert_eq!(date("2026-03-04 05:06:07 -09:30"), Some(expected));
        assert_eq!(date("yesterday"), None);
    }
}
