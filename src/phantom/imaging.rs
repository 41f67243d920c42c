//! The scanner: partial volume through the slice, point spread and kernel, noise, streaks, motion. Works on painted
//! planes of HU and knows no anatomy. The noise itself is [`super::noise`]'s.
//!
//! Everything linear (partial volume, double contours, point spread) acts on the unbroken patient and on what a
//! fracture changes separately, and everything else (noise, streaks) follows from the unbroken patient alone. So twins
//! differ by the fracture's blurred signal and by nothing else.
//!
//! Sums run in a fixed order and exponentials come from `libm`: the same voxels everywhere.

use std::ops::Range;

use super::acquisition::{Acquisition, Motion};
use super::noise::add_noise;
use super::random::Stream;
use super::shapes::mix;
use super::workspace::Workspace;

/// Attenuation of water at the beam's effective energy, per mm.
const WATER_PER_MM: f32 = 0.019;
/// Attenuation along a row through a neck at C3: where the noise has its stated size.
const NECK_ATTENUATION: f32 = 2.4;
/// By how much more two shoulders attenuate.
const SHOULDER_EXCESS: f32 = 4.7;
/// Above this only metal is found.
const METAL_HU: f32 = 3300.0;

/// What the beam passes outside of the field of view, by row and by column.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// Soft tissue left and right of each row, mm.
    pub rows_mm: Vec<f32>,
    /// Bone to the left and to the right of each row, mm of compact bone.
    pub bone_mm: Vec<[f32; 2]>,
    /// Soft tissue above and below each column, mm.
    pub columns_mm: Vec<f32>,
}

/// A finished slice.
pub struct Developed {
    /// HU as a scanner stores them.
    pub hu: Vec<i16>,
    /// What the fracture changes, after the point spread and before noise; `None` when it is not in this slice.
    pub difference_hu: Option<Vec<f32>>,
    /// By how much the noise of rays along each row, and of those along each column, exceeds
    /// [`Acquisition::noise_hu`].
    pub gain: [Vec<f32>; 2],
}

impl Developed {
    /// Standard deviation of the noise at a pixel, HU.
    pub fn noise_hu(&self, scan: &Acquisition, column: usize, row: usize) -> f32 {
        let [rows, columns] = &self.gain;
        let (h, v) = (rows.get(row).copied().unwrap_or(1.0), columns.get(column).copied().unwrap_or(1.0));
        let least = h.min(v);
        scan.noise_hu as f32 * (least * least + 0.5 * (h * h - least * least)).sqrt()
    }
}

/// The planes that stand for a slice's thickness.
pub trait Planes {
    /// What is the same in all of them outside of [`Planes::within`].
    fn soft(&self) -> &[f32];
    /// Columns and rows that hold whatever differs.
    fn within(&self) -> [Range<usize>; 2];
    /// Paints the unbroken patient at one of the heights of [`heights_in_slice`] over the soft plane.
    fn intact(&mut self, number: usize, hu: &mut Vec<f32>);
    /// A fracture reaches this height.
    fn is_broken(&self, number: usize) -> bool;
    /// Paints the broken patient there.
    fn broken(&mut self, number: usize, hu: &mut Vec<f32>);
}

/// Takes one slice.
pub fn take_slice(
    scan: &Acquisition,
    index: usize,
    z_mm: f32,
    beyond: &Beyond,
    planes: &mut impl Planes,
    work: &mut Workspace,
) -> Developed {
    let (mut whole, mut change) = averaged(scan, z_mm, planes, work);
    let metal = metal_in(&whole);
    optics(scan, z_mm, &mut whole, 0..scan.matrix, work);
    if let Some(change) = &mut change {
        optics(scan, z_mm, change, planes.within()[1].clone(), work);
    }
    let gain = noise_gain(scan, &whole, beyond);
    let mut hu = whole;
    dark_bands(scan, beyond, &mut hu);
    metal_streaks(scan, index, &metal, &mut hu);
    add_noise(scan, index, &gain, &mut hu, work);
    if let Some(change) = &change {
        hu.iter_mut().zip(change).for_each(|(hu, change)| *hu += change);
    }
    let stored = hu.iter().copied().map(stored).collect();
    work.floats.give(hu);
    Developed { hu: stored, difference_hu: change, gain }
}

/// The mean of a slice's planes, and what a fracture changes in it.
fn averaged(
    scan: &Acquisition,
    z_mm: f32,
    planes: &mut impl Planes,
    work: &mut Workspace,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let (matrix, count) = (scan.matrix, heights_in_slice(scan, z_mm).len());
    let share = 1.0 / count as f32;
    let [columns, rows] = planes.within();
    let lines: Vec<Range<usize>> = rows.map(|row| row * matrix + columns.start..row * matrix + columns.end).collect();
    let mut whole = work.floats.take(matrix * matrix);
    sum_alike(planes.soft(), share, count, &mut whole);
    let mut change: Option<Vec<f32>> = None;
    let mut plane = work.floats.take(matrix * matrix);
    for number in 0..count {
        restore(&lines, planes.soft(), &mut plane);
        planes.intact(number, &mut plane);
        for line in &lines {
            for (sum, hu) in whole[line.clone()].iter_mut().zip(&plane[line.clone()]) {
                let part = share * hu;
                *sum = if number == 0 { part } else { *sum + part };
            }
        }
        if planes.is_broken(number) {
            let mut hurt = work.floats.take(matrix * matrix);
            restore(&lines, planes.soft(), &mut hurt);
            planes.broken(number, &mut hurt);
            let sum = change.get_or_insert_with(|| vec![0.0; matrix * matrix]);
            for line in &lines {
                for ((sum, hurt), plane) in
                    sum[line.clone()].iter_mut().zip(&hurt[line.clone()]).zip(&plane[line.clone()])
                {
                    *sum += share * (hurt - plane);
                }
            }
            work.floats.give(hurt);
        }
    }
    work.floats.give(plane);
    (whole, change)
}

fn restore(lines: &[Range<usize>], from: &[f32], to: &mut [f32]) {
    for line in lines {
        to[line.clone()].copy_from_slice(&from[line.clone()]);
    }
}

/// The sum of shares of so many planes that are all alike: to the last bit as if they were not.
fn sum_alike(plane: &[f32], share: f32, count: usize, sums: &mut [f32]) {
    const BLOCK: usize = 32;
    for (sums, plane) in sums.chunks_mut(BLOCK).zip(plane.chunks(BLOCK)) {
        let mut parts = [0.0_f32; BLOCK];
        parts.iter_mut().zip(plane).for_each(|(part, hu)| *part = share * hu);
        let mut block = parts;
        for _ in 1..count {
            block.iter_mut().zip(&parts).for_each(|(sum, part)| *sum += part);
        }
        sums.copy_from_slice(&block[..plane.len()]);
    }
}

/// HU as stored: whole numbers between -1024 and 3071.
fn stored(hu: f32) -> i16 {
    // Limited first, so that rounding down needs no library; NaN becomes 0 either way.
    let limited = (hu + 0.5).clamp(-1024.0, 3071.0);
    let whole = limited as i32;
    whole.wrapping_sub(i32::from(limited < whole as f32)) as i16
}

/// Heights that stand for the slice's thickness.
pub fn heights_in_slice(scan: &Acquisition, z_mm: f32) -> Vec<f32> {
    let count = (scan.thickness_mm / 0.7).ceil().clamp(2.0, 4.0) as usize;
    let at = |i: usize| (i as f32 + 0.5) / count as f32 - 0.5;
    (0..count).map(|i| z_mm - at(i) * scan.thickness_mm as f32).collect()
}

/// The linear part of the picture: double contours, point spread, the kernel's overshoot. Outside of `rows` the picture
/// is 0 and stays it, as far as the point spread does not reach.
fn optics(scan: &Acquisition, z_mm: f32, hu: &mut Vec<f32>, rows: Range<usize>, work: &mut Workspace) {
    let mut rows = rows;
    let widened = |rows: Range<usize>, by: usize| rows.start.saturating_sub(by)..(rows.end + by).min(scan.matrix);
    if let Some(Motion::Double { z_mm: [low, high], shift_mm, weight }) = scan.motion
        && z_mm > low
        && z_mm < high
    {
        let by_px = shift_mm.map(|mm| mm / scan.pixel_mm() as f32);
        let moved = shifted(hu, scan.matrix, by_px);
        hu.iter_mut().zip(&moved).for_each(|(hu, moved)| *hu = mix(*hu, *moved, weight));
        rows = widened(rows, by_px[1].abs() as usize + 2);
    }
    let sigma_px = (scan.psf_sigma_mm / scan.pixel_mm()) as f32;
    // The detail between the point spread and one 2.2 times as wide is added once more.
    let soft = (scan.edge_gain > 0.0).then(|| (gaussian(2.2 * sigma_px), scan.edge_gain as f32));
    let kernel = gaussian(sigma_px);
    let reach = kernel.len().max(soft.as_ref().map_or(0, |(soft, _)| soft.len()));
    rows = widened(rows, reach);
    let mut out = work.floats.take(hu.len());
    out[..rows.start * scan.matrix].fill(0.0);
    out[rows.end * scan.matrix..].fill(0.0);
    blur(hu, scan.matrix, &kernel, rows.clone(), &mut out, work);
    if let Some((soft, gain)) = soft {
        let mut softer = work.floats.take(hu.len());
        blur(hu, scan.matrix, &soft, rows.clone(), &mut softer, work);
        let within = rows.start * scan.matrix..rows.end * scan.matrix;
        for (out, soft) in out[within.clone()].iter_mut().zip(&softer[within]) {
            *out += gain * (*out - soft);
        }
        work.floats.give(softer);
    }
    work.floats.give(std::mem::replace(hu, out));
}

/// The picture moved by a part of a pixel or more; what comes in from outside repeats the edge.
fn shifted(hu: &[f32], matrix: usize, by_px: [f32; 2]) -> Vec<f32> {
    let taps = by_px.map(|by| (by.floor() as isize, by - by.floor()));
    let last = matrix as isize - 1;
    let at = |column: isize, row: isize| hu[row.clamp(0, last) as usize * matrix + column.clamp(0, last) as usize];
    let [(dx, fx), (dy, fy)] = taps;
    let mut out = Vec::with_capacity(hu.len());
    for row in 0..=last {
        for column in 0..=last {
            let line = |y| mix(at(column - dx, y), at(column - dx - 1, y), fx);
            out.push(mix(line(row - dy), line(row - dy - 1), fy));
        }
    }
    out
}

/// Half of a normalised Gaussian, from the middle outwards, sampled so finely that its variance is right even when it is
/// narrower than a pixel.
fn gaussian(sigma_px: f32) -> Vec<f32> {
    let reach = (3.0 * sigma_px).ceil().max(1.0) as usize;
    let bell = |x: f32| libm::expf(-0.5 * x * x / (sigma_px * sigma_px));
    let mut half: Vec<f32> = (0..=reach).map(|i| bell(i as f32)).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f32>();
    half.iter_mut().for_each(|w| *w /= sum);
    let variance: f32 = 2.0 * half.iter().enumerate().map(|(i, w)| (i * i) as f32 * w).sum::<f32>();
    // Mended by moving weight between the middle and its neighbours.
    let missing = 0.5 * (sigma_px * sigma_px - variance);
    half[0] -= 2.0 * missing;
    half[1] += missing;
    half
}

/// Rows convolved with a Gaussian along both axes, edges repeated.
fn blur(hu: &[f32], matrix: usize, kernel: &[f32], rows: Range<usize>, out: &mut [f32], work: &mut Workspace) {
    let reach = kernel.len() - 1;
    let mut along_rows = work.floats.take(hu.len());
    let mut padded = vec![0.0_f32; matrix + 2 * reach];
    let near = rows.start.saturating_sub(reach)..(rows.end + reach).min(matrix);
    for row in near {
        let line = &hu[row * matrix..][..matrix];
        padded[..reach].fill(line[0]);
        padded[reach..reach + matrix].copy_from_slice(line);
        padded[reach + matrix..].fill(line[matrix - 1]);
        let pair = |k: usize| [&padded[reach - k..][..matrix], &padded[reach + k..][..matrix]];
        weigh(kernel, line, pair, &mut along_rows[row * matrix..][..matrix]);
    }
    let last = matrix - 1;
    let line = |row: usize| &along_rows[row * matrix..][..matrix];
    for row in rows {
        let pair = |k: usize| [line(row.saturating_sub(k)), line((row + k).min(last))];
        weigh(kernel, line(row), pair, &mut out[row * matrix..][..matrix]);
    }
    work.floats.give(along_rows);
}

/// A line weighted by the middle of a symmetric kernel plus the pairs of lines beside it by the rest.
fn weigh<'a>(kernel: &[f32], middle: &[f32], pair: impl Fn(usize) -> [&'a [f32]; 2], out: &mut [f32]) {
    /// So many sums are held in registers.
    const BLOCK: usize = 16;
    let mut start = 0;
    while start + BLOCK <= out.len() {
        let mut sums = [0.0_f32; BLOCK];
        sums.iter_mut().zip(&middle[start..]).for_each(|(sum, value)| *sum = kernel[0] * value);
        for (k, weight) in kernel.iter().enumerate().skip(1) {
            let [a, b] = pair(k).map(|line| &line[start..start + BLOCK]);
            for i in 0..BLOCK {
                sums[i] += weight * (a[i] + b[i]);
            }
        }
        out[start..start + BLOCK].copy_from_slice(&sums);
        start += BLOCK;
    }
    for i in start..out.len() {
        let beside = |(k, weight): (usize, &f32)| {
            let [a, b] = pair(k);
            weight * (a[i] + b[i])
        };
        out[i] = kernel.iter().enumerate().skip(1).map(beside).fold(kernel[0] * middle[i], |sum, part| sum + part);
    }
}

/// Sums of water-equivalents along each row and each column.
fn water_sums(hu: &[f32], matrix: usize) -> [Vec<f32>; 2] {
    /// Sums of several rows do not wait for each other.
    const ROWS: usize = 4;
    let mut sums = [vec![0.0_f32; matrix], vec![0.0_f32; matrix]];
    let [rows, columns] = &mut sums;
    let mut water = [(); ROWS].map(|()| vec![0.0_f32; matrix]);
    for (values, rows) in hu.chunks(ROWS * matrix).zip(rows.chunks_mut(ROWS)) {
        for (values, water) in values.chunks_exact(matrix).zip(&mut water) {
            for ((value, water), column) in values.iter().zip(water).zip(&mut *columns) {
                *water = (1.0 + 0.001 * value).clamp(0.0, 3.0);
                *column += *water;
            }
        }
        let mut along = [0.0_f32; ROWS];
        let [a, b, c, d] = &water;
        for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
            along.iter_mut().zip([a, b, c, d]).for_each(|(sum, water)| *sum += water);
        }
        rows.copy_from_slice(&along[..rows.len()]);
    }
    sums
}

/// By how much noise grows, for each row and each column: the scanner's dose modulation leaves a part of what the
/// attenuation along the row or column does.
fn noise_gain(scan: &Acquisition, hu: &[f32], beyond: &Beyond) -> [Vec<f32>; 2] {
    let matrix = scan.matrix;
    let sums = water_sums(hu, matrix);
    let outside = [&beyond.rows_mm, &beyond.columns_mm];
    let pixel_mm = scan.pixel_mm() as f32;
    let left = 2.0 * libm::logf(scan.shoulder_gain as f32) / SHOULDER_EXCESS;
    // A ray is a few millimetres wide.
    let reach = (2.0 / pixel_mm).ceil() as usize;
    [0, 1].map(|axis: usize| {
        let attenuation: Vec<f32> = (0..matrix)
            .map(|i| {
                let bone = if axis == 0 { beyond.bone_mm.get(i).map_or(0.0, |[l, r]| l + r) } else { 0.0 };
                let tissue_mm = sums[axis][i] * pixel_mm + outside[axis].get(i).copied().unwrap_or(0.0) + bone;
                WATER_PER_MM * tissue_mm
            })
            .collect();
        (0..matrix)
            .map(|i| {
                let near = &attenuation[i.saturating_sub(reach)..(i + reach + 1).min(matrix)];
                let mean = near.iter().sum::<f32>() / near.len() as f32;
                libm::expf(0.5 * left * (mean - NECK_ATTENUATION)).clamp(0.5, 6.0)
            })
            .collect()
    })
}

/// Beam hardening: darkness between dense structures of the same row.
fn dark_bands(scan: &Acquisition, beyond: &Beyond, hu: &mut [f32]) {
    /// Most pixels are no bone; so many are passed over together.
    const BLOCK: usize = 16;
    let pixel_mm = scan.pixel_mm() as f32;
    let bone_mm = |hu: f32| (0.001 * (hu - 250.0)).clamp(0.0, 3.0) * pixel_mm;
    let boneless = |block: &[f32]| block.iter().fold(true, |none, mm| none & (*mm == 0.0));
    let darkened = |value: f32, before: f32, after: f32| {
        let both = before.max(0.0) * after.max(0.0) * 0.01;
        let tissue = (1.0 + 0.001 * value).clamp(0.0, 1.0);
        value - scan.dark_band_hu as f32 * tissue * both / (1.0 + both)
    };
    let mut bone = vec![0.0_f32; scan.matrix];
    for (row, line) in hu.chunks_exact_mut(scan.matrix).enumerate() {
        let [left, right] = beyond.bone_mm.get(row).copied().unwrap_or([0.0; 2]);
        bone.iter_mut().zip(&*line).for_each(|(mm, hu)| *mm = bone_mm(*hu));
        let within = bone.chunks(BLOCK).filter(|block| !boneless(block)).flatten().sum::<f32>();
        let (mut before, mut after) = (left, within + right);
        for (values, bone) in line.chunks_mut(BLOCK).zip(bone.chunks(BLOCK)) {
            if boneless(bone) {
                if before > 0.0 && after > 0.0 {
                    values.iter_mut().for_each(|value| *value = darkened(*value, before, after));
                }
                continue;
            }
            for (value, here) in values.iter_mut().zip(bone) {
                after -= here;
                *value = darkened(*value, before, after);
                before += here;
            }
        }
    }
}

/// Pixels (indices) of metal.
fn metal_in(hu: &[f32]) -> Vec<usize> {
    /// Most pictures hold none; so many pixels are passed over together.
    const BLOCK: usize = 64;
    let any = |block: &[f32]| block.iter().fold(false, |any, hu| any | (*hu > METAL_HU));
    let blocks = hu.chunks(BLOCK).enumerate().filter(|(_, block)| any(block));
    blocks
        .flat_map(|(number, block)| (BLOCK * number..).zip(block))
        .filter(|(_, hu)| **hu > METAL_HU)
        .map(|(at, _)| at)
        .collect()
}

/// Streaks around metal: what its projections miss (photons that did not come through) is filtered and projected back.
fn metal_streaks(scan: &Acquisition, index: usize, metal: &[usize], hu: &mut [f32]) {
    const VIEWS: usize = 144;
    /// Error of a projection through this much metal saturates, mm.
    const OPAQUE_MM: f32 = 5.0;
    if metal.is_empty() {
        return;
    }
    let (matrix, pixel_mm) = (scan.matrix, scan.pixel_mm() as f32);
    let middle = 0.5 * (matrix - 1) as f32;
    let bins = matrix * 3 / 2 + 4;
    let mut noise = Stream::named(scan.seed, "metal noise", index as u64);
    let mut views = Vec::with_capacity(VIEWS);
    for view in 0..VIEWS {
        let angle = std::f32::consts::PI * view as f32 / VIEWS as f32;
        let (cosine, sine) = (libm::cosf(angle), libm::sinf(angle));
        let mut path_mm = vec![0.0_f32; bins];
        for at in metal {
            let (x, y) = ((at % matrix) as f32 - middle, (at / matrix) as f32 - middle);
            let t = x * cosine + y * sine + 0.5 * bins as f32;
            let low = t.floor();
            path_mm[low as usize] += (1.0 - (t - low)) * pixel_mm;
            path_mm[low as usize + 1] += (t - low) * pixel_mm;
        }
        let missed: Vec<(usize, f32)> = path_mm
            .iter()
            .enumerate()
            .filter(|(_, path)| **path > 0.0)
            .map(|(bin, path)| {
                let opaque = path / (path + OPAQUE_MM);
                (bin, opaque * (-4200.0 * path / pixel_mm * opaque + 900.0 / pixel_mm * noise.signed()))
            })
            .collect();
        // The ramp filter's impulse response (Kak and Slaney 1988, section 3.3): 1/4, and -1/(pi n)^2 at odd n.
        let mut filtered = vec![0.0_f32; bins];
        for (bin, value) in missed {
            filtered[bin] += 0.25 * value;
            let mut n = 1;
            while n < bins {
                let fall = value / (std::f32::consts::PI * n as f32 * std::f32::consts::PI * n as f32);
                if bin >= n {
                    filtered[bin - n] -= fall;
                }
                if bin + n < bins {
                    filtered[bin + n] -= fall;
                }
                n += 2;
            }
        }
        views.push((cosine, sine, filtered));
    }
    let share = std::f32::consts::PI / VIEWS as f32;
    for (row, line) in hu.chunks_exact_mut(matrix).enumerate() {
        let y = row as f32 - middle;
        let mut sums = vec![0.0_f32; matrix];
        for (cosine, sine, filtered) in &views {
            let start = y * sine + 0.5 * bins as f32 - middle * cosine;
            for (column, sum) in sums.iter_mut().enumerate() {
                let t = start + column as f32 * cosine;
                let low = t as usize;
                *sum += mix(filtered[low], filtered[low + 1], t - low as f32);
            }
        }
        for (value, sum) in line.iter_mut().zip(sums) {
            let tissue = (1.0 + 0.001 * *value).clamp(0.15, 1.0);
            *value += (share * sum).clamp(-900.0, 900.0) * tissue;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::acquisition::Protocol;
    use super::super::patient::{Difficulty, Domain};
    use super::*;

    pub(in crate::phantom) fn scan(matrix: usize, field_mm: f64) -> Acquisition {
        let protocol = Protocol {
            seed: 11,
            difficulty: Difficulty::Standard,
            domain: Domain::Iid,
            matrix,
            slice_spacing_mm: Some(1.0),
        };
        let drawn = Acquisition::new(&protocol);
        Acquisition { field_mm, thickness_mm: 1.0, noise_hu: 40.0, edge_gain: 0.2, motion: None, ..drawn }
    }
    /// A scan without noise and bands.
    fn quiet(matrix: usize, field_mm: f64) -> Acquisition {
        Acquisition { noise_hu: 0.0, dark_band_hu: 0.0, ..scan(matrix, field_mm) }
    }
    pub(in crate::phantom) fn mean_and_deviation(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        (mean, (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
    }
    /// Planes given by functions of their height.
    struct Given<I, B> {
        soft: Vec<f32>,
        heights: Vec<f32>,
        intact: I,
        broken: B,
    }

    impl<I: Fn(f32) -> Vec<f32>, B: Fn() -> Option<Vec<f32>>> Planes for Given<I, B> {
        fn soft(&self) -> &[f32] {
            &self.soft
        }
        fn within(&self) -> [Range<usize>; 2] {
            let matrix = self.soft.len().isqrt();
            [0..matrix, 0..matrix]
        }
        fn intact(&mut self, number: usize, hu: &mut Vec<f32>) {
            *hu = (self.intact)(self.heights[number]);
        }
        fn is_broken(&self, _: usize) -> bool {
            (self.broken)().is_some()
        }
        fn broken(&mut self, _: usize, hu: &mut Vec<f32>) {
            *hu = (self.broken)().expect("asked before");
        }
    }

    fn slice_of(
        (scan, index, z_mm): (&Acquisition, usize, f32),
        beyond: &Beyond,
        intact: impl Fn(f32) -> Vec<f32>,
        broken: impl Fn() -> Option<Vec<f32>>,
    ) -> Developed {
        let (soft, heights) = (vec![0.0; scan.matrix * scan.matrix], heights_in_slice(scan, z_mm));
        let mut planes = Given { soft, heights, intact, broken };
        take_slice(scan, index, z_mm, beyond, &mut planes, &mut Workspace::default())
    }
    fn nothing() -> Option<Vec<f32>> {
        None
    }

    #[test]
    fn attenuation_by_both_shoulders_gives_the_shoulder_gain() {
        let scan = scan(64, 126.3);
        let beyond = Beyond { rows_mm: vec![SHOULDER_EXCESS / WATER_PER_MM; 64], ..Beyond::default() };
        // 126.3 mm of water have the attenuation of a neck.
        let [rows, columns] = noise_gain(&scan, &[0.0; 64 * 64], &beyond);
        assert!((f64::from(rows[32]) - scan.shoulder_gain).abs() < 0.02 * scan.shoulder_gain, "{}", rows[32]);
        assert!((columns[32] - 1.0).abs() < 0.02, "{}", columns[32]);
    }

    #[test]
    fn blur_has_the_asked_width() {
        for sigma_mm in [0.25, 0.45, 0.7] {
            let scan = Acquisition { psf_sigma_mm: sigma_mm, edge_gain: 0.0, ..quiet(128, 51.2) };
            let mut hu = vec![0.0; 128 * 128];
            hu[64 * 128 + 64] = 1000.0;
            optics(&scan, 0.0, &mut hu, 0..128, &mut Workspace::default());
            let moment = |of: fn(usize) -> usize, power: i32| {
                hu.iter().enumerate().map(|(i, v)| f64::from(*v) * (of(i) as f64 - 64.0).powi(power)).sum::<f64>()
            };
            for of in [(|i| i % 128) as fn(usize) -> usize, |i| i / 128] {
                let sigma = (moment(of, 2) / moment(of, 0)).sqrt() * 0.4;
                assert!((sigma - sigma_mm).abs() < 0.02 * sigma_mm, "{sigma} for {sigma_mm}");
            }
            assert!((moment(|i| i, 0) - 1000.0).abs() < 0.01, "nothing is lost");
        }
    }

    #[test]
    fn the_kernel_overshoots_at_edges_and_leaves_plateaus_alone() {
        let scan = Acquisition { edge_gain: 0.4, ..quiet(128, 51.2) };
        let mut hu: Vec<f32> = (0..128 * 128).map(|i| if i % 128 < 64 { 0.0 } else { 1000.0 }).collect();
        optics(&scan, 0.0, &mut hu, 0..128, &mut Workspace::default());
        let row = &hu[64 * 128..65 * 128];
        let most = row.iter().copied().fold(0.0, f32::max);
        assert!(most > 1030.0 && most < 1250.0, "{most}");
        assert!(row[20].abs() < 0.1 && (row[110] - 1000.0).abs() < 0.1);
    }

    #[test]
    fn a_surface_in_the_middle_of_a_slice_is_averaged() {
        let scan = quiet(32, 32.0);
        let paint = |z: f32| vec![if z > 0.0 { 1000.0 } else { 200.0 }; 32 * 32];
        let taken = slice_of((&scan, 0, 0.0), &Beyond::default(), paint, nothing);
        assert!(taken.hu.iter().all(|hu| *hu == 600), "{:?}", taken.hu[0]);
        let above = slice_of((&scan, 0, 5.0), &Beyond::default(), paint, nothing);
        assert!(above.hu.iter().all(|hu| *hu == 1000));
    }

    #[test]
    fn stored_values_are_clipped() {
        let clipped = [-5000.0, -1024.2, 0.49, 0.5, 9000.0].map(stored);
        assert_eq!(clipped, [-1024, -1024, 0, 1, 3071]);
    }

    /// A disc of bone in water in air, with a gap where `broken`.
    fn disc(broken: bool) -> Vec<f32> {
        (0..96 * 96)
            .map(|i| {
                let (x, y) = ((i % 96) as f32 - 47.5, (i / 96) as f32 - 47.5);
                let r = (x * x + y * y).sqrt();
                match () {
                    () if broken && x.abs() < 1.0 && y.abs() < 8.0 => 45.0,
                    () if r < 10.0 => 900.0,
                    () if r < 40.0 => 40.0,
                    () => -1000.0,
                }
            })
            .collect()
    }

    #[test]
    fn twins_differ_by_the_fracture_and_nothing_else() {
        let scan = scan(96, 60.0);
        let take = |hurt: bool| {
            let broken = || hurt.then(|| disc(true));
            slice_of((&scan, 2, 0.0), &Beyond::default(), |_| disc(false), broken)
        };
        let (whole, hurt) = (take(false), take(true));
        assert!(whole.difference_hu.is_none());
        let difference = hurt.difference_hu.expect("the fracture is in the slice");
        assert!(difference.iter().copied().fold(0.0, f32::min) < -500.0);
        let pairs = whole.hu.iter().zip(&hurt.hu).zip(&difference);
        for ((whole, hurt), difference) in pairs {
            assert!((f32::from(hurt - whole) - difference).abs() <= 1.0 || *whole == -1024 || *hurt == -1024);
        }
        assert!(difference[..30 * 96].iter().all(|d| *d == 0.0), "far away nothing changes");
        assert_eq!(whole.hu, take(false).hu, "the same again");
    }

    #[test]
    fn voxels_are_the_same_everywhere() {
        let motion = Some(Motion::Double { z_mm: [-5.0, 5.0], shift_mm: [1.2, -0.7], weight: 0.3 });
        let scan = Acquisition { motion, ..scan(96, 60.0) };
        let beyond = Beyond { rows_mm: vec![150.0; 96], bone_mm: vec![[9.0; 2]; 96], columns_mm: vec![20.0; 96] };
        let metal = |_: f32| {
            let mut plane = disc(false);
            plane[30 * 96 + 40..30 * 96 + 46].fill(9000.0);
            plane
        };
        let taken = slice_of((&scan, 7, 0.0), &beyond, metal, nothing);
        let digest = taken
            .hu
            .iter()
            .flat_map(|hu| hu.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // Changes with every change of the imaging model, and must never differ between platforms or profiles.
        assert_eq!(digest, 0x18da_812a_04f7_e066, "the imaging model changed");
    }

    #[test]
    fn it_is_darker_between_dense_structures_than_beside_them() {
        let scan = Acquisition { dark_band_hu: 50.0, ..quiet(128, 128.0) };
        let plane = |_: f32| {
            let bone = |i: usize| (i / 128).abs_diff(64) < 10 && [30, 98].iter().any(|c| (i % 128).abs_diff(*c) < 12);
            (0..128 * 128).map(|i| if bone(i) { 1200.0 } else { 0.0 }).collect::<Vec<f32>>()
        };
        let taken = slice_of((&scan, 0, 0.0), &Beyond::default(), plane, nothing);
        let at = |column: usize, row: usize| taken.hu[row * 128 + column];
        assert!(at(64, 64) < -20, "{}", at(64, 64));
        assert!(at(5, 64).abs() <= 1 && at(64, 20).abs() <= 1);
    }

    #[test]
    fn metal_throws_streaks_along_the_line_through_two_fillings() {
        let scan = quiet(128, 90.0);
        let plane = |metal: bool| {
            let filled = |i: usize| (i / 128).abs_diff(64) < 4 && [44, 84].iter().any(|c| (i % 128).abs_diff(*c) < 4);
            (0..128 * 128).map(|i| if metal && filled(i) { 9000.0 } else { 0.0 }).collect::<Vec<f32>>()
        };
        let taken = slice_of((&scan, 0, 0.0), &Beyond::default(), |_| plane(true), nothing);
        let mean = |columns: std::ops::Range<usize>, row: usize| {
            columns.clone().map(|c| f32::from(taken.hu[row * 128 + c])).sum::<f32>() / columns.len() as f32
        };
        assert!(mean(54..74, 64) < -100.0, "dark between the two: {}", mean(54..74, 64));
        let spread: Vec<f32> = taken.hu[30 * 128..31 * 128].iter().map(|hu| f32::from(*hu)).collect();
        assert!(mean_and_deviation(&spread).1 > 3.0, "streaks reach far: {:?}", mean_and_deviation(&spread));
        let without = slice_of((&scan, 0, 0.0), &Beyond::default(), |_| plane(false), nothing);
        assert!(without.hu.iter().all(|hu| *hu == 0));
    }

    #[test]
    fn a_double_contour_is_the_picture_and_its_shifted_copy() {
        let motion = Some(Motion::Double { z_mm: [0.0, 10.0], shift_mm: [4.0, 0.0], weight: 0.25 });
        let scan = Acquisition { motion, edge_gain: 0.0, ..quiet(64, 64.0) };
        let plane = |_: f32| (0..64 * 64).map(|i| if i % 64 < 20 { 1000.0 } else { 0.0 }).collect::<Vec<f32>>();
        let within = slice_of((&scan, 0, 5.0), &Beyond::default(), plane, nothing);
        assert_eq!([10, 22, 40].map(|c| within.hu[32 * 64 + c]), [1000, 250, 0]);
        let without = slice_of((&scan, 0, 15.0), &Beyond::default(), plane, nothing);
        assert_eq!(without.hu[32 * 64 + 22], 0);
    }
}
