//! The scanner's noise: random numbers with a band-pass spectrum, drawn out sideways where the shoulders take the
//! photons. Neighbouring slices share a part of it as far as they overlap.
//!
//! Filters work on whole numbers, so the order of their sums does not matter; they wrap on overflow, which does not
//! happen, for checked sums are not worked out side by side.

use super::acquisition::Acquisition;
use super::random::Stream;
use super::workspace::Workspace;

/// Standard deviation of [`fill_white`].
const WHITE: f32 = 147.8;
/// Values of one step of a random stream.
const PER_STEP: usize = 2;

/// Sums of four random bytes less their mean, close enough to Gaussian before filters: the values from `first` on (an
/// even number) of a stream.
fn fill_white(stream: &Stream, first: usize, values: &mut [i16]) {
    debug_assert!(first.is_multiple_of(PER_STEP));
    let mut stream = stream.jumped((first / PER_STEP) as u64);
    let mut pair = || {
        const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
        const WORDS: u64 = 0x0000_ffff_0000_ffff;
        let bits = stream.next_u64();
        let twos = (bits & BYTES).wrapping_add((bits >> 8) & BYTES);
        let fours = (twos & WORDS).wrapping_add((twos >> 16) & WORDS);
        [(fours as u16 as i16).wrapping_sub(510), ((fours >> 32) as u16 as i16).wrapping_sub(510)]
    };
    let mut pairs = values.chunks_exact_mut(PER_STEP);
    for values in &mut pairs {
        values.copy_from_slice(&pair());
    }
    if let [last] = pairs.into_remainder() {
        [*last, _] = pair();
    }
}

/// How a slice's noise is mixed from the random planes of itself and of the next slice.
#[derive(Clone, Copy)]
struct Source {
    mine: i16,
    next: i16,
}

impl Source {
    /// Overlapping slices share a part: neighbours at half a thickness correlate by a half.
    fn of(scan: &Acquisition) -> Self {
        let overlap = 1.0 - scan.spacing_mm / scan.thickness_mm;
        let (mine, next) = if overlap > 0.4 {
            (1, 1)
        } else if overlap > 0.1 {
            (5, 1)
        } else {
            (1, 0)
        };
        Self { mine, next }
    }

    fn deviation(self) -> f32 {
        let (mine, next) = (i32::from(self.mine), i32::from(self.next));
        WHITE * ((mine * mine + next * next) as f32).sqrt()
    }

    fn stream(scan: &Acquisition, index: usize) -> Stream {
        Stream::named(scan.seed, "noise", index as u64)
    }

    /// The source of a slice's own noise; the part that the next slice needs as well is kept for it.
    fn plane(self, scan: &Acquisition, index: usize, work: &mut Workspace) -> Vec<i16> {
        let count = scan.matrix * scan.matrix;
        let drawn = |index: usize, work: &mut Workspace| {
            let mut plane = work.shorts.take(count);
            fill_white(&Self::stream(scan, index), 0, &mut plane);
            plane
        };
        let mut values = match work.next_white.take() {
            Some((of, plane)) if of == index => plane,
            other => {
                other.into_iter().for_each(|(_, plane)| work.shorts.give(plane));
                drawn(index, work)
            }
        };
        if self.next != 0 {
            let next = drawn(index + 1, work);
            self.mix(&mut values, &next);
            work.next_white = Some((index + 1, next));
        }
        values
    }

    /// Fills those rows of a source that are wanted.
    fn fill_rows(self, scan: &Acquisition, index: usize, wanted: &[bool], values: &mut [i16]) {
        let matrix = scan.matrix;
        let (mine, next) = (Self::stream(scan, index), Self::stream(scan, index + 1));
        let mut other = vec![0; matrix];
        // Where a row may begin in the middle of a step all of them are filled at once.
        let rows_at_once = if matrix.is_multiple_of(PER_STEP) { 1 } else { matrix };
        other.resize(matrix * rows_at_once, 0);
        for (at, values) in values.chunks_exact_mut(matrix * rows_at_once).enumerate() {
            if rows_at_once == 1 && !wanted[at] {
                continue;
            }
            fill_white(&mine, at * matrix, values);
            if self.next != 0 {
                fill_white(&next, at * matrix, &mut other);
                self.mix(values, &other);
            }
        }
    }

    #[inline]
    fn mix(self, values: &mut [i16], next: &[i16]) {
        for (a, b) in values.iter_mut().zip(next) {
            *a = a.wrapping_mul(self.mine).wrapping_add(b.wrapping_mul(self.next));
        }
    }
}

/// Row `number` of a plane that repeats.
#[inline]
fn row_of<T>(plane: &[T], matrix: usize, number: usize) -> &[T] {
    &plane[number % matrix * matrix..][..matrix]
}

/// Sums of three rows of a plane that repeats, the middle one counted `middle` times.
fn weigh_rows(plane: &[i16], matrix: usize, row: usize, middle: i32, out: &mut [i32]) {
    let (above, here, below) =
        (row_of(plane, matrix, row + matrix - 1), row_of(plane, matrix, row), row_of(plane, matrix, row + 1));
    for (((out, above), here), below) in out.iter_mut().zip(above).zip(here).zip(below) {
        let beside = i32::from(*above).wrapping_add(i32::from(*below));
        *out = i32::from(*here).wrapping_mul(middle).wrapping_add(beside);
    }
}

/// `[1, middle, 1]`-weighted sums along rows and columns: the grain's size follows the point spread.
fn fill_grain(white: &[i16], matrix: usize, middle: i32, grain: &mut [i32]) {
    let mut line = vec![0; matrix + 2];
    for (row, out) in grain.chunks_exact_mut(matrix).enumerate() {
        weigh_rows(white, matrix, row, middle, &mut line[1..=matrix]);
        (line[0], line[matrix + 1]) = (line[matrix], line[1]);
        for (((out, left), here), right) in out.iter_mut().zip(&line).zip(&line[1..]).zip(&line[2..]) {
            *out = here.wrapping_mul(middle).wrapping_add(left.wrapping_add(*right));
        }
    }
}

/// Sums over `2 * radius + 1` values along rows that wrap around.
struct RowSums {
    radius: usize,
    padded: Vec<i32>,
}

impl RowSums {
    fn new(radius: usize) -> Self {
        Self { radius, padded: Vec::new() }
    }

    fn of(&mut self, row: &[i32], out: &mut [i32]) {
        let (radius, matrix) = (self.radius, row.len());
        let padded = &mut self.padded;
        padded.clear();
        padded.extend((0..radius).map(|k| row[(k + matrix * 2 - radius) % matrix]));
        padded.extend_from_slice(row);
        padded.extend((0..radius).map(|k| row[k % matrix]));
        let mut sum = padded[..2 * radius].iter().fold(0_i32, |sum, v| sum.wrapping_add(*v));
        let mut gone = 0_i32;
        for ((out, first), next) in out.iter_mut().zip(&*padded).zip(&padded[2 * radius..]) {
            // The difference does not wait for the sum.
            sum = sum.wrapping_add(next.wrapping_sub(gone));
            gone = *first;
            *out = sum;
        }
    }

    fn twice(&mut self, row: &[i32], between: &mut [i32], out: &mut [i32]) {
        self.of(row, between);
        self.of(between, out);
    }
}

/// Sums over `2 * radius + 1` rows of a plane that repeats, one row after the other.
struct ColumnSums {
    radius: usize,
    sums: Vec<i32>,
}

impl ColumnSums {
    /// Before row 0.
    fn new(plane: &[i32], matrix: usize, radius: usize) -> Self {
        let mut sums = vec![0_i32; matrix];
        for k in 0..=2 * radius {
            let row = row_of(plane, matrix, 2 * matrix + k - radius - 1);
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum = sum.wrapping_add(*v));
        }
        Self { radius, sums }
    }
    /// Moves on to a row, from the one before it.
    fn advance(&mut self, plane: &[i32], row: usize) {
        let matrix = self.sums.len();
        let come = row_of(plane, matrix, row + self.radius);
        let gone = row_of(plane, matrix, row + 2 * matrix - self.radius - 1);
        for ((sum, come), gone) in self.sums.iter_mut().zip(come).zip(gone) {
            *sum = sum.wrapping_add(come.wrapping_sub(*gone));
        }
    }
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
pub fn add_noise(scan: &Acquisition, index: usize, gain: &[Vec<f32>; 2], hu: &mut [f32], work: &mut Workspace) {
    let matrix = scan.matrix;
    let source = Source::of(scan);
    let (white, deviation) = (source.plane(scan, index, work), source.deviation());
    let band = Band::of(scan);
    let mut grain = work.ints.take(matrix * matrix);
    fill_grain(&white, matrix, band.middle, &mut grain);
    work.shorts.give(white);
    let share = |radius: usize| 1.0 / ((2 * radius + 1) * (2 * radius + 1)) as f32;
    let taken = [0, 1].map(|i| Band::SHARES[i] * share(band.radii[i]));
    let mut columns_of = band.radii.map(|radius| ColumnSums::new(&grain, matrix, radius));
    let mut rows_of = band.radii.map(RowSums::new);
    let mut boxes = [(); 2].map(|()| vec![0_i32; matrix]);
    let unit = 1.0 / (deviation * band.deviation() * ((band.middle + 2) * (band.middle + 2)) as f32);
    let sigma = scan.noise_hu as f32;
    let [rows, columns] = gain;
    let most = rows.iter().copied().fold(0.0, f32::max);
    let least = columns.iter().copied().fold(f32::MAX, f32::min);
    let mut streaks = (most > 1.1 * least).then(|| Streaks::new(scan, index, deviation, |row| rows[row] > least, work));
    for (row, line) in hu.chunks_exact_mut(matrix).enumerate() {
        for ((columns_of, rows_of), out) in columns_of.iter_mut().zip(&mut rows_of).zip(&mut boxes) {
            columns_of.advance(&grain, row);
            rows_of.of(&columns_of.sums, out);
        }
        let fine = |grain: i32, near: i32, far: i32| grain as f32 - taken[0] * near as f32 - taken[1] * far as f32;
        let h = rows[row];
        let parts = row_of(&grain, matrix, row).iter().zip(&boxes[0]).zip(&boxes[1]).zip(columns);
        let Some(streaks) = streaks.as_mut().filter(|_| h > least) else {
            for (value, (((grain, near), far), column)) in line.iter_mut().zip(parts) {
                *value += sigma * (h.min(*column) * unit * fine(*grain, *near, *far));
            }
            continue;
        };
        let drawn_out = streaks.row(row);
        for ((value, (((grain, near), far), column)), streak) in line.iter_mut().zip(parts).zip(drawn_out) {
            let least = h.min(*column);
            let noise = least * unit * fine(*grain, *near, *far);
            // Adds nothing where the column's rays meet as much.
            *value += sigma * (noise + (0.5 * (h * h - least * least)).sqrt() * streak);
        }
    }
    work.ints.give(grain);
    if let Some(streaks) = streaks {
        work.shorts.give(streaks.white);
    }
}

/// Noise of deviation one, drawn out along the rows: short and long streaks.
struct Streaks {
    white: Vec<i16>,
    middle: i32,
    /// Short and long.
    sums: [RowSums; 2],
    unit: [f32; 2],
    /// One row each: the source, sums of it, both streaks, what they add up to.
    source: Vec<i32>,
    between: Vec<i32>,
    streaks: [Vec<i32>; 2],
    both: Vec<f32>,
}

impl Streaks {
    /// Only rows that are wanted may be asked for later.
    fn new(
        scan: &Acquisition,
        index: usize,
        deviation: f32,
        wanted: impl Fn(usize) -> bool,
        work: &mut Workspace,
    ) -> Self {
        let (matrix, middle) = (scan.matrix, Band::of(scan).middle);
        // Another slice's source serves as well as one of its own.
        let mut white = work.shorts.take(matrix * matrix);
        let needed: Vec<bool> =
            (0..matrix).map(|row| [row + matrix - 1, row, row + 1].iter().any(|near| wanted(near % matrix))).collect();
        Source::of(scan).fill_rows(scan, index + 100_000, &needed, &mut white);
        // Streaks are as high as the grain.
        let deviation = deviation * ((middle * middle + 2) as f32).sqrt();
        let radius = |mm: f64, most: usize| ((mm / scan.pixel_mm()) as usize).clamp(2, most);
        let (near, far) = (radius(2.5, 12), radius(14.0, 48));
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
        let line = || vec![0_i32; matrix];
        Self {
            white,
            middle,
            sums: [near, far].map(RowSums::new),
            unit: [unit(near), unit(far)],
            source: line(),
            between: line(),
            streaks: [line(), line()],
            both: vec![0.0; matrix],
        }
    }

    fn row(&mut self, row: usize) -> &[f32] {
        weigh_rows(&self.white, self.source.len(), row, self.middle, &mut self.source);
        for (sums, out) in self.sums.iter_mut().zip(&mut self.streaks) {
            sums.twice(&self.source, &mut self.between, out);
        }
        let [short, long] = &self.streaks;
        for ((both, short), long) in self.both.iter_mut().zip(short).zip(long) {
            *both = self.unit[0] * *short as f32 + self.unit[1] * *long as f32;
        }
        &self.both
    }
}

#[cfg(test)]
mod tests {
    use super::super::imaging::tests::{mean_and_deviation, scan};
    use super::*;

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
        add_noise(scan, 3, &gain, &mut hu, &mut Workspace::default());
        hu
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
    fn neighbouring_slices_share_noise_as_much_as_they_overlap() {
        let shared = |spacing_mm| {
            let scan = Acquisition { spacing_mm, ..scan(128, 100.0) };
            let [a, b] = [4, 5].map(|index| Source::of(&scan).plane(&scan, index, &mut Workspace::default()));
            let product: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            product / a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()
        };
        assert!((shared(0.5) - 0.5).abs() < 0.03 && (shared(0.8) - 0.2).abs() < 0.03 && shared(1.0).abs() < 0.03);
    }
}
