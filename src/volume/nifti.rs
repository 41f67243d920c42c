//! Label maps in NIfTI-1 files (`.nii`, `.nii.gz`), with their place in space.
//!
//! NIfTI's world is RAS (+x right, +y anterior, +z head), ours is LPS: the first two rows of its matrices change sign.
//! Arrays are never flipped by habit; where a voxel lies is what the file's matrix says.

use std::io::Read;
use std::path::Path;

use crate::geometry::{PatientPoint, PixelPoint, SlicePose, Vec3};

const HEADER: usize = 348;
/// Larger maps than this are refused before memory is taken.
const MOST_VOXELS: usize = 1 << 31;

/// A whole number per voxel, and where the voxels lie.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Voxels along i, j, k; i runs fastest.
    pub size: [usize; 3],
    pub labels: Vec<u8>,
    /// Row by row: LPS millimetres from (i, j, k, 1).
    pub patient_from_voxel: [[f64; 4]; 3],
}

/// Why a file is no label map, as the second half of a sentence that begins with its name.
#[derive(Debug, thiserror::Error)]
pub enum NiftiError {
    #[error("it could not be read ({0}); check that it exists and that you may read it")]
    Unreadable(#[from] std::io::Error),
    #[error("it is no NIfTI-1 file in one piece ({0})")]
    NotNifti(&'static str),
    #[error("its voxels are of type {0}, which this program does not read")]
    DataType(i16),
    #[error("its matrix has no inverse, so its voxels have no place")]
    Singular,
}

impl LabelMap {
    /// Puts slices of labels (display order, row-major) into the orientation of RSNA 2022's segmentations: i along the
    /// rows, j against the columns, k from the last slice to the first.
    ///
    /// `None` when the sizes do not agree or there is no slice.
    pub fn from_slices(
        slices: &[&[u8]],
        poses: &[SlicePose],
        [rows, columns]: [usize; 2],
        [rows_mm, columns_mm]: [f64; 2],
    ) -> Option<Self> {
        let count = slices.len();
        let (first, last) = (poses.first()?, poses.last()?);
        if poses.len() != count || slices.iter().any(|s| s.len() != rows * columns) {
            return None;
        }
        let mut labels = Vec::with_capacity(count * rows * columns);
        for slice in slices.iter().rev() {
            slice.chunks_exact(columns).rev().for_each(|row| labels.extend_from_slice(row));
        }
        let gaps = count.saturating_sub(1).max(1) as f64;
        let step = if count > 1 { (first.origin.0 - last.origin.0) * (1.0 / gaps) } else { first.normal() };
        let (along_i, along_j) = (last.along_row * columns_mm, last.along_column * -rows_mm);
        let corner = last.origin.0 - along_j * (rows.saturating_sub(1) as f64);
        let row = |of: fn(Vec3) -> f64| [of(along_i), of(along_j), of(step), of(corner)];
        Some(Self {
            size: [columns, rows, count],
            labels,
            patient_from_voxel: [row(|v| v.x), row(|v| v.y), row(|v| v.z)],
        })
    }

    /// Reads a file; values are rounded to whole numbers, those outside 0 to 255 count as 0.
    ///
    /// # Errors
    /// When it is none, is cut short, or has voxels of a type that holds no labels.
    pub fn read(path: &Path) -> Result<Self, NiftiError> {
        let mut bytes = Vec::new();
        let mut file = std::fs::File::open(path)?;
        let mut magic = [0; 2];
        let is_gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1F, 0x8B];
        let file = std::fs::File::open(path)?;
        match is_gzip {
            true => flate2::read::GzDecoder::new(file).take(1 << 32).read_to_end(&mut bytes)?,
            false => std::io::BufReader::new(file).take(1 << 32).read_to_end(&mut bytes)?,
        };
        Self::parse(&bytes)
    }

    /// As [`LabelMap::read`], for bytes that are inflated already.
    ///
    /// # Errors
    /// As [`LabelMap::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NiftiError> {
        let header = Header::new(bytes)?;
        let size = header.size()?;
        let count = size.iter().try_fold(1usize, |n, s| n.checked_mul(*s)).filter(|n| *n <= MOST_VOXELS);
        let count = count.ok_or(NiftiError::NotNifti("its size is beyond reason"))?;
        let (scale, offset) = match (header.f32(112), header.f32(116)) {
            (0.0, _) => (1.0, 0.0),
            (scale, offset) if scale.is_finite() && offset.is_finite() => (f64::from(scale), f64::from(offset)),
            _ => (1.0, 0.0),
        };
        let start = header.f32(108);
        let start = if start >= HEADER as f32 && start < 1e6 { start as usize } else { HEADER + 4 };
        let data_type = header.i16(70);
        let width = match data_type {
            2 | 256 => 1,
            4 | 512 => 2,
            8 | 16 | 768 => 4,
            64 => 8,
            other => return Err(NiftiError::DataType(other)),
        };
        let voxels = bytes
            .get(start..)
            .and_then(|rest| rest.get(..count.checked_mul(width)?))
            .ok_or(NiftiError::NotNifti("it holds fewer voxels than it promises"))?;
        let label = |raw: f64| label(raw * scale + offset);
        let labels = voxels.chunks_exact(width).map(|v| label(header.value(data_type, v))).collect();
        let map = Self { size, labels, patient_from_voxel: header.patient_from_voxel() };
        map.voxel_from_patient().ok_or(NiftiError::Singular)?;
        Ok(map)
    }

    /// The file: unsigned bytes, the place as sform.
    pub fn to_nifti(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + 4];
        let mut put = |at: usize, value: &[u8]| {
            bytes.iter_mut().skip(at).zip(value).for_each(|(place, byte)| *place = *byte);
        };
        put(0, &348i32.to_le_bytes());
        put(38, b"r");
        let size = self.size.map(|n| i16::try_from(n).unwrap_or(i16::MAX));
        for (index, n) in [3, size[0], size[1], size[2], 1, 1, 1, 1].into_iter().enumerate() {
            put(40 + 2 * index, &n.to_le_bytes());
        }
        put(70, &2i16.to_le_bytes()); // unsigned bytes
        put(72, &8i16.to_le_bytes());
        put(76, &1f32.to_le_bytes());
        let column = |j: usize| {
            Vec3::new(self.patient_from_voxel[0][j], self.patient_from_voxel[1][j], self.patient_from_voxel[2][j])
        };
        for j in 0..3 {
            put(80 + 4 * j, &(column(j).length() as f32).to_le_bytes());
        }
        put(108, &352f32.to_le_bytes());
        put(112, &1f32.to_le_bytes());
        put(123, &[2]); // millimetres
        put(148, b"synthetic or derived labels, not for diagnosis");
        put(254, &1i16.to_le_bytes());
        for (i, row) in self.patient_from_voxel.iter().enumerate() {
            let sign = if i < 2 { -1.0 } else { 1.0 };
            for (j, value) in row.iter().enumerate() {
                put(280 + 16 * i + 4 * j, &((sign * value) as f32).to_le_bytes());
            }
        }
        put(344, b"n+1\0");
        bytes.extend_from_slice(&self.labels);
        bytes
    }

    /// The nearest voxel's label for each pixel of a slice, row-major; 0 outside the map.
    ///
    /// `spacing_mm` is `[between rows, between columns]`.
    pub fn on_slice(&self, pose: &SlicePose, [rows, columns]: [usize; 2], spacing_mm: [f64; 2]) -> Vec<u8> {
        let Some(inverse) = self.voxel_from_patient() else { return vec![0; rows * columns] };
        let voxel = |row: usize, column: usize| -> [f64; 3] {
            let at = PixelPoint { column: column as f64, row: row as f64 };
            let PatientPoint(p) = pose.patient_from_pixel(at, spacing_mm);
            inverse.map(|[x, y, z, t]| x * p.x + y * p.y + z * p.z + t)
        };
        let origin = voxel(0, 0);
        let (down, right) = (minus(voxel(1, 0), origin), minus(voxel(0, 1), origin));
        let mut labels = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            for column in 0..columns {
                let at = [0, 1, 2].map(|k| origin[k] + down[k] * row as f64 + right[k] * column as f64);
                labels.push(self.nearest(at).unwrap_or(0));
            }
        }
        labels
    }

    fn nearest(&self, at: [f64; 3]) -> Option<u8> {
        let [i, j, k] = [0, 1, 2].map(|axis| {
            let rounded = (at[axis] + 0.5).floor();
            (rounded >= 0.0 && rounded < self.size[axis] as f64).then_some(rounded as usize)
        });
        self.labels.get((k? * self.size[1] + j?) * self.size[0] + i?).copied()
    }

    fn voxel_from_patient(&self) -> Option<[[f64; 4]; 3]> {
        let column = |j: usize| {
            Vec3::new(self.patient_from_voxel[0][j], self.patient_from_voxel[1][j], self.patient_from_voxel[2][j])
        };
        let (a, b, c, t) = (column(0), column(1), column(2), column(3));
        let determinant = a.dot(b.cross(c));
        let singular = !determinant.is_finite() || determinant.abs() < 1e-9 || !t.is_finite();
        let row = |v: Vec3| {
            let v = v * (1.0 / determinant);
            [v.x, v.y, v.z, -v.dot(t)]
        };
        (!singular).then(|| [row(b.cross(c)), row(c.cross(a)), row(a.cross(b))])
    }
}

fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range by the condition")]
fn label(value: f64) -> u8 {
    let rounded = value.round();
    if (0.0..=255.0).contains(&rounded) { rounded as u8 } else { 0 }
}

/// The first 348 bytes.
struct Header<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Header<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, NiftiError> {
        let bytes = bytes.get(..HEADER).ok_or(NiftiError::NotNifti("it is shorter than a header"))?;
        let big_endian = match bytes.first_chunk::<4>() {
            Some([0x5C, 1, 0, 0]) => false,
            Some([0, 0, 1, 0x5C]) => true,
            _ => return Err(NiftiError::NotNifti("its header does not begin as one")),
        };
        if bytes.get(344..347) != Some(b"n+1") {
            return Err(NiftiError::NotNifti("the mark n+1 is missing"));
        }
        Ok(Self { bytes, big_endian })
    }
    fn raw<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N]);
        self.little(found)
    }
    fn little<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }
    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.raw(at))
    }
    fn f32(&self, at: usize) -> f32 {
        f32::from_le_bytes(self.raw(at))
    }
    fn size(&self) -> Result<[usize; 3], NiftiError> {
        let dimensions = self.i16(40);
        let more = (4..=dimensions.min(7)).any(|d| self.i16(40 + 2 * d.unsigned_abs() as usize) > 1);
        if !(3..=7).contains(&dimensions) || more {
            return Err(NiftiError::NotNifti("it does not have three dimensions"));
        }
        let size = [42, 44, 46].map(|at| usize::try_from(self.i16(at)).unwrap_or(0));
        if size.contains(&0) { Err(NiftiError::NotNifti("one of its dimensions is empty")) } else { Ok(size) }
    }
    fn value(&self, data_type: i16, voxel: &[u8]) -> f64 {
        fn chunk<const N: usize>(voxel: &[u8]) -> [u8; N] {
            voxel.first_chunk::<N>().copied().unwrap_or([0; N])
        }
        match data_type {
            256 => f64::from(i8::from_le_bytes(chunk(voxel))),
            4 => f64::from(i16::from_le_bytes(self.little(chunk(voxel)))),
            512 => f64::from(u16::from_le_bytes(self.little(chunk(voxel)))),
            8 => f64::from(i32::from_le_bytes(self.little(chunk(voxel)))),
            768 => f64::from(u32::from_le_bytes(self.little(chunk(voxel)))),
            16 => f64::from(f32::from_le_bytes(self.little(chunk(voxel)))),
            64 => f64::from_le_bytes(self.little(chunk(voxel))),
            _ => f64::from(voxel.first().copied().unwrap_or(0)),
        }
    }
    /// sform if there is one, else qform, else the spacing alone (the three methods of nifti1.h), in LPS.
    fn patient_from_voxel(&self) -> [[f64; 4]; 3] {
        let real = |at| f64::from(self.f32(at));
        let ras = if self.i16(254) > 0 {
            [280, 296, 312].map(|at| [real(at), real(at + 4), real(at + 8), real(at + 12)])
        } else if self.i16(252) > 0 {
            self.affine_of_quaternion()
        } else {
            [[real(80), 0.0, 0.0, 0.0], [0.0, real(84), 0.0, 0.0], [0.0, 0.0, real(88), 0.0]]
        };
        let [x, y, z] = ras;
        [x.map(|v| -v), y.map(|v| -v), z]
    }
    fn affine_of_quaternion(&self) -> [[f64; 4]; 3] {
        let real = |at| f64::from(self.f32(at));
        let (b, c, d) = (real(256), real(260), real(264));
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        let (dx, dy) = (real(80), real(84));
        let dz = if real(76) < 0.0 { -real(88) } else { real(88) };
        [
            [(a * a + b * b - c * c - d * d) * dx, 2.0 * (b * c - a * d) * dy, 2.0 * (b * d + a * c) * dz, real(268)],
            [2.0 * (b * c + a * d) * dx, (a * a + c * c - b * b - d * d) * dy, 2.0 * (c * d - a * b) * dz, real(272)],
            [2.0 * (b * d - a * c) * dx, 2.0 * (c * d + a * b) * dy, (a * a + d * d - b * b - c * c) * dz, real(276)],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poses(count: usize) -> Vec<SlicePose> {
        let pose = |i: usize| SlicePose {
            origin: PatientPoint(Vec3::new(-10.0, -20.0, 100.0 - 2.5 * i as f64)),
            along_row: Vec3::new(1.0, 0.0, 0.0),
            along_column: Vec3::new(0.0, 1.0, 0.0),
        };
        (0..count).map(pose).collect()
    }
    fn map() -> (LabelMap, Vec<Vec<u8>>) {
        let slices: Vec<Vec<u8>> = (0..4u8).map(|s| (0..6).map(|p| 10 * s + p).collect()).collect();
        let refs: Vec<&[u8]> = slices.iter().map(Vec::as_slice).collect();
        (LabelMap::from_slices(&refs, &poses(4), [2, 3], [0.5, 0.75]).expect("a map"), slices)
    }

    #[test]
    fn what_is_written_is_found_at_its_place() {
        let (map, slices) = map();
        let back = LabelMap::parse(&map.to_nifti()).expect("reads");
        assert_eq!(back, map);
        for (pose, slice) in poses(4).iter().zip(&slices) {
            assert_eq!(&back.on_slice(pose, [2, 3], [0.5, 0.75]), slice);
        }
        // As RSNA stores them: k ascends to the head, j to anterior, so the first voxel is the last slice's last row.
        assert_eq!(back.labels.first(), slices[3].get(3));
        assert!(back.patient_from_voxel[2][2] == 2.5 && back.patient_from_voxel[1][1] == -0.5);
    }

    #[test]
    fn the_matrix_decides_not_the_order_in_the_file() {
        let (map, slices) = map();
        // The same labels stored from head to feet, with the matrix that says so.
        let [n, m, k] = map.size;
        let mut other = map.clone();
        other.labels = map.labels.chunks_exact(n * m).rev().flatten().copied().collect();
        for row in &mut other.patient_from_voxel {
            row[3] += row[2] * (k - 1) as f64;
            row[2] = -row[2];
        }
        for (pose, slice) in poses(4).iter().zip(&slices) {
            assert_eq!(&other.on_slice(pose, [2, 3], [0.5, 0.75]), slice);
        }
    }

    #[test]
    fn other_types_scales_and_byte_orders_are_read() {
        let (map, _) = map();
        let mut bytes = map.to_nifti();
        bytes.truncate(352);
        bytes[70] = 4;
        bytes[112..116].copy_from_slice(&0.5f32.to_le_bytes());
        map.labels.iter().for_each(|l| bytes.extend((2 * i16::from(*l)).to_le_bytes()));
        assert_eq!(LabelMap::parse(&bytes).expect("16 bits").labels, map.labels);
        // Every number of the header turned round.
        let mut big = bytes.clone();
        big[..4].reverse();
        (40..56).step_by(2).chain([70, 72, 252, 254]).for_each(|at| big[at..at + 2].reverse());
        (76..120).step_by(4).chain((256..328).step_by(4)).for_each(|at| big[at..at + 4].reverse());
        big[352..].chunks_exact_mut(2).for_each(<[u8]>::reverse);
        assert_eq!(LabelMap::parse(&big).expect("big endian"), LabelMap::parse(&bytes).expect("little endian"));
    }

    #[test]
    fn the_quaternion_of_nothing_turned_is_the_spacing() {
        let (map, _) = map();
        let mut bytes = map.to_nifti();
        bytes[254] = 0;
        bytes[252] = 1;
        let back = LabelMap::parse(&bytes).expect("reads").patient_from_voxel;
        assert_eq!((back[0][0], back[1][1], back[2][2]), (-0.75, -0.5, 2.5));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let (map, _) = map();
        let good = map.to_nifti();
        assert!(matches!(LabelMap::parse(&good[..300]), Err(NiftiError::NotNifti(_))));
        assert!(matches!(LabelMap::parse(&good[..good.len() - 1]), Err(NiftiError::NotNifti(_))));
        let broken = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            LabelMap::parse(&bytes)
        };
        assert!(matches!(broken(70, 128), Err(NiftiError::DataType(128))));
        assert!(matches!(broken(344, b'x'), Err(NiftiError::NotNifti(_))));
        assert!(matches!(broken(43, 0x80), Err(NiftiError::NotNifti(_))));
        let mut flat = good.clone();
        flat[312..328].fill(0);
        assert!(matches!(LabelMap::parse(&flat), Err(NiftiError::Singular)));
    }
}
