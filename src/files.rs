//! The one way in which this program writes files: whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names of files that are being written.
const PREFIX: &str = ".dens-";
const SUFFIX: &str = ".part";

/// What a power cut may cost. Whatever is chosen, no other program ever sees half a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// The file may be empty or missing after a power cut: for many small files that the same command makes again.
    Nothing,
    /// The old or the new content stands after a power cut.
    File,
    /// The new content stands after a power cut once this has returned: for what a person was told is there.
    FileAndFolder,
}

/// Writes `bytes` as [`write_with`] does.
///
/// # Errors
/// As [`write_with`].
pub fn write(path: &Path, bytes: &[u8], sync: Synced) -> io::Result<()> {
    write_with(path, sync, |file| file.write_all(bytes))
}

/// Writes what `write` writes, synced ([`Synced::File`]).
///
/// # Errors
/// As [`write_with`].
pub fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>) -> io::Result<()> {
    write_with(path, Synced::File, write)
}

/// Writes a temporary file in the same folder and renames it over `path`.
///
/// A new file gets the permissions any program would give it (0666 less the umask), an existing one keeps its own.
/// A link is followed, so that the file it names is replaced and the link stays.
///
/// # Errors
/// The folder cannot be written, `write` failed, or a folder, a device or a file marked read-only stands at `path`. What
/// stands there is untouched.
pub fn write_with(
    path: &Path,
    sync: Synced,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> io::Result<()> {
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
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(&folder)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    if let Some(permissions) = kept {
        file.as_file().set_permissions(permissions)?;
    }
    if sync != Synced::Nothing {
        file.as_file().sync_all()?;
    }
    file.persist(&target).map_err(|failed| failed.error)?;
    if sync == Synced::FileAndFolder {
        sync_folder(&folder);
    }
    Ok(())
}

/// Removes from a folder what programs that were killed while writing left behind, if it is older than `age`.
pub fn clear_leftovers(folder: &Path, age: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let old = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && old.is_some_and(|old| old > age) {
            // Somebody else's now, or gone already: it does no harm where it lies.
            let _kept = fs::remove_file(entry.path());
        }
    }
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
        let _refused_by_file_system = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        for sync in [Synced::Nothing, Synced::File, Synced::FileAndFolder] {
            write(&path, format!("{sync:?}").as_bytes(), sync).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), format!("{sync:?}"));
        }
        let failed = write_whole(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.expect_err("refused").to_string(), "no more");
        assert_eq!(fs::read_to_string(&path).expect("there"), "FileAndFolder");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no temporary file stays");
        assert!(
            write(folder.path(), b"", Synced::Nothing).is_err() && write(Path::new("/"), b"", Synced::Nothing).is_err()
        );
    }
}
