//! The built-in study: a small synthetic neck made in code. Unmistakably synthetic, made to exercise the whole
//! program where no patient's data may be at hand, and no evidence of anything clinical.
//!
//! Coordinates are LPS millimetres with x = 0 in the midline, y near 0 at the back of the vertebral bodies and
//! z = 0 at the tip of the dens. Each slice is painted by itself, from the skin inwards.

mod canvas;
mod fracture;
mod head;
mod noise;
mod random;
mod shapes;
mod spine;
mod tissue;

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::study::{LoadedSeries, Patient, Photometric, Series, SliceInfo, StudyInfo, Technique};
use crate::volume::{Slice, SlicePixels, Volume, Window};

use canvas::{Canvas, FIELD_MM, MATRIX, Posture, SLICE_MM, SLICES, TOP_Z_MM};
use fracture::Fracture;
pub use fracture::FracturedSlice;
use random::{Texture, scramble};
use shapes::smoothstep;

/// The seed of `dens demo`.
pub const DEMO_SEED: u64 = 7;

/// Where the demo study is broken, from its geometry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoTruth {
    /// The broken vertebra, "C5".
    pub level: &'static str,
    /// The slices that show the fracture, in display order.
    pub slices: Vec<FracturedSlice>,
}

/// Makes the demo study: same voxels on every platform for the same seed.
pub fn demo_study(seed: u64) -> LoadedSeries {
    let slices = voxels(seed, Some(&Fracture::new(seed)));
    let slices = slices.into_iter().map(|values| {
        Arc::new(Slice { rows: MATRIX, columns: MATRIX, pixels: SlicePixels::I16(values), padding: None })
    });
    let volume = Volume::new(slices.collect()).expect("the phantom has slices and all are of one size");
    LoadedSeries { series: Arc::new(series(seed)), volume: Arc::new(volume) }
}

/// Where [`demo_study`] of the same seed is broken.
pub fn demo_truth(seed: u64) -> DemoTruth {
    let (fracture, posture, texture) = (Fracture::new(seed), Posture::new(seed), Texture::new(seed));
    let slices = (0..SLICES)
        .filter_map(|index| fracture.seen_on(&Canvas::new(z_mm(index), &posture, &texture), index))
        .collect();
    DemoTruth { level: fracture.level, slices }
}

fn z_mm(index: usize) -> f32 {
    TOP_Z_MM - SLICE_MM * index as f32
}

/// HU of all slices in display order; without a fracture it is the same patient unhurt.
fn voxels(seed: u64, fracture: Option<&Fracture>) -> Vec<Vec<i16>> {
    let (posture, texture) = (Posture::new(seed), Texture::new(seed));
    (0..SLICES)
        .into_par_iter()
        .map(|index| {
            let mut canvas = Canvas::new(z_mm(index), &posture, &texture);
            paint(&mut canvas, fracture);
            let shoulders = smoothstep(-88.0, -135.0, canvas.z_mm);
            noise::add(&mut canvas.hu, seed, index, 13.0 + 9.0 * shoulders, 13.0 * shoulders);
            canvas.hu.iter().map(|hu| (hu + 0.5).floor().clamp(-1024.0, 3071.0) as i16).collect()
        })
        .collect()
}

/// Everything in one slice, each structure over the last.
fn paint(canvas: &mut Canvas, fracture: Option<&Fracture>) {
    tissue::paint_body(canvas);
    tissue::paint_vessels_and_glands(canvas);
    tissue::paint_airway(canvas);
    tissue::paint_larynx(canvas);
    spine::paint_discs(canvas);
    spine::paint_canal(canvas);
    head::paint_head(canvas);
    spine::paint_vertebrae(canvas, fracture);
    tissue::paint_head_holder(canvas);
}

/// A UID under 2.25 (PS3.5 B.2) that follows from the seed.
fn uid(seed: u64, purpose: u64) -> String {
    let high = scramble(seed ^ scramble(purpose));
    let low = scramble(high);
    format!("2.25.{}", (u128::from(high) << 64) | u128::from(low))
}

fn series(seed: u64) -> Series {
    let pixel_mm = FIELD_MM / MATRIX as f64;
    let corner = -0.5 * (MATRIX - 1) as f64 * pixel_mm;
    let slice = |index: usize| SliceInfo {
        path: PathBuf::new(),
        file: format!("synthetic/{:03}", index + 1),
        sop_instance_uid: uid(seed, 100 + index as u64),
        instance_number: i64::try_from(index + 1).ok(),
        pose: Some(SlicePose {
            origin: PatientPoint(Vec3::new(corner, corner, f64::from(z_mm(index)))),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        }),
    };
    Series {
        uid: uid(seed, 2),
        study: Arc::new(StudyInfo {
            uid: uid(seed, 1),
            description: "Synthetic, made by dens: no patient".to_owned(),
            date: String::new(),
            time: String::new(),
            accession: String::new(),
            institution: "dens, built-in".to_owned(),
        }),
        patient: Arc::new(Patient {
            name: "SYNTHETIC, DEMO NECK".to_owned(),
            id: format!("SYNTHETIC-{seed}"),
            ..Patient::default()
        }),
        modality: "CT".to_owned(),
        number: Some(1),
        description: "Synthetic neck, no patient".to_owned(),
        rows: MATRIX,
        columns: MATRIX,
        spacing_mm: Some([pixel_mm, pixel_mm]),
        slice_spacing_mm: Some(f64::from(SLICE_MM)),
        slices: (0..SLICES).map(slice).collect(),
        technique: Technique {
            manufacturer: "dens (synthetic)".to_owned(),
            kernel: "synthetic".to_owned(),
            slice_thickness_mm: Some(f64::from(SLICE_MM)),
            gantry_tilt_deg: Some(0.0),
            body_part: "CSPINE".to_owned(),
            patient_position: "HFS".to_owned(),
            ..Technique::default()
        },
        photometric: Photometric::Monochrome2,
        values_are_hu: true,
        is_localizer: false,
        file_windows: vec![Window::BONE, Window::SOFT_TISSUE],
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static BROKEN: LazyLock<LoadedSeries> = LazyLock::new(|| demo_study(DEMO_SEED));

    fn values(loaded: &LoadedSeries) -> impl Iterator<Item = i16> {
        loaded.volume.slices().iter().flat_map(|s| match &s.pixels {
            SlicePixels::I16(values) => values.iter().copied(),
            SlicePixels::F32(_) => panic!("the phantom is integer"),
        })
    }
    /// FNV-1a over the little-endian bytes.
    fn digest(values: impl Iterator<Item = i16>) -> u64 {
        values
            .flat_map(i16::to_le_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn voxels_are_the_same_everywhere() {
        // Changes with every change of the generator, and must never differ between platforms or profiles.
        assert_eq!(digest(values(&BROKEN)), 0xf2c8_6d06_0a27_14ce, "the demo study changed");
    }

    #[test]
    fn series_says_what_the_volume_holds() {
        let LoadedSeries { series, volume } = &*BROKEN;
        assert_eq!((volume.slices().len(), volume.rows(), volume.columns()), (series.slices.len(), 384, 384));
        assert!(volume.is_integer() && series.is_axial() && series.analysis_stop().is_none());
        assert!(series.display_descends_along_normal(), "head to feet");
        let z: Vec<f64> = series.slices.iter().filter_map(SliceInfo::z_mm).collect();
        assert!((series.spacing_mm.expect("spacing")[0] - 0.6).abs() < 1e-12);
        assert!(z.windows(2).all(|pair| pair[0] - pair[1] == 2.0));
        assert!(series.patient.name.contains("SYNTHETIC") && series.study.description.contains("no patient"));
        let mut uids: Vec<&str> = series.slices.iter().map(|s| s.sop_instance_uid.as_str()).collect();
        uids.extend([series.uid.as_str(), series.study.uid.as_str()]);
        assert!(uids.iter().all(|uid| uid.starts_with("2.25.") && uid.len() <= 64));
        uids.sort_unstable();
        assert!(uids.windows(2).all(|pair| pair[0] != pair[1]), "every UID once");
    }

    #[test]
    fn hounsfield_units_fill_the_windows_plausibly() {
        let share = |low: i16, high: i16| {
            values(&BROKEN).filter(|v| (low..high).contains(v)).count() as f64 / (78.0 * 384.0 * 384.0)
        };
        let shares = [share(-1024, -900), share(-160, -60), share(0, 110), share(300, 1800), share(2000, 3072)];
        let expected = [(0.3, 0.8), (0.03, 0.25), (0.1, 0.45), (0.01, 0.08), (1e-6, 0.002)];
        for (found, (low, high)) in shares.into_iter().zip(expected) {
            assert!(found > low && found < high, "{shares:?}");
        }
        for (slice, name) in BROKEN.volume.slices().iter().zip(1..) {
            let [low, high] = slice.min_max().expect("values");
            assert!(low >= -1024.0 && high > 700.0, "slice {name}: bone and air on every slice ({low}, {high})");
        }
    }

    #[test]
    fn the_fracture_darkens_bone_where_the_truth_says_and_nowhere_else() {
        let truth = demo_truth(DEMO_SEED);
        assert!(truth.level == "C5" && (3..=8).contains(&truth.slices.len()), "{truth:?}");
        assert!(truth.slices.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "one run of slices");
        let whole = voxels(DEMO_SEED, None);
        for (index, unhurt) in whole.iter().enumerate() {
            let changed = |at: &usize| BROKEN.volume.slices()[index].pixels.get(*at) != Some(f32::from(unhurt[*at]));
            let at: Vec<usize> = (0..unhurt.len()).filter(changed).collect();
            let Some(seen) = truth.slices.iter().find(|s| s.index == index) else {
                assert!(at.len() < 60, "slice {index} is not in the truth but {} pixels differ", at.len());
                continue;
            };
            let [x0, y0, x1, y1] = seen.box_px;
            let inside = |p: &&usize| (x0..x1).contains(&(**p % 384)) && (y0..y1).contains(&(**p / 384));
            assert!(at.iter().filter(inside).count() * 10 >= at.len() * 9, "the box holds the difference");
            let dark = |p: &usize| f32::from(unhurt[*p]) - BROKEN.volume.slices()[index].pixels.get(*p).unwrap_or(0.0);
            let mut drops: Vec<f32> = at.iter().map(dark).collect();
            drops.sort_by(f32::total_cmp);
            assert!(drops[drops.len() / 2] > 60.0 && drops[drops.len() - 1] > 500.0, "slice {index}: {drops:?}");
        }
    }

    #[test]
    fn another_seed_is_another_patient() {
        assert_ne!(uid(1, 1), uid(2, 1));
        let texture = |seed| Texture::new(seed).sample(0.5, 0.5, 0.5);
        assert_ne!(texture(1), texture(2));
    }
}
