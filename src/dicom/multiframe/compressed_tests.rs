//! Multi-frame CT in fragments: with and without offset tables, damaged, hostile, packed, from real pictures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dicom::fixtures::{
    Elements, enhanced_ct, enhanced_ct_head, enhanced_ct_of, frame_group, hu_of, packed, rle_frame,
};
use crate::dicom::picture::{Depth, Picture, Place, Rescale};
use crate::dicom::source::Source;
use crate::dicom::{dataset, decode, header};
use crate::jobs::JobCtx;
use crate::study::{Catalog, Kind, Photometric, Series};

const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const SIZE: [u16; 2] = [4, 6];

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.dcm");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn opened(path: &Path) -> Catalog {
    crate::dicom::scan(path, &JobCtx::detached()).expect("a catalog")
}

/// First value of each slice, from the head, and why others were refused.
fn loaded(series: &Series) -> (Vec<f32>, Vec<Kind>) {
    let series = Arc::new(series.clone());
    match crate::dicom::load_series(&series, 1, &JobCtx::detached(), &|_, _| {}) {
        Ok(done) => {
            let lone = |index| crate::dicom::decode_slice(&done.loaded.series, index).expect("decodes").pixels.get(23);
            let whole: Vec<f32> = done.loaded.volume.slices().iter().filter_map(|s| s.pixels.get(23)).collect();
            assert_eq!((0..whole.len()).filter_map(lone).collect::<Vec<f32>>(), whole);
            (whole, done.refused.iter().map(|r| r.kind).collect())
        }
        Err(crate::dicom::LoadError::NothingDecoded(refused)) => (Vec::new(), refused.iter().map(|r| r.kind).collect()),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check_opens(bytes: &[u8], frames: usize, mended: bool) {
    let (_kept, path) = written(bytes);
    let catalog = opened(&path);
    let [series] = catalog.series.as_slice() else { panic!("{:?}", catalog.refused) };
    let expected: Vec<f32> = (0..frames).rev().map(|frame| f32::from(hu_of(frame))).collect();
    assert_eq!(loaded(series), (expected, vec![]));
    let told = series.warnings.iter().any(|w| w.kind == Kind::RecoveredFile && w.text.contains("offset table"));
    assert_eq!(told, mended, "{:?}", series.warnings);
    let read = crate::dicom::load_multiframe(&path, &JobCtx::detached()).expect("not cancelled").expect("reads");
    assert_eq!(read.loaded.volume.slices().len(), frames);
}

#[track_caller]
fn check_refused(bytes: &[u8], kind: Kind, part: &str) {
    let (_kept, path) = written(bytes);
    let catalog = opened(&path);
    let [refused] = catalog.refused.as_slice() else { panic!("{catalog:?}") };
    assert!(catalog.series.is_empty() && refused.kind == kind && refused.text.contains(part), "{refused:?}");
}

/// RLE frames, each cut into so many fragments.
fn cut(frames: usize, pieces: usize) -> Vec<Vec<u8>> {
    let piece = |frame: usize| {
        let bytes = rle_frame(frame);
        let size = bytes.len().div_ceil(pieces).next_multiple_of(2);
        bytes.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    (0..frames).flat_map(piece).collect()
}

fn rle(table: &[u32], fragments: &[Vec<u8>], frames: usize) -> Vec<u8> {
    let parts: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
    enhanced_ct_head(frames, false, SIZE).encapsulated(table, &parts).file_in(RLE)
}

/// Offsets of the first fragment of each frame.
fn table(fragments: &[Vec<u8>], pieces: usize) -> Vec<u32> {
    let mut at = 0;
    let mut offsets = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        if index % pieces == 0 {
            offsets.push(at);
        }
        at += 8 + u32::try_from(fragment.len()).expect("short");
    }
    offsets
}

#[test]
fn fragments_and_tables_of_all_forms_open() {
    let whole = cut(5, 1);
    check_opens(&rle(&[], &whole, 5), 5, false);
    check_opens(&rle(&table(&whole, 1), &whole, 5), 5, false);
    let pieces = cut(5, 3);
    assert_eq!(pieces.len(), 15);
    check_opens(&rle(&table(&pieces, 3), &pieces, 5), 5, false);
    // One frame is all fragments.
    check_opens(&rle(&[], &cut(1, 3), 1), 1, false);
    // A table that does not fit, where each frame is one fragment: opened, and told.
    check_opens(&rle(&[0], &whole, 5), 5, true);
    check_opens(&rle(&[0, 1, 2, 3, 4], &whole, 5), 5, true);
}

fn extended(offsets: &[u64], lengths: &[u64], fragments: &[Vec<u8>], frames: usize) -> Vec<u8> {
    let bytes = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let parts: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
    enhanced_ct_head(frames, true, SIZE)
        .raw(0x7FE0, 1, "OV", &bytes(offsets))
        .raw(0x7FE0, 2, "OV", &bytes(lengths))
        .encapsulated(&[], &parts)
        .file_in(RLE)
}

#[test]
fn the_extended_offset_table_is_followed() {
    let whole = cut(4, 1);
    let offsets: Vec<u64> = table(&whole, 1).into_iter().map(u64::from).collect();
    let lengths: Vec<u64> = whole.iter().map(|f| f.len() as u64).collect();
    check_opens(&extended(&offsets, &lengths, &whole, 4), 4, false);
    check_opens(&extended(&offsets, &lengths[1..], &whole, 4), 4, true);
    let pieces = cut(4, 2);
    let offsets: Vec<u64> = table(&pieces, 2).into_iter().map(u64::from).collect();
    check_opens(&extended(&offsets, &lengths, &pieces, 4), 4, false);
    check_refused(&extended(&[u64::MAX; 4], &lengths, &pieces, 4), Kind::Corrupt, "first frame does not begin");
}

#[test]
fn frames_that_cannot_be_told_apart_are_refused_with_the_reason() {
    let pieces = cut(5, 3);
    check_refused(&rle(&[], &pieces, 5), Kind::Corrupt, "5 frames lie in 15 fragments, and no offset table");
    let mut off = table(&pieces, 3);
    off[2] += 2;
    check_refused(&rle(&off, &pieces, 5), Kind::Corrupt, "where frame 3 should");
    check_refused(
        &rle(&[], &cut(4, 1), 5),
        Kind::Truncated,
        "5 frames need at least as many fragments and 4 are there",
    );
    check_refused(&rle(&[], &[], 5), Kind::Truncated, "0 are there");
    let unknown = enhanced_ct_head(2, true, SIZE).encapsulated(&[], &[b"ab", b"cd"]).file_in("1.2.840.10008.1.2.4.110");
    check_refused(&unknown, Kind::UnsupportedSopClass, "JPEG XL Lossless, which is not decoded");
    let text = enhanced_ct(2, true).file_in(RLE);
    check_refused(&text, Kind::Corrupt, "");
}

#[test]
fn a_damaged_frame_is_left_out_with_a_word() {
    let mut whole = cut(5, 1);
    whole[2].truncate(66);
    let (_kept, path) = written(&rle(&[], &whole, 5));
    let series = opened(&path).series.remove(0);
    assert_eq!(loaded(&series), ([4, 3, 1, 0].map(|f| f32::from(hu_of(f))).to_vec(), vec![Kind::Corrupt]));
}

#[test]
fn frames_that_would_grow_without_measure_are_refused_before_memory_is_taken() {
    // 2000 frames of 8192 x 8192 out of a few kilobytes.
    let frame: &[u8] = &[0; 64];
    let bomb = enhanced_ct_head(2000, true, [8192; 2]).encapsulated(&[], &[frame; 2000]).file_in(RLE);
    check_refused(&bomb, Kind::BadDimensions, "would grow");
    let bomb = enhanced_ct_head(1, true, [u16::MAX; 2]).encapsulated(&[], &[frame]).file_in(RLE);
    check_refused(&bomb, Kind::BadDimensions, "");
}

#[test]
fn any_damage_is_a_sentence() {
    let pieces = cut(3, 2);
    let good = rle(&table(&pieces, 2), &pieces, 3);
    let cuts = (1..good.len()).step_by(13).map(|cut| good[..cut].to_vec());
    let flips = (132..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x81;
        bytes
    });
    for bytes in cuts.chain(flips) {
        let (_kept, path) = written(&bytes);
        let catalog = opened(&path);
        assert!(catalog.refused.iter().all(|r| r.text.ends_with('.') && !r.text.contains("unexpectedly")));
        for series in catalog.series {
            let refused = match crate::dicom::load_series(&Arc::new(series), 0, &JobCtx::detached(), &|_, _| {}) {
                Ok(done) => done.refused,
                Err(crate::dicom::LoadError::NothingDecoded(refused)) => refused,
                Err(error) => panic!("{error}"),
            };
            assert!(refused.iter().all(|r| r.text.ends_with('.') && !r.text.contains("unexpectedly")), "{refused:?}");
        }
    }
}

#[test]
fn copies_are_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.dcm", "b.dcm"] {
        std::fs::write(folder.path().join(name), rle(&[], &cut(3, 1), 3)).expect("written");
    }
    let catalog = opened(folder.path());
    assert_eq!((catalog.series.iter().map(|s| s.slices.len()).collect::<Vec<_>>(), catalog.ignored), (vec![3], 3));
}

#[test]
fn packed_objects_open_too() {
    let pieces = cut(40, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = opened(&packed(folder.path(), &rle(&table(&pieces, 2), &pieces, 40)));
    let [series] = catalog.series.as_slice() else { panic!("{:?}", catalog.refused) };
    let expected: Vec<f32> = (0..40).rev().map(|frame| f32::from(hu_of(frame))).collect();
    assert_eq!(loaded(series), (expected, vec![]));
}

#[test]
fn loss_is_told_for_the_object_and_for_single_frames() {
    let said = |e: Elements| {
        e.text(0x28, 0x2110, "CS", "01").text(0x28, 0x2112, "DS", "12").text(0x28, 0x2114, "CS", "ISO_10918_1")
    };
    let lossy = |elements: Elements| {
        let (_kept, path) = written(&elements.encapsulated(&[], &[&rle_frame(0), &rle_frame(1)]).file_in(RLE));
        let series = opened(&path).series.remove(0);
        let warning = series.warnings.iter().find(|w| w.kind == Kind::LossyCompression);
        warning.map(|w| w.text.clone()).unwrap_or_default()
    };
    assert_eq!(lossy(enhanced_ct_head(2, false, SIZE)), "");
    let whole = lossy(said(enhanced_ct_head(2, false, SIZE)));
    assert!(whole.contains("(ISO_10918_1, 12.0:1)") && whole.contains("2 of 2 files"), "{whole}");
    // Of a single frame, as conversions keep it.
    let own = frame_group(1, false).sequence(0x20, 0x9171, &[said(Elements::new(false))]);
    let one = lossy(enhanced_ct_of(&[frame_group(0, false), own], false, SIZE, [16, 16, 15, 0]));
    assert!(one.contains("(ISO_10918_1, 12.0:1)") && one.contains("1 of 2 files, the first is a.dcm#2"), "{one}");
}

fn stream(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg_ls").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn jpeg_ls_frames_are_told_by_how_they_begin() {
    let names = ["bits12", "near1", "near3"];
    let streams = names.map(|name| stream(&format!("{name}.jls")));
    let parts: Vec<&[u8]> = streams.iter().flat_map(|s| [&s[..100], &s[100..]]).collect();
    let (_kept, path) = written(&enhanced_ct_head(3, false, [40, 33]).encapsulated(&[], &parts).file_in(JPEG_LS));
    let catalog = opened(&path);
    let [series] = catalog.series.as_slice() else { panic!("{:?}", catalog.refused) };
    let done = crate::dicom::load_series(&Arc::new(series.clone()), 0, &JobCtx::detached(), &|_, _| {}).expect("loads");
    for (slice, name) in done.loaded.volume.slices().iter().zip(["near3", "near1", "bits12"]) {
        let raw = stream(&format!("{name}.raw"));
        let words = raw.chunks_exact(2).skip(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let expected: Vec<f32> = words.map(|w| 2.0 * f32::from(w) - 1000.0).collect();
        let found: Vec<f32> = (0..33 * 40).filter_map(|at| slice.pixels.get(at)).collect();
        assert!(found == expected, "{name}");
    }
}

/// The compressed picture of a single-frame file and what it is.
fn picture_of(path: &Path) -> (Picture, Vec<u8>) {
    let source = Source::open(path, None).expect("opens");
    let (data, mut source) = dataset::read(source, header::is_wanted).expect("reads");
    let picture = Picture::read(&data, &mut source).expect("a picture");
    let Place::Fragments(fragments) = &picture.place else { panic!("not in fragments") };
    let bytes = fragments.iter().flat_map(|(at, len)| source.read_vec(*at, *len).expect("there")).collect();
    (picture, bytes)
}

/// Real pictures of every codec, put into an object of three frames, give what the single file gives.
#[test]
fn real_pictures_of_every_codec_are_the_same_as_frames() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/syntaxes");
    if !data.is_dir() {
        assert!(std::env::var_os("DENS_REQUIRE_DATA").is_none(), "the shared test data are missing");
        eprintln!("SKIPPED: the shared test data are not beside the project");
        return;
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&data).expect("listed").map(|f| f.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let catalog = opened(&file);
        let [series] = catalog.series.as_slice() else { continue };
        if series.slices.len() != 1 || series.slices[0].frame.is_some() {
            continue;
        }
        let Ok((data, _)) = dataset::read(Source::open(&file, None).expect("opens"), |_| false) else { continue };
        let uid = data.syntax.uid;
        if !data.syntax.is_encapsulated() || !seen.insert(uid) {
            continue;
        }
        let (picture, bytes) = picture_of(&file);
        let [rows, columns] = [picture.rows, picture.columns].map(|n| u16::try_from(n).expect("small"));
        let depth = [
            u32::from(picture.bits_allocated),
            picture.bits_stored,
            picture.bits_stored + picture.shift - 1,
            u32::from(picture.signed),
        ];
        let depth = depth.map(|n| u16::try_from(n).expect("small"));
        let groups: Vec<Elements> = (0..3).map(|f| frame_group(f, false)).collect();
        let head = enhanced_ct_of(&groups, false, [rows, columns], depth);
        let (_kept, path) = written(&head.encapsulated(&[], &[bytes.as_slice(); 3]).file_in(uid));
        let catalog = opened(&path);
        let [object] = catalog.series.as_slice() else { panic!("{uid}: {:?}", catalog.refused) };
        assert_eq!(object.slices.len(), 3);
        let lone = crate::dicom::decode_slice(series, 0).expect("decodes");
        let done = crate::dicom::load_series(&Arc::new(object.clone()), 0, &JobCtx::detached(), &|_, _| {});
        let done = done.unwrap_or_else(|error| panic!("{uid}: {error}"));
        let (slope, intercept) = picture.rescale.factors();
        for slice in done.loaded.volume.slices() {
            for at in (0..rows as usize * columns as usize).step_by(97) {
                let stored = (f64::from(lone.pixels.get(at).expect("inside")) - intercept) / slope;
                let value = f64::from(slice.pixels.get(at).expect("inside"));
                assert!((value - (2.0 * stored - 1000.0)).abs() < 0.01, "{uid} at {at}: {value} for {stored}");
            }
        }
    }
    eprintln!("codecs: {seen:?}");
    assert!(seen.len() >= 7, "{seen:?}");
}

/// Two real objects of the same ten frames in two syntaxes. They are MR without a place in space, so only their pixels
/// are read.
#[test]
fn real_objects_of_two_syntaxes_hold_the_same_frames() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/syntaxes");
    if !data.is_dir() {
        assert!(std::env::var_os("DENS_REQUIRE_DATA").is_none(), "the shared test data are missing");
        eprintln!("SKIPPED: the shared test data are not beside the project");
        return;
    }
    let [rle, j2k] = ["rle", "j2k"].map(|syntax| {
        let path = data.join(format!("enhanced-mr-10frames-{syntax}.dcm"));
        let (object, mut source) = super::Object::open(&path, None).expect("opens");
        let top = object.top().expect("elements");
        let ((rows, columns), depth) =
            (super::size(&top).expect("a size"), Depth::read(&object.data).expect("a depth"));
        let frame_bytes = rows * columns * usize::from(depth.allocated / 8);
        let places = super::places(&top, &mut source, 10, frame_bytes).expect("frames");
        assert_eq!((places.of_frames.len(), places.mended), (10, None));
        let decoded = places.of_frames.into_iter().map(|place| {
            let picture = Picture {
                syntax: object.data.syntax,
                rows,
                columns,
                bits_allocated: depth.allocated,
                bits_stored: depth.stored,
                shift: depth.shift,
                signed: depth.signed,
                big_endian_words: false,
                photometric: Photometric::Monochrome2,
                photometric_assumed: false,
                rescale: Rescale::Absent,
                padding: None,
                place,
                excess: 0,
            };
            decode::slice(&picture, &mut source).expect("decodes").pixels
        });
        decoded.collect::<Vec<_>>()
    });
    assert!(rle == j2k, "the frames differ");
    assert!((1..10).all(|frame| rle[frame] != rle[0]), "each is its own");
}
