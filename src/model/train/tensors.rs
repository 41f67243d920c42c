//! Named tensors outside a weight file: a checkpoint's parameters, running statistics and moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::super::ModelError;
use crate::files::{self, Synced};

/// Key of the note among the header's metadata.
const NOTE_KEY: &str = "dens.note";
/// Three values per weight of the largest network are 300 MB.
const FILE_LIMIT_BYTES: u64 = 2 << 30;

/// Tensors by name, row-major f32, in the order of their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamedTensors(pub BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl NamedTensors {
    /// The values of one tensor.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn values(&self, name: &str) -> Result<&[f32], ModelError> {
        let found = self.0.get(name).map(|(_, values)| values.as_slice());
        found.ok_or_else(|| ModelError::Forward(format!("there is no tensor {name}")))
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        self.0.insert(name.into(), (shape, values));
    }

    /// All of both, under prefixes that keep them apart.
    pub fn absorb(&mut self, prefix: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }

    /// The tensors whose names begin so, under the rest of their names.
    pub fn under(&self, prefix: &str) -> Self {
        let of = |(name, tensor): (&String, &(Vec<usize>, Vec<f32>))| {
            name.strip_prefix(prefix).map(|rest| (rest.to_owned(), tensor.clone()))
        };
        Self(self.0.iter().filter_map(of).collect())
    }

    /// Writes a `.safetensors` file with a note beside the tensors. The file appears complete or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, note: &str, path: &Path) -> Result<(), ModelError> {
        let failed = |reason: String| refused(path, format!("the checkpoint could not be written: {reason}"));
        let mut views = Vec::with_capacity(self.0.len());
        for (name, (shape, values)) in &self.0 {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            views.push((name.as_str(), view.map_err(|error| failed(error.to_string()))?));
        }
        let metadata = std::collections::HashMap::from([(NOTE_KEY.to_owned(), note.to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| failed(error.to_string()))?;
        files::write(path, &bytes, Synced::File).map_err(|error| failed(error.to_string()))
    }

    /// Reads what [`NamedTensors::save`] wrote, and its note.
    ///
    /// # Errors
    /// Not readable, cut short, or tensors of another type.
    pub fn load(path: &Path) -> Result<(Self, String), ModelError> {
        let unreadable = |error: std::io::Error| refused(path, format!("the checkpoint cannot be read: {error}"));
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > FILE_LIMIT_BYTES {
            return Err(refused(path, format!("{length} bytes are more than a checkpoint has")));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let broken = |error: safetensors::SafeTensorError| refused(path, format!("not a whole checkpoint: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        let note = metadata.metadata().as_ref().and_then(|m| m.get(NOTE_KEY)).cloned().unwrap_or_default();
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).map_err(broken)?.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(refused(path, "a checkpoint holds only F32 tensors".into()));
            }
            let number = |four: &[u8]| four.try_into().map_or(f32::NAN, f32::from_le_bytes);
            tensors.insert(name, (view.shape().to_vec(), view.data().chunks_exact(4).map(number).collect()));
        }
        Ok((Self(tensors), note))
    }
}

fn refused(path: &Path, reason: String) -> ModelError {
    ModelError::Refused { path: PathBuf::from(path), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_whole_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let mut tensors = NamedTensors::default();
        tensors.insert("b", vec![2, 1], vec![1.5, f32::MIN_POSITIVE]);
        tensors.insert("a", vec![1], vec![-0.0]);
        let mut all = NamedTensors::default();
        all.absorb("m.", tensors.clone());
        all.absorb("v.", tensors.clone());
        all.save("{\"epoch\":3}", &path).unwrap();
        let (read, note) = NamedTensors::load(&path).unwrap();
        assert_eq!((&read, note.as_str()), (&all, "{\"epoch\":3}"));
        assert_eq!(read.under("v."), tensors);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(NamedTensors::load(&path).unwrap_err().to_string().contains("not a whole checkpoint"));
    }
}
