//! Necks made of rings: where the square lies is known by construction.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::preprocess::network_input;
use crate::volume::SlicePixels;

/// A neck of 120 x 120 mm whose canal (a disc of 12 mm in a ring of bone) has its centre at `canal_mm(depth)`.
#[derive(Clone, Copy)]
struct Neck {
    spacing_mm: [f64; 2],
    size_mm: [f64; 2],
    slices: usize,
    step_mm: f64,
    /// Every so many millimetres the ring opens, as between two vertebrae.
    opens_every_mm: f64,
}

const NECK: Neck =
    Neck { spacing_mm: [0.8, 0.8], size_mm: [180.0, 180.0], slices: 90, step_mm: 2.0, opens_every_mm: 18.0 };

impl Neck {
    fn slice(&self, [cx, cy]: [f64; 2], depth_mm: f64) -> Arc<Slice> {
        let [wide, high] = self.size_mm;
        let (columns, rows) = ((wide / self.spacing_mm[1]) as usize, (high / self.spacing_mm[0]) as usize);
        let open = depth_mm % self.opens_every_mm > 0.6 * self.opens_every_mm;
        let value = |column: usize, row: usize| {
            let (x, y) = ((column as f64 + 0.5) * self.spacing_mm[1], (row as f64 + 0.5) * self.spacing_mm[0]);
            let from_canal = (x - cx).hypot(y - cy);
            let in_neck = (x - wide / 2.0).hypot(y - high / 2.0) < 70.0;
            match from_canal {
                r if r < 8.0 => 30,
                r if r < 12.0 && !(open && y > cy - 2.0) => 900,
                r if r < 12.0 => 60,
                _ if (x - cx).hypot(y - (cy - 22.0)) < 10.0 => 420,
                _ if in_neck => 50,
                _ => -1000,
            }
        };
        let pixels = (0..rows).flat_map(|row| (0..columns).map(move |column| value(column, row))).collect();
        Arc::new(Slice { rows, columns, pixels: SlicePixels::I16(pixels), padding: None })
    }

    fn plan(&self, canal_mm: impl Fn(f64) -> [f64; 2], sign: f64) -> (Volume, CropPlan) {
        let depth = |i: usize| i as f64 * self.step_mm;
        let slices = (0..self.slices).map(|i| self.slice(canal_mm(depth(i)), depth(i))).collect();
        let position_mm: Vec<f64> = (0..self.slices).map(|i| sign * depth(i)).collect();
        let volume = Volume::new(slices).expect("one size");
        let plan = plan(&volume, self.spacing_mm, &position_mm, &JobCtx::detached()).expect("not cancelled");
        (volume, plan)
    }

    /// The middle of a crop, mm.
    fn middle_mm(&self, crop: &Crop) -> [f64; 2] {
        let [x0, y0, x1, y1] = crop.region;
        [(x0 + x1) / 2.0 * self.spacing_mm[1], (y0 + y1) / 2.0 * self.spacing_mm[0]]
    }

    #[track_caller]
    fn check(&self, canal_mm: impl Fn(f64) -> [f64; 2], sign: f64) {
        let (_, plan) = self.plan(&canal_mm, sign);
        let track = plan.spine.as_ref().expect("a track");
        assert_eq!(track.found, 1.0);
        for (i, crop) in plan.crops.iter().enumerate() {
            let depth = i as f64 * self.step_mm;
            assert_eq!(crop.is_none(), depth > 150.0, "slice {i} at {depth} mm");
            let Some(crop) = crop else { continue };
            let ([x, y], [cx, cy]) = (self.middle_mm(crop), canal_mm(depth));
            assert!((x - cx).hypot(y - cy) < 4.0, "slice {i}: ({x}, {y}) is far from ({cx}, {cy})");
            let [x0, y0, x1, y1] = crop.region;
            assert!(((x1 - x0) * self.spacing_mm[1] - CROP_MM).abs() < 1e-9);
            assert!(((y1 - y0) * self.spacing_mm[0] - CROP_MM).abs() < 1e-9);
            assert!(crop.flags.is_empty());
        }
    }
}

#[test]
fn the_square_follows_the_canal_through_open_levels() {
    NECK.check(|_| [90.0, 100.0], -1.0);
    NECK.check(|depth| [90.0 + 0.05 * depth, 70.0 + 0.3 * depth], -1.0);
    // Positions that ascend in reading order say the same.
    NECK.check(|depth| [90.0, 110.0 - 0.2 * depth], 1.0);
}

#[test]
fn pixels_that_are_not_square_keep_the_millimetres() {
    Neck { spacing_mm: [0.5, 0.9], ..NECK }.check(|depth| [85.0, 80.0 + 0.2 * depth], -1.0);
}

#[test]
fn what_lies_above_the_first_canal_is_outside() {
    // 100 mm of head without a canal, then the neck.
    let neck = Neck { slices: 120, ..NECK };
    let slices: Vec<Arc<Slice>> =
        (0..neck.slices)
            .map(|i| {
                if i < 50 {
                    neck.slice([-500.0, -500.0], 0.0)
                } else {
                    neck.slice([90.0, 100.0], (i - 50) as f64 * 2.0)
                }
            })
            .collect();
    let position_mm: Vec<f64> = (0..neck.slices).map(|i| -2.0 * i as f64).collect();
    let volume = Volume::new(slices).expect("one size");
    let plan = plan(&volume, neck.spacing_mm, &position_mm, &JobCtx::detached()).expect("not cancelled");
    let scored: Vec<usize> = (0..neck.slices).filter(|&i| plan.crops[i].is_some()).collect();
    assert_eq!((scored[0], *scored.last().expect("some")), (38, 119));
    assert_eq!(plan.outside_range.iter().filter(|outside| **outside).count(), 38);
}

#[test]
fn a_small_field_of_view_is_padded_with_black() {
    let neck = Neck { size_mm: [100.0, 100.0], ..NECK };
    let (volume, plan) = neck.plan(|_| [50.0, 50.0], -1.0);
    let crop = plan.crops[10].as_ref().expect("in range");
    assert_eq!(crop.inside, [0, 0, 125, 125]);
    let side = 70;
    let input = network_input(&volume.slices()[10], crop, side);
    let at = |x: usize, y: usize| input[y * side + x];
    assert_eq!((at(3, 35), at(66, 35), at(35, 3)), (0.0, 0.0, 0.0));
    assert!(at(35, 35) > 0.2, "{}", at(35, 35));
}

#[test]
fn without_a_canal_the_middle_of_the_bone_is_taken_and_said() {
    // The canal lies outside the picture, so there is none.
    let (_, plan) = NECK.plan(|_| [-300.0, -300.0], -1.0);
    assert!(plan.outside_range.iter().all(|outside| !outside));
    assert_eq!(plan.spine.as_ref().map(|track| (track.found, track.ends)), Some((0.0, None)));
    let crop = plan.crops[40].as_ref().expect("a crop");
    assert_eq!(crop.flags, [NO_CANAL]);
    let [x, y] = NECK.middle_mm(crop);
    assert!((x - 90.0).abs() < 2.0 && (y - 90.0).abs() < 2.0, "({x}, {y})");
}

#[test]
fn slices_without_positions_count_one_step_each() {
    let slices = (0..40).map(|_| NECK.slice([90.0, 100.0], 0.0)).collect();
    let volume = Volume::new(slices).expect("one size");
    let plan = plan(&volume, [0.8, 0.8], &[f64::NAN; 3], &JobCtx::detached()).expect("not cancelled");
    assert!(plan.crops.iter().all(Option::is_some));
    assert_eq!(depth_mm(&[0.0, -2.0, f64::NAN, -6.0, -8.0], 6), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whole_numbers_and_floats_have_the_same_greys(
        values in proptest::collection::vec(prop_oneof![any::<i16>(), -1100_i16..900, Just(74), Just(75), Just(76), Just(725)], 1..120),
        padding in prop_oneof![Just(None), Just(Some([-2000.0, 40.0])), Just(Some([-50.0, 400.0]))],
    ) {
        let floats = values.iter().copied().map(f32::from).collect();
        let counts = [SlicePixels::I16(values.clone().into()), SlicePixels::F32(floats)]
            .map(|pixels| grey_counts(&Slice { rows: 1, columns: values.len(), pixels, padding }));
        prop_assert_eq!(counts[0], counts[1]);
    }

    #[test]
    fn any_pixels_give_a_plan(values in proptest::collection::vec(-3000_i16..4000, 400), spacing in 0.01_f64..9.0) {
        let slice = Arc::new(Slice { rows: 20, columns: 20, pixels: SlicePixels::I16(values.into()), padding: None });
        let volume = Volume::new([0; 3].map(|_| slice.clone()).to_vec()).expect("one size");
        let plan = plan(&volume, [spacing, spacing], &[0.0, 1.0, 2.0], &JobCtx::detached()).expect("not cancelled");
        for crop in plan.crops.iter().flatten() {
            let input = network_input(&volume.slices()[0], crop, 16);
            prop_assert_eq!(input.len(), 3 * 16 * 16);
            prop_assert!(input.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}
