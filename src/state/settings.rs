//! What the program remembers between starts. No patient text except the paths of recent studies, which can be
//! switched off and cleared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::{Machine, OverlayDensity, PanelSide};
use super::keymap::KeyNames;
use super::keys::OWN_MAP;
use super::surface::FourthPane;
use super::windows::{self, UserWindow};
use super::{AppState, Command, Effect};
use crate::findings::operating::Thresholds;
use crate::jobs::default_threads;
use crate::view::planes::Layout;
use crate::view::surface::DEFAULT_THRESHOLD_HU;
use crate::view::{DEFAULT_HEATMAP_OPACITY, HeatmapStyle, Interpolation, MAX_HEATMAP_OPACITY};
use crate::volume::Window;

/// Where the user wants the network to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSetting {
    #[default]
    Auto,
    Cpu,
    /// Half precision where the processor has it.
    CpuHalf,
    Cuda,
    Metal,
}

/// The colours of panels and dialogs; images are black in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThemeSetting {
    #[default]
    Dark,
    Light,
    /// What the desktop says; dark where it says nothing.
    System,
}

/// What a drag with a mouse button does to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DragDoes {
    Pan,
    Zoom,
    Window,
    Scroll,
}

impl DragDoes {
    pub const ALL: [Self; 4] = [Self::Pan, Self::Zoom, Self::Window, Self::Scroll];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pan => "pan",
            Self::Zoom => "zoom",
            Self::Window => "window",
            Self::Scroll => "scroll",
        }
    }
}

/// Scales of the interface, percent.
pub const SCALES: std::ops::RangeInclusive<u16> = 100..=250;
const SCALE_STEP: i16 = 10;

/// Unknown fields of a newer version are ignored and missing ones take their defaults.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    pub recents: Vec<PathBuf>,
    pub remember_recents: bool,
    /// The reader's own; key 9 takes the first.
    pub user_windows: Vec<UserWindow>,
    /// The only one that earlier versions kept; read, never written.
    #[serde(skip_serializing)]
    pub user_window: Option<Window>,
    pub show_series: bool,
    pub show_findings: bool,
    pub layout: Layout,
    pub fourth_pane: FourthPane,
    /// Where the bone's surface lies, HU.
    pub bone_hu: f32,
    pub overlay: OverlayDensity,
    pub interpolation: Interpolation,
    pub heatmap_opacity: f32,
    pub heatmap_everywhere: bool,
    /// Slices per second of a cine.
    pub cine_rate: f32,
    /// A cine goes there and back instead of round and round.
    pub cine_sweep: bool,
    pub heatmap_style: HeatmapStyle,
    pub auto_analyse: bool,
    pub invert_vertical_drag: bool,
    /// How much a drag changes the window; 1 is the program's own pace.
    pub drag_sensitivity: f32,
    /// Slices per notch of the wheel.
    pub wheel_slices: u32,
    /// With the middle button.
    pub middle_drag: DragDoes,
    /// With the right button.
    pub right_drag: DragDoes,
    pub theme: ThemeSetting,
    /// Of everything but the image, percent, beside the desktop's own scale.
    pub scale_percent: u16,
    /// The chosen map of keys.
    pub keymap: String,
    /// The reader's changes to it: names of actions and their keys.
    pub own_keys: KeyNames,
    /// The first page, which says what this is not for, has been read.
    pub acknowledged: bool,
    /// Compute threads; `None` leaves one core to the window.
    pub threads: Option<usize>,
    pub device: DeviceSetting,
    pub model: Option<PathBuf>,
    /// Thresholds that the reader chose, by the SHA-256 of the weights.
    pub thresholds: BTreeMap<String, Thresholds>,
    /// Share of fractured cases among all, 0..=1, that predictive values are told for.
    pub prevalence: f64,
    /// Size up to which results are kept on disk, MB; 0 keeps none.
    pub kept_results_mb: u64,
    /// How much of what was read stays in memory, MB.
    pub memory_mb: u64,
    /// The next study of a worklist is read ahead.
    pub prefetch: bool,
    /// Results are hidden until the reader's own verdict.
    pub blind_first: bool,
    /// Who reads; may be empty.
    pub reader: String,
}

/// An emergency series of CT of the neck has 2 to 7 %.
pub const DEFAULT_PREVALENCE: f64 = 0.05;

impl Default for Settings {
    fn default() -> Self {
        Self {
            recents: Vec::new(),
            remember_recents: true,
            user_windows: Vec::new(),
            user_window: None,
            show_series: true,
            show_findings: true,
            layout: Layout::One,
            fourth_pane: FourthPane::default(),
            bone_hu: DEFAULT_THRESHOLD_HU,
            overlay: OverlayDensity::Full,
            interpolation: Interpolation::Linear,
            heatmap_opacity: DEFAULT_HEATMAP_OPACITY,
            heatmap_everywhere: false,
            cine_rate: 10.0,
            cine_sweep: false,
            heatmap_style: HeatmapStyle::default(),
            auto_analyse: true,
            invert_vertical_drag: false,
            drag_sensitivity: 1.0,
            wheel_slices: 1,
            middle_drag: DragDoes::Pan,
            right_drag: DragDoes::Zoom,
            theme: ThemeSetting::Dark,
            scale_percent: *SCALES.start(),
            keymap: OWN_MAP.to_owned(),
            own_keys: KeyNames::new(),
            acknowledged: false,
            threads: None,
            device: DeviceSetting::Auto,
            model: None,
            thresholds: BTreeMap::new(),
            prevalence: DEFAULT_PREVALENCE,
            kept_results_mb: 512,
            memory_mb: 2048,
            prefetch: true,
            blind_first: false,
            reader: String::new(),
        }
    }
}

const RECENTS: usize = 8;

/// How much a drag may change the window.
pub const DRAG_SENSITIVITIES: std::ops::RangeInclusive<f32> = 0.25..=4.0;
/// Slices per notch of the wheel.
pub const WHEEL_SLICES: std::ops::RangeInclusive<u32> = 1..=10;

impl Settings {
    /// Numbers of a file that somebody edited, put where they can be used.
    pub(super) fn within_reason(mut self) -> Self {
        self.scale_percent = self.scale_percent.clamp(*SCALES.start(), *SCALES.end());
        self.wheel_slices = self.wheel_slices.clamp(*WHEEL_SLICES.start(), *WHEEL_SLICES.end());
        let (low, high) = (*DRAG_SENSITIVITIES.start(), *DRAG_SENSITIVITIES.end());
        self.drag_sensitivity =
            if self.drag_sensitivity.is_finite() { self.drag_sensitivity.clamp(low, high) } else { 1.0 };
        self.user_windows = windows::within_reason(std::mem::take(&mut self.user_windows), self.user_window.take());
        self
    }

    /// Settings of how the program looks and feels.
    fn apply_comfort(&mut self, command: &Command) -> bool {
        let mut changed = self.clone();
        match command {
            Command::SetDragSensitivity(factor) => changed.drag_sensitivity = *factor,
            Command::SetWheelSlices(n) => changed.wheel_slices = *n,
            Command::SetMiddleDrag(does) => changed.middle_drag = *does,
            Command::SetRightDrag(does) => changed.right_drag = *does,
            Command::SetTheme(theme) => changed.theme = *theme,
            Command::SetScale(percent) => changed.scale_percent = *percent,
            Command::StepScale(0) => changed.scale_percent = *SCALES.start(),
            Command::StepScale(steps) => {
                changed.scale_percent = changed.scale_percent.saturating_add_signed(steps.saturating_mul(SCALE_STEP));
            }
            Command::AcknowledgeResearchUse => changed.acknowledged = true,
            _ => return false,
        }
        *self = changed.within_reason();
        true
    }

    /// The network as it is chosen now.
    pub fn machine(&self) -> Machine {
        let threads = self.threads.unwrap_or_else(default_threads);
        Machine { model: self.model.clone(), device: self.device, threads }
    }

    pub fn remember(&mut self, path: &Path) {
        if self.remember_recents {
            self.recents.retain(|p| p != path);
            self.recents.insert(0, path.to_owned());
            self.recents.truncate(RECENTS);
        }
    }
}

impl AppState {
    pub(super) fn apply_setting(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
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
            Command::SetMemory(mb) => {
                s.memory_mb = (*mb).min(1 << 22);
                self.keep_budget();
            }
            Command::SetPrefetch(on) => s.prefetch = *on,
            Command::SetKeptResults(mb) => s.kept_results_mb = (*mb).min(1 << 20),
            Command::SetInterpolation(interpolation) => s.interpolation = *interpolation,
            Command::CycleInterpolation => s.interpolation = s.interpolation.next(),
            Command::SetHeatmapOpacity(opacity) => s.heatmap_opacity = opacity.clamp(0.05, MAX_HEATMAP_OPACITY),
            Command::StepHeatmapOpacity(by) => {
                s.heatmap_opacity = (s.heatmap_opacity + by).clamp(0.05, MAX_HEATMAP_OPACITY);
            }
            Command::SetHeatmapEverywhere(on) => {
                s.heatmap_everywhere = *on;
                self.heat_is_stale = true;
            }
            Command::ToggleHeatmapEverywhere => {
                s.heatmap_everywhere = !s.heatmap_everywhere;
                self.heat_is_stale = true;
            }
            Command::SetPrevalence(share) if share.is_finite() => s.prevalence = share.clamp(0.0, 1.0),
            Command::CycleHeatmapStyle => s.heatmap_style = s.heatmap_style.next(),
            Command::TogglePanel(PanelSide::Series) => s.show_series = !s.show_series,
            Command::TogglePanel(PanelSide::Findings) => s.show_findings = !s.show_findings,
            Command::CycleOverlay => {
                s.overlay = match s.overlay {
                    OverlayDensity::Full => OverlayDensity::Minimal,
                    OverlayDensity::Minimal => OverlayDensity::None,
                    OverlayDensity::None => OverlayDensity::Full,
                }
            }
            other => {
                if !s.apply_comfort(other) {
                    return false;
                }
            }
        }
        Self::save(effects);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_another_version_are_read_as_far_as_they_go() {
        let s: Settings = serde_json::from_str(r#"{"auto_analyse":false,"from_the_future":[1]}"#).expect("tolerant");
        assert!(!s.auto_analyse && s.remember_recents);
    }

    #[test]
    fn scale_pace_and_wheel_stay_within_reason() {
        let mut s: Settings = serde_json::from_str(r#"{"scale_percent":9000,"wheel_slices":0,"drag_sensitivity":1e9}"#)
            .expect("tolerant");
        s = s.within_reason();
        assert_eq!((s.scale_percent, s.wheel_slices, s.drag_sensitivity), (250, 1, 4.0));
        s.apply_comfort(&Command::StepScale(-1));
        assert_eq!(s.scale_percent, 240);
        s.apply_comfort(&Command::StepScale(0));
        s.apply_comfort(&Command::StepScale(-1));
        assert_eq!(s.scale_percent, 100);
        s.apply_comfort(&Command::SetDragSensitivity(f32::NAN));
        assert_eq!(s.drag_sensitivity, 1.0);
        s.apply_comfort(&Command::SetTheme(ThemeSetting::System));
        let again: Settings = serde_json::from_str(&serde_json::to_string(&s).expect("JSON")).expect("settings");
        assert_eq!(again, s);
    }

    #[test]
    fn recents_are_unique_newest_first_and_bounded() {
        let mut s = Settings::default();
        for i in 0..20 {
            s.remember(Path::new(&format!("/s{i}")));
        }
        s.remember(Path::new("/s15"));
        assert_eq!(s.recents.len(), 8);
        assert_eq!(s.recents[0], Path::new("/s15"));
        assert_eq!(s.recents.iter().filter(|p| p.ends_with("s15")).count(), 1);
        s.remember_recents = false;
        s.remember(Path::new("/new"));
        assert!(!s.recents.contains(&PathBuf::from("/new")));
    }
}
