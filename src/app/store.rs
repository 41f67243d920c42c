//! Settings on disk, in the user's configuration folder, never beside a study.

use std::path::{Path, PathBuf};

use super::keeper;
use super::measures::MeasureStore;
use super::readings::ReadingStore;
use super::results::ResultStore;
use crate::state::{Event, Settings};

/// Maps of keys that are read at most, and the most bytes of one.
const MOST_KEYMAPS: usize = 32;
const KEYMAP_BYTES: u64 = 64 << 10;
/// A longer file is no settings file.
const LONGEST_BYTES: u64 = 4 << 20;

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
        self.take().0
    }
    /// As [`Self::read`], with a sentence where a file is there and cannot be used. Such a file is kept aside under
    /// another name, for what is stored next would replace it.
    pub fn take(&self) -> (Settings, Option<String>) {
        let why = match keeper::read(&self.file, LONGEST_BYTES) {
            Ok(None) => return (Settings::default(), None),
            Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(settings) => return (settings, None),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let aside = keeper::free_name(&self.file);
        let kept = match std::fs::rename(&self.file, &aside) {
            Ok(()) => format!("the file is kept at {}", aside.display()),
            Err(error) => format!("and {} could not be kept aside ({error})", self.file.display()),
        };
        let told = format!("The settings could not be read ({why}); {kept}. The program begins with its own defaults.");
        (Settings::default(), Some(told))
    }
    /// Writes the file whole; when this returns it survives a power cut.
    ///
    /// # Errors
    /// A sentence.
    pub fn write(&self, settings: &Settings) -> Result<(), String> {
        let text = serde_json::to_string_pretty(settings).map_err(|error| error.to_string())?;
        keeper::write(keeper::Store::folder(self), &self.file, text.as_bytes())
    }
}

/// What is asked of the thread that keeps settings; the last of several is what stays.
pub struct SaveSettings(pub Box<Settings>);

impl keeper::Store for Store {
    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

impl keeper::Order for SaveSettings {
    type Store = Store;

    fn is_superseded_by(&self, _later: &Self) -> bool {
        true
    }

    /// Without a store (no home folder) settings last as long as the window, which is no failure of a file.
    fn carry_out(&self, store: Option<&Store>) -> Event {
        Event::SettingsSaved(store.map_or(Ok(()), |store| store.write(&self.0)))
    }
}

/// Where exports are proposed at first: the documents folder, else the home folder, else where the program runs.
pub fn export_folder() -> PathBuf {
    let from_user = directories::UserDirs::new()
        .map(|dirs| dirs.document_dir().filter(|d| d.is_dir()).unwrap_or(dirs.home_dir()).to_owned());
    from_user.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::keeper::Keeper;
    use super::*;

    #[test]
    fn the_last_settings_stay_and_damaged_ones_are_kept_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::at(folder.path().join("config").join("settings.json"));
        assert_eq!(store.take(), (Settings::default(), None), "none yet is no damage");
        let (events, got) = std::sync::mpsc::channel();
        let mut keeper = Keeper::start("test", Some(store.clone()), events, std::sync::Arc::new(|_| {}));
        for keep in 1..=40 {
            keeper.send(SaveSettings(Box::new(Settings { kept_results_mb: keep, ..Settings::default() })));
        }
        keeper.finish();
        assert_eq!(store.read().kept_results_mb, 40, "none overtakes a later one");
        assert!(got.try_iter().all(|event| matches!(event, Event::SettingsSaved(Ok(())))));

        std::fs::write(&store.file, b"{\"theme\": ").expect("damaged");
        let (settings, told) = store.take();
        assert_eq!(settings, Settings::default());
        assert!(told.is_some_and(|told| told.contains("damaged-1")));
        let aside = std::fs::read(store.file.with_extension("damaged-1.json")).expect("kept aside");
        assert_eq!(aside, b"{\"theme\": ");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config"), b"a file").expect("in the way");
        let store = Store::at(folder.path().join("config").join("settings.json"));
        let why = store.write(&Settings::default()).expect_err("no folder");
        assert!(why.contains("settings.json"), "{why}");
    }
}
