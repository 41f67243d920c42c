//! What is said once before anything else: what this program is not for, and what its network knows. Until it has been
//! acknowledged it stands on the start screen, and as a line above a study that was opened without passing there.

use egui::{RichText, Ui};

use super::theme;
use crate::state::{AppState, Command};

const ACKNOWLEDGE: &str = "I have read this";

/// What the reader has to know, in sentences.
const STATEMENTS: [&str; 3] = [
    "dens is research software. No regulatory clearance has been sought for any use: not for diagnosis, treatment or triage.",
    "The network that comes with it has seen synthetic necks only, made by this program. On a patient its scores and \
     heatmaps mean nothing, and every study that is no synthetic neck is marked so.",
    "A score is no probability, and a low score is not the absence of a fracture.",
];

/// The block on the start screen; nothing once it has been acknowledged.
pub fn block(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    if state.settings.acknowledged {
        return;
    }
    let palette = theme::of(ui);
    let frame = egui::Frame::NONE
        .fill(palette.panel)
        .stroke(egui::Stroke::new(1.0, palette.warning))
        .inner_margin(egui::Margin::symmetric(18, 14));
    frame.show(ui, |ui| {
        ui.set_max_width(620.0);
        ui.label(RichText::new("Before you begin").size(17.0).color(palette.text));
        ui.add_space(4.0);
        for (at, sentence) in STATEMENTS.iter().enumerate() {
            let colour = if at == 0 { palette.warning } else { palette.text };
            ui.label(RichText::new(*sentence).color(colour));
            ui.add_space(4.0);
        }
        if ui.button(ACKNOWLEDGE).clicked() {
            commands.push(Command::AcknowledgeResearchUse);
        }
    });
    ui.add_space(18.0);
}

/// The line above an open study.
pub fn strip(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    if state.settings.acknowledged {
        return;
    }
    let palette = theme::of(ui);
    let frame = egui::Frame::NONE.fill(palette.raised).inner_margin(egui::Margin::symmetric(10, 5));
    egui::Panel::top("first run").frame(frame).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            let text = "Research software, not for diagnosis. The network that comes with it has seen synthetic necks only: on \
                        a patient its scores mean nothing.";
            ui.label(RichText::new(text).color(palette.warning)).on_hover_text(STATEMENTS.join("\n"));
            if ui.button(ACKNOWLEDGE).clicked() {
                commands.push(Command::AcknowledgeResearchUse);
            }
        });
    });
}
