//! What the patient lies on: the table's top, the head holder, foam. Lies in the scanner, not in the patient: it is level
//! however the patient is turned.

use super::build::Build;
use super::canvas::{Canvas, Extent, NOTHING};
use super::coarse::Coarse;
use super::shapes::{coverage, mix, smoothstep};

/// Carbon fibre, HU.
const CARBON_HU: f32 = -120.0;

/// Table, head holder and pads, wherever there is air.
pub fn paint_table(canvas: &mut Canvas, build: &Build, skin: &Coarse<1>) {
    let (z, texture, patient) = (canvas.z_mm, canvas.texture, canvas.patient);
    // The back of the head in anatomical millimetres; the support does not follow the turn.
    let [posture_x, _] = patient.posture.shift_mm;
    let head_back = 101.0 * patient.posture.scale[1] + patient.posture.shift_mm[1];
    let table_y = head_back + 16.0 + build.pad_mm;
    let on_shell = build.shell && z > -64.0;
    // Nothing of it lies further up.
    let nearest_y = if on_shell { head_back + build.pad_mm - 80.0 } else { table_y - 30.0 };
    let reach_mm = 0.9;
    let (matrix, blur_mm) = (canvas.matrix, canvas.blur_mm.max(0.8));
    let [columns, rows] = canvas.pixels(Extent { x: [-260.0, 260.0], y: [20.0, 200.0] });
    for row in rows {
        let edge = skin.along_row(row);
        for column in columns.clone() {
            let [x, y] = canvas.scanner(column, row);
            if y < nearest_y {
                break;
            }
            let [distance] = skin.at(&edge, column);
            if distance <= 0.0 {
                continue;
            }
            let from_middle = x - posture_x;
            let (fill, hu) = if on_shell {
                // A trough of radius 118 mm, cut off at the height of the ears, lined with foam.
                let up = y - head_back - build.pad_mm + 112.0;
                let d = (from_middle * from_middle + up * up).sqrt() - 112.0;
                if up < 34.0 || (d - 3.3).abs() > 4.9 + blur_mm {
                    NOTHING
                } else {
                    let shell = coverage((d - 7.0).abs() - 1.1, blur_mm);
                    let foam = coverage((d - 2.5).abs() - 3.3, blur_mm);
                    (shell.max(foam), mix(foam_hu(texture.sample(x / 2.0, y / 2.0, z / 2.0)), CARBON_HU, shell))
                }
            } else {
                // A sandwich: carbon, foam, carbon; on it a mattress.
                let sag = from_middle * from_middle / 2600.0;
                let d = y - table_y + sag;
                if d < -2.7 - blur_mm || d > 37.0 + blur_mm {
                    continue;
                }
                let half = smoothstep(215.0, 205.0, from_middle.abs());
                let skins = coverage((d - 11.0).abs() - 1.0, blur_mm).max(coverage((d - 36.0).abs() - 1.0, blur_mm));
                let core = coverage((d - 23.5).abs() - 12.0, blur_mm);
                let mattress = coverage((d - 4.0).abs() - 6.0, blur_mm);
                let cover = coverage((d + 2.2).abs() - 0.5, blur_mm);
                let soft = mix(foam_hu(texture.sample(x / 3.0, y / 3.0, z / 3.0)), -250.0, cover);
                let hard = mix(-955.0, CARBON_HU, skins);
                let solid = core.max(skins);
                (half * solid.max(mattress), mix(soft, hard, solid))
            };
            if fill <= 0.0 {
                continue;
            }
            let at = row * matrix + column;
            let open = smoothstep(0.0, reach_mm, distance);
            canvas.hu[at] = mix(canvas.hu[at], hu, fill * open);
        }
    }
}

/// Foam is not quite even.
fn foam_hu(texture: f32) -> f32 {
    -930.0 + 25.0 * texture
}
