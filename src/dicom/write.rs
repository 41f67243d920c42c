//! Writes synthetic CT as DICOM: CT Image Storage (PS3.3 A.3), Explicit VR Little Endian, one file per slice.
//!
//! Only synthetic pictures are written, and every file says so in seven places: name, comments, manufacturer,
//! QualityControlImage, PatientIdentityRemoved, DeidentificationMethod, and UIDs under 2.25 (PS3.5 B.2).

use dicom_core::value::C;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use crate::study::{LoadedSeries, Series, SliceInfo};
use crate::volume::Slice;

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Names this program as the writer; 2.25 and the first 122 bits of the SHA-256 of "dens".
const IMPLEMENTATION_CLASS: &str = "2.25.4208241425202355688304695187755089330";
/// What ImageComments (0020,4000) of every file says.
pub const SYNTHETIC_COMMENT: &str = "SYNTHETIC PHANTOM - NOT A PATIENT";

/// How Hounsfield units become stored values, with a RescaleSlope of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    pub signed: bool,
    /// RescaleIntercept: HU of the stored value 0.
    pub intercept: i16,
    /// Stored value of everything outside the circle of reconstruction (PixelPaddingValue); signed storage only.
    pub padding: Option<i16>,
}

impl Storage {
    /// What most scanners write: unsigned, 0 is -1024 HU.
    pub const USUAL: Self = Self { signed: false, intercept: -1024, padding: None };

    fn stored(self, hu: i16) -> Option<u16> {
        let stored = i32::from(hu) - i32::from(self.intercept);
        match self.signed {
            true => i16::try_from(stored).ok().map(i16::cast_unsigned),
            false => u16::try_from(stored).ok(),
        }
    }
}

/// What a file says beside what its series says.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Components parted by `^` (PN).
    pub patient_name: &'a str,
    pub study_id: &'a str,
    pub frame_of_reference_uid: &'a str,
    pub sop_instance_uid: &'a str,
    pub instance_number: usize,
    pub storage: Storage,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("slice {number} cannot be written as CT: {why}")]
    NotWritable { number: usize, why: &'static str },
    #[error("the DICOM file could not be made: {0}")]
    Encode(String),
}

/// The bytes of the file for one slice (0-based, display order) of a synthetic series.
///
/// # Errors
/// When the slice has no place in space or values that the storage cannot hold.
pub fn synthetic_ct(loaded: &LoadedSeries, index: usize, written: &Written) -> Result<Vec<u8>, WriteError> {
    let number = index.saturating_add(1);
    let refuse = |why| WriteError::NotWritable { number, why };
    let series = &*loaded.series;
    let info = series.slices.get(index).ok_or_else(|| refuse("there is no such slice"))?;
    let slice = loaded.volume.slices().get(index).ok_or_else(|| refuse("it has no pixels"))?;
    let mut object = InMemDicomObject::new_empty();
    put_patient_and_study(&mut object, series, written);
    put_series_and_place(&mut object, series, info, written).ok_or_else(|| refuse("it has no place in space"))?;
    put_picture(&mut object, slice, series, written.storage).ok_or_else(|| refuse("its values do not fit"))?;
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid(written.sop_instance_uid)
        .implementation_class_uid(IMPLEMENTATION_CLASS)
        .implementation_version_name("DENS");
    let encode = |error: &dyn std::fmt::Display| WriteError::Encode(error.to_string());
    let file = object.with_meta(meta).map_err(|e| encode(&e))?;
    let mut bytes = Vec::new();
    file.write_all(&mut bytes).map_err(|e| encode(&e))?;
    Ok(bytes)
}

fn put_patient_and_study(object: &mut InMemDicomObject, series: &Series, written: &Written) {
    let (patient, study) = (&series.patient, &series.study);
    let mut text = |group, element, vr, value: &str| put_text(object, Tag(group, element), vr, value);
    text(0x0008, 0x0020, VR::DA, &study.date);
    text(0x0008, 0x0030, VR::TM, &study.time);
    text(0x0008, 0x0050, VR::SH, &study.accession);
    text(0x0008, 0x0090, VR::PN, "");
    text(0x0008, 0x1030, VR::LO, &study.description);
    text(0x0010, 0x0010, VR::PN, written.patient_name);
    text(0x0010, 0x0020, VR::LO, &patient.id);
    text(0x0010, 0x0030, VR::DA, &patient.birth_date);
    text(0x0010, 0x0040, VR::CS, &patient.sex);
    if !patient.age.is_empty() {
        text(0x0010, 0x1010, VR::AS, &patient.age);
    }
    text(0x0012, 0x0062, VR::CS, "YES");
    text(0x0012, 0x0063, VR::LO, "synthetic");
    text(0x0020, 0x000D, VR::UI, &study.uid);
    text(0x0020, 0x0010, VR::SH, written.study_id);
}

/// `None` when the slice has no place in space.
fn put_series_and_place(
    object: &mut InMemDicomObject,
    series: &Series,
    info: &SliceInfo,
    written: &Written,
) -> Option<()> {
    let (pose, [rows_mm, columns_mm]) = (info.pose?, series.spacing_mm?);
    let technique = &series.technique;
    let mut text = |group, element, vr, value: &str| put_text(object, Tag(group, element), vr, value);
    let axial = pose.is_axial();
    text(0x0008, 0x0008, VR::CS, if axial { "ORIGINAL\\PRIMARY\\AXIAL" } else { "DERIVED\\SECONDARY\\MPR" });
    text(0x0008, 0x0016, VR::UI, CT_IMAGE_STORAGE);
    text(0x0008, 0x0018, VR::UI, written.sop_instance_uid);
    text(0x0008, 0x0060, VR::CS, "CT");
    text(0x0008, 0x0070, VR::LO, "dens (synthetic)");
    text(0x0008, 0x103E, VR::LO, &series.description);
    if !technique.contrast_agent.is_empty() {
        text(0x0018, 0x0010, VR::LO, &technique.contrast_agent);
    }
    text(0x0018, 0x0015, VR::CS, "CSPINE");
    text(0x0018, 0x0050, VR::DS, &technique.slice_thickness_mm.map_or(String::new(), decimal_string));
    text(0x0018, 0x0060, VR::DS, &technique.kvp.map_or(String::new(), decimal_string));
    text(0x0018, 0x1020, VR::LO, crate::SOFTWARE);
    if let Some(tilt_deg) = technique.gantry_tilt_deg {
        text(0x0018, 0x1120, VR::DS, &decimal_string(tilt_deg));
    }
    text(0x0018, 0x1210, VR::SH, &technique.kernel.chars().take(16).collect::<String>());
    let position = if technique.patient_position.is_empty() { "HFS" } else { &technique.patient_position };
    text(0x0018, 0x5100, VR::CS, position);
    text(0x0020, 0x000E, VR::UI, &series.uid);
    text(0x0020, 0x0011, VR::IS, &series.number.map_or(String::new(), |n| n.to_string()));
    text(0x0020, 0x0012, VR::IS, "1");
    text(0x0020, 0x0013, VR::IS, &written.instance_number.to_string());
    let (origin, row, column) = (pose.origin.0, pose.along_row, pose.along_column);
    text(0x0020, 0x0032, VR::DS, &decimal_strings(&[origin.x, origin.y, origin.z]));
    text(0x0020, 0x0037, VR::DS, &decimal_strings(&[row.x, row.y, row.z, column.x, column.y, column.z]));
    text(0x0020, 0x0052, VR::UI, written.frame_of_reference_uid);
    text(0x0020, 0x1040, VR::LO, "");
    text(0x0020, 0x4000, VR::LT, SYNTHETIC_COMMENT);
    text(0x0028, 0x0030, VR::DS, &decimal_strings(&[rows_mm, columns_mm]));
    text(0x0028, 0x0300, VR::CS, "YES");
    Some(())
}

/// `None` when a value does not fit.
fn put_picture(object: &mut InMemDicomObject, slice: &Slice, series: &Series, storage: Storage) -> Option<()> {
    let words = stored_words(slice, storage)?;
    let (rows, columns) = (u16::try_from(slice.rows).ok()?, u16::try_from(slice.columns).ok()?);
    let numbers = [
        (0x0002, 1),
        (0x0010, rows),
        (0x0011, columns),
        (0x0100, 16),
        (0x0101, 16),
        (0x0102, 15),
        (0x0103, u16::from(storage.signed)),
    ];
    for (element, value) in numbers {
        object.put(DataElement::new(Tag(0x0028, element), VR::US, PrimitiveValue::from(value)));
    }
    put_text(object, Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
    if let Some(padding) = storage.padding.filter(|_| storage.signed) {
        object.put(DataElement::new(Tag(0x0028, 0x0120), VR::SS, PrimitiveValue::from(padding)));
    }
    let windows = |value: fn(&crate::volume::Window) -> f64| {
        decimal_strings(&series.file_windows.iter().filter(|w| w.table.is_none()).map(value).collect::<Vec<f64>>())
    };
    if series.file_windows.iter().any(|w| w.table.is_none()) {
        put_text(object, Tag(0x0028, 0x1050), VR::DS, &windows(|w| w.center));
        put_text(object, Tag(0x0028, 0x1051), VR::DS, &windows(|w| w.width));
    }
    put_text(object, Tag(0x0028, 0x1052), VR::DS, &storage.intercept.to_string());
    put_text(object, Tag(0x0028, 0x1053), VR::DS, "1");
    put_text(object, Tag(0x0028, 0x1054), VR::LO, "HU");
    let pixels = PrimitiveValue::U16(words.into_iter().collect::<C<u16>>());
    object.put(DataElement::new(Tag(0x7FE0, 0x0010), VR::OW, pixels));
    Some(())
}

/// The stored value of each pixel; padding outside the circle that fits into the picture.
fn stored_words(slice: &Slice, storage: Storage) -> Option<Vec<u16>> {
    let padding = storage.padding.filter(|_| storage.signed);
    let (middle_row, middle_column) = (slice.rows as f64 / 2.0, slice.columns as f64 / 2.0);
    let radius = middle_row.min(middle_column);
    (0..slice.rows * slice.columns)
        .map(|offset| {
            let (row, column) = ((offset / slice.columns) as f64 + 0.5, (offset % slice.columns) as f64 + 0.5);
            let outside = (row - middle_row).powi(2) + (column - middle_column).powi(2) > radius * radius;
            match padding {
                Some(padding) if outside => Some(padding.cast_unsigned()),
                _ => storage.stored(whole(slice.pixels.get(offset)?)?),
            }
        })
        .collect()
}

/// A value that is an i16 exactly.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(value: f32) -> Option<i16> {
    let fits = value.fract() == 0.0 && (f32::from(i16::MIN)..=f32::from(i16::MAX)).contains(&value);
    fits.then_some(value as i16)
}

fn put_text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    let value = if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(value) };
    object.put(DataElement::new(tag, vr, value));
}

fn decimal_strings(values: &[f64]) -> String {
    values.iter().map(|v| decimal_string(*v)).collect::<Vec<_>>().join("\\")
}

/// A decimal string of at most 16 characters (DS, PS3.5 6.2) with as many digits as fit.
fn decimal_string(value: f64) -> String {
    let shortest = format!("{value}");
    if shortest.len() <= 16 {
        return if shortest == "-0" { "0".to_owned() } else { shortest };
    }
    let plain = (0..=14).rev().map(|digits| format!("{value:.digits$}")).find(|text| text.len() <= 16);
    // A value that rounds to nothing in plain notation keeps its digits with an exponent.
    plain.filter(|text| text.parse::<f64>().is_ok_and(|v| v != 0.0 || value == 0.0)).unwrap_or_else(|| {
        (0..=9).rev().map(|digits| format!("{value:.digits$e}")).find(|t| t.len() <= 16).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_fit_and_keep_their_value() {
        for value in [0.0, -0.0, 0.1 + 0.2, -123.456_789_012_345_67, 1.0 / 3.0, -1e-7 / 3.0, 1e9 / 7.0, 0.453_125] {
            let text = decimal_string(value);
            let back: f64 = text.parse().expect("a number");
            assert!(text.len() <= 16 && (back - value).abs() <= 1e-8 * value.abs().max(1e-4), "{value} {text}");
        }
        assert_eq!(decimal_strings(&[1.0, 0.0, -0.5]), "1\\0\\-0.5");
    }

    #[test]
    fn storage_keeps_what_fits_and_refuses_the_rest() {
        assert_eq!(Storage::USUAL.stored(-1024), Some(0));
        assert_eq!(Storage::USUAL.stored(-1025), None);
        let signed = Storage { signed: true, intercept: -1000, padding: None };
        assert_eq!(signed.stored(-1024), Some((-24i16).cast_unsigned()));
        let extended = Storage { signed: false, intercept: -8192, padding: None };
        assert_eq!(extended.stored(3071), Some(11263));
        assert_eq!((whole(0.5), whole(-7.0), whole(40_000.0)), (None, Some(-7), None));
    }

    #[test]
    fn padding_lies_outside_the_circle_only() {
        use crate::volume::SlicePixels;
        let slice = Slice { rows: 8, columns: 8, pixels: SlicePixels::I16(vec![5; 64].into()), padding: None };
        let storage = Storage { signed: true, intercept: 0, padding: Some(-2000) };
        let words = stored_words(&slice, storage).expect("fits");
        let padded = |row: usize, column: usize| words[row * 8 + column].cast_signed() == -2000;
        assert!(padded(0, 0) && padded(7, 7) && !padded(0, 4) && !padded(4, 4));
        assert_eq!(words.iter().filter(|w| w.cast_signed() == -2000).count(), 12);
    }
}
