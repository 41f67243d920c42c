//! Whether a view shows the values that the file holds, and if not, what was done to them: one statement, composed here
//! and said alike by the window, saved pictures and reports.

use super::planes::PlaneDraw;
use super::{Interpolation, PixelFromScreen};
use crate::geometry::StackGeometry;
use crate::volume::{Projection, Slab};

/// What stands between the file's values and the picture; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Fidelity(Vec<Item>);

#[derive(Debug, Clone, PartialEq)]
struct Item {
    /// "interpolated", "MIP 5 mm".
    word: String,
    /// A sentence.
    reason: String,
    /// What no reader expects of a picture: values were lost before it was drawn, or it was drawn in another way.
    caution: bool,
}

impl Item {
    fn plain(word: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { word: word.into(), reason: reason.into(), caution: false }
    }
    fn caution(word: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { caution: true, ..Self::plain(word, reason) }
    }
}

/// How a plane across the slices is drawn, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct PlaneCut<'a> {
    pub stack: &'a StackGeometry,
    pub slab: Slab,
    /// Distance of the places at which a slab's values are taken, mm.
    pub step_mm: f64,
    /// As [`PlaneDraw::reduction`].
    pub reduction: usize,
    pub interpolation: Interpolation,
    /// What a curved plane follows; `None` for a flat one.
    pub follows: Option<&'a str>,
}

impl<'a> From<&'a PlaneDraw> for PlaneCut<'a> {
    fn from(draw: &'a PlaneDraw) -> Self {
        Self {
            stack: &draw.stack.geometry,
            slab: draw.slab,
            step_mm: draw.step_mm,
            reduction: draw.reduction,
            interpolation: draw.interpolation,
            follows: draw.bent.as_ref().map(|_| "a line down the body"),
        }
    }
}

impl Fidelity {
    /// A slice as it was acquired, drawn through a mapping. `lossy` says how the file's pixels were compressed.
    pub fn of_slice(map: &PixelFromScreen, interpolation: Interpolation, lossy: Option<&str>) -> Self {
        Self::of(vec![sampling(map, interpolation)], lossy)
    }

    /// A slice in a picture that is drawn to whatever size the page has, linear between its pixels.
    pub fn of_printed_slice(lossy: Option<&str>) -> Self {
        let reason = "Drawn to the size of the page: between the pixels of the slice values are linear";
        Self::of(vec![Item::plain("interpolated", reason)], lossy)
    }

    /// A plane or slab cut from the volume.
    pub fn of_plane(cut: &PlaneCut<'_>, lossy: Option<&str>) -> Self {
        // Slabs are of linear values, whatever is chosen for planes.
        let as_slab = cut.slab.thickness_mm > 0.0 && cut.interpolation != Interpolation::Nearest;
        let interpolation = if as_slab { Interpolation::Linear } else { cut.interpolation };
        let (word, how) = match interpolation {
            Interpolation::Linear => ("interpolated", "each value is linear between the eight voxels around it"),
            Interpolation::Cubic => (
                "interpolated, cubic",
                "each value is that of a cubic through the 64 voxels around it, which overshoots beside edges",
            ),
            Interpolation::Smooth => (
                "smoothed, cubic",
                "each value is that of a cubic near the 64 voxels around it, which softens noise and edges",
            ),
            Interpolation::Nearest => ("nearest voxel", "each value is that of the nearest voxel"),
        };
        let mut items = vec![Item::plain(word, format!("Cut from the volume: {how}"))];
        items.extend(cut.follows.map(|what| {
            let reason = format!(
                "A curved surface that follows {what}, unrolled: lengths along it are true, but what looks straight may be \
                 bent in the patient, and what lies beside the surface is not seen"
            );
            Item::plain("curved, unrolled", reason)
        }));
        items.extend(slab(&cut.slab, cut.step_mm));
        items.extend(resampling(cut.stack));
        if cut.reduction > 1 {
            let n = cut.reduction;
            items.push(Item::caution(
                format!("reduced {n}x{n}"),
                format!(
                    "The volume exceeds the graphics memory kept for it, so {n} x {n} pixels of each slice were averaged \
                     into one"
                ),
            ));
        }
        Self::of(items, lossy)
    }

    /// The surface of the bone, from a copy of the volume with voxels of so many mm.
    pub fn of_surface(threshold_hu: f32, spacing_mm: f64, lossy: Option<&str>) -> Self {
        let reason = format!(
            "A rendering for orientation: where the values reach {threshold_hu:.0} HU, in a copy of the volume with voxels of \
             {spacing_mm:.1} mm. Thin or soft bone can be missing and what is dense but no bone can stand there"
        );
        Self::of(vec![Item::caution("rendering, not for measuring", reason)], lossy)
    }

    /// The same where the graphics driver is not trusted and the processor draws.
    pub fn drawn_by_processor(mut self) -> Self {
        let reason = "Drawn by the processor, since the graphics driver failed its check at the start";
        self.0.push(Item::caution("drawn by the processor", reason));
        self.sorted()
    }

    /// The same of a series that was resampled here before it came to be drawn; `from` says from which, `None` that it was
    /// not.
    pub fn reformatted(mut self, from: Option<&str>) -> Self {
        self.0.extend(from.map(|from| {
            let reason = format!(
                "These slices were not acquired: they were resampled from {from}, linear between the eight voxels around each \
                 of theirs"
            );
            Item::caution("reformatted", reason)
        }));
        self.sorted()
    }

    fn of(mut items: Vec<Item>, lossy: Option<&str>) -> Self {
        items.extend(lossy.map(|how| {
            let how = how.trim();
            let how = if how.is_empty() { String::new() } else { format!(" ({how})") };
            Item::caution(
                "lossy source",
                format!("The file's pixels went through lossy compression{how}: its values are not the measured ones"),
            )
        }));
        Self(items).sorted()
    }

    /// What must not be overlooked comes first, so that it stays where a line is cut at its end.
    fn sorted(mut self) -> Self {
        self.0.sort_by_key(|item| !item.caution);
        self
    }

    /// The badge: "exact", or "lossy source, interpolated, MIP 5 mm".
    pub fn words(&self) -> String {
        self.parts().collect::<Vec<_>>().join(", ")
    }

    /// The parts of the badge, one after the other, for where it takes several lines.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| item.word.as_str())
    }

    /// Why, in sentences.
    pub fn sentence(&self) -> String {
        self.0.iter().map(|item| format!("{}.", item.reason)).collect::<Vec<_>>().join(" ")
    }

    /// The badge says something that no reader expects.
    pub fn is_caution(&self) -> bool {
        self.0.iter().any(|item| item.caution)
    }
}

const SMOOTHED: &str = "values are those of a cubic near the sixteen around them, which softens noise and edges";

/// How the pixels of a slice become those of the target.
fn sampling(map: &PixelFromScreen, interpolation: Interpolation) -> Item {
    let per = [map.column_per_x.abs(), map.row_per_y.abs()];
    let whole = |v: f64| (v - v.round()).abs() < 1e-6;
    let meets = per == [1.0, 1.0] && whole(map.column_at_0 + 0.5) && whole(map.row_at_0 + 0.5);
    if meets && interpolation == Interpolation::Smooth {
        return Item::plain("smoothed", format!("One pixel of the picture to one of the slice, but {SMOOTHED}"));
    }
    if meets {
        return Item::plain("exact", "Each pixel of the picture is one pixel of the slice");
    }
    let coarsest = per[0].max(per[1]);
    if coarsest > 1.0 + 1e-9 {
        let smaller = format!("Smaller than the slice, {coarsest:.2} of its pixels to one of the picture");
        return match interpolation {
            Interpolation::Linear => Item::plain(
                "interpolated, shrunk",
                format!("{smaller}: values are linear between the four nearest, and fine detail can be lost"),
            ),
            Interpolation::Cubic => Item::plain(
                "interpolated, shrunk",
                format!("{smaller}: values are of a cubic through the sixteen nearest, and fine detail can be lost"),
            ),
            Interpolation::Smooth => Item::plain("smoothed, shrunk", format!("{smaller}, and {SMOOTHED}")),
            Interpolation::Nearest => Item::plain(
                "shrunk, pixels left out",
                format!("{smaller}: the nearest one is shown and others are left out"),
            ),
        };
    }
    let enlarged = format!("Enlarged {:.2} times", 1.0 / coarsest);
    match interpolation {
        Interpolation::Linear => Item::plain(
            "interpolated",
            format!("{enlarged}: between the pixels of the slice values are linear; the window comes after"),
        ),
        Interpolation::Cubic => Item::plain(
            "interpolated, cubic",
            format!(
                "{enlarged}: between the pixels of the slice values are those of a cubic through them, which overshoots beside \
                 edges; the window comes after"
            ),
        ),
        Interpolation::Smooth => {
            Item::plain("smoothed, cubic", format!("{enlarged}, and {SMOOTHED}; the window comes after"))
        }
        Interpolation::Nearest => Item::plain(
            "exact",
            format!("{enlarged}: each pixel of the picture shows the value of the slice's pixel there, none between"),
        ),
    }
}

fn slab(slab: &Slab, step_mm: f64) -> Option<Item> {
    if slab.thickness_mm <= 0.0 {
        return None;
    }
    let thickness = format!("{:.1}", slab.thickness_mm);
    let thickness = thickness.trim_end_matches(".0");
    let steps = slab.steps_per_side(step_mm);
    let value = match slab.projection {
        Projection::Mean => "mean",
        Projection::Mip => "largest",
        Projection::MinIp => "smallest",
    };
    let places = 2 * i64::from(steps) + 1;
    let reason = format!("A slab: the {value} of {places} values across {thickness} mm");
    Some(Item::plain(format!("{} {thickness} mm", slab.projection.name()), reason))
}

/// How the stack departs from an even, upright one. Each departure has been made good in the plane, and its amount is
/// named.
fn resampling(stack: &StackGeometry) -> Vec<Item> {
    /// Below this nobody can see it.
    const TILT_TOLD_DEG: f64 = 0.5;
    let mut items = Vec::new();
    let tilt_deg = stack.tilt_deg();
    if tilt_deg >= TILT_TOLD_DEG {
        items.push(Item::plain(
            format!("tilt {tilt_deg:.1}\u{b0} resampled"),
            format!(
                "The slices are stacked {tilt_deg:.1}\u{b0} off upright; the plane is cut through their true places"
            ),
        ));
    }
    let [least, most] = stack.gap_range_mm();
    // Positions are written with few digits.
    if most - least > (0.02 * stack.median_gap_mm()).max(0.05) {
        let [least, most] = [least, most].map(|mm| {
            let text = format!("{mm:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        items.push(Item::plain(
            format!("gaps {least} to {most} mm resampled"),
            format!("The slices are {least} to {most} mm apart; values between them are linear over the true distance"),
        ));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PatientPoint, SlicePose, Vec3};

    fn map(per: f64) -> PixelFromScreen {
        PixelFromScreen { column_per_x: per, column_at_0: -0.5, row_per_y: -per, row_at_0: 9.5 }
    }

    fn stack(z_mm: &[f64], lean: f64) -> StackGeometry {
        let pose = |z: &f64| {
            Some(SlicePose {
                origin: PatientPoint(Vec3::new(0.0, lean * z, *z)),
                along_row: Vec3::new(1.0, 0.0, 0.0),
                along_column: Vec3::new(0.0, 1.0, 0.0),
            })
        };
        let poses: Vec<_> = z_mm.iter().map(pose).collect();
        StackGeometry::new(&poses, Some([1.0, 1.0]), 16, 16).expect("a stack")
    }

    fn cut(stack: &StackGeometry) -> PlaneCut<'_> {
        let (slab, interpolation) = (Slab::default(), Interpolation::Linear);
        PlaneCut { stack, slab, step_mm: 0.5, reduction: 1, interpolation, follows: None }
    }

    #[test]
    fn only_what_is_exact_is_called_exact() {
        let words = |per, interpolation| Fidelity::of_slice(&map(per), interpolation, None).words();
        for interpolation in [Interpolation::Linear, Interpolation::Cubic, Interpolation::Nearest] {
            assert_eq!(words(1.0, interpolation), "exact", "one to one, mirrored");
        }
        assert_eq!(words(1.0, Interpolation::Smooth), "smoothed");
        assert_eq!(words(0.4, Interpolation::Smooth), "smoothed, cubic");
        assert_eq!(words(0.4, Interpolation::Cubic), "interpolated, cubic");
        assert_eq!(words(1.9, Interpolation::Smooth), "smoothed, shrunk");
        assert_eq!(words(0.4, Interpolation::Nearest), "exact");
        assert_eq!(words(0.4, Interpolation::Linear), "interpolated");
        assert_eq!(words(1.9, Interpolation::Linear), "interpolated, shrunk");
        assert_eq!(words(1.9, Interpolation::Nearest), "shrunk, pixels left out");
        let beside = PixelFromScreen { column_at_0: -0.2, ..map(1.0) };
        assert_eq!(Fidelity::of_slice(&beside, Interpolation::Linear, None).words(), "interpolated");
        let why = Fidelity::of_slice(&map(0.4), Interpolation::Linear, None).sentence();
        assert!(why.starts_with("Enlarged 2.50 times: ") && why.ends_with('.'), "{why}");
    }

    #[test]
    fn a_rendering_is_never_taken_for_a_picture_to_measure_in() {
        let surface = Fidelity::of_surface(250.0, 0.84, None);
        assert_eq!(surface.words(), "rendering, not for measuring");
        assert!(surface.is_caution() && surface.sentence().contains("250 HU"), "{}", surface.sentence());
        assert!(surface.sentence().contains("voxels of 0.8 mm"));
    }

    #[test]
    fn what_must_not_be_overlooked_comes_first() {
        let lossy = Fidelity::of_slice(&map(0.4), Interpolation::Linear, Some("JPEG 10:1"));
        assert_eq!(lossy.words(), "lossy source, interpolated");
        assert!(lossy.is_caution() && lossy.sentence().contains("(JPEG 10:1)"), "{}", lossy.sentence());
        assert!(!Fidelity::of_slice(&map(0.4), Interpolation::Linear, None).is_caution());
        let even = stack(&[0.0, 1.0, 2.0], 0.0);
        let reduced = PlaneCut { reduction: 2, ..cut(&even) };
        assert_eq!(Fidelity::of_plane(&reduced, Some("")).words(), "reduced 2x2, lossy source, interpolated");
        let by_processor = Fidelity::of_plane(&cut(&even), None).drawn_by_processor();
        assert_eq!(by_processor.words(), "drawn by the processor, interpolated");
    }

    #[test]
    fn slabs_tilt_and_gaps_are_named_with_their_amounts() {
        let even = stack(&[0.0, 1.0, 2.0, 3.0], 0.0);
        assert_eq!(Fidelity::of_plane(&cut(&even), None).words(), "interpolated");
        let slab = Slab { thickness_mm: 5.0, projection: Projection::Mip };
        let mip = Fidelity::of_plane(&PlaneCut { slab, ..cut(&even) }, None);
        assert_eq!(mip.words(), "interpolated, MIP 5 mm");
        assert!(mip.sentence().contains("the largest of 11 values across 5 mm"), "{}", mip.sentence());
        let uneven = stack(&[0.0, 1.0, 4.0, 5.0], 0.2);
        let words = Fidelity::of_plane(&cut(&uneven), None).words();
        assert_eq!(words, "interpolated, tilt 11.3\u{b0} resampled, gaps 1 to 3 mm resampled");
        let curved = Fidelity::of_plane(&PlaneCut { follows: Some("the canal"), ..cut(&even) }, None);
        assert_eq!(curved.words(), "interpolated, curved, unrolled");
        assert!(curved.sentence().contains("follows the canal, unrolled: lengths along it are true"));
        let nearest = PlaneCut { interpolation: Interpolation::Nearest, ..cut(&even) };
        assert_eq!(Fidelity::of_plane(&nearest, None).words(), "nearest voxel");
        let smooth = PlaneCut { interpolation: Interpolation::Smooth, ..cut(&even) };
        assert_eq!(Fidelity::of_plane(&smooth, None).words(), "smoothed, cubic");
        assert_eq!(Fidelity::of_plane(&PlaneCut { slab, ..smooth }, None).words(), "interpolated, MIP 5 mm", "linear");
    }
}
