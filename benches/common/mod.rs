//! What several benchmarks need.

use std::path::Path;

use dens::dicom::{self, Storage, Written};
use dens::jobs::JobCtx;
use dens::phantom::{PatientSpec, patient};

/// A synthetic patient of `matrix` x `matrix` pixels as DICOM files, `slices` of them or all; how many there are, and their
/// bytes.
pub fn write_study(folder: &Path, matrix: usize, slice_spacing_mm: f64, slices: Option<usize>) -> (usize, u64) {
    let spec = PatientSpec { matrix, slice_spacing_mm: Some(slice_spacing_mm), ..PatientSpec::new(7) };
    let made = patient(&spec, &JobCtx::detached()).expect("nobody cancels");
    let there = made.loaded.series.slices.len();
    let count = slices.unwrap_or(there);
    assert!(there >= count, "{there} slices instead of {count}");
    let mut bytes = 0;
    for index in 0..count {
        let uid = format!("2.25.{}", 1_000 + index);
        let written = Written {
            patient_name: "BENCH^SYNTHETIC",
            study_id: "1",
            frame_of_reference_uid: "2.25.1",
            sop_instance_uid: &uid,
            instance_number: index + 1,
            storage: Storage::USUAL,
        };
        let file = dicom::synthetic_ct(&made.loaded, index, &written).expect("a synthetic slice");
        bytes += file.len() as u64;
        std::fs::write(folder.join(format!("{index:04}.dcm")), file).expect("a file in a temporary folder");
    }
    (count, bytes)
}
