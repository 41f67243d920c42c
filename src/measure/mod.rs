//! Measurements in patient space: lengths, angles, regions, points and arrows, their values, and the list they stand in.
//! Plain data; nobody here knows who draws them or where they are kept.
//!
//! A measurement lies on one plane, its [`Ground`]: a slice as it was acquired, or a plane cut from the volume. Where
//! a file does not say where its slices lie, the ground is the slice alone and coordinates run along its rows and
//! columns; where it does not say how large a pixel is, they are pixels. Both are said with every value.

mod file;
mod levels;
mod read;
mod shape;
mod sheet;
mod sketch;
mod words;

pub use file::{FileError, from_json, to_json};
pub use levels::{Levels, level_of};
pub use read::{Pixels, Reading, Region, Sampled, Statistics, window_of};
pub use sheet::{Content, KeySlice, Sheet};
pub use sketch::{Drawn, place_label};
pub use words::{Values, described, label, place, position, remark, slice_of, title, value};

use crate::geometry::{PatientPoint, PixelPoint, Plane, SlicePose, Vec3};
use crate::volume::Slab;

/// Names a measurement within its series; never given twice, also not after a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct MeasureId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From a point to a point.
    Length,
    /// End of a leg, vertex, end of the other leg.
    Angle,
    /// Two lines of two points each.
    Cobb,
    /// Two opposite corners of the box around it.
    Ellipse,
    /// Two opposite corners.
    Rectangle,
    Pin,
    /// Its tip and its tail, where the text stands.
    Arrow,
    /// A point of a vertebra; its name is the level (see [`Levels`]).
    Vertebra,
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::Length, Self::Angle, Self::Cobb, Self::Ellipse, Self::Rectangle, Self::Pin, Self::Arrow, Self::Vertebra];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "Length",
            Self::Angle => "Angle",
            Self::Cobb => "Cobb angle",
            Self::Ellipse => "Ellipse",
            Self::Rectangle => "Rectangle",
            Self::Pin => "HU pin",
            Self::Arrow => "Text arrow",
            Self::Vertebra => "Vertebra",
        }
    }
    /// How many points make it.
    pub const fn points(self) -> usize {
        match self {
            Self::Length | Self::Ellipse | Self::Rectangle | Self::Arrow => 2,
            Self::Angle => 3,
            Self::Cobb => 4,
            Self::Pin | Self::Vertebra => 1,
        }
    }
    /// It encloses pixels.
    pub const fn is_region(self) -> bool {
        matches!(self, Self::Ellipse | Self::Rectangle)
    }
}

/// What the coordinates of a measurement are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// The patient's (LPS, mm).
    Patient,
    /// Along rows and columns of its slice from the first pixel's centre, mm: where the slice lies is not known.
    SliceMm,
    /// The same in pixels: the pixel spacing is not known.
    SlicePixels,
}

/// The pixels that a measurement was drawn on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Of a slice as it was acquired; 0-based, display order.
    Slice { index: usize },
    /// Of a plane cut from the volume, or of a slab around it.
    Plane { plane: Plane, slab: Slab },
}

/// The plane that a measurement lies on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ground {
    pub space: Space,
    /// The first pixel's centre and the directions of rows and columns.
    pub pose: SlicePose,
    /// `[between rows, between columns]`, mm, or 1 in [`Space::SlicePixels`].
    pub spacing: [f64; 2],
    pub source: Source,
}

impl Ground {
    /// The foot of a point on the plane.
    pub fn onto(&self, at: PatientPoint) -> PatientPoint {
        let normal = self.pose.normal();
        PatientPoint(at.0 - normal * (at.0 - self.pose.origin.0).dot(normal))
    }
    pub fn pixel(&self, at: PatientPoint) -> PixelPoint {
        self.pose.pixel_from_patient(at, self.spacing)
    }
    pub fn point(&self, at: PixelPoint) -> PatientPoint {
        self.pose.patient_from_pixel(at, self.spacing)
    }
    /// Both are the same pixels, so that what is begun on the one can go on on the other.
    pub fn is_same(&self, other: &Self) -> bool {
        let near = |a: Vec3, b: Vec3| (a - b).length() < 1e-6;
        let (a, b) = (&self.pose, &other.pose);
        self.space == other.space
            && self.source == other.source
            && near(a.origin.0, b.origin.0)
            && near(a.along_row, b.along_row)
            && near(a.along_column, b.along_column)
    }
}

/// What of a measurement is taken hold of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// By its number in [`Measurement::handles`].
    Handle(usize),
    Whole,
    Label,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measurement {
    pub id: MeasureId,
    pub kind: Kind,
    /// Counts measurements of the kind, from 1.
    pub number: u32,
    /// What the reader called it; the text of an arrow. Empty for its kind and number.
    #[serde(default)]
    pub name: String,
    pub ground: Ground,
    /// As [`Kind`] says, all on the ground.
    pub points: Vec<PatientPoint>,
    /// The middle of the label where the reader put it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_at: Option<PatientPoint>,
    /// What it says; made anew from the pixels, never kept.
    #[serde(skip)]
    pub reading: Reading,
}

impl Measurement {
    /// Everything that another reader of the file could have got wrong.
    pub fn is_sound(&self) -> bool {
        let ground = &self.ground;
        let near_one = |v: Vec3| v.is_finite() && (v.length() - 1.0).abs() < 1e-3;
        let thickness = |source: &Source| match source {
            Source::Slice { .. } => 0.0,
            Source::Plane { slab, .. } => slab.thickness_mm,
        };
        self.points.len() == self.kind.points()
            && self.points.iter().chain(&self.label_at).all(|p| p.0.is_finite() && p.0.length() < 1e7)
            && near_one(ground.pose.along_row)
            && near_one(ground.pose.along_column)
            && ground.pose.along_row.dot(ground.pose.along_column).abs() < 1e-2
            && ground.pose.origin.0.is_finite()
            && ground.spacing.iter().all(|s| (1e-4..=1e4).contains(s))
            && (0.0..=1000.0).contains(&thickness(&ground.source))
    }
    /// Nothing one could see: all points at one place, though it needs more than one.
    pub fn is_nothing(&self) -> bool {
        let smallest = self.ground.spacing[0].min(self.ground.spacing[1]) * 0.05;
        let apart = |a: PatientPoint, b: PatientPoint| (a.0 - b.0).length() > smallest;
        match (self.kind, self.points.as_slice()) {
            (Kind::Length | Kind::Arrow, [a, b]) => !apart(*a, *b),
            (Kind::Angle, [a, v, b]) => !apart(*a, *v) || !apart(*v, *b),
            (Kind::Cobb, [a, b, c, d]) => !apart(*a, *b) || !apart(*c, *d),
            (Kind::Ellipse | Kind::Rectangle, _) => self.half_axes().iter().any(|half| *half * 2.0 <= smallest),
            _ => false,
        }
    }
    /// The middle of its points.
    pub fn centre(&self) -> PatientPoint {
        let sum = self.points.iter().fold(Vec3::default(), |sum, p| sum + p.0);
        PatientPoint(sum * (1.0 / self.points.len().max(1) as f64))
    }
    /// Half the size of a region along rows and along columns.
    pub fn half_axes(&self) -> [f64; 2] {
        let [a, b] = self.opposite();
        let d = (b.0 - a.0) * 0.5;
        [d.dot(self.ground.pose.along_row).abs(), d.dot(self.ground.pose.along_column).abs()]
    }
    fn opposite(&self) -> [PatientPoint; 2] {
        match self.points.as_slice() {
            [a, b, ..] => [*a, *b],
            [a] => [*a, *a],
            [] => [self.ground.pose.origin; 2],
        }
    }
    /// The corners of a region, in turn; its points for everything else.
    pub fn outline(&self) -> Vec<PatientPoint> {
        if !self.kind.is_region() {
            return self.points.clone();
        }
        let (centre, [u, v]) = (self.centre().0, self.half_axes());
        let (row, column) = (self.ground.pose.along_row * u, self.ground.pose.along_column * v);
        [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
            .map(|(x, y)| PatientPoint(centre + row * x + column * y))
            .into()
    }
    /// What can be taken hold of: corners of a rectangle, ends of an ellipse's axes, else the points.
    pub fn handles(&self) -> Vec<PatientPoint> {
        if self.kind != Kind::Ellipse {
            return self.outline();
        }
        let (centre, [u, v]) = (self.centre().0, self.half_axes());
        let (row, column) = (self.ground.pose.along_row * u, self.ground.pose.along_column * v);
        [row * -1.0, column * -1.0, row, column].map(|d| PatientPoint(centre + d)).into()
    }
    /// Moves a handle to a point (its foot on the ground).
    pub fn move_handle(&mut self, handle: usize, to: PatientPoint) {
        let to = self.ground.onto(to);
        match self.kind {
            Kind::Rectangle => {
                let Some(opposite) = self.outline().get((handle + 2) % 4).copied() else { return };
                self.points = vec![opposite, to];
            }
            Kind::Ellipse => {
                let handles = self.handles();
                let (Some(opposite), Some(_)) = (handles.get((handle + 2) % 4), handles.get(handle)) else { return };
                let pose = &self.ground.pose;
                let [u, v] = self.half_axes();
                let (along, across, half) = match handle % 2 {
                    0 => (pose.along_row, pose.along_column, v),
                    _ => (pose.along_column, pose.along_row, u),
                };
                let end = opposite.0 + along * (to.0 - opposite.0).dot(along);
                self.points = vec![PatientPoint(opposite.0 - across * half), PatientPoint(end + across * half)];
            }
            _ => {
                if let Some(point) = self.points.get_mut(handle) {
                    *point = to;
                }
            }
        }
    }
    /// Moves it along its ground.
    pub fn move_by(&mut self, by: Vec3) {
        let normal = self.ground.pose.normal();
        let by = by - normal * by.dot(normal);
        for point in self.points.iter_mut().chain(&mut self.label_at) {
            point.0 = point.0 + by;
        }
    }
    /// Lays it on another plane, as it is seen there.
    pub fn move_to_ground(&mut self, ground: Ground) {
        self.ground = ground;
        for point in self.points.iter_mut().chain(&mut self.label_at) {
            *point = ground.onto(*point);
        }
    }
}

/// Angle between two directions, degrees, 0 to 180.
pub fn angle_deg(a: Vec3, b: Vec3) -> f64 {
    a.cross(b).length().atan2(a.dot(b)).to_degrees()
}

#[cfg(test)]
pub(crate) mod tests;
