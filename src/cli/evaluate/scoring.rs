//! Runs a network over data sets, one case after the other, while the next one is read or made.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::super::Refusal;
use super::super::load::{device_preference, progress_bar};
use super::{EvaluateArgs, Gathered, card};
use crate::SOFTWARE;
use crate::evaluation::{CasePrediction, LeftOut, Part, Provenance};
use crate::findings::ModelInfo;
use crate::inference::{AnalysisError, Request, analyse, default_network, model_info};
use crate::jobs::JobCtx;
use crate::model::Network;
use crate::training::dataset::{self, CaseRef, DatasetError, LabelledCase};
use crate::training::predict::case_prediction;

/// Without a terminal a line is written each time so many parts of the whole are done.
const LINES: usize = 10;

/// Scores every case of the data sets. Asked to stop, it gives what is done, with a note.
pub fn gather(args: &EvaluateArgs, ctx: &JobCtx) -> Result<Gathered, Refusal> {
    let preparing = progress_bar(1, "preparing the network");
    preparing.enable_steady_tick(Duration::from_millis(250));
    let network = rayon::scope(|_| default_network(args.model.as_deref(), device_preference(args.device)));
    preparing.finish_and_clear();
    let network = Arc::new(network.map_err(Refusal::from_error)?);
    let model = Arc::new(model_info(&network));
    check_recipe(args.recipe.as_deref(), &model)?;
    let Opened { cases, mut left_out, names, mut notes } = open(&args.datasets, ctx)?;
    let threads = args.threads.unwrap_or_else(all_threads);
    let scorer = Scorer { network: &network, model: &model, threads, ctx };
    let (predictions, failed, done) = scorer.score(&cases);
    left_out.extend(failed);
    if done < cases.len() {
        notes.push(format!(
            "Stopped by the user after {done} of {} cases: all numbers are of those, in the order of the data set.",
            cases.len()
        ));
    }
    if !model.trained {
        notes.push(crate::findings::describe::UNTRAINED.to_owned());
    }
    let provenance = Provenance {
        software: SOFTWARE.to_owned(),
        models: vec![card::provenance(&model)],
        datasets: args.datasets.clone(),
        dataset_names: names,
        recipe: model.recipe.clone(),
        device: network.device_name().to_owned(),
        synthetic: args.datasets.iter().all(|spec| spec.starts_with("phantom:")),
    };
    let part = Part { name: "all cases".to_owned(), thresholds: card::thresholds(&model), cases: predictions };
    Ok(Gathered { parts: vec![part], left_out, provenance, notes })
}

fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A network sees only pictures cut as those that it learned from.
fn check_recipe(asked: Option<&str>, model: &ModelInfo) -> Result<(), Refusal> {
    let Some(asked) = asked else { return Ok(()) };
    let own = &model.recipe;
    if asked == own || own.split('/').next() == Some(asked) {
        return Ok(());
    }
    Err(Refusal(format!("--recipe {asked} is not the model's, which is {own}; leave it out to use the model's")))
}

/// Opened data sets.
struct Opened {
    cases: Vec<CaseRef>,
    left_out: Vec<LeftOut>,
    names: Vec<String>,
    notes: Vec<String>,
}

fn open(specs: &[String], ctx: &JobCtx) -> Result<Opened, Refusal> {
    let mut opened = Opened { cases: Vec::new(), left_out: Vec::new(), names: Vec::new(), notes: Vec::new() };
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (number, spec) in specs.iter().enumerate() {
        let found = dataset::open(spec, ctx).map_err(Refusal::from_error)?;
        opened.names.push(found.name);
        opened.notes.extend(found.notes);
        opened.left_out.extend(found.excluded.into_iter().map(|case| LeftOut { id: case.id, reason: case.reason }));
        for mut case in found.cases {
            match seen.get(&case.id) {
                Some(key) if *key == case.content_key => {
                    let reason = "it is in two of the data sets and counts once".to_owned();
                    opened.left_out.push(LeftOut { id: case.id, reason });
                    continue;
                }
                // Another case of the same name, such as one seed at two difficulties.
                Some(_) => {
                    let part = number + 1;
                    case.id = format!("{}@{part}", case.id);
                    case.twin = case.twin.map(|twin| format!("{twin}@{part}"));
                }
                None => {}
            }
            seen.insert(case.id.clone(), case.content_key.clone());
            opened.cases.push(case);
        }
    }
    Ok(opened)
}

/// What one case came to.
enum Judged {
    Scored(Box<CasePrediction>),
    LeftOut(LeftOut),
    Stopped,
}

struct Scorer<'a> {
    network: &'a Arc<Network>,
    model: &'a Arc<ModelInfo>,
    threads: usize,
    ctx: &'a JobCtx,
}

impl Scorer<'_> {
    /// Predictions, cases left out, and how many of the cases were looked at.
    fn score(&self, cases: &[CaseRef]) -> (Vec<CasePrediction>, Vec<LeftOut>, usize) {
        let bar = progress_bar(cases.len() as u64, "cases evaluated");
        bar.enable_steady_tick(Duration::from_millis(250));
        let (mut scored, mut left_out, mut done) = (Vec::new(), Vec::new(), 0);
        let (sender, receiver) = sync_channel::<Result<LabelledCase, DatasetError>>(1);
        std::thread::scope(|scope| {
            // One case ahead, so that reading and making overlap with the network.
            scope.spawn(move || {
                for case in cases {
                    if sender.send(case.load(self.ctx)).is_err() {
                        break;
                    }
                }
            });
            for (case, loaded) in cases.iter().zip(receiver) {
                match self.judge(case, loaded) {
                    Judged::Scored(prediction) => scored.push(*prediction),
                    Judged::LeftOut(left) => {
                        bar.suspend(|| eprintln!("dens: left out {}: {}", left.id, left.reason));
                        left_out.push(left);
                    }
                    Judged::Stopped => break,
                }
                done += 1;
                bar.inc(1);
                tell_without_terminal(done, cases.len());
            }
        });
        bar.finish_and_clear();
        (scored, left_out, done)
    }

    fn judge(&self, reference: &CaseRef, loaded: Result<LabelledCase, DatasetError>) -> Judged {
        let left_out = |reason: String| Judged::LeftOut(LeftOut { id: reference.id.clone(), reason });
        let case = match loaded {
            Ok(case) => case,
            Err(DatasetError::Cancelled(_)) => return Judged::Stopped,
            Err(DatasetError::Refused(reason)) => return left_out(reason),
        };
        let request = Request {
            loaded: case.loaded.clone(),
            network: self.network.clone(),
            model: self.model.clone(),
            focus: Arc::new(AtomicUsize::new(0)),
            threads: self.threads,
            load_seconds: 0.0,
            // A case that the gates stop is left out with their reason, as the viewer would.
            force: false,
            resume: None,
        };
        match analyse(&request, self.ctx, &mut |_| {}) {
            Ok(findings) => match case_prediction(reference, &case, &findings) {
                Ok(prediction) => Judged::Scored(Box::new(prediction)),
                Err(reason) => left_out(reason),
            },
            Err(AnalysisError::Cancelled(_)) => Judged::Stopped,
            Err(error) => left_out(error.to_string()),
        }
    }
}

fn tell_without_terminal(done: usize, total: usize) {
    let tenth = |n: usize| n * LINES / total.max(1);
    if !std::io::stderr().is_terminal() && tenth(done) > tenth(done - 1) {
        eprintln!("dens: {done} of {total} cases");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::with_scores;

    #[test]
    fn only_the_models_own_recipe_is_taken() {
        let model = with_scores(&[]).provenance.model.clone();
        for fine in [None, Some("paper"), Some("paper/1")] {
            assert!(check_recipe(fine, &model).is_ok(), "{fine:?}");
        }
        let refused = check_recipe(Some("spine"), &model).expect_err("another").0;
        assert!(refused.contains("spine") && refused.contains("paper/1"), "{refused}");
    }
}
