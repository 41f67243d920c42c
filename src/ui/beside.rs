//! Windows beside which the image stays in use, by mouse and keys: movable, scrolled inside, closed by Esc and by a button.
//! They are for what decides nothing; what has to be answered is asked in front of everything.

use egui::{Align2, RichText, Ui, Vec2, vec2};

use super::UiCache;
use crate::state::Command;

/// Room for the bars at the top and at the bottom, points.
const BARS: [f32; 2] = [44.0, 34.0];
const EDGE: f32 = 8.0;

/// What such a window is: its name, how large it opens, and in which corner.
pub struct Beside {
    pub id: &'static str,
    pub size: Vec2,
    pub corner: Align2,
}

impl Beside {
    pub fn show(&self, ctx: &egui::Context, cache: &mut UiCache, contents: impl FnOnce(&mut Ui, &mut UiCache)) {
        let screen = ctx.content_rect();
        let mut room = screen.shrink(EDGE);
        room.min.y = screen.top() + BARS[0];
        room.max.y = (screen.bottom() - BARS[1]).max(room.min.y + 120.0);
        let frame = egui::Frame::window(&ctx.global_style());
        let edges = frame.total_margin().sum();
        let size = self.size.min(room.size() - edges).max(vec2(200.0, 100.0));
        let place = self.corner.align_size_within_rect(size + edges, room);
        egui::Window::new(self.id)
            .id(egui::Id::unique(self.id))
            .title_bar(false)
            .frame(frame)
            .default_pos(place.min)
            .default_size(size)
            .min_size(vec2(200.0, 100.0))
            .show(ctx, |ui| {
                contents(ui, cache);
                // Esc leaves a field that is being written in before it closes the window around it.
                let focused = ctx.memory(|m| m.focused()).filter(|_| ctx.text_edit_focused());
                let within = focused.and_then(|id| ctx.read_response(id)).is_some_and(|r| r.layer_id == ui.layer_id());
                cache.field_focused |= within;
            });
    }
}

/// Its first line: what it is, buttons, and what closes it.
pub fn title(
    ui: &mut Ui,
    text: &str,
    close: &Command,
    cache: &UiCache,
    commands: &mut Vec<Command>,
    buttons: impl FnOnce(&mut Ui, &mut Vec<Command>),
) {
    ui.horizontal(|ui| {
        // A drag that begins on it moves the window.
        ui.add(egui::Label::new(RichText::new(text).heading()).selectable(false));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let response = ui.button("Close").on_hover_text("Esc");
            if cache.focus_enters {
                response.request_focus();
            }
            if response.clicked() {
                commands.push(close.clone());
            }
            buttons(ui, commands);
        });
    });
    ui.separator();
}
