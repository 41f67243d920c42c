//! What a measurement is called and what it says, in the words of screen, report and clipboard.

use super::{Kind, Measurement, Reading, Region, Source, Space};
use crate::volume::Projection;

/// What is known of the values of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values {
    pub are_hu: bool,
    /// The source has been through lossy compression.
    pub are_lossy: bool,
}

impl Values {
    pub const fn unit(self) -> &'static str {
        if self.are_hu { "HU" } else { "value" }
    }
}

/// The reader's name for it, else "Length 2".
pub fn title(measurement: &Measurement) -> String {
    match measurement.name.trim() {
        "" => format!("{} {}", measurement.kind.name(), measurement.number),
        name => name.to_owned(),
    }
}

fn unit(measurement: &Measurement) -> &'static str {
    if measurement.ground.space == Space::SlicePixels { "px" } else { "mm" }
}

/// In one line, for lists and tables: "23.4 mm", "mean 312.4 HU, SD 45.1, min 12, max 900, area 120.3 mm2, n 812, median 310.0,
/// skewness 0.12, excess kurtosis -0.31".
pub fn value(measurement: &Measurement, values: Values) -> String {
    let mut said = statements(measurement, values);
    said.extend(distribution(measurement));
    said.join(", ")
}

/// How the values of a region lie; too much for its label on the image.
fn distribution(measurement: &Measurement) -> Vec<String> {
    let Reading::Region(Region { statistics: Some(s), .. }) = measurement.reading else { return Vec::new() };
    let mut said = vec![format!("median {:.1}", s.median)];
    said.extend(s.skewness.map(|v| format!("skewness {v:.2}")));
    said.extend(s.excess_kurtosis.map(|v| format!("excess kurtosis {v:.2}")));
    said
}

/// As the image shows it, a line each: the reader's name, the value, what must be known of it.
pub fn label(measurement: &Measurement, values: Values) -> Vec<String> {
    let name = measurement.name.trim();
    let mut lines: Vec<String> = Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
    if lines.is_empty() && measurement.kind == Kind::Vertebra {
        lines.push("level?".to_owned());
    }
    let mut said = statements(measurement, values);
    if said.len() > 3 {
        // mean and SD; range; area and number
        let rest = said.split_off(2);
        lines.push(said.join(", "));
        lines.extend(rest.chunks(2).map(|pair| pair.join(", ")));
    } else {
        lines.extend(said);
    }
    lines.extend(remark(measurement, values));
    lines
}

fn statements(measurement: &Measurement, values: Values) -> Vec<String> {
    let (unit, hu) = (unit(measurement), values.unit());
    let unfinished = measurement.points.len() < measurement.kind.points();
    match measurement.reading {
        Reading::Nothing if unfinished || matches!(measurement.kind, Kind::Arrow | Kind::Vertebra) => Vec::new(),
        Reading::Nothing => vec!["no pixels here yet".to_owned()],
        Reading::Length(length) => vec![format!("{length:.1} {unit}")],
        Reading::Angle(degrees) => vec![format!("{degrees:.1}\u{b0}")],
        Reading::Value(Some(value)) => vec![format!("{hu} {}", number(value))],
        Reading::Value(None) => vec!["no value here".to_owned()],
        Reading::Region(region) => {
            let area = format!("area {:.1} {unit}\u{b2}", region.area);
            let left_out = match region.left_out {
                0 => String::new(),
                n => format!(" ({n} without a value left out)"),
            };
            let Some(s) = region.statistics else {
                return vec![area, format!("no pixel's centre inside{left_out}")];
            };
            vec![
                format!("mean {:.1} {hu}", s.mean),
                format!("SD {:.1}", s.sd),
                format!("min {}", number(s.min)),
                format!("max {}", number(s.max)),
                area,
                format!("n {}{left_out}", region.n),
            ]
        }
    }
}

/// Whole numbers stay whole.
fn number(value: f32) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Why a value is not what it would be on exact, calibrated pixels; `None` where it is.
pub fn remark(measurement: &Measurement, values: Values) -> Option<String> {
    let reads_pixels = measurement.kind.is_region() || measurement.kind == Kind::Pin;
    let mut remarks = Vec::new();
    if let (Source::Plane { slab, .. }, true) = (&measurement.ground.source, reads_pixels) {
        remarks.push(if slab.thickness_mm > 0.0 {
            let name = if slab.projection == Projection::Mean { "mean slab" } else { slab.projection.name() };
            format!("{name} of {} mm", number(slab.thickness_mm as f32))
        } else {
            "interpolated".to_owned()
        });
    }
    if values.are_lossy && reads_pixels {
        remarks.push("lossy source".to_owned());
    }
    if measurement.ground.space == Space::SlicePixels
        && !matches!(measurement.kind, Kind::Pin | Kind::Arrow | Kind::Vertebra)
    {
        remarks.push("spacing unknown: in pixels".to_owned());
    }
    (!remarks.is_empty()).then(|| remarks.join(", "))
}

/// "slice 45" or "sagittal, x 3.2 mm".
pub fn place(measurement: &Measurement) -> String {
    match &measurement.ground.source {
        Source::Slice { index } => format!("slice {}", index + 1),
        Source::Plane { plane, .. } => {
            let pose = &measurement.ground.pose;
            // The coordinate of an upright plane is the same wherever one asks; a leaning one is told by the middle.
            let upright = pose.normal().cross(plane.axis()).length() < 1e-6;
            plane.words(pose, if upright { pose.origin } else { measurement.centre() })
        }
    }
}

/// The slice it was drawn on, 0-based; `None` on a plane cut from the volume.
pub fn slice_of(measurement: &Measurement) -> Option<usize> {
    match measurement.ground.source {
        Source::Slice { index } => Some(index),
        Source::Plane { .. } => None,
    }
}

/// The middle of it: "(12.0, -31.2, -175.0) mm", or the pixel where nothing is known of millimetres.
pub fn position(measurement: &Measurement) -> String {
    let at = measurement.centre();
    match measurement.ground.space {
        Space::Patient => format!("({:.1}, {:.1}, {:.1}) mm", at.0.x, at.0.y, at.0.z),
        Space::SliceMm | Space::SlicePixels => {
            let at = measurement.ground.pixel(at);
            format!("column {:.1}, row {:.1}", at.column, at.row)
        }
    }
}

/// Everything in one line, parted by tabs, for the clipboard.
pub fn described(measurement: &Measurement, values: Values) -> String {
    let parts = [
        title(measurement),
        value(measurement, values),
        remark(measurement, values).unwrap_or_default(),
        place(measurement),
        position(measurement),
    ];
    parts.join("\t")
}
