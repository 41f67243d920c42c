//! When the first slice and its first score are on the screen, told in the log (`RUST_LOG=dens=info`) for who measures it.

use crate::state::AppState;

/// The log's line once the slice being read is on the screen.
pub const SLICE_SHOWN: &str = "the slice being read is on the screen";
/// The log's line once a slice's score stands beside it.
pub const SCORE_SHOWN: &str = "the score of the slice being read is on the screen";

/// What a frame shows for the first time since the start.
#[derive(Debug, Default)]
pub(super) struct Milestones {
    slice: Told,
    score: Told,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Told {
    #[default]
    No,
    /// With the frame that has just been laid out, which is not on the screen yet.
    Drawn,
    Yes,
}

impl Told {
    /// Whether it becomes drawn.
    fn see(&mut self, shown: bool) -> bool {
        let now = *self == Self::No && shown;
        if now {
            *self = Self::Drawn;
        }
        now
    }

    fn tell(&mut self, line: &str) {
        if *self == Self::Drawn {
            log::info!("{line}");
            *self = Self::Yes;
        }
    }
}

impl Milestones {
    /// At the beginning of a frame: the one before has been handed to the screen.
    pub(super) fn tell(&mut self) {
        self.slice.tell(SLICE_SHOWN);
        self.score.tell(SCORE_SHOWN);
    }

    /// At the end of a frame; whether another should follow at once to tell of it.
    pub(super) fn see(&mut self, state: &AppState) -> bool {
        if (self.slice, self.score) == (Told::Yes, Told::Yes) {
            return false;
        }
        let active = state.active.as_ref();
        let slice = active.is_some_and(|active| active.slice().is_some());
        let scored = active.and_then(|active| state.findings()?.slices.get(active.current));
        let score = scored.is_some_and(|slice| slice.score().is_some());
        // Both, not one of both.
        self.slice.see(slice) | self.score.see(score)
    }
}
