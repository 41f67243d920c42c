//! The scanner: partial volume through the slice, point spread and kernel, noise, streaks, motion. Works on painted
//! planes of HU and knows no anatomy.
//!
//! Everything linear (partial volume, double contours, point spread) acts on the unbroken patient and on what a
//! fracture changes separately, and everything else (noise, streaks) follows from the unbroken patient alone. So twins
//! differ by the fracture's blurred signal and by nothing else.
//!
//! Sums run in a fixed order and exponentials come from `libm`: the same voxels everywhere.

use super::acquisition::{Acquisition, Motion};
use super::random::Stream;
use super::shapes::mix;

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

/// Takes one slice: `intact` paints the unbroken patient at a height, `broken` says what a fracture makes of that plane,
/// or `None` where it does not reach.
pub fn take_slice(
    scan: &Acquisition,
    index: usize,
    z_mm: f32,
    beyond: &Beyond,
    intact: impl Fn(f32) -> Vec<f32>,
    broken: impl Fn(f32, &[f32]) -> Option<Vec<f32>>,
) -> Developed {
    let heights = heights_in_slice(scan, z_mm);
    let share = 1.0 / heights.len() as f32;
    let (mut whole, mut change): (Vec<f32>, Option<Vec<f32>>) = (Vec::new(), None);
    for height in heights {
        let plane = intact(height);
        if let Some(hurt) = broken(height, &plane) {
            let sum = change.get_or_insert_with(|| vec![0.0; plane.len()]);
            for ((sum, hurt), plane) in sum.iter_mut().zip(&hurt).zip(&plane) {
                *sum += share * (hurt - plane);
            }
        }
        if whole.is_empty() {
            whole = plane.iter().map(|hu| share * hu).collect();
        } else {
            whole.iter_mut().zip(&plane).for_each(|(sum, hu)| *sum += share * hu);
        }
    }
    let metal = metal_in(&whole);
    optics(scan, z_mm, &mut whole);
    if let Some(change) = &mut change {
        optics(scan, z_mm, change);
    }
    let gain = noise_gain(scan, &whole, beyond);
    let mut hu = whole.clone();
    dark_bands(scan, &whole, beyond, &mut hu);
    metal_streaks(scan, index, &metal, &mut hu);
    add_noise(scan, index, &gain, &mut hu);
    if let Some(change) = &change {
        hu.iter_mut().zip(change).for_each(|(hu, change)| *hu += change);
    }
    Developed { hu: hu.into_iter().map(stored).collect(), difference_hu: change, gain }
}

/// HU as stored: whole numbers between -1024 and 3071.
fn stored(hu: f32) -> i16 {
    (hu + 0.5).floor().clamp(-1024.0, 3071.0) as i16
}

/// Heights that stand for the slice's thickness.
fn heights_in_slice(scan: &Acquisition, z_mm: f32) -> Vec<f32> {
    let count = (scan.thickness_mm / 0.7).ceil().clamp(2.0, 4.0) as usize;
    let at = |i: usize| (i as f32 + 0.5) / count as f32 - 0.5;
    (0..count).map(|i| z_mm - at(i) * scan.thickness_mm as f32).collect()
}

/// The linear part of the picture: double contours, point spread, the kernel's overshoot.
fn optics(scan: &Acquisition, z_mm: f32, hu: &mut Vec<f32>) {
    if let Some(Motion::Double { z_mm: [low, high], shift_mm, weight }) = scan.motion
        && z_mm > low
        && z_mm < high
    {
        let moved = shifted(hu, scan.matrix, shift_mm.map(|mm| mm / scan.pixel_mm() as f32));
        hu.iter_mut().zip(&moved).for_each(|(hu, moved)| *hu = mix(*hu, *moved, weight));
    }
    let sigma_px = (scan.psf_sigma_mm / scan.pixel_mm()) as f32;
    let sharp = blurred(hu, scan.matrix, sigma_px);
    if scan.edge_gain > 0.0 {
        // The detail between the point spread and one 2.2 times as wide is added once more.
        let soft = blurred(hu, scan.matrix, 2.2 * sigma_px);
        let gain = scan.edge_gain as f32;
        *hu = sharp.iter().zip(&soft).map(|(sharp, soft)| sharp + gain * (sharp - soft)).collect();
    } else {
        *hu = sharp;
    }
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

/// Convolved with a Gaussian, edges repeated.
fn blurred(hu: &[f32], matrix: usize, sigma_px: f32) -> Vec<f32> {
    let kernel = gaussian(sigma_px);
    let reach = kernel.len() - 1;
    let mut along_rows = Vec::with_capacity(hu.len());
    let mut padded = vec![0.0_f32; matrix + 2 * reach];
    for row in hu.chunks_exact(matrix) {
        padded[..reach].fill(row[0]);
        padded[reach..reach + matrix].copy_from_slice(row);
        padded[reach + matrix..].fill(row[matrix - 1]);
        let start = along_rows.len();
        along_rows.extend(row.iter().map(|value| kernel[0] * value));
        let out = &mut along_rows[start..];
        for (k, weight) in kernel.iter().enumerate().skip(1) {
            let (left, right) = (&padded[reach - k..], &padded[reach + k..]);
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out += weight * (left + right);
            }
        }
    }
    let line = |row: isize| {
        let row = row.clamp(0, matrix as isize - 1) as usize;
        &along_rows[row * matrix..(row + 1) * matrix]
    };
    let mut out = Vec::with_capacity(hu.len());
    for row in 0..matrix as isize {
        let start = out.len();
        out.extend(line(row).iter().map(|value| kernel[0] * value));
        let sums = &mut out[start..];
        for (k, weight) in kernel.iter().enumerate().skip(1) {
            for ((sum, up), down) in sums.iter_mut().zip(line(row - k as isize)).zip(line(row + k as isize)) {
                *sum += weight * (up + down);
            }
        }
    }
    out
}

/// By how much noise grows, for each row and each column: the scanner's dose modulation leaves a part of what the
/// attenuation along the row or column does.
fn noise_gain(scan: &Acquisition, hu: &[f32], beyond: &Beyond) -> [Vec<f32>; 2] {
    let matrix = scan.matrix;
    let mut sums = [vec![0.0_f32; matrix], vec![0.0_f32; matrix]];
    for (row, values) in hu.chunks_exact(matrix).enumerate() {
        let mut along = 0.0;
        for (column, value) in values.iter().enumerate() {
            let water = (1.0 + 0.001 * value).clamp(0.0, 3.0);
            along += water;
            sums[1][column] += water;
        }
        sums[0][row] = along;
    }
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
fn dark_bands(scan: &Acquisition, whole: &[f32], beyond: &Beyond, hu: &mut [f32]) {
    let matrix = scan.matrix;
    let pixel_mm = scan.pixel_mm() as f32;
    let bone_mm = |hu: f32| (0.001 * (hu - 250.0)).clamp(0.0, 3.0) * pixel_mm;
    for (row, (line, out)) in whole.chunks_exact(matrix).zip(hu.chunks_exact_mut(matrix)).enumerate() {
        let [left, right] = beyond.bone_mm.get(row).copied().unwrap_or([0.0; 2]);
        let mut after = line.iter().map(|hu| bone_mm(*hu)).sum::<f32>() + right;
        let mut before = left;
        for (value, out) in line.iter().zip(out) {
            let here = bone_mm(*value);
            after -= here;
            let both = before.max(0.0) * after.max(0.0) * 0.01;
            let tissue = (1.0 + 0.001 * value).clamp(0.0, 1.0);
            *out -= scan.dark_band_hu as f32 * tissue * both / (1.0 + both);
            before += here;
        }
    }
}

/// Pixels (indices) of metal.
fn metal_in(hu: &[f32]) -> Vec<usize> {
    hu.iter().enumerate().filter(|(_, hu)| **hu > METAL_HU).map(|(at, _)| at).collect()
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

/// Standard deviation of [`white`].
const WHITE: f32 = 147.8;

/// One value per pixel: the sum of four random bytes less its mean, close enough to Gaussian before filters.
fn white(stream: &mut Stream, count: usize) -> Vec<i32> {
    let sum = |half: u32| half.to_le_bytes().into_iter().map(i32::from).sum::<i32>() - 510;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let bits = stream.next_u64();
        values.push(sum(bits as u32));
        values.push(sum((bits >> 32) as u32));
    }
    values.truncate(count);
    values
}

/// The noise's source for one slice. Overlapping slices share a part of it: neighbours at half a thickness correlate by
/// a half. The second value is the standard deviation.
fn source(scan: &Acquisition, index: usize) -> (Vec<i32>, f32) {
    let count = scan.matrix * scan.matrix;
    let draw = |index: usize| white(&mut Stream::named(scan.seed, "noise", index as u64), count);
    let overlap = 1.0 - scan.spacing_mm / scan.thickness_mm;
    let (mine, next) = if overlap > 0.4 {
        (1, 1)
    } else if overlap > 0.1 {
        (5, 1)
    } else {
        return (draw(index), WHITE);
    };
    let mut values = draw(index);
    values.iter_mut().zip(draw(index + 1)).for_each(|(a, b)| *a = mine * *a + next * b);
    (values, WHITE * ((mine * mine + next * next) as f32).sqrt())
}

/// Sums over `2 * radius + 1` values along each row, wrapping around.
fn sum_along_rows(values: &[i32], matrix: usize, radius: usize) -> Vec<i32> {
    let mut out = Vec::with_capacity(values.len());
    let width = 2 * radius;
    let mut padded = Vec::with_capacity(matrix + width);
    for row in values.chunks_exact(matrix) {
        padded.clear();
        padded.extend((0..radius).map(|k| row[(k + matrix * 2 - radius) % matrix]));
        padded.extend_from_slice(row);
        padded.extend((0..radius).map(|k| row[k % matrix]));
        let mut sum: i32 = padded[..width].iter().sum();
        for (first, next) in padded.iter().zip(&padded[width..]) {
            sum += next;
            out.push(sum);
            sum -= first;
        }
    }
    out
}

/// The same along each column.
fn sum_along_columns(values: &[i32], matrix: usize, radius: usize) -> Vec<i32> {
    let row = |r: usize| &values[(r % matrix) * matrix..][..matrix];
    let mut sums = vec![0_i32; matrix];
    for r in 0..2 * radius {
        sums.iter_mut().zip(row(matrix * 2 + r - radius)).for_each(|(sum, v)| *sum += v);
    }
    let mut out = Vec::with_capacity(values.len());
    for r in 0..matrix {
        sums.iter_mut().zip(row(r + radius)).for_each(|(sum, v)| *sum += v);
        out.extend_from_slice(&sums);
        sums.iter_mut().zip(row(r + matrix * 2 - radius)).for_each(|(sum, v)| *sum -= v);
    }
    out
}

/// `[1, middle, 1]`-weighted sums along rows and columns: the grain's size follows the point spread.
fn grained(values: &[i32], matrix: usize, middle: i32) -> Vec<i32> {
    let rows = sum_along_rows(values, matrix, 1);
    let rows: Vec<i32> = rows.iter().zip(values).map(|(sum, v)| sum + (middle - 1) * v).collect();
    let both = sum_along_columns(&rows, matrix, 1);
    both.iter().zip(&rows).map(|(sum, v)| sum + (middle - 1) * v).collect()
}

/// Widths of the noise's filters, pixels.
struct Band {
    middle: i32,
    radii: [usize; 2],
}

impl Band {
    /// Share of each box that is taken away: the spectrum rises about like the square root of a ramp.
    const SHARES: [f32; 2] = [0.5, 0.5];

    fn of(scan: &Acquisition) -> Self {
        let px = scan.pixel_mm() as f32;
        // A sharper kernel has a finer grain.
        let sigma_px = (1.25 * scan.psf_sigma_mm as f32 / (1.0 + 0.5 * scan.edge_gain as f32) / px).max(0.3);
        let middle = libm::expf(0.5 / (sigma_px * sigma_px)).clamp(1.0, 30.0);
        let radius = |mm: f32, least: f32| (mm / px + 0.5).floor().max(least) as usize;
        Self { middle: middle as i32, radii: [radius(1.1, 1.0).min(4), radius(3.2, 3.0).min(12)] }
    }

    /// Standard deviation of the filtered noise for a source of one. All filters are separable, so the energy of the
    /// sum comes from products along one axis.
    fn deviation(&self) -> f32 {
        let m = self.middle as f32;
        let grain = [1.0 / (m + 2.0), m / (m + 2.0), 1.0 / (m + 2.0)];
        let boxed = |radius: usize| {
            // The boxes act on the grain.
            let n = 2 * radius + 1;
            let mut out = vec![0.0_f32; n + 2];
            for start in 0..n {
                grain.iter().zip(&mut out[start..]).for_each(|(g, out)| *out += g / n as f32);
            }
            out
        };
        let filters = [grain.to_vec(), boxed(self.radii[0]), boxed(self.radii[1])];
        let weights = [1.0, -Self::SHARES[0], -Self::SHARES[1]];
        let mut energy = 0.0;
        for (a, wa) in filters.iter().zip(weights) {
            for (b, wb) in filters.iter().zip(weights) {
                let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
                let skip = (long.len() - short.len()) / 2;
                let product: f32 = short.iter().zip(&long[skip..]).map(|(x, y)| x * y).sum();
                energy += wa * wb * product * product;
            }
        }
        energy.sqrt()
    }
}

/// Noise of the stated size with a band-pass spectrum, and where rays along the rows meet more than those along the
/// columns, noise drawn out sideways.
fn add_noise(scan: &Acquisition, index: usize, gain: &[Vec<f32>; 2], hu: &mut [f32]) {
    let matrix = scan.matrix;
    let (white, deviation) = source(scan, index);
    let band = Band::of(scan);
    let grain = grained(&white, matrix, band.middle);
    let [near, far] = band.radii.map(|radius| {
        let sums = sum_along_columns(&sum_along_rows(&grain, matrix, radius), matrix, radius);
        (sums, 1.0 / ((2 * radius + 1) * (2 * radius + 1)) as f32)
    });
    let unit = 1.0 / (deviation * band.deviation() * ((band.middle + 2) * (band.middle + 2)) as f32);
    let sigma = scan.noise_hu as f32;
    let [rows, columns] = gain;
    let most = rows.iter().copied().fold(0.0, f32::max);
    let least = columns.iter().copied().fold(f32::MAX, f32::min);
    let streaks = (most > 1.1 * least).then(|| Streaks::new(scan, index, deviation));
    for (row, line) in hu.chunks_exact_mut(matrix).enumerate() {
        let h = rows[row];
        for (column, value) in line.iter_mut().enumerate() {
            let at = row * matrix + column;
            let fine = grain[at] as f32
                - Band::SHARES[0] * near.1 * near.0[at] as f32
                - Band::SHARES[1] * far.1 * far.0[at] as f32;
            let least = h.min(columns[column]);
            let mut noise = least * unit * fine;
            if let Some(streaks) = &streaks
                && h > least
            {
                noise += (0.5 * (h * h - least * least)).sqrt() * streaks.at(at);
            }
            *value += sigma * noise;
        }
    }
}

/// Noise of deviation one, drawn out along the rows: short and long streaks.
struct Streaks {
    short: Vec<i32>,
    long: Vec<i32>,
    unit: [f32; 2],
}

impl Streaks {
    fn new(scan: &Acquisition, index: usize, deviation: f32) -> Self {
        // A source of its own would cost as much again; another slice's serves as well.
        let (white, _) = source(scan, index + 100_000);
        let (matrix, middle) = (scan.matrix, Band::of(scan).middle);
        // Streaks are as high as the grain.
        let above_and_below = sum_along_columns(&white, matrix, 1);
        let white: Vec<i32> = above_and_below.iter().zip(&white).map(|(sum, v)| sum + (middle - 1) * v).collect();
        let deviation = deviation * ((middle * middle + 2) as f32).sqrt();
        let radius = |mm: f64, most: usize| ((mm / scan.pixel_mm()) as usize).clamp(2, most);
        let (near, far) = (radius(2.5, 12), radius(14.0, 48));
        let twice = |radius: usize| sum_along_rows(&sum_along_rows(&white, matrix, radius), matrix, radius);
        // The energy of a box of n applied twice.
        let energy = |radius: usize| {
            let n = (2 * radius + 1) as f32;
            (n * (2.0 * n * n + 1.0) / 3.0).sqrt()
        };
        // Short and long ones share a source: their covariance is that of the two triangles.
        let covariance: f32 = {
            let (a, b) = ((2 * near + 1) as i64, (2 * far + 1) as i64);
            (-(a - 1)..a).map(|k| (a - k.abs()) as f32 * (b - k.abs()) as f32).sum()
        };
        let correlation = covariance / (energy(near) * energy(far));
        let total = (0.5 + 0.5 + correlation).sqrt() * std::f32::consts::SQRT_2;
        let unit = |radius: usize| 1.0 / (energy(radius) * deviation * total);
        Self { short: twice(near), long: twice(far), unit: [unit(near), unit(far)] }
    }
    #[inline]
    fn at(&self, at: usize) -> f32 {
        self.unit[0] * self.short[at] as f32 + self.unit[1] * self.long[at] as f32
    }
}

#[cfg(test)]
mod tests {
    use super::super::acquisition::Protocol;
    use super::super::patient::{Difficulty, Domain};
    use super::*;

    fn scan(matrix: usize, field_mm: f64) -> Acquisition {
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
    fn mean_and_deviation(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        (mean, (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
    }
    /// Correlation of neighbours `step` pixels on.
    fn correlation(values: &[f32], step: usize) -> f64 {
        let (mean, deviation) = mean_and_deviation(values);
        let pairs = values.iter().zip(&values[step..]);
        let sum: f64 = pairs.map(|(a, b)| (f64::from(*a) - mean) * (f64::from(*b) - mean)).sum();
        sum / (values.len() - step) as f64 / (deviation * deviation)
    }
    fn noise_of(scan: &Acquisition, row_gain: f32) -> Vec<f32> {
        let mut hu = vec![0.0; scan.matrix * scan.matrix];
        let gain = [vec![row_gain; scan.matrix], vec![1.0; scan.matrix]];
        add_noise(scan, 3, &gain, &mut hu);
        hu
    }
    fn nothing(_: f32, _: &[f32]) -> Option<Vec<f32>> {
        None
    }

    #[test]
    fn noise_has_the_deviation_asked_for_and_no_offset() {
        for (matrix, field_mm, spacing_mm) in [(256, 200.0, 1.0), (256, 120.0, 0.5), (384, 150.0, 0.8)] {
            let scan = Acquisition { spacing_mm, ..scan(matrix, field_mm) };
            let (mean, deviation) = mean_and_deviation(&noise_of(&scan, 1.0));
            assert!(mean.abs() < 0.3 && (deviation - 40.0).abs() < 1.2, "{matrix} {field_mm}: {mean} {deviation}");
        }
    }

    #[test]
    fn noise_has_little_power_at_low_frequencies() {
        let scan = scan(256, 200.0);
        let noise = noise_of(&scan, 1.0);
        let coarse: Vec<f32> = (0..16 * 16)
            .map(|block| {
                let at = |i: usize| (block / 16 * 16 + i / 16) * 256 + block % 16 * 16 + i % 16;
                (0..256).map(|i| noise[at(i)]).sum::<f32>() / 256.0
            })
            .collect();
        // White noise would leave 40 / 16 = 2.5 HU in blocks of 16 pixels.
        assert!(mean_and_deviation(&coarse).1 < 1.6, "{:?}", mean_and_deviation(&coarse));
    }

    #[test]
    fn noise_grows_and_is_drawn_out_sideways_where_rays_along_rows_meet_more() {
        let scan = scan(256, 200.0);
        let (plain, shoulders) = (noise_of(&scan, 1.0), noise_of(&scan, 3.0));
        let (mean, deviation) = mean_and_deviation(&shoulders);
        let expected = 40.0 * (1.0_f64 + 0.5 * 8.0).sqrt();
        assert!(mean.abs() < 4.0 && (deviation / expected - 1.0).abs() < 0.06, "{mean} {deviation} for {expected}");
        let along = |noise: &[f32]| correlation(noise, 6);
        assert!(along(&shoulders) > 0.25 && along(&plain) < 0.05, "{} {}", along(&shoulders), along(&plain));
        assert!(correlation(&shoulders, 6 * 256) < 0.1, "only along the rows");
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
    fn neighbouring_slices_share_noise_as_much_as_they_overlap() {
        let shared = |spacing_mm| {
            let scan = Acquisition { spacing_mm, ..scan(128, 100.0) };
            let ((a, _), (b, _)) = (source(&scan, 4), source(&scan, 5));
            let product: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            product / a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()
        };
        assert!((shared(0.5) - 0.5).abs() < 0.03 && (shared(0.8) - 0.2).abs() < 0.03 && shared(1.0).abs() < 0.03);
    }

    #[test]
    fn blur_has_the_asked_width() {
        for sigma_mm in [0.25, 0.45, 0.7] {
            let scan = Acquisition { psf_sigma_mm: sigma_mm, edge_gain: 0.0, ..quiet(128, 51.2) };
            let mut hu = vec![0.0; 128 * 128];
            hu[64 * 128 + 64] = 1000.0;
            optics(&scan, 0.0, &mut hu);
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
        optics(&scan, 0.0, &mut hu);
        let row = &hu[64 * 128..65 * 128];
        let most = row.iter().copied().fold(0.0, f32::max);
        assert!(most > 1030.0 && most < 1250.0, "{most}");
        assert!(row[20].abs() < 0.1 && (row[110] - 1000.0).abs() < 0.1);
    }

    #[test]
    fn a_surface_in_the_middle_of_a_slice_is_averaged() {
        let scan = quiet(32, 32.0);
        let paint = |z: f32| vec![if z > 0.0 { 1000.0 } else { 200.0 }; 32 * 32];
        let taken = take_slice(&scan, 0, 0.0, &Beyond::default(), paint, nothing);
        assert!(taken.hu.iter().all(|hu| *hu == 600), "{:?}", taken.hu[0]);
        let above = take_slice(&scan, 0, 5.0, &Beyond::default(), paint, nothing);
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
            let broken = |_: f32, _: &[f32]| hurt.then(|| disc(true));
            take_slice(&scan, 2, 0.0, &Beyond::default(), |_| disc(false), broken)
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
        let taken = take_slice(&scan, 7, 0.0, &beyond, metal, nothing);
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
        let taken = take_slice(&scan, 0, 0.0, &Beyond::default(), plane, nothing);
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
        let taken = take_slice(&scan, 0, 0.0, &Beyond::default(), |_| plane(true), nothing);
        let mean = |columns: std::ops::Range<usize>, row: usize| {
            columns.clone().map(|c| f32::from(taken.hu[row * 128 + c])).sum::<f32>() / columns.len() as f32
        };
        assert!(mean(54..74, 64) < -100.0, "dark between the two: {}", mean(54..74, 64));
        let spread: Vec<f32> = taken.hu[30 * 128..31 * 128].iter().map(|hu| f32::from(*hu)).collect();
        assert!(mean_and_deviation(&spread).1 > 3.0, "streaks reach far: {:?}", mean_and_deviation(&spread));
        let without = take_slice(&scan, 0, 0.0, &Beyond::default(), |_| plane(false), nothing);
        assert!(without.hu.iter().all(|hu| *hu == 0));
    }

    #[test]
    fn a_double_contour_is_the_picture_and_its_shifted_copy() {
        let motion = Some(Motion::Double { z_mm: [0.0, 10.0], shift_mm: [4.0, 0.0], weight: 0.25 });
        let scan = Acquisition { motion, edge_gain: 0.0, ..quiet(64, 64.0) };
        let plane = |_: f32| (0..64 * 64).map(|i| if i % 64 < 20 { 1000.0 } else { 0.0 }).collect::<Vec<f32>>();
        let within = take_slice(&scan, 0, 5.0, &Beyond::default(), plane, nothing);
        assert_eq!([10, 22, 40].map(|c| within.hu[32 * 64 + c]), [1000, 250, 0]);
        let without = take_slice(&scan, 0, 15.0, &Beyond::default(), plane, nothing);
        assert_eq!(without.hu[32 * 64 + 22], 0);
    }
}
