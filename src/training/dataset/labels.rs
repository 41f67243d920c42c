//! Three-valued labels of slices from boxes that do not say everything (method 2.1).

use crate::truth::SliceLabel;

/// A gap of at most this many slices between boxes may be part of one fracture that was not boxed throughout.
const GAP_SLICES: usize = 12;
/// Slices this near to a box may show the fracture too.
const NEAR_MM: f64 = 2.0;

/// What is known of a study's slices, in display order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub fractured: Option<bool>,
    /// Fractured levels C1 to C7.
    pub levels: Option<[bool; 7]>,
    pub boxed: &'a [bool],
    /// Position along the normal, where the file gives it.
    pub position_mm: &'a [Option<f64>],
    /// Levels C1 to C7 that a slice shows, where there is a segmentation.
    pub shows: Option<&'a [[bool; 7]]>,
}

/// Negative study: all negative. Positive study without boxes, or nothing known: all ignored. Positive study with
/// boxes: a boxed slice is positive; a slice between boxes at most 12 apart, within 2 mm of a box, or of a
/// fractured level that no box shows is ignored; all others are negative.
pub(super) fn labels(known: &Known) -> Vec<SliceLabel> {
    let count = known.boxed.len();
    if known.fractured == Some(false) {
        return vec![SliceLabel::Negative; count];
    }
    if known.fractured.is_none() || !known.boxed.contains(&true) {
        return vec![SliceLabel::Ignore; count];
    }
    let boxed: Vec<usize> = (0..count).filter(|&i| known.boxed[i]).collect();
    let unboxed_levels = unboxed_levels(known);
    (0..count)
        .map(|index| {
            if known.boxed[index] {
                SliceLabel::Positive
            } else if in_gap(&boxed, index)
                || near(known.position_mm, &boxed, index)
                || doubtful(known, unboxed_levels, index)
            {
                SliceLabel::Ignore
            } else {
                SliceLabel::Negative
            }
        })
        .collect()
}

fn in_gap(boxed: &[usize], index: usize) -> bool {
    let after = boxed.partition_point(|&b| b < index);
    let (before, after) = (after.checked_sub(1).and_then(|i| boxed.get(i)), boxed.get(after));
    matches!((before, after), (Some(before), Some(after)) if after - before - 1 <= GAP_SLICES)
}

fn near(position_mm: &[Option<f64>], boxed: &[usize], index: usize) -> bool {
    let at = |i: usize| position_mm.get(i).copied().flatten();
    let Some(here) = at(index) else { return false };
    // Positions are written with few digits.
    boxed.iter().filter_map(|&b| at(b)).any(|there| (there - here).abs() <= NEAR_MM + 1e-6)
}

/// Fractured levels that no boxed slice shows; none without a segmentation.
fn unboxed_levels(known: &Known) -> [bool; 7] {
    let (Some(levels), Some(shows)) = (known.levels, known.shows) else { return [false; 7] };
    std::array::from_fn(|level| {
        let boxed = shows.iter().zip(known.boxed).any(|(shows, boxed)| *boxed && shows[level]);
        levels[level] && !boxed
    })
}

fn doubtful(known: &Known, unboxed_levels: [bool; 7], index: usize) -> bool {
    let shown = known.shows.and_then(|shows| shows.get(index));
    shown.is_some_and(|shown| shown.iter().zip(unboxed_levels).any(|(shown, unboxed)| *shown && unboxed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(fractured: Option<bool>, boxed: &[bool], spacing_mm: f64) -> Vec<SliceLabel> {
        let position_mm: Vec<Option<f64>> = (0..boxed.len()).map(|i| Some(100.0 - spacing_mm * i as f64)).collect();
        labels(&Known { fractured, levels: None, boxed, position_mm: &position_mm, shows: None })
    }
    fn at(count: usize, places: &[usize]) -> Vec<bool> {
        (0..count).map(|i| places.contains(&i)).collect()
    }
    fn letters(labels: &[SliceLabel]) -> String {
        let letter = |l: &SliceLabel| match l {
            SliceLabel::Negative => '-',
            SliceLabel::Positive => '+',
            SliceLabel::Ignore => '?',
        };
        labels.iter().map(letter).collect()
    }

    #[test]
    fn gaps_of_twelve_are_ignored_and_of_thirteen_are_not() {
        assert_eq!(letters(&of(Some(true), &at(20, &[2, 15]), 5.0)), "--+????????????+----");
        assert_eq!(letters(&of(Some(true), &at(20, &[2, 16]), 5.0)), "--+-------------+---");
    }

    #[test]
    fn two_millimetres_around_a_box_are_ignored() {
        assert_eq!(letters(&of(Some(true), &at(9, &[4]), 1.0)), "--??+??--");
        assert_eq!(letters(&of(Some(true), &at(9, &[4]), 2.5)), "----+----");
        let unplaced =
            Known { fractured: Some(true), levels: None, boxed: &at(3, &[1]), position_mm: &[None; 3], shows: None };
        assert_eq!(letters(&labels(&unplaced)), "-+-");
    }

    #[test]
    fn a_fractured_level_without_a_box_is_ignored_where_it_is_known() {
        let mut levels = [false; 7];
        levels[1] = true;
        levels[5] = true;
        let shows: Vec<[bool; 7]> = (0..8).map(|i| std::array::from_fn(|level| level == i)).collect();
        let boxed = at(8, &[1]);
        let position_mm: Vec<Option<f64>> = (0..8).map(|i| Some(-9.0 * f64::from(i))).collect();
        let known = Known {
            fractured: Some(true),
            levels: Some(levels),
            boxed: &boxed,
            position_mm: &position_mm,
            shows: Some(&shows),
        };
        assert_eq!(letters(&labels(&known)), "-+---?--");
        assert_eq!(letters(&labels(&Known { shows: None, ..known })), "-+------");
    }

    proptest! {
        #[test]
        fn rules_hold_for_any_boxes(boxed in prop::collection::vec(prop::bool::weighted(0.15), 0..80), spacing in 0.3..4.0f64) {
            prop_assert!(of(Some(false), &boxed, spacing).iter().all(|l| *l == SliceLabel::Negative));
            prop_assert!(of(None, &boxed, spacing).iter().all(|l| *l == SliceLabel::Ignore));
            let found = of(Some(true), &boxed, spacing);
            prop_assert_eq!(found.len(), boxed.len());
            for (i, label) in found.iter().enumerate() {
                prop_assert_eq!(*label == SliceLabel::Positive, boxed[i]);
                let distance = (0..boxed.len()).filter(|b| boxed[*b]).map(|b| b.abs_diff(i)).min();
                // Whoever is far from every box on both sides is told negative, whoever is near is not.
                match distance {
                    None => prop_assert_eq!(*label, SliceLabel::Ignore),
                    Some(d) if d > 0 && d as f64 * spacing <= 2.0 => prop_assert_eq!(*label, SliceLabel::Ignore),
                    Some(d) if d > 12 && d as f64 * spacing > 2.1 => prop_assert_eq!(*label, SliceLabel::Negative),
                    Some(_) => {}
                }
            }
            // Turning the stack round turns the labels round.
            let turned: Vec<bool> = boxed.iter().rev().copied().collect();
            let mut back = of(Some(true), &turned, spacing);
            back.reverse();
            prop_assert_eq!(back, found);
        }
    }
}
