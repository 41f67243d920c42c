//! Augmentation of slices (method A18), in window space before mean and standard deviation: what the rotation brings in
//! from outside is black in every window.

use crate::geometry::PixelBox;
use crate::random::Stream;

/// Widths of the three windows, HU, in the order of the channels: a shift in HU is another one in each.
const WINDOW_WIDTH_HU: [f32; 3] = [300.0, 1800.0, 650.0];

/// What may happen to a slice. Symmetric ranges, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    pub flip_probability: f64,
    pub rotation_deg: f64,
    /// Share of the picture's edge.
    pub shift: f64,
    /// 0.1 means 0.9 to 1.1 times.
    pub scale: f64,
    /// Added to what lies between black and white, HU.
    pub offset_hu: f64,
    /// Standard deviation of a blur at most, pixels; every other slice has one.
    #[serde(default)]
    pub blur_px: f64,
    /// Standard deviation of added noise at most, HU; every other slice has some.
    #[serde(default)]
    pub noise_hu: f64,
}

impl Augmentation {
    pub const NONE: Self = Self {
        flip_probability: 0.0,
        rotation_deg: 0.0,
        shift: 0.0,
        scale: 0.0,
        offset_hu: 0.0,
        blur_px: 0.0,
        noise_hu: 0.0,
    };
    /// Flip and rotation as in the paper.
    pub const PAPER: Self = Self { flip_probability: 0.5, rotation_deg: 10.0, ..Self::NONE };
    /// A little more, for less data.
    pub const PRACTICAL: Self = Self { shift: 0.04, scale: 0.08, offset_hu: 15.0, ..Self::PAPER };

    pub fn draw(&self, stream: &mut Stream) -> Warp {
        let flip = stream.chance(self.flip_probability);
        let mut spread = |range: f64| stream.between(-range, range);
        let warp = Warp {
            flip,
            rotation_deg: spread(self.rotation_deg),
            shift: [spread(self.shift), spread(self.shift)],
            scale: 1.0 + spread(self.scale),
            offset_hu: spread(self.offset_hu) as f32,
            ..Warp::IDENTITY
        };
        // Drawn last, so that what is drawn above does not depend on them.
        let mut half_of_them = |most: f64| if stream.chance(0.5) { stream.between(0.0, most) as f32 } else { 0.0 };
        let (blur_px, noise_hu) = (half_of_them(self.blur_px), half_of_them(self.noise_hu));
        let noise_seed = if noise_hu > 0.0 { stream.next_u64() } else { 0 };
        Warp { blur_px, noise_hu, noise_seed, ..warp }
    }
}

/// One drawn change: flip, then rotation and scale about the picture's centre, then shift. [`Cut`] carries it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    pub flip: bool,
    /// Counter-clockwise on the screen.
    pub rotation_deg: f64,
    /// Right and down, share of the edge.
    pub shift: [f64; 2],
    pub scale: f64,
    pub offset_hu: f32,
    /// Standard deviations.
    pub blur_px: f32,
    pub noise_hu: f32,
    pub noise_seed: u64,
}

impl Warp {
    pub const IDENTITY: Self = Self {
        flip: false,
        rotation_deg: 0.0,
        shift: [0.0, 0.0],
        scale: 1.0,
        offset_hu: 0.0,
        blur_px: 0.0,
        noise_hu: 0.0,
        noise_seed: 0,
    };

    /// Black and white stay what they are: what lies beyond a window stays beyond it.
    fn shifted(&self, value: f32, channel: usize) -> f32 {
        if self.offset_hu == 0.0 || value <= 0.0 || value >= 1.0 {
            return value;
        }
        (value + self.offset_hu / WINDOW_WIDTH_HU[channel]).clamp(0.0, 1.0)
    }

    /// A softer kernel and a lower dose: blurs `planes`, three of `side x side` values 0 to 1, and adds noise to what is
    /// neither black nor white, the same in HU in all channels.
    fn degrade(&self, planes: &mut [f32], side: usize) {
        let area = side * side;
        if self.blur_px > 0.0 {
            planes.chunks_exact_mut(area).for_each(|plane| blur(plane, side, self.blur_px));
        }
        if self.noise_hu > 0.0 {
            let mut stream = Stream::new(self.noise_seed, 0);
            for at in 0..area {
                let noise_hu = self.noise_hu * stream.normal() as f32;
                for (channel, width) in WINDOW_WIDTH_HU.into_iter().enumerate() {
                    let value = &mut planes[channel * area + at];
                    if *value > 0.0 && *value < 1.0 {
                        *value = (*value + noise_hu / width).clamp(0.0, 1.0);
                    }
                }
            }
        }
    }
}

/// Gaussian blur of a square; beyond the edge lies what stands at it.
fn blur(plane: &mut [f32], side: usize, sigma_px: f32) {
    let reach = (3.0 * sigma_px).ceil() as usize;
    let bell = |at: usize| libm::expf(-0.5 * (at as f32 / sigma_px).powi(2));
    let total: f32 = bell(0) + 2.0 * (1..=reach).map(bell).sum::<f32>();
    let kernel: Vec<f32> = (0..=reach).map(|at| bell(at) / total).collect();
    let mut line = vec![0.0; side + 2 * reach];
    for (step, next) in [(1, side), (side, 1)] {
        for start in (0..side).map(|index| index * next) {
            for (at, value) in line.iter_mut().enumerate() {
                *value = plane[start + at.saturating_sub(reach).min(side - 1) * step];
            }
            for (at, window) in line.windows(2 * reach + 1).enumerate() {
                let pairs = (1..=reach).map(|off| kernel[off] * (window[reach - off] + window[reach + off]));
                plane[start + at * step] = kernel[0] * window[reach] + pairs.sum::<f32>();
            }
        }
    }
}

/// A square window of a stored slice, the whole of it or a part, and the change drawn for it: flip, rotation and scale are
/// about the window's centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    pub warp: Warp,
    /// The window's centre in the slice, pixels right and down from its upper left edge.
    pub centre: [f64; 2],
    /// Edge of the slice, pixels.
    pub slice_side: usize,
    /// Edge of the window, pixels.
    pub side: usize,
}

impl Cut {
    /// All of a slice of `side x side` pixels.
    pub fn whole(side: usize, warp: Warp) -> Self {
        Self { warp, centre: [side as f64 / 2.0; 2], slice_side: side, side }
    }

    /// For each channel of the slice's eight-bit values: bilinear, the same for all channels, then `(value - mean) / std` into
    /// the `3 x side x side` values of `out`. Around the window lies the rest of the slice, around the slice is black.
    pub fn apply(&self, planes: &[u8], mean: [f32; 3], std: [f32; 3], out: &mut [f32]) {
        let Self { warp, side, slice_side, .. } = *self;
        let (area, slice_area) = (side * side, slice_side * slice_side);
        let angle = warp.rotation_deg.to_radians();
        let (sin, cos) = (libm::sin(angle) / warp.scale, libm::cos(angle) / warp.scale);
        // Pixel centres on whole numbers.
        let centre = (side as f64 - 1.0) / 2.0;
        let from = self.centre.map(|c| c - 0.5);
        let corner = self.centre.map(|c| c - side as f64 / 2.0);
        let on_pixels = corner.iter().all(|c| c.fract() == 0.0);
        let still = warp.rotation_deg == 0.0 && warp.scale == 1.0 && warp.shift == [0.0, 0.0] && on_pixels;
        let [left, top] = corner.map(|c| c as isize);
        for row in 0..side {
            for column in 0..side {
                let to = row * side + column;
                let taps = if still {
                    let across = if warp.flip { side - 1 - column } else { column };
                    Taps::exact(left + across as isize, top + row as isize)
                } else {
                    // The way back: from where the value goes to where it comes from.
                    let x = column as f64 - centre - warp.shift[0] * side as f64;
                    let y = row as f64 - centre - warp.shift[1] * side as f64;
                    let from_x = cos * x - sin * y;
                    let from_x = if warp.flip { -from_x } else { from_x };
                    Taps::new(from_x + from[0], sin * x + cos * y + from[1])
                };
                for channel in 0..3 {
                    let plane = &planes[channel * slice_area..(channel + 1) * slice_area];
                    out[channel * area + to] = warp.shifted(taps.sample(plane, slice_side), channel);
                }
            }
        }
        warp.degrade(out, side);
        for ((plane, mean), std) in out.chunks_exact_mut(area).zip(mean).zip(std) {
            plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
        }
    }

    /// The smallest upright box, in the window's pixels, around where a box of the slice goes; edges in pixels, a pixel's
    /// centre lying half a pixel inside.
    pub fn moved(&self, b: &PixelBox) -> PixelBox {
        let warp = &self.warp;
        let angle = warp.rotation_deg.to_radians();
        let (sin, cos) = (libm::sin(angle) * warp.scale, libm::cos(angle) * warp.scale);
        let [from_x, from_y] = self.centre;
        let centre = self.side as f64 / 2.0;
        let corner = |x: f64, y: f64| {
            let (x, y) = (if warp.flip { from_x - x } else { x - from_x }, y - from_y);
            let shift = warp.shift.map(|share| share * self.side as f64);
            [cos * x + sin * y + centre + shift[0], cos * y - sin * x + centre + shift[1]]
        };
        let corners = [corner(b[0], b[1]), corner(b[2], b[1]), corner(b[0], b[3]), corner(b[2], b[3])];
        let least = |axis: usize| corners.iter().fold(f64::INFINITY, |low, corner| low.min(corner[axis]));
        let most = |axis: usize| corners.iter().fold(f64::NEG_INFINITY, |high, corner| high.max(corner[axis]));
        [least(0), least(1), most(0), most(1)]
    }
}

/// Where a value is read: the upper left of four pixels and the shares of the right and lower ones.
struct Taps {
    column: isize,
    row: isize,
    right: f32,
    lower: f32,
}

impl Taps {
    fn exact(column: isize, row: isize) -> Self {
        Self { column, row, right: 0.0, lower: 0.0 }
    }
    fn new(x: f64, y: f64) -> Self {
        let (left, top) = (x.floor(), y.floor());
        Self { column: left as isize, row: top as isize, right: (x - left) as f32, lower: (y - top) as f32 }
    }
    /// 0..=1, black outside.
    fn sample(&self, plane: &[u8], side: usize) -> f32 {
        let at = |column: isize, row: isize| {
            let inside = (0..side as isize).contains(&column) && (0..side as isize).contains(&row);
            if inside { f32::from(plane[row as usize * side + column as usize]) } else { 0.0 }
        };
        if self.right == 0.0 && self.lower == 0.0 {
            return at(self.column, self.row) / 255.0;
        }
        let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
        let upper = mix(at(self.column, self.row), at(self.column + 1, self.row), self.right);
        let lower = mix(at(self.column, self.row + 1), at(self.column + 1, self.row + 1), self.right);
        mix(upper, lower, self.lower) / 255.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: usize = 33;

    /// A soft blob at a place, the same in all channels.
    fn blob(x: f64, y: f64) -> Vec<u8> {
        let one = |i: usize| {
            let (dx, dy) = ((i % SIDE) as f64 - x, (i / SIDE) as f64 - y);
            (250.0 * libm::exp(-(dx * dx + dy * dy) / 18.0)) as u8
        };
        (0..3 * SIDE * SIDE).map(|i| one(i % (SIDE * SIDE))).collect()
    }
    fn warped(planes: &[u8], warp: Warp) -> Vec<f32> {
        let mut out = vec![0.0; planes.len()];
        Cut::whole(SIDE, warp).apply(planes, [0.0; 3], [1.0; 3], &mut out);
        out
    }
    /// Where the weight of the first channel lies.
    fn centroid(values: &[f32]) -> (f64, f64) {
        let plane = &values[..SIDE * SIDE];
        let total: f64 = plane.iter().map(|&v| f64::from(v)).sum();
        let mean =
            |at: fn(usize) -> usize| plane.iter().enumerate().map(|(i, &v)| at(i) as f64 * f64::from(v)).sum::<f64>();
        (mean(|i| i % SIDE) / total, mean(|i| i / SIDE) / total)
    }

    #[test]
    fn nothing_drawn_changes_nothing() {
        let planes = blob(10.0, 20.0);
        let out = warped(&planes, Warp::IDENTITY);
        assert!(out.iter().zip(&planes).all(|(&o, &p)| o == f32::from(p) / 255.0));
        assert_eq!(Augmentation::NONE.draw(&mut Stream::named(1, "t", 0)), Warp::IDENTITY);
    }

    #[test]
    fn a_blur_keeps_the_sum_and_widens_by_its_variance() {
        let planes = blob(16.0, 16.0);
        let [sharp, soft] = [0.0, 1.5].map(|blur_px| warped(&planes, Warp { blur_px, ..Warp::IDENTITY }));
        let moments = |out: &[f32]| {
            let plane = &out[..SIDE * SIDE];
            let total: f64 = plane.iter().map(|&v| f64::from(v)).sum();
            let across = |i: usize| ((i % SIDE) as f64 - 16.0).powi(2);
            (total, plane.iter().enumerate().map(|(i, &v)| across(i) * f64::from(v)).sum::<f64>() / total)
        };
        let ((sum, variance), (soft_sum, soft_variance)) = (moments(&sharp), moments(&soft));
        assert!((soft_sum / sum - 1.0).abs() < 1e-3, "{soft_sum} for {sum}");
        assert!((soft_variance - variance - 1.5 * 1.5).abs() < 0.02, "{soft_variance} from {variance}");
    }

    #[test]
    fn noise_has_its_hu_in_each_window_and_spares_black_and_white() {
        let warp = Warp { noise_hu: 20.0, noise_seed: 7, ..Warp::IDENTITY };
        let out = warped(&vec![128; 3 * SIDE * SIDE], warp);
        let noise: Vec<Vec<f32>> = out
            .chunks(SIDE * SIDE)
            .zip(WINDOW_WIDTH_HU)
            .map(|(plane, width)| plane.iter().map(|v| (v - 128.0 / 255.0) * width).collect())
            .collect();
        let rms = (noise[1].iter().map(|n| n * n).sum::<f32>() / noise[1].len() as f32).sqrt();
        assert!((rms - 20.0).abs() < 1.5, "{rms}");
        assert!(noise[0].iter().zip(&noise[2]).all(|(a, b)| (a - b).abs() < 0.01), "one noise in all windows");
        for value in [0, 255] {
            assert!(warped(&vec![value; 3 * SIDE * SIDE], warp).iter().all(|&v| v == f32::from(value) / 255.0));
        }
    }

    #[test]
    fn a_quarter_turn_moves_right_to_the_top() {
        let out = warped(&blob(24.0, 16.0), Warp { rotation_deg: 90.0, ..Warp::IDENTITY });
        let (x, y) = centroid(&out);
        assert!((x - 16.0).abs() < 0.05 && (y - 8.0).abs() < 0.05, "{x} {y}");
    }

    #[test]
    fn a_flip_twice_is_no_flip() {
        let planes = blob(8.0, 14.0);
        let once = warped(&planes, Warp { flip: true, ..Warp::IDENTITY });
        let bytes: Vec<u8> = once.iter().map(|v| (v * 255.0).round() as u8).collect();
        assert_ne!(bytes, planes);
        assert_eq!(warped(&bytes, Warp { flip: true, ..Warp::IDENTITY }), warped(&planes, Warp::IDENTITY));
    }

    #[test]
    fn what_comes_in_from_outside_is_black_before_the_normalisation() {
        let mut out = vec![0.0; 3 * SIDE * SIDE];
        let warp = Warp { rotation_deg: 45.0, ..Warp::IDENTITY };
        Cut::whole(SIDE, warp).apply(&vec![255; 3 * SIDE * SIDE], [0.5, 0.25, 0.0], [0.5, 0.5, 0.5], &mut out);
        let area = SIDE * SIDE;
        assert_eq!([out[0], out[area], out[2 * area]], [-1.0, -0.5, 0.0]);
        assert_eq!(out[area / 2], 1.0);
    }

    #[test]
    fn an_offset_spares_black_and_white() {
        let warp = Warp { offset_hu: 30.0, ..Warp::IDENTITY };
        let planes = [[0u8, 255, 128], [0, 255, 128], [0, 255, 128]].concat();
        // One row of three pixels does not fill a square, so read the rule itself.
        assert_eq!(warp.shifted(0.0, 0), 0.0);
        assert_eq!(warp.shifted(1.0, 0), 1.0);
        assert!((warp.shifted(f32::from(planes[2]) / 255.0, 0) - (128.0 / 255.0 + 0.1)).abs() < 1e-6);
    }

    /// A window of `side` pixels of a slice of [`SIDE`].
    fn cut(centre: [f64; 2], side: usize, warp: Warp) -> (Cut, Vec<f32>) {
        let cut = Cut { warp, centre, slice_side: SIDE, side };
        let mut out = vec![0.0; 3 * side * side];
        cut.apply(&waves(SIDE), [0.0; 3], [1.0; 3], &mut out);
        (cut, out)
    }

    #[test]
    fn a_window_is_that_part_of_the_slice_and_black_outside_it() {
        let slice = warped(&waves(SIDE), Warp::IDENTITY);
        for flip in [false, true] {
            let (_, out) = cut([6.5, 28.5], 15, Warp { flip, ..Warp::IDENTITY });
            for (at, value) in out.iter().enumerate() {
                let (channel, row, column) = (at / 225, at % 225 / 15, at % 15);
                let column = if flip { 14 - column } else { column };
                // The window begins one pixel left of the slice and ends three below it.
                let (x, y) = ((column + 33 - 1) % 33, row + 21);
                let expected = if column == 0 || y >= SIDE { 0.0 } else { slice[channel * SIDE * SIDE + y * SIDE + x] };
                assert_eq!(*value, expected, "{flip} {row} {column}");
            }
        }
    }

    #[test]
    fn a_turned_window_shows_what_lies_around_it() {
        let (_, out) = cut([16.5, 16.5], 15, Warp { rotation_deg: 45.0, ..Warp::IDENTITY });
        // The same turn of the whole slice, about the same point.
        let whole = warped(&waves(SIDE), Warp { rotation_deg: 45.0, ..Warp::IDENTITY });
        for (at, value) in out[..225].iter().enumerate() {
            assert!((value - whole[(at / 15 + 9) * SIDE + at % 15 + 9]).abs() < 1e-5, "{at}");
        }
        assert!(out[0] > 0.0, "no black corner");
    }

    #[test]
    fn a_box_goes_along_with_its_window() {
        let b = [10.0, 12.0, 14.0, 20.0];
        let (still, _) = cut([12.5, 18.5], 15, Warp::IDENTITY);
        assert_eq!(still.moved(&b), [5.0, 1.0, 9.0, 9.0]);
        let (flipped, _) = cut([12.5, 18.5], 15, Warp { flip: true, ..Warp::IDENTITY });
        assert_eq!(flipped.moved(&b), [6.0, 1.0, 10.0, 9.0]);
        // Counter-clockwise: what was on the right comes to the top.
        let (turned, _) = cut([12.5, 18.5], 15, Warp { rotation_deg: 90.0, ..Warp::IDENTITY });
        assert!(turned.moved(&b).iter().zip([1.0, 6.0, 9.0, 10.0]).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        warps: Vec<GoldenWarp>,
    }

    #[derive(serde::Deserialize)]
    struct GoldenWarp {
        name: String,
        side: usize,
        rotation_deg: f64,
        scale: f64,
        shift_px: [f64; 2],
        flip: bool,
        /// Of 0..=255, as the samples.
        sum: f64,
        /// Row, column, value.
        samples: Vec<(usize, usize, f64)>,
    }

    /// The picture of `tests/fixtures/augment/make.py`, the same in all channels.
    fn waves(side: usize) -> Vec<u8> {
        let value = |row: usize, column: usize| match (row, column) {
            (0, 0..3) => 200,
            (_, column) if column == side - 1 => 255,
            _ => ((7 * column + 13 * row + (column * row) % 29 * 3 + (column / 4 + row / 6) % 2 * 55) % 256) as u8,
        };
        let plane: Vec<u8> = (0..side * side).map(|i| value(i / side, i % side)).collect();
        [plane.as_slice(); 3].concat()
    }

    /// Of 255. The fixture is rounded to 0.001, so half of that may be its own; shares of pixels and values are f32 here and f64
    /// there, which is below 0.0001.
    const GOLDEN_TOLERANCE: f64 = 7e-4;

    #[test]
    fn torchvision_turns_scales_shifts_and_flips_the_same_way() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/fixtures/augment/golden.json")).expect("the fixture fits");
        for expected in &golden.warps {
            let (name, side) = (&expected.name, expected.side);
            let warp = Warp {
                flip: expected.flip,
                rotation_deg: expected.rotation_deg,
                shift: expected.shift_px.map(|px| px / side as f64),
                scale: expected.scale,
                ..Warp::IDENTITY
            };
            let mut out = vec![0.0; 3 * side * side];
            Cut::whole(side, warp).apply(&waves(side), [0.0; 3], [1.0; 3], &mut out);
            let planes: Vec<&[f32]> = out.chunks(side * side).collect();
            assert!(planes.iter().all(|plane| *plane == planes[0]), "{name}: the channels differ");
            for &(row, column, value) in &expected.samples {
                let found = 255.0 * f64::from(out[row * side + column]);
                assert!((found - value).abs() <= GOLDEN_TOLERANCE, "{name} {row} {column}: {found} for {value}");
            }
            // Roundings of the thousand pixels add up, by chance and not all one way.
            let sum = planes[0].iter().map(|&v| 255.0 * f64::from(v)).sum::<f64>();
            assert!((sum - expected.sum).abs() < 0.05, "{name}: {sum} for {}", expected.sum);
        }
    }

    proptest! {
        #[test]
        fn a_blob_goes_where_the_matrix_says(
            angle in -10.0f64..10.0, sx in -0.05f64..0.05, sy in -0.05f64..0.05, scale in 0.9f64..1.1, flip in any::<bool>()
        ) {
            let out = warped(&blob(20.0, 12.0), Warp { flip, rotation_deg: angle, shift: [sx, sy], scale, ..Warp::IDENTITY });
            let centre = (SIDE as f64 - 1.0) / 2.0;
            let (x, y) = ((if flip { -1.0 } else { 1.0 }) * (20.0 - centre), 12.0 - centre);
            let (sin, cos) = angle.to_radians().sin_cos();
            let expected_x = scale * (cos * x + sin * y) + centre + sx * SIDE as f64;
            let expected_y = scale * (-sin * x + cos * y) + centre + sy * SIDE as f64;
            let (at_x, at_y) = centroid(&out);
            let warp = Warp { flip, rotation_deg: angle, shift: [sx, sy], scale, ..Warp::IDENTITY };
            let moved = Cut::whole(SIDE, warp).moved(&[18.5, 10.5, 22.5, 14.5]);
            let middle = [moved[0] + moved[2], moved[1] + moved[3]].map(|sum| sum / 2.0 - 0.5);
            prop_assert!((middle[0] - expected_x).abs() < 1e-9 && (middle[1] - expected_y).abs() < 1e-9);
            prop_assert!((at_x - expected_x).abs() < 0.15 && (at_y - expected_y).abs() < 0.15,
                "{} {} for {} {}", at_x, at_y, expected_x, expected_y);
        }

        #[test]
        fn drawn_changes_stay_in_their_ranges(index in any::<u64>()) {
            let a = Augmentation::PRACTICAL;
            let warp = a.draw(&mut Stream::named(1, "t", index));
            prop_assert!(warp.rotation_deg.abs() <= a.rotation_deg && (warp.scale - 1.0).abs() <= a.scale);
            prop_assert!(warp.shift.iter().all(|s| s.abs() <= a.shift));
            prop_assert!(f64::from(warp.offset_hu.abs()) <= a.offset_hu);
            let scanner = Augmentation { blur_px: 0.8, noise_hu: 30.0, ..a }.draw(&mut Stream::named(1, "t", index));
            prop_assert!((0.0..=0.8).contains(&scanner.blur_px) && (0.0..=30.0).contains(&scanner.noise_hu));
            prop_assert_eq!(Warp { blur_px: 0.0, noise_hu: 0.0, noise_seed: 0, ..scanner }, warp);
        }
    }
}
