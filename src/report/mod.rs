//! Findings and rendered views to PDF, PNG and JSON. Everything that is exported passes through here, so the
//! research line and the atomic write are in one place.

use std::path::Path;

use crate::findings::Findings;
use crate::study::{LoadedSeries, Refused};
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
    /// When the report is made, as it shall stand there; passed in so that output can be reproduced.
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

/// Writes the report in the format of the extension, atomically.
pub fn write_report(_input: &ReportInput<'_>, path: &Path) -> Result<(), ReportError> {
    Err(ReportError::UnknownFormat(path.display().to_string()))
}

/// The analysis as the stable JSON of `dens analyze`.
pub fn analysis_json(_loaded: &LoadedSeries, _findings: &Findings) -> serde_json::Value {
    serde_json::Value::Null
}

/// Writes `bytes` to a temporary file in the same folder, syncs, renames over `path`, syncs the folder.
pub fn write_atomically(path: &Path, _bytes: &[u8]) -> Result<(), ReportError> {
    Err(ReportError::UnknownFormat(path.display().to_string()))
}

/// Corner texts of a view, one string per line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CornerText {
    pub top_left: Vec<String>,
    pub top_right: Vec<String>,
    pub bottom_left: Vec<String>,
    pub bottom_right: Vec<String>,
    /// Orientation letters: top, right, bottom, left; empty where unknown.
    pub letters: [String; 4],
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
}

/// RGBA of the picture, `width * height * 4` bytes.
pub fn view_picture(_picture: &ViewPicture) -> Vec<u8> {
    Vec::new()
}
