//! What lies beside the lowest slices: clavicles, shoulder blades, upper arms, first ribs, the tips of the lungs.

use super::build::Build;
use super::canvas::{Canvas, Extent};
use super::coarse::Coarse;
use super::random::Texture;
use super::shapes::{coverage, ellipsoid, mix, segment3, smooth_min, smoothstep, surely_beyond};

/// Compact at the surface, spongy within.
#[inline]
fn bone_hu(depth_mm: f32, shell_mm: f32, spongy_hu: f32, texture: &Texture, at: [f32; 3]) -> f32 {
    let fine = texture.sample(at[0] / 1.4, at[1] / 1.4, at[2] / 1.7);
    mix(spongy_hu + 90.0 * fine, 1150.0 + 80.0 * fine, smoothstep(shell_mm + 0.7, shell_mm - 0.3, depth_mm))
}

/// Bones and lungs of both sides; painted after the soft tissue and before the vertebrae.
pub fn paint_shoulders(canvas: &mut Canvas, build: &Build, skin: &Coarse<1>) {
    if canvas.z_mm > -98.0 + build.shrug_mm.max(0.0) {
        return;
    }
    paint_lungs(canvas);
    paint_ribs(canvas);
    let patient = canvas.patient;
    // With the arms up all of it comes together, and lies lower against the neck than the arms themselves.
    let (wide, lift_mm) = if patient.arms_down { (build.shoulder_width, 0.0) } else { (0.78, -16.0) };
    let lift_mm = lift_mm + build.shrug_mm;
    let (z, texture) = (canvas.z_mm - lift_mm, canvas.texture);
    let spongy_hu = mix(260.0, 120.0, build.old);
    // The highest bone is the shoulder's roof.
    if z > -116.0 {
        return;
    }
    let blur_mm = canvas.blur_mm;
    let [columns, rows] = canvas.pixels(Extent::wide(215.0, [-70.0, 90.0]));
    for row in rows {
        let edge = skin.along_row(row);
        for column in columns.clone() {
            // No bone comes nearer to the skin than this.
            let [distance] = skin.at(&edge, column);
            let [x, y] = canvas.anatomy(column, row);
            let across = x.abs() / wide;
            if distance > -4.0 || across < 10.0 {
                continue;
            }
            let d = girdle([across, y, z], 0.5 * blur_mm).max(distance + 5.0);
            let fill = coverage(d, blur_mm);
            if fill > 0.0 {
                let hu = bone_hu(-d, 1.6, spongy_hu, texture, [x, y, z]);
                let pixel = &mut canvas.hu[row * canvas.matrix + column];
                *pixel = mix(*pixel, hu, fill);
            }
        }
    }
}

/// Distance to a rod, or some large number where it is surely above `least_mm`.
#[inline]
fn rod(p: [f32; 3], a: [f32; 3], b: [f32; 3], radius_mm: f32, least_mm: f32) -> f32 {
    let far_mm = radius_mm + least_mm;
    let far = |i: usize| p[i] < a[i].min(b[i]) - far_mm || p[i] > a[i].max(b[i]) + far_mm;
    if far(2) || far(1) || far(0) { f32::MAX } else { segment3(p, a, b).0 - radius_mm }
}

/// Distance to clavicle, shoulder blade and upper arm of one side; exact up to `within_mm`.
#[inline]
fn girdle(p: [f32; 3], within_mm: f32) -> f32 {
    // What is farther than a seam and a quarter shapes nothing that near.
    let [narrow_mm, wide_mm] = [4.0, 5.0].map(|seam_mm| within_mm + 1.25 * seam_mm + 0.1);
    // The clavicle is an S from the breastbone to the shoulder's roof.
    let inner = rod(p, [16.0, -52.0, -160.0], [70.0, -48.0, -142.0], 7.0, narrow_mm);
    let outer = rod(p, [70.0, -48.0, -142.0], [148.0, -2.0, -128.0], 6.0, narrow_mm);
    let clavicle = smooth_min(inner, outer, 4.0);
    let roof = rod(p, [148.0, 0.0, -128.0], [150.0, 28.0, -130.0], 7.5, wide_mm);
    let ridge = rod(p, [150.0, 28.0, -131.0], [70.0, 60.0, -150.0], 5.0, wide_mm);
    let blade = rod(p, [72.0, 52.0, -140.0], [80.0, 58.0, -190.0], 4.0, wide_mm);
    let neck = rod(p, [80.0, 50.0, -158.0], [138.0, 14.0, -152.0], 6.5, wide_mm);
    let arm_at = [p[0] - 166.0, p[1] - 10.0, p[2] + 158.0];
    let arm = if surely_beyond(arm_at, ARM_MM, within_mm + 0.1) {
        f32::MAX
    } else {
        ellipsoid(arm_at[0], arm_at[1], arm_at[2], ARM_MM)
    };
    clavicle.min(smooth_min(roof, ridge, 5.0)).min(smooth_min(blade, neck, 5.0)).min(arm)
}

const ARM_MM: [f32; 3] = [24.0, 24.0, 25.0];

/// The first ribs beyond what belongs to T1, and the second where the scan reaches it.
fn paint_ribs(canvas: &mut Canvas) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z > -141.0 {
        return;
    }
    let blur_mm = canvas.blur_mm;
    canvas.paint(Extent::wide(78.0, [-60.0, 50.0]), |x, y| {
        let p = [x.abs(), y, z];
        let first = segment3(p, [54.0, -10.0, -147.0], [50.0, -36.0, -160.0]).0;
        let second = segment3(p, [30.0, 14.0, -152.0], [58.0, 14.0, -158.0]).0;
        let second = second.min(segment3(p, [58.0, 14.0, -158.0], [70.0, -12.0, -174.0]).0);
        let d = (first.min(second)) - 4.2;
        if d > 1.0 {
            return (0.0, 0.0);
        }
        (coverage(d, blur_mm), bone_hu(-d, 1.3, 180.0, texture, [x, y, z]))
    });
}

/// Domes with vessels in them.
fn paint_lungs(canvas: &mut Canvas) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z > -134.0 {
        return;
    }
    canvas.paint(Extent::wide(66.0, [-40.0, 40.0]), |x, y| {
        let top = if x > 0.0 { 0.0 } else { 2.0 };
        let d = ellipsoid(x.abs() - 33.0, y + 3.0, z + 176.0 + top, [28.0, 30.0, 38.0])
            + 2.5 * texture.sample(x / 13.0, y / 13.0, z / 13.0);
        let vessel = smoothstep(0.6, 0.85, texture.sample(x / 4.0, y / 4.0, z / 9.0));
        (coverage(d, 1.2), mix(-865.0, -350.0, vessel))
    });
}
