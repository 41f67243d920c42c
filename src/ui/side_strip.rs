//! The strip once more, along the edge of a plane across the slices: each bar lies where its slice cuts that edge, in
//! the patient's millimetres, and moves with zoom and pan.

use egui::{Align2, Color32, FontId, Pos2, Rect, Stroke, pos2, vec2};

use super::panes::PaneMap;
use super::{overlay, theme};
use crate::findings::{Findings, SliceState};
use crate::geometry::Vec3;
use crate::state::{ActiveSeries, AppState};

/// Room for bars, threshold and flags, points; text on the plane keeps clear of it.
pub const WIDTH: f32 = 40.0;
const LONGEST_BAR: f32 = 24.0;

/// The bars are drawn: there are scores, and the slices are stacked along the pane's height.
pub fn is_shown(state: &AppState, active: &ActiveSeries, map: &PaneMap) -> bool {
    let scored = state.findings().is_some_and(|f| f.slices.iter().any(|s| s.score().is_some()));
    scored && active.planes.is_some() && onwards(active).is_some_and(|n| stacked_along_height(map, n))
}

fn onwards(active: &ActiveSeries) -> Option<Vec3> {
    let [.., onwards] = active.planes.as_ref()?.stack.geometry.directions();
    Some(onwards)
}

fn stacked_along_height(map: &PaneMap, onwards: Vec3) -> bool {
    /// A plane that lies nearly in the slices crosses few of them, far apart.
    const STEEP: f64 = 0.5;
    let along_height = map.sheet.pose.along_column.dot(onwards).abs();
    along_height > STEEP && along_height > map.sheet.pose.along_row.dot(onwards).abs()
}

/// Where a depth of the stack crosses the pane's left edge, points.
fn height_of(map: &PaneMap, onwards: Vec3, depth_mm: f64) -> f32 {
    let left = map.resolved.pixel_from_screen.pixel(0.0, 0.0);
    if let Some(bent) = map.sheet.bent {
        let sideways_mm = map.sheet.pose.origin.0.dot(map.sheet.pose.along_row) + left.column * map.sheet.spacing_mm[1];
        let cut = bent.cut_by_at(onwards, onwards * depth_mm, sideways_mm);
        return map.screen(cut).y;
    }
    let per_row_mm = map.sheet.pose.along_column.dot(onwards) * map.sheet.spacing_mm[0];
    let across_mm = map.sheet.pose.along_row.dot(onwards) * left.column * map.sheet.spacing_mm[1];
    let row = (depth_mm - map.sheet.pose.origin.0.dot(onwards) - across_mm) / per_row_mm;
    let at = crate::geometry::PixelPoint { column: left.column, row };
    let (_, y) = map.resolved.pixel_from_screen.screen(at);
    map.rect.top() + (y / f64::from(map.pixels_per_point)) as f32
}

/// One slice's row.
struct Row {
    top: f32,
    bottom: f32,
    index: usize,
    score: Option<f32>,
}

impl Row {
    fn middle(&self) -> f32 {
        (self.top + self.bottom) / 2.0
    }
}

/// Rows of the slices that can be seen, each reaching halfway to its neighbours.
fn rows(active: &ActiveSeries, findings: &Findings, map: &PaneMap) -> Vec<Row> {
    let (Some(planes), Some(onwards)) = (&active.planes, onwards(active)) else { return Vec::new() };
    let positions = planes.stack.geometry.positions();
    let depth = |i: usize| positions.get(i).map(|p| p.depth_mm);
    let edge = |i: usize, beside: Option<usize>, other: Option<usize>| {
        let (here, next) = (depth(i)?, beside.and_then(depth));
        // Beyond the ends a slice reaches as far as on its inner side.
        Some(next.or_else(|| Some(2.0 * here - depth(other?)?)).map_or(here, |next| (here + next) / 2.0))
    };
    let y = |depth_mm: f64| height_of(map, onwards, depth_mm);
    let row = |(i, position): (usize, &crate::geometry::SlicePosition)| {
        let (before, after) = (i.checked_sub(1), Some(i + 1).filter(|n| *n < positions.len()));
        let ends = [y(edge(i, before, after)?), y(edge(i, after, before)?)];
        let score = findings.slices.get(position.index).and_then(SliceState::score);
        let (top, bottom) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let seen = bottom >= map.rect.top() && top <= map.rect.bottom();
        seen.then_some(Row { top, bottom, index: position.index, score })
    };
    positions.iter().enumerate().filter_map(row).collect()
}

pub fn paint(painter: &egui::Painter, state: &AppState, active: &ActiveSeries, map: &PaneMap) {
    let Some(findings) = state.findings().filter(|_| is_shown(state, active, map)) else { return };
    let mut rows = rows(active, findings, map);
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
    let left = map.rect.left() + 3.0;
    let (top, bottom) =
        (first.top.min(last.top).max(map.rect.top()), first.bottom.max(last.bottom).min(map.rect.bottom()));
    let ground = Rect::from_min_max(pos2(left, top), pos2(left + LONGEST_BAR, bottom));
    painter.rect_filled(ground, 0.0, Color32::from_black_alpha(150));
    // Lowest first, so that where rows are thinner than a pixel the highest is seen.
    rows.sort_by(|a, b| a.score.unwrap_or(-1.0).total_cmp(&b.score.unwrap_or(-1.0)));
    for row in &rows {
        let Some(score) = row.score else { continue };
        let length = (LONGEST_BAR * score.clamp(0.0, 1.0)).max(1.0);
        let gap = if row.bottom - row.top >= 4.0 { 1.0 } else { 0.0 };
        let bar = Rect::from_min_max(pos2(left, row.top), pos2(left + length, (row.bottom - gap).max(row.top + 1.0)));
        painter.rect_filled(bar, 0.0, theme::heat(score));
    }
    let x = left + LONGEST_BAR * findings.threshold().clamp(0.0, 1.0);
    painter.line_segment([pos2(x, top), pos2(x, bottom)], Stroke::new(1.0, theme::DIM));
    painter.rect_stroke(ground, 0.0, Stroke::new(1.0, theme::LINE), egui::StrokeKind::Outside);
    flags(painter, &rows, &state.peaks(), left + LONGEST_BAR);
    if let Some(row) = rows.iter().find(|row| row.index == active.current) {
        pointer(painter, pos2(left + LONGEST_BAR + 1.0, row.middle()));
    }
}

/// The slice being read.
fn pointer(painter: &egui::Painter, at: Pos2) {
    let corners = vec![at, at + vec2(5.0, -3.5), at + vec2(5.0, 3.5)];
    painter.add(egui::Shape::convex_polygon(corners, theme::TEXT, Stroke::new(1.0, Color32::from_black_alpha(190))));
}

/// Numbers of the peaks, best first; one that would lie on a better one gives way.
fn flags(painter: &egui::Painter, rows: &[Row], peaks: &[usize], x: f32) {
    let mut taken: Vec<f32> = Vec::new();
    for (rank, peak) in peaks.iter().enumerate() {
        let Some(y) = rows.iter().find(|row| row.index == *peak).map(Row::middle) else { continue };
        if taken.iter().all(|t| (t - y).abs() >= 11.0) {
            taken.push(y);
            let text = (rank + 1).to_string();
            let font = FontId::proportional(10.5);
            overlay::legible(painter, pos2(x + 8.0, y), Align2::LEFT_CENTER, &text, font, theme::TEXT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PatientPoint, PlaneGrid, SlicePose, StackGeometry};
    use crate::view::{ImageShape, ViewState};

    #[test]
    fn a_depth_lies_where_the_slice_crosses_the_edge_also_tilted_zoomed_and_flipped() {
        for tilt_deg in [0.0_f64, 18.5] {
            let (sin, cos) = tilt_deg.to_radians().sin_cos();
            let pose = |k: usize| SlicePose {
                origin: PatientPoint(Vec3::new(-10.0, -20.0, 90.0 - 3.0 * k as f64)),
                along_row: Vec3::new(1.0, 0.0, 0.0),
                along_column: Vec3::new(0.0, cos, -sin),
            };
            let poses: Vec<Option<SlicePose>> = (0..30).map(|k| Some(pose(k))).collect();
            let stack = StackGeometry::new(&poses, Some([1.0, 1.0]), 64, 32).expect("a stack");
            let grid = PlaneGrid::covering(&stack, crate::geometry::Plane::Sagittal, 2.0, 1.0).expect("inside");
            let image = ImageShape { rows: grid.rows, columns: grid.columns, spacing: [1.0; 2] };
            for view in [
                ViewState::default(),
                ViewState { zoom: 2.0, pan: [0.1, -0.3], flip_vertical: true, ..ViewState::default() },
            ] {
                let resolved = view.resolve(image, 400.0, 300.0).expect("area");
                let rect = Rect::from_min_size(pos2(50.0, 70.0), vec2(200.0, 150.0));
                let map = PaneMap { rect, pixels_per_point: 2.0, resolved, sheet: grid.sheet(None) };
                let [.., onwards] = stack.directions();
                assert!(stacked_along_height(&map, onwards));
                for position in stack.positions() {
                    let y = height_of(&map, onwards, position.depth_mm);
                    // The point of the patient at that place of the edge lies in that slice.
                    let at = map.patient(pos2(rect.left(), y));
                    assert!((at.0.dot(onwards) - position.depth_mm).abs() < 1e-3, "tilt {tilt_deg}");
                }
            }
        }
    }
}
