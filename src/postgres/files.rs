//! Guards against folders and files that another local user could have placed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::error::PostgresError;

/// The folder of a cluster: created if missing, and writable for us only.
pub(super) fn own_folder(dir: &Path) -> Result<(), PostgresError> {
    // Others may enter it: when the service is root, the server runs as another account.
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(PostgresError::io("make the folder", dir))?;
    let metadata = fs::metadata(dir).map_err(PostgresError::io("look at", dir))?;
    let me = rustix::process::geteuid().as_raw();
    // Root may use a folder of another user's service, where only that user or root could have created it.
    let open_above =
        || dir.parent().is_none_or(|above| fs::metadata(above).is_ok_and(|metadata| is_open_to_all(&metadata)));
    if metadata.uid() != me && (me != 0 || open_above()) {
        return Err(PostgresError::FolderOfAnother { dir: dir.to_owned(), uid: metadata.uid() });
    }
    if is_open_to_all(&metadata) {
        return Err(PostgresError::FolderOpenToAll(dir.to_owned()));
    }
    Ok(())
}

fn is_open_to_all(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o002 != 0
}

/// Writes a file that others may read. It is opened like [`private_file`].
pub(super) fn write_public(path: &Path, text: &str) -> Result<(), PostgresError> {
    let mut file = private_file(path, true)?;
    file.write_all(text.as_bytes()).map_err(PostgresError::io("write", path))?;
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(PostgresError::io("open to others", path))
}

/// Opens a file that nobody else may open, not even to lock it. Links and other users' files are refused; the owner of
/// the folder, which [`own_folder`] checked, counts as us. The contents stay unless `truncate`.
pub(super) fn private_file(path: &Path, truncate: bool) -> Result<File, PostgresError> {
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
        .open(path);
    let file = match open {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(PostgresError::FileTaken(path.to_owned()));
        }
        other => other.map_err(PostgresError::io("open", path))?,
    };
    let metadata = file.metadata().map_err(PostgresError::io("look at", path))?;
    let owner = path.parent().and_then(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.uid());
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw() || Some(metadata.uid()) == owner;
    if !metadata.is_file() || !is_ours || metadata.nlink() != 1 {
        return Err(PostgresError::FileTaken(path.to_owned()));
    }
    // An older version may have created it with a wider mode.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(PostgresError::io("close", path))?;
    if truncate {
        file.set_len(0).map_err(PostgresError::io("empty", path))?;
    }
    Ok(file)
}

/// Whether `folder` is a real folder (not a link) that belongs to `uid`. If so, its mode is set to 0700.
pub(super) fn close_folder_of(folder: &Path, uid: u32) -> io::Result<bool> {
    let open = File::options().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::DIRECTORY)).open(folder);
    let Ok(opened) = open else { return Ok(false) };
    if opened.metadata()?.uid() != uid {
        return Ok(false);
    }
    opened.set_permissions(fs::Permissions::from_mode(0o700))?;
    Ok(true)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
