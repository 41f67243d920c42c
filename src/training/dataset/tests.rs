//! Written and read back, whole folders at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::oddities::Oddities;
use super::*;
use crate::phantom;
use crate::truth::SliceLabel;

const SMALL: &str = "matrix=64;spacing=4";

fn quiet() -> JobCtx {
    JobCtx::detached()
}

fn order(patients: &str) -> Order {
    Order { patients: patients.to_owned(), boxed_fraction: 1.0 }
}

fn written(patients: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(&order(patients), folder.path(), &quiet()).expect("written");
    folder
}

fn opened(kind: &str, root: &Path) -> Dataset {
    open(&format!("{kind}:{}", root.display()), &quiet()).expect("opens")
}

fn refusal(spec: &str) -> String {
    open(spec, &quiet()).expect_err("refused").to_string()
}

/// Hurt and unhurt, read by many tests.
fn common() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| written(&format!("1-2;difficulty=easy;twins;{SMALL}"))).path()
}

/// A copy whose files may be changed.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in walkdir::WalkDir::new(common()) {
        let entry = entry.expect("readable");
        let to = folder.path().join(entry.path().strip_prefix(common()).expect("inside"));
        match entry.file_type().is_dir() {
            true => fs::create_dir_all(to).expect("made"),
            // The index is the reader's, not the writer's.
            false if entry.file_name() == "dens_index.csv" => {}
            false => drop(fs::copy(entry.path(), to).expect("copied")),
        }
    }
    folder
}

fn study_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root.join("train_images")).expect("there").map(|e| e.expect("readable").path()).collect();
    folders.sort();
    folders
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(path).expect("readable");
    fs::write(path, change(text)).expect("written");
}

#[test]
fn what_is_written_reads_back_as_it_was_made() {
    let text = format!("1-2;difficulty=easy;twins;{SMALL}");
    let made = open(&format!("phantom:{text}"), &quiet()).expect("opens");
    let read = opened("phantom", common());
    assert_eq!(read.cases.len(), 4);
    assert!(read.notes.is_empty() && read.excluded.is_empty(), "{read:?}");
    for (made, read) in made.cases.iter().zip(&read.cases) {
        let facts = |c: &CaseRef| (c.id.clone(), c.patient.clone(), c.fractured, c.sex, c.age_years, c.twin.clone());
        assert_eq!(facts(made), facts(read));
        let (made, read) = (made.load(&quiet()).expect("made"), read.load(&quiet()).expect("read"));
        assert_eq!(made.truth, read.truth);
        let (a, b) = (&made.loaded, &read.loaded);
        assert_eq!(a.volume.slices().len(), b.volume.slices().len());
        for (a, b) in a.volume.slices().iter().zip(b.volume.slices()) {
            assert_eq!(a.pixels, b.pixels, "the same HU");
        }
        for (a, b) in a.series.slices.iter().zip(&b.series.slices) {
            let (a, b) = (a.pose.expect("a place"), b.pose.expect("a place"));
            assert!((a.origin.0 - b.origin.0).length() < 1e-9, "the same place");
            assert!((a.along_row - b.along_row).length() + (a.along_column - b.along_column).length() < 1e-9);
        }
        let [a, b] = [a, b].map(|loaded| loaded.series.spacing_mm.expect("a spacing"));
        assert!((a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-9);
        assert!(read.loaded.series.patient.name.starts_with("PHANTOM"), "unmistakable");
        assert!(read.loaded.series.warnings.is_empty(), "{:?}", read.loaded.series.warnings);
        assert_eq!(truth_beside(&read.loaded.series).as_ref(), Some(&read.truth));
    }
}

#[test]
fn odd_files_keep_their_labels_and_values() {
    let text = format!("3;positive-fraction=1;{SMALL}");
    let usual = phantom::Oddities {
        gantry_tilt_deg: 0.0,
        feet_first: false,
        missing_at: None,
        duplicate_at: None,
        storage: phantom::Storage { signed: false, intercept: -1024, padding_hu: None },
    };
    let stored = |signed, intercept, padding_hu| phantom::Storage { signed, intercept, padding_hu };
    let all = [
        phantom::Oddities { feet_first: true, storage: stored(false, -8192, None), ..usual },
        phantom::Oddities { missing_at: Some(0.5), storage: stored(false, -1000, None), ..usual },
        phantom::Oddities { duplicate_at: Some(0.5), feet_first: true, ..usual },
        phantom::Oddities { gantry_tilt_deg: -12.0, storage: stored(true, 0, Some(-2000)), ..usual },
    ];
    let made = open(&format!("phantom:{text}"), &quiet()).expect("opens").cases.remove(0).load(&quiet()).expect("made");
    for drawn in all {
        let folder = tempfile::tempdir().expect("a folder");
        let change = |patient: &mut phantom::SyntheticPatient| patient.acquisition.oddities = drawn;
        write::write_changed(&order(&text), folder.path(), &quiet(), &change).expect("written");
        let read = opened("phantom", folder.path()).cases.remove(0).load(&quiet()).expect("read");
        let mut kept = Oddities::of(&drawn, made.loaded.volume.slices()).files(made.truth.slices.len());
        kept.sort_unstable();
        assert_eq!(kept.len(), read.truth.slices.len(), "{drawn:?}");
        let first_z_mm = |case: &LabelledCase| case.loaded.series.slices[0].z_mm().expect("a place");
        assert_eq!((first_z_mm(&made) - first_z_mm(&read)).abs() > 0.1, drawn.gantry_tilt_deg != 0.0, "{drawn:?}");
        for (index, from) in kept.iter().enumerate() {
            assert_eq!(read.truth.slices[index], made.truth.slices[*from], "{drawn:?} slice {index}");
            let (made, read) = (&made.loaded.volume.slices()[*from], &read.loaded.volume.slices()[index]);
            assert_eq!(read.padding.is_some(), drawn.storage.padding_hu.is_some());
            let same = |offset: usize| {
                let value = read.pixels.get(offset).expect("a value");
                read.is_padding(value) || Some(value) == made.pixels.get(offset)
            };
            assert!((0..made.pixels.len()).all(same), "{drawn:?} slice {index}");
        }
        let told = |case: &LabelledCase| -> Vec<_> {
            let facts = |f: &crate::truth::FractureTruth| (f.level, f.kind.clone(), f.displacement_mm, f.conspicuity);
            case.truth.fractures.iter().map(facts).collect()
        };
        assert_eq!(told(&made), told(&read));
    }
}

#[test]
fn the_same_order_gives_the_same_bytes() {
    let again = written(&format!("1-2;difficulty=easy;twins;{SMALL}"));
    let mut files = 0;
    for entry in walkdir::WalkDir::new(common()).into_iter().map(|e| e.expect("readable")) {
        // The index is the reader's, not the writer's.
        if entry.file_type().is_file() && entry.file_name() != "dens_index.csv" {
            let other = again.path().join(entry.path().strip_prefix(common()).expect("inside"));
            assert!(fs::read(entry.path()).expect("read") == fs::read(&other).expect("the same file"), "{other:?}");
            files += 1;
        }
    }
    assert!(files > 30, "{files}");
}

#[test]
fn a_changed_label_changes_the_key_of_its_study_alone() {
    let folder = copy();
    let keys = |data: Dataset| data.cases.into_iter().map(|c| c.content_key).collect::<Vec<_>>();
    let before = keys(opened("phantom", folder.path()));
    edit(&folder.path().join("dens_slices.csv"), |text| text.replacen(",positive,", ",ignore,", 1));
    let after = keys(opened("phantom", folder.path()));
    assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
}

#[test]
fn the_population_is_told_hurt_and_unhurt_apart() {
    let text = fs::read_to_string(common().join("population.toml")).expect("written");
    let table: toml::Table = text.parse().expect("toml");
    assert_eq!(table["generator_version"].as_str(), Some(phantom::GENERATOR_VERSION));
    let count = |group: &str, of: &str| table[group][of].as_integer().expect("a count");
    // Twins share everything that is not the fracture.
    for of in ["studies", "men", "contrast", "collar", "prevertebral_swelling", "haematoma"] {
        assert_eq!(count("fractured", of), count("unhurt", of), "{of}");
    }
    assert_eq!((count("fractured", "studies"), count("written", "studies")), (2, 4));
    assert_eq!(count("odd_files", "signed"), 0, "easy has no odd files");
    assert!(table["note"].as_str().is_some_and(|n| n.contains("NOT A PATIENT") && n.contains("Not for diagnosis")));
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine.txt"), "x").expect("written");
    let text = write(&order("1"), folder.path(), &quiet()).expect_err("refused").to_string();
    assert!(text.contains("not empty"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
}

#[test]
fn cancelling_keeps_complete_studies_and_their_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let slot: Arc<OnceLock<JobCtx>> = Arc::default();
    let own = Arc::clone(&slot);
    // Stops in the third case of four.
    let ctx = JobCtx::with_wake(Arc::new(move |_| {
        if let Some(ctx) = own.get().filter(|ctx| ctx.progress_now().0 > 200) {
            ctx.cancel();
        }
    }));
    assert!(slot.set(ctx.clone()).is_ok());
    let summary = write(&order(&format!("1-4;{SMALL}")), folder.path(), &ctx).expect("what there is");
    assert!(summary.cancelled && summary.cases >= 2 && summary.cases < 4, "{summary:?}");
    let read = opened("phantom", folder.path());
    assert_eq!((read.cases.len(), read.notes.len()), (summary.cases, 0), "{:?}", read.notes);
    assert_eq!(study_folders(folder.path()).len(), summary.cases, "no half study");
}

#[test]
fn the_rsna_reader_reads_the_same_folder_with_its_own_rules() {
    let cases = opened("rsna2022", common()).cases;
    assert_eq!(cases.len(), 4);
    for case in &cases {
        let found = case.load(&quiet()).expect("reads");
        assert_eq!((found.truth.fractured, case.fractured), (case.fractured, found.truth.fractured));
        assert_eq!(found.truth.slices.len(), found.loaded.series.slices.len());
        let exact = opened("phantom", common())
            .cases
            .into_iter()
            .find(|c| matches!((&c.at, &case.at), (Place::Dens(a), Place::Rsna(b)) if a.folder == b.folder));
        let exact = exact.expect("the same study").load(&quiet()).expect("reads").truth;
        for (rsna, exact) in found.truth.slices.iter().zip(&exact.slices) {
            assert_eq!(rsna.label == SliceLabel::Positive, exact.label == SliceLabel::Positive);
            assert_eq!(rsna.boxes.is_empty(), exact.label != SliceLabel::Positive);
            if let ([loose], [tight, ..]) = (rsna.boxes.as_slice(), exact.boxes.as_slice()) {
                assert!(loose[0] <= tight[0] && loose[1] <= tight[1] && loose[2] >= tight[2] && loose[3] >= tight[3]);
            }
        }
        if case.fractured == Some(false) {
            assert!(found.truth.slices.iter().all(|s| s.label == SliceLabel::Negative && s.boxes.is_empty()));
        }
        assert!(found.truth.slices.iter().any(|s| s.level.is_some()), "levels from the segmentation");
    }
}

#[test]
fn headers_are_indexed_once_and_again_when_a_study_changes() {
    let folder = copy();
    let index = folder.path().join("dens_index.csv");
    let text = |path: &Path| fs::read_to_string(path).expect("an index");
    opened("rsna2022", folder.path());
    let files = walkdir::WalkDir::new(folder.path().join("train_images")).into_iter().flatten();
    let files = files.filter(|e| e.file_type().is_file()).count();
    let first = text(&index);
    assert_eq!(first.lines().count(), files + 1);
    assert!(first.contains("1.2.840.10008.1.2.1") && first.contains("-1024"), "{first}");
    // What the index says is believed while the number of files stays.
    edit(&index, |text| text.replacen("1.2.840.10008.1.2.1", "kept", 1));
    opened("rsna2022", folder.path());
    assert_eq!(text(&index).matches("kept").count(), 1);
    fs::remove_file(study_folders(folder.path())[0].join("1.dcm")).expect("removed");
    opened("rsna2022", folder.path());
    assert_eq!(text(&index).lines().count(), files);
}

#[test]
fn without_boxes_a_fractured_study_says_nothing_of_its_slices() {
    let folder = copy();
    edit(&folder.path().join("train_bounding_boxes.csv"), |text| {
        text.lines().next().expect("a header").to_owned() + "\n"
    });
    let data = opened("rsna2022", folder.path());
    assert!(data.notes.iter().any(|n| n.starts_with("2 fractured studies have no boxes")), "{:?}", data.notes);
    let hurt = data.cases.iter().find(|c| c.fractured == Some(true)).expect("a fractured study");
    let truth = hurt.load(&quiet()).expect("reads").truth;
    assert!(truth.fractured == Some(true) && truth.slices.iter().all(|s| s.label == SliceLabel::Ignore));
}

#[test]
fn missing_parts_of_a_layout_are_named() {
    let empty = tempfile::tempdir().expect("a folder");
    let at = empty.path().display();
    let text = refusal(&format!("rsna2022:{at}"));
    assert!(text.contains("train.csv") && text.contains("train_images/"), "{text}");
    let text = refusal(&format!("phantom:{at}"));
    assert!(text.contains("dens_cases.csv, dens_slices.csv, dens_boxes.csv, dens_fractures.csv"), "{text}");
    assert!(refusal(&format!("rsna2022:{at}/none")).contains("is no folder"));
    assert!(refusal("holiday:pictures").contains("names no data set"));
    assert!(refusal("1-200").contains("phantom:1-200"));
    let folder = copy();
    edit(&folder.path().join("train.csv"), |text| text.replace("patient_overall", "overall"));
    let text = refusal(&format!("rsna2022:{}", folder.path().display()));
    assert!(text.contains("train.csv") && text.contains("patient_overall"), "{text}");
}

#[test]
fn studies_on_one_side_only_are_told_and_left_out() {
    let folder = copy();
    let studies = study_folders(folder.path());
    fs::remove_dir_all(&studies[0]).expect("removed");
    fs::create_dir(folder.path().join("train_images/9.8.7.12345")).expect("made");
    for kind in ["phantom", "rsna2022"] {
        let data = opened(kind, folder.path());
        assert_eq!(data.cases.len(), 3);
        assert!(data.notes.iter().any(|n| n.contains("have no folder")), "{:?}", data.notes);
        assert!(data.notes.iter().any(|n| n.contains("12345") && n.contains("do not stand in")), "{:?}", data.notes);
    }
}

#[test]
fn rows_that_contradict_or_are_no_numbers_leave_the_study_out() {
    let folder = copy();
    let uid_of = |label: &str| {
        let text = fs::read_to_string(folder.path().join("train.csv")).expect("read");
        let row = text.lines().find(|l| l.split(',').nth(1) == Some(label)).expect("a study").to_owned();
        row.split(',').next().expect("a UID").to_owned()
    };
    let (hurt, unhurt) = (uid_of("1"), uid_of("0"));
    edit(&folder.path().join("train.csv"), |text| text + &format!("{hurt},0,0,0,0,0,0,0,0\n"));
    edit(&folder.path().join("train_bounding_boxes.csv"), |text| text + &format!("{unhurt},NaN,3,4,5,1\n"));
    let data = opened("rsna2022", folder.path());
    let reasons: Vec<String> = data.excluded.iter().map(|e| format!("{}: {}", e.id, e.reason)).collect();
    assert_eq!(data.cases.len(), 2, "{reasons:?}");
    assert!(
        reasons.iter().any(|r| r.contains("twice with different labels") && r.contains("train.csv line")),
        "{reasons:?}"
    );
    assert!(reasons.iter().any(|r| r.contains("x is \"NaN\"")), "{reasons:?}");
    assert!(reasons.iter().all(|r| !r.contains(&hurt)), "short ids only: {reasons:?}");
}

#[test]
fn an_unreadable_slice_refuses_its_study_by_name() {
    let folder = copy();
    let studies = study_folders(folder.path());
    let file = studies[1].join("3.dcm");
    let bytes = fs::read(&file).expect("read");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("cut");
    let data = opened("phantom", folder.path());
    let case = data.cases.iter().find(|c| matches!(&c.at, Place::Dens(s) if s.folder == studies[1])).expect("listed");
    let text = case.load(&quiet()).expect_err("refused").to_string();
    assert!(text.contains(&case.id) && text.contains("3.dcm"), "{text}");
    // In RSNA's layout the index of headers knows before anything is loaded.
    let data = opened("rsna2022", folder.path());
    let reasons: Vec<&str> = data.excluded.iter().map(|e| e.reason.as_str()).collect();
    assert!(data.cases.len() == 3 && matches!(reasons.as_slice(), [only] if only.contains("3.dcm")), "{reasons:?}");
}

#[test]
fn multi_frame_scans_and_their_segmentations_are_matched_by_what_they_say() {
    use crate::dicom::fixtures::{enhanced_ct, segmentation};
    for by_reference in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("masks")).expect("made");
        enhanced_ct(6, false).write(&folder.path().join("b.dcm"));
        // 12 pixels of 0.375 mm2 are 4.5 mm2.
        let set: Vec<usize> = (6..18).collect();
        segmentation(&[2, 3], by_reference, &set).write(&folder.path().join("masks/whatever.dcm"));
        fs::write(folder.path().join("readme.txt"), "x").expect("written");
        let data = opened("hdn-cspine", folder.path());
        assert!(data.notes.is_empty() && data.cases.len() == 1, "{data:?}");
        let case = &data.cases[0];
        assert_eq!((case.fractured, case.id.as_str()), (Some(true), "72"));
        assert!(!case.patient.contains("T1"), "the patient's number stays in the file");
        let truth = case.load(&quiet()).expect("reads").truth;
        let positive: Vec<usize> = (0..6).filter(|i| truth.slices[*i].label == SliceLabel::Positive).collect();
        assert_eq!(positive, [2, 3], "frames 2 and 3 of 0 to 5 from the feet");
        assert_eq!(truth.slices[2].boxes, [[0.0, 1.0, 6.0, 3.0]]);
        assert_eq!((truth.slices[2].mask_mm2, truth.slices[0].label), (Some(4.5), SliceLabel::Negative));
    }
}

#[test]
fn scans_without_segmentation_are_unhurt_and_lost_segmentations_are_told() {
    use crate::dicom::fixtures::{flat_ct, segmentation};
    let folder = tempfile::tempdir().expect("a folder");
    segmentation(&[0], true, &[1]).write(&folder.path().join("s.dcm"));
    let text = refusal(&format!("hdn-cspine:{}", folder.path().display()));
    assert!(text.contains("no multi-frame CT among 1 files"), "{text}");
    fs::remove_file(folder.path().join("s.dcm")).expect("removed");
    flat_ct(3).write(&folder.path().join("c.dcm"));
    let case = opened("hdn-cspine", folder.path()).cases.remove(0);
    assert_eq!(case.fractured, Some(false));
    let truth = case.load(&quiet()).expect("reads").truth;
    assert!(truth.slices.len() == 3 && truth.slices.iter().all(|s| s.label == SliceLabel::Negative));
}
