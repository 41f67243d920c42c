//! The built-in study: a small synthetic neck made in code. Unmistakably synthetic.

use crate::study::LoadedSeries;

/// Makes the demo study: same voxels on every platform for the same seed.
pub fn demo_study(_seed: u64) -> LoadedSeries {
    unreachable!("stub")
}
