//! The paper's preprocessing (recipe `paper`, version 1): three windows, per-slice Otsu crop on the gross-bone
//! window, 5 % margin, pad to a square, resize to 384 with antialiasing. No candle.

use crate::findings::PixelBox;
use crate::jobs::{Cancelled, JobCtx};
use crate::volume::Volume;

/// Edge of the network's input in pixels.
pub const INPUT_SIZE: usize = 384;
/// Recipe name and version as stored in model cards.
pub const PAPER_RECIPE: &str = "paper/1";

/// The crop of every slice, decided once for a series because a slice without bone borrows its neighbours' box.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    /// One per slice, display order; `None` for a slice that holds nothing but air or padding.
    pub crops: Vec<Option<Crop>>,
}

/// Where one slice is cut before it is padded to a square and resized.
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    /// Half-open pixel box `[column0, row0, column1, row1]` inside the picture.
    pub inside: [usize; 4],
    /// The padded square, DICOM pixel edges; may reach outside the picture. This is what becomes 384 x 384.
    pub region: PixelBox,
    /// "no_bone" when the box was borrowed.
    pub flags: Vec<&'static str>,
}

/// Finds the crop of every slice. `spacing_mm` is `[between rows, between columns]`; `position_mm` the slices'
/// positions along the stacking direction, one per slice. Runs in parallel on the current rayon pool.
pub fn plan_crops(
    _volume: &Volume,
    _spacing_mm: [f64; 2],
    _position_mm: &[f64],
    _ctx: &JobCtx,
) -> Result<CropPlan, Cancelled> {
    Ok(CropPlan { crops: Vec::new() })
}

/// The network's input for one slice: `3 * 384 * 384` values in 0..=1, channels soft tissue, bone, gross bone,
/// windowed but not yet normalised by the model card's mean and standard deviation. `None` where the plan has none.
pub fn network_input(_volume: &Volume, _plan: &CropPlan, _index: usize) -> Option<Vec<f32>> {
    None
}
