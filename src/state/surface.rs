//! The fourth pane: the surface of the bone, from where it is looked at, and what is marked on it.

use std::ops::RangeInclusive;

use super::*;
use crate::geometry::PatientPoint;
use crate::view::fidelity::Fidelity;
use crate::view::surface::{Side, SurfaceDraw, SurfaceProgress, SurfaceView, THRESHOLDS_HU};
use crate::volume::Solid;

/// A wish that concerns the surface of the bone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SurfaceCommand {
    /// To the right and upwards, degrees.
    Turn([f64; 2]),
    Zoom(f64),
    /// In fractions of the pane's height.
    Pan([f64; 2]),
    Look(Side),
    /// From the front, whole.
    Reset,
    /// HU.
    SetThreshold(f32),
    /// What the fourth pane shows.
    Show(FourthPane),
}

/// What the fourth pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FourthPane {
    /// The surface of the bone.
    #[default]
    Bone,
    /// Where the crosshair stands, in words and numbers.
    Place,
}

/// The copy of the volume that the surface is drawn from.
#[derive(Debug, Default)]
pub enum SolidState {
    #[default]
    NotMade,
    Making(RequestId),
    Made(Arc<Solid>),
    /// Why there is none, in a sentence.
    Failed(String),
}

/// The surface of the series on the screen.
#[derive(Debug, Default)]
pub struct Surface {
    pub solid: SolidState,
    pub view: SurfaceView,
    pub progress: Arc<SurfaceProgress>,
}

/// Peaks that are marked, at most: more would hide what they stand on.
const MOST_MARKS: usize = 9;

/// Thresholds that the slider has, HU.
pub const BONE_HU: RangeInclusive<f32> = THRESHOLDS_HU;

impl AppState {
    pub(super) fn apply_surface(&mut self, command: SurfaceCommand, effects: &mut Vec<Effect>) {
        match command {
            SurfaceCommand::SetThreshold(hu) if hu.is_finite() => {
                self.settings.bone_hu = hu.clamp(*BONE_HU.start(), *BONE_HU.end());
                Self::save(effects);
            }
            SurfaceCommand::Show(what) => {
                self.settings.fourth_pane = what;
                Self::save(effects);
            }
            _ => {}
        }
        let Some(active) = &mut self.active else { return };
        let view = &mut active.surface.view;
        match command {
            SurfaceCommand::Turn(by) if by.iter().all(|v| v.is_finite()) => *view = view.turned(by),
            SurfaceCommand::Zoom(factor) => *view = view.zoomed(factor),
            SurfaceCommand::Pan([x, y]) if x.is_finite() && y.is_finite() => {
                view.pan = [view.pan[0] + x, view.pan[1] + y].map(|v| v.clamp(-20.0, 20.0));
            }
            // Another side, as large as this one.
            SurfaceCommand::Look(side) => *view = SurfaceView { zoom: view.zoom, pan: view.pan, ..side.view() },
            SurfaceCommand::Reset => *view = SurfaceView::default(),
            _ => {}
        }
    }

    /// Asks for the copy of the volume once it is to be seen.
    pub(super) fn ask_for_solid(&mut self, effects: &mut Vec<Effect>) {
        let wanted = self.settings.layout == Layout::Four && self.settings.fourth_pane == FourthPane::Bone;
        let missing = |a: &ActiveSeries| matches!(a.surface.solid, SolidState::NotMade) && a.planes.is_some();
        if !wanted || !self.active.as_ref().is_some_and(missing) {
            return;
        }
        let request = self.next_request();
        let Some(active) = &mut self.active else { return };
        let Some(planes) = &active.planes else { return };
        if active.series.values_are_hu {
            let stack = planes.stack.clone();
            active.surface.solid = SolidState::Making(request);
            effects.push(Effect::MakeSolid { request, stack });
        } else {
            let why = "no bone view: the values of this series are not Hounsfield units";
            active.surface.solid = SolidState::Failed(why.to_owned());
        }
    }

    pub(super) fn solid_made(&mut self, request: RequestId, result: Result<Option<Arc<Solid>>, Ended>) {
        let asked = |a: &&mut ActiveSeries| matches!(a.surface.solid, SolidState::Making(of) if of == request);
        let Some(active) = self.active.as_mut().filter(asked) else { return };
        active.surface.solid = match result {
            Ok(Some(solid)) => SolidState::Made(solid),
            Ok(None) => SolidState::Failed("no bone view: nothing in this series is as dense as bone".to_owned()),
            Err(Ended::Cancelled) => SolidState::NotMade,
            Err(Ended::Failed(why) | Ended::Stopped(why)) => SolidState::Failed(format!("no bone view: {why}")),
        };
    }

    /// The surface as it is to be drawn; `None` until it can be.
    pub fn surface_draw(&self) -> Option<SurfaceDraw> {
        let surface = &self.active.as_ref()?.surface;
        let SolidState::Made(solid) = &surface.solid else { return None };
        Some(SurfaceDraw { solid: solid.clone(), view: surface.view, threshold_hu: self.settings.bone_hu })
    }

    /// The statement of the fourth pane.
    pub fn surface_fidelity(&self) -> Option<Fidelity> {
        let (draw, active) = (self.surface_draw()?, self.active.as_ref()?);
        let lossy = active.series.technique.lossy.as_deref();
        let drawn = Fidelity::of_surface(draw.threshold_hu, draw.solid.spacing_mm, lossy)
            .reformatted(active.series.reformatted_from());
        Some(if self.graphics_fault.is_some() { drawn.drawn_by_processor() } else { drawn })
    }

    /// Where the network looked on each peak, best first, with the peak's slice.
    pub fn peak_points(&self) -> Vec<(usize, PatientPoint)> {
        let (Some(active), Some(findings)) = (&self.active, self.findings()) else { return Vec::new() };
        let point = |slice: usize| Some((slice, evidence::hottest_point(active, findings, slice)?));
        findings.peaks().into_iter().take(MOST_MARKS).filter_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_make_no_sense_change_nothing() {
        let mut state = AppState::new(Settings::default());
        for command in [
            SurfaceCommand::Turn([f64::NAN, 0.0]),
            SurfaceCommand::SetThreshold(f32::NAN),
            SurfaceCommand::Look(Side::Back),
        ] {
            assert!(state.apply(Command::Surface(command)).is_empty(), "{command:?}");
        }
        let effects = state.apply(Command::Surface(SurfaceCommand::SetThreshold(1e9)));
        assert!(matches!(effects.as_slice(), [Effect::SaveSettings]));
        assert_eq!(state.settings.bone_hu, *BONE_HU.end());
    }
}
