//! `dens [PATH...]`: the window.

use std::path::{Path, PathBuf};

use super::password::PasswordArgs;
use super::{DeviceChoice, Refusal};
use crate::app::{self, Start, Store};
use crate::state::DeviceSetting;

/// Whether a window can be opened at all (on Linux: an X11 or Wayland display is named in the environment).
pub fn display_available() -> bool {
    !cfg!(target_os = "linux")
        || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

pub fn run(
    paths: &[PathBuf],
    device: DeviceChoice,
    model: Option<&Path>,
    password: &PasswordArgs,
) -> Result<(), Refusal> {
    if let Some(path) = paths.iter().find(|p| !p.exists()) {
        return Err(Refusal(format!(
            "{} does not exist; give the folder, zip archive or file of a study",
            path.display()
        )));
    }
    if !display_available() {
        let shown = paths.first().map_or_else(|| "PATH".to_owned(), |p| p.display().to_string());
        return Err(Refusal(format!(
            "there is no display to open a window on; \"dens report {shown} --out report.pdf\" works without one"
        )));
    }
    open_window(Start {
        // Recent studies must be found again from any folder.
        paths: paths.iter().map(|p| std::path::absolute(p).unwrap_or_else(|_| p.clone())).collect(),
        demo: false,
        model: model.map(Path::to_owned),
        device: device_setting(device),
        store: Store::for_user(),
        password: password.password()?,
    })
}

/// The window, with what to do where it cannot be opened.
pub fn open_window(start: Start) -> Result<(), Refusal> {
    app::run(start).map_err(|error| {
        Refusal(format!(
            "the window could not be opened: {error}. {}. Without a window, \"dens report\" and \"dens render\" work.",
            crate::gpu::INSTALL_HINT
        ))
    })
}

/// `auto` on the command line leaves the remembered setting alone.
fn device_setting(device: DeviceChoice) -> Option<DeviceSetting> {
    match device {
        DeviceChoice::Auto => None,
        DeviceChoice::Cpu => Some(DeviceSetting::Cpu),
        DeviceChoice::CpuBf16 => Some(DeviceSetting::CpuHalf),
        DeviceChoice::Cuda => Some(DeviceSetting::Cuda),
        DeviceChoice::Metal => Some(DeviceSetting::Metal),
    }
}
