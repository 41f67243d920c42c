//! The heatmap's colours: dark violet over red and orange to pale yellow, lightness rising evenly, so that order
//! can be read without hue.

/// Control points of the ramp, display values 0..=1. `shaders/heatmap.wgsl` holds the same table; a test compares.
pub const RAMP: [[f32; 3]; 6] = [
    [0.10, 0.04, 0.23],
    [0.35, 0.08, 0.43],
    [0.62, 0.16, 0.39],
    [0.86, 0.32, 0.23],
    [0.97, 0.59, 0.10],
    [0.98, 0.93, 0.56],
];

/// Colour of the outline: high on the ramp, so that it stands out from bone as well as from air.
pub const OUTLINE: [f32; 3] = [0.97, 0.59, 0.10];

/// Colour of a value in 0..=1 (clamped).
pub fn colour(t: f32) -> [f32; 3] {
    let t = if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 } * (RAMP.len() - 1) as f32;
    let low = (t.floor() as usize).min(RAMP.len() - 2);
    let f = t - low as f32;
    std::array::from_fn(|i| RAMP[low][i] * (1.0 - f) + RAMP[low + 1][i] * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lightness_rises_all_the_way() {
        let lightness = |t: f32| {
            let [r, g, b] = colour(t);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for i in 0..100 {
            assert!(lightness(i as f32 / 100.0) < lightness((i + 1) as f32 / 100.0));
        }
        assert_eq!(colour(f32::NAN), RAMP[0]);
        assert_eq!(colour(2.0), RAMP[5]);
    }
}
