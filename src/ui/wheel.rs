//! Wheel events to slices. Raw events are counted, since egui's smoothed delta would spread one notch over frames.

use egui::{MouseWheelUnit, Vec2};

/// Points of a trackpad's movement that make one slice.
const POINTS_PER_SLICE: f32 = 40.0;
/// Two equal events at most this far apart may be the two halves of one notch, seconds.
const TWIN_S: f64 = 0.04;
/// A pause this long ends a turn of the wheel, seconds.
const PAUSE_S: f64 = 0.05;

/// Counts notches. On X11 a wheel without smooth scrolling (remote desktops, virtual displays) is reported twice per
/// notch, when its button is pressed and when it is released; such a wheel is recognised by its first turns and each
/// of its reports counts half, so that one notch is one slice everywhere.
#[derive(Debug, Default)]
pub struct Wheel {
    rest: f32,
    last: f32,
    last_s: f64,
    /// Reports since the last pause.
    in_turn: u32,
    reports: Reports,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Reports {
    #[default]
    Unknown,
    Single,
    Double,
}

impl Wheel {
    /// Notches of one event, positive away from the reader.
    pub fn notches(&mut self, unit: MouseWheelUnit, delta: Vec2, time_s: f64) -> f32 {
        // Some systems turn the wheel sideways while Shift is held.
        let amount = if delta.y == 0.0 { delta.x } else { delta.y };
        match unit {
            MouseWheelUnit::Line if cfg!(target_os = "linux") && amount.abs() == 1.0 => self.line(amount, time_s),
            MouseWheelUnit::Line => amount,
            MouseWheelUnit::Point => amount / POINTS_PER_SLICE,
            MouseWheelUnit::Page => amount * 10.0,
        }
    }

    fn line(&mut self, amount: f32, time_s: f64) -> f32 {
        let since_s = time_s - self.last_s;
        if since_s > PAUSE_S {
            if self.in_turn == 1 {
                self.reports = Reports::Single;
            }
            self.in_turn = 0;
        }
        self.in_turn += 1;
        let twin = self.in_turn == 2 && since_s <= TWIN_S && amount == self.last;
        (self.last, self.last_s) = (amount, time_s);
        match self.reports {
            Reports::Unknown if twin => {
                self.reports = Reports::Double;
                0.0
            }
            Reports::Double => amount / 2.0,
            _ => amount,
        }
    }

    /// Adds notches and answers with the whole slices that they make, positive towards the feet.
    pub fn slices(&mut self, notches: f32) -> i64 {
        self.rest -= notches;
        let whole = self.rest.trunc();
        self.rest -= whole;
        whole as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slices after line reports at these times, all towards the feet.
    fn scrolled(times_s: &[f64]) -> i64 {
        let mut wheel = Wheel::default();
        let mut at = 0;
        for &t in times_s {
            let n = wheel.notches(MouseWheelUnit::Line, Vec2::new(0.0, -1.0), t);
            at += wheel.slices(n);
        }
        at
    }

    #[test]
    fn a_smooth_wheel_gives_a_slice_per_report() {
        assert_eq!(scrolled(&[1.0]), 1);
        assert_eq!(scrolled(&[1.0, 1.2, 1.4, 1.41, 1.42, 1.43]), 6);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_wheel_reported_twice_gives_a_slice_per_notch() {
        assert_eq!(scrolled(&[1.0, 1.0]), 1);
        assert_eq!(scrolled(&[1.0, 1.001, 1.04, 1.041, 1.08, 1.081]), 3);
        assert_eq!(scrolled(&[1.0, 1.01, 1.5, 1.51, 2.0, 2.01, 2.02, 2.03]), 4);
    }

    #[test]
    fn a_trackpad_adds_up() {
        let mut wheel = Wheel::default();
        let total: i64 = (0..8)
            .map(|i| {
                let n = wheel.notches(MouseWheelUnit::Point, Vec2::new(0.0, -10.0), f64::from(i));
                wheel.slices(n)
            })
            .sum();
        assert_eq!(total, 2);
    }
}
