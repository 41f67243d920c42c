//! `dens info`: what a folder, a zip archive or a file holds, as a table or as JSON.

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{InfoArgs, Refusal, window};
use crate::dicom;
use crate::jobs::JobCtx;
use crate::study::{Part, Refused, Series, Warning};

/// The stable form of `--json`.
#[derive(serde::Serialize)]
struct Report {
    series: Vec<SeriesReport>,
    refused: Vec<Refused>,
    /// Only where asked for: the rest is the same whenever it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Seconds>,
}

/// How long reading took.
#[derive(Clone, Copy, serde::Serialize)]
struct Seconds {
    headers: f64,
    /// Reading and decoding all slices of all series.
    slices: f64,
}

#[derive(serde::Serialize)]
struct SeriesReport {
    uid: String,
    modality: String,
    slices: usize,
    rows: usize,
    columns: usize,
    /// Between rows, between columns, between slices along the normal.
    spacing_mm: [Option<f64>; 3],
    /// In display order, relative to the path given.
    files: Vec<String>,
    volume_sha256: String,
    volume_dtype: &'static str,
    /// What the file offers to be seen with, by number: what `dens render --window file:N` takes.
    windows: Vec<String>,
    warnings: Vec<Warning>,
    /// Which of several stacks with this UID it is: "phase 2 of 3: acquisition 4".
    part: Option<String>,
    #[serde(skip)]
    description: String,
}

pub fn run(args: &InfoArgs) -> Result<(), Refusal> {
    let report = report(args)?;
    let mut out = std::io::stdout().lock();
    let written = if args.json {
        serde_json::to_string_pretty(&report).map_err(Refusal::from_error).map(|json| writeln!(out, "{json}"))?
    } else {
        write_table(&mut out, &report)
    };
    match written {
        // Whoever reads may stop reading.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        other => other.map_err(Refusal::from_error)?,
    }
    if report.series.is_empty() {
        return Err(Refusal(nothing_opened(args, &report.refused)));
    }
    Ok(())
}

fn nothing_opened(args: &InfoArgs, refused: &[Refused]) -> String {
    match refused {
        [] => format!(
            "{} holds no DICOM picture; give the folder, zip archive or file that was exported",
            args.path.display()
        ),
        [only] => only.text.clone(),
        [first, rest @ ..] => format!("none of {} files could be opened; the first: {}", rest.len() + 1, first.text),
    }
}

fn report(args: &InfoArgs) -> Result<Report, Refusal> {
    let (ctx, bar) = progress("reading headers");
    let start = Instant::now();
    let passwords = args.password.passwords()?;
    let catalog = dicom::scan_all(std::slice::from_ref(&args.path), &passwords, &ctx).map_err(Refusal::from_error)?;
    let mut seconds = Seconds { headers: start.elapsed().as_secs_f64(), slices: 0.0 };
    bar.finish_and_clear();
    let mut report = Report { series: Vec::new(), refused: catalog.refused, seconds: None };
    let count = catalog.series.len();
    for (index, series) in catalog.series.into_iter().enumerate() {
        let (ctx, bar) = progress(&format!("decoding series {} of {count}", index + 1));
        let start = Instant::now();
        let loaded = dicom::load_series(&Arc::new(series), 0, &ctx, &|_, _| {});
        seconds.slices += start.elapsed().as_secs_f64();
        match loaded {
            Ok(loaded) => {
                let (sha256, dtype) = dicom::volume_sha256(&loaded.loaded.series, &loaded.loaded.volume);
                report.series.push(series_report(&loaded.loaded.series, sha256, dtype));
                report.refused.extend(loaded.refused);
            }
            Err(dicom::LoadError::NothingDecoded(refused)) => report.refused.extend(refused),
            Err(error @ dicom::LoadError::Cancelled(_)) => return Err(Refusal::from_error(error)),
        }
        bar.finish_and_clear();
    }
    report.seconds = args.time.then_some(seconds);
    Ok(report)
}

fn series_report(series: &Series, volume_sha256: String, volume_dtype: &'static str) -> SeriesReport {
    let [rows_mm, columns_mm] = series.spacing_mm.map_or([None, None], |s| s.map(Some));
    SeriesReport {
        uid: series.uid.clone(),
        modality: series.modality.clone(),
        slices: series.slices.len(),
        rows: series.rows,
        columns: series.columns,
        spacing_mm: [rows_mm, columns_mm, series.slice_spacing_mm],
        files: series.slices.iter().map(|s| s.file.clone()).collect(),
        volume_sha256,
        volume_dtype,
        windows: window::offered(series),
        warnings: series.warnings.clone(),
        part: series.part.as_ref().map(Part::words),
        description: series.description.clone(),
    }
}

/// A context whose progress shows as a bar on standard error when that is a terminal.
fn progress(what: &str) -> (JobCtx, ProgressBar) {
    let bar = ProgressBar::new(0).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let slot: Arc<OnceLock<JobCtx>> = Arc::default();
    let (seen, shown) = (Arc::clone(&slot), bar.clone());
    let ctx = JobCtx::with_wake(Arc::new(move |_| {
        if let Some((done, total)) = seen.get().map(JobCtx::progress_now) {
            shown.set_length(total as u64);
            shown.set_position(done as u64);
        }
    }));
    slot.set(ctx.clone()).ok();
    (ctx, bar)
}

fn write_table(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    for (index, s) in report.series.iter().enumerate() {
        let mm = |v: Option<f64>| v.map_or("?".to_owned(), |v| format!("{v:.3}"));
        let [rows, columns, slices] = s.spacing_mm.map(mm);
        let name = if s.description.is_empty() { "(no description)" } else { s.description.as_str() };
        writeln!(out, "{:>3}. {} {name}", index + 1, if s.modality.is_empty() { "??" } else { s.modality.as_str() })?;
        if let Some(part) = &s.part {
            writeln!(out, "     {part}")?;
        }
        writeln!(out, "     {} slices of {} x {}, {rows} x {columns} x {slices} mm", s.slices, s.rows, s.columns)?;
        if let (Some(first), Some(last)) = (s.files.first(), s.files.last()) {
            match s.files.len() {
                1 => writeln!(out, "     {first}")?,
                _ => writeln!(out, "     {first} ... {last}")?,
            }
        }
        if !s.windows.is_empty() {
            writeln!(out, "     {}", window::numbered(&s.windows))?;
        }
        for warning in &s.warnings {
            writeln!(out, "     ! {}: {}", warning.kind.name(), warning.text)?;
        }
    }
    if !report.refused.is_empty() {
        writeln!(out, "Not opened ({}):", report.refused.len())?;
        for refused in &report.refused {
            writeln!(out, "     {}: {}", refused.kind.name(), refused.text)?;
        }
    }
    if let Some(Seconds { headers, slices }) = report.seconds {
        writeln!(out, "Read in {:.3} s: headers {headers:.3} s, slices {slices:.3} s", headers + slices)?;
    }
    Ok(())
}
