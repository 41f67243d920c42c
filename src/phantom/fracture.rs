//! Fresh breaks: rough sheets that cut a vertebra into pieces, which are then moved a little. The edges have no compact
//! bone, for a piece keeps the depth below the surface of the bone it came from; steps in the surface follow from the
//! movement by themselves. Where a sheet's gap tapers out, part of every fracture is narrower than a voxel.

use super::canvas::Extent;
use super::column::{Frame, Vertebra};
use super::patient::Posture;
use super::random::Texture;
use super::shapes::{coverage, mix, smoothstep};
use crate::truth::Level;

/// The kinds of fracture (method 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FractureKind {
    DensTip,
    DensBase,
    DensBody,
    Hangman,
    AxisBody,
    Jefferson,
    AtlasArch,
    AtlasMass,
    Compression,
    Burst,
    Teardrop,
    Facet,
    Lamina,
    Spinous,
    Transverse,
}

impl FractureKind {
    pub const ALL: [Self; 15] = [
        Self::DensTip,
        Self::DensBase,
        Self::DensBody,
        Self::Hangman,
        Self::AxisBody,
        Self::Jefferson,
        Self::AtlasArch,
        Self::AtlasMass,
        Self::Compression,
        Self::Burst,
        Self::Teardrop,
        Self::Facet,
        Self::Lamina,
        Self::Spinous,
        Self::Transverse,
    ];

    /// As reports and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DensTip => "dens I",
            Self::DensBase => "dens II",
            Self::DensBody => "dens III",
            Self::Hangman => "hangman",
            Self::AxisBody => "C2 body",
            Self::Jefferson => "Jefferson",
            Self::AtlasArch => "C1 arch",
            Self::AtlasMass => "C1 lateral mass",
            Self::Compression => "compression",
            Self::Burst => "burst",
            Self::Teardrop => "teardrop",
            Self::Facet => "facet",
            Self::Lamina => "lamina",
            Self::Spinous => "spinous process",
            Self::Transverse => "transverse process",
        }
    }
    /// As options call it: lower case, joined by hyphens.
    pub fn key(self) -> String {
        self.name().to_lowercase().replace(' ', "-")
    }
    /// Share of fractured vertebrae.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::DensTip => 0.5,
            Self::DensBase => 8.0,
            Self::DensBody => 4.5,
            Self::Hangman | Self::AxisBody => 3.0,
            Self::Jefferson => 4.0,
            Self::AtlasArch => 4.5,
            Self::AtlasMass => 1.5,
            Self::Compression => 9.0,
            Self::Burst => 5.0,
            Self::Teardrop => 8.0,
            Self::Facet | Self::Transverse => 15.0,
            Self::Lamina => 10.0,
            Self::Spinous => 9.0,
        }
    }
    /// How often it is found at a level, relative to its other levels.
    pub(super) fn weight_at(self, level: Level) -> f64 {
        // C1 to T1: what the levels of positive cases in RSNA 2022 leave for the lower neck.
        let lower = [0.0, 0.0, 8.0, 11.0, 17.0, 29.0, 41.0, 0.0][level.index()];
        match self {
            Self::DensTip | Self::DensBase | Self::DensBody | Self::Hangman | Self::AxisBody => {
                if level == Level::C2 {
                    1.0
                } else {
                    0.0
                }
            }
            Self::Jefferson | Self::AtlasArch | Self::AtlasMass => {
                if level == Level::C1 {
                    1.0
                } else {
                    0.0
                }
            }
            Self::Spinous => [0.0, 0.0, 0.5, 1.0, 3.0, 25.0, 60.0, 10.0][level.index()],
            Self::Transverse => [0.0, 0.0, 1.0, 2.0, 12.0, 30.0, 55.0, 0.0][level.index()],
            Self::Teardrop if level == Level::C2 => 14.0,
            _ => lower,
        }
    }
}

/// A set of kinds, for experiments with kinds never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Kinds(u32);

impl Kinds {
    pub const ALL: Self = Self((1 << FractureKind::ALL.len()) - 1);

    pub fn only(kinds: &[FractureKind]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u32))
    }
    pub fn all_but(kinds: &[FractureKind]) -> Self {
        Self(Self::ALL.0 & !Self::only(kinds).0)
    }
    pub fn contains(self, kind: FractureKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }
}

/// A rough plane that cuts; the piece lies where the distance is negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sheet {
    pub at: [f32; 3],
    /// Unit length, out of the piece.
    pub normal: [f32; 3],
    /// Bent by this much per mm² from its middle.
    pub bend: f32,
}

impl Sheet {
    #[inline]
    fn distance(&self, q: [f32; 3]) -> f32 {
        let d = [q[0] - self.at[0], q[1] - self.at[1], q[2] - self.at[2]];
        let along = d[0] * self.normal[0] + d[1] * self.normal[1] + d[2] * self.normal[2];
        let away = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] - along * along;
        along + self.bend * away.min(150.0)
    }
}

/// Part of a vertebra that was cut off and moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The piece is what lies on the inner side of all of them.
    pub sheets: Vec<Sheet>,
    pub shift_mm: [f32; 3],
    /// Small turn about the pivot, radians about x, p, w.
    pub turn: [f32; 3],
    pub pivot: [f32; 3],
    /// Half of the widest gap, mm.
    pub half_gap_mm: f32,
    /// Where the break ends inside the bone: a ball beyond which nothing is cut or moved.
    pub within: Option<([f32; 3], f32)>,
}

impl Piece {
    /// Distance to the piece as cut by smooth sheets.
    #[inline]
    fn smooth_cell(&self, q: [f32; 3]) -> f32 {
        let ball = self.within.map_or(f32::MIN, |(centre, radius)| {
            let d = [q[0] - centre[0], q[1] - centre[1], q[2] - centre[2]];
            (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt() - radius
        });
        self.sheets.iter().fold(ball, |d, sheet| d.max(sheet.distance(q)))
    }
    /// 1 where the break is whole, 0 where it has ended.
    #[inline]
    fn strength(&self, q: [f32; 3]) -> f32 {
        self.within.map_or(1.0, |(centre, radius)| {
            let d = [q[0] - centre[0], q[1] - centre[1], q[2] - centre[2]];
            smoothstep(radius, 0.55 * radius, (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt())
        })
    }
    /// Where a point of the moved piece came from, to first order.
    #[inline]
    fn origin_of(&self, q: [f32; 3]) -> [f32; 3] {
        let share = self.strength(q);
        let d = [q[0] - self.pivot[0], q[1] - self.pivot[1], q[2] - self.pivot[2]];
        let [a, b, c] = self.turn;
        let turned = [b * d[2] - c * d[1], c * d[0] - a * d[2], a * d[1] - b * d[0]];
        std::array::from_fn(|i| q[i] - share * (self.shift_mm[i] + turned[i]))
    }
}

/// One broken vertebra.
#[derive(Debug, Clone, PartialEq)]
pub struct Break {
    pub level: Level,
    pub kind: FractureKind,
    /// How far its largest piece moved.
    pub displacement_mm: f64,
    pub pieces: Vec<Piece>,
    /// Blood and torn marrow.
    pub gap_hu: f32,
    /// Crushed spongy bone beside the sheet of the first piece, HU added.
    pub impaction_hu: f32,
    /// Amplitude of the sheets' roughness, mm.
    pub rough_mm: f32,
    pub phase: f32,
    /// What of the vertebra it can change, frame coordinates: lowest and highest `w`.
    pub reach_w: [f32; 2],
}

/// What a break makes of one point.
struct Outcome {
    /// How much of the pixel is bone after the break.
    fill: f32,
    hu: f32,
    /// The same before it.
    intact: f32,
    /// Distance to the nearest sheet where it cuts bone.
    crack_mm: f32,
}

impl Break {
    /// A slice at this anatomical height can show it.
    pub fn reaches(&self, z_mm: f32, vertebra: &Vertebra) -> bool {
        let w = z_mm - vertebra.centre[2];
        w > self.reach_w[0] - 14.0 && w < self.reach_w[1] + 8.0
    }

    /// Departure of the sheets from smooth, mm.
    #[inline]
    fn roughness(&self, q: [f32; 3], texture: &Texture) -> f32 {
        let [x, p, w] = q.map(|c| c + self.phase);
        let coarse = texture.sample(x / 3.4, p / 3.4, w / 3.4);
        let fine = texture.sample(x / 1.2, p / 1.2 + 9.0, w / 1.2);
        self.rough_mm * (coarse + 0.4 * fine)
    }

    /// Half of the gap at a point: it closes and opens along the sheet and ends where the break ends.
    #[inline]
    fn half_gap(&self, piece: &Piece, q: [f32; 3], texture: &Texture) -> f32 {
        let [x, p, w] = q.map(|c| c - self.phase);
        let along = 0.75 + 0.6 * texture.sample(x / 6.0, p / 6.0, w / 6.0);
        piece.half_gap_mm * piece.strength(q) * along.max(0.0)
    }

    fn outcome(&self, vertebra: &Vertebra, q: [f32; 3], blur_mm: f32, texture: &Texture) -> Outcome {
        let nowhere = Outcome { fill: 0.0, hu: 0.0, intact: 0.0, crack_mm: f32::MAX };
        let farthest = self.pieces.iter().fold(0.0_f32, |most, piece| {
            let of = |v: [f32; 3]| v.iter().fold(0.0_f32, |m, c| m.max(c.abs()));
            most.max(of(piece.shift_mm) + 18.0 * of(piece.turn))
        });
        let whole = vertebra.distance(q);
        if whole > blur_mm + 0.6 + 1.8 * farthest {
            return nowhere;
        }
        let uneven = vertebra.unevenness(q, texture);
        let whole = whole + 0.45 * uneven;
        let intact = coverage(whole, blur_mm);
        let mut base = whole;
        let (mut fill, mut sum, mut crack_mm) = (0.0_f32, 0.0_f32, f32::MAX);
        for (number, piece) in self.pieces.iter().enumerate() {
            // The part left behind.
            let cell = piece.smooth_cell(q);
            if cell < 4.0 {
                let rough = cell + self.roughness(q, texture);
                let gap = self.half_gap(piece, q, texture);
                base = base.max(gap - rough);
                if whole < 1.0 && piece.strength(q) > 0.02 {
                    crack_mm = crack_mm.min(rough.abs());
                }
            }
            // The piece, brought back to where it came from.
            if cell > 2.0 + 2.0 * farthest {
                continue;
            }
            let from = piece.origin_of(q);
            let bone = vertebra.distance(from);
            if bone > blur_mm + 0.5 {
                continue;
            }
            let uneven = vertebra.unevenness(from, texture);
            let bone = bone + 0.45 * uneven;
            let rough = piece.smooth_cell(from) + self.roughness(from, texture);
            let others = self.pieces[..number].iter().fold(f32::MIN, |d, other| d.max(-other.smooth_cell(from)));
            let share = coverage(bone.max(rough + self.half_gap(piece, from, texture)).max(others), blur_mm);
            if share > 0.0 {
                let mut hu = vertebra.substance(from, -bone, uneven, texture);
                if number == 0 {
                    hu += self.impaction_hu * smoothstep(-2.6, -0.8, rough);
                }
                fill += share;
                sum += share * hu;
                if piece.strength(q) > 0.02 {
                    crack_mm = crack_mm.min(rough.abs());
                }
            }
        }
        let share = coverage(base, blur_mm).min((1.0 - fill).max(0.0));
        if share > 0.0 {
            let mut hu = vertebra.substance(q, -whole, uneven, texture);
            if self.impaction_hu > 0.0
                && let Some(first) = self.pieces.first()
            {
                hu += self.impaction_hu * smoothstep(2.6, 0.8, first.smooth_cell(q));
            }
            if fill <= 0.0 {
                // Far from the break to the last bit what an unbroken bone is.
                return Outcome { fill: share, hu, intact, crack_mm };
            }
            fill += share;
            sum += share * hu;
        }
        let hu = if fill > 0.0 { sum / fill } else { self.gap_hu };
        Outcome { fill: fill.min(1.0), hu, intact, crack_mm }
    }

    /// How much of a pixel is bone or what bleeds where bone was, and its HU.
    #[inline]
    pub fn bone(&self, vertebra: &Vertebra, q: [f32; 3], blur_mm: f32, texture: &Texture) -> (f32, f32) {
        let outcome = self.outcome(vertebra, q, blur_mm, texture);
        if outcome.fill >= outcome.intact {
            return (outcome.fill, outcome.hu);
        }
        (outcome.intact, mix(self.gap_hu, outcome.hu, outcome.fill / outcome.intact))
    }

    /// Distance to the nearest crack at a point (far away: the largest number), and the share of bone that became gap.
    pub fn probe(&self, vertebra: &Vertebra, q: [f32; 3], blur_mm: f32, texture: &Texture) -> (f32, f32) {
        let outcome = self.outcome(vertebra, q, blur_mm, texture);
        (outcome.crack_mm, (outcome.intact - outcome.fill).max(0.0))
    }

    /// The frame and the part of a slice that this break can change.
    pub fn place(&self, vertebra: &Vertebra, z_mm: f32, posture: &Posture) -> Option<(Frame, Extent)> {
        let extent = vertebra.extent_at(z_mm, posture).filter(|_| self.reaches(z_mm, vertebra))?;
        Some((vertebra.frame(z_mm, posture), extent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::mimic::Cleft;
    use crate::phantom::{Difficulty, Fractured, PatientSpec, Person};

    const BLUR_MM: f32 = 0.5;

    /// A person whose first break is of a kind.
    fn person(kind: FractureKind, seed: u64) -> Person {
        let spec = PatientSpec { kinds: Kinds::only(&[kind]), fractured: Fractured::Yes, ..PatientSpec::new(seed) };
        Person::new(&PatientSpec { difficulty: Difficulty::Standard, ..spec })
    }

    /// Points of a vertebra's frame, 1.5 mm apart.
    fn lattice() -> impl Iterator<Item = [f32; 3]> {
        let steps = |low: f32, count: usize| (0..count).map(move |i| low + 1.5 * i as f32);
        steps(-39.0, 53).flat_map(move |x| steps(-24.0, 50).flat_map(move |p| steps(-21.0, 32).map(move |w| [x, p, w])))
    }

    #[test]
    fn every_kind_opens_bone_and_stays_where_it_belongs() {
        for (seed, kind) in (50..).zip(FractureKind::ALL) {
            let person = person(kind, seed);
            let (broken, texture) = (&person.breaks[0], Texture::new(seed));
            let vertebra = person.spine.vertebra(broken.level);
            assert!(kind.weight_at(broken.level) > 0.0, "{kind:?} at {:?}", broken.level);
            let (mut near, mut bone) = (0, 0);
            for at in lattice() {
                let (crack_mm, gap) = broken.probe(vertebra, at, BLUR_MM, &texture);
                bone += usize::from(vertebra.distance(at) < 0.0);
                near += usize::from(crack_mm < 0.75);
                assert!((0.0..=1.0).contains(&gap));
            }
            assert!(near > 3 && near < bone / 2, "{kind:?}: {near} points at cracks of {bone} in bone");
        }
    }

    #[test]
    fn a_fresh_edge_has_no_compact_bone_and_a_cleft_has() {
        let person = person(FractureKind::AxisBody, 77);
        let texture = Texture::new(77);
        let mut broken = person.breaks[0].clone();
        // A hairline: nothing moved.
        broken.pieces.iter_mut().for_each(|piece| piece.shift_mm = [0.0; 3]);
        broken.pieces[0].sheets[0].bend = 0.0;
        let whole = person.spine.vertebra(broken.level);
        let mut cleft = whole.clone();
        let sheet = broken.pieces[0].sheets[0];
        cleft.clefts.push(Cleft { at: sheet.at, normal: sheet.normal, half_width_mm: 0.5, reach_mm: 20.0 });
        let (mut beside, mut denser_at_cleft) = (0, 0);
        for at in lattice() {
            let edge_mm = broken.pieces[0].smooth_cell(at).abs();
            if whole.distance(at) > -4.0 || !(1.4..1.8).contains(&edge_mm) {
                continue;
            }
            let (crack_mm, gap) = broken.probe(whole, at, BLUR_MM, &texture);
            if gap > 0.0 || crack_mm < 0.6 {
                continue;
            }
            let [unbroken, fresh, old] = [
                whole.bone(at, BLUR_MM, &texture).expect("bone").1,
                broken.bone(whole, at, BLUR_MM, &texture).1,
                cleft.bone(at, BLUR_MM, &texture).expect("bone").1,
            ];
            assert!((fresh - unbroken).abs() < 1.0, "{at:?}: {fresh} beside a crack, {unbroken} without");
            beside += 1;
            denser_at_cleft += usize::from(old > unbroken + 200.0);
        }
        assert!(beside > 10 && denser_at_cleft * 2 > beside, "{denser_at_cleft} of {beside}");
    }

    #[test]
    fn a_piece_moves_as_far_as_it_says() {
        let mut piece = Piece {
            sheets: vec![Sheet { at: [0.0; 3], normal: [0.0, 0.0, -1.0], bend: 0.0 }],
            shift_mm: [1.0, -2.0, 0.5],
            turn: [0.0; 3],
            pivot: [0.0; 3],
            half_gap_mm: 0.2,
            within: None,
        };
        assert_eq!(piece.origin_of([4.0, 4.0, 4.0]), [3.0, 6.0, 3.5]);
        piece.shift_mm = [0.0; 3];
        piece.turn = [0.1, 0.0, 0.0];
        // A turn about x by 0.1 lifts what lies 10 mm behind the pivot by 1 mm.
        assert_eq!(piece.origin_of([0.0, 10.0, 0.0]), [0.0, 10.0, -1.0]);
        piece.within = Some(([0.0; 3], 5.0));
        assert_eq!(piece.origin_of([0.0, 10.0, 0.0]), [0.0, 10.0, 0.0], "beyond the end of the break nothing moves");
    }

    #[test]
    fn sets_of_kinds_hold_what_they_say() {
        let two = Kinds::only(&[FractureKind::Facet, FractureKind::Lamina]);
        let rest = Kinds::all_but(&[FractureKind::Facet, FractureKind::Lamina]);
        for kind in FractureKind::ALL {
            assert!(Kinds::ALL.contains(kind) && two.contains(kind) != rest.contains(kind), "{kind:?}");
        }
        let mut keys: Vec<String> = FractureKind::ALL.map(FractureKind::key).to_vec();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 15);
    }
}
