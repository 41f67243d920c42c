//! What the reader measured and marked, as a report says and shows it.

use serde_json::{Value, json};

use super::ReportInput;
use super::content::KeySlice;
use crate::geometry::PixelBox;
use crate::measure::{self, Content, Ground, Measurement, Reading, Source, Space, Values};
use crate::study::describe;
use crate::study::mask::Mask;
use crate::view::Interpolation;
use crate::view::fidelity::{Fidelity, PlaneCut};

/// At most so many slices and planes are shown because something was measured on them.
const MOST_VIEWS: usize = 12;
/// Shown around what was measured, mm.
const AROUND_MM: f64 = 25.0;

/// A line of the table of measurements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) title: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
    pub(super) place: String,
    pub(super) position: String,
}

pub(super) fn values(input: &ReportInput<'_>) -> Values {
    let series = &input.loaded.series;
    Values { are_hu: series.values_are_hu, are_lossy: series.technique.lossy.is_some() }
}

fn content<'a>(input: &ReportInput<'a>) -> &'a [Measurement] {
    input.drawn.map_or(&[], |drawn: &'a Content| &drawn.measurements)
}

pub(super) fn rows(input: &ReportInput<'_>, mask: &Mask) -> Vec<Row> {
    let values = values(input);
    let row = |m: &Measurement| {
        let said = measure::value(m, values);
        let value = match measure::remark(m, values) {
            Some(remark) if said.is_empty() => remark,
            Some(remark) => format!("{said} ({remark})"),
            None => said,
        };
        Row {
            title: mask.scrub(&measure::title(m)),
            kind: m.kind.name(),
            value,
            place: measure::place(m),
            position: measure::position(m),
        }
    };
    content(input).iter().map(row).collect()
}

/// The slices and planes that were measured on or marked, each once, in the order of the list.
pub(super) fn views(input: &ReportInput<'_>, mask: &Mask) -> Vec<KeySlice> {
    let mut views: Vec<KeySlice> = Vec::new();
    let slices = input.loaded.volume.slices().len();
    let marked = input.drawn.map_or(&[][..], |drawn| &drawn.key_slices);
    for key in marked.iter().filter(|key| key.index < slices).take(MOST_VIEWS) {
        views.push(view(input, mask, "Marked by the reader".to_owned(), key.index, None));
    }
    for m in content(input) {
        let known = |view: &KeySlice| lies_on(m, view.index, view.plane.as_ref());
        if views.len() >= MOST_VIEWS || views.iter().any(known) {
            continue;
        }
        match m.ground.source {
            Source::Slice { index } if index < slices => {
                views.push(view(input, mask, "Measured".to_owned(), index, None));
            }
            Source::Slice { .. } => {}
            Source::Plane { .. } => views.push(view(input, mask, "Measured".to_owned(), slices, Some(m.ground))),
        }
    }
    views
}

fn lies_on(m: &Measurement, index: usize, plane: Option<&Ground>) -> bool {
    match (&m.ground.source, plane) {
        (Source::Slice { index: own }, None) => *own == index,
        (Source::Plane { plane: a, slab }, Some(ground)) => {
            let Source::Plane { plane: b, slab: other } = &ground.source else { return false };
            let (own, pose) = (&m.ground.pose, &ground.pose);
            let apart_mm = (own.origin.0 - pose.origin.0).dot(pose.normal());
            let parallel = own.normal().cross(pose.normal()).length() < 1e-6;
            a == b && slab == other && parallel && apart_mm.abs() < 1e-3
        }
        _ => false,
    }
}

fn view(input: &ReportInput<'_>, mask: &Mask, title: String, index: usize, plane: Option<Ground>) -> KeySlice {
    let series = &input.loaded.series;
    let mut lines = Vec::new();
    if plane.is_none() {
        lines.push(format!("slice {} of {}", index + 1, series.slices.len()));
        lines.extend(series.slices.get(index).and_then(|s| s.pose).map(|pose| describe::position_text(&pose)));
    }
    let fidelity = fidelity(input, plane.as_ref());
    let (score, heatmap, region, marks) = (None, None, None, Vec::new());
    let mut view = KeySlice { index, title, score, lines, heatmap, region, plane, marks, fidelity };
    take_marks(input, mask, &mut view);
    if let Some(first) = view.marks.first().filter(|_| view.plane.is_some()) {
        view.lines.push(measure::place(first));
    }
    for m in &view.marks {
        view.lines.push(format!("{}: {}", measure::title(m), measure::value(m, values(input))));
    }
    view.lines.push(format!("shown {}", view.fidelity.words()));
    view.region = self::region(&view.marks);
    view
}

/// How the pictures of a slice, or of a plane in its stead, come from the file's values.
fn fidelity(input: &ReportInput<'_>, plane: Option<&Ground>) -> Fidelity {
    let lossy = input.loaded.series.technique.lossy.as_deref();
    let slab = plane.and_then(|ground| match &ground.source {
        Source::Plane { slab, .. } => Some(*slab),
        Source::Slice { .. } => None,
    });
    let drawn = match (slab, input.loaded.stack()) {
        (Some(slab), Ok(stack)) => {
            let (step_mm, interpolation) = (stack.slab_step_mm(), Interpolation::Linear);
            let cut = PlaneCut { stack: &stack.geometry, slab, step_mm, reduction: 1, interpolation, follows: None };
            Fidelity::of_plane(&cut, lossy)
        }
        _ => Fidelity::of_printed_slice(lossy),
    };
    drawn.reformatted(input.loaded.series.reformatted_from())
}

/// The measurements that lie on a view.
pub(super) fn take_marks(input: &ReportInput<'_>, mask: &Mask, view: &mut KeySlice) {
    let here = content(input).iter().filter(|m| lies_on(m, view.index, view.plane.as_ref()));
    view.marks = here.map(|m| Measurement { name: mask.scrub(&m.name), ..m.clone() }).collect();
}

/// The box around what was measured, with some surround, in pixel edges.
fn region(marks: &[Measurement]) -> Option<PixelBox> {
    let ground = &marks.first()?.ground;
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let points = marks.iter().flat_map(Measurement::outline).map(|p| ground.pixel(p));
    let [x0, y0, x1, y1] =
        points.fold(start, |[l, t, r, b], p| [l.min(p.column), t.min(p.row), r.max(p.column), b.max(p.row)]);
    let (x, y) = (AROUND_MM / ground.spacing[1], AROUND_MM / ground.spacing[0]);
    Some([x0 + 0.5 - x, y0 + 0.5 - y, x1 + 0.5 + x, y1 + 0.5 + y])
}

/// Every number, for programs.
pub(super) fn json(input: &ReportInput<'_>, mask: &Mask) -> Value {
    let values = values(input);
    let one = |m: &Measurement| {
        let pixels = m.ground.space == Space::SlicePixels;
        let unit = if pixels { "px" } else { "mm" };
        let reading = match m.reading {
            Reading::Nothing => Value::Null,
            Reading::Length(length) => json!({"length": length, "unit": unit}),
            Reading::Angle(degrees) => json!({"angle": degrees, "unit": "degrees"}),
            Reading::Value(value) => json!({"value": value, "unit": values.unit()}),
            Reading::Region(r) => json!({
                "unit": values.unit(),
                "area": r.area,
                "area_unit": format!("{unit}2"),
                "n": r.n,
                "left_out": r.left_out,
                "mean": r.statistics.map(|s| s.mean),
                "sd": r.statistics.map(|s| s.sd),
                "median": r.statistics.map(|s| s.median),
                "skewness": r.statistics.and_then(|s| s.skewness),
                "excess_kurtosis": r.statistics.and_then(|s| s.excess_kurtosis),
                "min": r.statistics.map(|s| s.min),
                "max": r.statistics.map(|s| s.max),
            }),
        };
        let point = |p: crate::geometry::PatientPoint| match m.ground.space {
            Space::Patient => json!([p.0.x, p.0.y, p.0.z]),
            Space::SliceMm | Space::SlicePixels => {
                let at = m.ground.pixel(p);
                json!([at.column, at.row])
            }
        };
        json!({
            "name": mask.scrub(&measure::title(m)),
            "kind": m.kind,
            "reading": reading,
            "remark": measure::remark(m, values),
            "place": measure::place(m),
            "points_in": if m.ground.space == Space::Patient { "patient LPS mm" } else { "column, row of the slice" },
            "points": m.points.iter().copied().map(point).collect::<Vec<_>>(),
        })
    };
    Value::from(content(input).iter().map(one).collect::<Vec<_>>())
}
