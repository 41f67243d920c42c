//! Vessels with plaque and contrast agent, glands, lymph nodes.

use super::build::Build;
use super::canvas::{BLUR_MM, Canvas, Extent};
use super::shapes::{along_z, coverage, ellipse, mix, smoothstep};
use super::spine::canal_line_mm;
use super::tissue::prevertebral_mm;

/// The side that an index of a pair means: 0 is left (x to positive).
const SIDES: [f32; 2] = [1.0, -1.0];

/// One round or oval thing: `[x, y, rx, ry]`.
fn paint_oval(canvas: &mut Canvas, [cx, cy, rx, ry]: [f32; 4], hu: f32) {
    if rx < 0.4 || ry < 0.4 {
        return;
    }
    canvas.paint(Extent::around(cx, cy, rx + 1.0, ry + 1.0), |x, y| {
        (coverage(ellipse(x - cx, y - cy, rx, ry), BLUR_MM), hu)
    });
}

/// Half-axis of an ellipsoid at a height, as a share of the largest.
fn blob(z: f32, middle: f32, half: f32) -> f32 {
    (1.0 - (z - middle) * (z - middle) / (half * half)).max(0.0).sqrt()
}

/// A gland: lobulated, with fat between its lobules.
fn paint_gland(canvas: &mut Canvas, [cx, cy, rx, ry]: [f32; 4], hu: f32, lobules_hu: f32) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    canvas.paint(Extent::around(cx, cy, rx + 2.0, ry + 2.0), |x, y| {
        let lobe = texture.sample(x / 3.4, y / 3.4, z / 4.0);
        (coverage(ellipse(x - cx, y - cy, rx, ry) + 1.2 * lobe, 1.4), hu - lobules_hu * smoothstep(0.1, 0.7, lobe))
    });
}

/// Common, then internal and external carotid; internal jugular; plaque at the fork.
fn paint_carotids(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    let pushed_mm = 0.5 * prevertebral_mm(canvas.patient, z);
    let fork_z = -56.0 + build.larynx_mm;
    let [artery_hu, vein_hu] = build.blood_hu;
    for (i, side) in SIDES.into_iter().enumerate() {
        let [x, y] = along_z(
            z,
            &[(0.0, [27.0, -15.0]), (-50.0, [25.0, -20.0]), (-110.0, [22.0, -24.0]), (-145.0, [17.0, -28.0])],
        );
        let [dx, dy] = build.carotid_mm[i];
        // Vessels wind, the more the older.
        let wind = (1.0 + 2.0 * build.old) * texture.sample(z / 22.0, 3.0 + 9.0 * side, 7.5);
        let (x, y) = (x + dx + wind, y + dy - pushed_mm);
        let bulb = 1.0 + 0.35 * blob(z, fork_z, 9.0);
        let radius = 3.1 * bulb;
        paint_oval(canvas, [side * x, y, radius, radius], artery_hu);
        let apart = smoothstep(fork_z - 2.0, fork_z + 14.0, z);
        if apart > 0.05 {
            paint_oval(canvas, [side * (x - 1.0 - 5.0 * apart), y - 1.0 - 9.0 * apart, 2.2, 2.2], artery_hu);
        }
        let (jx, jy) = (x + 6.5, y + 3.5 + 6.0 * smoothstep(-60.0, 0.0, z));
        let flat = 0.78 + 0.2 * texture.sample(z / 30.0, side, 2.5);
        let wide = build.jugular_mm[i];
        paint_oval(canvas, [side * jx, jy, wide, wide * flat], vein_hu);
        // External jugular and facial veins in the fat.
        paint_oval(canvas, [side * (44.0 - 0.05 * (z + 60.0)), -16.0 - 0.1 * (z + 60.0), 1.7, 1.2], vein_hu);
        let plaque_mm = build.plaque_mm[i] * blob(z, fork_z + 1.0, 8.0);
        if plaque_mm > 0.3 {
            canvas.paint(Extent::around(side * x, y, 6.0, 6.0), |px, py| {
                let (ax, ay) = (px - side * x, py - y);
                let wall = (ax * ax + ay * ay).sqrt() - radius;
                // Shells of calcium on parts of the wall.
                let patch = smoothstep(0.05, 0.3, texture.sample(px / 3.0, py / 3.0, z / 3.5));
                (patch * coverage(wall.abs() - 0.5 * plaque_mm, 0.7), 750.0)
            });
        }
    }
}

/// The vertebral arteries: through the foramina of C6 to C1, before that in front of C7.
fn paint_vertebral_arteries(canvas: &mut Canvas, build: &Build) {
    let z = canvas.z_mm;
    if z > -2.0 {
        return;
    }
    let [x, behind] = along_z(
        z,
        &[
            (-2.0, [22.0, 5.0]),
            (-7.0, [27.0, -1.0]),
            (-16.0, [25.0, -2.0]),
            (-26.0, [16.2, -4.0]),
            (-104.0, [16.2, -4.0]),
            (-122.0, [18.0, -12.0]),
        ],
    );
    let y = canal_line_mm(z) + behind;
    for (i, side) in SIDES.into_iter().enumerate() {
        let radius = build.vertebral_mm[i];
        paint_oval(canvas, [side * x, y, 3.1, 3.1], -60.0);
        paint_oval(canvas, [side * x, y, radius, radius], build.blood_hu[0]);
    }
}

/// Everything of this file; painted before the bones.
pub fn paint_vessels_and_glands(canvas: &mut Canvas, build: &Build) {
    let z = canvas.z_mm;
    let pushed_mm = prevertebral_mm(canvas.patient, z);
    for (i, side) in SIDES.into_iter().enumerate() {
        let own = build.sides[i];
        let submandibular = blob(z, -44.0 + 0.5 * build.larynx_mm, 15.0);
        if submandibular > 0.2 {
            paint_gland(canvas, [side * 31.0 * own, -50.0, 8.5 * submandibular, 11.0 * submandibular], 42.0, 50.0);
        }
        let parotid = blob(z, -14.0, 26.0);
        if parotid > 0.2 {
            let lobules_hu = 60.0 + 40.0 * build.old;
            paint_gland(canvas, [side * 57.0 * own, -14.0, 9.0 * parotid, 15.0 * parotid], 15.0, lobules_hu);
        }
        let thyroid = blob(z, -108.0 + build.larynx_mm, 22.0) * build.thyroid_gland;
        if thyroid > 0.2 {
            let hu = if canvas.patient.contrast { build.thyroid_hu + 70.0 } else { build.thyroid_hu };
            let at = [side * 14.5 + build.airway_x_mm, -37.0 - pushed_mm, 6.3 * thyroid * own, 9.0 * thyroid / own];
            paint_gland(canvas, at, hu, 10.0);
        }
    }
    if (z + 112.0 - build.larynx_mm).abs() < 5.0 {
        // The isthmus.
        let hu = build.thyroid_hu - 10.0;
        paint_oval(canvas, [build.airway_x_mm, -53.5 - pushed_mm, 12.0, 2.2], hu);
    }
    paint_carotids(canvas, build);
    paint_vertebral_arteries(canvas, build);
    let texture = canvas.texture;
    for (node, (node_z, x, y)) in [
        (-32.0, 37.0, -26.0),
        (-44.0, 20.0, -58.0),
        (-58.0, 37.0, -20.0),
        (-76.0, 40.0, 0.0),
        (-92.0, 33.0, -14.0),
        (-118.0, 32.0, -8.0),
    ]
    .into_iter()
    .enumerate()
    {
        for side in SIDES {
            let own = texture.sample(node as f32 * 3.7, 11.0 * side, 0.5);
            let node = blob(z, node_z + 8.0 * own, 6.0) * (1.0 + 0.5 * own);
            let at = [side * x + 3.0 * own, y - 3.0 * own, 3.2 * node, 2.3 * node];
            paint_oval(canvas, at, mix(40.0, 48.0, own));
        }
    }
}
