//! Where fractures lie in the cells of the backbone's last maps, from the reference boxes: what the local head learns.

use crate::geometry::PixelBox;

/// A cell that holds this share of a box, or is covered to this share by it, has the fracture in it. Of the four cells
/// around a common corner at least one always holds a quarter.
const ENOUGH: f64 = 0.25;

/// For `cells x cells` cells of a picture with boxes in its pixels, row-major: 1 a fracture, 0 none, -1 nobody knows.
/// A positive picture without boxes says nothing of its places; a cell that a box only grazes is left out.
pub(super) fn cell_targets(boxes: &[PixelBox], positive: bool, cells: usize) -> Vec<f32> {
    if positive && boxes.is_empty() {
        return vec![-1.0; cells * cells];
    }
    let mut targets = vec![0.0f32; cells * cells];
    // The last maps' cells are 32 pixels wide; where the side is no multiple, the last ones reach over the edge.
    let edge = 32.0f64;
    for found in boxes {
        let area = (found[2] - found[0]) * (found[3] - found[1]);
        for (at, target) in targets.iter_mut().enumerate() {
            let (left, top) = ((at % cells) as f64 * edge, (at / cells) as f64 * edge);
            let width = found[2].min(left + edge) - found[0].max(left);
            let height = found[3].min(top + edge) - found[1].max(top);
            if width <= 0.0 || height <= 0.0 {
                continue;
            }
            let share = width * height / area.min(edge * edge);
            *target = if share >= ENOUGH || *target > 0.5 { 1.0 } else { -1.0 };
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::augment::{Cut, Warp};

    #[test]
    fn the_cells_of_a_box_are_marked_and_its_rim_left_out() {
        // Mostly in the second cell of the first row, a little in the third.
        let targets = cell_targets(&[[40.0, 4.0, 66.0, 20.0]], true, 3);
        assert_eq!(targets, [0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        // A box at a corner of four cells belongs to all of them.
        let targets = cell_targets(&[[30.0, 30.0, 34.0, 34.0]], true, 2);
        assert_eq!(targets, [1.0; 4]);
    }

    #[test]
    fn a_flip_takes_the_box_along() {
        let flipped = Cut::whole(64, Warp { flip: true, ..Warp::IDENTITY });
        let targets = cell_targets(&[flipped.moved(&[2.0, 2.0, 10.0, 10.0])], true, 2);
        assert_eq!(targets, [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn without_boxes_a_positive_slice_says_nothing_and_a_negative_one_everything() {
        assert_eq!(cell_targets(&[], true, 2), [-1.0; 4]);
        assert_eq!(cell_targets(&[], false, 2), [0.0; 4]);
    }
}
