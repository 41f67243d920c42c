//! What each pane shows against what the file holds.

use super::*;
use crate::view::PixelFromScreen;
use crate::view::fidelity::{Fidelity, PlaneCut};

impl AppState {
    /// The statement of a pane that is drawn through a mapping; `reduction` is that of the volume where a plane is drawn.
    /// `None` where there is nothing to be seen.
    pub fn fidelity(&self, pane: Pane, map: &PixelFromScreen, reduction: usize) -> Option<Fidelity> {
        let active = self.active.as_ref()?;
        let (interpolation, lossy) = (self.settings.interpolation, active.series.technique.lossy.as_deref());
        Some(match pane {
            Pane::Slices => Fidelity::of_slice(map, interpolation, lossy),
            Pane::Across(plane) => {
                let draw = active.plane_draw(plane, self.slab, reduction, interpolation)?;
                Fidelity::of_plane(&PlaneCut::from(&draw), lossy)
            }
        })
    }
}
