//! Display windows (VOI functions, PS3.3 C.11.2.1.2) and the named presets.
//!
//! These are for the eye. The network's input has its own windows in `preprocess`, which differ by one HU.

use std::str::FromStr;
use std::sync::Arc;

use super::VoiTable;

/// VOI LUT Function (0028,1056).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum VoiFunction {
    #[default]
    Linear,
    LinearExact,
    Sigmoid,
}

/// Window centre and width in the units of the volume (HU for CT).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    pub center: f64,
    pub width: f64,
    pub function: VoiFunction,
    /// A table of the file's that makes the grey instead; centre and width are then those of the straight line next to it.
    /// Belongs to its file and is not kept in settings.
    #[serde(skip)]
    pub table: Option<Arc<VoiTable>>,
}

/// A window on the command line that is neither a preset's name nor `CENTER,WIDTH`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no window: give a preset ({names}), CENTER,WIDTH, such as -600,1500, or file for the file's own", text = .0, names = preset_names())]
pub struct WindowParseError(pub String);

fn preset_names() -> String {
    Window::PRESETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl Window {
    pub const fn linear(center: f64, width: f64) -> Self {
        Self { center, width, function: VoiFunction::Linear, table: None }
    }
    /// The presets of keys 1 to 8, in that order. The first three are the paper's.
    pub const PRESETS: [(&'static str, Window); 8] = [
        ("soft-tissue", Window::linear(80.0, 300.0)),
        ("bone", Window::linear(500.0, 1800.0)),
        ("gross-bone", Window::linear(400.0, 650.0)),
        ("abdomen", Window::linear(40.0, 400.0)),
        ("lung", Window::linear(-600.0, 1500.0)),
        ("brain", Window::linear(40.0, 80.0)),
        ("bone-wide", Window::linear(480.0, 2500.0)),
        ("mediastinum", Window::linear(50.0, 350.0)),
    ];
    pub const BONE: Window = Window::linear(500.0, 1800.0);
    pub const SOFT_TISSUE: Window = Window::linear(80.0, 300.0);

    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(n, _)| *n == name).map(|(_, w)| w.clone())
    }
    /// The name of the preset with these very values.
    pub fn preset_name(&self) -> Option<&'static str> {
        Self::PRESETS.iter().find(|(_, w)| w == self).map(|(n, _)| *n)
    }
    /// A linear window that shows `low..=high` completely.
    pub fn covering(low: f64, high: f64) -> Self {
        let width = (high - low + 1.0).max(1.0);
        Self::linear(low + width / 2.0, width)
    }
    /// Without the table, if there is one: the straight line next to it.
    pub fn without_table(&self) -> Self {
        Self { table: None, ..self.clone() }
    }
    /// Width and centre can be used: finite, and at least 1 wide (LINEAR) or more than 0 (the others).
    pub fn is_valid(&self) -> bool {
        let wide = match self.function {
            VoiFunction::Linear => self.width >= 1.0,
            VoiFunction::LinearExact | VoiFunction::Sigmoid => self.width > 0.0,
        };
        self.center.is_finite() && self.width.is_finite() && wide
    }
    /// Grey in 0..=1 for a value by centre, width and function: the real-valued formula of PS3.3 C.11.2.1.2.1 to C.11.2.1.3.2.
    pub fn grey(&self, x: f64) -> f64 {
        let (center, width) = (self.center, self.width);
        match self.function {
            VoiFunction::Linear => {
                let (c, w) = (center - 0.5, width - 1.0);
                if x <= c - w / 2.0 {
                    0.0
                } else if x > c + w / 2.0 {
                    1.0
                } else {
                    (x - c) / w + 0.5
                }
            }
            VoiFunction::LinearExact => {
                if x <= center - width / 2.0 {
                    0.0
                } else if x > center + width / 2.0 {
                    1.0
                } else {
                    (x - center) / width + 0.5
                }
            }
            VoiFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - center) / width).exp()),
        }
    }
    /// 8-bit grey: the floor of [`Window::grey`] times 255, computed in integers where value, width and twice
    /// the centre are whole so that no rounding can move a boundary. That of the table where there is one.
    pub fn grey8(&self, x: f32) -> u8 {
        if x.is_nan() {
            return 0;
        }
        if let Some(table) = &self.table {
            return table.grey8(x);
        }
        let whole = |v: f64| v.fract() == 0.0 && v.abs() < 1e9;
        let (value, twice_center) = (f64::from(x), self.center * 2.0);
        if self.function == VoiFunction::Linear
            && self.width >= 2.0
            && whole(value)
            && whole(twice_center)
            && whole(self.width)
        {
            let (x2, c2, w) = (value as i64 * 2, twice_center as i64, self.width as i64);
            // (x - (c - 1/2)) / (w - 1) + 1/2, over the common denominator 2 (w - 1)
            let numerator = (x2 - c2 + w) * 255;
            let denominator = 2 * (w - 1);
            return numerator.div_euclid(denominator).clamp(0, 255) as u8;
        }
        (self.grey(value) * 255.0).floor().clamp(0.0, 255.0) as u8
    }
}

impl FromStr for Window {
    type Err = WindowParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (center, width) = text.split_once(',')?;
            let window = Self::linear(center.trim().parse().ok()?, width.trim().parse().ok()?);
            window.is_valid().then_some(window)
        };
        Self::preset(text).or_else(parse).ok_or_else(|| WindowParseError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_path_equals_the_formula_everywhere() {
        for (c, w) in [(40.0, 400.0), (300.0, 1500.0), (500.0, 1800.0), (-600.0, 1500.0), (40.0, 80.0), (0.0, 2.0)] {
            let window = Window::linear(c, w);
            for x in -3100..4100_i16 {
                let real = window.grey(f64::from(x)) * 255.0;
                let got = f64::from(window.grey8(f32::from(x)));
                // Only where the real-valued result sits on an integer may f64 rounding differ from exact arithmetic.
                assert!(got == real.floor() || (real - real.round()).abs() < 1e-9, "{c} {w} {x}: {got} {real}");
            }
        }
    }

    #[test]
    fn width_one_is_a_step() {
        let step = Window::linear(0.0, 1.0);
        assert_eq!([step.grey8(-1.0), step.grey8(-0.5), step.grey8(0.0)], [0, 0, 255]);
    }

    #[test]
    fn the_three_functions_at_their_landmarks() {
        let mut w = Window::linear(100.0, 200.0);
        assert_eq!((w.grey(0.0), w.grey(200.0)), (0.0, 1.0));
        w.function = VoiFunction::LinearExact;
        assert_eq!((w.grey(0.0), w.grey(100.0), w.grey(201.0)), (0.0, 0.5, 1.0));
        w.function = VoiFunction::Sigmoid;
        assert!((w.grey(100.0) - 0.5).abs() < 1e-12 && w.grey(1e6) > 0.999);
    }

    #[test]
    fn parse_names_pairs_and_nonsense() {
        assert_eq!("bone".parse(), Ok(Window::BONE));
        assert_eq!("-600,1500".parse(), Ok(Window::linear(-600.0, 1500.0)));
        for bad in ["", "bones", "1", "1,0", "a,b", "NaN,4", "1,2,3"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_named_windows_are_presets() {
        assert_eq!((Window::BONE, Window::SOFT_TISSUE), (Window::PRESETS[1].1.clone(), Window::PRESETS[0].1.clone()));
    }

    #[test]
    fn a_table_makes_the_grey_until_it_is_left() {
        let table = VoiTable::new("T", 0, vec![255, 0], 8).expect("a table").into_window();
        assert_eq!([table.grey8(0.0), table.grey8(1.0)], [255, 0]);
        let line = table.without_table();
        assert!(line.grey8(0.0) < line.grey8(1.0) && table != line);
        assert_eq!(Window { table: table.table, ..Window::BONE }.preset_name(), None);
    }

    #[test]
    fn covering_shows_both_ends() {
        let w = Window::covering(-1024.0, 3071.0);
        assert_eq!((w.grey8(-1024.0), w.grey8(3071.0)), (0, 255));
        assert!(w.grey8(3069.0) < 255);
    }
}
