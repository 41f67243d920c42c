//! Noise as a scanner's reconstruction leaves it: coarse in the plane, without slow drifts, stronger and drawn out
//! sideways where the shoulders take the photons away. In integers up to the last step, so that running sums are exact.

use super::canvas::MATRIX;
use super::random::Stream;

/// One value per pixel: the sum of four random bytes less its mean, close enough to Gaussian. Standard deviation 147.8.
fn white(seed: u64, slice: usize) -> Vec<i32> {
    let mut stream = Stream::new(seed, 0x1000 + slice as u64);
    let sum = |half: u32| half.to_le_bytes().into_iter().map(i32::from).sum::<i32>() - 510;
    let mut values = Vec::with_capacity(MATRIX * MATRIX);
    while values.len() < MATRIX * MATRIX {
        let bits = stream.next_u64();
        values.push(sum(bits as u32));
        values.push(sum((bits >> 32) as u32));
    }
    values
}

/// Sums over `2 * radius + 1` values along each row, wrapping around.
fn sum_along_rows(values: &[i32], radius: usize) -> Vec<i32> {
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks_exact(MATRIX) {
        let mut sum: i32 = (0..2 * radius).map(|k| row[(MATRIX + k - radius) % MATRIX]).sum();
        for column in 0..MATRIX {
            sum += row[(column + radius) % MATRIX];
            out.push(sum);
            sum -= row[(column + MATRIX - radius) % MATRIX];
        }
    }
    out
}

/// The same along each column.
fn sum_along_columns(values: &[i32], radius: usize) -> Vec<i32> {
    let row = |r: usize| values[(r % MATRIX) * MATRIX..].iter().take(MATRIX);
    let mut sums = vec![0_i32; MATRIX];
    for r in 0..2 * radius {
        sums.iter_mut().zip(row(MATRIX + r - radius)).for_each(|(sum, v)| *sum += v);
    }
    let mut out = Vec::with_capacity(values.len());
    for r in 0..MATRIX {
        sums.iter_mut().zip(row(r + radius)).for_each(|(sum, v)| *sum += v);
        out.extend_from_slice(&sums);
        sums.iter_mut().zip(row(r + MATRIX - radius)).for_each(|(sum, v)| *sum -= v);
    }
    out
}

/// Adds noise of `sigma_hu` and sideways streaks of `streak_hu` (standard deviations) to a slice.
pub fn add(hu: &mut [f32], seed: u64, slice: usize, sigma_hu: f32, streak_hu: f32) {
    const SLOW: usize = 4;
    let grain = sum_along_columns(&sum_along_rows(&white(seed, slice), 1), 1);
    let slow = sum_along_columns(&sum_along_rows(&grain, SLOW), SLOW);
    // `grain` has 3 times the deviation of its source; taking the slow part away leaves 0.93 of that.
    let gain = sigma_hu / (147.8 * 3.0 * 0.93);
    let share = 1.0 / ((2 * SLOW + 1) * (2 * SLOW + 1)) as f32;
    for ((value, fine), coarse) in hu.iter_mut().zip(&grain).zip(&slow) {
        *value += gain * (*fine as f32 - *coarse as f32 * share);
    }
    if streak_hu > 0.5 {
        let long = sum_along_rows(&sum_along_rows(&grain, 12), 12);
        // Measured: the deviation of `long` is 528 times the source's.
        let gain = streak_hu / (147.8 * 528.0);
        for (value, streak) in hu.iter_mut().zip(&long) {
            *value += gain * *streak as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(hu: &[f32]) -> (f32, f32) {
        let n = hu.len() as f32;
        let mean = hu.iter().sum::<f32>() / n;
        (mean, (hu.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt())
    }

    #[test]
    fn noise_has_the_deviation_asked_for_and_no_offset() {
        for (sigma, streak) in [(20.0, 0.0), (0.0, 20.0)] {
            let mut hu = vec![0.0; MATRIX * MATRIX];
            add(&mut hu, 5, 0, sigma, streak);
            let (mean, found) = deviation(&hu);
            assert!(mean.abs() < 2.0 && (found - 20.0).abs() < 2.0, "{sigma} {streak}: {mean} {found}");
        }
    }

    #[test]
    fn sums_wrap_around() {
        let mut one = vec![0; MATRIX * MATRIX];
        one[0] = 7;
        let spread = sum_along_columns(&sum_along_rows(&one, 1), 1);
        assert_eq!((spread[MATRIX * MATRIX - 1], spread[MATRIX + 1], spread[2]), (7, 7, 0));
        assert_eq!(spread.iter().sum::<i32>(), 63);
    }
}
