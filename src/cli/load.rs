//! What every subcommand needs before its own work: a series opened with a progress bar, and the device asked for.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::password::PasswordArgs;
use super::{DeviceChoice, Refusal};
use crate::app::Store;
use crate::jobs::JobCtx;
use crate::model::DevicePreference;
use crate::study::{Catalog, LoadedSeries, Refused, to_axial};
use crate::training::dataset::truth_beside;
use crate::truth::CaseTruth;
use crate::{dicom, phantom};

/// The path that names the built-in study instead of a folder.
pub const DEMO_PATH: &str = "demo:";

/// How often a progress bar is brought up to date.
const TICK: Duration = Duration::from_millis(100);

/// A series with its voxels, and all that was refused on the way there.
#[derive(Debug)]
pub struct Opened {
    pub loaded: LoadedSeries,
    pub refused: Vec<Refused>,
    /// The reference standard that lies beside the study.
    pub truth: Option<CaseTruth>,
    /// Wall-clock seconds from the first look at the folder to the complete volume.
    pub load_seconds: f64,
}

/// Opens `path` (a folder, a zip archive, a file, or [`DEMO_PATH`]) and reads the `series`-th series of its catalog, counted from 1
/// as `dens info` lists them, or else the likeliest one.
///
/// # Errors
/// A sentence: the path cannot be read, holds nothing readable, has no series of that number, or no slice decodes.
pub fn open_series(path: &Path, series: Option<usize>, password: &PasswordArgs) -> Result<Opened, Refusal> {
    let started = Instant::now();
    if path == Path::new(DEMO_PATH) {
        if let Some(number) = series.filter(|&number| number != 1) {
            return Err(no_such_series(number, 1));
        }
        let patient = phantom::demo_patient(phantom::DEMO_SEED);
        let loaded = patient.loaded;
        let load_seconds = started.elapsed().as_secs_f64();
        return Ok(Opened { loaded, refused: Vec::new(), truth: Some(patient.truth), load_seconds });
    }
    let mut catalog = scanned(path, password)?;
    let index = choose(&catalog, series)?;
    let count = catalog.series.len();
    if series.is_none() && count > 1 {
        let slices = catalog.series.get(index).map_or(0, |s| s.slices.len());
        eprintln!("dens: reading series {} of {count} ({slices} slices); --series chooses another", index + 1);
    }
    let chosen = Arc::new(catalog.series.swap_remove(index));
    let first = chosen.slices.len() / 2;
    let read = with_bar("reading slices", |ctx| dicom::load_series(&chosen, first, ctx, &|_, _| {}))
        .map_err(Refusal::from_error)?;
    let mut refused = catalog.refused;
    refused.extend(read.refused);
    let load_seconds = started.elapsed().as_secs_f64();
    let truth = truth_beside(&read.loaded.series);
    Ok(Opened { loaded: read.loaded, refused, truth, load_seconds })
}

impl Opened {
    /// Puts axial slices made of the series in its place.
    ///
    /// # Errors
    /// A sentence: it is axial already, is no stack, or would take more memory than the settings allow.
    pub fn reformat(&mut self) -> Result<(), Refusal> {
        let settings = Store::for_user().map(|store| store.read()).unwrap_or_default();
        let made = with_bar("reformatting to axial", |ctx| {
            to_axial(&self.loaded, settings.memory_mb << 20, &|done, total| {
                ctx.progress(done, total);
                true
            })
        });
        let made = made.map_err(|why| Refusal(format!("--reformat-axial: {why}; nothing was done")))?;
        eprintln!("dens: {}", made.series.description);
        self.loaded = made;
        // It counts the slices of the files.
        self.truth = None;
        Ok(())
    }
}

/// The catalog of a path, with a progress bar.
pub(super) fn scanned(path: &Path, password: &PasswordArgs) -> Result<Catalog, Refusal> {
    let passwords = password.passwords()?;
    with_bar("reading headers", |ctx| dicom::scan_all(&[path.to_owned()], &passwords, ctx)).map_err(Refusal::from_error)
}

/// Index of the wanted series in the catalog.
pub(super) fn choose(catalog: &Catalog, series: Option<usize>) -> Result<usize, Refusal> {
    let count = catalog.series.len();
    if count == 0 {
        return Err(nothing_readable(&catalog.refused));
    }
    match series {
        Some(number) => {
            number.checked_sub(1).filter(|&index| index < count).ok_or_else(|| no_such_series(number, count))
        }
        None => catalog.likeliest().ok_or_else(|| nothing_readable(&catalog.refused)),
    }
}

fn no_such_series(number: usize, count: usize) -> Refusal {
    let held = if count == 1 { "one series".to_owned() } else { format!("{count} series") };
    Refusal(format!("no series {number}: the study holds {held}, counted from 1; `dens info` lists them"))
}

fn nothing_readable(refused: &[Refused]) -> Refusal {
    let Some(first) = refused.first() else {
        return Refusal("nothing readable: no DICOM image was found there".to_owned());
    };
    let named =
        if first.text.contains(&first.file) { first.text.clone() } else { format!("{}: {}", first.file, first.text) };
    let more = match refused.len() - 1 {
        0 => String::new(),
        1 => " (and one more file; `dens info` names it)".to_owned(),
        n => format!(" (and {n} more files; `dens info` names them)"),
    };
    Refusal(format!("nothing readable: {named}{more}"))
}

/// Runs `work` while a bar follows its progress; without a terminal nothing is drawn.
pub(super) fn with_bar<T>(what: &str, work: impl FnOnce(&JobCtx) -> T) -> T {
    let ctx = JobCtx::detached();
    let bar = progress_bar(0, what);
    if bar.is_hidden() {
        return work(&ctx);
    }
    let (ended, at_end) = channel::<()>();
    std::thread::scope(|scope| {
        let (ctx, bar) = (&ctx, &bar);
        scope.spawn(move || {
            while at_end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let (done, total) = ctx.progress_now();
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            bar.finish_and_clear();
        });
        let result = work(ctx);
        drop(ended); // the follower sees the closed channel and clears its bar
        result
    })
}

/// A bar on standard error that counts to `total`; hidden where standard error is no terminal.
pub fn progress_bar(total: u64, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:<22} [{bar:32}] {pos}/{len}  {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> ")).with_message(what.to_owned())
}

/// The device as the network knows it.
pub fn device_preference(choice: DeviceChoice) -> DevicePreference {
    match choice {
        DeviceChoice::Auto => DevicePreference::Auto,
        DeviceChoice::Cpu => DevicePreference::Cpu,
        DeviceChoice::CpuBf16 => DevicePreference::CpuHalf,
        DeviceChoice::Cuda => DevicePreference::Cuda,
        DeviceChoice::Metal => DevicePreference::Metal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Kind;

    fn refused(file: &str, text: &str) -> Refused {
        Refused { file: file.into(), kind: Kind::NotDicom, text: text.into() }
    }

    #[test]
    fn an_empty_catalog_says_why() {
        let empty = choose(&Catalog::default(), None).expect_err("nothing to choose");
        assert_eq!(empty.0, "nothing readable: no DICOM image was found there");
        let catalog = Catalog {
            refused: vec![refused("a.txt", "is no DICOM file"), refused("b.dcm", "b.dcm is cut short")],
            ..Catalog::default()
        };
        let text = choose(&catalog, Some(1)).expect_err("nothing to choose").0;
        assert!(text.starts_with("nothing readable: a.txt: is no DICOM file (and one more file"), "{text}");
        assert!(nothing_readable(&catalog.refused[1..]).0.ends_with("readable: b.dcm is cut short"));
    }

    #[test]
    fn a_number_outside_the_catalog_is_refused_with_the_count() {
        assert!(no_such_series(4, 3).0.contains("no series 4: the study holds 3 series"));
        assert!(no_such_series(0, 1).0.contains("one series"));
    }

    #[test]
    fn work_gives_its_result_through_the_bar() {
        assert_eq!(
            with_bar("counting", |ctx| {
                ctx.progress(1, 2);
                ctx.progress_now()
            }),
            (1, 2)
        );
    }
}
