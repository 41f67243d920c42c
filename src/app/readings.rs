//! Verdicts on disk: a file per study and reader beside the program's own data, never beside a study, written on a thread
//! of its own as soon as something has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::files;
use crate::jobs::Wake;
use crate::reading::{self, Reading};
use crate::state::{Event, ReadingKey};

/// No reader writes as much; a longer file is something else.
const LONGEST_BYTES: u64 = 1 << 20;
/// What a killed program left half written is cleared away when it is older than this.
const LEFTOVER: Duration = Duration::from_secs(60);

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
        let bytes = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::default()),
            Err(error) => return Err(format!("{} could not be read ({error})", path.display())),
            Ok(metadata) if metadata.len() > LONGEST_BYTES => Vec::new(),
            Ok(_) => fs::read(&path).map_err(|error| format!("{} could not be read ({error})", path.display()))?,
        };
        reading::from_json(&bytes).map_err(|error| {
            let aside = free_name(&path);
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
        let path = self.path(key);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let bytes = reading::to_json(reading).map_err(|error| error.to_string())?;
        files::write(&path, &bytes, files::Synced::FileAndFolder).map_err(failed)
    }
}

/// "KEY.damaged-1.json", the first such name that is free.
fn free_name(path: &Path) -> PathBuf {
    let named = |n: u32| path.with_extension(format!("damaged-{n}.json"));
    (1..10_000).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(10_000))
}

enum Order {
    Read(Vec<ReadingKey>),
    Save(ReadingKey, Box<Reading>),
}

/// The thread that reads and writes them, in order.
pub struct ReadingKeeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadingKeeper {
    /// Without a store everything is answered, and nothing kept.
    pub fn start(store: Option<ReadingStore>, events: Sender<Event>, wake: Wake) -> Self {
        let (orders, queue) = channel();
        let named = std::thread::Builder::new().name("readings".to_owned());
        let thread = named.spawn(move || work(store.as_ref(), &queue, &events, &wake));
        Self { orders: Some(orders), thread: thread.ok() }
    }
    pub fn read(&self, keys: Vec<ReadingKey>) {
        self.send(Order::Read(keys));
    }
    pub fn save(&self, key: ReadingKey, reading: Box<Reading>) {
        self.send(Order::Save(key, reading));
    }
    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order).ok(); // the thread ends with the window only
        }
    }
    /// Returns when everything has been written.
    pub fn finish(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that keeps verdicts panicked");
        }
    }
}

fn work(store: Option<&ReadingStore>, queue: &Receiver<Order>, events: &Sender<Event>, wake: &Wake) {
    if let Some(store) = store {
        files::clear_leftovers(&store.folder, LEFTOVER);
    }
    while let Ok(first) = queue.recv() {
        // Of several states of one reading that have piled up only the last is written.
        let orders: Vec<Order> = std::iter::once(first).chain(queue.try_iter()).collect();
        for (place, order) in orders.iter().enumerate() {
            let event = match order {
                Order::Read(keys) => {
                    let read = |key: &ReadingKey| store.map_or_else(|| Ok(Reading::default()), |store| store.read(key));
                    Event::ReadingsRead(keys.iter().map(|key| (key.clone(), read(key))).collect())
                }
                Order::Save(key, reading) => {
                    let later = orders.get(place + 1..).unwrap_or_default();
                    if later.iter().any(|o| matches!(o, Order::Save(other, _) if other == key)) {
                        continue;
                    }
                    let nowhere = || Err("there is no folder of the user's to keep it in".to_owned());
                    let result = store.map_or_else(nowhere, |store| store.write(key, reading));
                    Event::ReadingSaved { key: key.clone(), result }
                }
            };
            events.send(event).ok(); // window gone
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
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
        let mut keeper = ReadingKeeper::start(Some(store.clone()), events, std::sync::Arc::new(|| {}));
        for n in 0..50 {
            keeper.save(key.clone(), Box::new(Reading { before_ms: n, ..reading.clone() }));
        }
        keeper.finish();
        assert_eq!(store.read(&key).map(|r| r.before_ms), Ok(49), "the last state stands");
        assert!(got.try_iter().all(|event| matches!(event, Event::ReadingSaved { result: Ok(()), .. })));
    }
}
