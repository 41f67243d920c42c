//! Measurements on disk: a file per series beside the program's own data, never beside a study, written on a thread of
//! its own as soon as something has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::keeper;
use crate::measure::{self, Content};
use crate::state::{Event, MeasuresFile, SheetKey};

/// No reader draws as much; a longer file is something else.
const LONGEST_BYTES: u64 = 64 << 20;

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct MeasureStore {
    folder: PathBuf,
}

impl MeasureStore {
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }
    fn path(&self, key: &SheetKey) -> PathBuf {
        self.folder.join(format!("{}.json", key.name()))
    }
    /// What was kept of a series. A file that cannot be used is kept aside under another name.
    ///
    /// # Errors
    /// A sentence: a file is there and can neither be read nor kept aside, so that writing would destroy it.
    pub fn read(&self, key: &SheetKey) -> Result<MeasuresFile, String> {
        let path = self.path(key);
        let failed = |error: &io::Error| format!("{} could not be read ({error})", path.display());
        let Some(bytes) = keeper::read(&path, LONGEST_BYTES).map_err(|error| failed(&error))? else {
            return Ok(MeasuresFile::default());
        };
        match measure::from_json(&bytes) {
            Ok((content, 0)) => Ok(MeasuresFile { content, damage: None }),
            Ok((content, unused)) => {
                let aside = keeper::free_name(&path);
                fs::copy(&path, &aside).map_err(|error| failed(&error))?;
                let damage = format!(
                    "{unused} of the entries kept for this series could not be used; the rest is here, and the file as \
                     it was is kept at {}",
                    aside.display()
                );
                Ok(MeasuresFile { content, damage: Some(damage) })
            }
            Err(error) => {
                let aside = keeper::free_name(&path);
                fs::rename(&path, &aside).map_err(|error| failed(&error))?;
                let damage = format!(
                    "The measurements kept for this series could not be read: {error}. The file is kept at {}, and \
                     new measurements go to a new one.",
                    aside.display()
                );
                Ok(MeasuresFile { content: Content::default(), damage: Some(damage) })
            }
        }
    }
    /// The same for who only looks: nothing is kept aside, and what cannot be used is left out.
    pub fn look(&self, key: &SheetKey) -> Content {
        let bytes = keeper::read(&self.path(key), LONGEST_BYTES).ok().flatten();
        bytes.and_then(|bytes| measure::from_json(&bytes).ok()).map_or_else(Content::default, |(content, _)| content)
    }
    /// Writes the file whole; when this returns it survives a power cut.
    ///
    /// # Errors
    /// A sentence.
    pub fn write(&self, key: &SheetKey, content: &Content) -> Result<(), String> {
        let bytes = measure::to_json(content).map_err(|error| error.to_string())?;
        keeper::write(&self.folder, &self.path(key), &bytes)
    }
}

/// What is asked of the thread that keeps measurements.
pub enum Order {
    Read(SheetKey),
    Save(SheetKey, Content),
}

impl keeper::Store for MeasureStore {
    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl keeper::Order for Order {
    type Store = MeasureStore;

    fn is_superseded_by(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Save(key, _), Self::Save(other, _)) if key == other)
    }

    fn carry_out(&self, store: Option<&MeasureStore>) -> Event {
        match self {
            Self::Read(key) => {
                let result = store.map_or_else(|| Ok(MeasuresFile::default()), |store| store.read(key));
                Event::MeasuresRead { key: key.clone(), result }
            }
            Self::Save(key, content) => {
                let nowhere = || Err("there is no folder of the user's to keep them in".to_owned());
                let result = store.map_or_else(nowhere, |store| store.write(key, content));
                Event::MeasuresSaved { key: key.clone(), content: content.clone(), result }
            }
        }
    }
}

#[cfg(test)]
mod tests;
