//! Preprocessing against scikit-image (Otsu, connected parts) and PyTorch (antialiased resize), on pictures that are
//! made by the same formulas here and in `tests/fixtures/preprocess/make.py`.

use std::sync::Arc;

use dens::jobs::JobCtx;
use dens::preprocess::{INPUT_SIZE, NO_BONE, Recipe, network_input, otsu, plan};
use dens::volume::{Slice, SlicePixels, Volume};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    otsu: Vec<OtsuCase>,
    volumes: Vec<VolumeCase>,
}

#[derive(Deserialize)]
struct OtsuCase {
    name: String,
    #[serde(default)]
    pixels: usize,
    /// Share of 256, lowest value, span of each of two draws.
    #[serde(default)]
    parts: Vec<(u64, u64, u64)>,
    /// Value and exact count.
    #[serde(default)]
    counts: Vec<(u8, usize)>,
    threshold: u8,
}

#[derive(Deserialize)]
struct VolumeCase {
    name: String,
    columns: usize,
    rows: usize,
    spacing_mm: [f64; 2],
    distance_mm: f64,
    /// Ellipses per slice: centre column and row, radii in columns and rows, HU.
    slices: Vec<Vec<[i64; 5]>>,
    expected: Vec<Option<Expected>>,
}

#[derive(Deserialize)]
struct Expected {
    inside: [usize; 4],
    region: [f64; 4],
    no_bone: bool,
    samples: [Vec<f32>; 3],
    means: [f64; 3],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../fixtures/preprocess/golden.json")).expect("the fixture fits")
}

/// `splitmix64(fnv1a64(name) xor i)`.
fn random_words(name: &str) -> impl Fn(usize) -> u64 + use<> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    move |i| {
        let z = (seed ^ i as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn picture_of(case: &OtsuCase) -> Vec<u8> {
    if !case.counts.is_empty() {
        return case.counts.iter().flat_map(|&(value, count)| std::iter::repeat_n(value, count)).collect();
    }
    let word = random_words(&case.name);
    let value = |i: usize| {
        let (word, mut reached) = (word(i), 0);
        let part = case.parts.iter().find(|(share, ..)| {
            reached += share;
            (word >> 48) % 256 < reached
        });
        let (_, low, span) = part.expect("shares add up to 256");
        (low + word % span + (word >> 16) % span).min(255) as u8
    };
    (0..case.pixels).map(value).collect()
}

fn volume_of(case: &VolumeCase) -> Volume {
    let slice = |(index, ellipses): (usize, &Vec<[i64; 5]>)| {
        let word = random_words(&format!("{}/{index}", case.name));
        let value = |i: usize| {
            let (c, r) = ((i % case.columns) as i64, (i / case.columns) as i64);
            let holds = |[cc, cr, rc, rr, _]: &&[i64; 5]| {
                (c - cc).pow(2) * rr.pow(2) + (r - cr).pow(2) * rc.pow(2) <= rc.pow(2) * rr.pow(2)
            };
            let hu = ellipses.iter().rev().find(holds).map_or(-1000, |ellipse| ellipse[4]);
            (hu + (word(i) % 64) as i64 + ((word(i) >> 16) % 64) as i64 - 63) as i16
        };
        let values = (0..case.rows * case.columns).map(value).collect();
        Arc::new(Slice { rows: case.rows, columns: case.columns, pixels: SlicePixels::I16(values), padding: None })
    };
    Volume::new(case.slices.iter().enumerate().map(slice).collect()).expect("slices of one size")
}

#[test]
fn otsu_equals_scikit_image() {
    for case in golden().otsu {
        let picture = picture_of(&case);
        assert_eq!(otsu::threshold(&otsu::histogram(&picture)), Some(case.threshold), "{}", case.name);
    }
}

#[test]
fn boxes_equal_scikit_image_and_pixels_equal_pytorch() {
    for case in golden().volumes {
        let volume = volume_of(&case);
        let position_mm: Vec<f64> = (0..case.slices.len()).map(|i| i as f64 * case.distance_mm).collect();
        let context = JobCtx::detached();
        let plan = plan(Recipe::Paper, &volume, case.spacing_mm, &position_mm, &context).expect("not cancelled");
        for (index, expected) in case.expected.iter().enumerate() {
            let place = format!("{} slice {index}", case.name);
            let (Some(crop), Some(expected)) = (&plan.crops[index], expected) else {
                assert_eq!(plan.crops[index].is_some(), expected.is_some(), "{place}");
                continue;
            };
            assert_eq!((crop.inside, crop.region), (expected.inside, expected.region), "{place}");
            assert_eq!(crop.flags.contains(&NO_BONE), expected.no_bone, "{place}");
            let input = network_input(&volume.slices()[index], crop, INPUT_SIZE);
            check_input(&input, expected, &place);
        }
    }
}

/// 2e-6 on 0..=1 is ten times the rounding of the sums; a filter edge computed in another precision would give 3e-5.
#[track_caller]
fn check_input(input: &[f32], expected: &Expected, place: &str) {
    let word = random_words(&format!("{}/samples", place.replace(" slice ", "/")));
    let area = INPUT_SIZE * INPUT_SIZE;
    assert_eq!(input.len(), 3 * area);
    for (channel, samples) in expected.samples.iter().enumerate() {
        let values = &input[channel * area..][..area];
        for (k, sample) in samples.iter().enumerate() {
            let got = values[word(channel * samples.len() + k) as usize % area];
            assert!((got - sample).abs() <= 2e-6, "{place} channel {channel} sample {k}: {got} {sample}");
        }
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / area as f64;
        assert!((mean - expected.means[channel]).abs() < 1e-7, "{place} channel {channel}: mean {mean}");
    }
}
