//! A thread that reads and writes files of one kind, in order, so that neither overtakes the other; and what such files
//! have in common.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::files;
use crate::jobs::{Wake, When};
use crate::state::Event;

/// What a killed program left half written is cleared away when it is older than this.
const LEFTOVER: Duration = Duration::from_secs(60);

/// The folder with the files of one kind.
pub trait Store: Send + 'static {
    fn folder(&self) -> &Path;
}

/// What the thread is asked for.
pub trait Order: Send + 'static {
    type Store: Store;
    /// A later order makes this one needless: of several states that have piled up only the last is written.
    fn is_superseded_by(&self, later: &Self) -> bool;
    /// Without a store everything is answered, and nothing kept.
    fn carry_out(&self, store: Option<&Self::Store>) -> Event;
}

pub struct Keeper<O> {
    orders: Option<Sender<O>>,
    thread: Option<JoinHandle<()>>,
}

impl<O: Order> Keeper<O> {
    /// `name` is the thread's, for whoever looks at the process.
    pub fn start(name: &str, store: Option<O::Store>, events: Sender<Event>, wake: Wake) -> Self {
        let (orders, queue) = channel();
        let named = std::thread::Builder::new().name(name.to_owned());
        let thread = named.spawn(move || work(store.as_ref(), &queue, &events, &wake));
        Self { orders: Some(orders), thread: thread.ok() }
    }
    pub fn send(&self, order: O) {
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
            log::error!("a thread that keeps files panicked");
        }
    }
}

fn work<O: Order>(store: Option<&O::Store>, queue: &Receiver<O>, events: &Sender<Event>, wake: &Wake) {
    if let Some(store) = store {
        files::clear_leftovers(store.folder(), LEFTOVER);
    }
    while let Ok(first) = queue.recv() {
        let orders: Vec<O> = std::iter::once(first).chain(queue.try_iter()).collect();
        for (place, order) in orders.iter().enumerate() {
            let later = orders.get(place + 1..).unwrap_or_default();
            if later.iter().any(|later| order.is_superseded_by(later)) {
                continue;
            }
            events.send(order.carry_out(store)).ok(); // window gone
            wake(When::Now);
        }
    }
}

/// The bytes of a file; `None` where there is none, nothing where it is longer than anything that was ever written.
pub(super) fn read(path: &Path, longest_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > longest_bytes => Ok(Some(Vec::new())),
        Ok(_) => fs::read(path).map(Some),
    }
}

/// Writes a file of the folder whole; when this returns it survives a power cut.
///
/// # Errors
/// A sentence.
pub(super) fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(failed)?;
    files::write(path, bytes, files::Synced::FileAndFolder).map_err(failed)
}

/// "KEY.damaged-1.json", the first such name that is free.
pub(super) fn free_name(path: &Path) -> PathBuf {
    let named = |n: u32| path.with_extension(format!("damaged-{n}.json"));
    (1..10_000).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(10_000))
}
