//! Results to changes of state and further work.

use std::path::Path;
use std::sync::Arc;

use super::apply::Asked;
use super::*;
use crate::findings::describe::counted;

/// Of more that were dropped at once none is remembered: they are the files of a study, not studies.
const MOST_REMEMBERED_AT_ONCE: usize = 4;

impl AppState {
    /// Takes a result. One that answers a question no longer asked is dropped.
    pub fn receive(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.count_time();
        let Some(event) = self.receive_beside(event) else {
            self.settle(&mut effects);
            return effects;
        };
        match event {
            Event::Scanned { request, result } if request == self.scan_request => {
                self.scanned(result, &mut effects);
                self.forget_passwords();
            }
            Event::PasswordTried { request, password, opened } => {
                self.password_tried(request, &password, opened, &mut effects);
            }
            Event::DemoMade { request, loaded } if request == self.scan_request => {
                self.demo_made(request, loaded, &mut effects);
            }
            Event::Thumbnail { request, series, thumbnail } if request == self.thumbnails_request => {
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
            Event::TruthFound { request, truth } if request == self.load_request => {
                if let Some(active) = &mut self.active {
                    active.truth = Some(truth);
                }
            }
            Event::StudyPicked(Some(path)) => {
                let adds = std::mem::take(&mut self.adding);
                effects.extend(self.apply(if adds { Command::AddPaths(vec![path]) } else { Command::OpenPath(path) }));
            }
            Event::StudyPicked(None) => self.notice(
                Severity::Info,
                "Nothing was chosen. If no dialog appeared, type the path on the start screen or drop the folder, archive or file on this window.",
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
            Event::Occluded { request, result } => self.occluded(request, result),
            Event::ResultsCleared(Ok((count, bytes))) => {
                let text = match count {
                    0 => "No results were kept on this computer.".to_owned(),
                    n => format!("{} removed from this computer ({:.1} MB).", counted(n, "kept result"), bytes as f64 / 1e6),
                };
                self.notice(Severity::Info, text);
            }
            Event::ResultsCleared(Err(why)) => {
                self.notice(Severity::Error, format!("The kept results could not all be removed: {why}"));
            }
            Event::SolidMade { request, result } => self.solid_made(request, result),
            Event::CanalFound { request, result } => self.canal_found(request, result),
            Event::Reformatted { request, result } => self.reformatted(request, result, &mut effects),
            Event::GraphicsChecked(result) => self.graphics_checked(result),
            Event::MeasuresRead { key, result } => self.measures_read(&key, result, &mut effects),
            Event::AttributesRead { of, result } => self.attributes_read(of, result),
            Event::MeasuresSaved { key, content, result } => self.measures_saved(&key, &content, result),
            Event::SettingsSaved(Ok(())) => {}
            Event::SettingsSaved(Err(why)) => {
                let text = format!("The settings could not be stored and last until the window is closed: {why}");
                self.notice(Severity::Warning, text);
            }
            Event::Prefetched { request, result } => self.prefetched(request, result),
            Event::ReadingsRead(read) => self.readings_read(read),
            Event::ReadingSaved { key, result } => self.reading_saved(&key, result),
            event @ (Event::StudyRead { .. }
            | Event::StudyJudged { .. }
            | Event::StudyNamed { .. }
            | Event::StudyAnalysed { .. }) => self.receive_queue(event),
            other => self.receive_analysis(other),
        }
        self.settle(&mut effects);
        effects
    }

    fn graphics_checked(&mut self, result: Result<(), String>) {
        let Err(fault) = result else { return };
        let text = format!(
            "{}. The processor draws the pictures instead, slower but right. A newer graphics driver may help; \
             WGPU_BACKEND chooses another one.",
            uppercase_first(&fault)
        );
        self.notice(Severity::Warning, text);
        self.graphics_fault = Some(fault);
    }

    fn scanned(&mut self, result: Result<Arc<Catalog>, Ended>, effects: &mut Vec<Effect>) {
        let paths = self.scanning.take().unwrap_or_default();
        let catalog = match result {
            Ok(catalog) => catalog,
            Err(Ended::Cancelled) => return self.notice(Severity::Info, "Opening was cancelled; nothing was changed."),
            Err(Ended::Failed(text) | Ended::Stopped(text)) => {
                let names = paths.iter().map(|path| path.display().to_string()).collect();
                return self.notice_naming(Severity::Error, text, names);
            }
        };
        if !catalog.series.is_empty() && paths.len() <= MOST_REMEMBERED_AT_ONCE {
            paths.iter().rev().for_each(|path| self.settings.remember(path));
            Self::save(effects);
        }
        let asks = self.ask_for_password(&catalog, &paths);
        let told: Vec<Refused> = catalog.refused.iter().filter(|r| !self.awaits_password(r)).cloned().collect();
        self.report_refused(&told);
        let Some(likeliest) = catalog.likeliest() else {
            if asks && told.is_empty() {
                return;
            }
            let text = match catalog.refused.len() {
                0 => "Nothing to show: no DICOM image was found there. Open the folder or zip archive that holds the image \
                      files of a study."
                    .to_owned(),
                1 => "Nothing to show: what was found there could not be used. The list of notices says why.".to_owned(),
                n => format!("Nothing to show: none of the {n} files there could be used. The list of notices says why."),
            };
            self.show_notices = true;
            return self.notice(Severity::Error, text);
        };
        self.close_study(effects);
        // The start page asks for the next one; what could not be opened stays, to be mended.
        self.path_field.clear();
        self.thumbnails_request = self.next_request();
        effects.push(Effect::Thumbnails { request: self.thumbnails_request, catalog: catalog.clone() });
        self.study = Some(OpenStudy { thumbnails: vec![None; catalog.series.len()], catalog, paths });
        self.list_studies(effects);
        if !self.has_worklist() {
            self.show_series(likeliest, effects);
        }
    }

    /// One notice for all files that are refused for the same reason, such as those of an encrypted archive.
    pub(super) fn report_refused(&mut self, refused: &[Refused]) {
        let mut reasons: Vec<(&Refused, usize)> = Vec::new();
        for r in refused {
            // The sentence names the file itself where it comes from the reader.
            let known = reasons.iter_mut().find(|(first, _)| first.text == r.text && !r.text.starts_with(&r.file));
            match known {
                Some((_, count)) => *count += 1,
                None => reasons.push((r, 1)),
            }
        }
        for (r, count) in reasons {
            let text = match count {
                1 if r.text.starts_with(&r.file) => r.text.clone(),
                1 => format!("{}: {}", r.file, r.text),
                2 => format!("{} and one more file, each: {}", r.file, r.text),
                _ => format!("{} and {} more files, each: {}", r.file, count - 1, r.text),
            };
            self.notice_naming(Severity::Warning, text, vec![r.file.clone()]);
        }
    }

    fn demo_made(&mut self, request: RequestId, loaded: LoadedSeries, effects: &mut Vec<Effect>) {
        let catalog = Arc::new(Catalog { series: vec![Series::clone(&loaded.series)], ..Catalog::default() });
        self.close_study(effects);
        self.unlock = None;
        self.forget_passwords();
        // Its reference standard comes next, by the same request.
        self.load_request = request;
        self.thumbnails_request = self.next_request();
        if let Some(slice) = loaded.volume.slices().get(loaded.volume.slices().len() / 2) {
            effects.push(Effect::ThumbnailOf { request: self.thumbnails_request, series: 0, slice: slice.clone() });
        }
        self.study = Some(OpenStudy { catalog, thumbnails: vec![None], paths: Vec::new() });
        self.list_studies(effects);
        self.active = Some(active_series(0, loaded.series.clone(), None));
        self.loaded(Ok((loaded, Vec::new())), 0.0, effects);
    }

    fn loaded(&mut self, result: Result<(LoadedSeries, Vec<Refused>), Ended>, seconds: f64, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let (loaded, refused) = match result {
            Ok(done) => done,
            Err(Ended::Cancelled) => {
                active.load_failed = Some("loading was cancelled; the slices read so far can be seen".to_owned());
                let (read, of) = (active.decoded(), active.slice_count());
                self.mark_active(Work::Stopped);
                let text = format!(
                    "Loading was cancelled: {read} of {of} slices have been read and can be seen. Choosing the series again reads \
                     all of it."
                );
                return self.notice(Severity::Info, text);
            }
            Err(Ended::Failed(text) | Ended::Stopped(text)) => {
                active.load_failed = Some(text.clone());
                self.mark_active(Work::Failed(text.clone()));
                return self.notice(Severity::Error, text);
            }
        };
        active.load_seconds = seconds;
        active.take_loaded(loaded, &refused);
        self.keep_budget();
        self.report_refused(&refused);
        self.ask_for_measures(effects);
        if let Some(stop) = self.active.as_ref().and_then(|a| a.series.analysis_stop()) {
            self.analysis = AnalysisState::NotApplicable(stop.clone());
            self.mark_active(Work::NotApplicable(stop));
        } else {
            self.start_analysis(Asked::unless_kept_only(self.settings.auto_analyse), effects);
        }
    }

    fn exported(&mut self, path: &Path, result: Result<(), ExportRefusal>) {
        match result {
            Ok(()) => {
                self.export = None;
                if let Some(folder) = path.parent() {
                    self.export_folder = folder.to_owned();
                }
                let path = path.display().to_string();
                self.notice_naming(Severity::Info, format!("Written: {path}"), vec![path]);
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
            Event::Judged { request, lines } if request == current => self.judged = Some(lines),
            Event::Recalled { request, findings } if request == current => self.recalled(*findings),
            Event::AnalysisStarted { request, provenance } if request == current => {
                let matches = self
                    .active
                    .as_ref()
                    .and_then(|a| a.loaded.as_ref())
                    .is_some_and(|l| l.volume.id() == provenance.volume);
                if matches {
                    let slices = self.active.as_ref().map_or(0, ActiveSeries::slice_count);
                    let judged = self.judged.clone().unwrap_or_default();
                    let chosen = self.settings.thresholds.get(&provenance.model.sha256).copied();
                    self.findings = Some(Findings { chosen, judged, ..Findings::new(provenance, slices) });
                    self.heat_is_stale = true;
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
            Event::Doubted { request, doubt } if request == current => {
                if let Some(findings) = &mut self.findings {
                    findings.doubts.push(doubt);
                }
            }
            Event::AnalysisEnded { request, result } if request == current => self.analysis_ended(result),
            _ => {}
        }
    }

    /// A kept result stands in for the analysis, if it is of the voxels on the screen.
    fn recalled(&mut self, findings: Findings) {
        let volume = self.active.as_ref().and_then(|a| a.loaded.as_ref()).map(|l| l.volume.id());
        if volume == Some(findings.provenance.volume) {
            let chosen = self.settings.thresholds.get(&findings.provenance.model.sha256).copied();
            self.judged = Some(findings.judged.clone());
            self.findings = Some(Findings { chosen, ..findings });
            self.heat_is_stale = true;
        }
    }

    fn set_slice(&mut self, index: usize, state: SliceState) {
        if let Some(slot) = self.findings.as_mut().and_then(|f| f.slices.get_mut(index)) {
            self.heat_is_stale |= matches!(state, SliceState::Done(_));
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
            Err(Ended::Stopped(text)) => {
                self.mark_active(Work::Gated(text.clone()));
                AnalysisState::Stopped(text)
            }
            Err(Ended::Failed(text)) => {
                self.notice(Severity::Error, format!("The analysis failed: {text}"));
                self.mark_active(Work::Failed(text.clone()));
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
        match self.analysis {
            AnalysisState::Done => self.result_of_active(),
            AnalysisState::Cancelled => self.mark_active(Work::Stopped),
            _ => {}
        }
    }
}

fn uppercase_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
