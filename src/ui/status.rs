//! The line at the bottom: the research line that cannot be turned off, progress with cancel, notices.

use egui::{Align, Layout, RichText};

use super::{Progress, theme};
use crate::state::{AnalysisState, AppState, Command, Severity};

pub fn show(ui: &mut egui::Ui, state: &AppState, progress: Progress, commands: &mut Vec<Command>) {
    let frame = egui::Frame::NONE.fill(theme::of(ui).panel).inner_margin(egui::Margin::symmetric(10, 4));
    egui::Panel::bottom("status").frame(frame).show(ui, |ui| {
        ui.horizontal(|ui| {
            let line = if ui.available_width() > 1150.0 { crate::RESEARCH_LINE } else { crate::RESEARCH_LINE_SHORT };
            ui.label(RichText::new(line).color(theme::of(ui).warning).small());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                notices_button(ui, state, commands);
                if let Some(p) = progress.scan {
                    bar(ui, "reading headers", p, Command::CancelLoading, commands);
                }
                if let Some(p) = progress.load {
                    bar(ui, "loading slices", p, Command::CancelLoading, commands);
                }
                if progress.export {
                    ui.label(RichText::new("writing the export").small().color(theme::of(ui).dim));
                }
                if let Some(p) = progress.occlusion {
                    bar(ui, "covering patches", p, Command::CancelOcclusion, commands);
                }
                if let Some(p) = progress.reformat.filter(|_| state.is_reformatting()) {
                    bar(ui, "reformatting to axial", p, Command::CancelReformat, commands);
                }
                if let Some(p) = progress.canal.filter(|_| state.is_finding_canal()) {
                    bar(ui, "finding the canal", p, Command::CancelCanal, commands);
                }
                match (&state.analysis, progress.analysis) {
                    (AnalysisState::Running, Some(p)) => {
                        bar(ui, "analysing", p, Command::CancelAnalysis, commands);
                    }
                    (AnalysisState::Preparing(what), Some(_)) => {
                        if ui.small_button("x").on_hover_text("Cancel the analysis").clicked() {
                            commands.push(Command::CancelAnalysis);
                        }
                        ui.label(RichText::new(*what).small().color(theme::of(ui).dim));
                    }
                    _ => {}
                }
            });
        });
    });
}

fn bar(ui: &mut egui::Ui, what: &str, (done, total): (usize, usize), cancel: Command, commands: &mut Vec<Command>) {
    let response = ui.small_button("x").on_hover_text("Cancel").accessible_name(format!("Cancel {what}"));
    if response.clicked() {
        commands.push(cancel);
    }
    let fraction = if total == 0 { 0.0 } else { done as f32 / total as f32 };
    let (rect, response) = ui.allocate_exact_size(egui::vec2(120.0, 6.0), egui::Sense::hover());
    let painter = ui.painter();
    painter.rect_filled(rect, 1.0, theme::of(ui).raised);
    let filled =
        egui::Rect::from_min_size(rect.min, egui::vec2(rect.width() * fraction.clamp(0.0, 1.0), rect.height()));
    painter.rect_filled(filled, 1.0, theme::of(ui).accent);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, format!("{what}: {done} of {total}"))
    });
    let text = if total == 0 { what.to_owned() } else { format!("{what} {done}/{total}") };
    ui.label(RichText::new(text).small().color(theme::of(ui).dim));
}

fn notices_button(ui: &mut egui::Ui, state: &AppState, commands: &mut Vec<Command>) {
    if state.notices.is_empty() {
        return;
    }
    let worst = state.notices.iter().map(|n| n.severity).max().unwrap_or(Severity::Info);
    let colour = match worst {
        Severity::Info => theme::of(ui).dim,
        Severity::Warning => theme::of(ui).warning,
        Severity::Error => theme::of(ui).stop,
    };
    let n = state.notices.len();
    let text = if n == 1 { "1 notice".to_owned() } else { format!("{n} notices") };
    if ui.small_button(RichText::new(text).color(colour)).clicked() {
        commands.push(Command::ToggleNotices);
    }
    if let Some(last) = state.notices.last().filter(|_| !state.show_notices) {
        let available = ui.available_width() - 40.0;
        if available > 200.0 {
            let shown = last.shown(state.hide_identity);
            let label = egui::Label::new(RichText::new(&*shown).small().color(colour)).truncate();
            ui.add_sized(egui::vec2(available.min(420.0), 14.0), label).on_hover_text(&*shown);
        }
    }
}
