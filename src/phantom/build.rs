//! What tells one patient's soft tissues from another's: sizes, sides, age's traces. Drawn once per plane; it is a few
//! dozen numbers.

use super::acquisition::Acquisition;
use super::patient::{Patient, Sex};
use super::random::Stream;
use super::shapes::{mix, smoothstep};

/// Sizes and traits around the spine, as factors of the average or in mm.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// Width and depth of the neck.
    pub neck: [f32; 2],
    /// Width of the face and jaw, and how far they stand forward, mm.
    pub face: f32,
    pub chin_mm: f32,
    /// Muscles against the room they have.
    pub bulk: f32,
    /// Factor on x of each side (left, right).
    pub sides: [f32; 2],
    /// How much higher the shoulders stand, mm.
    pub shrug_mm: f32,
    pub shoulder_width: f32,
    pub airway: f32,
    /// How the airway lies off the midline, mm.
    pub airway_x_mm: f32,
    /// The larynx stands higher in women and lower in old men, mm.
    pub larynx_mm: f32,
    /// Share of the laryngeal cartilage that is calcified, 0 to 1.
    pub calcified: f32,
    pub thyroid_gland: f32,
    pub thyroid_hu: f32,
    /// HU of arteries and veins.
    pub blood_hu: [f32; 2],
    /// Radius of the jugular veins (left, right), mm.
    pub jugular_mm: [f32; 2],
    /// Radius of the vertebral arteries (left, right), mm.
    pub vertebral_mm: [f32; 2],
    /// Sideways and fore-and-aft place of each carotid against the average, mm.
    pub carotid_mm: [[f32; 2]; 2],
    /// Thickness of calcified plaque at the carotid bifurcation (left, right), mm; 0 without.
    pub plaque_mm: [f32; 2],
    /// Air cells of the mastoids, 0 (none) to 1.
    pub mastoid_air: f32,
    /// Bits of teeth that are missing, upper and lower row.
    pub missing_teeth: [u16; 2],
    /// Bits of teeth with metal.
    pub filled_teeth: [u16; 2],
    /// The support under the head: a shell, or a block of foam.
    pub shell: bool,
    /// Distance of the head's back from the support, mm.
    pub pad_mm: f32,
    /// Height of a swallow, while that part was scanned.
    pub swallow_z_mm: Option<f32>,
    /// Side of blood beside the spine: 1 left, -1 right.
    pub blood_side: f32,
    /// 0 at 40 and below to 1 at 90.
    pub old: f32,
}

impl Build {
    pub fn of(patient: &Patient, scan: &Acquisition) -> Self {
        let draw = |purpose: &str| Stream::named(patient.seed, purpose, 0);
        let old = ((patient.age_years as f32 - 40.0) / 50.0).clamp(0.0, 1.0);
        let male = patient.sex == Sex::Male;
        let fat = patient.fat;
        let mut size = draw("body size");
        let mut about = |mean: f32, deviation: f32| {
            (mean + deviation * size.normal() as f32).clamp(mean - 2.2 * deviation, mean + 2.2 * deviation)
        };
        let neck_size = if male { 1.02 } else { 0.93 } + 0.06 * (fat - 1.0);
        let neck = [about(neck_size, 0.04), about(neck_size, 0.04)];
        let (face, chin_mm) = (about(0.98, 0.035), about(0.0, 3.0));
        let bulk = about(if male { 1.04 } else { 0.93 } - 0.14 * old, 0.05);
        let sides = [about(1.0, 0.025), about(1.0, 0.025)];
        let (shrug_mm, shoulder_width) = (about(0.0, 7.0), about(if male { 1.03 } else { 0.92 }, 0.05));
        let (airway, airway_x_mm) = (about(1.0, 0.1), about(0.0, 1.6));
        let larynx_mm = about(if male { -2.0 - 6.0 * old } else { 4.0 - 3.0 * old }, 3.0);
        let calcified = (about(0.15 + 0.75 * old, 0.2)).clamp(0.0, 1.0);
        let (thyroid_gland, thyroid_hu) = (about(1.0, 0.13), about(100.0, 9.0));
        let mut vessels = draw("body vessels");
        let jugular_mm = [4.4, 5.3].map(|mean| mean + 0.9 * vessels.normal().clamp(-2.0, 2.0) as f32);
        let vertebral_mm = [2.0, 1.8].map(|mean| mean + 0.3 * vessels.normal().clamp(-2.0, 2.0) as f32);
        let carotid_mm = [0; 2].map(|_| [0; 2].map(|_| 1.6 * vessels.normal().clamp(-2.0, 2.0) as f32));
        let plaque_mm = [0; 2].map(|_| {
            let there = vessels.chance(f64::from(0.75 * smoothstep(0.25, 0.8, old)));
            let thick_mm = vessels.between(0.8, 2.2) as f32;
            if there { thick_mm } else { 0.0 }
        });
        let (artery, vein) = (vessels.between(220.0, 380.0) as f32, vessels.between(110.0, 230.0) as f32);
        let mut head = draw("body head");
        let gaps = f64::from(mix(0.03, 0.5, old * old));
        let missing_teeth = [0; 2].map(|_| bits(&mut head, gaps));
        let filled = [0; 2].map(|_| bits(&mut head, 0.22));
        let filled_teeth = if patient.fillings { [filled[0] | 0b10_0000, filled[1]] } else { [0; 2] };
        Self {
            neck,
            face,
            chin_mm,
            bulk,
            sides,
            shrug_mm,
            shoulder_width,
            airway,
            airway_x_mm,
            larynx_mm,
            calcified,
            thyroid_gland,
            thyroid_hu,
            blood_hu: if patient.contrast { [artery, vein] } else { [45.0, 44.0] },
            jugular_mm,
            vertebral_mm,
            carotid_mm,
            plaque_mm,
            mastoid_air: head.between(0.45, 1.0) as f32,
            missing_teeth,
            filled_teeth,
            shell: head.chance(0.7),
            pad_mm: head.between(2.0, 9.0) as f32,
            swallow_z_mm: scan.swallow_z_mm,
            blood_side: if head.chance(0.5) { 1.0 } else { -1.0 },
            old,
        }
    }
}

/// One bit for each of 16 teeth.
fn bits(stream: &mut Stream, probability: f64) -> u16 {
    (0..16).fold(0, |bits, tooth| bits | (u16::from(stream.chance(probability)) << tooth))
}
