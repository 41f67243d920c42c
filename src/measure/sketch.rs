//! How a measurement is drawn: lines in the target's pixels, the same for the screen and for exported pictures.

use super::{Kind, MeasureId, Measurement};
use crate::geometry::{PatientPoint, Vec3};

/// A measurement on a target; coordinates in target pixels from its top-left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pub id: MeasureId,
    pub kind: Kind,
    pub lines: Vec<Vec<[f64; 2]>>,
    /// Auxiliary lines.
    pub dashed: Vec<[[f64; 2]; 2]>,
    pub handles: Vec<[f64; 2]>,
    /// Lines of text.
    pub label: Vec<String>,
    /// The middle of the label where the reader put it.
    pub label_at: Option<[f64; 2]>,
}

/// Corners of the polygon that stands for an ellipse.
const ELLIPSE_CORNERS: usize = 72;

impl Drawn {
    pub fn new(measurement: &Measurement, label: Vec<String>, target: &impl Fn(PatientPoint) -> [f64; 2]) -> Self {
        let to = |points: &[PatientPoint]| points.iter().map(|p| target(*p)).collect::<Vec<_>>();
        let mut dashed = Vec::new();
        let lines = match (measurement.kind, measurement.points.as_slice()) {
            (Kind::Cobb, [a, b, c, d]) => {
                let middle = |a: &PatientPoint, b: &PatientPoint| target(PatientPoint((a.0 + b.0) * 0.5));
                dashed.push([middle(a, b), middle(c, d)]);
                vec![to(&[*a, *b]), to(&[*c, *d])]
            }
            (Kind::Cobb, [a, b, rest @ ..]) => vec![to(&[*a, *b]), to(rest)],
            (Kind::Angle, [a, v, b]) => vec![to(&[*a, *v, *b]), to(&arc(a.0, v.0, b.0))],
            (Kind::Rectangle, _) => {
                let mut corners = measurement.outline();
                corners.extend(corners.first().copied());
                vec![to(&corners)]
            }
            (Kind::Ellipse, _) => vec![to(&ellipse(measurement))],
            (Kind::Pin | Kind::Vertebra, _) => Vec::new(),
            (_, points) => vec![to(points)],
        };
        Self {
            id: measurement.id,
            kind: measurement.kind,
            lines,
            dashed,
            handles: to(&measurement.handles()),
            label,
            label_at: measurement.label_at.map(target),
        }
    }
    /// `[left, top, right, bottom]` of lines and handles.
    pub fn bounds(&self) -> [f64; 4] {
        let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        self.lines
            .iter()
            .flatten()
            .chain(&self.handles)
            .fold(start, |[l, t, r, b], [x, y]| [l.min(*x), t.min(*y), r.max(*x), b.max(*y)])
    }
    /// Where the label belongs while nobody has put it elsewhere: at the end of a line, beside anything else.
    pub fn anchor(&self) -> [f64; 4] {
        let point = |p: &[f64; 2]| [p[0], p[1], p[0], p[1]];
        match (self.kind, self.handles.as_slice()) {
            (Kind::Length, [a, b]) => point(if a[0] > b[0] { a } else { b }),
            (Kind::Angle, [_, vertex, _]) => point(vertex),
            (Kind::Arrow, [_, tail]) => point(tail),
            _ => self.bounds(),
        }
    }
    /// Distance of a point from its lines, pixels.
    pub fn distance(&self, at: [f64; 2]) -> f64 {
        let sides = self.lines.iter().flat_map(|line| line.windows(2));
        sides.filter_map(|side| Some(to_segment(at, *side.first()?, *side.last()?))).fold(f64::INFINITY, f64::min)
    }
}

fn to_segment([x, y]: [f64; 2], [x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> f64 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let length2 = dx * dx + dy * dy;
    let t = if length2 > 0.0 { (((x - x0) * dx + (y - y0) * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
    (x - x0 - t * dx).hypot(y - y0 - t * dy)
}

fn ellipse(measurement: &Measurement) -> Vec<PatientPoint> {
    let (centre, [u, v]) = (measurement.centre().0, measurement.half_axes());
    let (row, column) = (measurement.ground.pose.along_row * u, measurement.ground.pose.along_column * v);
    let at = |i: usize| {
        let (sin, cos) = (i as f64 / ELLIPSE_CORNERS as f64 * std::f64::consts::TAU).sin_cos();
        PatientPoint(centre + row * cos + column * sin)
    };
    (0..=ELLIPSE_CORNERS).map(at).collect()
}

/// From leg to leg around the vertex, at a quarter of the shorter leg; empty where a leg has no length.
fn arc(a: Vec3, vertex: Vec3, b: Vec3) -> Vec<PatientPoint> {
    const STEPS: usize = 24;
    let (Some(from), Some(to)) = ((a - vertex).normalized(), (b - vertex).normalized()) else { return Vec::new() };
    // In the plane of both legs, at right angles to the first.
    let Some(aside) = (to - from * to.dot(from)).normalized() else { return Vec::new() };
    let radius = (a - vertex).length().min((b - vertex).length()) / 4.0;
    let whole = super::angle_deg(from, to).to_radians();
    let at = |i: usize| {
        let (sin, cos) = (whole * i as f64 / STEPS as f64).sin_cos();
        PatientPoint(vertex + (from * cos + aside * sin) * radius)
    };
    (0..=STEPS).map(at).collect()
}

/// The top-left corner of a label of `size` beside `anchor`, within `view`, clear of `taken` where that can be had.
/// All in target pixels, rectangles as `[left, top, right, bottom]`.
pub fn place_label(size: [f64; 2], anchor: [f64; 4], view: [f64; 4], taken: &[[f64; 4]], gap: f64) -> [f64; 2] {
    let [width, height] = size;
    let [left, top, right, bottom] = anchor;
    let (middle_x, middle_y) = ((left + right) / 2.0 - width / 2.0, (top + bottom) / 2.0 - height / 2.0);
    let within = |[x, y]: [f64; 2]| [x.min(view[2] - width).max(view[0]), y.min(view[3] - height).max(view[1])];
    let free = |[x, y]: [f64; 2]| {
        let meets = |o: &[f64; 4]| x < o[2] && o[0] < x + width && y < o[3] && o[1] < y + height;
        !taken.iter().any(meets)
    };
    let covers = |[x, y]: [f64; 2]| x < right && left < x + width && y < bottom && top < y + height;
    let places = [
        [right + gap, middle_y],
        [middle_x, bottom + gap],
        [left - gap - width, middle_y],
        [middle_x, top - gap - height],
        [right + gap, bottom + gap],
        [right + gap, top - gap - height],
        [left - gap - width, bottom + gap],
        [left - gap - width, top - gap - height],
    ]
    .map(within);
    let first = places.iter().find(|p| free(**p) && !covers(**p)).or(places.iter().find(|p| free(**p)));
    if let Some(place) = first {
        return *place;
    }
    // Down, then up from the first place, until nothing is in the way.
    let [x, y] = places[0];
    let steps = (0..200).flat_map(|i| [f64::from(i), -f64::from(i)]);
    let moved = steps.map(|step| within([x, y + step * height / 4.0])).find(|p| free(*p));
    moved.unwrap_or(places[0])
}
