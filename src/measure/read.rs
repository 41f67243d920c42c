//! What a measurement says: lengths and angles from its points, statistics from the very pixels it was drawn on.

use super::{Kind, Measurement, Source, angle_deg};
use crate::geometry::{PatientPoint, PixelPoint, PlaneGrid, SlicePose};
use crate::volume::{Sampling, Slice, Stack, Window};

/// The pixels under a measurement.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// Those of a slice as it was acquired.
    Slice(&'a Slice),
    /// A plane is cut from these.
    Volume(&'a Stack),
    /// Not read yet, or not there.
    Missing,
}

/// Values of a region.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampled {
    pub values: Vec<f32>,
    /// Pixels inside the region that have no value: padding, or outside the volume.
    pub left_out: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    pub mean: f64,
    /// Of the sample (n - 1); 0 for a single pixel.
    pub sd: f64,
    /// Of an even number the mean of the two in the middle.
    pub median: f64,
    /// Of the pixels themselves: the third moment about the mean over the 1.5th power of the second, both divided by n.
    /// `None` where all values are alike.
    pub skewness: Option<f64>,
    /// Likewise the fourth moment over the square of the second, less the 3 of a normal distribution.
    pub excess_kurtosis: Option<f64>,
    pub min: f32,
    pub max: f32,
}

/// What a region says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Of the shape itself, mm2, or square pixels where the spacing is unknown.
    pub area: f64,
    /// Pixels whose centres lie inside.
    pub n: usize,
    pub left_out: usize,
    /// `None` without such a pixel.
    pub statistics: Option<Statistics>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reading {
    /// There is nothing to be said of it: an arrow, or its pixels are not there.
    #[default]
    Nothing,
    /// mm, or pixels where the spacing is unknown.
    Length(f64),
    /// Degrees.
    Angle(f64),
    Region(Region),
    /// The value at a point; `None` for padding and outside the volume.
    Value(Option<f32>),
}

impl Reading {
    /// The statistics of regions and the value of pins need the pixels; lengths and angles do not.
    pub fn of(measurement: &Measurement, pixels: Pixels<'_>) -> Self {
        match (measurement.kind, measurement.points.as_slice()) {
            (Kind::Length, [a, b]) => Self::Length((b.0 - a.0).length()),
            (Kind::Angle, [a, v, b]) => Self::Angle(angle_deg(a.0 - v.0, b.0 - v.0)),
            (Kind::Cobb, [a, b, c, d]) => {
                let angle = angle_deg(b.0 - a.0, d.0 - c.0);
                Self::Angle(angle.min(180.0 - angle))
            }
            (Kind::Ellipse | Kind::Rectangle, [_, _]) => region(measurement, pixels),
            (Kind::Pin, [at]) => value_at(measurement, *at, pixels),
            _ => Self::Nothing,
        }
    }
}

fn region(measurement: &Measurement, pixels: Pixels<'_>) -> Reading {
    if matches!(pixels, Pixels::Missing) {
        return Reading::Nothing;
    }
    let [u, v] = measurement.half_axes();
    let area = if measurement.kind == Kind::Ellipse { std::f64::consts::PI * u * v } else { 4.0 * u * v };
    let sampled = Sampled::of(measurement, pixels);
    let (n, left_out) = (sampled.values.len(), sampled.left_out);
    Reading::Region(Region { area, n, left_out, statistics: statistics(&sampled.values) })
}

fn statistics(values: &[f32]) -> Option<Statistics> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|v| (f64::from(*v) - mean).powi(power)).sum::<f64>() / n;
    let (variance, unlike) = (moment(2), values.iter().any(|v| Some(v) != values.first()));
    let sd = if n > 1.0 { (variance * n / (n - 1.0)).sqrt() } else { 0.0 };
    let (min, max) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    Some(Statistics {
        mean,
        sd,
        median: median(values)?,
        skewness: unlike.then(|| moment(3) / variance.powf(1.5)),
        excess_kurtosis: unlike.then(|| moment(4) / variance.powi(2) - 3.0),
        min,
        max,
    })
}

fn median(values: &[f32]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut values = values.to_vec();
    let (middle, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let upper = f64::from(*upper);
    let lower = below.iter().copied().max_by(f32::total_cmp).map_or(upper, f64::from);
    Some(if even { (lower + upper) / 2.0 } else { upper })
}

fn value_at(measurement: &Measurement, at: PatientPoint, pixels: Pixels<'_>) -> Reading {
    match (pixels, &measurement.ground.source) {
        (Pixels::Slice(slice), _) => {
            let at = measurement.ground.pixel(at);
            let (column, row) = ((at.column + 0.5).floor(), (at.row + 0.5).floor());
            let value = (column >= 0.0 && row >= 0.0).then(|| slice.at(column as usize, row as usize)).flatten();
            Reading::Value(value.filter(|v| v.is_finite() && !slice.is_padding(*v)))
        }
        (Pixels::Volume(stack), Source::Plane { slab, .. }) => {
            let normal = measurement.ground.pose.normal();
            let value = stack.sample_slab(at, normal, slab, stack.slab_step_mm(), Sampling::Linear);
            Reading::Value(value.filter(|v| !is_padding(stack, *v)))
        }
        _ => Reading::Nothing,
    }
}

fn is_padding(stack: &Stack, value: f32) -> bool {
    stack.volume.padding().is_some_and(|[low, high]| value >= low && value <= high)
}

/// First and last (exclusive) pixel whose centre can lie between two coordinates, within `0..count`.
fn span(from: f64, to: f64, first: f64, count: f64) -> std::ops::Range<i64> {
    let (low, high) = (from.min(to).max(first), from.max(to).min(first + count - 1.0));
    (low.ceil() as i64)..(high.floor() as i64 + 1)
}

impl Sampled {
    /// The values of the pixels whose centres lie in a region.
    pub fn of(measurement: &Measurement, pixels: Pixels<'_>) -> Self {
        let ground = &measurement.ground;
        let [a, b] = measurement.opposite().map(|p| ground.pixel(p));
        let centre = PixelPoint { column: (a.column + b.column) / 2.0, row: (a.row + b.row) / 2.0 };
        let (u, v) = ((b.column - a.column).abs() / 2.0, (b.row - a.row).abs() / 2.0);
        let inside = |column: i64, row: i64| {
            let (x, y) = ((column as f64 - centre.column) / u, (row as f64 - centre.row) / v);
            measurement.kind != Kind::Ellipse || x * x + y * y <= 1.0
        };
        match (pixels, &ground.source) {
            (Pixels::Slice(slice), _) => {
                let mut out = Self::default();
                for row in span(a.row, b.row, 0.0, slice.rows as f64) {
                    for column in span(a.column, b.column, 0.0, slice.columns as f64).filter(|c| inside(*c, row)) {
                        let value = slice.at(column as usize, row as usize);
                        out.take(value.filter(|v| v.is_finite() && !slice.is_padding(*v)));
                    }
                }
                out
            }
            (Pixels::Volume(stack), Source::Plane { slab, .. }) => {
                // Nothing can be found beyond the volume, however large the region was drawn.
                let reach = |direction, spacing: f64| {
                    let [low, high] = stack.geometry.reach_mm(direction);
                    let origin = ground.pose.origin.0.dot(direction);
                    let first = ((low - origin) / spacing).floor();
                    (first, ((high - low) / spacing).ceil() + 2.0)
                };
                let (first_row, rows) = reach(ground.pose.along_column, ground.spacing[0]);
                let (first_column, columns) = reach(ground.pose.along_row, ground.spacing[1]);
                let rows = span(a.row, b.row, first_row, rows);
                let columns = span(a.column, b.column, first_column, columns);
                if rows.is_empty() || columns.is_empty() {
                    return Self::default();
                }
                let at = PixelPoint { column: columns.start as f64, row: rows.start as f64 };
                let count = |range: &std::ops::Range<i64>| (range.end - range.start) as usize;
                let grid = PlaneGrid {
                    pose: SlicePose { origin: ground.point(at), ..ground.pose },
                    spacing_mm: ground.spacing[0],
                    rows: count(&rows),
                    columns: count(&columns),
                };
                let all = stack.resample((&grid, None), slab, f32::NAN);
                let mut out = Self::default();
                let places = rows.flat_map(|row| columns.clone().map(move |column| (column, row)));
                for ((column, row), value) in places.zip(all) {
                    if inside(column, row) {
                        out.take(Some(value).filter(|v| v.is_finite() && !is_padding(stack, *v)));
                    }
                }
                out
            }
            _ => Self::default(),
        }
    }

    fn take(&mut self, value: Option<f32>) {
        match value {
            Some(value) => self.values.push(value),
            None => self.left_out += 1,
        }
    }
}

/// The window that shows values from the 1st to the 99th percentile; `None` without values.
pub fn window_of(mut values: Vec<f32>) -> Option<Window> {
    values.sort_by(f32::total_cmp);
    let at = |share: f64| values.get(((values.len().checked_sub(1)?) as f64 * share).round() as usize).copied();
    let (low, high) = (f64::from(at(0.01)?), f64::from(at(0.99)?));
    Some(Window::covering(low.round(), high.round()))
}
