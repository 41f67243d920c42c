//! `--window`: a preset, two numbers, or what the file itself offers.

use std::str::FromStr;

use super::Refusal;
use crate::study::Series;
use crate::study::describe;
use crate::volume::{Window, WindowParseError};

/// How a picture's values become grey.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowChoice {
    Fixed(Window),
    /// One of those that the file offers, 0-based.
    OfFile(usize),
}

impl FromStr for WindowChoice {
    type Err = WindowParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = match text.split_once(':') {
            _ if text == "file" => Some(0),
            Some(("file", number)) => number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)),
            _ => None,
        };
        number.map_or_else(|| text.parse().map(Self::Fixed), |number| Ok(Self::OfFile(number)))
    }
}

impl WindowChoice {
    /// For a series.
    ///
    /// # Errors
    /// When its file does not offer what was chosen.
    pub fn of(&self, series: &Series) -> Result<Window, Refusal> {
        let number = match self {
            Self::Fixed(window) => return Ok(window.clone()),
            Self::OfFile(number) => *number,
        };
        series.file_windows.get(number).cloned().ok_or_else(|| {
            let offered = match offered(series).as_slice() {
                [] => "the file offers none; give a preset or CENTER,WIDTH".to_owned(),
                all => format!("the file offers {}", numbered(all)),
            };
            Refusal(format!("no window file:{}: {offered}", number + 1))
        })
    }
}

/// "file:1 W 400 L 40, file:2 VOI LUT BONE".
pub fn numbered(offered: &[String]) -> String {
    let all: Vec<String> = (1..).zip(offered).map(|(n, window)| format!("file:{n} {window}")).collect();
    all.join(", ")
}

/// What the file offers, in words, by number.
pub fn offered(series: &Series) -> Vec<String> {
    let words = |(index, window): (usize, &Window)| {
        let name = series.file_window_names.get(index).filter(|name| !name.is_empty() && window.table.is_none());
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        format!("{}{name}", describe::window_text(window))
    };
    series.file_windows.iter().enumerate().map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_numbers_and_the_files_own() {
        let parsed = |text: &str| text.parse::<WindowChoice>().ok();
        assert_eq!(parsed("bone"), Some(WindowChoice::Fixed(Window::BONE)));
        assert_eq!(parsed("-600,1500"), Some(WindowChoice::Fixed(Window::linear(-600.0, 1500.0))));
        assert_eq!(parsed("file"), Some(WindowChoice::OfFile(0)));
        assert_eq!(parsed("file:3"), Some(WindowChoice::OfFile(2)));
        for bad in ["file:0", "file:", "file:x", "files", "file:-1", "bone:1"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
