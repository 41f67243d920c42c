//! What must hold of every synthetic patient.

use std::sync::LazyLock;

use super::*;
use crate::study::SliceInfo;
use crate::truth::{Level, SliceLabel};

static BROKEN: LazyLock<SyntheticPatient> = LazyLock::new(|| demo(DEMO_SEED, Fractured::Yes));

fn small(seed: u64, fractured: Fractured) -> PatientSpec {
    PatientSpec { matrix: 128, slice_spacing_mm: Some(3.0), fractured, ..PatientSpec::new(seed) }
}

fn made(spec: &PatientSpec) -> SyntheticPatient {
    patient(spec, &JobCtx::detached()).expect("not cancelled")
}

fn slice_values(loaded: &LoadedSeries, index: usize) -> &[i16] {
    match &loaded.volume.slices()[index].pixels {
        SlicePixels::I16(values) => values,
        SlicePixels::F32(_) => panic!("the phantom is integer"),
    }
}

fn values(loaded: &LoadedSeries) -> impl Iterator<Item = i16> {
    (0..loaded.volume.slices().len()).flat_map(|index| slice_values(loaded, index).iter().copied())
}

/// FNV-1a over the little-endian bytes.
fn digest(values: impl Iterator<Item = i16>) -> u64 {
    values
        .flat_map(i16::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn voxels_are_the_same_everywhere() {
    // Changes with every change of the generator, and must never differ between platforms, profiles or thread counts.
    let spec = small(3, Fractured::Yes);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool").install(|| made(&spec));
    assert_eq!(digest(values(&one.loaded)), digest(values(&made(&spec).loaded)), "threads");
    assert_eq!(digest(values(&one.loaded)), 0x8dd3_5259_01e5_1529, "the generator changed: bump GENERATOR_VERSION");
}

#[test]
fn series_says_what_the_volume_holds() {
    let LoadedSeries { series, volume } = &BROKEN.loaded;
    assert_eq!((volume.slices().len(), volume.rows(), volume.columns()), (series.slices.len(), 384, 384));
    assert!(volume.is_integer() && series.is_axial() && series.analysis_stop().is_none());
    assert!(series.display_descends_along_normal(), "head to feet");
    let z: Vec<f64> = series.slices.iter().filter_map(SliceInfo::z_mm).collect();
    assert!(z.windows(2).all(|pair| pair[0] - pair[1] == 2.0) && z[0] > 5.0);
    assert!(series.patient.name.contains("PHANTOM") && series.study.description.contains("no patient"));
    let mut uids: Vec<&str> = series.slices.iter().map(|s| s.sop_instance_uid.as_str()).collect();
    uids.extend([series.uid.as_str(), series.study.uid.as_str()]);
    assert!(uids.iter().all(|uid| uid.starts_with("2.25.") && uid.len() <= 64));
    uids.sort_unstable();
    assert!(uids.windows(2).all(|pair| pair[0] != pair[1]), "every UID once");
}

#[test]
fn hounsfield_units_fill_the_windows_plausibly() {
    let n = BROKEN.loaded.volume.slices().len() as f64 * 384.0 * 384.0;
    let share = |low: i16, high: i16| values(&BROKEN.loaded).filter(|v| (low..high).contains(v)).count() as f64 / n;
    let shares = [share(-1024, -850), share(-200, -40), share(0, 120), share(300, 1800)];
    let expected = [(0.05, 0.8), (0.03, 0.35), (0.08, 0.6), (0.01, 0.12)];
    for (found, (low, high)) in shares.into_iter().zip(expected) {
        assert!(found > low && found < high, "{shares:?}");
    }
}

#[test]
fn a_twin_differs_near_the_fracture_and_nowhere_else() {
    let seeds = (40..46).filter(|s| Person::new(&small(*s, Fractured::Yes)).is_fractured());
    for seed in seeds {
        let (hurt, twin) = (made(&small(seed, Fractured::Yes)), made(&small(seed, Fractured::Twin)));
        assert_eq!((hurt.age_years, &hurt.acquisition), (twin.age_years, &twin.acquisition));
        assert_eq!(twin.truth.fractured, Some(false));
        let person = Person::new(&small(seed, Fractured::Yes));
        let broken: Vec<Level> = person.breaks.iter().map(|b| b.level).collect();
        let (mut far, mut near) = (0_usize, 0_usize);
        for index in 0..hurt.segmentation.len() {
            let (a, b) = (slice_values(&hurt.loaded, index), slice_values(&twin.loaded, index));
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                if a.abs_diff(*b) > 40 {
                    if hurt.fracture_mask[index][at] == 1 { near += 1 } else { far += 1 }
                }
            }
            let changed = a.iter().zip(b).filter(|(a, b)| a != b).count();
            let touches = broken.iter().any(|level| {
                let z = person.spine.vertebra(*level).centre[2] * person.posture.scale[2];
                (hurt.loaded.series.slices[index].z_mm().expect("a position") - f64::from(z)).abs() < 50.0
            });
            assert!(touches || changed == 0, "seed {seed}, slice {index}: {changed} pixels");
        }
        assert!(near > 0, "seed {seed}: a fracture changes voxels");
        assert!(far < 12 * near + 400, "seed {seed}: {far} changed far from a crack, {near} near");
    }
}

#[test]
fn labels_follow_the_mask_and_boxes_hold_it() {
    let truth = &BROKEN.truth;
    let pixel_mm = BROKEN.acquisition.pixel_mm();
    assert!(truth.fractured == Some(true) && truth.slices.iter().any(|s| s.label == SliceLabel::Positive));
    for (index, slice) in truth.slices.iter().enumerate() {
        let mask = &BROKEN.fracture_mask[index];
        let area = mask.iter().filter(|m| **m == 1).count() as f64 * pixel_mm * pixel_mm;
        assert!((area - slice.mask_mm2.expect("known")).abs() < 0.01, "slice {index}");
        let expected = if area >= 4.0 {
            SliceLabel::Positive
        } else if area >= 1.0 {
            SliceLabel::Ignore
        } else {
            SliceLabel::Negative
        };
        assert!(slice.label == expected || (area - 4.0).abs() < 0.01 || (area - 1.0).abs() < 0.01, "slice {index}");
        if slice.label == SliceLabel::Positive {
            let inside = |at: usize| {
                let (x, y) = ((at % 384) as f64 + 0.5, (at / 384) as f64 + 0.5);
                slice.boxes.iter().any(|b| x > b[0] && x < b[2] && y > b[1] && y < b[3])
            };
            let outside = (0..mask.len()).filter(|at| mask[*at] == 1 && !inside(*at)).count();
            assert!(
                outside as f64 * pixel_mm * pixel_mm <= 1.0,
                "slice {index}: {outside} pixels outside of the boxes"
            );
        } else {
            assert!(slice.boxes.is_empty());
        }
    }
    for fracture in &truth.fractures {
        assert!(fracture.displacement_mm.is_some_and(|mm| (0.0..12.0).contains(&mm)));
    }
}

#[test]
fn the_unhurt_have_no_fracture_and_all_their_vertebrae() {
    let unhurt = made(&small(9, Fractured::No));
    assert!(unhurt.fracture_mask.iter().flatten().all(|m| *m == 0));
    assert_eq!((unhurt.truth.fractured, unhurt.truth.levels), (Some(false), Some([false; 7])));
    assert!(unhurt.truth.slices.iter().all(|s| s.label == SliceLabel::Negative && s.boxes.is_empty()));
    let highest = |number: u8| unhurt.segmentation.iter().position(|s| s.contains(&number)).expect("in the scan");
    let firsts: Vec<usize> = (1..=8).map(highest).collect();
    assert!(firsts[1..].windows(2).all(|pair| pair[0] < pair[1]), "C2 to T1 from head to feet: {firsts:?}");
}

#[test]
fn chance_findings_do_not_depend_on_the_label() {
    // Ages matched, so nothing else may differ: the same seed has the same column hurt or unhurt, signs apart.
    for seed in 0..60 {
        let spec = |fractured| PatientSpec { match_age: true, fractured, ..small(seed, fractured) };
        let [hurt, unhurt] = [Fractured::Yes, Fractured::No].map(|f| Person::new(&spec(f)));
        assert_eq!((hurt.age_years, hurt.sex, &hurt.posture), (unhurt.age_years, unhurt.sex, &unhurt.posture));
        assert_eq!((hurt.contrast, hurt.collar, hurt.fat), (unhurt.contrast, unhurt.collar, unhurt.fat));
        assert_eq!(hurt.spine.discs, unhurt.spine.discs);
        for (a, b) in hurt.spine.vertebrae.iter().zip(&unhurt.spine.vertebrae) {
            assert_eq!((&a.channels, &a.bumps, &a.clefts, a.wedge), (&b.channels, &b.bumps, &b.clefts, b.wedge));
            assert_eq!(a.spongy_hu, b.spongy_hu);
        }
        assert_eq!(render::acquisition(&spec(Fractured::Yes)), render::acquisition(&spec(Fractured::No)));
    }
}

#[test]
fn signs_are_found_at_their_rates_in_both_classes() {
    let rate = |fractured: Fractured, of: &dyn Fn(&Person) -> bool| {
        (0..800).filter(|seed| of(&Person::new(&small(*seed, fractured)))).count() as f64 / 800.0
    };
    let near = |found: f64, asked: f64| (found - asked).abs() < 5.0 * (asked * (1.0 - asked) / 800.0).sqrt();
    for (fractured, swelling, blood) in [(Fractured::Yes, 0.5, 0.3), (Fractured::No, 0.1, 0.05)] {
        assert!(near(rate(fractured, &|p| p.prevertebral.is_some()), swelling), "{fractured:?}");
        assert!(near(rate(fractured, &|p| p.haematoma.is_some()), blood), "{fractured:?}");
        let clefts = rate(fractured, &|p| !p.spine.vertebra(Level::C1).clefts.is_empty());
        assert!(near(clefts, 0.043), "{fractured:?} {clefts}");
    }
    assert!(near(rate(Fractured::ByChance(0.2), &|p| p.is_fractured()), 0.2));
}

#[test]
fn ages_and_sexes_are_those_of_the_method() {
    let mean = |fractured: Fractured, match_age: bool| {
        let age = |seed| Person::new(&PatientSpec { match_age, ..small(seed, fractured) }).age_years;
        (0..800).map(age).sum::<f64>() / 800.0
    };
    let (hurt, unhurt) = (mean(Fractured::Yes, false), mean(Fractured::No, false));
    assert!((56.0..62.0).contains(&hurt) && (48.0..54.0).contains(&unhurt), "{hurt} {unhurt}");
    assert_eq!(mean(Fractured::Yes, true), mean(Fractured::No, true));
}

#[test]
fn asking_to_stop_stops() {
    let ctx = JobCtx::detached();
    ctx.cancel();
    assert!(patient(&small(1, Fractured::Yes), &ctx).is_err());
}

#[test]
fn another_seed_is_another_patient() {
    let [a, b] = [1, 2].map(|seed| Person::new(&small(seed, Fractured::No)));
    assert!(a.spine != b.spine && a.posture != b.posture);
}
