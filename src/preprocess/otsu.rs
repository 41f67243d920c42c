//! Otsu's threshold on 8-bit pictures, equal to scikit-image's `threshold_otsu` to the last integer.

/// Counts of the 256 grey values.
pub type Histogram = [u32; 256];

/// Counts each value of a picture.
pub fn histogram(picture: &[u8]) -> Histogram {
    let mut counts = [0_u32; 256];
    for &value in picture {
        counts[usize::from(value)] = counts[usize::from(value)].saturating_add(1);
    }
    counts
}

/// The threshold `t` that best separates the values `<= t` from those `> t`. A picture of one value has that value as
/// threshold; an empty one has none. The first of equal maxima wins.
///
/// Ties and near-ties are decided by rounding, so the arithmetic follows scikit-image: class weights and their product
/// in f32, class means in f64.
pub fn threshold(counts: &Histogram) -> Option<u8> {
    let low = counts.iter().position(|&n| n > 0)?;
    let high = counts.iter().rposition(|&n| n > 0)?;
    if low == high {
        return u8::try_from(low).ok();
    }
    let bins = high - low + 1;
    let count = |i: usize| counts[low + i] as f32;
    let moment = |i: usize| f64::from(count(i)) * (low + i) as f64;
    // Weight and mean of everything from bin i upward, filled from the top.
    let mut weight_above = vec![0.0_f32; bins];
    let mut mean_above = vec![0.0_f64; bins];
    let (mut weight, mut sum) = (0.0_f32, 0.0_f64);
    for i in (0..bins).rev() {
        weight += count(i);
        sum += moment(i);
        (weight_above[i], mean_above[i]) = (weight, sum / f64::from(weight));
    }
    let (mut weight, mut sum) = (0.0_f32, 0.0_f64);
    let mut best = (0, f64::NEG_INFINITY);
    for i in 0..bins - 1 {
        weight += count(i);
        sum += moment(i);
        let apart = sum / f64::from(weight) - mean_above[i + 1];
        let variance = f64::from(weight * weight_above[i + 1]) * (apart * apart);
        if variance > best.1 {
            best = (i, variance);
        }
    }
    u8::try_from(low + best.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(picture: &[u8], expected: Option<u8>) {
        assert_eq!(threshold(&histogram(picture)), expected);
    }

    #[test]
    fn simple_pictures() {
        check(&[], None);
        check(&[7; 12], Some(7));
        check(&[3, 3, 9, 9], Some(3));
        check(&[0, 255], Some(0));
        // Two clusters: every threshold between them is equally good, the first one wins.
        check(&[10, 12, 14, 200, 202, 204], Some(14));
    }
}
