//! The linked planes: one point of the patient, the crosshair, that all panes pass through.

use std::sync::Arc;

use super::*;
use crate::geometry::{PatientPoint, Plane, PlaneGrid, StackError};
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
    views: [ViewState; 3],
}

impl Planes {
    pub(super) fn new(loaded: &LoadedSeries, current: usize) -> Result<Self, StackError> {
        let stack = loaded.stack()?;
        let [.., onwards] = stack.geometry.directions();
        let mut planes = Self {
            acquired: Plane::nearest(onwards),
            crosshair: opening_point(&stack, loaded.series.values_are_hu),
            upload: Arc::default(),
            views: Default::default(),
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
    /// The pane that shows a plane.
    pub fn pane_of(&self, plane: Plane) -> Pane {
        if plane == self.acquired { Pane::Slices } else { Pane::Across(plane) }
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
            let at = grid.pixel_from_patient(self.crosshair);
            self.view_mut(plane).centre_on(image, at);
        }
    }
    pub fn coordinate_mm(&self, plane: Plane) -> f64 {
        plane.coordinate_mm(self.crosshair)
    }
    /// The pixels of a plane through the crosshair, over the whole volume.
    pub fn grid(&self, plane: Plane) -> Option<PlaneGrid> {
        let spacing_mm = self.stack.geometry.smallest_spacing_mm();
        PlaneGrid::covering(&self.stack.geometry, plane, self.coordinate_mm(plane), spacing_mm).ok()
    }
    /// Moves the crosshair to the slice, along the slice's axis of the body only, so that the planes that the slice
    /// crosses stay where they are.
    pub(super) fn follow(&mut self, slice: usize) {
        let positions = self.stack.geometry.positions();
        let Some(position) = positions.iter().rev().find(|p| p.index <= slice).or(positions.first()) else { return };
        self.crosshair = self.at_depth(self.crosshair, position.depth_mm);
    }
    fn at_depth(&self, from: PatientPoint, depth_mm: f64) -> PatientPoint {
        let ([.., onwards], axis) = (self.stack.geometry.directions(), self.acquired.axis());
        PatientPoint(from.0 + axis * ((depth_mm - from.0.dot(onwards)) / axis.dot(onwards)))
    }
    /// The crosshair moved so that the slices' plane passes through a point.
    pub fn onto_slice_through(&self, at: PatientPoint) -> PatientPoint {
        let [.., onwards] = self.stack.geometry.directions();
        self.at_depth(self.crosshair, at.0.dot(onwards))
    }
    /// Steps of one pixel: to the left, to the back, to the feet.
    fn scroll(&mut self, plane: Plane, by: i64) {
        let onwards = if plane == Plane::Axial { -1.0 } else { 1.0 };
        let step_mm = self.stack.geometry.smallest_spacing_mm() * onwards;
        self.put(plane.moved_to(self.crosshair, self.coordinate_mm(plane) + by as f64 * step_mm));
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
    /// A plane as it is to be drawn; its mapping to the screen is the caller's.
    pub fn plane_draw(
        &self,
        plane: Plane,
        slab: Slab,
        reduction: usize,
        interpolation: view::Interpolation,
    ) -> Option<PlaneDraw> {
        let planes = self.planes.as_ref()?;
        Some(PlaneDraw {
            pixel_from_screen: view::PixelFromScreen::EXACT,
            grid: planes.grid(plane)?,
            stack: planes.stack.clone(),
            reduction,
            slab,
            step_mm: screen_step_mm(&slab, planes.stack.geometry.smallest_spacing_mm()),
            window: self.window,
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
        let across = self.active.as_ref().and_then(|a| a.planes.as_ref()).map(Planes::across);
        match self.focus {
            Pane::Across(plane) if across.is_some_and(|across| across.contains(&plane)) => self.focus,
            _ => Pane::Slices,
        }
    }
    /// The panes on the screen, as they are read: the slices first.
    pub fn panes(&self) -> Vec<Pane> {
        let across = self.active.as_ref().and_then(|a| a.planes.as_ref()).map(Planes::across);
        match (self.settings.layout, across) {
            (Layout::One, _) => vec![self.focused_pane()],
            (_, Some(across)) => vec![Pane::Slices, Pane::Across(across[0]), Pane::Across(across[1])],
            // While the series is being read there is nothing to name the planes by.
            (_, None) => vec![Pane::Slices, Pane::Across(Plane::Sagittal), Pane::Across(Plane::Coronal)],
        }
    }

    pub(super) fn apply_to_planes(&mut self, command: &Command, effects: &mut Vec<Effect>) {
        match *command {
            Command::SetLayout(layout) => self.set_layout(layout, effects),
            Command::ToggleLayout => {
                let to = if self.settings.layout == Layout::One { Layout::Three } else { Layout::One };
                self.set_layout(to, effects);
            }
            Command::FocusPane(pane) => self.focus = pane,
            Command::ShowPlane(plane) => {
                self.focus = match self.active.as_ref().and_then(|a| a.planes.as_ref()) {
                    Some(planes) => planes.pane_of(plane),
                    None => return self.say_why_no_planes(),
                }
            }
            Command::MoveCrosshair(at) => self.move_crosshair(|planes| planes.put(at), effects),
            Command::StepSlab(step) => {
                let now = SLABS_MM.partition_point(|mm| *mm < self.slab.thickness_mm);
                let index = now.saturating_add_signed(step as isize).min(SLABS_MM.len() - 1);
                self.slab.thickness_mm = SLABS_MM[index];
            }
            Command::CycleProjection => {
                self.slab.projection = match self.slab.projection {
                    Projection::Mean => Projection::Mip,
                    Projection::Mip => Projection::MinIp,
                    Projection::MinIp => Projection::Mean,
                };
                // A projection of nothing would change nothing that one can see.
                if self.slab.thickness_mm == 0.0 {
                    self.slab.thickness_mm = 5.0;
                }
            }
            Command::ToggleLines => self.lines_on = !self.lines_on,
            _ => {}
        }
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
    fn move_crosshair(&mut self, change: impl FnOnce(&mut Planes), effects: &mut Vec<Effect>) {
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
