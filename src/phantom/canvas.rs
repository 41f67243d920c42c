//! One slice being painted: structures are laid over each other in anatomical coordinates.
//!
//! Two spaces: *scanner* millimetres (LPS, z = 0 at the height of the dens' tip) and *anatomical* millimetres, in which
//! every neck is of average size, straight and upright. [`Canvas::anatomy`] leads from the first to the second, so a
//! painter never needs to know how large this patient is or how he lies.

use super::patient::{Patient, Posture};
use super::random::Texture;
use super::shapes::mix;

/// The ramp of soft tissue's edges, mm of anatomy; bones use [`Canvas::blur_mm`].
pub const BLUR_MM: f32 = 0.9;

/// Where a study's samples lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Rows and columns.
    pub matrix: usize,
    /// Distance of pixel centres, mm.
    pub pixel_mm: f32,
    /// The field of view's centre in scanner millimetres: x to the patient's left, y to posterior.
    pub centre_mm: [f32; 2],
    /// Scanner z of the first (most cranial) slice.
    pub top_z_mm: f32,
    /// Distance of slices, mm.
    pub slice_mm: f32,
    pub slices: usize,
}

impl Grid {
    /// Scanner z of a slice.
    pub fn z_mm(&self, index: usize) -> f32 {
        self.top_z_mm - self.slice_mm * index as f32
    }
    /// Scanner position of the centre of the first pixel.
    pub fn corner_mm(&self) -> [f32; 2] {
        self.centre_mm.map(|c| c - 0.5 * (self.matrix - 1) as f32 * self.pixel_mm)
    }
}

/// A rectangle in anatomical millimetres that holds a structure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub x: [f32; 2],
    pub y: [f32; 2],
}

impl Extent {
    pub fn around(cx: f32, cy: f32, rx: f32, ry: f32) -> Self {
        Self { x: [cx - rx, cx + rx], y: [cy - ry, cy + ry] }
    }
    /// Symmetric about the midline.
    pub fn wide(rx: f32, y: [f32; 2]) -> Self {
        Self { x: [-rx, rx], y }
    }
    pub const ALL: Self = Self { x: [-500.0, 500.0], y: [-500.0, 500.0] };
}

/// What a structure does to one pixel: how much of it it fills (0 to 1), and with which HU.
pub type Paint = (f32, f32);

/// Where a structure is not. Asked first where HU take long to work out.
pub const NOTHING: Paint = (0.0, 0.0);

/// HU of one slice while it is painted, with the way from pixels to anatomy.
pub struct Canvas<'a> {
    /// Anatomical height: z = 0 is the tip of the dens.
    pub z_mm: f32,
    /// Rows and columns.
    pub matrix: usize,
    /// Distance of pixel centres, scanner mm.
    pub pixel_mm: f32,
    /// Ramp across a bone's surface that stands for the pixel's own extent, mm.
    pub blur_mm: f32,
    pub hu: Vec<f32>,
    pub patient: &'a Patient,
    pub texture: &'a Texture,
    corner_mm: [f32; 2],
    cosine: f32,
    sine: f32,
    offset_mm: [f32; 2],
    inverse_scale: [f32; 2],
    /// Gentle waves, by row and by column, so that nothing is symmetric or straight.
    wave_x_mm: Vec<f32>,
    wave_y_mm: Vec<f32>,
}

impl<'a> Canvas<'a> {
    pub const AIR_HU: f32 = -1000.0;

    /// A slice at a scanner height, which need not be one of the grid's slices; its HU are still to be put in.
    pub fn without_hu(scanner_z_mm: f32, grid: &Grid, patient: &'a Patient, texture: &'a Texture) -> Self {
        let posture = &patient.posture;
        let z_mm = scanner_z_mm / posture.scale[2];
        let [cosine, sine] = posture.turn_at(z_mm);
        let wave = |lane: f32, corner: f32| {
            let at = |i: usize| (corner + i as f32 * grid.pixel_mm) / 24.0;
            (0..grid.matrix).map(|i| 1.1 * texture.sample(at(i), lane, z_mm / 40.0)).collect()
        };
        let corner_mm = grid.corner_mm();
        Self {
            z_mm,
            matrix: grid.matrix,
            pixel_mm: grid.pixel_mm,
            blur_mm: grid.pixel_mm.max(0.45),
            hu: Vec::new(),
            patient,
            texture,
            corner_mm,
            cosine,
            sine,
            offset_mm: posture.offset_at(z_mm),
            inverse_scale: [1.0 / posture.scale[0], 1.0 / posture.scale[1]],
            wave_x_mm: wave(3.5, corner_mm[1]),
            wave_y_mm: wave(17.5, corner_mm[0]),
        }
    }

    /// An empty slice: air.
    #[cfg(test)]
    pub fn new(scanner_z_mm: f32, grid: &Grid, patient: &'a Patient, texture: &'a Texture) -> Self {
        let hu = vec![Self::AIR_HU; grid.matrix * grid.matrix];
        Self { hu, ..Self::without_hu(scanner_z_mm, grid, patient, texture) }
    }

    /// Anatomical position of a pixel: x to the patient's left, y to posterior, mm.
    #[inline]
    pub fn anatomy(&self, column: usize, row: usize) -> [f32; 2] {
        let x = self.corner_mm[0] + column as f32 * self.pixel_mm - self.offset_mm[0] + self.wave_x_mm[row];
        let y = self.corner_mm[1] + row as f32 * self.pixel_mm - self.offset_mm[1] + self.wave_y_mm[column];
        let y = y - Posture::PIVOT_Y_MM;
        let (along, across) = (self.cosine * x + self.sine * y, self.cosine * y - self.sine * x);
        [along * self.inverse_scale[0], (across + Posture::PIVOT_Y_MM) * self.inverse_scale[1]]
    }

    /// Anatomical position of a scanner position that may lie outside of the picture; without the waves.
    pub fn anatomy_of(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (x, y) = (x - self.offset_mm[0], y - self.offset_mm[1] - Posture::PIVOT_Y_MM);
        let (along, across) = (self.cosine * x + self.sine * y, self.cosine * y - self.sine * x);
        [along * self.inverse_scale[0], (across + Posture::PIVOT_Y_MM) * self.inverse_scale[1]]
    }

    /// Scanner position of a pixel, mm: for what does not turn with the patient.
    #[inline]
    pub fn scanner(&self, column: usize, row: usize) -> [f32; 2] {
        [self.corner_mm[0] + column as f32 * self.pixel_mm, self.corner_mm[1] + row as f32 * self.pixel_mm]
    }

    /// The patient has moved since the scan began.
    pub fn moved(mut self, [x, y]: [f32; 2]) -> Self {
        self.offset_mm = [self.offset_mm[0] + x, self.offset_mm[1] + y];
        self
    }

    /// Pixel ranges `[columns, rows]` that surely hold an extent.
    pub fn pixels(&self, extent: Extent) -> [std::ops::Range<usize>; 2] {
        // The waves move nothing by more than this.
        const MARGIN_MM: f32 = 1.5;
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for x in extent.x {
            for y in extent.y {
                let (x, y) = (x / self.inverse_scale[0], y / self.inverse_scale[1] - Posture::PIVOT_Y_MM);
                let turned = [self.cosine * x - self.sine * y, self.cosine * y + self.sine * x + Posture::PIVOT_Y_MM];
                for axis in 0..2 {
                    let at = turned[axis] + self.offset_mm[axis] - self.corner_mm[axis];
                    low[axis] = low[axis].min(at);
                    high[axis] = high[axis].max(at);
                }
            }
        }
        let pixel = |mm: f32| (mm / self.pixel_mm).clamp(0.0, self.matrix as f32) as usize;
        [0, 1].map(|axis| pixel(low[axis] - MARGIN_MM)..pixel(high[axis] + MARGIN_MM + self.pixel_mm))
    }

    /// Calls `at(x, y, [column, row])` for every pixel of an extent.
    #[inline]
    pub fn visit(&self, extent: Extent, mut at: impl FnMut(f32, f32, [usize; 2])) {
        let [columns, rows] = self.pixels(extent);
        for row in rows {
            for column in columns.clone() {
                let [x, y] = self.anatomy(column, row);
                at(x, y, [column, row]);
            }
        }
    }

    /// Lays a structure over what is there.
    #[inline]
    pub fn paint(&mut self, extent: Extent, shape: impl Fn(f32, f32) -> Paint) {
        let [columns, rows] = self.pixels(extent);
        for row in rows {
            for column in columns.clone() {
                let [x, y] = self.anatomy(column, row);
                let (fill, hu) = shape(x, y);
                if fill > 0.0 {
                    let pixel = &mut self.hu[row * self.matrix + column];
                    *pixel = mix(*pixel, hu, fill);
                }
            }
        }
    }

    /// Lays a bone over what is there. The shape is asked with its pixel's offset and answers with its paint, or with a
    /// distance (mm) within which it has nothing to paint: those pixels are passed over.
    #[inline]
    pub fn paint_bone(&mut self, extent: Extent, mut shape: impl FnMut(f32, f32, usize) -> Result<Paint, f32>) {
        // Distances are exact to a factor near 1; nothing thinner than the rest is missed.
        const SURE_MM: f32 = 3.0;
        let pixels_per_mm = 0.75 / self.pixel_mm;
        let [columns, rows] = self.pixels(extent);
        for row in rows {
            let mut column = columns.start;
            while column < columns.end {
                let [x, y] = self.anatomy(column, row);
                let at = row * self.matrix + column;
                column += 1;
                match shape(x, y, at) {
                    Ok((fill, hu)) if fill > 0.0 => {
                        let pixel = &mut self.hu[at];
                        *pixel = mix(*pixel, hu, fill);
                    }
                    Ok(_) => {}
                    Err(free_mm) => column += (free_mm.clamp(0.0, SURE_MM) * pixels_per_mm) as usize,
                }
            }
        }
    }
}
