//! Measurements on an exported picture: the same lines as on the screen, labels where they cover no other text.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

use super::fonts::{self, Face};
use super::picture::Arrangement;
use crate::measure::{Drawn, Kind, place_label};

const COLOUR: [u8; 3] = [0xf2, 0xee, 0xc4];
/// Distance of two baselines over the type size.
const LEADING: f32 = 1.25;

pub(super) fn draw(pixmap: &mut Pixmap, marks: &[Drawn], arrangement: &Arrangement) {
    let size = arrangement.size;
    let text = arrangement.lines.iter().map(|line| &line.rect).chain(&arrangement.ruler).chain(&arrangement.scale);
    let mut taken: Vec<[f64; 4]> = text.map(|rect| rect.map(f64::from)).collect();
    for mark in marks {
        lines(pixmap, mark, size);
    }
    for mark in marks {
        taken.extend(label(pixmap, mark, size, &taken));
    }
}

fn lines(pixmap: &mut Pixmap, mark: &Drawn, size: f32) {
    let mut path = PathBuilder::new();
    let mut segment = |points: &[[f64; 2]]| {
        for (i, [x, y]) in points.iter().enumerate() {
            if i == 0 { path.move_to(*x as f32, *y as f32) } else { path.line_to(*x as f32, *y as f32) }
        }
    };
    mark.lines.iter().for_each(|line| segment(line));
    let unit = f64::from(size) / 16.0;
    match (mark.kind, mark.handles.as_slice()) {
        (Kind::Length, [a, b]) => {
            let across = turned(direction(*a, *b), 5.0 * unit);
            for end in [a, b] {
                segment(&[plus(*end, across, 1.0), plus(*end, across, -1.0)]);
            }
        }
        (Kind::Pin | Kind::Vertebra, [at]) => {
            for way in [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]] {
                segment(&[plus(*at, way, 3.0 * unit), plus(*at, way, 9.0 * unit)]);
            }
        }
        (Kind::Arrow, [tip, tail]) => {
            let back = direction(*tip, *tail);
            for side in [5.0, -5.0] {
                segment(&[*tip, plus(plus(*tip, back, 11.0 * unit), turned(back, side * unit), 1.0)]);
            }
        }
        _ => {}
    }
    rimmed(pixmap, path.finish(), size, None);
    for ends in &mark.dashed {
        let mut path = PathBuilder::new();
        path.move_to(ends[0][0] as f32, ends[0][1] as f32);
        path.line_to(ends[1][0] as f32, ends[1][1] as f32);
        rimmed(pixmap, path.finish(), size, StrokeDash::new(vec![size * 0.35, size * 0.35], 0.0));
    }
}

/// The unit vector from one point to another; nothing where they are the same.
fn direction(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    let length = x.hypot(y).max(1e-9);
    [x / length, y / length]
}

fn turned([x, y]: [f64; 2], length: f64) -> [f64; 2] {
    [-y * length, x * length]
}

fn plus(a: [f64; 2], b: [f64; 2], times: f64) -> [f64; 2] {
    [a[0] + b[0] * times, a[1] + b[1] * times]
}

/// Light on a dark rim, so that it is seen on bone and on air.
fn rimmed(pixmap: &mut Pixmap, path: Option<Path>, size: f32, dash: Option<StrokeDash>) {
    let Some(path) = path else { return };
    let thin = (size * 0.09).max(1.0);
    let [r, g, b] = COLOUR;
    for (width, colour) in
        [(thin + size * 0.14, Color::from_rgba8(0, 0, 0, 210)), (thin, Color::from_rgba8(r, g, b, 255))]
    {
        let stroke = Stroke {
            width,
            line_join: LineJoin::Round,
            line_cap: LineCap::Round,
            dash: dash.clone(),
            ..Stroke::default()
        };
        pixmap.stroke_path(&path, &plain(colour), &stroke, Transform::identity(), None);
    }
}

fn plain(colour: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour);
    paint
}

/// Draws the label; returns where it stands.
fn label(pixmap: &mut Pixmap, mark: &Drawn, size: f32, taken: &[[f64; 4]]) -> Option<[f64; 4]> {
    if mark.label.is_empty() {
        return None;
    }
    let width = mark.label.iter().map(|line| fonts::width(line, Face::Text, size)).fold(0.0, f32::max);
    let (width, height) = (f64::from(width), f64::from(size * LEADING * mark.label.len() as f32));
    let view = [2.0, 2.0, f64::from(pixmap.width()) - 2.0, f64::from(pixmap.height()) - 2.0];
    let [left, top] = match mark.label_at {
        Some([x, y]) => [x - width / 2.0, y - height / 2.0],
        None => {
            let [l, t, r, b] = mark.anchor();
            let (x, y) = (|v: f64| v.clamp(view[0], view[2]), |v: f64| v.clamp(view[1], view[3]));
            place_label([width, height], [x(l), y(t), x(r), y(b)], view, taken, f64::from(size) * 0.6)
        }
    };
    let rect = [left, top, left + width, top + height];
    let [l, t, r, b] = rect.map(|v| v as f32);
    if let Some(ground) = Rect::from_ltrb(l - 2.0, t - 1.0, r + 2.0, b + 1.0) {
        pixmap.fill_rect(ground, &plain(Color::from_rgba8(0, 0, 0, 150)), Transform::identity(), None);
    }
    let [red, green, blue] = COLOUR;
    for (i, line) in mark.label.iter().enumerate() {
        let baseline = t + size * LEADING * i as f32 + size;
        if let Some(path) = fonts::outline(line, Face::Text, size, l, baseline) {
            let paint = plain(Color::from_rgba8(red, green, blue, 255));
            pixmap.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }
    Some(rect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::MeasureId;

    #[test]
    fn marks_are_drawn_and_labels_keep_clear_of_text() {
        let blank = || Pixmap::new(300, 200).expect("an area");
        let mark = |kind, handles: Vec<[f64; 2]>| Drawn {
            id: MeasureId(1),
            kind,
            lines: vec![handles.clone()],
            dashed: Vec::new(),
            handles,
            label: vec!["23.4 mm".to_owned()],
            label_at: None,
        };
        let arrangement = Arrangement { size: 12.0, ..Arrangement::default() };
        for kind in [Kind::Length, Kind::Arrow, Kind::Cobb] {
            let mut pixmap = blank();
            draw(&mut pixmap, &[mark(kind, vec![[20.0, 30.0], [120.0, 90.0]])], &arrangement);
            let touched = pixmap.pixels().iter().filter(|p| p.alpha() > 0).count();
            assert!(touched > 300, "{kind:?}: {touched}");
        }
        let mut pixmap = blank();
        let text = [100.0, 0.0, 300.0, 200.0];
        let rect = label(&mut pixmap, &mark(Kind::Length, vec![[20.0, 30.0], [99.0, 90.0]]), 12.0, &[text]);
        assert!(rect.expect("drawn")[2] <= 100.0, "{rect:?}");
    }
}
