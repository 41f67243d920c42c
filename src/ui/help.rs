//! The sheet of keys: those in force, and the mouse.

use egui::RichText;

use super::beside::{self, Beside};
use super::{UiCache, theme};
use crate::state::keymap::{FIXED, GROUPS, LIST, READING};
use crate::state::{AppState, Command};

/// What the mouse does, the same with every map of keys; beside it stand the buttons whose drag is a setting.
const MOUSE: &[(&str, &str)] = &[
    ("Wheel", "slices (Shift: five times as many)"),
    ("Left drag", "window: right wider, up brighter"),
    ("Ctrl+wheel", "zoom"),
    ("Space or Shift + left drag", "pan"),
    ("Alt + left drag", "scroll the stack"),
    ("Double-click", "one pane: fit, then back to all panes or fold the panels; several: this one alone"),
    ("Click, drag a line", "several panes: move the crosshair, move a plane"),
    ("Drag a line's end", "turn the other planes about the crosshair (Alt: that one alone)"),
    ("Drag a square on a curve", "bend the line that a curved plane follows"),
    ("Drag a handle, a line, a label", "change, move a measurement; double-click on a label names it"),
    ("Right click", "menu"),
    ("Drop", "open folders, zip archives or files, several at once"),
];

/// In the fourth pane.
const BONE: &[(&str, &str)] = &[
    ("Left drag, arrows", "turn (arrows: while the pane has the keyboard, Tab)"),
    ("Wheel, right drag; middle drag", "zoom; pan"),
    ("Click, double-click", "crosshair to the bone there; from the front again"),
];

/// Heading of the keys that act on the list.
const IN_LIST: &str = "In the worklist";

/// A column of the sheet is not narrower than this, points.
const COLUMN: f32 = 360.0;
const MOST_COLUMNS: usize = 3;

pub fn show(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    if !state.show_help {
        return;
    }
    let window = Beside { id: "help", size: egui::vec2(COLUMN + 50.0, 2000.0), corner: egui::Align2::RIGHT_TOP };
    window.show(ctx, cache, |ui, cache| {
        let map = state.keymaps().iter().find(|map| map.id == state.settings.keymap);
        let name = map.map_or("dens", |map| map.name.as_str());
        let own = if state.settings.own_keys.is_empty() { "" } else { ", with your own changes" };
        beside::title(ui, "Keys and mouse", &Command::ToggleHelp, cache, commands, |ui, commands| {
            if ui.button("Change keys").clicked() {
                commands.extend([Command::ToggleHelp, Command::ShowKeysPage]);
            }
        });
        ui.label(RichText::new(format!("map: {name}{own}")).color(theme::of(ui).dim));
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let width = ui.available_width();
            sheet(ui, state, width);
            ui.separator();
            ui.label(RichText::new(crate::RESEARCH_LINE).color(theme::of(ui).warning));
            ui.label(
                RichText::new("Bars of the strip are scores of the network named in the findings panel, never probabilities; hatched slices have not been run, a cross is a slice left out.")
                    .small()
                    .color(theme::of(ui).dim),
            );
            ui.label(RichText::new(crate::SOFTWARE).small().color(theme::of(ui).dim));
        });
    });
}

type Block = (String, Vec<(String, String)>);

fn blocks(state: &AppState) -> Vec<Block> {
    let keymap = &state.keymap;
    let owned = |rows: &[(&str, &str)]| rows.iter().map(|(k, w)| ((*k).to_owned(), (*w).to_owned())).collect();
    let s = &state.settings;
    let mut mouse: Vec<(String, String)> = owned(MOUSE);
    for (button, does) in [("Right drag", s.right_drag), ("Middle drag", s.middle_drag)] {
        mouse.insert(2, (button.to_owned(), does.name().to_owned()));
    }
    let mut blocks: Vec<Block> = vec![
        ("Mouse".to_owned(), mouse),
        ("Mouse on the bone (a rendering, not for measuring)".to_owned(), owned(BONE)),
    ];
    for (heading, actions) in GROUPS {
        let row = |action: &crate::state::keymap::Action| {
            let keys = keymap.text(action.name);
            let keys = if keys.is_empty() { "no key".to_owned() } else { keys };
            (keys, action.what.to_owned())
        };
        blocks.push(((*heading).to_owned(), actions.iter().map(row).collect()));
    }
    blocks.push((IN_LIST.to_owned(), owned(LIST)));
    blocks.push(("The same in every map".to_owned(), owned(FIXED)));
    if state.shows_worklist() {
        // What acts on the screen at hand comes first.
        blocks.sort_by_key(|(heading, _)| match heading.as_str() {
            IN_LIST => 0,
            READING => 1,
            _ => 2,
        });
    }
    blocks
}

/// About how many lines a block takes, with its heading.
fn lines(block: &Block) -> usize {
    let row = |(keys, what): &(String, String)| (keys.len().div_ceil(18)).max(what.len().div_ceil(38)).max(1);
    block.1.iter().map(row).sum::<usize>() + 2
}

/// Blocks in columns of about the same height.
fn sheet(ui: &mut egui::Ui, state: &AppState, width: f32) {
    let blocks = blocks(state);
    let columns = ((width / COLUMN) as usize).clamp(1, MOST_COLUMNS);
    let all: usize = blocks.iter().map(lines).sum();
    ui.columns(columns, |columns| {
        let count = columns.len();
        let mut before = 0;
        for this in &blocks {
            let (heading, rows) = this;
            // A block stands where its middle falls.
            let middle = before + lines(this) / 2;
            before += lines(this);
            let column = (middle * count / all.max(1)).min(count - 1);
            if let Some(ui) = columns.get_mut(column) {
                block(ui, heading, rows);
            }
        }
    });
}

fn block(ui: &mut egui::Ui, heading: &str, rows: &[(String, String)]) {
    const GAP: f32 = 12.0;
    super::caption(ui, heading);
    let font = egui::TextStyle::Body.resolve(ui.style());
    let key_width = (ui.available_width() * 0.34).min(200.0);
    let what_width = (ui.available_width() - key_width - GAP).max(60.0);
    ui.spacing_mut().item_spacing.y = 2.0;
    for (keys, what) in rows {
        let keys_galley = ui.painter().layout(keys.clone(), font.clone(), theme::of(ui).text, key_width);
        let what_galley = ui.painter().layout(what.clone(), font.clone(), theme::of(ui).dim, what_width);
        let height = keys_galley.size().y.max(what_galley.size().y);
        let size = egui::vec2(key_width + GAP + what_width, height);
        let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{keys}: {what}")));
        ui.painter().galley(rect.min, keys_galley, theme::of(ui).text);
        ui.painter().galley(rect.min + egui::vec2(key_width + GAP, 0.0), what_galley, theme::of(ui).dim);
    }
    ui.add_space(8.0);
}
