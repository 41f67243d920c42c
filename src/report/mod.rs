//! Findings and rendered views to PDF, PNG and JSON. Everything that is exported passes through here, so the
//! research line stands on all of it.
//!
//! A report is made in three steps: `content` collects what it says (masked where asked), `layout` sets that on
//! pages, which are `page`'s, and `pdf` or `sheet` draw the pages. The JSON is the content itself. An evaluation's blocks are
//! set on the same pages by `document`.

mod content;
mod document;
mod fonts;
mod json;
mod layout;
mod marks;
mod measures;
mod page;
mod pdf;
mod picture;
mod pictures;
mod raster;
mod sheet;
mod strip;
mod table;

use std::path::Path;

pub use json::{analysis_json, json_bytes};
pub use picture::{annotated, corner_wrapped, view_picture};

pub use crate::study::describe::CornerText;

use crate::evaluation::{Document, Picture};
use crate::files;
use crate::findings::{Findings, Occlusion};
use crate::study::mask::Mask;
use crate::study::{LoadedSeries, Refused};
use crate::truth::CaseTruth;
use crate::view::ViewDraw;

/// Everything a report is made of.
#[derive(Debug, Clone)]
pub struct ReportInput<'a> {
    pub loaded: &'a LoadedSeries,
    /// `None` when no analysis ran; `analysis_note` then says why in words.
    pub findings: Option<&'a Findings>,
    pub analysis_note: Option<String>,
    pub refused: &'a [Refused],
    pub hide_identity: bool,
    /// What the reader measured and marked.
    pub drawn: Option<&'a crate::measure::Content>,
    /// The occlusion check that the reader asked for last.
    pub occlusion: Option<&'a Occlusion>,
    /// The reference standard, to be printed.
    pub truth: Option<&'a CaseTruth>,
    /// When the report is made, as it shall stand there (ISO 8601 with offset); passed in so that output can be
    /// reproduced.
    pub created: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("\"{0}\" is no report format: use .pdf, .png or .json")]
    UnknownFormat(String),
    #[error("{path} could not be written: {source}. Nothing was changed there; choose another place or make room.")]
    Write { path: String, source: std::io::Error },
    #[error("the report could not be laid out: {0}")]
    Layout(String),
}

/// The formats of a report, named by the file's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Pdf,
    Png,
    Json,
}

impl Format {
    /// The format that the extension names, in either case.
    pub fn of(path: &Path) -> Result<Self, ReportError> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "pdf" => Ok(Self::Pdf),
            "png" => Ok(Self::Png),
            "json" => Ok(Self::Json),
            _ => Err(ReportError::UnknownFormat(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into())),
        }
    }
}

/// Writes an export whole or not at all; when this returns it survives a power cut. See [`files::write_with`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: path.display().to_string(), source };
    files::write(path, bytes, files::Synced::FileAndFolder).map_err(failed)
}

/// Writes the report in the format of the extension, atomically.
pub fn write_report(input: &ReportInput<'_>, path: &Path) -> Result<(), ReportError> {
    let format = Format::of(path)?;
    write_atomically(path, &report_bytes(input, format)?)
}

/// The report as the bytes of a file; the same input gives the same bytes.
pub fn report_bytes(input: &ReportInput<'_>, format: Format) -> Result<Vec<u8>, ReportError> {
    let mask = Mask::new(&input.loaded.series, input.refused, input.hide_identity);
    let content = content::collect(input, &mask);
    if format == Format::Json {
        return Ok(json_bytes(&json::report_json(input, &content, &mask)));
    }
    let pictures = pictures::of_key_slices(input.loaded, &content.key_slices);
    let measured = pictures::of_key_slices(input.loaded, &content.measured);
    let pages = layout::pages(&content, &input.loaded.series, input.findings, [&pictures, &measured]);
    match format {
        Format::Pdf => pdf::document(&pages, "dens report", &input.created),
        Format::Png | Format::Json => sheet::png(&pages),
    }
}

/// A document of blocks as PDF; the same document gives the same bytes, since it carries no time of making.
///
/// # Errors
/// One of its pictures is no PNG.
pub fn document_pdf(document: &Document, pictures: &[Picture]) -> Result<Vec<u8>, ReportError> {
    pdf::document(&document::pages(document, pictures)?, "dens evaluation", "")
}

/// Every line of text on each page of the report, in drawing order: what a PDF reader finds in it.
pub fn report_text(input: &ReportInput<'_>) -> Vec<Vec<String>> {
    let mask = Mask::new(&input.loaded.series, input.refused, input.hide_identity);
    let content = content::collect(input, &mask);
    let pictures = pictures::of_key_slices(input.loaded, &content.key_slices);
    let measured = pictures::of_key_slices(input.loaded, &content.measured);
    let text = |item: &page::Item| match item {
        page::Item::Text { text, .. } => Some(text.clone()),
        _ => None,
    };
    let pages = layout::pages(&content, &input.loaded.series, input.findings, [&pictures, &measured]);
    pages.iter().map(|page| page.items.iter().filter_map(text).collect()).collect()
}

/// Writes the picture of a view as PNG, atomically. The extension must be `.png`.
pub fn write_picture(picture: &ViewPicture, path: &Path) -> Result<(), ReportError> {
    write_png(&view_picture(picture), picture.width, picture.height, path)
}

/// Writes RGBA of that size as PNG, atomically. The extension must be `.png`.
pub fn write_png(rgba: &[u8], width: u32, height: u32, path: &Path) -> Result<(), ReportError> {
    let is_png = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    if !is_png {
        return Err(ReportError::UnknownFormat(path.display().to_string()));
    }
    let bytes = png_bytes(rgba, width, height, image::ExtendedColorType::Rgba8)?;
    write_atomically(path, &bytes)
}

/// A PNG without any text chunk. `samples` are row-major, as the colour type says.
pub fn png_bytes(
    samples: &[u8],
    width: u32,
    height: u32,
    colour: image::ExtendedColorType,
) -> Result<Vec<u8>, ReportError> {
    use image::ImageEncoder as _;
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(samples, width, height, colour).map_err(|error| ReportError::Layout(error.to_string()))?;
    Ok(bytes)
}

/// A picture of one view as it is exported: image, heatmap, corner text, letters, ruler, research line burnt in.
#[derive(Debug, Clone)]
pub struct ViewPicture {
    pub draw: ViewDraw,
    pub width: u32,
    pub height: u32,
    pub text: CornerText,
    /// Target pixels per mm, for the ruler; `None` draws none.
    pub pixels_per_mm: Option<f64>,
    /// 1.0 is a text size fit for 1000 pixels of height.
    pub text_scale: f32,
    /// What was measured on it, in its pixels.
    pub marks: Vec<crate::measure::Drawn>,
}
