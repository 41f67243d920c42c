//! The shader against its CPU twin, on whatever adapter there is.

use std::sync::Arc;

use dens::findings::Cam;
use dens::geometry::PixelPoint;
use dens::gpu::GpuError;
use dens::gpu::offscreen::Offscreen;
use dens::gpu::paint::{self, PhysicalRect};
use dens::view::{
    HeatmapLayer, HeatmapStyle, ImageLayer, ImageShape, Interpolation, PixelFromScreen, ViewDraw, ViewState, raster,
};
use dens::volume::{Slice, SlicePixels, VoiFunction, VoiTable, Window};

/// A device, or `None` with a line on standard error where there is no adapter.
/// `DENS_REQUIRE_GPU=1` turns the skip into a failure.
pub fn adapter_or_skip() -> Option<Offscreen> {
    match Offscreen::new() {
        Ok(offscreen) => Some(offscreen),
        Err(error @ GpuError::NoAdapter) => {
            assert!(std::env::var_os("DENS_REQUIRE_GPU").is_none(), "{error}");
            eprintln!("SKIPPED: no graphics adapter");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Numbers without visible order, the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const ROWS: usize = 67;
const COLUMNS: usize = 83;

/// Smooth shapes, hard edges, noise, and the ends of the range of i16.
fn values() -> Vec<f64> {
    let mut noise = Noise(7);
    let mut values: Vec<f64> = (0..ROWS * COLUMNS)
        .map(|i| {
            let (row, column) = ((i / COLUMNS) as f64, (i % COLUMNS) as f64);
            let bone = if (row - 33.0).hypot(column - 40.0) < 12.0 { 900.0 } else { 0.0 };
            (row * 22.0 - 700.0 + bone + 300.0 * (column / 9.0).sin() + 200.0 * (noise.next() - 0.5)).round()
        })
        .collect();
    values[..4].copy_from_slice(&[-32768.0, 32767.0, -1024.0, 3071.0]);
    values
}

fn integer_slice() -> Arc<Slice> {
    let pixels = SlicePixels::I16(values().iter().map(|v| *v as i16).collect());
    Arc::new(Slice { rows: ROWS, columns: COLUMNS, pixels, padding: None })
}

fn float_slice() -> Arc<Slice> {
    let mut values: Vec<f32> = values().iter().map(|v| (*v * 0.731 + 0.125) as f32).collect();
    values[COLUMNS * 5] = f32::NAN;
    Arc::new(Slice { rows: ROWS, columns: COLUMNS, pixels: SlicePixels::F32(values), padding: None })
}

fn draw(slice: Arc<Slice>, window: Window, pixel_from_screen: PixelFromScreen) -> ViewDraw {
    let image = ImageLayer { slice, window, invert: false, interpolation: Interpolation::Linear };
    ViewDraw { pixel_from_screen, image, heatmap: None }
}

/// How a view shows the slice in a rectangle of 201 x 160 target pixels.
fn mapping(view: ViewState) -> PixelFromScreen {
    let shape = ImageShape { rows: ROWS, columns: COLUMNS, spacing: [1.0, 0.8] };
    view.resolve(shape, 201.0, 160.0).expect("area").pixel_from_screen
}

/// At most one level apart everywhere, and apart at all on at most `share` of the pixels.
#[track_caller]
fn check_twins(offscreen: &Offscreen, draw: &ViewDraw, (width, height): (u32, u32), share: f64, what: &str) {
    let gpu = offscreen.render(draw, width, height).expect("a picture");
    let cpu = raster::rgba8(draw, width as usize, height as usize);
    assert_eq!(gpu.len(), cpu.len(), "{what}");
    let apart: Vec<u8> = (gpu.chunks_exact(4).zip(cpu.chunks_exact(4)))
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0))
        .collect();
    let worst = apart.iter().max().copied().unwrap_or(0);
    let differing = apart.iter().filter(|d| **d > 0).count() as f64 / apart.len() as f64;
    assert!(worst <= 1 && differing <= share, "{what}: {worst} levels apart, {:.3} % differ", 100.0 * differing);
    assert!(cpu.chunks_exact(4).any(|px| px[..3] != cpu[..3]), "{what}: the picture shows nothing");
}

#[test]
fn every_voi_function_polarity_and_sampling() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for slice in [integer_slice(), float_slice()] {
        for function in [VoiFunction::Linear, VoiFunction::LinearExact, VoiFunction::Sigmoid] {
            for invert in [false, true] {
                for interpolation in Interpolation::ALL {
                    let window = Window { center: 120.0, width: 700.0, function, table: None };
                    let mut d = draw(slice.clone(), window, mapping(ViewState::default()));
                    (d.image.invert, d.image.interpolation) = (invert, interpolation);
                    let what = format!("{function:?}, invert {invert}, {interpolation:?}");
                    check_twins(&offscreen, &d, (201, 160), 0.001, &what);
                }
            }
        }
    }
}

/// Tables that rise, fall and do both, of few and of all values.
fn tables() -> Vec<Window> {
    let table =
        |first, entries: Vec<u16>, bits| VoiTable::new("T", first, entries, bits).expect("a table").into_window();
    vec![
        table(-300, (0..900).map(|i| i * 72).collect(), 16),
        table(-200, (0..256).rev().collect(), 8),
        table(-32768, (0..=u16::MAX).map(|i| i.wrapping_mul(37)).collect(), 16),
        table(50, vec![100, 3000, 9], 12),
        table(0, vec![77], 8),
    ]
}

#[test]
fn every_table_polarity_and_sampling() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let stack = synthetic(&UNEVEN_MM, 12.0, [0.9, 0.7]);
    for (which, window) in tables().into_iter().enumerate() {
        for slice in [integer_slice(), float_slice()] {
            for (invert, interpolation) in [(false, Interpolation::Linear), (true, Interpolation::Nearest)] {
                let mut d = draw(slice.clone(), window.clone(), mapping(ViewState::default()));
                (d.image.invert, d.image.interpolation) = (invert, interpolation);
                // Where entries jump from one value to the next, the last digit of an interpolated value decides.
                if which != 2 || interpolation == Interpolation::Nearest {
                    check_twins(&offscreen, &d, (201, 160), 0.001, &format!("table {which}, {interpolation:?}"));
                }
            }
        }
        if which != 2 {
            let mut d = plane_draw(stack.clone(), Plane::Sagittal, Slab::default(), ViewState::default());
            d.window = window.clone();
            check_plane(&offscreen, &d, &format!("table {which} on a plane"));
            d.slab = Slab { thickness_mm: 4.0, projection: Projection::Mip };
            check_plane(&offscreen, &d, &format!("table {which} on a slab"));
        }
    }
    // From one table to another and back to none in the same view.
    for window in [tables().remove(0), tables().remove(1), Window::BONE] {
        let d = draw(integer_slice(), window, PixelFromScreen::EXACT);
        check_twins(&offscreen, &d, (COLUMNS as u32, ROWS as u32), 0.0, "one after the other");
    }
}

#[test]
fn every_zoom_pan_and_flip() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (zoom, pan) in
        [(1.0, [0.0, 0.0]), (0.31, [0.2, -0.1]), (3.7, [0.4, 0.3]), (60.0, [0.0, 0.0]), (2.0, [0.0, 0.0])]
    {
        for (flip_horizontal, flip_vertical) in [(false, false), (true, false), (false, true), (true, true)] {
            let view = ViewState { zoom, pan, flip_horizontal, flip_vertical };
            for interpolation in Interpolation::ALL {
                let mut d = draw(integer_slice(), Window::BONE, mapping(view));
                d.image.interpolation = interpolation;
                check_twins(&offscreen, &d, (201, 160), 0.001, &format!("{view:?} {interpolation:?}"));
            }
        }
    }
}

#[test]
fn pixel_centres_on_the_border_of_two_pixels_fall_as_on_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    // Two thirds of a pixel per target pixel: every third centre lies on a border, up to rounding in f64.
    let third = 2.0 / 3.0;
    let m = PixelFromScreen { column_per_x: third, column_at_0: -0.5, row_per_y: -third, row_at_0: 66.0 + 0.5 };
    let mut d = draw(integer_slice(), Window::SOFT_TISSUE, m);
    d.image.interpolation = Interpolation::Nearest;
    check_twins(&offscreen, &d, (126, 102), 0.0, "ties");
}

#[test]
fn six_windows_at_one_to_one() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let windows = [(80.0, 300.0), (500.0, 1800.0), (400.0, 650.0), (-600.0, 1500.0), (40.0, 80.0), (480.0, 2500.0)];
    for (center, width) in windows {
        for interpolation in Interpolation::ALL {
            let mut d = draw(integer_slice(), Window::linear(center, width), PixelFromScreen::EXACT);
            d.image.interpolation = interpolation;
            check_twins(&offscreen, &d, (COLUMNS as u32, ROWS as u32), 0.001, &format!("{center},{width}"));
        }
    }
}

#[test]
fn windows_at_the_ends_of_what_is_allowed() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (center, width, function) in [
        (0.0, 1.0, VoiFunction::Linear),
        (0.5, 2.0, VoiFunction::Linear),
        (37.25, 0.5, VoiFunction::LinearExact),
        (0.0, 65536.0, VoiFunction::Linear),
        (0.0, 1e9, VoiFunction::Linear),
        (100.0, 0.01, VoiFunction::Sigmoid),
        (-31000.0, 400.0, VoiFunction::Linear),
    ] {
        let d = draw(integer_slice(), Window { center, width, function, table: None }, PixelFromScreen::EXACT);
        let gpu = offscreen.render(&d, COLUMNS as u32, ROWS as u32).expect("a picture");
        let cpu = raster::rgba8(&d, COLUMNS, ROWS);
        let worst = gpu.iter().zip(&cpu).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{center},{width} {function:?}: {worst:?} levels apart");
    }
}

#[test]
fn padding_is_black_in_both_polarities() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let mut slice = Slice::clone(&integer_slice());
    slice.padding = Some([-400.0, -100.0]);
    let slice = Arc::new(slice);
    for invert in [false, true] {
        let mut d = draw(slice.clone(), Window::SOFT_TISSUE, PixelFromScreen::EXACT);
        d.image.invert = invert;
        check_twins(&offscreen, &d, (COLUMNS as u32, ROWS as u32), 0.0, "padding");
    }
}

fn heatmap(region: [f64; 4]) -> HeatmapLayer {
    let mut noise = Noise(3);
    let mut values: Vec<f32> = (0..144).map(|_| (noise.next() * 3.0) as f32).collect();
    values[40..60].fill(0.0);
    HeatmapLayer {
        cam: Arc::new(Cam { rows: 12, columns: 12, values }),
        region,
        maximum: 3.2,
        opacity: 0.6,
        style: HeatmapStyle::Smooth,
    }
}

#[test]
fn the_heatmap_lies_and_looks_as_on_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let inside_and_beyond = [[10.0, 8.0, 58.0, 56.0], [-7.3, -20.5, 95.1, 81.9]];
    for region in inside_and_beyond {
        for (zoom, flip_horizontal) in [(1.0, false), (1.0, true), (2.3, false)] {
            let view = ViewState { zoom, flip_horizontal, ..Default::default() };
            let mut d = draw(integer_slice(), Window::BONE, mapping(view));
            for style in [HeatmapStyle::Smooth, HeatmapStyle::Cells, HeatmapStyle::Outline] {
                d.heatmap = Some(HeatmapLayer { style, ..heatmap(region) });
                let what = format!("{region:?}, zoom {zoom}, flip {flip_horizontal}, {style:?}");
                check_twins(&offscreen, &d, (201, 160), 0.001, &what);
            }
        }
    }
}

#[test]
fn one_hot_cell_is_drawn_over_its_pixels_and_nowhere_else() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let slice =
        Arc::new(Slice { rows: 48, columns: 48, pixels: SlicePixels::I16(vec![0; 48 * 48].into()), padding: None });
    let mut d = draw(slice, Window::BONE, PixelFromScreen::EXACT);
    let mut values = vec![0.0; 144];
    values[3 * 12 + 8] = 1.0;
    let cam = Arc::new(Cam { rows: 12, columns: 12, values });
    // The square covers the picture from pixel 0 to 48, so cell (row 3, column 8) is pixels 32..36 by 12..16.
    let style = HeatmapStyle::Smooth;
    d.heatmap = Some(HeatmapLayer { cam, region: [0.0, 0.0, 48.0, 48.0], maximum: 1.0, opacity: 1.0, style });
    let picture = offscreen.render(&d, 48, 48).expect("a picture");
    let red = |column: usize, row: usize| picture[(row * 48 + column) * 4];
    let hottest = (0..48 * 48).max_by_key(|i| red(i % 48, i / 48)).expect("pixels");
    assert!((32..36).contains(&(hottest % 48)) && (12..16).contains(&(hottest / 48)), "{hottest}");
    assert_eq!(red(40, 14), red(0, 0), "two cells on there is nothing");
}

#[test]
fn a_heatmap_at_zero_maximum_changes_nothing() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let plain = draw(integer_slice(), Window::BONE, PixelFromScreen::EXACT);
    let mut mapped = plain.clone();
    mapped.heatmap = Some(HeatmapLayer { maximum: 0.0, ..heatmap([0.0, 0.0, 60.0, 60.0]) });
    let size = (COLUMNS as u32, ROWS as u32);
    assert_eq!(offscreen.render(&plain, size.0, size.1).ok(), offscreen.render(&mapped, size.0, size.1).ok());
}

#[test]
fn the_next_picture_shows_nothing_of_the_last() {
    let Some(offscreen) = adapter_or_skip() else { return };
    // Slices that are dropped at once, so that addresses are used again.
    for value in [0_i16, 500, 1300, -300, 900] {
        let pixels = SlicePixels::I16(vec![value; 64 * 64].into());
        let slice = Arc::new(Slice { rows: 64, columns: 64, pixels, padding: None });
        let picture = offscreen.render(&draw(slice, Window::BONE, PixelFromScreen::EXACT), 8, 8).expect("a picture");
        assert_eq!(picture[0], Window::BONE.grey8(f32::from(value)), "{value}");
    }
}

#[test]
fn scrolling_keeps_what_fits_and_gives_back_what_is_gone() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let slices: Vec<Arc<Slice>> = (0..6)
        .map(|_| {
            Arc::new(Slice {
                rows: 128,
                columns: 128,
                pixels: SlicePixels::I16(vec![0; 128 * 128].into()),
                padding: None,
            })
        })
        .collect();
    let one = 128 * 128 * 2;
    for slice in slices.iter().chain(&slices) {
        offscreen.render(&draw(slice.clone(), Window::BONE, PixelFromScreen::EXACT), 4, 4).expect("a picture");
    }
    assert_eq!(offscreen.texture_bytes(), 6 * one, "each slice once");
    drop(slices);
    offscreen.render(&draw(integer_slice(), Window::BONE, PixelFromScreen::EXACT), 4, 4).expect("a picture");
    assert_eq!(offscreen.texture_bytes(), (ROWS * COLUMNS * 2) as u64, "the closed study is gone");
}

#[test]
fn a_slice_larger_than_a_texture_is_refused_with_both_sizes() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let columns = offscreen.max_texture_side() as usize + 1;
    let slice = Arc::new(Slice { rows: 1, columns, pixels: SlicePixels::I16(vec![0; columns].into()), padding: None });
    let error = offscreen.render(&draw(slice, Window::BONE, PixelFromScreen::EXACT), 4, 4).unwrap_err();
    assert!(error.to_string().contains(&columns.to_string()), "{error}");
}

#[test]
fn what_the_cursor_reads_is_what_the_pixel_shows() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let m = mapping(ViewState { zoom: 3.1, pan: [0.2, 0.1], ..Default::default() });
    let slice = integer_slice();
    let mut d = draw(slice.clone(), Window::BONE, m);
    d.image.interpolation = Interpolation::Nearest;
    let picture = offscreen.render(&d, 201, 160).expect("a picture");
    for (x, y) in [(0, 0), (100, 80), (37, 141), (200, 3)] {
        let PixelPoint { column, row } = m.pixel(f64::from(x) + 0.5, f64::from(y) + 0.5);
        let value = slice.at(column.round() as usize, row.round() as usize).expect("inside");
        assert_eq!(picture[(y as usize * 201 + x as usize) * 4], Window::BONE.grey8(value), "at {x}, {y}");
    }
}

// ---- in a window ----

/// Two views side by side in a window, drawn by egui at some display scale, next to their CPU twins.
#[track_caller]
fn check_window(scale: f32) {
    let setup = dens::gpu::wgpu_setup().wgpu_setup;
    let render_state = egui_kittest::wgpu::create_render_state(setup, egui_wgpu::RendererOptions::default());
    paint::init(&render_state).expect("the pipeline");
    let (slices, windows) = ([integer_slice(), float_slice()], [Window::BONE, Window::SOFT_TISSUE]);
    // Edges that fall on no pixel on fractional scales.
    let rects = [[7.3, 11.1, 153.3, 140.7], [153.3, 11.1, 290.0, 140.7]]
        .map(|[x0, y0, x1, y1]| egui::Rect::from_min_max(egui::pos2(x0, y0), egui::pos2(x1, y1)));
    let places = rects.map(|rect| PhysicalRect::of(rect, scale));
    let draws = [0, 1].map(|i| {
        let shape = ImageShape { rows: ROWS, columns: COLUMNS, spacing: [1.0, 1.0] };
        let size = [places[i].width_px, places[i].height_px].map(f64::from);
        let view = ViewState { zoom: 1.3, ..Default::default() }.resolve(shape, size[0], size[1]).expect("area");
        let mut d = draw(slices[i].clone(), windows[i].clone(), view.pixel_from_screen);
        d.heatmap = (i == 1).then(|| heatmap([5.0, 5.0, 60.0, 60.0]));
        Arc::new(d)
    });
    let shown = draws.clone();
    let mut harness = egui_kittest::Harness::builder()
        .with_size(egui::vec2(300.0, 150.0))
        .with_pixels_per_point(scale)
        .renderer(egui_kittest::wgpu::WgpuTestRenderer::from_render_state(render_state.clone()))
        .build_ui(move |ui| {
            for (i, draw) in shown.iter().enumerate() {
                ui.painter().clone().with_clip_rect(egui::Rect::EVERYTHING).add(paint::paint_callback(
                    rects[i],
                    i as u32,
                    draw.clone(),
                ));
            }
        });
    harness.run_steps(3);
    let screenshot = harness.render().expect("a screenshot");
    assert_eq!(paint::texture_bytes(&render_state), (ROWS * COLUMNS * (2 + 4) + 144 * 4) as u64, "uploaded once");
    for (place, draw) in places.iter().zip(&draws) {
        let (width, height) = (place.width_px as usize, place.height_px as usize);
        let twin = raster::rgba8(draw, width, height);
        for (i, px) in twin.chunks_exact(4).enumerate() {
            let (x, y) = (place.left_px as usize + i % width, place.top_px as usize + i / width);
            let seen = screenshot.get_pixel(x as u32, y as u32).0;
            let apart = seen.iter().zip(px).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(apart <= Some(1), "scale {scale}, {x}, {y}: {seen:?} is not {px:?}");
        }
    }
}

#[test]
fn a_window_shows_each_view_as_the_cpu_draws_it_on_every_scale() {
    if adapter_or_skip().is_none() {
        return;
    }
    for scale in [1.0, 1.25, 1.5, 2.0] {
        check_window(scale);
    }
}

// ---- planes across the slices ----

use dens::geometry::{Bend, Bent, BodyPath, PatientPoint, Plane, PlaneGrid, Rotation, Vec3};
use dens::view::planes::{HeatStack, PlaneDraw, PlaneHeat};
use dens::volume::{Projection, Slab, Stack};

use crate::planes::synthetic;

fn plane_draw(stack: Stack, plane: Plane, slab: Slab, view: ViewState) -> PlaneDraw {
    let grid = PlaneGrid::covering(&stack.geometry, plane, 1.7, 0.6).expect("inside");
    let shape = ImageShape { rows: grid.rows, columns: grid.columns, spacing: [grid.spacing_mm; 2] };
    PlaneDraw {
        pixel_from_screen: view.resolve(shape, 173.0, 140.0).expect("area").pixel_from_screen,
        grid,
        bent: None,
        stack,
        reduction: 1,
        slab,
        step_mm: 0.7,
        window: Window::linear(100.0, 1200.0),
        invert: false,
        interpolation: Interpolation::Linear,
        heatmap: None,
    }
}

/// Places are f32 on the device and f64 in the twin, which moves a value by less than a thousandth of a voxel: a level
/// at the border of two, and whole pixels only at the very edge of the volume.
#[track_caller]
fn check_plane(offscreen: &Offscreen, draw: &PlaneDraw, what: &str) {
    let gpu = offscreen.render_plane(draw, 173, 140).expect("a picture");
    let cpu = raster::plane_rgba8(draw, 173, 140);
    let apart: Vec<u8> = (gpu.chunks_exact(4).zip(cpu.chunks_exact(4)))
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0))
        .collect();
    let share = |least: u8| apart.iter().filter(|d| **d >= least).count() as f64 / apart.len() as f64;
    assert!(share(1) < 0.01 && share(2) < 0.002, "{what}: {} differ, {} by more than one", share(1), share(2));
    assert!(cpu.chunks_exact(4).any(|px| px[..3] != cpu[..3]), "{what}: the picture shows nothing");
}

const UNEVEN_MM: [f64; 7] = [-14.0, -10.0, -6.0, -4.92, 2.08, 9.08, 16.08];
const EVEN_MM: [f64; 9] = [-12.0, -9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0, 12.0];

#[test]
fn planes_of_every_stack_and_direction_are_those_of_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (z_mm, tilt_deg) in [(&EVEN_MM[..], 0.0), (&EVEN_MM[..], 18.5), (&UNEVEN_MM[..], 0.0), (&UNEVEN_MM[..], -22.0)]
    {
        for plane in Plane::ALL {
            let stack = synthetic(z_mm, tilt_deg, [0.9, 0.7]);
            for view in [
                ViewState::default(),
                ViewState { zoom: 2.7, pan: [0.2, -0.1], flip_horizontal: true, ..ViewState::default() },
            ] {
                let draw = plane_draw(stack.clone(), plane, Slab::default(), view);
                check_plane(&offscreen, &draw, &format!("{plane:?}, tilt {tilt_deg}, {} slices", z_mm.len()));
            }
        }
    }
}

#[test]
fn slabs_polarity_nearest_and_reduction_are_those_of_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let stack = synthetic(&UNEVEN_MM, 12.0, [0.9, 0.7]);
    for projection in [Projection::Mean, Projection::Mip, Projection::MinIp] {
        let slab = Slab { thickness_mm: 9.0, projection };
        let draw = plane_draw(stack.clone(), Plane::Sagittal, slab, ViewState::default());
        check_plane(&offscreen, &draw, &format!("{projection:?}"));
    }
    let plain = plane_draw(stack, Plane::Coronal, Slab::default(), ViewState::default());
    check_plane(&offscreen, &PlaneDraw { invert: true, ..plain.clone() }, "inverted");
    for interpolation in Interpolation::ALL {
        check_plane(&offscreen, &PlaneDraw { interpolation, ..plain.clone() }, interpolation.name());
    }
    check_plane(&offscreen, &PlaneDraw { reduction: 2, ..plain }, "reduced");
}

#[test]
fn leaning_planes_their_slabs_and_their_heat_are_those_of_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (z_mm, tilt_deg) in [(&EVEN_MM[..], 0.0), (&UNEVEN_MM[..], 18.0)] {
        let stack = synthetic(z_mm, tilt_deg, [0.9, 0.8]);
        for (plane, deg) in [(Plane::Axial, 17.0), (Plane::Sagittal, -40.0), (Plane::Coronal, 75.0)] {
            for thickness_mm in [0.0, 7.0] {
                let slab = Slab { thickness_mm, projection: Projection::Mean };
                let mut draw = plane_draw(stack.clone(), plane, slab, ViewState::default());
                let turn = Rotation::about(Vec3::new(0.4, -0.7, 0.5), deg).expect("an axis");
                draw.grid = draw.grid.turned(&turn, stack.geometry.centre());
                draw.heatmap = Some(plane_heat(z_mm.len(), HeatmapStyle::Smooth));
                check_plane(&offscreen, &draw, &format!("{plane:?} by {deg}, tilt {tilt_deg}, slab {thickness_mm}"));
            }
        }
    }
}

#[test]
fn curved_planes_their_slabs_and_their_heat_are_those_of_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (z_mm, tilt_deg) in [(&EVEN_MM[..], 0.0), (&EVEN_MM[..], 15.0), (&UNEVEN_MM[..], -14.0)] {
        let stack = synthetic(z_mm, tilt_deg, [0.9, 0.7]);
        let middle = stack.geometry.centre().0;
        let reach_mm = stack.geometry.reach_mm(Plane::Axial.axis());
        let knot = |i: i32| {
            let aside = f64::from(i * i - 4) * 0.8;
            PatientPoint(middle + Vec3::new(aside / 2.0, aside, f64::from(i) * 6.0))
        };
        let path = BodyPath::through((-2..=2).map(knot)).expect("knots");
        for plane in [Plane::Coronal, Plane::Sagittal] {
            let bend = Arc::new(Bend::new(&path, plane, reach_mm, 0.4).expect("a bend"));
            for (thickness_mm, reduction, shift_mm) in [(0.0, 1, 0.0), (5.0, 1, -2.5), (0.0, 2, 1.5)] {
                let slab = Slab { thickness_mm, projection: Projection::Mip };
                let view = ViewState { zoom: 1.3, flip_vertical: reduction == 2, ..ViewState::default() };
                let flat = plane_draw(stack.clone(), plane, slab, view);
                let bent = Bent { bend: bend.clone(), shift_mm };
                let sideways_mm = stack.geometry.reach_mm(plane.directions()[0]);
                let grid = bent.grid(sideways_mm, stack.geometry.centre(), 0.6);
                let shape = ImageShape { rows: grid.rows, columns: grid.columns, spacing: [0.6; 2] };
                let pixel_from_screen = view.resolve(shape, 173.0, 140.0).expect("area").pixel_from_screen;
                let heatmap = Some(plane_heat(z_mm.len(), HeatmapStyle::Smooth));
                let draw = PlaneDraw { pixel_from_screen, grid, bent: Some(bent), reduction, heatmap, ..flat };
                check_plane(
                    &offscreen,
                    &draw,
                    &format!("{plane:?}, tilt {tilt_deg}, slab {thickness_mm}, by {reduction}"),
                );
            }
        }
    }
}

#[test]
fn planes_of_fractions_padding_and_no_numbers_are_those_of_the_cpu() {
    let Some(offscreen) = adapter_or_skip() else { return };
    let stack = synthetic(&EVEN_MM, 10.0, [0.9, 0.7]);
    let slices = stack.volume.slices().iter().enumerate().map(|(k, slice)| {
        let values = (0..slice.pixels.len()).map(|i| {
            let value = slice.pixels.get(i).expect("inside");
            if (i + k) % 997 == 0 { f32::NAN } else { value * 0.73 + 0.125 }
        });
        let padding = Some([-420.0, -300.0]);
        Arc::new(Slice { pixels: SlicePixels::F32(values.collect()), padding, ..Slice::clone(slice) })
    });
    let volume = Arc::new(dens::volume::Volume::new(slices.collect()).expect("one size"));
    let stack = Stack { volume, ..stack };
    for (plane, thickness_mm) in [(Plane::Coronal, 0.0), (Plane::Axial, 6.0)] {
        let slab = Slab { thickness_mm, projection: Projection::Mip };
        check_plane(&offscreen, &plane_draw(stack.clone(), plane, slab, ViewState::default()), "fractions");
    }
}

#[test]
fn two_thousand_slices_are_drawn_reduced_or_whole() {
    let Some(offscreen) = adapter_or_skip() else { return };
    if offscreen.max_volume_side() < 2000 {
        return eprintln!("SKIPPED: this adapter takes {} slices at most", offscreen.max_volume_side());
    }
    let z_mm: Vec<f64> = (0..2000).map(|i| f64::from(i) * 0.3 - 300.0).collect();
    let stack = synthetic(&z_mm, 0.0, [0.9, 0.7]);
    let draw = plane_draw(stack, Plane::Sagittal, Slab::default(), ViewState { zoom: 9.0, ..ViewState::default() });
    check_plane(&offscreen, &draw, "2,000 slices");
}

/// Maps of some slices, each with a region of its own.
fn plane_heat(slices: usize, style: HeatmapStyle) -> PlaneHeat {
    let maps = (0..slices).map(|k| {
        let mut layer = heatmap([4.0 + k as f64, 2.5, 36.0 - k as f64 / 2.0, 34.0]);
        let cam = Arc::make_mut(&mut layer.cam);
        cam.values.rotate_right(7 * k);
        (k % 4 != 2).then_some((layer.region, layer.cam))
    });
    let stack = HeatStack::new(maps.collect(), 3.2).expect("maps");
    PlaneHeat { stack: Arc::new(stack), opacity: 0.6, style }
}

#[test]
fn heat_on_planes_is_that_of_the_cpu_in_every_style() {
    let Some(offscreen) = adapter_or_skip() else { return };
    for (z_mm, tilt_deg, reduction) in [(&EVEN_MM[..], 0.0, 1), (&UNEVEN_MM[..], -22.0, 1), (&EVEN_MM[..], 11.0, 2)] {
        let stack = synthetic(z_mm, tilt_deg, [0.9, 0.7]);
        for plane in Plane::ALL {
            for style in [HeatmapStyle::Smooth, HeatmapStyle::Cells, HeatmapStyle::Outline] {
                let view = ViewState { zoom: 1.4, ..ViewState::default() };
                let plain = plane_draw(stack.clone(), plane, Slab::default(), view);
                let heat = Some(plane_heat(z_mm.len(), style));
                let draw = PlaneDraw { heatmap: heat, reduction, ..plain.clone() };
                check_plane(&offscreen, &draw, &format!("{plane:?}, tilt {tilt_deg}, {style:?}, reduced {reduction}"));
                let plain = PlaneDraw { reduction, ..plain };
                let changed = raster::plane_rgba8(&draw, 173, 140) != raster::plane_rgba8(&plain, 173, 140);
                assert!(changed, "{plane:?}, {style:?}: heat is seen");
            }
        }
    }
}

#[test]
fn heat_on_a_plane_is_the_nearest_slices_own_and_nothing_between() {
    let stack = synthetic(&EVEN_MM, 0.0, [0.9, 0.7]);
    // Display order is from the head: slice 2 of 9 lies at z 6, and is hot all over; its neighbours show nothing.
    let cam = Arc::new(Cam { rows: 1, columns: 1, values: vec![2.0] });
    let maps = (0..9).map(|k| (k == 2).then(|| ([0.0, 0.0, 45.0, 37.0], cam.clone()))).collect();
    let heat = HeatStack::new(maps, 2.0).map(|stack| PlaneHeat {
        stack: Arc::new(stack),
        opacity: 1.0,
        style: HeatmapStyle::Smooth,
    });
    let draw = plane_draw(stack, Plane::Sagittal, Slab::default(), ViewState::default());
    let draw = PlaneDraw { heatmap: heat, ..draw };
    let layer = raster::plane_heatmap(&draw, 173, 140).expect("a map");
    let mut hot = 0;
    for (i, value) in layer.cam.values.iter().enumerate() {
        let z = draw.patient_from_screen((i % 173) as f64 + 0.5, (i / 173) as f64 + 0.5).0.z;
        hot += usize::from(*value > 0.0);
        assert!(*value == 0.0 || (4.5..7.5).contains(&z), "z {z}");
    }
    assert!(hot > 100);
}

// ---- the bone's surface ----

/// A bar, a ball and a plate of bone in a leaning, uneven stack.
fn bones() -> Stack {
    let bone = |p: Vec3| {
        let ball = (p - Vec3::new(4.0, 3.0, 2.0)).length() < 6.0;
        let bar = (p.x + 8.0).hypot(p.y - 1.0) < 2.5;
        let plate = (p.y + 9.0).abs() < 1.5 && p.x.abs() < 11.0 && p.z.abs() < 9.0;
        if ball || bar || plate { 700 } else { -60 }
    };
    let pose = |z: &f64| dens::geometry::SlicePose {
        origin: dens::geometry::PatientPoint(Vec3::new(-16.0, -16.0 + 0.2 * z, *z)),
        along_row: Vec3::new(1.0, 0.0, 0.0),
        along_column: Vec3::new(0.0, 1.0, 0.0),
    };
    let z_mm: Vec<f64> = (0..40).map(|i| 14.0 - 0.7 * f64::from(i) - if i > 25 { 0.8 } else { 0.0 }).collect();
    let poses: Vec<_> = z_mm.iter().map(pose).collect();
    let slices = poses.iter().map(|pose| {
        let at = |i: usize| PixelPoint { column: (i % 64) as f64, row: (i / 64) as f64 };
        let values = (0..64 * 64).map(|i| bone(pose.patient_from_pixel(at(i), [0.5, 0.5]).0)).collect();
        Arc::new(Slice { rows: 64, columns: 64, pixels: SlicePixels::I16(values), padding: None })
    });
    let volume = Arc::new(dens::volume::Volume::new(slices.collect()).expect("one size"));
    let poses: Vec<_> = poses.into_iter().map(Some).collect();
    let geometry = dens::geometry::StackGeometry::new(&poses, Some([0.5, 0.5]), 64, 64).expect("a stack");
    Stack { volume, geometry: Arc::new(geometry) }
}

#[test]
fn the_bone_from_every_side_is_that_of_the_cpu() {
    use dens::view::surface::{self, Side, SurfaceDraw, SurfaceView};
    let Some(offscreen) = adapter_or_skip() else { return };
    let solid = Arc::new(dens::volume::Solid::of(&bones(), &|| true).expect("bone"));
    let oblique = SurfaceView { azimuth_deg: 33.0, elevation_deg: 27.0, zoom: 1.7, pan: [0.1, -0.05] };
    for view in Side::ALL.map(Side::view).into_iter().chain([oblique]) {
        for threshold_hu in [150.0, 300.0, 650.0] {
            let draw = SurfaceDraw { solid: solid.clone(), view, threshold_hu };
            let gpu = offscreen.render_surface(&draw, 150, 110).expect("a picture");
            let cpu = surface::rgba8(&draw, 150, 110);
            let apart = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            let pairs = gpu.chunks_exact(4).zip(cpu.chunks_exact(4));
            let differing = pairs.filter(|(a, b)| apart(a, b) > 6).count();
            let what = format!("{view:?} from {threshold_hu} HU: {differing} pixels differ");
            assert!(differing <= 150 * 110 / 100, "{what}");
            let lit = cpu.chunks_exact(4).filter(|px| px[0] > 60).count();
            assert!(lit > 800, "{what}, {lit} are lit");
        }
    }
}

#[test]
fn a_ball_of_bone_is_as_wide_as_it_is_from_every_side_and_hides_what_lies_behind() {
    use dens::geometry::PatientPoint;
    use dens::view::surface::{self, Camera, Side, SurfaceDraw};
    let solid = Arc::new(dens::volume::Solid::of(&bones(), &|| true).expect("bone"));
    let centre = PatientPoint(Vec3::new(4.0, 3.0, 2.0));
    for side in [Side::Left, Side::Top, Side::Back] {
        let draw = SurfaceDraw { solid: solid.clone(), view: side.view(), threshold_hu: 300.0 };
        let camera = Camera::new(&draw.view, &solid, [400.0, 300.0]);
        let ([x, y], depth_mm) = camera.screen(centre);
        let (met, met_mm) = surface::hit(&draw, &camera, x, y).expect("the ball");
        assert!((depth_mm - met_mm - 6.0).abs() < 0.6, "{side:?}: {} mm before its middle", depth_mm - met_mm);
        assert!(((met.0 - centre.0).length() - 6.0).abs() < 0.6);
        assert!(surface::hides(&draw, &camera, centre), "its middle lies behind its surface");
        let before = PatientPoint(centre.0 - camera.into * 7.5);
        assert!(!surface::hides(&draw, &camera, before));
    }
}
