//! Panels and widgets: read the state, emit commands, hand draw lists to `gpu`. Nothing here decides or performs.

mod attributes;
mod beside;
mod beside_pane;
mod bone_pane;
mod dialogs;
mod findings_panel;
mod first_run;
mod help;
mod keys;
mod keys_page;
mod magnifier;
mod measure;
mod measure_panel;
mod operating_panel;
mod overlay;
mod panes;
mod passport_panel;
mod processor;
mod reading_bar;
mod series_panel;
mod side_strip;
mod start;
mod status;
mod strip;
pub mod theme;
mod top_bar;
mod unlock;
mod viewport;
mod wheel;
mod worklist;

use std::collections::HashMap;
use std::sync::Arc;

use crate::geometry::PatientPoint;
use crate::state::{AppState, Command, Thumbnail};
use crate::view::ViewState;
use crate::view::planes::Pane;
use crate::view::surface::SurfaceDraw;

pub use bone_pane::spoken as surface_words;
pub use overlay::{corner_lines, corner_lines_in, heatmap_note, plane_corner_text, plane_heatmap_note};
pub use top_bar::window_title;

/// What the widgets keep between frames and nobody else needs: gestures and uploaded thumbnails.
pub struct UiCache {
    thumbnails: HashMap<usize, (Arc<Thumbnail>, egui::TextureHandle)>,
    gesture: Option<(Pane, viewport::Gesture)>,
    wheel: wheel::Wheel,
    measure: measure::Pointer,
    /// A row of the list of measurements has the keyboard.
    measure_row_focused: bool,
    /// The selected row that the list has been scrolled to.
    measure_scrolled_to: Option<crate::measure::MeasureId>,
    /// The key that holds the heatmap.
    heatmap_key: Option<egui::Key>,
    /// A view or strip that had the keyboard in the last frame: arrows scroll there.
    scrolls_when_focused: Option<egui::Id>,
    attributes: attributes::Panel,
    /// A field of the worklist, of the verdict or of a window has the keyboard; Esc leaves it and closes nothing.
    field_focused: bool,
    /// Tab was pressed while nothing had the keyboard: it goes to the window that lies beside the image.
    focus_enters: bool,
    focus_filter: bool,
    focus_note: bool,
    /// The reader's name while it is being written.
    reader_field: Option<String>,
    /// Where the list has been scrolled to.
    worklist_scrolled_to: Option<usize>,
    narrow_start_handled: bool,
    /// The question for a password that has had the keyboard.
    password_asked: Option<crate::state::RequestId>,
    /// What a drag in the series beside the first is doing.
    beside_gesture: Option<viewport::Gesture>,
    /// The end of the cine's range that is dragged along the strip.
    cine_end: Option<crate::state::CineEnd>,
    /// The place of the patient under the pointer, in this frame and in the last.
    pointed: Option<Pointed>,
    pointed_before: Option<Pointed>,
    /// The focused pane is to show one pixel of the image on one of the screen.
    actual_pixels: bool,
    /// The focused pane's rectangle in points, from the last frame; exports draw the same view.
    pub view_rect: Option<egui::Rect>,
    /// What the last frame showed, for exports.
    pub shown: Vec<Shown>,
    by_processor: processor::Pictures,
    /// The bone's surface and its place as they were last drawn.
    bone_shown: Option<(SurfaceDraw, egui::Rect)>,
    /// Longest edge of a volume that the graphics device can hold, voxels.
    pub max_volume_side: usize,
}

impl Default for UiCache {
    fn default() -> Self {
        Self {
            thumbnails: HashMap::new(),
            gesture: None,
            wheel: wheel::Wheel::default(),
            measure: measure::Pointer::default(),
            measure_row_focused: false,
            measure_scrolled_to: None,
            heatmap_key: None,
            scrolls_when_focused: None,
            attributes: attributes::Panel::default(),
            field_focused: false,
            focus_enters: false,
            focus_filter: false,
            focus_note: false,
            reader_field: None,
            worklist_scrolled_to: None,
            narrow_start_handled: false,
            password_asked: None,
            beside_gesture: None,
            cine_end: None,
            actual_pixels: false,
            pointed: None,
            pointed_before: None,
            view_rect: None,
            shown: Vec::new(),
            by_processor: processor::Pictures::default(),
            bone_shown: None,
            max_volume_side: 2048, // what every device but the oldest can do
        }
    }
}

/// A pane as it stands on the screen, points.
#[derive(Debug, Clone)]
pub struct Shown {
    pub what: ShownPane,
    pub rect: egui::Rect,
}

#[derive(Debug, Clone)]
pub enum ShownPane {
    Pane(Pane),
    /// The second series, and how it is looked at.
    Beside(ViewState),
    Bone(Box<SurfaceDraw>),
}

/// A place of the patient under the pointer, and on which of two series.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pointed {
    beside: bool,
    at: PatientPoint,
}

/// Progress of the running jobs, `(done, total)`; `None` where nothing runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    pub scan: Option<(usize, usize)>,
    pub load: Option<(usize, usize)>,
    pub analysis: Option<(usize, usize)>,
    pub occlusion: Option<(usize, usize)>,
    /// Of the worklist's study under analysis.
    pub queue: Option<(usize, usize)>,
    /// Of the axial slices being made.
    pub reformat: Option<(usize, usize)>,
    /// Of the canal being found.
    pub canal: Option<(usize, usize)>,
    pub export: bool,
}

/// Everything on the screen for this frame; answers with the wishes of the user.
pub fn show(ui: &mut egui::Ui, state: &AppState, cache: &mut UiCache, progress: Progress) -> Vec<Command> {
    let mut commands = Vec::new();
    keys::read(ui.ctx(), state, cache, &mut commands);
    dropped_files(ui.ctx(), &mut commands);
    if state.cine.is_some() && ui.input(|input| keys::stops_cine(input, state)) {
        commands.push(Command::StopCine);
    }

    top_bar::show(ui, state, &mut commands);
    status::show(ui, state, progress, &mut commands);
    if state.shows_worklist() || state.active.is_some() {
        first_run::strip(ui, state, &mut commands);
    }
    if state.shows_worklist() {
        cache.by_processor.clear();
        egui::CentralPanel::default()
            .frame(egui::Frame::NONE.fill(theme::of(ui).background))
            .show(ui, |ui| worklist::show(ui, state, cache, progress, &mut commands));
    } else if state.active.is_some() {
        reading_bar::show(ui, state, cache, &mut commands);
        let narrow = ui.available_width() < 1400.0;
        if narrow && !cache.narrow_start_handled && state.settings.show_series {
            commands.push(Command::TogglePanel(crate::state::PanelSide::Series));
        }
        cache.narrow_start_handled = true;
        if state.settings.show_series {
            series_panel::show(ui, state, cache, &mut commands);
        }
        if state.settings.show_findings {
            findings_panel::show(ui, state, cache, &mut commands);
        }
        strip::show(ui, state, cache, &mut commands);
        egui::CentralPanel::default()
            .frame(egui::Frame::NONE.fill(egui::Color32::BLACK))
            .show(ui, |ui| panes::show(ui, state, cache, &mut commands));
    } else {
        cache.by_processor.clear();
        cache.bone_shown = None;
        egui::CentralPanel::default()
            .frame(egui::Frame::NONE.fill(theme::of(ui).background))
            .show(ui, |ui| start::show(ui, state, progress, &mut commands));
    }
    if !state.shows_worklist() {
        attributes::show(ui.ctx(), state, &mut cache.attributes, &mut commands);
    }
    dialogs::show(ui.ctx(), state, progress, cache, &mut commands);
    unlock::show(ui.ctx(), state, cache, &mut commands);
    help::show(ui.ctx(), state, cache, &mut commands);
    commands
}

fn dropped_files(ctx: &egui::Context, commands: &mut Vec<Command>) {
    let dropped: Vec<_> = ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_owned()).collect());
    if !dropped.is_empty() {
        let adds = ctx.input(|i| i.modifiers.shift);
        commands.push(if adds { Command::AddPaths(dropped) } else { Command::OpenPaths(dropped) });
    }
    let hovered = ctx.input(|i| i.raw.hovered_files.len());
    if hovered > 0 {
        let painter = ctx.layer_painter(egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop")));
        let rect = ctx.content_rect();
        painter.rect_filled(rect, 0.0, egui::Color32::from_black_alpha(200));
        painter.text(
            rect.center(),
            egui::Align2::CENTER_CENTER,
            match hovered {
                1 => "Drop to open this folder, zip archive or file; with Shift beside what is open".to_owned(),
                n => format!("Drop to open these {n} together; with Shift beside what is open"),
            },
            egui::FontId::proportional(22.0),
            theme::TEXT,
        );
    }
}

/// A small caption above a block of a side panel.
fn caption(ui: &mut egui::Ui, text: &str) {
    ui.label(egui::RichText::new(text.to_uppercase()).small().color(theme::of(ui).dim));
}

/// A view or strip that has the keyboard: the arrows up and down scroll it, and it is seen that it has it.
fn scrolls_with_arrows(ui: &egui::Ui, response: &egui::Response, cache: &mut UiCache) {
    if !response.has_focus() {
        return;
    }
    let filter = egui::EventFilter { vertical_arrows: true, horizontal_arrows: true, ..Default::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    cache.scrolls_when_focused = Some(response.id);
    theme::focus_ring(ui.painter(), response.rect);
}
