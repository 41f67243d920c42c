//! What the network said, in sentences. The model and what it was trained on stand above everything that scrolls.

use egui::{RichText, Ui};

use super::{UiCache, caption, measure_panel, operating_panel, passport_panel, strip, theme};
use crate::findings::describe::{calibration_line, earlier_line, verdict};
use crate::findings::{Findings, ModelInfo, SliceState};
use crate::state::{ActiveSeries, AnalysisState, AppState, Command, HIDDEN, OcclusionState};
use crate::view::MAX_HEATMAP_OPACITY;

const EARLIER_HINT: &str =
    "Kept for the same voxels, geometry, weights, recipe and device. Run again computes it anew.";

pub fn show(ui: &mut Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(active) = &state.active else { return };
    let frame = egui::Frame::NONE.fill(theme::PANEL).inner_margin(egui::Margin::symmetric(10, 8));
    egui::Panel::right("findings").frame(frame).default_size(264.0).size_range(210.0..=460.0).show(ui, |ui| {
        caption(ui, "Findings");
        let passport = state.passport();
        if let Some(passport) = &passport {
            passport_panel::verdict(ui, passport);
        }
        if state.results_hidden() {
            hidden(ui, state);
        } else {
            status(ui, state, commands);
        }
        case_score(ui, state);
        model(ui, state, commands);
        ui.separator();
        egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            if let Some(findings) = state.findings() {
                peaks(ui, state, active, findings, commands);
            }
            measure_panel::show(ui, state, active, cache, commands);
            if let Some(passport) = &passport {
                passport_panel::lines(ui, passport);
            }
            if !state.results_hidden() {
                operating_panel::show(ui, state, commands);
                heatmap(ui, state, commands);
            }
        });
    });
}

/// What stands where results would: how far the analysis is, and how they come into sight.
fn hidden(ui: &mut Ui, state: &AppState) {
    let analysis = match &state.analysis {
        AnalysisState::NotRun => "not run".to_owned(),
        AnalysisState::Preparing(_) | AnalysisState::Running => "running".to_owned(),
        AnalysisState::Done => "done".to_owned(),
        AnalysisState::Cancelled => "cancelled".to_owned(),
        AnalysisState::Failed(why) => format!("failed: {why}"),
        AnalysisState::NotApplicable(why) | AnalysisState::Stopped(why) => why.clone(),
    };
    ui.label(RichText::new(format!("analysis: {analysis}")).color(theme::DIM));
    ui.label(RichText::new(format!("Results are {HIDDEN}.")).color(theme::WARNING));
    let keys = "Y finding, U unsure, J no finding above your threshold; Enter commits and reveals.";
    ui.label(RichText::new(keys).small().color(theme::DIM));
    ui.add_space(4.0);
}

fn status(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let (done, total) = state.findings().map_or((0, 0), Findings::progress);
    let percent = (done * 100).checked_div(total).unwrap_or(0);
    let (text, colour) = match &state.analysis {
        AnalysisState::NotRun if state.is_loading() => ("waiting for the slices".to_owned(), theme::DIM),
        AnalysisState::NotRun => ("not run".to_owned(), theme::DIM),
        AnalysisState::Preparing(what) => ((*what).to_owned(), theme::DIM),
        AnalysisState::Running => (format!("running, {percent} %, {done} of {total} slices"), theme::TEXT),
        AnalysisState::Done => (format!("done, {total} slices"), theme::TEXT),
        AnalysisState::Cancelled => {
            (format!("cancelled at {done} of {total} slices; what was scored is kept"), theme::DIM)
        }
        AnalysisState::Failed(why) => (format!("failed: {why}"), theme::STOP),
        AnalysisState::NotApplicable(why) => (why.clone(), theme::STOP),
        // The reasons stand one by one in the passport below.
        AnalysisState::Stopped(_) => ("no score: the input passport says why".to_owned(), theme::STOP),
    };
    ui.label(RichText::new(text).color(colour));
    match &state.analysis {
        AnalysisState::Running | AnalysisState::Preparing(_) => {
            if ui.button("Cancel analysis").clicked() {
                commands.push(Command::CancelAnalysis);
            }
        }
        AnalysisState::NotApplicable(_) => {}
        AnalysisState::Stopped(_) => {
            let text = "The score will stand in amber with these reasons beside it";
            if ui.button("Score all the same").on_hover_text(text).clicked() {
                commands.push(Command::ForceAnalysis);
            }
        }
        AnalysisState::NotRun => {
            if ui.add_enabled(!state.is_loading(), egui::Button::new("Analyse")).on_hover_text("Ctrl+R").clicked() {
                commands.push(Command::StartAnalysis);
            }
        }
        _ => {
            if ui.button("Run again").on_hover_text("Ctrl+R").clicked() {
                commands.push(Command::StartAnalysis);
            }
        }
    }
}

fn case_score(ui: &mut Ui, state: &AppState) {
    let Some(findings) = state.findings() else { return };
    ui.add_space(4.0);
    match &findings.case {
        Some(case) => {
            ui.horizontal(|ui| {
                let colour = if findings.doubts.is_empty() { theme::TEXT } else { theme::WARNING };
                let number = RichText::new(format!("{:.3}", case.score)).size(30.0).color(colour);
                ui.label(number);
                ui.vertical(|ui| {
                    ui.label(RichText::new("case score").color(theme::TEXT));
                    ui.label(RichText::new(verdict(findings)).color(theme::TEXT));
                    let side = if case.score >= findings.case_threshold() { "at or above" } else { "below" };
                    let text = format!("{side} threshold {:.3}", findings.case_threshold());
                    ui.label(RichText::new(text).small().color(theme::DIM));
                });
            });
        }
        None => {
            ui.label(RichText::new("case score: after the last slice").color(theme::DIM));
        }
    }
    for doubt in &findings.doubts {
        ui.label(RichText::new(&doubt.text).color(theme::WARNING));
    }
    if let Some(line) = calibration_line(&findings.provenance.model) {
        ui.label(RichText::new(line).small().color(theme::DIM));
    }
}

fn model(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    match state.findings().map(|f| &f.provenance.model).or(state.model.as_ref()) {
        Some(model) => {
            let colour = if model.trained { theme::TEXT } else { theme::WARNING };
            ui.label(RichText::new(trained_line(model)).strong().color(colour));
            let line = format!("{}, {}", model.name, model.short_hash());
            ui.label(RichText::new(line).small().color(theme::DIM)).on_hover_text(format!("SHA-256 {}", model.sha256));
            if !model.name.contains(&model.architecture) {
                ui.label(RichText::new(&model.architecture).small().color(theme::DIM));
            }
        }
        None => {
            ui.label(RichText::new("no network has been read yet").small().color(theme::DIM));
        }
    }
    if let Some(findings) = state.findings() {
        let p = &findings.provenance;
        let mut line = format!("{}, recipe {}", p.device, p.recipe);
        if findings.seconds.total > 0.0 {
            line += &format!(", {:.1} s", findings.seconds.total);
        }
        ui.label(RichText::new(line).small().color(theme::DIM));
        if let Some(line) = earlier_line(p) {
            ui.label(RichText::new(line).small().color(theme::TEXT)).on_hover_text(EARLIER_HINT);
        }
    }
    ui.horizontal(|ui| {
        if ui.small_button("Other weights").on_hover_text("A .safetensors file with a model card").clicked() {
            commands.push(Command::PickModel);
        }
        if state.settings.model.is_some() && ui.small_button("Built-in weights").clicked() {
            commands.push(Command::UseModel(None));
        }
    });
}

fn trained_line(model: &ModelInfo) -> String {
    if model.trained { format!("trained on: {}", model.trained_on) } else { model.trained_on.clone() }
}

fn peaks(ui: &mut Ui, state: &AppState, active: &ActiveSeries, findings: &Findings, commands: &mut Vec<Command>) {
    let peaks = state.peaks();
    caption(ui, "Peaks");
    if peaks.is_empty() {
        let text = match state.analysis {
            AnalysisState::Done => format!("no finding above the threshold of {:.3}", findings.threshold()),
            _ => format!("none above the threshold of {:.3} so far", findings.threshold()),
        };
        ui.label(RichText::new(text).color(theme::DIM));
    }
    const SHOWN: usize = 12;
    for (rank, &index) in peaks.iter().take(SHOWN).enumerate() {
        let score = findings.slices.get(index).and_then(SliceState::score).unwrap_or(0.0);
        let z = active.series.slices.get(index).and_then(|s| s.z_mm());
        let place = z.map_or_else(String::new, |z| format!("   z {z:.1} mm"));
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(4.0, 14.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, 0.0, strip::score_colour(score));
            let text = format!("{}   slice {}   {score:.3}{place}", rank + 1, index + 1);
            let selected = index == active.current;
            let button = egui::Button::selectable(selected, text);
            if ui.add(button).accessible_name(format!("Peak {}, slice {}", rank + 1, index + 1)).clicked() {
                commands.push(Command::GoToPeak(index));
            }
        });
    }
    if peaks.len() > SHOWN {
        ui.label(
            RichText::new(format!("and {} lower ones: N steps through all", peaks.len() - SHOWN))
                .small()
                .color(theme::DIM),
        );
    } else if !peaks.is_empty() {
        ui.label(RichText::new("N, Shift+N: next, previous").small().color(theme::DIM));
    }
    let text = if state.shows_evidence() { "Back to the view before" } else { "Show in three planes" };
    if ui.small_button(text).on_hover_text("E: the peak at hand, crosshair where the network looked most").clicked() {
        commands.push(Command::PeakToEvidence);
    }
    occlusion(ui, state, commands);
    ui.add_space(6.0);
}

/// The occlusion check of the slice on the screen, or the way to one.
fn occlusion(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    match state.occlusion_here().map(|check| &check.state) {
        Some(OcclusionState::Running) => {
            ui.label(RichText::new("covering one patch after the other").small().color(theme::DIM));
            if ui.small_button("Cancel the occlusion check").clicked() {
                commands.push(Command::CancelOcclusion);
            }
        }
        Some(OcclusionState::Done(_)) => {
            ui.horizontal(|ui| {
                for (on, name) in [(false, "Grad-CAM"), (true, "Occlusion")] {
                    let response = ui.selectable_label(state.occlusion_on == on, name).on_hover_text("Shift+G");
                    if response.accessible_name(format!("Map: {name}")).clicked() {
                        commands.push(Command::ShowOcclusion(on));
                    }
                }
            });
            if let Some(sentence) = state.occlusion_sentence() {
                ui.label(RichText::new(sentence).small().color(theme::TEXT));
            }
        }
        Some(OcclusionState::Failed(why)) => {
            ui.label(RichText::new(format!("occlusion check failed: {why}")).small().color(theme::STOP));
            start_occlusion(ui, commands);
        }
        None => start_occlusion(ui, commands),
    }
}

fn start_occlusion(ui: &mut Ui, commands: &mut Vec<Command>) {
    let hint = "Shift+G: covers one patch of the slice after the other and shows where that lowers the score";
    if ui.small_button("Check by occlusion").on_hover_text(hint).clicked() {
        commands.push(Command::CheckByOcclusion);
    }
}

fn heatmap(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    caption(ui, "Heatmap");
    let mut on = state.heatmap_on;
    if ui.checkbox(&mut on, "Show (F)").clicked() {
        commands.push(Command::ToggleHeatmap);
    }
    let mut everywhere = state.settings.heatmap_everywhere;
    if ui.checkbox(&mut everywhere, "Below the threshold too").on_hover_text("Shift+F").clicked() {
        commands.push(Command::SetHeatmapEverywhere(everywhere));
    }
    let mut opacity = state.settings.heatmap_opacity;
    let slider = egui::Slider::new(&mut opacity, 0.05..=MAX_HEATMAP_OPACITY)
        .text("opacity")
        .custom_formatter(|v, _| format!("{:.0} %", v * 100.0))
        .custom_parser(|t| t.trim().trim_end_matches('%').trim().parse::<f64>().ok().map(|v| v / 100.0));
    if ui.add(slider).changed() {
        commands.push(Command::SetHeatmapOpacity(opacity));
    }
    ui.add_space(6.0);
}
