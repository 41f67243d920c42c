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
        egui::ScrollArea::vertical().max_height(ctx.content_rect().height() - 150.0).show(ui, |ui| {
            ui.columns(2, |columns| {
                for (i, (heading, rows)) in keys::HELP.iter().enumerate() {
                    let Some(ui) = columns.get_mut(usize::from(i >= 2)) else { continue };
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
    super::caption(ui, heading);
    egui::Grid::new(heading).num_columns(2).spacing([14.0, 3.0]).show(ui, |ui| {
        for (keys, what) in rows {
            ui.label(RichText::new(*keys).color(theme::TEXT));
            ui.add(egui::Label::new(RichText::new(*what).color(theme::DIM)).wrap());
            ui.end_row();
        }
    });
    ui.add_space(8.0);
}
