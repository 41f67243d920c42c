//! The command line as a person or a script uses it.

use std::path::Path;
use std::process::Output;

use crate::support::{dens, dens_command};

/// What `dens` says when it refuses: exit code 1, one sentence, no panic.
#[track_caller]
fn check_refusal(output: &Output, says: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("dens: ") && text.contains(says), "{text}");
}

/// As [`dens`], on a machine without a display.
#[cfg(target_os = "linux")]
fn dens_without_display(args: &[&str], folder: &Path) -> Output {
    let mut command = dens_command(args, folder);
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        command.env_remove(name);
    }
    command.output().expect("dens starts")
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_display_one_line_names_what_works() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::create_dir(folder.path().join("study")).expect("a folder");
    let output = dens_without_display(&["study"], folder.path());
    check_refusal(&output, "\"dens report study --out report.pdf\"");
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    check_refusal(&dens_without_display(&[], folder.path()), "there is no display");
    check_refusal(&dens_without_display(&["not-there"], folder.path()), "not-there does not exist");
}

#[test]
fn analyze_and_report_refuse_before_any_work() {
    let folder = tempfile::tempdir().expect("folder");
    let refused = |args: &[&str], says: &str| check_refusal(&dens(args, folder.path()), says);
    refused(&["analyze", "demo:", "--recipe", "soup", "--out", "a.json"], "paper/1, spine/1");
    refused(&["analyze", "demo:", "--model", "not-there.safetensors", "--out", "a.json"], "not-there.safetensors");
    refused(&["report", "demo:", "--out", "a.docx"], "use .pdf, .png or .json");
    refused(&["report", "demo:", "--out", "no/such/folder/a.pdf"], "no/such/folder");
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0, "nothing was left behind");
}

#[test]
fn a_zip_archive_is_opened_like_a_folder() {
    let Some(data) = crate::support::shared_data() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let neck = data.join("ct-headneck");
    let entries = crate::support::zips::folder(&neck, crate::support::zips::Entry::deflated);
    let bytes = crate::support::zips::archive(&entries, Default::default());
    std::fs::write(folder.path().join("neck.zip"), &bytes).expect("written");
    let info = |path: &str| -> serde_json::Value {
        let output = dens(&["info", path, "--json"], folder.path());
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let (zip, plain) = (info("neck.zip"), info(neck.to_str().expect("plain")));
    let series = |of: &serde_json::Value| of["series"][0].clone();
    assert_eq!(series(&zip)["volume_sha256"], series(&plain)["volume_sha256"]);
    assert_eq!(series(&zip)["files"][0], format!("neck.zip/{}", series(&plain)["files"][0].as_str().expect("a name")));
    let output = dens(&["render", "neck.zip", "--slice", "30", "--out", "a.png"], folder.path());
    assert!(output.status.success() && folder.path().join("a.png").is_file(), "{output:?}");
    std::fs::write(folder.path().join("cut.zip"), &bytes[..bytes.len() / 2]).expect("written");
    check_refusal(&dens(&["info", "cut.zip"], folder.path()), "cut.zip: its directory");
    check_refusal(&dens(&["analyze", "cut.zip", "--out", "a.json"], folder.path()), "cut.zip: its directory");
}

/// The stable form of `dens info --json`, on the manifest's own figures.
#[test]
fn info_says_what_the_manifest_says() {
    let Some(data) = crate::support::shared_data() else { return };
    let folder = tempfile::tempdir().expect("folder");
    let text = std::fs::read_to_string(data.join("MANIFEST.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let row = manifest["series"].as_array().expect("rows").iter().find(|r| r["folder"] == "ct-headneck").expect("row");
    let path = data.join("ct-headneck");
    let output = dens(&["info", path.to_str().expect("plain"), "--json"], folder.path());
    assert!(output.status.success());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    let [series] = said["series"].as_array().expect("series").as_slice() else { panic!("{said}") };
    for key in ["slices", "volume_sha256", "volume_dtype"] {
        assert_eq!(series[key], row[key], "{key}");
    }
    let ascending: Vec<_> = row["members"].as_array().expect("members").iter().map(|m| m["file"].clone()).collect();
    let mut shown = series["files"].as_array().expect("files").clone();
    shown.reverse();
    let name = |v: &serde_json::Value| v.as_str().unwrap_or_default().rsplit('/').next().map(str::to_owned);
    assert_eq!(shown.iter().map(name).collect::<Vec<_>>(), ascending.iter().map(name).collect::<Vec<_>>());
    assert_eq!(said["refused"], serde_json::json!([]));
    check_refusal(&dens(&["info", "not-there"], folder.path()), "not-there could not be read");
}

mod render {
    //! `dens render`.

    use dens::volume::Window;
    use dens::{RESEARCH_LINE, phantom};

    use super::*;
    use crate::gpu::adapter_or_skip;
    use crate::support::shared_data;

    const WINDOWS: [&str; 6] = ["soft-tissue", "bone", "gross-bone", "-600,1500", "40,80", "480,2500"];

    fn picture(path: &Path) -> image::DynamicImage {
        image::open(path).expect("a PNG")
    }

    #[test]
    fn exact_is_the_formula_on_every_pixel_of_the_demo_study() {
        let folder = tempfile::tempdir().expect("folder");
        let study = phantom::demo_study(phantom::DEMO_SEED);
        let slice = &study.volume.slices()[39];
        // Making the study takes seconds without optimisation; all windows are tried on real slices below.
        for window in &WINDOWS[..2] {
            let argument = format!("--window={window}");
            let args = ["render", "demo:", "--slice", "40", &argument, "--exact", "--out", "exact.png"];
            let output = dens(&args, folder.path());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let got = picture(&folder.path().join("exact.png"));
            assert_eq!(got.color(), image::ColorType::L8);
            let window: Window = window.parse().expect("a window");
            let expected: Vec<u8> =
                (0..slice.pixels.len()).map(|i| window.grey8(slice.pixels.get(i).expect("inside"))).collect();
            assert_eq!((got.width() as usize, got.height() as usize), (slice.columns, slice.rows));
            assert!(got.into_luma8().into_raw() == expected, "{window:?}");
        }
    }

    #[test]
    fn exact_on_the_gpu_is_exact_on_the_cpu() {
        if adapter_or_skip().is_none() {
            return;
        }
        let folder = tempfile::tempdir().expect("folder");
        let mut pictures = Vec::new();
        for renderer in ["cpu", "gpu"] {
            let out = format!("{renderer}.png");
            let args = ["render", "demo:", "--slice", "40", "--exact", "--renderer", renderer, "--out", &out];
            assert!(dens(&args, folder.path()).status.success());
            pictures.push(picture(&folder.path().join(out)).into_luma8().into_raw());
        }
        let differing = pictures[0].iter().zip(&pictures[1]).filter(|(a, b)| a != b).count();
        assert!(differing * 1000 <= pictures[0].len(), "{differing} of {} differ", pictures[0].len());
        assert!(pictures[0].iter().zip(&pictures[1]).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn a_picture_has_the_size_asked_for_and_the_research_line_in_image_and_file() {
        let folder = tempfile::tempdir().expect("folder");
        let args = ["render", "demo:", "--slice", "40", "--size", "400x300", "--out", "picture.png"];
        assert!(dens(&args, folder.path()).status.success());
        let file = std::fs::read(folder.path().join("picture.png")).expect("the file");
        assert!(file.windows(RESEARCH_LINE.len()).any(|w| w == RESEARCH_LINE.as_bytes()));
        let got = picture(&folder.path().join("picture.png")).into_rgb8();
        assert_eq!(got.dimensions(), (400, 300));
        let foot_is_written = (280..300).any(|y| (0..400).any(|x| got.get_pixel(x, y).0[0] > 150));
        assert!(foot_is_written, "the line stands at the foot");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_a_sentence_and_no_file() {
        let folder = tempfile::tempdir().expect("folder");
        let refused = |args: &[&str], says: &str| {
            check_refusal(&dens(&[&["render"], args].concat(), folder.path()), says);
        };
        refused(&["demo:", "--slice", "0", "--out", "a.png"], "no slice 0: the series holds slices 1 to");
        refused(&["demo:", "--slice", "9999", "--out", "a.png"], "no slice 9999");
        refused(&["demo:", "--slice", "1", "--series", "2", "--out", "a.png"], "no series 2");
        refused(&["demo:", "--slice", "1", "--size", "big", "--out", "a.png"], "\"big\" is no size");
        refused(&["demo:", "--slice", "1", "--out", "a.jpg"], "\"a.jpg\" is no name for a PNG");
        refused(&["not-there", "--slice", "1", "--out", "a.png"], "not-there could not be read");
        refused(&["demo:", "--slice", "1", "--out", "no/such/folder/a.png"], "could not be written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0, "nothing was left behind");
    }

    #[test]
    fn a_plane_along_the_canal_comes_as_picture_and_as_hu() {
        let folder = tempfile::tempdir().expect("folder");
        let rendered = |args: &[&str]| {
            let plane = ["render", "demo:", "--plane", "coronal", "--curved", "--at", "-8"];
            let output = dens(&[&plane, args].concat(), folder.path());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        rendered(&["--out", "curved.nrrd"]);
        let bytes = std::fs::read(folder.path().join("curved.nrrd")).expect("the file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("content: coronal along a curve, 8.0 mm in front of it, HU"), "{text}");
        assert!(text.contains("dimension: 2\n") && text.contains("spacings: ") && !text.contains("space:"), "{text}");
        rendered(&["--slab", "4", "--size", "500x400", "--out", "curved.png"]);
        assert_eq!(picture(&folder.path().join("curved.png")).height(), 400);
    }

    #[test]
    fn planes_come_as_pictures_and_as_hu_in_place() {
        let folder = tempfile::tempdir().expect("folder");
        let written = dens(
            &["phantom", "--out", "neck", "--cases", "1", "--seed", "3", "--matrix", "64", "--spacing", "4"],
            folder.path(),
        );
        assert!(written.status.success(), "{written:?}");
        let rendered = |args: &[&str]| {
            let output = dens(&[&["render", "neck", "--plane", "sagittal", "--at", "0"], args].concat(), folder.path());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        rendered(&["--slab", "6", "--projection", "mip", "--spacing", "2", "--out", "plane.nrrd"]);
        let bytes = std::fs::read(folder.path().join("plane.nrrd")).expect("the file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("space: left-posterior-superior") && text.contains("MIP of 6 mm"), "{text}");
        let sizes = text.lines().find_map(|l| l.strip_prefix("sizes: ")).expect("sizes");
        let sizes: Vec<u32> = sizes.split(' ').map(|n| n.parse().expect("a number")).collect();
        rendered(&["--spacing", "2", "--exact", "--out", "exact.png"]);
        let exact = picture(&folder.path().join("exact.png"));
        assert_eq!((exact.width(), exact.height(), sizes[2]), (sizes[0], sizes[1], 1));
        rendered(&["--size", "300x400", "--out", "picture.png"]);
        assert_eq!(picture(&folder.path().join("picture.png")).width(), 300);
        let refused = |args: &[&str], says: &str| {
            check_refusal(&dens(&[&["render", "neck", "--plane", "axial"], args].concat(), folder.path()), says);
        };
        refused(&["--at", "9999", "--out", "a.png"], "z 9999 mm lies outside the volume, which reaches from");
        refused(&["--at", "0", "--out", "a.jpg"], "let it end in .png or .nrrd");
        refused(&["--at", "-1", "--spacing", "0", "--out", "a.png"], "a spacing of 0 mm cannot be used");
        refused(&["--at", "-1", "--slab", "nan", "--out", "a.png"], "a slab of NaN mm cannot be cut");
        refused(
            &["--curved", "--at", "0", "--out", "a.png"],
            "only a coronal or a sagittal plane can follow the spinal canal",
        );
        let usage = |args: &[&str]| dens(&[&["render", "neck"], args].concat(), folder.path()).status.code();
        assert_eq!(usage(&["--plane", "axial", "--out", "a.png"]), Some(2), "a plane needs a place");
        assert_eq!(usage(&["--plane", "axial", "--at", "0", "--slice", "3", "--out", "a.png"]), Some(2));
    }

    #[test]
    fn wrong_usage_has_its_own_exit_code() {
        let folder = tempfile::tempdir().expect("folder");
        for args in [
            &["render", "demo:", "--slice", "1", "--window", "bones", "--out", "a.png"][..],
            &["render", "demo:", "--slice", "1", "--exact", "--size", "99x99", "--out", "a.png"],
            &["render", "demo:", "--out", "a.png"],
        ] {
            assert_eq!(dens(args, folder.path()).status.code(), Some(2), "{args:?}");
        }
    }

    #[test]
    fn real_slices_come_in_display_order_and_exact() {
        let Some(data) = shared_data() else { return };
        let folder = tempfile::tempdir().expect("folder");
        let path = data.join("ct-headneck");
        let path = path.to_str().expect("a plain path");
        let catalog = dens::dicom::scan(Path::new(path), &dens::jobs::JobCtx::detached()).expect("a catalog");
        let series = &catalog.series[catalog.likeliest().expect("a series")];
        assert!(series.slices[0].z_mm() > series.slices[63].z_mm(), "head first");
        for (number, window) in [1, 30, 64].into_iter().flat_map(|n| WINDOWS.map(|w| (n, w))) {
            let (slice_argument, window_argument) = (number.to_string(), format!("--window={window}"));
            let args = ["render", path, "--slice", &slice_argument, &window_argument, "--exact", "--out", "a.png"];
            assert!(dens(&args, folder.path()).status.success());
            let slice = dens::dicom::decode_slice(series, number - 1).expect("decodes");
            let window: Window = window.parse().expect("a window");
            let expected: Vec<u8> =
                (0..slice.pixels.len()).map(|i| window.grey8(slice.pixels.get(i).expect("inside"))).collect();
            assert!(picture(&folder.path().join("a.png")).into_luma8().into_raw() == expected, "slice {number}");
        }
    }
}

#[test]
fn worklist_writes_a_line_for_each_study() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = ["phantom", "--cases", "2", "--seed", "5", "--matrix", "128", "--spacing", "3", "--out", "necks"];
    assert!(dens(&made, folder.path()).status.success());
    let run = dens(&["worklist", "necks", "--hide-identity", "--csv", "out.csv"], folder.path());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut reader = csv::Reader::from_path(folder.path().join("out.csv")).expect("a table");
    let rows: Result<Vec<std::collections::HashMap<String, String>>, _> = reader.deserialize().collect();
    let rows = rows.expect("every row has every column");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(
            (row["analysis"].as_str(), row["results"].as_str(), row["patient_id"].as_str()),
            ("done", "shown", "")
        );
        let score: f32 = row["case_score"].parse().expect("a score");
        assert!((0.0..=1.0).contains(&score) && row["weights"].contains("synthetic necks only"));
        assert!(row["research"].contains("Not for diagnosis") && row["order"].is_empty());
    }
    assert_ne!(rows[0]["study_key"], rows[1]["study_key"]);
    check_refusal(&dens(&["worklist", "nowhere", "--csv", "out.csv"], folder.path()), "nowhere");
}

#[test]
fn phantom_writes_studies_that_info_lists_and_leaves_full_folders_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let args = ["phantom", "--out", "necks", "--cases", "2", "--seed", "11", "--matrix", "64", "--spacing", "5"];
    let written = dens(&args, folder.path());
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(written.status.success() && said.contains("2 studies") && said.contains("no patients"), "{written:?}");
    let listed = dens(&["info", "necks/train_images", "--json"], folder.path());
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["series"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["refused"].as_array().map(Vec::len), Some(0), "{listed}");
    check_refusal(&dens(&args, folder.path()), "necks is not empty");
    let refused = |args: &[&str], says: &str| check_refusal(&dens(args, folder.path()), says);
    refused(&["phantom", "--out", "a", "--cases", "0", "--seed", "1"], "--cases of 1 or more");
    refused(&["phantom", "--out", "a", "--cases", "1", "--seed", "1", "--matrix", "7"], "matrix=7");
    refused(&["phantom", "--out", "a", "--cases", "1", "--seed", "1", "--type", "wing"], "wing");
    let of_a_kind = ["phantom", "--cases", "1", "--seed", "11", "--matrix", "64", "--spacing", "5", "--out", "lamina"];
    let output = dens(&[&of_a_kind[..], &["--positive-fraction", "1", "--type", "lamina"]].concat(), folder.path());
    assert!(output.status.success(), "{output:?}");
    let fractures = std::fs::read_to_string(folder.path().join("lamina/dens_fractures.csv")).expect("the fractures");
    assert!(
        fractures.lines().count() > 1 && fractures.lines().skip(1).all(|line| line.contains("lamina")),
        "{fractures}"
    );
    assert!(!folder.path().join("a").exists(), "nothing was left behind");
}
