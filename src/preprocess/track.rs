//! The line through the slices that collects the most of the canal: dynamic programming over the holes of all slices.

use super::canal::Hole;

/// Longest stretch without a hole that the track may bridge, mm.
const MAX_GAP_MM: f64 = 45.0;
/// Displacement between two slices that counts as none, mm: the centre of a hole jumps that much by noise.
const SLACK_MM: f64 = 3.0;
/// A spine does not run flatter than this, sideways per height.
const MAX_SLOPE: f64 = 1.7;
/// Cost of slope (squared, per mm of height) and of a stretch without holes (per mm beyond the first ones).
const SLOPE_COST: f64 = 0.35;
const GAP_COST: f64 = 0.1;
const FREE_GAP_MM: f64 = 6.0;
/// A slice counts for at most this much height, mm.
const MAX_SHARE_MM: f64 = 5.0;
/// A shorter track than this much worth (mm of perfect canal) is none.
const MIN_WORTH_MM: f64 = 8.0;

/// A hole of a slice on the track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knot {
    pub slice: usize,
    pub hole: Hole,
}

/// One state of the search.
struct Node {
    knot: Knot,
    depth_mm: f64,
    total: f64,
    before: Option<usize>,
}

/// The best track, from the first slice to the last; empty where there is none. `depth_mm` ascends with the slices.
pub fn best(holes: &[&[Hole]], depth_mm: &[f64]) -> Vec<Knot> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut first = 0;
    for (slice, (found, &depth)) in holes.iter().zip(depth_mm).enumerate() {
        let share_mm = share_mm(depth_mm, slice);
        while nodes.get(first).is_some_and(|node| depth - node.depth_mm > MAX_GAP_MM) {
            first += 1;
        }
        let earlier = nodes.len();
        for &hole in *found {
            let mut total = 0.0;
            let mut before = None;
            for (index, node) in nodes.iter().enumerate().take(earlier).skip(first) {
                if let Some(cost) = step_cost(&node.knot.hole, &hole, depth - node.depth_mm)
                    && node.total - cost > total
                {
                    (total, before) = (node.total - cost, Some(index));
                }
            }
            total += hole.worth * share_mm;
            nodes.push(Node { knot: Knot { slice, hole }, depth_mm: depth, total, before });
        }
    }
    let best = nodes.iter().enumerate().max_by(|a, b| a.1.total.total_cmp(&b.1.total));
    let Some((last, _)) = best.filter(|(_, node)| node.total >= MIN_WORTH_MM) else { return Vec::new() };
    let mut track: Vec<Knot> =
        std::iter::successors(Some(last), |&index| nodes[index].before).map(|index| nodes[index].knot).collect();
    track.reverse();
    track
}

/// `None` where no spine runs like that.
fn step_cost(from: &Hole, to: &Hole, height_mm: f64) -> Option<f64> {
    if height_mm <= 0.0 {
        return None;
    }
    let moved_mm = (to.at_mm[0] - from.at_mm[0]).hypot(to.at_mm[1] - from.at_mm[1]);
    let slope = (moved_mm - SLACK_MM).max(0.0) / height_mm;
    let gap_mm = (height_mm - FREE_GAP_MM).max(0.0);
    (slope <= MAX_SLOPE).then_some(SLOPE_COST * slope * slope * height_mm + GAP_COST * gap_mm)
}

/// Height that a slice stands for: half the way to each neighbour.
fn share_mm(depth_mm: &[f64], slice: usize) -> f64 {
    let at = |i: usize| depth_mm.get(i).copied();
    let here = depth_mm[slice];
    let up = slice.checked_sub(1).and_then(at).map(|before| here - before);
    let down = at(slice + 1).map(|after| after - here);
    let both = (up.or(down).unwrap_or(1.0) + down.or(up).unwrap_or(1.0)) / 2.0;
    both.clamp(0.0, MAX_SHARE_MM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(x: f64, worth: f64) -> Hole {
        Hole { at_mm: [x, 100.0], area_mm2: 200.0, worth }
    }

    #[track_caller]
    fn check(slices: &[Vec<Hole>], expected: &[(usize, f64)]) {
        let holes: Vec<&[Hole]> = slices.iter().map(Vec::as_slice).collect();
        let depth_mm: Vec<f64> = (0..slices.len()).map(|i| i as f64 * 2.0).collect();
        let got: Vec<(usize, f64)> = best(&holes, &depth_mm).iter().map(|k| (k.slice, k.hole.at_mm[0])).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_long_line_wins_over_better_single_holes_and_bridges_a_gap() {
        let mut slices = vec![vec![hole(100.0, 0.7)]; 12];
        slices[3].push(hole(160.0, 1.0));
        slices[6].clear();
        slices[7].clear();
        let expected: Vec<(usize, f64)> = (0..12).filter(|i| ![6, 7].contains(i)).map(|i| (i, 100.0)).collect();
        check(&slices, &expected);
    }

    #[test]
    fn a_slanting_spine_is_followed_and_too_little_is_nothing() {
        let slices: Vec<Vec<Hole>> = (0..20).map(|i| vec![hole(100.0 + 1.6 * f64::from(i), 0.9)]).collect();
        let expected: Vec<(usize, f64)> = (0..20).map(|i| (i, 100.0 + 1.6 * i as f64)).collect();
        check(&slices, &expected);
        check(&[vec![hole(1.0, 1.0)], vec![hole(1.0, 1.0)]], &[]);
        check(&[], &[]);
    }
}
