//! Weights of convolutions as the layers that learn want them, and back.

/// `(out, in, row, column)` to `(out, row, column, in)`.
pub(super) fn pack(shape: &[usize], values: &[f32]) -> Vec<f32> {
    reorder(shape, values, |packed, plain, from| (packed, from[plain]))
}

/// The way back from [`pack`].
pub(super) fn unpack(shape: &[usize], values: &[f32]) -> Vec<f32> {
    reorder(shape, values, |packed, plain, from| (plain, from[packed]))
}

fn reorder(shape: &[usize], values: &[f32], pick: impl Fn(usize, usize, &[f32]) -> (usize, f32)) -> Vec<f32> {
    let &[_, channels, rows, columns] = shape else { return values.to_vec() };
    let area = rows * columns;
    let mut all = vec![0.0; values.len()];
    for (to, from) in all.chunks_exact_mut(area * channels).zip(values.chunks_exact(area * channels)) {
        for position in 0..area {
            for channel in 0..channels {
                let (index, value) = pick(position * channels + channel, channel * area + position, from);
                to[index] = value;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_goes_both_ways() {
        let values: Vec<f32> = (0..2 * 3 * 4).map(|i| i as f32).collect();
        let packed = pack(&[2, 3, 2, 2], &values);
        assert_eq!(packed[..6], [0.0, 4.0, 8.0, 1.0, 5.0, 9.0]);
        assert_eq!(unpack(&[2, 3, 2, 2], &packed), values);
    }
}
