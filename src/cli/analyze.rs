//! `dens analyze`.

use super::{AnalyzeArgs, Refusal};

pub fn run(_args: &AnalyzeArgs) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
