//! Skin, fat, muscles, vessels, glands, airway and larynx, and the head holder under it all.

use super::canvas::{BLUR_MM, Canvas, Extent};
use super::shapes::{along_z, coverage, ellipse, mix, segment, smooth_min, smoothstep};
use super::spine::canal_line_mm;

/// Half-axes and centre of the three ellipses whose union is the outline: `[centre y, rx, ry]` each.
struct Outline {
    neck: [f32; 3],
    face: [f32; 3],
    shoulders: [f32; 3],
}

impl Outline {
    fn at(z: f32) -> Self {
        Self {
            neck: along_z(
                z,
                &[
                    (14.0, [15.0, 74.0, 86.0]),
                    (0.0, [15.0, 72.0, 84.0]),
                    (-20.0, [12.0, 66.0, 78.0]),
                    (-45.0, [9.0, 61.0, 66.0]),
                    (-75.0, [7.0, 58.0, 62.0]),
                    (-105.0, [8.0, 60.0, 64.0]),
                    (-142.0, [12.0, 68.0, 68.0]),
                ],
            ),
            face: along_z(
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
            ),
            shoulders: along_z(
                z,
                &[
                    (-80.0, [20.0, 30.0, 15.0]),
                    (-100.0, [22.0, 66.0, 30.0]),
                    (-115.0, [24.0, 98.0, 42.0]),
                    (-128.0, [25.0, 130.0, 50.0]),
                    (-142.0, [25.0, 165.0, 58.0]),
                ],
            ),
        }
    }

    #[inline]
    fn distance(&self, x: f32, y: f32) -> f32 {
        let of = |[centre, rx, ry]: [f32; 3]| ellipse(x, y - centre, rx, ry);
        let head_and_neck = smooth_min(of(self.neck), of(self.face), 14.0);
        smooth_min(head_and_neck, of(self.shoulders), 22.0)
    }
}

/// A muscle or a pad of fat: the region nearest to it, in its own measure, is filled with its HU.
#[derive(Clone, Copy)]
struct Compartment {
    x: f32,
    y: f32,
    inv_rx: f32,
    inv_ry: f32,
    hu: f32,
}

/// `[|x|, y, rx, ry, HU]` of the compartments of one side at the level of the larynx, and at the skull base.
const COMPARTMENTS: [([f32; 5], [f32; 5]); 19] = [
    ([8.0, -21.0, 7.0, 4.0, 55.0], [9.0, -20.0, 8.0, 5.0, 55.0]), // longus colli
    ([10.0, 29.0, 8.0, 9.0, 52.0], [12.0, 27.0, 11.0, 8.0, 56.0]), // multifidus; rectus capitis
    ([14.0, 43.0, 11.0, 8.0, 54.0], [17.0, 40.0, 13.0, 8.0, 55.0]), // semispinalis
    ([29.0, 39.0, 10.0, 12.0, 57.0], [36.0, 32.0, 11.0, 11.0, 56.0]), // splenius
    ([30.0, 58.0, 24.0, 7.0, 55.0], [24.0, 56.0, 16.0, 7.0, 54.0]), // trapezius
    ([40.0, 22.0, 8.0, 13.0, 58.0], [46.0, 14.0, 9.0, 12.0, 56.0]), // levator scapulae
    ([32.0, 1.0, 9.0, 10.0, 54.0], [37.0, -6.0, 9.0, 8.0, 57.0]), // scalenes
    ([46.0, -16.0, 8.0, 15.0, 60.0], [60.0, 8.0, 8.0, 14.0, 58.0]), // sternocleidomastoid
    ([26.0, -21.0, 8.0, 8.0, -85.0], [31.0, -18.0, 8.0, 9.0, -85.0]), // carotid sheath's fat
    ([56.0, 6.0, 9.0, 13.0, -95.0], [60.0, -15.0, 10.0, 13.0, -15.0]), // posterior triangle; parotid
    ([15.0, -55.0, 13.0, 5.0, 57.0], [33.0, -40.0, 8.0, 15.0, 58.0]), // strap muscles; pterygoids
    ([17.0, -38.0, 9.0, 9.0, 58.0], [17.0, -36.0, 9.0, 8.0, 56.0]), // constrictors
    ([35.0, -38.0, 10.0, 10.0, -90.0], [57.0, -44.0, 7.0, 17.0, 60.0]), // anterior fat; masseter
    ([5.0, -60.0, 9.0, 5.0, 58.0], [10.0, -66.0, 18.0, 22.0, 62.0]), // mylohyoid; tongue
    ([36.0, -48.0, 10.0, 8.0, -95.0], [42.0, -76.0, 12.0, 14.0, -70.0]), // fat under the jaw; cheek
    ([70.0, 34.0, 18.0, 13.0, 56.0], [90.0, 40.0, 9.0, 9.0, 55.0]), // serratus and rhomboids
    ([100.0, 24.0, 20.0, 17.0, 57.0], [100.0, 20.0, 9.0, 9.0, 55.0]), // supraspinatus
    ([82.0, 2.0, 24.0, 11.0, -95.0], [100.0, 0.0, 9.0, 9.0, -95.0]), // supraclavicular fat
    ([72.0, -24.0, 18.0, 10.0, 54.0], [100.0, -20.0, 9.0, 9.0, -95.0]), // omohyoid, subclavius
];

fn compartments_at(z: f32) -> [Compartment; 19] {
    let upper = smoothstep(-52.0, -14.0, z);
    COMPARTMENTS.map(|(low, high)| {
        let [x, y, rx, ry, hu] = std::array::from_fn(|i| mix(low[i], high[i], upper));
        // The posterior muscles follow the spine.
        let y = if y > -25.0 { y + 0.7 * canal_line_mm(z) } else { y };
        Compartment { x, y, inv_rx: 1.0 / rx, inv_ry: 1.0 / ry, hu }
    })
}

/// HU among the muscles: the nearest compartment, with a seam of fat where two are about equally near.
#[inline]
fn among_muscles(compartments: &[Compartment; 19], x: f32, y: f32, thin: f32) -> f32 {
    let (mut best, mut second, mut nearest) = (f32::MAX, f32::MAX, &compartments[0]);
    for c in compartments {
        let (dx, dy) = ((x - c.x) * c.inv_rx, (y - c.y) * c.inv_ry);
        let q = dx * dx + dy * dy;
        if q < best {
            (second, best, nearest) = (best, q, c);
        } else if q < second {
            second = q;
        }
    }
    let (best, second) = (best.sqrt(), second.sqrt());
    let mean_radius = 2.0 / (nearest.inv_rx + nearest.inv_ry);
    let mut seam = (second - best) * mean_radius * 0.5;
    if y > 20.0 {
        seam = seam.min(x * 0.8);
    }
    mix(-95.0, nearest.hu, smoothstep(0.0, 1.1, seam + thin))
}

/// Everything inside the skin before organs and bones are laid over it.
pub fn paint_body(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let (outline, compartments, texture) = (Outline::at(z), compartments_at(z), canvas.texture);
    let head = smoothstep(-40.0, -10.0, z);
    canvas.paint(Extent::ALL, |x, y| {
        let depth = -outline.distance(x, y);
        if depth < -1.0 {
            return (0.0, 0.0);
        }
        let behind = smoothstep(-40.0, 60.0, y);
        let fat_mm = mix(mix(5.0, 11.0, behind), mix(6.0, 5.0, behind), head);
        let hu = if depth < 1.6 {
            mix(30.0, 45.0, texture.sample(x / 5.0, y / 5.0, z / 5.0))
        } else if depth < fat_mm - 1.0 {
            // Threads of connective tissue.
            let thread = texture.sample(x / 6.0, y / 2.2, z / 6.0);
            -105.0 + 22.0 * thread + if thread > 0.62 { 45.0 } else { 0.0 }
        } else {
            let wobble = 2.2 * texture.sample(x / 7.0, y / 7.0, z / 14.0);
            let inner = among_muscles(&compartments, (x + wobble).abs(), y + wobble, 0.35 * (wobble - 0.4));
            // Fat between the fibres.
            let streak = texture.sample(x / 1.6, y / 4.0, z / 9.0);
            let inner = inner + 7.0 * streak - if streak > 0.6 && inner > 0.0 { 45.0 * (streak - 0.6) } else { 0.0 };
            mix(-105.0, inner, smoothstep(fat_mm - 1.0, fat_mm + 0.4, depth))
        };
        (coverage(-depth, BLUR_MM), hu)
    });
}

/// One round thing on both sides: `[|x|, y, rx, ry]`.
fn paint_pair(canvas: &mut Canvas, [cx, cy, rx, ry]: [f32; 4], hu: f32) {
    for side in [-1.0, 1.0] {
        canvas.paint(Extent::around(side * cx, cy, rx, ry), |x, y| {
            (coverage(ellipse(x - side * cx, y - cy, rx, ry), BLUR_MM), hu)
        });
    }
}

/// Carotid and jugular, vertebral arteries, salivary glands, thyroid gland. No contrast agent.
pub fn paint_vessels_and_glands(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let [x, y] = along_z(z, &[(0.0, [29.0, -16.0]), (-50.0, [25.0, -20.0]), (-140.0, [20.0, -24.0])]);
    paint_pair(canvas, [x, y, 3.3, 3.3], 44.0);
    paint_pair(canvas, [x + 7.0, y + 3.0, 5.4, 4.2], 46.0);
    let external = smoothstep(-58.0, -50.0, z) * 2.4;
    if external > 0.5 {
        paint_pair(canvas, [x - 3.0, y - 7.0, external, external], 44.0);
    }
    let blob = |cz: f32, rz: f32| (1.0 - (z - cz) * (z - cz) / (rz * rz)).max(0.0).sqrt();
    let submandibular = blob(-42.0, 16.0);
    if submandibular > 0.2 {
        paint_pair(canvas, [31.0, -52.0, 8.5 * submandibular, 12.0 * submandibular], 38.0);
    }
    let thyroid = blob(-106.0, 22.0);
    if thyroid > 0.2 {
        paint_pair(canvas, [14.5, -36.0, 6.5 * thyroid, 9.0 * thyroid], 98.0);
    }
    // Lymph nodes along the vessels.
    for (cz, dx, dy) in [(-30.0, 9.0, -8.0), (-56.0, 13.0, -4.0), (-88.0, 12.0, 3.0), (-118.0, 14.0, 0.0)] {
        let node = blob(cz, 7.0);
        if node > 0.3 {
            paint_pair(canvas, [x + dx, y + dy, 3.4 * node, 2.6 * node], 42.0);
        }
    }
}

/// `[centre y, rx, ry]` of the air column from the nasopharynx to the trachea.
fn airway_at(z: f32) -> [f32; 3] {
    along_z(
        z,
        &[
            (14.0, [-35.0, 13.0, 8.0]),
            (-4.0, [-32.5, 12.0, 5.5]),
            (-24.0, [-31.0, 11.0, 6.0]),
            (-44.0, [-33.0, 13.0, 8.0]),
            (-58.0, [-37.0, 13.0, 9.0]),
            (-70.0, [-42.0, 8.0, 11.0]),
            (-80.0, [-44.0, 5.0, 11.0]),
            (-86.0, [-44.0, 1.6, 10.5]),
            (-94.0, [-43.0, 7.0, 9.5]),
            (-106.0, [-41.0, 8.6, 9.0]),
            (-142.0, [-34.0, 9.5, 8.6]),
        ],
    )
}

/// The air column with its lining, tongue base and epiglottis, and the gullet behind it.
pub fn paint_airway(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let [cy, rx, ry] = airway_at(z);
    let texture = canvas.texture;
    let wall = mix(3.4, 2.0, smoothstep(-92.0, -108.0, z));
    let extent = Extent::around(0.0, cy, rx + 6.0, ry + 6.0);
    let outline = |x: f32, y: f32| {
        let fold = 1.1 * texture.sample(x / 6.0, y / 6.0, z / 7.0);
        ellipse(x, y - cy, rx, ry) + fold * smoothstep(-106.0, -70.0, z)
    };
    canvas.paint(extent, |x, y| (coverage(outline(x, y) - wall, BLUR_MM), 52.0));
    canvas.paint(extent, |x, y| (coverage(outline(x, y), BLUR_MM), -1000.0));
    if z < -96.0 {
        let back = canal_line_mm(z) - 17.0;
        let gullet = (cy + ry + 5.0).min(back - 3.6);
        canvas.paint(Extent::around(3.0, gullet, 9.0, 5.0), |x, y| {
            (coverage(ellipse(x - 3.0, y - gullet, 8.0, 3.6), BLUR_MM), 46.0)
        });
        canvas.paint(Extent::around(3.5, gullet, 3.0, 2.0), |x, y| {
            (0.8 * coverage(ellipse(x - 3.5, y - gullet, 1.8, 0.7), BLUR_MM), -700.0)
        });
    }
    if z < -44.0 && z > -66.0 {
        // The epiglottis: a leaf that leans forward as it goes down.
        let leaf = cy - 2.0 + 0.25 * (-z - 50.0);
        let half = 9.0 * smoothstep(-44.0, -50.0, z);
        canvas.paint(Extent::around(0.0, leaf, 12.0, 5.0), |x, y| {
            let arc = y - leaf - 0.02 * x * x;
            (coverage((arc.abs() - 1.2).max(x.abs() - half), BLUR_MM), 55.0)
        });
    }
}

/// Hyoid, thyroid and cricoid cartilage, the rings of the trachea; calcified in patches.
pub fn paint_larynx(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let texture = canvas.texture;
    let patch = |x: f32, y: f32| smoothstep(-0.25, 0.35, texture.sample(x / 5.0 + 9.0, y / 5.0, z / 5.0));
    let height = |cz: f32, half: f32| (z - cz).abs() - half;
    let hyoid = height(-55.0, 3.6);
    if hyoid < 1.0 {
        canvas.paint(Extent::around(0.0, -48.0, 26.0, 18.0), |x, y| {
            let body = ellipse(x, y + 44.0, 16.0, 17.5).abs().max(y + 53.0) - 2.9;
            let horn = segment(x.abs(), y, [13.5, -53.0], [19.0, -32.0]).0 - 1.6;
            let d = body.min(horn);
            (coverage(d.max(hyoid), BLUR_MM), mix(1000.0, 330.0, smoothstep(-0.7, -1.6, d)))
        });
    }
    let thyroid = height(-77.0, 12.0);
    if thyroid < 1.0 {
        // The notch: the plates do not meet in front at the top.
        let open = 7.0 * smoothstep(-74.0, -66.0, z);
        canvas.paint(Extent::around(0.0, -46.0, 26.0, 18.0), |x, y| {
            let plate = segment(x.abs(), y, [0.6 + open, -60.0 + open * 0.9], [19.0, -32.0]).0 - 1.4;
            (coverage(plate.max(thyroid), BLUR_MM), mix(95.0, 420.0, patch(x, y)))
        });
    }
    let [cy, rx, ry] = airway_at(z);
    let cricoid = height(-94.0, 6.0);
    if cricoid < 1.0 {
        canvas.paint(Extent::around(0.0, cy, 18.0, 18.0), |x, y| {
            let thick = 1.4 + 1.2 * smoothstep(cy, cy + 10.0, y);
            let ring = (ellipse(x, y - cy, rx.max(7.0) + 3.6, ry + 3.6)).abs() - thick;
            (coverage(ring.max(cricoid), BLUR_MM), mix(90.0, 480.0, patch(x, y)))
        });
    } else if z < -100.0 {
        let ring_hu = mix(55.0, 130.0, smoothstep(0.1, 0.3, texture.sample(0.5, 0.5, z / 2.6)));
        canvas.paint(Extent::around(0.0, cy, 13.0, 13.0), |x, y| {
            let ring = (ellipse(x, y - cy, rx + 1.2, ry + 1.2)).abs() - 0.8;
            (coverage(ring.max(y - cy - 5.0), BLUR_MM), ring_hu)
        });
    }
}

/// A padded shell behind the head, and the table's top where the head holder ends.
pub fn paint_head_holder(canvas: &mut Canvas) {
    let z = canvas.z_mm;
    let outline = Outline::at(z);
    let shell = |canvas: &mut Canvas, outside: &dyn Fn(f32, f32) -> f32, end: f32| {
        canvas.paint(Extent { x: [-120.0, 120.0], y: [30.0, 120.0] }, |x, y| {
            let d = outside(x, y);
            let open = coverage(-outline.distance(x, y) + 0.6, BLUR_MM);
            let skin = coverage((d.abs() - 3.5).abs() - 0.6, BLUR_MM);
            let fill = coverage((d.abs() - 4.1).max(x.abs() - end), BLUR_MM) * open;
            (fill, mix(-930.0, 60.0, skin))
        });
    };
    if z > -58.0 {
        shell(canvas, &|x, y| (x * x + (y + 14.0) * (y + 14.0)).sqrt() - 121.0, 88.0);
    } else {
        shell(canvas, &|x, y| y - 108.0 + x * x / 900.0, 200.0);
    }
}
