//! What an export is made of, gathered on the window's thread; the work itself runs on a worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;
use crate::findings::{Findings, Occlusion};
use crate::geometry::{PatientPoint, Plane};
use crate::measure::{self, Content, Drawn};
use crate::reading::table::{self, Line};
use crate::report::{self, ReportInput, ViewPicture, corner_wrapped};
use crate::state::{ActiveSeries, AnalysisState, AppState, Beside, Effect, Event, ExportRefusal, NO_REPORT};
use crate::study::describe::CornerText;
use crate::study::{LoadedSeries, Refused};
use crate::truth::CaseTruth;
use crate::ui::{self, Shown, ShownPane};
use crate::view::fidelity::Fidelity;
use crate::view::planes::{Pane, PlaneDraw};
use crate::view::raster::Drawing;
use crate::view::surface::SurfaceDraw;
use crate::view::{ImageLayer, ImageShape, Interpolation, PixelFromScreen, ResolvedView, ViewDraw, ViewState, raster};
use crate::volume::{Slice, SlicePixels, Window};

/// An export with everything it needs.
pub enum Export {
    Report { path: PathBuf, replace: bool, content: Box<ReportContent> },
    Picture { path: PathBuf, replace: bool, sheet: Sheet },
    Readings { path: PathBuf, replace: bool, lines: Vec<Line> },
    Clipboard { sheet: Sheet },
}

/// What stands on the screen.
pub struct Screen<'a> {
    pub shown: &'a [Shown],
    /// The pane that has the keys.
    pub focused: Option<egui::Rect>,
    pub pixels_per_point: f32,
}

impl Screen<'_> {
    fn all(&self) -> egui::Rect {
        self.shown.iter().fold(egui::Rect::NOTHING, |all, shown| all.union(shown.rect))
    }
    /// Physical pixels.
    fn px(&self, points: f32) -> u32 {
        (points * self.pixels_per_point).round().max(0.0) as u32
    }
}

/// Panes side by side, each drawn when the sheet is.
pub struct Sheet {
    width: u32,
    height: u32,
    parts: Vec<Part>,
}

/// A picture whose corner lies so many pixels from the sheet's left and top.
struct Part {
    left: u32,
    top: u32,
    picture: Picture,
}

impl Sheet {
    /// RGBA, black where no pane is.
    fn drawn(self) -> (u32, u32, Vec<u8>) {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut all = [0, 0, 0, 255].repeat(width * height);
        for part in self.parts {
            let (left, top) = (part.left as usize, part.top as usize);
            let ([columns, _], rgba) = part.picture.rgba();
            // What reaches over the edge by a rounded pixel is cut off.
            let room = columns.min(width.saturating_sub(left));
            for (y, line) in rgba.chunks_exact((columns * 4).max(1)).enumerate().take(height.saturating_sub(top)) {
                let at = ((top + y) * width + left) * 4;
                if let (Some(to), Some(from)) = (all.get_mut(at..at + room * 4), line.get(..room * 4)) {
                    to.copy_from_slice(from);
                }
            }
        }
        (self.width, self.height, all)
    }
}

/// A view as it is on the screen; a plane or a surface is made when the picture is drawn.
struct Picture {
    view: ViewPicture,
    of: Of,
}

enum Of {
    Slice,
    Plane(Box<PlaneDraw>),
    Bone(Box<SurfaceDraw>),
}

impl Picture {
    fn rgba(mut self) -> ([usize; 2], Vec<u8>) {
        let size = [self.view.width as usize, self.view.height as usize];
        match self.of {
            Of::Slice => {}
            Of::Plane(plane) => {
                self.view.draw.image.slice = Arc::new(raster::plane_slice(&plane, size[0], size[1]));
                self.view.draw.heatmap = raster::plane_heatmap(&plane, size[0], size[1]);
            }
            Of::Bone(draw) => {
                let drawn = Drawing::Surface(*draw).rgba8(size);
                return (size, report::annotated(&self.view, drawn));
            }
        }
        (size, report::view_picture(&self.view))
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
pub fn prepare(state: &AppState, effect: &Effect, screen: &Screen<'_>) -> Result<Export, Box<Event>> {
    let picture = |path: &Path, replace: bool, sheet: Option<Sheet>| match sheet {
        Some(sheet) => Ok(Export::Picture { path: path.to_owned(), replace, sheet }),
        None => Err(refused(path.to_owned(), NO_SLICE)),
    };
    match effect {
        Effect::WriteReport { path, replace } => match content(state) {
            Ok(content) => Ok(Export::Report { path: path.clone(), replace: *replace, content: Box::new(content) }),
            Err(text) => Err(refused(path.clone(), text)),
        },
        Effect::WriteReadings { path, replace } => {
            Ok(Export::Readings { path: path.clone(), replace: *replace, lines: state.reading_lines() })
        }
        Effect::WritePicture { path, replace } => picture(path, *replace, focused_sheet(state, screen)),
        Effect::WritePanes { path, replace } => picture(path, *replace, sheet_of_all(state, screen)),
        _ => match focused_sheet(state, screen) {
            Some(sheet) => Ok(Export::Clipboard { sheet }),
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

/// The pane that has the keys, as it is on the screen.
fn focused_sheet(state: &AppState, screen: &Screen<'_>) -> Option<Sheet> {
    let size = screen.focused.map_or(egui::vec2(1000.0, 1000.0), |rect| rect.size());
    let (width, height) = (screen.px(size.x), screen.px(size.y));
    let second = screen.shown.iter().find_map(|shown| match &shown.what {
        ShownPane::Beside(view) if state.beside().is_some_and(Beside::is_focused) => Some(view),
        _ => None,
    });
    let picture = match second {
        Some(view) => beside_picture(state, view, width, height)?,
        None => picture(state, state.focused_pane(), width, height)?,
    };
    Some(Sheet { width, height, parts: vec![Part { left: 0, top: 0, picture }] })
}

/// All panes as they stand on the screen; those that show nothing yet stay black.
fn sheet_of_all(state: &AppState, screen: &Screen<'_>) -> Option<Sheet> {
    let all = screen.all();
    let part = |shown: &Shown| {
        let (width, height) = (screen.px(shown.rect.width()), screen.px(shown.rect.height()));
        let picture = match &shown.what {
            ShownPane::Pane(pane) => picture(state, *pane, width, height),
            ShownPane::Beside(view) => beside_picture(state, view, width, height),
            ShownPane::Bone(draw) => bone_picture(state, draw, width, height),
        }?;
        let from_corner = shown.rect.min - all.min;
        Some(Part { left: screen.px(from_corner.x), top: screen.px(from_corner.y), picture })
    };
    let parts: Vec<Part> = screen.shown.iter().filter_map(part).collect();
    let sheet = || Sheet { width: screen.px(all.width()), height: screen.px(all.height()), parts };
    (!screen.shown.is_empty()).then(sheet).filter(|sheet| !sheet.parts.is_empty())
}

/// A pane as it is on the screen, `width` x `height` physical pixels.
fn picture(state: &AppState, pane: Pane, width: u32, height: u32) -> Option<Picture> {
    let active = state.active.as_ref()?;
    if let Pane::Across(plane) = pane {
        return plane_picture(state, active, plane, width, height);
    }
    let image = active.image_layer(state.settings.interpolation)?;
    let resolved =
        active.view.resolve(active.image_shape(), f64::from(width), f64::from(height)).map(ResolvedView::snapped)?;
    let mut text = ui::corner_lines(state, active);
    let fidelity = state.fidelity(Pane::Slices, &resolved.pixel_from_screen, 1);
    text.bottom_right.extend(badge(fidelity.as_ref(), width, height));
    text.bottom_left.extend(ui::heatmap_note(state).into_iter().flat_map(|note| corner_wrapped(&note, width, height)));
    let view = ViewPicture {
        draw: ViewDraw { pixel_from_screen: resolved.pixel_from_screen, image, heatmap: state.heatmap_layer() },
        width,
        height,
        text,
        pixels_per_mm: active.series.spacing_mm.map(|_| resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: marks(state, active, Pane::Slices, &resolved),
    };
    Some(Picture { view, of: Of::Slice })
}

/// The second series as it is on the screen.
fn beside_picture(state: &AppState, view: &ViewState, width: u32, height: u32) -> Option<Picture> {
    let shown = &state.beside()?.shown;
    let image = shown.image_layer(state.settings.interpolation)?;
    let resolved = view.resolve(shown.image_shape(), f64::from(width), f64::from(height)).map(ResolvedView::snapped)?;
    let mut text = ui::corner_lines_in(state, shown, view);
    let fidelity = state.fidelity_beside(&resolved.pixel_from_screen);
    text.bottom_right.extend(badge(fidelity.as_ref(), width, height));
    text.bottom_left.extend(state.beside_warning().into_iter().flat_map(|note| corner_wrapped(note, width, height)));
    let view = ViewPicture {
        draw: ViewDraw { pixel_from_screen: resolved.pixel_from_screen, image, heatmap: None },
        width,
        height,
        text,
        pixels_per_mm: shown.series.spacing_mm.map(|_| resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: Vec::new(),
    };
    Some(Picture { view, of: Of::Slice })
}

/// The bone's surface as it is on the screen.
fn bone_picture(state: &AppState, draw: &SurfaceDraw, width: u32, height: u32) -> Option<Picture> {
    let active = state.active.as_ref()?;
    let mut text =
        CornerText { top_left: corner_wrapped(&ui::surface_words(draw), width, height), ..CornerText::default() };
    text.bottom_right.extend(badge(state.surface_fidelity().as_ref(), width, height));
    let draw = draw.clone();
    let view = ViewPicture {
        draw: nothing_drawn(active.window.clone(), false),
        width,
        height,
        text,
        pixels_per_mm: None,
        text_scale: 1.0,
        marks: Vec::new(),
    };
    Some(Picture { view, of: Of::Bone(Box::new(draw)) })
}

/// Stands in where the picture itself is made later.
fn nothing_drawn(window: Window, invert: bool) -> ViewDraw {
    let nothing = Slice { rows: 0, columns: 0, pixels: SlicePixels::I16(Vec::new().into()), padding: None };
    let image = ImageLayer { slice: Arc::new(nothing), window, invert, interpolation: Interpolation::Nearest };
    ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None }
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
    // Made from every voxel.
    let fidelity = state.fidelity(Pane::Across(plane), &resolved.pixel_from_screen, 1);
    text.bottom_right.extend(badge(fidelity.as_ref(), width, height));
    // Where it lies is long for a plane that leans or is curved, and what it was made of in a small pane.
    let below = std::mem::take(&mut text.bottom_left).into_iter().chain(ui::plane_heatmap_note(state));
    text.bottom_left = below.flat_map(|line| corner_wrapped(&line, width, height)).collect();
    let view = ViewPicture {
        draw: nothing_drawn(draw.window.clone(), draw.invert),
        width,
        height,
        text,
        pixels_per_mm: Some(resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: marks(state, active, Pane::Across(plane), &resolved),
    };
    Some(Picture { view, of: Of::Plane(Box::new(draw)) })
}

/// Each part of the badge on lines of its own.
fn badge(fidelity: Option<&Fidelity>, width: u32, height: u32) -> Vec<String> {
    fidelity.into_iter().flat_map(Fidelity::parts).flat_map(|part| corner_wrapped(part, width, height)).collect()
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
            Self::Picture { path, replace, sheet } => {
                let path = if path.extension().is_none() { path.with_extension("png") } else { path };
                let result = unless_exists(&path, replace).and_then(|()| {
                    let (width, height, rgba) = sheet.drawn();
                    report::write_png(&rgba, width, height, &path).map_err(|e| ExportRefusal::Failed(e.to_string()))
                });
                Event::Exported { path, result }
            }
            Self::Clipboard { sheet } => {
                let (width, height, rgba) = sheet.drawn();
                let size = [width as usize, height as usize];
                ctx.copy_image(egui::ColorImage::from_rgba_unmultiplied(size, &rgba));
                Event::Copied(Ok(()))
            }
        }
    }
}

fn unless_exists(path: &std::path::Path, replace: bool) -> Result<(), ExportRefusal> {
    if !replace && path.exists() { Err(ExportRefusal::Exists) } else { Ok(()) }
}
