//! Who the synthetic patient is: what was asked for, and everything that is drawn before a voxel is painted.

use super::column::Spine;
use super::fracture::{Break, Kinds};
use super::shapes::mix;
use super::trauma;
use crate::random::Stream as Named;
use crate::truth::Level;

/// How hard the fractures are to see: scales gaps, displacement and noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difficulty {
    Easy,
    Standard,
    Hard,
}

/// The scanners a patient may come from: those of training, or others never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    Iid,
    Shift,
}

/// Whether the patient is hurt.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fractured {
    /// With this probability.
    ByChance(f64),
    Yes,
    No,
    /// Everything as with [`Fractured::Yes`], age and accompanying signs too, but no bone is broken.
    Twin,
}

/// What to make. The same spec gives the same patient, bit for bit, on every machine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PatientSpec {
    pub seed: u64,
    pub difficulty: Difficulty,
    pub domain: Domain,
    pub fractured: Fractured,
    /// Rows and columns.
    pub matrix: usize,
    /// Distance of slices, mm; `None`: drawn.
    pub slice_spacing_mm: Option<f64>,
    /// Ages of hurt and unhurt are drawn alike.
    pub match_age: bool,
    /// The kinds of fracture there may be.
    pub kinds: Kinds,
}

impl PatientSpec {
    /// A patient of the training distribution, 256 x 256, 2 mm, one in five hurt.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            difficulty: Difficulty::Standard,
            domain: Domain::Iid,
            fractured: Fractured::ByChance(0.2),
            matrix: 256,
            slice_spacing_mm: Some(2.0),
            match_age: false,
            kinds: Kinds::ALL,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Sex {
    Male,
    Female,
}

/// How this patient lies and how large he is: anatomy is built upright and of average size, then scaled, bent, turned
/// and shifted.
#[derive(Debug, Clone, PartialEq)]
pub struct Posture {
    /// Scanner mm per anatomical mm, by axis (x, y, z).
    pub scale: [f32; 3],
    /// Turn of the whole body about its axis, radians.
    pub turn_rad: f32,
    /// Further turn of head and C1 against C2, radians.
    pub head_turn_rad: f32,
    /// Curvature of the neck: 1 is the average lordosis, 0 straight, below 0 kyphotic.
    pub lordosis: f32,
    /// Sideways bend, mm over the length of the neck.
    pub bend_mm: f32,
    /// Sideways lean, mm per mm.
    pub lean: f32,
    pub shift_mm: [f32; 2],
}

impl Posture {
    /// The axis of turns, anatomical y.
    pub const PIVOT_Y_MM: f32 = -4.0;

    fn new(seed: u64, sex: Sex) -> Self {
        let mut draw = Named::named(seed, "posture", 0);
        let stature = if sex == Sex::Male { 1.02 } else { 0.965 } + 0.022 * draw.normal();
        let mut scale = || (stature + 0.015 * draw.normal()).clamp(0.9, 1.1) as f32;
        let scale = [scale(), scale(), scale()];
        let straight = draw.chance(0.1);
        // 15 +- 10 degrees of lordosis between C2 and C7; the average curve has 15.
        let lordosis = if straight { -0.2 + 0.25 * draw.normal() } else { 1.0 + 0.5 * draw.normal() };
        Self {
            scale,
            turn_rad: (0.07 * draw.normal()).clamp(-0.14, 0.14) as f32,
            head_turn_rad: (0.12 * draw.normal()).clamp(-0.35, 0.35) as f32,
            lordosis: lordosis.clamp(-0.8, 2.2) as f32,
            bend_mm: (2.5 * draw.normal()).clamp(-6.0, 6.0) as f32,
            lean: (0.025 * draw.normal()).clamp(-0.06, 0.06) as f32,
            shift_mm: [4.0, 3.0].map(|sd| (sd * draw.normal()).clamp(-12.0, 12.0) as f32),
        }
    }

    /// Cosine and sine of the turn at an anatomical height; the head turns on C2.
    pub fn turn_at(&self, z_mm: f32) -> [f32; 2] {
        let upper = super::shapes::smoothstep(-34.0, -8.0, z_mm);
        // Part of the head's turn is shared out along the neck.
        let along = ((z_mm + 130.0) / 100.0).clamp(0.0, 1.0);
        let angle = self.turn_rad + self.head_turn_rad * (0.75 * upper + 0.25 * along);
        [libm::cosf(angle), libm::sinf(angle)]
    }
    /// How far the neck's axis at this height lies from the average one, `[x, y]`, scanner mm, with posture.
    pub fn offset_at(&self, z_mm: f32) -> [f32; 2] {
        let [x, y] = self.bow_at(z_mm);
        [self.shift_mm[0] + x, self.shift_mm[1] + y]
    }
    /// The part of [`Posture::offset_at`] that bends the neck.
    pub fn bow_at(&self, z_mm: f32) -> [f32; 2] {
        let (along, from_apex) = (z_mm / 140.0, z_mm + 58.0);
        let bow = 0.0014 * (self.lordosis - 1.0) * from_apex * from_apex;
        [self.bend_mm * along * along * 2.0 + self.lean * from_apex, bow]
    }
    /// The bow's slope, mm per mm of height, `[x, y]`.
    pub fn bow_slope_at(&self, z_mm: f32) -> [f32; 2] {
        [self.bend_mm * 4.0 * z_mm / (140.0 * 140.0) + self.lean, 0.0028 * (self.lordosis - 1.0) * (z_mm + 58.0)]
    }
}

/// Fluid in front of the vertebrae, found with and without fractures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Swelling {
    /// Anatomical height of its middle.
    pub z_mm: f32,
    /// Half of its height, mm.
    pub half_height_mm: f32,
    /// By how much it widens the space, mm.
    pub thickness_mm: f32,
}

/// Everything about one synthetic patient that is drawn before a voxel is painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Patient {
    pub seed: u64,
    pub age_years: f64,
    pub sex: Sex,
    pub posture: Posture,
    /// Subcutaneous fat, 1 is average (0.4 to 2.2).
    pub fat: f32,
    /// Share of fat within the muscles, 0 to 1; grows with age.
    pub muscle_fat: f32,
    pub contrast: bool,
    pub arms_down: bool,
    pub collar: bool,
    /// Dental fillings.
    pub fillings: bool,
    /// Swelling in front of the spine.
    pub prevertebral: Option<Swelling>,
    /// Blood beside the spine: same measures; thickness 0 to 6 mm.
    pub haematoma: Option<Swelling>,
    pub spine: Spine,
    /// What is broken; empty in the unhurt.
    pub breaks: Vec<Break>,
}

impl Patient {
    /// Draws the patient. Each purpose has its own stream, so that no draw depends on another's outcome.
    pub fn new(spec: &PatientSpec) -> Self {
        let seed = spec.seed;
        let hurt = match spec.fractured {
            Fractured::ByChance(share) => Named::named(seed, "fractured", 0).chance(share),
            Fractured::Yes | Fractured::Twin => true,
            Fractured::No => false,
        };
        let mut person = Named::named(seed, "person", 0);
        let sex = if person.chance(0.65) { Sex::Male } else { Sex::Female };
        let age_years = age(seed, hurt && !spec.match_age);
        let old = ((age_years - 40.0) / 50.0).clamp(0.0, 1.0) as f32;
        let mut build = Named::named(seed, "build", 0);
        let mut spine = Spine::new(seed, age_years, sex);
        let planned = trauma::breaks(seed, spec.kinds, spec.difficulty, &spine);
        let level = planned.first().map_or(Level::C5, |first| first.level);
        let signs = Signs::new(seed, hurt, &spine, level);
        signs.lay_into(&mut spine, level);
        let broken = hurt && spec.fractured != Fractured::Twin;
        Self {
            seed,
            age_years,
            sex,
            posture: Posture::new(seed, sex),
            fat: (libm::exp(0.35 * build.normal())).clamp(0.4, 2.2) as f32,
            muscle_fat: mix(0.05, 0.45, old) * build.between(0.5, 1.5) as f32,
            contrast: build.chance(0.25),
            arms_down: build.chance(0.8),
            collar: build.chance(0.5),
            fillings: build.chance(0.15),
            prevertebral: signs.prevertebral,
            haematoma: signs.haematoma,
            spine,
            breaks: if broken { planned } else { Vec::new() },
        }
    }

    /// Some bone is broken.
    pub fn is_fractured(&self) -> bool {
        !self.breaks.is_empty()
    }
}

/// What often goes with a fracture and is found without one too (method 6.5).
struct Signs {
    prevertebral: Option<Swelling>,
    haematoma: Option<Swelling>,
    /// A vertebra slipped forward over the next, mm.
    slipped_mm: Option<f32>,
    /// Facet joints wider than they should be, mm.
    widened_mm: Option<f32>,
}

impl Signs {
    fn new(seed: u64, hurt: bool, spine: &Spine, level: Level) -> Self {
        let mut draw = Named::named(seed, "signs", 0);
        let z_mm = spine.vertebra(level).centre[2];
        let rate = |with: f64, without: f64| if hurt { with } else { without };
        let mut swelling = |share: f64, thick: [f64; 2]| {
            let (there, z_mm) = (draw.chance(share), z_mm + 6.0 * draw.signed());
            let half_height_mm = draw.between(12.0, 38.0) as f32;
            let thickness_mm = draw.between(thick[0], thick[1]) as f32;
            there.then_some(Swelling { z_mm, half_height_mm, thickness_mm })
        };
        let prevertebral = swelling(rate(0.5, 0.1), [3.0, 9.0]);
        let haematoma = swelling(rate(0.3, 0.05), [2.0, 6.0]);
        let mut shifted = |share: f64, range: [f64; 2]| {
            let (there, mm) = (draw.chance(share), draw.between(range[0], range[1]) as f32);
            there.then_some(mm)
        };
        let slipped_mm = shifted(rate(0.2, 0.08), [1.0, 4.0]);
        let widened_mm = shifted(rate(0.1, 0.04), [1.2, 3.0]);
        Self { prevertebral, haematoma, slipped_mm, widened_mm }
    }

    fn lay_into(&self, spine: &mut Spine, level: Level) {
        let at = level.index().clamp(1, 6);
        if let Some(mm) = self.slipped_mm {
            for (above, vertebra) in spine.vertebrae[..=at].iter_mut().rev().enumerate() {
                let share = [1.0, 0.75, 0.5, 0.3, 0.15].get(above).copied().unwrap_or(0.0);
                vertebra.centre[1] -= mm * share;
            }
        }
        if let (Some(mm), Some(joint)) = (self.widened_mm, spine.joints.get_mut(at - 1)) {
            joint.gap_mm += mm;
            spine.vertebrae[at].pillar[1] -= mm / 0.78;
        }
    }
}

/// Age in years: hurt N(59, 23), unhurt N(50, 22), 18 to 100 (method 6.5).
fn age(seed: u64, hurt: bool) -> f64 {
    let (mean, deviation) = if hurt { (59.0, 23.0) } else { (50.0, 22.0) };
    let mut stream = Named::named(seed, "age", 0);
    loop {
        let years = mean + deviation * stream.normal();
        if (18.0..=100.0).contains(&years) {
            return (years * 10.0).floor() / 10.0;
        }
    }
}
