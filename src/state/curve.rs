//! Planes that follow a line down the body, and how the reader bends it.

use std::sync::Arc;

use super::planes::Planes;
use super::*;
use crate::geometry::{Bend, Bent, BodyPath, PathOrigin, PatientPoint, Plane, Vec3};

/// Distance of the knots of a line that begins straight, mm.
const STRAIGHT_KNOTS_MM: f64 = 25.0;

/// The line, and which planes follow it.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    path: Option<Path>,
    bends: [Option<Arc<Bend>>; 3],
}

#[derive(Debug, Clone)]
struct Path {
    line: BodyPath,
    origin: PathOrigin,
}

/// The canal is being found, to bend a plane along it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FindingCanal {
    request: RequestId,
    plane: Plane,
}

impl Planes {
    /// A plane that follows the line, through the crosshair.
    pub fn bent(&self, plane: Plane) -> Option<Bent> {
        let (bend, path) = (self.curve.bends[plane as usize].as_ref()?, self.curve.path.as_ref()?);
        Some(Bent::through(bend.clone(), &path.line, self.crosshair))
    }
    pub fn is_bent(&self, plane: Plane) -> bool {
        self.curve.bends[plane as usize].is_some()
    }
    pub fn any_bent(&self) -> bool {
        self.curve.bends.iter().any(Option::is_some)
    }
    /// Where the line comes from that a plane follows.
    pub fn bent_along(&self, plane: Plane) -> Option<PathOrigin> {
        self.curve.path.as_ref().filter(|_| self.is_bent(plane)).map(|path| path.origin)
    }
    /// The knots of the line, where a bent plane passes them.
    pub fn knots(&self, plane: Plane) -> Vec<PatientPoint> {
        let (Some(bent), Some(path)) = (self.bent(plane), &self.curve.path) else { return Vec::new() };
        let aside = plane.axis() * bent.shift_mm;
        // Sideways they lie in the plane that they are seen in: the crosshair's.
        let onto = |knot: &PatientPoint| match plane {
            Plane::Sagittal => Vec3::new(knot.0.x, self.crosshair.0.y, knot.0.z),
            _ => Vec3::new(self.crosshair.0.x, knot.0.y, knot.0.z),
        };
        path.line.knots().iter().map(|knot| PatientPoint(onto(knot) + aside)).collect()
    }
    /// The planes that can be bent: those across axial slices, but for the axial one.
    fn can_bend(&self, plane: Plane) -> bool {
        plane != Plane::Axial && self.across().contains(&plane)
    }
    pub(super) fn curve(&self) -> Curve {
        self.curve.clone()
    }
    pub(super) fn set_curve(&mut self, curve: Curve) {
        self.curve = curve;
    }
    /// All planes flat again; the line stays for the next time.
    pub(super) fn unbend(&mut self) {
        self.curve.bends = Default::default();
    }
    /// A line that the reader has drawn is forgotten, so that the canal is found anew the next time.
    pub(super) fn forget_drawn_line(&mut self) {
        self.curve.path.take_if(|path| path.origin != PathOrigin::Canal);
    }
    /// Takes the crosshair along the line to another height, so that planes that follow it stay where they are.
    pub(super) fn carried(&self, from: PatientPoint, z_mm: f64) -> PatientPoint {
        let mut to = PatientPoint(Vec3::new(from.0.x, from.0.y, z_mm));
        let Some(path) = &self.curve.path else { return to };
        let by = path.line.at(z_mm).0 - path.line.at(from.0.z).0;
        for plane in [Plane::Sagittal, Plane::Coronal].into_iter().filter(|plane| self.is_bent(*plane)) {
            to.0 = to.0 + plane.axis() * by.dot(plane.axis());
        }
        to
    }
    fn bend(&mut self, plane: Plane) {
        let Some(path) = &self.curve.path else { return };
        self.curve.bends[plane as usize] = Bend::over(&self.stack.geometry, &path.line, plane).map(Arc::new);
    }
    fn set_path(&mut self, line: BodyPath, origin: PathOrigin) {
        self.curve.path = Some(Path { line, origin });
        for plane in [Plane::Sagittal, Plane::Coronal] {
            if self.is_bent(plane) {
                self.bend(plane);
            }
        }
    }
    fn straight(&self) -> Option<BodyPath> {
        let [low, high] = self.stack.geometry.reach_mm(Plane::Axial.axis());
        let at = self.crosshair.0;
        let gaps = ((high - low) / STRAIGHT_KNOTS_MM).ceil().max(1.0);
        let knot = |i: usize| PatientPoint(Vec3::new(at.x, at.y, high - (high - low) * i as f64 / gaps));
        BodyPath::through((0..=gaps as usize).map(knot))
    }
    /// The knot goes where it is put, and the crosshair with the surface.
    fn move_knot(&mut self, plane: Plane, index: usize, at: PatientPoint) {
        let (Some(bent), Some(path)) = (self.bent(plane), self.curve.path.clone()) else { return };
        let Some(knot) = path.line.knots().get(index).copied() else { return };
        let axis = plane.axis();
        let by_mm = (at.0 - knot.0).dot(axis) - bent.shift_mm;
        let line = path.line.with_knot_at(index, PatientPoint(knot.0 + axis * by_mm));
        let here_mm = (line.at(self.crosshair.0.z).0 - path.line.at(self.crosshair.0.z).0).dot(axis);
        self.set_path(line, PathOrigin::Reader);
        self.put(PatientPoint(self.crosshair.0 + axis * here_mm));
    }
}

impl AppState {
    /// The canal is being found.
    pub fn is_finding_canal(&self) -> bool {
        self.finding_canal.is_some()
    }

    pub(super) fn apply_to_curve(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match *command {
            Command::ToggleCurved => self.toggle_curved(effects),
            Command::CancelCanal if self.is_finding_canal() => effects.push(Effect::CancelCanal),
            Command::CancelCanal => {}
            Command::MoveKnot { plane, index, at } => {
                self.move_crosshair(|planes| planes.move_knot(plane, index, at), effects);
            }
            _ => return false,
        }
        true
    }

    /// The focused plane, or the coronal one where slices or another plane are focused.
    fn plane_to_bend(&self) -> Option<Plane> {
        let planes = self.active.as_ref()?.planes.as_ref()?;
        let focused = match self.focused_pane() {
            Pane::Across(plane) => Some(plane),
            Pane::Slices => None,
        };
        let choices = [focused, Some(Plane::Coronal), Some(Plane::Sagittal)];
        choices.into_iter().flatten().find(|plane| planes.can_bend(*plane))
    }

    fn toggle_curved(&mut self, effects: &mut Vec<Effect>) {
        if self.is_finding_canal() {
            return;
        }
        let Some(plane) = self.plane_to_bend() else { return self.say_why_no_planes() };
        let Some(active) = &self.active else { return };
        let Some(planes) = &active.planes else { return };
        let leans = planes.acquired != Plane::Axial;
        if planes.is_bent(plane) {
            return self.change_planes(|planes| planes.curve.bends[plane as usize] = None);
        }
        if planes.curve.path.is_some() {
            return self.show_bent(plane);
        }
        match active.loaded.clone() {
            Some(loaded) if !leans && active.series.values_are_hu => {
                let request = self.next_request();
                self.finding_canal = Some(FindingCanal { request, plane });
                effects.push(Effect::FindCanal { request, loaded });
            }
            _ => self.bend_along(plane, None),
        }
    }

    fn bend_along(&mut self, plane: Plane, canal: Option<BodyPath>) {
        let found = canal.is_some();
        self.change_planes(|planes| {
            let line = canal.or_else(|| planes.straight());
            let origin = if found { PathOrigin::Canal } else { PathOrigin::Straight };
            line.into_iter().for_each(|line| planes.set_path(line, origin));
        });
        self.show_bent(plane);
        if !found {
            let text = "No spinal canal was found in these slices, so the curve begins straight: drag its points, which stand \
                        on its line in the plane beside it.";
            self.notice(Severity::Info, text);
        }
    }

    fn show_bent(&mut self, plane: Plane) {
        self.change_planes(|planes| {
            planes.stand_up_one(plane);
            planes.bend(plane);
        });
        self.focus_beside(false);
        self.focus = Pane::Across(plane);
        self.drop_draft_on(plane);
    }

    /// What was being drawn lay on the flat plane.
    fn drop_draft_on(&mut self, plane: Plane) {
        if let Some(active) = &mut self.active {
            active.measures.draft.take_if(|draft| draft.pane == Pane::Across(plane));
        }
    }

    pub(super) fn canal_found(&mut self, request: RequestId, result: Result<Option<BodyPath>, Ended>) {
        let Some(of) = self.finding_canal.take_if(|of| of.request == request) else { return };
        match result {
            Ok(path) => self.bend_along(of.plane, path),
            Err(Ended::Cancelled) => {
                self.notice(Severity::Info, "The plane stays flat: finding the canal was cancelled.")
            }
            Err(Ended::Failed(why) | Ended::Stopped(why)) => {
                self.notice(Severity::Error, format!("The canal could not be looked for: {why}."));
                self.bend_along(of.plane, None);
            }
        }
    }

    /// Ends the search; the plane stays flat.
    pub(super) fn drop_canal(&mut self, effects: &mut Vec<Effect>) {
        if self.finding_canal.take().is_some() {
            effects.push(Effect::CancelCanal);
        }
    }

    /// Says why nothing is measured on a bent plane, if the pane shows one.
    pub(super) fn refuses_on_bend(&mut self, pane: Pane) -> bool {
        let planes = self.active.as_ref().and_then(|active| active.planes.as_ref());
        let bent = matches!(pane, Pane::Across(plane) if planes.is_some_and(|planes| planes.is_bent(plane)));
        if bent {
            let text = self.keymap.hint(
                "On a curved picture nothing is measured: what looks straight there is not. Click a place to bring the \
                 crosshair to it and measure in a flat plane; curved or flat",
                "curved",
            );
            self.notice(Severity::Info, text + ".");
        }
        bent
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_planes;
    use super::*;
    use crate::measure::Kind;

    fn planes(state: &AppState) -> &Planes {
        state.active.as_ref().and_then(|a| a.planes.as_ref()).expect("planes")
    }

    /// A canal that leans forward on its way down.
    fn canal() -> BodyPath {
        let knot = |i: i32| PatientPoint(Vec3::new(0.5, 0.2 + 0.1 * f64::from(i), 20.0 - 3.0 * f64::from(i)));
        BodyPath::through((0..7).map(knot)).expect("knots")
    }

    fn asked(effects: &[Effect]) -> Option<RequestId> {
        effects.iter().find_map(|e| if let Effect::FindCanal { request, .. } = e { Some(*request) } else { None })
    }

    fn found(state: &mut AppState, path: Option<BodyPath>) {
        let request = asked(&state.apply(Command::ToggleCurved)).expect("looks for it");
        assert!(state.is_finding_canal());
        state.receive(Event::CanalFound { request, result: Ok(path) });
        assert!(!state.is_finding_canal());
    }

    fn shift_mm(state: &AppState, plane: Plane) -> f64 {
        planes(state).bent(plane).expect("bent").shift_mm
    }

    #[test]
    fn the_coronal_plane_follows_the_canal_and_so_do_the_slices() {
        let mut state = with_planes();
        state.apply(Command::ToggleLayout);
        found(&mut state, Some(canal()));
        assert!(planes(&state).is_bent(Plane::Coronal) && !planes(&state).is_bent(Plane::Sagittal));
        assert_eq!(planes(&state).bent_along(Plane::Coronal), Some(PathOrigin::Canal));
        assert_eq!(state.focused_pane(), Pane::Across(Plane::Coronal));
        let (shift, y) = (shift_mm(&state, Plane::Coronal), planes(&state).crosshair.0.y);
        state.apply(Command::FocusPane(Pane::Slices));
        state.apply(Command::ScrollBy(3));
        let carried_mm = planes(&state).crosshair.0.y - y;
        assert!((carried_mm - 0.2).abs() < 0.01, "6 mm down the canal lies 0.2 mm further back: {carried_mm}");
        assert!((shift_mm(&state, Plane::Coronal) - shift).abs() < 1e-6, "the surface stays where it is");
        // Scrolled itself, it moves as a whole.
        let grid = planes(&state).grid(Plane::Coronal).expect("a grid");
        state.apply(Command::FocusPane(Pane::Across(Plane::Coronal)));
        state.apply(Command::ScrollBy(-1));
        assert!((shift_mm(&state, Plane::Coronal) - shift + 0.5).abs() < 1e-6);
        let moved = planes(&state).grid(Plane::Coronal).expect("a grid");
        assert_eq!((moved.rows, moved.columns), (grid.rows, grid.columns));
    }

    #[test]
    fn it_is_flat_again_by_the_same_key_and_the_canal_is_found_once() {
        let mut state = with_planes();
        found(&mut state, Some(canal()));
        state.apply(Command::ToggleCurved);
        assert!(!planes(&state).any_bent());
        assert_eq!(asked(&state.apply(Command::ToggleCurved)), None);
        assert!(planes(&state).is_bent(Plane::Coronal));
        state.apply(Command::FocusPane(Pane::Across(Plane::Sagittal)));
        state.apply(Command::ToggleCurved);
        assert!(planes(&state).is_bent(Plane::Coronal) && planes(&state).is_bent(Plane::Sagittal), "each for itself");
        state.apply(Command::TurnPlanes { within: Plane::Axial, degrees: 20.0, only: None });
        assert!(!planes(&state).any_turned(), "what is bent cannot be turned");
        state.apply(Command::StandUp);
        assert!(!planes(&state).any_bent());
    }

    #[test]
    fn where_no_canal_is_found_the_reader_draws_the_line() {
        let mut state = with_planes();
        state.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(0.5, 1.0, 12.0))));
        found(&mut state, None);
        assert!(state.notices.last().expect("a notice").text.starts_with("No spinal canal was found"));
        assert_eq!(planes(&state).bent_along(Plane::Coronal), Some(PathOrigin::Straight));
        let knots = planes(&state).knots(Plane::Coronal);
        assert!(knots.len() > 1 && knots.iter().all(|knot| knot.0.y == 1.0 && knot.0.x == 0.5));
        let before = shift_mm(&state, Plane::Coronal);
        let to = PatientPoint(Vec3::new(0.0, 0.4, knots[0].0.z));
        state.apply(Command::MoveKnot { plane: Plane::Coronal, index: 0, at: to });
        assert_eq!(planes(&state).bent_along(Plane::Coronal), Some(PathOrigin::Reader));
        assert!((planes(&state).knots(Plane::Coronal)[0].0.y - 0.4).abs() < 1e-9);
        assert!((shift_mm(&state, Plane::Coronal) - before).abs() < 1e-6, "the crosshair goes with the surface");
        // Flat and curved again it is still there; upright it is given up.
        state.apply(Command::ToggleCurved);
        assert_eq!(asked(&state.apply(Command::ToggleCurved)), None);
        state.apply(Command::StandUp);
        assert!(asked(&state.apply(Command::ToggleCurved)).is_some(), "the canal is looked for again");
    }

    #[test]
    fn a_cancelled_search_leaves_the_plane_flat() {
        let mut state = with_planes();
        let request = asked(&state.apply(Command::ToggleCurved)).expect("looks for it");
        assert_eq!(asked(&state.apply(Command::ToggleCurved)), None, "one search at a time");
        assert!(matches!(state.apply(Command::CancelCanal)[..], [Effect::CancelCanal]));
        state.receive(Event::CanalFound { request, result: Err(Ended::Cancelled) });
        assert!(!planes(&state).any_bent() && !state.is_finding_canal());
        assert!(state.notices.last().expect("a notice").text.contains("stays flat"));
        assert!(state.apply(Command::CancelCanal).is_empty(), "nothing to be cancelled");
        state.receive(Event::CanalFound { request, result: Ok(Some(canal())) });
        assert!(!planes(&state).any_bent(), "nobody waits for it any more");
        let request = asked(&state.apply(Command::ToggleCurved)).expect("looks for it");
        state.receive(Event::CanalFound { request, result: Err(Ended::Failed("a disc broke".into())) });
        assert!(planes(&state).is_bent(Plane::Coronal), "straight, for the reader to bend");
    }

    #[test]
    fn nothing_is_measured_on_a_curved_picture_and_the_reader_is_told() {
        let mut state = with_planes();
        found(&mut state, Some(canal()));
        state.apply(Command::SetTool(Tool::Measure(Kind::Length)));
        let pane = Pane::Across(Plane::Coronal);
        let at = planes(&state).crosshair;
        state.apply(Command::Measure(MeasureCommand::Place { pane, at }));
        let active = state.active.as_ref().expect("active");
        assert!(active.measures.draft.is_none() && active.measures.sheet.measurements().is_empty());
        assert!(state.notices.last().expect("a notice").text.contains("nothing is measured"));
    }
}
