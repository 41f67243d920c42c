//! Which vertebrae break, how, and how badly: levels and kinds at the shares of the method's section 6.5, severity on a
//! continuous scale, a quarter of them hairlines.

use super::column::{Spine, Vertebra};
use super::fracture::{Break, FractureKind, Kinds, Piece, Sheet};
use super::mimic::unit;
use super::patient::Difficulty;
use super::random::Stream;
use crate::truth::Level;

/// How many vertebrae break: one in 65 %, two in 25, three in 7, four in the rest.
fn count(draw: &mut Stream) -> usize {
    match draw.unit() {
        u if u < 0.65 => 1,
        u if u < 0.90 => 2,
        u if u < 0.97 => 3,
        _ => 4,
    }
}

/// An index by weight; `None` when all weigh nothing.
fn weighted(draw: &mut Stream, weights: &[f64]) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut left = draw.unit() * total;
    if total <= 0.0 {
        return None;
    }
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if *weight > 0.0 && left < 0.0 {
            return Some(index);
        }
    }
    weights.iter().rposition(|w| *w > 0.0)
}

/// The levels and kinds of one patient's fractures, the first found first; each level once.
pub fn levels_and_kinds(seed: u64, kinds: Kinds) -> Vec<(Level, FractureKind)> {
    let mut draw = Stream::named(seed, "fractures", 0);
    let share = |kind: FractureKind| if kinds.contains(kind) { kind.share() } else { 0.0 };
    let mut chosen: Vec<(Level, FractureKind)> = Vec::new();
    let wanted = count(&mut draw);
    for _ in 0..4 * wanted {
        if chosen.len() == wanted {
            break;
        }
        // Most further fractures are next to one that is there.
        let neighbours: Vec<Level> = Level::ALL
            .into_iter()
            .filter(|level| chosen.iter().any(|(other, _)| other.index().abs_diff(level.index()) == 1))
            .collect();
        let near = draw.chance(0.72) && !neighbours.is_empty();
        let open =
            |level: Level| chosen.iter().all(|(other, _)| *other != level) && (!near || neighbours.contains(&level));
        let weight = |kind: FractureKind, level: Level| if open(level) { kind.weight_at(level) } else { 0.0 };
        let total = |kind: FractureKind| Level::ALL.iter().map(|l| kind.weight_at(*l)).sum::<f64>();
        let weights = FractureKind::ALL
            .map(|kind| share(kind) * Level::ALL.iter().map(|l| weight(kind, *l)).sum::<f64>() / total(kind));
        let Some(kind) = weighted(&mut draw, &weights).map(|i| FractureKind::ALL[i]) else { continue };
        if let Some(level) = weighted(&mut draw, &Level::ALL.map(|l| weight(kind, l))) {
            chosen.push((Level::ALL[level], kind));
        }
    }
    chosen
}

/// How badly a vertebra is broken.
struct Severity {
    /// Movement of the largest piece, mm; 0 for a hairline.
    moved_mm: f32,
    half_gap_mm: f32,
}

fn severity(draw: &mut Stream, difficulty: Difficulty) -> Severity {
    let (scale, hairlines) = match difficulty {
        Difficulty::Easy => (1.8, 0.08),
        Difficulty::Standard => (1.0, 0.25),
        Difficulty::Hard => (0.6, 0.4),
    };
    let hairline = draw.chance(hairlines);
    // Log-normal: median 0.7 mm, 95 % below 5 mm.
    let moved = 0.7 * libm::exp(1.195 * draw.normal()) * scale;
    let opened = draw.between(0.6, 1.4);
    if hairline {
        return Severity { moved_mm: 0.0, half_gap_mm: (0.3 * opened * scale).clamp(0.1, 0.6) as f32 };
    }
    let half_gap = (0.3 + 0.12 * moved) * opened * scale;
    Severity { moved_mm: moved.min(8.0) as f32, half_gap_mm: half_gap.clamp(0.15, 0.8) as f32 }
}

/// Draws the breaks of a patient for this column.
pub fn breaks(seed: u64, kinds: Kinds, difficulty: Difficulty, spine: &Spine) -> Vec<Break> {
    levels_and_kinds(seed, kinds)
        .into_iter()
        .map(|(level, kind)| {
            let mut draw = Stream::named(seed, "fracture", level.index() as u64);
            broken(kind, spine.vertebra(level), difficulty, &mut draw)
        })
        .collect()
}

/// Breaks one vertebra.
fn broken(kind: FractureKind, vertebra: &Vertebra, difficulty: Difficulty, draw: &mut Stream) -> Break {
    let Severity { moved_mm, half_gap_mm } = severity(draw, difficulty);
    let gap_hu = draw.between(30.0, 80.0) as f32;
    let rough_mm = draw.between(0.35, 1.0) as f32;
    let phase = draw.between(-80.0, 80.0) as f32;
    let crushed = draw.between(80.0, 200.0) as f32;
    let mut smith = Smith { vertebra, draw, moved: moved_mm, half_gap_mm };
    let (most_mm, reach_w) = match kind {
        FractureKind::DensTip => (3.0, [12.0, 28.0]),
        FractureKind::DensBase => (6.0, [2.0, 28.0]),
        FractureKind::DensBody => (4.0, [-10.0, 26.0]),
        FractureKind::Hangman => (4.0, [-20.0, 12.0]),
        FractureKind::Spinous => (5.0, [-26.0, 4.0]),
        FractureKind::Compression | FractureKind::Burst => (5.0, [-10.0, 12.0]),
        FractureKind::Jefferson => (5.0, [-12.0, 12.0]),
        _ => (4.0, [-14.0, 14.0]),
    };
    smith.moved = smith.moved.min(most_mm);
    let pieces = match kind {
        FractureKind::DensTip | FractureKind::DensBase | FractureKind::DensBody => smith.dens(kind),
        FractureKind::Hangman => smith.hangman(),
        FractureKind::AxisBody => smith.axis_body(),
        FractureKind::Jefferson => smith.jefferson(),
        FractureKind::AtlasArch => smith.atlas_arch(),
        FractureKind::AtlasMass => smith.atlas_mass(),
        FractureKind::Compression => smith.compression(),
        FractureKind::Burst => smith.burst(),
        FractureKind::Teardrop => smith.teardrop(),
        FractureKind::Facet => smith.facet(),
        FractureKind::Lamina => smith.lamina(),
        FractureKind::Spinous => smith.spinous(),
        FractureKind::Transverse => smith.transverse(),
    };
    let far = |v: [f32; 3]| (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    let displacement = pieces.iter().fold(0.0_f32, |most, p| most.max(far(p.shift_mm) + 12.0 * far(p.turn)));
    let impacted = matches!(kind, FractureKind::Compression | FractureKind::Burst);
    Break {
        level: vertebra.level,
        kind,
        displacement_mm: f64::from(displacement),
        pieces,
        gap_hu,
        impaction_hu: if impacted { crushed } else { 0.0 },
        rough_mm,
        phase,
        reach_w,
    }
}

/// Makes the pieces of one vertebra.
struct Smith<'a> {
    vertebra: &'a Vertebra,
    draw: &'a mut Stream,
    moved: f32,
    half_gap_mm: f32,
}

fn sheet(at: [f32; 3], normal: [f32; 3]) -> Sheet {
    Sheet { at, normal: unit(normal), bend: 0.0 }
}

impl Smith<'_> {
    fn spread(&mut self, half: f32) -> f32 {
        half * self.draw.signed()
    }
    fn side(&mut self) -> f32 {
        if self.draw.chance(0.5) { 1.0 } else { -1.0 }
    }
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.draw.between(f64::from(low), f64::from(high)) as f32
    }
    /// A piece that moved as a whole, by `direction` times the severity.
    fn free(&self, sheets: Vec<Sheet>, direction: [f32; 3]) -> Piece {
        Piece {
            pivot: sheets.first().map_or([0.0; 3], |s| s.at),
            sheets,
            shift_mm: direction.map(|c| c * self.moved),
            turn: [0.0; 3],
            half_gap_mm: self.half_gap_mm,
            within: None,
        }
    }
    /// A crack that ends inside the bone, which gave way around it.
    fn crack(&mut self, at: [f32; 3], normal: [f32; 3], radius: f32, direction: [f32; 3]) -> Piece {
        let bend = self.spread(0.012);
        let mut piece = self.free(vec![Sheet { bend, ..sheet(at, normal) }], direction);
        piece.within = Some((at, radius));
        piece
    }

    fn dens(&mut self, kind: FractureKind) -> Vec<Piece> {
        let (side, slant) = (self.side(), self.spread(0.3));
        let lean = self.spread(0.2);
        if kind == FractureKind::DensTip {
            let at = [1.2 * side, -8.0, 20.5];
            return vec![self.free(vec![sheet(at, [-0.6 * side, slant, -1.0])], [0.3 * side, 0.0, 0.9])];
        }
        let back = if self.draw.chance(0.65) { 1.0 } else { -0.8 };
        if kind == FractureKind::DensBody {
            let at = [0.0, -8.0, self.between(3.0, 6.0)];
            let mut piece = self.crack(at, [lean, slant, -1.0], 15.0, [0.1, 0.5 * back, -0.1]);
            piece.sheets[0].bend = 0.02;
            return vec![piece];
        }
        let at = [0.0, -8.0, self.between(9.8, 11.6)];
        let bounds = [-1.0, 1.0].map(|s| sheet([s * 7.0, -8.0, 12.0], [s, 0.0, -0.35]));
        let sheets = [vec![sheet(at, [lean, slant, -1.0])], bounds.to_vec()].concat();
        let mut piece = self.free(sheets, [0.15 * side, 0.85 * back, -0.1]);
        piece.turn = [-back * self.between(0.0, 0.07) * self.moved.min(5.0), 0.0, 0.0];
        vec![piece]
    }

    fn hangman(&mut self) -> Vec<Piece> {
        let (p, slant, skew) = (self.between(-0.5, 2.5), self.spread(0.35), self.spread(0.18));
        vec![self.free(vec![sheet([0.0, p, 0.0], [skew, -1.0, slant])], [0.0, 1.0, -0.1])]
    }

    fn axis_body(&mut self) -> Vec<Piece> {
        let (side, x) = (self.side(), self.spread(4.0));
        let normal = [side, self.spread(0.9), self.spread(0.4)];
        vec![self.crack([x, -7.5, -2.0], normal, 14.0, [0.4 * side, 0.2, 0.3])]
    }

    /// Both arches broken on one or both sides: the masses drift apart.
    fn jefferson(&mut self) -> Vec<Piece> {
        let (first, both) = (self.side(), self.draw.chance(0.6));
        let mut pieces = Vec::new();
        for side in if both { vec![first, -first] } else { vec![first] } {
            let (x, skew, slant) = (self.between(7.2, 9.2), self.spread(0.1), self.spread(0.3));
            pieces.push(
                self.free(vec![sheet([side * x, 0.0, 0.0], [-side, side * skew, slant])], [0.8 * side, 0.1, 0.0]),
            );
        }
        pieces
    }

    fn atlas_arch(&mut self) -> Vec<Piece> {
        let side = self.side();
        let slant = self.spread(0.35);
        if self.draw.chance(0.33) {
            let x = side * self.between(2.0, 8.0);
            return vec![self.crack([x, -17.0, 0.0], [side, -0.1, slant], 8.0, [0.3, -0.5 * side, 0.1])];
        }
        let two = self.draw.chance(0.4);
        let mut pieces = Vec::new();
        for side in if two { vec![side, -side] } else { vec![side] } {
            let t = self.between(0.1, 0.9);
            let at = [side * (14.0 - 8.0 * t), 11.0 + 6.0 * t, -1.0];
            pieces.push(self.crack(at, [-0.8 * side, 0.6, slant], 8.0, [0.3 * side, 0.5, -0.3]));
        }
        pieces
    }

    fn atlas_mass(&mut self) -> Vec<Piece> {
        let (side, turn) = (self.side(), self.side());
        let normal = [turn, self.spread(0.6), self.spread(0.3)];
        vec![self.crack([side * 17.5, -4.0, 0.0], normal, 11.0, [0.6 * turn, 0.0, 0.0])]
    }

    /// The upper endplate pressed in, most in front; spongy bone crushed below it.
    fn pressed_in(&mut self, back_to: f32) -> Piece {
        let height = self.vertebra.half_height;
        let lost = (0.5 + 1.1 * self.moved).clamp(0.5, 0.8 * height);
        let (slant, at) = (self.spread(0.2), [0.0, -9.0, height * self.between(0.05, 0.45)]);
        let edge = self.vertebra.half_width + 0.6;
        let mut sheets = vec![sheet(at, [self.spread(0.12), slant, -1.0]), sheet([0.0, back_to, 0.0], [0.0, 1.0, 0.0])];
        sheets.extend([-1.0, 1.0].map(|side| sheet([side * edge, 0.0, 0.0], [side, 0.0, 0.0])));
        let mut piece = self.free(sheets, [0.0; 3]);
        piece.pivot = [0.0, back_to, height];
        piece.turn = [lost / self.vertebra.depth, 0.0, 0.0];
        piece.shift_mm = [0.0, 0.0, -0.15 * lost];
        piece
    }

    fn compression(&mut self) -> Vec<Piece> {
        let (front, side) = (self.spread(3.0), self.side());
        let mut pieces = vec![self.pressed_in(-0.8)];
        // A crack from the sheet to the front wall.
        let depth = self.vertebra.depth;
        pieces.push(self.crack([front, 1.5 - depth, -1.5], [0.5 * side, 0.3, 0.8], 6.0, [0.0, -0.25, 0.0]));
        pieces
    }

    fn burst(&mut self) -> Vec<Piece> {
        let (x, side) = (self.spread(3.5), self.side());
        let mut pieces = vec![self.pressed_in(-6.0)];
        let mut sheets = vec![
            sheet([0.0, -4.0, self.between(-1.5, 1.0)], [0.0, 0.25, -1.0]),
            sheet([0.0, -6.0, 0.0], [0.0, -1.0, 0.1]),
            sheet([0.0, 1.2, 0.0], [0.0, 1.0, 0.0]),
        ];
        sheets.extend([-1.0, 1.0].map(|s| sheet([s * 7.5, -3.0, 0.0], [s, -0.3, 0.0])));
        let mut pushed = self.free(sheets, [0.0, 0.9, 0.1]);
        // A burst always pushes something back.
        pushed.shift_mm[1] = pushed.shift_mm[1].max(0.8);
        pieces.push(pushed);
        let slant = self.spread(0.25);
        pieces.push(self.crack([x, -9.0, -3.0], [side, slant, 0.1], 10.0, [0.25 * side, 0.0, 0.0]));
        if self.draw.chance(0.5) {
            pieces.push(self.crack([4.0 * side, 15.8, -1.0], [-0.85 * side, 0.5, slant], 7.0, [0.0, 0.3, 0.0]));
        }
        pieces
    }

    /// The lower front corner torn off.
    fn teardrop(&mut self) -> Vec<Piece> {
        let axis = self.vertebra.level == Level::C2;
        let depth = if axis { 15.0 } else { self.vertebra.depth };
        let size = self.between(3.0, 9.0);
        let at = [0.0, 0.55 * size - depth, 0.45 * size - self.vertebra.half_height];
        let (skew, slant) = (self.spread(0.25), self.between(0.55, 1.1));
        let mut piece = self.free(vec![sheet(at, [skew, 0.75, slant])], [0.0, -0.8, -0.45]);
        piece.turn = [0.03 * self.moved, 0.0, 0.0];
        vec![piece]
    }

    fn facet(&mut self) -> Vec<Piece> {
        let side = self.side();
        let x = side * self.vertebra.pillar_x;
        let (skew, slant) = (self.spread(0.3), self.spread(0.3));
        let [above, below] = self.vertebra.pillar;
        match self.draw.unit() {
            u if u < 0.45 => {
                // The tip of the upper process.
                let at = [x, 2.5, above * self.between(0.3, 0.65)];
                let bounds =
                    [sheet([side * 12.8, 0.0, 0.0], [-side, 0.0, 0.0]), sheet([0.0, -1.2, 0.0], [0.0, -1.0, 0.0])];
                let sheets = [vec![sheet(at, [skew, slant, -1.0])], bounds.to_vec()].concat();
                vec![self.free(sheets, [0.35 * side, -0.4, 0.6])]
            }
            u if u < 0.7 => {
                let at = [x, 8.0, -below * self.between(0.4, 0.75)];
                let bounds =
                    [sheet([side * 12.0, 0.0, 0.0], [-side, 0.0, 0.0]), sheet([0.0, 2.0, 0.0], [0.0, -1.0, 0.0])];
                let sheets = [vec![sheet(at, [skew, slant, 1.0])], bounds.to_vec()].concat();
                vec![self.free(sheets, [0.3 * side, 0.6, -0.4])]
            }
            u => {
                // Through the whole pillar, upright or across.
                let normal = if u < 0.85 { [0.9, skew + 0.3, slant] } else { [skew, 0.6, 0.8] };
                vec![self.crack([x, 5.0, 0.0], normal, 11.0, [0.4 * side, 0.3, 0.4])]
            }
        }
    }

    fn lamina(&mut self) -> Vec<Piece> {
        let (first, both) = (self.side(), self.draw.chance(0.3));
        let mut pieces = Vec::new();
        for side in if both { vec![first, -first] } else { vec![first] } {
            let (t, slant, skew) = (self.between(0.2, 0.85), self.spread(0.35), self.spread(0.25));
            let at = [side * (17.0 - 16.0 * t), 9.3 + 7.6 * t, -1.0];
            pieces.push(self.crack(at, [-0.87 * side, 0.5 + skew, slant], 9.0, [0.2 * side, 0.6, -0.3]));
        }
        pieces
    }

    fn spinous(&mut self) -> Vec<Piece> {
        let along = self.between(0.3, 0.7) * self.vertebra.spinous;
        let at = [0.0, 16.8 + along, -1.5 - self.vertebra.spinous_drop * along];
        let (skew, slant) = (self.spread(0.3), self.spread(0.45));
        vec![self.free(vec![sheet(at, [skew, -1.0, slant])], [0.1, 0.45, -0.8])]
    }

    /// Through the foramen in half, through the tip in the others.
    fn transverse(&mut self) -> Vec<Piece> {
        let (side, foramen) = (self.side(), self.draw.chance(0.5));
        let reach = self.vertebra.reach[usize::from(side < 0.0)];
        let x = if foramen { self.between(15.2, 17.2) } else { self.between(19.0, (reach - 4.0).max(20.0)) };
        let p = if foramen { -4.0 } else { -3.0 };
        let normal = [-side, self.spread(0.35), self.spread(0.35)];
        vec![self.crack([side * x, p, -1.0], normal, 10.5, [0.6 * side, -0.2, -0.5])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_kinds_have_the_shares_of_the_method() {
        let all: Vec<_> = (0..4000).flat_map(|seed| levels_and_kinds(seed, Kinds::ALL)).collect();
        let n = all.len() as f64;
        assert!((1.35..1.62).contains(&(n / 4000.0)), "fractures per patient: {}", n / 4000.0);
        let share = |of: &dyn Fn(&(Level, FractureKind)) -> bool| all.iter().filter(|f| of(f)).count() as f64 / n;
        let at = |level: Level| share(&|f| f.0 == level);
        assert!((0.06..0.16).contains(&at(Level::C1)), "C1 {}", at(Level::C1));
        assert!((0.14..0.26).contains(&at(Level::C2)), "C2 {}", at(Level::C2));
        assert!(at(Level::C7) > at(Level::C6) && at(Level::C6) > at(Level::C5) && at(Level::C5) > at(Level::C3));
        for kind in FractureKind::ALL {
            let found = share(&|f| f.1 == kind);
            assert!(found > 0.3 * kind.share() / 100.0 && found < 2.0 * kind.share() / 100.0, "{kind:?} {found}");
        }
    }

    #[test]
    fn a_kind_left_out_never_comes_up() {
        let but = Kinds::all_but(&[FractureKind::Facet]);
        let only = Kinds::only(&[FractureKind::Facet]);
        for seed in 0..500 {
            assert!(levels_and_kinds(seed, but).iter().all(|(_, kind)| *kind != FractureKind::Facet));
            let facets = levels_and_kinds(seed, only);
            assert!(!facets.is_empty() && facets.iter().all(|(_, kind)| *kind == FractureKind::Facet));
        }
    }
}
