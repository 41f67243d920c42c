//! Which slices an epoch of stage 1 shows, and in which order (method A15, A20). A pure function of seed, fold and epoch,
//! so a resumed run needs to know only where in the list it stopped.

use super::augment::{Cut, Warp};
use crate::geometry::PixelBox;
use crate::random::Stream;

/// A labelled slice: which case, which of its cached slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub case: usize,
    pub slice: usize,
    pub positive: bool,
}

/// A picture to show: what is cut from which slice, the answer, and where in the picture the reference boxes lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// `positive` is the picture's own label.
    pub(super) item: Item,
    pub(super) cut: Cut,
    /// In the picture's pixels; they may reach over its edge.
    pub(super) boxes: Vec<PixelBox>,
}

impl Shown {
    /// A whole slice of `side x side` pixels with its boxes.
    pub(super) fn slice(item: Item, side: usize, warp: Warp, boxes: &[PixelBox]) -> Self {
        let cut = Cut::whole(side, warp);
        Self { item, cut, boxes: boxes.iter().map(|b| cut.moved(b)).collect() }
    }
}

/// How an epoch draws from the training slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// The paper: every slice as likely as any other.
    PaperUniform,
    /// Half positive; of the negatives half from positive cases, half from negative ones.
    ClassAware,
}

/// The training slices, by what they are good for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pools {
    pub positive: Vec<Item>,
    /// Negative slices of positive cases.
    pub near: Vec<Item>,
    /// Negative slices of negative cases.
    pub far: Vec<Item>,
}

impl Pools {
    /// Sorts items; `case_positive` says which cases count as positive.
    pub fn new(items: &[Item], case_positive: impl Fn(usize) -> bool) -> Self {
        let mut pools = Self::default();
        for &item in items {
            match (item.positive, case_positive(item.case)) {
                (true, _) => pools.positive.push(item),
                (false, true) => pools.near.push(item),
                (false, false) => pools.far.push(item),
            }
        }
        pools
    }

    pub fn len(&self) -> usize {
        self.positive.len() + self.near.len() + self.far.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Share of positives among the labelled slices.
    pub fn prevalence(&self) -> f64 {
        self.positive.len() as f64 / self.len().max(1) as f64
    }

    /// What has to be added to a logit that was learned from `sampling`, so that it speaks of the natural prevalence:
    /// `logit(train) - logit(sampled)`; 0 where nothing was reweighted.
    pub fn prior_shift(&self, sampling: Sampling) -> f64 {
        let prevalence = self.prevalence();
        match sampling {
            // The sampled prevalence is one half, whose logit is 0.
            Sampling::ClassAware if prevalence > 0.0 && prevalence < 1.0 => (prevalence / (1.0 - prevalence)).ln(),
            _ => 0.0,
        }
    }

    /// The slices of one epoch in order; all training slices' number when `count` is `None`.
    pub fn epoch(&self, sampling: Sampling, count: Option<usize>, seed: u64, fold: usize, epoch: usize) -> Vec<Item> {
        let count = count.unwrap_or(self.len());
        let mut stream = Stream::named(seed, "sampler", (fold as u64) << 32 | epoch as u64);
        let mut order = match sampling {
            Sampling::PaperUniform => {
                let all = [&self.positive[..], &self.near, &self.far].concat();
                drawn(&all, count, &mut stream)
            }
            Sampling::ClassAware => {
                let positive = count / 2;
                let near = match (self.near.is_empty(), self.far.is_empty()) {
                    (true, _) => 0,
                    (false, true) => count - positive,
                    (false, false) => (count - positive) / 2,
                };
                let mut order = drawn(&self.positive, positive, &mut stream);
                order.extend(drawn(&self.near, near, &mut stream));
                order.extend(drawn(&self.far, count - positive - near, &mut stream));
                order
            }
        };
        stream.shuffle(&mut order);
        order
    }
}

/// `count` items, each as often as any other up to one: whole rounds, then the head of a shuffle.
pub(super) fn drawn(pool: &[Item], count: usize, stream: &mut Stream) -> Vec<Item> {
    let mut order = Vec::with_capacity(count);
    while order.len() < count && !pool.is_empty() {
        let mut round = pool.to_vec();
        stream.shuffle(&mut round);
        round.truncate(count - order.len());
        order.extend(round);
    }
    order
}

/// Deals the labels of items anew, each as often as before: what a network learns from them is nothing.
pub fn shuffle_labels(items: &mut [Item], seed: u64) {
    let mut labels: Vec<bool> = items.iter().map(|item| item.positive).collect();
    Stream::named(seed, "shuffled slice labels", 0).shuffle(&mut labels);
    items.iter_mut().zip(labels).for_each(|(item, positive)| item.positive = positive);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(positive: usize, near: usize, far: usize) -> Pools {
        let make = |count: usize, case: usize, positive: bool| {
            (0..count).map(move |slice| Item { case, slice, positive }).collect::<Vec<_>>()
        };
        let items = [make(positive, 0, true), make(near, 1, false), make(far, 2, false)].concat();
        Pools::new(&items, |case| case < 2)
    }

    #[test]
    fn the_class_aware_epoch_is_half_positive_and_its_negatives_halved() {
        let pools = pools(10, 300, 500);
        let order = pools.epoch(Sampling::ClassAware, Some(400), 1, 0, 0);
        let of = |case: usize| order.iter().filter(|item| item.case == case).count();
        assert_eq!((order.len(), of(0), of(1), of(2)), (400, 200, 100, 100));
        // Twenty rounds over ten positives: none is shown more often than another.
        assert!((0..10).all(|slice| order.iter().filter(|i| i.case == 0 && i.slice == slice).count() == 20));
    }

    #[test]
    fn a_missing_kind_of_negative_is_made_up_by_the_other() {
        assert_eq!(pools(4, 0, 50).epoch(Sampling::ClassAware, Some(40), 1, 0, 0).len(), 40);
        assert_eq!(pools(4, 50, 0).epoch(Sampling::ClassAware, Some(40), 1, 0, 0).len(), 40);
    }

    #[test]
    fn the_papers_epoch_shows_every_slice_once() {
        let pools = pools(5, 30, 65);
        let mut order = pools.epoch(Sampling::PaperUniform, None, 7, 0, 3);
        order.sort_by_key(|item| (item.case, item.slice));
        order.dedup();
        assert_eq!(order.len(), 100);
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let pools = pools(10, 30, 30);
        let epoch = |fold, epoch| pools.epoch(Sampling::ClassAware, None, 9, fold, epoch);
        assert_eq!(epoch(1, 2), epoch(1, 2));
        assert_ne!(epoch(1, 2), epoch(1, 3));
        assert_ne!(epoch(1, 2), epoch(2, 2));
    }

    #[test]
    fn the_prior_comes_back() {
        let pools = pools(20, 40, 940);
        let shift = pools.prior_shift(Sampling::ClassAware);
        // A slice that is undecided among halves has the natural prevalence.
        assert!((1.0 / (1.0 + (-shift).exp()) - 0.02).abs() < 1e-12);
        assert_eq!(pools.prior_shift(Sampling::PaperUniform), 0.0);
    }

    #[test]
    fn shuffled_labels_keep_their_number() {
        let mut items: Vec<Item> = (0..200).map(|slice| Item { case: 0, slice, positive: slice < 40 }).collect();
        shuffle_labels(&mut items, 3);
        assert_eq!(items.iter().filter(|item| item.positive).count(), 40);
        assert!(items[..40].iter().filter(|item| item.positive).count() < 30);
    }
}
