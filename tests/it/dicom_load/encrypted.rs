//! Encrypted zip archives open with their password as the folders that they were made of, and stay closed without.

use std::path::PathBuf;

use dens::dicom::{attributes, password_opens, scan_all};
use dens::study::password::{Password, Passwords};

use super::*;
use crate::support::zips::{Entry, Form, archive};

const RIGHT: &str = "atlas & axis";

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn open_with(path: &Path, text: &str) -> Catalog {
    let passwords = Passwords::for_all(Some(password(text)));
    scan_all(&[path.to_owned()], &passwords, &JobCtx::detached()).expect("opens")
}

fn slice_bytes(seed: i16) -> Vec<u8> {
    Dcm::ct(seed, f64::from(seed) * 3.0).bytes(Encoding::ExplicitLe)
}

fn written_as(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("study.zip");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

type Pack = fn(&str, &[u8]) -> Entry;
type Encrypt = fn(Entry) -> Entry;

fn ways() -> Vec<(&'static str, Encrypt)> {
    vec![
        ("traditional", |e| e.locked(RIGHT)),
        ("AES 128, AE-1", |e| e.sealed(RIGHT, 16, 1)),
        ("AES 192, AE-2", |e| e.sealed(RIGHT, 24, 2)),
        ("AES 256, AE-2", |e| e.sealed(RIGHT, 32, 2)),
        ("AES 256, AE-1", |e| e.sealed(RIGHT, 32, 1)),
    ]
}

fn hash(series: &Series) -> String {
    let (loaded, refused) = load(series).expect("loads");
    assert!(refused.is_empty(), "{refused:?}");
    volume_sha256(&loaded.series, &loaded.volume).0
}

#[test]
fn every_way_of_encrypting_opens_with_the_password_and_says_so_without() {
    let slices: Vec<(String, Vec<u8>)> = (1..6).map(|seed| (format!("s/{seed}.dcm"), slice_bytes(seed))).collect();
    let files: Vec<(&str, Vec<u8>)> = slices.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let expected = hash(&open(study(&files).path()).series[0]);
    for (how, encrypt) in ways() {
        for pack in [Entry::stored as Pack, Entry::deflated, Entry::streamed] {
            let entries: Vec<Entry> = slices.iter().map(|(name, bytes)| encrypt(pack(name, bytes))).collect();
            for form in [Form { before: 700, ..Form::default() }, Form { zip64: true, ..Form::default() }] {
                let (_kept, path) = written_as(&archive(&entries, form));
                let catalog = open_with(&path, RIGHT);
                assert!(catalog.refused.is_empty() && catalog.locked.is_empty(), "{how}: {:?}", catalog.refused);
                assert_eq!(hash(&catalog.series[0]), expected, "{how}");
                // Later, slice by slice, and what the file says.
                assert!(decode_slice(&catalog.series[0], 4).is_ok());
                let slice = &catalog.series[0].slices[2];
                let list = attributes(&slice.path, slice.packed.as_ref(), &slice.file).expect("listed");
                assert!(list.lines.iter().any(|line| line.value == "Test^Neck"));
                let ctx = JobCtx::detached();
                assert_eq!(password_opens(&path, &password(RIGHT), &ctx), Ok(true), "{how}");
                assert_eq!(password_opens(&path, &password("atlas"), &ctx), Ok(false), "{how}");
                for (closed, tried) in [(open(&path), false), (open_with(&path, "atlas"), true)] {
                    assert!(closed.series.is_empty() && closed.refused.len() >= 4, "{how}: {closed:?}");
                    let [locked] = closed.locked.as_slice() else { panic!("{how}: {closed:?}") };
                    assert_eq!((locked.name.as_str(), locked.tried), ("study.zip", tried));
                    assert!(locked.files >= 4 && locked.path == path);
                }
            }
        }
    }
}

#[test]
fn what_is_not_encrypted_opens_beside_what_is() {
    let entries =
        [Entry::deflated("1.dcm", &slice_bytes(1)), Entry::deflated("2.dcm", &slice_bytes(2)).sealed(RIGHT, 32, 2)];
    let (_kept, path) = written_as(&archive(&entries, Form::default()));
    let catalog = open(&path);
    assert_eq!(catalog.series[0].slices.len(), 1);
    assert_eq!(catalog.refused.iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Encrypted]);
    assert!(catalog.refused[0].text.contains("DENS_ZIP_PASSWORD"), "{}", catalog.refused[0].text);
    assert_eq!(catalog.locked[0].files, 1);
    assert_eq!(open_with(&path, RIGHT).series[0].slices.len(), 2);
    assert!(!format!("{:?}", open_with(&path, RIGHT)).contains(RIGHT), "a password was written out");
}

/// Opens the only slice with the right password: what is said of it.
#[track_caller]
fn said_of(entry: Entry) -> Refused {
    let (_kept, path) = written_as(&archive(&[entry], Form::default()));
    let catalog = open_with(&path, RIGHT);
    let told = match catalog.series.as_slice() {
        [] => catalog.refused,
        [series] => load(series).expect_err("this must not load"),
        _ => panic!("{catalog:?}"),
    };
    let [refused] = told.as_slice() else { panic!("{told:?}") };
    assert!(refused.text.ends_with('.') && refused.text.starts_with("study.zip/a.dcm"), "{refused:?}");
    refused.clone()
}

#[test]
fn damage_behind_the_lock_is_found() {
    let entry = |encrypt: Encrypt| encrypt(Entry::stored("a.dcm", &slice_bytes(2)));
    let last = |e: &mut Entry, behind: usize| {
        let at = e.packed.len() - behind;
        e.packed[at] ^= 1;
    };
    for (how, encrypt) in ways() {
        let behind = if how == "traditional" { 1 } else { 11 };
        let refused = said_of(entry(encrypt).changed(|e| last(e, behind)));
        assert_eq!(refused.kind, Kind::Corrupt, "{how}: {refused:?}");
    }
    let seal = said_of(entry(|e| e.sealed(RIGHT, 32, 2)).changed(|e| last(e, 1)));
    assert!(seal.text.contains("its seal is broken"), "{seal:?}");
    let short = said_of(entry(|e| e.sealed(RIGHT, 32, 2)).changed(|e| e.packed_bytes = 20));
    assert_eq!(short.kind, Kind::Corrupt, "{short:?}");
    let strength = said_of(entry(|e| e.sealed(RIGHT, 32, 2)).changed(|e| e.extra[8] = 9));
    assert_eq!(strength.kind, Kind::Corrupt, "{strength:?}");
    let none = said_of(entry(|e| e.sealed(RIGHT, 32, 2)).changed(|e| e.extra.clear()));
    assert_eq!(none.kind, Kind::Corrupt, "{none:?}");
    let strong = said_of(entry(|e| e.locked(RIGHT)).changed(|e| e.flags |= 1 << 6));
    assert_eq!(strong.kind, Kind::UnsupportedCompression, "{strong:?}");
}

#[test]
fn limits_hold_behind_the_lock() {
    let mut flat = Dcm::ct(2, 6.0);
    flat.us((0x28, 0x10), 2000).us((0x28, 0x11), 2000).words(&vec![1000; 4_000_000]);
    let bomb = Entry::deflated("a.dcm", &flat.bytes(Encoding::ExplicitLe));
    for (how, encrypt) in ways() {
        let refused = said_of(encrypt(bomb.clone()));
        assert_eq!(refused.kind, Kind::ArchiveLimit, "{how}: {refused:?}");
        // One that says it is small is stopped where it says that it ends.
        let refused = said_of(encrypt(bomb.clone()).changed(|e| e.bytes = 3 << 20));
        assert_eq!(refused.kind, Kind::Truncated, "{how}: {refused:?}");
    }
}

#[test]
fn any_damage_is_a_sentence() {
    let entries = [
        Entry::deflated("a/1.dcm", &slice_bytes(1)).locked(RIGHT),
        Entry::stored("a/2.dcm", &slice_bytes(2)).sealed(RIGHT, 16, 1),
        Entry::streamed("a/3.dcm", &slice_bytes(3)).sealed(RIGHT, 32, 2),
    ];
    let good = archive(&entries, Form::default());
    let cuts = (1..good.len()).step_by(61).map(|cut| good[..cut].to_vec());
    let flips = (0..good.len()).step_by(17).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x81;
        bytes
    });
    for bytes in cuts.chain(flips) {
        let (_kept, path) = written_as(&bytes);
        let catalog = open_with(&path, RIGHT);
        let loaded = catalog.series.iter().flat_map(|series| match load(series) {
            Ok((_, refused)) | Err(refused) => refused,
        });
        for refused in catalog.refused.iter().cloned().chain(loaded) {
            assert!(refused.text.ends_with('.') && !refused.text.contains("unexpectedly"), "{refused:?}");
        }
    }
}

/// Archives of other programs: Info-ZIP's zip 3.0, and pyzipper 0.4 with AES 256 (AE-2); three slices each, the password is
/// "atlas & axis".
#[test]
fn archives_of_other_programs_open() {
    for name in ["info-zip.zip", "aes.zip"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zip").join(name);
        let catalog = open_with(&path, RIGHT);
        assert!(catalog.refused.is_empty(), "{name}: {:?}", catalog.refused);
        let (loaded, _) = load(&catalog.series[0]).expect("loads");
        let first: Vec<Option<f32>> = loaded.volume.slices().iter().map(|s| s.pixels.get(0)).collect();
        assert_eq!(first, [3, 2, 1].map(|seed| Some(seed as f32 - 1024.0)), "{name}");
    }
}
