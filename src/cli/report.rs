//! `dens report`: one series, analysed where that is possible, as PDF, PNG or JSON.

use std::path::Path;

use super::analyze::{self, Wishes, parse_recipe};
use super::{Refusal, ReportArgs, load};
use crate::app::{Store, created_now};
use crate::measure::Content;
use crate::report::{Format, ReportInput, write_report};
use crate::state::{MeasuresFile, SheetKey, read_anew};
use crate::study::LoadedSeries;

/// Writes the report. What can be known to fail (extension, folder, recipe) is refused before anything is read.
pub fn run(args: &ReportArgs) -> Result<(), Refusal> {
    Format::of(&args.out).map_err(Refusal::from_error)?;
    check_folder(&args.out)?;
    let wishes = Wishes {
        weights: args.model.as_deref(),
        device: args.device,
        recipe: parse_recipe(args.recipe.as_deref())?,
        force: args.force,
    };
    let mut opened = load::open_series(&args.path, args.series, &args.password)?;
    if args.reformat_axial {
        opened.reformat()?;
    }
    let drawn = args.measurements.then(|| kept_measurements(&opened.loaded)).transpose()?;
    // A series that cannot be scored still has a report, which says why.
    let analysis_note = opened.loaded.series.analysis_stop();
    let findings = match analysis_note {
        Some(_) => None,
        None => Some(analyze::analyse_loaded(&opened.loaded, opened.load_seconds, wishes)?),
    };
    let input = ReportInput {
        loaded: &opened.loaded,
        findings: findings.as_ref(),
        analysis_note,
        refused: &opened.refused,
        drawn: drawn.as_ref(),
        occlusion: None,
        truth: opened.truth.as_ref(),
        hide_identity: args.hide_identity,
        created: created_now(),
    };
    write_report(&input, &args.out).map_err(Refusal::from_error)?;
    println!("{}", args.out.display());
    Ok(())
}

/// What the window keeps of the series; a sentence on standard error where that is nothing.
fn kept_measurements(loaded: &LoadedSeries) -> Result<Content, Refusal> {
    let store =
        Store::for_user().ok_or_else(|| Refusal("There is no home folder, so no measurements are kept.".into()))?;
    let kept = match SheetKey::of(loaded) {
        Some(key) => store.measures().read(&key).map_err(|why| Refusal(format!("{why}; no report was written.")))?,
        None => MeasuresFile::default(),
    };
    if let Some(damage) = kept.damage {
        eprintln!("dens: {damage}");
    }
    if kept.content == Content::default() {
        eprintln!("dens: no measurements and no key slices are kept of this series");
    }
    Ok(read_anew(loaded, kept.content))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DeviceChoice;
    use crate::cli::password::PasswordArgs;

    fn args(out: &str, recipe: &str) -> ReportArgs {
        ReportArgs {
            path: "does-not-exist".into(),
            series: None,
            model: None,
            device: DeviceChoice::Cpu,
            recipe: Some(recipe.into()),
            force: false,
            reformat_axial: false,
            measurements: false,
            hide_identity: false,
            password: PasswordArgs::default(),
            out: out.into(),
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_read() {
        let refused = |out, recipe| run(&args(out, recipe)).expect_err("refused").0;
        assert!(refused("r.docx", "paper").contains("no report format"));
        assert!(refused("not-there/r.pdf", "paper").contains("not-there is no folder"));
        assert!(refused("r.pdf", "soup").contains("no preprocessing recipe \"soup\""));
    }
}
