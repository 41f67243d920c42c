//! The report's pages as one tall PNG, one under the other.

use tiny_skia::{
    Color, FillRule, FilterQuality, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke, StrokeDash, Transform,
};

use super::ReportError;
use super::fonts;
use super::page::{Colour, Item, PAGE, Page, RULE, Source, Style};
use super::pdf::PICTURE_TEXT_PT;

/// Pixels per point: 180 to the inch.
const PIXELS_PER_POINT: f32 = 2.5;
/// A sheet of more pixels than this is drawn coarser; every viewer still opens it.
const MOST_PIXELS: f32 = 100e6;

/// The pages as a PNG without any text chunk.
pub(super) fn png(pages: &[Page]) -> Result<Vec<u8>, ReportError> {
    let area = PAGE[0] * PAGE[1] * pages.len() as f32;
    let scale = PIXELS_PER_POINT.min((MOST_PIXELS / area.max(1.0)).sqrt());
    let page_height = (PAGE[1] * scale).round();
    let (width, height) = ((PAGE[0] * scale).round() as u32, page_height as u32 * pages.len() as u32);
    let mut pixmap = Pixmap::new(width, height)
        .ok_or_else(|| ReportError::Layout(format!("{width} x {height} pixels are too many")))?;
    pixmap.fill(Color::WHITE);
    for (i, page) in pages.iter().enumerate() {
        let mut canvas = Canvas { pixmap: &mut pixmap, scale, top: page_height * i as f32 };
        page.items.iter().for_each(|item| canvas.draw(item));
        if i > 0 {
            canvas.fill([0.0, 0.0, PAGE[0], 0.6], RULE);
        }
    }
    encode(&pixmap)
}

/// RGB PNG of opaque pixels.
fn encode(pixmap: &Pixmap) -> Result<Vec<u8>, ReportError> {
    let rgb: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    super::png_bytes(&rgb, pixmap.width(), pixmap.height(), image::ExtendedColorType::Rgb8)
}

struct Canvas<'a> {
    pixmap: &'a mut Pixmap,
    scale: f32,
    /// Where the page begins, pixels.
    top: f32,
}

impl Canvas<'_> {
    fn transform(&self) -> Transform {
        Transform::from_row(self.scale, 0.0, 0.0, self.scale, 0.0, self.top)
    }
    fn draw(&mut self, item: &Item) {
        match item {
            Item::Text { x, baseline, style, text } => self.text(*x, *baseline, style, text),
            Item::Fill { rect, colour } => self.fill(*rect, *colour),
            Item::Line { from, to, width, colour, dash } => {
                let mut path = PathBuilder::new();
                path.move_to(from[0], from[1]);
                path.line_to(to[0], to[1]);
                let dash = dash.and_then(|array| StrokeDash::new(array.to_vec(), 0.0));
                if let Some(path) = path.finish() {
                    self.stroke(&path, &Stroke { width: *width, dash, ..Stroke::default() }, *colour);
                }
            }
            Item::Picture { rect, source: Source::Raster(raster) } => {
                let picture = tiny_skia::IntSize::from_wh(raster.width, raster.height)
                    .and_then(|size| Pixmap::from_vec(raster.rgba.clone(), size));
                if let Some(picture) = picture {
                    let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
                    let scale = (rect[2] - rect[0]) / raster.width.max(1) as f32;
                    let place = Transform::from_row(scale, 0.0, 0.0, scale, rect[0], rect[1]);
                    self.pixmap.draw_pixmap(0, 0, picture.as_ref(), &paint, self.transform().pre_concat(place), None);
                }
            }
            Item::Picture { rect, source: Source::View(view) } => {
                let (left, top) =
                    ((rect[0] * self.scale).round() as i32, (self.top + rect[1] * self.scale).round() as i32);
                let side = ((rect[2] - rect[0]) * self.scale).round().max(1.0) as u32;
                let rgba = view.render(side, PICTURE_TEXT_PT * self.scale / 16.0);
                let picture = tiny_skia::IntSize::from_wh(side, side).and_then(|size| Pixmap::from_vec(rgba, size));
                if let Some(picture) = picture {
                    let paint = PixmapPaint::default();
                    self.pixmap.draw_pixmap(left, top, picture.as_ref(), &paint, Transform::identity(), None);
                }
            }
        }
    }
    fn text(&mut self, x: f32, baseline: f32, style: &Style, text: &str) {
        if let Some(path) = fonts::outline(text, style.face, style.size, x, baseline) {
            self.pixmap.fill_path(&path, &paint(style.colour), FillRule::Winding, self.transform(), None);
            let width = style.rim();
            if width > 0.0 {
                self.stroke(&path, &Stroke { width, ..Stroke::default() }, style.colour);
            }
        }
    }
    fn fill(&mut self, [left, top, right, bottom]: [f32; 4], colour: Colour) {
        if let Some(rect) = Rect::from_ltrb(left, top, right, bottom) {
            let path = PathBuilder::from_rect(rect);
            self.pixmap.fill_path(&path, &paint(colour), FillRule::Winding, self.transform(), None);
        }
    }
    fn stroke(&mut self, path: &Path, stroke: &Stroke, colour: Colour) {
        self.pixmap.stroke_path(path, &paint(colour), stroke, self.transform(), None);
    }
}

fn paint([r, g, b]: Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}
