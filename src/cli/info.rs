//! `dens info`.

use super::{InfoArgs, Refusal};

pub fn run(_args: &InfoArgs) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
