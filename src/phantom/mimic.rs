//! What looks like a fracture and is none, in hurt and unhurt alike: channels of vessels with a dense rim, clefts and
//! ossicles with compact edges, spurs, nodes, old healed compressions (method 6.6). The rule that tells them from a
//! fresh fracture: a compact edge of at least half a millimetre, or the course of a tube.

use super::column::{Kind, Vertebra};
use super::random::Stream;
use super::shapes::{coverage, mix, segment3, smoothstep};
use crate::truth::Level;

/// A tube through spongy bone, with a rim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Channel {
    pub from: [f32; 3],
    pub to: [f32; 3],
    pub radius_mm: f32,
    pub hu: f32,
    /// How much denser the rim is than spongy bone.
    pub rim_hu: f32,
}

impl Channel {
    /// Spongy bone's HU with the channel in it.
    #[inline]
    pub fn laid_into(&self, spongy_hu: f32, at: [f32; 3]) -> f32 {
        let (away, _) = segment3(at, self.from, self.to);
        let d = away - self.radius_mm;
        if d > 1.6 {
            return spongy_hu;
        }
        let rim = smoothstep(1.5, 0.7, d);
        mix(spongy_hu + self.rim_hu * rim, self.hu, coverage(d, 0.6))
    }
}

/// Bone added to a vertebra: a spur, or an ossicle that stands free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bump {
    pub centre: [f32; 3],
    pub radii: [f32; 3],
    pub separate: bool,
}

/// Bone that is missing since long, so that its edges are compact: a flat cleft or a round hollow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cleft {
    pub at: [f32; 3],
    pub normal: [f32; 3],
    pub half_width_mm: f32,
    pub reach_mm: f32,
}

impl Cleft {
    /// Signed distance to the missing part.
    #[inline]
    pub fn distance(&self, q: [f32; 3]) -> f32 {
        let d = [q[0] - self.at[0], q[1] - self.at[1], q[2] - self.at[2]];
        let along = (d[0] * self.normal[0] + d[1] * self.normal[1] + d[2] * self.normal[2]).abs();
        let away = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
        (along - self.half_width_mm).max(away - self.reach_mm)
    }
}

/// Draws the chance findings of one vertebra. `wear` is 0 in the young, 1 in the old.
pub fn decorate(vertebra: &mut Vertebra, seed: u64, wear: f64) {
    let level = vertebra.level.index() as u64;
    let draw = |purpose: &str| Stream::named(seed, purpose, level);
    match vertebra.kind {
        Kind::Atlas => atlas_clefts(vertebra, &mut draw("atlas clefts")),
        Kind::Axis => below_the_dens(vertebra, &mut draw("subdental line")),
        Kind::Typical => {
            basivertebral(vertebra, &mut draw("basivertebral"));
            nodes(vertebra, &mut draw("nodes"));
            healed(vertebra, &mut draw("healed"));
            spurs(vertebra, &mut draw("spurs"), wear);
        }
    }
    vessels(vertebra, &mut draw("vessels"));
    if vertebra.kind != Kind::Atlas {
        nutrient_foramina(vertebra, &mut draw("nutrient foramina"));
        worn_facets(vertebra, &mut draw("worn facets"), wear);
    }
}

/// Clefts of the posterior arch in 4 %, nearly all in the midline; of the anterior arch seldom.
fn atlas_clefts(vertebra: &mut Vertebra, draw: &mut Stream) {
    let (behind, lateral, front) = (draw.chance(0.04), draw.chance(0.1), draw.chance(0.003));
    let half_width_mm = draw.between(0.6, 2.0) as f32;
    let (side, slant) = (if draw.chance(0.5) { 1.0 } else { -1.0 }, 0.25 * draw.signed());
    if behind {
        let at = if lateral { [side * 13.0, 12.0, -1.0] } else { [0.6 * side, 19.0, -1.0] };
        let normal = if lateral { [-0.8 * side, 0.6, 0.0] } else { unit([1.0, 0.0, slant]) };
        vertebra.clefts.push(Cleft { at, normal, half_width_mm, reach_mm: 8.0 });
    }
    if front {
        let normal = unit([1.0, 0.0, slant]);
        vertebra.clefts.push(Cleft { at: [0.0, -18.5, 0.0], normal, half_width_mm, reach_mm: 8.0 });
    }
}

/// The remnant of the synchondrosis below the dens in 10 %; a dens that never joined (0.5 %).
fn below_the_dens(vertebra: &mut Vertebra, draw: &mut Stream) {
    let (line, os) = (draw.chance(0.10), draw.chance(0.005));
    let w = draw.between(5.0, 7.5) as f32;
    let (half, hu, rim_hu) = (draw.between(3.0, 5.5) as f32, draw.between(60.0, 170.0), draw.between(180.0, 380.0));
    if line {
        // Tubes side by side make a thin plate.
        for row in -2..=2 {
            let p = -8.2 + row as f32;
            let bow = 0.12 * (row * row) as f32;
            let reach = half - bow;
            let (from, to) = ([-reach, p, w + bow], [reach, p, w + 0.3 + bow]);
            vertebra.channels.push(Channel { from, to, radius_mm: 0.55, hu: hu as f32, rim_hu: 0.3 * rim_hu as f32 });
        }
    }
    let half_width_mm = draw.between(0.8, 2.0) as f32;
    if os {
        let normal = unit([0.1 * draw.signed(), 0.2 * draw.signed(), 1.0]);
        vertebra.clefts.push(Cleft { at: [0.0, -8.0, 12.5], normal, half_width_mm, reach_mm: 8.0 });
    }
}

/// The basivertebral veins: a fork at mid height that opens into the canal.
fn basivertebral(vertebra: &mut Vertebra, draw: &mut Stream) {
    let seen = draw.chance(0.75);
    let radius_mm = draw.between(0.5, 1.15) as f32;
    let (hu, rim_hu) = (draw.between(50.0, 150.0) as f32, draw.between(30.0, 150.0) as f32);
    let (w, spread, depth) = (0.8 * draw.signed(), draw.between(2.5, 5.5) as f32, draw.between(7.0, 11.5) as f32);
    let fork = [0.8 * draw.signed(), -draw.between(3.0, 5.0) as f32, w];
    if !seen {
        return;
    }
    let mut tube = |from, to, radius_mm| vertebra.channels.push(Channel { from, to, radius_mm, hu, rim_hu });
    tube([0.0, 0.5, w], fork, radius_mm * 1.2);
    tube(fork, [spread, -depth, w + 0.4], radius_mm);
    tube(fork, [-spread, -depth, w - 0.3], radius_mm * 0.9);
}

/// Endplate nodes (8 %) and cysts (6 %) with compact walls.
fn nodes(vertebra: &mut Vertebra, draw: &mut Stream) {
    let (node, cyst) = (draw.chance(0.08), draw.chance(0.06));
    let (x, p) = (5.0 * draw.signed(), -8.0 + 4.0 * draw.signed());
    let (up, radius) = (if draw.chance(0.5) { 1.0 } else { -1.0 }, draw.between(1.4, 2.8) as f32);
    let height = vertebra.half_height;
    let mut hollow = |at: [f32; 3], radius: f32| {
        let normal = [0.0, 0.0, 1.0];
        vertebra.clefts.push(Cleft { at, normal, half_width_mm: 0.8 * radius, reach_mm: radius });
    };
    if node {
        hollow([x, p, up * (height - 0.4)], radius);
    }
    let (cx, cp, cw) = (7.0 * draw.signed(), -8.0 + 5.0 * draw.signed(), 0.6 * height * draw.signed());
    if cyst {
        hollow([cx, cp, cw], 0.6 * radius);
    }
}

/// An old compression: lost height in front with a dense endplate; in 4 % of patients.
fn healed(vertebra: &mut Vertebra, draw: &mut Stream) {
    let old = draw.chance(0.04 / 6.0);
    let share = draw.between(0.12, 0.4) as f32;
    if old {
        vertebra.wedge += share * 2.0 * vertebra.half_height;
    }
}

/// Spurs at the endplates' edges, ossicles before and behind, growing with wear; most at C5 to C7.
fn spurs(vertebra: &mut Vertebra, draw: &mut Stream, wear: f64) {
    let prone = match vertebra.level {
        Level::C4 => 0.5,
        Level::C5 | Level::C6 | Level::C7 => 0.85,
        _ => 0.25,
    };
    for (up, behind) in [(1.0, false), (-1.0, false), (1.0, true), (-1.0, true)] {
        let there = draw.chance(prone * wear * if behind { 0.4 } else { 0.9 });
        let (size, x) = (draw.between(1.2, 3.4) as f32, 4.0 * draw.signed());
        let ossicle = draw.chance(0.07);
        if !there {
            continue;
        }
        let p = if behind { 0.6 } else { -vertebra.depth - 0.3 };
        let out = if behind { 0.3 * size } else { -0.5 * size };
        let w = up * (vertebra.half_height - 0.9);
        let radii = [1.9 * size + 2.0, if behind { 0.5 * size + 0.5 } else { size }, 0.55 * size + 0.5];
        vertebra.bumps.push(Bump { centre: [x, p + out, w], radii, separate: false });
        if ossicle && !behind {
            let centre = [x + 1.5 * draw.signed(), p - size - 1.6, w + up * (0.9 + 0.5 * size)];
            vertebra.bumps.push(Bump {
                centre,
                radii: [0.9 * size + 0.8, 0.5 * size + 0.7, 0.8 * size + 0.6],
                separate: true,
            });
        }
    }
}

/// Small vessels anywhere in the bone: none to three.
fn vessels(vertebra: &mut Vertebra, draw: &mut Stream) {
    for _ in 0..3 {
        let there = draw.chance(0.3);
        let arch = draw.chance(0.35);
        let mut near = |spread: [f32; 3], centre: [f32; 3]| {
            let at: [f32; 3] = std::array::from_fn(|i| centre[i] + spread[i] * draw.signed());
            at
        };
        let side = if near([1.0; 3], [0.0; 3])[0] < 0.0 { -1.0 } else { 1.0 };
        let centre = if arch { [13.0 * side, 9.0, 0.0] } else { [0.0, -8.0, 0.0] };
        let from = near([8.0, 7.0, 5.0], centre);
        let to = near([6.0, 6.0, 3.0], from);
        let radius_mm = 0.45 + 0.25 * (near([1.0; 3], [0.0; 3])[0] + 1.0) * 0.9;
        let channel = Channel { from, to, radius_mm, hu: 70.0, rim_hu: draw.between(150.0, 400.0) as f32 };
        if there {
            vertebra.channels.push(channel);
        }
    }
}

/// The small holes by which vessels enter the pillars and laminae.
fn nutrient_foramina(vertebra: &mut Vertebra, draw: &mut Stream) {
    for side in [-1.0, 1.0] {
        let there = draw.chance(0.3);
        let (x, w) = (side * (18.5 + 3.0 * draw.signed()), 3.0 * draw.signed());
        let deep = draw.between(3.0, 6.5) as f32;
        let radius_mm = draw.between(0.35, 0.8) as f32;
        let rim_hu = draw.between(150.0, 300.0) as f32;
        if there {
            let (from, to) = ([x, 12.0, w], [x - side, 12.0 - deep, w + 1.0]);
            vertebra.channels.push(Channel { from, to, radius_mm, hu: 60.0, rim_hu });
        }
    }
}

/// Facets thickened by wear, with a spur.
fn worn_facets(vertebra: &mut Vertebra, draw: &mut Stream, wear: f64) {
    for side in [-1.0, 1.0] {
        let there = draw.chance(0.35 * wear);
        let (size, up) = (draw.between(1.5, 3.0) as f32, if draw.chance(0.5) { 1.0 } else { -1.0 });
        let dx = 3.0 * draw.signed();
        if there {
            let w = up * (0.7 * vertebra.pillar[usize::from(up < 0.0)]) - 0.8 * up * 3.0;
            let centre = [side * (vertebra.pillar_x + 3.0) + dx, 5.5 + 3.5 * up, w];
            vertebra.bumps.push(Bump { centre, radii: [size + 0.8, size, size], separate: false });
        }
    }
}

/// Scaled to length 1.
pub fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt().max(1e-6);
    v.map(|c| c / length)
}
