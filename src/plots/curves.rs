//! The pictures of an evaluation: ROC, precision-recall, reliability, free response, and strips of single cases.

use super::{Chart, Legend, Look, PlotError, Series, chart, charts};
use crate::evaluation::{CalibrationReport, CasePrediction, Evaluation, Metric, Picture, TestSet};

const UNIT: Option<(f64, f64)> = Some((0.0, 1.0));
/// One case's strip.
const STRIP_PX: (u32, u32) = (760, 300);

/// All pictures that the evaluation's numbers allow.
///
/// # Errors
/// A plot could not be drawn.
pub fn evaluation_pictures(evaluation: &Evaluation) -> Result<Vec<Picture>, PlotError> {
    let mut pictures = Vec::new();
    let mut add = |file: &str, alt: &str, drawn: Result<Vec<u8>, PlotError>| -> Result<(), PlotError> {
        pictures.push(Picture { file: file.to_owned(), alt: alt.to_owned(), png: drawn? });
        Ok(())
    };
    let [roc, precision] = [roc(evaluation), precision_recall(evaluation)];
    if roc.series.len() > 1 {
        add("roc.png", "ROC curves of images, cases and the highest slice score", chart(&roc))?;
    }
    if precision.series.iter().any(|series| series.look == Look::Line) {
        add("precision-recall.png", "Precision and recall of images and cases", chart(&precision))?;
    }
    let reliability = [("Images", &evaluation.calibration.image), ("Cases", &evaluation.calibration.case)];
    let reliability: Vec<Chart> = reliability
        .into_iter()
        .filter(|(_, report)| report.n > 0)
        .map(|(name, report)| reliable(&titled(name, evaluation), report))
        .collect();
    add("reliability.png", "Observed share of fractures against the score, in ten bins", charts(&reliability, 2))?;
    if let Some(froc) = &evaluation.froc {
        let free = Chart {
            title: titled("Free response: findings against false marks", evaluation),
            x_label: "False marks per case".into(),
            y_label: "Share of findings found".into(),
            x_range: Some((0.0, froc.points.last().map_or(1.0, |p| p.0).clamp(0.5, 8.0))),
            y_range: UNIT,
            series: vec![Series::line("", froc.points.clone())],
            ..Chart::default()
        };
        add("froc.png", "Share of findings found against false marks per case", chart(&free))?;
    }
    Ok(pictures)
}

fn area_of(set: &TestSet, metric: Metric) -> String {
    let found = set.metrics.get(metric);
    match (found.value, found.lower, found.upper) {
        (Some(value), Some(lower), Some(upper)) => format!("{value:.3} ({lower:.3} to {upper:.3})"),
        (Some(value), ..) => format!("{value:.3}"),
        _ => "undefined".to_owned(),
    }
}

fn roc(evaluation: &Evaluation) -> Chart {
    let curves = &evaluation.curves;
    let slices = evaluation.baselines.iter().find(|baseline| baseline.name == "max-of-slices");
    let slices = slices.and_then(|baseline| baseline.roc_auc.value).map_or(String::new(), |auc| format!(" {auc:.3}"));
    let chance = Series { look: Look::Reference, ..Series::line("chance 0.5", vec![(0.0, 0.0), (1.0, 1.0)]) };
    let mut series = vec![
        chance,
        Series::line(format!("cases {}", area_of(&evaluation.case.natural, Metric::RocAuc)), curves.case_roc.clone()),
        Series::line(
            format!("images {}", area_of(&evaluation.image.natural, Metric::RocAuc)),
            curves.image_roc.clone(),
        ),
        Series::line(format!("cases by highest slice{slices}"), curves.max_of_slices_roc.clone()),
    ];
    series.retain(|series| !series.points.is_empty());
    Chart {
        title: titled("ROC", evaluation),
        x_label: "False positive rate (1 - specificity)".into(),
        y_label: "True positive rate (sensitivity)".into(),
        x_range: UNIT,
        y_range: UNIT,
        series,
        ..Chart::default()
    }
}

fn precision_recall(evaluation: &Evaluation) -> Chart {
    let curves = &evaluation.curves;
    let mut series = Vec::new();
    let mut add = |name: &str, points: &[(f64, f64)], set: &TestSet| {
        if points.is_empty() {
            return;
        }
        let area = area_of(set, Metric::AveragePrecision);
        series.push(Series::line(format!("{name} {area}"), points.to_vec()));
        let level = set.prevalence.unwrap_or(0.0);
        let name = format!("prevalence of {name} {level:.3}");
        series.push(Series { look: Look::Reference, ..Series::line(name, vec![(0.0, level), (1.0, level)]) });
    };
    add("cases", &curves.case_precision_recall, &evaluation.case.natural);
    add("images", &curves.image_precision_recall, &evaluation.image.natural);
    Chart {
        title: titled("Precision and recall", evaluation),
        x_label: "Recall (sensitivity)".into(),
        y_label: "Precision (PPV)".into(),
        x_range: UNIT,
        y_range: UNIT,
        series,
        legend: Legend::LowerLeft,
        ..Chart::default()
    }
}

/// Says of synthetic data that they are.
fn titled(name: &str, evaluation: &Evaluation) -> String {
    if evaluation.provenance.synthetic { format!("{name} (synthetic cases)") } else { name.to_owned() }
}

fn reliable(name: &str, report: &CalibrationReport) -> Chart {
    let mut series = vec![Series { look: Look::Reference, ..Series::line("perfect", vec![(0.0, 0.0), (1.0, 1.0)]) }];
    let mut add = |name: &str, found: &crate::evaluation::Assessment| {
        let points = found.bins.iter().map(|bin| (bin.mean_probability, bin.observed)).collect();
        let bars = found.bins.iter().filter_map(|bin| Some((bin.mean_probability, bin.lower?, bin.upper?))).collect();
        let ece = found.ece.map_or(String::new(), |ece| format!(", ECE {ece:.3}"));
        series.push(Series { name: format!("{name}{ece}"), points, look: Look::Dots, bars });
    };
    match &report.after {
        Some(after) => {
            add("as shown", after);
            add("before calibration", &report.before);
        }
        None => add("scores", &report.before),
    }
    // Rare fractures have low scores: the plot then shows their corner.
    let reach = series.iter().skip(1).flat_map(|series| {
        let bars = series.bars.iter().flat_map(|bar| [bar.0, bar.2]);
        series.points.iter().flat_map(|point| [point.0, point.1]).chain(bars)
    });
    let reach = Some((0.0, (1.05 * reach.fold(0.0, f64::max)).clamp(0.05, 1.0)));
    Chart {
        title: format!("Reliability, {} ({} of {} positive)", name.to_lowercase(), report.positives, report.n),
        x_label: "Mean score of the bin".into(),
        y_label: "Share with a fracture".into(),
        x_range: reach,
        y_range: reach,
        series,
        legend: Legend::UpperLeft,
        ..Chart::default()
    }
}

/// Strips of the given cases with the reference tinted: slice scores from head to feet. `None` where no case has slices.
///
/// # Errors
/// A plot could not be drawn.
pub fn strips(cases: &[(String, &CasePrediction)], slice_threshold: f64) -> Result<Option<Picture>, PlotError> {
    let all: Vec<Chart> = cases
        .iter()
        .filter(|(_, case)| !case.slices.is_empty())
        .map(|(title, case)| strip(title, case, slice_threshold))
        .collect();
    if all.is_empty() {
        return Ok(None);
    }
    let alt = "Slice scores from head to feet of the clearest and the worst cases, fractured slices tinted".to_owned();
    Ok(Some(Picture { file: "strips.png".to_owned(), alt, png: charts(&all, 2)? }))
}

fn strip(title: &str, case: &CasePrediction, threshold: f64) -> Chart {
    // Slices are counted from 1 wherever a person sees them.
    let at = |index: usize| index as f64 + 1.0;
    let points: Vec<(f64, f64)> = case.slices.iter().map(|slice| (at(slice.index), slice.score)).collect();
    let (first, last) = case.slices.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), slice| {
        (low.min(at(slice.index)), high.max(at(slice.index)))
    });
    let step = if case.slices.len() > 1 { (last - first) / (case.slices.len() - 1) as f64 } else { 1.0 };
    let positive = case.slices.iter().filter(|slice| slice.label == Some(true)).map(|slice| at(slice.index));
    let line = vec![(first - step, threshold), (last + step, threshold)];
    Chart {
        title: format!("{title}: {}, case score {:.3}", case.id, case.score),
        x_label: "Slice, head to feet".into(),
        x_is_counted: true,
        y_label: "Slice score".into(),
        x_range: Some((first - step, last + step)),
        y_range: UNIT,
        series: vec![Series::line("", points), Series { look: Look::Reference, ..Series::line("", line) }],
        shades: positive.map(|x| (x - 0.5 * step, x + 0.5 * step)).collect(),
        size_px: STRIP_PX,
        ..Chart::default()
    }
}
