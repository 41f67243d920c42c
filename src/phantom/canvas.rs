//! One slice being painted: structures are laid over each other in anatomical coordinates.

use super::random::{Stream, Texture};
use super::shapes::mix;

/// Rows and columns of the demo study.
pub const MATRIX: usize = 384;
/// Side of the square field of view, mm.
pub const FIELD_MM: f64 = 230.4;
/// Distance of pixel centres, mm.
pub const PIXEL_MM: f32 = FIELD_MM as f32 / MATRIX as f32;
/// Distance of slices, mm.
pub const SLICE_MM: f32 = 2.0;
/// z of the first (most cranial) slice; z = 0 is the tip of the dens.
pub const TOP_Z_MM: f32 = 14.0;
/// From the skull base to the lower end of T1.
pub const SLICES: usize = 78;
/// Width of the ramp that stands for the scanner's point spread, mm.
pub const BLUR_MM: f32 = 0.9;

/// How this patient lies: the anatomy is built straight, then turned, shifted and bent a little.
pub struct Posture {
    /// Tangent of the head's turn about the body axis.
    turn: f32,
    shift_mm: [f32; 2],
    /// Sideways bend, mm over the length of the neck.
    bend_mm: f32,
}

impl Posture {
    pub fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, 1);
        Self {
            turn: 0.03 * stream.signed(),
            shift_mm: [3.0 * stream.signed(), 1.5 * stream.signed()],
            bend_mm: 3.0 * stream.signed(),
        }
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

/// HU of one slice while it is painted, with the way from pixels to anatomy.
pub struct Canvas<'a> {
    pub z_mm: f32,
    pub hu: Vec<f32>,
    pub texture: &'a Texture,
    cosine: f32,
    sine: f32,
    offset_mm: [f32; 2],
    /// Gentle waves, by row and by column, so that nothing is symmetric or straight.
    wave_x_mm: Vec<f32>,
    wave_y_mm: Vec<f32>,
}

impl<'a> Canvas<'a> {
    pub fn new(z_mm: f32, posture: &Posture, texture: &'a Texture) -> Self {
        // Head and shoulders turn against each other along the neck.
        let turn = posture.turn * (1.0 + z_mm / 70.0);
        let norm = (1.0 + turn * turn).sqrt();
        let along = z_mm / 140.0;
        let wave = |lane: f32| {
            (0..MATRIX).map(|i| 1.1 * texture.sample(i as f32 * PIXEL_MM / 24.0, lane, z_mm / 40.0)).collect()
        };
        Self {
            z_mm,
            hu: vec![-1000.0; MATRIX * MATRIX],
            texture,
            cosine: 1.0 / norm,
            sine: turn / norm,
            offset_mm: [posture.shift_mm[0] + posture.bend_mm * along * along, posture.shift_mm[1]],
            wave_x_mm: wave(3.5),
            wave_y_mm: wave(17.5),
        }
    }

    /// Anatomical position of a pixel: x to the patient's left, y to posterior, mm.
    #[inline]
    pub fn anatomy(&self, column: usize, row: usize) -> [f32; 2] {
        let centre = (MATRIX - 1) as f32 * 0.5;
        let x = (column as f32 - centre) * PIXEL_MM - self.offset_mm[0] + self.wave_x_mm[row];
        let y = (row as f32 - centre) * PIXEL_MM - self.offset_mm[1] + self.wave_y_mm[column];
        [self.cosine * x + self.sine * y, self.cosine * y - self.sine * x]
    }

    /// Pixel ranges `[columns, rows]` that surely hold an extent.
    fn pixels(&self, extent: Extent) -> [std::ops::Range<usize>; 2] {
        // Turn and waves move nothing inside the field of view by more than this.
        const MARGIN_MM: f32 = 6.0;
        let centre = (MATRIX - 1) as f32 * 0.5;
        let range = |span: [f32; 2], offset: f32| {
            let pixel = |mm: f32| ((mm + offset) / PIXEL_MM + centre).clamp(0.0, MATRIX as f32) as usize;
            pixel(span[0] - MARGIN_MM)..pixel(span[1] + MARGIN_MM)
        };
        [range(extent.x, self.offset_mm[0]), range(extent.y, self.offset_mm[1])]
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
                    let pixel = &mut self.hu[row * MATRIX + column];
                    *pixel = mix(*pixel, hu, fill);
                }
            }
        }
    }
}
