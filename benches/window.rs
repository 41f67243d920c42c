//! The window itself: from the program's start to the first slice and its score, a frame's own work while one scrolls through
//! many slices with the analysis running, memory over many studies opened and closed, and opening by number of slices.
//! Prints tables; `cargo bench --bench window [start|scroll|cycles|growth]`. `start` needs a display.
//!
//! A frame's own work is what a frame of the window costs before the graphics driver has it: state, panels, layout,
//! accessibility. It is told in time on the processor and on the clock.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use dens::app::{App, SCORE_SHOWN, SLICE_SHOWN, Start, Store};
use dens::dicom;
use dens::jobs::JobCtx;
use dens::state::{Command, Settings};
use egui::Key;
use egui_kittest::Harness;

mod common;

/// Slices of the study that the program is started with, and how often.
const STARTED: usize = 300;
const STARTS: usize = 7;
/// Slices after the first by which the network's time for a slice is told.
const SLICES_AFTER: usize = 5;
/// Slices that are scrolled through.
const SCROLLED: usize = 1500;
/// Studies opened and closed; memory is compared between the last and the one where all caches are warm.
const CYCLES: usize = 1000;
const WARM: usize = 100;
const GROWTH: [usize; 4] = [30, 200, 1000, 2000];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if is_wanted("start") {
        start();
    }
    if is_wanted("growth") {
        growth();
    }
    if is_wanted("cycles") {
        cycles();
    }
    if is_wanted("scroll") {
        scroll();
    }
}

/// A synthetic patient of exactly that many slices; all are at least 130 mm long.
fn write_study(folder: &Path, matrix: usize, slices: usize) {
    common::write_study(folder, matrix, 130.0 / slices as f64, Some(slices));
}

fn window(start: Start, folder: &Path, auto_analyse: bool) -> Harness<'static, App> {
    let store = Store::at(folder.join("settings.json"));
    store.write(&Settings { auto_analyse, ..Settings::default() }).expect("the settings are stored");
    let start = Start { store: Some(store), ..start };
    let builder = Harness::builder().with_size(egui::vec2(1500.0, 950.0)).with_max_steps(2000);
    let builder = if dens::gpu::offscreen::Offscreen::new().is_ok() { builder.wgpu() } else { builder };
    builder.build_eframe(move |cc| App::new(cc, start))
}

/// Nothing that is waited for takes longer, the analysis of all slices that are scrolled through among it.
const PATIENCE: Duration = Duration::from_secs(1200);

fn until(harness: &mut Harness<'_, App>, holds: impl Fn(&App) -> bool) {
    let started = Instant::now();
    while !holds(harness.state()) {
        harness.step();
        std::thread::sleep(Duration::from_millis(1));
        assert!(started.elapsed() < PATIENCE, "what is waited for does not come");
    }
    harness.step();
}

fn is_loaded(app: &App) -> bool {
    app.state().active.as_ref().is_some_and(|active| active.loaded.is_some())
}

/// The resident set, MB; `None` where the system does not tell.
fn resident_mb() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kb| kb / 1024.0)
}

fn told(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "unknown".into(), |value| format!("{value:.1} {unit}"))
}

/// From the start of the program, with everything in the page cache, to the first slice on the screen and to its score; and
/// the way from slice to score of the next study in an open window, with nothing drawn, beside the time of a slice.
fn start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    write_study(&study, 512, STARTED);
    // Of the same patient, yet not the same series.
    let before = folder.path().join("before");
    std::fs::create_dir(&before).expect("a folder");
    write_study(&before, 512, STARTED - 1);
    println!("\nstart with {STARTED} slices of 512 x 512, median of {STARTS}");
    if ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) {
        return println!("  there is no display");
    }
    for model in ["nano", "resnet50"] {
        let mut times = Vec::new();
        for _ in 0..=STARTS {
            // Nothing is known of the study.
            let user = tempfile::tempdir().expect("a temporary folder");
            let settings = user.path().join("dens/settings.json");
            Store::at(settings).write(&Settings { acknowledged: true, ..Settings::default() }).expect("settings");
            times.push(first_seen(&study, model, user.path()));
        }
        // The first start warms the caches.
        times.remove(0);
        let median = |which: usize| {
            let mut seconds: Vec<f64> = times.iter().map(|both| both[which].as_secs_f64()).collect();
            seconds.sort_by(f64::total_cmp);
            format!("{:.0} ms ({:.0} to {:.0})", seconds[STARTS / 2] * 1e3, seconds[0] * 1e3, seconds[STARTS - 1] * 1e3)
        };
        println!("  {model}: first slice {}, its score {} after it", median(0), median(1));
        let mut undrawn: Vec<[f64; 2]> = (0..STARTS).map(|_| first_score([&before, &study], model)).collect();
        undrawn.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [score, forward] = undrawn[STARTS / 2];
        let times = score / forward;
        let (score, forward) = (score * 1e3, forward * 1e3);
        println!("    the next study, nothing drawn: {score:.0} ms, {times:.1} times the {forward:.0} ms of a slice");
    }
}

/// From the first slice to its score in the program alone, and the mean time of a slice of those that follow it.
fn first_score([before, study]: [&Path; 2], model: &str) -> [f64; 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = Start { paths: vec![before.into()], model: Some(model.into()), ..Start::default() };
    let mut harness = window(start, folder.path(), true);
    let scored = |app: &App| {
        let findings = app.state().findings();
        findings.map_or(0, |f| f.slices.iter().filter(|slice| slice.score().is_some()).count())
    };
    until(&mut harness, |app| scored(app) > 0);
    harness.state_mut().command(Command::OpenPaths(vec![study.into()]));
    let is_new = |app: &App| app.state().active.as_ref().is_some_and(|active| active.slices.len() == STARTED);
    until(&mut harness, |app| {
        is_new(app) && app.state().active.as_ref().is_some_and(|active| active.slice().is_some())
    });
    let started = Instant::now();
    until(&mut harness, |app| scored(app) > 0);
    let (score, begun) = (started.elapsed().as_secs_f64(), Instant::now());
    until(&mut harness, |app| scored(app) > SLICES_AFTER);
    [score, begun.elapsed().as_secs_f64() / SLICES_AFTER as f64]
}

/// From the start to the first slice, and from there to its score.
fn first_seen(study: &Path, model: &str, user: &Path) -> [Duration; 2] {
    let started = Instant::now();
    let mut program = process::Command::new(env!("CARGO_BIN_EXE_dens"))
        .arg(study)
        .args(["--model", model])
        .env("RUST_LOG", "dens=info")
        .env("XDG_CONFIG_HOME", user)
        .env("XDG_DATA_HOME", user)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut lines = BufReader::new(program.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut at = |wanted: &str| {
        lines.find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("the program ended before {wanted}"));
        started.elapsed()
    };
    let (slice, score) = (at(SLICE_SHOWN), at(SCORE_SHOWN));
    program.kill().and_then(|()| program.wait()).expect("it ends");
    [slice, score.saturating_sub(slice)]
}

fn scroll() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    write_study(&study, 512, SCROLLED);
    println!("\nscrolling {SCROLLED} slices, 1500 x 950");
    for (analysing, drawing) in [(true, true), (false, true), (false, false)] {
        let mut harness = window(Start { paths: vec![study.clone()], ..Start::default() }, folder.path(), analysing);
        until(&mut harness, is_loaded);
        until(&mut harness, |app| !analysing || app.state().findings().is_some());
        harness.key_press(Key::Home);
        harness.step();
        let (mut own, mut clock) = (Vec::new(), Vec::new());
        let mut resident = vec![resident_mb()];
        for slice in 1..SCROLLED {
            harness.key_press(Key::ArrowDown);
            let (before, started) = (ThreadTime::now(), Instant::now());
            harness.step();
            own.push(before.elapsed());
            clock.push(started.elapsed());
            if drawing && slice % 4 == 0 {
                harness.render().expect("a picture");
            }
            if slice % (SCROLLED / 5) == 0 {
                resident.push(resident_mb());
            }
        }
        let said = |on: bool, what: &str| if on { what.to_owned() } else { format!("not {what}") };
        println!("  {}, {}", said(analysing, "analysing"), said(drawing, "drawing every fourth"));
        for (what, mut times) in [("on the processor", own), ("on the clock", clock)] {
            times.sort();
            let Some(most) = times.last() else { continue };
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
            let (median, p99, most) = (at(0.5), at(0.99), most.as_secs_f64() * 1e3);
            println!("    a frame {what}: median {median:.2} ms, p99 {p99:.2} ms, longest {most:.2} ms");
        }
        let resident: Vec<String> = resident.into_iter().map(|mb| told(mb, "MB")).collect();
        println!("    resident set on the way: {}", resident.join(", "));
    }
}

fn cycles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    write_study(&study, 256, 40);
    let mut harness = window(Start::default(), folder.path(), false);
    let mut warm = None;
    let started = Instant::now();
    for cycle in 0..CYCLES {
        harness.run_steps(2);
        harness.state_mut().command(Command::OpenPaths(vec![study.clone()]));
        until(&mut harness, is_loaded);
        harness.render().expect("a picture");
        harness.state_mut().command(Command::CloseStudy);
        until(&mut harness, |app| app.state().study.is_none());
        if cycle + 1 == WARM {
            warm = resident_mb();
        }
        if (cycle + 1) % (CYCLES / 10) == 0 {
            eprintln!("  {} of {CYCLES}: {}", cycle + 1, told(resident_mb(), "MB"));
        }
    }
    let (last, each) = (resident_mb(), started.elapsed().as_secs_f64() * 1e3 / CYCLES as f64);
    println!("\n{CYCLES} studies of 40 slices opened, shown and closed, {each:.0} ms each");
    println!("  resident set after {WARM}: {}, after {CYCLES}: {}", told(warm, "MB"), told(last, "MB"));
    if let (Some(warm), Some(last)) = (warm, last) {
        println!("  growth {:.1} %", (last / warm - 1.0) * 100.0);
    }
}

fn growth() {
    println!("\nopening by number of slices, 256 x 256, median of 5");
    for slices in GROWTH {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_study(folder.path(), 256, slices);
        let ctx = JobCtx::detached();
        let mut times = Vec::new();
        let mut grown = None;
        for _ in 0..5 {
            let (before, started) = (resident_mb(), Instant::now());
            let series = dicom::scan(folder.path(), &ctx).expect("the folder").series.remove(0);
            let loaded = dicom::load_series(&std::sync::Arc::new(series), 0, &ctx, &|_, _| {}).expect("a volume");
            times.push(started.elapsed());
            grown = grown.or(resident_mb().zip(before).map(|(after, before)| after - before));
            drop(loaded);
        }
        times.sort();
        let each = times[times.len() / 2].as_secs_f64() * 1e6 / slices as f64;
        let memory = grown.map(|mb| mb * 1024.0 / slices as f64);
        println!("  {slices:>5} slices: {each:.0} us a slice, {} a slice (128 kB of values)", told(memory, "kB"));
    }
}
