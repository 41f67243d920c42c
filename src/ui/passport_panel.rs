//! The input passport: one line that is always in sight, and what it rests on.

use egui::{RichText, Ui};

use super::theme::Palette;
use super::{caption, theme};
use crate::findings::describe::KNOWN_TO_MISLEAD;
use crate::findings::passport::{Passport, TRAINING};
use crate::state::{AppState, Command};
use crate::study::quality::{Line, ORDER, Weight};

pub fn colour(palette: &Palette, weight: Weight) -> egui::Color32 {
    match weight {
        Weight::Note => palette.dim,
        Weight::Warning => palette.warning,
        Weight::Stop => palette.stop,
    }
}

/// Never by colour alone.
pub fn mark(weight: Weight) -> &'static str {
    match weight {
        Weight::Note => "",
        Weight::Warning => "! ",
        Weight::Stop => "x ",
    }
}

pub fn verdict(ui: &mut Ui, passport: &Passport) {
    let text = format!("{}Input: {}", mark(passport.weight), lower(&passport.verdict));
    ui.label(RichText::new(text).small().color(colour(theme::of(ui), passport.weight)))
        .on_hover_text("The input passport below says what this rests on");
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

pub fn lines(ui: &mut Ui, state: &AppState, passport: &Passport, commands: &mut Vec<Command>) {
    caption(ui, "Input passport");
    let here = passport.lines.iter().filter(|line| line.topic != TRAINING);
    let (weighty, notes): (Vec<&Line>, Vec<&Line>) = here.partition(|line| line.weight > Weight::Note);
    // What was used is read with the result, so it is never folded away.
    let (used, notes): (Vec<&Line>, Vec<&Line>) = notes.into_iter().partition(|line| line.topic == "Used");
    for line in used.into_iter().chain(weighty) {
        let text = format!("{}{}: {}", mark(line.weight), line.topic, line.text);
        let colour = if line.weight == Weight::Note { theme::of(ui).text } else { colour(theme::of(ui), line.weight) };
        ui.label(RichText::new(text).small().color(colour));
        if line.topic == ORDER && line.weight == Weight::Stop && state.can_reformat() {
            reformat(ui, state, commands);
        }
    }
    if !notes.is_empty() {
        let heading =
            RichText::new(format!("looked at and in order ({})", notes.len())).small().color(theme::of(ui).dim);
        egui::CollapsingHeader::new(heading).id_salt("passport notes").show(ui, |ui| {
            for line in notes {
                let text = format!("{}: {}", line.topic, line.text);
                ui.label(RichText::new(text).small().color(theme::of(ui).dim));
            }
        });
    }
    let heading = RichText::new("known to mislead such networks").small().color(theme::of(ui).dim);
    egui::CollapsingHeader::new(heading).id_salt("known to mislead").show(ui, |ui| {
        for text in KNOWN_TO_MISLEAD {
            ui.label(RichText::new(text).small().color(theme::of(ui).dim));
        }
        let whence = "published of other networks, not measured with these weights";
        ui.label(RichText::new(whence).small().italics().color(theme::of(ui).dim));
    });
    ui.add_space(6.0);
}

/// The way on from slices that are not axial.
fn reformat(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let what = "Resamples the series to axial slices, which join the list of series until the study is closed";
    let button = ui.add_enabled(!state.is_reformatting(), egui::Button::new("Reformat to axial").small());
    if button.on_hover_text(state.keymap.hint(what, "reformat")).clicked() {
        commands.push(Command::ReformatAxial);
    }
}
