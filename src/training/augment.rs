//! Augmentation of slices (method A18), in window space before mean and standard deviation: what the rotation brings in
//! from outside is black in every window.

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
}

impl Augmentation {
    pub const NONE: Self = Self { flip_probability: 0.0, rotation_deg: 0.0, shift: 0.0, scale: 0.0, offset_hu: 0.0 };
    /// Flip and rotation as in the paper.
    pub const PAPER: Self = Self { flip_probability: 0.5, rotation_deg: 10.0, ..Self::NONE };
    /// A little more, for less data.
    pub const PRACTICAL: Self = Self { shift: 0.04, scale: 0.08, offset_hu: 15.0, ..Self::PAPER };

    pub fn draw(&self, stream: &mut Stream) -> Warp {
        let flip = stream.chance(self.flip_probability);
        let mut spread = |range: f64| stream.between(-range, range);
        Warp {
            flip,
            rotation_deg: spread(self.rotation_deg),
            shift: [spread(self.shift), spread(self.shift)],
            scale: 1.0 + spread(self.scale),
            offset_hu: spread(self.offset_hu) as f32,
        }
    }
}

/// One drawn change: flip, then rotation and scale about the picture's centre, then shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    pub flip: bool,
    /// Counter-clockwise on the screen.
    pub rotation_deg: f64,
    /// Right and down, share of the edge.
    pub shift: [f64; 2],
    pub scale: f64,
    pub offset_hu: f32,
}

impl Warp {
    pub const IDENTITY: Self = Self { flip: false, rotation_deg: 0.0, shift: [0.0, 0.0], scale: 1.0, offset_hu: 0.0 };

    /// For each channel of `3 x side x side` eight-bit values: bilinear with zeros outside, pixel centres on whole
    /// numbers, the same for all channels; then `(value - mean) / std` into `out`.
    pub fn apply(&self, planes: &[u8], side: usize, mean: [f32; 3], std: [f32; 3], out: &mut [f32]) {
        let area = side * side;
        let angle = self.rotation_deg.to_radians();
        let (sin, cos) = (libm::sin(angle) / self.scale, libm::cos(angle) / self.scale);
        let centre = (side as f64 - 1.0) / 2.0;
        let still = self.rotation_deg == 0.0 && self.scale == 1.0 && self.shift == [0.0, 0.0];
        for row in 0..side {
            for column in 0..side {
                let to = row * side + column;
                let taps = if still {
                    Taps::exact(if self.flip { side - 1 - column } else { column }, row)
                } else {
                    // The way back: from where the value goes to where it comes from.
                    let x = column as f64 - centre - self.shift[0] * side as f64;
                    let y = row as f64 - centre - self.shift[1] * side as f64;
                    let from_x = cos * x - sin * y;
                    let from_x = if self.flip { -from_x } else { from_x };
                    Taps::new(from_x + centre, sin * x + cos * y + centre)
                };
                for channel in 0..3 {
                    let plane = &planes[channel * area..(channel + 1) * area];
                    let value = self.shifted(taps.sample(plane, side), channel);
                    out[channel * area + to] = (value - mean[channel]) / std[channel];
                }
            }
        }
    }

    /// Black and white stay what they are: what lies beyond a window stays beyond it.
    fn shifted(&self, value: f32, channel: usize) -> f32 {
        if self.offset_hu == 0.0 || value <= 0.0 || value >= 1.0 {
            return value;
        }
        (value + self.offset_hu / WINDOW_WIDTH_HU[channel]).clamp(0.0, 1.0)
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
    fn exact(column: usize, row: usize) -> Self {
        Self { column: column as isize, row: row as isize, right: 0.0, lower: 0.0 }
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
        warp.apply(planes, SIDE, [0.0; 3], [1.0; 3], &mut out);
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
        warp.apply(&vec![255; 3 * SIDE * SIDE], SIDE, [0.5, 0.25, 0.0], [0.5, 0.5, 0.5], &mut out);
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
                offset_hu: 0.0,
            };
            let mut out = vec![0.0; 3 * side * side];
            warp.apply(&waves(side), side, [0.0; 3], [1.0; 3], &mut out);
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
            let out = warped(&blob(20.0, 12.0), Warp { flip, rotation_deg: angle, shift: [sx, sy], scale, offset_hu: 0.0 });
            let centre = (SIDE as f64 - 1.0) / 2.0;
            let (x, y) = ((if flip { -1.0 } else { 1.0 }) * (20.0 - centre), 12.0 - centre);
            let (sin, cos) = angle.to_radians().sin_cos();
            let expected_x = scale * (cos * x + sin * y) + centre + sx * SIDE as f64;
            let expected_y = scale * (-sin * x + cos * y) + centre + sy * SIDE as f64;
            let (at_x, at_y) = centroid(&out);
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
        }
    }
}
