//! Weight files: one `.safetensors` with PyTorch's names and the model card in its header.
//!
//! ```text
//! backbone.conv1.weight, backbone.bn1.{weight,bias,running_mean,running_var}
//! backbone.layer{1..4}.{j}.conv{1,2,3}.weight, .bn{1,2,3}.*, backbone.layer{1..4}.0.downsample.{0,1}.*
//! backbone.fc.{weight,bias}
//! lstm.{weight_ih,weight_hh,bias_ih,bias_hh}_l0[_reverse]
//! head.{weight,bias}
//! attention.weight, topk.{weight,bias}: with the poolings of these names
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::card::shown;
use super::resnet::conv_shapes;
use super::{Architecture, ModelCard, ModelError, NamedTensors, Pooling};
use crate::files;

/// Key of the card among the header's metadata.
pub const CARD_KEY: &str = "dens.card";
/// A network of this kind has 105 MB; anything far larger is something else and is not read at all.
const FILE_LIMIT_BYTES: u64 = 512 << 20;
const HEADER_LIMIT_BYTES: u64 = 4 << 20;

/// Every tensor of a network by its PyTorch name, row-major f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Whether all but the statistics of batch norms are numbers of half precision, and are written as such.
    half: bool,
}

impl Weights {
    /// Names and shapes of a whole network.
    pub fn layout(network: &Architecture) -> Vec<(String, Vec<usize>)> {
        let mut all = Self::backbone_layout(network);
        all.extend(Self::sequence_layout(network));
        all
    }

    /// The part of [`Weights::layout`] that the backbone needs.
    pub fn backbone_layout(network: &Architecture) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        for shape in conv_shapes(&network.backbone.plan()) {
            all.push((shape.name, vec![shape.channels_out, shape.channels_in, shape.kernel, shape.kernel]));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                all.push((format!("{}.{part}", shape.norm), vec![shape.channels_out]));
            }
        }
        all.push(("backbone.fc.weight".into(), vec![1, network.features()]));
        all.push(("backbone.fc.bias".into(), vec![1]));
        all
    }

    /// The part of [`Weights::layout`] that the sequence network needs.
    pub fn sequence_layout(network: &Architecture) -> Vec<(String, Vec<usize>)> {
        let (units, features) = (network.units, network.features());
        let mut all = Vec::new();
        for suffix in ["", "_reverse"] {
            all.push((format!("lstm.weight_ih_l0{suffix}"), vec![4 * units, features]));
            all.push((format!("lstm.weight_hh_l0{suffix}"), vec![4 * units, units]));
            all.push((format!("lstm.bias_ih_l0{suffix}"), vec![4 * units]));
            all.push((format!("lstm.bias_hh_l0{suffix}"), vec![4 * units]));
        }
        all.push(("head.weight".into(), vec![1, 2 * units]));
        all.push(("head.bias".into(), vec![1]));
        match network.pooling {
            Pooling::Last | Pooling::Mean | Pooling::Max => {}
            Pooling::Attention => all.push(("attention.weight".into(), vec![1, 2 * units])),
            Pooling::TopkResidual => all.extend(["topk.weight", "topk.bias"].map(|name| (name.into(), vec![1]))),
        }
        all
    }

    /// A whole network whose values `make(name, shape)` gives, tensor by tensor in parallel.
    ///
    /// # Errors
    /// An architecture that cannot be built, or a tensor of the wrong length.
    pub fn from_fn(
        network: &Architecture,
        make: impl Fn(&str, &[usize]) -> Vec<f32> + Sync,
    ) -> Result<Self, ModelError> {
        Self::fill(network, Self::layout(network), make)
    }

    /// As [`Weights::from_fn`], without the backbone.
    ///
    /// # Errors
    /// As [`Weights::from_fn`].
    pub fn sequence_from_fn(
        network: &Architecture,
        make: impl Fn(&str, &[usize]) -> Vec<f32> + Sync,
    ) -> Result<Self, ModelError> {
        Self::fill(network, Self::sequence_layout(network), make)
    }

    /// A whole network out of what the trained parts gave.
    ///
    /// # Errors
    /// A tensor is missing, of another length or not finite.
    pub fn from_tensors(network: &Architecture, tensors: &NamedTensors) -> Result<Self, ModelError> {
        for (name, _) in Self::layout(network) {
            if let Some(value) = tensors.values(&name)?.iter().find(|value| !value.is_finite()) {
                return Err(ModelError::Forward(format!("tensor {name} holds {value}")));
            }
        }
        Self::from_fn(network, |name, _| tensors.values(name).map(<[f32]>::to_vec).unwrap_or_default())
    }

    fn fill(
        network: &Architecture,
        layout: Vec<(String, Vec<usize>)>,
        make: impl Fn(&str, &[usize]) -> Vec<f32> + Sync,
    ) -> Result<Self, ModelError> {
        network.check().map_err(ModelError::Forward)?;
        let tensors: BTreeMap<_, _> = layout
            .into_par_iter()
            .map(|(name, shape)| {
                let values = make(&name, &shape);
                (name, (shape, values))
            })
            .collect();
        let wrong = tensors.iter().find(|(_, (shape, values))| shape.iter().product::<usize>() != values.len());
        if let Some((name, (shape, values))) = wrong {
            return Err(ModelError::Forward(format!("{name} has {} values for the shape {shape:?}", values.len())));
        }
        Ok(Self { tensors, half: false })
    }

    /// The values of one tensor.
    ///
    /// # Errors
    /// These weights have no tensor of that name.
    pub fn tensor(&self, name: &str) -> Result<&[f32], ModelError> {
        let found = self.tensors.get(name).map(|(_, values)| values.as_slice());
        found.ok_or_else(|| ModelError::Forward(format!("the weights have no tensor {name}")))
    }

    /// The same rounded to half precision, except for the statistics of batch norms: a file of half the size.
    ///
    /// # Errors
    /// A value is larger than half precision has them.
    pub fn halved(&self) -> Result<Self, ModelError> {
        let mut tensors = self.tensors.clone();
        for (name, (_, values)) in tensors.iter_mut().filter(|(name, _)| !is_statistic(name)) {
            for value in values {
                let rounded = f16::from_f32(*value).to_f32();
                if !rounded.is_finite() {
                    return Err(ModelError::Forward(format!("{name} holds {value}, too large for half precision")));
                }
                *value = rounded;
            }
        }
        Ok(Self { tensors, half: true })
    }

    /// Whether [`Weights::save`] writes half precision.
    pub fn is_half(&self) -> bool {
        self.half
    }

    /// Replaces the values of a tensor that is there, by as many.
    pub(super) fn set(&mut self, name: &str, values: Vec<f32>) {
        self.half = false;
        match self.tensors.get_mut(name) {
            Some((_, old)) if old.len() == values.len() => *old = values,
            _ => unreachable!("only tensors of the layout are set"),
        }
    }

    /// Writes a weight file with its card and returns the file's SHA-256 in hex. The file appears complete or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, card: &ModelCard, path: &Path) -> Result<String, ModelError> {
        let failed = |error: std::io::Error| refused(path, format!("the weights could not be written: {error}"));
        let mut sha256 = String::new();
        let written = files::write_whole(path, |file| {
            sha256 = self.write(card, file)?;
            Ok(())
        });
        written.map_err(failed)?;
        Ok(sha256)
    }

    /// SHA-256 of the file that [`Weights::save`] would write, hex.
    pub fn sha256(&self, card: &ModelCard) -> String {
        // A sink never fails.
        self.write(card, &mut std::io::sink()).unwrap_or_default()
    }

    /// Tensors lie in the order of their names and the card as it is stored, so equal weights make equal files. (The
    /// `safetensors` crate keeps the metadata in a hash map and would write them in any order.)
    fn write(&self, card: &ModelCard, out: &mut dyn Write) -> std::io::Result<String> {
        let mut header = Map::new();
        header.insert("__metadata__".into(), json!({ "format": "pt", CARD_KEY: card.json.to_string() }));
        let mut offset = 0;
        let half = |name: &str| self.half && !is_statistic(name);
        for (name, (shape, values)) in &self.tensors {
            let (dtype, bytes) = if half(name) { ("F16", 2) } else { ("F32", 4) };
            let end = offset + values.len() * bytes;
            header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] }));
            offset = end;
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes)
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for (name, (_, values)) in &self.tensors {
            for chunk in values.chunks(1 << 16) {
                if half(name) {
                    put(&chunk.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect::<Vec<u8>>())?;
                } else if cfg!(target_endian = "little") {
                    put(bytemuck::cast_slice(chunk))?;
                } else {
                    put(&chunk.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
                }
            }
        }
        Ok(hex(hash))
    }

    /// Reads and checks a weight file. Returns its card and SHA-256 too.
    ///
    /// # Errors
    /// [`ModelError::Refused`] with the reason: not readable, not safetensors, no card, a card the program cannot honour,
    /// a tensor missing, unknown, of another type or shape, not finite, or a negative variance.
    pub fn load(path: &Path) -> Result<(Self, ModelCard, String), ModelError> {
        let bytes = read_bounded(path).map_err(|reason| refused(path, reason))?;
        Self::from_bytes(&bytes, path)
    }

    /// As [`Weights::load`] for a file in memory; `name` stands in the refusal.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<(Self, ModelCard, String), ModelError> {
        let sha256 = hex(Sha256::new_with_prefix(bytes));
        let (weights, card) = parse(bytes).map_err(|reason| refused(name, reason))?;
        Ok((weights, card, sha256))
    }
}

/// Means and variances that batch norms have measured, which may be large and stay f32.
fn is_statistic(name: &str) -> bool {
    name.ends_with(".running_mean") || name.ends_with(".running_var")
}

fn refused(path: &Path, reason: String) -> ModelError {
    ModelError::Refused { path: path.to_path_buf(), reason }
}

fn hex(hash: Sha256) -> String {
    hex::encode(hash.finalize())
}

/// The whole file, once its length and its header's length have been found believable.
fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err("this is not a file".into());
    }
    let length = about.len();
    if length > FILE_LIMIT_BYTES {
        return Err(format!("the file has {length} bytes; a weight file has at most {FILE_LIMIT_BYTES}"));
    }
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(|_| format!("the file ends after {length} bytes, before its header"))?;
    let header = u64::from_le_bytes(start);
    if header > HEADER_LIMIT_BYTES {
        return Err(format!(
            "not a weight file: its header would have {header} bytes, the limit is {HEADER_LIMIT_BYTES}"
        ));
    }
    if header > length.saturating_sub(8) {
        return Err(format!("the file is cut short: a header of {header} bytes in a file of {length}"));
    }
    let mut bytes = start.to_vec();
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<(Weights, ModelCard), String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable_safetensors)?;
    let card = metadata.metadata().as_ref().and_then(|m| m.get(CARD_KEY)).ok_or_else(|| {
        format!("the file has no model card (key {CARD_KEY} in its header), so what its numbers mean is unknown")
    })?;
    let card = serde_json::from_str(card).map_err(|error| format!("the model card is not valid JSON: {error}"))?;
    let card = ModelCard::from_json(card)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(unreadable_safetensors)?;
    let layout = Weights::layout(&card.network);
    refuse_unknown(&tensors, &layout, &card.network)?;
    let read = layout.into_par_iter().map(|(name, shape)| {
        let view = tensors.tensor(&name).map_err(|_| format!("tensor {name} is missing"))?;
        let values = read_tensor(&name, &shape, &view)?;
        Ok((name, (shape, values)))
    });
    // Collected in the layout's order, so that of several faults the same one is named every time.
    let read: Vec<Result<_, String>> = read.collect();
    let is_half = |(name, _): &(String, _)| matches!(tensors.tensor(name), Ok(view) if view.dtype() == Dtype::F16);
    let mut learned = Weights::layout(&card.network).into_iter().filter(|(name, _)| !is_statistic(name));
    let half = learned.all(|tensor| is_half(&tensor));
    Ok((Weights { tensors: read.into_iter().collect::<Result<_, _>>()?, half }, card))
}

fn unreadable_safetensors(error: safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    match error {
        E::MetadataIncompleteBuffer => "the file is cut short or has bytes beyond its last tensor".into(),
        other => format!("not a readable safetensors file: {}", shown(&other.to_string())),
    }
}

/// Anything that is neither in the layout nor PyTorch's count of batches would be silently ignored: better to say so.
fn refuse_unknown(
    tensors: &SafeTensors<'_>,
    layout: &[(String, Vec<usize>)],
    network: &Architecture,
) -> Result<(), String> {
    let mut known: HashSet<String> = layout.iter().map(|(name, _)| name.clone()).collect();
    known.extend(
        conv_shapes(&network.backbone.plan()).into_iter().map(|shape| format!("{}.num_batches_tracked", shape.norm)),
    );
    let mut unknown: Vec<_> = tensors.names().into_iter().filter(|name| !known.contains(*name)).collect();
    unknown.sort_unstable();
    match unknown.first() {
        Some(name) => Err(format!("tensor {} does not belong to this architecture", shown(name))),
        None => Ok(()),
    }
}

/// F32 and F16 as they lie in the file, little-endian.
fn values_of(view: &TensorView<'_>) -> Vec<f32> {
    match view.dtype() {
        Dtype::F16 => {
            let halves: Vec<f16> = view.data().as_chunks().0.iter().map(|two| f16::from_le_bytes(*two)).collect();
            // Eight at a time, where the processor has an instruction for it.
            halves.to_f32_vec()
        }
        _ => view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
    }
}

fn read_tensor(name: &str, shape: &[usize], view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    if !matches!(view.dtype(), Dtype::F32 | Dtype::F16) {
        return Err(format!("tensor {name} is of type {}; F32 and F16 are read", view.dtype()));
    }
    if view.shape() != shape {
        return Err(format!("tensor {name} has the shape {:?} instead of {shape:?}", view.shape()));
    }
    let values = values_of(view);
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(format!("tensor {name} holds {} at element {index}", values[index]));
    }
    if name.ends_with("running_var")
        && let Some(index) = values.iter().position(|&value| value < 0.0)
    {
        return Err(format!("tensor {name} holds a negative variance, {}, at element {index}", values[index]));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safetensors file out of a header and as many bytes of data as it says, or as given.
    fn file(metadata: Value, tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let mut header = Map::new();
        header.insert("__metadata__".into(), metadata);
        let mut data = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            let start = data.len();
            data.extend_from_slice(bytes);
            header
                .insert((*name).into(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()] }));
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
    }

    fn card() -> Value {
        json!({ CARD_KEY: ModelCard::template(&Architecture::paper(96), [0.5; 3], [0.5; 3]).to_string() })
    }

    fn f32s(count: usize, value: f32) -> Vec<u8> {
        std::iter::repeat_n(value.to_le_bytes(), count).flatten().collect()
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let text = Weights::load(&path).unwrap_err().to_string();
        assert!(text.contains("weights.safetensors: ") && text.contains(expected), "{text}");
    }

    const STEM: &str = "backbone.conv1.weight";

    fn stem(value: f32) -> (&'static str, &'static str, Vec<usize>, Vec<u8>) {
        (STEM, "F32", vec![64, 3, 7, 7], f32s(64 * 147, value))
    }

    #[test]
    fn files_that_are_no_weights() {
        check_refused(b"abc", "ends after 3 bytes");
        check_refused(&u64::MAX.to_le_bytes(), "the limit is");
        check_refused(&[&100u64.to_le_bytes()[..], b"{}"].concat(), "cut short");
        check_refused(&[&2u64.to_le_bytes()[..], b"{x"].concat(), "not a readable safetensors file");
        let missing = Weights::load(Path::new("/nowhere/w.safetensors")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/w.safetensors") && missing.contains("cannot be read"), "{missing}");
        let folder = Weights::load(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(folder.contains("not a file") || folder.contains("cannot be read"), "{folder}");
    }

    #[test]
    fn card_missing_or_not_to_be_honoured() {
        check_refused(&file(json!({ "format": "pt" }), &[stem(0.1)]), "no model card");
        check_refused(&file(json!({ CARD_KEY: "{" }), &[stem(0.1)]), "not valid JSON");
        check_refused(&file(json!({ CARD_KEY: "{}" }), &[stem(0.1)]), "lacks /schema");
    }

    #[test]
    fn tensors_missing_unknown_or_of_another_kind() {
        check_refused(&file(card(), &[]), "tensor backbone.conv1.weight is missing");
        check_refused(&file(card(), &[stem(0.1)]), "tensor backbone.bn1.weight is missing");
        let extra = ("backbone.extra\u{7}", "F32", vec![1], f32s(1, 0.0));
        check_refused(&file(card(), &[stem(0.1), extra]), "tensor backbone.extra\u{fffd} does not belong");
        let (name, _, shape, bytes) = stem(0.1);
        check_refused(&file(card(), &[(name, "I32", shape, bytes.clone())]), "conv1.weight is of type I32");
        let turned = (name, "F32", vec![3, 64, 7, 7], bytes);
        check_refused(&file(card(), &[turned]), "conv1.weight has the shape [3, 64, 7, 7] instead of [64, 3, 7, 7]");
    }

    #[test]
    fn values_that_cannot_be() {
        check_refused(&file(card(), &[stem(f32::NAN)]), "tensor backbone.conv1.weight holds NaN at element 0");
        check_refused(&file(card(), &[stem(f32::NEG_INFINITY)]), "holds -inf");
        let part = |name: &'static str, value: f32| (name, "F32", vec![64], f32s(64, value));
        let norm = [
            stem(0.1),
            part("backbone.bn1.weight", 1.0),
            part("backbone.bn1.bias", 0.0),
            part("backbone.bn1.running_mean", 0.0),
            part("backbone.bn1.running_var", -0.5),
        ];
        check_refused(&file(card(), &norm), "backbone.bn1.running_var holds a negative variance, -0.5");
    }

    #[test]
    fn data_cut_short_or_too_long() {
        let mut bytes = file(card(), &[stem(0.1)]);
        bytes.extend_from_slice(&[0; 4]);
        check_refused(&bytes, "cut short or has bytes beyond");
        bytes.truncate(bytes.len() - 12);
        check_refused(&bytes, "cut short or has bytes beyond");
    }

    #[test]
    fn half_precision_is_written_as_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let network = Architecture::nano(8, Pooling::Last);
        let value = |name: &str| if name.ends_with("running_var") { 70_000.1 } else { 0.1 };
        let weights = Weights::from_fn(&network, |name, shape| vec![value(name); shape.iter().product()]).unwrap();
        let card = ModelCard::from_json(ModelCard::template(&network, [0.0; 3], [1.0; 3])).unwrap();
        let [single, half, again] = ["single", "half", "again"].map(|name| folder.path().join(name));
        weights.save(&card, &single).unwrap();
        let rounded = weights.halved().unwrap();
        let sha256 = rounded.save(&card, &half).unwrap();
        let (read, card, read_sha256) = Weights::load(&half).unwrap();
        assert!(read == rounded && read.is_half() && read_sha256 == sha256);
        assert_eq!(read.tensor("head.bias").unwrap(), [f16::from_f32(0.1).to_f32()]);
        assert_eq!(read.tensor("backbone.bn1.running_var").unwrap()[0], 70_000.1);
        // What is read is written with the same bytes.
        assert_eq!(read.save(&card, &again).unwrap(), sha256);
        let length = |path: &Path| std::fs::metadata(path).unwrap().len() as f64;
        assert!(length(&half) < 0.6 * length(&single));
        assert!(!Weights::load(&single).unwrap().0.is_half());
        let large = Weights::from_fn(&network, |_, shape| vec![70_000.0; shape.iter().product()]).unwrap();
        assert!(large.halved().unwrap_err().to_string().contains("holds 70000"));
    }

    #[test]
    fn half_precision_and_the_count_of_batches_are_read() {
        // 1.5 and -2 in IEEE half precision.
        let half = ("a", "F16", vec![2], vec![0x00, 0x3e, 0x00, 0xc0]);
        let bytes = file(json!({}), &[half]);
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read_tensor("a", &[2], &tensors.tensor("a").unwrap()), Ok(vec![1.5, -2.0]));
        let counter = ("backbone.bn1.num_batches_tracked", "I64", vec![], vec![0; 8]);
        check_refused(&file(card(), &[stem(0.1), counter]), "tensor backbone.bn1.weight is missing");
    }
}
