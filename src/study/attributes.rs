//! The attributes of one DICOM file as a list to read and to search; plain data, filled by `dicom`.

/// One line: an attribute, or an item of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// How deep it lies in sequences; 0 at the top.
    pub depth: usize,
    /// The line that holds this one: a sequence or an item.
    pub parent: Option<usize>,
    /// The same for the same place in another file, so that what is unfolded stays so.
    pub key: u64,
    /// Group and element; `None` for an item of a sequence.
    pub tag: Option<[u16; 2]>,
    /// As in the data dictionary ("PatientName"), "Item 3", or words for what the dictionary has not.
    pub name: String,
    /// Two letters; empty for an item.
    pub vr: String,
    /// Text with control characters replaced, numbers separated by backslashes, or what there is in bytes or items.
    pub value: String,
    /// Others lie in it.
    pub holds_others: bool,
}

/// What stands in place of a value that could tell who the patient is.
pub const HIDDEN: &str = "(hidden)";

impl Attribute {
    /// "(0010,0010)"; empty for an item.
    pub fn tag_text(&self) -> String {
        self.tag.map_or_else(String::new, |[group, element]| format!("({group:04X},{element:04X})"))
    }

    /// The value may tell who the patient is. Only what the standard keeps free of persons, places and dates counts as
    /// harmless; private attributes never do, because nobody knows what they hold.
    pub fn may_identify(&self) -> bool {
        let Some([group, element]) = self.tag else { return false };
        if self.holds_others || self.vr == "SQ" {
            return false;
        }
        if group % 2 == 1 || matches!(group, 0x0010 | 0x0012 | 0x0032 | 0x0038 | 0x0040 | 0x4008) {
            return true;
        }
        let harmless_uid = [[2, 2], [2, 0x10], [2, 0x12], [8, 0x16], [8, 0x1A], [8, 0x62], [8, 0x1150]];
        // Meanings of codes, makers, descriptions (which stand on the image as well).
        let harmless_text =
            [[2, 0x13], [8, 0x70], [8, 0x100], [8, 0x102], [8, 0x104], [8, 0x1030], [8, 0x103E], [8, 0x1090]];
        match self.vr.as_str() {
            "PN" | "DA" | "DT" | "TM" | "LT" | "ST" | "UT" | "UC" | "UR" | "UN" => true,
            "UI" => !harmless_uid.contains(&[group, element]),
            // Of the acquisition all but serial numbers and names of devices.
            "LO" | "SH" | "AE" if group == 0x18 => (0x1000..0x1010).contains(&element) && element != 0x1004,
            "LO" | "SH" | "AE" => group != 0x28 && !harmless_text.contains(&[group, element]),
            _ => false,
        }
    }

    /// The value as it may be seen.
    pub fn shown(&self, identity_hidden: bool) -> &str {
        if identity_hidden && !self.value.is_empty() && self.may_identify() { HIDDEN } else { &self.value }
    }

    /// All that a search looks through, in lower case: the tag with and without its brackets, name, VR and what may be
    /// seen of the value.
    fn haystack(&self, identity_hidden: bool) -> String {
        let tag = self.tag.map_or_else(String::new, |[g, e]| format!("({g:04x},{e:04x}) {g:04x}{e:04x}"));
        format!("{tag} {} {} {}", self.name, self.vr, self.shown(identity_hidden)).to_lowercase()
    }
}

/// All of one file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    pub lines: Vec<Attribute>,
    /// Why the list is not all, in a sentence.
    pub note: Option<String>,
}

/// A line of a list that has been searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub line: usize,
    /// The words of the search are in it; else it is there because it holds one that has them.
    pub matches: bool,
}

impl Attributes {
    /// The lines to be seen. Without words those whose holders are unfolded; else all that have every word, with the
    /// lines that hold them. A value that is hidden is not searched.
    pub fn search(&self, words: &str, identity_hidden: bool, unfolded: impl Fn(u64) -> bool) -> Vec<Found> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            let mut seen = vec![false; self.lines.len()];
            for (at, line) in self.lines.iter().enumerate() {
                let holder = |p: usize| seen.get(p).copied().unwrap_or(false) && self.is_open(p, &unfolded);
                let visible = line.parent.is_none_or(holder);
                if let Some(slot) = seen.get_mut(at) {
                    *slot = visible;
                }
            }
            let visible = seen.iter().enumerate().filter(|(_, seen)| **seen);
            return visible.map(|(line, _)| Found { line, matches: true }).collect();
        }
        let mut found: Vec<Option<bool>> = vec![None; self.lines.len()];
        for (at, line) in self.lines.iter().enumerate() {
            let text = line.haystack(identity_hidden);
            if !words.iter().all(|word| text.contains(word)) {
                continue;
            }
            if let Some(slot) = found.get_mut(at) {
                *slot = Some(true);
            }
            let mut holder = line.parent;
            while let Some(at) = holder {
                if let Some(slot @ None) = found.get_mut(at) {
                    *slot = Some(false);
                }
                holder = self.lines.get(at).and_then(|line| line.parent);
            }
        }
        let seen = found.iter().enumerate();
        seen.filter_map(|(line, found)| Some(Found { line, matches: (*found)? })).collect()
    }

    fn is_open(&self, at: usize, unfolded: &impl Fn(u64) -> bool) -> bool {
        self.lines.get(at).is_some_and(|line| unfolded(line.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(parent: Option<usize>, tag: Option<[u16; 2]>, name: &str, vr: &str, value: &str, key: u64) -> Attribute {
        let depth = usize::from(parent.is_some());
        let holds_others = tag.is_none() || vr == "SQ";
        Attribute { depth, parent, key, tag, name: name.into(), vr: vr.into(), value: value.into(), holds_others }
    }

    fn some() -> Attributes {
        let lines = vec![
            line(None, Some([0x10, 0x10]), "PatientName", "PN", "Doe^Jane", 1),
            line(None, Some([0x18, 0x50]), "SliceThickness", "DS", "1.25", 2),
            line(None, Some([0x08, 0x1140]), "ReferencedImageSequence", "SQ", "1 item", 3),
            line(Some(2), None, "Item 1", "", "", 4),
            line(Some(3), Some([0x08, 0x1150]), "ReferencedSOPClassUID", "UI", "1.2.840.10008.5.1.4.1.1.2", 5),
            line(Some(3), Some([0x08, 0x1155]), "ReferencedSOPInstanceUID", "UI", "2.25.7", 6),
            line(None, Some([0x09, 0x1001]), "private attribute", "LO", "Jane's", 7),
        ];
        Attributes { lines, note: None }
    }

    fn lines(found: &[Found]) -> Vec<usize> {
        found.iter().map(|f| f.line).collect()
    }

    #[test]
    fn sequences_unfold_step_by_step() {
        let all = some();
        assert_eq!(lines(&all.search("", false, |_| false)), [0, 1, 2, 6]);
        assert_eq!(lines(&all.search("", false, |key| key == 3)), [0, 1, 2, 3, 6]);
        assert_eq!(lines(&all.search(" ", false, |key| key != 3)), [0, 1, 2, 6], "what is open inside stays inside");
        assert_eq!(lines(&all.search("", false, |_| true)).len(), 7);
    }

    #[test]
    fn a_search_finds_by_tag_keyword_and_value_with_what_holds_it() {
        let all = some();
        let find = |words: &str| lines(&all.search(words, false, |_| false));
        assert_eq!(find("0018,0050"), [1]);
        assert_eq!(find("00180050"), [1]);
        assert_eq!(find("thickness 1.2"), [1]);
        assert_eq!(find("jane"), [0, 6]);
        assert_eq!(find("nothing"), [0; 0]);
        let found = all.search("2.25.7", false, |_| false);
        assert_eq!(lines(&found), [2, 3, 5]);
        assert_eq!(found.iter().map(|f| f.matches).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn what_may_identify_is_hidden_and_not_found() {
        let all = some();
        let shown: Vec<&str> = all.lines.iter().map(|line| line.shown(true)).collect();
        let classes = "1.2.840.10008.5.1.4.1.1.2";
        assert_eq!(shown, [HIDDEN, "1.25", "1 item", "", classes, HIDDEN, HIDDEN]);
        assert_eq!(lines(&all.search("jane", true, |_| false)), [0; 0]);
        assert_eq!(lines(&all.search("patientname", true, |_| false)), [0]);
        let age = line(None, Some([0x10, 0x1010]), "PatientAge", "AS", "054Y", 8);
        let kernel = line(None, Some([0x18, 0x1210]), "ConvolutionKernel", "SH", "H60", 9);
        let serial = line(None, Some([0x18, 0x1000]), "DeviceSerialNumber", "LO", "77", 9);
        assert!(age.may_identify() && !kernel.may_identify() && serial.may_identify());
    }
}
