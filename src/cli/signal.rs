//! Ctrl-C and SIGTERM for long subcommands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Refusal;
use crate::jobs::JobCtx;

/// How often the watching thread looks.
const TICK: Duration = Duration::from_millis(100);

/// Ends the watching thread when it is dropped.
pub struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Set by Ctrl-C and SIGTERM; a second signal ends the program at once.
///
/// # Errors
/// The system lets no handler be installed.
pub fn asked_to_stop() -> Result<Arc<AtomicBool>, Refusal> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(signal, 1, asked.clone()).map_err(Refusal::from_error)?;
        signal_hook::flag::register(signal, asked.clone()).map_err(Refusal::from_error)?;
    }
    Ok(asked)
}

/// Cancels the work at Ctrl-C or SIGTERM, for as long as the value given back lives.
///
/// # Errors
/// As [`asked_to_stop`].
pub fn stop_at_signal(ctx: &JobCtx) -> Result<Watch, Refusal> {
    let (asked, over) = (asked_to_stop()?, Arc::new(AtomicBool::new(false)));
    let (ctx, ended) = (ctx.clone(), over.clone());
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            if asked.load(Ordering::Relaxed) {
                ctx.cancel();
            }
            std::thread::sleep(TICK);
        }
    });
    Ok(Watch(over))
}
