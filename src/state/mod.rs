//! The state of the program and the one place that decides: [`AppState::apply`] takes a wish,
//! [`AppState::receive`] takes a result, both answer with effects. No I/O, no threads, no GPU.

mod command;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use command::{
    Command, Effect, Ended, Event, ExportKind, ExportRefusal, OverlayDensity, PanelSide, RequestId, Thumbnail, Tool,
    ViewRect,
};
pub use settings::{DeviceSetting, Settings};

use crate::findings::{Findings, ModelInfo, SliceState};
use crate::study::{Catalog, LoadedSeries, Photometric, Refused, Series};
use crate::view::{self, HeatmapLayer, ImageLayer, ImageShape, MAX_HEATMAP_OPACITY, ViewState};
use crate::volume::{Slice, Window};

/// Holding F longer than this peeks instead of toggling, seconds.
pub const PEEK_S: f64 = 0.35;

/// What the window shows.
#[derive(Debug)]
pub struct AppState {
    pub settings: Settings,
    pub study: Option<OpenStudy>,
    pub active: Option<ActiveSeries>,
    pub analysis: AnalysisState,
    /// Model in use, once it has been read.
    pub model: Option<Arc<ModelInfo>>,
    pub scanning: Option<PathBuf>,
    pub notices: Vec<Notice>,
    pub tool: Tool,
    pub heatmap_on: bool,
    heatmap_key: Option<f64>,
    pub hide_identity: bool,
    pub fullscreen: bool,
    pub show_help: bool,
    pub show_settings: bool,
    pub show_notices: bool,
    pub export: Option<ExportDialog>,
    pub path_field: String,
    /// Where exports are proposed; follows the last one written.
    pub export_folder: PathBuf,
    requests: u64,
    scan_request: RequestId,
    load_request: RequestId,
    analysis_request: RequestId,
    findings: Option<Findings>,
}

/// Everything found under the opened path.
#[derive(Debug)]
pub struct OpenStudy {
    pub catalog: Arc<Catalog>,
    pub thumbnails: Vec<Option<Arc<Thumbnail>>>,
    /// `None` for the built-in study.
    pub path: Option<PathBuf>,
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
    pub load_failed: Option<String>,
    pub refused: Vec<Refused>,
    pub load_seconds: f64,
    pub current: usize,
    pub view: ViewState,
    pub window: Window,
    pub invert: bool,
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
}

/// A sentence that stays in the list until it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    pub text: String,
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
    pub fn decoded(&self) -> usize {
        self.slices.iter().filter(|s| s.is_some()).count()
    }
    /// The slice being read, if it has been decoded.
    pub fn slice(&self) -> Option<&Arc<Slice>> {
        self.slices.get(self.current).and_then(Option::as_ref)
    }
    fn take_slice(&mut self, index: usize, slice: Arc<Slice>) {
        // Where neither HU nor the file say how to look at the values, the first slice's own range does.
        let unknown = !self.series.values_are_hu && self.series.file_windows.is_empty() && self.decoded() == 0;
        if let Some([low, high]) = slice.min_max().filter(|_| unknown) {
            self.window = Window::covering(f64::from(low), f64::from(high));
        }
        if let Some(slot) = self.slices.get_mut(index) {
            *slot = Some(slice);
        }
    }
    pub fn image_shape(&self) -> ImageShape {
        ImageShape {
            rows: self.series.rows,
            columns: self.series.columns,
            spacing: self.series.spacing_mm.unwrap_or([1.0, 1.0]),
        }
    }
    pub fn inverted(&self) -> bool {
        self.invert != (self.series.photometric == Photometric::Monochrome1)
    }
    pub fn image_layer(&self, interpolation: view::Interpolation) -> Option<ImageLayer> {
        let slice = self.slice()?.clone();
        Some(ImageLayer { slice, window: self.window, invert: self.inverted(), interpolation })
    }
}

impl AppState {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            study: None,
            active: None,
            analysis: AnalysisState::NotRun,
            model: None,
            scanning: None,
            notices: Vec::new(),
            tool: Tool::Window,
            heatmap_on: true,
            heatmap_key: None,
            hide_identity: false,
            fullscreen: false,
            show_help: false,
            show_settings: false,
            show_notices: false,
            export: None,
            path_field: String::new(),
            export_folder: PathBuf::new(),
            requests: 0,
            scan_request: RequestId::default(),
            load_request: RequestId::default(),
            analysis_request: RequestId::default(),
            findings: None,
        }
    }

    /// Results of the active series under the current model.
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.as_ref()
    }

    /// The heatmap as it lies on the current slice; `None` when it is off or nothing is to be drawn.
    pub fn heatmap_layer(&self) -> Option<HeatmapLayer> {
        let active = self.active.as_ref()?;
        let findings = self.findings.as_ref().filter(|_| self.heatmap_on)?;
        view::heatmap_layer(
            findings,
            active.current,
            self.settings.heatmap_everywhere,
            self.settings.heatmap_opacity.min(MAX_HEATMAP_OPACITY),
        )
    }

    /// Peaks for N and the strip's flags: above the threshold, head to feet.
    pub fn peaks(&self) -> Vec<usize> {
        self.findings.as_ref().map(Findings::peaks).unwrap_or_default()
    }

    /// The number that answers of the present analysis carry.
    pub fn analysis_request(&self) -> RequestId {
        self.analysis_request
    }

    pub fn is_loading(&self) -> bool {
        self.active.as_ref().is_some_and(|a| a.loaded.is_none() && a.load_failed.is_none())
    }

    pub fn notice(&mut self, severity: Severity, text: impl Into<String>) {
        let notice = Notice { severity, text: text.into() };
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

    /// Decides what a wish means.
    pub fn apply(&mut self, command: Command) -> Vec<Effect> {
        let mut effects = Vec::new();
        match command {
            Command::OpenPath(path) => self.open_path(path, &mut effects),
            Command::OpenDemo => self.open_demo(&mut effects),
            Command::PickFolder => effects.push(Effect::PickFolder),
            Command::CloseStudy => self.close_study(&mut effects),
            Command::ShowSeries(index) => self.show_series(index, &mut effects),
            Command::StepSeries(step) => self.step_series(step, &mut effects),
            Command::CancelLoading => {
                effects.extend([Effect::CancelScan, Effect::CancelLoad]);
            }
            Command::SetPathField(text) => self.path_field = text,
            Command::PickModel => effects.push(Effect::PickModel),
            Command::UseModel(path) => self.use_model(path, &mut effects),
            Command::StartAnalysis => self.start_analysis(&mut effects),
            Command::CancelAnalysis => effects.push(Effect::CancelAnalysis),
            Command::BeginExport(_)
            | Command::PickExportPath
            | Command::SetExportPath(_)
            | Command::ConfirmExport
            | Command::CopyPicture => self.apply_export(command, &mut effects),
            Command::SetThreads(_)
            | Command::SetDevice(_)
            | Command::SetAutoAnalyse(_)
            | Command::SetInvertVerticalDrag(_)
            | Command::SetRememberRecents(_)
            | Command::ClearRecents
            | Command::SetInterpolation(_)
            | Command::SetHeatmapOpacity(_)
            | Command::SetHeatmapEverywhere(_)
            | Command::TogglePanel(_)
            | Command::CycleOverlay => self.apply_setting(&command, &mut effects),
            Command::ToggleHelp
            | Command::ToggleSettings
            | Command::ToggleNotices
            | Command::ToggleIdentity
            | Command::ToggleFullscreen
            | Command::Escape
            | Command::DismissNotices => self.apply_chrome(&command, &mut effects),
            Command::ToggleHeatmap | Command::HeatmapKey { .. } => self.apply_heatmap(&command),
            _ => self.apply_to_image(command, &mut effects),
        }
        effects
    }

    fn open_path(&mut self, path: PathBuf, effects: &mut Vec<Effect>) {
        self.close_study(effects);
        let request = self.next_request();
        self.scan_request = request;
        self.scanning = Some(path.clone());
        effects.push(Effect::Scan { request, path });
    }

    fn open_demo(&mut self, effects: &mut Vec<Effect>) {
        self.close_study(effects);
        let request = self.next_request();
        self.scan_request = request;
        self.load_request = request;
        effects.push(Effect::MakeDemo { request });
    }

    fn close_study(&mut self, effects: &mut Vec<Effect>) {
        effects.extend([Effect::CancelScan, Effect::CancelLoad, Effect::CancelAnalysis]);
        self.scanning = None;
        self.study = None;
        self.active = None;
        self.forget_analysis();
        self.scan_request = RequestId::default();
        self.load_request = RequestId::default();
        self.export = None;
    }

    fn forget_analysis(&mut self) {
        self.analysis_request = RequestId::default();
        self.analysis = AnalysisState::NotRun;
        self.findings = None;
    }

    fn show_series(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let Some(series) = self.study.as_ref().and_then(|s| s.catalog.series.get(index)) else { return };
        if self.active.as_ref().is_some_and(|a| a.index == index && a.load_failed.is_none()) {
            return;
        }
        let series = Arc::new(series.clone());
        effects.push(Effect::CancelAnalysis);
        self.forget_analysis();
        let request = self.next_request();
        self.load_request = request;
        let first = series.slices.len() / 2;
        // A change of series keeps the reader's window, so that a comparison is not spoilt by the viewer.
        let window = self.active.as_ref().map(|a| a.window);
        self.active = Some(active_series(index, series.clone(), window));
        effects.push(Effect::Load { request, series, first });
    }

    fn step_series(&mut self, step: i32, effects: &mut Vec<Effect>) {
        let (Some(study), Some(active)) = (&self.study, &self.active) else { return };
        let last = study.catalog.series.len().saturating_sub(1);
        let target = active.index.saturating_add_signed(step as isize).min(last);
        self.show_series(target, effects);
    }

    fn use_model(&mut self, path: Option<PathBuf>, effects: &mut Vec<Effect>) {
        self.settings.model = path;
        self.model = None;
        effects.push(Effect::CancelAnalysis);
        self.forget_analysis();
        Self::save(effects);
        self.start_analysis(effects);
    }

    fn start_analysis(&mut self, effects: &mut Vec<Effect>) {
        let Some(active) = &self.active else { return };
        if let Some(stop) = active.series.analysis_stop() {
            self.forget_analysis();
            self.analysis = AnalysisState::NotApplicable(stop);
            return;
        }
        let Some(loaded) = active.loaded.clone() else { return };
        let (load_seconds, current) = (active.load_seconds, active.current);
        let request = self.next_request();
        self.analysis_request = request;
        self.findings = None;
        self.analysis = AnalysisState::Preparing("preparing the network");
        effects.push(Effect::Focus(current));
        effects.push(Effect::Analyse {
            request,
            loaded,
            model: self.settings.model.clone(),
            device: self.settings.device,
            threads: self.settings.threads.unwrap_or_else(default_threads),
            load_seconds,
        });
    }

    fn apply_setting(&mut self, command: &Command, effects: &mut Vec<Effect>) {
        let s = &mut self.settings;
        match command {
            Command::SetThreads(n) => s.threads = Some((*n).max(1)),
            Command::SetDevice(device) if s.device != *device => {
                s.device = *device;
                self.model = None;
            }
            Command::SetAutoAnalyse(on) => s.auto_analyse = *on,
            Command::SetInvertVerticalDrag(on) => s.invert_vertical_drag = *on,
            Command::SetRememberRecents(on) => {
                s.remember_recents = *on;
                if !on {
                    s.recents.clear();
                }
            }
            Command::ClearRecents => s.recents.clear(),
            Command::SetInterpolation(interpolation) => s.interpolation = *interpolation,
            Command::SetHeatmapOpacity(opacity) => s.heatmap_opacity = opacity.clamp(0.05, MAX_HEATMAP_OPACITY),
            Command::SetHeatmapEverywhere(on) => s.heatmap_everywhere = *on,
            Command::TogglePanel(PanelSide::Series) => s.show_series = !s.show_series,
            Command::TogglePanel(PanelSide::Findings) => s.show_findings = !s.show_findings,
            Command::CycleOverlay => {
                s.overlay = match s.overlay {
                    OverlayDensity::Full => OverlayDensity::Minimal,
                    OverlayDensity::Minimal => OverlayDensity::None,
                    OverlayDensity::None => OverlayDensity::Full,
                }
            }
            _ => {}
        }
        Self::save(effects);
    }

    fn apply_chrome(&mut self, command: &Command, effects: &mut Vec<Effect>) {
        match command {
            Command::ToggleHelp => self.show_help = !self.show_help,
            Command::ToggleSettings => self.show_settings = !self.show_settings,
            Command::ToggleNotices => self.show_notices = !self.show_notices,
            Command::ToggleIdentity => self.hide_identity = !self.hide_identity,
            Command::ToggleFullscreen => {
                self.fullscreen = !self.fullscreen;
                effects.push(Effect::SetFullscreen(self.fullscreen));
            }
            Command::DismissNotices => {
                self.notices.clear();
                self.show_notices = false;
            }
            // The topmost thing only, so that one key press closes one thing.
            Command::Escape => {
                if self.export.take().is_some() {
                } else if self.show_help {
                    self.show_help = false;
                } else if self.show_settings {
                    self.show_settings = false;
                } else if self.show_notices {
                    self.show_notices = false;
                } else if self.fullscreen {
                    self.fullscreen = false;
                    effects.push(Effect::SetFullscreen(false));
                }
            }
            _ => {}
        }
    }

    fn apply_heatmap(&mut self, command: &Command) {
        match *command {
            Command::ToggleHeatmap => self.heatmap_on = !self.heatmap_on,
            Command::HeatmapKey { down: true, time_s } if self.heatmap_key.is_none() => {
                self.heatmap_key = Some(time_s);
                self.heatmap_on = !self.heatmap_on;
            }
            Command::HeatmapKey { down: false, time_s } => {
                let peeked = self.heatmap_key.take().is_some_and(|since| time_s - since > PEEK_S);
                self.heatmap_on ^= peeked;
            }
            _ => {}
        }
    }

    fn apply_export(&mut self, command: Command, effects: &mut Vec<Effect>) {
        match command {
            Command::BeginExport(kind) if self.active.as_ref().is_some_and(|a| a.slice().is_some()) => {
                let name = match kind {
                    ExportKind::Report => "dens-report.pdf",
                    ExportKind::Picture => "dens-view.png",
                };
                let path = self.export_folder.join(name).display().to_string();
                self.export = Some(ExportDialog { kind, path, error: None, writing: false, replace: false });
            }
            Command::SetExportPath(path) => {
                if let Some(export) = &mut self.export {
                    export.path = path;
                    export.error = None;
                    export.replace = false;
                }
            }
            Command::PickExportPath => {
                if let Some(export) = &self.export {
                    effects.push(Effect::PickExportPath { kind: export.kind, suggested: export.path.clone() });
                }
            }
            Command::ConfirmExport => {
                if let Some(export) = self.export.as_mut().filter(|e| !e.writing) {
                    export.writing = true;
                    export.error = None;
                    let path = PathBuf::from(export.path.trim());
                    effects.push(match export.kind {
                        ExportKind::Report => Effect::WriteReport { path, replace: export.replace },
                        ExportKind::Picture => Effect::WritePicture { path, replace: export.replace },
                    });
                }
            }
            Command::CopyPicture => effects.push(Effect::CopyPicture),
            _ => {}
        }
    }

    fn apply_to_image(&mut self, command: Command, effects: &mut Vec<Effect>) {
        let user_window = self.settings.user_window;
        let peaks = self.peaks();
        let Some(active) = &mut self.active else {
            if let Command::SetTool(tool) = command {
                self.tool = tool;
            }
            return;
        };
        let last = active.slice_count().saturating_sub(1);
        let before = active.current;
        match command {
            Command::ScrollBy(by) => {
                active.current = active.current.saturating_add_signed(by as isize).min(last);
            }
            Command::GoToSlice(index) => active.current = index.min(last),
            Command::NextPeak | Command::PreviousPeak => {
                if let Some(peak) = neighbour_peak(peaks, active.current, command == Command::NextPeak) {
                    active.current = peak;
                }
            }
            Command::SetWindow(window) if window.is_valid() => active.window = window,
            Command::Preset(9) => active.window = user_window.unwrap_or(active.window),
            Command::Preset(n) => {
                if let Some((_, window)) = n.checked_sub(1).and_then(|i| Window::PRESETS.get(i)) {
                    active.window = *window;
                }
            }
            Command::StoreUserWindow => {
                self.settings.user_window = Some(active.window);
                Self::save(effects);
            }
            Command::FullRangeWindow => {
                if let Some([low, high]) = active.slice().and_then(|s| s.min_max()) {
                    active.window = Window::covering(f64::from(low), f64::from(high));
                }
            }
            Command::FileWindow => active.window = file_window(active),
            Command::DragWindow { width, center } => {
                active.window.width = (active.window.width + width).clamp(1.0, 65_536.0).round();
                active.window.center = (active.window.center + center).clamp(-70_000.0, 70_000.0).round();
            }
            Command::Zoom { view, x, y, factor } => {
                active.view.zoom_about(view.image, view.width, view.height, x, y, factor);
            }
            Command::Pan { view, dx, dy } => active.view.pan_by(view.image, view.width, view.height, dx, dy),
            Command::ResetView => {
                active.view = ViewState::default();
                active.invert = false;
                active.window = opening_window(&active.series);
            }
            Command::DoubleClick => self.double_click(effects),
            Command::FlipHorizontal => active.view.flip_horizontal = !active.view.flip_horizontal,
            Command::FlipVertical => active.view.flip_vertical = !active.view.flip_vertical,
            Command::Invert => active.invert = !active.invert,
            Command::SetTool(tool) => self.tool = tool,
            _ => {}
        }
        if let Some(active) = &self.active
            && active.current != before
        {
            effects.push(Effect::Focus(active.current));
        }
    }

    fn double_click(&mut self, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let fitted = ViewState { zoom: 1.0, pan: [0.0, 0.0], ..active.view };
        if active.view != fitted {
            active.view = fitted;
            return;
        }
        let any = self.settings.show_series || self.settings.show_findings;
        self.settings.show_series = !any;
        self.settings.show_findings = !any;
        Self::save(effects);
    }

    /// Takes a result. One that answers a question no longer asked is dropped.
    pub fn receive(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Scanned { request, result } if request == self.scan_request => self.scanned(result, &mut effects),
            Event::DemoMade { request, loaded } if request == self.scan_request => {
                self.demo_made(loaded, &mut effects);
            }
            Event::Thumbnail { request, series, thumbnail } if request == self.scan_request => {
                if let Some(slot) = self.study.as_mut().and_then(|s| s.thumbnails.get_mut(series)) {
                    *slot = Some(thumbnail);
                }
            }
            Event::SliceDecoded { request, index, slice } if request == self.load_request => {
                if let Some(active) = &mut self.active {
                    active.take_slice(index, slice);
                }
            }
            Event::Loaded { request, result, seconds } if request == self.load_request => {
                self.loaded(result, seconds, &mut effects);
            }
            Event::FolderPicked(Some(path)) => effects.extend(self.apply(Command::OpenPath(path))),
            Event::FolderPicked(None) => self.notice(
                Severity::Info,
                "No folder was chosen. If no dialog appeared, type the path on the start screen or drop the folder on this window.",
            ),
            Event::ModelPicked(Some(path)) => effects.extend(self.apply(Command::UseModel(Some(path)))),
            Event::ExportPathPicked(Some(path)) => {
                // The dialog of the desktop has asked about replacing already.
                if let Some(export) = &mut self.export {
                    export.path = path.display().to_string();
                    export.error = None;
                    export.replace = true;
                }
            }
            Event::Exported { path, result } => self.exported(&path, result),
            Event::Copied(Ok(())) => self.notice(Severity::Info, "The picture is on the clipboard."),
            Event::Copied(Err(reason)) => {
                self.notice(Severity::Error, format!("The picture could not be copied: {reason}"));
            }
            other => self.receive_analysis(other),
        }
        effects
    }

    fn scanned(&mut self, result: Result<Arc<Catalog>, Ended>, effects: &mut Vec<Effect>) {
        let path = self.scanning.take();
        let catalog = match result {
            Ok(catalog) => catalog,
            Err(Ended::Cancelled) => return self.notice(Severity::Info, "Opening was cancelled; nothing was changed."),
            Err(Ended::Failed(text)) => return self.notice(Severity::Error, text),
        };
        if let Some(path) = &path {
            if !catalog.series.is_empty() {
                self.settings.remember(path);
                Self::save(effects);
            }
            self.report_refused(&catalog.refused);
        }
        let Some(likeliest) = catalog.likeliest() else {
            let text = if catalog.refused.is_empty() {
                "Nothing to show: no DICOM image was found there. Open the folder that holds the image files of a study."
                    .to_owned()
            } else {
                format!(
                    "Nothing to show: none of the {} files there could be used. The list of notices says why for each.",
                    catalog.refused.len()
                )
            };
            self.show_notices = true;
            return self.notice(Severity::Error, text);
        };
        effects.push(Effect::Thumbnails { request: self.scan_request, catalog: catalog.clone() });
        self.study = Some(OpenStudy { thumbnails: vec![None; catalog.series.len()], catalog, path });
        self.show_series(likeliest, effects);
    }

    fn report_refused(&mut self, refused: &[Refused]) {
        for r in refused {
            // The sentence names the file itself where it comes from the reader.
            let text = if r.text.starts_with(&r.file) { r.text.clone() } else { format!("{}: {}", r.file, r.text) };
            self.notice(Severity::Warning, text);
        }
    }

    fn demo_made(&mut self, loaded: LoadedSeries, effects: &mut Vec<Effect>) {
        let catalog = Arc::new(Catalog { series: vec![Series::clone(&loaded.series)], ..Catalog::default() });
        if let Some(slice) = loaded.volume.slices().get(loaded.volume.slices().len() / 2) {
            effects.push(Effect::ThumbnailOf { request: self.scan_request, series: 0, slice: slice.clone() });
        }
        self.study = Some(OpenStudy { catalog, thumbnails: vec![None], path: None });
        self.active = Some(active_series(0, loaded.series.clone(), None));
        self.loaded(Ok((loaded, Vec::new())), 0.0, effects);
    }

    fn loaded(&mut self, result: Result<(LoadedSeries, Vec<Refused>), Ended>, seconds: f64, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let (loaded, refused) = match result {
            Ok(done) => done,
            Err(Ended::Cancelled) => {
                active.load_failed = Some("loading was cancelled; the slices read so far can be seen".to_owned());
                return;
            }
            Err(Ended::Failed(text)) => {
                active.load_failed = Some(text.clone());
                return self.notice(Severity::Error, text);
            }
        };
        // Slices that could not be decoded are gone: stay on the slice being read, not on its number.
        let reading = active.series.slices.get(active.current).map(|s| s.file.clone());
        let current = reading
            .and_then(|file| loaded.series.slices.iter().position(|s| s.file == file))
            .unwrap_or(active.current.min(loaded.series.slices.len().saturating_sub(1)));
        active.current = current;
        active.series = loaded.series.clone();
        active.slices = loaded.volume.slices().iter().cloned().map(Some).collect();
        active.load_seconds = seconds;
        active.loaded = Some(loaded);
        active.refused = refused.clone();
        self.report_refused(&refused);
        if let Some(stop) = self.active.as_ref().and_then(|a| a.series.analysis_stop()) {
            self.analysis = AnalysisState::NotApplicable(stop);
        } else if self.settings.auto_analyse {
            self.start_analysis(effects);
        }
    }

    fn exported(&mut self, path: &Path, result: Result<(), ExportRefusal>) {
        match result {
            Ok(()) => {
                self.export = None;
                if let Some(folder) = path.parent() {
                    self.export_folder = folder.to_owned();
                }
                self.notice(Severity::Info, format!("Written: {}", path.display()));
            }
            Err(refusal) => match &mut self.export {
                Some(export) => {
                    export.writing = false;
                    export.replace = refusal == ExportRefusal::Exists;
                    export.error = Some(refusal.sentence());
                }
                None => self.notice(Severity::Error, refusal.sentence()),
            },
        }
    }

    fn receive_analysis(&mut self, event: Event) {
        let current = self.analysis_request;
        match event {
            Event::ModelReady { request, model, note } if request == current => {
                self.model = Some(model);
                if let Some(note) = note {
                    self.notice(Severity::Warning, note);
                }
                self.analysis = AnalysisState::Preparing("looking for bone in every slice");
            }
            Event::AnalysisStarted { request, provenance } if request == current => {
                let matches = self
                    .active
                    .as_ref()
                    .and_then(|a| a.loaded.as_ref())
                    .is_some_and(|l| l.volume.id() == provenance.volume);
                if matches {
                    let slices = self.active.as_ref().map_or(0, ActiveSeries::slice_count);
                    self.findings = Some(Findings::new(provenance, slices));
                    self.analysis = AnalysisState::Running;
                }
            }
            Event::SliceRunning { request, index } if request == current => self.set_slice(index, SliceState::Running),
            Event::SliceScored { request, index, finding } if request == current => {
                self.set_slice(index, SliceState::Done(finding));
            }
            Event::CaseScored { request, case } if request == current => {
                if let Some(findings) = &mut self.findings {
                    findings.case = Some(case);
                }
            }
            Event::AnalysisEnded { request, result } if request == current => self.analysis_ended(result),
            _ => {}
        }
    }

    fn set_slice(&mut self, index: usize, state: SliceState) {
        if let Some(slot) = self.findings.as_mut().and_then(|f| f.slices.get_mut(index)) {
            *slot = state;
        }
    }

    fn analysis_ended(&mut self, result: Result<(crate::findings::Seconds, Vec<String>), Ended>) {
        self.analysis = match result {
            Ok((seconds, warnings)) => {
                if let Some(findings) = &mut self.findings {
                    findings.seconds = seconds;
                    findings.warnings = warnings;
                }
                AnalysisState::Done
            }
            Err(Ended::Cancelled) => AnalysisState::Cancelled,
            Err(Ended::Failed(text)) => {
                self.notice(Severity::Error, format!("The analysis failed: {text}"));
                AnalysisState::Failed(text)
            }
        };
        if let Some(findings) = &mut self.findings {
            for state in &mut findings.slices {
                if *state == SliceState::Running {
                    *state = SliceState::NotRun;
                }
            }
        }
    }
}

/// All cores but one, so that the window keeps its own.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1))
}

fn active_series(index: usize, series: Arc<Series>, window: Option<Window>) -> ActiveSeries {
    ActiveSeries {
        index,
        slices: vec![None; series.slices.len()],
        loaded: None,
        load_failed: None,
        refused: Vec::new(),
        load_seconds: 0.0,
        current: series.slices.len() / 2,
        view: ViewState::default(),
        window: window.filter(|_| series.values_are_hu).unwrap_or_else(|| opening_window(&series)),
        invert: false,
        series,
    }
}

/// Bone for HU; what the file proposes for anything else.
fn opening_window(series: &Series) -> Window {
    if series.values_are_hu { Window::BONE } else { series.file_windows.first().copied().unwrap_or(Window::BONE) }
}

fn file_window(active: &ActiveSeries) -> Window {
    active
        .series
        .file_windows
        .first()
        .copied()
        .or_else(|| active.slice()?.min_max().map(|[low, high]| Window::covering(f64::from(low), f64::from(high))))
        .unwrap_or(active.window)
}

/// The peak after (or before) a slice in display order, going round at the ends.
fn neighbour_peak(mut peaks: Vec<usize>, current: usize, forward: bool) -> Option<usize> {
    peaks.sort_unstable();
    if forward {
        peaks.iter().find(|&&p| p > current).or(peaks.first()).copied()
    } else {
        peaks.iter().rev().find(|&&p| p < current).or(peaks.last()).copied()
    }
}

#[cfg(test)]
mod tests;
