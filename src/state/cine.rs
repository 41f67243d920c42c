//! Cine: the slices one after the other at the reader's pace, all or those between two that the reader sets. It begins by a
//! key only and ends at any input but a change of its pace or range.

use super::*;

/// Slices per second that can be chosen.
pub const CINE_RATES: std::ops::RangeInclusive<f32> = 1.0..=60.0;

/// Those that the keys step through.
const PACES: [f32; 9] = [2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0];

/// Slices are being played.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cine {
    /// When the next slice is due, seconds; `None` before the first frame.
    due_s: Option<f64>,
    /// On the way back of a sweep.
    back: bool,
}

/// One end of what is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CineEnd {
    First,
    Last,
}

/// The slices of a series that are played: all, or from and to where the reader has set an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CineRange {
    first: Option<usize>,
    last: Option<usize>,
}

impl CineRange {
    /// First and last slice, 0-based, of so many that there are.
    pub fn of(&self, slices: usize) -> [usize; 2] {
        let end = slices.saturating_sub(1);
        let last = self.last.map_or(end, |last| last.min(end));
        [self.first.map_or(0, |first| first.min(last)), last]
    }
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
    pub fn is_set(&self, end: CineEnd) -> bool {
        self.at(end).is_some()
    }
    fn at(&self, end: CineEnd) -> Option<usize> {
        match end {
            CineEnd::First => self.first,
            CineEnd::Last => self.last,
        }
    }
    /// An end that passes the other one takes that away.
    fn with(mut self, end: CineEnd, slice: Option<usize>) -> Self {
        let before = |a: Option<usize>, b: Option<usize>| a.zip(b).is_none_or(|(a, b)| a < b);
        match end {
            CineEnd::First => self.first = slice,
            CineEnd::Last => self.last = slice,
        }
        match end {
            _ if before(self.first, self.last) => {}
            CineEnd::First => self.last = None,
            CineEnd::Last => self.first = None,
        }
        self
    }
}

impl AppState {
    pub(super) fn apply_cine(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match *command {
            Command::ToggleCine if self.cine.is_none() => {
                let ready = self.active.as_ref().is_some_and(|a| a.slice_count() > 1);
                self.cine = ready.then(Cine::default);
            }
            Command::ToggleCine | Command::StopCine => self.cine = None,
            Command::SetCineRate(rate) => {
                self.settings.cine_rate = rate.clamp(*CINE_RATES.start(), *CINE_RATES.end());
                Self::save(effects);
            }
            Command::StepCineRate(step) => {
                let now = self.settings.cine_rate;
                let next = match step > 0 {
                    true => PACES.into_iter().find(|pace| *pace > now),
                    false => PACES.into_iter().rev().find(|pace| *pace < now),
                };
                self.settings.cine_rate = next.unwrap_or(now);
                Self::save(effects);
            }
            Command::SetCineSweep(on) => {
                self.settings.cine_sweep = on;
                Self::save(effects);
            }
            Command::ToggleCineEnd(end) => {
                let here = self.at_hand().map(|shown| (shown.cine_range.at(end), shown.current));
                self.change_cine_range(|range| {
                    let (set, current) = here.unwrap_or_default();
                    range.with(end, Some(current).filter(|current| set != Some(*current)))
                });
            }
            Command::MoveCineEnd(end, slice) => {
                // A mark that is dragged stops at the other one.
                let first = self.active.as_ref().map(|active| active.cine_range.of(active.slice_count()));
                let Some([first, last]) = first else { return true };
                let slice = match end {
                    CineEnd::First => slice.min(last.saturating_sub(1)),
                    CineEnd::Last => slice.max(first + 1),
                };
                self.focus_beside(false);
                self.change_cine_range(|range| range.with(end, Some(slice)));
            }
            Command::ClearCineRange => self.change_cine_range(|_| CineRange::default()),
            Command::CineTick(now_s) => self.tick(now_s, effects),
            _ => return false,
        }
        true
    }

    /// Of the series that has the keys. A range without two slices in it plays nothing.
    fn change_cine_range(&mut self, change: impl FnOnce(CineRange) -> CineRange) {
        let Some(shown) = Self::at_hand_of(&mut self.active, &mut self.beside) else { return };
        let range = change(shown.cine_range);
        let [first, last] = range.of(shown.slice_count());
        if first < last {
            shown.cine_range = range;
        } else {
            self.notice(Severity::Info, "A cine needs two slices: its end would lie on its beginning.");
        }
    }

    fn tick(&mut self, now_s: f64, effects: &mut Vec<Effect>) {
        let Some(cine) = &mut self.cine else { return };
        let step_s = 1.0 / f64::from(self.settings.cine_rate.max(*CINE_RATES.start()));
        let due_s = *cine.due_s.get_or_insert(now_s + step_s);
        if now_s < due_s {
            return;
        }
        // A frame that came late costs time, never a slice.
        cine.due_s = Some((due_s + step_s).max(now_s));
        self.play_on(effects);
    }

    /// Shows the next slice; at the end the first again, or the one before on the way back.
    fn play_on(&mut self, effects: &mut Vec<Effect>) {
        let back = self.settings.cine_sweep && self.cine.is_some_and(|cine| cine.back);
        let way = if back { -1 } else { 1 };
        let slices = self.focused_pane() == Pane::Slices || self.beside().is_some_and(Beside::is_focused);
        let Some(shown) = self.at_hand().filter(|_| slices) else { return self.play_plane(way, effects) };
        let [first, last] = shown.cine_range.of(shown.slice_count());
        let now = shown.current;
        let ahead = now.saturating_add_signed(way);
        let within = |slice: usize| (first..=last).contains(&slice);
        let to = match within(now) {
            false => first,
            true if ahead != now && within(ahead) => ahead,
            true if self.settings.cine_sweep => {
                self.turn_cine();
                now.saturating_add_signed(-way)
            }
            true => first,
        };
        let by = to as i64 - now as i64;
        effects.extend(self.apply(Command::ScrollBy(by)));
    }

    /// As far as the volume reaches.
    fn play_plane(&mut self, way: isize, effects: &mut Vec<Effect>) {
        let place = |state: &Self| Some(state.active.as_ref()?.planes.as_ref()?.crosshair);
        let before = place(self);
        effects.extend(self.apply(Command::ScrollBy(way as i64)));
        if place(self) != before {
            return;
        }
        let by = if self.settings.cine_sweep { -way as i64 } else { -1_000_000 };
        self.turn_cine();
        effects.extend(self.apply(Command::ScrollBy(by)));
    }

    fn turn_cine(&mut self) {
        if let Some(cine) = &mut self.cine {
            cine.back = self.settings.cine_sweep && !cine.back;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::series;

    fn showing(slices: usize) -> AppState {
        let mut state = AppState::new(Settings::default());
        state.active = Some(active_series(0, Arc::new(series(slices)), None));
        state
    }

    fn go(state: &mut AppState, slice: usize) {
        state.apply(Command::GoToSlice(slice));
    }

    /// The slices of so many frames.
    fn played(state: &mut AppState, frames: u32) -> Vec<usize> {
        state.apply(Command::StopCine);
        state.apply(Command::ToggleCine);
        state.apply(Command::CineTick(0.0));
        let frame = |n: u32| {
            state.apply(Command::CineTick(f64::from(n)));
            state.active.as_ref().expect("a series").current
        };
        (1..=frames).map(frame).collect()
    }

    fn range(state: &AppState) -> [usize; 2] {
        let active = state.active.as_ref().expect("a series");
        active.cine_range.of(active.slice_count())
    }

    fn set(state: &mut AppState, end: CineEnd, slice: usize) {
        go(state, slice);
        state.apply(Command::ToggleCineEnd(end));
    }

    #[test]
    fn it_plays_between_the_two_slices_that_are_set_round_or_to_and_fro() {
        let mut state = showing(10);
        set(&mut state, CineEnd::First, 3);
        set(&mut state, CineEnd::Last, 6);
        assert_eq!(range(&state), [3, 6]);
        assert_eq!(played(&mut state, 5), [3, 4, 5, 6, 3], "round");
        go(&mut state, 9);
        assert_eq!(played(&mut state, 3), [3, 4, 5], "from without it goes in");
        let effects = state.apply(Command::SetCineSweep(true));
        assert!(matches!(effects.as_slice(), [Effect::SaveSettings]));
        go(&mut state, 5);
        assert_eq!(played(&mut state, 8), [6, 5, 4, 3, 4, 5, 6, 5], "no slice twice at the ends");
        state.apply(Command::SetCineSweep(false));
        go(&mut state, 5);
        assert_eq!(played(&mut state, 3), [6, 3, 4]);
        state.apply(Command::ClearCineRange);
        go(&mut state, 8);
        assert_eq!(played(&mut state, 3), [9, 0, 1]);
    }

    #[test]
    fn an_end_goes_by_setting_it_again_or_by_the_other_one_passing_it() {
        let mut state = showing(10);
        set(&mut state, CineEnd::Last, 6);
        assert_eq!(range(&state), [0, 6]);
        set(&mut state, CineEnd::First, 7);
        assert_eq!(range(&state), [7, 9], "the end lay before the beginning");
        set(&mut state, CineEnd::First, 7);
        assert!(state.active.as_ref().is_some_and(|a| a.cine_range.is_all()));
        set(&mut state, CineEnd::First, 9);
        assert_eq!((range(&state), state.notices.len()), ([0, 9], 1), "one slice is no cine, and that is said");
        // Dragged along the strip a mark stops at the other one.
        state.apply(Command::MoveCineEnd(CineEnd::First, 4));
        state.apply(Command::MoveCineEnd(CineEnd::Last, 2));
        assert_eq!(range(&state), [4, 5]);
        state.apply(Command::MoveCineEnd(CineEnd::First, 100));
        assert_eq!(range(&state), [4, 5]);
    }

    #[test]
    fn without_slices_nothing_is_played_and_the_rate_is_kept_within_reason() {
        let mut state = AppState::new(Settings::default());
        state.apply(Command::ToggleCine);
        assert_eq!(state.cine, None);
        let effects = state.apply(Command::SetCineRate(1000.0));
        assert_eq!(state.settings.cine_rate, 60.0);
        assert!(matches!(effects.as_slice(), [Effect::SaveSettings]));
        state.apply(Command::StepCineRate(1));
        assert_eq!(state.settings.cine_rate, 60.0, "no faster");
        for expected in [30.0, 20.0, 15.0, 10.0, 8.0, 6.0, 4.0, 2.0, 2.0] {
            state.apply(Command::StepCineRate(-1));
            assert_eq!(state.settings.cine_rate, expected);
        }
    }
}
