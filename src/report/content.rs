//! What a report says, before it has a shape. PDF, PNG and JSON are all made from this, so none of them can say
//! something that the others do not know.

use crate::SOFTWARE;
use crate::findings::describe::{self as words, counted, score_text};
use crate::findings::operating::{Validation, set_text, span_text};
use crate::findings::passport::{self, Passport};
use crate::findings::{Exclusion, Findings, PixelBox, SliceState};
use crate::study::Series;
use crate::study::describe;
use crate::truth::CaseTruth;
use crate::view::fidelity::Fidelity;
use crate::view::{DEFAULT_HEATMAP_OPACITY, HeatmapLayer, heatmap_layer};

use super::{ReportInput, measures};
use crate::measure::{Ground, Levels, Measurement};
use crate::study::mask::Mask;

/// At most so many slices are shown as pictures.
pub(super) const KEY_SLICES: usize = 4;

/// A line of a list: what it is and what it says.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) value: String,
}

/// A warning, an exclusion or a refused file in full.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Notice {
    pub(super) kind: String,
    /// Slices from 1, or the file; empty when it concerns the whole series.
    pub(super) about: String,
    pub(super) text: String,
}

/// A slice shown as pictures.
#[derive(Debug, Clone)]
pub(super) struct KeySlice {
    /// 0-based, display order.
    pub(super) index: usize,
    /// "Peak 1", "Highest score", "Middle slice".
    pub(super) title: String,
    pub(super) score: Option<f32>,
    /// Lines under the title, the score not among them.
    pub(super) lines: Vec<String>,
    pub(super) heatmap: Option<HeatmapLayer>,
    /// What the network saw of the slice, or what is around a measurement.
    pub(super) region: Option<PixelBox>,
    /// A plane cut from the volume in the slice's stead.
    pub(super) plane: Option<Ground>,
    /// What was measured there.
    pub(super) marks: Vec<Measurement>,
    /// How its pictures come from the file's values.
    pub(super) fidelity: Fidelity,
}

/// What the network said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) case_score: Option<f32>,
    /// Sentences in reading order.
    pub(super) sentences: Vec<String>,
    /// What the weights were trained on; stands beside every score.
    pub(super) standing: String,
    pub(super) trained: bool,
    /// Slices (0-based) of the peaks at or above the threshold, best first.
    pub(super) peaks: Vec<usize>,
}

/// All that a report says.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) created: String,
    /// "Doe, Jane  ID 4711" or "identity hidden"; heads every page.
    pub(super) whose: String,
    pub(super) series_name: String,
    pub(super) synthetic: bool,
    pub(super) identity_hidden: bool,
    pub(super) patient: Vec<Fact>,
    pub(super) series: Vec<Fact>,
    pub(super) model: Vec<Fact>,
    /// What the reference standard says, where one was given.
    pub(super) reference: Vec<Fact>,
    pub(super) outcome: Option<Outcome>,
    /// Why there is no analysis, or what else must be said of it.
    pub(super) analysis_note: Option<String>,
    pub(super) key_slices: Vec<KeySlice>,
    pub(super) measurements: Vec<measures::Row>,
    /// Slices and planes on which something was measured, and those that were marked.
    pub(super) measured: Vec<KeySlice>,
    pub(super) passport: Passport,
    pub(super) warnings: Vec<Notice>,
    pub(super) excluded: Vec<Notice>,
    pub(super) refused: Vec<Notice>,
}

/// Collects what the report says.
pub(super) fn collect(input: &ReportInput<'_>, mask: &Mask) -> Content {
    let series = &*input.loaded.series;
    let findings = input.findings;
    let note = input.analysis_note.as_ref().map(|n| mask.scrub(n));
    Content {
        created: readable_time(&input.created),
        whose: whose(series, mask),
        series_name: series_name(series, mask),
        synthetic: describe::is_synthetic(series),
        identity_hidden: mask.hides(),
        patient: patient_facts(series, mask),
        series: series_facts(series, mask),
        model: findings.map(model_facts).unwrap_or_default(),
        reference: input.truth.map(reference).unwrap_or_default(),
        outcome: findings.map(outcome),
        analysis_note: note.or_else(|| findings.is_none().then(|| "no analysis was run".to_owned())),
        key_slices: key_slices(input, mask),
        measurements: measures::rows(input, mask),
        measured: measures::views(input, mask),
        passport: passport(input, mask),
        warnings: warnings(input, mask),
        excluded: findings.map(excluded).unwrap_or_default(),
        refused: refused(input, mask),
    }
}

/// The reference standard as lines: source and case, then each fracture, or the stretches of slices without such a list.
fn reference(truth: &CaseTruth) -> Vec<Fact> {
    let sentence = truth.sentence();
    let (_, said) = sentence.split_once("): ").unwrap_or(("", &sentence));
    let mut facts = vec![fact("Reference", truth.source.trim()), fact("Case", said)];
    let slices = |[first, last]: [usize; 2]| match first == last {
        true => format!("slice {}", first + 1),
        false => format!("slices {} to {}", first + 1, last + 1),
    };
    for (index, fracture) in truth.fractures.iter().enumerate() {
        let mut parts = vec![fracture.level.name().to_owned(), fracture.kind.clone()];
        parts.extend(fracture.displacement_mm.map(|mm| format!("displaced {mm:.1} mm")));
        parts.extend(fracture.slices.map(slices));
        facts.push(fact(&format!("Fracture {}", index + 1), parts.join(", ")));
    }
    let stretches: Vec<String> = truth.positive_stretches().into_iter().map(slices).collect();
    facts.push(fact("Slices", stretches.join(", ")));
    known(facts)
}

fn fact(label: &str, value: impl Into<String>) -> Fact {
    Fact { label: label.to_owned(), value: value.into() }
}

/// Without the lines that would say nothing.
fn known(facts: Vec<Fact>) -> Vec<Fact> {
    facts.into_iter().filter(|f| !f.value.trim().is_empty()).collect()
}

fn whose(series: &Series, mask: &Mask) -> String {
    if mask.hides() {
        return describe::IDENTITY_HIDDEN.to_owned();
    }
    let name = describe::person_name(&series.patient.name);
    match (name.is_empty(), series.patient.id.trim()) {
        (true, "") => "no name in the file".to_owned(),
        (true, id) => format!("ID {id}"),
        (false, "") => name,
        (false, id) => format!("{name}, ID {id}"),
    }
}

fn series_name(series: &Series, mask: &Mask) -> String {
    let number = series.number.map_or_else(|| "series".to_owned(), |n| format!("series {n}"));
    let description = mask.scrub(series.description.trim());
    let parts = [number, description, describe::part_text(series)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn patient_facts(series: &Series, mask: &Mask) -> Vec<Fact> {
    let (patient, study) = (&series.patient, &series.study);
    let person = describe::sex_and_age(patient, study, mask.identity());
    if mask.hides() {
        return known(vec![fact("Patient", describe::IDENTITY_HIDDEN), fact("Sex, age", person)]);
    }
    known(vec![
        fact("Patient", describe::person_name(&patient.name)),
        fact("ID", patient.id.trim()),
        fact("Sex, age", person),
        fact("Born", describe::date(&patient.birth_date)),
        fact("Study", study.description.trim()),
        fact("Date", describe::date_and_time(study)),
        fact("Accession", study.accession.trim()),
        fact("Institution", study.institution.trim()),
        fact("Study UID", study.uid.trim()),
    ])
}

fn series_facts(series: &Series, mask: &Mask) -> Vec<Fact> {
    let technique = &series.technique;
    let plane = if series.is_axial() { "axial slices, head to feet" } else { "slices" };
    let pixels = match series.spacing_mm {
        Some([row, column]) => format!(", {} x {} mm", describe::short(row), describe::short(column)),
        None => ", spacing unknown".to_owned(),
    };
    let ends = [series.slices.first(), series.slices.last()].map(|s| s.and_then(|s| s.pose));
    let range = match ends {
        [Some(first), Some(last)] => {
            format!("{} to {}", describe::position_text(&first), describe::position_text(&last))
        }
        _ => String::new(),
    };
    let values = if series.values_are_hu { "Hounsfield units" } else { "not Hounsfield units" };
    known(vec![
        fact("Series", format!("{} {}", series.modality, series_name(series, mask)).trim()),
        fact("Images", format!("{} {plane}", series.slices.len())),
        fact("Pixels", format!("{} x {}{pixels}", series.columns, series.rows)),
        fact("Slices", describe::thickness_text(series)),
        fact("Range", range),
        fact("Values", values),
        fact("Technique", describe::exposure_text(series)),
        fact("Kernel", technique.kernel.trim()),
        fact("Contrast", mask.scrub(technique.contrast_agent.trim())),
        fact("Gantry", describe::tilt_text(series)),
        fact("Position", technique.patient_position.trim()),
        fact("Scanner", technique.manufacturer.trim()),
        fact("Source", describe::lossy_text(series)),
        fact(
            "Reformatted",
            series.reformatted_from().map_or_else(String::new, |from| format!("from {from} by dens, interpolated")),
        ),
        fact("Series UID", mask.file(&series.uid).unwrap_or_default()),
    ])
}

fn model_facts(findings: &Findings) -> Vec<Fact> {
    let (provenance, model) = (&findings.provenance, &*findings.provenance.model);
    let seconds = findings.seconds;
    let recipe = if model.recipe == provenance.recipe || model.recipe.is_empty() {
        provenance.recipe.clone()
    } else {
        format!("{} (the model card asks for {})", provenance.recipe, model.recipe)
    };
    let meaning = match (words::calibration_line(model), model.calibrated) {
        (Some(line), _) => format!("score, {line}"),
        (None, true) => "calibrated score".to_owned(),
        (None, false) => "score, not calibrated, not a probability".to_owned(),
    };
    let mut facts = vec![
        fact("Model", model.name.trim()),
        fact("Network", model.architecture.trim()),
        fact("SHA-256", model.sha256.trim()),
        fact("Weights", words::standing(model)),
        fact("Threshold", words::thresholds_text(findings.thresholds())),
        fact("Chosen by", chosen_by(findings)),
        fact("Output", meaning),
        fact("Recipe", recipe),
        fact("Device", provenance.device.trim()),
        fact("Software", provenance.software.trim()),
        fact("Result", words::earlier_line(provenance).unwrap_or_default()),
        fact(
            "Seconds",
            format!(
                "load {:.1}, preprocessing {:.1}, network {:.1}, in all {:.1}",
                seconds.load, seconds.preprocess, seconds.network, seconds.total
            ),
        ),
    ];
    facts.extend(model.operating.validation.iter().map(|set| at_this_threshold(findings, set)));
    facts.extend(crate::findings::card::lines(&model.card).iter().map(|(name, text)| fact(name, text)));
    known(facts)
}

/// Who chose the thresholds, and how.
fn chosen_by(findings: &Findings) -> String {
    let model = &findings.provenance.model;
    match findings.chosen {
        Some(_) => format!("the reader; the model card has {}", words::thresholds_text(model.thresholds())),
        None => model.operating.rule.trim().to_owned(),
    }
}

/// What a set of held-out cases says of the case threshold in use.
fn at_this_threshold(findings: &Findings, set: &Validation) -> Fact {
    let known = set.at(findings.case_threshold());
    let between = if known.measured_here { "" } else { "; not measured at this threshold, but at the nearest ones" };
    let (sensitivity, specificity) = (span_text(&known.sensitivity), span_text(&known.specificity));
    let rates = format!("at this threshold sensitivity {sensitivity}, specificity {specificity}");
    // Each under a name of its own: the JSON holds them side by side.
    fact(&format!("Tried on {}", set.name), format!("{rates} on {}{between}", set_text(set)))
}

fn outcome(findings: &Findings) -> Outcome {
    let model = &findings.provenance.model;
    let mut sentences = vec![sentence(&words::slices_sentence(findings))];
    if let Some(case) = &findings.case {
        let side = if case.score >= findings.case_threshold() { "at or above" } else { "below" };
        let (score, threshold) = (score_text(case.score), score_text(findings.case_threshold()));
        sentences.push(format!("Case score {score}, {side} the threshold {threshold}."));
    } else {
        sentences.push("No case score: the network gave none for the series as a whole.".to_owned());
    }
    sentences.extend(words::chosen_sentence(findings).map(|text| sentence(&text)));
    sentences.extend(findings.doubts.iter().map(|doubt| sentence(&doubt.text)));
    sentences.push(sentence(&words::coverage_sentence(findings)));
    sentences.push(sentence(&words::levels_line(findings)));
    Outcome {
        case_score: findings.case.as_ref().map(|c| c.score),
        sentences,
        standing: words::standing(model),
        trained: model.trained,
        peaks: findings.peaks(),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

fn key_slices(input: &ReportInput<'_>, mask: &Mask) -> Vec<KeySlice> {
    let slices = input.loaded.volume.slices().len();
    let shown = |index: &usize| *index < slices;
    let middle = || (slices > 0).then(|| ("Middle slice".to_owned(), slices / 2)).into_iter().collect::<Vec<_>>();
    let chosen: Vec<(String, usize)> = match input.findings {
        None => middle(),
        Some(findings) => {
            let peaks: Vec<usize> = findings.peaks().into_iter().filter(shown).take(KEY_SLICES).collect();
            let highest: Vec<usize> = findings.peaks_above(0.0).into_iter().filter(shown).take(KEY_SLICES).collect();
            if !peaks.is_empty() {
                peaks.into_iter().enumerate().map(|(i, slice)| (format!("Peak {}", i + 1), slice)).collect()
            } else if !highest.is_empty() {
                let title = |i| if i == 0 { "Highest score".to_owned() } else { format!("No. {} by score", i + 1) };
                highest.into_iter().enumerate().map(|(i, slice)| (title(i), slice)).collect()
            } else {
                middle()
            }
        }
    };
    let checked = input.occlusion.map(|check| check.index).filter(shown);
    let checked = checked.filter(|slice| chosen.iter().all(|(_, known)| known != slice));
    let checked = checked.map(|slice| ("Checked by occlusion".to_owned(), slice));
    chosen.into_iter().chain(checked).map(|(title, index)| key_slice(input, mask, title, index)).collect()
}

fn key_slice(input: &ReportInput<'_>, mask: &Mask, title: String, index: usize) -> KeySlice {
    let series = &*input.loaded.series;
    let info = series.slices.get(index);
    let state = input.findings.and_then(|f| f.slices.get(index));
    let score = state.and_then(SliceState::score);
    let mut lines = vec![format!("slice {} of {}", index + 1, series.slices.len())];
    let pose = info.and_then(|s| s.pose);
    lines.extend(pose.map(|p| describe::position_text(&p)));
    let named = input.drawn.map(|drawn| Levels::of(&drawn.measurements));
    let level = pose.zip(named).and_then(|(pose, named)| named.on(&pose));
    lines.extend(level.map(|level| format!("{}, by the vertebrae that the reader named", level.name())));
    lines.extend(info.and_then(|s| mask.file(&s.file)).filter(|f| !f.is_empty()).map(|f| format!("file {f}")));
    let heatmap = input.findings.and_then(|f| heatmap_layer(f, index, false, DEFAULT_HEATMAP_OPACITY));
    if let (Some(findings), Some(score)) = (input.findings, score) {
        if score < findings.threshold() {
            lines.push(format!("below the threshold {}, so no map is drawn", score_text(findings.threshold())));
        }
        if heatmap.is_some() {
            let maximum = super::picture::map_value(findings.cam_maximum());
            lines.push(format!("map from 0 to {maximum}, the largest value of the study"));
        }
        if let Some(Some(share)) = findings.case.as_ref().and_then(|c| c.attribution.get(index)) {
            lines.push(format!("adds {share:+.3} to the case logit"));
        }
        if let Some(SliceState::Done(finding)) = state
            && !finding.flags.is_empty()
        {
            lines.push(format!("flags: {}", finding.flags.join(", ")));
        }
    }
    let cam = state.and_then(SliceState::cam);
    if let (Some(check), Some((_, map))) = (input.occlusion.filter(|check| check.index == index), cam) {
        lines.push(check.sentence(map));
    }
    let region = cam.map(|(region, _)| *region);
    let fidelity = Fidelity::of_printed_slice(series.technique.lossy.as_deref());
    let fidelity = fidelity.reformatted(series.reformatted_from());
    lines.push(format!("shown {}", fidelity.words()));
    let (plane, marks) = (None, Vec::new());
    let mut slice = KeySlice { index, title, score, lines, heatmap, region, plane, marks, fidelity };
    measures::take_marks(input, mask, &mut slice);
    slice
}

fn passport(input: &ReportInput<'_>, mask: &Mask) -> Passport {
    let judged = input.findings.map(|f| f.judged.as_slice()).filter(|lines| !lines.is_empty());
    let mut passport = passport::compose(&input.loaded.series, input.refused.len(), judged, input.findings);
    for line in &mut passport.lines {
        line.text = mask.scrub(&line.text);
    }
    passport
}

fn warnings(input: &ReportInput<'_>, mask: &Mask) -> Vec<Notice> {
    let series = input.loaded.series.warnings.iter().map(|w| (w.kind.name(), w.text.as_str()));
    let doubts = input.findings.into_iter().flat_map(|f| &f.doubts).map(|d| (d.kind.to_owned(), d.text.as_str()));
    let analysis = input.findings.into_iter().flat_map(|f| &f.warnings).map(|t| ("analysis".to_owned(), t.as_str()));
    series
        .chain(doubts)
        .chain(analysis)
        .map(|(kind, text)| Notice { kind, about: String::new(), text: mask.scrub(text) })
        .collect()
}

/// Slices without a score by kind, and those with flags, as ranges from 1.
fn excluded(findings: &Findings) -> Vec<Notice> {
    let mut notices = Vec::new();
    for kind in Exclusion::ALL {
        let which = ranges(findings, |s| s.excluded() == Some(kind));
        if let Some(about) = which {
            notices.push(Notice { kind: kind.name().to_owned(), about, text: kind.sentence().to_owned() });
        }
    }
    if let Some(about) = ranges(findings, |s| !matches!(s, SliceState::Done(_))) {
        let text = "the analysis ended before it reached these slices".to_owned();
        notices.push(Notice { kind: "not-run".to_owned(), about, text });
    }
    let borrowed = |s: &SliceState| matches!(s, SliceState::Done(f) if f.flags.contains(&"no_bone"));
    if let Some(about) = ranges(findings, borrowed) {
        let text = "scored, but no bone was found: the region was borrowed from the neighbouring slices".to_owned();
        notices.push(Notice { kind: "no-bone".to_owned(), about, text });
    }
    let no_canal = |s: &SliceState| matches!(s, SliceState::Done(f) if f.flags.contains(&"no_canal"));
    if let Some(about) = ranges(findings, no_canal) {
        let text = "scored, but no spinal canal was found: the region follows the middle of the bone".to_owned();
        notices.push(Notice { kind: "no-canal".to_owned(), about, text });
    }
    notices
}

/// "slices 1 to 3, 7" of those for which the condition holds; `None` for none.
fn ranges(findings: &Findings, holds: impl Fn(&SliceState) -> bool) -> Option<String> {
    let which: Vec<usize> = findings.slices.iter().enumerate().filter(|(_, s)| holds(s)).map(|(i, _)| i + 1).collect();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for &number in &which {
        match spans.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => spans.push((number, number)),
        }
    }
    let text = spans
        .iter()
        .map(|(a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") })
        .collect::<Vec<_>>()
        .join(", ");
    match which.len() {
        0 => None,
        1 => Some(format!("slice {text}")),
        n => Some(format!("{}: {text}", counted(n, "slice"))),
    }
}

fn refused(input: &ReportInput<'_>, mask: &Mask) -> Vec<Notice> {
    input
        .refused
        .iter()
        .map(|r| Notice {
            kind: r.kind.name(),
            about: mask.file(&r.file).unwrap_or_else(|| "a file (name hidden)".to_owned()),
            text: mask.scrub(&r.text),
        })
        .collect()
}

/// ISO 8601 without the letter between date and time.
fn readable_time(created: &str) -> String {
    match created.split_once('T') {
        Some((date, time)) if date.len() == 10 => format!("{date} {time}"),
        _ => created.to_owned(),
    }
}

/// This program and when the report was made.
pub(super) fn made_line(content: &Content) -> String {
    format!("{SOFTWARE}, made {}", content.created)
}
