//! What an export is made of, gathered on the window's thread; the work itself runs on a worker.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files;
use crate::findings::{Findings, Occlusion};
use crate::geometry::{PatientPoint, Plane};
use crate::measure::{self, Content, Drawn};
use crate::reading::table::{self, Line};
use crate::report::{self, ReportInput, ViewPicture};
use crate::state::{ActiveSeries, AnalysisState, AppState, Effect, Event, ExportRefusal, NO_REPORT};
use crate::study::{LoadedSeries, Refused};
use crate::truth::CaseTruth;
use crate::ui;
use crate::view::fidelity::Fidelity;
use crate::view::planes::{Pane, PlaneDraw};
use crate::view::{ImageLayer, ImageShape, Interpolation, PixelFromScreen, ResolvedView, ViewDraw, raster};
use crate::volume::{Slice, SlicePixels};

/// An export with everything it needs.
pub enum Export {
    Report { path: PathBuf, replace: bool, content: Box<ReportContent> },
    Picture { path: PathBuf, replace: bool, picture: Box<Picture> },
    Readings { path: PathBuf, replace: bool, lines: Vec<Line> },
    Clipboard { picture: Box<Picture> },
}

/// A view as it is on the screen; a plane is cut when the picture is drawn.
pub struct Picture {
    view: ViewPicture,
    plane: Option<PlaneDraw>,
}

impl Picture {
    fn drawn(mut self) -> ViewPicture {
        if let Some(plane) = self.plane {
            let (width, height) = (self.view.width as usize, self.view.height as usize);
            self.view.draw.image.slice = Arc::new(raster::plane_slice(&plane, width, height));
            self.view.draw.heatmap = raster::plane_heatmap(&plane, width, height);
        }
        self.view
    }
}

pub struct ReportContent {
    loaded: LoadedSeries,
    findings: Option<Findings>,
    analysis_note: Option<String>,
    refused: Vec<Refused>,
    hide_identity: bool,
    drawn: Content,
    occlusion: Option<Arc<Occlusion>>,
    truth: Option<Arc<CaseTruth>>,
}

impl ReportContent {
    pub fn input(&self) -> ReportInput<'_> {
        ReportInput {
            loaded: &self.loaded,
            findings: self.findings.as_ref(),
            analysis_note: self.analysis_note.clone(),
            refused: &self.refused,
            hide_identity: self.hide_identity,
            drawn: Some(&self.drawn),
            occlusion: self.occlusion.as_deref(),
            truth: self.truth.as_deref(),
            created: created_now(),
        }
    }
}

/// The present moment as reports state it: local time with its offset.
pub fn created_now() -> String {
    jiff::ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Gathers an export; the refusal is an event, so that it reaches the user like any other answer.
pub fn prepare(state: &AppState, effect: &Effect, width: u32, height: u32) -> Result<Export, Box<Event>> {
    match effect {
        Effect::WriteReport { path, replace } => match content(state) {
            Ok(content) => Ok(Export::Report { path: path.clone(), replace: *replace, content: Box::new(content) }),
            Err(text) => Err(refused(path.clone(), text)),
        },
        Effect::WriteReadings { path, replace } => {
            Ok(Export::Readings { path: path.clone(), replace: *replace, lines: state.reading_lines() })
        }
        Effect::WritePicture { path, replace } => match picture(state, width, height) {
            Some(picture) => Ok(Export::Picture { path: path.clone(), replace: *replace, picture: Box::new(picture) }),
            None => Err(refused(path.clone(), NO_SLICE)),
        },
        _ => match picture(state, width, height) {
            Some(picture) => Ok(Export::Clipboard { picture: Box::new(picture) }),
            None => Err(Box::new(Event::Copied(Err(NO_SLICE.to_owned())))),
        },
    }
}

const NO_SLICE: &str = "no slice is on the screen yet";

fn refused(path: PathBuf, text: &str) -> Box<Event> {
    Box::new(Event::Exported { path, result: Err(ExportRefusal::Failed(text.to_owned())) })
}

fn content(state: &AppState) -> Result<ReportContent, &'static str> {
    let active = state.active.as_ref().ok_or("no study is open")?;
    if state.results_hidden() {
        return Err(NO_REPORT);
    }
    let loaded =
        active.loaded.clone().ok_or("the slices are still being read; write the report when they are there")?;
    let mut refused = state.study.as_ref().map(|s| s.catalog.refused.clone()).unwrap_or_default();
    refused.extend(active.refused.iter().cloned());
    let analysis_note = match &state.analysis {
        AnalysisState::Done => None,
        AnalysisState::NotRun => Some("The network was not run on this series.".to_owned()),
        AnalysisState::Preparing(_) => Some("The network was still being prepared; no slice has a score.".to_owned()),
        AnalysisState::Running => {
            Some("The analysis was still running; slices without a score were not assessed.".to_owned())
        }
        AnalysisState::Cancelled => {
            Some("The analysis was cancelled; slices without a score were not assessed.".to_owned())
        }
        AnalysisState::Failed(why) => Some(format!("The analysis failed: {why}")),
        AnalysisState::NotApplicable(why) | AnalysisState::Stopped(why) => Some(why.clone()),
    };
    Ok(ReportContent {
        loaded,
        findings: state.findings().cloned(),
        analysis_note,
        refused,
        hide_identity: state.hide_identity,
        drawn: active.measures.sheet.content().clone(),
        occlusion: state.occlusion_done().cloned(),
        // Who reads without it gets a report without it.
        truth: state.truth().and(active.truth.clone()),
    })
}

/// The focused pane as it is on the screen, `width` x `height` physical pixels.
fn picture(state: &AppState, width: u32, height: u32) -> Option<Picture> {
    let active = state.active.as_ref()?;
    if let Pane::Across(plane) = state.focused_pane() {
        return plane_picture(state, active, plane, width, height);
    }
    let image = active.image_layer(state.settings.interpolation)?;
    let resolved =
        active.view.resolve(active.image_shape(), f64::from(width), f64::from(height)).map(ResolvedView::snapped)?;
    let mut text = ui::corner_lines(state, active);
    text.bottom_right.extend(fidelity_lines(state, Pane::Slices, &resolved));
    text.bottom_left.extend(ui::heatmap_note(state));
    let view = ViewPicture {
        draw: ViewDraw { pixel_from_screen: resolved.pixel_from_screen, image, heatmap: state.heatmap_layer() },
        width,
        height,
        text,
        pixels_per_mm: active.series.spacing_mm.map(|_| resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: marks(state, active, Pane::Slices, &resolved),
    };
    Some(Picture { view, plane: None })
}

fn plane_picture(state: &AppState, active: &ActiveSeries, plane: Plane, width: u32, height: u32) -> Option<Picture> {
    // From every voxel, also where the screen shows a reduced volume.
    let mut draw = active.plane_draw(plane, state.slab, 1, state.settings.interpolation)?;
    let shape = ImageShape { rows: draw.grid.rows, columns: draw.grid.columns, spacing: [draw.grid.spacing_mm; 2] };
    let view = active.view_of(Pane::Across(plane));
    let resolved = view.resolve(shape, f64::from(width), f64::from(height)).map(ResolvedView::snapped)?;
    draw.pixel_from_screen = resolved.pixel_from_screen;
    draw.heatmap = state.plane_heat();
    let mut text = ui::plane_corner_text(state, active, plane, draw.grid.pose);
    text.bottom_right.extend(fidelity_lines(state, Pane::Across(plane), &resolved));
    text.bottom_left.extend(ui::plane_heatmap_note(state));
    let nothing = Slice { rows: 0, columns: 0, pixels: SlicePixels::I16(Vec::new()), padding: None };
    let image = ImageLayer {
        slice: Arc::new(nothing),
        window: draw.window,
        invert: draw.invert,
        interpolation: Interpolation::Nearest,
    };
    let view = ViewPicture {
        draw: ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None },
        width,
        height,
        text,
        pixels_per_mm: Some(resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: marks(state, active, Pane::Across(plane), &resolved),
    };
    Some(Picture { view, plane: Some(draw) })
}

/// The badge of a picture that is made from every voxel, a line for each of its parts.
fn fidelity_lines(state: &AppState, pane: Pane, resolved: &ResolvedView) -> Vec<String> {
    let fidelity = state.fidelity(pane, &resolved.pixel_from_screen, 1);
    fidelity.iter().flat_map(Fidelity::parts).map(str::to_owned).collect()
}

/// What was measured on the plane of a pane, in the pixels of its picture.
fn marks(state: &AppState, active: &ActiveSeries, pane: Pane, resolved: &ResolvedView) -> Vec<Drawn> {
    let Some(ground) = active.ground(pane, state.slab) else { return Vec::new() };
    let target = |at: PatientPoint| {
        let (x, y) = resolved.pixel_from_screen.screen(ground.pixel(at));
        [x, y]
    };
    let values = active.values();
    let all = active.measures.sheet.measurements().iter().filter(|m| active.shows(pane, state.slab, m));
    all.map(|m| Drawn::new(m, measure::label(m, values), &target)).collect()
}

impl Export {
    /// Does the work; on a worker's thread.
    pub fn run(self, ctx: &egui::Context) -> Event {
        match self {
            Self::Report { path, replace, content } => {
                let result = unless_exists(&path, replace).and_then(|()| {
                    report::write_report(&content.input(), &path).map_err(|e| ExportRefusal::Failed(e.to_string()))
                });
                Event::Exported { path, result }
            }
            Self::Readings { path, replace, lines } => {
                let path = if path.extension().is_none() { path.with_extension("csv") } else { path };
                let failed = |text: String| ExportRefusal::Failed(text);
                let result = unless_exists(&path, replace).and_then(|()| {
                    let bytes = table::to_csv(&lines).map_err(|error| failed(error.to_string()))?;
                    files::write(&path, &bytes, files::Synced::FileAndFolder)
                        .map_err(|error| failed(format!("{} could not be written: {error}", path.display())))
                });
                Event::Exported { path, result }
            }
            Self::Picture { path, replace, picture } => {
                let path = if path.extension().is_none() { path.with_extension("png") } else { path };
                let result = unless_exists(&path, replace).and_then(|()| {
                    report::write_picture(&picture.drawn(), &path).map_err(|e| ExportRefusal::Failed(e.to_string()))
                });
                Event::Exported { path, result }
            }
            Self::Clipboard { picture } => {
                let picture = picture.drawn();
                let rgba = report::view_picture(&picture);
                let size = [picture.width as usize, picture.height as usize];
                ctx.copy_image(egui::ColorImage::from_rgba_unmultiplied(size, &rgba));
                Event::Copied(Ok(()))
            }
        }
    }
}

fn unless_exists(path: &std::path::Path, replace: bool) -> Result<(), ExportRefusal> {
    if !replace && path.exists() { Err(ExportRefusal::Exists) } else { Ok(()) }
}
