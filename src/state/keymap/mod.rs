//! The one table of keys: what can be done, under which name, by which keys at first; and the keys in force, which are
//! those of a chosen map with the reader's own changes.

mod chord;
mod file;

use std::collections::BTreeMap;

pub use chord::{Chord, FIXED};
pub use file::{KeymapFile, shipped};

use super::Command;
use super::beside::BesideCommand;
use super::cine::CineEnd;
use super::command::{ExportKind, PanelSide, Tool};
use super::measure::MeasureCommand;
use super::reading::{ReadingCommand, Reply};
use super::surface::SurfaceCommand;
use super::worklist::WorklistCommand;
use crate::geometry::Plane;
use crate::measure::Kind;
use crate::truth::Level;
use crate::view::planes::Layout;
use crate::view::surface::Side;

/// What a key does.
#[derive(Debug)]
pub enum Does {
    Command(Command),
    /// A short press toggles, holding peeks.
    Heatmap,
    /// The field of the note gets the keyboard.
    Note,
    /// As long as it is held.
    Magnifier,
    /// One pixel of the image is one of the screen; the view knows how large it is.
    ActualPixels,
}

/// Something that keys can be given to.
#[derive(Debug)]
pub struct Action {
    /// Stable: files name it so.
    pub name: &'static str,
    pub what: &'static str,
    /// At first.
    pub keys: &'static [&'static str],
    pub does: Does,
    /// Again and again while the key is held.
    pub repeats: bool,
    /// Has a meaning while the worklist is on the screen.
    pub in_list: bool,
}

type Keys = &'static [&'static str];

const fn once(name: &'static str, keys: Keys, what: &'static str, command: Command) -> Action {
    Action { name, what, keys, does: Does::Command(command), repeats: false, in_list: false }
}
const fn held(name: &'static str, keys: Keys, what: &'static str, command: Command) -> Action {
    Action { name, what, keys, does: Does::Command(command), repeats: true, in_list: false }
}
const fn sized(name: &'static str, keys: Keys, what: &'static str, command: Command) -> Action {
    Action { name, what, keys, does: Does::Command(command), repeats: true, in_list: true }
}
/// As [`once`], and in the worklist too.
const fn anywhere(name: &'static str, keys: Keys, what: &'static str, command: Command) -> Action {
    Action { name, what, keys, does: Does::Command(command), repeats: false, in_list: true }
}
const fn reading(name: &'static str, keys: Keys, what: &'static str, command: ReadingCommand) -> Action {
    once(name, keys, what, Command::Reading(command))
}
const fn level(name: &'static str, keys: Keys, what: &'static str, level: Option<Level>) -> Action {
    reading(name, keys, what, ReadingCommand::SetLevel(level))
}
const fn bone(name: &'static str, keys: Keys, what: &'static str, side: Side) -> Action {
    once(name, keys, what, Command::Surface(SurfaceCommand::Look(side)))
}
const fn tool(name: &'static str, keys: Keys, what: &'static str, tool: Tool) -> Action {
    once(name, keys, what, Command::SetTool(tool))
}
const fn measure(name: &'static str, keys: Keys, what: &'static str, command: MeasureCommand) -> Action {
    once(name, keys, what, Command::Measure(command))
}

/// Heading of the keys for reading several studies.
pub const READING: &str = "Worklist and verdicts";

/// Keys that act on the list while the worklist is on the screen, the same in every map.
pub const LIST: &[(&str, &str)] = &[
    ("Up, Down, PgUp, PgDn, Home, End", "choose a study"),
    ("Enter", "open it"),
    ("/, Ctrl+F", "filter"),
    ("O, N, D, R", "sort: as found, by name, date, result (again: backwards)"),
    ("P", "pause the queue, and go on"),
    ("Ctrl+E", "export as CSV, by the key of the report"),
    ("Esc", "back to the study, or from the study to the list"),
];

/// What a key does to the list, where an action that has a meaning there would have the same key.
pub fn taken_in_list(chord: &Chord) -> Option<&'static str> {
    let written = chord.to_string();
    let row = LIST.iter().find(|(keys, _)| *keys != "Ctrl+E" && keys.split(", ").any(|key| key == written))?;
    Some(row.1)
}

/// Further than any stack is long.
const FAR: i64 = 1_000_000;

/// All actions under their headings, in the order of the help sheet and of the settings.
#[rustfmt::skip]
pub static GROUPS: &[(&str, &[Action])] = &[
    ("Slices", &[
        held("next-slice", &["Down"], "one slice on", Command::ScrollBy(1)),
        held("previous-slice", &["Up"], "one slice back", Command::ScrollBy(-1)),
        held("ten-slices-on", &["Shift+Down"], "ten slices on", Command::ScrollBy(10)),
        held("ten-slices-back", &["Shift+Up"], "ten slices back", Command::ScrollBy(-10)),
        once("first-slice", &["Home"], "first slice", Command::ScrollBy(-FAR)),
        once("last-slice", &["End"], "last slice", Command::ScrollBy(FAR)),
        once("next-series", &["PageDown", "Right"], "next series", Command::StepSeries(1)),
        once("previous-series", &["PageUp", "Left"], "previous series", Command::StepSeries(-1)),
        once("next-peak", &["N"], "next peak of the strip", Command::NextPeak),
        once("previous-peak", &["Shift+N"], "previous peak", Command::PreviousPeak),
        once("cine", &["C"], "cine: play the slices; any other key or click stops", Command::ToggleCine),
        held("cine-faster", &["Alt+PageUp"], "cine faster, also while it plays", Command::StepCineRate(1)),
        held("cine-slower", &["Alt+PageDown"], "cine slower", Command::StepCineRate(-1)),
        once("cine-first", &["Alt+Home"], "cine begins at this slice; again: at the first", Command::ToggleCineEnd(CineEnd::First)),
        once("cine-last", &["Alt+End"], "cine ends at this slice; again: at the last", Command::ToggleCineEnd(CineEnd::Last)),
    ]),
    ("A second series", &[
        once("beside", &["Shift+S"], "a second series beside this one, and away", Command::Beside(BesideCommand::Toggle)),
        once("beside-link", &["Ctrl+L"], "link the slices of the two, or scroll each for itself", Command::Beside(BesideCommand::ToggleLink)),
        once("beside-focus", &["F5"], "keys act on the other of the two", Command::Beside(BesideCommand::SwitchFocus)),
        once("beside-swap", &["F7"], "the two change places", Command::Beside(BesideCommand::Swap)),
    ]),
    ("Planes", &[
        once("three-planes", &["M"], "three planes, and back to one pane", Command::ToggleLayout),
        once("four-panes", &["Shift+M"], "2 x 2 panes", Command::SetLayout(Layout::Four)),
        once("axial", &["F2"], "axial: focus its pane or show it", Command::ShowPlane(Plane::Axial)),
        once("sagittal", &["F3"], "sagittal", Command::ShowPlane(Plane::Sagittal)),
        once("coronal", &["F4"], "coronal", Command::ShowPlane(Plane::Coronal)),
        held("turn-left", &["Ctrl+Left"], "turn the other planes about the crosshair by 1 degree", Command::TurnBy(-1.0)),
        held("turn-right", &["Ctrl+Right"], "the same the other way round", Command::TurnBy(1.0)),
        held("turn-left-more", &["Ctrl+Shift+Left"], "turn the other planes by 5 degrees", Command::TurnBy(-5.0)),
        held("turn-right-more", &["Ctrl+Shift+Right"], "5 degrees the other way round", Command::TurnBy(5.0)),
        once("upright", &["Ctrl+U"], "planes upright and flat again, slices as acquired", Command::StandUp),
        once("curved", &["Shift+C"], "the focused plane curved along the spinal canal, or flat", Command::ToggleCurved),
        once("lines", &["Shift+X"], "crosshair and lines on or off", Command::ToggleLines),
        once("reformat", &["Ctrl+Alt+R"], "axial slices, made of a series that has none", Command::ReformatAxial),
        held("thinner-slab", &["["], "thinner slab", Command::StepSlab(-1)),
        held("thicker-slab", &["]"], "thicker slab", Command::StepSlab(1)),
        once("slab-projection", &["L"], "slab: mean, MIP, MinIP", Command::CycleProjection),
    ]),
    ("Bone (fourth pane)", &[
        bone("bone-front", &["Ctrl+1"], "bone from the patient's front", Side::Front),
        bone("bone-left", &["Ctrl+2"], "bone from the left", Side::Left),
        bone("bone-right", &["Ctrl+3"], "bone from the right", Side::Right),
        bone("bone-back", &["Ctrl+4"], "bone from the back", Side::Back),
        bone("bone-top", &["Ctrl+5"], "bone from the top", Side::Top),
    ]),
    ("Window", &[
        once("window-1", &["1"], "soft-tissue 300/80", Command::Preset(1)),
        once("window-2", &["2"], "bone 1800/500", Command::Preset(2)),
        once("window-3", &["3"], "gross-bone 650/400", Command::Preset(3)),
        once("window-4", &["4"], "abdomen 400/40", Command::Preset(4)),
        once("window-5", &["5"], "lung 1500/-600", Command::Preset(5)),
        once("window-6", &["6"], "brain 80/40", Command::Preset(6)),
        once("window-7", &["7"], "bone-wide 2500/480", Command::Preset(7)),
        once("window-8", &["8"], "mediastinum 350/50", Command::Preset(8)),
        once("window-9", &["9"], "the first of your own windows", Command::Preset(9)),
        once("store-window", &["Shift+9"], "store the window as the first of your own", Command::StoreUserWindow),
        once("full-range", &["0"], "full range of the values", Command::FullRangeWindow),
        once("file-window", &["`"], "the file's own window", Command::FileWindow),
        once("invert", &["I"], "invert", Command::Invert),
    ]),
    ("View", &[
        once("reset-view", &["R"], "reset zoom, pan, window, inversion", Command::ResetView),
        Action { name: "actual-pixels", what: "one pixel of the image on one of the screen", keys: &["Shift+Z"], does: Does::ActualPixels, repeats: false, in_list: false },
        once("interpolation", &["Shift+P"], "between pixels: linear, cubic sharp, cubic smooth, none", Command::CycleInterpolation),
        once("flip-horizontal", &["H"], "flip left and right", Command::FlipHorizontal),
        once("flip-vertical", &["V"], "flip up and down", Command::FlipVertical),
        tool("tool-window", &["W"], "left button: window", Tool::Window),
        tool("tool-zoom", &["Z"], "left button: zoom", Tool::Zoom),
        tool("tool-pan", &["T"], "left button: translate", Tool::Pan),
        tool("tool-scroll", &["S"], "left button: scroll", Tool::Scroll),
        tool("tool-crosshair", &["X"], "left button: crosshair", Tool::Crosshair),
        Action { name: "magnifier", what: "magnifier while held", keys: &["Q"], does: Does::Magnifier, repeats: false, in_list: false },
        once("image-text", &["O"], "text on the image: full, minimal, none", Command::CycleOverlay),
        once("series-panel", &["F9"], "series panel", Command::TogglePanel(PanelSide::Series)),
        once("findings-panel", &["F10"], "findings panel", Command::TogglePanel(PanelSide::Findings)),
        anywhere("full-screen", &["F11"], "full screen", Command::ToggleFullscreen),
        sized("larger", &["Ctrl++", "Ctrl+="], "larger text and buttons", Command::StepScale(1)),
        sized("smaller", &["Ctrl+-"], "smaller text and buttons", Command::StepScale(-1)),
        anywhere("normal-size", &["Ctrl+0"], "text and buttons at 100 %", Command::StepScale(0)),
    ]),
    ("Measure", &[
        tool("length", &["D"], "length", Tool::Measure(Kind::Length)),
        tool("angle", &["A"], "angle", Tool::Measure(Kind::Angle)),
        tool("cobb", &["Shift+A"], "Cobb angle", Tool::Measure(Kind::Cobb)),
        tool("ellipse", &["Shift+E"], "ellipse: area, mean, SD, range", Tool::Measure(Kind::Ellipse)),
        tool("rectangle", &["Shift+R"], "rectangle", Tool::Measure(Kind::Rectangle)),
        tool("pin", &["P"], "HU pin", Tool::Measure(Kind::Pin)),
        tool("arrow", &["Shift+T"], "arrow with text", Tool::Measure(Kind::Arrow)),
        tool("vertebra", &["Shift+K"], "name vertebrae; peaks then tell their level", Tool::Measure(Kind::Vertebra)),
        tool("window-region", &["Shift+W"], "window from a region", Tool::WindowRegion),
        measure("draw-here", &["Insert", "Ctrl+D"], "draw with the tool at the crosshair, or in the middle of the view", MeasureCommand::DrawHere),
        measure("previous-measurement", &[","], "previous measurement", MeasureCommand::Step(-1)),
        measure("next-measurement", &["."], "next measurement", MeasureCommand::Step(1)),
        measure("next-handle", &["Ctrl+G"], "next handle of the selected one; Alt+arrows move it alone, Esc: all of it", MeasureCommand::StepHandle(1)),
        measure("previous-handle", &["Ctrl+Shift+G"], "previous handle", MeasureCommand::StepHandle(-1)),
        measure("rename-measurement", &["Ctrl+Shift+N"], "name the selected one", MeasureCommand::EditSelected),
        measure("delete", &["Delete", "Backspace"], "delete the selected one", MeasureCommand::DeleteSelected),
        measure("undo", &["Ctrl+Z"], "undo", MeasureCommand::Undo),
        measure("redo", &["Ctrl+Shift+Z", "Ctrl+Y"], "redo", MeasureCommand::Redo),
        measure("key-slice", &["K"], "mark as key slice, for the report", MeasureCommand::ToggleKeySlice),
    ]),
    ("Network", &[
        once("evidence", &["E"], "from the peak at hand to three planes, and back", Command::PeakToEvidence),
        Action { name: "heatmap", what: "heatmap on or off; hold to peek", keys: &["F"], does: Does::Heatmap, repeats: false, in_list: false },
        once("heatmap-style", &["G"], "heatmap: smooth, cells, outline", Command::CycleHeatmapStyle),
        once("occlusion", &["Shift+G"], "occlusion check of the peak; its map or the heatmap", Command::CheckByOcclusion),
        held("heatmap-stronger", &["+", "="], "heatmap stronger", Command::StepHeatmapOpacity(0.05)),
        held("heatmap-weaker", &["-"], "heatmap weaker", Command::StepHeatmapOpacity(-0.05)),
        once("heatmap-everywhere", &["Shift+F"], "heatmap below the threshold too", Command::ToggleHeatmapEverywhere),
        once("reference", &["B"], "reference boxes, where the study has them", Command::ToggleTruth),
        once("analyse", &["Ctrl+R"], "run the analysis again", Command::StartAnalysis),
    ]),
    (READING, &[
        anywhere("worklist", &["F8"], "the worklist of several studies, and back", Command::Worklist(WorklistCommand::Toggle)),
        anywhere("next-study", &["Ctrl+Down"], "next study", Command::Worklist(WorklistCommand::StepStudy(1))),
        anywhere("previous-study", &["Ctrl+Up"], "previous study", Command::Worklist(WorklistCommand::StepStudy(-1))),
        anywhere("blind-first", &["Ctrl+B"], "blind first: results stay hidden until your own verdict", Command::Reading(ReadingCommand::ToggleBlindFirst)),
        reading("verdict-yes", &["Y"], "finding; once the result is seen: agree", ReadingCommand::Reply(Reply::Yes)),
        reading("verdict-unsure", &["U"], "unsure", ReadingCommand::Reply(Reply::Unsure)),
        reading("verdict-no", &["J"], "no finding; once the result is seen: disagree", ReadingCommand::Reply(Reply::No)),
        level("level-1", &["Alt+1"], "level of your verdict: C1", Some(Level::C1)),
        level("level-2", &["Alt+2"], "C2", Some(Level::C2)),
        level("level-3", &["Alt+3"], "C3", Some(Level::C3)),
        level("level-4", &["Alt+4"], "C4", Some(Level::C4)),
        level("level-5", &["Alt+5"], "C5", Some(Level::C5)),
        level("level-6", &["Alt+6"], "C6", Some(Level::C6)),
        level("level-7", &["Alt+7"], "C7", Some(Level::C7)),
        level("level-8", &["Alt+8"], "T1", Some(Level::T1)),
        level("level-none", &["Alt+0"], "no level", None),
        Action { name: "note", what: "write a note", keys: &["Shift+Y"], does: Does::Note, repeats: false, in_list: false },
        anywhere("export-readings", &["Ctrl+Shift+E"], "export verdicts, times and results as CSV", Command::BeginExport(ExportKind::Readings)),
    ]),
    ("Files and window", &[
        anywhere("open-folder", &["Ctrl+O"], "open a folder", Command::PickFolder),
        anywhere("add-folder", &["Ctrl+Alt+O"], "open a folder beside what is open, as one list", Command::PickFolderToAdd),
        anywhere("open-file", &["Ctrl+Shift+O"], "open a zip archive or file", Command::PickFile),
        anywhere("report", &["Ctrl+E"], "export a report", Command::BeginExport(ExportKind::Report)),
        once("save-view", &["Ctrl+Shift+S"], "save the view as PNG", Command::BeginExport(ExportKind::Picture)),
        once("save-panes", &["Ctrl+Alt+S"], "save all panes as one PNG", Command::BeginExport(ExportKind::Panes)),
        once("copy-view", &["Ctrl+C"], "copy the view", Command::CopyPicture),
        once("attributes", &["Ctrl+T"], "DICOM attributes of the slice", Command::ToggleAttributes),
        anywhere("hide-identity", &["Ctrl+Shift+P"], "hide or show the patient's identity", Command::ToggleIdentity),
        anywhere("settings", &["Ctrl+,"], "settings", Command::ToggleSettings),
        anywhere("help", &["?", "F1"], "this sheet", Command::ToggleHelp),
    ]),
];

/// All of them.
pub fn actions() -> impl Iterator<Item = &'static Action> {
    GROUPS.iter().flat_map(|(_, actions)| actions.iter())
}

/// The action that files and settings call so.
pub fn action(name: &str) -> Option<&'static Action> {
    actions().find(|action| action.name == name)
}

/// The keys that a layer has for an action; `None` where it says nothing of it.
type KeysOf<'a> = &'a dyn Fn(&Action) -> Option<Vec<Chord>>;

/// Keys by the names of actions, as files and settings have them.
pub type KeyNames = BTreeMap<String, Vec<String>>;

/// The keys in force.
#[derive(Debug, Default)]
pub struct Keymap {
    keys: BTreeMap<&'static str, Vec<Chord>>,
    by_chord: BTreeMap<Chord, &'static Action>,
    /// Keys that the chosen map gives to an action and that another has: `(action, key, who has it)`.
    lost: Vec<(&'static str, Chord, &'static str)>,
}

impl Keymap {
    /// The program's own keys, overruled by those of a map, overruled by the reader's own: who overrules takes a key away
    /// from whom it had before. Beside it sentences on what could not be understood and was left out.
    pub fn new(map: Option<&KeymapFile>, own: &KeyNames) -> (Self, Vec<String>) {
        let (own, mut problems) = file::understood(own, "Your own keys");
        let mut made = Self::default();
        let layers: [KeysOf<'_>; 3] = [
            &|action| own.get(action.name).cloned(),
            &|action| map.and_then(|map| map.keys.get(action.name)).cloned(),
            &|action| Some(action.keys.iter().filter_map(|key| key.parse().ok()).collect()),
        ];
        for (layer, keys_of) in layers.iter().enumerate() {
            for action in actions().filter(|action| !layers.iter().take(layer).any(|above| above(action).is_some())) {
                let Some(wanted) = keys_of(action) else { continue };
                for chord in wanted {
                    match made.by_chord.get(&chord) {
                        None => {
                            made.by_chord.insert(chord, action);
                            made.keys.entry(action.name).or_default().push(chord);
                        }
                        Some(other) if other.name == action.name => {}
                        Some(other) => {
                            if layer == 0 {
                                let (a, b) = (other.what, action.what);
                                problems.push(format!(
                                    "Your own keys: {chord} is given to \"{a}\" and to \"{b}\"; the first has it."
                                ));
                            }
                            made.lost.push((action.name, chord, other.name));
                        }
                    }
                }
            }
        }
        (made, problems)
    }

    pub fn action(&self, chord: Chord) -> Option<&'static Action> {
        self.by_chord.get(&chord).copied()
    }
    /// The keys of an action; empty where it has none.
    pub fn keys(&self, name: &str) -> &[Chord] {
        self.keys.get(name).map_or(&[], Vec::as_slice)
    }
    /// "Delete, Backspace"; empty where there is none.
    pub fn text(&self, name: &str) -> String {
        self.keys(name).iter().map(Chord::to_string).collect::<Vec<_>>().join(", ")
    }
    /// "Open this (Ctrl+O)", without brackets where there is no key.
    pub fn hint(&self, what: &str, name: &str) -> String {
        match self.keys(name).first() {
            Some(chord) => format!("{what} ({chord})"),
            None => what.to_owned(),
        }
    }
    /// Keys of the chosen map that an action does not have, with who has them.
    pub fn lost(&self, name: &str) -> impl Iterator<Item = (Chord, &'static Action)> {
        let of_it = self.lost.iter().filter(move |(of, ..)| *of == name);
        of_it.filter_map(|(_, chord, other)| Some((*chord, action(other)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(changes: &[(&str, &[&str])]) -> KeyNames {
        let text = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
        changes.iter().map(|(name, keys)| ((*name).to_owned(), text(keys))).collect()
    }

    #[test]
    fn names_and_keys_of_the_table_are_unique_and_understood() {
        let mut names: Vec<&str> = actions().map(|action| action.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut all: Vec<Chord> =
            actions().flat_map(|a| a.keys).map(|key| key.parse().unwrap_or_else(|e| panic!("{e}"))).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "two actions share a key");
        let (map, problems) = Keymap::new(None, &KeyNames::new());
        assert!(problems.is_empty() && actions().all(|action| !map.keys(action.name).is_empty()));
        for chord in all {
            assert_eq!(chord.to_string().parse::<Chord>(), Ok(chord), "{chord}");
            assert_eq!(chord.refused(), None, "{chord}");
        }
    }

    #[test]
    fn what_has_a_meaning_in_the_worklist_has_no_key_of_the_list() {
        for action in actions().filter(|action| action.in_list) {
            for key in action.keys {
                let chord: Chord = key.parse().expect("a key");
                assert_eq!(taken_in_list(&chord), None, "{}: {key}", action.name);
            }
        }
        assert!(taken_in_list(&"N".parse().expect("a key")).is_some_and(|what| what.starts_with("sort")));
    }

    #[test]
    fn the_shipped_maps_are_whole() {
        for map in shipped() {
            assert_eq!(map.problems, [""; 0], "{}", map.name);
            assert!(!map.about.is_empty());
            let (keymap, problems) = Keymap::new(Some(&map), &KeyNames::new());
            assert!(problems.is_empty());
            let without: Vec<&str> = actions().map(|a| a.name).filter(|name| keymap.keys(name).is_empty()).collect();
            assert_eq!(without, [""; 0], "{}: every action keeps a key", map.name);
            for (name, keys) in &map.keys {
                assert_eq!(keymap.keys(name), keys, "{}: {name} has all of its keys", map.name);
            }
        }
    }

    #[test]
    fn own_keys_overrule_the_map_and_take_keys_away() {
        let changes = own(&[("length", &["N"]), ("cine", &[])]);
        let (map, problems) = Keymap::new(None, &changes);
        assert!(problems.is_empty());
        let n: Chord = "n".parse().expect("a key");
        assert_eq!(map.action(n).map(|a| a.name), Some("length"));
        assert!(map.keys("next-peak").is_empty() && map.keys("cine").is_empty());
        assert_eq!(map.lost("next-peak").map(|(c, by)| (c, by.name)).collect::<Vec<_>>(), [(n, "length")]);
        assert_eq!(map.text("delete"), "Delete, Backspace");
        assert_eq!(map.hint("Settings", "settings"), "Settings (Ctrl+,)");
        assert_eq!(map.hint("Cine", "cine"), "Cine");
    }

    #[test]
    fn unknown_names_and_keys_are_told_and_left_out() {
        let changes = own(&[("fly", &["J"]), ("length", &["Hyper+J", "J"]), ("angle", &["J"])]);
        let (map, problems) = Keymap::new(None, &changes);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().any(|p| p.contains("\"fly\"")));
        assert!(problems.iter().any(|p| p.contains("\"Hyper+J\"")));
        assert!(problems.iter().any(|p| p.contains("the first has it")));
        assert_eq!((map.text("length").as_str(), map.text("angle").as_str()), ("J", ""));
    }
}
