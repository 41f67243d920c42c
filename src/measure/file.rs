//! Measurements as JSON, for a file of their own. No patient text but what the reader wrote into a name. Numbers come
//! back but for their last bit.

use super::{Content, Measurement};

/// Changes with the meaning of what is written.
const VERSION: u64 = 1;

/// Why a file of measurements cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it is no JSON of this form ({0})")]
    Form(#[from] serde_json::Error),
    #[error("it was written by a newer version of dens (form {0})")]
    Newer(u64),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct File {
    dens_measurements: u64,
    measurements: Vec<serde_json::Value>,
    #[serde(default)]
    key_slices: Vec<serde_json::Value>,
}

/// Indented JSON, one line feed at the end.
///
/// # Errors
/// Only where a number has no JSON form.
pub fn to_json(content: &Content) -> Result<Vec<u8>, FileError> {
    let file = File {
        dens_measurements: VERSION,
        measurements: content.measurements.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
        key_slices: content.key_slices.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
    };
    let mut bytes = serde_json::to_vec_pretty(&file)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a file holds, and how many of its entries could not be used.
///
/// # Errors
/// Nothing of it can be used.
pub fn from_json(bytes: &[u8]) -> Result<(Content, usize), FileError> {
    let file: File = serde_json::from_slice(bytes)?;
    if file.dens_measurements > VERSION {
        return Err(FileError::Newer(file.dens_measurements));
    }
    let (all, mut content) = (file.measurements.len() + file.key_slices.len(), Content::default());
    for value in file.measurements {
        let read = serde_json::from_value::<Measurement>(value).ok();
        let new = |m: &Measurement| !content.measurements.iter().any(|other| other.id == m.id);
        content.measurements.extend(read.filter(Measurement::is_sound).filter(new).into_iter().collect::<Vec<_>>());
    }
    content
        .key_slices
        .extend(file.key_slices.into_iter().filter_map(|value| serde_json::from_value::<super::KeySlice>(value).ok()));
    let used = content.measurements.len() + content.key_slices.len();
    Ok((content, all - used))
}
