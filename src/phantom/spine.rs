//! The vertebrae C1 to T1, the discs, the canal with its cord. Every vertebra is a signed distance in its own frame:
//! `x` lateral, `p` posterior from the back of the vertebral body, `w` towards the head, mm.

use std::ops::Range;

use super::canvas::{Canvas, Extent};
use super::column::{Kind, Vertebra};
use super::fracture::Break;
use super::random::Texture;
use super::shapes::{
    coverage, ellipse, ellipsoid, extrude, intersect, mix, rounded_rectangle, segment, segment3, smooth_min, smoothstep,
};

/// Farther from a bone than this nothing is worked out exactly.
const FAR_MM: f32 = 12.0;

/// The back of the vertebral bodies in the midsagittal plane of the average neck: a gentle lordosis.
pub fn canal_line_mm(z_mm: f32) -> f32 {
    let from_apex = z_mm + 58.0;
    0.0014 * from_apex * from_apex - 1.5
}

impl Vertebra {
    /// Signed distance to the bone's surface.
    #[inline]
    pub fn distance(&self, at: [f32; 3]) -> f32 {
        let [x, p, w] = at;
        let side = usize::from(x < 0.0);
        let across = x.abs() * self.width[side];
        let mut d = match self.kind {
            Kind::Atlas => atlas(across, p, w),
            Kind::Axis => self.axis(side, across, p, w),
            Kind::Typical => self.typical(side, across, p, w),
        };
        for bump in &self.bumps {
            let [dx, dp, dw] = [x - bump.centre[0], p - bump.centre[1], w - bump.centre[2]];
            if dx.abs() + dp.abs() + dw.abs() < FAR_MM {
                let bump_d = ellipsoid(dx, dp, dw, bump.radii);
                d = if bump.separate { d.min(bump_d) } else { smooth_min(d, bump_d, 1.5) };
            }
        }
        for cleft in &self.clefts {
            d = d.max(-cleft.distance(at));
        }
        d
    }

    fn body(&self, x: f32, p: f32, w: f32) -> f32 {
        let height = self.half_height;
        let waist = 0.9 * (1.0 - (w / height).abs()).max(0.0);
        let half_depth = 0.5 * self.depth;
        let outline = rounded_rectangle(x, p + half_depth, self.half_width - waist, half_depth - 0.6 * waist, 6.8);
        // The back is flat to hollow, the front round.
        let outline = outline.max(0.03 * (90.0 - x * x).max(0.0) - 2.7 + p + 0.8);
        // Concave endplates; the uncinate processes rise at the sides and the level above gives way to them.
        let dish = self.dish * (1.0 - (x / 9.0) * (x / 9.0)).max(0.0);
        let side = smoothstep(self.half_width - 5.0, self.half_width - 0.5, x);
        let reach =
            if w > 0.0 { self.uncinate * side * smoothstep(-15.0, -9.0, p) } else { -0.55 * self.uncinate * side };
        // Wedged in front: an old, healed compression.
        let front = smoothstep(-2.0, -self.depth, p);
        let lost = if w > 0.0 { self.wedge * front } else { 0.25 * self.wedge * front };
        extrude(outline, w, height - dish + reach - lost, 1.2)
    }

    /// The articular pillar, cut above and below along the facets, which fall to posterior.
    fn pillar_at(&self, x: f32, p: f32, w: f32) -> f32 {
        let half = 5.7 * self.pillar_size;
        let outline = rounded_rectangle(x - self.pillar_x, p - 5.5, half, 0.95 * half, 3.6);
        let sheared = w + self.facet_slope * (p - 5.5);
        let [above, below] = self.pillar;
        let ends = ((sheared - 0.5 * (above - below)).abs() - 0.5 * (above + below)) * 0.78;
        intersect(outline, ends, 1.0)
    }

    /// Front and back bar of the transverse process with the lamella that closes its foramen.
    fn transverse(&self, side: usize, x: f32, p: f32, w: f32) -> f32 {
        let w = w + 1.0 + 0.3 * (x - 16.0);
        let reach = self.reach[side];
        let (front, _) = segment(x, p, [10.5, -5.5], [20.3, -9.0]);
        let (back, t) = segment(x, p, [16.5, 2.0], [reach, 0.0]);
        let (lamella, _) = segment(x, p, [20.4, -8.0], [21.6, -0.5]);
        let tubercle = ((x - 20.8) * (x - 20.8) + (p + 9.2) * (p + 9.2)).sqrt() - 2.4;
        let long = extrude(back - 2.3 + 0.3 * t, w, 3.6, 1.8);
        let ring = extrude((front - 1.6).min(lamella - 1.4).min(tubercle), w, 2.9, 1.3);
        let to_foramen = ((x - 16.2) * (x - 16.2) + (p + 3.8) * (p + 3.8)).sqrt() - self.foramen_radius[side];
        let rim = extrude((to_foramen - 1.1).abs() - 1.1, w, 2.7, 1.2);
        smooth_min(smooth_min(ring, rim, 1.5), long, 1.8)
    }

    fn arch(&self, x: f32, p: f32, w: f32) -> f32 {
        let half = self.lamina_half;
        let (upper, _) = segment(x, p + 0.3 * w, [17.0, 9.0], [8.5, 14.6]);
        let (lower, _) = segment(x, p + 0.3 * w, [8.5, 14.6], [1.0, 17.0]);
        let lamina = extrude(upper.min(lower) - half, w + 1.0, 5.4, 1.6);
        if self.spinous <= 0.0 {
            return lamina;
        }
        let stem = if self.bifid { 0.7 * self.spinous } else { self.spinous };
        let x = x.abs();
        let (spinous, t) = segment(x, p, [0.0, 16.8], [0.0, 16.8 + stem]);
        let sunk = w + 1.5 + self.spinous_drop * stem * t;
        let waist = 0.35 * (1.0 - (2.0 * t - 1.0) * (2.0 * t - 1.0));
        let mut d = extrude(spinous - half * (1.0 - waist), sunk, 4.8 - 1.2 * t, 1.5);
        let tip_w = -1.5 - self.spinous_drop * self.spinous;
        let tip = if self.bifid {
            let root = [0.3, 16.8 + 0.62 * self.spinous, -1.5 - self.spinous_drop * stem];
            segment3([x, p, w], root, [4.2, 16.8 + self.spinous, tip_w]).0 - 2.0
        } else {
            let (dx, dp, dw) = (x, p - 15.5 - self.spinous, w - tip_w);
            (dx * dx + dp * dp + dw * dw * 0.5).sqrt() - 3.4
        };
        d = smooth_min(d, tip, 1.8);
        smooth_min(d, lamina, 2.5)
    }

    fn typical(&self, side: usize, x: f32, p: f32, w: f32) -> f32 {
        let mut d = FAR_MM;
        let high = w > -15.0;
        if high && p < 7.0 && x < self.half_width + 7.0 {
            d = self.body(x, p, w);
        }
        if high && p > -9.0 && p < 12.0 && x > 4.0 && x < 25.0 {
            let (pedicle, _) = segment(x, p, [8.0, -2.5], [17.0, 4.5]);
            d = smooth_min(d, extrude(pedicle - self.pedicle_half, w - 1.0, 3.4, 1.7), 2.5);
        }
        if w > -22.0 && p > -6.0 && p < 20.0 && x > 8.0 {
            d = smooth_min(d, self.pillar_at(x, p, w), 2.0);
        }
        if p > 2.0 && w < 14.0 && (x < 10.0 || p + 0.3 * w < 22.0) {
            d = smooth_min(d, self.arch(x, p, w), 2.0);
        }
        if high && p > -18.0 && p < 9.0 && x > 5.0 {
            d = smooth_min(d, self.transverse(side, x, p, w), 2.0);
        }
        if self.has_rib {
            let rib = segment3([x, p, w], [16.0, 0.0, 2.0], [38.0, 6.0, -2.0]).0;
            let rib = rib.min(segment3([x, p, w], [38.0, 6.0, -2.0], [58.0, -14.0, -8.0]).0);
            return d.min(rib - 3.2);
        }
        d.max(self.foramen(side, x, p))
    }

    fn foramen(&self, side: usize, x: f32, p: f32) -> f32 {
        self.foramen_radius[side] - ((x - 16.2) * (x - 16.2) + (p + 3.8) * (p + 3.8)).sqrt()
    }

    fn axis(&self, side: usize, x: f32, p: f32, w: f32) -> f32 {
        let spread = smoothstep(10.0, -8.0, w);
        let outline = rounded_rectangle(x, p + 7.5, 7.5 + 2.5 * spread, 6.6 + 1.2 * spread, 5.0);
        let mut d = extrude(outline, w, self.half_height, 1.5);
        // The dens leans back or forward a little.
        let lean = self.dens_lean;
        let (dens, t) = segment3([x, p, w], [0.0, -8.0, 8.0], [0.0, -8.3 + lean, 20.6]);
        let neck = 1.0 - (t - 0.25).abs() * 4.0;
        d = smooth_min(d, dens - 4.9 + 0.6 * neck.max(0.0), 2.5);
        let (facet, t) = segment(x, p, [7.0, -6.0], [14.5, -4.5]);
        d = smooth_min(d, extrude(facet - 6.0, w - 8.0 + 4.5 * t, 4.4, 1.8), 2.0);
        let (pars, t) = segment(x, p, [12.0, -3.0], [18.0, 6.0]);
        d = smooth_min(d, extrude(pars - 3.6, w - 3.0 + 6.0 * t, 5.4, 2.0), 2.0);
        d = smooth_min(d, self.pillar_at(x, p, w), 2.0);
        if p > 2.0 {
            d = smooth_min(d, self.arch(x, p, w + 2.0), 2.0);
        }
        d = smooth_min(d, self.transverse(side, x, p, w), 1.5);
        d.max(self.foramen(side, x, p))
    }

    /// HU of the bone's substance at a depth below its surface: a shell of compact bone over textured spongy bone.
    pub fn substance(&self, at: [f32; 3], depth_mm: f32, uneven: f32, texture: &Texture) -> f32 {
        let [x, p, w] = at;
        let behind = smoothstep(-2.0, 5.0, p);
        let shell_mm = self.shell_scale
            * match self.kind {
                Kind::Typical => mix(0.75, 1.9, behind),
                Kind::Axis => mix(1.4, 2.0, behind),
                Kind::Atlas => 2.0,
            };
        let shell_mm = shell_mm * (1.0 + 0.5 * uneven);
        let compact = smoothstep(shell_mm + 0.9, shell_mm - 0.5, depth_mm);
        let phase = self.phase;
        let fine = texture.sample(x / 0.8 + phase, p / 0.8, w / 1.2);
        let middle = texture.sample(x / 1.7 + phase, p / 1.7 + 11.0, w / 2.4);
        let coarse = texture.sample(x / 4.1, p / 4.1 + phase, w / 4.1);
        let grain = self.spongy_grain * (0.62 * fine + 0.5 * middle + 0.45 * coarse);
        let mut mean = self.spongy_hu * mix(1.0, 1.25, behind);
        if self.kind == Kind::Axis {
            // A weak zone between dens and body.
            mean *= mix(1.0, 0.62, smoothstep(5.0, 1.5, (w - 9.0).abs()) * smoothstep(7.0, 5.0, x.abs()));
        }
        let mut spongy = (mean * (1.0 + 3.0 * grain)).max(-60.0);
        for channel in &self.channels {
            spongy = channel.laid_into(spongy, at);
        }
        mix(spongy, self.compact_hu * mix(0.82, 1.0, behind) + 140.0 * coarse + 60.0 * fine, compact)
    }

    /// How uneven the surface is at a point, -1 to 1.
    #[inline]
    pub fn unevenness(&self, [x, p, w]: [f32; 3], texture: &Texture) -> f32 {
        texture.sample(x / 3.3 + self.phase, p / 3.3, w / 3.3)
    }

    /// How much of a pixel is bone, and its HU; or the distance within which there is none.
    #[inline]
    pub fn bone(&self, at: [f32; 3], blur_mm: f32, texture: &Texture) -> Result<(f32, f32), f32> {
        let d = self.distance(at);
        if d > blur_mm + 0.5 {
            return Err(d - blur_mm - 0.5);
        }
        let uneven = self.unevenness(at, texture);
        let d = d + 0.45 * uneven;
        let fill = coverage(d, blur_mm);
        Ok(if fill <= 0.0 { (0.0, 0.0) } else { (fill, self.substance(at, -d, uneven, texture)) })
    }
}

/// A ring of two arches and two lateral masses, open for the dens in front and the cord behind.
fn atlas(x: f32, p: f32, w: f32) -> f32 {
    let (front_a, _) = segment(x, p, [0.0, -17.8], [9.0, -16.0]);
    let (front_b, _) = segment(x, p, [9.0, -16.0], [15.0, -8.0]);
    let front = extrude(front_a.min(front_b) - 2.5, w, 5.0, 2.0);
    let tubercle = ellipsoid(x, p + 19.5, w + 0.5, [3.5, 2.5, 4.5]);
    let mass = rounded_rectangle(x - 18.0, p + 4.0, 6.5, 8.0, 5.0);
    // The upper facets are cups for the condyles, the lower ones fall to the side.
    let cup = 2.5 * smoothstep(7.0, 0.0, (x - 17.0).abs());
    let mass = extrude(mass, w + 0.5 + 0.2 * (x - 18.0), 8.6 - if w > 0.0 { cup } else { 0.0 }, 2.0);
    let (back_a, _) = segment(x, p, [18.0, 3.0], [14.0, 11.0]);
    let (back_b, _) = segment(x, p, [14.0, 11.0], [6.0, 17.0]);
    let (back_c, _) = segment(x, p, [6.0, 17.0], [0.0, 18.8]);
    let back = extrude(back_a.min(back_b).min(back_c) - 2.5, w + 1.0, 4.2, 2.0);
    let back_tubercle = ellipsoid(x, p - 20.0, w + 1.0, [3.0, 3.2, 4.0]);
    let to_foramen = ((x - 27.0) * (x - 27.0) + (p + 1.0) * (p + 1.0)).sqrt();
    let ring = extrude((to_foramen - 4.6).abs() - 1.7, w + 1.0, 3.5, 1.4);
    let (process, _) = segment(x, p, [31.0, 0.0], [36.0, 1.5]);
    let ring = smooth_min(ring, extrude(process - 2.8, w + 1.0, 4.0, 2.0), 2.0);
    let mut d = smooth_min(front, tubercle, 2.0);
    d = smooth_min(d, mass, 2.5);
    d = smooth_min(d, smooth_min(back, back_tubercle, 2.0), 2.0);
    d = smooth_min(d, ring, 2.0);
    d.max(3.0 - to_foramen)
}

/// Discs: the bodies' outline wherever there is no body. Painted before the bones.
pub fn paint_discs(canvas: &mut Canvas) {
    let (z, texture, spine) = (canvas.z_mm, canvas.texture, &canvas.patient.spine);
    if z > -33.0 {
        return;
    }
    let back = canal_line_mm(z);
    let half_width = mix(11.0, 14.0, smoothstep(-36.0, -137.0, z));
    let blur_mm = canvas.blur_mm;
    canvas.paint(Extent::wide(16.0, [back - 18.0, back + 2.0]), |x, y| {
        let d = rounded_rectangle(x, y - back + 8.0, half_width - 0.3, 7.8, 5.5);
        let ring = smoothstep(-4.0, -0.5, d);
        (coverage(d, blur_mm), mix(80.0, 105.0, ring) + 6.0 * texture.sample(x / 3.0, y / 3.0, z / 3.0))
    });
    for (upper, disc) in spine.vertebrae[1..].iter().zip(&spine.discs) {
        if !disc.fused && disc.gas_hu.is_none() {
            continue;
        }
        let frame = upper.frame(z, &canvas.patient.posture);
        let Some(extent) = upper.extent_at(z, &canvas.patient.posture) else { continue };
        canvas.paint(extent, |x, y| {
            let [x, p, w] = frame.local(x, y);
            let within = w + upper.half_height + 0.5 * disc.height_mm;
            let outline = rounded_rectangle(x, p + 8.0, upper.half_width - 1.0, 7.5, 5.5);
            if disc.fused {
                let d = outline.max(within.abs() - 0.5 * disc.height_mm - 1.5);
                (
                    coverage(d, blur_mm),
                    if d > -1.2 { 800.0 } else { 320.0 + 90.0 * texture.sample(x / 1.2, p / 1.2, w) },
                )
            } else {
                let cloud = texture.sample(x / 4.0 + upper.phase, p / 3.0, 2.5);
                let d = (outline + 3.0 - 2.5 * cloud).max(within.abs() - 0.22 * disc.height_mm);
                (coverage(d, blur_mm), disc.gas_hu.unwrap_or(-300.0))
            }
        });
    }
}

/// The canal: epidural fat, dural sac, cord. Painted before the bones, which cut it to shape.
pub fn paint_canal(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let centre = canal_line_mm(z) + 7.2;
    let wide = smoothstep(-30.0, 0.0, z);
    let blur_mm = canvas.blur_mm.max(0.9);
    canvas.paint(Extent::around(0.0, centre, 14.0, 14.0), |x, y| {
        (coverage(rounded_rectangle(x, y - centre, 11.0, 7.6 + 3.0 * wide, 6.0), blur_mm), -40.0)
    });
    let (rx, ry) = (mix(10.2, 13.0, wide), mix(6.3, 10.5, wide));
    canvas.paint(Extent::around(0.0, centre, 14.0, 14.0), |x, y| {
        (coverage(ellipse(x, y - centre, rx, ry), blur_mm), 12.0)
    });
    let (rx, ry) = (mix(6.6, 6.0, wide), mix(3.9, 5.2, wide));
    canvas
        .paint(Extent::around(0.0, centre, 8.0, 8.0), |x, y| (coverage(ellipse(x, y - centre, rx, ry), blur_mm), 42.0));
}

/// What fills the facet joints: cartilage, in the worn gas.
fn paint_joints(canvas: &mut Canvas) {
    let (z, blur_mm) = (canvas.z_mm, canvas.blur_mm);
    let patient = canvas.patient;
    for (vertebra, joint) in patient.spine.vertebrae[1..].iter().zip(&patient.spine.joints) {
        if vertebra.extent_at(z, &patient.posture).is_none() {
            continue;
        }
        let frame = vertebra.frame(z, &patient.posture);
        let sheared = |p: f32, w: f32| w + vertebra.facet_slope * (p - 5.5) + vertebra.pillar[1] + 0.6 * joint.gap_mm;
        let edge_mm = 0.5 * blur_mm + 0.1;
        let reach_mm = (0.6 * joint.gap_mm + edge_mm) / 0.78;
        let paint = |x: f32, y: f32| {
            let [x, p, w] = frame.local(x, y);
            let hu = if x < 0.0 { joint.hu[1] } else { joint.hu[0] };
            let outline = rounded_rectangle(x.abs() - vertebra.pillar_x, p - 5.5, 5.4, 5.0, 3.6);
            (coverage(outline.max(0.78 * sheared(p, w).abs() - 0.6 * joint.gap_mm), blur_mm), hu)
        };
        for side in [1.0, -1.0] {
            let extent = frame.extent([side * vertebra.pillar_x, 5.5], [5.4 + edge_mm, 5.0 + edge_mm]);
            // The joint is a plane, so the corners tell whether it passes.
            let corners = extent.x.map(|x| extent.y.map(|y| frame.local(x, y)).map(|[_, p, w]| sheared(p, w)));
            let (least, most) = corners
                .iter()
                .flatten()
                .fold((f32::MAX, f32::MIN), |(least, most), at| (least.min(*at), most.max(*at)));
            if least <= reach_mm && most >= -reach_mm {
                canvas.paint(extent, paint);
            }
        }
    }
}

/// Columns and rows that hold all that [`paint_vertebrae`] can change.
pub fn pixels_of_vertebrae(canvas: &Canvas) -> [Range<usize>; 2] {
    let patient = canvas.patient;
    let extents = patient.spine.vertebrae.iter().filter_map(|v| v.extent_at(canvas.z_mm, &patient.posture));
    extents.map(|extent| canvas.pixels(extent)).reduce(spanning).unwrap_or([0..0, 0..0])
}

/// What holds both of two rectangles.
pub fn spanning(a: [Range<usize>; 2], b: [Range<usize>; 2]) -> [Range<usize>; 2] {
    [0, 1].map(|i| match (a[i].is_empty(), b[i].is_empty()) {
        (true, _) => b[i].clone(),
        (_, true) => a[i].clone(),
        _ => a[i].start.min(b[i].start)..a[i].end.max(b[i].end),
    })
}

/// All vertebrae that meet this slice, with the breaks there are. Says on request which vertebra each pixel belongs to:
/// 1 to 8 for C1 to T1, 0 for none.
pub fn paint_vertebrae(canvas: &mut Canvas, breaks: &[Break], numbered: bool) -> Vec<u8> {
    paint_joints(canvas);
    let (z, texture, blur_mm) = (canvas.z_mm, canvas.texture, canvas.blur_mm);
    let patient = canvas.patient;
    let mut numbers = if numbered { vec![0_u8; canvas.matrix * canvas.matrix] } else { Vec::new() };
    for (number, vertebra) in (1_u8..).zip(&patient.spine.vertebrae) {
        let Some(extent) = vertebra.extent_at(z, &patient.posture) else { continue };
        let frame = vertebra.frame(z, &patient.posture);
        if let Some(broken) = breaks.iter().find(|b| b.level == vertebra.level && b.reaches(z, vertebra)) {
            canvas.paint(extent, |x, y| broken.bone(vertebra, frame.local(x, y), blur_mm, texture));
        } else {
            canvas.paint_bone(extent, |x, y, at| {
                let (fill, hu) = vertebra.bone(frame.local(x, y), blur_mm, texture)?;
                if fill > 0.5
                    && let Some(pixel) = numbers.get_mut(at)
                {
                    *pixel = number;
                }
                Ok((fill, hu))
            });
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::canvas::Grid;
    use crate::phantom::{Fractured, PatientSpec, Person};

    #[test]
    fn pixels_passed_over_hold_no_bone() {
        let person = Person::new(&PatientSpec { fractured: Fractured::No, ..PatientSpec::new(12) });
        let texture = Texture::new(12);
        let grid = Grid { matrix: 256, pixel_mm: 0.5, centre_mm: [0.0, 10.0], top_z_mm: 0.0, slice_mm: 1.0, slices: 1 };
        for z in [-8.0, -15.0, -24.0, -40.0, -58.0, -75.5, -93.0, -112.0, -131.0] {
            let mut quick = Canvas::new(z, &grid, &person, &texture);
            paint_vertebrae(&mut quick, &[], false);
            let mut thorough = Canvas::new(z, &grid, &person, &texture);
            paint_joints(&mut thorough);
            for vertebra in &person.spine.vertebrae {
                let Some(extent) = vertebra.extent_at(thorough.z_mm, &person.posture) else { continue };
                let frame = vertebra.frame(thorough.z_mm, &person.posture);
                let blur_mm = thorough.blur_mm;
                thorough
                    .paint(extent, |x, y| vertebra.bone(frame.local(x, y), blur_mm, &texture).unwrap_or((0.0, 0.0)));
            }
            let missed = quick.hu.iter().zip(&thorough.hu).filter(|(a, b)| a != b).count();
            assert_eq!(missed, 0, "z = {z}");
        }
    }
}
