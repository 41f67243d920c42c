//! How sharp a series is in its planes, measured where air meets skin or the wall of an airway: the way along which the
//! values rise from 10 to 90 %.

use rayon::prelude::*;

use crate::study::Series;
use crate::study::quality::{Line, kernel_known};
use crate::volume::{Slice, Volume};

/// Topic of the line.
pub const SHARPNESS: &str = "Sharpness";
/// Edges of soft kernels are at least that wide, mm.
const SOFT_MM: f64 = 1.2;
/// So many slices are looked at, evenly spread.
const SLICES: usize = 24;
/// What lies on both sides of an edge for [`SIDE_MM`] beyond [`GAP_MM`], HU.
const AIR_HU: [f64; 2] = [-1060.0, -920.0];
const TISSUE_HU: [f64; 2] = [-150.0, 150.0];
/// Between both.
const MIDDLE_HU: f32 = -500.0;
const GAP_MM: f64 = 2.0;
const SIDE_MM: f64 = 2.0;
/// Edges are crossed no more aslant than this: cosine of 20 degrees.
const UPRIGHT: f64 = 0.94;
/// An edge that lies elsewhere in the next slice leans, and is wide by the thickness of the slices: greatest change from
/// slice to slice at its middle, HU per mm.
const MAX_LEAN_HU_PER_MM: f64 = 60.0;
/// Fewer edges give no number.
const MIN_EDGES: usize = 200;
/// The share of the edges that is at most as wide as the answer: skin has hair and folds, which only ever widen an edge.
const SHARE: f64 = 0.25;

/// What is said of the sharpness; a warning only where no kernel says it.
pub fn judge(series: &Series, volume: &Volume) -> Option<Line> {
    let width_mm = edge_width_mm(series, volume)?;
    let measured = format!("edges between air and tissue rise from 10 to 90 % over {width_mm:.1} mm");
    Some(match kernel_known(series) {
        None if width_mm >= SOFT_MM => Line::warning(
            SHARPNESS,
            format!(
                "{measured}, as with a soft kernel, which the header does not name, or with large pixels; fine fracture lines are lost in that"
            ),
        ),
        _ => Line::note(SHARPNESS, measured),
    })
}

/// Width of the edges between air and tissue from 10 to 90 %, mm; `None` where too few are seen.
pub fn edge_width_mm(series: &Series, volume: &Volume) -> Option<f64> {
    let mut widths = widths_mm(series, volume)?;
    if widths.len() < MIN_EDGES {
        return None;
    }
    let at = (widths.len() as f64 * SHARE) as usize;
    Some(*widths.select_nth_unstable_by(at, f64::total_cmp).1)
}

fn widths_mm(series: &Series, volume: &Volume) -> Option<Vec<f64>> {
    let spacing_mm = series.spacing_mm?;
    let count = volume.slices().len();
    let wanted: Vec<usize> = (0..SLICES.min(count)).map(|k| (2 * k + 1) * count / (2 * SLICES.min(count))).collect();
    let gap_mm = series.slice_spacing_mm.unwrap_or(1.0);
    let widths = wanted
        .into_par_iter()
        .flat_map_iter(|index| {
            let slice = |i: usize| volume.slices().get(i).map(|slice| &**slice);
            let beside = [index.checked_sub(1).and_then(slice), slice(index + 1)];
            slice(index).map_or_else(Vec::new, |slice| edges(slice, beside, gap_mm, spacing_mm))
        })
        .collect();
    Some(widths)
}

/// The widths of all edges of a slice, along rows and along columns, both ways.
fn edges(slice: &Slice, beside: [Option<&Slice>; 2], gap_mm: f64, [row_mm, column_mm]: [f64; 2]) -> Vec<f64> {
    let mut widths = Vec::new();
    // Most pixels have no edge beside them, so that is asked first, of all at once.
    let lines: Vec<Vec<bool>> = (0..slice.rows)
        .map_while(|row| slice.measured(row, 0..slice.columns))
        .map(|values| values.into_iter().map(|value| value < MIDDLE_HU).collect())
        .collect();
    for (along, each_mm, across_mm) in [([1, 0], column_mm, row_mm), ([0, 1], row_mm, column_mm)] {
        for (row, here) in lines.iter().enumerate() {
            let Some(next) = lines.get(row + along[1]) else { continue };
            let pairs = here.iter().zip(next.iter().skip(along[0])).enumerate();
            for (column, _) in pairs.filter(|(_, (here, next))| here != next) {
                let (column, row) = (column as i64, row as i64);
                let along = along.map(|step| step as i64);
                let at = |k: f64| Place { slice, column, row, along }.value(k);
                let (Some(here), Some(next)) = (at(0.0), at(1.0)) else { continue };
                let middle = f64::from(MIDDLE_HU);
                let inwards = if next > here { 1.0 } else { -1.0 };
                let crossing = (middle - here) / (next - here);
                let edge = Edge { at: &at, crossing, inwards, each_mm };
                let Some(width_mm) = edge.width_mm() else { continue };
                let turned = [along[1], along[0]];
                let cosine = upright(slice, [column, row], along, turned, [each_mm, across_mm]);
                if cosine >= UPRIGHT && stays(beside, [column, row], along, crossing, gap_mm) {
                    widths.push(width_mm * cosine);
                }
            }
        }
    }
    widths
}

struct Place<'a> {
    slice: &'a Slice,
    column: i64,
    row: i64,
    along: [i64; 2],
}

impl Place<'_> {
    /// The value so many pixels further on, linear between pixels.
    fn value(&self, k: f64) -> Option<f64> {
        let low = k.floor();
        let near = pixel(self.slice, self.column + self.along[0] * low as i64, self.row + self.along[1] * low as i64)?;
        if k == low {
            return Some(near);
        }
        let n = low as i64 + 1;
        let far = pixel(self.slice, self.column + self.along[0] * n, self.row + self.along[1] * n)?;
        Some(near + (far - near) * (k - low))
    }
}

fn pixel(slice: &Slice, column: i64, row: i64) -> Option<f64> {
    let value = slice.at(usize::try_from(column).ok()?, usize::try_from(row).ok()?)?;
    (value.is_finite() && !slice.is_padding(value)).then(|| f64::from(value))
}

struct Edge<'a> {
    /// The values along the line, in pixels from its beginning.
    at: &'a dyn Fn(f64) -> Option<f64>,
    crossing: f64,
    /// The way to the tissue.
    inwards: f64,
    each_mm: f64,
}

impl Edge<'_> {
    fn mean(&self, way: f64) -> Option<f64> {
        let (from, count) = (GAP_MM / self.each_mm, (SIDE_MM / self.each_mm).ceil().max(2.0) as i64);
        let values: Option<Vec<f64>> =
            (0..count).map(|k| (self.at)((self.crossing + way * (from + k as f64)).round())).collect();
        values.map(|values| values.iter().sum::<f64>() / count as f64)
    }

    /// Where the values reach a level first on the way from the middle of the edge, pixels from there.
    fn reach(&self, way: f64, level: f64, above: bool) -> Option<f64> {
        const STEP: f64 = 0.125;
        let steps = (2.0 * GAP_MM / self.each_mm / STEP).ceil() as i64;
        let there = |k: i64| (self.at)(self.crossing + way * STEP * k as f64);
        (1..=steps).find_map(|k| there(k).filter(|v| (*v >= level) == above).map(|_| STEP * k as f64))
    }

    fn width_mm(&self) -> Option<f64> {
        let within = |hu: f64, [low, high]: [f64; 2]| (low..=high).contains(&hu);
        let air = self.mean(-self.inwards).filter(|hu| within(*hu, AIR_HU))?;
        let tissue = self.mean(self.inwards).filter(|hu| within(*hu, TISSUE_HU))?;
        let level = |share: f64| air + share * (tissue - air);
        let out = self.reach(-self.inwards, level(0.1), false)?;
        let into = self.reach(self.inwards, level(0.9), true)?;
        Some((out + into) * self.each_mm)
    }
}

/// Cosine of the angle between a line and the steepest way through the edge.
fn upright(slice: &Slice, [column, row]: [i64; 2], along: [i64; 2], turned: [i64; 2], mm: [f64; 2]) -> f64 {
    let at = |k: i64, j: i64| pixel(slice, column + along[0] * k + turned[0] * j, row + along[1] * k + turned[1] * j);
    // Over five lines, so that noise turns no edge.
    let sum = |k: i64, j: i64| (-1..=1).map(|i| at(k, j + i)).sum::<Option<f64>>();
    let (Some(before), Some(after)) = (sum(0, 0), sum(1, 0)) else { return 0.0 };
    let (Some(left), Some(right)) = (sum(0, -2).zip(sum(1, -2)), sum(0, 2).zip(sum(1, 2))) else { return 0.0 };
    let forward = (after - before) / 3.0 / mm[0];
    let aside = (right.0 + right.1 - left.0 - left.1) / 6.0 / (4.0 * mm[1]);
    if forward == 0.0 { 0.0 } else { forward.abs() / forward.hypot(aside) }
}

/// The edge lies at the same place in the slices beside.
fn stays(beside: [Option<&Slice>; 2], [column, row]: [i64; 2], along: [i64; 2], crossing: f64, gap_mm: f64) -> bool {
    let there = |slice: Option<&Slice>| slice.and_then(|slice| Place { slice, column, row, along }.value(crossing));
    match beside.map(there) {
        [Some(above), Some(below)] => (above - below).abs() <= 2.0 * gap_mm * MAX_LEAN_HU_PER_MM,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::noise::tests::{column, placed};
    use crate::random::Stream;
    use crate::study::quality::Weight;

    /// A neck of muscle in air with an airway in it, blurred by a Gaussian of so many mm, with noise; pixels of 0.4 mm.
    fn neck(sigma_mm: f64, noise_hu: f64, kernel: &str) -> (Series, Volume) {
        let (slices, side, pixel_mm) = (6, 300, 0.4);
        let mut series = placed(slices, side, pixel_mm, 1.0);
        series.technique.kernel = kernel.into();
        let volume = column(slices, side, |k, x, y| {
            let (x_mm, y_mm) = (x as f64 * pixel_mm - 60.0, y as f64 * pixel_mm - 60.0);
            // The signed way into the tissue; along it a blurred step is the error function.
            let skin = 50.0 - x_mm.hypot(y_mm);
            let airway = x_mm.hypot(y_mm + 25.0) - 9.0;
            let share = 0.5 * (1.0 + libm::erf(skin.min(airway) / sigma_mm / std::f64::consts::SQRT_2));
            let grain = Stream::named(7, "test edges", ((k * side + y) * side + x) as u64).normal();
            (-1000.0 + 1050.0 * share + noise_hu * grain) as f32
        });
        (series, volume)
    }

    #[test]
    fn the_width_of_an_edge_is_that_of_its_blur() {
        for sigma_mm in [0.3, 0.5, 0.8] {
            let (series, volume) = neck(sigma_mm, 0.0, "");
            let width_mm = edge_width_mm(&series, &volume).expect("edges");
            let expected = 2.563 * sigma_mm;
            assert!((width_mm - expected).abs() < 0.12 * expected + 0.05, "{sigma_mm}: {width_mm} for {expected}");
        }
    }

    #[test]
    fn a_soft_series_is_told_where_no_kernel_says_it() {
        let line = |sigma_mm, kernel: &str| {
            let (series, volume) = neck(sigma_mm, 20.0, kernel);
            judge(&series, &volume).expect("edges")
        };
        let soft = line(0.75, "");
        assert_eq!(soft.weight, Weight::Warning, "{}", soft.text);
        assert!(soft.text.contains("over 1.") && soft.text.contains("mm, as with a soft kernel"), "{}", soft.text);
        assert_eq!(line(0.3, "").weight, Weight::Note);
        assert_eq!(line(0.75, "B31f").weight, Weight::Note, "the header says it already");
    }

    #[test]
    fn without_edges_there_is_no_number() {
        let volume = column(4, 60, |_, _, _| 40.0);
        assert_eq!(edge_width_mm(&placed(4, 60, 0.5, 1.0), &volume), None);
    }
}
