//! From a click on the strip to three aligned planes on a thousand slices: what the program decides, what it lays out for
//! a frame, and what the graphics device draws. The device's part says nothing of a machine without graphics hardware.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use dens::geometry::Plane;
use dens::gpu::offscreen::Offscreen;
use dens::jobs::JobCtx;
use dens::phantom::{PatientSpec, patient};
use dens::state::{AppState, Command, Effect, Event, Settings};
use dens::ui::{self, Progress, UiCache};
use dens::view::planes::Layout;
use dens::view::{Interpolation, ViewDraw};
use dens::volume::Slab;

/// A synthetic neck of about a thousand slices of 512 x 512, three planes on the screen.
fn opened() -> AppState {
    let spec = PatientSpec { matrix: 512, slice_spacing_mm: Some(0.142), ..PatientSpec::new(7) };
    let loaded = patient(&spec, &JobCtx::detached()).expect("nobody cancels").loaded;
    let mut state = AppState::new(Settings { auto_analyse: false, layout: Layout::Three, ..Settings::default() });
    let effects = state.apply(Command::OpenDemo);
    let asked = effects.iter().find_map(|e| if let Effect::MakeDemo { request } = e { Some(*request) } else { None });
    state.receive(Event::DemoMade { request: asked.expect("asks for the study"), loaded });
    state
}

fn clicks(criterion: &mut Criterion) {
    let mut state = opened();
    let slices = state.active.as_ref().expect("a series").slice_count();
    let mut group = criterion.benchmark_group(format!("strip click, {slices} slices"));
    let mut slice = 0;
    let mut next = || {
        slice = (slice + 397) % slices;
        slice
    };
    group.bench_function("decide", |b| b.iter(|| state.apply(Command::GoToSlice(next()))));

    let (ctx, mut cache) = (egui::Context::default(), UiCache::default());
    ui::theme::apply(&ctx);
    let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1500.0, 950.0));
    group.bench_function("decide and lay out the frame", |b| {
        b.iter(|| {
            state.apply(Command::GoToSlice(next()));
            let input = egui::RawInput { screen_rect: Some(screen), ..Default::default() };
            let mut output = ctx.run_ui(input, |ui| {
                black_box(ui::show(ui, &state, &mut cache, Progress::default()));
            });
            output.textures_delta.clear(); // fonts; nobody draws here
            black_box(ctx.tessellate(output.shapes, output.pixels_per_point))
        })
    });

    match Offscreen::new() {
        Err(error) => eprintln!("SKIPPED: {error}"),
        Ok(offscreen) => {
            group.sample_size(10);
            let name = format!("draw and read back by {}", offscreen.adapter_name());
            group.bench_function(name, |b| {
                b.iter(|| {
                    state.apply(Command::GoToSlice(next()));
                    let active = state.active.as_ref().expect("a series");
                    let image = active.image_layer(Interpolation::Linear).expect("a slice");
                    let pixel_from_screen = dens::view::PixelFromScreen::EXACT;
                    let slice = ViewDraw { pixel_from_screen, image, heatmap: None };
                    black_box(offscreen.render(&slice, 512, 512).expect("a picture"));
                    for plane in [Plane::Sagittal, Plane::Coronal] {
                        let reduction = state.reduction(offscreen.max_volume_side()).expect("it fits");
                        let draw = active.plane_draw(plane, Slab::default(), reduction, Interpolation::Linear);
                        black_box(offscreen.render_plane(&draw.expect("a plane"), 512, 400).expect("a picture"));
                    }
                })
            });
        }
    }
    group.finish();
}

criterion_group!(benches, clicks);
criterion_main!(benches);
