//! What the network said, in sentences. The model and what it was trained on stand above everything that scrolls.

use egui::{RichText, Ui};

use super::{UiCache, caption, measure_panel, operating_panel, passport_panel, strip, theme};
use crate::findings::describe::{calibration_line, earlier_line, levels_line, score_text, verdict};
use crate::findings::{Findings, ModelInfo, SliceState};
use crate::state::{ActiveSeries, AnalysisState, AppState, Command, HIDDEN, OcclusionState};
use crate::truth::Level;
use crate::view::MAX_HEATMAP_OPACITY;

/// Points.
const LEAST_HEIGHT: f32 = 520.0;
const EARLIER_HINT: &str =
    "Kept for the same voxels, geometry, weights, recipe and device. Run again computes it anew.";

pub fn show(ui: &mut Ui, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    let Some(active) = &state.active else { return };
    let frame = egui::Frame::NONE.fill(theme::of(ui).panel).inner_margin(egui::Margin::symmetric(10, 8));
    egui::Panel::right("findings").frame(frame).default_size(264.0).size_range(210.0..=460.0).show(ui, |ui| {
        // Where there is hardly room for what stands above, everything scrolls.
        if ui.available_height() < LEAST_HEIGHT {
            egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                above(ui, state, commands);
                below(ui, state, active, cache, commands);
            });
            return;
        }
        above(ui, state, commands);
        egui::ScrollArea::vertical()
            .auto_shrink([false, false])
            .show(ui, |ui| below(ui, state, active, cache, commands));
    });
}

fn above(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    caption(ui, "Findings");
    if let Some(passport) = &state.passport() {
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
}

fn below(ui: &mut Ui, state: &AppState, active: &ActiveSeries, cache: &mut UiCache, commands: &mut Vec<Command>) {
    if let Some(findings) = state.findings() {
        peaks(ui, state, active, findings, commands);
    }
    measure_panel::show(ui, state, active, cache, commands);
    if let Some(passport) = &state.passport() {
        passport_panel::lines(ui, state, passport, commands);
    }
    if !state.results_hidden() {
        operating_panel::show(ui, state, commands);
        heatmap(ui, state, commands);
    }
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
    ui.label(RichText::new(format!("analysis: {analysis}")).color(theme::of(ui).dim));
    ui.label(RichText::new(format!("Results are {HIDDEN}.")).color(theme::of(ui).warning));
    let keys = format!("{}; Enter commits and reveals.", state.verdict_keys());
    ui.label(RichText::new(keys).small().color(theme::of(ui).dim));
    ui.add_space(4.0);
}

fn status(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let (done, total) = state.findings().map_or((0, 0), Findings::progress);
    let percent = (done * 100).checked_div(total).unwrap_or(0);
    let (text, colour) = match &state.analysis {
        AnalysisState::NotRun if state.is_loading() => ("waiting for the slices".to_owned(), theme::of(ui).dim),
        AnalysisState::NotRun => ("not run".to_owned(), theme::of(ui).dim),
        AnalysisState::Preparing(what) => ((*what).to_owned(), theme::of(ui).dim),
        AnalysisState::Running => (format!("running, {percent} %, {done} of {total} slices"), theme::of(ui).text),
        AnalysisState::Done => (format!("done, {total} slices"), theme::of(ui).text),
        AnalysisState::Cancelled => {
            (format!("cancelled at {done} of {total} slices; what was scored is kept"), theme::of(ui).dim)
        }
        AnalysisState::Failed(why) => (format!("failed: {why}"), theme::of(ui).stop),
        AnalysisState::NotApplicable(why) => (why.clone(), theme::of(ui).stop),
        // The reasons stand one by one in the passport below.
        AnalysisState::Stopped(_) => ("no score: the input passport says why".to_owned(), theme::of(ui).stop),
    };
    ui.label(RichText::new(text).color(colour));
    let key = |name: &str| state.keymap.hint("Run the network on this series", name);
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
            if ui.add_enabled(!state.is_loading(), egui::Button::new("Analyse")).on_hover_text(key("analyse")).clicked()
            {
                commands.push(Command::StartAnalysis);
            }
        }
        _ => {
            if ui.button("Run again").on_hover_text(key("analyse")).clicked() {
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
                let colour = if findings.doubts.is_empty() { theme::of(ui).text } else { theme::of(ui).warning };
                let number = RichText::new(score_text(case.score)).size(30.0).color(colour);
                ui.label(number);
                ui.vertical(|ui| {
                    ui.label(RichText::new("case score").color(theme::of(ui).text));
                    ui.label(RichText::new(verdict(findings)).color(theme::of(ui).text));
                    let side = if case.score >= findings.case_threshold() { "at or above" } else { "below" };
                    let text = format!("case {side} its threshold {}", score_text(findings.case_threshold()));
                    ui.label(RichText::new(text).small().color(theme::of(ui).dim));
                });
            });
        }
        None => {
            ui.label(RichText::new("case score: after the last slice").color(theme::of(ui).dim));
        }
    }
    if matches!(state.analysis, AnalysisState::Done) {
        ui.label(RichText::new(levels_line(findings)).small().color(theme::of(ui).dim));
    }
    for doubt in &findings.doubts {
        ui.label(RichText::new(&doubt.text).color(theme::of(ui).warning));
    }
    if let Some(line) = calibration_line(&findings.provenance.model) {
        ui.label(RichText::new(line).small().color(theme::of(ui).dim));
    }
}

fn model(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    match state.findings().map(|f| &f.provenance.model).or(state.model.as_ref()) {
        Some(model) => {
            let colour = if model.trained { theme::of(ui).text } else { theme::of(ui).warning };
            ui.label(RichText::new(trained_line(model)).strong().color(colour));
            let line = format!("{}, {}", model.name, model.short_hash());
            ui.label(RichText::new(line).small().color(theme::of(ui).dim))
                .on_hover_text(format!("SHA-256 {}", model.sha256));
            if !model.name.contains(&model.architecture) {
                ui.label(RichText::new(&model.architecture).small().color(theme::of(ui).dim));
            }
            if let Some(choice) = &model.choice {
                ui.label(RichText::new(choice).small().color(theme::of(ui).dim));
            }
        }
        None => {
            ui.label(RichText::new("no network has been read yet").small().color(theme::of(ui).dim));
        }
    }
    if let Some(findings) = state.findings() {
        let p = &findings.provenance;
        let mut line = format!("{}, recipe {}", p.device, p.recipe);
        if findings.seconds.total > 0.0 {
            line += &format!(", {:.1} s", findings.seconds.total);
        }
        ui.label(RichText::new(line).small().color(theme::of(ui).dim));
        if let Some(line) = earlier_line(p) {
            ui.label(RichText::new(line).small().color(theme::of(ui).text)).on_hover_text(EARLIER_HINT);
        }
    }
    ui.horizontal(|ui| {
        if ui.small_button("Other weights").on_hover_text("A .safetensors file with a model card").clicked() {
            commands.push(Command::PickModel);
        }
        if state.settings.model.is_some() {
            if ui.small_button("Built-in weights").clicked() {
                commands.push(Command::UseModel(None));
            }
        } else if was_too_slow(state) && ui.small_button("Use ResNet-50").on_hover_text(SLOW_HINT).clicked() {
            commands.push(Command::UseModel(Some(PAPERS_NETWORK.into())));
        }
    });
}

/// Asks for the paper's network, where a weight file is asked for.
const PAPERS_NETWORK: &str = "resnet50";
const SLOW_HINT: &str = "However long it takes; Built-in weights leaves the choice to the program again";

/// Whether the program chose the small network because the paper's would take too long.
fn was_too_slow(state: &AppState) -> bool {
    let model = state.findings().map(|f| &f.provenance.model).or(state.model.as_ref());
    model.is_some_and(|model| model.choice.is_some() && !model.architecture.starts_with("ResNet-50"))
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
        ui.label(RichText::new(text).color(theme::of(ui).dim));
    }
    const SHOWN: usize = 12;
    for (rank, &index) in peaks.iter().take(SHOWN).enumerate() {
        let score = findings.slices.get(index).and_then(SliceState::score).unwrap_or(0.0);
        let z = active.series.slices.get(index).and_then(|s| s.z_mm());
        let place = z.map_or_else(String::new, |z| format!("   z {z:.1} mm"));
        let level = active.level_at(index).map_or("", Level::name);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(4.0, 14.0), egui::Sense::hover());
            ui.painter().rect_filled(rect, 0.0, strip::score_colour(score));
            let text = format!("{}   slice {}   {}{place}   {level}", rank + 1, index + 1, score_text(score));
            let selected = index == active.current;
            let button = egui::Button::selectable(selected, text);
            let named = if level.is_empty() { String::new() } else { format!(", {level}") };
            let name = format!("Peak {}, slice {}{named}", rank + 1, index + 1);
            if ui.add(button).accessible_name(name).clicked() {
                commands.push(Command::GoToPeak(index));
            }
        });
    }
    let (next, previous) = (state.keymap.text("next-peak"), state.keymap.text("previous-peak"));
    let steps = match peaks.len() {
        0 => None,
        n if n > SHOWN => Some(format!("and {} lower ones: {next} steps through all", n - SHOWN)),
        _ => Some(format!("{next}, {previous}: next, previous")),
    };
    if let Some(steps) = steps.filter(|_| !next.is_empty()) {
        ui.label(RichText::new(steps).small().color(theme::of(ui).dim));
    }
    let text = if state.shows_evidence() { "Back to the view before" } else { "Show in three planes" };
    if ui
        .small_button(text)
        .on_hover_text(state.keymap.hint("The peak at hand, crosshair where the network looked most", "evidence"))
        .clicked()
    {
        commands.push(Command::PeakToEvidence);
    }
    occlusion(ui, state, commands);
    ui.add_space(6.0);
}

/// The occlusion check of the slice on the screen, or the way to one.
fn occlusion(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    match state.occlusion_here().map(|check| &check.state) {
        Some(OcclusionState::Running) => {
            ui.label(RichText::new("covering one patch after the other").small().color(theme::of(ui).dim));
            if ui.small_button("Cancel the occlusion check").clicked() {
                commands.push(Command::CancelOcclusion);
            }
        }
        Some(OcclusionState::Done(_)) => {
            ui.horizontal(|ui| {
                for (on, name) in [(false, "Grad-CAM"), (true, "Occlusion")] {
                    let response = ui
                        .selectable_label(state.occlusion_on == on, name)
                        .on_hover_text(state.keymap.hint("Which map lies on the slice", "occlusion"));
                    if response.accessible_name(format!("Map: {name}")).clicked() {
                        commands.push(Command::ShowOcclusion(on));
                    }
                }
            });
            if let Some(sentence) = state.occlusion_sentence() {
                ui.label(RichText::new(sentence).small().color(theme::of(ui).text));
            }
        }
        Some(OcclusionState::Failed(why)) => {
            ui.label(RichText::new(format!("occlusion check failed: {why}")).small().color(theme::of(ui).stop));
            start_occlusion(ui, state, commands);
        }
        None => start_occlusion(ui, state, commands),
    }
}

fn start_occlusion(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let what = "Covers one patch of the slice after the other and shows where that lowers the score";
    let hint = state.keymap.hint(what, "occlusion");
    if ui.small_button("Check by occlusion").on_hover_text(hint).clicked() {
        commands.push(Command::CheckByOcclusion);
    }
}

fn heatmap(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    caption(ui, "Heatmap");
    let mut on = state.heatmap_on;
    if ui.checkbox(&mut on, state.keymap.hint("Show", "heatmap")).clicked() {
        commands.push(Command::ToggleHeatmap);
    }
    let mut everywhere = state.settings.heatmap_everywhere;
    if ui
        .checkbox(&mut everywhere, "Below the threshold too")
        .on_hover_text(state.keymap.hint("Heatmap on all slices", "heatmap-everywhere"))
        .clicked()
    {
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
