//! Shared by the integration tests: where the test data lies, and how a test says that it skipped.

pub mod zips;

use std::path::PathBuf;

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
