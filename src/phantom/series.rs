//! What a synthetic series says of itself: at every turn, that it is none of a patient.

use std::path::PathBuf;
use std::sync::Arc;

use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::random::{key_of, scramble};
use crate::study::{Patient, Photometric, Series, SliceInfo, StudyInfo, Technique};
use crate::volume::Window;

use super::acquisition::Acquisition;
use super::canvas::Grid;
use super::patient::{Domain, Fractured, Patient as Person, PatientSpec, Sex};

/// A UID under 2.25 (PS3.5 B.2) that follows from the key.
fn uid(key: u64, purpose: u64) -> String {
    let high = scramble(key ^ scramble(purpose));
    let low = scramble(high);
    format!("2.25.{}", (u128::from(high) << 64) | u128::from(low))
}

/// One key per study: other specs of the same seed are other studies.
fn key(spec: &PatientSpec, person: &Person) -> u64 {
    let spacing = spec.slice_spacing_mm.map_or(0, f64::to_bits);
    let hurt = (person.is_fractured(), spec.fractured == Fractured::Twin);
    let rest =
        format!("{:?} {:?} {:?} {} {} {:?}", spec.difficulty, spec.domain, hurt, spec.matrix, spacing, spec.kinds);
    scramble(spec.seed) ^ key_of(&rest)
}

pub fn series(spec: &PatientSpec, person: &Person, scan: &Acquisition, grid: &Grid) -> Series {
    let (key, corner) = (key(spec, person), grid.corner_mm());
    let slice = |index: usize| SliceInfo {
        path: PathBuf::new(),
        packed: None,
        frame: None,
        file: format!("synthetic/{:03}", index + 1),
        sop_instance_uid: uid(key, 100 + index as u64),
        instance_number: i64::try_from(index + 1).ok(),
        pose: Some(SlicePose {
            origin: PatientPoint(Vec3::new(
                f64::from(corner[0]),
                f64::from(corner[1]),
                f64::from(grid.top_z_mm) - scan.spacing_mm * index as f64,
            )),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        }),
    };
    let letter = if spec.domain == Domain::Shift { "S" } else { "P" };
    Series {
        uid: uid(key, 2),
        frame_of_reference: uid(key, 3),
        study: Arc::new(StudyInfo {
            uid: uid(key, 1),
            description: "Synthetic, made by dens: no patient".to_owned(),
            date: String::new(),
            time: String::new(),
            accession: String::new(),
            institution: "dens, built-in".to_owned(),
        }),
        patient: Arc::new(Patient {
            name: format!("PHANTOM^SYNTHETIC {letter}{:06}", spec.seed),
            id: format!("SYNTHETIC-{letter}{:06}", spec.seed),
            sex: if person.sex == Sex::Male { "M" } else { "F" }.to_owned(),
            age: format!("{:03.0}Y", person.age_years.floor()),
            ..Patient::default()
        }),
        modality: "CT".to_owned(),
        number: Some(1),
        description: "Synthetic neck, no patient".to_owned(),
        rows: grid.matrix,
        columns: grid.matrix,
        spacing_mm: Some([scan.pixel_mm(); 2]),
        slice_spacing_mm: Some(scan.spacing_mm),
        slices: (0..grid.slices).map(slice).collect(),
        technique: Technique {
            manufacturer: "dens (synthetic)".to_owned(),
            kernel: scan.kernel_name(),
            kvp: Some(scan.kvp),
            slice_thickness_mm: Some(scan.thickness_mm),
            gantry_tilt_deg: Some(0.0),
            contrast_agent: if person.contrast { "synthetic" } else { "" }.to_owned(),
            body_part: "CSPINE".to_owned(),
            patient_position: "HFS".to_owned(),
            ..Technique::default()
        },
        photometric: Photometric::Monochrome2,
        values_are_hu: true,
        is_localizer: false,
        part: None,
        file_windows: vec![Window::BONE, Window::SOFT_TISSUE],
        file_window_names: Vec::new(),
        reformatted: None,
        warnings: Vec::new(),
    }
}
