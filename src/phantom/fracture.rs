//! The demo's one fracture: a hairline through the body and the left lamina of C5, the pattern of an axial load.
//! Its edges have no rim of compact bone, which is what tells it from a vessel channel.

use super::canvas::{Canvas, PIXEL_MM};
use super::random::{Stream, Texture};
use super::shapes::{segment, smoothstep};
use super::spine::column;

/// Two rough sheets in the frame of one vertebra (see [`super::spine`]), open by about a millimetre.
pub struct Fracture {
    /// The vertebra it belongs to.
    pub level: &'static str,
    body_x_mm: f32,
    body_slant: f32,
    lamina_at: f32,
    rough_phase: f32,
}

/// One slice of the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FracturedSlice {
    /// 0-based, display order.
    pub index: usize,
    /// `[x0, y0, x1, y1]` in pixels, half-open, around the gap.
    pub box_px: [usize; 4],
    /// Pixels of bone that the gap passes through.
    pub pixels: usize,
}

impl Fracture {
    /// Blood and torn marrow.
    pub const GAP_HU: f32 = 45.0;
    /// Half of the widest opening, mm.
    const HALF_GAP_MM: f32 = 0.55;

    pub fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, 2);
        Self {
            level: "C5",
            body_x_mm: 2.2 + 0.8 * stream.signed(),
            body_slant: 0.22 + 0.08 * stream.signed(),
            lamina_at: 0.42 + 0.06 * stream.signed(),
            rough_phase: 40.0 * stream.signed(),
        }
    }

    /// How much of the bone at a point of the vertebra's frame is gap, 0 to 1.
    #[inline]
    pub fn gap(&self, x: f32, p: f32, w: f32, texture: &Texture) -> f32 {
        let rough = 0.9 * texture.sample(p / 3.2 + self.rough_phase, w / 3.2, x / 9.0)
            + 0.35 * texture.sample(p / 1.1, w / 1.1 + self.rough_phase, 3.5);
        let body = x - self.body_x_mm - self.body_slant * (p + 8.0) - 0.12 * w - rough;
        let body_open = smoothstep(-6.8, -4.0, w) * smoothstep(7.5, 4.0, w) * smoothstep(2.0, 0.5, p);
        // Along the left lamina from the pillar (0) to the midline (1).
        let (beside, t) = segment(x, p + 0.3 * w, [17.0, 9.5], [1.5, 16.8]);
        let lamina = (t - self.lamina_at) * 17.1 - 0.25 * w - rough;
        let lamina_open = smoothstep(5.0, 3.5, beside) * smoothstep(-8.5, -6.0, w) * smoothstep(6.5, 4.0, w);
        opened(body, body_open).max(opened(lamina, 1.25 * lamina_open))
    }

    /// The slices that show the gap in at least 4 mm² of bone, from the geometry and not from the noisy picture.
    pub fn seen_on(&self, canvas: &Canvas, index: usize) -> Option<FracturedSlice> {
        const LEAST_MM2: f32 = 4.0;
        let vertebra = column().into_iter().find(|v| v.name == self.level)?;
        let extent = vertebra.extent_at(canvas.z_mm)?;
        let (mut pixels, mut low, mut high) = (0_usize, [usize::MAX; 2], [0_usize; 2]);
        canvas.visit(extent, |x, y, [column, row]| {
            let (p, w) = vertebra.local(y, canvas.z_mm);
            let inside = vertebra.distance(x.abs(), p, w) < 0.0;
            if inside && self.gap(x, p, w, canvas.texture) > 0.4 {
                pixels += 1;
                low = [low[0].min(column), low[1].min(row)];
                high = [high[0].max(column + 1), high[1].max(row + 1)];
            }
        });
        (pixels as f32 * PIXEL_MM * PIXEL_MM >= LEAST_MM2).then(|| FracturedSlice {
            index,
            box_px: [low[0], low[1], high[0], high[1]],
            pixels,
        })
    }
}

/// The share of a pixel between two faces `open` times the widest gap apart.
fn opened(distance_mm: f32, open: f32) -> f32 {
    let half = Fracture::HALF_GAP_MM * open;
    let ramp = 0.6;
    ((half - distance_mm.abs()) / ramp + 0.5).clamp(0.0, 1.0).min(2.0 * half / ramp)
}
