//! What the layouts on disk share: `train_images/UID/N.dcm`, one folder per study, files numbered from 1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dicom::{self, LoadError, OpenError};
use crate::jobs::JobCtx;
use crate::study::{Kind, LoadedSeries, Series, SliceInfo};

use super::DatasetError;

pub(super) const IMAGES: &str = "train_images";
pub(super) const SEGMENTATIONS: &str = "segmentations";

/// The folders of studies, by name.
pub(super) fn studies(root: &Path) -> Result<BTreeMap<String, PathBuf>, DatasetError> {
    let images = root.join(IMAGES);
    let entries = std::fs::read_dir(&images).map_err(|e| {
        DatasetError::Refused(format!(
            "{} could not be read ({e}); the studies are expected there, one folder each",
            images.display()
        ))
    })?;
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    Ok(folders.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path))).collect())
}

/// The root of the layout in which a series lies, and the name of its study's folder.
pub(super) fn layout_of(series: &Series) -> Option<(PathBuf, String)> {
    // What lies in an archive has its standard in there too, and that is not read.
    let first = series.slices.first().filter(|slice| slice.packed.is_none())?;
    let folder = first.path.parent()?;
    let images = folder.parent()?;
    let named = images.file_name().is_some_and(|name| name == IMAGES);
    named.then(|| Some((images.parent()?.to_owned(), folder.file_name()?.to_str()?.to_owned()))).flatten()
}

/// N of `N.dcm`.
pub(super) fn file_number(slice: &SliceInfo) -> Option<usize> {
    slice.path.file_stem()?.to_str()?.parse().ok()
}

/// Positions along the normal, in display order.
pub(super) fn positions_mm(series: &Series) -> Vec<Option<f64>> {
    // Towards one direction for all, whatever rounding a single slice's orientation has.
    let normal = series.slices.iter().find_map(|s| s.pose).map(|p| p.normal());
    series.slices.iter().map(|s| Some(s.pose?.origin.0.dot(normal?))).collect()
}

/// What a study is called in tables and messages: the last part of its UID.
pub(super) fn short_id(uid: &str) -> String {
    let last = uid.rsplit('.').next().unwrap_or(uid);
    let from = last.len().saturating_sub(12);
    last.get(from..).unwrap_or(last).to_owned()
}

/// Reads the one series of a study's folder. A study of which a slice cannot be read is not used at all: its labels
/// would belong to other slices than those that are left.
pub(super) fn load(id: &str, folder: &Path, ctx: &JobCtx) -> Result<LoadedSeries, DatasetError> {
    let refuse = |why: String| DatasetError::Refused(format!("study {id} was left out: {why}"));
    // Progress of the scan would count files, that of the decoding slices: only the second is shown.
    let mut catalog = match dicom::scan(folder, &JobCtx::detached()) {
        Ok(catalog) => catalog,
        Err(OpenError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(error) => return Err(refuse(error.to_string())),
    };
    ctx.check()?;
    let unreadable = |refused: &[crate::study::Refused]| {
        let first = refused.first().map_or("", |r| r.text.as_str());
        refuse(format!("{} of its files could not be read; the first: {first}", refused.len()))
    };
    // An archive that lies beside the slices is none of them.
    catalog.refused.retain(|refused| refused.kind != Kind::NestedArchive);
    if !catalog.refused.is_empty() {
        return Err(unreadable(&catalog.refused));
    }
    let index = catalog.likeliest().ok_or_else(|| refuse("its folder holds no picture".to_owned()))?;
    let series = Arc::new(catalog.series.swap_remove(index));
    if let Some(stop) = series.analysis_stop() {
        return Err(refuse(stop));
    }
    let loaded = match dicom::load_series(&series, 0, ctx, &|_, _| {}) {
        Ok(loaded) => loaded,
        Err(LoadError::Cancelled(cancelled)) => return Err(cancelled.into()),
        Err(error @ LoadError::NothingDecoded(_)) => return Err(refuse(error.to_string())),
    };
    if loaded.refused.is_empty() { Ok(loaded.loaded) } else { Err(unreadable(&loaded.refused)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_the_last_part_of_the_uid() {
        assert_eq!(short_id("1.2.826.0.1.3680043.10051"), "10051");
        assert_eq!(short_id("2.25.340282366920938463463374607431768211455"), "431768211455");
        assert_eq!(short_id("x"), "x");
    }
}
