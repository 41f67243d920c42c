//! The state of the program and the one place that decides: [`AppState::apply`] takes a wish,
//! [`AppState::receive`] takes a result, both answer with effects. No I/O, no threads, no GPU.

mod apply;
mod attributes;
mod beside;
mod chrome;
mod cine;
mod command;
mod curve;
mod evidence;
mod export;
mod fidelity;
pub mod keymap;
mod keys;
mod measure;
mod occlusion;
mod planes;
mod prefetch;
mod reading;
mod receive;
mod reformat;
mod settings;
mod shelf;
mod surface;
mod unlock;
mod windows;
mod worklist;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use attributes::{AttributesOf, AttributesRead, AttributesView};
pub use beside::{Beside, BesideCommand, Link};
pub use cine::{CINE_RATES, Cine, CineEnd, CineRange};
pub use command::{
    AnalysisOrder, Command, Effect, Ended, Event, ExportKind, ExportRefusal, Machine, OcclusionOrder, OverlayDensity,
    PanelSide, RequestId, StudyOrder, Thumbnail, Tool, ViewRect,
};
pub use keys::{KeyCapture, KeysCommand, OWN_MAP, OnConflict};
pub use measure::{Draft, MeasureCommand, Measures, MeasuresFile, Saved, SheetKey, read_anew};
pub use occlusion::{OcclusionCheck, OcclusionState};
pub use planes::Planes;
pub use prefetch::ReadAhead;
pub use reading::{HIDDEN, NO_REPORT, ReadingCommand, Reply};
pub use settings::{DRAG_SENSITIVITIES, DeviceSetting, DragDoes, SCALES, Settings, ThemeSetting, WHEEL_SLICES};
pub use surface::{BONE_HU, FourthPane, SolidState, Surface, SurfaceCommand};
pub use unlock::{Unlock, UnlockCommand};
pub use windows::{MOST_USER_WINDOWS, UserWindow, WindowsCommand};
pub use worklist::{QueueCount, ReadingKey, Row, RowResult, SortBy, TopSlice, Work, Worklist, WorklistCommand};

use crate::findings::operating::Thresholds;
use crate::findings::passport::{self, Passport};
use crate::findings::{Findings, ModelInfo, SliceOutcome, SliceState};
use crate::geometry::{PatientPoint, SlicePose};
pub use crate::jobs::default_threads;
use crate::reading::Moment;
use crate::study::describe;
use crate::study::mask::Mask;
use crate::study::password::Passwords;
use crate::study::quality::Line;
use crate::study::{Catalog, Kind, LoadedSeries, Photometric, Refused, Series};
use crate::truth::CaseTruth;
use crate::view::planes::{HeatStack, Layout, Pane, PlaneHeat};
use crate::view::{self, HeatmapLayer, ImageLayer, ImageShape, MAX_HEATMAP_OPACITY, ViewState};
use crate::volume::{Slab, Slice, Window};

/// Holding F longer than this peeks instead of toggling, seconds.
pub const PEEK_S: f64 = 0.35;

/// What the window shows.
#[derive(Debug)]
pub struct AppState {
    pub settings: Settings,
    /// The keys in force.
    pub keymap: keymap::Keymap,
    /// Maps of keys to choose from.
    keymaps: Vec<keymap::KeymapFile>,
    /// A key is awaited, or what to do with one is asked.
    pub key_capture: Option<KeyCapture>,
    pub study: Option<OpenStudy>,
    pub active: Option<ActiveSeries>,
    beside: Option<Beside>,
    /// The studies of what is open.
    pub worklist: Worklist,
    pub analysis: AnalysisState,
    /// Model in use, once it has been read.
    pub model: Option<Arc<ModelInfo>>,
    /// What is being looked through.
    pub scanning: Option<Vec<PathBuf>>,
    /// Of the archives that are open.
    passwords: Passwords,
    /// The password of archives is being asked for.
    pub unlock: Option<Unlock>,
    /// What is being chosen joins what is open.
    adding: bool,
    pub notices: Vec<Notice>,
    /// How the graphics device failed its check; the processor draws the pictures then.
    pub graphics_fault: Option<String>,
    pub tool: Tool,
    /// Slices are being played.
    pub cine: Option<Cine>,
    pub heatmap_on: bool,
    heatmap_key: Option<f64>,
    /// The reference standard is shown; off at first, so that one reads before one looks it up.
    pub truth_on: bool,
    /// The pane last used.
    focus: Pane,
    /// Where a double click on the maximised pane leads back to.
    maximised_from: Option<Layout>,
    /// How thick the planes across the slices are cut.
    pub slab: Slab,
    /// Crosshair and reference lines are drawn.
    pub lines_on: bool,
    pub hide_identity: bool,
    pub fullscreen: bool,
    pub show_help: bool,
    pub show_settings: bool,
    /// The settings are open at their page of keys.
    pub keys_page: bool,
    pub show_notices: bool,
    pub export: Option<ExportDialog>,
    pub path_field: String,
    /// Where exports are proposed; follows the last one written.
    pub export_folder: PathBuf,
    requests: u64,
    scan_request: RequestId,
    thumbnails_request: RequestId,
    load_request: RequestId,
    analysis_request: RequestId,
    findings: Option<Findings>,
    /// What the analysis said of header and voxels, also where no score followed.
    judged: Option<Vec<Line>>,
    /// The maps that planes show; made anew when `heat_is_stale`.
    heat: Option<Arc<HeatStack>>,
    heat_is_stale: bool,
    evidence: Option<evidence::Evidence>,
    occlusion: Option<OcclusionCheck>,
    reformatting: Option<reformat::Reformatting>,
    finding_canal: Option<curve::FindingCanal>,
    shelf: shelf::Shelf,
    prefetch: Option<prefetch::Prefetch>,
    now: Moment,
    /// When time on the screen was counted last.
    clock_at: Option<Moment>,
    /// The check's map lies on its slice in the heatmap's place.
    pub occlusion_on: bool,
    /// The list of the slice's DICOM attributes.
    pub attributes: AttributesView,
}

/// Everything found under the opened paths.
#[derive(Debug)]
pub struct OpenStudy {
    pub catalog: Arc<Catalog>,
    pub thumbnails: Vec<Option<Arc<Thumbnail>>>,
    /// Folders, archives and files; empty for the built-in study.
    pub paths: Vec<PathBuf>,
}

/// The series on screen.
#[derive(Debug)]
pub struct ActiveSeries {
    pub index: usize,
    pub series: Arc<Series>,
    /// Slices as they arrive, display order.
    pub slices: Vec<Option<Arc<Slice>>>,
    /// Set when all are there.
    pub loaded: Option<LoadedSeries>,
    /// Planes across the slices; `None` until all are there, and where none can be cut.
    pub planes: Option<Planes>,
    /// Why none can be cut.
    pub no_planes: Option<String>,
    /// The reference standard that lies beside the study.
    pub truth: Option<Arc<CaseTruth>>,
    pub load_failed: Option<String>,
    pub refused: Vec<Refused>,
    pub load_seconds: f64,
    pub current: usize,
    /// What a cine plays.
    pub cine_range: CineRange,
    pub view: ViewState,
    pub window: Window,
    pub invert: bool,
    /// What the reader has drawn.
    pub measures: Measures,
    /// The bone seen from outside.
    pub surface: Surface,
    mask: OnceLock<Mask>,
}

/// What is known about the analysis of the active series, in the words of the findings panel.
#[derive(Debug, Default)]
pub enum AnalysisState {
    #[default]
    NotRun,
    /// Waiting for the series or the network.
    Preparing(&'static str),
    Running,
    Done,
    Cancelled,
    Failed(String),
    /// A hard stop in words.
    NotApplicable(String),
    /// A quality gate in words; the user may override it.
    Stopped(String),
}

/// A sentence that stays in the list until it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    pub text: String,
    /// Files and folders in the text, which may carry the patient's name.
    pub names: Vec<String>,
}

impl Notice {
    /// The text as it may be shown.
    pub fn shown(&self, hide_identity: bool) -> Cow<'_, str> {
        if !hide_identity {
            return Cow::Borrowed(&self.text);
        }
        let hidden = |text: String, name: &String| text.replace(name.as_str(), describe::HIDDEN);
        Cow::Owned(self.names.iter().filter(|name| !name.is_empty()).fold(self.text.clone(), hidden))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportDialog {
    pub kind: ExportKind,
    pub path: String,
    pub error: Option<String>,
    pub writing: bool,
    /// The file exists and the user has been told; writing again replaces it.
    pub replace: bool,
}

impl ActiveSeries {
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }
    /// The slice whose plane is nearest to a point; `None` where none has a place in the patient.
    pub fn nearest_slice(&self, at: PatientPoint) -> Option<usize> {
        self.nearest_by(|pose| (at.0 - pose.origin.0).dot(pose.normal()).abs())
    }
    /// The slice with a place that is the least away, by whatever measure.
    fn nearest_by(&self, away: impl Fn(SlicePose) -> f64) -> Option<usize> {
        let all = self.series.slices.iter().enumerate();
        let all = all.filter_map(|(index, slice)| Some((index, away(slice.pose?))));
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    }
    pub fn decoded(&self) -> usize {
        self.slices.iter().filter(|s| s.is_some()).count()
    }
    /// Takes who the patient is out of sentences.
    pub fn mask(&self) -> &Mask {
        self.mask.get_or_init(|| Mask::new(&self.series, &self.refused, true))
    }
    /// The slice being read, if it has been decoded.
    pub fn slice(&self) -> Option<&Arc<Slice>> {
        self.slices.get(self.current).and_then(Option::as_ref)
    }
    fn take_slice(&mut self, index: usize, slice: Arc<Slice>) {
        // Where neither HU nor the file say how to look at the values, the first slice's own range does.
        let unknown = !self.series.values_are_hu && self.series.file_windows.is_empty() && self.decoded() == 0;
        if unknown && let Some([low, high]) = slice.min_max() {
            self.window = Window::covering(f64::from(low), f64::from(high));
        }
        if let Some(slot) = self.slices.get_mut(index) {
            *slot = Some(slice);
        }
    }
    /// All slices are there.
    fn take_loaded(&mut self, loaded: LoadedSeries, refused: &[Refused]) {
        // Slices that could not be decoded are gone: stay on the slice being read, not on its number.
        let reading = self.series.slices.get(self.current).map(|s| s.file.clone());
        self.current = reading
            .and_then(|file| loaded.series.slices.iter().position(|s| s.file == file))
            .unwrap_or(self.current.min(loaded.series.slices.len().saturating_sub(1)));
        self.series = loaded.series.clone();
        self.slices = loaded.volume.slices().iter().cloned().map(Some).collect();
        self.loaded = Some(loaded);
        self.make_planes();
        self.read_measurements();
        self.refused = refused.to_vec();
        self.mask = OnceLock::new();
    }
    pub fn image_shape(&self) -> ImageShape {
        ImageShape {
            rows: self.series.rows,
            columns: self.series.columns,
            spacing: self.series.spacing_mm.unwrap_or([1.0, 1.0]),
        }
    }
    /// Where one looks in a pane.
    pub fn view_of(&self, pane: Pane) -> &ViewState {
        match (pane, &self.planes) {
            (Pane::Across(plane), Some(planes)) => planes.view(plane),
            _ => &self.view,
        }
    }
    fn view_mut(&mut self, pane: Pane) -> &mut ViewState {
        match (pane, &mut self.planes) {
            (Pane::Across(plane), Some(planes)) => planes.view_mut(plane),
            _ => &mut self.view,
        }
    }
    pub fn inverted(&self) -> bool {
        self.invert != (self.series.photometric == Photometric::Monochrome1)
    }
    pub fn image_layer(&self, interpolation: view::Interpolation) -> Option<ImageLayer> {
        let slice = self.slice()?.clone();
        Some(ImageLayer { slice, window: self.window.clone(), invert: self.inverted(), interpolation })
    }
}

impl AppState {
    pub fn new(settings: Settings) -> Self {
        let settings = settings.within_reason();
        let mut state = Self {
            settings,
            keymap: keymap::Keymap::default(),
            keymaps: keymap::shipped(),
            key_capture: None,
            study: None,
            active: None,
            beside: None,
            worklist: Worklist::default(),
            analysis: AnalysisState::NotRun,
            model: None,
            scanning: None,
            passwords: Passwords::default(),
            unlock: None,
            adding: false,
            notices: Vec::new(),
            graphics_fault: None,
            tool: Tool::Window,
            cine: None,
            heatmap_on: true,
            heatmap_key: None,
            truth_on: false,
            focus: Pane::Slices,
            maximised_from: None,
            slab: Slab::default(),
            lines_on: true,
            hide_identity: false,
            fullscreen: false,
            show_help: false,
            show_settings: false,
            keys_page: false,
            show_notices: false,
            export: None,
            path_field: String::new(),
            export_folder: PathBuf::new(),
            requests: 0,
            scan_request: RequestId::default(),
            thumbnails_request: RequestId::default(),
            load_request: RequestId::default(),
            analysis_request: RequestId::default(),
            findings: None,
            judged: None,
            heat: None,
            heat_is_stale: false,
            evidence: None,
            occlusion: None,
            reformatting: None,
            finding_canal: None,
            shelf: shelf::Shelf::default(),
            prefetch: None,
            now: Moment::default(),
            clock_at: None,
            occlusion_on: false,
            attributes: AttributesView::default(),
        };
        state.renew_keys();
        state
    }

    /// Results of the active series under the current model; `None` while they are hidden from the reader.
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.as_ref().filter(|_| !self.results_hidden())
    }

    /// The heatmap as it lies on the current slice; `None` when it is off or nothing is to be drawn.
    pub fn heatmap_layer(&self) -> Option<HeatmapLayer> {
        let active = self.active.as_ref()?;
        let findings = self.findings().filter(|_| self.heatmap_on)?;
        let (everywhere, opacity) = (self.settings.heatmap_everywhere, self.heatmap_opacity());
        if let Some(map) = self.shown_occlusion() {
            let (cam, style) = (map.drops.clone(), self.settings.heatmap_style);
            return Some(HeatmapLayer { maximum: cam.max(), cam, region: map.region, opacity, style });
        }
        let layer = view::heatmap_layer(findings, active.current, everywhere, opacity)?;
        Some(HeatmapLayer { style: self.settings.heatmap_style, ..layer })
    }

    /// The heatmap over the planes across the slices; `None` when it is off or no slice shows one.
    pub fn plane_heat(&self) -> Option<PlaneHeat> {
        // Two kinds of maps side by side would be taken for one.
        let shown = self.heatmap_on && self.shown_occlusion().is_none() && !self.results_hidden();
        let stack = self.heat.clone().filter(|_| shown)?;
        Some(PlaneHeat { stack, opacity: self.heatmap_opacity(), style: self.settings.heatmap_style })
    }

    fn heatmap_opacity(&self) -> f32 {
        self.settings.heatmap_opacity.min(MAX_HEATMAP_OPACITY)
    }

    fn refresh_heat(&mut self) {
        if std::mem::take(&mut self.heat_is_stale) {
            let everywhere = self.settings.heatmap_everywhere;
            self.heat = self.findings.as_ref().and_then(|f| HeatStack::of(f, everywhere)).map(Arc::new);
        }
    }

    /// The model whose numbers are on the screen, else the one that was read last.
    pub fn model_in_use(&self) -> Option<&Arc<ModelInfo>> {
        self.findings.as_ref().map(|f| &f.provenance.model).or(self.model.as_ref())
    }

    /// The thresholds in use with that model: the reader's, else the card's.
    pub fn thresholds(&self) -> Option<Thresholds> {
        let model = self.model_in_use()?;
        Some(self.thresholds_of(model))
    }

    /// What is to be said of the series before its score.
    pub fn passport(&self) -> Option<Passport> {
        let active = self.active.as_ref()?;
        let refused = self.refused_files() + active.refused.len();
        let mut passport = passport::compose(&active.series, refused, self.judged.as_deref(), self.findings());
        if self.hide_identity {
            passport.lines.iter_mut().for_each(|line| line.text = active.mask().scrub(&line.text));
        }
        Some(passport)
    }

    /// The reference standard, where there is one and it is to be seen: never before a verdict that is to be blind.
    pub fn truth(&self) -> Option<&CaseTruth> {
        self.active.as_ref()?.truth.as_deref().filter(|_| self.truth_on && !self.results_hidden())
    }

    /// Peaks for N and the strip's flags: above the threshold, head to feet.
    pub fn peaks(&self) -> Vec<usize> {
        self.findings().map(Findings::peaks).unwrap_or_default()
    }

    /// The number that answers of the present analysis carry.
    pub fn analysis_request(&self) -> RequestId {
        self.analysis_request
    }

    pub fn is_loading(&self) -> bool {
        self.active.as_ref().is_some_and(|a| a.loaded.is_none() && a.load_failed.is_none())
    }

    pub fn notice(&mut self, severity: Severity, text: impl Into<String>) {
        self.notice_naming(severity, text, Vec::new());
    }

    /// As [`Self::notice`], with the files and folders that the text names.
    fn notice_naming(&mut self, severity: Severity, text: impl Into<String>, names: Vec<String>) {
        let notice = Notice { severity, text: text.into(), names };
        if self.notices.last() != Some(&notice) {
            self.notices.push(notice);
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn save(effects: &mut Vec<Effect>) {
        effects.push(Effect::SaveSettings);
    }
}

fn active_series(index: usize, series: Arc<Series>, window: Option<Window>) -> ActiveSeries {
    ActiveSeries {
        index,
        slices: vec![None; series.slices.len()],
        loaded: None,
        planes: None,
        no_planes: None,
        truth: None,
        load_failed: None,
        refused: Vec::new(),
        load_seconds: 0.0,
        current: series.slices.len() / 2,
        cine_range: CineRange::default(),
        view: ViewState::default(),
        window: windows::carried(window, &series).unwrap_or_else(|| opening_window(&series)),
        invert: false,
        measures: Measures::default(),
        surface: Surface::default(),
        mask: OnceLock::new(),
        series,
    }
}

/// Bone for HU; what the file proposes for anything else.
fn opening_window(series: &Series) -> Window {
    if series.values_are_hu { Window::BONE } else { series.file_windows.first().cloned().unwrap_or(Window::BONE) }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod worklist_tests;
