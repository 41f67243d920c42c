//! `dens worklist`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::analyze::{Wishes, analyse_loaded};
use super::load::{scanned, with_bar};
use super::{Refusal, WorklistArgs};
use crate::app::Store;
use crate::dicom;
use crate::files;
use crate::findings::describe::{standing, verdict};
use crate::findings::{Findings, passport};
use crate::measure::Levels;
use crate::reading::table::{Line, Told, to_csv};
use crate::state::{ReadingKey, SheetKey};
use crate::study::{Catalog, LoadedSeries, Series, describe};

/// Analyses every study under a path, one after the other, and writes the worklist's table. A study that fails keeps its
/// line with the reason.
pub fn run(args: &WorklistArgs) -> Result<(), Refusal> {
    let catalog = scanned(&args.path, &args.password)?;
    let studies = catalog.studies();
    if studies.is_empty() {
        return Err(Refusal("nothing readable: no DICOM image was found there; `dens info` says why".to_owned()));
    }
    let mut lines = Vec::new();
    for (at, study) in studies.iter().enumerate() {
        let Some(series) = catalog.likeliest_of(study).and_then(|index| catalog.series.get(index)) else { continue };
        eprintln!("dens: study {} of {}, {} slices", at + 1, studies.len(), series.slices.len());
        lines.push(line(args, &catalog, series));
    }
    let bytes = to_csv(&lines).map_err(Refusal::from_error)?;
    write(&args.csv, &bytes)?;
    let failed = lines.iter().filter(|line| line.told.is_none()).count();
    let without =
        if failed > 0 { format!(", {failed} without a result: the column analysis says why") } else { String::new() };
    println!("{}: {} studies{without}. {}", args.csv.display(), lines.len(), crate::RESEARCH_LINE_SHORT);
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    files::write(path, bytes, files::Synced::FileAndFolder)
        .map_err(|error| Refusal(format!("{} could not be written: {error}", path.display())))
}

fn line(args: &WorklistArgs, catalog: &Catalog, series: &Series) -> Line {
    let analysed = analysed(args, series);
    let (loaded, findings) = analysed.as_ref().ok().map(|(loaded, findings)| (loaded, findings)).unzip();
    let judged = findings.map(|f| f.judged.as_slice());
    let named = |text: &str| if args.hide_identity { String::new() } else { text.to_owned() };
    Line {
        patient_id: named(&series.patient.id),
        study_uid: named(&series.study.uid),
        study_date: named(&describe::date(&series.study.date)),
        study_key: ReadingKey::new(series, "").short(),
        slices: series.slices.len(),
        analysis: analysed.as_ref().map_or_else(|why| format!("failed: {why}"), |_| "done".to_owned()),
        told: loaded.zip(findings).map(|(loaded, findings)| told(loaded, findings)),
        passport: passport::compose(series, catalog.refused.len(), judged, findings).verdict,
        ..Line::default()
    }
}

fn analysed(args: &WorklistArgs, series: &Series) -> Result<(LoadedSeries, Findings), Refusal> {
    let began = Instant::now();
    let series = Arc::new(series.clone());
    let middle = series.slices.len() / 2;
    let read = with_bar("reading slices", |ctx| dicom::load_series(&series, middle, ctx, &|_, _| {}))
        .map_err(Refusal::from_error)?;
    let wishes = Wishes { weights: args.model.as_deref(), device: args.device, recipe: None, force: args.force };
    let findings = analyse_loaded(&read.loaded, began.elapsed().as_secs_f64(), wishes)?;
    Ok((read.loaded, findings))
}

/// The level of a slice by the vertebrae that were named in the window; empty where none are.
fn level(loaded: &LoadedSeries, slice: usize) -> String {
    let kept = Store::for_user().zip(SheetKey::of(loaded)).map(|(store, key)| store.measures().look(&key));
    let pose = loaded.series.slices.get(slice).and_then(|slice| slice.pose);
    let level = kept.zip(pose).and_then(|(kept, pose)| Levels::of(&kept.measurements).on(&pose));
    level.map_or_else(String::new, |level| level.name().to_owned())
}

fn told(loaded: &LoadedSeries, findings: &Findings) -> Told {
    let (series, top) = (&loaded.series, findings.top());
    let (provenance, model) = (&findings.provenance, &findings.provenance.model);
    Told {
        case_score: findings.case.as_ref().map(|case| case.score),
        case_threshold: findings.case_threshold(),
        peak_score: top.map(|(_, score)| score),
        peak_slice: top.map(|(slice, _)| slice + 1),
        peak_z_mm: top.and_then(|(slice, _)| series.slices.get(slice)?.z_mm()),
        peak_level: top.map_or_else(String::new, |(slice, _)| level(loaded, slice)),
        slice_threshold: findings.threshold(),
        verdict: verdict(findings).to_owned(),
        model: model.name.clone(),
        sha256: model.sha256.clone(),
        standing: standing(model),
        recipe: provenance.recipe.clone(),
        software: provenance.software.clone(),
        computed_earlier: String::new(),
    }
}
