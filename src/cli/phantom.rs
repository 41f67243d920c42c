//! `dens phantom`: writes synthetic patients as a data set.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::signal::asked_to_stop;
use super::{DifficultyChoice, PhantomArgs, Refusal};
use crate::jobs::JobCtx;
use crate::training::dataset::{self, Order};

pub fn run(args: &PhantomArgs) -> Result<(), Refusal> {
    let order = Order { patients: patients(args)?, boxed_fraction: args.boxed_fraction };
    let (ctx, bar) = followed()?;
    let summary = dataset::write(&order, &args.out, &ctx).map_err(Refusal::from_error)?;
    bar.finish_and_clear();
    println!(
        "{}: {} studies, {} of them fractured, {} files",
        args.out.display(),
        summary.cases,
        summary.fractured,
        summary.files
    );
    println!("Synthetic, no patients. {}", crate::RESEARCH_LINE);
    if summary.cancelled {
        return Err(Refusal(format!(
            "stopped before the end; the {} studies written so far are complete and their csv files say so",
            summary.cases
        )));
    }
    Ok(())
}

/// The order in the words of `phantom:`.
fn patients(args: &PhantomArgs) -> Result<String, Refusal> {
    let last = (args.cases as u64).checked_sub(1).and_then(|more| args.seed.checked_add(more));
    let last = last.ok_or_else(|| Refusal("no case was asked for; give --cases of 1 or more".to_owned()))?;
    let difficulty = match args.difficulty {
        DifficultyChoice::Easy => "easy",
        DifficultyChoice::Standard => "standard",
        DifficultyChoice::Hard => "hard",
    };
    let mut text = format!("{}-{last};difficulty={difficulty};matrix={}", args.seed, args.matrix);
    match args.spacing {
        Some(mm) => text.push_str(&format!(";spacing={mm}")),
        None => text.push_str(";spacing=drawn"),
    }
    text.push_str(&format!(";positive-fraction={}", args.positive_fraction));
    if let Some(kinds) = &args.kinds {
        text.push_str(&format!(";type={kinds}"));
    }
    for (asked, option) in [(args.twins, ";twins"), (args.match_age, ";match-age"), (args.shift, ";domain=shift")] {
        if asked {
            text.push_str(option);
        }
    }
    Ok(text)
}

/// A context whose progress shows as a bar where standard error is a terminal, and that an interruption cancels (a
/// second one ends the program at once).
fn followed() -> Result<(JobCtx, ProgressBar), Refusal> {
    let asked = asked_to_stop()?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("writing studies [{bar:32}] {percent:>3} %  {elapsed}, {eta} left")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    let slot: Arc<OnceLock<JobCtx>> = Arc::default();
    let (seen, shown) = (Arc::clone(&slot), bar.clone());
    let ctx = JobCtx::with_wake(Arc::new(move |_| {
        let Some(ctx) = seen.get() else { return };
        if asked.load(Ordering::Relaxed) {
            ctx.cancel();
        }
        let (done, total) = ctx.progress_now();
        shown.set_length(total as u64);
        shown.set_position(done as u64);
    }));
    slot.set(ctx.clone()).ok();
    Ok((ctx, bar))
}
