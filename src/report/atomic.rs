//! The one way in which this program writes files: whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ReportError;

/// Writes `bytes` to a temporary file in the same folder, syncs, renames over `path`, syncs the folder.
///
/// A new file gets the permissions any program would give it (0666 less the umask), an existing one keeps its own.
/// A link is followed, so that the file it names is replaced and the link stays. What stands at `path` is
/// untouched when this fails; a folder, a device or a file marked read-only is never replaced.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    replace(path, bytes).map_err(|source| ReportError::Write { path: path.display().to_string(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let kept = permissions_to_keep(&target)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dens-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(&folder)?;
    file.write_all(bytes)?;
    if let Some(permissions) = kept {
        file.as_file().set_permissions(permissions)?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|failed| failed.error)?;
    sync_folder(&folder);
    Ok(())
}

/// The permissions of the file that is about to be replaced, or why it must not be.
fn permissions_to_keep(target: &Path) -> io::Result<Option<fs::Permissions>> {
    let metadata = match fs::metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file"));
    }
    if metadata.permissions().readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is marked read-only"));
    }
    Ok(Some(metadata.permissions()))
}

/// Makes the rename itself survive a power cut. The file is complete by now, and some file systems allow no sync of
/// a folder, so a refusal is no failure of the write. Only Unix lets a folder be opened for this.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _refused_by_file_system = fs::File::open(folder).and_then(|folder| folder.sync_all());
    }
}
