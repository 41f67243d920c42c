//! One patient's vertebral column: the sizes, densities and chance findings of every vertebra, disc and joint, drawn
//! without regard to fractures. Means and deviations are those of the method's sections 6.2, 6.3 and 6.6.

use super::canvas::Extent;
use super::mimic::{self, Bump, Channel, Cleft};
use super::patient::{Posture, Sex};
use super::random::Stream;
use super::spine::canal_line_mm;
use crate::truth::Level;

/// Which plan a vertebra is built to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Atlas,
    Axis,
    /// C3 to T1.
    Typical,
}

/// One vertebra: place on the canal line, sizes in mm, densities in HU, chance findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertebra {
    pub level: Level,
    pub kind: Kind,
    /// Anatomical place of the frame's origin; `x` is nonzero only where it slipped.
    pub centre: [f32; 3],
    /// Lean to posterior per mm towards the head, beyond the canal line's own.
    pub tilt: f32,
    pub roll: f32,
    pub half_width: f32,
    pub depth: f32,
    pub half_height: f32,
    pub dish: f32,
    pub uncinate: f32,
    /// Height lost in front, long ago.
    pub wedge: f32,
    pub dens_lean: f32,
    pub pedicle_half: f32,
    pub pillar_x: f32,
    pub pillar_size: f32,
    /// The articular pillar's reach above and below the middle, measured along its sheared height.
    pub pillar: [f32; 2],
    pub facet_slope: f32,
    pub lamina_half: f32,
    pub spinous: f32,
    pub spinous_drop: f32,
    pub bifid: bool,
    pub has_rib: bool,
    /// Left and right.
    pub foramen_radius: [f32; 2],
    /// How far the transverse process reaches from the midline, left and right.
    pub reach: [f32; 2],
    /// Left and right halves are not quite alike.
    pub width: [f32; 2],
    pub spongy_hu: f32,
    /// Standard deviation of spongy bone, share of its mean.
    pub spongy_grain: f32,
    pub compact_hu: f32,
    /// Thickness of compact bone, 1 in the young.
    pub shell_scale: f32,
    /// Where in the texture this vertebra lies.
    pub phase: f32,
    pub channels: Vec<Channel>,
    pub bumps: Vec<Bump>,
    pub clefts: Vec<Cleft>,
}

/// A slice's plane in a vertebra's frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    x0: f32,
    p: [f32; 2],
    w: [f32; 3],
}

impl Frame {
    /// Frame coordinates `[x, p, w]` of an anatomical point of the plane.
    #[inline]
    pub fn local(&self, x: f32, y: f32) -> [f32; 3] {
        let x = x + self.x0;
        [x, self.p[0] * y + self.p[1], self.w[0] * y + self.w[1] + self.w[2] * x]
    }
    /// Where the plane meets `[x, p]` within half sides of a middle.
    pub fn extent(&self, [x, p]: [f32; 2], [half_x, half_p]: [f32; 2]) -> Extent {
        let (x, y) = (x - self.x0, (p - self.p[1]) / self.p[0]);
        Extent::around(x, y, half_x, half_p / self.p[0])
    }
}

impl Vertebra {
    /// How far the neck's bow shifts a height against this vertebra, which is rigid, anatomical mm.
    fn bow_from_here(&self, z_mm: f32, posture: &Posture) -> [f32; 2] {
        let (there, here) = (posture.bow_at(z_mm), posture.bow_at(self.centre[2]));
        [(there[0] - here[0]) / posture.scale[0], (there[1] - here[1]) / posture.scale[1]]
    }

    fn slope(&self, posture: &Posture) -> f32 {
        0.0028 * (self.centre[2] + 58.0) + posture.bow_slope_at(self.centre[2])[1] + self.tilt
    }

    /// The plane at an anatomical height in this vertebra's frame.
    pub fn frame(&self, z_mm: f32, posture: &Posture) -> Frame {
        let [bow_x, bow_y] = self.bow_from_here(z_mm, posture);
        let roll = posture.bow_slope_at(self.centre[2])[0] + self.roll;
        let slope = self.slope(posture);
        let (dz, norm) = (z_mm - self.centre[2], 1.0 / (1.0 + slope * slope).sqrt());
        let y0 = bow_y - self.centre[1];
        Frame {
            x0: bow_x - self.centre[0] - roll * dz,
            p: [norm, (y0 - slope * dz) * norm],
            w: [slope * norm, (y0 * slope + dz) * norm, roll],
        }
    }

    /// Whether a slice can meet this vertebra, and where in it.
    pub fn extent_at(&self, z_mm: f32, posture: &Posture) -> Option<Extent> {
        let back = 17.0 + self.spinous;
        let lean = self.slope(posture).abs();
        let (above, below) = match self.kind {
            Kind::Atlas => (13.0, 14.0),
            Kind::Axis => (28.0, 26.0),
            Kind::Typical => (15.0, (8.0 + self.spinous_drop * self.spinous).max(15.0)),
        };
        let (above, below) = (above + 12.0 * lean, below + back * lean);
        let inside = z_mm < self.centre[2] + above && z_mm > self.centre[2] - below;
        let [bow_x, bow_y] = self.bow_from_here(z_mm, posture);
        let (x, y) = (self.centre[0] - bow_x, self.centre[1] - bow_y);
        let half = if self.has_rib { 62.0 } else { self.reach[0].max(self.reach[1]) + 4.5 };
        let front = if self.kind == Kind::Atlas { 28.0 } else { 24.0 };
        inside.then(|| Extent { x: [x - half, x + half], y: [y - front, y + back.max(22.0) + 6.0] })
    }
}

/// Between two bodies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disc {
    pub height_mm: f32,
    /// Gas in a worn disc.
    pub gas_hu: Option<f32>,
    pub fused: bool,
}

/// A pair of facet joints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Joint {
    pub gap_mm: f32,
    /// What fills it left and right: cartilage or gas.
    pub hu: [f32; 2],
}

/// The column: C1 to T1, the discs below C2 to C7, the joints below C2 to C7.
#[derive(Debug, Clone, PartialEq)]
pub struct Spine {
    pub vertebrae: [Vertebra; 8],
    pub discs: [Disc; 6],
    pub joints: [Joint; 6],
}

impl Spine {
    pub fn vertebra(&self, level: Level) -> &Vertebra {
        &self.vertebrae[level.index()]
    }

    /// Draws a column.
    pub fn new(seed: u64, age_years: f64, sex: Sex) -> Self {
        let wear = ((age_years - 35.0) / 45.0).clamp(0.0, 1.0);
        let mut density = Stream::named(seed, "density", 0);
        let density_sd = density.normal().clamp(-2.2, 2.2);
        let compact_hu = (1000.0 + 90.0 * density.normal()).clamp(780.0, 1250.0);
        let discs = std::array::from_fn(|i| disc(seed, i, wear));
        let joints = std::array::from_fn(|i| joint(seed, i, wear));
        let mut vertebrae = Level::ALL.map(|level| {
            let mut vertebra = sized(seed, level, sex);
            vertebra.spongy_hu = spongy_hu(level, age_years, density_sd);
            vertebra.compact_hu = compact_hu as f32;
            vertebra.shell_scale = (1.0 - 0.01 * (age_years - 50.0).max(0.0)).max(0.5) as f32;
            vertebra
        });
        stack(&mut vertebrae, &discs, &joints);
        for vertebra in &mut vertebrae {
            mimic::decorate(vertebra, seed, wear);
        }
        Self { vertebrae, discs, joints }
    }
}

/// Density of spongy bone by level and age (method 6.3).
fn spongy_hu(level: Level, age_years: f64, deviations: f64) -> f32 {
    let young = match level {
        Level::C1 => 320.0,
        Level::C2 => 300.0,
        Level::C3 | Level::C4 | Level::C5 => 330.0,
        Level::C6 => 290.0,
        Level::C7 => 250.0,
        Level::T1 => 235.0,
    };
    let aged = young - 2.0 * (age_years.min(50.0) - 30.0).max(0.0) - 3.5 * (age_years - 50.0).max(0.0);
    (aged + 60.0 * deviations).max(70.0) as f32
}

fn disc(seed: u64, index: usize, wear: f64) -> Disc {
    let mut draw = Stream::named(seed, "disc", index as u64);
    // C5/C6 and C6/C7 wear most.
    let prone = [0.25, 0.35, 0.5, 0.8, 0.75, 0.3][index];
    let worn = draw.chance(0.9 * prone * wear);
    let height = if worn { draw.between(1.8, 3.8) } else { draw.between(4.6, 6.2) };
    let gas = draw.chance(0.2);
    let gas_hu = draw.between(-600.0, -150.0) as f32;
    // Fused levels in 3 % of patients.
    let fused = index > 0 && draw.chance(0.006);
    Disc { height_mm: height as f32, gas_hu: (worn && gas && !fused).then_some(gas_hu), fused }
}

fn joint(seed: u64, index: usize, wear: f64) -> Joint {
    let mut draw = Stream::named(seed, "joint", index as u64);
    let gap_mm = draw.between(1.0, 1.9) as f32;
    let hu = std::array::from_fn(|_| {
        let gas = draw.chance(0.04 + 0.22 * wear);
        let gas_hu = draw.between(-500.0, -60.0);
        if gas { gas_hu as f32 } else { 90.0 }
    });
    Joint { gap_mm, hu }
}

/// Sizes of one level before the column is stacked.
fn sized(seed: u64, level: Level, sex: Sex) -> Vertebra {
    let mut draw = Stream::named(seed, "vertebra", level.index() as u64);
    let mut around = |mean: f64, share: f64| (mean * (1.0 + share * draw.normal().clamp(-2.5, 2.5))) as f32;
    let row = level.index();
    let kind = match level {
        Level::C1 => Kind::Atlas,
        Level::C2 => Kind::Axis,
        _ => Kind::Typical,
    };
    let depth = if sex == Sex::Male { 16.8 } else { 16.2 };
    let reach = [40.0, 25.5, 25.5, 25.5, 26.0, 27.0, 33.0, 36.0][row];
    let foramen = [3.0, 2.9, 2.9, 2.9, 2.9, 2.9, 1.5, 0.0][row];
    let spinous = [0.0, 17.0, 13.0, 13.5, 15.0, 20.0, 29.0, 33.0][row];
    let both = |mean: f32, spread: &mut dyn FnMut() -> f32| [mean * spread(), mean * spread()];
    let mut vertebra = Vertebra {
        level,
        kind,
        centre: [0.0; 3],
        tilt: 0.0,
        roll: 0.0,
        half_width: around([10.0, 10.0, 11.5, 11.8, 12.2, 12.9, 13.4, 14.2][row], 0.05),
        depth: around(depth, 0.05),
        half_height: around([5.0, 10.5, 6.3, 6.0, 5.8, 6.1, 6.9, 7.8][row], 0.04),
        dish: around(0.9, 0.3),
        uncinate: around(3.6, 0.2),
        wedge: around(0.4, 0.6).max(0.0),
        dens_lean: around(1.0, 1.2),
        pedicle_half: around(2.5, 0.1),
        pillar_x: around(18.8, 0.025),
        pillar_size: around(1.0, 0.05),
        pillar: [0.0; 2],
        facet_slope: around(0.8, 0.12),
        lamina_half: around(if kind == Kind::Axis { 2.9 } else { 2.2 }, 0.1),
        spinous: around(spinous, 0.12),
        spinous_drop: around([0.35, 0.35, 0.35, 0.35, 0.4, 0.4, 0.38, 0.45][row], 0.2),
        bifid: false,
        has_rib: level == Level::T1,
        foramen_radius: [0.0; 2],
        reach: [0.0; 2],
        width: [1.0; 2],
        spongy_hu: 0.0,
        spongy_grain: around(0.18, 0.2),
        compact_hu: 0.0,
        shell_scale: 1.0,
        phase: 0.0,
        channels: Vec::new(),
        bumps: Vec::new(),
        clefts: Vec::new(),
    };
    let mut spread = || around(1.0, 0.07);
    vertebra.foramen_radius = both(foramen, &mut spread);
    vertebra.reach = both(reach, &mut || 0.5 + 0.5 * spread());
    vertebra.width = both(1.0, &mut || 0.8 + 0.2 * spread());
    vertebra.tilt = 0.35 * (spread() - 1.0);
    vertebra.roll = 0.3 * (spread() - 1.0);
    vertebra.bifid = draw.chance([0.0, 0.95, 0.85, 0.9, 0.85, 0.5, 0.0, 0.0][row]);
    vertebra.phase = draw.between(-60.0, 60.0) as f32;
    vertebra
}

/// Puts the vertebrae one below the other, as bodies, discs and joints have it; the dens' tip stays at z = 0.
fn stack(vertebrae: &mut [Vertebra; 8], discs: &[Disc; 6], joints: &[Joint; 6]) {
    let place = |vertebra: &mut Vertebra, z: f32| vertebra.centre = [0.0, canal_line_mm(z), z];
    place(&mut vertebrae[0], -7.0);
    place(&mut vertebrae[1], -25.5);
    for i in 1..7 {
        let (disc, joint) = (discs[i - 1].height_mm, joints[i - 1].gap_mm);
        let apart = vertebrae[i].half_height + disc + vertebrae[i + 1].half_height;
        let z = vertebrae[i].centre[2] - apart;
        place(&mut vertebrae[i + 1], z);
        let bone = apart - joint / 0.78;
        let above = if i == 1 { 8.0 } else { 0.5 * bone };
        vertebrae[i].pillar[1] = bone - above;
        vertebrae[i + 1].pillar[0] = above;
    }
    vertebrae[1].pillar[0] = 1.0;
    vertebrae[7].pillar[1] = 9.0;
}
