//! `dens model halve`: the same network in a file of half the size.

use std::path::PathBuf;

use clap::Args;

use super::{Refusal, may_write};
use crate::model::{DevicePreference, ModelCard, Network, Weights};

#[derive(Debug, Args)]
pub(super) struct HalveArgs {
    file: PathBuf,
    /// The weight file to write
    ///
    /// Weights become F16; the running statistics of batch norms stay F32. The golden output is made anew. Results on held-out
    /// data are left out of the card, because they are of other numbers: evaluate the new file and annotate it.
    #[arg(long)]
    out: PathBuf,
    /// Replace the file to be written if it is there
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &HalveArgs) -> Result<(), Refusal> {
    may_write(&args.out, args.replace)?;
    let (weights, card, sha256) = Weights::load(&args.file).map_err(Refusal::from_error)?;
    if weights.is_half() {
        return Err(Refusal(format!("{} is in half precision already; nothing was done", args.file.display())));
    }
    let halved = weights.halved().map_err(Refusal::from_error)?;
    let mut json = card.json;
    if let Some(fields) = json.as_object_mut() {
        // Of these weights nobody has said anything yet.
        ["held_out", super::annotate::SAME_WEIGHTS].iter().for_each(|field| drop(fields.remove(*field)));
        fields.insert("rounded_from".into(), sha256.into());
    }
    let card = |json| ModelCard::from_json(json).map_err(Refusal);
    let network =
        Network::from_weights(&halved, card(json.clone())?, DevicePreference::Cpu).map_err(Refusal::from_error)?;
    json["golden"] = network.golden().map_err(Refusal::from_error)?;
    let card = card(json)?;
    let sha256 = halved.save(&card, &args.out).map_err(Refusal::from_error)?;
    println!("{}: {}, half precision, SHA-256 {sha256}", args.out.display(), card.name);
    Ok(())
}
