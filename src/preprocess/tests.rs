//! Windows, boxes and the way back, on slices made by hand.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::volume::SlicePixels;

/// A slice of 40 HU with rectangles `([column0, row0, column1, row1], hu)` painted on it. One pixel of 220 HU in the
/// corner fills the gap between soft tissue and bone as real pictures do: between two values alone, Otsu's first
/// maximum lies at the lower one, which the guard would not take for bone.
fn painted(columns: usize, rows: usize, rectangles: &[([usize; 4], i16)]) -> Slice {
    let mut values = vec![40_i16; columns * rows];
    for ([c0, r0, c1, r1], hu) in rectangles {
        for row in *r0..*r1 {
            values[row * columns + c0..row * columns + c1].fill(*hu);
        }
    }
    values[columns * rows - 1] = 220;
    Slice { rows, columns, pixels: SlicePixels::I16(values.into()), padding: None }
}

fn uniform(columns: usize, rows: usize, hu: i16) -> Slice {
    painted(columns, rows, &[([0, 0, columns, rows], hu)])
}

fn plan(slices: Vec<Slice>, distance_mm: f64) -> (Volume, CropPlan) {
    let position_mm: Vec<f64> = (0..slices.len()).map(|i| -(i as f64) * distance_mm).collect();
    let volume = Volume::new(slices.into_iter().map(Arc::new).collect()).expect("one size");
    let plan =
        super::plan(Recipe::Paper, &volume, [1.0, 1.0], &position_mm, &JobCtx::detached()).expect("not cancelled");
    (volume, plan)
}

#[track_caller]
fn check_box(slice: Slice, inside: [usize; 4], region: PixelBox) {
    let (_, plan) = plan(vec![slice], 1.0);
    let crop = plan.crops[0].clone().expect("a crop");
    assert_eq!((crop.inside, crop.region), (inside, region));
}

#[test]
fn eight_bit_windows_are_exact_for_whole_hu() {
    for hu in -1100..3100_i32 {
        // floor(255 (hu - 75) / 650 + 1/2) over the common denominator
        let exact = (51 * (hu - 75) + 65).div_euclid(130).clamp(0, 255);
        assert_eq!(i32::from(GROSS_BONE.of_u8(hu as f32)), exact, "{hu} HU");
    }
    assert_eq!(GROSS_BONE.of_u8(200.0), MIN_BONE_THRESHOLD);
}

#[test]
fn windows_have_the_papers_ends() {
    for (ramp, low, high) in [(SOFT_TISSUE, -70.0, 230.0), (BONE, -400.0, 1400.0), (GROSS_BONE, 75.0, 725.0)] {
        assert_eq!([ramp.of(low), ramp.of(high), ramp.of((low + high) / 2.0)], [0.0, 1.0, 0.5]);
        assert_eq!([ramp.of(low - 9.0), ramp.of(high + 9.0)], [0.0, 1.0]);
    }
}

#[test]
fn the_box_holds_all_bone_with_five_percent_on_each_side() {
    // 40 x 20 gets 2 and 1; the square is centred on it.
    check_box(painted(100, 100, &[([30, 50, 70, 70], 900)]), [28, 49, 72, 71], [28.0, 38.0, 72.0, 82.0]);
    // 41 x 21: outward rounding gives 3 and 2; the square reaches out of the picture, its odd pixel at the bottom.
    check_box(painted(100, 100, &[([30, 0, 71, 21], 900)]), [27, 0, 74, 23], [27.0, -12.0, 74.0, 35.0]);
    // Two bones count both; a speck of nine pixels does not.
    let bones = [([30, 50, 40, 70], 900), ([60, 50, 70, 70], 900), ([90, 90, 93, 93], 1200)];
    check_box(painted(100, 100, &bones), [28, 49, 72, 71], [28.0, 38.0, 72.0, 82.0]);
}

#[test]
fn small_parts_are_judged_in_millimetres() {
    let slice = painted(100, 100, &[([30, 50, 70, 70], 900), ([90, 90, 94, 94], 900)]);
    let volume = Volume::new(vec![Arc::new(slice)]).expect("one slice");
    let inside = |spacing_mm: [f64; 2]| {
        let plan = super::plan(Recipe::Paper, &volume, spacing_mm, &[0.0], &JobCtx::detached()).expect("not cancelled");
        plan.crops[0].as_ref().expect("a crop").inside
    };
    assert_eq!(inside([1.0, 1.0]), [28, 49, 72, 71]); // 16 mm2
    assert_eq!(inside([1.2, 1.2]), [26, 47, 98, 97]); // 23 mm2
}

#[test]
fn a_slice_without_bone_borrows_the_median_of_its_neighbours() {
    let bone = |c0: usize, c1: usize| painted(100, 100, &[([c0, 40, c1, 60], 900)]);
    let soft = || painted(100, 100, &[([20, 20, 80, 80], 130)]);
    // 10 mm apart: slice 2 sees 0, 1, 3 and 4, slice 9 sees none within 20 mm and takes the median of all.
    let mut slices = vec![bone(20, 60), bone(22, 62), soft(), bone(30, 70), bone(40, 80)];
    slices.extend((0..5).map(|_| soft()));
    let (_, plan) = plan(slices, 10.0);
    let crop = |i: usize| plan.crops[i].clone().expect("a crop");
    assert_eq!((crop(2).inside, crop(2).flags), ([24, 39, 68, 61], vec![NO_BONE]));
    assert_eq!((crop(6).inside, crop(6).flags), ([38, 39, 82, 61], vec![NO_BONE]));
    assert_eq!((crop(9).inside, crop(9).flags), ([24, 39, 68, 61], vec![NO_BONE]));
    assert!(crop(0).flags.is_empty());
}

#[test]
fn without_any_bone_the_outline_of_the_body_is_taken() {
    let mut values = vec![-1000; 100 * 80];
    for row in 20..60 {
        values[row * 100 + 30..row * 100 + 60].fill(50);
    }
    values[75 * 100..76 * 100].fill(-100); // a table, apart from the body
    let slice = Slice { rows: 80, columns: 100, pixels: SlicePixels::I16(values.into()), padding: None };
    let (_, plan) = plan(vec![slice], 1.0);
    let crop = plan.crops[0].clone().expect("a crop");
    assert_eq!((crop.inside, crop.region), ([30, 20, 60, 60], [25.0, 20.0, 65.0, 60.0]));
    assert_eq!(crop.flags, [NO_BONE]);
}

#[test]
fn air_and_padding_have_no_crop() {
    let mut padded = uniform(50, 50, 3000);
    padded.padding = Some([3000.0, 3000.0]);
    let (_, plan) = plan(vec![uniform(50, 50, -1000), padded, uniform(50, 50, 40)], 1.0);
    assert_eq!(plan.crops.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn padding_and_what_is_no_number_are_black() {
    let mut values = vec![900.0_f32; 64 * 64];
    values[..64 * 32].fill(f32::NAN);
    values[64 * 16..64 * 32].fill(-2000.0);
    values[64 * 20..64 * 21].fill(f32::INFINITY);
    values[0] = 220.0;
    let slice = Slice { rows: 64, columns: 64, pixels: SlicePixels::F32(values), padding: Some([-2000.0, -2000.0]) };
    let (volume, plan) = plan(vec![slice], 1.0);
    let crop = plan.crops[0].as_ref().expect("bone below");
    assert_eq!(crop.inside, [0, 30, 64, 64]);
    let input = network_input(&volume.slices()[0], plan.crops[0].as_ref().expect("a crop"), INPUT_SIZE);
    assert!(input.iter().all(|v| (0.0..=1.0).contains(v)));
    let at = |row: usize, column: usize| input[row * INPUT_SIZE + column];
    assert_eq!([at(0, 200), at(90, 200), at(190, 200), at(383, 200)], [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn thinning_keeps_the_nearest_to_each_step() {
    let position_mm: Vec<f64> = (0..9).map(|i| -0.7 * f64::from(i)).collect();
    let all: Vec<usize> = (0..9).collect();
    assert_eq!(thinned(&all, &position_mm, 2.0), [0, 3, 6, 8]);
    assert_eq!(thinned(&all, &position_mm, 0.7), all);
    assert_eq!(thinned(&all, &position_mm, 0.0), all);
    assert_eq!(thinned(&all, &[], 2.0), all);
    assert_eq!(thinned(&[], &position_mm, 2.0), [] as [usize; 0]);
}

#[test]
fn a_cancelled_plan_stops() {
    let volume = Volume::new(vec![Arc::new(uniform(8, 8, 0))]).expect("one slice");
    let ctx = JobCtx::detached();
    ctx.cancel();
    assert_eq!(super::plan(Recipe::Paper, &volume, [1.0, 1.0], &[0.0], &ctx), Err(Cancelled));
}

proptest! {
    #[test]
    fn boxes_lie_in_the_picture_and_squares_around_them(
        columns in 12_usize..70, rows in 12_usize..70,
        corners in proptest::collection::vec((0.0..0.8_f64, 0.0..0.8_f64, 0.1..1.0_f64, 0.1..1.0_f64), 0..4),
        spacing in 0.3..2.0_f64,
    ) {
        let part = |share: f64, of: usize| (share * of as f64) as usize;
        let rectangles: Vec<([usize; 4], i16)> = corners.iter().map(|&(x, y, w, h)| {
            let (c0, r0) = (part(x, columns), part(y, rows));
            ([c0, r0, (c0 + part(w, columns)).min(columns), (r0 + part(h, rows)).min(rows)], 800)
        }).collect();
        let volume = Volume::new(vec![Arc::new(painted(columns, rows, &rectangles))]).expect("one slice");
        let plan = super::plan(Recipe::Paper, &volume, [spacing, spacing], &[0.0], &JobCtx::detached()).expect("not cancelled");
        if let Some(crop) = &plan.crops[0] {
            let [c0, r0, c1, r1] = crop.inside;
            prop_assert!(c0 < c1 && r0 < r1 && c1 <= columns && r1 <= rows);
            let [x0, y0, x1, y1] = crop.region;
            prop_assert_eq!(x1 - x0, y1 - y0);
            prop_assert_eq!(x1 - x0, (c1 - c0).max(r1 - r0) as f64);
            prop_assert!(x0 <= c0 as f64 && y0 <= r0 as f64 && x1 >= c1 as f64 && y1 >= r1 as f64);
        }
    }

    #[test]
    fn the_way_back_undoes_the_way_in(
        c0 in 0_usize..400, r0 in 0_usize..400, width in 1_usize..600, height in 1_usize..600,
        column in -50.0..600.0_f64, row in -50.0..600.0_f64,
    ) {
        let crop = Crop::square_around([c0, r0, c0 + width, r0 + height], Vec::new());
        let there = crop.input_from_pixel(PixelPoint { column, row }, INPUT_SIZE);
        let back = crop.pixel_from_input(there, INPUT_SIZE);
        prop_assert!((back.column - column).abs() < 1e-9 && (back.row - row).abs() < 1e-9);
    }

    /// A bright spot on dark bone: where the input is hottest must lie on the spot in DICOM pixels.
    #[test]
    fn a_hot_point_comes_back_to_its_pixel(column in 31_usize..68, row in 41_usize..58) {
        let spot = [column - 1, row - 1, column + 2, row + 2];
        let (volume, plan) = plan(vec![painted(100, 90, &[([30, 40, 70, 60], 700), (spot, 1390)])], 1.0);
        let input = network_input(&volume.slices()[0], plan.crops[0].as_ref().expect("a crop"), INPUT_SIZE);
        let bone = &input[INPUT_SIZE * INPUT_SIZE..2 * INPUT_SIZE * INPUT_SIZE];
        let threshold = bone.iter().copied().fold(0.0, f32::max) - 0.02;
        let hot: Vec<usize> = (0..bone.len()).filter(|&i| bone[i] >= threshold).collect();
        let mean = |of: &dyn Fn(usize) -> usize| hot.iter().map(|&i| of(i) as f64).sum::<f64>() / hot.len() as f64;
        let centre = PixelPoint { column: mean(&|i| i % INPUT_SIZE), row: mean(&|i| i / INPUT_SIZE) };
        let back = plan.crops[0].as_ref().expect("a crop").pixel_from_input(centre, INPUT_SIZE);
        prop_assert!((back.column - column as f64).abs() < 0.1, "{} for {}", back.column, column);
        prop_assert!((back.row - row as f64).abs() < 0.1, "{} for {}", back.row, row);
    }
}
