//! Cut-outs of slices at the pixel size of the whole, labelled by the reference boxes: what the backbone learns before whole
//! slices, so that a hairline keeps its pixels while a step stays cheap. Every picture is a pure function of seed, fold,
//! epoch and its index in the epoch.
//!
//! Crops without a fracture are cut where other slices have one, so that the place gives nothing away; half of them come from
//! slices with a fracture elsewhere. A slice that is called positive and has no box is neither shown nor cut from.

use rayon::prelude::*;

use super::augment::{Augmentation, Cut, Warp};
use super::cache::StoredCase;
use super::sampler::{Item, Pools, Shown, drawn};
use crate::geometry::PixelBox;
use crate::random::Stream;

/// How far a crop's centre may lie from the place it is drawn around, share of its edge.
const JITTER: f64 = 0.25;
/// A box counts as inside where this share of it, or of the crop, is.
const INSIDE: f64 = 0.5;
/// Draws from one slice before another one is taken.
const TRIES: usize = 12;
/// Slices tried for one crop before the slice that was meant gives its plainest crop.
const SLICES: usize = 6;

/// Where crops are drawn from.
#[derive(Debug, Clone)]
pub(super) struct Crops<'a> {
    cases: &'a [StoredCase],
    slice_side: usize,
    side: usize,
    augmentation: Augmentation,
    /// Positive slices with a box that a crop about its centre holds.
    boxed: Vec<Item>,
    /// Negative ones, in the order of [`SHARES`]: positive slices with a place off their boxes, negative slices of positive
    /// cases, negative slices of negative cases.
    negative: [Vec<Item>; 3],
    /// Centres of the boxes of the training slices, in the slice's pixels.
    places: Vec<[f64; 2]>,
}

/// What the crops without a fracture are made of, in quarters.
const SHARES: [usize; 3] = [2, 1, 1];

/// Edges of slice and crop, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) slice: usize,
    pub(super) crop: usize,
}

impl<'a> Crops<'a> {
    /// Crops of the training slices.
    pub(super) fn new(cases: &'a [StoredCase], pools: &Pools, sides: Sides, augmentation: Augmentation) -> Self {
        let boxes = pools.positive.iter().flat_map(|item| boxes_of(cases, item));
        let places = boxes.filter_map(|b| seen(b, sides.slice)).map(|b| middle(&b)).collect();
        Self::with_places(cases, pools, sides, augmentation, places)
    }

    /// Crops of other slices, un-augmented; those without a fracture lie where these training crops lie.
    pub(super) fn for_validation(&self, pools: &Pools) -> Self {
        let sides = Sides { slice: self.slice_side, crop: self.side };
        Self::with_places(self.cases, pools, sides, Augmentation::NONE, self.places.clone())
    }

    fn with_places(
        cases: &'a [StoredCase],
        pools: &Pools,
        sides: Sides,
        augmentation: Augmentation,
        places: Vec<[f64; 2]>,
    ) -> Self {
        let (slice_side, side) = (sides.slice, sides.crop);
        let negative = [const { Vec::new() }; 3];
        let mut crops = Self { cases, slice_side, side, augmentation, boxed: Vec::new(), negative, places };
        let chosen = |from: &[Item], good: &(dyn Fn(&Item) -> bool + Sync)| -> Vec<Item> {
            from.par_iter().filter(|item| good(item)).copied().collect()
        };
        let empty = |item: &Item| boxes_of(cases, item).is_empty();
        crops.boxed = chosen(&pools.positive, &|item| !crops.centres(item).is_empty());
        crops.negative = [
            chosen(&pools.positive, &|item| !empty(item) && crops.free_place(item, 0).is_some()),
            chosen(&pools.near, &empty),
            chosen(&pools.far, &empty),
        ];
        crops
    }

    /// Slices with a box that a crop can show.
    pub(super) fn boxed(&self) -> usize {
        self.boxed.len()
    }

    /// The crops of one epoch in order, half of them with a fracture.
    pub(super) fn epoch(&self, count: usize, seed: u64, stream: usize, epoch: usize) -> Vec<Shown> {
        let key = Stream::named(seed, "crops", stream as u64).next_u64();
        let mut order = self.slices(count, &mut Stream::named(key, "slices", epoch as u64));
        Stream::named(key, "order", epoch as u64).shuffle(&mut order);
        let of = |(index, (pool, item)): (usize, &(&[Item], Item))| {
            self.draw(pool, *item, &mut Stream::named(key, "crop", (epoch as u64) << 32 | index as u64))
        };
        order.par_iter().enumerate().map(of).collect()
    }

    /// What the crops of an epoch are cut from, each slice with the pool it was taken from and the label its crop shall have.
    fn slices(&self, count: usize, stream: &mut Stream) -> Vec<(&[Item], Item)> {
        let negative = if self.boxed.is_empty() { 0 } else { count - count / 2 };
        let mut order = Vec::with_capacity(count);
        let mut take = |pool: &'_ [Item], count: usize, positive: bool| {
            drawn(pool, count, stream).into_iter().map(|item| Item { positive, ..item }).collect::<Vec<_>>()
        };
        order.extend(take(&self.boxed, count - negative, true).into_iter().map(|item| (&self.boxed[..], item)));
        // What a pool cannot give the others make up for.
        let shares: [usize; 3] =
            std::array::from_fn(|kind| if self.negative[kind].is_empty() { 0 } else { SHARES[kind] });
        let (mut left, mut quarters) = (negative, shares.iter().sum::<usize>());
        for (pool, share) in self.negative.iter().zip(shares).filter(|(_, share)| *share > 0) {
            let part = left * share / quarters;
            order.extend(take(pool, part, false).into_iter().map(|item| (&pool[..], item)));
            (left, quarters) = (left - part, quarters - share);
        }
        order
    }

    /// A crop of this slice, or of another one of its pool where chance finds none in it.
    fn draw(&self, pool: &[Item], meant: Item, stream: &mut Stream) -> Shown {
        let mut item = meant;
        for _ in 0..SLICES {
            for _ in 0..TRIES {
                let warp = self.augmentation.draw(stream);
                let place = self.place(&item, stream);
                let cut = self.cut(place, warp);
                if self.label(&item, &cut) == Some(meant.positive) {
                    return self.shown(item, cut);
                }
            }
            item =
                pool.get(stream.below(pool.len())).map_or(meant, |&other| Item { positive: meant.positive, ..other });
        }
        // The pools hold only slices that have such a crop.
        let start = stream.below(self.places.len());
        let place = if meant.positive { self.centres(&meant).first().copied() } else { self.free_place(&meant, start) };
        let centre = place.unwrap_or([self.slice_side as f64 / 2.0; 2]);
        self.shown(meant, self.cut(centre, Warp::IDENTITY))
    }

    /// The middle of one of the slice's boxes, or for a crop without a fracture that of any training slice's box, mirrored half
    /// of the time; with jitter.
    fn place(&self, item: &Item, stream: &mut Stream) -> [f64; 2] {
        let place = if item.positive {
            let centres = self.centres(item);
            centres.get(stream.below(centres.len())).copied()
        } else {
            let place = self.places.get(stream.below(self.places.len())).copied();
            if stream.chance(0.5) { place.map(|place| self.mirrored(place)) } else { place }
        };
        let [x, y] = place.unwrap_or([self.slice_side as f64 / 2.0; 2]);
        let reach = JITTER * self.side as f64;
        [x + stream.between(-reach, reach), y + stream.between(-reach, reach)]
    }

    fn mirrored(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.slice_side as f64 - x, y]
    }

    /// A crop about a place, moved by less than a pixel so that it lies on the slice's pixels: nothing is blurred that is not
    /// turned or scaled.
    fn cut(&self, place: [f64; 2], warp: Warp) -> Cut {
        let half = self.side as f64 / 2.0;
        let centre = place.map(|at| (at - half).round() + half);
        Cut { warp, centre, slice_side: self.slice_side, side: self.side }
    }

    fn shown(&self, item: Item, cut: Cut) -> Shown {
        let boxes = boxes_of(self.cases, &item).iter().filter_map(|b| seen(b, self.slice_side));
        Shown { item, cut, boxes: boxes.map(|b| cut.moved(&b)).collect() }
    }

    /// Whether a crop shows a fracture; `None` where it shows too little of one to say.
    fn label(&self, item: &Item, cut: &Cut) -> Option<bool> {
        label(boxes_of(self.cases, item), cut)
    }

    /// Middles of the boxes whose plainest crop shows a fracture.
    fn centres(&self, item: &Item) -> Vec<[f64; 2]> {
        let boxes = boxes_of(self.cases, item).iter().filter_map(|b| seen(b, self.slice_side));
        let good = |place: &[f64; 2]| self.label(item, &self.cut(*place, Warp::IDENTITY)) == Some(true);
        boxes.map(|b| middle(&b)).filter(good).collect()
    }

    /// A place of the training slices' boxes, looked for from the `start`-th on, where this slice has no box.
    fn free_place(&self, item: &Item, start: usize) -> Option<[f64; 2]> {
        let (after, before) = (self.places.get(start..)?, self.places.get(..start)?);
        let both = after.iter().chain(before).flat_map(|&place| [place, self.mirrored(place)]);
        let free = |place: &[f64; 2]| self.label(item, &self.cut(*place, Warp::IDENTITY)) == Some(false);
        both.into_iter().find(free)
    }
}

fn boxes_of<'a>(cases: &'a [StoredCase], item: &Item) -> &'a [PixelBox] {
    &cases[item.case].head.slices[item.slice].boxes
}

/// 1 where enough of a box lies inside, 0 where no box touches the crop; what of a box lies outside the slice is not there.
fn label(boxes: &[PixelBox], cut: &Cut) -> Option<bool> {
    let edge = cut.side as f64;
    let mut touched = false;
    for (whole, part) in boxes.iter().filter_map(|b| Some((b, seen(b, cut.slice_side)?))) {
        let moved = cut.moved(&part);
        let Some(inside) = common(&moved, &[0.0, 0.0, edge, edge]) else { continue };
        touched = true;
        let enough = area(&inside) >= INSIDE * area(&moved).min(edge * edge);
        if enough && area(&part) >= INSIDE * area(whole) {
            return Some(true);
        }
    }
    (!touched).then_some(false)
}

/// The part of a box that the slice shows.
fn seen(b: &PixelBox, slice_side: usize) -> Option<PixelBox> {
    common(b, &[0.0, 0.0, slice_side as f64, slice_side as f64])
}

fn common(a: &PixelBox, b: &PixelBox) -> Option<PixelBox> {
    let both = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    (both[0] < both[2] && both[1] < both[3]).then_some(both)
}

fn area(b: &PixelBox) -> f64 {
    (b[2] - b[0]) * (b[3] - b[1])
}

fn middle(b: &PixelBox) -> [f64; 2] {
    [(b[0] + b[2]) / 2.0, (b[1] + b[3]) / 2.0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training::cache::{test_head, write};

    const SLICE: usize = 192;
    const CROP: usize = 64;

    fn cut(centre: [f64; 2], warp: Warp) -> Cut {
        Cut { warp, centre, slice_side: SLICE, side: CROP }
    }

    #[test]
    fn labels_by_hand() {
        let still = cut([96.0, 96.0], Warp::IDENTITY);
        // The crop reaches from 64 to 128.
        let of = |boxes: &[PixelBox]| label(boxes, &still);
        assert_eq!(of(&[]), Some(false));
        assert_eq!(of(&[[80.0, 80.0, 90.0, 90.0]]), Some(true));
        // 10 of 20 pixels inside, then 9 of 20, then none.
        assert_eq!(of(&[[54.0, 80.0, 74.0, 90.0]]), Some(true));
        assert_eq!(of(&[[53.0, 80.0, 73.0, 90.0]]), None);
        assert_eq!(of(&[[44.0, 80.0, 64.0, 90.0]]), Some(false));
        // Two boxes: the one that is half inside decides, whatever their order.
        let two = [[53.0, 80.0, 73.0, 90.0], [80.0, 80.0, 90.0, 90.0]];
        assert_eq!((of(&two), of(&[two[1], two[0]])), (Some(true), Some(true)));
        // Larger than the crop: the crop's own area counts.
        assert_eq!(of(&[[0.0, 0.0, 192.0, 192.0]]), Some(true));
        assert_eq!(of(&[[0.0, 0.0, 192.0, 80.0]]), None);
        // Mostly outside the slice: nobody can see it.
        let rim = cut([20.0, 96.0], Warp::IDENTITY);
        assert_eq!(label(&[[-30.0, 80.0, 10.0, 90.0]], &rim), None);
    }

    #[test]
    fn labels_follow_flip_and_rotation() {
        // Just left of the crop: a flip about the crop's centre does not bring it in, a quarter turn neither.
        let b = [[44.0, 90.0, 63.0, 100.0]];
        for warp in [Warp { flip: true, ..Warp::IDENTITY }, Warp { rotation_deg: 90.0, ..Warp::IDENTITY }] {
            assert_eq!(label(&b, &cut([96.0, 96.0], warp)), Some(false));
        }
        // Half of it in the left part; flipped it is as much, in the right part.
        let flipped = cut([96.0, 96.0], Warp { flip: true, ..Warp::IDENTITY });
        let b = [54.0, 90.0, 74.0, 100.0];
        assert_eq!(label(&[b], &flipped), Some(true));
        assert_eq!(flipped.moved(&b), [54.0, 26.0, 74.0, 36.0]);
        // Near the corner: an eighth of a turn takes it over the edge.
        let b = [[50.0, 50.0, 62.0, 62.0]];
        let turned = Warp { rotation_deg: 45.0, ..Warp::IDENTITY };
        let both = |at: f64| [Warp::IDENTITY, turned].map(|warp| label(&b, &cut([at, at], warp)));
        assert_eq!(both(72.0), [Some(true), Some(true)]);
        assert_eq!(both(80.0), [Some(true), None]);
        assert_eq!(both(86.0), [None, Some(false)]);
        assert_eq!(both(96.0), [Some(false), Some(false)]);
    }

    /// Two positive and two negative cases. One positive slice has no box, one a box as large as the slice, one a label that
    /// nobody knows.
    fn cases(folder: &std::path::Path) -> Vec<StoredCase> {
        let positive = vec![
            (Some(true), vec![[40.0, 60.0, 60.0, 72.0]]),
            (Some(true), vec![[120.0, 110.0, 126.0, 140.0], [60.0, 60.0, 80.0, 80.0]]),
            (Some(true), vec![]),
            (Some(true), vec![[2.0, 2.0, 190.0, 190.0]]),
            (None, vec![[90.0, 90.0, 99.0, 99.0]]),
            (Some(false), vec![]),
        ];
        let negative = vec![(Some(false), vec![]); 3];
        (0..4)
            .map(|number| {
                let slices = if number < 2 { &positive } else { &negative };
                let planes = vec![vec![7u8; 3 * SLICE * SLICE]; slices.len()];
                let head = test_head(SLICE, number < 2, slices);
                write(&folder.join(format!("{number}.slices")), head, &planes).unwrap()
            })
            .collect()
    }

    fn pools(cases: &[StoredCase]) -> Pools {
        let all: Vec<usize> = (0..cases.len()).collect();
        Pools::new(&crate::training::fold::labelled(cases, &all), |case| case < 2)
    }

    fn crops(cases: &[StoredCase], augmentation: Augmentation) -> Crops<'_> {
        Crops::new(cases, &pools(cases), Sides { slice: SLICE, crop: CROP }, augmentation)
    }

    #[test]
    fn an_epoch_is_half_positive_and_half_of_its_negatives_come_from_positive_slices() {
        let folder = tempfile::tempdir().unwrap();
        let cases = cases(folder.path());
        let crops = crops(&cases, Augmentation::PRACTICAL);
        assert_eq!(crops.boxed(), 6);
        let epoch = crops.epoch(400, 1, 16, 0);
        let count = |good: &dyn Fn(&Shown) -> bool| epoch.iter().filter(|shown| good(shown)).count();
        let negative_label = |shown: &Shown| cases[shown.item.case].head.slices[shown.item.slice].label == Some(false);
        assert_eq!(count(&|shown| shown.item.positive), 200);
        assert_eq!(count(&|shown| !shown.item.positive && !negative_label(shown)), 100);
        assert_eq!(count(&|shown| negative_label(shown) && shown.item.case < 2), 50);
        assert_eq!(count(&|shown| negative_label(shown) && shown.item.case >= 2), 50);
        // Neither the slice without a box nor the one without a label; nothing free of the box that fills its slice.
        assert!(epoch.iter().all(|shown| shown.item.slice != 2 || shown.item.case >= 2));
        assert!(epoch.iter().all(|shown| shown.item.slice != 4));
        assert!(epoch.iter().all(|shown| shown.item.slice != 3 || shown.item.positive));
    }

    #[test]
    fn what_a_pool_cannot_give_the_others_make_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let cases = cases(folder.path());
        let all = pools(&cases);
        let sides = Sides { slice: SLICE, crop: CROP };
        let split = |pools: &Pools| {
            let epoch = Crops::new(&cases, pools, sides, Augmentation::NONE).epoch(80, 3, 0, 0);
            (epoch.len(), epoch.iter().filter(|shown| shown.item.positive).count())
        };
        assert_eq!(split(&Pools { near: Vec::new(), ..all.clone() }), (80, 40));
        assert_eq!(split(&Pools { far: Vec::new(), near: Vec::new(), ..all.clone() }), (80, 40));
        // Only the slice that its box fills: no place in it is free.
        let full = all.positive.iter().copied().filter(|item| item.slice == 3).collect();
        assert_eq!(split(&Pools { positive: full, ..all }), (80, 40));
    }

    #[test]
    fn validation_crops_are_not_augmented_and_lie_where_training_crops_lie() {
        let folder = tempfile::tempdir().unwrap();
        let cases = cases(folder.path());
        let training = crops(&cases, Augmentation::PRACTICAL);
        let other = training.for_validation(&Pools { positive: pools(&cases).positive, ..pools(&cases) });
        assert_eq!(other.places, training.places);
        let shown = other.epoch(60, 1, 0, 0);
        assert!(shown.iter().all(|shown| shown.cut.warp == Warp::IDENTITY));
        assert!(shown.iter().any(|shown| shown.cut.centre != shown.cut.centre.map(|c| c.clamp(60.0, 61.0))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_draw_is_pure_and_its_labels_are_true(seed in any::<u64>(), stream in 0usize..100, epoch in 0usize..50) {
            let folder = tempfile::tempdir().unwrap();
            let cases = cases(folder.path());
            let crops = crops(&cases, Augmentation::PRACTICAL);
            let shown = crops.epoch(120, seed, stream, epoch);
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            prop_assert_eq!(&shown, &one.install(|| crops.epoch(120, seed, stream, epoch)));
            prop_assert_ne!(&shown, &crops.epoch(120, seed, stream, epoch + 1));
            prop_assert_ne!(&shown, &crops.epoch(120, seed, stream + 1, epoch));
            prop_assert_eq!(shown.iter().filter(|shown| shown.item.positive).count(), 60);
            for shown in &shown {
                let inside: Vec<PixelBox> =
                    shown.boxes.iter().filter_map(|b| common(b, &[0.0, 0.0, CROP as f64, CROP as f64])).collect();
                if shown.item.positive {
                    prop_assert!(!inside.is_empty());
                } else {
                    prop_assert!(inside.is_empty(), "a negative crop touches a box: {:?}", shown);
                }
                let corner = shown.cut.centre.map(|c| c - CROP as f64 / 2.0);
                prop_assert!(corner.iter().all(|c| c.fract() == 0.0));
                // A centre is at most a quarter of the crop, and half a pixel, from a box of some training slice.
                let near = |place: &[f64; 2]| {
                    let reach = 0.25 * CROP as f64 + 0.5;
                    (0..2).all(|axis| (place[axis] - shown.cut.centre[axis]).abs() <= reach)
                };
                prop_assert!(crops.places.iter().any(|&place| near(&place) || near(&crops.mirrored(place))));
            }
        }
    }
}
