//! Zip archives open as the folders that they were made of, and hostile ones harm nothing.

use std::path::PathBuf;

use dens::dicom::scan_all;
use dens::study::SliceInfo;
use dens::study::password::Passwords;

use super::*;
use crate::support::zips::{self, Entry, Form, archive};

fn zipped(entries: &[Entry], form: Form) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("study.zip");
    std::fs::write(&path, archive(entries, form)).expect("written");
    (folder, path)
}

/// The catalog, and the folder that must stay while its slices are read.
fn open_bytes(bytes: &[u8]) -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("study.zip");
    std::fs::write(&path, bytes).expect("written");
    let catalog = open(&path);
    (folder, catalog)
}

fn slice_bytes(seed: i16) -> Vec<u8> {
    Dcm::ct(seed, f64::from(seed) * 3.0).bytes(Encoding::ExplicitLe)
}

/// A study as exports are: folders, an index, a readme, what macOS adds, a damaged file, a copy, packed and plain syntaxes.
fn messy() -> tempfile::TempDir {
    let mut index = Dcm::ct(0, 0.0);
    index.raw((0x04, 0x1220), "SQ", Vec::new());
    let mut cut = slice_bytes(7);
    cut.truncate(400);
    let mut other = Dcm::ct(3, 1.0);
    other.text((0x20, 0x0E), "UI", "2.25.77");
    let mut large = Dcm::ct(20, 60.0);
    large.raw((0x09, 0x10), "OB", vec![1; 3 << 20]);
    study(&[
        ("DICOMDIR", index.bytes(Encoding::ExplicitLe)),
        ("README.txt", b"not a picture".to_vec()),
        ("empty.dcm", Vec::new()),
        ("a series/IM.0001", slice_bytes(1)),
        ("a series/IM.0002", slice_bytes(2)),
        ("a series/deep/er/IM.0003", Dcm::ct(3, 9.0).bytes(Encoding::Deflated)),
        ("a series/copy", slice_bytes(1)),
        ("a series/cut.dcm", cut),
        ("b/._1.dcm", b"resource fork".to_vec()),
        ("b/1.dcm", other.bytes(Encoding::ImplicitLe)),
        ("b/large.dcm", large.bytes(Encoding::ExplicitLe)),
        ("b/text.dcm", b"hello".to_vec()),
    ])
}

/// Series as if they had been opened from a folder.
fn as_from_a_folder(catalog: &Catalog) -> Vec<Series> {
    let slice = |s: &SliceInfo| SliceInfo {
        path: PathBuf::new(),
        packed: None,
        frame: None,
        file: s.file.trim_start_matches("study.zip/").to_owned(),
        ..s.clone()
    };
    let series = |s: &Series| Series { slices: s.slices.iter().map(slice).collect(), ..s.clone() };
    catalog.series.iter().map(series).collect()
}

fn hashes(catalog: &Catalog) -> Vec<String> {
    let hash = |series: &Series| {
        let (loaded, refused) = load(series).expect("loads");
        assert!(refused.is_empty(), "{refused:?}");
        volume_sha256(&loaded.series, &loaded.volume).0
    };
    catalog.series.iter().map(hash).collect()
}

#[track_caller]
fn check_same(folder: &Path, zip: &Path) {
    let (from_folder, from_zip) = (open(folder), open(zip));
    assert!(!from_folder.series.is_empty());
    assert_eq!(as_from_a_folder(&from_zip), as_from_a_folder(&from_folder));
    assert_eq!(hashes(&from_zip), hashes(&from_folder));
    let told = |catalog: &Catalog| -> Vec<(String, Kind)> {
        catalog.refused.iter().map(|r| (r.text.trim_start_matches("study.zip/").to_owned(), r.kind)).collect()
    };
    assert_eq!(told(&from_zip), told(&from_folder));
    assert_eq!(from_zip.ignored, from_folder.ignored);
    for slice in from_zip.series.iter().flat_map(|s| &s.slices) {
        assert!(slice.file.starts_with("study.zip/") && slice.path == zip, "{slice:?}");
    }
}

#[test]
fn an_archive_gives_what_its_folder_gives() {
    let folder = messy();
    for (what, pack) in [
        ("stored", Entry::stored as fn(&str, &[u8]) -> Entry),
        ("deflated", Entry::deflated),
        ("streamed", Entry::streamed),
    ] {
        for form in [Form::default(), Form { zip64: true, ..Form::default() }, Form { before: 3000, ..Form::default() }]
        {
            eprintln!("{what}, {form:?}");
            let (_kept, zip) = zipped(&zips::folder(folder.path(), pack), form);
            check_same(folder.path(), &zip);
        }
    }
    let catalog = open(folder.path());
    assert_eq!((catalog.series.len(), catalog.refused.len()), (2, 3), "{:?}", catalog.refused);
}

#[test]
fn a_real_neck_in_an_archive_is_the_same_neck() {
    let Some(data) = shared_data() else { return };
    let neck = data.join("ct-headneck");
    let (_kept, zip) = zipped(&zips::folder(&neck, Entry::deflated), Form::default());
    check_same(&neck, &zip);
    let catalog = open(&zip);
    assert_eq!(catalog.series[catalog.likeliest().expect("a series")].slices.len(), 64);
}

#[test]
fn names_are_text_and_never_paths() {
    let names = ["../../up.dcm", "/etc/rooted.dcm", "..\\windows\\back.dcm", "C:\\drive.dcm", "a\u{202E}mcd.x"];
    let entries: Vec<Entry> = (1..).zip(names).map(|(seed, name)| Entry::deflated(name, &slice_bytes(seed))).collect();
    let (_kept, zip) = zipped(&entries, Form::default());
    let catalog = open(&zip);
    let slices = &catalog.series[0].slices;
    let mut files: Vec<&str> = slices.iter().map(|s| s.file.as_str()).collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "study.zip/../../up.dcm",
            "study.zip/../windows/back.dcm",
            "study.zip/C:/drive.dcm",
            "study.zip/a\u{FFFD}mcd.x",
            "study.zip/etc/rooted.dcm"
        ]
    );
    assert!(slices.iter().all(|s| s.path == zip));
    assert_eq!(hashes(&catalog).len(), 1);
}

/// What is said of `entry` when it lies beside a good slice, which must open all the same.
#[track_caller]
fn said_of(entry: Entry) -> Refused {
    let (_kept, catalog) =
        open_bytes(&archive(&[Entry::deflated("good.dcm", &slice_bytes(1)), entry], Form::default()));
    let mut told = catalog.refused.clone();
    let mut slices = 0;
    for series in &catalog.series {
        match load(series) {
            Ok((loaded, refused)) => {
                slices += loaded.series.slices.len();
                told.extend(refused);
            }
            Err(refused) => told.extend(refused),
        }
    }
    assert_eq!((slices, told.len()), (1, 1), "{told:?}");
    told.remove(0)
}

#[track_caller]
fn check_said(refused: &Refused, kind: Kind, part: &str) {
    assert_eq!(refused.kind, kind, "{refused:?}");
    assert!(refused.text.contains(part) && refused.text.ends_with('.'), "{}", refused.text);
    assert!(refused.text.starts_with(&refused.file), "{}", refused.text);
}

#[test]
fn what_is_wrong_with_an_entry_is_said_and_the_others_open() {
    let good = || Entry::deflated("x/bad.dcm", &slice_bytes(2));
    let said = |change: fn(&mut Entry)| said_of(good().changed(change));
    check_said(&said(|e| e.flags |= 1), Kind::Encrypted, "x/bad.dcm: it is encrypted");
    check_said(&said(|e| e.method = 14), Kind::UnsupportedCompression, "method 14 (Lzma)");
    check_said(&said(|e| e.crc32 ^= 1), Kind::Corrupt, "checksum differs");
    check_said(&said(|e| e.bytes += 100), Kind::Truncated, "declares");
    check_said(&said(|e| e.bytes -= 2), Kind::Truncated, "");
    check_said(&said(|e| e.packed[40] ^= 0xFF), Kind::Corrupt, "");
    check_said(&said(|e| e.packed_bytes = 60), Kind::Truncated, "end");
    let stored = |change: fn(&mut Entry)| said_of(Entry::stored("bad.dcm", &slice_bytes(2)).changed(change));
    check_said(&stored(|e| *e.packed.last_mut().expect("bytes") ^= 1), Kind::Corrupt, "checksum differs");
    check_said(&stored(|e| e.bytes += 10), Kind::Corrupt, "two sizes");
    let nested = archive(&[Entry::deflated("1.dcm", &slice_bytes(2))], Form::default());
    check_said(&said_of(Entry::stored("b/inner.ZIP", &nested)), Kind::NestedArchive, "was not entered");
    check_said(&said_of(Entry::stored("b/inner.tar.gz", b"x")), Kind::NestedArchive, "unpack it");
}

#[test]
fn growth_is_limited_and_the_limit_named() {
    let mut flat = Dcm::ct(2, 6.0);
    flat.us((0x28, 0x10), 2000).us((0x28, 0x11), 2000).words(&vec![1000; 4_000_000]);
    let bomb = Entry::deflated("bomb.dcm", &flat.bytes(Encoding::ExplicitLe));
    assert!(bomb.packed_bytes * 200 < bomb.bytes);
    let said = said_of(bomb.clone());
    check_said(&said, Kind::ArchiveLimit, "more than 200 times is allowed up to 4 MiB only");
    assert!(said.text.contains("to 7 MiB"), "{}", said.text);
    // One that says it is small is stopped where it says that it ends.
    check_said(&said_of(bomb.clone().changed(|e| e.bytes = 3 << 20)), Kind::Truncated, "");
    // One that nobody takes for a picture is not worth a word.
    let (_kept, catalog) = open_bytes(&archive(&[bomb.changed(|e| e.name = "log.txt".to_owned())], Form::default()));
    assert_eq!((catalog.refused.len(), catalog.ignored), (0, 1));

    let mut huge = Entry::deflated("huge.dcm", &slice_bytes(2));
    (huge.bytes, huge.packed_bytes) = (65 << 30, 1 << 30);
    let (_kept, whole) =
        open_bytes(&archive(&[Entry::deflated("a", &slice_bytes(1)), huge], Form { zip64: true, ..Form::default() }));
    assert!(whole.series.is_empty());
    check_said(&whole.refused[0], Kind::ArchiveLimit, "64 GiB");
    let many = Form { zip64: true, count: Some(1_000_000), ..Form::default() };
    let (_kept, whole) = open_bytes(&archive(&[Entry::deflated("a", &slice_bytes(1))], many));
    check_said(&whole.refused[0], Kind::ArchiveLimit, "declares 1000000 files, and at most 100000");
}

#[test]
fn damaged_archives_are_told_as_a_whole() {
    let entries: Vec<Entry> = (1..4).map(|seed| Entry::deflated(&format!("{seed}.dcm"), &slice_bytes(seed))).collect();
    let good = archive(&entries, Form::default());
    let said = |bytes: &[u8]| {
        let (_kept, catalog) = open_bytes(bytes);
        assert!(catalog.series.is_empty() && catalog.refused.len() == 1, "{catalog:?}");
        catalog.refused[0].clone()
    };
    check_said(&said(&good[..good.len() / 2]), Kind::Truncated, "study.zip: its directory");
    check_said(&said(b"hello"), Kind::Truncated, "no zip archive");
    let at = good.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    let mut damaged = good.clone();
    damaged[at] = b'x';
    check_said(&said(&damaged), Kind::Corrupt, "study.zip: its directory is damaged");
    let (_kept, empty) = open_bytes(&archive(&[], Form::default()));
    assert_eq!(empty, Catalog::default());
    let mut twice = entries.clone();
    twice[2].name = twice[0].name.clone();
    let (_kept, catalog) = open_bytes(&archive(&twice, Form::default()));
    assert_eq!(catalog.series[0].slices.len(), 2);
    check_said(&catalog.refused[0], Kind::Corrupt, "have one name");
}

#[test]
fn any_damage_is_a_sentence() {
    let entries = [
        Entry::deflated("a/1.dcm", &slice_bytes(1)),
        Entry::stored("a/2.dcm", &slice_bytes(2)),
        Entry::streamed("a/3.dcm", &slice_bytes(3)),
    ];
    for form in [Form::default(), Form { zip64: true, ..Form::default() }] {
        let good = archive(&entries, form);
        let cuts = (1..good.len()).step_by(37).map(|cut| good[..cut].to_vec());
        let flips = (0..good.len()).step_by(11).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x81;
            bytes
        });
        for bytes in cuts.chain(flips) {
            let (_kept, catalog) = open_bytes(&bytes);
            let loaded = catalog.series.iter().flat_map(|series| match load(series) {
                Ok((_, refused)) | Err(refused) => refused,
            });
            for refused in catalog.refused.iter().cloned().chain(loaded) {
                assert!(refused.text.ends_with('.') && !refused.text.contains("unexpectedly"), "{refused:?}");
            }
        }
    }
}

/// Both layers of packing are larger than what several threads may inflate at once, and each takes the same lock.
#[test]
fn large_packed_files_within_packed_entries_open() {
    let mut state = 1u32;
    let noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    };
    let words: Vec<u16> = (0..3000 * 3000).map(noise).collect();
    let mut dcm = Dcm::ct(1, 0.0);
    dcm.us((0x28, 0x10), 3000).us((0x28, 0x11), 3000).text((0x28, 0x1052), "DS", "0").words(&words);
    let bytes = dcm.bytes(Encoding::Deflated);
    assert!(bytes.len() > 16 << 20);
    let entries = ["1.dcm", "2.dcm"].map(|name| Entry::deflated(name, &bytes));
    let (_kept, zip) = zipped(&entries, Form::default());
    let catalog = open(&zip);
    assert_eq!((catalog.series[0].slices.len(), catalog.ignored), (1, 1), "one is a copy of the other");
    let slice = decode_slice(&catalog.series[0], 0).expect("decodes");
    assert_eq!(slice.pixels.get(3001), Some(f32::from(words[3001])));
}

#[test]
fn a_lister_can_be_stopped_and_counts_its_files() {
    let folder = messy();
    let (_kept, zip) = zipped(&zips::folder(folder.path(), Entry::deflated), Form::default());
    let ctx = JobCtx::detached();
    scan(&zip, &ctx).expect("opens");
    assert_eq!(ctx.progress_now(), (12, 12));
    let ctx = JobCtx::detached();
    ctx.cancel();
    assert!(matches!(scan(&zip, &ctx), Err(OpenError::Cancelled(_))));
}

#[test]
fn an_archive_in_a_folder_is_named_and_not_entered() {
    let zip = archive(&[Entry::deflated("1.dcm", &slice_bytes(1))], Form::default());
    let folder = study(&[("1.dcm", slice_bytes(2)), ("more/rest.zip", zip), ("odd.zip.txt", b"PK".to_vec())]);
    let catalog = open(folder.path());
    assert_eq!((catalog.series[0].slices.len(), catalog.ignored), (1, 1));
    check_said(&catalog.refused[0], Kind::NestedArchive, "more/rest.zip: it is a zip archive in a folder");
    // An archive by content is one when it is asked for.
    let zip = archive(&[Entry::deflated("1.dcm", &slice_bytes(1))], Form::default());
    let unnamed = study(&[("download", zip)]);
    assert_eq!(open(&unnamed.path().join("download")).series[0].slices[0].file, "download/1.dcm");
    // DICOM by content is DICOM, whatever it is called.
    let folder = study(&[("picture.zip", slice_bytes(2))]);
    assert_eq!(open(&folder.path().join("picture.zip")).series.len(), 1);
    assert_eq!(open(folder.path()).series.len(), 1);
}

#[test]
fn several_paths_are_one_list() {
    let together = tempfile::tempdir().expect("a folder");
    let at = |name: &str| together.path().join(name);
    let write = |name: &str, bytes: Vec<u8>| {
        std::fs::create_dir_all(at(name).parent().expect("a parent")).expect("folder");
        std::fs::write(at(name), bytes).expect("file");
    };
    let of = |seed: i16, series: &str| {
        let mut dcm = Dcm::ct(seed, f64::from(seed));
        dcm.text((0x20, 0x0E), "UI", series).bytes(Encoding::ExplicitLe)
    };
    write("one/1.dcm", of(1, "2.25.10"));
    write("one/2.dcm", of(2, "2.25.10"));
    write("two.zip", archive(&[Entry::deflated("s/1.dcm", &of(3, "2.25.20"))], Form::default()));
    write("three.dcm", of(4, "2.25.30"));
    write("autorun.inf", b"[autorun]".to_vec());
    let names = ["one", "two.zip", "three.dcm", "autorun.inf", "gone"];
    let paths: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
    let catalog = scan_all(&paths, &Passwords::default(), &JobCtx::detached()).expect("opens");
    let mut files: Vec<&str> = catalog.series.iter().flat_map(|s| &s.slices).map(|s| s.file.as_str()).collect();
    files.sort_unstable();
    assert_eq!(files, ["one/1.dcm", "one/2.dcm", "three.dcm", "two.zip/s/1.dcm"]);
    assert_eq!((catalog.series.len(), catalog.ignored), (3, 1));
    check_said(&catalog.refused[0], Kind::Unreadable, "gone: it could not be read");
    assert_eq!(hashes(&catalog).len(), 3);

    // What a disc holds, dropped at once: the index stands for its folder, in which the rest lies.
    let mut index = Dcm::ct(0, 0.0);
    index.raw((0x04, 0x1220), "SQ", Vec::new());
    write("disc/DICOMDIR", index.bytes(Encoding::ExplicitLe));
    write("disc/IMAGES/1", of(1, "2.25.10"));
    write("disc/IMAGES/2", of(2, "2.25.10"));
    let paths = [at("disc/IMAGES"), at("disc/DICOMDIR"), at("disc/IMAGES/2")];
    let catalog = scan_all(&paths, &Passwords::default(), &JobCtx::detached()).expect("opens");
    assert_eq!((catalog.series.len(), catalog.series[0].slices.len(), catalog.ignored), (1, 2, 1));
}
