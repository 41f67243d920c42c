//! Which slice comes next: what is being read, then an overview, then the rest.

/// Slices up to this far from the one being read come before everything else.
pub const NEIGHBOURHOOD: usize = 4;
/// The overview takes every eighth slice.
pub const COARSE_STEP: usize = 8;

/// The slices still to be done. Asked anew for each slice, so that the order follows the reader.
#[derive(Debug, Clone)]
pub struct Pending {
    waiting: Vec<bool>,
}

impl Pending {
    /// `waiting[i]` says whether slice `i` (display order) is to be done at all.
    pub fn new(waiting: Vec<bool>) -> Self {
        Self { waiting }
    }

    /// Takes the next slice for a reader at `focus`; a focus behind the last slice counts as the last.
    pub fn take_next(&mut self, focus: usize) -> Option<usize> {
        let focus = focus.min(self.waiting.len().saturating_sub(1));
        let waiting = || (0..self.waiting.len()).filter(|&i| self.waiting[i]);
        // Of two neighbours at the same distance the later one comes first: most people read on in display order.
        let nearest = waiting().min_by_key(|&i| (i.abs_diff(focus), i < focus))?;
        let next = if nearest.abs_diff(focus) <= NEIGHBOURHOOD {
            nearest
        } else {
            waiting().find(|i| i.is_multiple_of(COARSE_STEP)).unwrap_or(nearest)
        };
        self.waiting[next] = false;
        Some(next)
    }

    /// Takes this one.
    pub fn take(&mut self, index: usize) {
        if let Some(waits) = self.waiting.get_mut(index) {
            *waits = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(count: usize, focus: usize, expected: &[usize]) {
        let mut pending = Pending::new(vec![true; count]);
        let order: Vec<usize> = std::iter::from_fn(|| pending.take_next(focus)).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn neighbours_then_every_eighth_then_outward() {
        check(0, 0, &[]);
        check(3, 7, &[2, 1, 0]);
        check(26, 10, &[10, 11, 9, 12, 8, 13, 7, 14, 6, 0, 16, 24, 15, 5, 4, 17, 3, 18, 2, 19, 1, 20, 21, 22, 23, 25]);
    }

    #[test]
    fn a_moved_focus_interrupts_the_overview() {
        let mut pending = Pending::new(vec![true; 64]);
        let first: Vec<usize> = (0..11).filter_map(|_| pending.take_next(4)).collect();
        assert_eq!(first[9..], [16, 24]);
        assert_eq!([40, 40, 0].map(|focus| pending.take_next(focus)), [40, 41, 32].map(Some));
    }

    proptest! {
        #[test]
        fn every_waiting_slice_comes_once(
            waiting in proptest::collection::vec(any::<bool>(), 0..60),
            foci in proptest::collection::vec(0_usize..80, 60),
        ) {
            let mut pending = Pending::new(waiting.clone());
            let mut taken: Vec<usize> = foci.iter().map_while(|&focus| pending.take_next(focus)).collect();
            taken.sort_unstable();
            let expected: Vec<usize> = (0..waiting.len()).filter(|&i| waiting[i]).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
