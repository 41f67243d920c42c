//! Background work: one job type with progress, cancel, a caught panic and a wake-up call for the window.
//! Standard library only; `jobs` does not know egui.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// The work was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Threads for background work when the user has not chosen: all cores but one, so that the window keeps its own.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1))
}

/// Called whenever something happened that a waiting window should show.
pub type Wake = Arc<dyn Fn(When) + Send + Sync>;

/// How soon the window should look at what a job has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    /// With other news of its kind: a window that draws each step of a count has no time for anything else.
    Soon,
}

struct Shared {
    cancelled: AtomicBool,
    done: AtomicUsize,
    total: AtomicUsize,
    wake: Wake,
}

/// The worker's side of a job. Cheap to clone and to call often.
#[derive(Clone)]
pub struct JobCtx(Arc<Shared>);

impl JobCtx {
    /// A context without a window, for the command line and tests. Never cancelled unless [`JobCtx::cancel`] is called.
    pub fn detached() -> Self {
        Self::with_wake(Arc::new(|_| {}))
    }
    /// A context without a job that calls `wake` at each step of progress.
    pub fn with_wake(wake: Wake) -> Self {
        Self(Arc::new(Shared {
            cancelled: AtomicBool::new(false),
            done: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            wake,
        }))
    }
    /// Reads one atomic. A network cannot be interrupted, so call this per slice or tile.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.0.cancelled.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
    /// Stores the newest values and wakes the window soon if one of them moved.
    pub fn progress(&self, done: usize, total: usize) {
        let before = (self.0.done.swap(done, Ordering::Relaxed), self.0.total.swap(total, Ordering::Relaxed));
        if before != (done, total) {
            self.wake(When::Soon);
        }
    }
    /// Wakes the window because a partial result is waiting.
    pub fn wake(&self, when: When) {
        (self.0.wake)(when);
    }
    /// `(done, total)`; `(0, 0)` before the first report.
    pub fn progress_now(&self) -> (usize, usize) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }
}

/// How a job ended.
#[derive(Debug)]
pub enum Outcome<T, E> {
    Done(T),
    Failed(E),
    Cancelled,
    /// A bug of ours, caught; the text is the panic message.
    Panicked(String),
}

/// Errors that may mean "asked to stop" rather than "went wrong".
pub trait MaybeCancelled {
    fn is_cancelled(&self) -> bool;
}
impl MaybeCancelled for Cancelled {
    fn is_cancelled(&self) -> bool {
        true
    }
}

/// The owner's side: polled, never waited on. Dropping it cancels.
pub struct Job<T, E> {
    ctx: JobCtx,
    outcome: Receiver<Outcome<T, E>>,
}

impl<T: Send + 'static, E: MaybeCancelled + Send + 'static> Job<T, E> {
    /// Runs `work` on a thread of its own. `name` shows in debuggers and panics and must hold no patient text.
    pub fn spawn(name: &str, wake: Wake, work: impl FnOnce(&JobCtx) -> Result<T, E> + Send + 'static) -> Self {
        let ctx = JobCtx::with_wake(wake.clone());
        let (tx, rx) = sync_channel(1);
        let worker_ctx = ctx.clone();
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = match catch_unwind(AssertUnwindSafe(|| work(&worker_ctx))) {
                Ok(Ok(value)) => Outcome::Done(value),
                Ok(Err(error)) if error.is_cancelled() => Outcome::Cancelled,
                Ok(Err(error)) => Outcome::Failed(error),
                Err(panic) => Outcome::Panicked(panic_text(panic.as_ref())),
            };
            tx.send(outcome).ok(); // receiver gone = nobody cares any more
            wake(When::Now);
        });
        if let Err(error) = spawned {
            log::error!("could not start a thread: {error}");
        }
        Self { ctx, outcome: rx }
    }
    /// The outcome once, when there is one.
    pub fn poll(&self) -> Option<Outcome<T, E>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Outcome::Panicked("the worker ended without an answer".into())),
        }
    }
    pub fn progress(&self) -> (usize, usize) {
        self.ctx.progress_now()
    }
    pub fn cancel(&self) {
        self.ctx.cancel();
    }
}

impl<T, E> Drop for Job<T, E> {
    fn drop(&mut self) {
        self.ctx.cancel();
    }
}

/// What a panic said, for logs and messages.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T: Send + 'static, E: MaybeCancelled + Send + 'static>(job: &Job<T, E>) -> Outcome<T, E> {
        loop {
            if let Some(outcome) = job.poll() {
                return outcome;
            }
            std::thread::yield_now();
        }
    }
    fn quiet() -> Wake {
        Arc::new(|_| {})
    }

    #[test]
    fn result_cancel_and_panic_arrive_as_such() {
        assert!(matches!(wait(&Job::<_, Cancelled>::spawn("t", quiet(), |_| Ok(5))), Outcome::Done(5)));
        let job = Job::<(), Cancelled>::spawn("t", quiet(), |ctx| {
            loop {
                ctx.check()?;
                std::thread::yield_now();
            }
        });
        job.cancel();
        assert!(matches!(wait(&job), Outcome::Cancelled));
        let job = Job::<(), Cancelled>::spawn("t", quiet(), |_| panic!("boom"));
        assert!(matches!(wait(&job), Outcome::Panicked(text) if text == "boom"));
    }

    #[test]
    fn dropping_a_job_cancels_it() {
        let (tx, rx) = sync_channel(1);
        let job = Job::<(), Cancelled>::spawn("t", quiet(), move |ctx| {
            while ctx.check().is_ok() {
                std::thread::yield_now();
            }
            tx.send(()).ok();
            Err(Cancelled)
        });
        drop(job);
        rx.recv().expect("the worker saw the cancellation");
    }
}
