//! How a synthetic patient is scanned: grid, slices, kernel, dose, and what goes wrong on the way. Drawn from the seed
//! alone, never from the patient's findings.

use super::patient::{Difficulty, Domain};
use super::random::Stream;

/// What the caller decides about a scan; everything else is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub seed: u64,
    pub difficulty: Difficulty,
    pub domain: Domain,
    /// Rows and columns.
    pub matrix: usize,
    /// Distance of slices where it is prescribed; drawn where it is not.
    pub slice_spacing_mm: Option<f64>,
}

/// The patient moves while the table does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Motion {
    /// Everything below `z_mm` (towards the feet) lies elsewhere.
    Step { z_mm: f32, shift_mm: [f32; 2] },
    /// Between two heights every contour is double.
    Double { z_mm: [f32; 2], shift_mm: [f32; 2], weight: f32 },
}

/// How stored values are written: signed or not, and with which intercept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    pub signed: bool,
    pub intercept: i32,
    /// PixelPaddingValue in HU outside of the scan circle, where the writer uses one.
    pub padding_hu: Option<i32>,
}

/// What of the files is unusual. The voxels of [`super::imaging`] know nothing of it; the DICOM writer does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Oddities {
    /// Gantry tilt, degrees; 0 for most.
    pub gantry_tilt_deg: f64,
    /// Instance numbers run from the feet.
    pub feet_first: bool,
    /// Position (0 to 1 along the series) of a slice that is missing.
    pub missing_at: Option<f64>,
    /// Position of a slice that is there twice.
    pub duplicate_at: Option<f64>,
    pub storage: Storage,
}

/// One scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquisition {
    pub seed: u64,
    /// Rows and columns.
    pub matrix: usize,
    /// Side of the square field of view, mm.
    pub field_mm: f64,
    /// Where the middle of the field lies, x and y, scanner mm from the middle of this patient's vertebral column (its
    /// posture's shift comes on top).
    pub centre_mm: [f64; 2],
    pub thickness_mm: f64,
    pub spacing_mm: f64,
    /// Standard deviation of the point spread in the plane, mm.
    pub psf_sigma_mm: f64,
    /// Overshoot of the kernel: share of the fine detail that is added once more.
    pub edge_gain: f64,
    /// Standard deviation in soft tissue at the level of C3, HU.
    pub noise_hu: f64,
    /// By how much noise grows where rays pass both shoulders.
    pub shoulder_gain: f64,
    /// Strength of the dark bands between dense structures, HU.
    pub dark_band_hu: f64,
    pub motion: Option<Motion>,
    /// The patient swallows at this height: air in the pharynx and the gullet.
    pub swallow_z_mm: Option<f32>,
    pub kvp: f64,
    pub oddities: Oddities,
}

impl Acquisition {
    /// Draws a scan.
    pub fn new(protocol: &Protocol) -> Self {
        let shift = protocol.domain == Domain::Shift;
        let draw = |purpose: &str| Stream::named(protocol.seed, purpose, 0);
        let mut grid = draw("acquisition grid");
        // Small fields are for the spine alone, large ones show the whole neck.
        let field_mm = match (shift, grid.chance(0.5)) {
            (false, _) => (grid.between(150.0, 205.0) + grid.between(0.0, 55.0)).round(),
            (true, true) => grid.between(120.0, 150.0).round(),
            (true, false) => grid.between(255.0, 300.0).round(),
        };
        // The spine with its transverse processes stays inside: 46 mm to each side, 40 mm to front and back.
        let room = |needed: f64| (0.5 * field_mm - needed).clamp(0.0, 25.0);
        let centre_mm = [room(50.0) * f64::from(grid.signed()), 12.0 + room(46.0) * f64::from(grid.signed())];
        let mut slices = draw("acquisition slices");
        let drawn_mm = if shift { slices.between(2.0, 3.0) } else { [0.5, 0.625, 0.75, 1.0, 1.25][slices.below(5)] };
        let share = if shift { 1.0 } else { [0.5, 0.8, 1.0][slices.below(3)] };
        let (thickness_mm, spacing_mm) = match protocol.slice_spacing_mm {
            // A wide spacing that was asked for keeps the drawn profile, as if the slices between were left out.
            Some(asked_mm) => (drawn_mm.max(0.5 * asked_mm), asked_mm),
            None => (drawn_mm, drawn_mm * share),
        };
        let mut kernel = draw("acquisition kernel");
        let (psf_sigma_mm, edge_gain) = if shift {
            (kernel.between(0.5, 0.7), if kernel.chance(0.5) { 0.0 } else { kernel.between(0.45, 0.7) })
        } else {
            (kernel.between(0.25, 0.45), kernel.between(0.10, 0.40))
        };
        let mut dose = draw("acquisition dose");
        let noise_hu = dose.between(30.0, 60.0) * noise_factor(protocol.difficulty) * if shift { 1.5 } else { 1.0 };
        let shoulder_gain = dose.between(2.0, 3.5);
        let dark_band_hu = dose.between(25.0, 70.0);
        let kvp = if dose.chance(0.8) { 120.0 } else { 140.0 };
        let often = if shift { 2.0 } else { 1.0 };
        let mut trouble = draw("acquisition trouble");
        let swallow_z_mm = trouble.chance(0.05 * often).then(|| trouble.between(-120.0, -45.0) as f32);
        Self {
            seed: protocol.seed,
            matrix: protocol.matrix,
            field_mm,
            centre_mm,
            thickness_mm,
            spacing_mm,
            psf_sigma_mm,
            edge_gain,
            noise_hu,
            shoulder_gain,
            dark_band_hu,
            motion: motion(&mut draw("acquisition motion"), 0.05 * often),
            swallow_z_mm,
            kvp,
            oddities: oddities(&mut draw("acquisition files")),
        }
    }

    /// Distance of pixel centres, mm.
    pub fn pixel_mm(&self) -> f64 {
        self.field_mm / self.matrix as f64
    }

    /// How far the body lies from where it should at a height, mm.
    pub fn motion_shift_mm(&self, at_z_mm: f32) -> [f32; 2] {
        match self.motion {
            Some(Motion::Step { z_mm, shift_mm }) if at_z_mm < z_mm => shift_mm,
            _ => [0.0; 2],
        }
    }

    /// What the technique's kernel is called: no vendor's name.
    pub fn kernel_name(&self) -> String {
        format!("BONE {:.2}/{:.0}", self.psf_sigma_mm, 100.0 * self.edge_gain)
    }
}

/// How the difficulty scales the noise.
fn noise_factor(difficulty: Difficulty) -> f64 {
    match difficulty {
        Difficulty::Easy => 0.65,
        Difficulty::Standard => 1.0,
        Difficulty::Hard => 1.3,
    }
}

fn motion(stream: &mut Stream, probability: f64) -> Option<Motion> {
    let moved = stream.chance(probability);
    let z_mm = stream.between(-110.0, -20.0) as f32;
    let size_mm = stream.between(0.8, 2.5) as f32;
    let (x, y) = (stream.signed(), stream.signed());
    let norm = (x * x + y * y).sqrt().max(0.1);
    let shift_mm = [size_mm * x / norm, size_mm * y / norm];
    let step = stream.chance(0.5);
    let length_mm = stream.between(6.0, 25.0) as f32;
    let weight = stream.between(0.25, 0.45) as f32;
    moved.then_some(match step {
        true => Motion::Step { z_mm, shift_mm },
        false => Motion::Double { z_mm: [z_mm, z_mm + length_mm], shift_mm, weight },
    })
}

fn oddities(stream: &mut Stream) -> Oddities {
    let tilted = stream.chance(0.03);
    let tilt_deg = (stream.between(4.0, 20.0) * 2.0).round() * 0.5;
    let tilt_deg = if stream.chance(0.5) { tilt_deg } else { -tilt_deg };
    let feet_first = stream.chance(0.10);
    let (missing, missing_at) = (stream.chance(0.01), stream.between(0.1, 0.9));
    let (twice, twice_at) = (stream.chance(0.005), stream.between(0.1, 0.9));
    let storage = match stream.below(4) {
        0 => Storage { signed: false, intercept: -1024, padding_hu: None },
        1 => Storage { signed: false, intercept: -1000, padding_hu: None },
        2 => Storage { signed: true, intercept: 0, padding_hu: Some(-2000) },
        _ => Storage { signed: false, intercept: -8192, padding_hu: None },
    };
    Oddities {
        gantry_tilt_deg: if tilted { tilt_deg } else { 0.0 },
        feet_first,
        missing_at: missing.then_some(missing_at),
        duplicate_at: twice.then_some(twice_at),
        storage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(seed: u64, domain: Domain) -> Acquisition {
        let difficulty = Difficulty::Standard;
        Acquisition::new(&Protocol { seed, difficulty, domain, matrix: 256, slice_spacing_mm: None })
    }

    #[test]
    fn what_is_drawn_stays_within_the_stated_ranges() {
        for seed in 0..400 {
            let iid = scan(seed, Domain::Iid);
            assert!((120.0..=300.0).contains(&iid.field_mm) && (0.5..=1.25).contains(&iid.thickness_mm), "{iid:?}");
            assert!((0.25..=0.45).contains(&iid.psf_sigma_mm) && (0.1..=0.4).contains(&iid.edge_gain));
            assert!((30.0..=60.0).contains(&iid.noise_hu) && (2.0..=3.5).contains(&iid.shoulder_gain));
            let ratio = iid.spacing_mm / iid.thickness_mm;
            assert!([0.5, 0.8, 1.0].iter().any(|r| (r - ratio).abs() < 1e-9));
            for acquisition in [&iid, &scan(seed, Domain::Shift)] {
                let [x, y] = acquisition.centre_mm;
                let half = 0.5 * acquisition.field_mm;
                assert!(
                    x.abs() + 46.0 < half && (y - 12.0).abs() + 40.0 < half,
                    "the spine lies inside: {acquisition:?}"
                );
            }
            let shift = scan(seed, Domain::Shift);
            assert!((2.0..=3.0).contains(&shift.thickness_mm) && shift.psf_sigma_mm > 0.45 && shift.noise_hu >= 45.0);
        }
    }

    #[test]
    fn rare_events_happen_as_often_as_stated() {
        let all: Vec<Acquisition> = (0..4000).map(|seed| scan(seed, Domain::Iid)).collect();
        let share = |what: &dyn Fn(&Acquisition) -> bool| all.iter().filter(|a| what(a)).count() as f64 / 4000.0;
        // Five standard deviations of the count.
        let near = |found: f64, asked: f64| (found - asked).abs() < 5.0 * (asked * (1.0 - asked) / 4000.0).sqrt();
        assert!(near(share(&|a| a.motion.is_some()), 0.05));
        assert!(near(share(&|a| a.swallow_z_mm.is_some()), 0.05));
        assert!(near(share(&|a| a.oddities.gantry_tilt_deg != 0.0), 0.03));
        assert!(near(share(&|a| a.oddities.feet_first), 0.10));
        assert!(near(share(&|a| a.oddities.missing_at.is_some()), 0.01));
        assert!(near(share(&|a| a.oddities.duplicate_at.is_some()), 0.005));
    }

    #[test]
    fn a_spacing_asked_for_is_kept() {
        let protocol = Protocol {
            seed: 3,
            difficulty: Difficulty::Easy,
            domain: Domain::Iid,
            matrix: 128,
            slice_spacing_mm: Some(2.0),
        };
        let scan = Acquisition::new(&protocol);
        assert_eq!((scan.spacing_mm, scan.matrix), (2.0, 128));
        assert!(scan.thickness_mm >= 1.0 && scan.thickness_mm <= 2.0);
        assert_eq!(scan, Acquisition::new(&protocol));
    }
}
