//! What stands on a plane cut across the slices: where it lies and which slices it is from. How it was made of them is
//! said by [`crate::view::fidelity`].

use super::Series;
use super::describe::{
    CornerText, Identity, edge_letters, patient_and_study_lines, series_lines, thickness_text, window_text, zoom_text,
};
use crate::geometry::{Bent, PatientPoint, Plane, SlicePose};
use crate::volume::{Slab, Window};

/// A plane of the volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut<'a> {
    pub plane: Plane,
    /// A point on it.
    pub through: PatientPoint,
    pub pose: SlicePose,
    pub bent: Option<&'a Bent>,
}

impl Cut<'_> {
    /// "sagittal, x 244.0 mm", or how far a curved plane lies from its line.
    pub fn words(&self) -> String {
        self.bent.map_or_else(|| self.plane.words(&self.pose, self.through), Bent::words)
    }
}

/// The four corners, as [`super::describe::corner_text`] has them for a slice. `shown` is the window and the zoom.
pub fn corner_text(cut: &Cut, series: &Series, shown: (&Window, f64), identity: Identity) -> CornerText {
    CornerText {
        top_left: patient_and_study_lines(series, identity),
        top_right: series_lines(series),
        bottom_left: vec![cut.words(), format!("from slices {}", thickness_text(series))],
        bottom_right: vec![window_text(shown.0), zoom_text(shown.1)],
        letters: edge_letters(Some(&cut.pose)),
    }
}

/// "sagittal, x 244.0 mm" and, for a slab, "MIP of 5 mm".
pub fn place(cut: &Cut, slab: &Slab) -> Vec<String> {
    let mut lines = vec![cut.words()];
    lines.extend(slab_text(slab));
    lines
}

/// "MIP of 5 mm"; `None` for a plane without thickness.
pub fn slab_text(slab: &Slab) -> Option<String> {
    let thickness = format!("{:.1}", slab.thickness_mm);
    let thickness = thickness.trim_end_matches(".0");
    (slab.thickness_mm > 0.0).then(|| format!("{} of {thickness} mm", slab.projection.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Vec3;
    use crate::volume::Projection;

    #[test]
    fn slabs_say_what_they_are() {
        let slab = |thickness_mm, projection| Slab { thickness_mm, projection };
        let [along_row, along_column] = Plane::Coronal.directions();
        let through = PatientPoint(Vec3::new(0.0, -12.34, 0.0));
        let cut = Cut {
            plane: Plane::Coronal,
            through,
            pose: SlicePose { origin: through, along_row, along_column },
            bent: None,
        };
        assert_eq!(place(&cut, &slab(0.0, Projection::Mip)), ["coronal, y -12.3 mm"]);
        assert_eq!(place(&cut, &slab(5.0, Projection::Mip)), ["coronal, y -12.3 mm", "MIP of 5 mm"]);
        assert_eq!(slab_text(&slab(5.0, Projection::Mip)).as_deref(), Some("MIP of 5 mm"));
        assert_eq!(slab_text(&slab(2.5, Projection::Mean)).as_deref(), Some("mean of 2.5 mm"));
    }
}
