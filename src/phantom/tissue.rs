//! Skin, fat and muscles with the planes of fat between them; swelling and blood beside the spine.

use super::build::Build;
use super::canvas::{BLUR_MM, Canvas};
use super::coarse::Coarse;
use super::imaging::Beyond;
use super::patient::{Patient, Swelling};
use super::random::Texture;
use super::shapes::{along_z, coverage, ellipse, mix, smooth_min, smoothstep};
use super::spine::canal_line_mm;

/// Half-axes and centre of the three ellipses whose union is the outline: `[centre y, rx, ry]` each.
pub struct Outline {
    neck: [f32; 3],
    face: [f32; 3],
    shoulders: [f32; 3],
}

impl Outline {
    pub fn at(z: f32, patient: &Patient, build: &Build) -> Self {
        let head = smoothstep(-48.0, -18.0, z);
        // Fat lies on the neck and under the chin, hardly on the skull.
        let fat_mm = 5.0 * (patient.fat - 1.0) * (1.0 - head);
        let [wide, deep] = build.neck.map(|factor| mix(factor, 1.0, head));
        let neck: [f32; 3] = along_z(
            z,
            &[
                (14.0, [15.0, 74.0, 86.0]),
                (0.0, [15.0, 72.0, 84.0]),
                (-20.0, [12.0, 66.0, 78.0]),
                (-45.0, [9.0, 60.0, 65.0]),
                (-75.0, [7.0, 57.0, 61.0]),
                (-105.0, [8.0, 60.0, 63.0]),
                (-142.0, [12.0, 68.0, 67.0]),
            ],
        );
        let face: [f32; 3] = along_z(
            z,
            &[
                (14.0, [-50.0, 58.0, 58.0]),
                (0.0, [-50.0, 57.0, 58.0]),
                (-22.0, [-49.0, 56.0, 57.0]),
                (-43.0, [-46.0, 53.0, 56.0]),
                (-53.0, [-41.0, 47.0, 48.0]),
                (-66.0, [-36.0, 38.0, 32.0]),
                (-82.0, [-34.0, 32.0, 31.0]),
                (-110.0, [-29.0, 36.0, 31.0]),
                (-142.0, [-24.0, 50.0, 32.0]),
            ],
        );
        // Arms held up draw the shoulders together and let them begin lower.
        let (width, drop_mm) = if patient.arms_down { (build.shoulder_width, 0.0) } else { (0.72, 10.0) };
        let shoulders: [f32; 3] = along_z(
            z - build.shrug_mm + drop_mm,
            &[
                (-78.0, [26.0, 22.0, 10.0]),
                (-96.0, [25.0, 62.0, 26.0]),
                (-110.0, [24.0, 96.0, 37.0]),
                (-124.0, [24.0, 134.0, 47.0]),
                (-140.0, [23.0, 182.0, 56.0]),
                (-165.0, [21.0, 205.0, 64.0]),
            ],
        );
        // Swelling pushes the whole throat, and the skin before it, forward.
        let chin_mm = build.chin_mm * smoothstep(-70.0, -40.0, z) + 0.9 * prevertebral_mm(patient, z);
        Self {
            neck: [neck[0], neck[1] * wide + fat_mm, neck[2] * deep + fat_mm],
            face: [face[0] - chin_mm, face[1] * build.face + fat_mm, face[2] + 1.3 * fat_mm],
            shoulders: [shoulders[0], shoulders[1] * width + fat_mm, shoulders[2] + fat_mm],
        }
    }

    /// Whether a point is outside, found with less work; not every such point is found.
    fn surely_outside(&self, x: f32, y: f32) -> bool {
        // What the seams between the ellipses add, at most.
        const SEAMS_MM: f32 = 9.5;
        [self.neck, self.face, self.shoulders].iter().all(|[centre, rx, ry]| {
            let scaled = 1.0 + SEAMS_MM / rx.min(*ry);
            x.abs() > rx * scaled || (y - centre).abs() > ry * scaled
        })
    }

    /// Distance to the skin, negative inside.
    #[inline]
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        let of = |[centre, rx, ry]: [f32; 3]| ellipse(x, y - centre, rx, ry);
        let head_and_neck = smooth_min(of(self.neck), of(self.face), 14.0);
        smooth_min(head_and_neck, of(self.shoulders), 22.0)
    }
}

/// Thickness of a swelling at a height: full in its middle, nothing at its ends.
fn thickness_mm(swelling: Option<Swelling>, z: f32) -> f32 {
    swelling.map_or(0.0, |s| {
        let from_middle = (z - s.z_mm).abs() / s.half_height_mm.max(1.0);
        s.thickness_mm * smoothstep(1.0, 0.35, from_middle)
    })
}

/// By how much swelling pushes throat and gullet away from the vertebrae at a height, mm.
pub fn prevertebral_mm(patient: &Patient, z: f32) -> f32 {
    thickness_mm(patient.prevertebral, z)
}

/// A muscle, gland or pad of fat: an ellipse, turned.
#[derive(Clone, Copy)]
struct Compartment {
    x: f32,
    y: f32,
    cosine: f32,
    sine: f32,
    inv_rx: f32,
    inv_ry: f32,
    mean_radius: f32,
    hu: f32,
    /// Half of the plane of fat around it, mm.
    seam: f32,
}

/// `[|x|, y, rx, ry, tangent of the turn, HU, seam]` of the compartments of one side at the level of the larynx, and at
/// the skull base. A positive turn lets the lateral end point to posterior.
const COMPARTMENTS: [([f32; 7], [f32; 7]); 21] = [
    ([9.0, -20.5, 7.0, 3.6, 0.1, 57.0, 0.25], [9.0, -20.0, 9.0, 4.6, 0.0, 57.0, 0.3]), // longus colli and capitis
    ([9.0, 29.0, 7.5, 7.5, 0.3, 52.0, 0.3], [11.0, 27.0, 10.0, 7.0, -0.2, 56.0, 0.6]), // multifidus; rectus capitis
    ([12.0, 40.0, 11.0, 5.0, -0.5, 54.0, 0.6], [17.0, 41.0, 14.0, 6.0, -0.2, 55.0, 0.7]), // semispinalis capitis
    ([23.0, 46.0, 17.0, 3.6, -0.75, 57.0, 0.5], [34.0, 38.0, 18.0, 4.2, -0.8, 56.0, 0.6]), // splenius
    ([20.0, 55.0, 22.0, 4.2, -0.45, 55.0, 0.8], [20.0, 58.0, 16.0, 4.0, -0.35, 54.0, 0.6]), // trapezius
    ([39.0, 28.0, 6.0, 11.0, -0.35, 58.0, 0.5], [45.0, 20.0, 7.0, 11.0, -0.3, 56.0, 0.5]), // levator scapulae
    ([27.0, 31.0, 6.5, 6.5, 0.0, 55.0, 0.35], [33.0, 25.0, 8.0, 8.0, 0.0, 56.0, 0.5]), // longissimus; obliques
    ([33.0, 9.0, 6.0, 9.5, -0.2, 56.0, 0.35], [36.0, 4.0, 8.0, 9.0, 0.0, 57.0, 0.5]),  // middle scalene
    ([27.0, -7.0, 6.5, 6.5, 0.2, 54.0, 0.45], [33.0, -9.0, 7.0, 7.0, 0.0, 57.0, 0.5]), // anterior scalene
    ([45.0, -13.0, 5.6, 16.0, -0.42, 60.0, 0.9], [58.0, 12.0, 6.0, 15.0, 0.05, 58.0, 0.7]), // sternocleidomastoid
    ([25.0, -21.0, 7.0, 7.5, 0.0, -85.0, 0.0], [30.0, -18.0, 8.0, 9.0, 0.0, -80.0, 0.0]), // carotid sheath's fat
    ([52.0, 17.0, 5.5, 15.0, -0.2, -98.0, 0.0], [60.0, -15.0, 10.0, 13.0, 0.0, -10.0, 0.5]), // posterior triangle; parotid
    ([12.0, -55.0, 12.0, 3.4, 0.35, 57.0, 0.6], [34.0, -40.0, 7.0, 15.0, -0.2, 58.0, 0.7]), // strap muscles; pterygoids
    ([16.0, -38.0, 8.5, 9.0, 0.0, 57.0, 0.4], [17.0, -36.0, 9.0, 8.0, 0.0, 56.0, 0.4]),     // constrictors
    ([33.0, -40.0, 10.0, 9.0, 0.4, -92.0, 0.0], [57.0, -44.0, 6.0, 17.0, 0.1, 60.0, 0.8]),  // anterior fat; masseter
    ([5.0, -60.0, 8.0, 3.4, 0.2, 58.0, 0.5], [10.0, -66.0, 18.0, 22.0, 0.0, 58.0, 0.5]),    // mylohyoid; tongue
    ([36.0, -50.0, 10.0, 6.0, 0.5, -97.0, 0.0], [43.0, -78.0, 11.0, 13.0, 0.3, -85.0, 0.0]), // fat under the jaw; cheek
    ([66.0, 36.0, 19.0, 10.0, 0.1, 56.0, 0.8], [90.0, 40.0, 9.0, 9.0, 0.0, 55.0, 0.8]),     // rhomboids, serratus
    ([103.0, 27.0, 24.0, 14.0, 0.1, 57.0, 0.9], [100.0, 20.0, 9.0, 9.0, 0.0, 55.0, 0.8]),   // supraspinatus
    ([80.0, 4.0, 26.0, 11.0, 0.1, -97.0, 0.0], [100.0, 0.0, 9.0, 9.0, 0.0, -95.0, 0.0]),    // supraclavicular fat
    ([78.0, -18.0, 20.0, 7.0, 0.3, 54.0, 0.9], [100.0, -20.0, 9.0, 9.0, 0.0, -95.0, 0.0]),  // omohyoid, subclavius
];

fn compartments_at(z: f32, patient: &Patient, build: &Build) -> [Compartment; COMPARTMENTS.len()] {
    let upper = smoothstep(-56.0, -12.0, z);
    let pushed_mm = prevertebral_mm(patient, z);
    // Muscle bellies are thickest half-way and reach to the skin's fat of a lean neck.
    COMPARTMENTS.map(|(low, high)| {
        let [x, y, rx, ry, turn, hu, seam] = std::array::from_fn(|i| mix(low[i], high[i], upper));
        // The posterior muscles follow the spine, the throat gives way to swelling.
        let y = if y > -25.0 { y + 0.7 * canal_line_mm(z) } else { y - pushed_mm };
        let size = if hu > 0.0 { build.bulk } else { 1.0 };
        let norm = 1.0 / (1.0 + turn * turn).sqrt();
        let (rx, ry) = (rx * size, ry * size);
        Compartment {
            x,
            y,
            cosine: norm,
            sine: turn * norm,
            inv_rx: 1.0 / rx,
            inv_ry: 1.0 / ry,
            // Distances count in the thinner direction, else a flat sheet would reach too far.
            mean_radius: rx.min(ry) * 0.75 + rx.max(ry) * 0.25,
            hu,
            seam: seam * (0.75 + 0.25 * patient.fat) + 0.15 * build.old * f32::from(u8::from(hu > 0.0)),
        }
    })
}

impl Compartment {
    /// Distance to its surface, roughly; negative inside.
    #[inline]
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let (along, across) = (dx * self.cosine + dy * self.sine, dy * self.cosine - dx * self.sine);
        let (along, across) = (along * self.inv_rx, across * self.inv_ry);
        ((along * along + across * across).sqrt() - 1.0) * self.mean_radius
    }
    /// By how much the distance changes per millimetre at most.
    fn steepest(&self) -> f32 {
        self.inv_rx.max(self.inv_ry) * self.mean_radius
    }
}

/// Which compartments may be the nearest or second nearest within a few millimetres.
#[derive(Clone, Copy)]
struct Candidates {
    count: u8,
    /// The nearest first.
    which: [u8; COMPARTMENTS.len()],
    /// No point asked for is nearer to the compartment of the same place than this, mm.
    least_mm: [f32; COMPARTMENTS.len()],
}

impl Candidates {
    /// For points no farther from `(x, y)` than `reach_mm`.
    fn around(compartments: &[Compartment], x: f32, y: f32, reach_mm: f32) -> Self {
        // Distances change by up to twice the way, on both sides of a comparison.
        const MARGIN_MM: f32 = 12.0;
        let distances: [f32; COMPARTMENTS.len()] = std::array::from_fn(|i| compartments[i].distance(x, y));
        let (mut best, mut second) = (f32::MAX, f32::MAX);
        for d in distances {
            (best, second) = if d < best { (d, best) } else { (best, second.min(d)) };
        }
        let mut found = Self { count: 0, which: [0; COMPARTMENTS.len()], least_mm: [0.0; COMPARTMENTS.len()] };
        for (i, (d, c)) in (0_u8..).zip(distances.into_iter().zip(compartments)) {
            if d > second + MARGIN_MM {
                continue;
            }
            let least_mm = d - reach_mm * c.steepest();
            let mut place = usize::from(found.count);
            while place > 0 && found.least_mm[place - 1] > least_mm {
                found.which[place] = found.which[place - 1];
                found.least_mm[place] = found.least_mm[place - 1];
                place -= 1;
            }
            (found.which[place], found.least_mm[place]) = (i, least_mm);
            found.count += 1;
        }
        found
    }
}

/// How the muscles of one plane are packed.
struct Muscles {
    compartments: [Compartment; COMPARTMENTS.len()],
    /// How far muscle reaches beyond its ellipse where there is room, mm.
    slack_mm: f32,
    /// By how much the second nearest compartment may be farther than the nearest and still matter, mm.
    rivals_mm: f32,
}

impl Muscles {
    fn new(compartments: [Compartment; COMPARTMENTS.len()], slack_mm: f32) -> Self {
        let widest = compartments.iter().fold(0.0_f32, |most, c| most.max(c.seam));
        Self { compartments, slack_mm, rivals_mm: 2.0 * Self::seam_mm(widest) + 0.1 }
    }

    /// How far from the middle between two compartments a plane of fat is seen.
    #[inline]
    fn seam_mm(seam: f32) -> f32 {
        0.35 + 0.6 * seam
    }

    /// HU of the nearest compartment; fat where two are about equally near and where none is. Planes of fat are as clear
    /// as `strength` says.
    #[inline]
    fn hu(&self, candidates: &Candidates, [x, y]: [f32; 2], slack_mm: f32, strength: f32) -> f32 {
        let (mut best, mut second, mut nearest) = (f32::MAX, f32::MAX, 0);
        for (which, least_mm) in candidates.which.iter().zip(&candidates.least_mm).take(usize::from(candidates.count)) {
            // Neither this one nor a later one can be the nearest, or near enough to show.
            if *least_mm > second.min(best + self.rivals_mm) {
                break;
            }
            let which = usize::from(*which);
            let d = self.compartments[which].distance(x, y);
            // Of two as near, the one that is listed first.
            if d < best || (d == best && which < nearest) {
                (second, best, nearest) = (best, d, which);
            } else if d < second {
                second = d;
            }
        }
        let nearest = &self.compartments[nearest];
        let mut plane = 0.5 * (second - best);
        if y > 20.0 {
            // The nuchal ligament.
            plane = plane.min(0.8 * x + 0.2);
        }
        let muscle = mix(-98.0, nearest.hu, smoothstep(-0.4, 0.8, self.slack_mm + slack_mm - best));
        if plane >= Self::seam_mm(nearest.seam) {
            return muscle;
        }
        // A thin plane of fat shows as a grey line, a thick one as a black one.
        let line =
            smoothstep(Self::seam_mm(nearest.seam), 0.1, plane) * (1.4 * nearest.seam * strength).clamp(0.0, 1.0);
        mix(muscle, -98.0, line)
    }
}

/// Blood beside the spine, 0 to 1: soaks the muscles behind one side of the arches.
#[inline]
fn soaked(x: f32, y: f32, canal_y: f32, thick_mm: f32, uneven: f32) -> f32 {
    let d = ellipse(x - 17.0, y - canal_y - 24.0, 9.0 + thick_mm, 7.0 + thick_mm);
    smoothstep(1.5, -1.5, d + 2.5 * uneven) * smoothstep(0.0, 1.5, thick_mm)
}

/// Distance to the skin over a slice, negative inside.
pub fn skin(canvas: &Canvas, build: &Build) -> Coarse<1> {
    let outline = Outline::at(canvas.z_mm, canvas.patient, build);
    Coarse::new(canvas, |x, y| [outline.distance(x, y)])
}

/// What is the same for a whole plane of soft tissue.
struct Plane<'a> {
    z: f32,
    texture: &'a Texture,
    muscles: Muscles,
    head: f32,
    fat: f32,
    streaks_hu: f32,
    rare: f32,
    canal_y: f32,
    blood_mm: f32,
    blood_side: f32,
    swollen_mm: f32,
    sides: [f32; 2],
}

impl Plane<'_> {
    const SKIN_MM: f32 = 1.7;

    /// HU of skin and the fat under it.
    #[inline]
    fn cover_hu(&self, x: f32, y: f32, depth: f32) -> f32 {
        if depth < Self::SKIN_MM {
            return mix(30.0, 45.0, self.texture.sample(x / 5.0, y / 5.0, self.z / 5.0));
        }
        // Threads of connective tissue.
        let thread = self.texture.sample(x / 6.0, y / 2.2, self.z / 6.0);
        -105.0 + 16.0 * thread + 70.0 * smoothstep(0.5, 0.8, thread)
    }

    /// By how much the finest waves move a point, mm.
    const FINE_MM: f32 = 0.9;

    /// Where a point lies among the average patient's muscles.
    #[inline]
    fn packed(&self, x: f32, y: f32) -> [f32; 2] {
        [x.abs() * self.sides[usize::from(x < 0.0)], y]
    }

    /// HU among the muscles, at a point moved by the waves `[wx, wy]`.
    #[inline]
    fn deep_hu(&self, [x, y]: [f32; 2], [wx, wy]: [f32; 2], wobble: f32, candidates: &Candidates) -> f32 {
        let (z, texture) = (self.z, self.texture);
        let fine = texture.sample(x / 3.6, y / 3.6 + 23.0, z / 8.0);
        let slack_mm = 2.0 * wobble + 3.0 * self.head;
        // Planes of fat come and go.
        let at = self.packed(x + wx, y + wy + Self::FINE_MM * fine);
        let inner = self.muscles.hu(candidates, at, slack_mm, 0.85 + 0.8 * wobble);
        let muscle = smoothstep(-20.0, 30.0, inner);
        // Fat between the fibres, most in the deep extensors of the old.
        let streak = texture.sample(x / 1.5, y / 3.4, z / 9.0) + 0.3 * fine;
        let behind = y - self.canal_y;
        let deep = smoothstep(48.0, 24.0, behind) * smoothstep(14.0, 20.0, behind);
        let marbled = self.streaks_hu * (1.0 + deep) * smoothstep(self.rare - 0.15 * deep, self.rare + 0.6, streak);
        let mut hu = inner + muscle * (5.0 * streak + 4.0 * wobble - marbled);
        if self.blood_mm > 0.0 {
            let soaked = soaked(x * self.blood_side, y, self.canal_y, self.blood_mm, wobble);
            hu = mix(hu, 66.0 + 6.0 * wobble, 0.9 * soaked);
        }
        if self.swollen_mm > 0.0 {
            let front = behind + 17.0;
            let layer =
                smoothstep(-self.swollen_mm - 5.0, -self.swollen_mm - 3.0, front) * smoothstep(17.0, 13.0, x.abs());
            hu = mix(hu, 27.0 + 5.0 * wobble, 0.85 * layer * smoothstep(2.0, 0.0, front));
        }
        hu
    }

    fn fat_mm(&self, y: f32) -> f32 {
        let behind = smoothstep(-40.0, 60.0, y);
        mix(mix(4.0, 9.0, behind) * self.fat, mix(6.0, 5.0, behind), self.head) + Self::SKIN_MM
    }
}

/// Everything inside the skin before organs and bones are laid over it, and a collar on it.
pub fn paint_body(canvas: &mut Canvas, build: &Build, skin: &Coarse<1>) {
    let (z, texture, patient) = (canvas.z_mm, canvas.texture, canvas.patient);
    let fat = patient.fat;
    let plane = Plane {
        z,
        texture,
        muscles: Muscles::new(
            compartments_at(z, patient, build),
            mix(5.0, 3.6, smoothstep(0.7, 1.8, fat)) - 0.9 * build.old,
        ),
        head: smoothstep(-40.0, -10.0, z),
        fat,
        streaks_hu: 60.0 + 220.0 * patient.muscle_fat,
        rare: 0.78 - 0.5 * patient.muscle_fat,
        canal_y: canal_line_mm(z),
        blood_mm: thickness_mm(patient.haematoma, z),
        blood_side: build.blood_side,
        swollen_mm: prevertebral_mm(patient, z),
        sides: build.sides,
    };
    // Waves that bend the muscles, `[x, y, wobble]`.
    let waves = Coarse::new(canvas, |x, y| {
        let wobble = texture.sample(x / 9.0, y / 9.0, z / 14.0);
        let slow = texture.sample(x / 26.0 + 11.0, y / 26.0, z / 30.0);
        let other = texture.sample(y / 9.0 + 40.0, x / 9.0, z / 14.0);
        [2.4 * wobble + 3.0 * slow, 2.4 * other - 3.0 * slow, wobble, x, y]
    });
    let cells = waves.cells();
    let widest = build.sides[0].max(build.sides[1]).max(1.0);
    let mut candidates = Vec::with_capacity(cells * cells);
    for row in 0..cells {
        for column in 0..cells {
            let inside = skin.corners(column, row).iter().any(|[d]| *d < 0.0);
            candidates.push(inside.then(|| {
                let corners = waves.corners(column, row);
                let mean = |of: fn(&[f32; 5]) -> f32| 0.25 * corners.iter().map(of).sum::<f32>();
                let (x, y) = (mean(|c| c[3] + c[0]), mean(|c| c[4] + c[1]));
                // Points of a cell lie between its corners.
                let from_middle = |c: &[f32; 5]| {
                    let (dx, dy) = (c[3] + c[0] - x, c[4] + c[1] - y);
                    (dx * dx + dy * dy).sqrt()
                };
                let farthest_mm = corners.iter().map(from_middle).fold(0.0, f32::max);
                let reach_mm = widest * (farthest_mm + Plane::FINE_MM + 0.05);
                let [x, y] = plane.packed(x, y);
                Candidates::around(&plane.muscles.compartments, x, y, reach_mm)
            }));
        }
    }
    for row in 0..canvas.matrix {
        let (edge, line) = (skin.along_row(row), waves.along_row(row));
        for column in 0..canvas.matrix {
            let [distance] = skin.at(&edge, column);
            let Some(near) = &candidates[waves.cell(row) * cells + waves.cell(column)] else { continue };
            if distance > 1.0 {
                continue;
            }
            let [wx, wy, wobble, x, y] = waves.at(&line, column);
            let (depth, fat_mm) = (-distance, plane.fat_mm(y));
            let under = smoothstep(fat_mm - 1.0, fat_mm + 0.4, depth);
            let hu = if under <= 0.0 {
                plane.cover_hu(x, y, depth)
            } else {
                mix(-105.0, plane.deep_hu([x, y], [wx, wy], wobble, near), under)
            };
            let pixel = &mut canvas.hu[row * canvas.matrix + column];
            *pixel = mix(*pixel, hu, coverage(distance, BLUR_MM));
        }
    }
    if patient.collar {
        paint_collar(canvas, skin);
    }
}

/// A collar: foam on the skin in a shell of plastic, open over the larynx.
fn paint_collar(canvas: &mut Canvas, skin: &Coarse<1>) {
    let (z, texture, matrix) = (canvas.z_mm, canvas.texture, canvas.matrix);
    if !(-108.0..-26.0).contains(&z) {
        return;
    }
    for row in 0..matrix {
        let edge = skin.along_row(row);
        for column in 0..matrix {
            let [out] = skin.at(&edge, column);
            if !(0.0..15.0).contains(&out) {
                continue;
            }
            // The chin piece is high in front, the back panel low; straps close the sides.
            let [x, y] = canvas.anatomy(column, row);
            let gap = 3.0 + 2.0 * texture.sample(x / 30.0, y / 30.0, z / 30.0);
            let window = y < -30.0 && x.abs() < 15.0 && z < -66.0;
            let split = (y - 8.0).abs() < 5.0;
            if window || split || out < gap {
                continue;
            }
            let plastic = coverage((out - gap - 7.5).abs() - 1.0, 1.0);
            let foam = coverage((out - gap - 3.5).abs() - 3.0, 1.0);
            let hu = mix(-905.0 + 30.0 * texture.sample(x, y, z), 40.0, plastic);
            let pixel = &mut canvas.hu[row * matrix + column];
            *pixel = mix(*pixel, hu, foam.max(plastic));
        }
    }
}

/// What rays along rows and columns pass outside of the field of view: the shoulders above all.
pub fn beyond(canvas: &Canvas, build: &Build) -> Beyond {
    const STEP_MM: f32 = 6.0;
    /// Rows and columns change slowly; every fourth is worked out.
    const STRIDE: usize = 4;
    let outline = Outline::at(canvas.z_mm, canvas.patient, build);
    let inside = |at: [f32; 2]| {
        let [x, y] = canvas.anatomy_of(at);
        !outline.surely_outside(x, y) && outline.distance(x, y) < 0.0
    };
    let last = canvas.matrix - 1;
    let ([left, top], [right, bottom]) = (canvas.scanner(0, 0), canvas.scanner(last, last));
    let run = |from: [f32; 2], step: [f32; 2]| {
        let at = |i: usize| [from[0] + step[0] * i as f32, from[1] + step[1] * i as f32];
        (1..40).filter(|i| inside(at(*i))).count() as f32 * STEP_MM
    };
    let mut beyond = Beyond::default();
    for i in 0..canvas.matrix {
        let whole = i - i % STRIDE;
        if whole != i {
            beyond.rows_mm.push(beyond.rows_mm[whole]);
            beyond.columns_mm.push(beyond.columns_mm[whole]);
            beyond.bone_mm.push(beyond.bone_mm[whole]);
            continue;
        }
        let [x, y] = canvas.scanner(i, i);
        let sides = [run([left, y], [-STEP_MM, 0.0]), run([right, y], [STEP_MM, 0.0])];
        beyond.rows_mm.push(sides[0] + sides[1]);
        beyond.bone_mm.push(sides.map(|mm| 0.14 * (mm - 50.0).max(0.0)));
        beyond.columns_mm.push(run([x, top], [0.0, -STEP_MM]) + run([x, bottom], [0.0, STEP_MM]));
    }
    beyond
}
