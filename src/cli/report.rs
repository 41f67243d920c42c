//! `dens report`: one series, analysed where that is possible, as PDF, PNG or JSON.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::load::{self, Opened};
use super::{Refusal, ReportArgs, analyze};
use crate::app::created_now;
use crate::findings::Findings;
use crate::inference::{self, AnalysisError, Event, Request};
use crate::jobs::JobCtx;
use crate::preprocess::PAPER_RECIPE;
use crate::report::{Format, ReportInput, write_report};

/// Writes the report. What can be known to fail (extension, folder, recipe) is refused before anything is read.
pub fn run(args: &ReportArgs) -> Result<(), Refusal> {
    Format::of(&args.out).map_err(Refusal::from_error)?;
    check_folder(&args.out)?;
    check_recipe(&args.recipe)?;
    let opened = load::open_series(&args.path, args.series)?;
    let (findings, analysis_note) = match analysed(args, &opened) {
        Ok(findings) => (Some(findings), None),
        Err(AnalysisError::NotApplicable(why)) => (None, Some(why)),
        Err(error) => return Err(Refusal::from_error(error)),
    };
    let input = ReportInput {
        loaded: &opened.loaded,
        findings: findings.as_ref(),
        analysis_note,
        refused: &opened.refused,
        hide_identity: args.hide_identity,
        created: created_now(),
    };
    write_report(&input, &args.out).map_err(Refusal::from_error)?;
    println!("{}", args.out.display());
    Ok(())
}

fn analysed(args: &ReportArgs, opened: &Opened) -> Result<Findings, AnalysisError> {
    // Asked first, so that no network is read for a series that it cannot score.
    if let Some(why) = opened.loaded.series.analysis_stop() {
        return Err(AnalysisError::NotApplicable(why));
    }
    let network = inference::default_network(args.model.as_deref(), load::device_preference(args.device))?;
    let slices = opened.loaded.series.slices.len();
    let request = Request {
        loaded: opened.loaded.clone(),
        model: Arc::new(inference::model_info(&network)),
        network: Arc::new(network),
        focus: Arc::new(AtomicUsize::new(slices / 2)),
        threads: analyze::threads(),
        load_seconds: opened.load_seconds,
    };
    let bar = load::progress_bar(slices as u64, "running the network");
    let findings = inference::analyse_or_on_cpu(&request, args.model.as_deref(), &JobCtx::detached(), &mut |event| {
        if matches!(event, Event::Slice(..)) {
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    findings
}

/// A folder that is not there is better known before the network has run for minutes.
fn check_folder(out: &Path) -> Result<(), Refusal> {
    match out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Refusal(format!(
            "{} is no folder; nothing was done. Make it, or choose another place.",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

fn check_recipe(recipe: &str) -> Result<(), Refusal> {
    if recipe == "paper" || recipe == PAPER_RECIPE {
        return Ok(());
    }
    Err(Refusal(format!("\"{recipe}\" is no preprocessing recipe that this version knows: use paper")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DeviceChoice;

    fn args(out: &str, recipe: &str) -> ReportArgs {
        ReportArgs {
            path: "does-not-exist".into(),
            series: None,
            model: None,
            device: DeviceChoice::Cpu,
            recipe: recipe.into(),
            hide_identity: false,
            out: out.into(),
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_read() {
        let refused = |out, recipe| run(&args(out, recipe)).expect_err("refused").0;
        assert!(refused("r.docx", "paper").contains("no report format"));
        assert!(refused("not-there/r.pdf", "paper").contains("not-there is no folder"));
        assert!(refused("r.pdf", "soup").contains("\"soup\" is no preprocessing recipe"));
    }
}
