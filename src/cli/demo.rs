//! `dens demo`.

use super::{DemoArgs, Refusal};

pub fn run(_args: &DemoArgs) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
