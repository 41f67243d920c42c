//! Reports: the contract of the JSON, what is hidden when identity is hidden, what stands on every page and picture,
//! and that a failed write leaves the old file alone. `DENS_KEEP_REPORTS=FOLDER` keeps what is made, to look at it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dens::findings::{
    Cam, CaseResult, Exclusion, Findings, ModelInfo, Occlusion, Provenance, Seconds, SliceFinding, SliceOutcome,
    SliceState,
};
use dens::geometry::{PatientPoint, SlicePose, Vec3};
use dens::measure::{Content, Ground, KeySlice, Kind as Measured, Pixels, Reading, Sheet, Source, Space};
use dens::model::{Architecture, ModelCard, Pooling};
use dens::report::{
    CornerText, Format, ReportError, ReportInput, ViewPicture, analysis_json, report_bytes, report_text, view_picture,
    write_atomically, write_report,
};
use dens::study::describe::{Identity, corner_text};
use dens::study::{
    Kind, LoadedSeries, Patient, Photometric, Refused, Series, SliceInfo, StudyInfo, Technique, Warning,
};
use dens::view::{ImageLayer, ImageShape, Interpolation, ViewDraw, ViewState, heatmap_layer};
use dens::volume::{Slice, SlicePixels, Volume, Window};
use dens::{RESEARCH_LINE, RESEARCH_LINE_SHORT};

const SIZE: usize = 160;
const SPACING_MM: f64 = 1.25;

/// Strings that name the patient; none may be left when the identity is hidden.
const IDENTIFYING: [&str; 11] = [
    "Planted",
    "Zaphodia",
    "PID-90210",
    "19570213",
    "1957-02-13",
    "ACC-5150",
    "Saint Planted",
    "20190304",
    "2019-03-04",
    "1.2.840.99.7",
    "PLANTED_Z",
];

/// A neck of three grey values: air, muscle, and a vertebra with its canal.
fn neck_slice(index: usize) -> Slice {
    let mut values = Vec::with_capacity(SIZE * SIZE);
    let half = SIZE as f64 / 2.0;
    for row in 0..SIZE {
        for column in 0..SIZE {
            let (x, y) = ((column as f64 - half) / half, (row as f64 - half) / half);
            let body = (x / 0.62).powi(2) + (y / 0.72).powi(2) < 1.0;
            let bone = (x / 0.2).powi(2) + ((y - 0.05) / 0.16).powi(2) < 1.0;
            let arch = (x / 0.22).powi(2) + ((y - 0.3) / 0.18).powi(2);
            let noise = ((column * 7919 + row * 104_729 + index * 1299) % 41) as i16 - 20;
            values.push(match (body, bone || (0.55..1.0).contains(&arch)) {
                (_, true) => 800 + noise * 4,
                (true, false) => 50 + noise,
                (false, false) => -1000,
            });
        }
    }
    Slice { rows: SIZE, columns: SIZE, pixels: SlicePixels::I16(values.into()), padding: None }
}

fn series(slices: usize) -> Series {
    let info = |i: usize| SliceInfo {
        path: format!("/data/PLANTED_Z/im{i:03}.dcm").into(),
        packed: None,
        frame: None,
        file: format!("PLANTED_Z/im{i:03}.dcm"),
        sop_instance_uid: format!("1.2.840.99.7.{i}"),
        instance_number: Some(i as i64),
        pose: Some(SlicePose {
            origin: PatientPoint(Vec3::new(-100.0, -100.0, 40.0 - 2.5 * i as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        }),
    };
    Series {
        uid: "1.2.840.99.7.1".into(),
        frame_of_reference: String::new(),
        study: Arc::new(StudyInfo {
            uid: "1.2.840.99.7".into(),
            description: "CT cervical spine of Planted".into(),
            date: "20190304".into(),
            time: "123305".into(),
            accession: "ACC-5150".into(),
            institution: "Saint Planted".into(),
        }),
        patient: Arc::new(Patient {
            name: "Planted, Zaphodia".into(),
            id: "PID-90210".into(),
            birth_date: "19570213".into(),
            sex: "F".into(),
            age: "062Y".into(),
        }),
        modality: "CT".into(),
        number: Some(4),
        description: "axial bone 1.0".into(),
        rows: SIZE,
        columns: SIZE,
        spacing_mm: Some([SPACING_MM, SPACING_MM]),
        slice_spacing_mm: Some(2.5),
        slices: (0..slices).map(info).collect(),
        technique: Technique {
            manufacturer: "Test Works".into(),
            kernel: "B60s".into(),
            kvp: Some(120.0),
            mas: Some(210.0),
            slice_thickness_mm: Some(2.0),
            patient_position: "HFS".into(),
            ..Technique::default()
        },
        photometric: Photometric::Monochrome2,
        values_are_hu: true,
        is_localizer: false,
        part: None,
        file_windows: Vec::new(),
        file_window_names: Vec::new(),
        reformatted: None,
        warnings: vec![Warning {
            kind: Kind::SlicesExcluded,
            text: "PLANTED_Z/im003.dcm of Zaphodia Planted repeats another slice and was left out; check the export."
                .into(),
        }],
    }
}

fn loaded(slices: usize) -> LoadedSeries {
    let volume = Volume::new((0..slices).map(|i| Arc::new(neck_slice(i))).collect()).expect("equal sizes");
    LoadedSeries { series: Arc::new(series(slices)), volume: Arc::new(volume) }
}

fn refused() -> Vec<Refused> {
    vec![Refused {
        file: "PLANTED_Z/notes.txt".into(),
        kind: Kind::NotDicom,
        text: "PLANTED_Z/notes.txt is no DICOM file; it was left out. Nothing needs to be done if it is not a picture."
            .into(),
    }]
}

/// A map with one hot cell, twelve by twelve.
fn cam(score: f32) -> Arc<Cam> {
    let heat = |i: usize| {
        let (row, column) = ((i / 12) as f32, (i % 12) as f32);
        score * 8.0 * (-((row - 7.0).powi(2) + (column - 4.5).powi(2)) / 6.0).exp()
    };
    Arc::new(Cam { rows: 12, columns: 12, values: (0..144).map(heat).collect() })
}

fn findings(loaded: &LoadedSeries, score: impl Fn(usize) -> f32, trained: bool) -> Findings {
    let untrained = "untrained: the numbers mean nothing";
    let model = ModelInfo {
        name: "dens-initial".into(),
        architecture: "ResNet-50 + BLSTM-128".into(),
        sha256: "c0ffee00".repeat(8),
        trained_on: if trained { "synthetic necks only" } else { untrained }.into(),
        trained,
        threshold: 0.5,
        calibrated: false,
        recipe: "paper/1".into(),
        operating: dens::findings::Operating::default(),
        card: serde_json::json!({"seed": 7, "licence": "MIT OR Apache-2.0"}),
        choice: None,
    };
    let provenance = Provenance {
        model: Arc::new(model),
        volume: loaded.volume.id(),
        series_uid: loaded.series.uid.clone(),
        recipe: "paper/1".into(),
        device: "CPU, 1 thread".into(),
        software: dens::SOFTWARE.into(),
        computed_earlier: None,
    };
    let total = loaded.series.slices.len();
    let mut findings = Findings::new(provenance, total);
    for (i, state) in findings.slices.iter_mut().enumerate() {
        let outcome = match i {
            0 => SliceOutcome::Excluded(Exclusion::EmptySlice),
            5 => SliceOutcome::Excluded(Exclusion::NotFinite),
            _ => SliceOutcome::Scored {
                score: score(i),
                logit: 0.0,
                region: [40.0, 36.0, 124.0, 120.0],
                cam: cam(score(i)),
            },
        };
        let flags = if i == 7 { vec!["no_bone"] } else { Vec::new() };
        *state = SliceState::Done(SliceFinding { outcome, flags });
    }
    findings.case = Some(CaseResult { score: 0.731, logit: 1.0, attribution: vec![Some(0.012); total] });
    findings.seconds = Seconds { load: 0.5, preprocess: 1.25, network: 20.5, total: 22.5 };
    findings.warnings = vec!["The region was borrowed from the neighbours on 1 slice without bone.".into()];
    findings
}

fn two_peaks(i: usize) -> f32 {
    let bump = |centre: f32, height: f32| height * (-(i as f32 - centre).powi(2) / 8.0).exp();
    0.08 + bump(11.0, 0.83) + bump(20.0, 0.55)
}

fn input<'a>(loaded: &'a LoadedSeries, findings: Option<&'a Findings>, refused: &'a [Refused]) -> ReportInput<'a> {
    ReportInput {
        loaded,
        findings,
        analysis_note: None,
        refused,
        drawn: None,
        occlusion: None,
        truth: None,
        hide_identity: false,
        created: "2026-03-04T05:06:07+01:00".into(),
    }
}

/// Where to keep what the tests make; nowhere unless a person asks for it.
fn kept_folder() -> Option<PathBuf> {
    std::env::var_os("DENS_KEEP_REPORTS").map(PathBuf::from)
}

/// Writes all three formats where a person asked for them.
fn keep(name: &str, input: &ReportInput<'_>) {
    let Some(folder) = kept_folder() else { return };
    for extension in ["pdf", "png", "json"] {
        write_report(input, &folder.join(format!("{name}.{extension}"))).expect("kept");
    }
}

fn json_of(input: &ReportInput<'_>) -> serde_json::Value {
    serde_json::from_slice(&report_bytes(input, Format::Json).expect("a report")).expect("JSON")
}

#[test]
fn the_analysis_has_the_contracts_fields() {
    let loaded = loaded(8);
    let json = analysis_json(&loaded, &findings(&loaded, |_| 0.83, false));
    let keys = |v: &serde_json::Value| v.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&json),
        ["series_uid", "model", "device", "recipe", "threshold", "slices", "case_score", "seconds", "warnings"]
    );
    assert_eq!(keys(&json["model"]), ["name", "sha256", "trained_on"]);
    assert_eq!(keys(&json["seconds"]), ["load", "preprocess", "network", "total"]);
    assert_eq!(keys(&json["slices"][0]), ["index", "file", "z_mm", "score", "excluded", "box", "cam"]);
    assert_eq!(json["slices"][0]["index"], 1);
    assert_eq!(json["slices"][0]["excluded"], "empty-slice");
    assert!(json["slices"][0]["score"].is_null() && json["slices"][0]["cam"].is_null());
    let second = &json["slices"][1];
    assert_eq!(second["score"], 0.83);
    assert_eq!(second["z_mm"], 37.5);
    assert_eq!(second["file"], "PLANTED_Z/im001.dcm");
    assert_eq!(second["box"], serde_json::json!([40.0, 36.0, 124.0, 120.0]));
    let rows = second["cam"].as_array().expect("rows");
    assert!(rows.len() == 12 && rows.iter().all(|r| r.as_array().is_some_and(|r| r.len() == 12)));
    let cell = second["cam"][7][4].as_f64().expect("a number");
    assert!(cell as f32 == cam(0.83).at(7, 4), "rows first, before any scaling: {cell}");
    assert_eq!(json["warnings"][0]["kind"], "slices-excluded");
}

#[test]
fn an_unfinished_analysis_says_not_run() {
    let loaded = loaded(3);
    let mut findings = findings(&loaded, |_| 0.2, false);
    findings.slices[2] = SliceState::NotRun;
    findings.case = None;
    let json = analysis_json(&loaded, &findings);
    assert_eq!(json["slices"][2]["excluded"], "not-run");
    assert!(json["case_score"].is_null());
}

#[test]
fn every_page_carries_the_research_line_and_its_number() {
    let (loaded, mut refused) = (loaded(26), refused());
    for i in 0..120 {
        refused.push(Refused {
            file: format!("junk/{i}"),
            kind: Kind::Truncated,
            text: "cut short; copy it again".into(),
        });
    }
    let findings = findings(&loaded, two_peaks, false);
    let input = input(&loaded, Some(&findings), &refused);
    let pages = report_text(&input);
    assert!(pages.len() > 4, "{} pages", pages.len());
    for (i, page) in pages.iter().enumerate() {
        assert!(page.iter().any(|t| t == RESEARCH_LINE), "page {}", i + 1);
        assert!(page.iter().any(|t| *t == format!("page {} of {}", i + 1, pages.len())));
    }
    let all = pages.concat().join("\n");
    for i in [0, 60, 119] {
        assert!(all.contains(&format!("truncated: junk/{i}\n")), "refused file {i} stands in full");
    }
    keep("many-refused", &input);
}

#[test]
fn the_report_says_what_a_number_rests_on() {
    let (loaded, refused) = (loaded(26), refused());
    let findings_untrained = findings(&loaded, two_peaks, false);
    let input_untrained = input(&loaded, Some(&findings_untrained), &refused);
    let pages = report_text(&input_untrained);
    let first = pages[0].join("\n");
    for needed in [
        "Planted, Zaphodia",
        "PID-90210",
        "untrained: the numbers mean nothing",
        "0.731",
        "threshold",
        "head, z 40.0 mm",
        "feet, z -22.5 mm",
        "24 of 26 slices assessed; left out: 1 empty-slice, 1 not-finite.",
    ] {
        assert!(first.contains(needed), "\"{needed}\" is missing from\n{first}");
    }
    // Letters may be broken over lines, digests too.
    let joined = pages.concat().concat();
    assert!(joined.contains(&"c0ffee00".repeat(8)));
    // Wherever a score stands: panel, strip, two key slices, table.
    let all = pages.concat().join(" ");
    assert!(all.matches("untrained: the numbers mean nothing").count() >= 5, "{all}");
    for never in ["no fracture", "robability of", "normal"] {
        assert!(!all.contains(never), "{never}");
    }
    let trained = findings(&loaded, two_peaks, true);
    let text = report_text(&input(&loaded, Some(&trained), &refused)).concat().join(" ");
    assert!(text.contains("trained on synthetic necks only") && !text.contains("untrained"));
    keep("two-peaks", &input_untrained);
    let pdf = report_bytes(&input_untrained, Format::Pdf).expect("a report");
    assert!(pdf.starts_with(b"%PDF-") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
    keep("trained", &input(&loaded, Some(&trained), &refused));
}

#[test]
fn nothing_above_the_threshold_is_said_with_coverage_and_shows_the_highest() {
    let loaded = loaded(12);
    let mut findings = findings(&loaded, |i| 0.3 + i as f32 * 0.01, false);
    findings.case = Some(CaseResult { score: 0.41, logit: -0.4, attribution: vec![None; 12] });
    let input = input(&loaded, Some(&findings), &[]);
    let text = report_text(&input).concat().join(" ");
    assert!(text.contains("No finding above the threshold 0.500.") && text.contains("10 of 12 slices assessed"));
    assert!(text.contains("Highest score") && text.contains("below the threshold 0.500, so no"), "{text}");
    keep("below", &input);
}

#[test]
fn a_hard_stop_still_makes_a_report() {
    let loaded = loaded(5);
    let mut input = input(&loaded, None, &[]);
    input.analysis_note = Some("not applicable: the pixel spacing of this series is unknown".into());
    let text = report_text(&input).concat().join(" ");
    assert!(text.contains("No score") && text.contains("not applicable: the pixel spacing"));
    assert!(text.contains("Middle slice"));
    keep("stopped", &input);
    let json = json_of(&input);
    assert!(json["analysis"].is_null() && json["result"].is_null());
    assert_eq!(json["analysis_note"], "not applicable: the pixel spacing of this series is unknown");
}

#[test]
fn each_set_that_a_threshold_was_tried_on_stands_by_itself() {
    let (loaded, refused) = (loaded(26), refused());
    let mut findings = findings(&loaded, two_peaks, true);
    let rate = |value: f64| serde_json::json!({ "value": value, "lower": value - 0.1, "upper": value + 0.1 });
    let set = |value: f64| {
        let point = serde_json::json!([{ "threshold": 0.5, "sensitivity": rate(value), "specificity": rate(0.5) }]);
        serde_json::json!({ "cases": 20, "positive_cases": 9, "synthetic": true, "operating_points": point })
    };
    let network = Architecture::nano(8, Pooling::Last);
    let mut card = ModelCard::template(&network, [0.0; 3], [1.0; 3]);
    card["held_out"] = serde_json::json!({ "iid": set(0.8), "twins": set(0.6) });
    let operating = ModelCard::from_json(card).expect("a card").operating();
    findings.provenance.model = Arc::new(ModelInfo { operating, ..(*findings.provenance.model).clone() });
    let json = json_of(&input(&loaded, Some(&findings), &refused));
    for (name, share) in [("iid", "80 %"), ("twins", "60 %")] {
        let text = json["model"][format!("Tried on {name}")].as_str().expect("a sentence of its own");
        assert!(text.contains(&format!("sensitivity {share}")), "{text}");
    }
}

#[test]
fn an_occlusion_check_stands_beside_its_slice() {
    let (loaded, refused) = (loaded(26), refused());
    let findings = findings(&loaded, two_peaks, true);
    let lines = |check: Option<&Occlusion>| {
        let json = json_of(&ReportInput { occlusion: check, ..input(&loaded, Some(&findings), &refused) });
        let keys = json["key_slices"].as_array().expect("key slices").clone();
        keys.iter()
            .map(|key| (key["title"].clone(), key["index"].clone(), key["lines"].to_string()))
            .collect::<Vec<_>>()
    };
    let (region, cam) = findings.slices[11].cam().expect("a map");
    let cells = cam.rows * cam.columns;
    let mut covered = vec![0.9; cells];
    covered[cells / 2] = 0.2;
    let check = |index| Occlusion::new(index, *region, 0.9, [cam.rows, cam.columns], &covered).expect("a map");
    // A peak that is there anyhow says it; another slice comes in.
    let peak = check(11);
    let with = lines(Some(&peak));
    assert_eq!(with.len(), lines(None).len());
    assert!(with[0].1 == 12 && with[0].2.contains("Largest drop 0.700 of the score 0.900"), "{with:?}");
    assert!(with[1..].iter().all(|key| !key.2.contains("Largest drop")), "{with:?}");
    let other = check(15);
    let with = lines(Some(&other));
    let last = with.last().expect("one more");
    assert!(with.len() == lines(None).len() + 1 && last.0 == "Checked by occlusion" && last.1 == 16, "{with:?}");
    assert!(last.2.contains("Largest drop"), "{last:?}");
}

#[test]
fn the_json_holds_what_the_pages_say() {
    let (loaded, refused) = (loaded(26), refused());
    let findings = findings(&loaded, two_peaks, false);
    let input = input(&loaded, Some(&findings), &refused);
    let json = json_of(&input);
    assert_eq!(json["analysis"], analysis_json(&loaded, &findings));
    assert_eq!(json["research_line"], RESEARCH_LINE);
    assert_eq!(json["result"]["standing"], "untrained: the numbers mean nothing");
    assert_eq!(json["result"]["peaks"][0]["index"], 12);
    assert_eq!(json["model"]["SHA-256"], "c0ffee00".repeat(8));
    assert_eq!(json["patient_and_study"]["Patient"], "Planted, Zaphodia");
    assert_eq!(json["refused"][0]["about"], "PLANTED_Z/notes.txt");
    assert_eq!(json["key_slices"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["key_slices"][0]["fidelity"]["words"], "interpolated");
    assert!(json["key_slices"][0]["fidelity"]["sentence"].as_str().is_some_and(|s| s.contains("values are linear")));
    assert!(report_text(&input).concat().iter().any(|line| line == "shown interpolated"));
}

#[test]
fn hiding_the_identity_leaves_nothing_that_names_the_patient() {
    let (loaded, refused) = (loaded(4), refused());
    let findings = findings(&loaded, |_| 0.7, false);
    let mut input = input(&loaded, Some(&findings), &refused);
    let has = |text: &str, what: &str| text.to_lowercase().contains(&what.to_lowercase());
    let shown = report_text(&input).concat().concat();
    assert!(
        IDENTIFYING.iter().filter(|what| has(&shown, what)).count() >= 8,
        "the planted strings are seen when shown"
    );
    input.hide_identity = true;
    input.analysis_note = Some("stopped while reading PLANTED_Z/im002.dcm".into());
    keep("hidden", &input);
    let hidden = report_text(&input).concat().concat();
    let files = [Format::Pdf, Format::Png, Format::Json]
        .map(|format| String::from_utf8_lossy(&report_bytes(&input, format).expect("a report")).into_owned());
    for what in IDENTIFYING {
        assert!(!has(&hidden, what), "\"{what}\" is on a page");
        for file in &files {
            assert!(!has(file, what), "\"{what}\" is in a file");
        }
    }
    assert!(hidden.contains("identity hidden") && files[2].contains("\"identity_hidden\": true"));
    assert!(hidden.contains("F, 62 y"), "sex and age stay");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let loaded = loaded(3);
    let findings = findings(&loaded, |_| 0.7, false);
    let input = input(&loaded, Some(&findings), &[]);
    for format in [Format::Pdf, Format::Png, Format::Json] {
        let first = report_bytes(&input, format).expect("a report");
        assert!(first == report_bytes(&input, format).expect("a report"), "{format:?} differs");
    }
}

#[test]
fn the_png_is_its_pages_and_nothing_but_pixels() {
    let loaded = loaded(5);
    let findings = findings(&loaded, |_| 0.2, false);
    let input = input(&loaded, Some(&findings), &[]);
    let bytes = report_bytes(&input, Format::Png).expect("a report");
    let pages = report_text(&input).len() as u32;
    let picture = image::load_from_memory(&bytes).expect("a PNG").into_rgb8();
    assert_eq!(picture.dimensions(), (1488, 2105 * pages));
    for chunk in [b"tEXt", b"iTXt", b"zTXt", b"eXIf"] {
        assert!(!bytes.windows(4).any(|w| w == chunk));
    }
    // The foot of each page holds dark ink where the research line stands.
    for page in 0..pages {
        let top = page * 2105 + (796.5 * 2.5) as u32;
        let dark = (top..top + 25).flat_map(|y| (120..900).map(move |x| (x, y)));
        let dark = dark.filter(|(x, y)| picture.get_pixel(*x, *y).0[0] < 120).count();
        assert!(dark > 300, "page {}: {dark} dark pixels", page + 1);
    }
}

#[test]
fn names_that_cannot_be_drawn_become_boxes() {
    let mut loaded = loaded(3);
    let mut series = Series::clone(&loaded.series);
    series.patient = Arc::new(Patient {
        name: "\u{5c71}\u{7530}, \u{592a}\u{90ce} M\u{fc}ller\u{202e}".into(),
        ..Patient::default()
    });
    loaded.series = Arc::new(series);
    let input = input(&loaded, None, &[]);
    let pages = report_text(&input);
    assert!(pages[0].iter().any(|t| t == "\u{25a1}\u{25a1}, \u{25a1}\u{25a1} M\u{fc}ller\u{25a1}"), "{:?}", pages[0]);
    assert!(pages[0].iter().any(|t| t.contains("stands for a character")));
    keep("boxes", &input);
}

#[test]
fn only_known_extensions_are_taken() {
    for (path, format) in [("a.pdf", Format::Pdf), ("b.PNG", Format::Png), ("c.d.json", Format::Json)] {
        assert_eq!(Format::of(Path::new(path)).expect("known"), format);
    }
    for path in ["report.docx", "report", ".pdf"] {
        let error = Format::of(Path::new(path)).expect_err("unknown");
        assert!(error.to_string().contains(path) && error.to_string().contains(".pdf, .png or .json"), "{error}");
    }
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_no_litter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    write_atomically(&path, b"old").expect("written");
    write_atomically(&path, b"new").expect("replaced");
    assert_eq!(std::fs::read(&path).expect("read"), b"new");
    let mut permissions = std::fs::metadata(&path).expect("there").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).expect("marked");
    let error = write_atomically(&path, b"never").expect_err("read-only");
    assert!(error.to_string().contains("report.json could not be written"), "{error}");
    assert_eq!(std::fs::read(&path).expect("read"), b"new");
    let taken = folder.path().join("taken.pdf");
    std::fs::create_dir(&taken).expect("a folder");
    assert!(matches!(write_atomically(&taken, b"x"), Err(ReportError::Write { .. })));
    assert!(write_atomically(&folder.path().join("absent/report.pdf"), b"x").is_err());
    assert!(write_atomically(&folder.path().join(".."), b"x").is_err());
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("listed").map(|e| e.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["report.json", "taken.pdf"]);
}

#[cfg(unix)]
#[test]
fn a_new_file_is_readable_as_any_other_and_a_link_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, ours) = (folder.path().join("plain"), folder.path().join("ours"));
    std::fs::write(&plain, b"x").expect("written");
    write_atomically(&ours, b"x").expect("written");
    let mode = |p: &Path| std::fs::metadata(p).expect("there").permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&plain, &link).expect("linked");
    write_atomically(&link, b"through").expect("written");
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&plain).expect("read"), b"through");
}

#[test]
fn a_report_is_written_whole_or_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let loaded = loaded(3);
    let input = input(&loaded, None, &[]);
    let path = folder.path().join("r.json");
    write_report(&input, &path).expect("written");
    assert_eq!(std::fs::read(&path).expect("read"), report_bytes(&input, Format::Json).expect("bytes"));
    assert!(matches!(write_report(&input, &folder.path().join("r.txt")), Err(ReportError::UnknownFormat(_))));
}

fn exported_view(width: u32, height: u32, heatmap: bool, text: CornerText) -> ViewPicture {
    let loaded = loaded(14);
    let findings = findings(&loaded, two_peaks, false);
    let shape = ImageShape { rows: SIZE, columns: SIZE, spacing: [SPACING_MM, SPACING_MM] };
    let view = ViewState::default().resolve(shape, f64::from(width), f64::from(height)).expect("an area");
    let heat = heatmap_layer(&findings, 11, true, 0.45).filter(|_| heatmap);
    let slice = loaded.volume.slices()[11].clone();
    let image = ImageLayer { slice, window: Window::BONE, invert: false, interpolation: Interpolation::Linear };
    ViewPicture {
        draw: ViewDraw { pixel_from_screen: view.pixel_from_screen, image, heatmap: heat },
        width,
        height,
        text,
        pixels_per_mm: Some(view.screen_px_per_unit),
        text_scale: height as f32 / 1000.0,
        marks: Vec::new(),
    }
}

#[test]
fn an_exported_view_has_its_size_and_the_research_line_burnt_in() {
    let loaded = loaded(14);
    for (width, height) in [(256, 256), (700, 500), (1920, 1080)] {
        let text = corner_text(&loaded.series, 11, &Window::BONE, 1.0, Identity::Shown);
        let picture = exported_view(width, height, true, text);
        let rgba = view_picture(&picture);
        assert_eq!(rgba.len(), (width * height * 4) as usize);
        assert!(rgba.chunks_exact(4).all(|p| p[3] == 255), "opaque");
        let foot = (height as f32 * 0.9) as usize * width as usize * 4;
        let plain = dens::view::raster::rgba8(&picture.draw, width as usize, height as usize);
        let written = rgba[foot..].chunks_exact(4).zip(plain[foot..].chunks_exact(4)).filter(|(a, b)| a != b).count();
        assert!(written as f32 > width as f32 * 1.5, "{written} pixels of text at the foot of {width} x {height}");
        if let Some(folder) = kept_folder() {
            let path = folder.join(format!("view-{width}x{height}.png"));
            image::save_buffer(path, &rgba, width, height, image::ColorType::Rgba8).expect("kept");
        }
    }
    assert!(RESEARCH_LINE.starts_with("Research software.") && RESEARCH_LINE_SHORT.starts_with("Research software."));
    let nothing = ViewPicture { width: 0, ..exported_view(64, 64, false, CornerText::default()) };
    assert!(view_picture(&nothing).is_empty());
}

/// A length, a region with the patient's name in its own, a length on a sagittal slab, and a marked slice.
fn drawn_on(loaded: &LoadedSeries) -> Content {
    let mut sheet = Sheet::default();
    let pose = loaded.series.slices[5].pose.expect("placed");
    let source = Source::Slice { index: 5 };
    let slice = Ground { space: Space::Patient, pose, spacing: [SPACING_MM; 2], source };
    let at = |x: f64, y: f64| PatientPoint(pose.origin.0 + Vec3::new(x, y, 0.0));
    sheet.add(Measured::Length, slice, vec![at(20.0, 20.0), at(50.0, 60.0)], Reading::Length(50.0));
    let region = sheet.add(Measured::Ellipse, slice, vec![at(30.0, 30.0), at(44.0, 40.0)], Reading::Nothing);
    sheet.refresh(|m| m.reading = Reading::of(m, Pixels::Slice(&loaded.volume.slices()[5])));
    sheet.rename(region, "node of Zaphodia".into());
    let plane = dens::geometry::Plane::Sagittal;
    let stack = loaded.stack().expect("a stack");
    let grid =
        dens::geometry::PlaneGrid::covering(&stack.geometry, plane, pose.origin.0.x + 40.0, 1.0).expect("inside");
    let slab = dens::volume::Slab { thickness_mm: 6.0, projection: dens::volume::Projection::Mip };
    let ground =
        Ground { space: Space::Patient, pose: grid.pose, spacing: [1.0; 2], source: Source::Plane { plane, slab } };
    let on_plane = |x: f64, y: f64| PatientPoint(grid.pose.origin.0 + Vec3::new(0.0, x, -y));
    sheet.add(Measured::Length, ground, vec![on_plane(10.0, 3.0), on_plane(40.0, 3.0)], Reading::Length(30.0));
    sheet.toggle_key_slice(KeySlice { index: 2, at: None });
    sheet.content().clone()
}

#[test]
fn what_the_reader_measured_stands_in_every_form_of_the_report() {
    let loaded = loaded(14);
    let drawn = drawn_on(&loaded);
    for hide_identity in [false, true] {
        let input = ReportInput { drawn: Some(&drawn), hide_identity, ..input(&loaded, None, &[]) };
        keep(&format!("measured-{hide_identity}"), &input);
        let text = report_text(&input).concat().join("\n");
        for said in ["Measurements", "50.0 mm", "slice 6", "mean ", "sagittal, x", "Marked by the reader", "Length 2"] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert_eq!(text.contains("Zaphodia"), !hide_identity);
        assert!(report_bytes(&input, Format::Pdf).expect("a PDF").starts_with(b"%PDF"));
        let json = report_bytes(&input, Format::Json).expect("JSON");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let all = json["measurements"].as_array().expect("measurements");
        assert_eq!((all.len(), all[0]["reading"]["length"].as_f64()), (3, Some(50.0)));
        assert_eq!(all[1]["reading"]["n"].as_u64().map(|n| n > 10), Some(true));
        assert_eq!(json["slices_marked_by_the_reader"], serde_json::json!([3]));
        assert_eq!(json.to_string().contains("Zaphodia"), !hide_identity);
    }
}

#[test]
fn thresholds_of_the_reader_are_named_as_such_in_pages_and_json() {
    let (loaded, refused) = (loaded(26), refused());
    let mut findings = findings(&loaded, two_peaks, true);
    let card = json_of(&input(&loaded, Some(&findings), &refused));
    assert_eq!(card["result"]["thresholds"]["chosen_by"], "model-card");
    findings.chosen = Some(dens::findings::operating::Thresholds { slice: 0.75, case: 0.8 });
    let chosen = input(&loaded, Some(&findings), &refused);
    let text = report_text(&chosen).concat().join(" ");
    for needed in [
        "1 peak in",
        "at or above the threshold 0.750",
        "Case score 0.731, below the threshold 0.800",
        "Thresholds chosen by the reader: 0.750 for slices, 0.800 for the case; the model card has 0.500",
    ] {
        assert!(text.contains(needed), "\"{needed}\" is missing from {text}");
    }
    let json = json_of(&chosen);
    assert_eq!(json["analysis"]["threshold"], 0.75);
    assert_eq!(json["result"]["thresholds"]["chosen_by"], "reader");
    assert_eq!(json["result"]["thresholds"]["model_card"]["case"], 0.5);
    keep("chosen", &chosen);
}

#[test]
fn the_passport_stands_in_pages_and_json_without_names_where_hidden() {
    let (loaded, refused) = (loaded(26), refused());
    let findings = findings(&loaded, two_peaks, true);
    let mut with = input(&loaded, Some(&findings), &refused);
    let text = report_text(&with).concat().join(" ");
    for needed in [
        "Input passport",
        "Scored although not fit for it: 1 reason",
        "the series has 26 slices; a cervical spine needs at least 40",
        "slices of 2 mm blur fine fracture lines",
        "slices are 2 mm thick every 2.5 mm",
        "the analysis used 24 of 26 slices because 1 holds nothing but air or padding, 1 got no finite number",
        "1 file under the opened path could not be used",
        "B60s, a sharp one",
    ] {
        assert!(text.contains(needed), "\"{needed}\" is missing from {text}");
    }
    let json = json_of(&with);
    assert_eq!(json["passport"]["weight"], "stop");
    assert_eq!(json["passport"]["lines"][0]["topic"], "Extent");
    with.hide_identity = true;
    assert!(!json_of(&with)["passport"].to_string().contains("Zaphodia"));
}
