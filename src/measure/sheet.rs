//! The measurements of one series, with every state that they have been in.

use super::{Ground, Kind, MeasureId, Measurement, Reading};
use crate::geometry::PatientPoint;

/// A slice that the reader marked.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeySlice {
    /// 0-based, display order.
    pub index: usize,
    /// The slice's first pixel (LPS, mm), by which it is found again; `None` without geometry.
    pub at: Option<PatientPoint>,
}

/// What is kept between starts.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Content {
    pub measurements: Vec<Measurement>,
    #[serde(default)]
    pub key_slices: Vec<KeySlice>,
}

/// States that can be gone back to.
const MOST_STEPS: usize = 500;

/// A change that goes on with the one before it, so that both are undone together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Rename(MeasureId),
    Nudge(MeasureId),
}

#[derive(Debug, Default)]
pub struct Sheet {
    content: Content,
    past: Vec<Content>,
    future: Vec<Content>,
    /// The state before a drag that is going on.
    before_drag: Option<Content>,
    run: Option<Run>,
    last_id: u64,
    pub selected: Option<MeasureId>,
}

impl Sheet {
    pub fn content(&self) -> &Content {
        &self.content
    }
    pub fn measurements(&self) -> &[Measurement] {
        &self.content.measurements
    }
    pub fn key_slices(&self) -> &[KeySlice] {
        &self.content.key_slices
    }
    pub fn get(&self, id: MeasureId) -> Option<&Measurement> {
        self.content.measurements.iter().find(|m| m.id == id)
    }
    pub fn selected(&self) -> Option<&Measurement> {
        self.get(self.selected?)
    }
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    /// What was kept joins what has been drawn since, as if it had always been there.
    pub fn join(&mut self, kept: Content) {
        let ids = kept.measurements.iter().map(|m| m.id.0);
        let shift = ids.max().unwrap_or(0);
        for content in [&mut self.content].into_iter().chain(&mut self.past).chain(&mut self.future) {
            content.measurements.iter_mut().for_each(|m| m.id.0 += shift);
            let mut joined = kept.clone();
            joined.measurements.append(&mut content.measurements);
            let new = content.key_slices.iter().filter(|k| !kept.key_slices.iter().any(|old| old.index == k.index));
            joined.key_slices.extend(new.copied().collect::<Vec<_>>());
            *content = joined;
        }
        if let Some(id) = &mut self.selected {
            id.0 += shift;
        }
        self.last_id += shift;
    }

    /// Adds one and selects it.
    pub fn add(&mut self, kind: Kind, ground: Ground, points: Vec<PatientPoint>, reading: Reading) -> MeasureId {
        self.add_named(kind, String::new(), ground, points, reading)
    }
    /// As [`Self::add`], under a name.
    pub fn add_named(
        &mut self,
        kind: Kind,
        name: String,
        ground: Ground,
        points: Vec<PatientPoint>,
        reading: Reading,
    ) -> MeasureId {
        self.record(None);
        self.last_id += 1;
        let same = self.content.measurements.iter().filter(|m| m.kind == kind);
        let number = same.map(|m| m.number).max().unwrap_or(0).saturating_add(1);
        let id = MeasureId(self.last_id);
        self.content.measurements.push(Measurement { id, kind, number, name, ground, points, label_at: None, reading });
        self.selected = Some(id);
        id
    }
    pub fn remove(&mut self, id: MeasureId) -> bool {
        let Some(place) = self.content.measurements.iter().position(|m| m.id == id) else { return false };
        self.record(None);
        self.content.measurements.remove(place);
        if self.selected == Some(id) {
            self.selected = None;
        }
        true
    }
    /// Removes all measurements and marks; one step to undo.
    pub fn clear(&mut self) -> bool {
        if self.content == Content::default() {
            return false;
        }
        self.record(None);
        self.content = Content::default();
        self.selected = None;
        true
    }
    /// Letters typed one after the other are undone together.
    pub fn rename(&mut self, id: MeasureId, name: String) -> bool {
        self.change(id, Some(Run::Rename(id)), |m| m.name = name)
    }
    /// As [`Sheet::rename`]: steps of one push are undone together.
    pub fn nudge(&mut self, id: MeasureId, change: impl FnOnce(&mut Measurement)) -> bool {
        self.change(id, Some(Run::Nudge(id)), change)
    }
    /// A run of changes has ended: what follows is undone apart from it.
    pub fn end_run(&mut self) {
        self.run = None;
    }
    fn change(&mut self, id: MeasureId, run: Option<Run>, change: impl FnOnce(&mut Measurement)) -> bool {
        let Some(place) = self.content.measurements.iter().position(|m| m.id == id) else { return false };
        let mut changed = self.content.measurements[place].clone();
        change(&mut changed);
        if changed == self.content.measurements[place] {
            return false;
        }
        self.record(run);
        self.content.measurements[place] = changed;
        true
    }
    /// Marks a slice, or takes the mark away.
    pub fn toggle_key_slice(&mut self, slice: KeySlice) {
        self.record(None);
        let keys = &mut self.content.key_slices;
        match keys.iter().position(|k| k.index == slice.index) {
            Some(place) => {
                keys.remove(place);
            }
            None => keys.push(slice),
        }
        keys.sort_by_key(|k| k.index);
    }

    /// A drag begins; its steps are seen but not recorded.
    pub fn begin_drag(&mut self) {
        self.before_drag = Some(self.content.clone());
    }
    pub fn drag(&mut self, id: MeasureId, change: impl FnOnce(&mut Measurement)) {
        if self.before_drag.is_some()
            && let Some(measurement) = self.content.measurements.iter_mut().find(|m| m.id == id)
        {
            change(measurement);
        }
    }
    pub fn is_dragging(&self) -> bool {
        self.before_drag.is_some()
    }
    /// True when something was moved.
    pub fn end_drag(&mut self) -> bool {
        let Some(before) = self.before_drag.take().filter(|before| *before != self.content) else { return false };
        let after = std::mem::replace(&mut self.content, before);
        self.record(None);
        self.content = after;
        true
    }
    /// Everything back to where the drag began.
    pub fn cancel_drag(&mut self) -> bool {
        let before = self.before_drag.take();
        before.map(|before| self.content = before).is_some()
    }

    fn record(&mut self, run: Option<Run>) {
        let goes_on = run.is_some() && self.run == run && !self.past.is_empty();
        self.run = run;
        self.future.clear();
        if !goes_on {
            if self.past.len() >= MOST_STEPS {
                self.past.remove(0);
            }
            self.past.push(self.content.clone());
        }
    }
    pub fn undo(&mut self) -> bool {
        let Some(before) = self.past.pop() else { return false };
        self.future.push(std::mem::replace(&mut self.content, before));
        self.after_jump();
        true
    }
    pub fn redo(&mut self) -> bool {
        let Some(after) = self.future.pop() else { return false };
        self.past.push(std::mem::replace(&mut self.content, after));
        self.after_jump();
        true
    }
    fn after_jump(&mut self) {
        self.run = None;
        self.before_drag = None;
        if self.selected().is_none() {
            self.selected = None;
        }
    }

    /// The one after (or before) the selected one, round at the ends.
    pub fn neighbour(&self, step: i32) -> Option<MeasureId> {
        let all = self.measurements();
        let place = all.iter().position(|m| Some(m.id) == self.selected);
        let count = i64::try_from(all.len()).ok().filter(|n| *n > 0)?;
        let next = match place {
            Some(place) => (place as i64 + i64::from(step)).rem_euclid(count),
            None if step < 0 => count - 1,
            None => 0,
        };
        all.get(next as usize).map(|m| m.id)
    }
    /// Readings and places made anew, as after loading; nothing to undo.
    pub fn refresh(&mut self, mut change: impl FnMut(&mut Measurement)) {
        self.content.measurements.iter_mut().for_each(&mut change);
        for content in self.past.iter_mut().chain(&mut self.future) {
            content.measurements.iter_mut().for_each(&mut change);
        }
    }
    /// As [`Sheet::refresh`], for the marks.
    pub fn refresh_key_slices(&mut self, mut change: impl FnMut(&mut KeySlice)) {
        self.content.key_slices.iter_mut().for_each(&mut change);
    }
}
