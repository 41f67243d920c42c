//! Settings on disk, in the user's configuration folder, never beside a study.

use std::path::{Path, PathBuf};

use super::measures::MeasureStore;
use super::readings::ReadingStore;
use super::results::ResultStore;
use crate::report::write_atomically;
use crate::state::Settings;

/// Maps of keys that are read at most, and the most bytes of one.
const MOST_KEYMAPS: usize = 32;
const KEYMAP_BYTES: u64 = 64 << 10;

fn keymap_text(path: &Path) -> Result<String, String> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let size = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    if size > KEYMAP_BYTES {
        return Err(format!("The keymap {name} has {size} bytes, more than a map of keys needs, and was left out."));
    }
    std::fs::read_to_string(path)
        .map_err(|error| format!("The keymap {name} could not be read ({error}) and was left out."))
}

/// The settings file.
#[derive(Debug, Clone)]
pub struct Store {
    file: PathBuf,
    /// What readers draw is kept here.
    data: PathBuf,
}

/// Held by the window that writes to the folder; the system lets go of it when the program ends, however it ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not read")] Option<std::fs::File>);

impl Store {
    /// The platform's place for settings; `None` where there is no home folder.
    pub fn for_user() -> Option<Self> {
        let dirs = directories::ProjectDirs::from("", "", "dens")?;
        Some(Self { file: dirs.config_dir().join("settings.json"), data: dirs.data_local_dir().to_owned() })
    }
    /// Everything beside that file.
    pub fn at(file: PathBuf) -> Self {
        let data = file.parent().map(PathBuf::from).unwrap_or_default();
        Self { file, data }
    }
    /// Marks the folder as used by this window for as long as the file is held; `None` where another window has it.
    /// Where nothing can be marked a window counts as the only one.
    pub fn claim(&self) -> Option<Claim> {
        let open = || {
            std::fs::create_dir_all(&self.data)?;
            std::fs::File::options().create(true).truncate(false).write(true).open(self.data.join("window.lock"))
        };
        let Ok(file) = open() else { return Some(Claim(None)) };
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => None,
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => Some(Claim(Some(file))),
        }
    }
    /// Where verdicts are kept.
    pub fn readings(&self) -> ReadingStore {
        ReadingStore::at(self.data.join("readings"))
    }
    /// Where results are kept, up to so many bytes.
    pub fn results(&self, most_bytes: u64) -> ResultStore {
        ResultStore::at(self.data.join("results"), most_bytes)
    }
    /// Where measurements are kept.
    pub fn measures(&self) -> MeasureStore {
        MeasureStore::at(self.data.join("measurements"))
    }
    /// The reader's own maps of keys, `keymaps/*.toml` beside the settings: their names, and their texts or a sentence.
    pub fn keymaps(&self) -> Vec<(String, Result<String, String>)> {
        let Some(folder) = self.file.parent().map(|folder| folder.join("keymaps")) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")));
        paths.sort();
        let named =
            |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        paths.iter().take(MOST_KEYMAPS).map(|path| (named(path), keymap_text(path))).collect()
    }
    /// What was stored, or the defaults where nothing can be read; an unreadable file is never an error at start.
    pub fn read(&self) -> Settings {
        let Ok(text) = std::fs::read_to_string(&self.file) else { return Settings::default() };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            log::warn!("the settings file could not be understood ({error}); defaults are used");
            Settings::default()
        })
    }
    pub fn write(&self, settings: &Settings) {
        let Ok(text) = serde_json::to_string_pretty(settings) else { return };
        if let Some(folder) = self.file.parent()
            && let Err(error) = std::fs::create_dir_all(folder)
        {
            log::warn!("the settings folder could not be made: {error}");
            return;
        }
        if let Err(error) = write_atomically(&self.file, text.as_bytes()) {
            log::warn!("the settings were not stored: {error}");
        }
    }
}

/// Where exports are proposed at first: the documents folder, else the home folder, else where the program runs.
pub fn export_folder() -> PathBuf {
    let from_user = directories::UserDirs::new()
        .map(|dirs| dirs.document_dir().filter(|d| d.is_dir()).unwrap_or(dirs.home_dir()).to_owned());
    from_user.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}
