//! Planes as NRRD files: three-dimensional with one slice, f32, in LPS, so that other software puts them where they
//! were cut.

use crate::geometry::{PlaneGrid, Vec3};

/// The bytes of a file (`.nrrd`, header and raw data). `thickness_mm` is the slice's own extent.
///
/// `None` when there are not as many values as the grid has pixels.
pub fn plane_bytes(grid: &PlaneGrid, thickness_mm: f64, values: &[f32], content: &str) -> Option<Vec<u8>> {
    if values.len() != grid.rows * grid.columns {
        return None;
    }
    let vector = |v: Vec3| format!("({},{},{})", plain(v.x), plain(v.y), plain(v.z));
    let (along_row, along_column) = (grid.pose.along_row * grid.spacing_mm, grid.pose.along_column * grid.spacing_mm);
    let through = grid.pose.normal() * thickness_mm;
    let content = one_line(content);
    let header = format!(
        "NRRD0005\n\
         # {}\n\
         content: {content}\n\
         type: float\n\
         dimension: 3\n\
         space: left-posterior-superior\n\
         sizes: {} {} 1\n\
         space directions: {} {} {}\n\
         kinds: domain domain domain\n\
         space units: \"mm\" \"mm\" \"mm\"\n\
         endian: little\n\
         encoding: raw\n\
         space origin: {}\n\n",
        crate::RESEARCH_LINE,
        grid.columns,
        grid.rows,
        vector(along_row),
        vector(along_column),
        vector(through),
        vector(grid.pose.origin.0),
    );
    let mut bytes = header.into_bytes();
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    Some(bytes)
}

/// The bytes of a file of a surface that was unrolled: two-dimensional, since it has no one place in the patient.
///
/// `None` when there are not as many values as the grid has pixels.
pub fn unrolled_bytes(grid: &PlaneGrid, values: &[f32], content: &str) -> Option<Vec<u8>> {
    if values.len() != grid.rows * grid.columns {
        return None;
    }
    let header = format!(
        "NRRD0005\n\
         # {}\n\
         content: {}\n\
         type: float\n\
         dimension: 2\n\
         sizes: {} {}\n\
         spacings: {spacing} {spacing}\n\
         kinds: space space\n\
         units: \"mm\" \"mm\"\n\
         endian: little\n\
         encoding: raw\n\n",
        crate::RESEARCH_LINE,
        one_line(content),
        grid.columns,
        grid.rows,
        spacing = grid.spacing_mm,
    );
    let mut bytes = header.into_bytes();
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    Some(bytes)
}

fn one_line(content: &str) -> String {
    content.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}

/// Without a negative zero, which reads as a mistake.
fn plain(v: f64) -> f64 {
    if v == 0.0 { 0.0 } else { v }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PatientPoint, SlicePose};

    #[test]
    fn the_header_says_where_the_plane_lies() {
        let pose = SlicePose {
            origin: PatientPoint(Vec3::new(-12.5, 3.25, 100.0)),
            along_row: Vec3::new(0.0, 1.0, 0.0),
            along_column: Vec3::new(0.0, 0.0, -1.0),
        };
        let grid = PlaneGrid { pose, spacing_mm: 0.5, rows: 1, columns: 2 };
        let bytes = plane_bytes(&grid, 4.0, &[1.0, -2.5], "sagittal\nplane").expect("two values");
        let text = String::from_utf8_lossy(&bytes);
        for line in [
            "NRRD0005",
            "content: sagittal plane",
            "sizes: 2 1 1",
            "space: left-posterior-superior",
            "space directions: (0,0.5,0) (0,0,-0.5) (-4,0,0)",
            "space origin: (-12.5,3.25,100)",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(bytes.ends_with(&[1.0_f32.to_le_bytes(), (-2.5_f32).to_le_bytes()].concat()));
        assert_eq!(plane_bytes(&grid, 4.0, &[1.0], ""), None);
    }
}
