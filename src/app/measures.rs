//! Measurements on disk: a file per series beside the program's own data, never beside a study, written on a thread of
//! its own as soon as something has changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::files;
use crate::jobs::Wake;
use crate::measure::{self, Content};
use crate::state::{Event, MeasuresFile, SheetKey};

/// No reader draws as much; a longer file is something else.
const LONGEST_BYTES: u64 = 64 << 20;
/// What a killed program left half written is cleared away when it is older than this.
const LEFTOVER: Duration = Duration::from_secs(60);

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
        let bytes = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(MeasuresFile::default()),
            Err(error) => return Err(failed(&error)),
            Ok(metadata) if metadata.len() > LONGEST_BYTES => Vec::new(),
            Ok(_) => fs::read(&path).map_err(|error| failed(&error))?,
        };
        match measure::from_json(&bytes) {
            Ok((content, 0)) => Ok(MeasuresFile { content, damage: None }),
            Ok((content, unused)) => {
                let aside = free_name(&path);
                fs::copy(&path, &aside).map_err(|error| failed(&error))?;
                let damage = format!(
                    "{unused} of the entries kept for this series could not be used; the rest is here, and the file as \
                     it was is kept at {}",
                    aside.display()
                );
                Ok(MeasuresFile { content, damage: Some(damage) })
            }
            Err(error) => {
                let aside = free_name(&path);
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
    /// Writes the file whole; when this returns it survives a power cut.
    ///
    /// # Errors
    /// A sentence.
    pub fn write(&self, key: &SheetKey, content: &Content) -> Result<(), String> {
        let path = self.path(key);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let bytes = measure::to_json(content).map_err(|error| error.to_string())?;
        files::write(&path, &bytes, files::Synced::FileAndFolder).map_err(failed)
    }
}

/// "KEY.damaged-1.json", the first such name that is free.
fn free_name(path: &Path) -> PathBuf {
    let free = |n: &u32| !path.with_extension(format!("damaged-{n}.json")).exists();
    let n = (1..10_000).find(free).unwrap_or(10_000);
    path.with_extension(format!("damaged-{n}.json"))
}

enum Order {
    Read(SheetKey),
    Save(SheetKey, Content),
}

/// The thread that reads and writes them, in order, so that neither overtakes the other.
pub struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Without a store everything is answered, and nothing kept.
    pub fn start(store: Option<MeasureStore>, events: Sender<Event>, wake: Wake) -> Self {
        let (orders, queue) = channel();
        let named = std::thread::Builder::new().name("measurements".to_owned());
        let thread = named.spawn(move || work(store.as_ref(), &queue, &events, &wake));
        Self { orders: Some(orders), thread: thread.ok() }
    }
    pub fn read(&self, key: SheetKey) {
        self.send(Order::Read(key));
    }
    pub fn save(&self, key: SheetKey, content: Content) {
        self.send(Order::Save(key, content));
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
            log::error!("the thread that keeps measurements panicked");
        }
    }
}

fn work(store: Option<&MeasureStore>, queue: &Receiver<Order>, events: &Sender<Event>, wake: &Wake) {
    if let Some(store) = store {
        files::clear_leftovers(&store.folder, LEFTOVER);
    }
    while let Ok(first) = queue.recv() {
        // Of several states of one series that have piled up only the last is written.
        let orders: Vec<Order> = std::iter::once(first).chain(queue.try_iter()).collect();
        for (place, order) in orders.iter().enumerate() {
            let event = match order {
                Order::Read(key) => {
                    let result = store.map_or_else(|| Ok(MeasuresFile::default()), |store| store.read(key));
                    Event::MeasuresRead { key: key.clone(), result }
                }
                Order::Save(key, content) => {
                    let later = orders.get(place + 1..).unwrap_or_default();
                    if later.iter().any(|o| matches!(o, Order::Save(other, _) if other == key)) {
                        continue;
                    }
                    let nowhere = || Err("there is no folder of the user's to keep them in".to_owned());
                    let result = store.map_or_else(nowhere, |store| store.write(key, content));
                    Event::MeasuresSaved { key: key.clone(), content: content.clone(), result }
                }
            };
            events.send(event).ok(); // window gone
            wake();
        }
    }
}

#[cfg(test)]
mod tests;
