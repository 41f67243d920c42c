//! Gradients against central differences, for the tests of every layer.

/// Values in -0.5..0.5 without a pattern that could cancel.
pub(super) fn scrambled(length: usize, seed: u64) -> Vec<f32> {
    let mut stream = crate::random::Stream::named(seed, "layer test", 0);
    (0..length).map(|_| (stream.unit() - 0.5) as f32).collect()
}

/// Compares a gradient with `(value(x + step) - value(x - step)) / (2 step)` at some forty elements.
#[track_caller]
pub(super) fn check_gradient(what: &str, at: &[f32], gradient: &[f32], step: f32, value: impl Fn(&[f32]) -> f64) {
    assert_eq!(at.len(), gradient.len(), "{what}: number of values");
    let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
    assert!(largest > 0.0 && largest.is_finite(), "{what}: nothing to compare, largest {largest}");
    for index in (0..at.len()).step_by(at.len().div_ceil(40)) {
        let moved = |by: f32| {
            let mut all = at.to_vec();
            all[index] += by;
            (f64::from(all[index]), value(&all))
        };
        let ((low, below), (high, above)) = (moved(-step), moved(step));
        let expected = (above - below) / (high - low);
        let got = f64::from(gradient[index]);
        let allowed = 2e-3 * f64::from(largest) + 5e-3 * expected.abs();
        assert!((got - expected).abs() <= allowed, "{what} [{index}]: {got} against {expected}");
    }
}
