//! Cine: the slices one after the other at the reader's pace. It begins by a key only and ends at any input but a change
//! of its pace.

use super::*;

/// Slices per second that can be chosen.
pub const CINE_RATES: std::ops::RangeInclusive<f32> = 1.0..=60.0;

/// Those that the keys step through.
const PACES: [f32; 9] = [2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0];

/// Slices are being played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cine {
    /// When the next slice is due, seconds; `None` before the first frame.
    due_s: Option<f64>,
}

impl AppState {
    pub(super) fn apply_cine(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::ToggleCine if self.cine.is_none() => {
                let ready = self.active.as_ref().is_some_and(|a| a.slice_count() > 1);
                self.cine = ready.then_some(Cine { due_s: None });
            }
            Command::ToggleCine | Command::StopCine => self.cine = None,
            Command::SetCineRate(rate) => {
                self.settings.cine_rate = rate.clamp(*CINE_RATES.start(), *CINE_RATES.end());
                Self::save(effects);
            }
            Command::StepCineRate(step) => {
                let now = self.settings.cine_rate;
                let next = match *step > 0 {
                    true => PACES.into_iter().find(|pace| *pace > now),
                    false => PACES.into_iter().rev().find(|pace| *pace < now),
                };
                self.settings.cine_rate = next.unwrap_or(now);
                Self::save(effects);
            }
            Command::CineTick(now_s) => self.tick(*now_s, effects),
            _ => return false,
        }
        true
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
        let place =
            |state: &Self| state.active.as_ref().map(|a| (a.current, a.planes.as_ref().map(|planes| planes.crosshair)));
        let before = place(self);
        effects.extend(self.apply(Command::ScrollBy(1)));
        if place(self) == before {
            // From the end on to the beginning.
            effects.extend(self.apply(Command::ScrollBy(-1_000_000)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
