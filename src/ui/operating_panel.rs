//! The operating point: which thresholds are in use, whose they are, and what the model card knows of them.

use egui::{RichText, Ui};

use super::{caption, theme};
use crate::findings::ModelInfo;
use crate::findings::describe::score_text;
use crate::findings::operating::{Thresholds, Validation, set_text, span_text};
use crate::state::{AppState, Command};

/// A slider that comes this near to a measured point stays on it.
const SNAP: f32 = 0.015;

pub fn show(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let Some((model, thresholds)) = state.model_in_use().zip(state.thresholds()) else { return };
    caption(ui, "Operating point");
    named_points(ui, model, thresholds, commands);
    let mut wanted = thresholds;
    // Scores of slices crowd near 0, since few slices of a neck show a fracture.
    slider(ui, &mut wanted.slice, true, "slices", "Threshold for slices");
    slider(ui, &mut wanted.case, false, "case", "Threshold for the case");
    if wanted.case != thresholds.case {
        wanted.case = snapped(wanted.case, &model.operating.validation);
    }
    if wanted != thresholds {
        commands.push(Command::ChooseThresholds(wanted));
    }
    if thresholds != model.thresholds() {
        let card = model.thresholds();
        let text = format!(
            "chosen by you; the model card has {} for slices, {} for the case",
            score_text(card.slice),
            score_text(card.case)
        );
        ui.label(RichText::new(text).small().color(theme::of(ui).warning));
        if ui.small_button("Back to the card's thresholds").clicked() {
            commands.push(Command::CardThresholds);
        }
    }
    known(ui, state, model, thresholds, commands);
    ui.add_space(6.0);
}

/// The points that the card names, the one in use marked.
fn named_points(ui: &mut Ui, model: &ModelInfo, thresholds: Thresholds, commands: &mut Vec<Command>) {
    let card = model.thresholds();
    ui.horizontal_wrapped(|ui| {
        let mut point = |name: &str, at: Thresholds, rule: &str, command: Command| {
            let hover = format!("slices {}, case {}: {rule}", score_text(at.slice), score_text(at.case));
            if ui.selectable_label(at == thresholds, name).on_hover_text(hover).clicked() {
                commands.push(command);
            }
        };
        point("card's default", card, model.operating.rule.trim(), Command::CardThresholds);
        for named in &model.operating.points {
            let at = Thresholds { slice: named.slice.unwrap_or(card.slice), case: named.case.unwrap_or(card.case) };
            if at != card {
                point(&named.name.replace('_', " "), at, &named.rule, Command::ChooseThresholds(at));
            }
        }
    });
}

fn slider(ui: &mut Ui, value: &mut f32, logarithmic: bool, text: &str, name: &str) {
    let slider = egui::Slider::new(value, 0.001..=0.999)
        .logarithmic(logarithmic)
        .clamping(egui::SliderClamping::Edits)
        .fixed_decimals(3)
        .text(text);
    ui.add(slider).accessible_name(name);
}

fn snapped(threshold: f32, sets: &[Validation]) -> f32 {
    let points = sets.iter().flat_map(Validation::points).map(|p| p.threshold);
    let near = points.filter(|p| (p - threshold).abs() < SNAP);
    near.min_by(|a, b| (a - threshold).abs().total_cmp(&(b - threshold).abs())).unwrap_or(threshold)
}

/// Sensitivity, specificity and predictive values of the case threshold on the sets that the card has results of, and
/// the prevalence.
fn known(ui: &mut Ui, state: &AppState, model: &ModelInfo, thresholds: Thresholds, commands: &mut Vec<Command>) {
    let palette = theme::of(ui);
    let dim = |text: String| RichText::new(text).small().color(palette.dim);
    if model.operating.validation.is_empty() {
        let text = "The model card holds no results on held-out cases: nothing is known of sensitivity or specificity at any threshold.";
        ui.label(dim(text.to_owned()));
        return;
    }
    let prevalence = state.settings.prevalence;
    if let Some((first, others)) = model.operating.validation.split_first() {
        known_of(ui, first, thresholds.case, prevalence);
        if !others.is_empty() {
            let heading = dim(format!("on other held-out cases ({})", others.len()));
            egui::CollapsingHeader::new(heading).id_salt("other sets").show(ui, |ui| {
                others.iter().for_each(|set| known_of(ui, set, thresholds.case, prevalence));
            });
        }
    }
    ui.horizontal(|ui| {
        let mut value = prevalence * 100.0;
        let drag = egui::DragValue::new(&mut value).range(0.1..=95.0).speed(0.1).max_decimals(1).suffix(" %");
        if ui.add(drag).accessible_name("Prevalence").changed() {
            commands.push(Command::SetPrevalence(value / 100.0));
        }
        ui.label(dim("of cases fractured, set by you".to_owned()));
    });
    let text = "95 % intervals in brackets. 5 % is set at first: emergency series have 2 to 7 %.";
    ui.label(dim(text.to_owned()));
}

fn known_of(ui: &mut Ui, set: &Validation, threshold: f32, prevalence: f64) {
    let palette = theme::of(ui);
    let dim = |text: String| RichText::new(text).small().color(palette.dim);
    let line = |name: &str, span: &str| RichText::new(format!("{name} {span}")).small().color(palette.text);
    let known = set.at(threshold);
    ui.add_space(2.0);
    ui.label(dim(format!("case threshold on {}:", set_text(set))));
    ui.label(line("sensitivity", &span_text(&known.sensitivity)));
    ui.label(line("specificity", &span_text(&known.specificity)));
    for (name, value) in ["PPV", "NPV"].into_iter().zip(known.predictive_values(prevalence)) {
        let text = value.map_or("not defined".to_owned(), |span| span_text(&span));
        ui.label(line(name, &format!("{text} at {} % prevalence", percent(prevalence))));
    }
    if !known.measured_here {
        ui.label(dim("not measured at this threshold: between the card's nearest points".to_owned()));
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    text.trim_end_matches(".0").to_owned()
}
