//! Measuring by the keyboard alone: what is drawn where the crosshair is, and handles chosen one after the other.

use super::*;

/// What was drawn before at the very place is stepped aside from, as often as this and by so many mm to the right and down.
const MOST_STEPS_ASIDE: usize = 50;
const ASIDE: f64 = 5.0;

impl Measures {
    /// The handle of the selected measurement that keys move, by its number in [`Measurement::handles`].
    pub fn chosen_handle(&self) -> Option<usize> {
        let selected = self.sheet.selected()?;
        let of_it = self.handle.filter(|(id, _)| *id == selected.id).map(|(_, handle)| handle);
        of_it.filter(|handle| *handle < selected.handles().len())
    }
    fn step_handle(&mut self, step: i32) {
        let Some((id, count)) = self.sheet.selected().map(|m| (m.id, m.handles().len() as i64)) else { return };
        let next = match self.chosen_handle() {
            Some(handle) => (handle as i64 + i64::from(step)).rem_euclid(count.max(1)),
            None if step < 0 => count - 1,
            None => 0,
        };
        self.sheet.end_run();
        self.handle = Some((id, next as usize));
    }
}

impl ActiveSeries {
    /// Where keys draw in a pane: at the crosshair where it is seen, else in the middle of what is seen of the image.
    fn place_for_keys(&self, pane: Pane, ground: &Ground, crosshair_seen: bool) -> Option<PatientPoint> {
        if let Some(planes) = self.planes.as_ref().filter(|_| crosshair_seen && ground.space == Space::Patient) {
            return Some(ground.onto(planes.crosshair));
        }
        let image = match pane {
            Pane::Slices => self.image_shape(),
            Pane::Across(plane) => {
                let grid = self.planes.as_ref()?.grid(plane)?;
                ImageShape { rows: grid.rows, columns: grid.columns, spacing: [grid.spacing_mm; 2] }
            }
        };
        Some(ground.point(self.view_of(pane).middle(image)))
    }
}

impl AppState {
    /// Draws the whole of what the tool draws, selected, so that it can be moved and changed.
    pub(super) fn draw_here(&mut self, effects: &mut Vec<Effect>) {
        let Some(kind) = self.kind_in_hand() else {
            let text = "Take a measuring tool first: it is drawn at the crosshair, or in the middle of the view.";
            return self.notice(Severity::Info, text);
        };
        let (pane, slab) = (self.focused_pane(), self.slab);
        if self.refuses_on_bend(pane) {
            return;
        }
        let crosshair_seen = self.lines_on && self.settings.layout != Layout::One;
        let Some(active) = &mut self.active else { return };
        let Some(ground) = active.ground(pane, slab) else { return };
        let Some(mut at) = active.place_for_keys(pane, &ground, crosshair_seen) else { return };
        let near = |a: &PatientPoint, b: &PatientPoint| (a.0 - b.0).length() < 1e-6;
        let mut points = kind.about(&ground, at);
        for _ in 0..MOST_STEPS_ASIDE {
            let same = |m: &Measurement| m.kind == kind && m.points.iter().zip(&points).all(|(a, b)| near(a, b));
            if !active.measures.sheet.measurements().iter().any(same) {
                break;
            }
            at.0 = at.0 + (ground.pose.along_row + ground.pose.along_column) * ASIDE;
            points = kind.about(&ground, at);
        }
        active.measures.draft = None;
        let draft = Draft { pane, kind, ground, points: Vec::new(), shown: None };
        self.finish(measurement_of(&draft, points), effects);
    }

    pub(super) fn step_handle(&mut self, step: i32) {
        if let Some(active) = &mut self.active {
            active.measures.step_handle(step);
        }
    }

    /// Asks for the name of the selected one.
    pub(super) fn edit_selected(&mut self, effects: &mut Vec<Effect>) {
        if let Some(id) = self.active.as_ref().and_then(|active| active.measures.sheet.selected) {
            self.apply_measure(MeasureCommand::Edit(Some(id)), effects);
        }
    }
}

/// Moves a handle of a measurement, and answers which one it is then: a corner that was moved past its opposite is another.
pub(super) fn move_handle_by(measurement: &mut Measurement, handle: usize, by: Vec3) -> usize {
    let Some(from) = measurement.handles().get(handle).copied() else { return handle };
    let to = from.0 + by;
    measurement.move_handle(handle, PatientPoint(to));
    if !measurement.kind.is_region() {
        return handle;
    }
    let away: Vec<f64> = measurement.handles().iter().map(|p| (p.0 - to).length()).collect();
    let here = away.get(handle).copied().unwrap_or(f64::INFINITY);
    let nearest = away.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    nearest.filter(|(_, mm)| **mm + 1e-9 < here).map_or(handle, |(nearest, _)| nearest)
}
