//! What stands on a plane cut across the slices: where it lies, how thick it is, and what had to be made good.

use super::Series;
use super::describe::{
    CornerText, Identity, edge_letters, patient_and_study_lines, series_lines, thickness_text, window_text, zoom_text,
};
use crate::geometry::{Plane, SlicePose, StackGeometry};
use crate::volume::{Slab, Window};

/// A plane or slab of the volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    pub plane: Plane,
    pub at_mm: f64,
    pub pose: SlicePose,
    pub slab: Slab,
}

/// The four corners, as [`super::describe::corner_text`] has them for a slice. `shown` is the window and the zoom.
pub fn corner_text(
    cut: &Cut,
    series: &Series,
    stack: &StackGeometry,
    shown: (&Window, f64),
    identity: Identity,
) -> CornerText {
    let mut top_right = series_lines(series);
    top_right.extend(resampling(stack));
    let mut bottom_left = place(cut.plane, cut.at_mm, &cut.slab);
    bottom_left.push(format!("from slices {}", thickness_text(series)));
    CornerText {
        top_left: patient_and_study_lines(series, identity),
        top_right,
        bottom_left,
        bottom_right: vec![window_text(shown.0), zoom_text(shown.1)],
        letters: edge_letters(Some(&cut.pose)),
    }
}

/// "sagittal, x 244.0 mm" and, for a slab, "MIP of 5 mm".
pub fn place(plane: Plane, at_mm: f64, slab: &Slab) -> Vec<String> {
    let mut lines = vec![format!("{}, {} {at_mm:.1} mm", plane.name(), plane.letter())];
    lines.extend(slab_text(slab));
    lines
}

/// "MIP of 5 mm"; `None` for a plane without thickness.
pub fn slab_text(slab: &Slab) -> Option<String> {
    let thickness = format!("{:.1}", slab.thickness_mm);
    let thickness = thickness.trim_end_matches(".0");
    (slab.thickness_mm > 0.0).then(|| format!("{} of {thickness} mm", slab.projection.name()))
}

/// How the stack departs from an even, upright one; each departure has been made good in the plane, with its amount.
pub fn resampling(stack: &StackGeometry) -> Vec<String> {
    /// Below this nobody can see it.
    const TILT_TOLD_DEG: f64 = 0.5;
    let mut lines = Vec::new();
    let tilt_deg = stack.tilt_deg();
    if tilt_deg >= TILT_TOLD_DEG {
        lines.push(format!("tilt of {tilt_deg:.1}\u{b0} resampled"));
    }
    let [least, most] = stack.gap_range_mm();
    // Positions are written with few digits.
    if most - least > (0.02 * stack.median_gap_mm()).max(0.05) {
        lines.push(format!("slices {least:.2} to {most:.2} mm apart, resampled"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Projection;

    #[test]
    fn slabs_say_what_they_are() {
        let slab = |thickness_mm, projection| Slab { thickness_mm, projection };
        assert_eq!(place(Plane::Coronal, -12.34, &slab(0.0, Projection::Mip)), ["coronal, y -12.3 mm"]);
        assert_eq!(slab_text(&slab(5.0, Projection::Mip)).as_deref(), Some("MIP of 5 mm"));
        assert_eq!(slab_text(&slab(2.5, Projection::Mean)).as_deref(), Some("mean of 2.5 mm"));
    }
}
