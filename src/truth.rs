//! The reference standard of a study: which slices and levels are fractured, and where. Plain data, whatever its source
//! (a synthetic patient's geometry, a data set's boxes, a mask).

use crate::geometry::PixelBox;

/// A vertebra that the network is about, or the first below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Level {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    T1,
}

impl Level {
    pub const ALL: [Self; 8] = [Self::C1, Self::C2, Self::C3, Self::C4, Self::C5, Self::C6, Self::C7, Self::T1];

    pub fn name(self) -> &'static str {
        ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"][self.index()]
    }
    /// 0 for C1.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Three values, because a data set may say nothing of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceLabel {
    Negative,
    Positive,
    /// Neither trained on nor counted.
    Ignore,
}

/// What is known of one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceTruth {
    pub label: SliceLabel,
    /// Boxes around what is fractured, DICOM pixel edges.
    pub boxes: Vec<PixelBox>,
    /// The level of the largest finding, else of the vertebra in the slice where that is known.
    pub level: Option<Level>,
    /// Area of the fracture's mask, mm2, where there is a mask.
    pub mask_mm2: Option<f64>,
}

/// One fracture.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FractureTruth {
    pub level: Level,
    /// In the words of the source, e.g. "dens II".
    pub kind: String,
    pub displacement_mm: Option<f64>,
    /// Size of the fracture's signal over the noise; see the phantom's documentation.
    pub conspicuity: Option<f64>,
    /// First and last slice that shows it, 0-based, display order; `None` when no slice does.
    pub slices: Option<[usize; 2]>,
}

/// What is known of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseTruth {
    pub fractured: Option<bool>,
    /// C1 to C7, where the source says so.
    pub levels: Option<[bool; 7]>,
    /// One per slice, display order.
    pub slices: Vec<SliceTruth>,
    pub fractures: Vec<FractureTruth>,
    /// Who says so, for the screen and the report: e.g. "phantom geometry", "RSNA 2022 boxes".
    pub source: String,
}

impl CaseTruth {
    pub fn is_positive(&self, slice: usize) -> bool {
        self.slices.get(slice).is_some_and(|s| s.label == SliceLabel::Positive)
    }

    /// Stretches of slices that show a fracture, first and last, 0-based.
    pub fn positive_stretches(&self) -> Vec<[usize; 2]> {
        let mut stretches: Vec<[usize; 2]> = Vec::new();
        for slice in (0..self.slices.len()).filter(|&slice| self.is_positive(slice)) {
            match stretches.last_mut() {
                Some(last) if last[1] + 1 == slice => last[1] = slice,
                _ => stretches.push([slice, slice]),
            }
        }
        stretches
    }

    /// The case in a sentence. It says what the source says and never that a neck is sound.
    pub fn sentence(&self) -> String {
        // The levels of a source end at C7; a fracture of T1 stands among the fractures only.
        let is_hit = |level: &Level| {
            let said = self.levels.and_then(|levels| levels.get(level.index()).copied());
            said.unwrap_or_else(|| self.fractures.iter().any(|fracture| fracture.level == *level))
        };
        let levels: Vec<&str> = Level::ALL.iter().filter(|level| is_hit(level)).map(|level| level.name()).collect();
        let said = match (self.fractured, levels.is_empty()) {
            (Some(true), false) => format!("fractured, {}", levels.join(", ")),
            (Some(true), true) => "fractured".to_owned(),
            (Some(false), _) => "labelled negative".to_owned(),
            (None, _) => "no label for the case".to_owned(),
        };
        format!("reference ({}): {said}", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_sentence_say_what_the_source_says() {
        let slice = |label| SliceTruth { label, boxes: Vec::new(), level: None, mask_mm2: None };
        let labels = "NPPNIPP".chars().map(|c| match c {
            'P' => SliceLabel::Positive,
            'I' => SliceLabel::Ignore,
            _ => SliceLabel::Negative,
        });
        let mut truth = CaseTruth {
            fractured: Some(true),
            levels: Some([false, true, false, false, true, false, false]),
            slices: labels.map(slice).collect(),
            fractures: Vec::new(),
            source: "phantom geometry".into(),
        };
        assert_eq!(truth.positive_stretches(), [[1, 2], [5, 6]]);
        assert_eq!(truth.sentence(), "reference (phantom geometry): fractured, C2, C5");
        let lowest = FractureTruth {
            level: Level::T1,
            kind: "spinous process".into(),
            displacement_mm: None,
            conspicuity: None,
            slices: None,
        };
        truth.fractures = vec![lowest];
        assert_eq!(truth.sentence(), "reference (phantom geometry): fractured, C2, C5, T1");
        for levels in [Some([false; 7]), None] {
            truth.levels = levels;
            assert_eq!(truth.sentence(), "reference (phantom geometry): fractured, T1");
        }
        truth.fractures.clear();
        assert_eq!(truth.sentence(), "reference (phantom geometry): fractured");
        truth.fractured = Some(false);
        assert_eq!(truth.sentence(), "reference (phantom geometry): labelled negative");
    }

    #[test]
    fn names_and_numbers_belong_together() {
        let names: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
        assert_eq!(names, ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]);
        assert!(Level::ALL.iter().enumerate().all(|(index, level)| level.index() == index));
    }
}
