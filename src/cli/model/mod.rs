//! `dens model`: what a weight file says of itself, weights of other programs, whether a copy is sound, results written into a
//! card, and how long a slice takes.

mod annotate;
mod halve;
mod time;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{DeviceChoice, Refusal, analyze, load};
use crate::model::{
    Architecture, Backbone, DevicePreference, ImportOptions, ImportReport, ModelCard, Network, Pooling, Weights, import,
};

#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Print a weight file's card in words
    Show(ShowArgs),
    /// Make a weight file of this program out of a PyTorch checkpoint
    Import(Box<ImportArgs>),
    /// Check a weight file: hash, values, and its stored golden output
    Verify(VerifyArgs),
    /// Write results of `dens evaluate` into a weight file's card
    Annotate(annotate::AnnotateArgs),
    /// Write a weight file in half precision: half the size, and nearly the same scores
    Halve(halve::HalveArgs),
    /// Time the network on this machine
    Time(time::TimeArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    file: PathBuf,
    /// The card as stored
    #[arg(long)]
    json: bool,
}

/// Reads .safetensors and zip-format .pth files with PyTorch's names (torchvision, timm, Hugging Face ResNet-50).
/// Nothing in a checkpoint is executed.
#[derive(Debug, Args)]
struct ImportArgs {
    file: PathBuf,
    /// The weight file to write
    #[arg(long)]
    out: PathBuf,
    /// JSON with fields of the card; the flags below win over it
    #[arg(long)]
    card: Option<PathBuf>,
    /// Shown on screen and in reports
    #[arg(long)]
    name: Option<String>,
    /// resnet50 or nano
    #[arg(long, default_value = "resnet50")]
    backbone: String,
    /// Hidden size of the BLSTM per direction
    #[arg(long, default_value_t = 128)]
    units: usize,
    /// last, mean, max, attention or topk-residual
    #[arg(long, default_value = "last")]
    pooling: String,
    /// Edge of the input in pixels (default: the backbone's)
    #[arg(long)]
    input: Option<usize>,
    /// Preprocessing that the weights were trained with: paper or spine
    #[arg(long)]
    recipe: Option<String>,
    /// Means of the three windowed channels, e.g. 0.2,0.1,0.1
    #[arg(long, value_delimiter = ',')]
    mean: Vec<f64>,
    /// Standard deviations of the three windowed channels
    #[arg(long, value_delimiter = ',')]
    std: Vec<f64>,
    /// Threshold of the scores, 0 to 1
    #[arg(long)]
    threshold: Option<f64>,
    /// What the weights were trained on, in words
    #[arg(long)]
    trained_on: Option<String>,
    /// Order of the file's input channels, e.g. bone,gross-bone,soft-tissue (default: soft-tissue,bone,gross-bone)
    #[arg(long, value_delimiter = ',')]
    channels: Vec<String>,
    /// How the file's windows were normalised; only fixed can be reproduced
    #[arg(long, default_value = "fixed")]
    window_norm: String,
    /// Draw initial values for the last layer and the sequence network where the file has none, to be trained then
    #[arg(long)]
    fill: bool,
    /// Replace the file to be written if it is there
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    file: PathBuf,
    /// SHA-256 that the file should have
    #[arg(long)]
    sha256: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
}

/// Refuses to write over a file that nobody has given up.
fn may_write(out: &Path, replace: bool) -> Result<(), Refusal> {
    if out.exists() && !replace {
        let out = out.display();
        return Err(Refusal(format!("{out} is there already; nothing was done. Add --replace, or name another file")));
    }
    Ok(())
}

pub fn run(args: &ModelArgs) -> Result<(), Refusal> {
    match &args.command {
        ModelCommand::Show(args) => show(args),
        ModelCommand::Import(args) => import_file(args),
        ModelCommand::Verify(args) => verify(args),
        ModelCommand::Annotate(args) => annotate::run(args),
        ModelCommand::Halve(args) => halve::run(args),
        ModelCommand::Time(args) => time::run(args),
    }
}

fn show(args: &ShowArgs) -> Result<(), Refusal> {
    let (_, card, sha256) = Weights::load(&args.file).map_err(Refusal::from_error)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&card.json).map_err(Refusal::from_error)?);
        return Ok(());
    }
    println!("{}", card.name);
    println!(
        "{}, input {} x {} pixels, recipe {}",
        card.architecture, card.network.input_side, card.network.input_side, card.recipe
    );
    println!("SHA-256 {sha256}");
    println!(
        "{}",
        if card.trained { card.trained_on.clone() } else { crate::findings::describe::UNTRAINED.to_owned() }
    );
    let operating = card.operating();
    let case = operating.case_threshold.unwrap_or(card.threshold);
    println!("thresholds: {} for slices, {case} for the case{}", card.threshold, because(&operating.rule));
    for point in &operating.points {
        let of = |value: Option<f32>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
        let n = point.n.map_or_else(String::new, |n| format!(", {n} validation cases"));
        println!(
            "  {}: {} for slices, {} for the case{}{n}",
            point.name,
            of(point.slice),
            of(point.case),
            because(&point.rule)
        );
    }
    match (card.calibrated, operating.prevalence) {
        (true, Some(prevalence)) => {
            println!("scores are calibrated where {:.0} % of the cases are fractured", 100.0 * prevalence)
        }
        (true, None) => println!("scores are calibrated"),
        (false, _) => println!("scores are not calibrated: they are no probabilities"),
    }
    println!();
    for (name, text) in crate::findings::card::lines(&card.json) {
        println!("{}: {}", plain(&name), plain(&text));
    }
    println!();
    for line in rest_of_card(&card.json) {
        println!("{line}");
    }
    println!("{}", crate::RESEARCH_LINE);
    Ok(())
}

fn because(rule: &str) -> String {
    if rule.is_empty() { String::new() } else { format!(" ({rule})") }
}

/// What the card says beyond the lines above, one `field: value` each; long lists of numbers are counted only.
fn rest_of_card(card: &Value) -> Vec<String> {
    const SAID: [&str; 4] = ["name", "recipe", "architecture", "held_out"];
    let mut lines = Vec::new();
    for (key, value) in card.as_object().into_iter().flatten().filter(|(key, _)| !SAID.contains(&key.as_str())) {
        flatten(key, value, &mut lines);
    }
    lines
}

fn flatten(field: &str, value: &Value, lines: &mut Vec<String>) {
    const LONGEST: usize = 12;
    match value {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| flatten(&format!("{field}.{key}"), value, lines))
        }
        Value::Array(items) if items.len() > LONGEST => lines.push(format!("{}: {} values", plain(field), items.len())),
        Value::String(text) => lines.push(format!("{}: {}", plain(field), plain(text))),
        other => lines.push(format!("{}: {}", plain(field), plain(&other.to_string()))),
    }
}

/// Text from a file as it may stand on a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn import_file(args: &ImportArgs) -> Result<(), Refusal> {
    may_write(&args.out, args.replace)?;
    if args.window_norm != "fixed" {
        return Err(Refusal(format!(
            "weights trained with window_norm {:?} expect pictures that this program does not make (only fixed windows)",
            args.window_norm
        )));
    }
    let network = architecture(args)?;
    let options = ImportOptions { card: told(args)?, channels: args.channels.clone(), fill: args.fill };
    let (weights, card, report) = import(&args.file, &network, &options).map_err(Refusal::from_error)?;
    let card = with_golden(&weights, card)?;
    let sha256 = weights.save(&card, &args.out).map_err(Refusal::from_error)?;
    print_report(&report);
    println!("{}: {}, SHA-256 {sha256}", args.out.display(), card.architecture);
    Ok(())
}

/// The card with the golden output that `verify` compares with.
fn with_golden(weights: &Weights, card: ModelCard) -> Result<ModelCard, Refusal> {
    let network = Network::from_weights(weights, card, DevicePreference::Cpu).map_err(Refusal::from_error)?;
    let mut json = network.card().json.clone();
    json["golden"] = network.golden().map_err(Refusal::from_error)?;
    ModelCard::from_json(json).map_err(Refusal)
}

fn print_report(report: &ImportReport) {
    println!("{} tensors taken over", report.taken);
    report.notes.iter().for_each(|note| println!("{note}"));
    for (names, what) in [
        (&report.unused, "of the file have no place here"),
        (&report.filled, "are not in the file and were drawn from a seed"),
    ] {
        if !names.is_empty() {
            println!("{} tensors {what}: {}", names.len(), names.join(", "));
        }
    }
}

fn architecture(args: &ImportArgs) -> Result<Architecture, Refusal> {
    let unknown = |what: &str, name: &str, known: &[&str]| {
        Refusal(format!("there is no {what} {name:?}; there are: {}", known.join(", ")))
    };
    let backbone = Backbone::from_name(&args.backbone)
        .ok_or_else(|| unknown("backbone", &args.backbone, &Backbone::ALL.map(Backbone::name)))?;
    let pooling = Pooling::from_name(&args.pooling)
        .ok_or_else(|| unknown("pooling", &args.pooling, &Pooling::ALL.map(Pooling::name)))?;
    let input_side = args.input.unwrap_or(backbone.default_side());
    let network = Architecture { backbone, units: args.units, pooling, input_side };
    network.check().map_err(Refusal)?;
    Ok(network)
}

/// The card's fields that were told: the file's, overruled by the flags.
fn told(args: &ImportArgs) -> Result<Value, Refusal> {
    let mut card = match &args.card {
        Some(path) => read_json(path)?,
        None => json!({}),
    };
    let recipe = analyze::parse_recipe(args.recipe.as_deref())?.map(|recipe| json!(recipe.name()));
    let triple = |values: &Vec<f64>| (!values.is_empty()).then(|| json!(values));
    for (field, value) in [
        ("name", args.name.as_ref().map(|name| json!(name))),
        ("recipe", recipe),
        ("input/mean", triple(&args.mean)),
        ("input/std", triple(&args.std)),
        ("output/threshold", args.threshold.map(|t| json!(t))),
        ("training/on", args.trained_on.as_ref().map(|on| json!(on))),
    ] {
        if let Some(value) = value {
            set(&mut card, field, value);
        }
    }
    Ok(card)
}

fn read_json(path: &Path) -> Result<Value, Refusal> {
    let failed = |what: String| Refusal(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let card: Value = serde_json::from_str(&text).map_err(|error| failed(format!("is not valid JSON: {error}")))?;
    if card.is_object() { Ok(card) } else { Err(failed("is no JSON object".to_owned())) }
}

/// Sets `a` or `a/b`.
fn set(card: &mut Value, field: &str, value: Value) {
    let (outer, inner) = field.split_once('/').map_or((field, None), |(outer, inner)| (outer, Some(inner)));
    let Some(card) = card.as_object_mut() else { return };
    match inner {
        None => {
            card.insert(outer.to_owned(), value);
        }
        Some(inner) => {
            let entry = card.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(inner.to_owned(), value);
            }
        }
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Refusal> {
    let preference: DevicePreference = load::device_preference(args.device);
    let network = Network::load(&args.file, preference).map_err(Refusal::from_error)?;
    let shown = args.file.display();
    if let Some(wanted) = &args.sha256
        && !wanted.trim().eq_ignore_ascii_case(network.sha256())
    {
        return Err(Refusal(format!(
            "{shown} has the SHA-256 {}, not {}: it is another file",
            network.sha256(),
            wanted.trim()
        )));
    }
    println!("{shown}: SHA-256 {}", network.sha256());
    println!("every tensor of {} is there, of the right shape and finite", network.card().architecture);
    match network.check_golden().map_err(|error| Refusal(format!("{shown}: {error}")))? {
        Some(difference) => {
            println!("golden output reproduced on {} (largest difference {difference:.1e})", network.device_name())
        }
        None => println!("the card stores no golden output"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_card_file_and_fields_are_joined() {
        let mut card = json!({"name": "old", "input": {"mean": [1, 2, 3], "size": 384}});
        set(&mut card, "name", json!("new"));
        set(&mut card, "input/mean", json!([0.1, 0.2, 0.3]));
        set(&mut card, "output/threshold", json!(0.5));
        let expected =
            json!({"name": "new", "input": {"mean": [0.1, 0.2, 0.3], "size": 384}, "output": {"threshold": 0.5}});
        assert_eq!(card, expected);
    }

    #[test]
    fn long_lists_are_counted_and_control_characters_replaced() {
        let card = json!({"name": "n", "ood": {"mean": vec![0.5; 128]}, "note": "a\u{1b}[2J"});
        assert_eq!(rest_of_card(&card), ["ood.mean: 128 values", "note: a\u{fffd}[2J"]);
    }
}
