//! A key with its modifiers, as written in files and on the screen.

use std::fmt;
use std::str::FromStr;

/// Keys that can be assigned: the window system's name, and how it is written. Not among them what moves the focus,
/// presses buttons and closes things in every program.
#[rustfmt::skip]
const KEYS: &[(&str, &str)] = &[
    ("A", "A"), ("B", "B"), ("C", "C"), ("D", "D"), ("E", "E"), ("F", "F"), ("G", "G"), ("H", "H"), ("I", "I"),
    ("J", "J"), ("K", "K"), ("L", "L"), ("M", "M"), ("N", "N"), ("O", "O"), ("P", "P"), ("Q", "Q"), ("R", "R"),
    ("S", "S"), ("T", "T"), ("U", "U"), ("V", "V"), ("W", "W"), ("X", "X"), ("Y", "Y"), ("Z", "Z"),
    ("0", "0"), ("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5"), ("6", "6"), ("7", "7"), ("8", "8"), ("9", "9"),
    ("F1", "F1"), ("F2", "F2"), ("F3", "F3"), ("F4", "F4"), ("F5", "F5"), ("F6", "F6"), ("F7", "F7"), ("F8", "F8"),
    ("F9", "F9"), ("F10", "F10"), ("F11", "F11"), ("F12", "F12"),
    ("Down", "Down"), ("Up", "Up"), ("Left", "Left"), ("Right", "Right"), ("Home", "Home"), ("End", "End"),
    ("PageUp", "PgUp"), ("PageDown", "PgDn"), ("Insert", "Insert"), ("Delete", "Delete"), ("Backspace", "Backspace"),
    ("Comma", ","), ("Period", "."), ("Semicolon", ";"), ("Quote", "'"), ("Backtick", "`"), ("Slash", "/"),
    ("Backslash", "\\"), ("OpenBracket", "["), ("CloseBracket", "]"), ("Minus", "-"), ("Equals", "="),
    ("Plus", "+"), ("Questionmark", "?"), ("Exclamationmark", "!"), ("Colon", ":"), ("Pipe", "|"),
    ("OpenCurlyBracket", "{"), ("CloseCurlyBracket", "}"),
];

/// Signs that some keyboards write with Shift and others without: Shift says nothing beside them.
const SIGNS: [&str; 7] =
    ["Plus", "Questionmark", "Exclamationmark", "Colon", "Pipe", "OpenCurlyBracket", "CloseCurlyBracket"];

/// What is not in the table, because it means the same in every map.
pub const FIXED: &[(&str, &str)] = &[
    ("Esc", "close the topmost thing, give up a measurement"),
    ("Tab, Shift+Tab", "next, previous button or field"),
    ("Enter, Space", "press the button that has the keyboard"),
    ("Enter, where nothing has it", "commit your verdict and reveal the result"),
    ("Alt+arrows", "move the selected measurement, or its chosen handle, by 1 mm (Shift: 0.1 mm)"),
];

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chord {
    /// The command key on macOS.
    ctrl: bool,
    alt: bool,
    shift: bool,
    /// One of the window system's names.
    key: &'static str,
}

/// What is written is no key that can be assigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no key that can be assigned")]
pub struct NoKey(pub String);

impl Chord {
    /// From the window system's name of a key; `None` for one that cannot be assigned.
    pub fn new(ctrl: bool, alt: bool, shift: bool, key: &str) -> Option<Self> {
        // On some keyboards the question mark is reported so.
        let key = if key == "Slash" && shift { "Questionmark" } else { key };
        let (key, _) = *KEYS.iter().find(|(name, _)| *name == key)?;
        Some(Self { ctrl, alt, shift: shift && !SIGNS.contains(&key), key })
    }
    /// The window system's name of the key.
    pub fn key(&self) -> &'static str {
        self.key
    }
    /// Whether Ctrl or Alt belongs to it.
    pub fn has_modifier(&self) -> bool {
        self.ctrl || self.alt
    }
    /// Why it cannot be given to an action.
    pub fn refused(&self) -> Option<&'static str> {
        let arrow = matches!(self.key, "Down" | "Up" | "Left" | "Right");
        if self.alt && !self.ctrl && arrow {
            return Some("Alt with an arrow moves the selected measurement in every map.");
        }
        if self.ctrl && !self.alt && !self.shift && self.key == "V" {
            return Some("The window system keeps Ctrl+V for pasting and does not report it.");
        }
        None
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (on, name) in [(self.ctrl, "Ctrl+"), (self.alt, "Alt+"), (self.shift, "Shift+")] {
            if on {
                f.write_str(name)?;
            }
        }
        f.write_str(KEYS.iter().find(|(name, _)| *name == self.key).map_or(self.key, |(_, written)| written))
    }
}

impl FromStr for Chord {
    type Err = NoKey;

    /// "Ctrl+Shift+P" in any case; a key by its sign or by its name.
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let mut rest = text.trim();
        let mut held = [false; 3];
        while let Some((at, length)) = ["ctrl+", "alt+", "shift+"].iter().enumerate().find_map(|(at, name)| {
            let begins = rest.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
            (begins && rest.len() > name.len()).then_some((at, name.len()))
        }) {
            if let Some(slot) = held.get_mut(at) {
                *slot = true;
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        let same = |name: &str| name.eq_ignore_ascii_case(rest);
        let key = KEYS.iter().find(|(name, written)| same(name) || same(written));
        let chord = key.and_then(|(name, _)| Self::new(held[0], held[1], held[2], name));
        chord.ok_or_else(|| NoKey(text.trim().chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_are_read_and_written() {
        for (text, written) in [
            ("ctrl+shift+p", "Ctrl+Shift+P"),
            ("Shift+Ctrl+P", "Ctrl+Shift+P"),
            ("pagedown", "PgDn"),
            ("Ctrl++", "Ctrl++"),
            ("+", "+"),
            ("Ctrl+,", "Ctrl+,"),
            ("shift+?", "?"),
            ("Shift+/", "?"),
            ("Shift+9", "Shift+9"),
            ("Alt+f4", "Alt+F4"),
        ] {
            assert_eq!(text.parse::<Chord>().map(|c| c.to_string()), Ok(written.to_owned()), "{text}");
        }
        for bad in ["", "Ctrl+", "Esc", "Tab", "Enter", "Space", "Hyper+A", "AB", "é"] {
            assert_eq!(bad.parse::<Chord>(), Err(NoKey(bad.to_owned())), "{bad}");
        }
        assert!("Alt+Up".parse::<Chord>().expect("a key").refused().is_some());
        assert!("Ctrl+V".parse::<Chord>().expect("a key").refused().is_some());
    }
}
