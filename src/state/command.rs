//! Wishes (commands), work to be carried out (effects) and what came of it (events). Values only.

use std::path::PathBuf;
use std::sync::Arc;

use super::attributes::{AttributesOf, AttributesRead};
use super::beside::BesideCommand;
use super::cine::CineEnd;
use super::keys::KeysCommand;
use super::measure::{MeasureCommand, MeasuresFile, SheetKey};
use super::prefetch::ReadAhead;
use super::reading::ReadingCommand;
use super::settings::{DeviceSetting, DragDoes, ThemeSetting};
use super::surface::SurfaceCommand;
use super::unlock::UnlockCommand;
use super::windows::WindowsCommand;
use super::worklist::{ReadingKey, WorklistCommand};
use crate::findings::operating::Thresholds;
use crate::findings::{CaseResult, Doubt, Findings, ModelInfo, Occlusion, Provenance, Seconds, SliceFinding};
use crate::geometry::{BodyPath, PatientPoint, Plane};
use crate::measure::{self, Levels};
use crate::reading::Reading;
use crate::study::password::{Password, Passwords};
use crate::study::quality::Line;
use crate::study::{Catalog, LoadedSeries, Refused, Series};
use crate::truth::CaseTruth;
use crate::view::planes::{Layout, Pane};
use crate::view::{ImageShape, Interpolation};
use crate::volume::{Slice, Solid, Stack, Window};

/// Which answers belong to which question: an answer with an old number is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RequestId(pub u64);

/// What the left mouse button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tool {
    #[default]
    Window,
    Zoom,
    Pan,
    Scroll,
    Crosshair,
    Measure(measure::Kind),
    /// The window that suits the pixels of a rectangle.
    WindowRegion,
}

/// How much text stands on the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum OverlayDensity {
    #[default]
    Full,
    Minimal,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelSide {
    Series,
    Findings,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    Report,
    Picture,
    /// All panes in one picture.
    Panes,
    /// The worklist with verdicts, as CSV.
    Readings,
}

/// The rectangle of the image view in physical pixels, for commands that depend on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ViewRect {
    pub image: ImageShape,
    pub width: f64,
    pub height: f64,
}

/// A wish of the user.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A folder, a zip archive or a file.
    OpenPath(PathBuf),
    /// Several of them as one list of series.
    OpenPaths(Vec<PathBuf>),
    OpenDemo,
    PickFolder,
    /// Asks for a folder that is opened beside what is open.
    PickFolderToAdd,
    /// Opens these beside what is open: all becomes one list.
    AddPaths(Vec<PathBuf>),
    /// An archive or a file.
    PickFile,
    CloseStudy,
    ShowSeries(usize),
    StepSeries(i32),
    /// In the focused pane, from head to feet or onwards.
    ScrollBy(i64),
    SetLayout(Layout),
    /// Between one pane and three.
    ToggleLayout,
    /// The pane that keys, zoom and pan act upon.
    FocusPane(Pane),
    /// Focuses the pane of a plane; with one pane on the screen, shows it.
    ShowPlane(Plane),
    MoveCrosshair(PatientPoint),
    /// Turns the planes of the other panes (or only one) about the crosshair within a plane, from its rows towards its
    /// columns.
    TurnPlanes {
        within: Plane,
        degrees: f64,
        only: Option<Plane>,
    },
    /// The same by the keyboard, clockwise as the focused pane shows it; degrees.
    TurnBy(f64),
    /// Planes are those of the body again, and the slices as they were acquired.
    StandUp,
    /// To the next thicker (or thinner) slab.
    StepSlab(i32),
    CycleProjection,
    ToggleLines,
    GoToSlice(usize),
    SetWindow(Window),
    /// Key 1 to 9, from 1; 9 is the first of the reader's own.
    Preset(usize),
    /// As the first of the reader's own.
    StoreUserWindow,
    Windows(WindowsCommand),
    FullRangeWindow,
    FileWindow,
    /// Change of width and centre.
    DragWindow {
        width: f64,
        center: f64,
    },
    Zoom {
        view: ViewRect,
        x: f64,
        y: f64,
        factor: f64,
    },
    Pan {
        view: ViewRect,
        dx: f64,
        dy: f64,
    },
    ResetView,
    /// Fits a moved view, else folds or unfolds the panels.
    DoubleClick,
    FlipHorizontal,
    FlipVertical,
    Invert,
    CycleInterpolation,
    /// To the next faster (1) or slower (-1) pace of the cine.
    StepCineRate(i32),
    SetInterpolation(Interpolation),
    CycleOverlay,
    SetTool(Tool),
    Measure(MeasureCommand),
    Worklist(WorklistCommand),
    Reading(ReadingCommand),
    Surface(SurfaceCommand),
    /// The series beside the one being read.
    Beside(BesideCommand),
    ToggleCine,
    StopCine,
    /// A frame at this time, seconds.
    CineTick(f64),
    /// Slices per second.
    SetCineRate(f32),
    /// There and back instead of round and round.
    SetCineSweep(bool),
    /// An end of what is played lies on the slice at hand; where it lay there already, it is away.
    ToggleCineEnd(CineEnd),
    MoveCineEnd(CineEnd, usize),
    /// All slices are played.
    ClearCineRange,
    ToggleHeatmap,
    /// F pressed or released, with the time in seconds: a short press toggles, holding peeks.
    HeatmapKey {
        down: bool,
        time_s: f64,
    },
    /// Shows or hides the reference standard.
    ToggleTruth,
    /// In place of the model card's, for this model.
    ChooseThresholds(Thresholds),
    CardThresholds,
    /// Share of fractured cases among all, 0..=1, that predictive values are told for.
    SetPrevalence(f64),
    SetHeatmapOpacity(f32),
    SetHeatmapEverywhere(bool),
    /// Change of the opacity.
    StepHeatmapOpacity(f32),
    ToggleHeatmapEverywhere,
    NextPeak,
    PreviousPeak,
    /// A slice chosen among the peaks.
    GoToPeak(usize),
    /// The peak at hand in three planes through what the network looked at, and back.
    PeakToEvidence,
    /// Covers one patch of the peak at hand after the other; where that has been done, shows it or the heatmap.
    CheckByOcclusion,
    ShowOcclusion(bool),
    CancelOcclusion,
    /// Smooth, cells, outline.
    CycleHeatmapStyle,
    StartAnalysis,
    /// Analyse although a quality gate speaks against it; the reasons then stand beside the score.
    ForceAnalysis,
    CancelAnalysis,
    CancelLoading,
    PickModel,
    UseModel(Option<PathBuf>),
    SetThreads(usize),
    SetDevice(DeviceSetting),
    SetAutoAnalyse(bool),
    SetInvertVerticalDrag(bool),
    /// How much a drag changes the window, 1 at first.
    SetDragSensitivity(f32),
    /// Slices per notch of the wheel.
    SetWheelSlices(u32),
    SetMiddleDrag(DragDoes),
    SetRightDrag(DragDoes),
    SetTheme(ThemeSetting),
    /// Of everything but the image, percent.
    SetScale(u16),
    /// By so many steps; 0 is back to 100 %.
    StepScale(i16),
    /// The first page has been read.
    AcknowledgeResearchUse,
    SetRememberRecents(bool),
    /// Size up to which results are kept on disk, MB.
    SetKeptResults(u64),
    ClearResults,
    /// How much of what was read stays in memory, MB.
    SetMemory(u64),
    /// The next study of a worklist is read ahead.
    SetPrefetch(bool),
    ClearRecents,
    TogglePanel(PanelSide),
    ToggleHelp,
    ToggleSettings,
    ToggleNotices,
    /// The settings at their page of keys, or at the others.
    ShowKeysPage,
    ShowGeneralPage,
    Keys(KeysCommand),
    /// Bends the focused plane along the spinal canal, or makes it flat again.
    ToggleCurved,
    CancelCanal,
    /// A knot of the line that a bent plane follows goes where that plane is to pass, at the knot's height.
    MoveKnot {
        plane: Plane,
        index: usize,
        at: PatientPoint,
    },
    /// Makes axial slices of a series that has none, and shows them.
    ReformatAxial,
    CancelReformat,
    /// Shows or hides the list of the slice's DICOM attributes.
    ToggleAttributes,
    /// A line of that list to the clipboard: its value, or all of it.
    CopyAttribute {
        line: usize,
        whole: bool,
    },
    ToggleIdentity,
    ToggleFullscreen,
    /// Closes whatever lies on top; never changes the image.
    Escape,
    BeginExport(ExportKind),
    PickExportPath,
    SetExportPath(String),
    ConfirmExport,
    CopyPicture,
    DismissNotices,
    SetPathField(String),
    Unlock(UnlockCommand),
}

/// Which network computes, and on what.
#[derive(Debug, Clone)]
pub struct Machine {
    /// A file of weights; `None` for the program's own choice.
    pub model: Option<PathBuf>,
    pub device: DeviceSetting,
    pub threads: usize,
}

/// An analysis of a series that has been read.
#[derive(Debug, Clone)]
pub struct AnalysisOrder {
    pub request: RequestId,
    pub loaded: LoadedSeries,
    pub machine: Machine,
    pub load_seconds: f64,
    /// Whatever the quality gates say.
    pub force: bool,
    /// A result that was kept of the same voxels and network will do.
    pub recall: bool,
    /// Where none was kept nothing is computed.
    pub only_kept: bool,
    /// Size up to which results are kept, bytes.
    pub keep_bytes: u64,
}

/// An analysis of a study that has yet to be read.
#[derive(Debug, Clone)]
pub struct StudyOrder {
    pub request: RequestId,
    pub series: Arc<Series>,
    pub machine: Machine,
    /// As [`AnalysisOrder::keep_bytes`].
    pub keep_bytes: u64,
}

/// The occlusion check of one slice, whose heatmap has `cells` (rows and columns) and whose logit is known.
#[derive(Debug, Clone)]
pub struct OcclusionOrder {
    pub request: RequestId,
    pub loaded: LoadedSeries,
    pub index: usize,
    pub cells: [usize; 2],
    pub logit: f32,
    /// Of the weights that scored the slice.
    pub sha256: String,
    pub machine: Machine,
}

/// Work for the app, in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// One or several folders, archives and files.
    Scan {
        request: RequestId,
        paths: Vec<PathBuf>,
        passwords: Passwords,
    },
    /// Which of the archives does the password open?
    TryPassword {
        request: RequestId,
        archives: Vec<PathBuf>,
        password: Password,
    },
    MakeDemo {
        request: RequestId,
    },
    /// Supersedes a running load.
    Load {
        request: RequestId,
        series: Arc<Series>,
        first: usize,
    },
    Thumbnails {
        request: RequestId,
        catalog: Arc<Catalog>,
    },
    ThumbnailOf {
        request: RequestId,
        series: usize,
        slice: Arc<Slice>,
    },
    /// Supersedes a running analysis. Loads the network first when it is not at hand.
    Analyse(AnalysisOrder),
    Occlude(OcclusionOrder),
    /// Reads a study and analyses it for the list; supersedes another one. Its voxels are dropped afterwards.
    AnalyseStudy(StudyOrder),
    CancelQueue,
    /// Reads a study that the reader may go on to; supersedes another one. It is read without partial results.
    Prefetch {
        request: RequestId,
        series: Arc<Series>,
    },
    CancelPrefetch,
    CancelScan,
    CancelThumbnails,
    CancelLoad,
    /// As `Load`, of the series beside the one being read.
    LoadBeside {
        request: RequestId,
        series: Arc<Series>,
        /// Decoded first.
        first: usize,
    },
    CancelBeside,
    /// With it goes an occlusion check.
    CancelAnalysis,
    CancelOcclusion,
    /// The slice being read moved; the analysis serves its neighbourhood first.
    Focus(usize),
    PickFolder,
    PickFile,
    PickModel,
    PickExportPath {
        kind: ExportKind,
        suggested: String,
    },
    /// Without `replace` a file that exists is left alone and the answer says so.
    WriteReport {
        path: PathBuf,
        replace: bool,
    },
    /// Of all panes on the screen.
    WritePanes {
        path: PathBuf,
        replace: bool,
    },
    WritePicture {
        path: PathBuf,
        replace: bool,
    },
    WriteReadings {
        path: PathBuf,
        replace: bool,
    },
    CopyPicture,
    ReadReadings {
        keys: Vec<ReadingKey>,
    },
    /// Supersedes an earlier one of the same key that has not been written yet.
    SaveReading {
        key: ReadingKey,
        reading: Box<Reading>,
    },
    SaveSettings,
    /// Removes all kept results.
    ClearResults,
    ReadMeasures {
        key: SheetKey,
    },
    /// Supersedes an earlier one of the same key that has not been written yet.
    SaveMeasures {
        key: SheetKey,
        content: measure::Content,
    },
    /// The copy of the volume that the bone's surface is drawn from; supersedes one being made.
    MakeSolid {
        request: RequestId,
        stack: Stack,
    },
    /// Finds the spinal canal in axial slices.
    FindCanal {
        request: RequestId,
        loaded: LoadedSeries,
    },
    CancelCanal,
    /// Resamples a series to axial slices, in no more than so many bytes.
    Reformat {
        request: RequestId,
        loaded: LoadedSeries,
        limit_bytes: u64,
    },
    CancelReformat,
    CopyText(String),
    /// Lists the attributes of a file.
    ReadAttributes(AttributesOf),
    SetFullscreen(bool),
}

/// How a job other than a success ended, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Cancelled,
    Failed(String),
    /// A quality gate gives no score, in words; the user may override it.
    Stopped(String),
}

/// What came of an effect.
#[derive(Debug, Clone)]
pub enum Event {
    Scanned {
        request: RequestId,
        result: Result<Arc<Catalog>, Ended>,
    },
    /// The archives that the password opens.
    PasswordTried {
        request: RequestId,
        password: Password,
        opened: Result<Vec<PathBuf>, Ended>,
    },
    DemoMade {
        request: RequestId,
        loaded: LoadedSeries,
    },
    SliceDecoded {
        request: RequestId,
        index: usize,
        slice: Arc<Slice>,
    },
    Loaded {
        request: RequestId,
        result: Result<(LoadedSeries, Vec<Refused>), Ended>,
        seconds: f64,
    },
    Thumbnail {
        request: RequestId,
        series: usize,
        thumbnail: Arc<Thumbnail>,
    },
    ModelReady {
        request: RequestId,
        model: Arc<ModelInfo>,
        note: Option<String>,
    },
    /// What header and voxels say for and against a score; comes before any.
    Judged {
        request: RequestId,
        lines: Vec<Line>,
    },
    AnalysisStarted {
        request: RequestId,
        provenance: Provenance,
    },
    /// The whole result, kept since an earlier analysis.
    Recalled {
        request: RequestId,
        findings: Box<Findings>,
    },
    /// The queue has a study's voxels.
    StudyRead {
        request: RequestId,
    },
    Prefetched {
        request: RequestId,
        result: Result<Box<ReadAhead>, Ended>,
    },
    StudyJudged {
        request: RequestId,
        lines: Vec<Line>,
    },
    /// The vertebrae that the reader has named in the study before, as they are kept.
    StudyNamed {
        request: RequestId,
        levels: Levels,
    },
    StudyAnalysed {
        request: RequestId,
        result: Result<Box<Findings>, Ended>,
    },
    /// `None` where the slices show no canal.
    CanalFound {
        request: RequestId,
        result: Result<Option<BodyPath>, Ended>,
    },
    Reformatted {
        request: RequestId,
        result: Result<LoadedSeries, Ended>,
    },
    /// What was kept under each key; the error says why it is not used.
    ReadingsRead(Vec<(ReadingKey, Result<Reading, String>)>),
    ReadingSaved {
        key: ReadingKey,
        result: Result<(), String>,
    },
    SettingsSaved(Result<(), String>),
    /// How many kept results were removed, and their bytes.
    ResultsCleared(Result<(usize, u64), String>),
    SliceRunning {
        request: RequestId,
        index: usize,
    },
    /// What is known of the study whose loading carries this number.
    TruthFound {
        request: RequestId,
        truth: Arc<CaseTruth>,
    },
    SliceScored {
        request: RequestId,
        index: usize,
        finding: SliceFinding,
    },
    CaseScored {
        request: RequestId,
        case: CaseResult,
    },
    /// Why the scores must be read with care.
    Doubted {
        request: RequestId,
        doubt: Doubt,
    },
    AnalysisEnded {
        request: RequestId,
        result: Result<(Seconds, Vec<String>), Ended>,
    },
    /// A folder, an archive or a file.
    StudyPicked(Option<PathBuf>),
    Occluded {
        request: RequestId,
        result: Result<Arc<Occlusion>, Ended>,
    },
    ModelPicked(Option<PathBuf>),
    ExportPathPicked(Option<PathBuf>),
    Exported {
        path: PathBuf,
        result: Result<(), ExportRefusal>,
    },
    Copied(Result<(), String>),
    /// `None` where the volume has no bone.
    SolidMade {
        request: RequestId,
        result: Result<Option<Arc<Solid>>, Ended>,
    },
    /// Pictures of the graphics device compared with the reference; the error says how they differ.
    GraphicsChecked(Result<(), String>),
    /// The error says why nothing can be kept.
    MeasuresRead {
        key: SheetKey,
        result: Result<MeasuresFile, String>,
    },
    AttributesRead {
        of: AttributesOf,
        result: AttributesRead,
    },
    MeasuresSaved {
        key: SheetKey,
        content: measure::Content,
        result: Result<(), String>,
    },
}

/// Why an export was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportRefusal {
    Exists,
    Failed(String),
}

impl ExportRefusal {
    pub fn sentence(&self) -> String {
        match self {
            Self::Exists => "A file of that name exists. Write again to replace it, or choose another name.".to_owned(),
            Self::Failed(text) => text.clone(),
        }
    }
}

/// A small grey picture of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    pub width: usize,
    pub height: usize,
    pub grey: Vec<u8>,
}
