//! Verdicts on disk: a file per study and reader beside the program's own data, never beside a study, written on a thread
//! of its own as soon as something has changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::keeper;
use crate::reading::{self, Reading};
use crate::state::{Event, ReadingKey};

/// No reader writes as much; a longer file is something else.
const LONGEST_BYTES: u64 = 1 << 20;

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct ReadingStore {
    folder: PathBuf,
}

impl ReadingStore {
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }
    fn path(&self, key: &ReadingKey) -> PathBuf {
        self.folder.join(format!("{}.json", key.name()))
    }
    /// What was kept; nothing yet is an empty reading. A file that cannot be used is kept aside under another name.
    ///
    /// # Errors
    /// A sentence.
    pub fn read(&self, key: &ReadingKey) -> Result<Reading, String> {
        let path = self.path(key);
        let failed = |error| format!("{} could not be read ({error})", path.display());
        let Some(bytes) = keeper::read(&path, LONGEST_BYTES).map_err(failed)? else {
            return Ok(Reading::default());
        };
        reading::from_json(&bytes).map_err(|error| {
            let aside = keeper::free_name(&path);
            match fs::rename(&path, &aside) {
                Ok(()) => format!("{error}; the file is kept at {}", aside.display()),
                Err(moved) => format!("{error}, and {} could not be kept aside ({moved})", path.display()),
            }
        })
    }
    /// Writes the file whole; when this returns it survives a power cut.
    ///
    /// # Errors
    /// A sentence.
    pub fn write(&self, key: &ReadingKey, reading: &Reading) -> Result<(), String> {
        let bytes = reading::to_json(reading).map_err(|error| error.to_string())?;
        keeper::write(&self.folder, &self.path(key), &bytes)
    }
}

/// What is asked of the thread that keeps verdicts.
pub enum Order {
    Read(Vec<ReadingKey>),
    Save(ReadingKey, Box<Reading>),
}

impl keeper::Store for ReadingStore {
    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl keeper::Order for Order {
    type Store = ReadingStore;

    fn is_superseded_by(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Save(key, _), Self::Save(other, _)) if key == other)
    }

    fn carry_out(&self, store: Option<&ReadingStore>) -> Event {
        match self {
            Self::Read(keys) => {
                let read = |key: &ReadingKey| store.map_or_else(|| Ok(Reading::default()), |store| store.read(key));
                Event::ReadingsRead(keys.iter().map(|key| (key.clone(), read(key))).collect())
            }
            Self::Save(key, reading) => {
                let nowhere = || Err("there is no folder of the user's to keep it in".to_owned());
                let result = store.map_or_else(nowhere, |store| store.write(key, reading));
                Event::ReadingSaved { key: key.clone(), result }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::keeper::Keeper;
    use super::*;
    use crate::reading::Moment;

    #[test]
    fn readings_are_kept_and_damage_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ReadingStore::at(folder.path().join("readings"));
        let key = ReadingKey::default();
        assert_eq!(store.read(&key), Ok(Reading::default()));
        let reading = Reading { opened: Some(Moment(5)), note: "n".into(), ..Reading::default() };
        store.write(&key, &reading).expect("written");
        assert_eq!(store.read(&key), Ok(reading.clone()));
        fs::write(store.path(&key), b"{\"dens_reading\":").expect("damaged");
        let why = store.read(&key).expect_err("damaged");
        assert!(why.contains("kept at") && why.contains("damaged-1"), "{why}");
        assert_eq!(store.read(&key), Ok(Reading::default()), "and begun anew");
        let (events, got) = channel();
        let mut keeper = Keeper::start("test", Some(store.clone()), events, std::sync::Arc::new(|_| {}));
        for n in 0..50 {
            keeper.send(Order::Save(key.clone(), Box::new(Reading { before_ms: n, ..reading.clone() })));
        }
        keeper.finish();
        assert_eq!(store.read(&key).map(|r| r.before_ms), Ok(49), "the last state stands");
        assert!(got.try_iter().all(|event| matches!(event, Event::ReadingSaved { result: Ok(()), .. })));
    }
}
