//! What a synthetic population may not tell: who is hurt, by anything but the fracture.

use dens::evaluation::roc_auc;
use dens::jobs::JobCtx;
use dens::phantom::{Fractured, PatientSpec, Person, Sex, patient};
use dens::training::baselines::of_volume;

/// What is drawn of a patient, as a number.
type Value = fn(&Person) -> f64;

/// Half of them hurt, ages drawn alike.
fn people(count: u64) -> Vec<Person> {
    let spec =
        |seed| PatientSpec { fractured: Fractured::ByChance(0.5), match_age: true, ..PatientSpec::new(40_000 + seed) };
    (0..count).map(|seed| Person::new(&spec(seed))).collect()
}

/// With 4,000 patients the standard deviation of such an area is 0.009; the signs that go with fractures by intent
/// (swelling, blood, a slip, a wide joint) are not asked about.
#[test]
fn nothing_drawn_about_a_patient_tells_whether_he_is_hurt() {
    let people = people(4000);
    let hurt: Vec<bool> = people.iter().map(Person::is_fractured).collect();
    let values: [(&str, Value); 14] = [
        ("age", |p| p.age_years),
        ("sex", |p| f64::from(u8::from(p.sex == Sex::Male))),
        ("fat", |p| f64::from(p.fat)),
        ("muscle fat", |p| f64::from(p.muscle_fat)),
        ("contrast", |p| f64::from(u8::from(p.contrast))),
        ("arms", |p| f64::from(u8::from(p.arms_down))),
        ("collar", |p| f64::from(u8::from(p.collar))),
        ("fillings", |p| f64::from(u8::from(p.fillings))),
        ("width", |p| f64::from(p.posture.scale[0])),
        ("height", |p| f64::from(p.posture.scale[2])),
        ("lordosis", |p| f64::from(p.posture.lordosis)),
        ("turn", |p| f64::from(p.posture.turn_rad.abs())),
        ("bend", |p| f64::from(p.posture.bend_mm.abs())),
        ("place", |p| f64::from(p.posture.shift_mm[0])),
    ];
    for (name, value) in values {
        let auc = roc_auc(&people.iter().map(value).collect::<Vec<_>>(), &hurt).expect("both kinds");
        assert!((auc - 0.5).abs() < 0.04, "{name} alone reaches an AUC of {auc:.3}");
    }
}

/// The same neck with and without its fracture: by how much a trivial value moves, in standard deviations over
/// patients. A shift of d gives an area of `Phi(d / sqrt 2)`: 0.53 at 0.1, 0.60 at 0.36.
#[test]
fn a_fracture_does_not_change_the_density_of_the_bone() {
    let mean_bone_hu = |seed: u64, fractured: Fractured| {
        let small = PatientSpec { matrix: 96, slice_spacing_mm: Some(5.0), ..PatientSpec::new(seed) };
        let made = patient(&PatientSpec { fractured, ..small }, &JobCtx::detached()).expect("not cancelled");
        of_volume(&made.loaded)["mean-bone-hu"]
    };
    let pairs: Vec<[f64; 2]> =
        (41_000..41_016).map(|seed| [Fractured::Yes, Fractured::Twin].map(|how| mean_bone_hu(seed, how))).collect();
    let count = pairs.len() as f64;
    let shift = pairs.iter().map(|[hurt, whole]| hurt - whole).sum::<f64>() / count;
    let mean = pairs.iter().map(|[_, whole]| whole).sum::<f64>() / count;
    let deviation = (pairs.iter().map(|[_, whole]| (whole - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    assert!(deviation > 0.0 && shift.abs() < 0.1 * deviation, "{shift:.2} HU of {deviation:.2} HU");
}
