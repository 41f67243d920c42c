//! Signed distances (negative inside, mm) of the few shapes the neck is built from, and the blending of them.
//!
//! Only `+ - * /`, `sqrt`, comparisons and rounding are used, which IEEE 754 defines to the last bit: the same seed
//! gives the same voxels on every platform. No `sin`, `exp` or `powi` may enter here.

/// 1 inside, 0 outside, a ramp of `blur_mm` across the surface: partial volume without supersampling.
#[inline]
pub fn coverage(distance_mm: f32, blur_mm: f32) -> f32 {
    (0.5 - distance_mm / blur_mm).clamp(0.0, 1.0)
}

#[inline]
pub fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Cubic step from 0 at `low` to 1 at `high`; also with `low > high`.
#[inline]
pub fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Minimum with a rounded seam of width `k`.
#[inline]
pub fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k * 0.25
}

/// Distance to an ellipse at the origin; first order, exact on its outline.
#[inline]
pub fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> f32 {
    let (ux, uy) = (x / rx, y / ry);
    let k0 = (ux * ux + uy * uy).sqrt();
    let (vx, vy) = (ux / rx, uy / ry);
    let k1 = (vx * vx + vy * vy).sqrt();
    if k1 < 1e-6 { -rx.min(ry) } else { k0 * (k0 - 1.0) / k1 }
}

/// Distance to an ellipsoid at the origin; first order, exact on its surface.
#[inline]
pub fn ellipsoid(x: f32, y: f32, z: f32, r: [f32; 3]) -> f32 {
    let (ux, uy, uz) = (x / r[0], y / r[1], z / r[2]);
    let k0 = (ux * ux + uy * uy + uz * uz).sqrt();
    let (vx, vy, vz) = (ux / r[0], uy / r[1], uz / r[2]);
    let k1 = (vx * vx + vy * vy + vz * vz).sqrt();
    if k1 < 1e-6 { -r[0].min(r[1]).min(r[2]) } else { k0 * (k0 - 1.0) / k1 }
}

/// Whether [`ellipsoid`] is at least `distance_mm` (above 0), found with less work; not every such point is found.
#[inline]
pub fn surely_beyond([x, y, z]: [f32; 3], r: [f32; 3], distance_mm: f32) -> bool {
    let (ux, uy, uz) = (x * (1.0 / r[0]), y * (1.0 / r[1]), z * (1.0 / r[2]));
    // The first-order distance is at least the smallest half-axis times what the scaled radius exceeds 1 by.
    let scaled = 1.001 + distance_mm / r[0].min(r[1]).min(r[2]);
    ux * ux + uy * uy + uz * uz > scaled * scaled
}

/// Whether [`ellipsoid`] is at least `depth_mm` below 0; found as [`surely_beyond`] is.
#[inline]
pub fn surely_within([x, y, z]: [f32; 3], r: [f32; 3], depth_mm: f32) -> bool {
    let (ux, uy, uz) = (x * (1.0 / r[0]), y * (1.0 / r[1]), z * (1.0 / r[2]));
    let scaled = (0.999 - depth_mm / r[0].min(r[1]).min(r[2])).max(0.0);
    ux * ux + uy * uy + uz * uz < scaled * scaled
}

/// Rectangle at the origin with half sides `hx`, `hy` and rounded corners.
#[inline]
pub fn rounded_rectangle(x: f32, y: f32, hx: f32, hy: f32, corner: f32) -> f32 {
    let (dx, dy) = (x.abs() - hx + corner, y.abs() - hy + corner);
    let (ox, oy) = (dx.max(0.0), dy.max(0.0));
    (ox * ox + oy * oy).sqrt() + dx.max(dy).min(0.0) - corner
}

/// Distance from a segment in the plane, and how far along it (0 to 1) the nearest point lies.
#[inline]
pub fn segment(x: f32, y: f32, a: [f32; 2], b: [f32; 2]) -> (f32, f32) {
    let (bx, by) = (b[0] - a[0], b[1] - a[1]);
    let (px, py) = (x - a[0], y - a[1]);
    let t = ((px * bx + py * by) / (bx * bx + by * by)).clamp(0.0, 1.0);
    let (dx, dy) = (px - bx * t, py - by * t);
    ((dx * dx + dy * dy).sqrt(), t)
}

/// A shape of the plane (distance `d2`) made solid between `-half_height` and `half_height`, edges rounded by `round`.
#[inline]
pub fn extrude(d2: f32, w: f32, half_height: f32, round: f32) -> f32 {
    intersect(d2, w.abs() - half_height, round)
}

/// What lies in both shapes, the edge between them rounded by `round`.
#[inline]
pub fn intersect(a: f32, b: f32, round: f32) -> f32 {
    let (dx, dy) = (a + round, b + round);
    let (ox, oy) = (dx.max(0.0), dy.max(0.0));
    (ox * ox + oy * oy).sqrt() + dx.max(dy).min(0.0) - round
}

/// Distance from a segment in space.
#[inline]
pub fn segment3(p: [f32; 3], a: [f32; 3], b: [f32; 3]) -> (f32, f32) {
    let d = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    let q = [p[0] - a[0], p[1] - a[1], p[2] - a[2]];
    let dot = q[0] * d[0] + q[1] * d[1] + q[2] * d[2];
    let t = (dot / (d[0] * d[0] + d[1] * d[1] + d[2] * d[2])).clamp(0.0, 1.0);
    let r = [q[0] - d[0] * t, q[1] - d[1] * t, q[2] - d[2] * t];
    ((r[0] * r[0] + r[1] * r[1] + r[2] * r[2]).sqrt(), t)
}

/// Values along the body axis: `frames` are `(z_mm, values)` from head to feet; held constant beyond the ends.
pub fn along_z<const N: usize>(z_mm: f32, frames: &[(f32, [f32; N])]) -> [f32; N] {
    let mut before: Option<&(f32, [f32; N])> = None;
    for frame in frames {
        if z_mm >= frame.0 {
            return before.map_or(frame.1, |upper| {
                let t = smoothstep(upper.0, frame.0, z_mm);
                std::array::from_fn(|i| mix(upper.1[i], frame.1[i], t))
            });
        }
        before = Some(frame);
    }
    before.map_or([0.0; N], |last| last.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_zero_on_the_surface_and_negative_inside() {
        assert!(ellipse(3.0, 0.0, 3.0, 5.0).abs() < 1e-5 && ellipse(0.0, 0.0, 3.0, 5.0) < 0.0);
        assert!(ellipsoid(0.0, 0.0, 7.0, [3.0, 5.0, 7.0]).abs() < 1e-5);
        assert!((rounded_rectangle(6.0, 0.0, 4.0, 2.0, 1.0) - 2.0).abs() < 1e-5);
        assert_eq!(segment(5.0, 3.0, [0.0, 0.0], [10.0, 0.0]), (3.0, 0.5));
        assert!((extrude(-3.0, 6.0, 4.0, 1.0) - 2.0).abs() < 1e-5);
    }

    #[test]
    fn sure_bounds_of_an_ellipsoid_hold() {
        let r = [6.5, 10.5, 6.0];
        let (mut beyond, mut within) = (0, 0);
        for i in 0..41 * 41 * 41 {
            let [x, y, z] = [i % 41, i / 41 % 41, i / (41 * 41)].map(|at| (at - 20) as f32);
            let d = ellipsoid(x, y, z, r);
            if surely_beyond([x, y, z], r, 2.5) {
                beyond += 1;
                assert!(d >= 2.5, "{x} {y} {z}: {d}");
            }
            if surely_within([x, y, z], r, 2.5) {
                within += 1;
                assert!(d <= -2.5, "{x} {y} {z}: {d}");
            }
        }
        assert!(beyond > 50_000 && within > 100, "{beyond} {within}");
    }

    #[test]
    fn frames_are_met_and_held() {
        let frames = [(10.0, [1.0]), (0.0, [3.0]), (-10.0, [0.0])];
        assert_eq!(along_z(50.0, &frames), [1.0]);
        assert_eq!(along_z(0.0, &frames), [3.0]);
        assert_eq!(along_z(5.0, &frames), [2.0]);
        assert_eq!(along_z(-90.0, &frames), [0.0]);
    }
}
