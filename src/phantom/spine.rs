//! The vertebrae C1 to T1, the discs, the canal with its cord. Every vertebra is a signed distance in its own frame:
//! `x` lateral, `p` posterior from the back of the vertebral body, `w` towards the head, mm. Left and right are alike,
//! so most functions take `|x|`.

use super::canvas::{BLUR_MM, Canvas, Extent};
use super::fracture::Fracture;
use super::random::Texture;
use super::shapes::{
    coverage, ellipse, extrude, intersect, mix, rounded_rectangle, segment, segment3, smooth_min, smoothstep,
};

/// Which vertebra; the shape follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Atlas,
    Axis,
    /// C3 to T1.
    Typical,
}

/// One vertebra with its place on the canal line and its sizes, mm.
#[derive(Debug, Clone, Copy)]
pub struct Vertebra {
    pub name: &'static str,
    pub kind: Kind,
    z: f32,
    y: f32,
    /// Tangent of the tilt: posterior shift per mm towards the head.
    slope: f32,
    half_width: f32,
    half_height: f32,
    /// The articular pillar's reach above and below the middle.
    pillar: [f32; 2],
    spinous: f32,
    spinous_drop: f32,
    bifid: bool,
    foramen_radius: f32,
    /// How far the transverse process reaches from the midline.
    reach: f32,
    /// HU of its spongy bone.
    spongy_hu: f32,
}

/// The back of the vertebral bodies in the midsagittal plane: a gentle lordosis.
pub fn canal_line_mm(z_mm: f32) -> f32 {
    let from_apex = z_mm + 58.0;
    0.0014 * from_apex * from_apex - 1.5
}

fn canal_slope(z_mm: f32) -> f32 {
    0.0028 * (z_mm + 58.0)
}

impl Vertebra {
    fn new(name: &'static str, kind: Kind, z: f32, half_width: f32, half_height: f32, pillar: [f32; 2]) -> Self {
        Self {
            name,
            kind,
            z,
            y: canal_line_mm(z),
            slope: canal_slope(z),
            half_width,
            half_height,
            pillar,
            spinous: 14.0,
            spinous_drop: 0.35,
            bifid: true,
            foramen_radius: 2.9,
            reach: 25.5,
            spongy_hu: 330.0,
        }
    }

    /// Frame coordinates `(p, w)` of an anatomical point.
    #[inline]
    pub fn local(&self, y: f32, z: f32) -> (f32, f32) {
        let (dy, dz) = (y - self.y, z - self.z);
        let norm = 1.0 / (1.0 + self.slope * self.slope).sqrt();
        ((dy - self.slope * dz) * norm, (dy * self.slope + dz) * norm)
    }

    /// Whether a slice can meet this vertebra, and where in it.
    pub fn extent_at(&self, z_mm: f32) -> Option<Extent> {
        let (above, below) = match self.kind {
            Kind::Atlas => (12.0, 13.0),
            Kind::Axis => (28.0, 26.0),
            Kind::Typical => (16.0, 24.0 + self.spinous * 0.35),
        };
        let inside = z_mm < self.z + above && z_mm > self.z - below;
        inside.then(|| Extent::wide(self.reach + 16.0, [self.y - 32.0, self.y + 32.0 + self.spinous]))
    }

    /// Signed distance to the bone's surface.
    #[inline]
    pub fn distance(&self, x: f32, p: f32, w: f32) -> f32 {
        match self.kind {
            Kind::Atlas => atlas(x, p, w),
            Kind::Axis => self.axis(x, p, w),
            Kind::Typical => self.typical(x, p, w),
        }
    }

    fn body(&self, x: f32, p: f32, w: f32) -> f32 {
        let waist = 0.7 * (1.0 - (w / self.half_height).abs()).max(0.0);
        let outline = rounded_rectangle(x, p + 8.0, self.half_width - waist, 8.3 - waist, 6.8);
        let outline = outline.max(0.035 * (100.0 - x * x).max(0.0) - 3.5 + p + 0.9);
        // Concave endplates; the uncinate processes rise at the sides and the level above gives way to them.
        let dish = 0.9 * (1.0 - (x / 9.0) * (x / 9.0)).max(0.0);
        let side = smoothstep(self.half_width - 4.0, self.half_width - 0.5, x);
        let reach = if w > 0.0 { 3.6 * side * smoothstep(-15.0, -9.0, p) } else { -2.2 * side };
        extrude(outline, w, self.half_height - dish + reach, 1.2)
    }

    /// The articular pillar, cut above and below along the facets, which fall to posterior at about 40 degrees.
    fn pillar_at(&self, x: f32, p: f32, w: f32) -> f32 {
        let outline = rounded_rectangle(x - 19.0, p - 5.5, 5.8, 5.4, 3.6);
        let sheared = w + 0.8 * (p - 5.5);
        let [above, below] = self.pillar;
        let ends = ((sheared - 0.5 * (above - below)).abs() - 0.5 * (above + below)) * 0.78;
        intersect(outline, ends, 1.0)
    }

    fn transverse(&self, x: f32, p: f32, w: f32) -> f32 {
        let w = w + 1.0 + 0.25 * (x - 16.0);
        let to_foramen = ((x - 16.2) * (x - 16.2) + (p + 4.0) * (p + 4.0)).sqrt();
        let ring = extrude((to_foramen - self.foramen_radius - 1.3).abs() - 1.3, w, 3.3, 1.0);
        let (front, _) = segment(x, p, [19.0, -7.0], [self.reach - 3.0, -8.5]);
        let (back, _) = segment(x, p, [20.0, -1.5], [self.reach, 0.8]);
        let bars = extrude(front.min(back) - 1.7, w, 2.9, 1.2);
        smooth_min(ring, bars, 1.5)
    }

    fn arch(&self, x: f32, p: f32, w: f32, half_thickness: f32) -> f32 {
        let (lamina, _) = segment(x, p + 0.3 * w, [17.0, 9.5], [1.5, 16.8]);
        let lamina = extrude(lamina - half_thickness, w + 1.0, 5.6, 1.4);
        let stem = if self.bifid { 0.7 * self.spinous } else { self.spinous };
        let (spinous, t) = segment(x, p, [0.0, 16.8], [0.0, 16.8 + stem]);
        let sunk = w + 1.5 + self.spinous_drop * stem * t;
        let mut d = extrude(spinous - half_thickness, sunk, 4.6 - 1.2 * t, 1.4);
        let tip_w = -1.5 - self.spinous_drop * self.spinous;
        let tip = if self.bifid {
            let root = [0.3, 16.8 + 0.62 * self.spinous, -1.5 - self.spinous_drop * stem];
            segment3([x, p, w], root, [4.4, 16.8 + self.spinous, tip_w]).0 - 1.9
        } else {
            let (dx, dp, dw) = (x, p - 15.0 - self.spinous, w - tip_w);
            (dx * dx + dp * dp + dw * dw * 0.5).sqrt() - 3.3
        };
        d = smooth_min(d, tip, 1.5);
        smooth_min(d, lamina, 2.0)
    }

    fn typical(&self, x: f32, p: f32, w: f32) -> f32 {
        let mut d = self.body(x, p, w);
        let (pedicle, _) = segment(x, p, [8.0, -2.5], [17.0, 4.5]);
        d = smooth_min(d, extrude(pedicle - 2.5, w - 1.0, 3.4, 1.5), 2.0);
        let back = smooth_min(self.pillar_at(x, p, w), self.arch(x, p, w, 1.9), 2.0);
        d = smooth_min(d, back, 1.5);
        d = smooth_min(d, self.transverse(x, p, w), 1.5);
        if self.name == "T1" {
            let rib = segment3([x, p, w], [14.0, -3.0, 2.0], [36.0, 4.0, -2.0]).0;
            let rib = rib.min(segment3([x, p, w], [36.0, 4.0, -2.0], [56.0, -14.0, -8.0]).0);
            return d.min(rib - 3.4);
        }
        let to_foramen = ((x - 16.2) * (x - 16.2) + (p + 4.0) * (p + 4.0)).sqrt();
        d.max(self.foramen_radius - to_foramen)
    }

    fn axis(&self, x: f32, p: f32, w: f32) -> f32 {
        let spread = smoothstep(10.0, -8.0, w);
        let outline = rounded_rectangle(x, p + 7.5, 7.5 + 2.5 * spread, 6.6 + 1.2 * spread, 5.0);
        let mut d = extrude(outline, w, 10.5, 1.5);
        let (dens, t) = segment3([x, p, w], [0.0, -8.0, 8.0], [0.0, -8.3, 20.6]);
        let neck = 1.0 - (t - 0.25).abs() * 4.0;
        d = smooth_min(d, dens - 4.9 + 0.6 * neck.max(0.0), 2.0);
        let (facet, t) = segment(x, p, [7.0, -6.0], [14.5, -4.5]);
        d = smooth_min(d, extrude(facet - 6.0, w - 9.0 + 4.0 * t, 3.6, 1.5), 2.0);
        let (pars, t) = segment(x, p, [12.0, -3.0], [18.0, 6.0]);
        d = smooth_min(d, extrude(pars - 3.4, w - 3.0 + 6.0 * t, 5.0, 2.0), 2.0);
        d = smooth_min(d, self.pillar_at(x, p, w), 2.0);
        d = smooth_min(d, self.arch(x, p, w + 2.0, 2.6), 2.0);
        d = smooth_min(d, self.transverse(x, p, w), 1.5);
        let to_foramen = ((x - 16.2) * (x - 16.2) + (p + 4.0) * (p + 4.0)).sqrt();
        d.max(self.foramen_radius - to_foramen)
    }

    /// How much of a pixel is bone, and its HU: a shell of compact bone over textured spongy bone.
    #[inline]
    pub fn bone(&self, x: f32, p: f32, w: f32, texture: &Texture) -> (f32, f32) {
        let d = self.distance(x.abs(), p, w);
        let fill = coverage(d, BLUR_MM);
        if fill <= 0.0 {
            return (0.0, 0.0);
        }
        let uneven = 1.0 + 0.25 * texture.sample(x / 4.0, p / 4.0, w / 4.0);
        let behind = smoothstep(-1.0, 4.0, p);
        let shell_mm = match self.kind {
            Kind::Typical => mix(0.9, 1.5, behind),
            Kind::Axis => mix(1.3, 1.7, behind),
            Kind::Atlas => 1.7,
        };
        let compact = smoothstep(shell_mm * uneven + 0.7, shell_mm * uneven - 0.3, -d);
        let fine = texture.sample(x / 0.9 + 31.0, p / 0.9, w / 1.3);
        let coarse = texture.sample(x / 3.1, p / 3.1 + 57.0, w / 3.1);
        let mut spongy = self.spongy_hu + 110.0 * fine + 60.0 * coarse;
        if self.kind == Kind::Typical {
            // The basivertebral vein: a fork of low density that opens into the canal at mid height.
            let vein = (x.abs() - 0.5 * (-p - 5.0).max(0.0)).abs() - 0.9;
            let inside = coverage(vein.max(w.abs() - 1.4).max(p.abs() - 9.0), 1.0);
            spongy = mix(spongy, 140.0, 0.8 * inside);
        }
        let shell_hu = mix(1050.0, 1250.0, behind) + 90.0 * coarse;
        (fill, mix(spongy, shell_hu, compact))
    }
}

/// A ring of two arches and two lateral masses, open for the dens in front and the cord behind.
fn atlas(x: f32, p: f32, w: f32) -> f32 {
    let (front_a, _) = segment(x, p, [0.0, -17.8], [9.0, -16.0]);
    let (front_b, _) = segment(x, p, [9.0, -16.0], [15.0, -8.0]);
    let front = extrude(front_a.min(front_b) - 2.5, w, 5.0, 2.0);
    let tubercle = ellipsoid_at([x, p, w], [0.0, -19.5, -0.5], [3.5, 2.5, 4.5]);
    let mass = rounded_rectangle(x - 18.0, p + 4.0, 6.5, 8.0, 5.0);
    // The upper facets are cups for the condyles, the lower ones fall to the side.
    let cup = 2.5 * smoothstep(7.0, 0.0, (x - 17.0).abs());
    let mass = extrude(mass, w + 0.5 + 0.2 * (x - 18.0), 8.6 - if w > 0.0 { cup } else { 0.0 }, 2.0);
    let (back_a, _) = segment(x, p, [18.0, 3.0], [14.0, 11.0]);
    let (back_b, _) = segment(x, p, [14.0, 11.0], [6.0, 17.0]);
    let (back_c, _) = segment(x, p, [6.0, 17.0], [0.0, 18.8]);
    let back = extrude(back_a.min(back_b).min(back_c) - 2.3, w + 1.0, 4.0, 1.8);
    let back_tubercle = ellipsoid_at([x, p, w], [0.0, 20.0, -1.0], [3.0, 3.2, 4.0]);
    let to_foramen = ((x - 27.0) * (x - 27.0) + (p + 1.0) * (p + 1.0)).sqrt();
    let ring = extrude((to_foramen - 4.6).abs() - 1.6, w + 1.0, 3.5, 1.4);
    let (process, _) = segment(x, p, [31.0, 0.0], [36.0, 1.5]);
    let ring = smooth_min(ring, extrude(process - 2.8, w + 1.0, 4.0, 2.0), 2.0);
    let mut d = smooth_min(front, tubercle, 2.0);
    d = smooth_min(d, mass, 2.5);
    d = smooth_min(d, smooth_min(back, back_tubercle, 2.0), 2.0);
    d = smooth_min(d, ring, 2.0);
    d.max(3.0 - to_foramen)
}

fn ellipsoid_at(at: [f32; 3], centre: [f32; 3], radii: [f32; 3]) -> f32 {
    super::shapes::ellipsoid(at[0] - centre[0], at[1] - centre[1], at[2] - centre[2], radii)
}

/// C1 to T1.
pub fn column() -> [Vertebra; 8] {
    let typical = |name, z, half_width, half_height, pillar| {
        Vertebra::new(name, Kind::Typical, z, half_width, half_height, pillar)
    };
    [
        Vertebra { reach: 40.0, spinous: 0.0, ..Vertebra::new("C1", Kind::Atlas, -7.0, 0.0, 5.0, [0.0, 0.0]) },
        Vertebra { spinous: 17.0, ..Vertebra::new("C2", Kind::Axis, -25.5, 10.0, 10.5, [1.0, 12.6]) },
        Vertebra { spinous: 13.0, ..typical("C3", -47.2, 11.6, 6.3, [8.0, 8.0]) },
        Vertebra { spinous: 13.0, ..typical("C4", -64.5, 11.9, 6.0, [8.0, 7.8]) },
        Vertebra { spinous: 15.0, spinous_drop: 0.4, ..typical("C5", -81.5, 12.3, 6.0, [7.9, 7.9]) },
        Vertebra {
            spinous: 20.0,
            spinous_drop: 0.4,
            reach: 26.5,
            spongy_hu: 290.0,
            ..typical("C6", -98.7, 12.9, 6.3, [7.9, 8.1])
        },
        Vertebra {
            spinous: 29.0,
            spinous_drop: 0.38,
            bifid: false,
            foramen_radius: 1.5,
            reach: 33.0,
            spongy_hu: 255.0,
            ..typical("C7", -117.0, 13.4, 7.0, [8.8, 8.6])
        },
        Vertebra {
            spinous: 33.0,
            spinous_drop: 0.45,
            bifid: false,
            foramen_radius: 1.5,
            reach: 36.0,
            spongy_hu: 240.0,
            ..typical("T1", -137.0, 14.2, 7.8, [10.0, 9.0])
        },
    ]
}

/// Discs: the bodies' outline wherever there is no body. Painted before the bones.
pub fn paint_discs(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    if z > -33.0 {
        return;
    }
    let back = canal_line_mm(z);
    let half_width = mix(11.0, 14.0, smoothstep(-36.0, -137.0, z));
    let texture = canvas.texture;
    canvas.paint(Extent::wide(16.0, [back - 18.0, back + 2.0]), |x, y| {
        let d = rounded_rectangle(x, y - back + 8.0, half_width - 0.3, 8.0, 5.5);
        let ring = smoothstep(-4.0, -0.5, d);
        (coverage(d, BLUR_MM), mix(80.0, 105.0, ring) + 6.0 * texture.sample(x / 3.0, y / 3.0, z / 3.0))
    });
}

/// The canal: epidural fat, dural sac, cord. Painted before the bones, which cut it to shape.
pub fn paint_canal(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let centre = canal_line_mm(z) + 7.2;
    let wide = smoothstep(-30.0, 0.0, z);
    canvas.paint(Extent::around(0.0, centre, 14.0, 14.0), |x, y| {
        (coverage(rounded_rectangle(x, y - centre, 11.0, 7.6 + 3.0 * wide, 6.0), BLUR_MM), -40.0)
    });
    let (rx, ry) = (mix(10.2, 13.0, wide), mix(6.3, 10.5, wide));
    canvas.paint(Extent::around(0.0, centre, 14.0, 14.0), |x, y| {
        (coverage(ellipse(x, y - centre, rx, ry), BLUR_MM), 12.0)
    });
    let (rx, ry) = (mix(6.6, 6.0, wide), mix(3.9, 5.2, wide));
    canvas
        .paint(Extent::around(0.0, centre, 8.0, 8.0), |x, y| (coverage(ellipse(x, y - centre, rx, ry), BLUR_MM), 42.0));
}

/// All vertebrae that meet this slice, with the fracture where there is one.
pub fn paint_vertebrae(canvas: &mut Canvas, fracture: Option<&Fracture>) {
    let (z, texture) = (canvas.z_mm, canvas.texture);
    for vertebra in column() {
        let Some(extent) = vertebra.extent_at(z) else { continue };
        let broken = fracture.filter(|f| f.level == vertebra.name);
        canvas.paint(extent, |x, y| {
            let (p, w) = vertebra.local(y, z);
            let (fill, hu) = vertebra.bone(x, p, w, texture);
            let gap = broken.filter(|_| fill > 0.0).map_or(0.0, |f| f.gap(x, p, w, texture));
            (fill, mix(hu, Fracture::GAP_HU, gap))
        });
    }
}
