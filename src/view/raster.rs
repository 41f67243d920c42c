//! Draws a [`ViewDraw`] or a [`PlaneDraw`] on the CPU. Oracle of `shaders/slice.wgsl`, `shaders/heatmap.wgsl`,
//! `shaders/heat.wgsl` and `shaders/planes.wgsl`, and the renderer of last resort. Interpolates HU first and windows after; composes display values without any gamma.

use rayon::prelude::*;

use super::planes::{PlaneDraw, PlaneHeat};
use super::surface::SurfaceDraw;
use super::{HeatmapLayer, HeatmapStyle, Interpolation, OUTLINE_SHARE, PixelFromScreen, ViewDraw, colormap};
use crate::findings::{Cam, PixelBox};
use crate::geometry::PixelPoint;
use crate::volume::{Sampling, Slice, SlicePixels};

/// Whatever a view shows.
#[derive(Debug, Clone)]
pub enum Drawing {
    Slice(ViewDraw),
    Plane(Box<PlaneDraw>),
    Surface(SurfaceDraw),
}

impl Drawing {
    /// As [`rgba8`], [`plane_rgba8`] or [`super::surface::rgba8`].
    pub fn rgba8(&self, [width, height]: [usize; 2]) -> Vec<u8> {
        match self {
            Self::Slice(draw) => rgba8(draw, width, height),
            Self::Plane(draw) => plane_rgba8(draw, width, height),
            Self::Surface(draw) => super::surface::rgba8(draw, width, height),
        }
    }
}

/// 8-bit grey, one byte per target pixel, without heatmap. Outside the picture is black.
pub fn grey8(draw: &ViewDraw, width: usize, height: usize) -> Vec<u8> {
    let mut out = vec![0; width * height];
    out.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, line)| {
        for (x, px) in line.iter_mut().enumerate() {
            *px = grey8_at(draw, x, y).unwrap_or(0);
        }
    });
    out
}

/// RGBA, four bytes per target pixel, with the heatmap. Outside the picture is opaque black.
pub fn rgba8(draw: &ViewDraw, width: usize, height: usize) -> Vec<u8> {
    let shares = draw.heatmap.as_ref().filter(|layer| layer.style == HeatmapStyle::Outline);
    let shares = shares.map(|layer| {
        let mut shares = vec![0.0; width * height];
        shares.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, line)| {
            for (x, share) in line.iter_mut().enumerate() {
                *share = target_share(draw, layer, x, y);
            }
        });
        shares
    });
    let mut out = vec![0; width * height * 4];
    out.par_chunks_mut(width.max(1) * 4).enumerate().for_each(|(y, line)| {
        for (x, px) in line.chunks_exact_mut(4).enumerate() {
            let grey = grey8_at(draw, x, y);
            let mut colour = [grey.unwrap_or(0); 3];
            if let (Some(_), Some(layer)) = (grey, &draw.heatmap) {
                let heat = match &shares {
                    Some(shares) => Heat::Edge(is_edge(shares, width, height, x, y)),
                    None => Heat::Share(target_share(draw, layer, x, y)),
                };
                colour = heat_over(heat, layer.opacity, colour);
            }
            px.copy_from_slice(&[colour[0], colour[1], colour[2], 255]);
        }
    });
    out
}

/// What the heatmap has at a target pixel.
enum Heat {
    Share(f32),
    /// The outline runs here.
    Edge(bool),
}

/// The pixel and one beside it lie on the two sides of the outline.
fn is_edge(shares: &[f32], width: usize, height: usize, x: usize, y: usize) -> bool {
    let within = |x: usize, y: usize| {
        shares.get(y.min(height - 1) * width + x.min(width - 1)).is_some_and(|share| *share >= OUTLINE_SHARE)
    };
    let beside = [(x.saturating_sub(1), y), (x + 1, y), (x, y.saturating_sub(1)), (x, y + 1)];
    beside.into_iter().any(|(x1, y1)| within(x1, y1) != within(x, y))
}

/// Share of the study's maximum at a target pixel; 0 outside the map and outside the picture.
fn target_share(draw: &ViewDraw, layer: &HeatmapLayer, x: usize, y: usize) -> f32 {
    let at = draw.pixel_from_screen.pixel(x as f64 + 0.5, y as f64 + 0.5);
    let slice = &draw.image.slice;
    let inside = |v: f64, n: usize| v >= -0.5 && v < n as f64 - 0.5;
    let shown = inside(at.column, slice.columns) && inside(at.row, slice.rows);
    shown.then(|| heat_at(&layer.cam, layer, at)).flatten().unwrap_or(0.0)
}

fn grey8_at(draw: &ViewDraw, x: usize, y: usize) -> Option<u8> {
    let at = draw.pixel_from_screen.pixel(x as f64 + 0.5, y as f64 + 0.5);
    let image = &draw.image;
    let value = match image.interpolation.sampling() {
        Sampling::Linear => image.slice.sample_bilinear(at)?,
        Sampling::Nearest => nearest(&image.slice, at)?,
        Sampling::Cubic(cubic) => image.slice.sample_cubic(at, cubic)?,
    };
    // Padding is no measurement: black, whatever the window or the polarity.
    if image.slice.is_padding(value) {
        return Some(0);
    }
    let grey = image.window.grey8(value);
    Some(if image.invert { 255 - grey } else { grey })
}

/// RGBA of a plane, four bytes per target pixel. Outside the volume and where it has padding it is opaque black.
pub fn plane_rgba8(draw: &PlaneDraw, width: usize, height: usize) -> Vec<u8> {
    let image = super::ImageLayer {
        slice: std::sync::Arc::new(plane_slice(draw, width, height)),
        window: draw.window.clone(),
        invert: draw.invert,
        interpolation: Interpolation::Nearest,
    };
    let heatmap = plane_heatmap(draw, width, height);
    rgba8(&ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap }, width, height)
}

/// The heatmap of a plane as a layer over the picture of [`plane_slice`]: one cell per target pixel.
pub fn plane_heatmap(draw: &PlaneDraw, width: usize, height: usize) -> Option<HeatmapLayer> {
    let heat = draw.heatmap.as_ref().filter(|_| width > 0 && height > 0)?;
    let mut values = vec![0.0; width * height];
    values.par_chunks_mut(width).enumerate().for_each(|(y, line)| {
        for (x, value) in line.iter_mut().enumerate() {
            *value = plane_value(draw, heat, x as f64 + 0.5, y as f64 + 0.5).unwrap_or(0.0);
        }
    });
    Some(HeatmapLayer {
        cam: std::sync::Arc::new(Cam { rows: height, columns: width, values }),
        region: [0.0, 0.0, width as f64, height as f64],
        maximum: heat.stack.maximum,
        opacity: heat.opacity,
        style: heat.style,
    })
}

/// The value of the map of the slice nearest to a target point.
fn plane_value(draw: &PlaneDraw, heat: &PlaneHeat, x: f64, y: f64) -> Option<f32> {
    let geometry = &draw.stack.geometry;
    let voxel = geometry.voxel_from_patient(draw.patient_from_screen(x, y));
    let nearest = (voxel.slice + 0.5).floor();
    let position = geometry.contains(voxel).then(|| geometry.positions().get(nearest as usize)).flatten()?;
    let (region, cam) = heat.stack.map(position.index)?;
    let (u, v) = place_in(region, PixelPoint { column: voxel.column, row: voxel.row })?;
    Some(value_in(cam, heat.style, u, v))
}

/// The values of a plane, one per target pixel; padding where the volume has none or has padding.
pub fn plane_slice(draw: &PlaneDraw, width: usize, height: usize) -> Slice {
    let reduced = (draw.reduction > 1).then(|| draw.stack.reduced(draw.reduction));
    let stack = reduced.as_ref().unwrap_or(&draw.stack);
    let padding = stack.volume.padding().unwrap_or([f32::MIN; 2]);
    let mut values = vec![padding[0]; width * height];
    values.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, line)| {
        let normal = draw.normal_at(y as f64 + 0.5);
        for (x, value) in line.iter_mut().enumerate() {
            let at = draw.patient_from_screen(x as f64 + 0.5, y as f64 + 0.5);
            if let Some(v) = stack.sample_slab(at, normal, &draw.slab, draw.step_mm, draw.sampling()) {
                *value = v;
            }
        }
    });
    Slice { rows: height, columns: width, pixels: SlicePixels::F32(values), padding: Some(padding) }
}

fn nearest(slice: &Slice, at: PixelPoint) -> Option<f32> {
    let (c, r) = ((at.column + 0.5).floor(), (at.row + 0.5).floor());
    (c >= 0.0 && r >= 0.0).then(|| slice.at(c as usize, r as usize)).flatten()
}

/// Position of an image pixel in the network's square, 0..=1 each way; `None` outside it.
pub fn map_coordinates(layer: &HeatmapLayer, at: PixelPoint) -> Option<(f64, f64)> {
    place_in(&layer.region, at)
}

fn place_in([x0, y0, x1, y1]: &PixelBox, at: PixelPoint) -> Option<(f64, f64)> {
    let (u, v) = ((at.column + 0.5 - x0) / (x1 - x0), (at.row + 0.5 - y0) / (y1 - y0));
    ((0.0..=1.0).contains(&u) && (0.0..=1.0).contains(&v)).then_some((u, v))
}

fn value_in(cam: &Cam, style: HeatmapStyle, u: f64, v: f64) -> f32 {
    match style {
        HeatmapStyle::Cells => cam.cell(u, v),
        HeatmapStyle::Smooth | HeatmapStyle::Outline => cam.sample(u, v),
    }
}

/// Share of the study's maximum at an image pixel, 0..=1; `None` outside the map.
pub fn heat_at(cam: &Cam, layer: &HeatmapLayer, at: PixelPoint) -> Option<f32> {
    let (u, v) = map_coordinates(layer, at)?;
    (layer.maximum > 0.0).then(|| (value_in(cam, layer.style, u, v) / layer.maximum).clamp(0.0, 1.0))
}

fn heat_over(heat: Heat, opacity: f32, under: [u8; 3]) -> [u8; 3] {
    let (alpha, over) = match heat {
        Heat::Share(t) => ((opacity * t).clamp(0.0, 1.0), colormap::colour(t)),
        Heat::Edge(true) => (1.0, colormap::OUTLINE),
        Heat::Edge(false) => return under,
    };
    std::array::from_fn(|i| {
        let v = f32::from(under[i]) / 255.0 * (1.0 - alpha) + over[i] * alpha;
        (v * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// One grey byte per image pixel: `dens render --exact`.
pub fn exact_grey8(draw: &ViewDraw) -> Vec<u8> {
    let exact = ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, ..draw.clone() };
    grey8(&exact, draw.image.slice.columns, draw.image.slice.rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::view::ImageLayer;
    use crate::volume::Window;

    fn draw(values: Vec<i16>, rows: usize, columns: usize) -> ViewDraw {
        let slice = Arc::new(Slice { rows, columns, pixels: SlicePixels::I16(values.into()), padding: None });
        let image = ImageLayer { slice, window: Window::BONE, invert: false, interpolation: Interpolation::Linear };
        ViewDraw { pixel_from_screen: PixelFromScreen::EXACT, image, heatmap: None }
    }

    #[test]
    fn exact_is_the_formula_per_pixel() {
        let d = draw(vec![-1024, 0, 500, 3000], 2, 2);
        let expected: Vec<u8> = [-1024.0, 0.0, 500.0, 3000.0].map(|v| Window::BONE.grey8(v)).into();
        assert_eq!(exact_grey8(&d), expected);
    }

    #[test]
    fn a_hot_cell_lands_on_its_pixels() {
        let mut d = draw(vec![0; 64], 8, 8);
        let mut values = vec![0.0; 4];
        values[3] = 2.0;
        // The network saw pixels 2..6: the last of 2 x 2 cells covers pixels 4 and 5.
        d.heatmap = Some(HeatmapLayer {
            cam: Arc::new(Cam { rows: 2, columns: 2, values }),
            region: [2.0, 2.0, 6.0, 6.0],
            maximum: 2.0,
            opacity: 1.0,
            style: HeatmapStyle::Smooth,
        });
        let rgba = rgba8(&d, 8, 8);
        let red = |x: usize, y: usize| rgba[(y * 8 + x) * 4];
        assert!(red(5, 5) > red(3, 3), "hot corner brighter");
        assert_eq!(red(6, 6), red(0, 0), "nothing outside the square");
    }

    #[test]
    fn cells_have_edges_and_the_outline_runs_where_the_map_is_half() {
        let mut d = draw(vec![0; 1024], 32, 32);
        let mut layer = HeatmapLayer {
            cam: Arc::new(Cam { rows: 1, columns: 2, values: vec![0.0, 4.0] }),
            region: [0.0, 0.0, 32.0, 32.0],
            maximum: 4.0,
            opacity: 1.0,
            style: HeatmapStyle::Cells,
        };
        d.heatmap = Some(layer.clone());
        let line = |d: &ViewDraw| rgba8(d, 32, 32)[16 * 128..17 * 128].chunks(4).map(|px| px[0]).collect::<Vec<u8>>();
        let cells = line(&d);
        assert!(cells[..16].iter().all(|v| *v == cells[0]) && cells[16..].iter().all(|v| *v == cells[31]), "{cells:?}");
        assert!(cells[16] > cells[15] + 100, "{cells:?}");
        layer.style = HeatmapStyle::Outline;
        d.heatmap = Some(layer);
        // From the middle of the one cell, 8, to that of the other, 24, the map rises to 1: half of it is at 16.
        let edge: Vec<usize> = (1..31).filter(|x| line(&d)[*x] > 100).collect();
        assert_eq!(edge, [15, 16]);
    }

    #[test]
    fn a_zero_map_changes_nothing() {
        let plain = draw(vec![500; 16], 4, 4);
        let mut mapped = plain.clone();
        mapped.heatmap = Some(HeatmapLayer {
            cam: Arc::new(Cam { rows: 1, columns: 1, values: vec![0.0] }),
            region: [0.0, 0.0, 4.0, 4.0],
            maximum: 0.0,
            opacity: 1.0,
            style: HeatmapStyle::Smooth,
        });
        assert_eq!(rgba8(&plain, 4, 4), rgba8(&mapped, 4, 4));
    }
}
