//! The evaluation in words and tables, from its numbers and nothing else.

use super::assess::CalibrationReport;
use super::document::{Block, Document, Picture};
use super::measure::{Estimate, Metric};
use super::paper::{self, PaperRow};
use super::sets::TestSet;
use super::summary::{Evaluation, Failure};

/// On every page: a page may be read without the first one.
const SYNTHETIC: &str = "Synthetic cases: no clinical performance";

/// The report; `pictures` are put where they belong by their file names.
pub fn account(evaluation: &Evaluation, pictures: &[Picture]) -> Document {
    let title = "Evaluation of a fracture network".to_owned();
    let mut blocks = vec![Block::Heading(1, title.clone())];
    blocks.extend(evaluation.notice.iter().cloned().map(Block::Warning));
    blocks.extend(evaluation.notes.iter().cloned().map(Block::Warning));
    let picture = |blocks: &mut Vec<Block>, files: &[&str]| {
        let there = files.iter().filter(|file| pictures.iter().any(|picture| picture.file == **file));
        blocks.extend(there.map(|file| Block::Picture((*file).to_owned())));
    };
    blocks.extend(what(evaluation));
    blocks.extend(data(evaluation));
    blocks.extend(results(evaluation));
    picture(&mut blocks, &["roc.png", "precision-recall.png"]);
    blocks.extend(points(evaluation));
    blocks.extend(baselines(evaluation));
    blocks.extend(calibration(evaluation));
    picture(&mut blocks, &["reliability.png"]);
    blocks.extend(localisation(evaluation));
    picture(&mut blocks, &["froc.png"]);
    blocks.extend(subgroups(evaluation));
    blocks.extend(failures(evaluation));
    picture(&mut blocks, &["strips.png"]);
    blocks.extend(method(evaluation));
    blocks.push(Block::Text(crate::RESEARCH_LINE.to_owned()));
    let standing = if evaluation.provenance.synthetic { SYNTHETIC } else { "" };
    Document { title, standing: standing.to_owned(), blocks }
}

fn heading(text: &str) -> Block {
    Block::Heading(2, text.to_owned())
}

fn text(text: impl Into<String>) -> Block {
    Block::Text(text.into())
}

fn table(caption: &str, head: &[&str], rows: Vec<Vec<String>>) -> Block {
    Block::Table { caption: caption.to_owned(), head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows }
}

/// Three decimals, or a dash.
fn number(value: Option<f64>) -> String {
    value.map_or("\u{2013}".to_owned(), |value| format!("{value:.3}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or("\u{2013}".to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

/// "0.812 (0.741 to 0.867)".
fn with_interval(estimate: &Estimate) -> String {
    match (estimate.value, estimate.lower, estimate.upper) {
        (Some(_), Some(lower), Some(upper)) => format!("{} ({lower:.3} to {upper:.3})", number(estimate.value)),
        (value, ..) => number(value),
    }
}

/// "81.2 (74.1 to 86.7)", in percent as the paper prints.
fn percent_with_interval(estimate: &Estimate) -> String {
    match (estimate.value, estimate.lower, estimate.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{:.1} ({:.1} to {:.1})", 100.0 * value, 100.0 * lower, 100.0 * upper)
        }
        (Some(value), ..) => format!("{:.1}", 100.0 * value),
        _ => "\u{2013}".to_owned(),
    }
}

/// "81.2 \u{b1} 3.4" over folds, else the value with its interval.
fn percent_over_folds(estimate: &Estimate) -> String {
    match estimate.folds {
        Some(folds) => match folds.sd {
            Some(sd) => format!("{:.2} \u{b1} {:.2}", 100.0 * folds.mean, 100.0 * sd),
            None => format!("{:.2}", 100.0 * folds.mean),
        },
        None => percent_with_interval(estimate),
    }
}

fn what(evaluation: &Evaluation) -> Vec<Block> {
    let provenance = &evaluation.provenance;
    let mut blocks = vec![heading("What was evaluated")];
    blocks.push(text(
        "A network that scores every axial image of a CT of the cervical spine and the study as a whole for fracture, evaluated \
         as a reader's aid in research. It decides nothing.",
    ));
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = Vec::new();
    for (place, model) in provenance.models.iter().enumerate() {
        let name = if provenance.models.len() > 1 { format!("Network {}", place + 1) } else { "Network".to_owned() };
        if model.sha256.is_empty() {
            rows.push(row(&name, "its file could not be read".to_owned()));
            continue;
        }
        let calibrated = if model.calibrated { "scores calibrated" } else { "scores not calibrated" };
        rows.push(row(
            &name,
            format!(
                "{}; {}; thresholds: image {:.4}, case {:.4} ({}); {calibrated}; SHA-256 {}",
                named(&model.name, &model.architecture),
                trained(&model.trained_on),
                model.slice_threshold,
                model.case_threshold,
                model.threshold_rule,
                model.sha256
            ),
        ));
    }
    rows.push(row("Data", provenance.datasets.join(", ")));
    if !provenance.dataset_names.is_empty() {
        rows.push(row("Data in words", provenance.dataset_names.join("; ")));
    }
    rows.push(row("Preprocessing", provenance.recipe.clone()));
    rows.push(row("Device", provenance.device.clone()));
    rows.push(row("Software", provenance.software.clone()));
    rows.retain(|row| row.iter().all(|cell| !cell.is_empty()));
    blocks.push(table("Network, data and program", &["", "Value"], rows));
    blocks
}

/// A name often begins with the architecture.
fn named(name: &str, architecture: &str) -> String {
    if name.starts_with(architecture) { name.to_owned() } else { format!("{name}, {architecture}") }
}

/// Cards say it as a phrase or as a sentence of their own.
fn trained(on: &str) -> String {
    let is_whole = ["trained", "untrained"].iter().any(|begin| on.trim_start().to_lowercase().starts_with(begin));
    if is_whole { on.to_owned() } else { format!("trained on: {on}") }
}

fn data(evaluation: &Evaluation) -> Vec<Block> {
    let population = &evaluation.population;
    let count = |name: &str, value: usize| vec![name.to_owned(), value.to_string()];
    let below_c7 = population.positive_cases_below_c7_only;
    let mut rows = vec![
        count("Cases evaluated", population.cases),
        count("of them with a fracture", population.positive_cases),
        count("of them without", population.negative_cases),
        count("Patients", population.patients),
        count("Images counted", population.images),
        count("of them with a fracture", population.positive_images),
        count("Images that count neither way (unknown or too faint)", population.ignored_images),
        count("Images left out (no number for a score)", population.images_left_out),
        count("Cases left out", population.left_out.len()),
        count("Folds", population.folds),
    ];
    if below_c7 > 0 {
        rows.insert(2, count("of these with fractures below C7 only", below_c7));
    }
    let mut blocks = vec![heading("Data"), table("Flow of cases and images", &["", "Count"], rows)];
    if !population.left_out.is_empty() {
        let row = |left: &super::LeftOut| vec![left.id.clone(), left.reason.clone()];
        let rows = population.left_out.iter().map(row).collect();
        blocks.push(table("Cases left out", &["Case", "Reason"], rows));
    }
    blocks
}

/// The order of the paper's columns, and the area that it does not have.
const PAPER_COLUMNS: [Metric; 8] = [
    Metric::Sensitivity,
    Metric::Specificity,
    Metric::Ppv,
    Metric::Npv,
    Metric::F1,
    Metric::Accuracy,
    Metric::BalancedAccuracy,
    Metric::Mcc,
];

fn as_in_the_paper(caption: &str, sets: &[(&str, &TestSet)], rows: &[PaperRow]) -> Block {
    let mut head = vec!["Test set"];
    head.extend(paper::COLUMNS);
    head.push("ROC-AUC");
    let ours = sets.iter().map(|(name, set)| {
        let mut cells = vec![format!("{name} ({} : {})", set.positives, set.negatives)];
        cells.extend(PAPER_COLUMNS.map(|metric| percent_over_folds(&set.metrics.get(metric))));
        cells.push(percent_over_folds(&set.metrics.get(Metric::RocAuc)));
        cells
    });
    let theirs = rows.iter().map(|row| {
        let mut cells = vec![row.set.to_owned()];
        cells.extend(row.cells.map(paper::Cell::text));
        cells.push("\u{2013}".to_owned());
        cells
    });
    table(caption, &head, ours.chain(theirs).collect())
}

fn results(evaluation: &Evaluation) -> Vec<Block> {
    let (image, case) = (&evaluation.image, &evaluation.case);
    let mut blocks = vec![heading("Results")];
    let folds = evaluation.population.folds > 1;
    let spread = if folds { "mean \u{b1} SD over folds, n - 1" } else { "95 % interval in parentheses" };
    if evaluation.provenance.synthetic {
        blocks.push(Block::Warning(
            "Our rows are of synthetic cases, the paper's of real patients. They stand beside each other to show the form, not to be \
             compared."
                .to_owned(),
        ));
    }
    let images = [
        ("All images", &image.natural),
        ("Images of as many negative as positive cases", &image.case_balanced),
        ("Images 1 : 1", &image.one_to_one),
    ];
    let cases = [("All cases", &case.natural), ("Cases 1 : 1", &case.one_to_one)];
    blocks.push(as_in_the_paper(
        &format!("Images, in the form of the paper's Table 2 (percent; ours: {spread})"),
        &images,
        &paper::IMAGES,
    ));
    blocks.push(as_in_the_paper(
        &format!("Cases, in the form of the paper's Table 3 (percent; ours: {spread})"),
        &cases,
        &paper::CASES,
    ));
    let notes = paper::IMAGES.iter().chain(&paper::CASES).filter(|row| !row.note.is_empty());
    let notes = notes.map(|row| format!("{}: {}", row.set, row.note));
    blocks.push(Block::List(paper::REMARKS.iter().map(|remark| (*remark).to_owned()).chain(notes).collect()));
    blocks.extend(all_metrics(evaluation));
    let counts = [("All images", &image.natural), ("All cases", &case.natural)].map(|(name, set)| {
        let counts = &set.confusion;
        let mut cells = vec![name.to_owned()];
        cells.extend([counts.tp, counts.fn_, counts.fp, counts.tn].map(|count| format!("{count:.0}")));
        cells.push(percent(set.prevalence));
        cells
    });
    blocks.push(table(
        "Confusion at the operating threshold",
        &["", "True positive", "False negative", "False positive", "True negative", "Prevalence"],
        counts.to_vec(),
    ));
    blocks
}

/// Every metric of every set.
fn all_metrics(evaluation: &Evaluation) -> Vec<Block> {
    let (image, case) = (&evaluation.image, &evaluation.case);
    let sets: Vec<&TestSet> =
        vec![&image.natural, &image.case_balanced, &image.one_to_one, &case.natural, &case.one_to_one];
    let rows = Metric::ALL.iter().map(|metric| {
        let mut cells = vec![metric.title().to_owned()];
        cells.extend(sets.iter().map(|set| with_interval(&set.metrics.get(*metric))));
        cells
    });
    let constant = case.natural.prevalence.and_then(super::best_constant_weighted_loss);
    let caption = if evaluation.population.folds > 1 {
        "All metrics, pooled over folds (95 % interval)"
    } else {
        "All metrics (95 % interval)"
    };
    let head = ["Metric", "All images", "Images, case-balanced", "Images 1 : 1", "All cases", "Cases 1 : 1"];
    let metrics = table(caption, &head, rows.collect());
    let weighted = text(format!(
        "Log-loss with positives counted twice is, over cases, the patient_overall part of RSNA 2022's weighted log-loss; the best \
         answer that is the same for all of these cases has {}. The metric's other half asks for a probability of each of C1 to C7, \
         which this network does not give: the whole is not reported, and no figure here compares with that competition's.",
        number(constant)
    ));
    vec![metrics, weighted]
}

fn points(evaluation: &Evaluation) -> Vec<Block> {
    let mut head = vec!["Threshold".to_owned(), "Value".into(), "Sensitivity".into(), "Specificity".into()];
    for prevalence in super::PREVALENCES {
        head.push(format!("PPV / NPV at {:.0} %", 100.0 * prevalence));
    }
    let rows = evaluation.operating_points.iter().map(|point| {
        let value = point.threshold.map_or("differs by fold".to_owned(), |threshold| format!("{threshold:.4}"));
        let mut cells =
            vec![point.name.clone(), value, with_interval(&point.sensitivity), with_interval(&point.specificity)];
        let both =
            |values: &super::summary::PredictiveValues| format!("{} / {}", number(values.ppv), number(values.npv));
        cells.extend(point.predictive_values.iter().map(both));
        cells
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let rules = evaluation.operating_points.iter().map(|point| format!("{}: {}", point.name, point.rule)).collect();
    vec![
        heading("Operating points"),
        text("Thresholds were chosen before, on validation data; none was chosen on the cases evaluated here."),
        Block::Table { caption: "Cases at named thresholds".to_owned(), head, rows },
        Block::List(rules),
    ]
}

fn baselines(evaluation: &Evaluation) -> Vec<Block> {
    let case = &evaluation.case.natural.metrics;
    let mut rows = vec![vec![
        "This network".to_owned(),
        evaluation.case.natural.n.to_string(),
        with_interval(&case.get(Metric::RocAuc)),
        number(case.get(Metric::AveragePrecision).value),
        number(case.get(Metric::Accuracy).value),
        number(case.get(Metric::BalancedAccuracy).value),
        String::new(),
        String::new(),
    ]];
    rows.extend(evaluation.baselines.iter().map(|baseline| {
        let difference = baseline.network_less_this.map_or("\u{2013}".to_owned(), |found| {
            let (lower, upper) = (number(found.lower), number(found.upper));
            let p = found.p.map_or("\u{2013}".to_owned(), p_value);
            format!("{:+.3} ({lower} to {upper}), p {p}, n {}", found.difference, found.n)
        });
        let mcnemar = baseline.mcnemar.map_or("\u{2013}".to_owned(), |found| {
            format!("{} : {}, p {}", found.first_only, found.second_only, p_value(found.p))
        });
        vec![
            format!("{}: {}", baseline.name, baseline.what),
            baseline.n.to_string(),
            with_interval(&baseline.roc_auc),
            number(baseline.average_precision),
            number(baseline.accuracy),
            number(baseline.balanced_accuracy),
            difference,
            mcnemar,
        ]
    }));
    vec![
        heading("Trivial baselines"),
        text(
            "What needs no network, or none of its sequence part, on the same cases. Differences of areas by paired DeLong; hard \
             answers by McNemar's exact test (cases right by the network only : by the baseline only).",
        ),
        table(
            "Cases",
            &[
                "Rule",
                "n",
                "ROC-AUC",
                "Average precision",
                "Accuracy",
                "Balanced accuracy",
                "Network's AUC less this",
                "McNemar",
            ],
            rows,
        ),
    ]
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

fn calibration(evaluation: &Evaluation) -> Vec<Block> {
    let mut rows = Vec::new();
    let mut add = |name: &str, report: &CalibrationReport| {
        let mut row = |which: String, found: &super::Assessment| {
            rows.push(vec![
                which,
                number(found.ece),
                number(found.brier),
                number(found.brier_skill),
                number(found.intercept_in_the_large),
                number(found.slope),
                number(found.intercept),
            ]);
        };
        match &report.after {
            Some(after) => {
                row(format!("{name}, before"), &report.before);
                row(format!("{name}, as shown"), after);
            }
            None => row(name.to_owned(), &report.before),
        }
    };
    add("Images", &evaluation.calibration.image);
    add("Cases", &evaluation.calibration.case);
    vec![
        heading("Calibration"),
        text(
            "Perfect: calibration error 0, skill 1, intercept in the large 0, slope 1 with intercept 0. Before: the sigmoid of the \
             network's output; as shown: after the calibration stored in its card, which was fitted on validation data.",
        ),
        table(
            "Calibration",
            &[
                "",
                "ECE (10 equal-mass bins)",
                "Brier",
                "Brier skill",
                "Intercept in the large",
                "Slope",
                "its intercept",
            ],
            rows,
        ),
    ]
}

fn localisation(evaluation: &Evaluation) -> Vec<Block> {
    let mut blocks = vec![heading("Localisation")];
    match &evaluation.hit_rate {
        Some(rate) => {
            let row = |name: &str, found: &Estimate| vec![name.to_owned(), found.n.to_string(), with_interval(found)];
            let rows =
                vec![row("Positive images with a box", &rate.all), row("of them above the threshold", &rate.called)];
            blocks.push(table("The heatmap's hottest cell touches a reference box", &["", "n", "Hit rate"], rows));
        }
        None => blocks.push(text("No positive image has a reference box: there is no hit rate.")),
    }
    if let Some(froc) = &evaluation.froc {
        let head: Vec<String> = std::iter::once("False marks per case".to_owned())
            .chain(froc.at.iter().map(|point| point.false_marks_per_case.to_string()))
            .collect();
        let cells = froc.at.iter().map(|point| number(point.sensitivity));
        let rows = vec![std::iter::once("Findings found".to_owned()).chain(cells).collect()];
        let caption =
            format!("Free response: {} findings (runs of positive images) in {} cases", froc.findings, froc.cases);
        blocks.push(Block::Table { caption, head, rows });
        blocks.push(text(
            "A mark is a local maximum of the image scores. It is right on a positive image whose heatmap peak touches a box (or \
             on any positive image where there are no boxes).",
        ));
    }
    if !evaluation.levels.is_empty() {
        let row = |level: &super::LevelResult| {
            vec![level.level.clone(), level.positives.to_string(), level.negatives.to_string(), number(level.roc_auc)]
        };
        let rows = evaluation.levels.iter().map(row).collect();
        blocks.push(table("Images by level", &["Level", "Positive", "Negative", "ROC-AUC"], rows));
        blocks.push(text(by_level(evaluation.population.positive_cases_below_c7_only)));
    }
    blocks
}

/// What the table of levels counts, and what the levels of the field do not hold.
fn by_level(cases_below_c7_only: usize) -> String {
    let at =
        "An image stands at the level of its largest finding, else at that of the vertebra it shows, by the reference.";
    if cases_below_c7_only == 0 {
        return at.to_owned();
    }
    format!(
        "{at} T1 is none of the levels that the paper and RSNA 2022 speak of: cases that are fractured there only \
         ({cases_below_c7_only} here) have no fractured level in RSNA's form and count as fractured all the same."
    )
}

fn subgroups(evaluation: &Evaluation) -> Vec<Block> {
    let mut blocks = vec![heading("Subgroups")];
    let row = |part: &super::Subgroup| {
        vec![
            format!("{}: {}", part.by, part.group),
            part.positives.to_string(),
            part.negatives.to_string(),
            with_interval(&part.sensitivity),
            with_interval(&part.specificity),
            with_interval(&part.roc_auc),
        ]
    };
    let rows: Vec<Vec<String>> = evaluation.subgroups.iter().map(row).collect();
    if !rows.is_empty() {
        blocks.push(text(
            "Parts that only fractured cases have (level, kind, conspicuity) are compared with all cases without. Intervals take \
             cases as independent; small parts prove nothing.",
        ));
        let head = ["Part", "Positive", "Negative", "Sensitivity", "Specificity", "ROC-AUC"];
        blocks.push(table("Cases by part", &head, rows));
    }
    if let Some(twins) = &evaluation.twins {
        blocks.push(text(format!(
            "Twins: in {} pairs of the same synthetic patient with and without the fracture, the fractured one scores higher in {} \
             of pairs (95 % interval {} to {}); the median difference of logits is {:.3}.",
            twins.pairs,
            percent(twins.fractured_higher.value),
            percent(twins.fractured_higher.lower),
            percent(twins.fractured_higher.upper),
            twins.median_logit_difference
        )));
    }
    blocks
}

fn failures(evaluation: &Evaluation) -> Vec<Block> {
    let row = |failure: &Failure| {
        let truth = if failure.label { "fractured" } else { "not fractured" };
        let called = if failure.called { "above threshold" } else { "below threshold" };
        vec![
            failure.id.clone(),
            truth.to_owned(),
            format!("{:.4}", failure.score),
            called.to_owned(),
            failure.fractures.join("; "),
        ]
    };
    let rows = evaluation.worst.iter().map(row).collect();
    vec![
        heading("Where it fails"),
        table(
            "Lowest scores of fractured cases and highest of the others",
            &["Case", "Truth", "Score", "Called", "Fractures"],
            rows,
        ),
    ]
}

fn method(evaluation: &Evaluation) -> Vec<Block> {
    let options = &evaluation.options;
    let items = vec![
        "Area under the ROC curve by mid-ranks; average precision as a step function; an undefined ratio is a dash, never 0, and \
         leaves the mean over folds together with its fold."
            .to_owned(),
        format!(
            "Balanced sets are the mean of {} draws. Intervals: Clopper-Pearson for shares of cases and DeLong on the logit scale \
             for the area where every case is another patient; otherwise percentiles of {} bootstrap draws of patients (those with and \
             without a fracture apart). Images of one patient are never taken as independent. Seed {}.",
            options.balanced_draws, options.draws, options.seed
        ),
        "The spread over folds is no standard error, since folds share their training data.".to_owned(),
        "Limitations: thresholds and calibration hold for data like the validation data; predictive values at other prevalences assume \
         the same sensitivity and specificity; nothing here was compared with readers."
            .to_owned(),
    ];
    vec![heading("Methods and limitations"), Block::List(items)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::summary::tests::parts;
    use crate::evaluation::{Options, Provenance, evaluate};
    use crate::jobs::JobCtx;

    fn markdown(folds: usize, synthetic: bool) -> String {
        let options = Options { draws: 60, balanced_draws: 10, ..Options::default() };
        let provenance = Provenance { synthetic, datasets: vec!["phantom:1-9".into()], ..Provenance::default() };
        let found = evaluate(&parts(folds, 24), provenance, &[], &options, &JobCtx::detached()).expect("cases");
        account(&found, &[]).markdown(&[], None)
    }

    #[test]
    fn the_papers_auc_is_called_what_it_is() {
        let text = markdown(3, true);
        assert!(text.contains("| Balanced accuracy |") && text.contains("| ROC-AUC |"));
        assert!(text.contains("79.18") && text.contains("6.41") && text.contains("\u{b1}"));
        assert!(text.contains("always-negative") && text.contains("max-of-slices"));
    }

    #[test]
    fn synthetic_results_are_never_clinical_ones() {
        assert!(
            markdown(1, true).contains("no clinical performance") && markdown(1, true).contains("not to be compared")
        );
        assert!(!markdown(1, false).contains("synthetic cases"));
        for text in [markdown(1, true), markdown(2, false)] {
            assert!(text.contains("Not for diagnosis") && !text.to_lowercase().contains("no fracture"));
        }
    }

    #[test]
    fn a_network_is_told_once() {
        assert_eq!(named("ResNet-10 + BLSTM on phantom", "ResNet-10 + BLSTM"), "ResNet-10 + BLSTM on phantom");
        assert_eq!(named("neck one", "ResNet-50"), "neck one, ResNet-50");
        assert_eq!(trained("synthetic necks only"), "trained on: synthetic necks only");
        for whole in ["trained on synthetic necks only", "Untrained: the numbers mean nothing"] {
            assert_eq!(trained(whole), whole);
        }
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        for line in markdown(2, true).lines().collect::<Vec<_>>().windows(2) {
            if line.iter().all(|l| l.starts_with('|')) {
                let cells = |l: &str| l.replace("\\|", "").matches('|').count();
                assert_eq!(cells(line[0]), cells(line[1]), "{line:?}");
            }
        }
    }
}
