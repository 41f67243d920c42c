//! What each pane shows against what the file holds.

use super::*;
use crate::geometry::PathOrigin;
use crate::view::PixelFromScreen;
use crate::view::fidelity::{Fidelity, PlaneCut};

impl AppState {
    /// The statement of a pane that is drawn through a mapping; `reduction` is that of the volume where a plane is drawn.
    /// `None` where there is nothing to be seen.
    pub fn fidelity(&self, pane: Pane, map: &PixelFromScreen, reduction: usize) -> Option<Fidelity> {
        let active = self.active.as_ref()?;
        let (interpolation, lossy) = (self.settings.interpolation, active.series.technique.lossy.as_deref());
        let drawn = match pane {
            Pane::Slices => Fidelity::of_slice(map, interpolation, lossy),
            Pane::Across(plane) => {
                let draw = active.plane_draw(plane, self.slab, reduction, interpolation)?;
                let origin = active.planes.as_ref().and_then(|planes| planes.bent_along(plane));
                let follows = origin.map(PathOrigin::words);
                Fidelity::of_plane(&PlaneCut { follows, ..PlaneCut::from(&draw) }, lossy)
            }
        };
        let drawn = drawn.reformatted(active.series.reformatted_from());
        Some(if self.graphics_fault.is_some() { drawn.drawn_by_processor() } else { drawn })
    }

    /// The statement of the series beside the one being read.
    pub fn fidelity_beside(&self, map: &PixelFromScreen) -> Option<Fidelity> {
        let series = &self.beside()?.shown.series;
        let drawn = Fidelity::of_slice(map, self.settings.interpolation, series.technique.lossy.as_deref());
        let drawn = drawn.reformatted(series.reformatted_from());
        Some(if self.graphics_fault.is_some() { drawn.drawn_by_processor() } else { drawn })
    }

    /// How far the volume is reduced where planes are drawn on this screen; `None` where none can be.
    pub fn reduction(&self, max_volume_side: usize) -> Option<usize> {
        let planes = self.active.as_ref()?.planes.as_ref()?;
        // The processor has room for every voxel.
        if self.graphics_fault.is_some() { Some(1) } else { planes.reduction(max_volume_side) }
    }
}
