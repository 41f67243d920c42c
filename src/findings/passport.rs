//! The input passport: a verdict on the series in words, and everything that it rests on, in one list for window and
//! report.

use super::describe::{EMPTY, OUTSIDE_RANGE};
use super::{Doubt, Exclusion, Findings};
use crate::study::Series;
use crate::study::quality::{Line, Weight, of_files, of_header};

/// Topic of the lines that the window has beside the score already.
pub const TRAINING: &str = "Training";

/// What is said of a series before its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Passport {
    pub verdict: String,
    /// The heaviest of the lines.
    pub weight: Weight,
    /// Heaviest first.
    pub lines: Vec<Line>,
}

/// `judged` is what the analysis said of header and voxels before its first score ([`Findings::judged`]); without it the
/// header alone is judged. `refused` files under the opened path could not be used.
pub fn compose(series: &Series, refused: usize, judged: Option<&[Line]>, findings: Option<&Findings>) -> Passport {
    let mut lines: Vec<Line> = findings.and_then(used).into_iter().collect();
    match judged {
        Some(judged) => lines.extend_from_slice(judged),
        None => {
            lines.extend(of_header(series));
            lines.push(Line::note("Voxels", "values, metal, canal and levels are judged when the analysis begins"));
        }
    }
    lines.extend(of_files(series, refused));
    let said = |lines: &[Line], text: &str| lines.iter().any(|line| line.text == text);
    for doubt in findings.into_iter().flat_map(|f| &f.doubts) {
        if !said(&lines, &doubt.text) {
            lines.push(Line::warning(TRAINING, doubt.text.clone()));
        }
    }
    for warning in findings.into_iter().flat_map(|f| &f.warnings) {
        let used = [OUTSIDE_RANGE, EMPTY].iter().any(|text| warning.ends_with(text));
        if !used && !said(&lines, warning) {
            lines.push(Line::warning("Analysis", warning.clone()));
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.weight));
    let weight = lines.iter().map(|line| line.weight).max().unwrap_or(Weight::Note);
    let outside = findings.is_some_and(|f| f.doubts.iter().any(Doubt::is_outside_training));
    Passport { verdict: verdict(&lines, judged.is_some(), findings.is_some(), outside), weight, lines }
}

fn verdict(lines: &[Line], judged: bool, scored: bool, outside: bool) -> String {
    let count = |weight: Weight| lines.iter().filter(|line| line.weight == weight).count();
    let counted = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    let (stops, warnings) = (count(Weight::Stop), count(Weight::Warning));
    let reasons = counted(stops, "reason", "reasons");
    let remarks = match warnings {
        0 => String::new(),
        n => format!(", {}", counted(n, "remark", "remarks")),
    };
    match (stops, judged, scored) {
        (0, true, _) if outside => format!("In order, but outside the network's training data{remarks}"),
        (0, true, _) => format!("Fit for a score{remarks}"),
        (0, false, _) => format!("Nothing in the header speaks against a score{remarks}"),
        (_, _, true) => format!("Scored although not fit for it: {reasons}{remarks}"),
        (_, _, false) => format!("Not fit for a score: {reasons}{remarks}"),
    }
}

/// "The analysis used 61 of 64 slices because ...": what was left out, why, and which part of the patient was assessed.
fn used(findings: &Findings) -> Option<Line> {
    let (done, total) = findings.progress();
    let scored = findings.slices.iter().filter(|s| s.score().is_some()).count();
    if done == 0 {
        return None;
    }
    let reason = |why: Exclusion| {
        let n = findings.slices.iter().filter(|s| s.excluded() == Some(why)).count();
        let (one, many) = match why {
            Exclusion::EmptySlice => ("holds nothing but air or padding", "hold nothing but air or padding"),
            Exclusion::NotFinite => ("got no finite number from the network", "got no finite number from the network"),
            Exclusion::Undecodable => ("could not be decoded", "could not be decoded"),
            Exclusion::OutsideRange => {
                ("lies above or below the cervical spine", "lie above or below the cervical spine")
            }
        };
        (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }))
    };
    let mut reasons: Vec<String> = Exclusion::ALL.into_iter().filter_map(reason).collect();
    if done < total {
        reasons.push(format!("{} not reached yet", total - done));
    }
    let text = match reasons.is_empty() {
        true => format!("the analysis used {scored} of {total} slices"),
        false => format!("the analysis used {scored} of {total} slices because {}", reasons.join(", ")),
    };
    let missing =
        findings.slices.iter().any(|s| matches!(s.excluded(), Some(Exclusion::NotFinite | Exclusion::Undecodable)));
    Some(Line::new(if missing { Weight::Warning } else { Weight::Note }, "Used", text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_scores;
    use super::super::{SliceFinding, SliceOutcome, SliceState};
    use super::*;
    use crate::phantom::{DEMO_SEED, demo_study};

    #[test]
    fn the_verdict_counts_and_the_heaviest_comes_first() {
        let mut series = (*demo_study(DEMO_SEED).series).clone();
        let before = compose(&series, 0, None, None);
        assert_eq!(
            (before.verdict.as_str(), before.weight),
            ("Nothing in the header speaks against a score, 1 remark", Weight::Warning)
        );
        series.technique.slice_thickness_mm = Some(3.0);
        series.slice_spacing_mm = Some(3.1);
        let passport = compose(&series, 2, None, None);
        assert_eq!(passport.verdict, "Not fit for a score: 1 reason, 2 remarks");
        assert_eq!(passport.lines.first().map(|l| (l.weight, l.topic)), Some((Weight::Stop, "Spacing")));
        assert!(passport.lines.iter().any(|l| l.text.starts_with("2 files under the opened path")));
    }

    #[test]
    fn slices_that_were_not_used_are_counted_with_their_reasons() {
        let series = (*demo_study(DEMO_SEED).series).clone();
        let mut findings = with_scores(&[Some(0.2), None, None, Some(0.3), None]);
        let left_out = |why| SliceState::Done(SliceFinding { outcome: SliceOutcome::Excluded(why), flags: Vec::new() });
        findings.slices[1] = left_out(Exclusion::OutsideRange);
        findings.slices[2] = left_out(Exclusion::EmptySlice);
        let used = |findings: &Findings| {
            let passport = compose(&series, 0, Some(&[]), Some(findings));
            passport.lines.into_iter().find(|l| l.topic == "Used").map(|l| (l.weight, l.text))
        };
        let text = "the analysis used 2 of 5 slices because 1 holds nothing but air or padding, 1 lies above or below the \
                    cervical spine, 1 not reached yet";
        assert_eq!(used(&findings), Some((Weight::Note, text.to_owned())));
        findings.slices[4] = left_out(Exclusion::NotFinite);
        assert_eq!(used(&findings).map(|u| u.0), Some(Weight::Warning));
        assert_eq!(used(&with_scores(&[Some(0.1)])).map(|u| u.1), Some("the analysis used 1 of 1 slices".to_owned()));
    }

    #[test]
    fn nothing_is_said_twice() {
        let series = (*demo_study(DEMO_SEED).series).clone();
        let mut findings = with_scores(&[Some(0.2)]);
        let judged = [Line::stop("Values", "air has -690 HU"), Line::warning("Metal", "metal")];
        findings.doubts = vec![Doubt::quality("air has -690 HU"), Doubt::outside_training("real")];
        findings.warnings = vec!["metal".into(), "the device fell back".into(), format!("1 of 9 slices {EMPTY}")];
        let passport = compose(&series, 0, Some(&judged), Some(&findings));
        assert_eq!(passport.verdict, "Scored although not fit for it: 1 reason, 3 remarks", "{:#?}", passport.lines);
        let texts: Vec<&str> = passport.lines.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(texts.iter().filter(|t| **t == "metal" || t.contains("-690")).count(), 2);
        assert!(texts.contains(&"the device fell back") && texts.contains(&"real"));
        let in_order = compose(&series, 0, Some(&judged[1..]), Some(&findings));
        assert_eq!(in_order.verdict, "In order, but outside the network's training data, 4 remarks");
    }
}
