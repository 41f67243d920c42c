//! What the network's results are called before people: the same sentences in the window, pictures and reports.
//!
//! A number is a "score", never a probability; the absence of one is "no finding above the threshold", never health.

use super::operating::Thresholds;
use super::{Exclusion, Findings, ModelInfo, Provenance};
use crate::study::quality::{LEVELS, Line, Weight};

/// What must stand wherever a number of an untrained network stands.
pub const UNTRAINED: &str = "untrained: the numbers mean nothing";

/// Ends of two warnings of the analysis; the passport says the same with the count of slices that were used.
pub const OUTSIDE_RANGE: &str = "lie above or below the cervical spine as the program found it; they are not scored";
pub const EMPTY: &str = "hold nothing but air or padding and were left out";

/// What the weights were trained on, as a sentence that stands beside every score.
pub fn standing(model: &ModelInfo) -> String {
    let on = model.trained_on.trim();
    match (model.trained, on.starts_with("trained")) {
        (false, _) => UNTRAINED.to_owned(),
        (true, _) if on.is_empty() => "trained on data that the model card does not name".to_owned(),
        (true, true) => on.to_owned(),
        (true, false) => format!("trained on {on}"),
    }
}

/// Model, short hash, what it was trained on, threshold: the lines under a score.
pub fn model_lines(model: &ModelInfo) -> Vec<String> {
    let name = [model.name.trim(), model.architecture.trim()];
    let name = name.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ");
    vec![name, format!("weights {}", model.short_hash()), standing(model), thresholds_line(model)]
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect()
}

/// The thresholds of the model card, the case's where it differs.
pub fn thresholds_line(model: &ModelInfo) -> String {
    format!("threshold {}", thresholds_text(model.thresholds()))
}

/// "0.500" or "0.081 for slices, 0.596 for the case".
pub fn thresholds_text(thresholds: Thresholds) -> String {
    let (slice, case) = (score_text(thresholds.slice), score_text(thresholds.case));
    if slice == case { slice } else { format!("{slice} for slices, {case} for the case") }
}

/// That the thresholds are not the card's; `None` where they are.
pub fn chosen_sentence(findings: &Findings) -> Option<String> {
    findings.chosen?;
    let (chosen, card) = (findings.thresholds(), findings.provenance.model.thresholds());
    Some(format!(
        "thresholds chosen by the reader: {}; the model card has {}",
        thresholds_text(chosen),
        thresholds_text(card)
    ))
}

/// The one line that a reader looks for. The absence of a finding is never called health.
pub fn verdict(findings: &Findings) -> &'static str {
    let case = findings.case.as_ref().map(|case| case.score >= findings.case_threshold());
    verdict_of(!findings.peaks().is_empty(), case)
}

/// Of slices and, where there is one, a case score that reach their thresholds or do not.
pub fn verdict_of(slice: bool, case: Option<bool>) -> &'static str {
    match (slice, case) {
        (true, Some(true) | None) => "finding above threshold",
        (true, Some(false)) => "finding above threshold in slices only",
        (false, Some(true)) => "finding above threshold for the case only",
        (false, Some(false) | None) => "no finding above threshold",
    }
}

/// What a calibrated score assumes; `None` for scores that are not calibrated.
pub fn calibration_line(model: &ModelInfo) -> Option<String> {
    let prevalence = model.operating.prevalence.filter(|_| model.calibrated)?;
    Some(format!("calibrated where {:.0} % of the cases are fractured", 100.0 * prevalence))
}

/// A score with three decimals; neither end of the scale is ever rounded to certainty.
pub fn score_text(score: f32) -> String {
    match score {
        s if s.is_nan() => "no number".to_owned(),
        s if s > 0.0 && s < 0.0005 => "<0.001".to_owned(),
        s if (0.9995..1.0).contains(&s) => ">0.999".to_owned(),
        s => format!("{s:.3}"),
    }
}

/// That a result was not computed now but kept since; `None` for one of this session.
pub fn earlier_line(provenance: &Provenance) -> Option<String> {
    let computed = provenance.computed_earlier.as_deref()?;
    Some(format!("computed earlier, {computed}, by {}", provenance.software.trim()))
}

/// What fracture networks for the cervical spine are published to miss and to mistake; none of it was measured with these
/// weights.
pub const KNOWN_TO_MISLEAD: [&str; 2] = [
    "missed: fractured osteophytes, transverse and spinous processes, lower levels behind the shoulders' streaks",
    "mistaken for fresh fractures: old fractures, vascular channels, growth plates and unfused ossification centres",
];

/// Which levels of the neck a result speaks of, as far as the course of the spinal canal tells: what was not assessed has
/// no finding either.
pub fn levels_line(findings: &Findings) -> String {
    let said = findings.judged.iter().find(|line| line.topic == LEVELS);
    let of_short = |line: &Line| {
        let missing: Vec<&str> = ["C1", "C7"].into_iter().filter(|level| line.text.contains(level)).collect();
        match missing.as_slice() {
            ["C1", "C7"] => "perhaps without C1, C7 and their neighbours".to_owned(),
            ["C7"] => "perhaps without C7 and levels above it".to_owned(),
            other => format!("perhaps without {}", other.join(" and ")),
        }
    };
    let levels = match said {
        Some(line) if line.weight == Weight::Warning => of_short(line),
        Some(line) if line.text.starts_with("C1 to C7") => "C1 to C7, as far as the canal tells".to_owned(),
        _ => "not known, the canal was not followed".to_owned(),
    };
    format!("levels assessed: {levels}")
}

/// What the slices say, in one sentence.
pub fn slices_sentence(findings: &Findings) -> String {
    let threshold = score_text(findings.threshold());
    let above = findings.slices.iter().filter_map(|s| s.score()).filter(|s| *s >= findings.threshold()).count();
    match findings.peaks().len() {
        // With the case score above it, "no finding" would be the wrong summary.
        0 if findings.case.as_ref().is_some_and(|case| case.score >= findings.case_threshold()) => {
            format!("no slice reaches the threshold {threshold}, the case score reaches its own")
        }
        0 => format!("no finding above the threshold {threshold}"),
        n => format!("{} in {} at or above the threshold {threshold}", counted(n, "peak"), counted(above, "slice")),
    }
}

/// How much of the series the result rests on: "61 of 64 slices assessed; left out: 2 empty-slice, 1 not-finite".
pub fn coverage_sentence(findings: &Findings) -> String {
    let scored = findings.slices.iter().filter(|s| s.score().is_some()).count();
    let mut text = format!("{scored} of {} assessed", counted(findings.slices.len(), "slice"));
    let left_out: Vec<String> = Exclusion::ALL
        .into_iter()
        .map(|kind| (kind, findings.slices.iter().filter(|s| s.excluded() == Some(kind)).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    if !left_out.is_empty() {
        text.push_str("; left out: ");
        text.push_str(&left_out.join(", "));
    }
    let (done, total) = findings.progress();
    if done < total {
        text.push_str(&format!("; not reached: {}", total - done));
    }
    text
}

/// "1 slice", "3 slices".
pub fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_scores;
    use super::super::{CaseResult, SliceFinding, SliceOutcome, SliceState};
    use super::*;

    #[test]
    fn scores_are_never_rounded_to_certainty() {
        let texts = [0.0, 0.0001, 0.83, 0.99999, 1.0, f32::NAN].map(score_text);
        assert_eq!(texts, ["0.000", "<0.001", "0.830", ">0.999", "1.000", "no number"]);
    }

    #[test]
    fn a_negative_result_names_threshold_and_coverage() {
        let mut findings = with_scores(&[Some(0.1), None, Some(0.4)]);
        let outcome = SliceOutcome::Excluded(Exclusion::EmptySlice);
        findings.slices[1] = SliceState::Done(SliceFinding { outcome, flags: Vec::new() });
        assert_eq!(slices_sentence(&findings), "no finding above the threshold 0.500");
        assert_eq!(coverage_sentence(&findings), "2 of 3 slices assessed; left out: 1 empty-slice");
        findings.case = Some(CaseResult { score: 0.9, logit: 2.2, attribution: Vec::new() });
        assert_eq!(slices_sentence(&findings), "no slice reaches the threshold 0.500, the case score reaches its own");
        findings.slices[2] = SliceState::Running;
        assert!(coverage_sentence(&findings).ends_with("; not reached: 1"));
    }

    #[test]
    fn thresholds_that_the_reader_chose_rule_and_are_named() {
        let mut findings = with_scores(&[Some(0.4), Some(0.1)]);
        assert_eq!((verdict(&findings), chosen_sentence(&findings)), ("no finding above threshold", None));
        findings.chosen = Some(Thresholds { slice: 0.3, case: 0.7 });
        assert_eq!((verdict(&findings), findings.peaks()), ("finding above threshold", vec![0]));
        let said = [(true, Some(true)), (true, Some(false)), (false, Some(true)), (false, Some(false))];
        let said = said.map(|(slice, case)| verdict_of(slice, case));
        assert!(said[1].ends_with("in slices only") && said[2].ends_with("for the case only"), "{said:?}");
        assert_eq!([said[0], said[3]], ["finding above threshold", "no finding above threshold"]);
        assert_eq!(
            chosen_sentence(&findings).as_deref(),
            Some("thresholds chosen by the reader: 0.300 for slices, 0.700 for the case; the model card has 0.500")
        );
        assert_eq!(slices_sentence(&findings), "1 peak in 1 slice at or above the threshold 0.300");
    }

    #[test]
    fn an_untrained_model_says_so_whatever_its_card_says() {
        let mut model = (*with_scores(&[]).provenance.model).clone();
        assert!(model_lines(&model).contains(&UNTRAINED.to_owned()));
        model.trained = true;
        model.trained_on = "synthetic necks only".into();
        assert_eq!(standing(&model), "trained on synthetic necks only");
    }
}
