//! Wishes to changes of state and work to be done.

use std::path::PathBuf;
use std::sync::Arc;

use super::evidence::neighbour_peak;
use super::*;
use crate::findings::operating::Thresholds;

/// How an analysis was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Whatever the quality gates say.
    pub force: bool,
    /// A kept result will do.
    pub recall: bool,
    /// Where none is kept nothing is computed.
    pub only_kept: bool,
}

impl Asked {
    pub const BY_ITSELF: Self = Self { force: false, recall: true, only_kept: false };
    pub const IF_KEPT: Self = Self { only_kept: true, ..Self::BY_ITSELF };

    /// As a series that comes to the screen is asked for; `auto` is the reader's wish that it be analysed by itself.
    pub const fn unless_kept_only(auto: bool) -> Self {
        if auto { Self::BY_ITSELF } else { Self::IF_KEPT }
    }
}

/// Carries out the wishes of one group; false where a wish is of another.
type Group = fn(&mut AppState, &Command, &mut Vec<Effect>) -> bool;

/// What is left over changes how the picture looks.
const GROUPS: [Group; 10] = [
    AppState::apply_opening,
    AppState::apply_network,
    AppState::apply_occlusion,
    AppState::apply_heatmap,
    AppState::apply_export,
    AppState::apply_setting,
    AppState::apply_attributes,
    AppState::apply_chrome,
    AppState::apply_to_planes,
    AppState::apply_cine,
];

impl AppState {
    /// Decides what a wish means.
    pub fn apply(&mut self, command: Command) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.count_time();
        match command {
            Command::Keys(command) => self.apply_keys(command, &mut effects),
            Command::Unlock(command) => self.apply_unlock(command, &mut effects),
            Command::ReformatAxial | Command::CancelReformat => self.apply_reformat(&command, &mut effects),
            Command::Windows(command) => self.apply_windows(command, &mut effects),
            Command::StoreUserWindow => self.store_first_window(&mut effects),
            Command::Measure(command) => self.apply_measure(command, &mut effects),
            Command::Worklist(command) => self.apply_worklist(command, &mut effects),
            Command::Reading(command) => self.apply_reading(command, &mut effects),
            Command::Surface(command) => self.apply_surface(command, &mut effects),
            Command::Beside(command) => self.apply_beside(&command, &mut effects),
            command => {
                let known = GROUPS.iter().any(|group| group(self, &command, &mut effects));
                if !known {
                    self.apply_to_image(command, &mut effects);
                }
            }
        }
        self.settle(&mut effects);
        effects
    }

    /// What follows from any change.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.follow_beside();
        self.refresh_heat();
        self.drive_queue(effects);
        self.drive_prefetch(effects);
        self.note_what_is_seen(effects);
        self.ask_for_solid(effects);
        self.follow_attributes(effects);
    }

    /// What is open, and which series of it is on the screen.
    fn apply_opening(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::OpenPath(path) => self.open_paths(vec![path.clone()], effects),
            Command::OpenPaths(paths) => self.open_paths(paths.clone(), effects),
            Command::AddPaths(paths) => self.add_paths(paths.clone(), effects),
            Command::OpenDemo => self.open_demo(effects),
            Command::PickFolder | Command::PickFolderToAdd => {
                self.adding = *command == Command::PickFolderToAdd;
                effects.push(Effect::PickFolder);
            }
            Command::PickFile => {
                self.adding = false;
                effects.push(Effect::PickFile);
            }
            Command::SetPathField(text) => self.path_field.clone_from(text),
            Command::CloseStudy => {
                self.close_study(effects);
                self.unlock = None;
                self.forget_passwords();
            }
            Command::ShowSeries(index) => self.show_series(*index, effects),
            Command::StepSeries(step) => self.step_series(*step, effects),
            // What is open goes on while something else was to be opened.
            Command::CancelLoading if self.scanning.is_some() => effects.push(Effect::CancelScan),
            Command::CancelLoading => {
                effects.extend([Effect::CancelScan, Effect::CancelThumbnails, Effect::CancelLoad]);
            }
            _ => return false,
        }
        true
    }

    /// The network, what it computes, and what is known of that from elsewhere.
    fn apply_network(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::PickModel => effects.push(Effect::PickModel),
            Command::UseModel(path) => self.use_model(path.clone(), effects),
            // Who asks for it again wants it computed.
            Command::StartAnalysis => {
                let recall = self.findings.is_none();
                self.start_analysis(Asked { recall, ..Asked::BY_ITSELF }, effects);
            }
            Command::ForceAnalysis => self.start_analysis(Asked { force: true, ..Asked::BY_ITSELF }, effects),
            Command::CancelAnalysis => effects.push(Effect::CancelAnalysis),
            Command::ClearResults => effects.push(Effect::ClearResults),
            Command::ChooseThresholds(thresholds) => self.choose_thresholds(Some(*thresholds), effects),
            Command::CardThresholds => self.choose_thresholds(None, effects),
            Command::NextPeak | Command::PreviousPeak => {
                let current = self.active.as_ref().map_or(0, |a| a.current);
                if let Some(peak) = neighbour_peak(self.peaks(), current, *command == Command::NextPeak) {
                    self.show_peak(peak, effects);
                }
            }
            Command::GoToPeak(index) => self.show_peak(*index, effects),
            Command::PeakToEvidence => self.toggle_evidence(effects),
            Command::ToggleTruth => self.toggle_truth(),
            _ => return false,
        }
        true
    }

    pub(super) fn open_paths(&mut self, paths: Vec<PathBuf>, effects: &mut Vec<Effect>) {
        if paths.is_empty() {
            return;
        }
        // What is open stays until something else is there to be shown.
        let request = self.next_request();
        self.scan_request = request;
        self.scanning = Some(paths.clone());
        let passwords = self.passwords.clone();
        effects.push(Effect::Scan { request, paths, passwords });
    }

    /// What is open is looked through again with what joins it; what was drawn, said and scored of it is on disk.
    fn add_paths(&mut self, more: Vec<PathBuf>, effects: &mut Vec<Effect>) {
        let mut paths = self.study.as_ref().map(|study| study.paths.clone()).unwrap_or_default();
        for path in more {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        self.open_paths(paths, effects);
    }

    fn open_demo(&mut self, effects: &mut Vec<Effect>) {
        let request = self.next_request();
        self.scan_request = request;
        self.scanning = None;
        effects.push(Effect::MakeDemo { request });
    }

    pub(super) fn close_study(&mut self, effects: &mut Vec<Effect>) {
        self.leave_series(effects);
        self.drop_job(effects);
        self.drop_reformat(effects);
        self.drop_canal(effects);
        self.drop_prefetch(effects);
        self.clear_shelf();
        self.worklist = Worklist::default();
        effects.extend([Effect::CancelScan, Effect::CancelThumbnails, Effect::CancelLoad, Effect::CancelBeside]);
        self.beside = None;
        self.scanning = None;
        self.study = None;
        self.cine = None;
        self.active = None;
        self.forget_analysis();
        self.scan_request = RequestId::default();
        self.thumbnails_request = RequestId::default();
        self.load_request = RequestId::default();
        self.export = None;
    }

    pub(super) fn forget_analysis(&mut self) {
        self.analysis_request = RequestId::default();
        self.analysis = AnalysisState::NotRun;
        self.findings = None;
        self.judged = None;
        self.heat_is_stale = true;
        self.occlusion = None;
        self.forget_evidence();
    }

    pub(super) fn show_series(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let Some(series) = self.study.as_ref().and_then(|s| s.catalog.series.get(index)) else { return };
        if self.active.as_ref().is_some_and(|a| a.index == index && a.load_failed.is_none()) {
            return;
        }
        let series = Arc::new(series.clone());
        if self.leads_to_what_is_beside(index, &series, effects) {
            return;
        }
        // A change of series keeps the reader's window, so that a comparison is not spoilt by the viewer.
        let window = self.active.as_ref().map(|a| a.window.clone());
        self.export = None;
        self.leave_series(effects);
        self.choose_series(index);
        if self.bring_back(index, window.clone(), effects) {
            return;
        }
        let request = self.next_request();
        self.load_request = request;
        let first = series.slices.len() / 2;
        self.active = Some(active_series(index, series.clone(), window));
        effects.push(Effect::Load { request, series, first });
        self.ask_for_measures(effects);
    }

    fn step_series(&mut self, step: i32, effects: &mut Vec<Effect>) {
        if self.step_beside(step, effects) {
            return;
        }
        let (Some(study), Some(active)) = (&self.study, &self.active) else { return };
        // Within the study: from one study to the next lead other keys.
        let all: Vec<usize> = (0..study.catalog.series.len()).collect();
        let own = self.active_row().and_then(|row| self.worklist.rows.get(row)).map_or(&all, |row| &row.series);
        let at = own.iter().position(|index| *index == active.index).unwrap_or(0);
        let target = at.saturating_add_signed(step as isize).min(own.len().saturating_sub(1));
        if let Some(target) = own.get(target).copied() {
            self.show_series(target, effects);
        }
    }

    fn use_model(&mut self, path: Option<PathBuf>, effects: &mut Vec<Effect>) {
        self.settings.model = path;
        self.model = None;
        effects.push(Effect::CancelAnalysis);
        self.forget_analysis();
        self.forget_shelved_results();
        self.forget_results(effects);
        Self::save(effects);
        self.start_analysis(Asked::BY_ITSELF, effects);
    }

    pub(super) fn start_analysis(&mut self, asked: Asked, effects: &mut Vec<Effect>) {
        let Some(active) = &self.active else { return };
        if let Some(stop) = active.series.analysis_stop() {
            self.forget_analysis();
            self.analysis = AnalysisState::NotApplicable(stop.clone());
            return self.mark_active(Work::NotApplicable(stop));
        }
        let Some(loaded) = active.loaded.clone() else { return };
        let (load_seconds, current) = (active.load_seconds, active.current);
        let request = self.next_request();
        self.analysis_request = request;
        self.findings = None;
        self.judged = None;
        self.occlusion = None;
        self.heat_is_stale = true;
        if !asked.only_kept {
            self.analysis = AnalysisState::Preparing("preparing the network");
            self.mark_active(Work::Running);
        }
        effects.push(Effect::Focus(current));
        effects.push(Effect::Analyse(AnalysisOrder {
            request,
            loaded,
            machine: self.settings.machine(),
            load_seconds,
            force: asked.force,
            recall: asked.recall,
            only_kept: asked.only_kept,
            keep_bytes: self.settings.kept_results_mb << 20,
        }));
    }

    /// Remembered with the model, whose scores they belong to.
    fn choose_thresholds(&mut self, wanted: Option<Thresholds>, effects: &mut Vec<Effect>) {
        let Some(model) = self.model_in_use().cloned() else { return };
        let within = |v: f32| (0.0..=1.0).contains(&v);
        let chosen = wanted.filter(|t| within(t.slice) && within(t.case) && *t != model.thresholds());
        match chosen {
            Some(thresholds) => self.settings.thresholds.insert(model.sha256.clone(), thresholds),
            None => self.settings.thresholds.remove(&model.sha256),
        };
        if let Some(findings) = &mut self.findings {
            findings.chosen = chosen;
        }
        self.heat_is_stale = true;
        Self::save(effects);
    }

    fn toggle_truth(&mut self) {
        self.truth_on = !self.truth_on;
        let none = self.active.as_ref().is_some_and(|active| active.truth.is_none());
        if self.truth_on && self.results_hidden() {
            self.notice(Severity::Info, format!("The reference standard is {HIDDEN}."));
        } else if self.truth_on && none {
            self.notice(
                Severity::Info,
                "No reference standard lies beside this study; boxes are shown for synthetic necks and RSNA 2022's layout.",
            );
        }
    }

    fn apply_heatmap(&mut self, command: &Command, _: &mut Vec<Effect>) -> bool {
        match *command {
            Command::ToggleHeatmap => self.heatmap_on = !self.heatmap_on,
            Command::HeatmapKey { down: true, time_s } => {
                if self.heatmap_key.is_none() {
                    self.heatmap_key = Some(time_s);
                    self.heatmap_on = !self.heatmap_on;
                }
            }
            Command::HeatmapKey { down: false, time_s } => {
                let peeked = self.heatmap_key.take().is_some_and(|since| time_s - since > PEEK_S);
                self.heatmap_on ^= peeked;
            }
            _ => return false,
        }
        true
    }

    fn apply_to_image(&mut self, command: Command, effects: &mut Vec<Effect>) {
        if self.apply_to_beside(&command, effects) {
            return;
        }
        let first_own = self.settings.user_windows.first().map(|own| own.window.clone());
        let focus = self.focused_pane();
        if let (Command::ScrollBy(by), Pane::Across(plane)) = (&command, focus) {
            return self.scroll_plane(plane, *by, effects);
        }
        let Some(active) = &mut self.active else {
            if let Command::SetTool(tool) = command {
                self.tool = tool;
            }
            return;
        };
        match command {
            Command::ScrollBy(by) => {
                let to = active.current.saturating_add_signed(isize::try_from(by).unwrap_or_default());
                self.go_to_slice(to, effects);
            }
            Command::GoToSlice(index) => self.go_to_slice(index, effects),
            Command::ResetView => {
                change_picture(active, focus, &command, first_own);
                self.slab.thickness_mm = 0.0;
                self.change_planes(|planes| planes.own_slab.thickness_mm = 0.0);
            }
            Command::DoubleClick => self.double_click(effects),
            Command::SetTool(tool) => {
                self.tool = tool;
                active.measures.draft = None;
            }
            _ => change_picture(active, focus, &command, first_own),
        }
    }

    /// The last slice where there are fewer.
    pub(super) fn go_to_slice(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let before = active.current;
        active.current = index.min(active.slice_count().saturating_sub(1));
        if active.current != before {
            if let Some(planes) = &mut active.planes {
                planes.follow(active.current);
            }
            effects.push(Effect::Focus(active.current));
        }
    }

    fn double_click(&mut self, effects: &mut Vec<Effect>) {
        let (focus, one) = (self.focused_pane(), self.settings.layout == Layout::One);
        let Some(active) = &mut self.active else { return };
        let view = active.view_mut(focus);
        let fitted = ViewState { zoom: 1.0, pan: [0.0, 0.0], ..*view };
        if one && *view != fitted {
            *view = fitted;
            return;
        }
        if self.maximise(effects) {
            return;
        }
        let any = self.settings.show_series || self.settings.show_findings;
        self.settings.show_series = !any;
        self.settings.show_findings = !any;
        Self::save(effects);
    }
}

/// What changes how the slices of one series look, and nothing else. `first_own` is the reader's own window of key 9.
pub(super) fn change_picture(active: &mut ActiveSeries, pane: Pane, command: &Command, first_own: Option<Window>) {
    match *command {
        Command::SetWindow(ref window) if window.is_valid() => active.window = window.clone(),
        Command::Preset(9) => {
            if let Some(own) = first_own {
                active.window = own;
            }
        }
        Command::Preset(n) => {
            if let Some((_, window)) = n.checked_sub(1).and_then(|i| Window::PRESETS.into_iter().nth(i)) {
                active.window = window;
            }
        }
        Command::FullRangeWindow => {
            if let Some([low, high]) = active.slice().and_then(|s| s.min_max()) {
                active.window = Window::covering(f64::from(low), f64::from(high));
            }
        }
        Command::FileWindow => active.window = file_window(active),
        Command::DragWindow { width, center } => {
            // Whoever drags leaves a table of the file's for the straight line next to it.
            active.window.table = None;
            active.window.width = (active.window.width + width).clamp(1.0, 65_536.0).round();
            active.window.center = (active.window.center + center).clamp(-70_000.0, 70_000.0).round();
        }
        Command::Zoom { view, x, y, factor } => {
            active.view_mut(pane).zoom_about(view.image, view.width, view.height, x, y, factor);
        }
        Command::Pan { view, dx, dy } => active.view_mut(pane).pan_by(view.image, view.width, view.height, dx, dy),
        Command::ResetView => {
            active.view = ViewState::default();
            if let Some(planes) = &mut active.planes {
                planes.reset_views();
            }
            active.invert = false;
            active.window = opening_window(&active.series);
        }
        Command::FlipHorizontal => active.view_mut(pane).flip_horizontal ^= true,
        Command::FlipVertical => active.view_mut(pane).flip_vertical ^= true,
        Command::Invert => active.invert = !active.invert,
        _ => {}
    }
}

fn file_window(active: &ActiveSeries) -> Window {
    active
        .series
        .file_windows
        .first()
        .cloned()
        .or_else(|| active.slice()?.min_max().map(|[low, high]| Window::covering(f64::from(low), f64::from(high))))
        .unwrap_or_else(|| active.window.clone())
}
