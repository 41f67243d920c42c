//! Shared by the integration tests: where the test data lies, and how a test says that it skipped.

pub mod zips;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of real DICOM beside the project, or `None` with a line on standard error.
/// `DENS_REQUIRE_DATA=1` turns the skip into a failure.
pub fn shared_data() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if path.join("MANIFEST.json").is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("DENS_REQUIRE_DATA").is_none(), "the shared test data are not at {}", path.display());
    eprintln!("SKIPPED: the shared test data are not beside the project");
    None
}

/// What the program says and how it ends, run in this folder with the small network, however fast this machine is.
pub fn dens(args: &[&str], folder: &Path) -> Output {
    dens_command(args, folder).output().expect("dens starts")
}

/// As [`dens`], before it is started.
pub fn dens_command(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dens"));
    command.args(args).env("DENS_MODEL", "nano").current_dir(folder);
    command
}
