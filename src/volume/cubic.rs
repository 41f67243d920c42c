//! Cubic interpolation between four values, as Keys (1981) and as Mitchell and Netravali (1988) have it.

/// Which cubic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cubic {
    /// Through the values (Catmull-Rom; B = 0, C = 1/2). Keeps edges, and overshoots beside them.
    Sharp,
    /// Near the values (Mitchell-Netravali; B = C = 1/3). Softens noise and edges.
    Smooth,
}

impl Cubic {
    /// Weights of the value before, of the two around, and of the one behind a place that lies `f`, 0..=1, beyond the second.
    pub fn weights(self, f: f32) -> [f32; 4] {
        let (f2, f3) = (f * f, f * f * f);
        match self {
            Self::Sharp => [
                -0.5 * f + f2 - 0.5 * f3,
                1.0 - 2.5 * f2 + 1.5 * f3,
                0.5 * f + 2.0 * f2 - 1.5 * f3,
                -0.5 * f2 + 0.5 * f3,
            ],
            Self::Smooth => {
                let (first, last) = (1.0 / 18.0, 8.0 / 9.0);
                [
                    first - 0.5 * f + 5.0 / 6.0 * f2 - 7.0 / 18.0 * f3,
                    last - 2.0 * f2 + 7.0 / 6.0 * f3,
                    first + 0.5 * f + 1.5 * f2 - 7.0 / 6.0 * f3,
                    -1.0 / 3.0 * f2 + 7.0 / 18.0 * f3,
                ]
            }
        }
    }
}

/// The four places around one that lies between 0 and the last, edges repeated, and how far it lies beyond the second.
pub(super) fn around(at: f64, count: usize) -> ([usize; 4], f64) {
    let last = count.saturating_sub(1);
    let inside = at.clamp(0.0, last as f64);
    let low = inside.floor();
    let place = low as usize;
    ([place.saturating_sub(1), place, (place + 1).min(last), (place + 2).min(last)], inside - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_and_are_those_of_their_names() {
        for f in [0.0_f32, 0.2, 0.5, 0.9, 1.0] {
            for cubic in [Cubic::Sharp, Cubic::Smooth] {
                let w = cubic.weights(f);
                assert!((w.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                let straight = w.iter().zip([-1.0, 0.0, 1.0, 2.0]).map(|(w, at)| w * at).sum::<f32>();
                assert!((straight - f).abs() < 1e-6, "{cubic:?} bends a straight line at {f}: {straight}");
                let back = cubic.weights(1.0 - f);
                assert!(w.iter().zip(back.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-6), "the same both ways");
            }
        }
        assert_eq!(Cubic::Sharp.weights(0.0), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(Cubic::Sharp.weights(0.5), [-0.0625, 0.5625, 0.5625, -0.0625]);
        let [before, here, next, _] = Cubic::Smooth.weights(0.0);
        assert!((before - 1.0 / 18.0).abs() < 1e-6 && (here - 8.0 / 9.0).abs() < 1e-6 && (next - before).abs() < 1e-6);
    }

    #[test]
    fn edges_are_repeated() {
        assert_eq!(around(0.3, 5).0, [0, 0, 1, 2]);
        assert_eq!(around(3.5, 5).0, [2, 3, 4, 4]);
        assert_eq!(around(-0.4, 5), ([0, 0, 1, 2], 0.0));
        assert_eq!(around(0.0, 1).0, [0; 4]);
    }
}
