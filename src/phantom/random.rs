//! Smooth noise in space, the same everywhere.

use super::shapes::mix;

pub use crate::random::Stream;

const EDGE: usize = 32;
const CELLS: usize = EDGE * EDGE * EDGE;

/// The values at a cell's corners: four with the smaller x, four with the larger. Each four are `(y, z)`, `(y + 1, z)`,
/// `(y, z + 1)`, `(y + 1, z + 1)`.
type Corners = [[f32; 4]; 2];

/// Smooth noise in space between -1 and 1: random values on a lattice of 32 cells that repeats, interpolated.
///
/// Every value is kept with all eight cells that it belongs to, so that a sample reads one place of memory.
pub struct Texture(Box<[Corners; CELLS]>);

impl Texture {
    pub fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, 0x7e47);
        let lattice: Vec<f32> = (0..CELLS).map(|_| stream.signed()).collect();
        let cells: Vec<Corners> = (0..CELLS)
            .map(|cell| {
                let (x, y, z) = (cell % EDGE, cell / EDGE % EDGE, cell / (EDGE * EDGE));
                let at = |x: usize, y: usize, z: usize| lattice[Self::cell(x, y, z)];
                [x, x + 1].map(|x| [at(x, y, z), at(x, y + 1, z), at(x, y, z + 1), at(x, y + 1, z + 1)])
            })
            .collect();
        Self(cells.try_into().expect("one per cell"))
    }
    #[inline]
    fn cell(x: usize, y: usize, z: usize) -> usize {
        ((z & (EDGE - 1)) * EDGE + (y & (EDGE - 1))) * EDGE + (x & (EDGE - 1))
    }
    /// The noise at a point in lattice cells. Points stay within 4096 cells of the origin.
    #[inline]
    pub fn sample(&self, x: f32, y: f32, z: f32) -> f32 {
        // Moved into the positive so that truncation is floor; 4096 is a multiple of EDGE.
        let (x, y, z) = (x + 4096.0, y + 4096.0, z + 4096.0);
        let (ix, iy, iz) = (x as i32, y as i32, z as i32);
        let (fx, fy, fz) = (x - ix as f32, y - iy as f32, z - iz as f32);
        let [low, high] = &self.0[Self::cell(ix as usize, iy as usize, iz as usize)];
        let along_x: [f32; 4] = std::array::from_fn(|i| mix(low[i], high[i], fx));
        let along_y = [mix(along_x[0], along_x[1], fy), mix(along_x[2], along_x[3], fy)];
        mix(along_y[0], along_y[1], fz)
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
