//! Preprocessed slices on disk: one file per case, eight bits per channel, each slice compressed on its own so that a
//! batch reads what it needs and no more. The name of a file says what it was made from; a broken file is made anew.
//!
//! ```text
//! "dens slices 1\n", sha256 of all that follows, u64 length of the head, head (JSON), compressed slices
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dataset::{CaseRef, DatasetError, LabelledCase};
use crate::evaluation::Fracture;
use crate::geometry::PixelBox;
use crate::jobs::{Cancelled, JobCtx};
use crate::preprocess::{Crop, Recipe, network_input, plan, thinned};
use crate::study::{Series, describe};
use crate::truth::{CaseTruth, SliceLabel, SliceTruth};

const MAGIC: &[u8] = b"dens slices 1\n";
const DIGEST_BYTES: usize = 32;
/// Raised whenever what is stored changes its meaning, so that old files are not taken for new ones.
const CONTENT_VERSION: u32 = 1;
/// Longest head that is believed, bytes.
const HEAD_LIMIT_BYTES: u64 = 64 << 20;

/// How slices are made for the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SliceRecipe {
    pub recipe: Recipe,
    /// Edge of the input, pixels.
    pub side: usize,
    /// Slices nearer together than this are thinned out.
    pub z_step_mm: f64,
}

/// One stored slice and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSlice {
    /// 0-based, display order of the series.
    pub index: usize,
    /// Along the stacking direction, mm; `None` where the series has no geometry.
    pub position_mm: Option<f64>,
    /// `None`: neither trained on nor counted.
    pub label: Option<bool>,
    /// 0 for C1, 7 for T1, where known.
    pub level: Option<usize>,
    /// Reference boxes in pixels of the network's input, edges.
    pub boxes: Vec<PixelBox>,
    /// Where the compressed values lie behind the head, and how many bytes they are.
    offset: u64,
    bytes: u64,
}

/// All that training and evaluation need of a case beside its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    side: usize,
    pub fractured: bool,
    /// Display order: head to feet.
    pub slices: Vec<StoredSlice>,
    pub fractures: Vec<Fracture>,
    pub slice_thickness_mm: Option<f64>,
    pub contrast: Option<bool>,
    /// Values for the trivial baselines, by name.
    pub baselines: BTreeMap<String, f64>,
}

/// A case whose slices lie in the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCase {
    pub head: Head,
    path: PathBuf,
    /// Where the compressed slices begin in the file.
    start: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The case cannot be used; a sentence with its id.
    #[error("{0}")]
    Unusable(String),
    /// The cache itself cannot be written or read.
    #[error("the slice cache {path}: {source}")]
    Disk { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl SliceRecipe {
    /// The file of a case.
    pub fn path(&self, folder: &Path, content_key: &str) -> PathBuf {
        let key = format!(
            "{CONTENT_VERSION}\n{}\n{}\n{}\n{content_key}",
            self.recipe.name(),
            self.side,
            self.z_step_mm.to_bits()
        );
        folder.join(format!("{}.slices", &hex::encode(Sha256::digest(key.as_bytes()))[..32]))
    }
}

/// The case's slices from the cache, or made and put there.
///
/// # Errors
/// The case cannot be read or has nothing to score, the disk is full, or the work was cancelled.
pub fn fetch(case: &CaseRef, how: SliceRecipe, folder: &Path, ctx: &JobCtx) -> Result<StoredCase, CacheError> {
    let path = how.path(folder, &case.content_key);
    match open(&path) {
        Ok(stored) => return Ok(stored),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // Cut short by a power failure or written by something else.
        Err(error) => log::info!("{} is made anew: {error}", path.display()),
    }
    let labelled = case.load(ctx).map_err(|error| match error {
        DatasetError::Cancelled(cancelled) => CacheError::Cancelled(cancelled),
        DatasetError::Refused(reason) => CacheError::Unusable(reason),
    })?;
    let (head, planes) = prepare(&labelled, how, ctx)?.map_err(|reason| unusable(&case.id, &reason))?;
    // Read back, so that numbers are those of a later run, whose decimals went through the file.
    let stored = write(&path, head, &planes).and_then(|_| open(&path));
    stored.map_err(|source| CacheError::Disk { path: path.clone(), source })
}

fn unusable(id: &str, reason: &str) -> CacheError {
    CacheError::Unusable(if reason.starts_with(id) { reason.to_owned() } else { format!("{id}: {reason}") })
}

/// Head and eight-bit values of every kept slice, or the reason why the case cannot be used.
type Prepared = Result<(Head, Vec<Vec<u8>>), String>;

fn prepare(case: &LabelledCase, how: SliceRecipe, ctx: &JobCtx) -> Result<Prepared, Cancelled> {
    let (series, volume, truth) = (&case.loaded.series, &case.loaded.volume, &case.truth);
    let (None, Some(spacing_mm)) = (series.analysis_stop(), series.spacing_mm) else {
        return Ok(Err(series.analysis_stop().unwrap_or_else(|| "its pixels have no size".into())));
    };
    let Some(fractured) = truth.fractured else { return Ok(Err("nobody says whether it is fractured".into())) };
    if truth.slices.len() != volume.slices().len() {
        let (known, there) = (truth.slices.len(), volume.slices().len());
        return Ok(Err(format!("the reference standard speaks of {known} slices, the study has {there}")));
    }
    let position_mm = series.position_mm();
    let plan = plan(how.recipe, volume, spacing_mm, &position_mm, ctx)?;
    let scored: Vec<usize> = (0..plan.crops.len()).filter(|&index| plan.crops[index].is_some()).collect();
    let kept = thinned(&scored, &position_mm, how.z_step_mm);
    if kept.is_empty() {
        return Ok(Err("no slice can be scored".into()));
    }
    let make = |&index: &usize| -> Result<(StoredSlice, Vec<u8>), Cancelled> {
        ctx.check()?;
        let crop = plan.crops[index].as_ref().expect("only scored slices are kept");
        let input = network_input(&volume.slices()[index], crop, how.side);
        let planes = input.into_iter().map(eight_bits).collect();
        Ok((stored(index, position_mm[index], &truth.slices[index], crop, how.side), planes))
    };
    let made: Vec<(StoredSlice, Vec<u8>)> = kept.par_iter().map(make).collect::<Result<_, _>>()?;
    let (slices, planes) = made.into_iter().unzip();
    let mut head = head_of(series, truth, how.side, fractured, slices);
    head.baselines = super::baselines::of_volume(&case.loaded);
    Ok(Ok((head, planes)))
}

fn head_of(series: &Series, truth: &CaseTruth, side: usize, fractured: bool, slices: Vec<StoredSlice>) -> Head {
    let fracture = |f: &crate::truth::FractureTruth| Fracture {
        level: f.level.index(),
        kind: f.kind.clone(),
        displacement_mm: f.displacement_mm,
        conspicuity: f.conspicuity,
    };
    Head {
        side,
        fractured,
        slices,
        fractures: truth.fractures.iter().map(fracture).collect(),
        slice_thickness_mm: series.technique.slice_thickness_mm,
        contrast: describe::contrast_given(series),
        baselines: BTreeMap::new(),
    }
}

/// `floor(255 y + 1/2)`, as the paper's Otsu values are rounded.
fn eight_bits(value: f32) -> u8 {
    (255.0 * value + 0.5).floor().clamp(0.0, 255.0) as u8
}

fn stored(index: usize, position_mm: f64, truth: &SliceTruth, crop: &Crop, side: usize) -> StoredSlice {
    let [x0, y0, x1, y1] = crop.region;
    let (across, down) = (side as f64 / (x1 - x0), side as f64 / (y1 - y0));
    let into = |b: &PixelBox| [(b[0] - x0) * across, (b[1] - y0) * down, (b[2] - x0) * across, (b[3] - y0) * down];
    StoredSlice {
        index,
        position_mm: position_mm.is_finite().then_some(position_mm),
        label: match truth.label {
            SliceLabel::Negative => Some(false),
            SliceLabel::Positive => Some(true),
            SliceLabel::Ignore => None,
        },
        level: truth.level.map(crate::truth::Level::index),
        boxes: truth.boxes.iter().map(into).collect(),
        offset: 0,
        bytes: 0,
    }
}

/// Compresses and writes a case; the file appears complete or not at all.
pub(super) fn write(path: &Path, mut head: Head, planes: &[Vec<u8>]) -> std::io::Result<StoredCase> {
    let compressed: Vec<Vec<u8>> = planes.par_iter().map(|slice| deflated(slice)).collect::<Result<_, _>>()?;
    let mut offset = 0;
    for (slice, bytes) in head.slices.iter_mut().zip(&compressed) {
        (slice.offset, slice.bytes) = (offset, bytes.len() as u64);
        offset += slice.bytes;
    }
    let json = serde_json::to_vec(&head)?;
    let mut body = (json.len() as u64).to_le_bytes().to_vec();
    body.extend(json);
    let start = (MAGIC.len() + DIGEST_BYTES + body.len()) as u64;
    compressed.iter().for_each(|bytes| body.extend(bytes));
    super::files::write_whole(path, |file| {
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(&body))?;
        file.write_all(&body)
    })?;
    Ok(StoredCase { head, path: path.to_path_buf(), start })
}

fn deflated(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Reads the head of a file and checks the whole of it.
fn open(path: &Path) -> std::io::Result<StoredCase> {
    let broken = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let bytes = std::fs::read(path)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| broken("no file of slices"))?;
    let (digest, body) = rest.split_at_checked(DIGEST_BYTES).ok_or_else(|| broken("cut short"))?;
    if Sha256::digest(body).as_slice() != digest {
        return Err(broken("not what was written"));
    }
    let (length, rest) = body.split_first_chunk::<8>().ok_or_else(|| broken("cut short"))?;
    let length = u64::from_le_bytes(*length);
    let json = usize::try_from(length.min(HEAD_LIMIT_BYTES)).ok().and_then(|length| rest.get(..length));
    let head: Head = serde_json::from_slice(json.ok_or_else(|| broken("cut short"))?)?;
    Ok(StoredCase { head, path: path.to_path_buf(), start: (MAGIC.len() + DIGEST_BYTES + 8) as u64 + length })
}

impl StoredCase {
    /// Names the content and how it was cut; two cases of one key are the same.
    pub fn key(&self) -> String {
        self.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The `3 * side * side` values of the `slice`-th stored slice.
    ///
    /// # Errors
    /// The file was changed or taken away since it was opened.
    pub fn planes(&self, slice: usize) -> Result<Vec<u8>, CacheError> {
        let read = || -> std::io::Result<Vec<u8>> {
            let entry = self.head.slices.get(slice).ok_or_else(|| std::io::Error::other("no such slice"))?;
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.start + entry.offset))?;
            let expected = 3 * self.head.side * self.head.side;
            let mut planes = Vec::with_capacity(expected);
            ZlibDecoder::new(file.take(entry.bytes)).take(expected as u64 + 1).read_to_end(&mut planes)?;
            if planes.len() == expected { Ok(planes) } else { Err(std::io::Error::other("a slice of another size")) }
        };
        read().map_err(|source| CacheError::Disk { path: self.path.clone(), source })
    }
}

/// A head for tests that make their slices themselves: `(label, boxes)` of each.
#[cfg(test)]
pub(super) fn test_head(side: usize, fractured: bool, slices: &[(Option<bool>, Vec<PixelBox>)]) -> Head {
    let slice = |(index, (label, boxes)): (usize, &(Option<bool>, Vec<PixelBox>))| StoredSlice {
        index,
        position_mm: Some(index as f64),
        label: *label,
        level: None,
        boxes: boxes.clone(),
        offset: 0,
        bytes: 0,
    };
    Head {
        side,
        fractured,
        slices: slices.iter().enumerate().map(slice).collect(),
        fractures: Vec::new(),
        slice_thickness_mm: None,
        contrast: None,
        baselines: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 8;

    fn planes(seed: u8) -> Vec<Vec<u8>> {
        (0..3).map(|n| (0..3 * SIDE * SIDE).map(|i| (i as u8).wrapping_mul(seed).wrapping_add(n)).collect()).collect()
    }

    #[test]
    fn what_was_stored_comes_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.slices");
        let head = test_head(SIDE, true, &[(Some(true), vec![]), (None, vec![]), (Some(false), vec![])]);
        let planes = planes(37);
        let written = write(&path, head, &planes).unwrap();
        let read = open(&path).unwrap();
        assert_eq!(read, written);
        (0..3).for_each(|slice| assert_eq!(read.planes(slice).unwrap(), planes[slice]));
        assert!(read.planes(3).is_err());
        let bytes = std::fs::read(&path).unwrap();
        for at in [3, 20, 60, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(open(&path).is_err(), "byte {at}");
        }
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert!(open(&path).is_err());
        assert!(matches!(read.planes(2), Err(CacheError::Disk { .. })));
    }

    #[test]
    fn another_recipe_is_another_file() {
        let how = SliceRecipe { recipe: Recipe::Paper, side: 192, z_step_mm: 2.0 };
        let path = |how: SliceRecipe, key: &str| how.path(Path::new(""), key);
        assert_eq!(path(how, "a"), path(how, "a"));
        let others = [
            path(how, "b"),
            path(SliceRecipe { side: 191, ..how }, "a"),
            path(SliceRecipe { z_step_mm: 1.0, ..how }, "a"),
            path(SliceRecipe { recipe: Recipe::Spine, ..how }, "a"),
        ];
        assert!(others.iter().all(|other| *other != path(how, "a")));
    }

    #[test]
    fn eight_bits_round_to_the_nearest() {
        assert_eq!([0.0, 1.0, 0.5, 0.00195, 0.00197].map(eight_bits), [0, 255, 128, 0, 1]);
    }
}
