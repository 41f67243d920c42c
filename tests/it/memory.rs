//! How much memory the way from volume to picture takes: at most 1.5 times the decoded volume and 400 MB. Textures
//! that a software driver keeps in main memory are counted apart. Measured in a process of its own, so that no other
//! test's memory is in the figure.

use std::process::Command;
use std::sync::Arc;

use dens::view::{ImageLayer, ImageShape, Interpolation, ViewDraw, ViewState};
use dens::volume::{Slice, SlicePixels, Volume, Window};

use crate::gpu::adapter_or_skip;

/// Set in the measuring process.
const CHILD: &str = "DENS_MEMORY_CHILD";
const MB: u64 = 1 << 20;
/// Large enough that a second copy of it cannot hide in the allowance.
const SLICES: usize = 1300;
const EDGE: usize = 512;

#[derive(Debug, Default)]
struct Measured {
    volume: u64,
    textures: u64,
    resident: u64,
}

#[test]
fn scrolling_through_a_study_stays_within_the_allowance() {
    if std::env::var_os(CHILD).is_some() {
        return scroll_and_report();
    }
    if !cfg!(target_os = "linux") || adapter_or_skip().is_none() {
        eprintln!("SKIPPED: the resident set is measured on Linux with a graphics adapter");
        return;
    }
    let measured = measure("memory::scrolling_through_a_study_stays_within_the_allowance");
    let allowed = measured.volume * 3 / 2 + 400 * MB;
    eprintln!("{measured:?}, allowed {allowed}");
    assert_eq!(measured.volume, (SLICES * EDGE * EDGE * 2) as u64);
    assert!(measured.textures <= 128 * MB, "textures are bounded: {measured:?}");
    assert!(measured.resident > measured.volume, "the figure is a resident set: {measured:?}");
    assert!(measured.resident - measured.textures <= allowed, "{measured:?} is more than {allowed}");
}

#[test]
fn the_window_with_a_real_study_stays_within_the_allowance() {
    let Some(data) = crate::support::shared_data() else { return };
    if std::env::var_os(CHILD).is_some() {
        return open_window_and_report(&data.join("ct-headneck"));
    }
    if !cfg!(target_os = "linux") || adapter_or_skip().is_none() {
        eprintln!("SKIPPED: the resident set is measured on Linux with a graphics adapter");
        return;
    }
    let measured = measure("memory::the_window_with_a_real_study_stays_within_the_allowance");
    let allowed = measured.volume * 3 / 2 + 400 * MB;
    eprintln!("{measured:?}, allowed {allowed}");
    assert!(measured.resident > measured.volume, "the figure is a resident set: {measured:?}");
    assert!(measured.resident - measured.textures <= allowed, "{measured:?} is more than {allowed}");
}

/// The window itself, drawn after every step, with every slice of a study visited; no network.
fn open_window_and_report(study: &std::path::Path) {
    let folder = tempfile::tempdir().expect("folder");
    let start = dens::app::Start { paths: vec![study.to_owned()], ..Default::default() };
    let mut harness = crate::ui::window([1280.0, 720.0], start, folder.path(), false);
    crate::ui::until(&mut harness, "the series is read", crate::ui::is_loaded);
    crate::ui::press(&mut harness, egui::Key::Home);
    let volume = harness.state().state().active.as_ref().and_then(|a| a.loaded.clone()).expect("loaded").volume;
    for _ in volume.slices() {
        crate::ui::press(&mut harness, egui::Key::ArrowDown);
        harness.render().expect("a picture");
    }
    // Each slice has been uploaded once; a software driver keeps that in main memory.
    println!(
        " volume={} textures={} resident={} ",
        volume.bytes(),
        volume.bytes().min(128 * MB as usize),
        resident_bytes()
    );
}

/// Runs a test of this binary in a process of its own and reads the figures it prints.
fn measure(name: &str) -> Measured {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("the test starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let figure = |key: &str| {
        text.split_whitespace().find_map(|word| word.strip_prefix(key)?.parse().ok()).unwrap_or_else(|| {
            panic!("no {key} in {text}");
        })
    };
    Measured { volume: figure("volume="), textures: figure("textures="), resident: figure("resident=") }
}

/// The viewer's way from volume to picture: a volume shared by `Arc`, a draw per slice, and a picture read back
/// for each.
fn scroll_and_report() {
    let slices = (0..SLICES)
        .map(|i| {
            let values = (0..EDGE * EDGE).map(|p| (p as i16).wrapping_mul(7).wrapping_add(i as i16)).collect();
            Arc::new(Slice { rows: EDGE, columns: EDGE, pixels: SlicePixels::I16(values), padding: None })
        })
        .collect();
    let volume = Arc::new(Volume::new(slices).expect("slices of one size"));
    let offscreen = adapter_or_skip().expect("the parent process found one");
    let shape = ImageShape { rows: EDGE, columns: EDGE, spacing: [1.0, 1.0] };
    let view = ViewState::default().resolve(shape, 128.0, 96.0).expect("area");
    for slice in volume.slices() {
        let image = ImageLayer {
            slice: slice.clone(),
            window: Window::BONE,
            invert: false,
            interpolation: Interpolation::Linear,
        };
        let draw = ViewDraw { pixel_from_screen: view.pixel_from_screen, image, heatmap: None };
        offscreen.render(&draw, 128, 96).expect("a picture");
    }
    println!(" volume={} textures={} resident={} ", volume.bytes(), offscreen.texture_bytes(), resident_bytes());
}

/// VmRSS of this process (proc(5)).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let kb =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kb.map(|kb: u64| kb * 1024).expect("VmRSS in kB")
}
