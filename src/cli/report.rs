//! `dens report`.

use super::{Refusal, ReportArgs};

pub fn run(_args: &ReportArgs) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
