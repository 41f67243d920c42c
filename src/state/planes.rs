//! The linked planes: one point of the patient, the crosshair, that all panes pass through.

use std::sync::Arc;

use super::curve::Curve;
use super::*;
use crate::geometry::{PatientPoint, Plane, PlaneGrid, Rotation, SlicePose, StackError, Tilt, Vec3};
use crate::view::planes::{Layout, Pane, PlaneDraw, Upload, reduction_for, screen_step_mm};
use crate::volume::{Projection, Slab, Stack};

/// Thicknesses that the keys step through, mm.
const SLABS_MM: [f64; 11] = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0];

/// What the planes across the slices of a series need; there once the series is complete.
#[derive(Debug)]
pub struct Planes {
    pub stack: Stack,
    /// The plane of the body that the slices themselves are nearest to.
    pub acquired: Plane,
    /// Lies in every plane; the slice shown is the one nearest to it.
    pub crosshair: PatientPoint,
    pub upload: Arc<Upload>,
    /// Of the slices' own plane; the planes across share another ([`AppState::slab`]).
    pub(super) own_slab: Slab,
    views: [ViewState; 3],
    turned: [Option<Turned>; 3],
    pub(super) curve: Curve,
}

/// A plane that was turned out of the body's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turned {
    /// Lies where the plane was when it was last turned; it goes with the crosshair along its normal only, so that the
    /// picture stands still while the crosshair moves within it.
    grid: PlaneGrid,
    /// 1 where scrolling onwards goes along the grid's normal, -1 where it goes against it.
    onwards: f64,
}

/// Turned by less than this a plane counts as upright again, degrees.
const UPRIGHT_DEG: f64 = 0.05;

impl Planes {
    pub(super) fn new(loaded: &LoadedSeries, current: usize) -> Result<Self, StackError> {
        let stack = loaded.stack()?;
        let [.., onwards] = stack.geometry.directions();
        let mut planes = Self {
            acquired: Plane::nearest(onwards),
            crosshair: opening_point(&stack, loaded.series.values_are_hu),
            upload: Arc::default(),
            own_slab: Slab::default(),
            views: Default::default(),
            turned: [None; 3],
            curve: Curve::default(),
            stack,
        };
        planes.follow(current);
        Ok(planes)
    }
    /// The two planes across the slices.
    pub fn across(&self) -> [Plane; 2] {
        match self.acquired {
            Plane::Axial => [Plane::Sagittal, Plane::Coronal],
            Plane::Sagittal => [Plane::Axial, Plane::Coronal],
            Plane::Coronal => [Plane::Sagittal, Plane::Axial],
        }
    }
    /// The pane that shows a plane: the slices themselves as long as their plane has neither been turned nor made thick.
    pub fn pane_of(&self, plane: Plane) -> Pane {
        let as_acquired = !self.is_turned(plane) && self.own_slab.thickness_mm == 0.0;
        if plane == self.acquired && as_acquired { Pane::Slices } else { Pane::Across(plane) }
    }
    /// The slab of a plane, where the planes across have that one.
    pub fn slab_of(&self, plane: Plane, across: Slab) -> Slab {
        if plane == self.acquired { self.own_slab } else { across }
    }
    pub fn is_turned(&self, plane: Plane) -> bool {
        self.turned[plane as usize].is_some()
    }
    pub fn any_turned(&self) -> bool {
        self.turned.iter().any(Option::is_some)
    }
    /// The unit normal of a plane where it passes a point, or passes above or below it.
    pub fn normal_at(&self, plane: Plane, at: PatientPoint) -> Vec3 {
        self.bent(plane).map_or_else(|| self.normal(plane), |bent| bent.normal_at(at))
    }
    pub(super) fn turned(&self) -> [Option<Turned>; 3] {
        self.turned
    }
    /// The directions along rows and columns of a plane before any turn.
    fn upright(&self, plane: Plane) -> [Vec3; 2] {
        if plane != self.acquired {
            return plane.directions();
        }
        let [along_row, along_column, _] = self.stack.geometry.directions();
        [along_row, along_column]
    }
    /// The unit normal of a plane; its sense is that of its picture, away from who looks at it.
    pub fn normal(&self, plane: Plane) -> Vec3 {
        let [along_row, along_column] = self.directions(plane);
        along_row.cross(along_column)
    }
    fn directions(&self, plane: Plane) -> [Vec3; 2] {
        match &self.turned[plane as usize] {
            Some(turned) => [turned.grid.pose.along_row, turned.grid.pose.along_column],
            None => self.upright(plane),
        }
    }
    /// How a plane leans; `None` as long as it stands as it is named (or as the slices were acquired).
    pub fn tilt(&self, plane: Plane) -> Option<Tilt> {
        let turned = self.turned[plane as usize].as_ref()?;
        Tilt::of(plane, &turned.grid.pose, plane.directions())
    }
    /// "sagittal, x 3.2 mm", or how it leans and through which point, or how far it lies off the line that it follows.
    pub fn words(&self, plane: Plane) -> String {
        if let Some(bent) = self.bent(plane) {
            return bent.words();
        }
        let [along_row, along_column] = if self.is_turned(plane) { self.directions(plane) } else { plane.directions() };
        plane.words(&SlicePose { origin: self.crosshair, along_row, along_column }, self.crosshair)
    }
    /// A plane as it is to be turned from; `None` of one that is bent.
    fn turned_from(&self, plane: Plane) -> Option<Turned> {
        if self.is_bent(plane) {
            return None;
        }
        if let Some(turned) = self.turned[plane as usize] {
            return Some(Turned { grid: turned.grid.moved_through(self.crosshair), ..turned });
        }
        let [.., down_the_stack] = self.stack.geometry.directions();
        let onwards = match plane == self.acquired {
            true => down_the_stack,
            false => plane.axis() * if plane == Plane::Axial { -1.0 } else { 1.0 },
        };
        let grid = self.grid(plane)?;
        Some(Turned { grid, onwards: grid.pose.normal().dot(onwards).signum() })
    }
    /// Turns planes about the crosshair. One that comes back to where it stood is upright again.
    fn turn(&mut self, planes: &[Plane], rotation: &Rotation) {
        for &plane in planes {
            let Some(from) = self.turned_from(plane) else { continue };
            let grid = from.grid.turned(rotation, self.crosshair);
            let upright = self.upright(plane);
            let off = |a: Vec3, b: Vec3| a.cross(b).length().atan2(a.dot(b)).to_degrees();
            let stands = off(grid.pose.along_row, upright[0]) < UPRIGHT_DEG
                && off(grid.pose.along_column, upright[1]) < UPRIGHT_DEG;
            self.turned[plane as usize] = (!stands).then_some(Turned { grid, ..from });
        }
    }
    /// Turns the other planes (or one of them) within a plane, from its rows towards its columns.
    pub(super) fn turn_within(&mut self, plane: Plane, degrees: f64, only: Option<Plane>) {
        let Some(rotation) = Rotation::about(self.normal(plane), degrees) else { return };
        let planes: Vec<Plane> =
            Plane::ALL.into_iter().filter(|other| *other != plane && only.is_none_or(|only| only == *other)).collect();
        self.turn(&planes, &rotation);
    }
    /// Stands all planes up, then turns them together so that one of them has these directions.
    pub(super) fn turn_to(&mut self, plane: Plane, pose: &SlicePose) {
        self.stand_up();
        let rotation = Rotation::between(self.upright(plane), [pose.along_row, pose.along_column]);
        self.turn(&Plane::ALL, &rotation);
    }
    /// Turns the planes so that one of them is parallel to a pose, if it is not.
    pub(super) fn show(&mut self, plane: Plane, pose: &SlicePose) {
        if self.normal(plane).cross(pose.normal()).length() > UPRIGHT_DEG.to_radians() {
            self.turn_to(plane, pose);
        }
    }
    /// All planes upright and flat.
    pub(super) fn stand_up(&mut self) {
        self.turned = [None; 3];
        self.unbend();
    }
    pub(super) fn stand_up_one(&mut self, plane: Plane) {
        self.turned[plane as usize] = None;
    }
    pub(super) fn set_turned(&mut self, turned: [Option<Turned>; 3]) {
        self.turned = turned;
    }
    pub fn view(&self, plane: Plane) -> &ViewState {
        &self.views[plane as usize]
    }
    pub(super) fn view_mut(&mut self, plane: Plane) -> &mut ViewState {
        &mut self.views[plane as usize]
    }
    pub(super) fn reset_views(&mut self) {
        self.views = Default::default();
    }
    pub(super) fn views(&self) -> &[ViewState; 3] {
        &self.views
    }
    pub(super) fn set_views(&mut self, views: [ViewState; 3]) {
        self.views = views;
    }
    /// Views that are zoomed show the crosshair in their middle, the others everything.
    pub(super) fn look_at_crosshair(&mut self) {
        for plane in self.across() {
            let Some(grid) = self.grid(plane) else { continue };
            let image = ImageShape { rows: grid.rows, columns: grid.columns, spacing: [grid.spacing_mm; 2] };
            let at = grid.sheet(self.bent(plane).as_ref()).pixel_from_patient(self.crosshair);
            self.view_mut(plane).centre_on(image, at);
        }
    }
    pub fn coordinate_mm(&self, plane: Plane) -> f64 {
        plane.coordinate_mm(self.crosshair)
    }
    /// The pixels of a plane through the crosshair, over the whole volume; of a turned one as many as it had upright, of a
    /// bent one as its surface has unrolled.
    pub fn grid(&self, plane: Plane) -> Option<PlaneGrid> {
        if let Some(bent) = self.bent(plane) {
            let geometry = &self.stack.geometry;
            return Some(bent.grid_over(geometry, self.crosshair, geometry.smallest_spacing_mm()));
        }
        if let Some(turned) = &self.turned[plane as usize] {
            return Some(turned.grid.moved_through(self.crosshair));
        }
        if plane == self.acquired {
            return Some(self.stack.geometry.slice_grid(self.crosshair).moved_through(self.crosshair));
        }
        let spacing_mm = self.stack.geometry.smallest_spacing_mm();
        PlaneGrid::covering(&self.stack.geometry, plane, self.coordinate_mm(plane), spacing_mm).ok()
    }
    /// Moves the crosshair to the slice, along the slice's axis of the body (or, where planes are turned, along the line in
    /// which they cross), so that the planes that the slice crosses stay where they are.
    pub(super) fn follow(&mut self, slice: usize) {
        let positions = self.stack.geometry.positions();
        let Some(position) = positions.iter().rev().find(|p| p.index <= slice).or(positions.first()) else { return };
        self.crosshair = self.at_depth(self.crosshair, position.depth_mm);
    }
    fn at_depth(&self, from: PatientPoint, depth_mm: f64) -> PatientPoint {
        let [.., onwards] = self.stack.geometry.directions();
        if self.any_bent() && self.acquired == Plane::Axial {
            return self.along_the_curve(from, onwards, depth_mm);
        }
        let [a, b] = self.across();
        let crossing = self.normal(a).cross(self.normal(b));
        // Planes that are nearly parallel to the slices, or to each other, lead nowhere.
        let leads = self.any_turned() && crossing.dot(onwards).abs() > 0.2;
        let axis = if leads { crossing } else { self.acquired.axis() };
        PatientPoint(from.0 + axis * ((depth_mm - from.0.dot(onwards)) / axis.dot(onwards)))
    }
    /// The point that bent planes carry to a depth of the stack, whose slices may lean.
    fn along_the_curve(&self, from: PatientPoint, onwards: Vec3, depth_mm: f64) -> PatientPoint {
        /// Each round leaves of the rest as much as slices and line lean against each other.
        const ROUNDS: usize = 12;
        (0..ROUNDS).fold(from, |at, _| {
            let rest_mm = (depth_mm - at.0.dot(onwards)) / onwards.z;
            self.carried(from, at.0.z + rest_mm)
        })
    }
    /// The crosshair moved so that the slices' plane passes through a point.
    pub fn onto_slice_through(&self, at: PatientPoint) -> PatientPoint {
        let [.., onwards] = self.stack.geometry.directions();
        self.at_depth(self.crosshair, at.0.dot(onwards))
    }
    /// Steps of one pixel: to the left, to the back, to the feet; of a turned plane along its normal; of the slices' own
    /// plane from slice to slice.
    fn scroll(&mut self, plane: Plane, by: i64) {
        if plane == self.acquired && !self.is_turned(plane) {
            let positions = self.stack.geometry.positions();
            let here = self.stack.geometry.nearest_slice(self.crosshair);
            let at = positions.iter().position(|p| p.index == here).unwrap_or(0);
            let to = at
                .saturating_add_signed(isize::try_from(by).unwrap_or_default())
                .min(positions.len().saturating_sub(1));
            return positions.get(to).map(|p| p.index).into_iter().for_each(|slice| self.follow(slice));
        }
        let step_mm = self.stack.geometry.smallest_spacing_mm();
        if let Some(turned) = &self.turned[plane as usize] {
            let onwards = turned.grid.pose.normal() * turned.onwards;
            let [back_mm, on_mm] = self.room_mm(onwards);
            self.put(PatientPoint(self.crosshair.0 + onwards * (by as f64 * step_mm).clamp(-back_mm, on_mm)));
            return;
        }
        let onwards = if plane == Plane::Axial { -1.0 } else { 1.0 };
        self.put(plane.moved_to(self.crosshair, self.coordinate_mm(plane) + by as f64 * step_mm * onwards));
    }
    /// How far the crosshair can go against and along a direction before it leaves the volume's reach.
    fn room_mm(&self, along: Vec3) -> [f64; 2] {
        let half_mm = self.stack.geometry.smallest_spacing_mm() / 2.0;
        Plane::ALL.into_iter().fold([f64::INFINITY; 2], |[back, on], plane| {
            let [low, high] = self.stack.geometry.reach_mm(plane.axis());
            let at = self.coordinate_mm(plane);
            let (below, above) = ((at - low - half_mm).max(0.0), (high - half_mm - at).max(0.0));
            let per = along.dot(plane.axis());
            if per.abs() < 1e-9 {
                return [back, on];
            }
            let (behind, ahead) = if per > 0.0 { (below, above) } else { (above, below) };
            [back.min(behind / per.abs()), on.min(ahead / per.abs())]
        })
    }
    /// The crosshair moved straight onto the parallel of a plane through a point.
    pub fn onto_plane_through(&self, plane: Plane, at: PatientPoint) -> PatientPoint {
        if let Some(bent) = self.bent(plane) {
            return PatientPoint(self.crosshair.0 + plane.axis() * bent.off_mm(at));
        }
        let normal = self.normal(plane);
        PatientPoint(self.crosshair.0 + normal * (at.0 - self.crosshair.0).dot(normal))
    }
    /// Steps from one end of what a plane scrolls through to the other.
    pub fn steps(&self, plane: Plane) -> f64 {
        if plane == self.acquired && !self.is_turned(plane) {
            return self.stack.geometry.positions().len() as f64;
        }
        let [low, high] = self.stack.geometry.reach_mm(self.normal(plane));
        (high - low) / self.stack.geometry.smallest_spacing_mm()
    }
    /// Takes the nearest point within the volume's reach, half a pixel from its edge.
    pub(super) fn put(&mut self, at: PatientPoint) {
        if !at.0.is_finite() {
            return;
        }
        let half_mm = self.stack.geometry.smallest_spacing_mm() / 2.0;
        for plane in Plane::ALL {
            let [low, high] = self.stack.geometry.reach_mm(plane.axis());
            let within = plane.coordinate_mm(at).clamp(low + half_mm, high - half_mm);
            self.crosshair = plane.moved_to(self.crosshair, within);
        }
    }
    /// How far the volume must be reduced for a device; `None` where it cannot be drawn.
    pub fn reduction(&self, max_side: usize) -> Option<usize> {
        reduction_for(&self.stack.volume, max_side)
    }
}

/// Where the planes are cut at first: through the spine, where bone tells where it is.
fn opening_point(stack: &Stack, values_are_hu: bool) -> PatientPoint {
    values_are_hu.then(|| stack.bony_column()).flatten().unwrap_or_else(|| stack.geometry.centre())
}

impl ActiveSeries {
    /// A plane as it is to be drawn; its mapping to the screen is the caller's. `slab` is that of the planes across.
    pub fn plane_draw(
        &self,
        plane: Plane,
        slab: Slab,
        reduction: usize,
        interpolation: view::Interpolation,
    ) -> Option<PlaneDraw> {
        let planes = self.planes.as_ref()?;
        let slab = planes.slab_of(plane, slab);
        Some(PlaneDraw {
            pixel_from_screen: view::PixelFromScreen::EXACT,
            grid: planes.grid(plane)?,
            bent: planes.bent(plane),
            stack: planes.stack.clone(),
            reduction,
            slab,
            step_mm: screen_step_mm(&slab, planes.stack.geometry.smallest_spacing_mm()),
            window: self.window.clone(),
            invert: self.inverted(),
            interpolation,
            heatmap: None,
        })
    }
    pub(super) fn make_planes(&mut self) {
        let made = self.loaded.as_ref().map(|loaded| Planes::new(loaded, self.current));
        (self.planes, self.no_planes) = match made {
            Some(Ok(planes)) => (Some(planes), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
    }
}

impl AppState {
    /// The pane that keys act upon: the one last used, if it is on the screen.
    pub fn focused_pane(&self) -> Pane {
        let Some(planes) = self.active.as_ref().and_then(|a| a.planes.as_ref()) else { return Pane::Slices };
        match self.focus {
            Pane::Across(plane) => planes.pane_of(plane),
            Pane::Slices => planes.pane_of(planes.acquired),
        }
    }
    /// The panes on the screen, as they are read: the slices first.
    pub fn panes(&self) -> Vec<Pane> {
        match (self.settings.layout, self.active.as_ref().and_then(|a| a.planes.as_ref())) {
            (Layout::One, _) => vec![self.focused_pane()],
            (_, Some(planes)) => {
                let [a, b] = planes.across();
                vec![planes.pane_of(planes.acquired), Pane::Across(a), Pane::Across(b)]
            }
            // While the series is being read there is nothing to name the planes by.
            (_, None) => vec![Pane::Slices, Pane::Across(Plane::Sagittal), Pane::Across(Plane::Coronal)],
        }
    }

    pub(super) fn apply_to_planes(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match *command {
            Command::SetLayout(layout) => self.set_layout(layout, effects),
            Command::ToggleLayout => {
                let to = if self.settings.layout == Layout::One { Layout::Three } else { Layout::One };
                self.set_layout(to, effects);
            }
            Command::FocusPane(pane) => {
                self.focus_beside(false);
                self.focus = pane;
            }
            Command::ShowPlane(plane) => {
                self.focus_beside(false);
                match self.active.as_ref().and_then(|a| a.planes.as_ref()) {
                    Some(planes) => self.focus = planes.pane_of(plane),
                    None => self.say_why_no_planes(),
                }
            }
            Command::MoveCrosshair(at) => self.move_crosshair(|planes| planes.put(at), effects),
            Command::StepSlab(step) => self.change_slab(|slab| {
                let now = SLABS_MM.partition_point(|mm| *mm < slab.thickness_mm);
                let index = now.saturating_add_signed(step as isize).min(SLABS_MM.len() - 1);
                slab.thickness_mm = SLABS_MM[index];
            }),
            Command::CycleProjection => self.change_slab(|slab| {
                slab.projection = match slab.projection {
                    Projection::Mean => Projection::Mip,
                    Projection::Mip => Projection::MinIp,
                    Projection::MinIp => Projection::Mean,
                };
                // A projection of nothing would change nothing that one can see.
                if slab.thickness_mm == 0.0 {
                    slab.thickness_mm = 5.0;
                }
            }),
            Command::ToggleLines => self.lines_on = !self.lines_on,
            Command::TurnPlanes { within, degrees, only } => {
                self.change_planes(|planes| planes.turn_within(within, degrees, only));
            }
            Command::TurnBy(degrees) => self.turn_by(degrees),
            Command::StandUp => self.change_planes(|planes| {
                planes.stand_up();
                planes.forget_drawn_line();
            }),
            _ => return self.apply_to_curve(command, effects),
        }
        true
    }

    /// That of the slices' own plane where it is focused, else that of the planes across.
    fn change_slab(&mut self, change: impl FnOnce(&mut Slab)) {
        let focused = self.focused_pane();
        let Some(planes) = self.active.as_ref().and_then(|a| a.planes.as_ref()) else {
            return self.say_why_no_planes();
        };
        if focused == planes.pane_of(planes.acquired) {
            self.change_planes(|planes| change(&mut planes.own_slab));
        } else {
            change(&mut self.slab);
        }
    }

    /// Clockwise as the focused pane shows it.
    fn turn_by(&mut self, degrees: f64) {
        let pane = self.focused_pane();
        let Some(active) = &self.active else { return };
        let Some(planes) = &active.planes else { return self.say_why_no_planes() };
        let within = if let Pane::Across(plane) = pane { plane } else { planes.acquired };
        let view = active.view_of(pane);
        let mirrored = view.flip_horizontal != view.flip_vertical;
        let degrees = if mirrored { -degrees } else { degrees };
        self.change_planes(|planes| planes.turn_within(within, degrees, None));
    }

    /// Turns planes, or makes the slices' own thick. The slices and the plane that then stands in for them are looked at alike.
    pub(super) fn change_planes(&mut self, change: impl FnOnce(&mut Planes)) {
        let Some(active) = &mut self.active else { return };
        let Some(planes) = &mut active.planes else { return };
        let acquired = planes.acquired;
        let stands_in = |planes: &Planes| planes.pane_of(acquired) != Pane::Slices;
        let before = stands_in(planes);
        change(planes);
        match (before, stands_in(planes)) {
            (false, true) => *planes.view_mut(acquired) = active.view,
            (true, false) => active.view = *planes.view(acquired),
            _ => return,
        }
        // What was being drawn lay on the other plane.
        active.measures.draft = None;
    }

    fn set_layout(&mut self, layout: Layout, effects: &mut Vec<Effect>) {
        // Who chooses a layout stays there.
        self.forget_evidence();
        if layout == Layout::One {
            self.focus = Pane::Slices;
        } else {
            self.say_why_no_planes();
        }
        self.maximised_from = None;
        self.settings.layout = layout;
        Self::save(effects);
    }

    pub(super) fn say_why_no_planes(&mut self) {
        if let Some(why) = self.active.as_ref().and_then(|a| a.no_planes.clone()) {
            self.notice(Severity::Warning, format!("No planes across the slices of this series: {why}."));
        }
    }

    pub(super) fn scroll_plane(&mut self, plane: Plane, by: i64, effects: &mut Vec<Effect>) {
        self.move_crosshair(|planes| planes.scroll(plane, by), effects);
    }

    /// The slice follows the crosshair.
    pub(super) fn move_crosshair(&mut self, change: impl FnOnce(&mut Planes), effects: &mut Vec<Effect>) {
        let Some(active) = &mut self.active else { return };
        let Some(planes) = &mut active.planes else { return };
        change(planes);
        let nearest = planes.stack.geometry.nearest_slice(planes.crosshair);
        if nearest != active.current {
            active.current = nearest;
            effects.push(Effect::Focus(nearest));
        }
    }

    /// One pane over the whole screen, and back to where it came from.
    pub(super) fn maximise(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.settings.layout != Layout::One {
            self.maximised_from = Some(self.settings.layout);
            self.settings.layout = Layout::One;
        } else if let Some(layout) = self.maximised_from.take() {
            self.settings.layout = layout;
        } else {
            return false;
        }
        Self::save(effects);
        true
    }
}
