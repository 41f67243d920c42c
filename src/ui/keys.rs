//! The keyboard, in one table that the help sheet prints too.

use egui::{Event, Key, Modifiers};

use super::UiCache;
use crate::geometry::Plane;
use crate::measure::Kind;
use crate::state::{AppState, Command, ExportKind, MeasureCommand, PanelSide, Tool};
use crate::view::planes::Layout;

/// `(keys, what they do)`, grouped under headings, as shown by `?` and in the README.
pub const HELP: &[(&str, &[(&str, &str)])] = &[
    (
        "Slices",
        &[
            ("Wheel, Up, Down", "one slice (Shift: 5 by wheel, 10 by key)"),
            ("Home, End", "first, last slice"),
            ("PgUp, PgDn, Left, Right", "previous, next series"),
            ("N, Shift+N", "next, previous peak of the strip; planes go to where the network looked"),
            ("Alt + left drag", "scroll the stack"),
            ("C", "cine: play the slices; any key or click stops it (pace in the settings)"),
        ],
    ),
    (
        "Planes",
        &[
            ("M, Shift+M", "three planes and back, 2 x 2"),
            ("F2, F3, F4", "axial, sagittal, coronal: focus, or show when there is one pane"),
            ("Click, drag a line", "move the crosshair, move a plane"),
            ("X, Shift+X", "left button moves the crosshair; lines on or off"),
            ("[ ]", "thinner, thicker slab"),
            ("L", "slab: mean, MIP, MinIP"),
        ],
    ),
    (
        "Window",
        &[
            ("Left drag", "window: right wider, up brighter"),
            ("1 2 3", "soft-tissue 300/80, bone 1800/500, gross-bone 650/400"),
            ("4 5 6", "abdomen 400/40, lung 1500/-600, brain 80/40"),
            ("7 8 9", "bone-wide 2500/480, mediastinum 350/50, your own"),
            ("Shift+9", "store the present window as your own"),
            ("0, `", "full range, the file's own window"),
            ("I", "invert"),
        ],
    ),
    (
        "View",
        &[
            ("Right drag, Ctrl+wheel", "zoom"),
            ("Middle drag, Space or Shift + left drag", "pan"),
            ("Double-click", "one pane: fit, then back to all panes or fold the panels; several: this one alone"),
            ("R", "reset zoom, pan, window and inversion"),
            ("H, V", "flip horizontally, vertically"),
            ("W, Z, T, S, X", "left button: window, zoom, translate, scroll, crosshair"),
            ("Hold Q", "magnifier at the pointer"),
            ("O", "text on the image: full, minimal, none"),
            ("F9, F10, F11", "series panel, findings panel, full screen"),
        ],
    ),
    (
        "Measure",
        &[
            ("D, A, Shift+A", "length, angle, Cobb angle"),
            ("Shift+E, Shift+R", "ellipse, rectangle: area, mean, SD, range"),
            ("P, Shift+T", "HU pin, arrow with text"),
            ("Shift+W", "window from a region"),
            ("Drag a handle, a line, a label", "change, move; double-click on a label names it"),
            (", .", "previous, next measurement; in the list Tab and Enter do the same"),
            ("Alt+arrows", "move the selected one by 1 mm (Shift: 0.1 mm)"),
            ("Del, Backspace", "delete the selected one"),
            ("Ctrl+Z, Ctrl+Shift+Z, Ctrl+Y", "undo, redo"),
            ("K", "mark the slice as a key slice, for the report"),
        ],
    ),
    (
        "Network",
        &[
            ("E", "from the peak at hand to three planes through where the network looked, and back"),
            ("F", "heatmap on or off; hold to peek"),
            ("G", "heatmap: smooth, the network's own cells, outline at half of the maximum"),
            ("Shift+G", "occlusion check of the peak at hand; then its map or the heatmap"),
            ("+, -", "heatmap opacity"),
            ("Shift+F", "heatmap below the threshold too"),
            ("B", "reference boxes and their marks on the strip, where the study has them"),
            ("Ctrl+R", "run the analysis again"),
        ],
    ),
    (
        "Files",
        &[
            (
                "Ctrl+O, Ctrl+Shift+O",
                "open a folder, a zip archive or file; both can be dropped on the window, several at once",
            ),
            ("Ctrl+E", "export a report (PDF, PNG or JSON)"),
            ("Ctrl+Shift+S", "save the view as PNG"),
            ("Ctrl+C", "copy the view"),
            ("Ctrl+T", "DICOM attributes of the slice"),
            ("Ctrl+Shift+P", "hide or show the patient's identity"),
            ("Ctrl+, ", "settings"),
            ("?, Esc", "this sheet, close the topmost thing"),
        ],
    ),
];

/// Turns this frame's key events into commands.
pub fn read(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let typing = ctx.text_edit_focused();
    let widget_focused = ctx.memory(|m| m.focused().is_some());
    let (events, time_s) = ctx.input(|i| (i.events.clone(), i.time));
    let in_attributes = cache.attributes.focused_line.is_some();
    let in_list = std::mem::take(&mut cache.measure_row_focused);
    for event in events {
        match event {
            Event::Copy if !typing && cache.attributes.focused_line.is_some() => {
                let line = cache.attributes.focused_line;
                commands.extend(line.map(|line| Command::CopyAttribute { line, whole: false }));
            }
            Event::Copy if !typing => commands.push(Command::CopyPicture),
            // An open menu closes by itself, and nothing else with it.
            Event::Key { key: Key::Escape, pressed: true, .. } if egui::Popup::is_any_open(ctx) => {}
            Event::Key { key: Key::Escape, pressed: true, .. } => commands.push(Command::Escape),
            Event::Key { key: Key::F, pressed, repeat: false, modifiers, .. } if !typing && modifiers.is_none() => {
                cache.f_down = pressed;
                commands.push(Command::HeatmapKey { down: pressed, time_s });
            }
            // The release counts even when a modifier or another widget came between.
            Event::Key { key: Key::F, pressed: false, .. } if cache.f_down => {
                cache.f_down = false;
                commands.push(Command::HeatmapKey { down: false, time_s });
            }
            Event::Key { key, pressed: true, modifiers, repeat, .. } if !typing => {
                let moves_focus = matches!(
                    key,
                    Key::ArrowDown | Key::ArrowUp | Key::ArrowLeft | Key::ArrowRight | Key::Space | Key::Enter
                ) || (in_attributes
                    && matches!(key, Key::Home | Key::End | Key::PageUp | Key::PageDown));
                if let Some(steps) = arrow(key).filter(|_| in_list || modifiers.alt) {
                    commands.push(Command::Measure(MeasureCommand::Nudge { steps, fine: modifiers.shift }));
                    continue;
                }
                if widget_focused && moves_focus {
                    continue;
                }
                commands.extend(command_for(key, modifiers, repeat, state));
            }
            _ => {}
        }
    }
}

fn command_for(key: Key, modifiers: Modifiers, repeat: bool, state: &AppState) -> Option<Command> {
    if modifiers.command {
        return with_control(key, modifiers, repeat);
    }
    if modifiers.alt {
        return None;
    }
    let shift = modifiers.shift;
    let repeatable = match key {
        Key::ArrowDown => Some(Command::ScrollBy(if shift { 10 } else { 1 })),
        Key::ArrowUp => Some(Command::ScrollBy(if shift { -10 } else { -1 })),
        Key::OpenBracket => Some(Command::StepSlab(-1)),
        Key::CloseBracket => Some(Command::StepSlab(1)),
        Key::Plus | Key::Equals => Some(Command::SetHeatmapOpacity(state.settings.heatmap_opacity + 0.05)),
        Key::Minus => Some(Command::SetHeatmapOpacity(state.settings.heatmap_opacity - 0.05)),
        _ => None,
    };
    if repeatable.is_some() || repeat {
        return repeatable;
    }
    if let Some(number) = digit(key) {
        return Some(match (number, shift) {
            (9, true) => Command::StoreUserWindow,
            (0, _) => Command::FullRangeWindow,
            (n, _) => Command::Preset(n),
        });
    }
    Some(match key {
        // Further than any stack is long.
        Key::Home => Command::ScrollBy(-1_000_000),
        Key::End => Command::ScrollBy(1_000_000),
        Key::PageDown | Key::ArrowRight => Command::StepSeries(1),
        Key::PageUp | Key::ArrowLeft => Command::StepSeries(-1),
        Key::Backtick => Command::FileWindow,
        Key::B => Command::ToggleTruth,
        Key::E if shift => Command::SetTool(Tool::Measure(Kind::Ellipse)),
        Key::E => Command::PeakToEvidence,
        Key::G if shift => Command::CheckByOcclusion,
        Key::G => Command::CycleHeatmapStyle,
        Key::I => Command::Invert,
        Key::R if shift => Command::SetTool(Tool::Measure(Kind::Rectangle)),
        Key::R => Command::ResetView,
        Key::O => Command::CycleOverlay,
        Key::H => Command::FlipHorizontal,
        Key::V => Command::FlipVertical,
        Key::N if shift => Command::PreviousPeak,
        Key::N => Command::NextPeak,
        Key::F if shift => Command::SetHeatmapEverywhere(!state.settings.heatmap_everywhere),
        Key::M if shift => Command::SetLayout(Layout::Four),
        Key::M => Command::ToggleLayout,
        Key::F2 => Command::ShowPlane(Plane::Axial),
        Key::F3 => Command::ShowPlane(Plane::Sagittal),
        Key::F4 => Command::ShowPlane(Plane::Coronal),
        Key::L => Command::CycleProjection,
        Key::D => Command::SetTool(Tool::Measure(Kind::Length)),
        Key::A if shift => Command::SetTool(Tool::Measure(Kind::Cobb)),
        Key::A => Command::SetTool(Tool::Measure(Kind::Angle)),
        Key::P => Command::SetTool(Tool::Measure(Kind::Pin)),
        Key::T if shift => Command::SetTool(Tool::Measure(Kind::Arrow)),
        Key::W if shift => Command::SetTool(Tool::WindowRegion),
        Key::Comma => Command::Measure(MeasureCommand::Step(-1)),
        Key::Period => Command::Measure(MeasureCommand::Step(1)),
        Key::Delete | Key::Backspace => Command::Measure(MeasureCommand::DeleteSelected),
        Key::C => Command::ToggleCine,
        Key::K => Command::Measure(MeasureCommand::ToggleKeySlice),
        Key::X if shift => Command::ToggleLines,
        Key::X => Command::SetTool(Tool::Crosshair),
        Key::W => Command::SetTool(Tool::Window),
        Key::Z => Command::SetTool(Tool::Zoom),
        Key::T => Command::SetTool(Tool::Pan),
        Key::S => Command::SetTool(Tool::Scroll),
        Key::Questionmark => Command::ToggleHelp,
        // On layouts where the question mark is not reported as its own key.
        Key::Slash if shift => Command::ToggleHelp,
        Key::F1 => Command::ToggleHelp,
        Key::F9 => Command::TogglePanel(PanelSide::Series),
        Key::F10 => Command::TogglePanel(PanelSide::Findings),
        Key::F11 => Command::ToggleFullscreen,
        _ => return None,
    })
}

fn with_control(key: Key, modifiers: Modifiers, repeat: bool) -> Option<Command> {
    if repeat {
        return None;
    }
    Some(match (key, modifiers.shift) {
        (Key::O, false) => Command::PickFolder,
        (Key::O, true) => Command::PickFile,
        (Key::E, false) => Command::BeginExport(ExportKind::Report),
        (Key::S, true) => Command::BeginExport(ExportKind::Picture),
        (Key::P, true) => Command::ToggleIdentity,
        (Key::R, false) => Command::StartAnalysis,
        (Key::Comma, false) => Command::ToggleSettings,
        (Key::T, false) => Command::ToggleAttributes,
        (Key::Z, false) => Command::Measure(MeasureCommand::Undo),
        (Key::Z, true) | (Key::Y, false) => Command::Measure(MeasureCommand::Redo),
        _ => return None,
    })
}

/// Steps to the right and down.
fn arrow(key: Key) -> Option<[i32; 2]> {
    match key {
        Key::ArrowRight => Some([1, 0]),
        Key::ArrowLeft => Some([-1, 0]),
        Key::ArrowDown => Some([0, 1]),
        Key::ArrowUp => Some([0, -1]),
        _ => None,
    }
}

fn digit(key: Key) -> Option<usize> {
    const DIGITS: [Key; 10] =
        [Key::Num0, Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];
    DIGITS.iter().position(|d| *d == key)
}
