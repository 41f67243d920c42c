//! Everything that is said of a network on one body of data, put together.

use std::collections::BTreeMap;

use super::assess::{CalibrationReport, report as calibration_report};
use super::baselines::{Baseline, Judged, baselines};
use super::confusion::predictive_values;
use super::localisation::{Froc, HitRate, froc, hit_rate};
use super::measure::{Estimate, Item};
use super::sets::{Balance, Sample, TestSet};
use super::subgroups::{LevelResult, Subgroup, Twins, levels, share, subgroups, twins};
use super::{CasePrediction, Confusion, PREVALENCES, precision_recall_curve, roc_curve};
use crate::jobs::{Cancelled, JobCtx};

/// Points kept of a curve for drawing.
const CURVE_POINTS: usize = 400;
/// C1 to C7.
const CERVICAL_LEVELS: usize = 7;
/// Cases of each kind named among the worst.
const WORST: usize = 5;

/// How the numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Options {
    pub seed: u64,
    /// Bootstrap draws.
    pub draws: usize,
    /// Draws of the one-to-one and the case-balanced sets.
    pub balanced_draws: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 2021, draws: 2000, balanced_draws: 200 }
    }
}

/// A threshold with a name, as chosen on validation data.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NamedThreshold {
    pub name: String,
    /// For case scores.
    pub case: f64,
    pub rule: String,
    /// Validation cases it was chosen on, where known.
    pub n: Option<usize>,
}

/// What a network calls positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    pub slice: f64,
    pub case: f64,
    pub rule: String,
    pub named: Vec<NamedThreshold>,
}

/// Cases judged by one network: a fold, or all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: String,
    pub thresholds: Thresholds,
    pub cases: Vec<CasePrediction>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Provenance {
    pub software: String,
    /// One per fold.
    pub models: Vec<ModelProvenance>,
    /// As given on the command line.
    pub datasets: Vec<String>,
    pub dataset_names: Vec<String>,
    pub recipe: String,
    pub device: String,
    /// All data come from the phantom generator.
    pub synthetic: bool,
}

#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct ModelProvenance {
    pub name: String,
    pub architecture: String,
    pub sha256: String,
    pub trained_on: String,
    pub slice_threshold: f64,
    pub case_threshold: f64,
    pub threshold_rule: String,
    pub calibrated: bool,
}

/// A case that is not in the numbers, and why.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LeftOut {
    pub id: String,
    pub reason: String,
}

/// What was evaluated.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Population {
    pub cases: usize,
    pub positive_cases: usize,
    /// Positives whose fractures all lie below C7, where the source names its fractures.
    pub positive_cases_below_c7_only: usize,
    pub negative_cases: usize,
    pub patients: usize,
    pub images: usize,
    pub positive_images: usize,
    pub negative_images: usize,
    /// Slices whose label is unknown or too faint to count.
    pub ignored_images: usize,
    pub folds: usize,
    pub left_out: Vec<LeftOut>,
    pub images_left_out: usize,
}

/// Results for images.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ImageSets {
    pub natural: TestSet,
    pub one_to_one: TestSet,
    /// All images of as many negative as positive cases: what the paper's "balanced" image row is.
    pub case_balanced: TestSet,
}

/// Results for cases.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CaseSets {
    pub natural: TestSet,
    pub one_to_one: TestSet,
}

/// A curve, thinned for drawing.
pub type Curve = Vec<(f64, f64)>;

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Curves {
    pub image_roc: Curve,
    pub image_precision_recall: Curve,
    pub case_roc: Curve,
    pub case_precision_recall: Curve,
    pub max_of_slices_roc: Curve,
}

/// A named operating point on the test data.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PointResult {
    pub name: String,
    pub rule: String,
    pub threshold: Option<f64>,
    pub sensitivity: Estimate,
    pub specificity: Estimate,
    /// At 5, 20 and 50 % prevalence, by Bayes.
    pub predictive_values: Vec<PredictiveValues>,
}

#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PredictiveValues {
    pub prevalence: f64,
    pub ppv: Option<f64>,
    pub npv: Option<f64>,
}

/// A case that the network judged worst.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Failure {
    pub id: String,
    pub label: bool,
    pub score: f64,
    /// Called at the operating threshold.
    pub called: bool,
    /// In words.
    pub fractures: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct CalibrationReports {
    pub image: CalibrationReport,
    pub case: CalibrationReport,
}

/// The whole result; the machine-readable form is this as JSON.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Evaluation {
    pub schema: &'static str,
    pub notice: Vec<String>,
    pub provenance: Provenance,
    pub options: Options,
    pub population: Population,
    pub image: ImageSets,
    pub case: CaseSets,
    pub operating_points: Vec<PointResult>,
    pub baselines: Vec<Baseline>,
    pub calibration: CalibrationReports,
    pub subgroups: Vec<Subgroup>,
    pub levels: Vec<LevelResult>,
    pub twins: Option<Twins>,
    pub froc: Option<Froc>,
    pub hit_rate: Option<HitRate>,
    pub worst: Vec<Failure>,
    pub curves: Curves,
    /// Sentences the reader must know before the numbers.
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error("there is no case to evaluate: {0}")]
    NoCases(String),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// All numbers of the predictions of one or several networks, each of which has judged only cases it was not trained on.
///
/// Cases with a score that is no number are left out and named; slices likewise, and counted.
///
/// # Errors
/// No usable case; cancelled.
pub fn evaluate(
    parts: &[Part],
    provenance: Provenance,
    already_left_out: &[LeftOut],
    options: &Options,
    ctx: &JobCtx,
) -> Result<Evaluation, EvaluationError> {
    let body = Body::new(parts, already_left_out);
    if body.cases.is_empty() {
        let first = body.left_out.first().map_or("none was given".to_owned(), |l| format!("{}: {}", l.id, l.reason));
        return Err(EvaluationError::NoCases(first));
    }
    let (slices, cases) = (body.slice_sample(), body.case_sample());
    let set = |sample: &Sample, balance, what: &str| sample.test_set(balance, what, options, ctx);
    let image = ImageSets {
        natural: set(&slices, Balance::Natural, "all images")?,
        one_to_one: set(&slices, Balance::OneToOne, "as many negative as positive images")?,
        case_balanced: set(&slices, Balance::Cases, "all images of as many negative as positive cases")?,
    };
    let case = CaseSets {
        natural: set(&cases, Balance::Natural, "all cases")?,
        one_to_one: set(&cases, Balance::OneToOne, "as many negative as positive cases")?,
    };
    let judged = body.judged();
    let by_case: Vec<(&CasePrediction, f64)> = judged.iter().map(|j| (j.case, j.case_threshold)).collect();
    let by_slice: Vec<(&CasePrediction, f64)> = judged.iter().map(|j| (j.case, j.slice_threshold)).collect();
    let baselines = baselines(&judged, provenance.synthetic);
    let population = body.population(parts.len(), slices.sizes());
    ctx.check()?;
    Ok(Evaluation {
        schema: "dens.evaluation/1",
        notice: notice(&provenance),
        notes: body.notes(&population, &baselines),
        operating_points: operating_points(parts, &body),
        calibration: body.calibration(),
        subgroups: subgroups(&by_case),
        levels: levels(&body.cases.iter().map(|c| c.case).collect::<Vec<_>>()),
        twins: twins(&body.cases.iter().map(|c| c.case).collect::<Vec<_>>()),
        froc: froc(&body.cases.iter().map(|c| c.case).collect::<Vec<_>>()).map(|mut found| {
            found.points = thinned(found.points);
            found
        }),
        hit_rate: hit_rate(&by_slice),
        worst: worst(&by_case),
        curves: curves(&slices, &cases, &body),
        provenance,
        options: *options,
        population,
        image,
        case,
        baselines,
    })
}

/// What stands above every number.
fn notice(provenance: &Provenance) -> Vec<String> {
    let mut said = vec![crate::RESEARCH_LINE.to_owned()];
    if provenance.synthetic {
        said.push(
            "All cases are synthetic: made by a program, not by patients. These numbers show that the method works on \
             that task; they are no clinical performance and say nothing of any patient."
                .to_owned(),
        );
    }
    said
}

/// A usable case with its fold.
struct Usable<'a> {
    case: &'a CasePrediction,
    part: &'a Part,
    fold: usize,
    patient: usize,
}

/// The usable predictions of all parts.
struct Body<'a> {
    cases: Vec<Usable<'a>>,
    patients: usize,
    left_out: Vec<LeftOut>,
    images_left_out: usize,
}

impl<'a> Body<'a> {
    fn new(parts: &'a [Part], already_left_out: &[LeftOut]) -> Self {
        let mut left_out = already_left_out.to_vec();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let mut cases = Vec::new();
        let mut images_left_out = 0;
        for (fold, part) in parts.iter().enumerate() {
            for case in &part.cases {
                if let Some(other) = seen.insert(&case.id, &part.name) {
                    let reason = format!("it was predicted twice, in {other} and {}; the first counts", part.name);
                    left_out.push(LeftOut { id: case.id.clone(), reason });
                    continue;
                }
                if !(case.logit.is_finite() && (0.0..=1.0).contains(&case.score)) {
                    let reason = "its score is no number between 0 and 1".to_owned();
                    left_out.push(LeftOut { id: case.id.clone(), reason });
                    continue;
                }
                images_left_out += case.slices.iter().filter(|slice| !is_usable(slice)).count();
                let next = numbers.len();
                let patient = *numbers.entry(&case.patient).or_insert(next);
                cases.push(Usable { case, part, fold, patient });
            }
        }
        Self { patients: numbers.len(), cases, left_out, images_left_out }
    }

    fn judged(&self) -> Vec<Judged<'a>> {
        let of = |usable: &Usable<'a>| Judged {
            case: usable.case,
            slice_threshold: usable.part.thresholds.slice,
            case_threshold: usable.part.thresholds.case,
        };
        self.cases.iter().map(of).collect()
    }
    fn patient_labels(&self) -> Vec<bool> {
        let mut labels = vec![false; self.patients];
        self.cases.iter().filter(|usable| usable.case.label).for_each(|usable| labels[usable.patient] = true);
        labels
    }
    fn case_labels(&self) -> Vec<bool> {
        self.cases.iter().map(|usable| usable.case.label).collect()
    }
    /// `(item, logit)` of the slices that count.
    fn slice_items(&self) -> Vec<(Item, f64)> {
        let of = |(number, usable): (usize, &Usable<'a>)| {
            let (threshold, place) = (usable.part.thresholds.slice, [number, usable.patient, usable.fold]);
            let slices = usable.case.slices.iter().filter(|slice| is_usable(slice));
            slices
                .filter_map(move |slice| Some((Item::new(slice.score, threshold, slice.label?, place), slice.logit)))
                .collect::<Vec<_>>()
        };
        self.cases.iter().enumerate().flat_map(of).collect()
    }
    fn slice_sample(&self) -> Sample {
        let items = self.slice_items().into_iter().map(|(item, _)| item).collect();
        Sample::new(items, self.case_labels(), self.patient_labels(), self.folds())
    }
    fn case_sample(&self) -> Sample {
        let of = |(number, usable): (usize, &Usable<'a>)| {
            let (case, threshold) = (usable.case, usable.part.thresholds.case);
            Item::new(case.score, threshold, case.label, [number, usable.patient, usable.fold])
        };
        let items = self.cases.iter().enumerate().map(of).collect();
        Sample::new(items, self.case_labels(), self.patient_labels(), self.folds())
    }
    fn folds(&self) -> usize {
        self.cases.iter().map(|usable| usable.fold + 1).max().unwrap_or(0)
    }
    fn calibration(&self) -> CalibrationReports {
        let (mut logits, mut scores, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for (item, logit) in self.slice_items() {
            logits.push(logit);
            scores.push(item.score);
            labels.push(item.label);
        }
        let image = calibration_report(&logits, &scores, &labels);
        let of = |value: fn(&CasePrediction) -> f64| self.cases.iter().map(|u| value(u.case)).collect::<Vec<f64>>();
        let case = calibration_report(&of(|case| case.logit), &of(|case| case.score), &self.case_labels());
        CalibrationReports { image, case }
    }
    fn population(&self, folds: usize, [positive_images, negative_images]: [usize; 2]) -> Population {
        let positive_cases = self.cases.iter().filter(|usable| usable.case.label).count();
        let slices = self.cases.iter().flat_map(|usable| &usable.case.slices);
        Population {
            cases: self.cases.len(),
            positive_cases,
            positive_cases_below_c7_only: self.cases.iter().filter(|usable| is_below_c7_only(usable.case)).count(),
            negative_cases: self.cases.len() - positive_cases,
            patients: self.patients,
            images: positive_images + negative_images,
            positive_images,
            negative_images,
            ignored_images: slices.filter(|slice| is_usable(slice) && slice.label.is_none()).count(),
            folds,
            left_out: self.left_out.clone(),
            images_left_out: self.images_left_out,
        }
    }
    /// What is odd about the data or alarming about the result.
    fn notes(&self, population: &Population, baselines: &[Baseline]) -> Vec<String> {
        let mut notes: Vec<String> = baselines.iter().filter_map(|baseline| baseline.warning.clone()).collect();
        if population.positive_cases == 0 || population.negative_cases == 0 {
            let class = if population.positive_cases == 0 { "negative" } else { "positive" };
            notes.push(format!("All cases are {class}: areas, balanced accuracy and the like are undefined, not 0."));
        }
        if population.positive_images == 0 && population.positive_cases > 0 {
            notes.push("No image has a positive label: there are no image-level results for these data.".to_owned());
        }
        if !self.left_out.is_empty() {
            let n = self.left_out.len();
            let were = if n == 1 { "One case was".to_owned() } else { format!("{n} cases were") };
            notes.push(format!("{were} left out; the list below says why."));
        }
        if self.images_left_out > 0 {
            let n = self.images_left_out;
            notes.push(format!("{n} images were left out because their score is no number between 0 and 1."));
        }
        let beaten = baselines.iter().find(|b| b.name == "max-of-slices").and_then(|b| b.network_less_this);
        if let Some(difference) = beaten.filter(|d| d.difference < 0.0) {
            notes.push(format!(
                "The sequence network does not beat the highest slice score: its AUC is {:.3} lower.",
                -difference.difference
            ));
        }
        notes
    }
}

fn is_below_c7_only(case: &CasePrediction) -> bool {
    let fractures = &case.fractures;
    case.label && !fractures.is_empty() && fractures.iter().all(|fracture| fracture.level >= CERVICAL_LEVELS)
}

fn is_usable(slice: &super::SlicePrediction) -> bool {
    slice.logit.is_finite() && (0.0..=1.0).contains(&slice.score)
}

fn curves(slices: &Sample, cases: &Sample, body: &Body<'_>) -> Curves {
    let (slice_scores, slice_labels) = slices.scores_and_labels();
    let (case_scores, case_labels) = cases.scores_and_labels();
    let highest = |case: &CasePrediction| case.slices.iter().map(|slice| slice.score).fold(0.0, f64::max);
    let highest: Vec<f64> = body.cases.iter().map(|usable| highest(usable.case)).collect();
    Curves {
        image_roc: thinned(roc_curve(&slice_scores, &slice_labels)),
        image_precision_recall: thinned(precision_recall_curve(&slice_scores, &slice_labels)),
        case_roc: thinned(roc_curve(&case_scores, &case_labels)),
        case_precision_recall: thinned(precision_recall_curve(&case_scores, &case_labels)),
        max_of_slices_roc: thinned(roc_curve(&highest, &body.case_labels())),
    }
}

/// Evenly along the curve's length, ends kept, so that steep and flat parts keep their shape.
fn thinned(curve: Curve) -> Curve {
    if curve.len() <= CURVE_POINTS {
        return curve;
    }
    let mut lengths = vec![0.0f64];
    for pair in curve.windows(2) {
        let step = (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1);
        lengths.push(lengths.last().copied().unwrap_or(0.0) + step);
    }
    let total = lengths.last().copied().unwrap_or(0.0);
    let mut kept = Vec::with_capacity(CURVE_POINTS + 1);
    let mut next = 0.0;
    for (place, point) in curve.iter().enumerate() {
        if lengths[place] >= next || place + 1 == curve.len() {
            kept.push(*point);
            next = lengths[place] + total / CURVE_POINTS as f64;
        }
    }
    kept
}

/// The operating threshold first, then the named ones that every part has.
fn operating_points(parts: &[Part], body: &Body<'_>) -> Vec<PointResult> {
    let result = |name: &str, rule: &str, threshold: &dyn Fn(&Part) -> Option<f64>| {
        let mut counts = Confusion::default();
        for usable in &body.cases {
            counts.add(usable.case.score >= threshold(usable.part)?, usable.case.label, 1.0);
        }
        let (sensitivity, specificity) = (share(counts.tp, counts.positives()), share(counts.tn, counts.negatives()));
        let at = |prevalence: f64| {
            let both = sensitivity.value.zip(specificity.value);
            let [ppv, npv] = both.map_or([None, None], |(tpr, tnr)| predictive_values(tpr, tnr, prevalence));
            PredictiveValues { prevalence, ppv, npv }
        };
        let thresholds: Vec<f64> = parts.iter().filter_map(threshold).collect();
        let same = thresholds.windows(2).all(|pair| pair[0] == pair[1]);
        Some(PointResult {
            name: name.to_owned(),
            rule: rule.to_owned(),
            threshold: thresholds.first().copied().filter(|_| same),
            sensitivity,
            specificity,
            predictive_values: PREVALENCES.map(at).to_vec(),
        })
    };
    let Some(first) = parts.first() else { return Vec::new() };
    // The operating threshold often is one of the named ones.
    let is_new = |named: &NamedThreshold| {
        let same = |part: &Part| {
            let other = part.thresholds.named.iter().find(|other| other.name == named.name);
            other.is_some_and(|other| other.case == part.thresholds.case)
        };
        !parts.iter().all(same)
    };
    let mut found: Vec<PointResult> =
        result("operating threshold", &first.thresholds.rule, &|part| Some(part.thresholds.case)).into_iter().collect();
    for named in first.thresholds.named.iter().filter(|named| is_new(named)) {
        let of = |part: &Part| part.thresholds.named.iter().find(|other| other.name == named.name).map(|t| t.case);
        found.extend(result(&named.name, &named.rule, &of));
    }
    found
}

/// The lowest positives and the highest negatives.
fn worst(cases: &[(&CasePrediction, f64)]) -> Vec<Failure> {
    let mut found = Vec::new();
    for label in [true, false] {
        let mut of_class: Vec<&(&CasePrediction, f64)> = cases.iter().filter(|(case, _)| case.label == label).collect();
        of_class.sort_by(|a, b| {
            let order = a.0.score.total_cmp(&b.0.score);
            if label { order } else { order.reverse() }.then_with(|| a.0.id.cmp(&b.0.id))
        });
        found.extend(of_class.into_iter().take(WORST).map(|(case, threshold)| Failure {
            id: case.id.clone(),
            label,
            score: case.score,
            called: case.score >= *threshold,
            fractures: case.fractures.iter().map(fracture_in_words).collect(),
        }));
    }
    found
}

fn fracture_in_words(fracture: &super::Fracture) -> String {
    let level = super::level_name(fracture.level);
    let displaced = fracture.displacement_mm.map(|mm| format!(", displaced {mm:.1} mm")).unwrap_or_default();
    // Some kinds name their level, as "C2 body" does.
    let what =
        if fracture.kind.starts_with(level) { fracture.kind.clone() } else { format!("{level} {}", fracture.kind) };
    format!("{what}{displaced}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evaluation::Metric;
    use crate::evaluation::tests::case;
    use crate::random::Stream;

    pub(crate) fn parts(folds: usize, per_fold: usize) -> Vec<Part> {
        let mut stream = Stream::named(5, "test", 0);
        let one = |fold: usize, i: usize, stream: &mut Stream| {
            let label = i.is_multiple_of(4);
            let score = (0.35 + if label { 0.3 } else { 0.0 } + 0.15 * stream.normal()).clamp(0.01, 0.99);
            let slice = |k: usize, stream: &mut Stream| {
                let hit = label && (8..11).contains(&k);
                ((0.2 + if hit { 0.4 } else { 0.0 } + 0.15 * stream.normal()).clamp(0.01, 0.99), hit)
            };
            let slices: Vec<(f64, bool)> = (0..20).map(|k| slice(k, stream)).collect();
            case(&format!("{fold}-{i}"), label, score, &slices)
        };
        let thresholds = |case: f64| Thresholds {
            slice: 0.4,
            case,
            rule: "youden".into(),
            named: vec![NamedThreshold { name: "high-sensitivity".into(), case: 0.3, rule: "r".into(), n: Some(9) }],
        };
        (0..folds)
            .map(|fold| Part {
                name: format!("fold {}", fold + 1),
                thresholds: thresholds(0.5 + 0.01 * fold as f64),
                cases: (0..per_fold).map(|i| one(fold, i, &mut stream)).collect(),
            })
            .collect()
    }
    fn options() -> Options {
        Options { draws: 100, balanced_draws: 20, ..Options::default() }
    }
    fn run(parts: &[Part]) -> Evaluation {
        let provenance = Provenance { synthetic: true, ..Provenance::default() };
        evaluate(parts, provenance, &[], &options(), &JobCtx::detached()).expect("cases")
    }

    #[test]
    fn json_has_the_sets_and_metrics_of_the_contract() {
        let json = serde_json::to_value(run(&parts(3, 24))).expect("plain data");
        for set in ["image/natural", "image/one_to_one", "image/case_balanced", "case/natural", "case/one_to_one"] {
            for metric in Metric::ALL {
                let pointer = format!("/{set}/metrics/{}", metric.key());
                let found = json.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
                assert!(found["value"].is_f64() && found["n"].is_u64(), "{pointer}: {found}");
                assert!(found["lower"].as_f64() <= found["upper"].as_f64() && found["folds"]["folds"] == 3, "{found}");
            }
        }
        for key in ["baselines", "calibration", "subgroups", "froc", "provenance", "options", "operating_points"] {
            assert!(!json[key].is_null(), "{key}");
        }
        assert_eq!(json["population"]["cases"], 72);
        assert!(json["notice"][1].as_str().expect("a sentence").contains("no clinical performance"));
    }

    #[test]
    fn folds_keep_their_own_thresholds() {
        let mut parts = parts(2, 8);
        parts[0].thresholds.case = 0.0;
        parts[1].thresholds.case = 1.1;
        let found = run(&parts);
        assert_eq!(found.case.natural.metrics.get(Metric::Sensitivity).value, Some(0.5));
        assert_eq!(found.operating_points[0].threshold, None, "it is not one threshold");
        assert_eq!(found.operating_points[1].threshold, Some(0.3));
    }

    #[test]
    fn bad_scores_are_left_out_named_and_counted() {
        let mut parts = parts(1, 12);
        parts[0].cases[3].score = f64::NAN;
        parts[0].cases[5].slices[0].logit = f64::INFINITY;
        let twice = parts[0].cases[7].clone();
        parts[0].cases.push(twice);
        let found = run(&parts);
        assert_eq!((found.population.cases, found.population.images_left_out), (11, 1));
        let ids: Vec<&str> = found.population.left_out.iter().map(|l| l.id.as_str()).collect();
        assert_eq!(ids, ["0-3", "0-7"]);
        assert!(found.notes.iter().any(|note| note.starts_with("2 cases were left out")));
    }

    #[test]
    fn cases_fractured_below_c7_only_are_positives_and_counted() {
        let mut parts = parts(1, 12);
        let fracture = |level| crate::evaluation::Fracture {
            level,
            kind: "spinous process".into(),
            displacement_mm: None,
            conspicuity: None,
        };
        let positives: Vec<&mut CasePrediction> = parts[0].cases.iter_mut().filter(|case| case.label).collect();
        for (case, levels) in positives.into_iter().zip([vec![7], vec![6, 7], vec![]]) {
            case.fractures = levels.into_iter().map(fracture).collect();
        }
        let found = run(&parts);
        assert_eq!((found.population.positive_cases, found.population.positive_cases_below_c7_only), (3, 1));
        let below = found.subgroups.iter().find(|part| part.group == "below C7").expect("a part of its own");
        assert_eq!(below.positives, 2);
    }

    #[test]
    fn a_fracture_names_its_level_once() {
        let words = |level, kind: &str| {
            let displacement_mm = Some(1.84);
            fracture_in_words(&crate::evaluation::Fracture {
                level,
                kind: kind.into(),
                displacement_mm,
                conspicuity: None,
            })
        };
        assert_eq!(words(1, "C2 body"), "C2 body, displaced 1.8 mm");
        assert_eq!(words(6, "facet"), "C7 facet, displaced 1.8 mm");
    }

    #[test]
    fn one_class_gives_undefined_and_says_so() {
        let mut parts = parts(1, 12);
        parts[0].cases.retain(|case| !case.label);
        let found = run(&parts);
        let metrics = &found.case.natural.metrics;
        assert_eq!((metrics.get(Metric::RocAuc).value, metrics.get(Metric::Sensitivity).value), (None, None));
        assert!(metrics.get(Metric::Specificity).value.is_some());
        assert!(found.notes.iter().any(|note| note.contains("All cases are negative")), "{:?}", found.notes);
        let none = evaluate(&[], Provenance::default(), &[], &options(), &JobCtx::detached());
        assert!(none.expect_err("nothing").to_string().contains("no case"));
    }

    #[test]
    fn the_same_input_gives_the_same_json() {
        let text = || serde_json::to_string(&run(&parts(2, 16))).expect("plain data");
        assert_eq!(text(), text());
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends() {
        let curve: Curve = (0..5000).map(|i| (f64::from(i) / 4999.0, (f64::from(i) / 4999.0).sqrt())).collect();
        let thin = thinned(curve.clone());
        assert!(thin.len() <= CURVE_POINTS + 2 && thin.first() == curve.first() && thin.last() == curve.last());
    }
}
