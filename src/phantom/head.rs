//! Skull base, brain stem's surroundings, mandible, teeth, sinuses: what of the head a CT of the neck shows.

use super::build::Build;
use super::canvas::{BLUR_MM, Canvas, Extent, NOTHING};
use super::random::Texture;
use super::shapes::{
    coverage, ellipse, ellipsoid, intersect, mix, rounded_rectangle, segment, segment3, smooth_min, smoothstep,
    surely_beyond, surely_within,
};

/// Compact bone at the surface, spongy within. `depth_mm` is measured inward.
#[inline]
fn bone_hu(depth_mm: f32, shell_mm: f32, spongy_hu: f32, texture: &Texture, at: [f32; 3]) -> f32 {
    let fine = texture.sample(at[0] / 1.3, at[1] / 1.3, at[2] / 1.6);
    mix(spongy_hu + 130.0 * fine, 1250.0 + 80.0 * fine, smoothstep(shell_mm + 0.7, shell_mm - 0.3, depth_mm))
}

const CAVITY_MM: [f32; 3] = [68.0, 46.0, 56.0];

/// Distance to the inside of the skull. The floor of the posterior fossa lies at z = -8.
#[inline]
fn cranial_cavity(x: f32, y: f32, z: f32) -> f32 {
    ellipsoid(x, y - 50.0, z - 48.0, CAVITY_MM)
}

const PETROUS_MM: [f32; 3] = [22.0, 8.0, 9.0];
const CONDYLE_MM: [f32; 3] = [6.5, 10.5, 6.0];

/// Occipital bone with the foramen magnum, clivus, condyles; brain and cistern inside.
fn paint_skull(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z < -30.0 {
        return;
    }
    // The floor of the posterior fossa bulges.
    let low = smoothstep(10.0, -6.0, z);
    // Beyond these margins no unevenness matters, and it is not worked out: it is within 1.4 of zero and moves the
    // cavity by up to 3.4 mm; the bone is at most 11.7 mm thick; seams add up to 2.2 mm.
    const MOVED_MM: f32 = 3.5;
    const SHELL_MM: f32 = 12.0;
    const SEAMS_MM: f32 = 2.8;
    let old_mm = 2.5 + 2.0 * build.old;
    canvas.paint(Extent::wide(74.0, [-30.0, 110.0]), |x, y| {
        let x = x * build.sides[usize::from(x < 0.0)];
        let cavity_at = [x, y - 50.0, z - 48.0];
        let petrous_at = [x.abs() - 33.0, y - 4.0 + 0.5 * (x.abs() - 33.0), z - 19.0];
        let condyle_at = [x.abs() - 17.0, y + 1.0, z - 6.0];
        if (surely_beyond(cavity_at, CAVITY_MM, MOVED_MM + SHELL_MM + SEAMS_MM)
            || surely_within(cavity_at, CAVITY_MM, MOVED_MM + SEAMS_MM))
            && (x.abs() > 13.0 + SEAMS_MM || y > SEAMS_MM + 4.2)
            && surely_beyond(petrous_at, PETROUS_MM, SEAMS_MM)
            && surely_beyond(condyle_at, CONDYLE_MM, SEAMS_MM)
        {
            return NOTHING;
        }
        let uneven = texture.sample(x / 14.0, y / 14.0, z / 14.0) + 0.4 * texture.sample(x / 5.0, y / 5.0, z / 5.0);
        let cavity = cranial_cavity(x, y, z) + (0.8 + 1.6 * low) * uneven;
        let thick = 6.0 + 1.2 * uneven + 4.0 * smoothstep(14.0, 0.0, x.abs()) * smoothstep(40.0, 80.0, y);
        let mut bone = (cavity - thick).max(-cavity);
        let clivus = segment(y, z, [-4.0, 5.0], [-24.0, 32.0]).0 - 4.2;
        bone = smooth_min(bone, clivus.max(x.abs() - 13.0), 3.0);
        let petrous = ellipsoid(petrous_at[0], petrous_at[1], petrous_at[2], PETROUS_MM);
        bone = smooth_min(bone, petrous, 3.0);
        let condyle = ellipsoid(condyle_at[0], condyle_at[1], condyle_at[2], CONDYLE_MM);
        bone = smooth_min(bone, condyle, 2.5);
        let foramen = ellipse(x, y - 15.0, 15.0, 18.0).max(z - 26.0);
        bone = bone.max(-foramen);
        let fill = coverage(bone, BLUR_MM);
        if fill <= 0.0 {
            return NOTHING;
        }
        (fill, bone_hu(-bone, 1.8, 520.0, texture, [x, y, z]))
    });
    canvas.paint(Extent::wide(66.0, [-20.0, 100.0]), |x, y| {
        let x = x * build.sides[usize::from(x < 0.0)];
        if surely_beyond([x, y - 50.0, z - 48.0], CAVITY_MM, MOVED_MM + BLUR_MM) {
            return NOTHING;
        }
        let even = cranial_cavity(x, y, z);
        let (fill, near_bone) = if even < -MOVED_MM - 0.7 - old_mm {
            (1.0, 0.0)
        } else {
            let uneven = texture.sample(x / 14.0, y / 14.0, z / 14.0) + 0.4 * texture.sample(x / 5.0, y / 5.0, z / 5.0);
            let cavity = even + (0.8 + 1.6 * low) * uneven + 0.6;
            (coverage(cavity, BLUR_MM), smoothstep(-old_mm, -1.2, cavity))
        };
        if fill <= 0.0 {
            return NOTHING;
        }
        // Fissures of the cerebellum, and its tentorium.
        let leaf = texture.sample(x / 9.0, y / 2.4, z / 4.0);
        let brain = 35.0 + 3.0 * texture.sample(x / 8.0, y / 8.0, z / 8.0) - 9.0 * smoothstep(0.45, 0.8, leaf);
        (fill, mix(brain, 10.0, near_bone))
    });
}

/// Mastoids with their air cells, styloid processes.
fn paint_mastoids(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z < -26.0 {
        return;
    }
    for side in [1.0, -1.0] {
        canvas.paint(Extent::around(side * 52.0, 7.0, 11.0, 16.0), |x, y| {
            let d = ellipsoid(x.abs() - 52.0, y - 7.0, z - 4.0, [9.5, 14.0, 19.0]);
            let fill = coverage(d, BLUR_MM);
            if fill <= 0.0 {
                return NOTHING;
            }
            let cell = texture.sample(x / 2.6, y / 2.6, z / 2.6 + 5.0) + 0.7 * build.mastoid_air - 0.35;
            let pneumatised = smoothstep(0.0, 0.25, cell) * smoothstep(-1.4, -2.4, d);
            (fill, mix(900.0, -850.0, pneumatised))
        });
        canvas.paint(Extent::around(side * 35.5, -11.5, 7.0, 10.0), |x, y| {
            let d = segment3([x.abs(), y, z], [39.0, -5.0, 12.0], [32.0, -18.0, -24.0]).0 - 1.7;
            (coverage(d, BLUR_MM), 1000.0)
        });
    }
}

/// Position in the average jaw: this patient's is wider or narrower and stands forward or back.
#[inline]
fn jaw_frame(x: f32, y: f32, build: &Build) -> [f32; 2] {
    let front = smoothstep(-20.0, -70.0, y);
    [x / build.face * build.sides[usize::from(x < 0.0)], y + build.chin_mm * front]
}

/// Height along which the jaw's body runs: it falls to the front.
#[inline]
fn jaw_plane(y: f32) -> f32 {
    -26.0 + 0.12 * (y + 40.0)
}

/// Distance to the horseshoe of the mandible's body in the plane.
#[inline]
fn horseshoe(x: f32, y: f32, inset: f32) -> f32 {
    let curve = ellipse(x, y + 38.0, 45.0 - inset, 53.0 - inset).abs();
    if y < -38.0 { curve } else { segment(x.abs(), y, [45.0 - inset, -38.0], [47.0 - inset, -34.0]).0 }
}

fn paint_mandible(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z < -56.0 {
        return;
    }
    /// Reach of the bone's edge and of the seam between body and ramus.
    const SEAM_MM: f32 = 1.3;
    let back = -24.0 + 0.18 * (z + 30.0);
    let half = 15.0 - 5.0 * smoothstep(-10.0, 14.0, z);
    canvas.paint(Extent::wide(62.0, [-114.0, -8.0]), |x, y| {
        let [x, y] = jaw_frame(x, y, build);
        // The ramus: a plate that narrows into the neck of the condyle.
        let ramus = [x.abs() - 47.5 - 0.05 * (z + 10.0), y - back + half];
        let no_body = (z - jaw_plane(y)).abs() > 12.0 + SEAM_MM;
        let no_ramus = z < -36.0 - SEAM_MM || ramus[0].abs() > 3.6 + SEAM_MM || ramus[1].abs() > half + SEAM_MM;
        if no_body && no_ramus {
            return NOTHING;
        }
        // The lower border stands back and is thinner.
        let low = smoothstep(-2.0, -12.0, z - jaw_plane(y));
        let body = horseshoe(x, y, 3.5 * low) - 5.2 + 1.2 * low;
        let body = intersect(body, (z - jaw_plane(y)).abs() - 12.0, 2.0);
        let ramus = rounded_rectangle(ramus[0], ramus[1], 3.6, half, 3.0).max(-36.0 - z);
        let d = smooth_min(body, ramus, 3.0);
        let fill = coverage(d, BLUR_MM);
        if fill <= 0.0 {
            return NOTHING;
        }
        // The canal of the inferior alveolar nerve.
        let canal = horseshoe(x, y, 0.0).max((z - jaw_plane(y) + 4.0).abs()) - 1.4;
        let hu = bone_hu(-d, 2.2, 420.0, texture, [x, y, z]);
        (fill, mix(hu, 60.0, coverage(canal, 1.0) * smoothstep(-70.0, -60.0, y)))
    });
}

/// Upper jaw, hard palate, both rows of teeth.
fn paint_teeth(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z > -14.0 {
        canvas.paint(Extent::wide(56.0, [-112.0, -28.0]), |x, y| {
            let [x, y] = jaw_frame(x, y, build);
            let ridge = intersect((horseshoe(x, y, 6.0) - 5.0).max(y + 42.0), (z - 1.0).abs() - 7.5, 3.0);
            let palate =
                ellipse(x, y + 62.0, 32.0, 27.0).max((z - 8.0 + 0.011 * x * x - 0.09 * (y + 62.0)).abs() - 1.3);
            let d = ridge.min(palate);
            let fill = coverage(d, BLUR_MM);
            if fill <= 0.0 {
                return NOTHING;
            }
            (fill, bone_hu(-d, 1.2, 380.0, texture, [x, y, z]))
        });
    }
    // Crown positions along the arch by |x|; y follows from the ellipse.
    const ROW: [f32; 7] = [3.8, 11.5, 18.5, 24.8, 30.2, 34.6, 37.6];
    for (row, (upper, crown, root, inset)) in
        [(true, -11.0, 5.0, 5.0), (false, -14.0, -29.0, 3.5)].into_iter().enumerate()
    {
        let (low, high) = if upper { (crown, root) } else { (root, crown) };
        if z < low || z > high {
            continue;
        }
        let from_crown = (z - crown).abs();
        for (place, along) in ROW.into_iter().enumerate() {
            for side in [1.0, -1.0] {
                let bit = place + if side > 0.0 { 0 } else { ROW.len() };
                if build.missing_teeth[row] >> bit & 1 == 1 {
                    continue;
                }
                let filled = build.filled_teeth[row] >> bit & 1 == 1 && place > 2 && from_crown < 6.0;
                let (rx, ry) = (45.0 - inset, 53.0 - inset);
                let cy = -38.0 - ry * (1.0 - along * along / (rx * rx)).max(0.0).sqrt();
                paint_tooth(canvas, build, Tooth { x: side * along, y: cy, from_crown, molar: place > 2, filled });
            }
        }
    }
}

/// One tooth in one plane, in the average jaw.
struct Tooth {
    x: f32,
    y: f32,
    from_crown: f32,
    molar: bool,
    filled: bool,
}

fn paint_tooth(canvas: &mut Canvas, build: &Build, tooth: Tooth) {
    /// Amalgam or gold: beyond what the scanner can tell.
    const METAL_HU: f32 = 9000.0;
    let (texture, z) = (canvas.texture, canvas.z_mm);
    let taper = 1.0 - 0.035 * tooth.from_crown;
    // No two teeth are alike.
    let own = texture.sample(tooth.x / 2.0, 0.5, 13.5);
    let (tx, ty) = if tooth.molar { (4.3, 4.4) } else { (3.1, 3.5) };
    let (tx, ty) = (tx * taper * (1.0 + 0.1 * own), ty * taper * (1.0 - 0.1 * own));
    let lean = 0.05 * own * tooth.from_crown;
    let at = [tooth.x * build.face, tooth.y - build.chin_mm];
    canvas.paint(Extent::around(at[0], at[1], 10.0, 10.0), |x, y| {
        let [x, y] = jaw_frame(x, y, build);
        let (dx, dy) = (x - tooth.x - lean, y - tooth.y - 0.8 * own);
        // Its own unevenness and the ramp of its edge included.
        const EDGE_MM: f32 = 1.2;
        if dx.abs() > tx + EDGE_MM || dy.abs() > ty + EDGE_MM {
            return NOTHING;
        }
        let d = ellipse(dx, dy, tx, ty) + 0.4 * texture.sample(x / 2.0, y / 2.0, z / 3.0);
        let fill = coverage(d, BLUR_MM);
        if fill <= 0.0 {
            return NOTHING;
        }
        let enamel = smoothstep(-1.6, -0.9, d) * smoothstep(8.0, 6.5, tooth.from_crown);
        let pulp = smoothstep(-2.2, -2.8, d);
        let hu = mix(mix(1550.0, 2400.0, enamel), 700.0, pulp);
        let hu = if tooth.filled { mix(hu, METAL_HU, coverage(d + 1.6, BLUR_MM)) } else { hu };
        (fill, hu)
    });
}

/// Nasal cavity with septum and turbinates, maxillary sinuses, air in the mouth.
fn paint_cavities(canvas: &mut Canvas, build: &Build) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    if z > 7.0 {
        let sinus = smoothstep(7.0, 13.0, z);
        canvas.paint(Extent::wide(46.0, [-86.0, -38.0]), |x, y| {
            let d = ellipse(x.abs() - 29.0, y + 62.0, 13.0 * sinus + 1.0, 17.0 * sinus + 1.0);
            (coverage(d - 1.4, BLUR_MM), mix(-1000.0, 700.0, coverage(-d - 0.3, BLUR_MM)))
        });
        canvas.paint(Extent::wide(17.0, [-104.0, -34.0]), |x, y| {
            let fill = coverage(rounded_rectangle(x, y + 67.0, 13.5, 32.0, 8.0), BLUR_MM);
            if fill <= 0.0 {
                return NOTHING;
            }
            let x = x + build.airway_x_mm * smoothstep(-100.0, -70.0, y);
            let septum = (x + 1.2 * texture.sample(0.0, y / 12.0, 0.0)).abs() - 1.1;
            let turbinate = segment(x.abs(), y, [7.6, -84.0], [7.0, -46.0]).0 - 3.0;
            let tissue = coverage(septum.min(turbinate), BLUR_MM);
            (fill, mix(-1000.0, 45.0, tissue))
        });
    }
    if z < 2.0 && z > -8.0 {
        canvas.paint(Extent::wide(24.0, [-92.0, -60.0]), |x, y| {
            let gap = ellipse(x, y + 74.0, 18.0, 14.0).max((z - 1.0 + 0.012 * x * x).abs() - 1.4);
            (coverage(gap, BLUR_MM), -950.0)
        });
    }
}

/// The head's parts that this slice meets.
pub fn paint_head(canvas: &mut Canvas, build: &Build) {
    paint_skull(canvas, build);
    paint_mastoids(canvas, build);
    paint_cavities(canvas, build);
    paint_mandible(canvas, build);
    paint_teeth(canvas, build);
}
