//! Several stacks under one SeriesInstanceUID: phases over time, reconstructions; and duplicates, which are neither.

use std::collections::BTreeSet;

use dens::study::{Part, Series};

use super::files::Dcm;
use super::{kinds, open, written};

const Z_MM: [f64; 4] = [0.0, 3.0, 6.0, 9.0];

/// Four positions, each taken so often; `change` is told how often before, and which position.
fn taken(times: u16, change: impl Fn(&mut Dcm, u16, usize)) -> Vec<Dcm> {
    let one = |(time, place): (u16, usize)| {
        let mut dcm = Dcm::ct(i16::try_from(100 * time + place as u16).expect("few"), Z_MM[place]);
        change(&mut dcm, time, place);
        dcm
    };
    (0..Z_MM.len()).flat_map(|place| (0..times).map(move |time| (time, place))).map(one).collect()
}

/// What the list shows: words and pictures of each, by where they were put.
#[track_caller]
fn check(stack: &[Dcm], expected: &[(&str, usize)]) -> Vec<Series> {
    let catalog = open(written(stack).path());
    assert!(catalog.refused.is_empty(), "{:?}", catalog.refused);
    let found: Vec<(String, usize)> = catalog
        .series
        .iter()
        .map(|s| (s.part.as_ref().map_or_else(String::new, Part::words), s.slices.len()))
        .collect();
    let found: Vec<(&str, usize)> = found.iter().map(|(words, slices)| (words.as_str(), *slices)).collect();
    assert_eq!(found, expected);
    catalog.series
}

fn says(dcm: &mut Dcm, tag: (u16, u16), vr: &'static str, text: impl AsRef<str>) {
    dcm.text(tag, vr, text.as_ref());
}

fn holds(dcm: &mut Dcm, tag: (u16, u16), vr: &'static str, bytes: Vec<u8>) {
    dcm.raw(tag, vr, bytes);
}

fn is(dcm: &mut Dcm, tag: (u16, u16), number: impl std::fmt::Display) {
    dcm.text(tag, "IS", &number.to_string());
}

#[test]
fn every_attribute_that_tells_phases_apart_makes_stacks_of_them() {
    type Change = fn(&mut Dcm, u16, usize);
    let by: [(Change, [&str; 3]); 9] = [
        (
            |d, time, _| holds(d, (0x20, 0x9128), "UL", u32::from(time + 1).to_le_bytes().to_vec()),
            ["temporal position 1", "temporal position 2", "temporal position 3"],
        ),
        (
            |d, time, _| is(d, (0x20, 0x100), time + 1),
            ["temporal position 1", "temporal position 2", "temporal position 3"],
        ),
        (|d, time, _| is(d, (0x20, 0x12), 4 + time), ["acquisition 4", "acquisition 5", "acquisition 6"]),
        (
            |d, time, _| {
                is(d, (0x20, 0x12), 9 + time);
                d.text((0x08, 0x32), "TM", &format!("1159{:02}.500", 20 * time));
            },
            ["acquisition 9, +0 s", "acquisition 10, +20 s", "acquisition 11, +40 s"],
        ),
        (|d, time, _| says(d, (0x08, 0x32), "TM", format!("12{:02}00", 2 * time)), ["+0 s", "+120 s", "+240 s"]),
        // Each slice has its own time, and each position is taken again after all others.
        (
            |d, time, place| says(d, (0x08, 0x33), "TM", format!("1230{:02}.2", 15 * usize::from(time) + place)),
            ["+0 s", "+15 s", "+30 s"],
        ),
        (
            |d, time, _| says(d, (0x18, 0x1060), "DS", format!("{}.5", 120 * time)),
            ["trigger 0.5 ms", "trigger 120.5 ms", "trigger 240.5 ms"],
        ),
        (
            |d, time, _| holds(d, (0x20, 0x9241), "FL", (f32::from(time) * 30.0).to_le_bytes().to_vec()),
            ["0 % of the heart cycle", "30 % of the heart cycle", "60 % of the heart cycle"],
        ),
        (
            |d, time, _| says(d, (0x18, 0x10), "LO", ["", "IOHEXOL", "IOHEXOL LATE"][usize::from(time)]),
            ["contrast IOHEXOL", "contrast IOHEXOL LATE", "no contrast"],
        ),
    ];
    for (change, words) in by {
        let words: Vec<String> = (1..).zip(words).map(|(n, by)| format!("phase {n} of 3: {by}")).collect();
        let expected: Vec<(&str, usize)> = words.iter().map(|words| (words.as_str(), 4)).collect();
        let series = check(&taken(3, change), &expected);
        for (time, one) in series.iter().enumerate() {
            assert!(one.warnings.is_empty(), "{:?}", one.warnings);
            assert_eq!(one.slice_spacing_mm, Some(3.0));
            let numbers: BTreeSet<i64> = one.slices.iter().filter_map(|s| s.instance_number).map(|n| n / 100).collect();
            if !words[0].contains("contrast") {
                assert_eq!(numbers, BTreeSet::from([time as i64]), "{words:?}");
            }
        }
    }
}

#[test]
fn a_phase_that_was_cut_short_is_a_phase_and_stands_in_its_place() {
    let mut stack = taken(3, |d, time, _| is(d, (0x20, 0x100), time + 1));
    stack.remove(0);
    let parts =
        ["phase 1 of 3: temporal position 1", "phase 2 of 3: temporal position 2", "phase 3 of 3: temporal position 3"];
    check(&stack, &[(parts[0], 3), (parts[1], 4), (parts[2], 4)]);
}

#[test]
fn reconstructions_are_parts_and_each_has_its_phases() {
    let window = |d: &mut Dcm, time: u16| {
        d.text((0x28, 0x1050), "DS", ["40", "500"][usize::from(time)]).text((0x28, 0x1051), "DS", "400");
    };
    let series = check(
        &taken(2, |d, time, _| window(d, time)),
        &[("part 1 of 2: window W 400 L 40", 4), ("part 2 of 2: window W 400 L 500", 4)],
    );
    assert!(series.iter().all(|s| kinds(s).contains("inconsistent-series")));
    // Two kernels of one acquisition differ in their times too: they are no phases.
    check(
        &taken(2, |d, time, _| {
            d.text((0x18, 0x1210), "SH", ["B30", "B70"][usize::from(time)]);
            d.text((0x08, 0x33), "TM", &format!("12000{time}"));
        }),
        &[("part 1 of 2: kernel B30", 4), ("part 2 of 2: kernel B70", 4)],
    );
    check(
        &taken(4, |d, time, _| {
            d.text((0x18, 0x1210), "SH", ["B30", "B70"][usize::from(time % 2)]);
            is(d, (0x20, 0x12), 3 + time / 2);
        }),
        &[
            ("part 1 of 4: kernel B30, acquisition 3", 4),
            ("part 2 of 4: kernel B30, acquisition 4", 4),
            ("part 3 of 4: kernel B70, acquisition 3", 4),
            ("part 4 of 4: kernel B70, acquisition 4", 4),
        ],
    );
}

#[test]
fn duplicates_stay_together_and_are_told() {
    let told = |stack: &[Dcm], slices: usize| {
        let series = check(stack, &[("", slices)]);
        assert!(kinds(&series[0]).contains("duplicate-slices"));
    };
    // Nothing differs but the pixels.
    told(&taken(2, |_, _, _| {}), 8);
    // One slice twice, under another number of acquisition and at another time.
    let mut one = taken(1, |_, _, _| {});
    let mut again = Dcm::ct(50, Z_MM[1]);
    is(&mut again, (0x20, 0x12), 7);
    again.text((0x08, 0x33), "TM", "120000");
    one.push(again);
    told(&one, 5);
    // Times that say nothing: the same twice at one position, or none.
    told(&taken(2, |d, _, place| says(d, (0x08, 0x33), "TM", format!("12000{place}"))), 8);
    for nonsense in ["99", "noon", "12:00:00", "\\\\", "-10000"] {
        told(&taken(2, |d, time, _| says(d, (0x08, 0x32), "TM", format!("{nonsense}{}", "\\".repeat(time.into())))), 8);
    }
    // A number for each picture tells no stacks apart where positions are taken differently often.
    let mut uneven = taken(2, |_, _, _| {});
    uneven.push(Dcm::ct(90, Z_MM[2]));
    for (number, dcm) in uneven.iter_mut().enumerate() {
        is(dcm, (0x20, 0x12), number);
    }
    told(&uneven, 9);
}

#[test]
fn extreme_values_make_no_panic() {
    for extreme in ["9223372036854775807", "-9223372036854775808", "1e308", "nan", "", " ", "0\\1"] {
        for tag in [(0x20, 0x100), (0x20, 0x12), (0x18, 0x1060), (0x20, 0x9241), (0x08, 0x2A), (0x08, 0x32)] {
            let stack = taken(2, |d, time, _| says(d, tag, "LO", if time == 0 { extreme } else { "1" }));
            assert!(!open(written(&stack).path()).series.is_empty());
        }
    }
}
