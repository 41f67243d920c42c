//! `dens render`.

use super::{Refusal, RenderArgs};

pub fn run(_args: &RenderArgs) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
