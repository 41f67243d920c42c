//! What one slice shows of the spinal canal: holes of soft tissue enclosed by bone, judged each on its own.
//!
//! Works on a grid of about 0.75 mm, which holds a lamina and averages noise away. All places are in millimetres from the
//! picture's upper left corner.

use super::components::components;
use super::hu_of;
use crate::volume::Slice;

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
        let mut hu = vec![0.0_f32; columns * rows];
        for (row, cells) in hu.chunks_exact_mut(columns.max(1)).enumerate() {
            for line in row * high..(row + 1) * high {
                let values = hu_of(slice, line * slice.columns, columns * wide)?;
                for (cell, values) in cells.iter_mut().zip(values.chunks_exact(wide)) {
                    *cell += values.iter().map(|v| v.clamp(CLIP_HU[0], CLIP_HU[1])).sum::<f32>();
                }
            }
        }
        let share = 1.0 / (wide * high) as f32;
        hu.iter_mut().for_each(|v| *v *= share);
        Some(Self { columns, rows, cell_mm: [wide as f64 * spacing_mm[1], high as f64 * spacing_mm[0]], hu })
    }

    /// The part of a half-open box.
    fn cut(&self, [x0, y0, x1, y1]: [usize; 4]) -> Self {
        let hu = (y0..y1).flat_map(|y| &self.hu[y * self.columns + x0..y * self.columns + x1]).copied().collect();
        Self { columns: x1 - x0, rows: y1 - y0, cell_mm: self.cell_mm, hu }
    }

    fn cell_mm2(&self) -> f64 {
        self.cell_mm[0] * self.cell_mm[1]
    }

    fn place(&self, offset: usize) -> [usize; 2] {
        [offset % self.columns, offset / self.columns]
    }

    /// The middle of some cells, mm.
    fn middle_mm(&self, cells: impl Iterator<Item = usize>) -> Option<[f64; 2]> {
        let (mut sum, mut count) = ([0.0, 0.0], 0.0);
        for offset in cells {
            let [x, y] = self.place(offset);
            sum = [sum[0] + x as f64 + 0.5, sum[1] + y as f64 + 0.5];
            count += 1.0;
        }
        (count > 0.0).then(|| [sum[0] / count * self.cell_mm[0], sum[1] / count * self.cell_mm[1]])
    }

    /// The four-connected parts of a mask, each as its cells.
    fn parts(&self, mask: &[bool]) -> Vec<Vec<usize>> {
        let mut seen = vec![false; mask.len()];
        let mut parts = Vec::new();
        for start in 0..mask.len() {
            if seen[start] || !mask[start] {
                continue;
            }
            seen[start] = true;
            let mut cells = vec![start];
            let mut next = 0;
            while next < cells.len() {
                let [x, y] = self.place(cells[next]);
                let around = [
                    (x > 0).then(|| cells[next] - 1),
                    (x + 1 < self.columns).then(|| cells[next] + 1),
                    (y > 0).then(|| cells[next] - self.columns),
                    (y + 1 < self.rows).then(|| cells[next] + self.columns),
                ];
                for offset in around.into_iter().flatten().filter(|&offset| mask[offset]) {
                    if !std::mem::replace(&mut seen[offset], true) {
                        cells.push(offset);
                    }
                }
                next += 1;
            }
            parts.push(cells);
        }
        parts
    }

    /// The half-open box of some cells.
    fn bounds(&self, cells: &[usize]) -> [usize; 4] {
        cells.iter().fold([usize::MAX, usize::MAX, 0, 0], |b, &offset| {
            let [x, y] = self.place(offset);
            [b[0].min(x), b[1].min(y), b[2].max(x + 1), b[3].max(y + 1)]
        })
    }

    /// The mask and its four neighbours.
    fn grown(&self, mask: &[bool]) -> Vec<bool> {
        let mut grown = mask.to_vec();
        for (offset, _) in mask.iter().enumerate().filter(|(_, set)| **set) {
            let [x, y] = self.place(offset);
            if x > 0 {
                grown[offset - 1] = true;
            }
            if x + 1 < self.columns {
                grown[offset + 1] = true;
            }
            if y > 0 {
                grown[offset - self.columns] = true;
            }
            if y + 1 < self.rows {
                grown[offset + self.columns] = true;
            }
        }
        grown
    }
}

/// Looks for holes in what is denser than `bone_hu`.
pub fn look_at(slice: &Slice, spacing_mm: [f64; 2], bone_hu: f32) -> Look {
    let Some(grid) = Grid::of(slice, spacing_mm) else { return Look::default() };
    let parts = components(grid.columns, grid.rows, |offset| grid.hu[offset] > super::BODY_HU);
    // The largest part is the body; nothing outside its box (table, head-rest, an arm) is the neck.
    let Some(body) = parts.iter().max_by_key(|part| part.pixels) else { return Look::default() };
    if body.pixels as f64 * grid.cell_mm2() < super::MIN_BODY_MM2 {
        return Look::default();
    }
    let [x0, y0, ..] = body.bounds;
    let grid = grid.cut(body.bounds);
    let bone: Vec<bool> = grid.hu.iter().map(|&hu| hu > bone_hu).collect();
    let body_middle_mm = grid.columns as f64 / 2.0 * grid.cell_mm[0];
    let mut holes = Vec::new();
    let mut closed = bone.clone();
    let mut grown_by = 0;
    for (cells, worth) in CLOSINGS.into_iter().zip(CLOSING_WORTH) {
        while grown_by < cells {
            closed = grid.grown(&closed);
            grown_by += 1;
        }
        let open: Vec<bool> = closed.iter().map(|set| !set).collect();
        let parts = grid.parts(&open);
        holes.extend(parts.iter().filter_map(|part| hole(&grid, part, cells, worth, body_middle_mm)));
    }
    let central = |offset: &usize| {
        let [x, y] = grid.place(*offset);
        let within = |v: usize, length: usize| (length / 4..length - length / 4).contains(&v);
        within(x, grid.columns) && within(y, grid.rows)
    };
    let cells = || 0..bone.len();
    let middle_mm = grid
        .middle_mm(cells().filter(|&offset| bone[offset]).filter(central))
        .or_else(|| grid.middle_mm(cells().filter(|&offset| grid.hu[offset] > super::BODY_HU)));
    let moved = |[x, y]: [f64; 2]| [x + x0 as f64 * grid.cell_mm[0], y + y0 as f64 * grid.cell_mm[1]];
    holes.iter_mut().for_each(|hole: &mut Hole| hole.at_mm = moved(hole.at_mm));
    Look { holes, middle_mm: middle_mm.map(moved) }
}

/// A part of what is no bone, if it may be the canal. `grown` cells of its rim were given to the bone.
fn hole(grid: &Grid, part: &[usize], grown: usize, closing_worth: f64, body_middle_mm: f64) -> Option<Hole> {
    let [x0, y0, x1, y1] = grid.bounds(part);
    if x0 == 0 || y0 == 0 || x1 == grid.columns || y1 == grid.rows {
        return None;
    }
    let (wide, high) = ((x1 - x0) as f64 * grid.cell_mm[0], (y1 - y0) as f64 * grid.cell_mm[1]);
    let filled = part.len() as f64 * grid.cell_mm2() / (wide * high);
    if filled < MIN_FILLED || wide.max(high) > MAX_ELONGATION * wide.min(high) {
        return None;
    }
    // As a disc that gets its rim back.
    let rim_mm = grown as f64 * grid.cell_mm2().sqrt();
    let radius_mm = (part.len() as f64 * grid.cell_mm2() / std::f64::consts::PI).sqrt() + rim_mm;
    let area_mm2 = std::f64::consts::PI * radius_mm * radius_mm;
    if !(AREA_MM2[0]..=C1_AREA_MM2).contains(&area_mm2) {
        return None;
    }
    let size_worth = if area_mm2 <= AREA_MM2[1] { 1.0 } else { 0.6 };
    let hu = part.iter().map(|&offset| f64::from(grid.hu[offset])).sum::<f64>() / part.len() as f64;
    let off_hu = (CANAL_HU[0] - hu).max(hu - CANAL_HU[1]).max(0.0);
    let hu_worth = (1.0 - off_hu / CANAL_HU_FALL).max(0.0);
    let at_mm = grid.middle_mm(part.iter().copied())?;
    let aside = (at_mm[0] - body_middle_mm) / ASIDE_MM;
    let worth = closing_worth * size_worth * hu_worth / (1.0 + aside * aside);
    (worth > 0.02).then_some(Hole { at_mm, area_mm2, worth })
}
