//! Folders and files of DICOM to series and volumes: the shared data against their manifest, and files made here that
//! are unusual or hostile.

mod archives;
mod encrypted;
pub mod files;
mod phases;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dens::dicom::{LoadError, OpenError, decode_slice, load_series, scan, volume_sha256};
use dens::jobs::JobCtx;
use dens::study::{Catalog, Kind, LoadedSeries, Refused, Series};
use dens::volume::{Slice, SlicePixels};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::shared_data;
use files::{Dcm, Encoding};

fn open(path: &Path) -> Catalog {
    scan(path, &JobCtx::detached()).expect("the path can be read")
}
fn load(series: &Series) -> Result<(LoadedSeries, Vec<Refused>), Vec<Refused>> {
    match load_series(&Arc::new(series.clone()), 0, &JobCtx::detached(), &|_, _| {}) {
        Ok(loaded) => Ok((loaded.loaded, loaded.refused)),
        Err(LoadError::NothingDecoded(refused)) => Err(refused),
        Err(error) => panic!("{error}"),
    }
}
fn kinds(series: &Series) -> BTreeSet<String> {
    series.warnings.iter().map(|w| w.kind.name()).collect()
}
fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}
fn manifest(data: &Path) -> Value {
    let bytes = std::fs::read(data.join("MANIFEST.json")).expect("manifest");
    serde_json::from_slice(&bytes).expect("manifest is JSON")
}

/// What a row's `expect` allows.
#[derive(Debug, Default)]
struct Expect {
    errors: BTreeSet<String>,
    /// Sets of warnings, one of which must be there completely.
    loads: Vec<BTreeSet<String>>,
}

fn expectation(said: &str) -> Expect {
    let mut expect = Expect::default();
    let mut depth = 0;
    let plain: String = said
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect();
    let words: Vec<&str> = plain.split([' ', ',', ';']).filter(|w| !w.is_empty()).collect();
    for (i, word) in words.iter().enumerate() {
        if let Some(kind) = word.strip_prefix("error:") {
            expect.errors.insert(kind.to_owned());
        } else if let Some(kind) = word.strip_prefix("loads-with-warning") {
            let mut kinds: BTreeSet<String> = kind.strip_prefix(':').map(str::to_owned).into_iter().collect();
            if words.get(i + 1) == Some(&"and") {
                kinds.extend(words.get(i + 2).map(|w| (*w).to_owned()));
            }
            expect.loads.push(kinds);
        } else if word.trim_end_matches(':') == "loads" {
            expect.loads.push(BTreeSet::new());
        }
    }
    if said.contains("recovered") {
        expect.loads.push(BTreeSet::new());
    }
    expect
}

/// Row of a single file: opened alone, it loads or is refused as the manifest allows.
fn check_file_row(data: &Path, row: &Value) -> Result<(), String> {
    let file = text(row, "file");
    let expect = expectation(text(row, "expect"));
    let catalog = open(&data.join(file));
    if file.ends_with("DICOMDIR") {
        return if catalog.series.len() > 5 { Ok(()) } else { Err("the folder was not opened".to_owned()) };
    }
    let loaded = match catalog.series.as_slice() {
        [] => Err(catalog.refused.clone()),
        [series] => load(series),
        more => return Err(format!("{} series", more.len())),
    };
    match loaded {
        Err(refused) => {
            let [one] = refused.as_slice() else { return Err(format!("{refused:?}")) };
            let name = Path::new(file).file_name().expect("a name").to_string_lossy();
            if !one.text.starts_with(&*name) || !one.text.ends_with('.') {
                return Err(format!("not a sentence that names the file: {}", one.text));
            }
            if one.text.contains("not decoded by this build") {
                eprintln!("SKIPPED: {file} needs the JPEG-LS decoder");
                return Ok(());
            }
            if expect.errors.contains(&one.kind.name()) { Ok(()) } else { Err(one.text.clone()) }
        }
        Ok((loaded, _)) => {
            let kinds = kinds(&loaded.series);
            if !expect.loads.iter().any(|needed| needed.is_subset(&kinds)) {
                return Err(format!("loaded with {kinds:?}, expected {expect:?}"));
            }
            check_values(row, &loaded)
        }
    }
}

fn check_values(row: &Value, loaded: &LoadedSeries) -> Result<(), String> {
    let Some(expected) = row.get("values_sha256").and_then(Value::as_str) else { return Ok(()) };
    let (sha256, dtype) = volume_sha256(&loaded.series, &loaded.volume);
    if dtype != text(row, "values_dtype") {
        return Err(format!("dtype {dtype}"));
    }
    if sha256 == expected {
        return Ok(());
    }
    // Lossy decoders may differ by about one stored unit.
    let lossy = ["4.50", "4.51", "4.81", "4.91"].iter().any(|s| text(row, "transfer_syntax").ends_with(s));
    let mean = |slice: &dens::volume::Slice| {
        let n = slice.pixels.len();
        (0..n).filter_map(|i| slice.pixels.get(i)).map(f64::from).sum::<f64>() / n as f64
    };
    let unit = row.get("rescale_slope").and_then(Value::as_f64).unwrap_or(1.0);
    let expected_mean = row.pointer("/values_stats/mean").and_then(Value::as_f64).unwrap_or(f64::NAN);
    let difference = (mean(&loaded.volume.slices()[0]) - expected_mean).abs();
    if lossy && difference < 0.1 * unit { Ok(()) } else { Err(format!("values differ (mean by {difference})")) }
}

#[test]
fn every_file_row_of_the_manifest_holds() {
    let Some(data) = shared_data() else { return };
    let manifest = manifest(&data);
    let rows = manifest.get("files").and_then(Value::as_array).expect("file rows");
    assert!(rows.len() >= 100);
    let failures: Vec<String> = rows
        .iter()
        .filter_map(|row| check_file_row(&data, row).err().map(|why| format!("{}: {why}", text(row, "file"))))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check_series_row(catalog: &Catalog, row: &Value) -> Result<(), String> {
    let members: Vec<&str> =
        row.get("members").and_then(Value::as_array).expect("members").iter().map(|m| text(m, "file")).collect();
    // Exact copies are listed too where there are any.
    let copies = row.get("files_in_folder").is_some();
    let holds = |s: &&Series| s.slices.iter().any(|slice| members.contains(&slice.file.as_str()));
    let series: Vec<&Series> = catalog.series.iter().filter(holds).collect();
    let [series] = series.as_slice() else { return Err(format!("in {} series", series.len())) };
    let mut files: Vec<&str> = series.slices.iter().map(|s| s.file.as_str()).collect();
    if series.display_descends_along_normal() {
        files.reverse();
    }
    let members: Vec<&str> = members.iter().copied().filter(|m| !copies || files.contains(m)).collect();
    let duplicates = text(row, "expect").contains("duplicate");
    if files != members && !duplicates {
        return Err(format!("order: {files:?} for {members:?}"));
    }
    if row.get("slices").and_then(Value::as_u64) != Some(series.slices.len() as u64) {
        return Err(format!("{} slices", series.slices.len()));
    }
    let kinds = kinds(series);
    if !expectation(text(row, "expect")).loads.iter().any(|needed| needed.is_subset(&kinds)) {
        return Err(format!("warnings {kinds:?}"));
    }
    let median = row.pointer("/spacing_along_normal/median").and_then(Value::as_f64);
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-3,
        (a, b) => a.is_none() && b.is_none(),
    };
    if !near(series.slice_spacing_mm, median) {
        return Err(format!("slice spacing {:?} for {median:?}", series.slice_spacing_mm));
    }
    let in_plane: Vec<f64> =
        row["pixel_spacing"].as_array().expect("spacing").iter().filter_map(Value::as_f64).collect();
    let agrees = |s: [f64; 2]| s.iter().zip(&in_plane).all(|(a, b)| (a - b).abs() < 1e-6);
    if !series.spacing_mm.is_some_and(agrees) {
        return Err(format!("spacing {:?}", series.spacing_mm));
    }
    let (loaded, refused) = load(series).map_err(|r| format!("{r:?}"))?;
    let (sha256, dtype) = volume_sha256(&loaded.series, &loaded.volume);
    if !refused.is_empty()
        || (!duplicates && sha256 != text(row, "volume_sha256"))
        || dtype != text(row, "volume_dtype")
    {
        return Err(format!("volume {sha256} {dtype} {refused:?}"));
    }
    Ok(())
}

#[test]
fn every_series_row_of_the_manifest_holds() {
    let Some(data) = shared_data() else { return };
    let manifest = manifest(&data);
    let rows = manifest.get("series").and_then(Value::as_array).expect("series rows");
    assert!(rows.len() >= 15);
    let failures: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let folder = text(row, "folder");
            check_series_row(&open(&data.join(folder)), row).err().map(|why| format!("{folder}: {why}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_likeliest_series_is_no_scout() {
    let Some(data) = shared_data() else { return };
    let catalog = open(&data.join("odd/series-with-scout"));
    let likeliest = &catalog.series[catalog.likeliest().expect("a series")];
    assert_eq!((likeliest.slices.len(), likeliest.is_localizer), (24, false));
    assert!(catalog.series.iter().any(|s| s.is_localizer && s.slices.len() == 1 && !s.values_are_hu));
}

fn study(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(path, bytes).expect("file");
    }
    folder
}
fn stack(positions_mm: &[f64]) -> Vec<Dcm> {
    positions_mm.iter().enumerate().map(|(i, z)| Dcm::ct(i as i16, *z)).collect()
}
fn written(stack: &[Dcm]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (i, dcm) in stack.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{i:03}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("file");
    }
    folder
}
#[track_caller]
fn refusal(bytes: Vec<u8>) -> Refused {
    let folder = study(&[("one.dcm", bytes)]);
    let catalog = open(&folder.path().join("one.dcm"));
    match catalog.series.as_slice() {
        [] => catalog.refused.into_iter().next().expect("a reason"),
        [series] => load(series).expect_err("this must not load").remove(0),
        _ => panic!("several series from one file"),
    }
}
#[track_caller]
fn values(dcm: &Dcm, encoding: Encoding) -> SlicePixels {
    let folder = study(&[("one.dcm", dcm.bytes(encoding))]);
    let catalog = open(folder.path());
    assert!(catalog.refused.is_empty(), "{:?}", catalog.refused);
    decode_slice(&catalog.series[0], 0).expect("decodes").pixels
}
#[track_caller]
fn warned(dcm: &Dcm) -> BTreeSet<String> {
    let folder = study(&[("one.dcm", dcm.bytes(Encoding::ExplicitLe))]);
    let catalog = open(folder.path());
    assert!(catalog.refused.is_empty(), "{:?}", catalog.refused);
    kinds(&catalog.series[0])
}

#[test]
fn every_plain_encoding_gives_the_same_values() {
    let dcm = Dcm::ct(7, 0.0);
    let expected = values(&dcm, Encoding::ExplicitLe);
    assert_eq!(expected, SlicePixels::I16((0..12).map(|i| -1024 + 7 + i).collect()));
    for encoding in
        [Encoding::ImplicitLe, Encoding::ExplicitBe, Encoding::Deflated, Encoding::BareExplicit, Encoding::BareImplicit]
    {
        assert_eq!(values(&dcm, encoding), expected, "{encoding:?}");
    }
}

#[test]
fn large_values_before_the_pixels_are_stepped_over() {
    let mut dcm = Dcm::ct(7, 0.0);
    dcm.raw((0x09, 0x10), "OB", vec![1; 3 << 20]).raw((0x29, 0x10), "UT", vec![b'x'; 200_000]);
    dcm.raw((0x28, 0x1201), "OW", vec![0; 128 << 10]);
    let expected = values(&Dcm::ct(7, 0.0), Encoding::ExplicitLe);
    for encoding in [Encoding::ExplicitLe, Encoding::ImplicitLe, Encoding::ExplicitBe, Encoding::Deflated] {
        assert_eq!(values(&dcm, encoding), expected, "{encoding:?}");
    }
}

#[test]
fn slices_at_one_position_have_no_spacing() {
    let catalog = open(written(&(0..3).map(|i| Dcm::ct(i, 4.0)).collect::<Vec<_>>()).path());
    assert_eq!((catalog.series[0].slices.len(), catalog.series[0].slice_spacing_mm), (3, None));
    assert!(kinds(&catalog.series[0]).contains("duplicate-slices"));
}

#[test]
fn a_file_written_by_dicom_rs_reads_the_same() {
    use dicom_core::{DataElement, PrimitiveValue, VR};
    use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
    let mut object = InMemDicomObject::new_empty();
    for (tag, vr, bytes) in Dcm::ct(3, 5.0).elements() {
        let value = match vr {
            "US" => PrimitiveValue::from(u16::from_le_bytes([bytes[0], bytes[1]])),
            "OW" => PrimitiveValue::U16(bytes.chunks(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()),
            _ => PrimitiveValue::from(String::from_utf8(bytes.to_vec()).expect("text")),
        };
        let vr: VR = vr.parse().expect("a VR");
        object.put(DataElement::new(dicom_core::Tag(tag.0, tag.1), vr, value));
    }
    let meta = FileMetaTableBuilder::new().transfer_syntax("1.2.840.10008.1.2.1");
    let file = object.with_meta(meta.media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.2")).expect("meta");
    let folder = tempfile::tempdir().expect("a folder");
    file.write_to_file(folder.path().join("a.dcm")).expect("written");
    let catalog = open(folder.path());
    assert_eq!(
        decode_slice(&catalog.series[0], 0).expect("decodes").pixels,
        values(&Dcm::ct(3, 5.0), Encoding::ExplicitLe)
    );
}

#[test]
fn position_orders_not_name_and_not_number() {
    let positions = [30.0, -5.0, 12.5, 100.0, 0.0];
    let mut stack = stack(&positions);
    for (i, dcm) in stack.iter_mut().enumerate() {
        dcm.text((0x20, 0x13), "IS", ["5", "1", "4", "2", "3"][i]);
    }
    let catalog = open(written(&stack).path());
    let z: Vec<f64> = catalog.series[0].slices.iter().filter_map(dens::study::SliceInfo::z_mm).collect();
    assert_eq!(z, [100.0, 30.0, 12.5, 0.0, -5.0], "head to feet");
    for dcm in &mut stack {
        dcm.text((0x20, 0x37), "DS", "0\\1\\0\\0\\0\\-1"); // sagittal, normal to the right
    }
    for (dcm, x) in stack.iter_mut().zip(positions) {
        dcm.text((0x20, 0x32), "DS", &format!("{x}\\0\\0"));
    }
    let catalog = open(written(&stack).path());
    let x: Vec<f64> = catalog.series[0].slices.iter().map(|s| s.pose.expect("pose").origin.0.x).collect();
    assert_eq!(x, [100.0, 30.0, 12.5, 0.0, -5.0], "ascending along a normal of -x");
    for dcm in &mut stack {
        dcm.remove((0x20, 0x32)).remove((0x20, 0x37));
    }
    let catalog = open(written(&stack).path());
    let numbers: Vec<i64> = catalog.series[0].slices.iter().filter_map(|s| s.instance_number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(kinds(&catalog.series[0]).contains("no-geometry"));
    assert_eq!(catalog.series[0].slice_spacing_mm, None);
}

#[test]
fn gaps_repeats_phases_patients_and_sizes() {
    let gap = open(written(&stack(&[0.0, 3.0, 6.0, 12.0])).path());
    assert!(kinds(&gap.series[0]).contains("irregular-spacing"));
    let phases: Vec<Dcm> = ["B30", "B70"]
        .iter()
        .flat_map(|kernel| {
            stack(&[0.0, 3.0, 6.0]).into_iter().map(|mut d| d.text((0x18, 0x1210), "SH", kernel).clone())
        })
        .collect();
    let catalog = open(written(&phases).path());
    assert_eq!(catalog.series.iter().map(|s| s.slices.len()).collect::<Vec<_>>(), [3, 3]);
    assert!(catalog.series.iter().all(|s| kinds(s).contains("inconsistent-series")));
    let mut patients = stack(&[0.0, 3.0]);
    patients[1].text((0x10, 0x20), "LO", "other");
    let catalog = open(written(&patients).path());
    assert_eq!(catalog.series.len(), 2);
    assert!(catalog.series.iter().all(|s| kinds(s).contains("inconsistent-series")));
    let mut tilted = stack(&[0.0, 3.0, 6.0]);
    for (i, dcm) in tilted.iter_mut().enumerate() {
        dcm.text((0x20, 0x32), "DS", &format!("0\\{}\\{}", i, 3 * i));
    }
    assert!(kinds(&open(written(&tilted).path()).series[0]).contains("gantry-tilt"));
}

#[test]
fn copies_are_dropped_and_equal_uids_alone_are_not() {
    let one = Dcm::ct(1, 0.0);
    let mut renamed = Dcm::ct(2, 3.0);
    renamed.text((0x08, 0x18), "UI", "");
    let mut other = Dcm::ct(9, 6.0);
    other.text((0x08, 0x18), "UI", "");
    let bytes = |d: &Dcm| d.bytes(Encoding::ExplicitLe);
    let folder = study(&[("a/1", bytes(&one)), ("b/2", bytes(&one)), ("c", bytes(&renamed)), ("d", bytes(&other))]);
    let catalog = open(folder.path());
    assert_eq!((catalog.series.len(), catalog.series[0].slices.len(), catalog.ignored), (1, 3, 1));
    assert!(kinds(&catalog.series[0]).contains("missing-uid"));
}

#[test]
fn bits_signs_padding_and_fractions() {
    let mut dcm = Dcm::ct(0, 0.0);
    dcm.us((0x28, 0x101), 12).us((0x28, 0x102), 11).us((0x28, 0x103), 1).words(&[0xAFFF; 12]);
    dcm.text((0x28, 0x1052), "DS", "0").us((0x28, 0x120), 63536);
    assert_eq!(values(&dcm, Encoding::ExplicitLe), SlicePixels::I16(vec![-1; 12].into()));
    let folder = study(&[("one.dcm", dcm.bytes(Encoding::ImplicitLe))]);
    let slice = decode_slice(&open(folder.path()).series[0], 0).expect("decodes");
    assert_eq!(slice.padding, Some([-2000.0, -2000.0]));
    let mut fraction = Dcm::ct(1, 0.0);
    fraction.text((0x28, 0x1053), "DS", "0.5").text((0x28, 0x1052), "DS", "-10");
    assert!(matches!(values(&fraction, Encoding::ExplicitLe), SlicePixels::F32(v) if v[0] == -9.5 && v[1] == -9.0));
    let mut eight = Dcm::ct(0, 0.0);
    eight.us((0x28, 0x100), 8).us((0x28, 0x101), 8).us((0x28, 0x102), 7).raw((0x7FE0, 0x10), "OB", (0..12).collect());
    assert_eq!(values(&eight, Encoding::ExplicitLe), SlicePixels::I16((-1024..-1012).collect()));
}

#[test]
fn what_cannot_be_believed_is_said_and_not_used() {
    let changed = |tag, vr, value: &str| Dcm::ct(0, 0.0).text(tag, vr, value).clone();
    let spacing = (0x28, 0x30);
    for bad in ["0\\0", "0,66\\0,66", "-1\\1", "nan\\nan", "1e9\\1e9", "0.5"] {
        let kinds = warned(&changed(spacing, "DS", bad));
        assert!(kinds.contains("bad-geometry") && kinds.contains("no-spacing"), "{bad}: {kinds:?}");
    }
    assert!(warned(Dcm::ct(0, 0.0).remove(spacing)).contains("no-spacing"));
    for bad in ["1\\0\\0\\1\\0\\0", "0\\0\\0\\0\\0\\0", "1\\0\\0", "2\\0\\0\\0\\2\\0"] {
        assert!(warned(&changed((0x20, 0x37), "DS", bad)).contains("bad-geometry"), "{bad}");
    }
    assert!(warned(&changed((0x20, 0x32), "DS", "inf\\0\\0")).contains("bad-geometry"));
    assert!(warned(&changed((0x28, 0x1053), "DS", "1,0")).contains("bad-rescale"));
    assert!(warned(Dcm::ct(0, 0.0).remove((0x28, 0x1053)).remove((0x28, 0x1052))).contains("no-rescale"));
    assert!(warned(&changed((0x28, 0x1054), "LO", "US")).contains("not-hu"));
    assert!(warned(&changed((0x28, 0x2110), "CS", "01")).contains("lossy-compression"));
    assert!(warned(Dcm::ct(0, 0.0).remove((0x28, 0x04))).contains("photometric-assumed"));
    assert!(warned(&changed((0x10, 0x10), "PN", "M\u{fc}ller")).contains("doubtful-text"));
    let folder = study(&[("a", changed((0x10, 0x10), "PN", "A\u{1b}[2J^B").bytes(Encoding::ExplicitLe))]);
    assert_eq!(open(folder.path()).series[0].patient.name, "A\u{FFFD}[2J, B");
}

#[test]
fn refusals_name_their_kind() {
    let with = |change: &dyn Fn(&mut Dcm)| {
        let mut dcm = Dcm::ct(0, 0.0);
        change(&mut dcm);
        refusal(dcm.bytes(Encoding::ExplicitLe)).kind
    };
    assert_eq!(with(&|d| _ = d.us((0x28, 0x10), 0)), Kind::BadDimensions);
    assert_eq!(with(&|d| _ = d.remove((0x28, 0x11))), Kind::BadDimensions);
    assert_eq!(with(&|d| _ = d.us((0x28, 0x10), 65535).us((0x28, 0x11), 65535)), Kind::Truncated);
    assert_eq!(with(&|d| _ = d.text((0x28, 0x08), "IS", "1000000")), Kind::Truncated);
    assert_eq!(with(&|d| _ = d.text((0x28, 0x08), "IS", "-1")), Kind::Corrupt);
    assert_eq!(with(&|d| _ = d.text((0x28, 0x08), "IS", "2").words(&[0; 24])), Kind::UnsupportedSopClass);
    assert_eq!(with(&|d| _ = d.us((0x28, 0x100), 32).words(&[0; 24])), Kind::UnsupportedBitDepth);
    assert_eq!(with(&|d| _ = d.us((0x28, 0x101), 20)), Kind::UnsupportedBitDepth);
    assert_eq!(with(&|d| _ = d.us((0x28, 0x02), 3).words(&[0; 36])), Kind::UnsupportedPhotometric);
    assert_eq!(with(&|d| _ = d.text((0x28, 0x04), "CS", "PALETTE COLOR")), Kind::UnsupportedPhotometric);
    assert_eq!(with(&|d| _ = d.text((0x08, 0x60), "CS", "RTDOSE")), Kind::UnsupportedModality);
    assert_eq!(with(&|d| _ = d.remove((0x7FE0, 0x10))), Kind::NoPixelData);
    assert_eq!(with(&|d| _ = d.words(&[0; 11])), Kind::Truncated);
    assert_eq!(with(&|d| _ = d.text((0x28, 0x1053), "DS", "0")), Kind::Corrupt);
    assert_eq!(refusal(Dcm::ct(0, 0.0).bytes(Encoding::Named("1.2.840.10008.1.2.4.110"))).kind, Kind::Corrupt);
    assert_eq!(refusal(Dcm::ct(0, 0.0).bytes(Encoding::Named("1.2.3"))).kind, Kind::UnsupportedTransferSyntax);
    assert_eq!(refusal(Vec::new()).kind, Kind::NotDicom);
    let zip = refusal(b"PK\x03\x04 and so on, long enough to be looked at".to_vec());
    assert!(zip.kind == Kind::NotDicom && zip.text.contains("ZIP"), "{}", zip.text);
}

#[test]
fn hostile_files_end_in_a_sentence() {
    let base = Dcm::ct(0, 0.0);
    for depth in [65, 2_000, 200_000] {
        assert_eq!(refusal(base.clone().nested(depth).bytes(Encoding::ExplicitLe)).kind, Kind::Corrupt);
        assert_eq!(refusal(base.clone().nested(depth).bytes(Encoding::ImplicitLe)).kind, Kind::Corrupt);
    }
    let mut lying = base.bytes(Encoding::ExplicitLe);
    let at = lying.windows(4).position(|w| w == [0xE0, 0x7F, 0x10, 0]).expect("pixels");
    lying[at + 8..at + 12].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    assert_eq!(refusal(lying).kind, Kind::Truncated);
    let mut long = base.clone();
    long.raw((0x09, 0x10), "UT", vec![b'x'; 40]);
    let mut lying = long.bytes(Encoding::ExplicitLe);
    let at = lying.windows(6).position(|w| w == [9, 0, 0x10, 0, b'U', b'T']).expect("the element");
    lying[at + 8..at + 12].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    assert_eq!(refusal(lying).kind, Kind::Truncated);
    assert_eq!(refusal(files::deflate_bomb(300 << 20)).kind, Kind::Corrupt);
    for uid in ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"] {
        for fragment in [&b""[..], b"\xFF\xFF\xFF\x7F garbage", &[0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 16, 0xFF, 0xFF]] {
            let mut dcm = base.clone();
            dcm.raw((0x7FE0, 0x10), "OB", files::fragments(&[fragment]));
            let refused = refusal(dcm.bytes(Encoding::Encapsulated(uid)));
            assert!(matches!(refused.kind, Kind::Corrupt | Kind::Truncated), "{}", refused.text);
        }
    }
}

#[test]
fn rle_decodes_and_tells_damage() {
    let mut dcm = Dcm::ct(0, 0.0);
    let mut frame = vec![2, 0, 0, 0, 64, 0, 0, 0, 66, 0, 0, 0];
    frame.resize(64, 0);
    frame.extend([0xF5, 1, 0xF5, 4]); // 12 x high byte 1, 12 x low byte 4
    dcm.raw((0x7FE0, 0x10), "OB", files::fragments(&[&frame]));
    let folder = study(&[("a", dcm.bytes(Encoding::Encapsulated("1.2.840.10008.1.2.5")))]);
    let slice = decode_slice(&open(folder.path()).series[0], 0).expect("decodes");
    assert_eq!(slice.pixels, SlicePixels::I16(vec![260 - 1024; 12].into()));
}

#[test]
fn a_damaged_slice_is_left_out_with_a_word() {
    let mut frames = stack(&[0.0, 3.0, 6.0]);
    let good = {
        let mut frame = vec![2, 0, 0, 0, 64, 0, 0, 0, 66, 0, 0, 0];
        frame.resize(64, 0);
        frame.extend([0xF5, 1, 0xF5, 4]);
        frame
    };
    for (i, dcm) in frames.iter_mut().enumerate() {
        let frame = if i == 1 { &good[..66] } else { &good[..] };
        dcm.raw((0x7FE0, 0x10), "OB", files::fragments(&[frame]));
    }
    let named: Vec<(String, Vec<u8>)> = frames
        .iter()
        .enumerate()
        .map(|(i, d)| (format!("{i}.dcm"), d.bytes(Encoding::Encapsulated("1.2.840.10008.1.2.5"))))
        .collect();
    let named: Vec<(&str, Vec<u8>)> = named.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let folder = study(&named);
    let (loaded, refused) = load(&open(folder.path()).series[0]).expect("two slices are left");
    assert_eq!((loaded.series.slices.len(), loaded.volume.slices().len()), (2, 2));
    assert_eq!(refused.iter().map(|r| r.file.as_str()).collect::<Vec<_>>(), ["1.dcm"]);
    assert!(kinds(&loaded.series).contains("slices-excluded"));
    assert_eq!(loaded.series.slice_spacing_mm, Some(6.0));
}

#[test]
fn a_mixed_folder_opens_what_it_can() {
    let good = Dcm::ct(0, 0.0).bytes(Encoding::ExplicitLe);
    let folder = study(&[
        ("deep/er/good", good.clone()),
        ("cut.dcm", good[..good.len() / 2].to_vec()),
        ("notes.txt", b"hello".to_vec()),
        ("picture.dcm", b"\x89PNG....".to_vec()),
        (".DS_Store", b"junk".to_vec()),
    ]);
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), folder.path().join("deep/loop")).expect("a link");
    let catalog = open(folder.path());
    assert_eq!(catalog.series.len(), 1);
    assert_eq!(catalog.series[0].slices[0].file, "deep/er/good");
    let refused: Vec<(&str, Kind)> = catalog.refused.iter().map(|r| (r.file.as_str(), r.kind)).collect();
    assert_eq!(refused, [("cut.dcm", Kind::Truncated), ("picture.dcm", Kind::NotDicom)]);
    assert_eq!(catalog.ignored, 2);
    assert!(matches!(scan(&folder.path().join("missing"), &JobCtx::detached()), Err(OpenError::Unreadable { .. })));
    assert_eq!(open(tempfile::tempdir().expect("a folder").path()), Catalog::default());
}

#[test]
fn both_steps_can_be_cancelled() {
    let folder = written(&stack(&[0.0, 3.0, 6.0, 9.0]));
    let cancelled = JobCtx::detached();
    cancelled.cancel();
    assert!(matches!(scan(folder.path(), &cancelled), Err(OpenError::Cancelled(_))));
    let series = Arc::new(open(folder.path()).series.remove(0));
    let ctx = JobCtx::detached();
    let stop = ctx.clone();
    let result = load_series(&series, 0, &ctx, &|_, _| stop.cancel());
    assert!(matches!(result, Err(LoadError::Cancelled(_))));
}

#[test]
fn the_slice_asked_for_comes_first_and_all_come() {
    let folder = written(&stack(&[0.0, 3.0, 6.0, 9.0, 12.0, 15.0]));
    let series = Arc::new(open(folder.path()).series.remove(0));
    let (order, ctx) = (Mutex::new(Vec::new()), JobCtx::detached());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    pool.install(|| load_series(&series, 4, &ctx, &|i, _| order.lock().expect("lock").push(i))).expect("loads");
    assert_eq!(*order.lock().expect("lock"), [4, 3, 5, 2, 1, 0]);
    assert_eq!(ctx.progress_now(), (6, 6));
    let seen = AtomicUsize::new(0);
    load_series(&series, 99, &ctx, &|_, _| _ = seen.fetch_add(1, Ordering::Relaxed)).expect("loads");
    assert_eq!(seen.into_inner(), 6);
}

/// Pictures of 512 x 512, no two pixels in a row and no two pictures alike.
fn large_stack(count: u16) -> Vec<Dcm> {
    let mut stack = stack(&(0..count).map(|i| f64::from(i) * -3.0).collect::<Vec<_>>());
    for (dcm, seed) in stack.iter_mut().zip(0..) {
        let words: Vec<u16> = (0..512 * 512_u32).map(|i| (i % 1999) as u16 + seed).collect();
        dcm.us((0x28, 0x10), 512).us((0x28, 0x11), 512).words(&words);
    }
    stack
}

/// Loads with one worker, and compares every slice with what it is by itself.
#[track_caller]
fn loads_as_by_itself(series: &Arc<Series>, first: usize, refused: usize) -> Arc<dens::volume::Volume> {
    let (seen, ctx) = (Mutex::new(Vec::new()), JobCtx::detached());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let on_slice = |index: usize, slice: Arc<Slice>| seen.lock().expect("lock").push((index, slice));
    let loaded = pool.install(|| load_series(series, first, &ctx, &on_slice)).expect("loads");
    assert_eq!((loaded.refused.len(), ctx.progress_now()), (refused, (series.slices.len(), series.slices.len())));
    let mut seen = seen.into_inner().expect("lock");
    assert_eq!(seen[0].0, first);
    seen.sort_by_key(|(index, _)| *index);
    let slices = loaded.loaded.volume.slices();
    assert_eq!((seen.len(), slices.len()), (series.slices.len() - refused, series.slices.len() - refused));
    for ((index, shown), slice) in seen.iter().zip(slices) {
        let alone = decode_slice(series, *index).expect("decodes");
        assert!(**shown == alone, "slice {index} is another by itself");
        let same = (0..512 * 512).step_by(97).all(|i| slice.pixels.get(i) == alone.pixels.get(i));
        assert!(same && slice.padding == alone.padding, "slice {index} of the volume");
    }
    loaded.loaded.volume
}

#[test]
fn slices_that_share_memory_are_what_they_are_by_themselves() {
    let folder = written(&large_stack(11));
    let volume = loads_as_by_itself(&Arc::new(open(folder.path()).series.remove(0)), 0, 0);
    // The first stands alone; four fill a room, and the last two lie in one that is not full.
    let slices: Vec<&[i16]> = volume.slices().iter().map(|slice| integers(slice)).collect();
    for room in [1..5, 5..9, 9..11] {
        let touch = slices[room.clone()].windows(2).all(|pair| pair[0].as_ptr_range().end == pair[1].as_ptr());
        assert!(touch || !cfg!(target_os = "linux"), "slices {room:?}");
    }
}

fn integers(slice: &Slice) -> &[i16] {
    match &slice.pixels {
        SlicePixels::I16(values) => values,
        SlicePixels::F32(_) => panic!("these are whole numbers"),
    }
}

#[test]
fn fractions_and_damage_between_slices_that_share_memory() {
    let mut stack = large_stack(12);
    stack[4].text((0x28, 0x1053), "DS", "0.5").us((0x28, 0x120), 7);
    let folder = written(&stack);
    let series = Arc::new(open(folder.path()).series.remove(0));
    let cut = folder.path().join("006.dcm");
    let bytes = std::fs::read(&cut).expect("bytes");
    std::fs::write(&cut, &bytes[..bytes.len() - 1000]).expect("file");
    let volume = loads_as_by_itself(&series, 5, 1);
    assert!(!volume.is_integer());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to a file, it loads or is refused with a sentence.
    #[test]
    fn damaged_bytes_never_panic(
        which in 0usize..6,
        cut in proptest::option::of(0usize..2000),
        changes in proptest::collection::vec((0usize..2000, any::<u8>()), 0..8),
    ) {
        let mut dcm = Dcm::ct(0, 0.0);
        let encoding = [
            Encoding::ExplicitLe,
            Encoding::ImplicitLe,
            Encoding::ExplicitBe,
            Encoding::BareImplicit,
            Encoding::Deflated,
            Encoding::Encapsulated("1.2.840.10008.1.2.5"),
        ][which];
        if which == 5 {
            let mut frame = vec![2, 0, 0, 0, 64, 0, 0, 0, 66, 0, 0, 0];
            frame.resize(64, 0);
            frame.extend([0xF5, 1, 0xF5, 4]);
            dcm.raw((0x7FE0, 0x10), "OB", files::fragments(&[&frame]));
        }
        let mut bytes = dcm.nested(2).bytes(encoding);
        let len = bytes.len();
        for (at, value) in changes {
            bytes[at % len] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % len);
        }
        let folder = study(&[("one.dcm", bytes)]);
        let catalog = open(&folder.path().join("one.dcm"));
        for refused in &catalog.refused {
            prop_assert!(refused.text.ends_with('.'));
            prop_assert!(!refused.text.contains("unexpectedly"), "{}", refused.text);
        }
        for series in &catalog.series {
            if let Err(refused) = load(series) {
                prop_assert!(refused.iter().all(|r| !r.text.contains("unexpectedly")), "{refused:?}");
            }
        }
    }
}

/// Topics and weights of the passport of each series under a folder of the shared data.
fn passports(folder: &str) -> Vec<dens::findings::passport::Passport> {
    let Some(data) = shared_data() else { return Vec::new() };
    let catalog = dens::dicom::scan(&data.join(folder), &dens::jobs::JobCtx::detached()).expect("a catalog");
    let refused = catalog.refused.len();
    catalog.series.iter().map(|series| dens::findings::passport::compose(series, refused, None, None)).collect()
}

#[test]
fn the_passport_of_real_series_names_what_is_unusual_about_them() {
    if shared_data().is_none() {
        return;
    }
    for (folder, topic, part) in [
        ("ct-tilt", "Tilt", "18.5 degrees"),
        ("ct-tilt", "Gaps", "except"),
        ("ct-tilt", "Extent", "28 slices"),
        ("ct-abdomen-j2k", "Extent", "20 slices"),
        ("ct-abdomen-j2k", "Pixels", "0.98 x 0.98 mm lie outside"),
        ("ct-headneck", "Pixels", "1.00 x 1.00 mm lie outside"),
        ("odd/series-gap", "Gaps", "except"),
        ("odd/series-dup-position", "Duplicates", "lie at the position of another"),
        ("odd/series-no-geometry", "Order", "no position"),
        ("odd/series-coronal", "Order", "90 degrees off axial, more than 20"),
        ("odd/series-with-scout", "Left out", "localizer picture"),
    ] {
        let lines: Vec<_> = passports(folder).into_iter().flat_map(|p| p.lines).collect();
        let found = lines.iter().any(|l| l.topic == topic && l.text.contains(part));
        assert!(found, "{folder}: {topic} with \"{part}\" is missing from {lines:#?}");
    }
    let neck = &passports("ct-headneck")[0];
    assert!(neck.verdict.starts_with("Nothing in the header speaks against a score"), "{neck:#?}");
}
