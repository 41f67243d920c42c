//! The sheet of keys.

use egui::RichText;

use super::{keys, theme};
use crate::state::{AppState, Command};

pub fn show(ctx: &egui::Context, state: &AppState, commands: &mut Vec<Command>) {
    if !state.show_help {
        return;
    }
    let modal = egui::Modal::new(egui::Id::unique("help")).show(ctx, |ui| {
        ui.set_width((ctx.content_rect().width() - 80.0).min(920.0));
        ui.horizontal(|ui| {
            ui.heading("Keys and mouse");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Close").on_hover_text("Esc").clicked() {
                    commands.push(Command::ToggleHelp);
                }
            });
        });
        ui.separator();
        let height = ctx.content_rect().height() - 110.0;
        egui::ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
            ui.columns(2, |columns| {
                for (i, (heading, rows)) in keys::HELP.iter().enumerate() {
                    let Some(ui) = columns.get_mut(usize::from(i >= 4)) else { continue };
                    block(ui, heading, rows);
                }
            });
            ui.separator();
            ui.label(RichText::new(crate::RESEARCH_LINE).color(theme::WARNING));
            ui.label(
                RichText::new("Bars of the strip are scores of the network named in the findings panel, never probabilities; hatched slices have not been run, a cross is a slice left out.")
                    .small()
                    .color(theme::DIM),
            );
            ui.label(RichText::new(crate::SOFTWARE).small().color(theme::DIM));
        });
    });
    if modal.backdrop_response.clicked() {
        commands.push(Command::ToggleHelp);
    }
}

fn block(ui: &mut egui::Ui, heading: &str, rows: &[(&str, &str)]) {
    const GAP: f32 = 14.0;
    super::caption(ui, heading);
    let font = egui::TextStyle::Body.resolve(ui.style());
    let key_width = (ui.available_width() * 0.42).min(250.0);
    let what_width = (ui.available_width() - key_width - GAP).max(60.0);
    for (keys, what) in rows {
        let keys_galley = ui.painter().layout((*keys).to_owned(), font.clone(), theme::TEXT, key_width);
        let what_galley = ui.painter().layout((*what).to_owned(), font.clone(), theme::DIM, what_width);
        let height = keys_galley.size().y.max(what_galley.size().y);
        let size = egui::vec2(key_width + GAP + what_width, height);
        let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{keys}: {what}")));
        ui.painter().galley(rect.min, keys_galley, theme::TEXT);
        ui.painter().galley(rect.min + egui::vec2(key_width + GAP, 0.0), what_galley, theme::DIM);
    }
    ui.add_space(8.0);
}
