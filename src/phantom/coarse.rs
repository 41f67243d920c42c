//! Smooth quantities worked out on every few pixels and interpolated between: the distance to the skin, slow waves.

use super::canvas::Canvas;
use super::shapes::mix;

/// `N` smooth values over a slice.
pub struct Coarse<const N: usize> {
    /// Nodes along each axis.
    across: usize,
    /// For each pixel along an axis, the node before it and how far it is on the way to the next.
    places: Vec<(usize, f32)>,
    nodes: Vec<[f32; N]>,
}

impl<const N: usize> Coarse<N> {
    /// Distance of nodes, mm: what is sampled must be smooth at this scale.
    const NODE_MM: f32 = 3.0;

    /// Samples a function of anatomical x and y.
    pub fn new(canvas: &Canvas, sample: impl Fn(f32, f32) -> [f32; N]) -> Self {
        let last = canvas.matrix - 1;
        let stride = ((Self::NODE_MM / canvas.pixel_mm) as usize).clamp(2, 8);
        let mut at: Vec<usize> = (0..last).step_by(stride).collect();
        at.push(last);
        let places = (0..canvas.matrix)
            .map(|pixel| {
                let cell = (pixel / stride).min(at.len() - 2);
                (cell, (pixel - at[cell]) as f32 / (at[cell + 1] - at[cell]) as f32)
            })
            .collect();
        let mut nodes = Vec::with_capacity(at.len() * at.len());
        for row in &at {
            for column in &at {
                let [x, y] = canvas.anatomy(*column, *row);
                nodes.push(sample(x, y));
            }
        }
        Self { across: at.len(), places, nodes }
    }

    /// Cells along each axis.
    pub fn cells(&self) -> usize {
        self.across - 1
    }
    /// The cell that a pixel lies in, along one axis.
    #[inline]
    pub fn cell(&self, pixel: usize) -> usize {
        self.places[pixel].0
    }
    /// Values at the four corners of a cell.
    pub fn corners(&self, column: usize, row: usize) -> [[f32; N]; 4] {
        let at = row * self.across + column;
        [self.nodes[at], self.nodes[at + 1], self.nodes[at + self.across], self.nodes[at + self.across + 1]]
    }
    /// Values along one row of pixels, at the columns of the nodes.
    pub fn along_row(&self, row: usize) -> Vec<[f32; N]> {
        let (cell, t) = self.places[row];
        let (upper, lower) = self.nodes[cell * self.across..].split_at(self.across);
        upper.iter().zip(lower).map(|(a, b)| std::array::from_fn(|i| mix(a[i], b[i], t))).collect()
    }
    /// The values at a pixel, from the line of its row.
    #[inline]
    pub fn at(&self, line: &[[f32; N]], column: usize) -> [f32; N] {
        let (cell, t) = self.places[column];
        let (a, b) = (&line[cell], &line[cell + 1]);
        std::array::from_fn(|i| mix(a[i], b[i], t))
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::Grid;
    use super::super::patient::{Patient, PatientSpec};
    use super::super::random::Texture;
    use super::*;

    #[test]
    fn smooth_values_are_met_between_the_nodes() {
        let grid = Grid { matrix: 101, pixel_mm: 1.1, centre_mm: [0.0; 2], top_z_mm: 0.0, slice_mm: 1.0, slices: 1 };
        let (patient, texture) = (Patient::new(&PatientSpec::new(3)), Texture::new(3));
        let canvas = Canvas::new(-60.0, &grid, &patient, &texture);
        let coarse = Coarse::new(&canvas, |x, y| [x, 2.0 * y - x]);
        for row in [0, 1, 50, 99, 100] {
            let line = coarse.along_row(row);
            for column in 0..101 {
                let ([x, y], [a, b]) = (canvas.anatomy(column, row), coarse.at(&line, column));
                assert!((a - x).abs() < 0.2 && (b - 2.0 * y + x).abs() < 0.5, "{column} {row}: {a} {x}");
            }
        }
    }
}
