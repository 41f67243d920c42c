//! What covering parts of a slice does to its score: a second opinion on where the network looked.

use std::sync::Arc;

use super::{Cam, PixelBox};

/// Two hottest cells at most so many cells apart are the same place.
pub const AGREE_CELLS: usize = 2;

/// The drop of a slice's score for each patch that was covered.
#[derive(Debug, Clone, PartialEq)]
pub struct Occlusion {
    /// 0-based, display order.
    pub index: usize,
    /// Of the slice with nothing covered.
    pub score: f32,
    /// What the network saw of the slice.
    pub region: PixelBox,
    /// Score less the score with that cell covered, over the cells of the heatmap; 0 where covering raised the score.
    pub drops: Arc<Cam>,
}

impl Occlusion {
    /// `scores` with each cell covered, row by row. `None` where there are not as many as cells, or one is no number.
    pub fn new(
        index: usize,
        region: PixelBox,
        score: f32,
        [rows, columns]: [usize; 2],
        scores: &[f32],
    ) -> Option<Self> {
        let whole = rows.checked_mul(columns) == Some(scores.len()) && scores.iter().all(|s| s.is_finite());
        let values = scores.iter().map(|covered| (score - covered).max(0.0)).collect();
        let drops = Arc::new(Cam { rows, columns, values });
        (whole && score.is_finite() && !scores.is_empty()).then_some(Self { index, score, region, drops })
    }

    /// Cells between the hottest of this map and that of another over the same region, the longer way of the two;
    /// `None` where one of them is zero all over, or they have other cells.
    pub fn cells_apart(&self, other: &Cam) -> Option<usize> {
        if [other.rows, other.columns] != [self.drops.rows, self.drops.columns] {
            return None;
        }
        let cell = |cam: &Cam| {
            let (u, v) = cam.hottest()?;
            Some([(u * cam.columns as f64) as usize, (v * cam.rows as f64) as usize])
        };
        let ([x0, y0], [x1, y1]) = (cell(&self.drops)?, cell(other)?);
        Some(x0.abs_diff(x1).max(y0.abs_diff(y1)))
    }

    /// How it compares with the heatmap of the same slice, in a sentence.
    pub fn sentence(&self, heatmap: &Cam) -> String {
        let (largest, score) = (self.drops.max(), self.score);
        if largest <= 0.0 {
            return "No covered patch lowers the score: occlusion names no place, so it does not confirm the heatmap."
                .to_owned();
        }
        let drop = format!("Largest drop {largest:.3} of the score {score:.3}");
        let grid = format!("on {} x {} cells", self.drops.columns, self.drops.rows);
        match self.cells_apart(heatmap) {
            Some(0) => format!("Occlusion and Grad-CAM agree: the same cell is hottest {grid}. {drop}."),
            Some(n) if n <= AGREE_CELLS => {
                let cells = if n == 1 { "cell" } else { "cells" };
                format!(
                    "Occlusion and Grad-CAM agree roughly: their hottest cells are {n} {cells} apart {grid}. {drop}."
                )
            }
            Some(n) => {
                format!("Occlusion and Grad-CAM disagree: their hottest cells are {n} cells apart {grid}. {drop}.")
            }
            None => format!("There is no heatmap to compare with. {drop}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cam(hot: usize) -> Cam {
        let mut values = vec![0.0; 36];
        values[hot] = 1.5;
        Cam { rows: 6, columns: 6, values }
    }

    fn occlusion(hot: usize) -> Occlusion {
        let mut scores = vec![0.9; 36];
        scores[hot] = 0.4;
        scores[35] = 0.95;
        Occlusion::new(3, [0.0, 0.0, 60.0, 60.0], 0.9, [6, 6], &scores).expect("a map")
    }

    #[test]
    fn drops_are_never_negative_and_the_sentence_says_how_far_apart() {
        let map = occlusion(8);
        assert!((map.drops.max() - 0.5).abs() < 1e-6 && map.drops.at(5, 5) == 0.0);
        for (hot, apart, says) in
            [(8, 0, "agree: the same cell"), (9, 1, "1 cell apart"), (22, 2, "agree roughly: "), (26, 3, "disagree")]
        {
            assert_eq!(map.cells_apart(&cam(hot)), Some(apart), "{hot}");
            let sentence = map.sentence(&cam(hot));
            assert!(
                sentence.contains(says) && sentence.contains("Largest drop 0.500 of the score 0.900"),
                "{sentence}"
            );
        }
    }

    #[test]
    fn nothing_is_claimed_where_there_is_nothing() {
        let flat = Occlusion::new(0, [0.0; 4], 0.5, [2, 2], &[0.5, 0.6, 0.7, 0.5]).expect("a map");
        assert!(flat.sentence(&cam(0)).contains("names no place"));
        assert!(occlusion(8).sentence(&Cam { rows: 6, columns: 6, values: vec![0.0; 36] }).contains("no heatmap"));
        assert_eq!(Occlusion::new(0, [0.0; 4], 0.5, [2, 2], &[0.5; 3]), None);
        assert_eq!(Occlusion::new(0, [0.0; 4], 0.5, [1, 2], &[0.5, f32::NAN]), None);
    }
}
