//! Everything around the spine, in the order in which it is laid down.

use super::build::Build;
use super::canvas::Canvas;
use super::coarse::Coarse;
use super::{head, shoulders, table, throat, tissue, vessels};

/// What discs, canal and vertebrae are painted over: body, vessels, throat, shoulders.
pub fn paint_before_spine(canvas: &mut Canvas, build: &Build, skin: &Coarse<1>) {
    tissue::paint_body(canvas, build, skin);
    vessels::paint_vessels_and_glands(canvas, build);
    throat::paint_airway(canvas, build);
    throat::paint_larynx(canvas, build);
    shoulders::paint_shoulders(canvas, build, skin);
}

/// The head, after discs and canal and before the vertebrae.
pub fn paint_head(canvas: &mut Canvas, build: &Build) {
    head::paint_head(canvas, build);
}

/// What the patient lies on.
pub fn paint_support(canvas: &mut Canvas, build: &Build, skin: &Coarse<1>) {
    table::paint_table(canvas, build, skin);
}

#[cfg(test)]
mod tests {
    use super::super::acquisition::{Acquisition, Protocol};
    use super::super::canvas::Grid;
    use super::super::patient::{Fractured, Patient, PatientSpec, Swelling};
    use super::super::random::Texture;
    use super::*;

    const GRID: Grid =
        Grid { matrix: 160, pixel_mm: 1.25, centre_mm: [0.0, 12.0], top_z_mm: 0.0, slice_mm: 1.0, slices: 1 };

    fn scan(seed: u64) -> Acquisition {
        let spec = PatientSpec::new(seed);
        let (difficulty, domain) = (spec.difficulty, spec.domain);
        Acquisition::new(&Protocol { seed, difficulty, domain, matrix: GRID.matrix, slice_spacing_mm: None })
    }
    fn person(seed: u64) -> Patient {
        Patient::new(&PatientSpec { fractured: Fractured::No, ..PatientSpec::new(seed) })
    }
    fn painted(patient: &Patient, z_mm: f32) -> Vec<f32> {
        let texture = Texture::new(patient.seed);
        let build = Build::of(patient, &scan(patient.seed));
        let grid = Grid { centre_mm: [patient.posture.shift_mm[0], 12.0 + patient.posture.shift_mm[1]], ..GRID };
        let mut canvas = Canvas::new(z_mm, &grid, patient, &texture);
        let skin = tissue::skin(&canvas, &build);
        paint_before_spine(&mut canvas, &build, &skin);
        paint_head(&mut canvas, &build);
        paint_support(&mut canvas, &build, &skin);
        canvas.hu
    }

    #[test]
    fn build_and_scan_do_not_depend_on_the_label() {
        for seed in 0..200 {
            let of = |fractured| {
                let patient = Patient::new(&PatientSpec { fractured, match_age: true, ..PatientSpec::new(seed) });
                (Build::of(&patient, &scan(seed)), patient.fat, patient.muscle_fat, patient.collar, patient.fillings)
            };
            assert_eq!(of(Fractured::Yes), of(Fractured::No), "seed {seed}");
        }
    }

    #[test]
    fn a_neck_has_air_fat_muscle_and_bone_in_plausible_shares() {
        for seed in 0..12 {
            let patient = person(seed);
            let hu = painted(&patient, -75.0);
            let body = hu.iter().filter(|hu| **hu > -300.0).count() as f64;
            let share = |low: f32, high: f32| hu.iter().filter(|hu| **hu > low && **hu < high).count() as f64 / body;
            let (fat, muscle) = (share(-130.0, -60.0), share(25.0, 85.0));
            assert!((0.08..0.65).contains(&fat), "seed {seed}: fat {fat}");
            assert!((0.25..0.85).contains(&muscle), "seed {seed}: muscle {muscle}");
            assert!(body * f64::from(GRID.pixel_mm).powi(2) > 7000.0, "seed {seed}: a neck of {body} pixels");
            let head = painted(&patient, 5.0);
            assert!(head.iter().filter(|hu| **hu > 700.0).count() > 300, "seed {seed}: skull");
        }
    }

    #[test]
    fn swelling_moves_the_throat_forward() {
        let mut patient = person(5);
        patient.prevertebral = None;
        // The rearmost air inside the neck, in the middle third of the columns.
        let rear = |hu: &[f32]| {
            let air = |row: usize| (70..90).any(|column| hu[row * GRID.matrix + column] < -700.0);
            (20..75).rev().find(|row| air(*row)).expect("an airway")
        };
        let before = rear(&painted(&patient, -75.0));
        patient.prevertebral = Some(Swelling { z_mm: -75.0, half_height_mm: 20.0, thickness_mm: 8.0 });
        let moved_mm = (before - rear(&painted(&patient, -75.0))) as f32 * GRID.pixel_mm;
        assert!((5.0..13.0).contains(&moved_mm), "{moved_mm}");
    }

    #[test]
    fn shoulders_stand_in_the_way_of_the_lower_neck() {
        let mut patient = person(2);
        let texture = Texture::new(2);
        let build = Build::of(&patient, &scan(2));
        let beyond_mm = |patient: &Patient, z_mm: f32| {
            let canvas = Canvas::new(z_mm, &GRID, patient, &texture);
            tissue::beyond(&canvas, &build).rows_mm[80]
        };
        patient.arms_down = true;
        let (neck, shoulders) = (beyond_mm(&patient, -60.0), beyond_mm(&patient, -140.0));
        assert!(neck < 10.0 && shoulders > 100.0, "{neck} {shoulders}");
        patient.arms_down = false;
        assert!(beyond_mm(&patient, -140.0) < 0.7 * shoulders, "arms held up");
    }
}
