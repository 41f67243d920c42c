//! The pictures of the key slices: the same field of view in bone and soft tissue, without and with heatmap.

use std::sync::Arc;

use super::content::KeySlice;
use super::{CornerText, ViewPicture, picture};
use crate::findings::PixelBox;
use crate::geometry::{PatientPoint, PlaneGrid};
use crate::measure::{self, Drawn, Ground, Measurement, Source, Values};
use crate::study::{LoadedSeries, Photometric, Series, describe};
use crate::view::{HeatmapLayer, ImageLayer, Interpolation, PixelFromScreen, ViewDraw};
use crate::volume::{Slice, Window};

/// The windows of a key slice, one column each.
pub(super) const WINDOWS: [Window; 2] = [Window::BONE, Window::SOFT_TISSUE];
/// Room left around what the network saw, over its size.
const SURROUND: f64 = 1.35;
/// A view that would show more than this of the picture shows the whole.
const NEARLY_WHOLE: f64 = 0.85;
/// No view shows less than this of the picture: a stray bright pixel is no place to look at.
const LEAST: f64 = 0.25;

/// A square view of one slice, drawn at whatever size the output asks for.
#[derive(Debug, Clone)]
pub(super) struct PictureSource {
    slice: Arc<Slice>,
    window: Window,
    invert: bool,
    heatmap: Option<HeatmapLayer>,
    /// `[between rows, between columns]`, 1 x 1 where unknown.
    spacing: [f64; 2],
    has_millimetres: bool,
    view: Square,
    text: CornerText,
    /// What was measured there, with its words, and the pixels it was measured on.
    marks: Vec<(Measurement, Vec<String>)>,
}

/// Centre (pixels, the first pixel's centre is 0, 0) and side (mm, or pixels where those are unknown).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Square {
    column: f64,
    row: f64,
    side: f64,
}

impl PictureSource {
    /// RGBA, `side_px` squared.
    pub(super) fn render(&self, side_px: u32, text_scale: f32) -> Vec<u8> {
        let per_unit = f64::from(side_px.max(1)) / self.view.side;
        let (column_per_x, row_per_y) = (1.0 / (per_unit * self.spacing[1]), 1.0 / (per_unit * self.spacing[0]));
        let half = f64::from(side_px) / 2.0;
        let pixel_from_screen = PixelFromScreen {
            column_per_x,
            column_at_0: self.view.column - half * column_per_x,
            row_per_y,
            row_at_0: self.view.row - half * row_per_y,
        };
        let image = ImageLayer {
            slice: self.slice.clone(),
            window: self.window.clone(),
            invert: self.invert,
            interpolation: Interpolation::Linear,
        };
        picture::view_picture(&ViewPicture {
            draw: ViewDraw { pixel_from_screen, image, heatmap: self.heatmap.clone() },
            width: side_px,
            height: side_px,
            text: self.text.clone(),
            pixels_per_mm: self.has_millimetres.then_some(per_unit),
            text_scale,
            marks: self.marks.iter().map(|(m, label)| drawn(m, label, &pixel_from_screen)).collect(),
        })
    }
}

fn drawn(measurement: &Measurement, label: &[String], map: &PixelFromScreen) -> Drawn {
    let target = |at: PatientPoint| {
        let (x, y) = map.screen(measurement.ground.pixel(at));
        [x, y]
    };
    Drawn::new(measurement, label.to_vec(), &target)
}

/// For each key slice its pictures: a row without heatmap and, where one is drawn, a row with it.
pub(super) fn of_key_slices(loaded: &LoadedSeries, keys: &[KeySlice]) -> Vec<Vec<Arc<PictureSource>>> {
    keys.iter().map(|key| of_key_slice(loaded, key)).collect()
}

fn of_key_slice(loaded: &LoadedSeries, key: &KeySlice) -> Vec<Arc<PictureSource>> {
    let series = &*loaded.series;
    if let Some(ground) = &key.plane {
        return of_plane(loaded, key, ground).unwrap_or_default();
    }
    let Some(slice) = loaded.volume.slices().get(key.index) else { return Vec::new() };
    let view = square(slice, series.spacing_mm.unwrap_or([1.0, 1.0]), key.region.as_ref());
    let layers = [Some(None), key.heatmap.clone().map(Some)];
    layers
        .into_iter()
        .flatten()
        .flat_map(|heatmap| {
            WINDOWS.map(|window| {
                let picture = source(series, slice, key, window, heatmap.clone(), view);
                Arc::new(PictureSource { marks: marks(series, key), ..picture })
            })
        })
        .collect()
}

fn marks(series: &Series, key: &KeySlice) -> Vec<(Measurement, Vec<String>)> {
    let values = Values { are_hu: series.values_are_hu, are_lossy: series.technique.lossy.is_some() };
    key.marks.iter().map(|m| (m.clone(), measure::label(m, values))).collect()
}

/// The pictures of a plane cut from the volume; `None` where none can be cut.
fn of_plane(loaded: &LoadedSeries, key: &KeySlice, ground: &Ground) -> Option<Vec<Arc<PictureSource>>> {
    let Source::Plane { plane, slab } = &ground.source else { return None };
    let (series, stack) = (&*loaded.series, loaded.stack().ok()?);
    let (pose, centre) = (&ground.pose, key.marks.first().map_or(ground.pose.origin, Measurement::centre));
    let directions = [pose.along_row, pose.along_column];
    let grid = PlaneGrid::through(&stack.geometry, pose.origin, directions, ground.spacing[0]).ok()?;
    let slice = Arc::new(stack.plane_slice((&grid, None), slab));
    let view = square(&slice, [grid.spacing_mm; 2], key.region.as_ref());
    let pictures = WINDOWS.map(|window| {
        let mut picture = source(series, &slice, key, window, None, view);
        picture.spacing = [grid.spacing_mm; 2];
        picture.text.letters = describe::edge_letters(Some(&grid.pose));
        if let Some(line) = picture.text.top_left.first_mut() {
            *line = plane.words(pose, centre);
        }
        Arc::new(PictureSource { marks: marks(series, key), ..picture })
    });
    Some(pictures.into())
}

fn source(
    series: &Series,
    slice: &Arc<Slice>,
    key: &KeySlice,
    window: Window,
    heatmap: Option<HeatmapLayer>,
    view: Square,
) -> PictureSource {
    let index = key.index;
    let image = format!("{}/{}", index + 1, series.slices.len());
    let mut top_left = vec![image];
    if describe::is_synthetic(series) {
        top_left.push("SYNTHETIC".to_owned());
    }
    let text = CornerText {
        top_left,
        top_right: vec![window.preset_name().unwrap_or("").to_owned()],
        bottom_left: key.fidelity.parts().map(str::to_owned).collect(),
        letters: describe::edge_letters(series.slices.get(index).and_then(|s| s.pose).as_ref()),
        ..CornerText::default()
    };
    PictureSource {
        slice: slice.clone(),
        window,
        invert: series.photometric == Photometric::Monochrome1,
        heatmap,
        spacing: series.spacing_mm.unwrap_or([1.0, 1.0]),
        has_millimetres: series.spacing_mm.is_some(),
        view,
        text,
        marks: Vec::new(),
    }
}

/// The network's square with some surround, moved inside the picture; the whole picture without one.
fn square(slice: &Slice, spacing: [f64; 2], region: Option<&PixelBox>) -> Square {
    let (columns, rows) = (slice.columns as f64, slice.rows as f64);
    let (extent_x, extent_y) = (columns * spacing[1], rows * spacing[0]);
    let whole = Square { column: columns / 2.0 - 0.5, row: rows / 2.0 - 0.5, side: extent_x.max(extent_y).max(1e-6) };
    let Some([x0, y0, x1, y1]) = region.copied().filter(|r| r.iter().all(|v| v.is_finite())) else { return whole };
    let side = ((x1 - x0) * spacing[1]).max((y1 - y0) * spacing[0]) * SURROUND;
    if side >= whole.side * NEARLY_WHOLE {
        return whole;
    }
    let side = side.max(whole.side * LEAST);
    let inside = |centre: f64, count: f64, spacing: f64| {
        let half = side / spacing / 2.0;
        if 2.0 * half >= count { count / 2.0 - 0.5 } else { centre.clamp(half - 0.5, count - half - 0.5) }
    };
    Square {
        column: inside((x0 + x1) / 2.0 - 0.5, columns, spacing[1]),
        row: inside((y0 + y1) / 2.0 - 0.5, rows, spacing[0]),
        side,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::SlicePixels;

    #[test]
    fn the_view_holds_the_networks_square_and_stays_inside() {
        let slice = Slice { rows: 200, columns: 400, pixels: SlicePixels::I16(vec![0; 80_000].into()), padding: None };
        let region = [-10.0, 100.0, 70.0, 180.0];
        let view = square(&slice, [1.0, 0.5], Some(&region));
        // 80 rows of 1 mm are the longer side.
        assert!((view.side - 80.0 * SURROUND).abs() < 1e-9);
        let half = (view.side / 0.5 / 2.0, view.side / 2.0);
        assert!(view.column - half.0 >= -0.5 - 1e-9 && view.column + half.0 <= 399.5 + 1e-9);
        assert!(view.row - half.1 >= -0.5 - 1e-9 && view.row + half.1 <= 199.5 + 1e-9);
        assert!(view.row - half.1 <= 100.0 && view.row + half.1 >= 179.0);
    }

    #[test]
    fn without_a_square_the_whole_picture_is_shown() {
        let slice = Slice { rows: 10, columns: 20, pixels: SlicePixels::I16(vec![0; 200].into()), padding: None };
        assert_eq!(square(&slice, [1.0, 1.0], None), Square { column: 9.5, row: 4.5, side: 20.0 });
        assert_eq!(square(&slice, [1.0, 1.0], Some(&[0.0, 0.0, f64::NAN, 1.0])).side, 20.0);
    }
}
