//! A digest of the values, by which two readers can be compared.

use sha2::{Digest, Sha256};

use crate::study::Series;
use crate::volume::{SlicePixels, Volume};

/// SHA-256 (hex) of all values, slices ascending along the normal whatever the display order, row-major, and how they
/// were written: `int16-le` or `float32-le`. Without geometry slices are taken in display order.
pub fn volume_sha256(series: &Series, volume: &Volume) -> (String, &'static str) {
    let mut hash = Sha256::new();
    let mut slices: Vec<_> = volume.slices().iter().collect();
    if series.display_descends_along_normal() {
        slices.reverse();
    }
    let mut bytes = Vec::new();
    for slice in slices {
        bytes.clear();
        match &slice.pixels {
            SlicePixels::I16(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            SlicePixels::F32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        }
        hash.update(&bytes);
    }
    (hex::encode(hash.finalize()), if volume.is_integer() { "int16-le" } else { "float32-le" })
}
