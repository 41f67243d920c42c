//! Smooth noise in space, the same everywhere.

use super::shapes::mix;

pub use crate::random::Stream;

const EDGE: usize = 32;

/// Smooth noise in space between -1 and 1: random values on a lattice of 32 cells that repeats, interpolated.
pub struct Texture(Vec<f32>);

impl Texture {
    pub fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, 0x7e47);
        Self((0..EDGE * EDGE * EDGE).map(|_| stream.signed()).collect())
    }
    #[inline]
    fn at(&self, x: usize, y: usize, z: usize) -> f32 {
        self.0[((z & (EDGE - 1)) * EDGE + (y & (EDGE - 1))) * EDGE + (x & (EDGE - 1))]
    }
    /// The noise at a point in lattice cells. Points stay within 4096 cells of the origin.
    #[inline]
    pub fn sample(&self, x: f32, y: f32, z: f32) -> f32 {
        // Moved into the positive so that truncation is floor; 4096 is a multiple of EDGE.
        let (x, y, z) = (x + 4096.0, y + 4096.0, z + 4096.0);
        let (ix, iy, iz) = (x as u32 as usize, y as u32 as usize, z as u32 as usize);
        let (fx, fy, fz) = (x - ix as f32, y - iy as f32, z - iz as f32);
        let plane = |z: usize| {
            let top = mix(self.at(ix, iy, z), self.at(ix + 1, iy, z), fx);
            let bottom = mix(self.at(ix, iy + 1, z), self.at(ix + 1, iy + 1, z), fx);
            mix(top, bottom, fy)
        };
        mix(plane(iz), plane(iz + 1), fz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texture_is_continuous_bounded_and_repeats() {
        let t = Texture::new(3);
        assert_eq!(t.sample(1.25, 2.5, 3.75), t.sample(33.25, 2.5, -28.25));
        assert!((t.sample(4.999, 1.0, 1.0) - t.sample(5.001, 1.0, 1.0)).abs() < 0.02);
        assert!((0..500).all(|i| t.sample(i as f32 * 0.37, i as f32 * 0.11, 0.5).abs() <= 1.0));
    }
}
