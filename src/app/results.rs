//! Results on disk: a file per series and network beside the program's own data, never beside a study. A file that
//! cannot be used is computed anew and replaced, with a word in the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::files;
use crate::findings::{Findings, ModelInfo};
use crate::inference::kept::{self, KeptKey};
use crate::study::LoadedSeries;

const ENDING: &str = "dens-result";
/// What a killed program left half written is cleared away when it is older than this.
const LEFTOVER: Duration = Duration::from_secs(3600);

/// The folder with the files, and how large it may grow.
#[derive(Debug, Clone)]
pub struct ResultStore {
    folder: PathBuf,
    most_bytes: u64,
}

/// One kept file.
struct Entry {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

impl ResultStore {
    pub fn at(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes }
    }

    fn path(&self, key: &KeptKey) -> PathBuf {
        self.folder.join(format!("{}.{ENDING}", key.name()))
    }

    /// What was kept under a key, for this series and model. Reads no voxel where nothing like it was kept.
    pub fn read(&self, key: &KeptKey, loaded: &LoadedSeries, model: &Arc<ModelInfo>, force: bool) -> Option<Findings> {
        let is_alike = |entry: &Entry| {
            entry.path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(key.likeness()))
        };
        if !self.entries().iter().any(is_alike) {
            return None;
        }
        let bytes = match fs::read(self.path(key)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                log::warn!("a kept result could not be read ({error}); it is computed anew");
                return None;
            }
        };
        let read = kept::decode(&bytes, loaded, model, force);
        read.inspect_err(|error| log::warn!("a kept result is not used ({error}); it is computed anew")).ok()
    }

    /// Keeps a complete result, then removes the oldest files until the folder is within its size. A failure is
    /// written to the log: nothing is lost but time.
    pub fn write(&self, key: &KeptKey, findings: &Findings, loaded: &LoadedSeries, computed: &str) {
        let bytes = match kept::encode(findings, &loaded.series, computed) {
            Ok(Some(bytes)) if bytes.len() as u64 <= self.most_bytes => bytes,
            Ok(_) => return,
            Err(error) => return log::warn!("a result was not kept: {error}"),
        };
        let written =
            fs::create_dir_all(&self.folder).and_then(|()| files::write(&self.path(key), &bytes, files::Synced::File));
        if let Err(error) = written {
            log::warn!("a result was not kept: {error}");
        }
        files::clear_leftovers(&self.folder, LEFTOVER);
        self.shrink();
    }

    fn shrink(&self) {
        let mut entries = self.entries();
        entries.sort_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if bytes <= self.most_bytes {
                return;
            }
            bytes -= entry.bytes;
            if let Err(error) = fs::remove_file(&entry.path) {
                log::warn!("an old result could not be removed: {error}");
            }
        }
    }

    /// Whether nothing is kept at all.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }
    fn entries(&self) -> Vec<Entry> {
        let ours = |path: &Path| path.extension().is_some_and(|ending| ending == ENDING);
        let entry = |path: PathBuf, metadata: fs::Metadata| {
            let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Entry { path, bytes: metadata.len(), written }
        };
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        all.filter(|e| ours(&e.path())).filter_map(|e| Some(entry(e.path(), e.metadata().ok()?))).collect()
    }

    /// Removes all of them; how many there were and their size in bytes.
    ///
    /// # Errors
    /// A sentence: one could not be removed.
    pub fn clear(&self) -> Result<(usize, u64), String> {
        let (mut count, mut bytes) = (0, 0);
        for entry in self.entries() {
            fs::remove_file(&entry.path).map_err(|error| format!("{}: {error}", entry.path.display()))?;
            count += 1;
            bytes += entry.bytes;
        }
        Ok((count, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::with_scores;
    use crate::phantom::{DEMO_SEED, demo_study};

    fn key(name: &str, loaded: &LoadedSeries) -> KeptKey {
        struct On<'a>(&'a str);
        impl crate::inference::SliceNetwork for On<'_> {
            fn device_name(&self) -> &str {
                self.0
            }
            fn device_note(&self) -> Option<&str> {
                None
            }
            fn forward_slices(
                &self,
                _: &[f32],
                _: usize,
            ) -> Result<Vec<crate::model::SliceForward>, crate::model::ModelError> {
                Ok(Vec::new())
            }
            fn forward_case(&self, _: &[Vec<f32>]) -> Result<crate::model::CaseForward, crate::model::ModelError> {
                Err(crate::model::ModelError::Forward(String::new()))
            }
        }
        KeptKey::new(loaded, &On(name), &with_scores(&[]).provenance.model, false)
    }

    #[test]
    fn results_are_kept_found_bounded_and_cleared() {
        let folder = tempfile::tempdir().expect("a folder");
        let loaded = demo_study(DEMO_SEED);
        let findings = with_scores(&vec![Some(0.25); loaded.volume.slices().len()]);
        let model = findings.provenance.model.clone();
        let store = ResultStore::at(folder.path().join("results"), 1 << 20);
        let keys: Vec<KeptKey> = ["a", "b", "c"].into_iter().map(|name| key(name, &loaded)).collect();
        assert!(store.read(&keys[0], &loaded, &model, false).is_none(), "nothing is there");
        store.write(&keys[0], &findings, &loaded, "then");
        let back = store.read(&keys[0], &loaded, &model, false).expect("kept");
        assert_eq!((back.slices, back.provenance.computed_earlier.as_deref()), (findings.slices.clone(), Some("then")));
        assert!(store.read(&keys[1], &loaded, &model, false).is_none(), "another key is another result");

        let one = fs::metadata(store.path(&keys[0])).expect("there").len();
        let small = ResultStore::at(folder.path().join("results"), 2 * one + one / 2);
        for (age_s, key) in [(30, &keys[0]), (20, &keys[1])] {
            small.write(key, &findings, &loaded, "then");
            let file = fs::File::options().append(true).open(small.path(key)).expect("there");
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).expect("dated");
        }
        small.write(&keys[2], &findings, &loaded, "then");
        let there: Vec<bool> = keys.iter().map(|key| small.read(key, &loaded, &model, false).is_some()).collect();
        assert_eq!(there, [false, true, true], "the oldest went");

        fs::write(small.path(&keys[1]), b"nonsense").expect("damaged");
        assert!(small.read(&keys[1], &loaded, &model, false).is_none());
        small.write(&keys[1], &findings, &loaded, "again");
        assert!(small.read(&keys[1], &loaded, &model, false).is_some(), "replaced");
        fs::write(folder.path().join("results/other.txt"), b"not ours").expect("written");
        assert_eq!(small.clear().map(|(count, _)| count), Ok(2));
        assert!(folder.path().join("results/other.txt").exists());
    }
}
