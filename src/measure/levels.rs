//! Vertebrae that the reader has named, and the level of what lies between them.
//!
//! Nothing here is guessed from the image: a place has a level only as far as named vertebrae reach.

use super::{Kind, Measurement, Space};
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::truth::Level;

/// Height of a cervical vertebra with its disc, mm, where a single one is named and nothing better is known.
const LEVEL_MM: f64 = 17.0;

/// The level that the reader has given a vertebra; `None` where its name is none.
pub fn level_of(measurement: &Measurement) -> Option<Level> {
    let name = measurement.name.trim();
    let named = |level: &Level| level.name().eq_ignore_ascii_case(name);
    Level::ALL.into_iter().find(named).filter(|_| measurement.kind == Kind::Vertebra)
}

/// Named vertebrae, head to feet by their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Levels(Vec<(Level, PatientPoint)>);

impl Levels {
    /// Of several that carry one name the last drawn counts.
    pub fn of(measurements: &[Measurement]) -> Self {
        let mut named: Vec<(Level, PatientPoint)> = Vec::new();
        for measurement in measurements.iter().filter(|m| m.ground.space == Space::Patient) {
            if let (Some(level), Some(at)) = (level_of(measurement), measurement.points.first()) {
                named.retain(|(other, _)| *other != level);
                named.push((level, *at));
            }
        }
        named.sort_by_key(|(level, _)| level.index());
        Self(named)
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn named(&self) -> &[(Level, PatientPoint)] {
        &self.0
    }
    /// Each vertebra lies nearer to the feet than the one named before it; otherwise names are mistaken and no place has a
    /// level.
    pub fn in_order(&self) -> bool {
        self.0.windows(2).all(|pair| matches!(pair, [(_, a), (_, b)] if a.0.z > b.0.z))
    }
    /// The level at a height (LPS z, mm): of the nearest named vertebra, or counted between two that are named further
    /// apart; beyond the last ones half a vertebra more.
    pub fn at_z(&self, z_mm: f64) -> Option<Level> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        if !self.in_order() || !z_mm.is_finite() {
            return None;
        }
        let half_mm = self.level_mm() / 2.0;
        let [above, below] = [z_mm - first.1.0.z, last.1.0.z - z_mm];
        if above >= 0.0 {
            return (above <= half_mm).then_some(first.0);
        }
        if below >= 0.0 {
            return (below <= half_mm).then_some(last.0);
        }
        self.0.windows(2).find_map(|pair| {
            let [(a, at_a), (b, at_b)] = pair else { return None };
            let share = (at_a.0.z - z_mm) / (at_a.0.z - at_b.0.z);
            let between = a.index() as f64 + share * (b.index() - a.index()) as f64;
            let index = between.round().max(0.0) as usize;
            (0.0..=1.0).contains(&share).then(|| Level::ALL.get(index).copied()).flatten()
        })
    }
    /// The level of a slice that lies across the spine: the vertebrae tell where the spine passes through it.
    pub fn on(&self, slice: &SlicePose) -> Option<Level> {
        let normal = slice.normal();
        // Along the spine a slice says no level.
        if normal.z.abs() < 0.5 {
            return None;
        }
        let along = |at: Vec3| (at - slice.origin.0).dot(normal);
        let course: Vec<Vec3> = self.0.iter().map(|(_, at)| at.0).collect();
        let crossed = course.windows(2).find_map(|pair| {
            let [a, b] = pair else { return None };
            let (da, db) = (along(*a), along(*b));
            (da * db <= 0.0 && da != db).then(|| a.z + (b.z - a.z) * da / (da - db))
        });
        let nearest = || {
            let point = course.iter().copied().min_by(|a, b| along(*a).abs().total_cmp(&along(*b).abs()))?;
            Some(point.z - along(point) / normal.z)
        };
        self.at_z(crossed.or_else(nearest)?)
    }
    /// Mean height of a level between the named ones, mm.
    fn level_mm(&self) -> f64 {
        match (self.0.first(), self.0.last()) {
            (Some((a, at_a)), Some((b, at_b))) if b.index() > a.index() => {
                (at_a.0.z - at_b.0.z) / (b.index() - a.index()) as f64
            }
            _ => LEVEL_MM,
        }
    }
    /// The name that a further vertebra there most likely has: C2 for the first, the next one outside of those that are
    /// named, the one that is missing between them. `None` where there is none.
    pub fn next(&self, at: PatientPoint) -> Option<Level> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Some(Level::C2) };
        let z_mm = at.0.z;
        if z_mm >= first.1.0.z {
            return first.0.index().checked_sub(1).and_then(|index| Level::ALL.get(index).copied());
        }
        if z_mm <= last.1.0.z {
            return Level::ALL.get(last.0.index() + 1).copied();
        }
        let taken = |level: &Level| self.0.iter().any(|(named, _)| named == level);
        self.at_z(z_mm).filter(|level| !taken(level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(named: &[(Level, f64)]) -> Levels {
        Levels(named.iter().map(|(level, z)| (*level, PatientPoint(Vec3::new(0.0, 0.0, *z)))).collect())
    }

    fn at(z: f64) -> PatientPoint {
        PatientPoint(Vec3::new(3.0, 4.0, z))
    }

    #[test]
    fn a_place_has_the_level_of_the_nearest_vertebra_as_far_as_they_reach() {
        let named = levels(&[(Level::C2, 100.0), (Level::C3, 80.0), (Level::C6, 20.0)]);
        for (z, expected) in [
            (111.0, None),
            (109.9, Some(Level::C2)),
            (91.0, Some(Level::C2)),
            (89.0, Some(Level::C3)),
            // C4 and C5 are counted.
            (60.0, Some(Level::C4)),
            (41.0, Some(Level::C5)),
            (28.0, Some(Level::C6)),
            (10.1, Some(Level::C6)),
            (9.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(named.at_z(z), expected, "z {z}");
        }
        assert_eq!(levels(&[]).at_z(3.0), None);
        let one = levels(&[(Level::C5, 0.0)]);
        assert_eq!((one.at_z(8.0), one.at_z(-8.0), one.at_z(9.0)), (Some(Level::C5), Some(Level::C5), None));
    }

    #[test]
    fn names_out_of_order_say_nothing() {
        let named = levels(&[(Level::C2, 80.0), (Level::C3, 100.0)]);
        assert!(!named.in_order());
        assert_eq!(named.at_z(90.0), None);
    }

    #[test]
    fn the_next_name_is_counted_from_those_there_are() {
        assert_eq!(levels(&[]).next(at(50.0)), Some(Level::C2));
        let named = levels(&[(Level::C2, 100.0), (Level::C4, 60.0)]);
        assert_eq!(named.next(at(120.0)), Some(Level::C1));
        assert_eq!(named.next(at(79.0)), Some(Level::C3));
        assert_eq!(named.next(at(59.0)), Some(Level::C5));
        assert_eq!(named.next(at(98.0)), None, "C2 is there");
        assert_eq!(levels(&[(Level::T1, 0.0)]).next(at(-20.0)), None);
        assert_eq!(levels(&[(Level::C1, 0.0)]).next(at(20.0)), None);
    }

    #[test]
    fn a_tilted_slice_has_the_level_where_the_spine_passes_through_it() {
        // The spine runs down at y 40, the slice rises 30 degrees towards it from y 0.
        let named = Levels(
            [(Level::C3, 100.0), (Level::C4, 80.0), (Level::C5, 60.0)]
                .map(|(level, z)| (level, PatientPoint(Vec3::new(0.0, 40.0, z))))
                .to_vec(),
        );
        let (sin, cos) = 30.0_f64.to_radians().sin_cos();
        let slice = |z: f64| SlicePose {
            origin: PatientPoint(Vec3::new(-50.0, 0.0, z)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, cos, sin),
        };
        // At y 40 it is 23 mm higher than at its first row.
        assert_eq!(named.on(&slice(57.0)), Some(Level::C4));
        assert_eq!(named.on(&slice(77.0)), Some(Level::C3));
        assert_eq!(named.on(&slice(84.0)), Some(Level::C3), "half a vertebra above the first");
        assert_eq!(named.on(&slice(90.0)), None);
        let along = SlicePose { along_column: Vec3::new(0.0, 0.0, -1.0), ..slice(0.0) };
        assert_eq!(named.on(&along), None);
    }
}
