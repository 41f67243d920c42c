//! The surface of the bone seen from any side: where one stands, and what a ray meets. [`rgba8`] is the CPU twin of
//! `shaders/surface.wgsl`. A rendering for orientation: parallel rays, light from the viewer, nothing to be measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::geometry::{PatientPoint, Vec3};
use crate::volume::{BLOCK, Solid};

/// Distance of the places that are looked at along a ray, voxels.
pub const STEP: f32 = 0.5;
/// Halvings of the last step, so that the surface lies where the values cross and not where a step ended.
pub const HALVINGS: u32 = 5;
/// Beyond the face of a block that is left, so that the next place lies within its neighbour; voxels.
pub const BEYOND: f32 = 0.01;
/// Light that everything has, that which faces the viewer has besides, and what the far end has less.
pub const AMBIENT: f32 = 0.1;
pub const FACING: f32 = 0.9;
pub const FAR_SHADE: f32 = 0.45;
/// Colour of bone, and of nothing; display values.
pub const BONE: [f32; 3] = [0.96, 0.91, 0.82];
pub const GROUND: [f32; 3] = [0.05, 0.055, 0.065];

/// Thresholds that can be chosen, HU, and the one at first.
pub const THRESHOLDS_HU: std::ops::RangeInclusive<f32> = 100.0..=1000.0;
pub const DEFAULT_THRESHOLD_HU: f32 = 250.0;

/// From where the bone is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SurfaceView {
    /// The viewer's way round the patient: 0 in front, 90 at the patient's left; degrees.
    pub azimuth_deg: f64,
    /// Above the patient, -90 to 90; degrees.
    pub elevation_deg: f64,
    /// 1 shows the whole solid from the front.
    pub zoom: f64,
    /// Displacement of the middle in fractions of the picture's height.
    pub pan: [f64; 2],
}

impl Default for SurfaceView {
    fn default() -> Self {
        Side::Front.view()
    }
}

/// Sides that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Front,
    Left,
    Right,
    Back,
    Top,
}

impl Side {
    pub const ALL: [Self; 5] = [Self::Front, Self::Left, Self::Right, Self::Back, Self::Top];
    /// The patient's, not the viewer's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Front => "Front",
            Self::Left => "Left",
            Self::Right => "Right",
            Self::Back => "Back",
            Self::Top => "Top",
        }
    }
    pub const fn view(self) -> SurfaceView {
        let (azimuth_deg, elevation_deg) = match self {
            Self::Front => (0.0, 0.0),
            Self::Left => (90.0, 0.0),
            Self::Right => (-90.0, 0.0),
            Self::Back => (180.0, 0.0),
            // From above with the face up, as one stands behind the head.
            Self::Top => (180.0, 90.0),
        };
        SurfaceView { azimuth_deg, elevation_deg, zoom: 1.0, pan: [0.0, 0.0] }
    }
}

impl SurfaceView {
    const ZOOMS: std::ops::RangeInclusive<f64> = 0.3..=20.0;

    /// Turned to the right and upwards, degrees; over the poles one cannot go.
    pub fn turned(self, [right_deg, up_deg]: [f64; 2]) -> Self {
        let azimuth_deg = (self.azimuth_deg + right_deg + 180.0).rem_euclid(360.0) - 180.0;
        Self { azimuth_deg, elevation_deg: (self.elevation_deg + up_deg).clamp(-90.0, 90.0), ..self }
    }
    pub fn zoomed(self, factor: f64) -> Self {
        let zoom = (self.zoom * factor).clamp(*Self::ZOOMS.start(), *Self::ZOOMS.end());
        // What was in the middle stays there.
        let pan = self.pan.map(|p| p * zoom / self.zoom);
        if zoom.is_finite() { Self { zoom, pan, ..self } } else { self }
    }
    /// The side from which one looks exactly, if it has a name.
    pub fn side(&self) -> Option<Side> {
        let near = |a: f64, b: f64| ((a - b + 180.0).rem_euclid(360.0) - 180.0).abs() < 0.5;
        let is = |side: &Side| {
            let of = side.view();
            near(self.azimuth_deg, of.azimuth_deg) && near(self.elevation_deg, of.elevation_deg)
        };
        Side::ALL.into_iter().find(is)
    }
    /// Unit vectors to the right and down on the picture and into it.
    pub fn directions(&self) -> [Vec3; 3] {
        let (sin, cos) = self.azimuth_deg.to_radians().sin_cos();
        let (up, level) = self.elevation_deg.to_radians().sin_cos();
        let right = Vec3::new(cos, sin, 0.0);
        let into = Vec3::new(-sin * level, cos * level, -up);
        [right, into.cross(right), into]
    }
}

/// Everything needed to draw the surface.
#[derive(Debug, Clone)]
pub struct SurfaceDraw {
    pub solid: Arc<Solid>,
    pub view: SurfaceView,
    pub threshold_hu: f32,
}

impl SurfaceDraw {
    /// The same picture.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.solid, &other.solid) && (self.view, self.threshold_hu) == (other.view, other.threshold_hu)
    }
}

/// Whether the device has drawn the picture in full; written there, read for the screen.
#[derive(Debug, Default)]
pub struct SurfaceProgress(AtomicBool);

impl SurfaceProgress {
    pub fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    pub fn set_complete(&self, complete: bool) {
        self.0.store(complete, Ordering::Relaxed);
    }
}

/// A view resolved for a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    pub right: Vec3,
    pub down: Vec3,
    pub into: Vec3,
    pub mm_per_px: f64,
    /// The point of the patient in the middle of the picture's first pixel, on the plane through the solid's middle.
    pub first: PatientPoint,
    /// Half of the way that a ray can have within the solid, mm.
    pub reach_mm: f64,
}

impl Camera {
    /// For a picture of `width` x `height` pixels.
    pub fn new(view: &SurfaceView, solid: &Solid, [width, height]: [f64; 2]) -> Self {
        let [low, high] = solid.bounds();
        let extent = high.0 - low.0;
        // As wide and as high as the solid is from any side, so that turning changes no size.
        let across_mm = extent.x.hypot(extent.y);
        let fit = (across_mm / width.max(1.0)).max(extent.z.max(across_mm * 0.6) / height.max(1.0));
        let mm_per_px = fit * 1.06 / view.zoom;
        let [right, down, into] = view.directions();
        let middle = [width / 2.0 - 0.5 + view.pan[0] * height, height / 2.0 - 0.5 + view.pan[1] * height];
        let first = PatientPoint(solid.centre().0 - right * (middle[0] * mm_per_px) - down * (middle[1] * mm_per_px));
        Self { right, down, into, mm_per_px, first, reach_mm: extent.length() / 2.0 }
    }
    /// Where a point is seen, pixels from the picture's corner, and how far behind the middle it lies, mm.
    pub fn screen(&self, at: PatientPoint) -> ([f64; 2], f64) {
        let d = at.0 - self.first.0;
        let px = |along: Vec3| d.dot(along) / self.mm_per_px + 0.5;
        ([px(self.right), px(self.down)], d.dot(self.into))
    }
    /// Directions to the top, right, bottom and left edge of the picture.
    pub fn edges(&self) -> [Vec3; 4] {
        [self.down * -1.0, self.right, self.down, self.right * -1.0]
    }
}

/// A ray in voxels of the solid.
struct Ray {
    from: [f32; 3],
    /// A voxel long.
    along: [f32; 3],
}

impl Ray {
    /// Through a place of the picture, pixels from its corner.
    fn new(draw: &SurfaceDraw, camera: &Camera, x: f64, y: f64) -> Self {
        let at = camera.first.0
            + camera.right * ((x - 0.5) * camera.mm_per_px)
            + camera.down * ((y - 0.5) * camera.mm_per_px);
        let along = camera.into;
        let from = draw.solid.voxel(PatientPoint(at)).map(|v| v as f32);
        Self { from, along: [along.x as f32, along.y as f32, along.z as f32] }
    }
    fn at(&self, t: f32) -> [f32; 3] {
        std::array::from_fn(|i| self.from[i] + self.along[i] * t)
    }
    /// Where it enters and leaves the room between the outermost voxels' centres.
    fn span(&self, size: [usize; 3]) -> [f32; 2] {
        let mut span = [-1e9_f32, 1e9];
        for (i, n) in size.iter().enumerate() {
            let last = *n as f32 - 1.0;
            if self.along[i].abs() < 1e-6 {
                if self.from[i] < 0.0 || self.from[i] > last {
                    return [0.0, -1.0];
                }
                continue;
            }
            let (a, b) = (-self.from[i] / self.along[i], (last - self.from[i]) / self.along[i]);
            span = [span[0].max(a.min(b)), span[1].min(a.max(b))];
        }
        span
    }
    /// The distance at which the level is first reached.
    fn hit(&self, solid: &Solid, level: f32) -> Option<f32> {
        let [enter, leave] = self.span(solid.size);
        let mut t = enter;
        while t <= leave {
            let here = self.at(t);
            let block: [usize; 3] = std::array::from_fn(|i| (here[i].max(0.0) as usize).min(solid.size[i] - 1) / BLOCK);
            if f32::from(solid.block(block)) < level {
                t += self.way_out(here, block) + BEYOND;
                continue;
            }
            if solid.sample(here) >= level {
                return Some(self.refined(solid, level, (t - STEP).max(enter), t));
            }
            t += STEP;
        }
        None
    }
    fn way_out(&self, here: [f32; 3], block: [usize; 3]) -> f32 {
        let way = |i: usize| {
            let face = (block[i] + usize::from(self.along[i] > 0.0)) * BLOCK;
            if self.along[i].abs() < 1e-6 { f32::MAX } else { (face as f32 - here[i]) / self.along[i] }
        };
        way(0).min(way(1)).min(way(2)).max(0.0)
    }
    fn refined(&self, solid: &Solid, level: f32, mut before: f32, mut after: f32) -> f32 {
        for _ in 0..HALVINGS {
            let middle = (before + after) / 2.0;
            if solid.sample(self.at(middle)) >= level { after = middle } else { before = middle }
        }
        after
    }
}

/// The surface under a place of the picture, pixels from its corner: the point and how far behind the middle it lies, mm.
pub fn hit(draw: &SurfaceDraw, camera: &Camera, x: f64, y: f64) -> Option<(PatientPoint, f64)> {
    let ray = Ray::new(draw, camera, x, y);
    let t = ray.hit(&draw.solid, Solid::level(draw.threshold_hu))?;
    let at = draw.solid.patient(ray.at(t).map(f64::from));
    Some((at, f64::from(t) * draw.solid.spacing_mm))
}

/// Bone lies before a point.
pub fn hides(draw: &SurfaceDraw, camera: &Camera, at: PatientPoint) -> bool {
    let ([x, y], depth_mm) = camera.screen(at);
    hit(draw, camera, x, y).is_some_and(|(_, surface_mm)| surface_mm < depth_mm - draw.solid.spacing_mm)
}

/// RGBA, four bytes per pixel.
pub fn rgba8(draw: &SurfaceDraw, width: usize, height: usize) -> Vec<u8> {
    let camera = Camera::new(&draw.view, &draw.solid, [width as f64, height as f64]);
    let mut out = vec![0; width * height * 4];
    out.par_chunks_mut(width.max(1) * 4).enumerate().for_each(|(y, line)| {
        for (x, px) in line.chunks_exact_mut(4).enumerate() {
            let [r, g, b] = colour(draw, &camera, x, y).map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8);
            px.copy_from_slice(&[r, g, b, 255]);
        }
    });
    out
}

fn colour(draw: &SurfaceDraw, camera: &Camera, x: usize, y: usize) -> [f32; 3] {
    let ray = Ray::new(draw, camera, x as f64 + 0.5, y as f64 + 0.5);
    let Some(t) = ray.hit(&draw.solid, Solid::level(draw.threshold_hu)) else { return GROUND };
    let here = ray.at(t);
    let slope = |i: usize| {
        let beside = |by: f32| draw.solid.sample(std::array::from_fn(|k| if k == i { here[k] + by } else { here[k] }));
        beside(1.0) - beside(-1.0)
    };
    let gradient = [slope(0), slope(1), slope(2)];
    let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    // Values rise into the bone, which is away from the viewer where the surface faces him.
    let facing = if length > 1e-3 {
        (gradient.iter().zip(ray.along).map(|(g, d)| g * d).sum::<f32>() / length).max(0.0)
    } else {
        1.0
    };
    let reach = (camera.reach_mm / draw.solid.spacing_mm) as f32;
    let behind = ((t + reach) / (2.0 * reach)).clamp(0.0, 1.0);
    let light = (AMBIENT + FACING * facing) * (1.0 - FAR_SHADE * behind);
    BONE.map(|c| c * light)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::orientation_letters;

    #[test]
    fn sides_are_the_patients() {
        let letters = |side: Side| {
            let view = side.view();
            assert_eq!(view.side(), Some(side));
            let [right, down, into] = view.directions();
            assert!((right.cross(down) - into).length() < 1e-12, "no mirror");
            [right, down, into].map(orientation_letters)
        };
        assert_eq!(letters(Side::Front), ["L", "F", "P"]);
        assert_eq!(letters(Side::Left), ["P", "F", "R"]);
        assert_eq!(letters(Side::Right), ["A", "F", "L"]);
        assert_eq!(letters(Side::Back), ["R", "F", "A"]);
        assert_eq!(letters(Side::Top), ["R", "P", "F"]);
        assert_eq!(Side::Front.view().turned([20.0, 10.0]).side(), None);
    }

    #[test]
    fn one_turns_round_and_not_over_the_poles() {
        let view = SurfaceView::default().turned([200.0, 300.0]);
        assert_eq!((view.azimuth_deg, view.elevation_deg), (-160.0, 90.0));
        let zoomed = SurfaceView { pan: [0.1, 0.0], ..view }.zoomed(2.0);
        assert_eq!((zoomed.zoom, zoomed.pan), (2.0, [0.2, 0.0]));
        assert_eq!(view.zoomed(1e9).zoom, 20.0);
    }
}
