//! Measuring: what is being drawn, moved, renamed, deleted, and what becomes of it.

use sha2::{Digest, Sha256};

use super::*;
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::measure::{
    self, Content, Ground, KeySlice, Kind, Levels, MeasureId, Measurement, Part, Pixels, Reading, Sampled, Sheet,
    Source, Space, Values,
};
use crate::truth::Level;
use crate::volume::{Slab, Window};

/// A named vertebra is seen from so far beside it, mm.
const VERTEBRA_ON_SLICES_MM: f64 = 4.0;
const VERTEBRA_ON_PLANES_MM: f64 = 15.0;

/// A wish that concerns measurements.
#[derive(Debug, Clone, PartialEq)]
pub enum MeasureCommand {
    /// Puts the next point of what the tool draws; the last one finishes it.
    Place {
        pane: Pane,
        at: PatientPoint,
    },
    /// Puts all points of what the tool draws, in a shape of its own, about the crosshair of the focused pane or the middle
    /// of its view.
    DrawHere,
    /// Chooses the next (or previous) handle of the selected one, which [`Self::Nudge`] then moves alone.
    StepHandle(i32),
    /// The pointer is there, where the next point would be put.
    Preview(PatientPoint),
    Select(Option<MeasureId>),
    /// Selects a neighbour in the list and goes there.
    Step(i32),
    /// Takes hold of a part in a pane.
    Grab {
        id: MeasureId,
        part: Part,
        pane: Pane,
        at: PatientPoint,
    },
    DragTo(PatientPoint),
    EndDrag,
    /// Moves the selected one, or its chosen handle, by steps to the right and down, as the focused pane shows it; `fine` is a tenth.
    Nudge {
        steps: [i32; 2],
        fine: bool,
    },
    Delete(MeasureId),
    DeleteSelected,
    Clear,
    /// Asks for a name, or ends asking.
    Edit(Option<MeasureId>),
    /// Asks for the selected one's name.
    EditSelected,
    Rename(MeasureId, String),
    GoTo(MeasureId),
    Undo,
    Redo,
    /// All values as text.
    Copy,
    /// Marks the slice being read, or takes the mark away.
    ToggleKeySlice,
}

/// Where the measurements of a series are kept: a name that says nothing of the patient.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SheetKey(String);

impl SheetKey {
    /// From the series' and the frame of reference's UID, and the phase. Where a file has no series UID the values of a slice stand in
    /// for it, so that studies without names never share their measurements.
    fn new(series: &Series, slice: Option<&Slice>) -> Option<Self> {
        let mut hash = Sha256::new();
        let mut take = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        take("dens measurements");
        take(series.uid.trim());
        take(series.frame_of_reference.trim());
        // Stacks of one series that do not fit together are measured apart.
        let normal = series.slices.first().and_then(|s| s.pose).map(|p| p.normal());
        let direction = normal.map_or_else(String::new, |n| format!("{:.2} {:.2} {:.2}", n.x, n.y, n.z));
        take(&format!("{} {} {direction}", series.rows, series.columns));
        if let Some(part) = &series.part {
            take(&part.by);
            take(&part.number.to_string());
        }
        if series.uid.trim().is_empty() {
            let slice = slice?;
            for offset in 0..slice.pixels.len() {
                hash.update(slice.pixels.get(offset).unwrap_or(0.0).to_le_bytes());
            }
        }
        Some(Self(hex::encode(hash.finalize())))
    }
    /// Of a series that has been read.
    pub fn of(loaded: &LoadedSeries) -> Option<Self> {
        let slices = loaded.volume.slices();
        Self::new(&loaded.series, slices.get(slices.len() / 2).map(|slice| &**slice))
    }
    #[cfg(test)]
    pub fn for_tests(name: &str) -> Self {
        Self(name.to_owned())
    }
    /// Fit for a file's name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Whether what the reader has drawn would survive a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Saved {
    /// Nothing has been drawn that is not on disk.
    #[default]
    Yes,
    /// Being written.
    Pending,
    /// Only in this window, because.
    No(String),
}

/// What the tool is drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub pane: Pane,
    /// With the pointer as its last point, as soon as there is one.
    pub shown: Option<Measurement>,
    kind: Kind,
    ground: Ground,
    points: Vec<PatientPoint>,
}

impl Draft {
    /// How many points have been put.
    pub fn placed(&self) -> usize {
        self.points.len()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    id: MeasureId,
    part: Part,
    pane: Pane,
    last: PatientPoint,
}

/// Everything that the reader draws on a series.
#[derive(Debug, Default)]
pub struct Measures {
    pub sheet: Sheet,
    pub draft: Option<Draft>,
    /// Whose name is being typed.
    pub editing: Option<MeasureId>,
    pub saved: Saved,
    held: Option<Held>,
    /// Of which measurement, and which; counts while that one is selected.
    handle: Option<(MeasureId, usize)>,
    pub(super) key: Option<SheetKey>,
    /// What was kept has been read, so that writing destroys nothing.
    read: bool,
}

impl Measures {
    /// The series has no UID and its pixels are not there, so that nothing can be named by them.
    pub fn is_waiting(&self) -> bool {
        self.key.is_none()
    }
}

impl ActiveSeries {
    /// What is known of the values, for the words of a measurement.
    pub fn values(&self) -> Values {
        Values { are_hu: self.series.values_are_hu, are_lossy: self.series.technique.lossy.is_some() }
    }
    fn slice_ground(&self, index: usize) -> Ground {
        let source = Source::Slice { index };
        let here = SlicePose {
            origin: PatientPoint::default(),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        match (self.series.slices.get(index).and_then(|s| s.pose), self.series.spacing_mm) {
            (Some(pose), Some(spacing)) => Ground { space: Space::Patient, pose, spacing, source },
            (None, Some(spacing)) => Ground { space: Space::SliceMm, pose: here, spacing, source },
            (_, None) => Ground { space: Space::SlicePixels, pose: here, spacing: [1.0, 1.0], source },
        }
    }
    /// The plane that a pane shows; `None` for a plane that is not there.
    pub fn ground(&self, pane: Pane, slab: Slab) -> Option<Ground> {
        match pane {
            Pane::Slices => Some(self.slice_ground(self.current)),
            Pane::Across(plane) => {
                let planes = self.planes.as_ref().filter(|planes| !planes.is_bent(plane))?;
                let (grid, slab) = (planes.grid(plane)?, planes.slab_of(plane, slab));
                let source = Source::Plane { plane, slab };
                Some(Ground { space: Space::Patient, pose: grid.pose, spacing: [grid.spacing_mm; 2], source })
            }
        }
    }
    /// The slice that a point of the patient lies in: the nearest, no further than half the way to the next.
    fn slice_of(&self, at: PatientPoint) -> Option<usize> {
        let normal = self.series.slices.iter().find_map(|s| s.pose)?.normal();
        let away = |s: &crate::study::SliceInfo| Some((s.pose?.origin.0 - at.0).dot(normal).abs());
        let nearest = self.series.slices.iter().enumerate().filter_map(|(i, s)| Some((i, away(s)?)));
        let (index, away_mm) = nearest.min_by(|a, b| a.1.total_cmp(&b.1))?;
        // With a hair of room for positions written with few digits.
        let widest = self.planes.as_ref().map(|p| p.stack.geometry.gap_range_mm()[1]).or(self.series.slice_spacing_mm);
        (away_mm <= widest.unwrap_or(1.0) / 2.0 + 0.01).then_some(index)
    }
    /// Both slices lie at one place.
    fn coincide(&self, a: usize, b: usize) -> bool {
        let pose = |index: usize| self.series.slices.get(index).and_then(|s| s.pose);
        a == b
            || matches!((pose(a), pose(b)), (Some(a), Some(b)) if (a.origin.0 - b.origin.0).dot(a.normal()).abs() < 0.01)
    }
    /// A pane shows the plane that a measurement lies on, within half a slice (or half the slab).
    pub fn shows(&self, pane: Pane, slab: Slab, measurement: &Measurement) -> bool {
        let Some(ground) = self.ground(pane, slab) else { return self.names_on_bend(pane, measurement) };
        let (own, source) = (&measurement.ground, &measurement.ground.source);
        if own.space != ground.space {
            return false;
        }
        if own.space != Space::Patient {
            return matches!(source, Source::Slice { index } if *index == self.current);
        }
        let normal = ground.pose.normal();
        if measurement.kind == Kind::Vertebra {
            // Seen from beside it too, so that a whole spine stands named on one plane.
            let reach_mm = if pane == Pane::Slices { VERTEBRA_ON_SLICES_MM } else { VERTEBRA_ON_PLANES_MM };
            return measurement.points.iter().all(|p| (p.0 - ground.pose.origin.0).dot(normal).abs() <= reach_mm);
        }
        if measurement.kind.is_region() && normal.dot(own.pose.normal()).abs() < 0.999 {
            return false;
        }
        let points = measurement.outline();
        match pane {
            Pane::Slices => points.iter().all(|p| self.slice_of(*p).is_some_and(|i| self.coincide(i, self.current))),
            Pane::Across(plane) => {
                let slab = self.planes.as_ref().map_or(slab, |planes| planes.slab_of(plane, slab));
                let half_mm = ground.spacing[0].max(slab.thickness_mm) / 2.0 + 1e-3;
                points.iter().all(|p| (p.0 - ground.pose.origin.0).dot(normal).abs() <= half_mm)
            }
        }
    }
    /// On a bent plane, on which nothing is measured, vertebrae near it stand named.
    fn names_on_bend(&self, pane: Pane, measurement: &Measurement) -> bool {
        let Pane::Across(plane) = pane else { return false };
        let bent = self.planes.as_ref().and_then(|planes| planes.bent(plane));
        let near = |p: &PatientPoint| bent.as_ref().is_some_and(|bent| bent.off_mm(*p).abs() <= VERTEBRA_ON_PLANES_MM);
        measurement.kind == Kind::Vertebra
            && measurement.ground.space == Space::Patient
            && measurement.points.iter().all(near)
    }
    /// The vertebrae that the reader has named.
    pub fn levels(&self) -> Levels {
        Levels::of(self.measures.sheet.measurements())
    }
    /// The level of a slice, by those vertebrae: of its crosshair or its middle.
    pub fn level_at(&self, slice: usize) -> Option<Level> {
        let levels = self.levels();
        if levels.is_empty() {
            return None;
        }
        let pose = self.series.slices.get(slice)?.pose?;
        // Where the spine passes through the slice is known by the vertebrae themselves.
        levels.on(&pose)
    }
    fn has_slice_of(&self, measurement: &Measurement) -> bool {
        match (&measurement.ground.source, measurement.ground.space) {
            (Source::Slice { .. }, Space::Patient) => self.slice_of(measurement.ground.pose.origin).is_some(),
            (Source::Slice { index }, _) => *index < self.slice_count(),
            (Source::Plane { .. }, _) => self.planes.is_some(),
        }
    }
    fn pixels(&self, measurement: &Measurement) -> Pixels<'_> {
        match &measurement.ground.source {
            Source::Slice { index } => {
                self.slices.get(*index).and_then(Option::as_deref).map_or(Pixels::Missing, Pixels::Slice)
            }
            Source::Plane { .. } => self.planes.as_ref().map_or(Pixels::Missing, |p| Pixels::Volume(&p.stack)),
        }
    }
    fn read(&self, measurement: &mut Measurement) {
        let mut pixels = self.pixels(measurement);
        if let (Source::Slice { index }, Space::Patient) = (&mut measurement.ground.source, measurement.ground.space) {
            match self.slice_of(measurement.ground.pose.origin) {
                Some(found) if self.coincide(found, *index) => {}
                // Another part of the series was opened, or a slice could not be read this time.
                Some(found) => {
                    *index = found;
                    pixels = self.pixels(measurement);
                }
                None => pixels = Pixels::Missing,
            }
        }
        measurement.reading = Reading::of(measurement, pixels);
    }
    /// Readings made anew from the pixels that are there now.
    pub(super) fn read_measurements(&mut self) {
        let mut sheet = std::mem::take(&mut self.measures.sheet);
        sheet.refresh(|m| self.read(m));
        sheet.refresh_key_slices(|key| {
            if let Some(index) = key.at.and_then(|at| self.slice_of(at)) {
                key.index = index;
            }
        });
        self.measures.sheet = sheet;
    }
    fn change(&mut self, change: impl FnOnce(&Self, &mut Sheet) -> bool) -> bool {
        let mut sheet = std::mem::take(&mut self.measures.sheet);
        let changed = change(self, &mut sheet);
        self.measures.sheet = sheet;
        changed
    }
    pub fn is_key_slice(&self, index: usize) -> bool {
        self.measures.sheet.key_slices().iter().any(|k| k.index == index)
    }
}

/// What was kept of a series, read anew from its values and put on the slices that are there now, as the window does on
/// opening it.
pub fn read_anew(loaded: &LoadedSeries, kept: Content) -> Content {
    let mut active = active_series(0, loaded.series.clone(), None);
    active.slices = loaded.volume.slices().iter().cloned().map(Some).collect();
    active.loaded = Some(loaded.clone());
    active.make_planes();
    active.measures.sheet.join(kept);
    active.read_measurements();
    active.measures.sheet.content().clone()
}

impl AppState {
    pub(super) fn apply_measure(&mut self, command: MeasureCommand, effects: &mut Vec<Effect>) {
        match command {
            MeasureCommand::Place { pane, at } => return self.place(pane, at, effects),
            MeasureCommand::DrawHere => return self.draw_here(effects),
            MeasureCommand::StepHandle(step) => return self.step_handle(step),
            MeasureCommand::EditSelected => return self.edit_selected(effects),
            MeasureCommand::Preview(at) => return self.preview(at),
            MeasureCommand::GoTo(id) => return self.go_to(id, effects),
            // One sees what one names.
            MeasureCommand::Edit(Some(id)) => self.go_to(id, effects),
            MeasureCommand::Step(step) => {
                let next = self.active.as_ref().and_then(|a| a.measures.sheet.neighbour(step));
                return next.into_iter().for_each(|id| self.go_to(id, effects));
            }
            MeasureCommand::Nudge { steps, fine } => return self.nudge(steps, fine, effects),
            MeasureCommand::Grab { id, part, pane, at } => return self.grab(Held { id, part, pane, last: at }),
            MeasureCommand::DragTo(at) => return self.drag_to(at),
            _ => {}
        }
        let Some(active) = &mut self.active else { return };
        let measures = &mut active.measures;
        let sheet = &mut measures.sheet;
        let changed = match command {
            MeasureCommand::Select(id) => {
                sheet.selected = id;
                sheet.end_run();
                measures.editing = None;
                measures.handle = None;
                false
            }
            MeasureCommand::EndDrag => {
                measures.held = None;
                sheet.end_drag()
            }
            MeasureCommand::Delete(id) => sheet.remove(id),
            MeasureCommand::DeleteSelected => sheet.selected.is_some_and(|id| sheet.remove(id)),
            MeasureCommand::Clear => sheet.clear(),
            MeasureCommand::Edit(id) => {
                sheet.end_run();
                measures.editing = id;
                sheet.selected = id.or(sheet.selected);
                false
            }
            MeasureCommand::Rename(id, name) => sheet.rename(id, name.chars().filter(|c| !c.is_control()).collect()),
            MeasureCommand::Undo => sheet.undo(),
            MeasureCommand::Redo => sheet.redo(),
            MeasureCommand::ToggleKeySlice => {
                let index = active.current;
                let at = active.series.slices.get(index).and_then(|s| s.pose).map(|p| p.origin);
                sheet.toggle_key_slice(KeySlice { index, at });
                true
            }
            MeasureCommand::Copy => {
                let text = copied(active);
                let any = text.is_some();
                effects.extend(text.map(Effect::CopyText));
                if any {
                    self.notice(Severity::Info, "The measurements are on the clipboard as text.");
                }
                return;
            }
            _ => false,
        };
        if changed {
            self.save_measures(effects);
        }
    }

    /// What the tool draws.
    fn kind_in_hand(&self) -> Option<Kind> {
        match self.tool {
            Tool::Measure(kind) => Some(kind),
            Tool::WindowRegion => Some(Kind::Rectangle),
            _ => None,
        }
    }

    fn place(&mut self, pane: Pane, at: PatientPoint, effects: &mut Vec<Effect>) {
        let Some(kind) = self.kind_in_hand() else { return };
        if self.refuses_on_bend(pane) {
            return;
        }
        let slab = self.slab;
        let Some(active) = &mut self.active else { return };
        let Some(ground) = active.ground(pane, slab) else { return };
        let same = |d: &Draft| d.kind == kind && d.pane == pane && d.ground.is_same(&ground);
        let mut draft = active.measures.draft.take().filter(same).unwrap_or_else(|| Draft {
            pane,
            kind,
            ground,
            points: Vec::new(),
            shown: None,
        });
        draft.points.push(ground.onto(at));
        active.measures.sheet.selected = None;
        if draft.points.len() < kind.points() {
            active.measures.draft = Some(draft);
            return;
        }
        let finished = measurement_of(&draft, draft.points.clone());
        self.finish(finished, effects);
    }

    /// What has all its points joins the others, unless it is nothing or was drawn for the window.
    fn finish(&mut self, finished: Measurement, effects: &mut Vec<Effect>) {
        if finished.is_nothing() {
            return;
        }
        if self.tool == Tool::WindowRegion {
            return self.window_from(finished);
        }
        let kind = finished.kind;
        let Some(active) = &mut self.active else { return };
        active.measures.handle = None;
        let levels = active.levels();
        let level = finished.points.first().filter(|_| kind == Kind::Vertebra).and_then(|at| levels.next(*at));
        let name = level.map_or_else(String::new, |level| level.name().to_owned());
        active.change(|active, sheet| {
            let reading = Reading::of(&finished, active.pixels(&finished));
            sheet.add_named(kind, name, finished.ground, finished.points, reading);
            true
        });
        // The first vertebra may be another than the one that is taken for it; the others are counted from there.
        let mistaken = kind == Kind::Vertebra && !active.levels().in_order();
        if kind == Kind::Arrow || (kind == Kind::Vertebra && (level.is_none() || levels.is_empty())) {
            active.measures.editing = active.measures.sheet.selected;
        }
        if mistaken {
            self.notice(
                Severity::Info,
                "The names of the vertebrae do not go from head to feet; slices have no level until they do.",
            );
        }
        self.save_measures(effects);
    }

    fn window_from(&mut self, region: Measurement) {
        // One region, then the window is the left button's again.
        self.tool = Tool::Window;
        let Some(active) = &mut self.active else { return };
        match measure::window_of(Sampled::of(&region, active.pixels(&region)).values) {
            Some(window) if window.is_valid() => {
                active.window = Window { width: window.width.max(2.0), ..window };
            }
            _ => self.notice(Severity::Info, "The region held no pixel with a value; the window is as it was."),
        }
    }

    fn preview(&mut self, at: PatientPoint) {
        let Some(active) = &mut self.active else { return };
        let Some(mut draft) = active.measures.draft.take() else { return };
        let mut points = draft.points.clone();
        points.push(draft.ground.onto(at));
        // What has fewer points than it needs is drawn as far as it goes.
        let mut shown = measurement_of(&draft, points);
        shown.reading = Reading::of(&shown, active.pixels(&shown));
        draft.shown = Some(shown);
        active.measures.draft = Some(draft);
    }

    fn grab(&mut self, held: Held) {
        let Some(active) = &mut self.active else { return };
        let measures = &mut active.measures;
        measures.sheet.selected = Some(held.id);
        measures.sheet.end_run();
        measures.editing = None;
        measures.handle = None;
        measures.sheet.begin_drag();
        measures.held = Some(held);
    }

    fn drag_to(&mut self, at: PatientPoint) {
        let slab = self.slab;
        let Some(active) = &mut self.active else { return };
        let Some(held) = active.measures.held.filter(|_| active.measures.sheet.is_dragging()) else { return };
        let ground = active.ground(held.pane, slab);
        active.change(|active, sheet| {
            sheet.drag(held.id, |m| {
                let by = at.0 - held.last.0;
                // What is a point or two points may go to the plane on which it is being moved.
                let free = matches!(m.kind, Kind::Pin | Kind::Arrow | Kind::Vertebra);
                if let Some(ground) = ground.filter(|g| free && held.part != Part::Label && g.space == m.ground.space) {
                    m.move_to_ground(ground);
                }
                match held.part {
                    // Taken hold of beside its middle it does not jump there.
                    Part::Handle(handle) => {
                        let from = m.handles().get(handle).copied();
                        from.into_iter().for_each(|from| m.move_handle(handle, PatientPoint(from.0 + by)));
                    }
                    Part::Whole => m.move_by(by),
                    Part::Label => m.label_at = Some(m.ground.onto(at)),
                }
                m.reading = Reading::of(m, active.pixels(m));
            });
            true
        });
        if let Some(held) = &mut active.measures.held {
            held.last = at;
        }
    }

    fn nudge(&mut self, [right, down]: [i32; 2], fine: bool, effects: &mut Vec<Effect>) {
        let (pane, slab) = (self.focused_pane(), self.slab);
        let Some(active) = &mut self.active else { return };
        let (Some(id), Some(ground)) = (active.measures.sheet.selected, active.ground(pane, slab)) else { return };
        let view = active.view_of(pane);
        let turned = |flip: bool, steps: i32| f64::from(if flip { -steps } else { steps });
        let step = if fine { 0.1 } else { 1.0 };
        let by = ground.pose.along_row * (turned(view.flip_horizontal, right) * step)
            + ground.pose.along_column * (turned(view.flip_vertical, down) * step);
        let mut handle = active.measures.chosen_handle();
        let changed = active.change(|active, sheet| {
            sheet.nudge(id, |m| {
                match &mut handle {
                    Some(handle) => *handle = by_key::move_handle_by(m, *handle, by),
                    None => m.move_by(by),
                }
                m.reading = Reading::of(m, active.pixels(m));
            })
        });
        active.measures.handle = handle.map(|handle| (id, handle));
        if changed {
            self.save_measures(effects);
        }
    }

    /// Shows where a measurement lies, in the pane of its own plane, and selects it.
    fn go_to(&mut self, id: MeasureId, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let Some(measurement) = active.measures.sheet.get(id).cloned() else { return };
        active.measures.sheet.selected = Some(id);
        active.measures.sheet.end_run();
        active.measures.draft = None;
        active.measures.handle = None;
        let pane = match &measurement.ground.source {
            Source::Slice { .. } if !active.has_slice_of(&measurement) => {
                return self.notice(
                    Severity::Info,
                    format!("{} lies on a slice that was not opened with this series.", measure::title(&measurement)),
                );
            }
            Source::Slice { index } => {
                let index = *index;
                self.change_planes(Planes::stand_up);
                effects.extend(self.apply(Command::GoToSlice(index)));
                Pane::Slices
            }
            Source::Plane { plane, .. } => Pane::Across(*plane),
        };
        if measurement.ground.space == Space::Patient {
            effects.extend(self.apply(Command::MoveCrosshair(measurement.centre())));
        }
        if let Source::Plane { plane, .. } = &measurement.ground.source {
            let pose = measurement.ground.pose;
            self.change_planes(|planes| planes.show(*plane, &pose));
        }
        effects.extend(self.apply(Command::FocusPane(pane)));
    }

    /// Esc, before windows are closed: what is being drawn, named or dragged.
    pub(super) fn give_up_drawing(&mut self) -> bool {
        let Some(active) = &mut self.active else { return false };
        let measures = &mut active.measures;
        if measures.draft.take().is_some() || measures.editing.take().is_some() {
            return true;
        }
        measures.held = None;
        measures.sheet.cancel_drag()
    }

    /// Esc, after windows: the chosen handle, the selection, then the tool.
    pub(super) fn escape_measuring(&mut self) -> bool {
        let tool = self.kind_in_hand().is_some();
        let Some(active) = &mut self.active else { return false };
        if active.measures.chosen_handle().is_some() {
            active.measures.handle = None;
            return true;
        }
        if active.measures.sheet.selected.take().is_some() {
            return true;
        }
        if tool {
            self.tool = Tool::Window;
        }
        tool
    }

    /// Where the measurements of the series lie is known now, or cannot be: asks for what was kept.
    pub(super) fn ask_for_measures(&mut self, effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        if active.measures.key.is_some() {
            return;
        }
        let slices = active.loaded.as_ref().map(|loaded| loaded.volume.slices());
        let middle = slices.and_then(|slices| slices.get(slices.len() / 2)).map(|slice| &**slice);
        active.measures.key = SheetKey::new(&active.series, middle);
        effects.extend(active.measures.key.clone().map(|key| Effect::ReadMeasures { key }));
    }

    pub(super) fn measures_read(
        &mut self,
        key: &SheetKey,
        result: Result<MeasuresFile, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(active) = self.with_sheet(key) else { return };
        match result {
            Ok(file) => {
                let drawn = !active.measures.sheet.measurements().is_empty();
                active.measures.sheet.join(file.content);
                active.measures.read = true;
                active.read_measurements();
                let (index, levels) = (active.index, active.levels());
                self.note_levels(index, levels);
                if drawn {
                    self.save_measures(out);
                }
                if let Some(damage) = file.damage {
                    self.notice(Severity::Warning, damage);
                }
            }
            Err(why) => {
                active.measures.saved = Saved::No(why.clone());
                self.notice(Severity::Warning, format!("Measurements are kept in this window only: {why}"));
            }
        }
    }

    pub(super) fn measures_saved(&mut self, key: &SheetKey, content: &Content, result: Result<(), String>) {
        let Some(active) = self.with_sheet(key) else { return };
        match result {
            // What has been drawn since is on its way.
            Ok(()) if active.measures.sheet.content() == content => active.measures.saved = Saved::Yes,
            Ok(()) => {}
            Err(why) => {
                let new = active.measures.saved != Saved::No(why.clone());
                active.measures.saved = Saved::No(why.clone());
                if new {
                    self.notice(Severity::Error, format!("The measurements could not be saved: {why}"));
                }
            }
        }
    }

    fn save_measures(&mut self, effects: &mut Vec<Effect>) {
        let Some((index, levels)) = self.active.as_ref().map(|active| (active.index, active.levels())) else { return };
        self.note_levels(index, levels);
        let Some(active) = &mut self.active else { return };
        let measures = &mut active.measures;
        match &measures.key {
            Some(key) if measures.read => {
                measures.saved = Saved::Pending;
                let content = measures.sheet.content().clone();
                effects.push(Effect::SaveMeasures { key: key.clone(), content });
            }
            // Written as soon as what was kept before has been read.
            _ if !matches!(measures.saved, Saved::No(_)) => measures.saved = Saved::Pending,
            _ => {}
        }
    }
}

/// What was kept of a series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeasuresFile {
    pub content: Content,
    /// What of it could not be used, and where it is kept aside, in a sentence.
    pub damage: Option<String>,
}

fn measurement_of(draft: &Draft, points: Vec<PatientPoint>) -> Measurement {
    Measurement {
        id: MeasureId(0),
        kind: draft.kind,
        number: 0,
        name: String::new(),
        ground: draft.ground,
        points,
        label_at: None,
        reading: Reading::Nothing,
    }
}

fn copied(active: &ActiveSeries) -> Option<String> {
    let values = active.values();
    let lines: Vec<String> =
        active.measures.sheet.measurements().iter().map(|m| measure::described(m, values)).collect();
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

mod by_key;
#[cfg(test)]
mod tests;
