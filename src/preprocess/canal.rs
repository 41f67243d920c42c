//! What one slice shows of the spinal canal: holes of soft tissue enclosed by bone, judged each on its own.
//!
//! Works on a grid of about 0.75 mm, which holds a lamina and averages noise away. All places are in millimetres from the
//! picture's upper left corner.

use super::components::{Component, Neighbours, Parts, Run, components};
use super::hu_of;
use crate::volume::{Slice, SlicePixels};

/// Wanted edge of a cell, mm.
const CELL_MM: f64 = 0.75;
/// Area of the canal in an axial slice; C1's ring, which holds the dens too, reaches the larger value. mm2.
const AREA_MM2: [f64; 2] = [80.0, 600.0];
pub const C1_AREA_MM2: f64 = 900.0;
/// The bone is grown by this many cells, in turn, to close the gaps of joints and ligaments ...
const CLOSINGS: [usize; 3] = [0, 2, 4];
/// ... and a hole that needed it counts for less.
const CLOSING_WORTH: [f64; 3] = [1.0, 0.85, 0.6];
/// Cord, fluid and fat average to this range, HU; marrow lies above, airways below. Beyond it a hole's worth falls to 0
/// within the distance that follows.
const CANAL_HU: [f64; 2] = [-20.0, 90.0];
const CANAL_HU_FALL: f64 = 100.0;
/// Sideways distance from the middle of the body at which a hole's worth is halved, mm.
const ASIDE_MM: f64 = 45.0;
/// A hole must fill this share of its box, and its box must not be longer than this many times its breadth.
const MIN_FILLED: f64 = 0.45;
const MAX_ELONGATION: f64 = 2.6;
/// Averages are of values within this range, so that metal does not outweigh all else.
const CLIP_HU: [f32; 2] = [-1000.0, 2000.0];

/// A hole that may be the canal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hole {
    /// Its centre of gravity.
    pub at_mm: [f64; 2],
    pub area_mm2: f64,
    /// 0..=1.
    pub worth: f64,
}

/// What one slice shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    pub holes: Vec<Hole>,
    /// Middle of the bone in the central half of the body, else the middle of the body; `None` for a slice of air.
    pub middle_mm: Option<[f64; 2]>,
}

/// A picture of cell means.
struct Grid {
    columns: usize,
    rows: usize,
    /// Edge of a cell along a row and along a column.
    cell_mm: [f64; 2],
    hu: Vec<f32>,
}

impl Grid {
    /// Left-over pixels at the right and lower edge are dropped.
    fn of(slice: &Slice, spacing_mm: [f64; 2]) -> Option<Self> {
        let pixels_per_cell = |mm: f64| (CELL_MM / mm).round().clamp(1.0, 16.0) as usize;
        let (wide, high) = (pixels_per_cell(spacing_mm[1]), pixels_per_cell(spacing_mm[0]));
        let (columns, rows) = (slice.columns / wide, slice.rows / high);
        let cell_mm = [wide as f64 * spacing_mm[1], high as f64 * spacing_mm[0]];
        if let SlicePixels::I16(values) = &slice.pixels
            && slice.padding.is_none_or(|[_, high]| high <= CLIP_HU[0])
        {
            let hu = whole_cells(values, slice.columns, [columns, rows], [wide, high])?;
            return Some(Self { columns, rows, cell_mm, hu });
        }
        let mut hu = vec![0.0_f32; columns * rows];
        for (row, cells) in hu.chunks_exact_mut(columns.max(1)).enumerate() {
            for line in row * high..(row + 1) * high {
                let values = hu_of(slice, line, 0..columns * wide)?;
                match wide {
                    // The commonest widths, for which the compiler can take several cells at once.
                    1 => add_to_cells(cells, &values, 1),
                    2 => add_to_cells(cells, &values, 2),
                    3 => add_to_cells(cells, &values, 3),
                    _ => add_to_cells(cells, &values, wide),
                }
            }
        }
        let share = 1.0 / (wide * high) as f32;
        hu.iter_mut().for_each(|v| *v *= share);
        Some(Self { columns, rows, cell_mm, hu })
    }

    /// The part of a half-open box.
    fn cut(&self, [x0, y0, x1, y1]: [usize; 4]) -> Self {
        let hu = (y0..y1).flat_map(|y| &self.hu[y * self.columns + x0..y * self.columns + x1]).copied().collect();
        Self { columns: x1 - x0, rows: y1 - y0, cell_mm: self.cell_mm, hu }
    }

    fn cell_mm2(&self) -> f64 {
        self.cell_mm[0] * self.cell_mm[1]
    }

    /// The middle of the cells of a half-open box for which `is_set(offset)` holds, mm.
    fn middle_mm(&self, [x0, y0, x1, y1]: [usize; 4], is_set: impl Fn(usize) -> bool) -> Option<[f64; 2]> {
        let (mut sum, mut count) = ([0.0, 0.0], 0.0);
        for y in y0..y1 {
            for x in (x0..x1).filter(|x| is_set(y * self.columns + x)) {
                sum = [sum[0] + x as f64 + 0.5, sum[1] + y as f64 + 0.5];
                count += 1.0;
            }
        }
        (count > 0.0).then(|| [sum[0] / count * self.cell_mm[0], sum[1] / count * self.cell_mm[1]])
    }

    /// The middle of some runs of cells, mm, and their mean in HU; of none no numbers.
    fn middle_and_hu(&self, runs: impl Iterator<Item = Run>) -> ([f64; 2], f64) {
        let (mut sum, mut hu, mut count) = ([0.0, 0.0], 0.0, 0.0);
        for Run { row, start, end } in runs {
            let cells = (end - start) as f64;
            sum = [sum[0] + cells * (start + end) as f64 / 2.0, sum[1] + cells * (row as f64 + 0.5)];
            hu += self.hu[row * self.columns..][start..end].iter().map(|&hu| f64::from(hu)).sum::<f64>();
            count += cells;
        }
        ([sum[0] / count * self.cell_mm[0], sum[1] / count * self.cell_mm[1]], hu / count)
    }

    /// 1 where a cell is above that value, else 0.
    fn above(&self, hu: f32) -> Vec<u8> {
        self.hu.iter().map(|&value| u8::from(value > hu)).collect()
    }

    /// The mask and its four neighbours.
    fn grown(&self, mask: &[u8]) -> Vec<u8> {
        let add = |into: &mut [u8], from: &[u8]| into.iter_mut().zip(from).for_each(|(a, b)| *a |= b);
        let mut grown = mask.to_vec();
        let columns = self.columns.max(1);
        for (line, here) in grown.chunks_exact_mut(columns).zip(mask.chunks_exact(columns)) {
            add(&mut line[1..], here);
            add(line, &here[1..]);
        }
        add(&mut grown[columns.min(mask.len())..], mask);
        add(&mut grown, &mask[columns.min(mask.len())..]);
        grown
    }
}

/// The means of cells of whole numbers, with which no digit is lost; padding, which is clipped as air is, needs no look.
fn whole_cells(
    values: &[i16],
    stride: usize,
    [columns, rows]: [usize; 2],
    [wide, high]: [usize; 2],
) -> Option<Vec<f32>> {
    let [low, top] = CLIP_HU.map(|hu| hu as i16);
    let share = 1.0 / (wide * high) as f32;
    let mut hu = Vec::with_capacity(columns * rows);
    // Sums of a cell's height, 16 times 2000 at most.
    let mut sums = vec![0_i16; columns * wide];
    for row in 0..rows {
        sums.fill(0);
        for line in row * high..(row + 1) * high {
            let values = values.get(line * stride..)?.get(..columns * wide)?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.wrapping_add((*value).clamp(low, top)));
        }
        match wide {
            // The commonest widths, as in [`Grid::of`].
            1 => hu.extend(sums.iter().map(|&sum| f32::from(sum) * share)),
            2 => hu.extend(sums.as_chunks::<2>().0.iter().map(|cell| sum_of(cell) * share)),
            3 => hu.extend(sums.as_chunks::<3>().0.iter().map(|cell| sum_of(cell) * share)),
            _ => hu.extend(sums.chunks_exact(wide.max(1)).map(|cell| sum_of(cell) * share)),
        }
    }
    Some(hu)
}

/// Of at most 16 values, so that nothing overflows.
#[inline(always)]
fn sum_of(cell: &[i16]) -> f32 {
    cell.iter().fold(0_i32, |sum, value| sum.wrapping_add(i32::from(*value))) as f32
}

/// Adds a line's values, clipped, to the cells that are `wide` pixels wide.
#[inline(always)]
fn add_to_cells(cells: &mut [f32], values: &[f32], wide: usize) {
    for (cell, values) in cells.iter_mut().zip(values.chunks_exact(wide)) {
        *cell += values.iter().map(|v| v.clamp(CLIP_HU[0], CLIP_HU[1])).sum::<f32>();
    }
}

/// Looks for holes in what is denser than `bone_hu`.
pub fn look_at(slice: &Slice, spacing_mm: [f64; 2], bone_hu: f32) -> Look {
    let Some(grid) = Grid::of(slice, spacing_mm) else { return Look::default() };
    let parts = components(grid.columns, &grid.above(super::BODY_HU));
    // The largest part is the body; nothing outside its box (table, head-rest, an arm) is the neck.
    let Some(body) = parts.iter().max_by_key(|part| part.pixels) else { return Look::default() };
    if body.pixels as f64 * grid.cell_mm2() < super::MIN_BODY_MM2 {
        return Look::default();
    }
    let [x0, y0, ..] = body.bounds;
    let grid = grid.cut(body.bounds);
    let bone = grid.above(bone_hu);
    let body_middle_mm = grid.columns as f64 / 2.0 * grid.cell_mm[0];
    let mut holes = Vec::new();
    let mut closed = bone.clone();
    let mut grown_by = 0;
    for (cells, worth) in CLOSINGS.into_iter().zip(CLOSING_WORTH) {
        while grown_by < cells {
            closed = grid.grown(&closed);
            grown_by += 1;
        }
        let open = Parts::of(grid.columns, &closed, 0, Neighbours::Four);
        let hole = |(part, of): (usize, &Component)| hole(&grid, *of, || open.runs(part), cells, worth, body_middle_mm);
        holes.extend(open.parts.iter().enumerate().filter_map(hole));
    }
    let whole = [0, 0, grid.columns, grid.rows];
    let (x, y) = (grid.columns / 4, grid.rows / 4);
    let central = [x, y, grid.columns - x, grid.rows - y];
    let middle_mm = grid
        .middle_mm(central, |offset| bone[offset] == 1)
        .or_else(|| grid.middle_mm(whole, |offset| grid.hu[offset] > super::BODY_HU));
    let moved = |[x, y]: [f64; 2]| [x + x0 as f64 * grid.cell_mm[0], y + y0 as f64 * grid.cell_mm[1]];
    holes.iter_mut().for_each(|hole: &mut Hole| hole.at_mm = moved(hole.at_mm));
    Look { holes, middle_mm: middle_mm.map(moved) }
}

/// A part of what is no bone, if it may be the canal. `grown` cells of its rim were given to the bone.
fn hole<R: Iterator<Item = Run>>(
    grid: &Grid,
    part: Component,
    runs: impl Fn() -> R,
    grown: usize,
    closing_worth: f64,
    body_middle_mm: f64,
) -> Option<Hole> {
    let [x0, y0, x1, y1] = part.bounds;
    if x0 == 0 || y0 == 0 || x1 == grid.columns || y1 == grid.rows {
        return None;
    }
    let (wide, high) = ((x1 - x0) as f64 * grid.cell_mm[0], (y1 - y0) as f64 * grid.cell_mm[1]);
    let part_mm2 = part.pixels as f64 * grid.cell_mm2();
    if part_mm2 / (wide * high) < MIN_FILLED || wide.max(high) > MAX_ELONGATION * wide.min(high) {
        return None;
    }
    // As a disc that gets its rim back.
    let rim_mm = grown as f64 * grid.cell_mm2().sqrt();
    let radius_mm = (part_mm2 / std::f64::consts::PI).sqrt() + rim_mm;
    let area_mm2 = std::f64::consts::PI * radius_mm * radius_mm;
    if !(AREA_MM2[0]..=C1_AREA_MM2).contains(&area_mm2) {
        return None;
    }
    let size_worth = if area_mm2 <= AREA_MM2[1] { 1.0 } else { 0.6 };
    let (at_mm, hu) = grid.middle_and_hu(runs());
    let off_hu = (CANAL_HU[0] - hu).max(hu - CANAL_HU[1]).max(0.0);
    let hu_worth = (1.0 - off_hu / CANAL_HU_FALL).max(0.0);
    let aside = (at_mm[0] - body_middle_mm) / ASIDE_MM;
    let worth = closing_worth * size_worth * hu_worth / (1.0 + aside * aside);
    (worth > 0.02).then_some(Hole { at_mm, area_mm2, worth })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The short way of whole numbers gives the bits of the long one.
        #[test]
        fn cells_of_whole_numbers_are_those_of_any(
            [wide, high] in [1_usize..5, 1..5],
            columns in 1_usize..40,
            padded in any::<bool>(),
            values in proptest::collection::vec(-3100_i16..3100, 40..600),
        ) {
            let rows = values.len() / columns;
            let padding = padded.then_some([-3100.0, -2000.0]);
            let of = |pixels| Slice { rows, columns, pixels, padding };
            let values = &values[..rows * columns];
            let spacing_mm = [high, wide].map(|pixels| CELL_MM / pixels as f64);
            let short = Grid::of(&of(SlicePixels::I16(values.to_vec().into())), spacing_mm);
            let floats: Vec<f32> = values.iter().map(|&v| f32::from(v)).collect();
            let long = Grid::of(&of(SlicePixels::F32(floats)), spacing_mm);
            prop_assert_eq!(short.map(|grid| grid.hu), long.map(|grid| grid.hu));
        }
    }
}
