//! From a peak of the strip to what the network looked at there: the slice, the planes through the hottest cell of its
//! map, and words that say what it is and what it is not.

use super::curve::Curve;
use super::planes::Turned;
use super::*;
use crate::findings::describe::{score_text, standing};
use crate::geometry::PatientPoint;
use crate::study::describe::position_text;

/// The place shown, and what the screen was like before.
#[derive(Debug)]
pub(super) struct Evidence {
    slice: usize,
    before: Before,
}

#[derive(Debug)]
struct Before {
    layout: Layout,
    focus: Pane,
    window: Window,
    view: ViewState,
    plane_views: Option<[ViewState; 3]>,
    turned: [Option<Turned>; 3],
    curve: Curve,
}

impl AppState {
    /// What stands with the peak on the screen: which peak, its score and place, that it is where the network looked, and
    /// what that network was trained on. Empty unless the reader went there by the key and is still there.
    pub fn evidence_lines(&self) -> Vec<String> {
        let current = self.active.as_ref().map(|a| a.current);
        let here = self.evidence.as_ref().filter(|e| Some(e.slice) == current);
        here.map(|e| self.evidence_words(e.slice)).unwrap_or_default()
    }

    /// The key leads back now.
    pub fn shows_evidence(&self) -> bool {
        self.evidence.is_some()
    }

    pub(super) fn forget_evidence(&mut self) {
        self.evidence = None;
    }

    /// Goes to the peak at hand, or back to where the reader came from.
    pub(super) fn toggle_evidence(&mut self, effects: &mut Vec<Effect>) {
        if let Some(evidence) = self.evidence.take() {
            return self.leave_evidence(evidence.before, effects);
        }
        let Some(slice) = self.peak_at_hand() else { return self.say_why_no_peak() };
        let Some(active) = &mut self.active else { return };
        let before = Before {
            layout: self.settings.layout,
            focus: self.focus,
            window: active.window.clone(),
            view: active.view,
            plane_views: active.planes.as_ref().map(|planes| *planes.views()),
            turned: active.planes.as_ref().map(Planes::turned).unwrap_or_default(),
            curve: active.planes.as_ref().map(Planes::curve).unwrap_or_default(),
        };
        // The network saw the slices, so they are shown, not a plane turned out of them.
        if let Some(planes) = &mut active.planes {
            planes.stand_up();
        }
        if active.series.values_are_hu {
            active.window = Window::BONE;
        }
        self.focus = Pane::Slices;
        self.maximised_from = None;
        if active.planes.is_some() {
            self.settings.layout = Layout::Three;
        }
        self.evidence = Some(Evidence { slice, before });
        self.show_peak(slice, effects);
        self.say_why_no_planes();
    }

    fn leave_evidence(&mut self, before: Before, effects: &mut Vec<Effect>) {
        self.settings.layout = before.layout;
        self.focus = before.focus;
        if let Some(active) = &mut self.active {
            active.window = before.window;
            active.view = before.view;
            if let (Some(planes), Some(views)) = (&mut active.planes, before.plane_views) {
                planes.set_views(views);
                planes.set_turned(before.turned);
                planes.set_curve(before.curve);
            }
        }
        Self::save(effects);
    }

    /// The current slice if it is a peak, else the nearest peak, else the highest score there is.
    pub(super) fn peak_at_hand(&self) -> Option<usize> {
        let current = self.active.as_ref()?.current;
        let peaks = self.peaks();
        let nearest = peaks.iter().copied().min_by_key(|peak| peak.abs_diff(current));
        nearest.or_else(|| self.findings()?.peaks_above(0.0).first().copied())
    }

    pub(super) fn say_why_no_peak(&mut self) {
        let not_run =
            self.keymap.hint("No slice has a score: the network has not been run on this series", "analyse") + ".";
        let text = match &self.analysis {
            _ if self.active.is_none() => return,
            _ if self.results_hidden() => {
                return self.notice(Severity::Info, format!("Peaks and heatmap are {HIDDEN}."));
            }
            AnalysisState::NotRun => not_run.as_str(),
            AnalysisState::Preparing(_) | AnalysisState::Running => "No slice has a score yet; try again in a moment.",
            _ => "No slice of this series has a score; the findings panel says why.",
        };
        let text = text.to_owned();
        self.notice(Severity::Info, text);
    }

    /// Goes to a slice of the strip. Where planes are on the screen they go to the hottest cell of its map.
    pub(super) fn show_peak(&mut self, slice: usize, effects: &mut Vec<Effect>) {
        let with_planes = self.settings.layout != Layout::One || self.focused_pane() != Pane::Slices;
        let hottest = self.findings.as_ref().and_then(|findings| findings.hottest(slice));
        let Some(active) = &mut self.active else { return };
        let slice = slice.min(active.slice_count().saturating_sub(1));
        if active.current != slice {
            active.current = slice;
            effects.push(Effect::Focus(slice));
        }
        let at = self.findings.as_ref().and_then(|findings| hottest_point(active, findings, slice));
        if let Some(planes) = &mut active.planes {
            planes.follow(slice);
            if let Some(at) = at.filter(|_| with_planes) {
                planes.put(at);
            }
        }
        if self.evidence.is_some() {
            self.bring_into_view(hottest);
            if let Some(evidence) = &mut self.evidence {
                evidence.slice = slice;
            }
        }
    }

    /// Views that are zoomed look at the place.
    fn bring_into_view(&mut self, hottest: Option<crate::geometry::PixelPoint>) {
        let Some(active) = &mut self.active else { return };
        let shape = active.image_shape();
        if let Some(pixel) = hottest {
            active.view.centre_on(shape, pixel);
        }
        if let Some(planes) = &mut active.planes {
            planes.look_at_crosshair();
        }
    }

    fn evidence_words(&self, slice: usize) -> Vec<String> {
        let (Some(active), Some(findings)) = (&self.active, self.findings()) else { return Vec::new() };
        let at = hottest_point(active, findings, slice);
        let score = findings.slices.get(slice).and_then(SliceState::score).unwrap_or(f32::NAN);
        let peaks = findings.peaks();
        let (done, total) = findings.progress();
        let so_far = if done < total { " so far" } else { "" };
        let which = match peaks.iter().position(|peak| *peak == slice) {
            Some(rank) => format!("Peak {} of {}{so_far}", rank + 1, peaks.len()),
            None => format!("Highest score{so_far}, below the threshold {}", score_text(findings.threshold())),
        };
        let pose = active.series.slices.get(slice).and_then(|s| s.pose);
        let place = pose.map_or_else(String::new, |pose| format!(", {}", position_text(&pose)));
        let place =
            active.level_at(slice).map_or(place.clone(), |level| format!("{place}, {} by your names", level.name()));
        let first = format!("{which}: score {}, slice {}{place}", score_text(score), slice + 1);
        let looked = match at {
            Some(PatientPoint(p)) => {
                format!("Where the network looked, not a diagnosis: ({:.1}, {:.1}, {:.1}) mm", p.x, p.y, p.z)
            }
            None if findings.hottest(slice).is_some() => {
                "Where the network looked, not a diagnosis; the slice has no place in the patient".to_owned()
            }
            None => "Not a diagnosis; the map of this slice is empty, so there is no place to show".to_owned(),
        };
        vec![first, looked, standing(&findings.provenance.model)]
    }
}

/// The point of the patient at the hottest cell of a slice's map.
pub(super) fn hottest_point(active: &ActiveSeries, findings: &Findings, slice: usize) -> Option<PatientPoint> {
    let pose = active.series.slices.get(slice)?.pose?;
    Some(pose.patient_from_pixel(findings.hottest(slice)?, active.series.spacing_mm?))
}

/// The peak after (or before) a slice in display order, going round at the ends.
pub(super) fn neighbour_peak(mut peaks: Vec<usize>, current: usize, forward: bool) -> Option<usize> {
    peaks.sort_unstable();
    if forward {
        peaks.iter().find(|&&p| p > current).or(peaks.first()).copied()
    } else {
        peaks.iter().rev().find(|&&p| p < current).or(peaks.last()).copied()
    }
}
