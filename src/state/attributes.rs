//! The list of DICOM attributes: of the slice being read, read again when that changes, one file at a time.

use super::*;
use crate::study::attributes::Attributes;
use crate::study::{Packed, SliceInfo};

/// Which file a list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributesOf {
    pub path: PathBuf,
    pub packed: Option<Packed>,
    /// What people call it.
    pub name: String,
}

/// The list, or a sentence that says why there is none.
pub type AttributesRead = Result<Arc<Attributes>, String>;

/// The window with the attributes of the slice being read.
#[derive(Debug, Default)]
pub struct AttributesView {
    pub open: bool,
    /// The file that is being read.
    awaited: Option<AttributesOf>,
    shown: Option<(AttributesOf, AttributesRead)>,
}

impl AttributesView {
    /// What is known of the file read last.
    pub fn shown(&self) -> Option<&AttributesRead> {
        self.shown.as_ref().map(|(_, read)| read)
    }
    /// Another file's list is on the way.
    pub fn is_waiting(&self) -> bool {
        self.awaited.is_some()
    }
}

impl AttributesOf {
    fn slice(slice: &SliceInfo) -> Self {
        Self { path: slice.path.clone(), packed: slice.packed.clone(), name: slice.file.clone() }
    }
}

const NO_FILE: &str = "This slice has no DICOM attributes: the study is the built-in synthetic neck, which the program \
                       computes and reads from no file.";

const MADE_HERE: &str = "This slice has no DICOM attributes: it was reformatted from another series by this program and is in no \
                         file. The list of the series that it was made from has theirs.";

impl AppState {
    pub(super) fn apply_attributes(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match *command {
            Command::ToggleAttributes => self.attributes.open = !self.attributes.open && self.active.is_some(),
            Command::CopyAttribute { line, whole } => self.copy_attribute(line, whole, effects),
            _ => return false,
        }
        true
    }

    fn copy_attribute(&mut self, line: usize, whole: bool, effects: &mut Vec<Effect>) {
        let Some(Ok(list)) = self.attributes.shown() else { return };
        let Some(attribute) = list.lines.get(line).cloned() else { return };
        if self.hide_identity && attribute.may_identify() {
            let text = format!("{} was not copied: the patient's identity is hidden.", attribute.name);
            return self.notice(Severity::Info, text);
        }
        effects.push(Effect::CopyText(match whole {
            true => {
                let parts = [attribute.tag_text(), attribute.name, attribute.vr, attribute.value];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\t")
            }
            false => attribute.value,
        }));
    }

    /// Asks for the list of the slice being read, when it is to be seen and not at hand.
    pub(super) fn follow_attributes(&mut self, effects: &mut Vec<Effect>) {
        if self.active.is_none() {
            self.attributes = AttributesView { open: self.attributes.open, ..AttributesView::default() };
        }
        if !self.attributes.open || self.attributes.awaited.is_some() {
            return;
        }
        let Some(active) = &self.active else { return };
        let Some(wanted) = active.series.slices.get(active.current).map(AttributesOf::slice) else { return };
        if self.attributes.shown.as_ref().is_some_and(|(of, _)| *of == wanted) {
            return;
        }
        if wanted.path.as_os_str().is_empty() {
            let why = if active.series.reformatted.is_some() { MADE_HERE } else { NO_FILE };
            self.attributes.shown = Some((wanted, Err(why.to_owned())));
            return;
        }
        self.attributes.awaited = Some(wanted.clone());
        effects.push(Effect::ReadAttributes(wanted));
    }

    pub(super) fn attributes_read(&mut self, of: AttributesOf, result: AttributesRead) {
        // Of a study that has been closed meanwhile nothing is kept.
        if self.attributes.awaited.as_ref() == Some(&of) {
            self.attributes.awaited = None;
            self.attributes.shown = Some((of, result));
        }
    }
}
