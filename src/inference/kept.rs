//! A finished analysis as bytes that can be kept, and how it is found again: by voxels and geometry, weights and card,
//! recipe and device. Nothing of the header's text is kept; what the header says is judged anew, and a gate that it
//! closes now stays closed.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rayon::prelude::*;

use super::metal::METAL;
use super::noise::NOISE;
use super::sharpness::SHARPNESS;
use super::{SliceNetwork, gates};
use crate::findings::{
    Cam, CaseResult, Doubt, Exclusion, Findings, ModelInfo, Provenance, Seconds, SliceFinding, SliceOutcome, SliceState,
};
use crate::preprocess::{NO_BONE, NO_CANAL};
use crate::study::quality::{LEVELS, Line, Weight, kernel_known};
use crate::study::{LoadedSeries, Series};
use crate::volume::{Slice, SlicePixels, Volume};

/// Changes with the form of the bytes and with what the same key would compute.
const FORM: u32 = 5;
/// Of a key's name, for all but the voxels.
const LIKENESS_DIGITS: usize = 32;
/// No result unpacks to more.
const MOST_BYTES: u64 = 512 << 20;
/// Topics of the lines that come from voxels and crops.
const TOPICS: [&str; 6] = ["Values", "Canal", LEVELS, METAL, NOISE, SHARPNESS];

/// What a result belongs to; fit for a file's name, and silent about the patient. All but the voxels is known at once; those are
/// read when [`KeptKey::name`] is asked for the first time, which the first score need not wait for.
#[derive(Clone)]
pub struct KeptKey {
    likeness: String,
    loaded: LoadedSeries,
    name: Arc<OnceLock<String>>,
}

impl KeptKey {
    /// Of a series under a network.
    pub fn new(loaded: &LoadedSeries, network: &dyn SliceNetwork, model: &ModelInfo, force: bool) -> Self {
        let mut hash = blake3::Hasher::new();
        let mut text = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(&format!("dens result {FORM}"));
        text(&model.sha256);
        text(&model.card.to_string());
        text(&model.recipe);
        text(network.device_name());
        text(if force { "forced" } else { "gated" });
        // What was measured of the sharpness is a warning only where no kernel says it.
        text(if kernel_known(&loaded.series).is_some() { "kernel known" } else { "kernel unknown" });
        take_geometry(&mut hash, loaded);
        let likeness = hash.finalize().to_hex()[..LIKENESS_DIGITS].to_owned();
        Self { likeness, loaded: loaded.clone(), name: Arc::default() }
    }

    /// Everything but the voxels, in hex digits: the name begins with it.
    pub fn likeness(&self) -> &str {
        &self.likeness
    }

    /// Hex digits, of which the last 64 stand for the voxels.
    pub fn name(&self) -> &str {
        self.name.get_or_init(|| format!("{}-{}", self.likeness, voxels(&self.loaded.volume).to_hex()))
    }
}

fn take_geometry(hash: &mut blake3::Hasher, loaded: &LoadedSeries) {
    let number = |hash: &mut blake3::Hasher, value: f64| {
        hash.update(&value.to_bits().to_le_bytes());
    };
    let LoadedSeries { series, volume } = loaded;
    for size in [volume.slices().len(), volume.rows(), volume.columns()] {
        hash.update(&(size as u64).to_le_bytes());
    }
    for value in series.spacing_mm.unwrap_or([f64::NAN; 2]) {
        number(hash, value);
    }
    for slice in &series.slices {
        let Some(pose) = slice.pose else {
            hash.update(&[0]);
            continue;
        };
        hash.update(&[1]);
        for v in [pose.origin.0, pose.along_row, pose.along_column] {
            [v.x, v.y, v.z].into_iter().for_each(|value| number(hash, value));
        }
    }
}

fn voxels(volume: &Volume) -> blake3::Hash {
    let of_slice = |slice: &Arc<Slice>| {
        let mut hash = blake3::Hasher::new();
        for value in slice.padding.unwrap_or([f32::NAN; 2]) {
            hash.update(&f64::from(value).to_bits().to_le_bytes());
        }
        match &slice.pixels {
            SlicePixels::I16(values) => hash.update(bytemuck::cast_slice::<i16, u8>(values)),
            SlicePixels::F32(values) => hash.update(bytemuck::cast_slice::<f32, u8>(values)),
        };
        hash.finalize()
    };
    let slices: Vec<_> = volume.slices().par_iter().map(of_slice).collect();
    let mut all = blake3::Hasher::new();
    slices.into_iter().for_each(|slice| {
        all.update(slice.as_bytes());
    });
    all.finalize()
}

/// Why bytes give no result. None of these is more than a reason to compute anew.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    #[error("it cannot be unpacked ({0})")]
    Packed(#[from] std::io::Error),
    #[error("it is no result of this form ({0})")]
    Form(#[from] serde_json::Error),
    #[error("it was written in form {0}, this program has form {FORM}")]
    Version(u32),
    #[error("it does not fit the series: {0}")]
    Misfit(&'static str),
    /// The header, as it is now, closes a quality gate.
    #[error("the series is not fit for a score")]
    Gate,
}

/// Numbers as their bits: they come back as they were.
#[derive(serde::Serialize, serde::Deserialize)]
struct File {
    dens_result: u32,
    computed: String,
    software: String,
    recipe: String,
    device: String,
    seconds: Seconds,
    lines: Vec<(Weight, String, String)>,
    doubts: Vec<String>,
    warnings: Vec<String>,
    case: Option<Case>,
    slices: Vec<Kept>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Case {
    score: u32,
    logit: u32,
    attribution: Vec<Option<u32>>,
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Kept {
    Scored { score: u32, logit: u32, region: [u64; 4], rows: usize, cam: Vec<u32>, flags: Vec<String> },
    Excluded { why: Exclusion, flags: Vec<String> },
}

/// A complete result as bytes; `None` where slices are missing. `computed` is when, as people read it.
///
/// # Errors
/// Only where packing fails.
pub fn encode(findings: &Findings, series: &Series, computed: &str) -> Result<Option<Vec<u8>>, KeptError> {
    let slices: Option<Vec<Kept>> = findings.slices.iter().map(kept_slice).collect();
    let Some(slices) = slices else { return Ok(None) };
    let provenance = &findings.provenance;
    let header = gates::of_series(series, &provenance.model);
    let from_header = |text: &String| header.lines.iter().any(|line| line.text == *text);
    let from_lines = |text: &String| findings.judged.iter().any(|line| line.text == *text);
    let own = findings.judged.iter().filter(|line| !from_header(&line.text));
    let doubts = findings.doubts.iter().filter(|d| !header.doubts.contains(d) && !from_lines(&d.text));
    let case = findings.case.as_ref().map(|case| Case {
        score: case.score.to_bits(),
        logit: case.logit.to_bits(),
        attribution: case.attribution.iter().map(|part| part.map(f32::to_bits)).collect(),
    });
    let file = File {
        dens_result: FORM,
        computed: computed.to_owned(),
        software: provenance.software.clone(),
        recipe: provenance.recipe.clone(),
        device: provenance.device.clone(),
        seconds: findings.seconds,
        lines: own.map(|line| (line.weight, line.topic.to_owned(), line.text.clone())).collect(),
        doubts: doubts.map(|doubt| doubt.text.clone()).collect(),
        warnings: findings.warnings.iter().filter(|text| !from_lines(text)).cloned().collect(),
        case,
        slices,
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(&serde_json::to_vec(&file)?)?;
    Ok(Some(packer.finish()?))
}

fn kept_slice(state: &SliceState) -> Option<Kept> {
    let SliceState::Done(finding) = state else { return None };
    let flags = finding.flags.iter().map(|flag| (*flag).to_owned()).collect();
    Some(match &finding.outcome {
        SliceOutcome::Scored { score, logit, region, cam } => Kept::Scored {
            score: score.to_bits(),
            logit: logit.to_bits(),
            region: region.map(f64::to_bits),
            rows: cam.rows,
            cam: cam.values.iter().map(|v| v.to_bits()).collect(),
            flags,
        },
        SliceOutcome::Excluded(why) => Kept::Excluded { why: *why, flags },
    })
}

/// The result that bytes hold, for a series and model whose [`KeptKey`] led to them.
///
/// # Errors
/// The bytes are damaged, of another form, or the gates are closed now.
pub fn decode(bytes: &[u8], loaded: &LoadedSeries, model: &Arc<ModelInfo>, force: bool) -> Result<Findings, KeptError> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut text)?;
    let file: File = serde_json::from_slice(&text)?;
    if file.dens_result != FORM {
        return Err(KeptError::Version(file.dens_result));
    }
    let count = loaded.volume.slices().len();
    if file.slices.len() != count {
        return Err(KeptError::Misfit("another number of slices"));
    }
    let mut gates = gates::of_series(&loaded.series, model);
    for (weight, topic, text) in file.lines {
        let topic = TOPICS.into_iter().find(|known| *known == topic).ok_or(KeptError::Misfit("an unknown topic"))?;
        gates.lines.push(Line::new(weight, topic, text));
    }
    let stops = gates.texts(Weight::Stop);
    if !stops.is_empty() && model.trained && !force {
        return Err(KeptError::Gate);
    }
    let remarks = gates.texts(Weight::Warning);
    let provenance = Provenance {
        model: model.clone(),
        volume: loaded.volume.id(),
        series_uid: loaded.series.uid.clone(),
        recipe: file.recipe,
        device: file.device,
        software: file.software,
        computed_earlier: Some(file.computed),
    };
    let mut findings = Findings::new(provenance, count);
    (findings.judged, findings.doubts) = (gates.lines, gates.doubts);
    findings.warnings = file.warnings;
    match model.trained {
        true => findings.doubts.extend(stops.into_iter().map(Doubt::quality)),
        false => findings.warnings.extend(stops),
    }
    findings.doubts.extend(file.doubts.into_iter().map(Doubt::outside_training));
    findings.warnings.extend(remarks);
    findings.seconds = file.seconds;
    findings.case = file.case.map(|case| case_of(case, count)).transpose()?;
    findings.slices = file.slices.into_iter().map(slice_of).collect::<Result<_, _>>()?;
    Ok(findings)
}

fn share(bits: u32) -> Result<f32, KeptError> {
    let value = f32::from_bits(bits);
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(KeptError::Misfit("a score that is none")) }
}

fn finite(bits: u32) -> Result<f32, KeptError> {
    let value = f32::from_bits(bits);
    if value.is_finite() { Ok(value) } else { Err(KeptError::Misfit("a number that is none")) }
}

fn case_of(case: Case, slices: usize) -> Result<CaseResult, KeptError> {
    let attribution: Vec<Option<f32>> =
        case.attribution.into_iter().map(|part| part.map(finite).transpose()).collect::<Result<_, _>>()?;
    if attribution.len() != slices {
        return Err(KeptError::Misfit("another number of slices"));
    }
    Ok(CaseResult { score: share(case.score)?, logit: finite(case.logit)?, attribution })
}

fn slice_of(kept: Kept) -> Result<SliceState, KeptError> {
    let flags = |flags: Vec<String>| -> Vec<&'static str> {
        [NO_BONE, NO_CANAL].into_iter().filter(|known| flags.iter().any(|flag| flag == known)).collect()
    };
    Ok(SliceState::Done(match kept {
        Kept::Excluded { why, flags: given } => {
            SliceFinding { outcome: SliceOutcome::Excluded(why), flags: flags(given) }
        }
        Kept::Scored { score, logit, region, rows, cam, flags: given } => {
            let values: Vec<f32> = cam.into_iter().map(finite).collect::<Result<_, _>>()?;
            let columns = values.len().checked_div(rows).unwrap_or(0);
            let region = region.map(f64::from_bits);
            if columns == 0 || rows * columns != values.len() || region.iter().any(|edge| !edge.is_finite()) {
                return Err(KeptError::Misfit("a map that is none"));
            }
            let cam = Arc::new(Cam { rows, columns, values });
            let outcome = SliceOutcome::Scored { score: share(score)?, logit: finite(logit)?, region, cam };
            SliceFinding { outcome, flags: flags(given) }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CaseForward, ModelError, SliceForward};
    use crate::phantom::{DEMO_SEED, demo_study};
    use crate::study::quality::of_header;

    struct Named(&'static str);
    impl SliceNetwork for Named {
        fn device_name(&self) -> &str {
            self.0
        }
        fn device_note(&self) -> Option<&str> {
            None
        }
        fn forward_slices(&self, _: &[f32], _: usize) -> Result<Vec<SliceForward>, ModelError> {
            Ok(Vec::new())
        }
        fn forward_case(&self, _: &[Vec<f32>]) -> Result<CaseForward, ModelError> {
            Err(ModelError::Forward("none".into()))
        }
    }

    /// The demo with every slice scored, its header's lines and some of the voxels.
    fn example() -> (LoadedSeries, Findings) {
        let loaded = demo_study(DEMO_SEED);
        let count = loaded.volume.slices().len();
        let scores: Vec<Option<f32>> = (0..count).map(|i| Some(i as f32 / 1000.0)).collect();
        let mut findings = crate::findings::tests::with_scores(&scores);
        findings.slices[3] = SliceState::Done(SliceFinding {
            outcome: SliceOutcome::Excluded(Exclusion::EmptySlice),
            flags: vec![NO_BONE],
        });
        let case = CaseResult { score: 0.1 + 0.2, logit: -0.7, attribution: vec![Some(1e-7); count] };
        findings.case = Some(case);
        findings.judged = of_header(&loaded.series);
        findings.judged.push(Line::warning("Metal", "metal"));
        findings.warnings = vec!["the device fell back".into(), "metal".into()];
        findings.doubts = vec![Doubt::outside_training("far away")];
        findings.provenance.volume = loaded.volume.id();
        findings.provenance.series_uid = loaded.series.uid.clone();
        (loaded, findings)
    }

    #[test]
    fn a_result_comes_back_as_it_was_with_its_date() {
        let (loaded, findings) = example();
        let bytes = encode(&findings, &loaded.series, "2026-01-02 03:04").expect("packed").expect("complete");
        let mut back = decode(&bytes, &loaded, &findings.provenance.model, false).expect("read");
        assert_eq!(back.provenance.computed_earlier.take().as_deref(), Some("2026-01-02 03:04"));
        // What the header says comes first now; nothing else has moved.
        assert!(back.warnings.iter().any(|w| w == "metal") && back.warnings.iter().any(|w| w.contains("fell back")));
        assert_eq!((&back.slices, &back.case, &back.doubts), (&findings.slices, &findings.case, &findings.doubts));
        assert_eq!((&back.judged, &back.provenance), (&findings.judged, &findings.provenance));
    }

    #[test]
    fn nothing_of_the_patient_is_kept() {
        let (mut loaded, mut findings) = example();
        let mut series = (*loaded.series).clone();
        series.patient = Arc::new(crate::study::Patient {
            name: "Doe, Jane".into(),
            id: "ID-4711".into(),
            age: "009Y".into(),
            ..Default::default()
        });
        series.technique.body_part = "HAND OF JANE".into();
        loaded.series = Arc::new(series);
        findings.judged = of_header(&loaded.series);
        assert!(findings.judged.iter().any(|line| line.text.contains("JANE")), "the header is quoted");
        let bytes = encode(&findings, &loaded.series, "now").expect("packed").expect("complete");
        let mut text = String::new();
        GzDecoder::new(&*bytes).read_to_string(&mut text).expect("unpacked");
        for word in ["Doe", "Jane", "JANE", "4711", "year", loaded.series.uid.as_str()] {
            assert!(!text.contains(word), "{word} is in it");
        }
    }

    #[test]
    fn every_damage_is_noticed() {
        let (loaded, findings) = example();
        let model = &findings.provenance.model;
        let bytes = encode(&findings, &loaded.series, "now").expect("packed").expect("complete");
        for cut in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..cut], &loaded, model, false).is_err(), "cut at {cut}");
        }
        for at in (12..bytes.len()).step_by(bytes.len() / 40) {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            assert!(decode(&wrong, &loaded, model, false).is_err(), "flipped at {at}");
        }
        let mut running = findings.clone();
        running.slices[5] = SliceState::Running;
        assert!(encode(&running, &loaded.series, "now").expect("packed").is_none(), "half a result is none");
    }

    #[test]
    fn a_gate_that_is_closed_now_stays_closed() {
        let (mut loaded, mut findings) = example();
        let bytes = encode(&findings, &loaded.series, "now").expect("packed").expect("complete");
        let mut model = (*findings.provenance.model).clone();
        model.trained = true;
        let model = Arc::new(model);
        findings.provenance.model = model.clone();
        let mut series = (*loaded.series).clone();
        series.slice_spacing_mm = Some(9.0);
        loaded.series = Arc::new(series);
        assert!(matches!(decode(&bytes, &loaded, &model, false), Err(KeptError::Gate)));
        let forced = decode(&bytes, &loaded, &model, true).expect("asked for all the same");
        assert!(forced.doubts.iter().any(|doubt| doubt.kind == "quality"));
    }

    #[test]
    fn the_key_follows_voxels_geometry_weights_card_and_device_but_no_header_text() {
        let (loaded, findings) = example();
        let model = (*findings.provenance.model).clone();
        let key = |loaded: &LoadedSeries, model: &ModelInfo, device| {
            KeptKey::new(loaded, &Named(device), model, false).name().to_owned()
        };
        let first = key(&loaded, &model, "CPU");
        let mut keys = vec![first.clone()];
        let mut renamed = (*loaded.series).clone();
        renamed.patient = Arc::default();
        renamed.uid = "1.2.3".into();
        assert_eq!(key(&LoadedSeries { series: Arc::new(renamed.clone()), ..loaded.clone() }, &model, "CPU"), first);
        if let Some(pose) = renamed.slices[7].pose.as_mut() {
            pose.origin.0.z += 0.001;
        }
        keys.push(key(&LoadedSeries { series: Arc::new(renamed), ..loaded.clone() }, &model, "CPU"));
        let mut slices = loaded.volume.slices().to_vec();
        let mut changed = (*slices[9]).clone();
        if let SlicePixels::I16(values) = &mut changed.pixels {
            *values = values.iter().enumerate().map(|(i, v)| if i == 77 { v + 1 } else { *v }).collect();
        }
        slices[9] = Arc::new(changed);
        let volume = Arc::new(crate::volume::Volume::new(slices).expect("as before"));
        keys.push(key(&LoadedSeries { volume, ..loaded.clone() }, &model, "CPU"));
        keys.push(key(&loaded, &ModelInfo { sha256: "1".into(), ..model.clone() }, "CPU"));
        keys.push(key(&loaded, &ModelInfo { card: serde_json::json!({"threshold": 1}), ..model.clone() }, "CPU"));
        keys.push(key(&loaded, &ModelInfo { recipe: "spine/1".into(), ..model.clone() }, "CPU"));
        keys.push(key(&loaded, &model, "CUDA 0"));
        keys.push(KeptKey::new(&loaded, &Named("CPU"), &model, true).name().to_owned());
        let different: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), 8, "{keys:?}");
        // The third has other voxels and nothing else.
        let alike = keys.iter().filter(|key| key[..LIKENESS_DIGITS] == first[..LIKENESS_DIGITS]);
        assert_eq!(alike.collect::<Vec<_>>(), [&keys[0], &keys[2]]);
        assert_eq!(KeptKey::new(&loaded, &Named("CPU"), &model, false).likeness(), &first[..LIKENESS_DIGITS]);
    }
}
