//! Text of a data set: character sets (PS3.3 C.12.1.1.2), control characters replaced.

use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

const ESCAPE: u8 = 0x1B;

/// How the text of one data set is to be read.
#[derive(Default)]
pub(super) enum Charset {
    /// None stated: ASCII.
    #[default]
    Unstated,
    Utf8,
    Known(SpecificCharacterSet),
    /// A name that is in no table of ours.
    Unknown,
}

impl Charset {
    /// From the value of SpecificCharacterSet (0008,0005). Of several the one that adds most is taken: values with
    /// escapes begin with ASCII, which all of them hold.
    pub(super) fn from_value(value: &str) -> Self {
        let names: Vec<&str> = value.split('\\').map(str::trim).filter(|n| !n.is_empty()).collect();
        let multi_byte = names.iter().find(|n| matches!(**n, "ISO 2022 IR 87" | "ISO 2022 IR 159"));
        match multi_byte.or(names.last()) {
            None => Self::Unstated,
            Some(&"ISO_IR 192" | &"ISO_IR_192" | &"ISO 2022 IR 192") => Self::Utf8,
            Some(&"ISO_IR 6" | &"ISO_IR_6" | &"ISO 2022 IR 6") => Self::Unstated,
            Some(&"ISO 2022 IR 159") => {
                SpecificCharacterSet::from_code("ISO 2022 IR 87").map_or(Self::Unknown, Self::Known)
            }
            Some(name) => SpecificCharacterSet::from_code(name).map_or(Self::Unknown, Self::Known),
        }
    }

    /// Decodes a value. The flag says that bytes did not fit the stated character set.
    pub(super) fn decode(&self, bytes: &[u8]) -> (String, bool) {
        let bytes = trim(bytes);
        if bytes.is_ascii() && !bytes.contains(&ESCAPE) {
            return (plain(bytes), false);
        }
        let (text, doubtful) = match self {
            Self::Utf8 => lossy(bytes),
            Self::Known(codec) => match codec.decode(&strip_escapes(codec, bytes)) {
                Ok(text) => (text, false),
                Err(_) => (String::from_utf8_lossy(bytes).into_owned(), true),
            },
            // Not allowed, and met often: the bytes are UTF-8 or Latin-1 then.
            Self::Unstated | Self::Unknown => match std::str::from_utf8(bytes) {
                Ok(text) => (text.to_owned(), true),
                Err(_) => (bytes.iter().map(|b| char::from(*b)).collect(), true),
            },
        };
        (clean(&text), doubtful)
    }
}

fn lossy(bytes: &[u8]) -> (String, bool) {
    match String::from_utf8_lossy(bytes) {
        std::borrow::Cow::Borrowed(text) => (text.to_owned(), false),
        std::borrow::Cow::Owned(text) => (text, true),
    }
}

/// ISO 2022 escapes are understood by the Japanese decoder only; for the others they switch to what is read anyway.
fn strip_escapes(codec: &SpecificCharacterSet, bytes: &[u8]) -> Vec<u8> {
    if codec.name() == "ISO_IR 87" {
        return bytes.to_vec();
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != ESCAPE {
            kept.push(*first);
            continue;
        }
        // Intermediate bytes 0x20..0x2F and one final byte (ECMA-35 13.2).
        let intermediates = rest.iter().take_while(|b| (0x20..=0x2F).contains(*b)).count();
        rest = rest.get(intermediates + 1..).unwrap_or_default();
    }
    kept
}

/// Without the padding of PS3.5 6.2.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let is_padding = |b: &u8| matches!(b, b' ' | 0);
    let start = bytes.iter().position(|b| !is_padding(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !is_padding(b)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// Text of a fixed repertoire, trimmed and cleaned.
pub(super) fn plain(bytes: &[u8]) -> String {
    let bytes = trim(bytes);
    // Nearly all texts of nearly all files, and a catalog of thousands of files is made of such.
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(|b| matches!(b, b' '..=b'~')) => text.to_owned(),
        Ok(text) => clean(text),
        Err(_) => clean(&String::from_utf8_lossy(bytes)),
    }
}

/// Replaces what could disturb a screen, a terminal or a report: control characters, and the marks that reorder or
/// hide text.
pub(super) fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
    };
    text.trim().chars().map(|c| if harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A person's name (PN, PS3.5 6.2.1.1) for reading: "Family, Given Middle", with the ideographic form in brackets.
pub(super) fn person(value: &str) -> String {
    let mut forms = value.split('=').map(person_form).filter(|form| !form.is_empty());
    let first = forms.next().unwrap_or_default();
    match forms.next() {
        Some(second) => format!("{first} ({second})"),
        None => first,
    }
}

fn person_form(form: &str) -> String {
    let mut parts = form.split('^').map(str::trim);
    let family = parts.next().unwrap_or_default();
    let given: Vec<&str> = parts.take(2).filter(|part| !part.is_empty()).collect();
    match (family.is_empty(), given.is_empty()) {
        (_, true) => family.to_owned(),
        (true, false) => given.join(" "),
        (false, false) => format!("{family}, {}", given.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(charset: &str, bytes: &[u8], expected: &str, doubtful: bool) {
        assert_eq!(Charset::from_value(charset).decode(bytes), (expected.to_owned(), doubtful));
    }

    #[test]
    fn character_sets() {
        check("", b"Doe^Jane ", "Doe^Jane", false);
        check("ISO_IR 100", b"M\xFCller", "M\u{fc}ller", false);
        check("ISO_IR 192", "山田^太郎".as_bytes(), "山田^太郎", false);
        check("ISO_IR 192", b"A\xFFB", "A\u{FFFD}B", true);
        check("", b"M\xFCller", "M\u{fc}ller", true);
        check("NO_SUCH", "é".as_bytes(), "é", true);
        check("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎", false);
        check("\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3", "Hong=洪", false);
    }

    #[test]
    fn harmful_characters_are_replaced() {
        check("", b"a\x1b[31mb\nc\0", "a\u{FFFD}[31mb\u{FFFD}c", true);
        assert_eq!(clean("a\u{202E}b"), "a\u{FFFD}b");
        let plain = |bytes| super::plain(bytes);
        assert_eq!(plain(b" CT\0"), "CT");
        assert_eq!(plain(b"a\tb\x7F"), "a\u{FFFD}b\u{FFFD}");
        assert_eq!(plain(b"\n CT \0"), "CT");
        assert_eq!(plain(b"a\xFF~"), "a\u{FFFD}~");
        assert_eq!(plain("a\u{202E}b".as_bytes()), "a\u{FFFD}b");
    }

    #[test]
    fn names_read_well() {
        assert_eq!(person("Doe^Jane^Q"), "Doe, Jane Q");
        assert_eq!(person("Yamada^Tarou=山田^太郎=やまだ^たろう"), "Yamada, Tarou (山田, 太郎)");
        assert_eq!(person("Doe"), "Doe");
        assert_eq!(person("^^"), "");
    }
}
