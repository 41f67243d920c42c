//! The occlusion check of a peak: asked for by the reader, computed in the background, shown in the heatmap's place.

use super::*;
use crate::findings::Occlusion;

/// The check that was asked for last; one slice at a time.
#[derive(Debug, Clone)]
pub struct OcclusionCheck {
    /// 0-based, display order.
    pub slice: usize,
    pub state: OcclusionState,
    request: RequestId,
}

#[derive(Debug, Clone)]
pub enum OcclusionState {
    Running,
    Done(Arc<Occlusion>),
    Failed(String),
}

impl AppState {
    /// The check of the slice on the screen, if there is one.
    pub fn occlusion_here(&self) -> Option<&OcclusionCheck> {
        let current = self.active.as_ref()?.current;
        self.occlusion.as_ref().filter(|check| check.slice == current && !self.results_hidden())
    }

    /// The map of the last check, whichever slice is on the screen.
    pub fn occlusion_done(&self) -> Option<&Arc<Occlusion>> {
        match &self.occlusion.as_ref().filter(|_| !self.results_hidden())?.state {
            OcclusionState::Done(map) => Some(map),
            _ => None,
        }
    }

    /// The map of the check, where it lies on the slice instead of the heatmap.
    pub fn shown_occlusion(&self) -> Option<&Occlusion> {
        match &self.occlusion_here()?.state {
            OcclusionState::Done(map) if self.occlusion_on && self.heatmap_on => Some(map),
            _ => None,
        }
    }

    /// Whether the check of the slice on the screen and its heatmap agree, in a sentence.
    pub fn occlusion_sentence(&self) -> Option<String> {
        let OcclusionState::Done(map) = &self.occlusion_here()?.state else { return None };
        let (_, cam) = self.findings()?.slices.get(map.index)?.cam()?;
        Some(map.sentence(cam))
    }

    pub(super) fn apply_occlusion(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::CheckByOcclusion => match self.occlusion_here().map(|check| &check.state) {
                Some(OcclusionState::Running) => {}
                Some(OcclusionState::Done(_)) => self.show_occlusion(!self.occlusion_on),
                Some(OcclusionState::Failed(_)) | None => self.check_by_occlusion(effects),
            },
            Command::ShowOcclusion(on) => self.show_occlusion(*on),
            Command::CancelOcclusion => effects.push(Effect::CancelOcclusion),
            _ => return false,
        }
        true
    }

    fn show_occlusion(&mut self, on: bool) {
        self.occlusion_on = on;
        // Who asks for a map wants to see one.
        self.heatmap_on = true;
    }

    /// Of the peak at hand, which comes on the screen.
    fn check_by_occlusion(&mut self, effects: &mut Vec<Effect>) {
        if matches!(self.analysis, AnalysisState::Preparing(_) | AnalysisState::Running) {
            return self
                .notice(Severity::Info, "The occlusion check needs the network; wait until the analysis has ended.");
        }
        let Some(slice) = self.peak_at_hand() else { return self.say_why_no_peak() };
        self.show_peak(slice, effects);
        let Some((loaded, cells, logit, sha256)) = self.to_be_occluded(slice) else { return };
        let request = self.next_request();
        self.occlusion = Some(OcclusionCheck { slice, state: OcclusionState::Running, request });
        let machine = self.settings.machine();
        effects.push(Effect::Occlude(OcclusionOrder { request, loaded, index: slice, cells, logit, sha256, machine }));
    }

    fn to_be_occluded(&self, slice: usize) -> Option<(LoadedSeries, [usize; 2], f32, String)> {
        let loaded = self.active.as_ref()?.loaded.clone()?;
        let findings = self.findings.as_ref()?;
        let SliceState::Done(finding) = findings.slices.get(slice)? else { return None };
        let SliceOutcome::Scored { logit, cam, .. } = &finding.outcome else { return None };
        Some((loaded, [cam.rows, cam.columns], *logit, findings.provenance.model.sha256.clone()))
    }

    pub(super) fn occluded(&mut self, request: RequestId, result: Result<Arc<Occlusion>, Ended>) {
        let Some(check) = self.occlusion.as_mut().filter(|check| check.request == request) else { return };
        match result {
            Ok(map) => {
                check.state = OcclusionState::Done(map);
                self.show_occlusion(true);
            }
            Err(Ended::Cancelled) => self.occlusion = None,
            Err(Ended::Failed(text) | Ended::Stopped(text)) => {
                check.state = OcclusionState::Failed(text.clone());
                self.notice(Severity::Error, format!("The occlusion check failed: {text}"));
            }
        }
    }
}
