//! A second series beside the one being read. Its slices follow those being read and lead them, or go for themselves.

use std::sync::Arc;

use super::apply::change_picture;
use super::shelf::Computed;
use super::*;
use crate::findings::describe::counted;
use crate::geometry::{PatientPoint, PixelPoint, SlicePose, Vec3};
use crate::study::describe;
use crate::view::planes::Pane;

/// The second series. Nothing is computed of it but its picture: scores, heatmaps and measurements are of the first.
#[derive(Debug)]
pub struct Beside {
    pub shown: ActiveSeries,
    pub link: Link,
    /// Keys and the choice of windows act on it.
    focused: bool,
    request: RequestId,
    /// From when it was read itself.
    pub(super) computed: Computed,
    /// Where the first series was when the two were brought together last.
    met: Option<Met>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Met {
    series: usize,
    slice: usize,
    at: Option<PatientPoint>,
}

/// How the slices of two series go together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    /// Each for itself.
    Off,
    /// By the place in the patient: both share a frame of reference (DICOM PS3.3, C.7.4.1).
    Place,
    /// In parallel, as far apart as they were when they were linked: `mm` further along the first one's normal.
    Distance { mm: f64 },
    /// By number, where there is no geometry: `slices` further on.
    Number { slices: i64 },
}

impl Link {
    /// "linked by place"; what is to be known of the link at a glance.
    pub fn words(&self) -> String {
        match self {
            Self::Off => "not linked".to_owned(),
            Self::Place => "linked by place".to_owned(),
            Self::Distance { mm } => format!("linked {:+.1} mm apart", mm),
            Self::Number { slices } => format!("linked {slices:+} slices apart"),
        }
    }
    /// The reasons, for who asks.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Off => "Each series is scrolled for itself. Linked, both show the same place.",
            Self::Place => "Both series share a frame of reference: they show the same place of the patient.",
            Self::Distance { .. } => {
                "The series have no frame of reference in common, so nothing says which places agree. They go in \
                 parallel, as far apart as they were when they were linked: unlink, scroll one, link again."
            }
            Self::Number { .. } => {
                "The slices of one series have no place in the patient, so both go on by as many slices as they were \
                 apart when they were linked: unlink, scroll one, link again."
            }
        }
    }
}

/// A wish that concerns the second series.
#[derive(Debug, Clone, PartialEq)]
pub enum BesideCommand {
    /// The next series of the study beside this one, or away with the one that is there.
    Toggle,
    /// By its place in the catalog.
    Open(usize),
    Close,
    /// Each takes the other's place.
    Swap,
    ToggleLink,
    /// Keys act on this one, or on the first again.
    Focus(bool),
    SwitchFocus,
}

/// Planes that lean less than this against each other are scrolled in parallel: cosine of 25 degrees.
const PARALLEL: f64 = 0.906;
/// Pictures that lean less than this are laid out alike: cosine of 1 degree.
const ALIGNED: f64 = 0.99985;

fn pose_of(shown: &ActiveSeries, slice: usize) -> Option<SlicePose> {
    shown.series.slices.get(slice).and_then(|slice| slice.pose)
}

/// The point that a series is read at: the crosshair, else the middle of its slice.
fn point_of(shown: &ActiveSeries) -> Option<PatientPoint> {
    if let Some(planes) = &shown.planes {
        return Some(planes.crosshair);
    }
    let spacing_mm = shown.series.spacing_mm?;
    let middle = |n: usize| (n as f64 - 1.0) / 2.0;
    let at = PixelPoint { column: middle(shown.series.columns), row: middle(shown.series.rows) };
    Some(pose_of(shown, shown.current)?.patient_from_pixel(at, spacing_mm))
}

/// The slice that lies nearest to a depth along a direction.
fn nearest_along(shown: &ActiveSeries, axis: Vec3, depth_mm: f64) -> Option<usize> {
    shown.nearest_by(|pose| (pose.origin.0.dot(axis) - depth_mm).abs())
}

/// The slice that lies as far down its stack as the first one's does: where nothing says which places agree, scans of one
/// region begin and end alike.
fn as_far_down(first: &ActiveSeries, slices: usize) -> usize {
    let share = first.current as f64 / first.slice_count().saturating_sub(1).max(1) as f64;
    (share * slices.saturating_sub(1) as f64).round() as usize
}

fn share_a_frame(a: &Series, b: &Series) -> bool {
    !a.frame_of_reference.is_empty() && a.frame_of_reference == b.frame_of_reference
}

/// The link that two series can have, from where they stand.
fn link_of(first: &ActiveSeries, second: &ActiveSeries) -> Link {
    let by_number = || Link::Number { slices: second.current as i64 - first.current as i64 };
    let (Some(a), Some(b)) = (pose_of(first, first.current), pose_of(second, second.current)) else {
        return by_number();
    };
    if share_a_frame(&first.series, &second.series) {
        return Link::Place;
    }
    let axis = a.normal();
    // Which places agree is known of neither, and they do not go in parallel either.
    if axis.dot(b.normal()).abs() < PARALLEL {
        return Link::Off;
    }
    Link::Distance { mm: (b.origin.0 - a.origin.0).dot(axis) }
}

impl Beside {
    pub fn is_loading(&self) -> bool {
        self.shown.loaded.is_none() && self.shown.load_failed.is_none()
    }
    pub fn is_focused(&self) -> bool {
        self.focused
    }

    fn meets(&self, first: &ActiveSeries) -> Met {
        let at = first.planes.as_ref().map(|planes| planes.crosshair);
        Met { series: first.index, slice: first.current, at }
    }

    /// Goes where the first one is, if that has moved.
    fn follow(&mut self, first: &ActiveSeries) {
        let here = self.meets(first);
        let before = self.met.replace(here);
        if before == Some(here) {
            return;
        }
        if before.is_some_and(|met| met.series != here.series) && self.link != Link::Off {
            self.link = link_of(first, &self.shown);
        }
        let last = self.shown.slice_count().saturating_sub(1);
        let to = match self.link {
            Link::Off => None,
            Link::Place => point_of(first).and_then(|at| self.shown.nearest_slice(at)),
            Link::Distance { mm } => pose_of(first, first.current).and_then(|pose| {
                let axis = pose.normal();
                nearest_along(&self.shown, axis, pose.origin.0.dot(axis) + mm)
            }),
            Link::Number { slices } => {
                let to = (first.current as i64).saturating_add(slices).max(0);
                Some(usize::try_from(to).unwrap_or(last).min(last))
            }
        };
        self.shown.current = to.unwrap_or(self.shown.current);
    }

    /// Where the first one has to go after this one was scrolled.
    fn leads(&self, first: &ActiveSeries) -> Option<Lead> {
        match self.link {
            Link::Off => None,
            Link::Place => {
                let (from, pose) = (point_of(first)?, pose_of(&self.shown, self.shown.current)?);
                let normal = pose.normal();
                let to = PatientPoint(from.0 + normal * (pose.origin.0 - from.0).dot(normal));
                Some(if first.planes.is_some() { Lead::Point(to) } else { Lead::Slice(first.nearest_slice(to)?) })
            }
            Link::Distance { mm } => {
                let axis = pose_of(first, first.current)?.normal();
                let depth_mm = pose_of(&self.shown, self.shown.current)?.origin.0.dot(axis) - mm;
                nearest_along(first, axis, depth_mm).map(Lead::Slice)
            }
            Link::Number { slices } => {
                let to = (self.shown.current as i64).saturating_sub(slices).max(0);
                Some(Lead::Slice(usize::try_from(to).unwrap_or(0)))
            }
        }
    }
}

enum Lead {
    Point(PatientPoint),
    Slice(usize),
}

impl AppState {
    /// The series beside the one being read.
    pub fn beside(&self) -> Option<&Beside> {
        self.beside.as_ref().filter(|_| self.active.is_some())
    }

    /// The series that keys and the choice of windows act on.
    pub fn at_hand(&self) -> Option<&ActiveSeries> {
        let beside = self.beside().filter(|beside| beside.focused).map(|beside| &beside.shown);
        beside.or(self.active.as_ref())
    }

    pub(super) fn at_hand_of<'a>(
        active: &'a mut Option<ActiveSeries>,
        beside: &'a mut Option<Beside>,
    ) -> Option<&'a mut ActiveSeries> {
        let focused = beside.as_mut().filter(|beside| beside.focused).map(|beside| &mut beside.shown);
        focused.or(active.as_mut())
    }

    /// Both pictures can be laid out alike, so that the same place of the patient stands at the same place of each: they
    /// are linked by place, their slices lie alike, and the slices themselves are shown.
    pub fn besides_aligned(&self) -> bool {
        let (Some(active), Some(beside)) = (&self.active, self.beside()) else { return false };
        let (Some(a), Some(b)) = (pose_of(active, active.current), pose_of(&beside.shown, beside.shown.current)) else {
            return false;
        };
        beside.link == Link::Place
            && self.panes().contains(&Pane::Slices)
            && a.along_row.dot(b.along_row) > ALIGNED
            && a.along_column.dot(b.along_column) > ALIGNED
            && active.series.spacing_mm.is_some()
            && beside.shown.series.spacing_mm.is_some()
    }

    /// The two do not carry the same patient's number and name; empty where they do.
    pub fn beside_warning(&self) -> Option<&'static str> {
        let (active, beside) = (self.active.as_ref()?, self.beside()?);
        let (a, b) = (&active.series.patient, &beside.shown.series.patient);
        match (a.id == b.id, a.name == b.name) {
            (true, true) => None,
            (false, _) => Some("Another PatientID than that of the series being read"),
            (true, false) => Some("The same PatientID under another name than that of the series being read"),
        }
    }

    /// "3: BONE 1.0 (2021-03-04)"; a series in the list of those that can be shown beside. The date only where several
    /// studies are open.
    pub fn series_title(&self, index: usize) -> String {
        let Some(series) = self.study.as_ref().and_then(|study| study.catalog.series.get(index)) else {
            return String::new();
        };
        let name = describe::series_name(series);
        let date = describe::date(&series.study.date);
        let date = match self.worklist.rows.len() > 1 && !self.hide_identity && !date.is_empty() {
            true => format!(" ({date})"),
            false => String::new(),
        };
        format!("{}: {name}, {}{date}", index + 1, counted(series.slices.len(), "image"))
    }

    pub(super) fn apply_beside(&mut self, command: &BesideCommand, effects: &mut Vec<Effect>) {
        match *command {
            BesideCommand::Toggle if self.beside.is_some() => self.close_beside(effects),
            BesideCommand::Toggle => match self.first_choice() {
                Some(index) => self.open_beside(index, effects),
                None if self.active.is_some() => {
                    self.notice(Severity::Info, "No second series is open that could be shown beside this one.");
                }
                None => {}
            },
            BesideCommand::Open(index) => self.open_beside(index, effects),
            BesideCommand::Close => self.close_beside(effects),
            BesideCommand::Swap => self.swap_beside(effects),
            BesideCommand::ToggleLink => self.toggle_link(),
            BesideCommand::Focus(on) => self.focus_beside(on),
            BesideCommand::SwitchFocus => {
                let on = self.beside.as_ref().is_some_and(|beside| !beside.focused);
                self.focus_beside(on);
            }
        }
    }

    pub(super) fn focus_beside(&mut self, on: bool) {
        if let Some(beside) = &mut self.beside {
            beside.focused = on;
        }
    }

    /// The series of the study after the one being read, else any other.
    fn first_choice(&self) -> Option<usize> {
        let (study, active) = (self.study.as_ref()?, self.active.as_ref()?);
        let own = self.active_row().and_then(|row| self.worklist.rows.get(row)).map(|row| row.series.clone());
        let own = own.unwrap_or_else(|| (0..study.catalog.series.len()).collect());
        let fits = |index: &usize| {
            let series = study.catalog.series.get(*index);
            *index != active.index && series.is_some_and(|series| !series.is_localizer)
        };
        let rest = own.iter().copied().filter(|index| *index != active.index);
        let others = (0..study.catalog.series.len()).filter(|index| *index != active.index);
        own.iter().copied().find(fits).or_else(|| rest.into_iter().next()).or_else(|| others.into_iter().find(fits))
    }

    fn open_beside(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let (Some(study), Some(active)) = (&self.study, &self.active) else { return };
        let shown_already = self.beside.as_ref().is_some_and(|beside| beside.shown.index == index);
        let Some(series) = study.catalog.series.get(index).filter(|_| index != active.index && !shown_already) else {
            return;
        };
        let (series, window) = (Arc::new(series.clone()), active.window.clone());
        let first = as_far_down(active, series.slices.len());
        let was_focused = self.beside.as_ref().is_some_and(|beside| beside.focused);
        self.close_beside(effects);
        let request = self.next_request();
        let (shown, computed) = self.take_from_shelf(index).unwrap_or_else(|| {
            let shown = ActiveSeries { current: first, ..active_series(index, series.clone(), Some(window)) };
            effects.push(Effect::LoadBeside { request, series, first });
            (shown, Computed::default())
        });
        let mut beside = Beside { shown, link: Link::Off, focused: was_focused, request, computed, met: None };
        if let Some(active) = &self.active {
            beside.link = link_of(active, &beside.shown);
        }
        self.beside = Some(beside);
        self.keep_budget();
    }

    pub(super) fn close_beside(&mut self, effects: &mut Vec<Effect>) {
        let Some(beside) = self.beside.take() else { return };
        match beside.shown.loaded.is_some() {
            true => {
                self.put_aside(beside.shown, beside.computed);
                self.keep_budget();
            }
            false => effects.push(Effect::CancelBeside),
        }
    }

    /// A series is to be read that may be beside the one on the screen: the two change places. True where that is all.
    pub(super) fn leads_to_what_is_beside(&mut self, index: usize, series: &Series, effects: &mut Vec<Effect>) -> bool {
        let (Some(active), Some(beside)) = (&self.active, &self.beside) else { return false };
        let other_study = active.series.study.uid != series.study.uid;
        if beside.shown.index == index && active.loaded.is_some() && beside.shown.loaded.is_some() {
            self.swap_beside(effects);
            return true;
        }
        // Who goes on to another study leaves what was beside the last one.
        if beside.shown.index == index || other_study {
            self.close_beside(effects);
        }
        false
    }

    fn toggle_link(&mut self) {
        let (Some(active), Some(beside)) = (&self.active, &mut self.beside) else { return };
        let was_off = beside.link == Link::Off;
        beside.link = if was_off { link_of(active, &beside.shown) } else { Link::Off };
        beside.met = None;
        if was_off && beside.link == Link::Off {
            self.notice(
                Severity::Info,
                "The two cannot be linked: their slices lie in different planes, and no frame of reference in common says \
                 which places agree.",
            );
        }
    }

    fn swap_beside(&mut self, effects: &mut Vec<Effect>) {
        let (Some(active), Some(beside)) = (&self.active, &self.beside) else { return };
        if active.loaded.is_none() || beside.shown.loaded.is_none() {
            return self.notice(Severity::Info, "The two can change places when all slices of both have been read.");
        }
        let (first, link) = (active.index, beside.link);
        let Some(beside) = self.beside.take() else { return };
        let (index, window) = (beside.shown.index, beside.shown.window.clone());
        self.export = None;
        // Both stay though the budget may be small: both are on the screen.
        self.shelve_series(effects);
        self.put_aside(beside.shown, beside.computed);
        self.choose_series(index);
        self.bring_back(index, Some(window), effects);
        self.open_beside(first, effects);
        if let Some(beside) = &mut self.beside {
            beside.link = match link {
                Link::Distance { mm } => Link::Distance { mm: -mm },
                Link::Number { slices } => Link::Number { slices: -slices },
                link => link,
            };
        }
    }

    /// What of the picture's commands means the second series while that has the keys.
    pub(super) fn apply_to_beside(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        let aligned = self.besides_aligned();
        let first_own = self.settings.user_windows.first().map(|own| own.window.clone());
        let Some(beside) = self.beside.as_mut().filter(|beside| beside.focused) else { return false };
        match command {
            Command::ScrollBy(by) => {
                let last = beside.shown.slice_count().saturating_sub(1);
                let by = isize::try_from(*by).unwrap_or_default();
                beside.shown.current = beside.shown.current.saturating_add_signed(by).min(last);
                self.lead(effects);
            }
            // Laid out alike, the two have one zoom and one place.
            Command::Zoom { .. } | Command::Pan { .. } | Command::FlipHorizontal | Command::FlipVertical if aligned => {
                if let Some(active) = &mut self.active {
                    change_picture(active, Pane::Slices, command, first_own);
                }
            }
            Command::ResetView => {
                change_picture(&mut beside.shown, Pane::Slices, command, first_own);
                if let Some(active) = self.active.as_mut().filter(|_| aligned) {
                    active.view = ViewState::default();
                }
            }
            Command::DoubleClick => {
                beside.shown.view = ViewState { zoom: 1.0, pan: [0.0, 0.0], ..beside.shown.view };
                if let Some(active) = self.active.as_mut().filter(|_| aligned) {
                    active.view = ViewState { zoom: 1.0, pan: [0.0, 0.0], ..active.view };
                }
            }
            Command::SetTool(_) | Command::GoToSlice(_) => return false,
            _ => change_picture(&mut beside.shown, Pane::Slices, command, first_own),
        }
        true
    }

    /// The first series goes where the second was scrolled to.
    fn lead(&mut self, effects: &mut Vec<Effect>) {
        let (Some(active), Some(beside)) = (&self.active, &self.beside) else { return };
        let Some(lead) = beside.leads(active) else { return };
        match lead {
            Lead::Point(to) => self.move_crosshair(|planes| planes.put(to), effects),
            Lead::Slice(to) => self.go_to_slice(to, effects),
        }
        if let (Some(active), Some(beside)) = (&self.active, &mut self.beside) {
            beside.met = Some(beside.meets(active));
        }
    }

    /// Steps through the series beside; false where keys act on the first.
    pub(super) fn step_beside(&mut self, step: i32, effects: &mut Vec<Effect>) -> bool {
        let Some(beside) = self.beside.as_ref().filter(|beside| beside.focused) else { return false };
        let (Some(study), Some(active)) = (&self.study, &self.active) else { return true };
        let choices: Vec<usize> = (0..study.catalog.series.len()).filter(|index| *index != active.index).collect();
        let at = choices.iter().position(|index| *index == beside.shown.index).unwrap_or(0);
        let to = at.saturating_add_signed(step as isize).min(choices.len().saturating_sub(1));
        if let Some(index) = choices.get(to).copied() {
            self.open_beside(index, effects);
        }
        true
    }

    pub(super) fn follow_beside(&mut self) {
        if let (Some(active), Some(beside)) = (&self.active, &mut self.beside) {
            beside.follow(active);
        }
    }

    /// Takes what the loading of the second series sends; gives back what is not its own.
    pub(super) fn receive_beside(&mut self, event: Event) -> Option<Event> {
        let Some(beside) = &mut self.beside else { return Some(event) };
        match event {
            Event::SliceDecoded { request, index, slice } if request == beside.request => {
                beside.shown.take_slice(index, slice);
            }
            Event::Loaded { request, result, .. } if request == beside.request => match result {
                Ok((loaded, refused)) => {
                    beside.shown.take_loaded(loaded, &refused);
                    // Slices that could not be read are gone, and what was beside what may have changed.
                    beside.met = None;
                    self.keep_budget();
                    self.report_refused(&refused);
                }
                Err(Ended::Cancelled) => beside.shown.load_failed = Some("loading was cancelled".to_owned()),
                Err(Ended::Failed(text) | Ended::Stopped(text)) => {
                    beside.shown.load_failed = Some(text.clone());
                    self.notice(Severity::Error, text);
                }
            },
            Event::TruthFound { request, truth } if request == beside.request => beside.shown.truth = Some(truth),
            other => return Some(other),
        }
        None
    }
}

#[cfg(test)]
mod tests;
