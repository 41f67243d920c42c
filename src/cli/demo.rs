//! `dens demo`: the built-in study in the window, or, without a display, as files.

use std::path::Path;

use super::analyze::{self, Wishes};
use super::password::PasswordArgs;
use super::{DemoArgs, Refusal, load, open};
use crate::app::{Start, Store, created_now};
use crate::findings::Findings;
use crate::findings::describe::{model_lines, standing};
use crate::report::{self, ReportInput, ViewPicture};
use crate::study::LoadedSeries;
use crate::study::describe::{self, Identity};
use crate::view::fidelity::Fidelity;
use crate::view::{self, ImageLayer, ImageShape, Interpolation, ViewDraw, ViewState};
use crate::volume::Window;

pub fn run(args: &DemoArgs) -> Result<(), Refusal> {
    if !args.offscreen && open::display_available() {
        return open::open_window(Start { demo: true, store: Store::for_user(), ..Start::default() });
    }
    if !args.offscreen {
        eprintln!("There is no display, so the demo study is run without a window.");
    }
    std::fs::create_dir_all(&args.out).map_err(|e| {
        Refusal(format!("{} could not be made: {e}; name another folder with --out", args.out.display()))
    })?;
    let opened = load::open_series(Path::new("demo:"), None, &PasswordArgs::default())?;
    let findings = analyze::analyse_loaded(&opened.loaded, opened.load_seconds, Wishes::default())?;
    let first_screen = args.out.join("first-screen.png");
    report::write_picture(&first_picture(&opened.loaded, &findings)?, &first_screen).map_err(Refusal::from_error)?;
    println!("{}: the first slice worth looking at, as the window shows it", first_screen.display());
    let input = ReportInput {
        loaded: &opened.loaded,
        findings: Some(&findings),
        analysis_note: None,
        refused: &opened.refused,
        drawn: None,
        occlusion: None,
        truth: opened.truth.as_ref(),
        hide_identity: false,
        created: created_now(),
    };
    for (name, what) in [("report.pdf", "the report"), ("report.json", "the same with every number")] {
        let path = args.out.join(name);
        report::write_report(&input, &path).map_err(Refusal::from_error)?;
        println!("{}: {what}", path.display());
    }
    println!("The network: {}.", standing(&findings.provenance.model));
    println!("{}", crate::RESEARCH_LINE);
    Ok(())
}

/// The highest peak (or the middle slice) in bone, with its heatmap, as the window would show it.
fn first_picture(loaded: &LoadedSeries, findings: &Findings) -> Result<ViewPicture, Refusal> {
    const WIDTH: u32 = 1280;
    const HEIGHT: u32 = 1024;
    let series = &loaded.series;
    let index = findings.peaks().first().copied().unwrap_or(series.slices.len() / 2);
    let slice = loaded.volume.slices().get(index).cloned().ok_or_else(|| Refusal("the demo study is empty".into()))?;
    let shape =
        ImageShape { rows: series.rows, columns: series.columns, spacing: series.spacing_mm.unwrap_or([1.0, 1.0]) };
    let view = ViewState::default();
    let resolved = view
        .resolve(shape, f64::from(WIDTH), f64::from(HEIGHT))
        .ok_or_else(|| Refusal("the demo study has no area".into()))?;
    let image = ImageLayer { slice, window: Window::BONE, invert: false, interpolation: Interpolation::Linear };
    let heatmap = view::heatmap_layer(findings, index, false, view::DEFAULT_HEATMAP_OPACITY);
    let mut text = describe::corner_text(series, index, &Window::BONE, view.zoom, Identity::Shown);
    let lossy = series.technique.lossy.as_deref();
    text.bottom_right.push(Fidelity::of_slice(&resolved.pixel_from_screen, image.interpolation, lossy).words());
    if heatmap.is_some() {
        text.bottom_left.extend(model_lines(&findings.provenance.model));
    }
    Ok(ViewPicture {
        draw: ViewDraw { pixel_from_screen: resolved.pixel_from_screen, image, heatmap },
        width: WIDTH,
        height: HEIGHT,
        text,
        pixels_per_mm: series.spacing_mm.map(|_| resolved.screen_px_per_unit),
        text_scale: 1.0,
        marks: Vec::new(),
    })
}
