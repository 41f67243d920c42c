//! Weights of other programs: `.safetensors` and zip-format `.pth` with PyTorch's names, brought to the names of this
//! program (method 4.2). Nothing is executed from a pickle. What did not match is reported both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::card::shown;
use super::{Architecture, ModelCard, ModelError, Weights, init};

/// A file of another program with more than this is no network of this kind, bytes.
const FILE_LIMIT_BYTES: u64 = 2 << 30;
/// Put before the names of a network by the tools that save it; taken off as often as they stand there.
const PREFIXES: [&str; 7] = ["module.", "model.", "net.", "encoder.", "backbone.", "resnet.", "_orig_mod."];
/// Keys under which a checkpoint may hold the tensors themselves.
const NESTS: [&str; 4] = ["state_dict", "model", "model_state_dict", "net"];
/// Other names of the last layer.
const LAST_LAYERS: [&str; 4] = ["fc.1.", "last_linear.", "classifier.1.", "classifier."];
/// What makes a file that this program reads out of one that it does not.
pub const CONVERTER: &str = "\
import torch
from safetensors.torch import save_file
state = torch.load(\"old.pth\", map_location=\"cpu\", weights_only=True)
state = state.get(\"state_dict\", state)
state = {k: v.contiguous() for k, v in state.items() if hasattr(v, \"contiguous\")}
save_file(state, \"new.safetensors\")";

/// What an import is told beside the file.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Fields that replace those of the template, as a card has them.
    pub card: Value,
    /// Order of the file's input channels, as names; empty: as this program's.
    pub channels: Vec<String>,
    /// Draw initial values for the parts that the file does not hold (last layer, sequence network).
    pub fill: bool,
}

/// What became of the tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportReport {
    /// Tensors taken over.
    pub taken: usize,
    /// Tensors of the file that have no place here.
    pub unused: Vec<String>,
    /// Tensors of the network that the file does not hold; drawn from a seed.
    pub filled: Vec<String>,
    /// What was changed on the way, in sentences.
    pub notes: Vec<String>,
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Reads a foreign file and makes a whole network of it.
///
/// # Errors
/// The file cannot be read, a tensor is missing or of another shape, or the card lacks a fact; all named.
pub fn import(
    path: &Path,
    network: &Architecture,
    options: &ImportOptions,
) -> Result<(Weights, ModelCard, ImportReport), ModelError> {
    let refused = |reason: String| ModelError::Refused { path: path.to_path_buf(), reason };
    let bytes = bytes_of(path).map_err(&refused)?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let (read, mut notes) = read(path, &bytes).map_err(&refused)?;
    drop(bytes);
    let mut report = ImportReport::default();
    let mut named = renamed(read).map_err(&refused)?;
    adapt(&mut named, network, options, &mut notes).map_err(&refused)?;
    let layout = Weights::layout(network);
    let places: BTreeSet<&str> = layout.iter().map(|(name, _)| name.as_str()).collect();
    report.unused = named
        .keys()
        .filter(|name| !places.contains(name.as_str()) && !name.ends_with("num_batches_tracked"))
        .map(|name| shown(name))
        .collect();
    let mut wrong = Vec::new();
    for (name, shape) in &layout {
        match named.get(name) {
            Some((have, _)) if have != shape => {
                wrong.push(format!("{name} has the shape {have:?} instead of {shape:?}"))
            }
            Some(_) => report.taken += 1,
            None => report.filled.push(name.clone()),
        }
    }
    let from_seed = |name: &str| !name.starts_with("backbone.") || name.starts_with("backbone.fc.");
    let missing: Vec<&String> = report.filled.iter().filter(|name| !options.fill || !from_seed(name)).collect();
    if !wrong.is_empty() || !missing.is_empty() {
        let mut reason = wrong;
        reason.extend(missing.iter().map(|name| format!("{name} is missing")));
        let unused = if report.unused.is_empty() { "none".to_owned() } else { listed(&report.unused) };
        let hint = match missing.iter().all(|name| from_seed(name)) && !missing.is_empty() {
            true => "; --fill draws initial values for the last layer and the sequence network, to be trained then",
            false => "",
        };
        return Err(refused(format!("{}; tensors of the file without a place here: {unused}{hint}", listed(&reason))));
    }
    let card = card(network, options, &report, path, &sha256).map_err(&refused)?;
    let weights = Weights::from_fn(network, |name, shape| match named.get(name) {
        Some((_, values)) => values.clone(),
        None => init::drawn(0, network, name, shape),
    })?;
    report.notes = notes;
    Ok((weights, card, report))
}

/// The first few of a list, and how many more.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > SHOWN {
        text += &format!(" and {} more", all.len() - SHOWN);
    }
    text
}

/// The whole file, once its length has been found believable.
fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_LIMIT_BYTES {
        return Err(format!("the file has {length} bytes; no network of this kind has more than {FILE_LIMIT_BYTES}"));
    }
    std::fs::read(path).map_err(unreadable)
}

/// Every tensor of a file in f32, with notes on what was passed over.
fn read(path: &Path, bytes: &[u8]) -> Result<(Tensors, Vec<String>), String> {
    match bytes.get(..4) {
        Some(b"PK\x03\x04") => read_pickle(path),
        Some([0x80, ..]) => Err(format!(
            "this is a checkpoint of PyTorch before 1.6 (or one saved with the old format), which is not read; convert it \
             with Python:\n{CONVERTER}"
        )),
        _ => read_safetensors(bytes),
    }
}

fn read_safetensors(bytes: &[u8]) -> Result<(Tensors, Vec<String>), String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        format!("neither a safetensors file nor a zip-format checkpoint: {}", shown(&error.to_string()))
    })?;
    let (mut tensors, mut notes) = (Tensors::new(), Vec::new());
    for (name, view) in file.tensors() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            Dtype::I64 if name.ends_with("num_batches_tracked") => continue,
            other => {
                notes.push(format!("{} is of type {other} and was passed over", shown(&name)));
                continue;
            }
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, &[view.shape().iter().product()], &Device::Cpu);
        let values = tensor.and_then(values_of).map_err(|error| format!("{} cannot be read: {error}", shown(&name)))?;
        tensors.insert(name, (view.shape().to_vec(), values));
    }
    Ok((tensors, notes))
}

fn read_pickle(path: &Path) -> Result<(Tensors, Vec<String>), String> {
    let unreadable = |error: candle_core::Error| {
        format!("the checkpoint cannot be read ({}); convert it with Python:\n{CONVERTER}", shown(&error.to_string()))
    };
    let mut found = PthTensors::new(path, None).map_err(unreadable)?;
    for nest in NESTS {
        if !found.tensor_infos().is_empty() {
            break;
        }
        if let Ok(nested) = PthTensors::new(path, Some(nest)) {
            found = nested;
        }
    }
    let (mut tensors, mut notes) = (Tensors::new(), Vec::new());
    let mut names: Vec<&String> = found.tensor_infos().keys().collect();
    names.sort();
    for name in names.into_iter().filter(|name| !name.ends_with("num_batches_tracked")) {
        match found.get(name) {
            Ok(Some(tensor)) => {
                let shape = tensor.dims().to_vec();
                let values = values_of(tensor).map_err(unreadable)?;
                tensors.insert(name.clone(), (shape, values));
            }
            Ok(None) => notes.push(format!("{} is announced but not in the file", shown(name))),
            Err(error) => return Err(format!("{}: {}", shown(name), unreadable(error))),
        }
    }
    if tensors.is_empty() {
        return Err(format!("no tensors were found in the checkpoint, also not under {}", NESTS.join(", ")));
    }
    Ok((tensors, notes))
}

fn values_of(tensor: Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()
}

/// The names of this program. Two tensors that would get one name are an error, not a choice.
fn renamed(read: Tensors) -> Result<Tensors, String> {
    if read.keys().any(|name| name.contains("conv1.0.weight") || name.contains("downsample.2.")) {
        return Err("this is a resnet50d (deep stem, pooled shortcut), another network than ResNet-50".to_owned());
    }
    let mut named = Tensors::new();
    for (name, (shape, values)) in read {
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("{} holds {bad}", shown(&name)));
        }
        let ours = our_name(&name);
        if named.insert(ours.clone(), (shape, values)).is_some() {
            return Err(format!("two tensors of the file become {}", shown(&ours)));
        }
    }
    Ok(named)
}

fn our_name(name: &str) -> String {
    let mut short = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| short.strip_prefix(prefix)) {
        short = rest;
    }
    if ["lstm.", "head.", "attention.", "topk."].iter().any(|part| short.starts_with(part)) {
        return short.to_owned();
    }
    let short = hugging_face(short).unwrap_or_else(|| short.to_owned());
    let last = LAST_LAYERS.iter().find_map(|layer| short.strip_prefix(layer));
    let short = last.map_or(short.clone(), |part| format!("fc.{part}"));
    format!("backbone.{short}")
}

/// `microsoft/resnet-50` as torchvision would name it; `None` for other names.
fn hugging_face(name: &str) -> Option<String> {
    if let Some(part) = name.strip_prefix("embedder.embedder.") {
        return Some(part.replace("convolution.", "conv1.").replace("normalization.", "bn1."));
    }
    let rest = name.strip_prefix("stages.")?;
    let mut parts = rest.splitn(5, '.');
    let stage: usize = parts.next()?.parse().ok()?;
    let (kind, block, what, tail) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if kind != "layers" {
        return None;
    }
    let prefix = format!("layer{}.{block}", stage.checked_add(1)?);
    if what == "shortcut" {
        return Some(format!(
            "{prefix}.{}",
            tail.replace("convolution.", "downsample.0.").replace("normalization.", "downsample.1.")
        ));
    }
    let (index, leaf) = tail.split_once('.')?;
    let number = index.parse::<usize>().ok()?.checked_add(1)?;
    let leaf =
        leaf.replace("convolution.", &format!("conv{number}.")).replace("normalization.", &format!("bn{number}."));
    Some(format!("{prefix}.{leaf}"))
}

/// Input channels brought to three in this program's order; a last layer of many classes dropped.
fn adapt(
    named: &mut Tensors,
    network: &Architecture,
    options: &ImportOptions,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    if let Some((shape, values)) = named.get_mut("backbone.conv1.weight")
        && let &[out, channels, rows, columns] = shape.as_slice()
    {
        if channels != 3 {
            *values = inflated(values, out, channels, rows * columns);
            *shape = vec![out, 3, rows, columns];
            notes.push(format!("the first layer's {channels} input channels became 3, scaled by {channels}/3"));
        }
        if !options.channels.is_empty() {
            let order = channel_order(&options.channels)?;
            *values = reordered(values, out, rows * columns, order);
            notes.push(format!(
                "the input channels were put in order: {} to soft-tissue, bone, gross-bone",
                options.channels.join(", ")
            ));
        }
    }
    if let Some((shape, _)) = named.get("backbone.fc.weight")
        && shape.first().is_some_and(|classes| *classes != 1)
    {
        notes.push(format!("the last layer has {} classes and was dropped", shape.first().unwrap_or(&0)));
        named.remove("backbone.fc.weight");
        named.remove("backbone.fc.bias");
    }
    // Two biases that are added; one alone is as good.
    for suffix in ["", "_reverse"] {
        let (ih, hh) = (format!("lstm.bias_ih_l0{suffix}"), format!("lstm.bias_hh_l0{suffix}"));
        if named.contains_key(&ih) && !named.contains_key(&hh) {
            named.insert(hh, (vec![4 * network.units], vec![0.0; 4 * network.units]));
        }
    }
    Ok(())
}

/// Three input channels out of any number: channel k is the file's channel k modulo their number, scaled so that a grey
/// picture gives the same sum.
fn inflated(values: &[f32], out: usize, channels: usize, area: usize) -> Vec<f32> {
    let scale = channels as f32 / 3.0;
    let block =
        |o: usize, k: usize| values.get((o * channels + k % channels.max(1)) * area..).and_then(|v| v.get(..area));
    (0..out)
        .flat_map(|o| (0..3).map(move |k| (o, k)))
        .flat_map(|(o, k)| block(o, k).unwrap_or_default().iter().map(|v| v * scale).collect::<Vec<f32>>())
        .collect()
}

/// For each of this program's channels the file's channel.
fn channel_order(given: &[String]) -> Result<[usize; 3], String> {
    let find = |name: &str| {
        given.iter().position(|g| g == name).ok_or_else(|| {
            format!("the input channels must be soft-tissue, bone and gross-bone in some order; {name} is missing")
        })
    };
    Ok([find("soft-tissue")?, find("bone")?, find("gross-bone")?])
}

fn reordered(values: &[f32], out: usize, area: usize, order: [usize; 3]) -> Vec<f32> {
    let block = |o: usize, k: usize| values.get((o * 3 + k) * area..).and_then(|v| v.get(..area)).unwrap_or_default();
    (0..out).flat_map(|o| order.map(|k| (o, k))).flat_map(|(o, k)| block(o, k).iter().copied()).collect()
}

/// The template with what was told, and where the weights come from.
fn card(
    network: &Architecture,
    options: &ImportOptions,
    report: &ImportReport,
    path: &Path,
    sha256: &str,
) -> Result<ModelCard, String> {
    for fact in ["/input/mean", "/input/std", "/recipe", "/training/on", "/output/threshold"] {
        if options.card.pointer(fact).is_none_or(Value::is_null) {
            return Err(format!("the card needs {fact}: say it with --card FILE.json or with the flag of that name"));
        }
    }
    let mut json = ModelCard::template(network, [0.5; 3], [0.25; 3]);
    let name = path.file_stem().map(|n| shown(&n.to_string_lossy())).unwrap_or_default();
    merge(&mut json, &json!({"name": name, "training": {"trained": report.filled.is_empty()}}));
    merge(&mut json, &options.card);
    if !report.filled.is_empty() {
        // Part of the network was just drawn: whatever the card says, its scores mean nothing yet.
        merge(&mut json, &json!({"training": {"trained": false}}));
    }
    merge(&mut json, &json!({"parent": {"sha256": sha256}}));
    ModelCard::from_json(json)
}

/// Objects are joined field by field; anything else replaces what was there.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests;
