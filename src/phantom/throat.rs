//! The air column with tongue base, epiglottis and vocal folds, the gullet, the larynx' cartilages and the hyoid.

use super::build::Build;
use super::canvas::{BLUR_MM, Canvas, Extent};
use super::shapes::{along_z, coverage, ellipse, mix, segment, smooth_min, smoothstep};
use super::spine::canal_line_mm;
use super::tissue::prevertebral_mm;

/// The throat in one plane. Heights of the larynx are those of the average one: `z` is already moved.
struct Throat {
    /// Anatomical height as the larynx counts it.
    z: f32,
    x_mm: f32,
    /// `[centre y, rx, ry]` of the air column.
    air: [f32; 3],
}

impl Throat {
    fn at(canvas: &Canvas, build: &Build) -> Self {
        // The nasopharynx stays, the larynx stands higher or lower.
        let z = canvas.z_mm - build.larynx_mm * smoothstep(-20.0, -55.0, canvas.z_mm);
        let [cy, rx, ry] = along_z(
            z,
            &[
                (14.0, [-35.0, 13.0, 8.0]),
                (-4.0, [-32.5, 12.0, 5.5]),
                (-24.0, [-31.0, 11.0, 5.5]),
                (-44.0, [-33.0, 13.0, 7.5]),
                (-58.0, [-37.0, 13.0, 8.5]),
                (-70.0, [-43.0, 6.0, 8.5]),
                (-80.0, [-45.0, 4.0, 9.5]),
                (-86.0, [-45.0, 1.5, 10.0]),
                (-91.0, [-44.0, 4.0, 9.5]),
                (-97.0, [-43.0, 7.4, 9.2]),
                (-108.0, [-41.0, 8.6, 8.8]),
                (-142.0, [-34.0, 9.2, 8.4]),
            ],
        );
        let swallow = swallowed(canvas.z_mm, build);
        let pushed_mm = prevertebral_mm(canvas.patient, canvas.z_mm);
        let narrowed = (1.0 - 0.03 * pushed_mm).max(0.6);
        let size = build.airway * (1.0 + swallow);
        Self { z, x_mm: build.airway_x_mm, air: [cy - pushed_mm, rx * size, ry * size * narrowed] }
    }
}

/// By how much a swallow blows up the pharynx at this height.
fn swallowed(z: f32, build: &Build) -> f32 {
    build.swallow_z_mm.map_or(0.0, |at| 0.55 * smoothstep(14.0, 4.0, (z - at).abs()))
}

/// The air column with its lining.
pub fn paint_airway(canvas: &mut Canvas, build: &Build) {
    let throat = Throat::at(canvas, build);
    let ([cy, rx, ry], z, x_mm) = (throat.air, throat.z, throat.x_mm);
    let texture = canvas.texture;
    let wall = mix(3.2, 1.6, smoothstep(-92.0, -108.0, z));
    let extent = Extent::around(x_mm, cy, rx + 16.0, ry + 12.0);
    let folded = smoothstep(-100.0, -70.0, z);
    // The back of the trachea has no cartilage and is flat.
    let flat = smoothstep(-100.0, -112.0, z);
    // Exact up to `within_mm`.
    let outline = |x: f32, y: f32, within_mm: f32| {
        let even = ellipse(x - x_mm, y - cy, rx, ry);
        if even > within_mm + 2.0 * folded {
            return f32::MAX;
        }
        let fold = if folded > 0.0 { 1.8 * texture.sample(x / 5.0, y / 5.0, z / 7.0) * folded } else { 0.0 };
        let tube = even + fold;
        tube.max(y - cy - mix(1.5, 0.72, flat) * ry)
    };
    canvas.paint(extent, |x, y| (coverage(outline(x, y, wall + BLUR_MM) - wall, BLUR_MM), 50.0));
    // The piriform sinuses run down beside the larynx.
    let sinus = smoothstep(-60.0, -68.0, z) * smoothstep(-87.0, -78.0, z);
    canvas.paint(extent, |x, y| {
        let mut d = outline(x, y, 2.0 + BLUR_MM);
        if sinus > 0.05 {
            let own = if x > x_mm { 1.0 } else { 0.75 };
            let pouch = ellipse((x - x_mm).abs() - 11.5, y - cy - 7.0, 3.6 * sinus * own, 5.5 * sinus * own);
            d = smooth_min(d, pouch, 1.5);
        }
        (coverage(d, BLUR_MM), -1000.0)
    });
    if z < -44.0 && z > -68.0 {
        // The epiglottis: a leaf that leans forward as it goes down, with the valleculae before it.
        let leaf = cy - 2.5 + 0.3 * (-z - 52.0);
        let half = 10.0 * smoothstep(-44.0, -50.0, z) * smoothstep(-70.0, -62.0, z);
        canvas.paint(Extent::around(x_mm, leaf, 13.0, 6.0), |x, y| {
            let x = x - x_mm;
            let arc = y - leaf - 0.025 * x * x;
            let middle = (x.abs() - 0.9).max(y - leaf).max(leaf - 7.0 - y);
            let d = (arc.abs() - 1.1).max(x.abs() - half).min(middle);
            (coverage(d, BLUR_MM), 58.0)
        });
    }
    if z < -92.0 {
        paint_gullet(canvas, &throat, build);
    }
}

/// The gullet between trachea and vertebrae, most often to the left, with a little air in some.
fn paint_gullet(canvas: &mut Canvas, throat: &Throat, build: &Build) {
    let [cy, _, ry] = throat.air;
    let (z, texture) = (canvas.z_mm, canvas.texture);
    let back = canal_line_mm(z) - 20.5 - prevertebral_mm(canvas.patient, z);
    let y = (cy + 0.75 * ry + 5.0).min(back);
    let x = throat.x_mm + 3.0 + 1.5 * texture.sample(z / 25.0, 0.5, 21.5);
    canvas
        .paint(Extent::around(x, y, 10.0, 6.0), |px, py| (coverage(ellipse(px - x, py - y, 8.0, 3.8), BLUR_MM), 44.0));
    let air = smoothstep(0.15, 0.5, texture.sample(z / 11.0, 5.5, 3.5)) + 2.0 * swallowed(z, build);
    if air > 0.1 {
        let (rx, ry) = (1.2 + 1.6 * air, 0.5 + 1.0 * air);
        canvas.paint(Extent::around(x, y, 6.0, 4.0), |px, py| {
            (coverage(ellipse(px - x, py - y, rx, ry), BLUR_MM), -900.0)
        });
    }
}

/// Calcified cartilage: a shell of bone around marrow, in patches that grow with age; else plain cartilage.
#[inline]
fn cartilage_hu(depth_mm: f32, calcified: f32, patch: f32) -> f32 {
    let bone = smoothstep(0.9 - 1.5 * calcified, 1.25 - 1.5 * calcified, patch);
    let inner = mix(420.0, 120.0, smoothstep(0.5, 1.2, depth_mm));
    mix(100.0, inner, bone)
}

/// Hyoid, thyroid and cricoid cartilage, arytenoids, the rings of the trachea.
pub fn paint_larynx(canvas: &mut Canvas, build: &Build) {
    let throat = Throat::at(canvas, build);
    let ([cy, rx, ry], z, x_mm) = (throat.air, throat.z, throat.x_mm);
    let (texture, calcified) = (canvas.texture, build.calcified);
    let patch = |x: f32, y: f32| texture.sample(x / 4.5 + 9.0, y / 4.5, z / 5.0);
    let height = |middle: f32, half: f32| (z - middle).abs() - half;
    let forward = cy + 45.0;
    let hyoid = height(-55.0, 3.6);
    if hyoid < 1.0 {
        canvas.paint(Extent::around(x_mm, -48.0 + forward, 26.0, 20.0), |x, y| {
            let (x, y) = (x - x_mm, y - cy - 8.0);
            let body = ellipse(x, y + 15.0, 16.0, 17.5).abs().max(y + 24.0) - 2.9;
            let horn = segment(x.abs(), y, [13.5, -24.0], [19.0, -3.0]).0 - 1.5;
            // Between body and great horn is a joint.
            let joint = 0.8 - (y + 22.5).abs();
            let d = body.min(horn).max(joint);
            (coverage(d.max(hyoid), BLUR_MM), mix(900.0, 300.0, smoothstep(-0.7, -1.6, d)))
        });
    }
    let plates = height(-77.0, 12.0);
    if plates < 1.0 {
        // The notch: the plates do not meet in front at the top.
        let open = 7.0 * smoothstep(-74.0, -66.0, z);
        canvas.paint(Extent::around(x_mm, -46.0 + forward, 27.0, 22.0), |x, y| {
            let (x, y) = (x - x_mm, y - forward);
            let bow = 2.0 * texture.sample(y / 16.0, 3.5, 8.5);
            let plate = segment(x.abs() + bow, y, [0.6 + open, -60.0 + open * 0.9], [19.0, -32.0]).0 - 1.5;
            (coverage(plate.max(plates), BLUR_MM), cartilage_hu(-plate, calcified, patch(x, y)))
        });
        let arytenoid = height(-84.0, 4.0);
        if arytenoid < 0.5 {
            canvas.paint(Extent::around(x_mm, cy + 9.0, 9.0, 6.0), |x, y| {
                let d = ellipse((x - x_mm).abs() - 4.5, y - cy - 9.0, 2.0, 3.0);
                (coverage(d.max(arytenoid), BLUR_MM), cartilage_hu(-d, calcified, 0.4))
            });
        }
    }
    let cricoid = height(-94.0, 6.5);
    if cricoid < 1.0 {
        canvas.paint(Extent::around(x_mm, cy, 18.0, 20.0), |x, y| {
            // A signet: high behind, a narrow arch in front.
            let behind = smoothstep(cy - 6.0, cy + 8.0, y);
            let thick = 1.4 + 1.3 * behind;
            let ring = ellipse(x - x_mm, y - cy, rx.max(7.0) + 3.2, ry + 3.4).abs() - thick;
            let low = cricoid.max((z + 93.0) * (1.0 - behind) - 2.0);
            (coverage(ring.max(low), BLUR_MM), cartilage_hu(-ring, calcified, patch(x, y)))
        });
    } else if z < -101.0 {
        let ring = smoothstep(0.0, 0.3, texture.sample(0.5, 0.5, z / 2.6));
        let ring_hu = mix(50.0, 95.0 + 160.0 * (calcified - 0.6).max(0.0), ring);
        canvas.paint(Extent::around(x_mm, cy, 13.0, 13.0), |x, y| {
            let d = (ellipse(x - x_mm, y - cy, rx + 1.2, ry + 1.2)).abs() - 0.8;
            (coverage(d.max(y - cy - 5.0), BLUR_MM), ring_hu)
        });
    }
}
