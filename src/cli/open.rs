//! `dens [PATH]`: the window.

use std::path::Path;

use super::{DeviceChoice, Refusal};

/// Whether a window can be opened at all (on Linux: an X11 or Wayland display is named in the environment).
pub fn display_available() -> bool {
    !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

pub fn run(_path: Option<&Path>, _device: DeviceChoice, _model: Option<&Path>) -> Result<(), Refusal> {
    Err(Refusal("not built yet".into()))
}
