//! The folder of the server's socket. The server listens nowhere else, and the folder is closed (0700) to others: there
//! is no port to choose and no password to keep.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::PostgresError;

/// The server names its socket so in every folder; the number is its port, which nothing else uses.
const NAME: &str = ".s.PGSQL.5432";
pub(super) const PORT: &str = "5432";
/// What the address of a Unix socket can hold on Linux, without the closing zero. The server refuses more.
const LONGEST: usize = 107;

/// Makes, or takes again, `dir`/socket; or a folder below the temporary directory when `dir` is too deep.
pub(super) fn prepare(dir: &Path, account: &Account) -> Result<PathBuf, PostgresError> {
    let folder = [dir.join("socket"), env::temp_dir().join(short_name(dir))]
        .into_iter()
        .find(|folder| folder.join(NAME).as_os_str().len() <= LONGEST)
        .ok_or_else(|| PostgresError::SocketPathTooLong(dir.join("socket")))?;
    match account.make_private_dir(&folder) {
        Ok(()) => Ok(folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => take_again(folder, account),
        Err(error) => Err(PostgresError::io("make the folder", &folder)(error)),
    }
}

/// The address in the form that libpq and sqlx share. `database` and the path may hold any characters.
pub(super) fn url(folder: &Path, database: &str) -> String {
    format!(
        "postgres://{}@localhost/{}?host={}",
        super::ROLE,
        percent_encoded(database.as_bytes(), false),
        percent_encoded(folder.as_os_str().as_bytes(), true)
    )
}

/// The same at every start, so that a killed service leaves one folder and not many.
fn short_name(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    format!("otpost-{}", hex::encode(&digest[..8]))
}

/// The temporary directory is open to all, so a folder is ours only when its owner and mode say so.
fn take_again(folder: PathBuf, account: &Account) -> Result<PathBuf, PostgresError> {
    let meta = fs::symlink_metadata(&folder).map_err(PostgresError::io("look at", &folder))?;
    if !meta.is_dir() || meta.uid() != account.uid() {
        return Err(PostgresError::SocketFolderTaken(folder));
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(PostgresError::io("close", &folder))?;
    Ok(folder)
}

fn percent_encoded(bytes: &[u8], slashes: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex::encode_upper([byte]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_escaped() {
        let url = url(Path::new("/tmp/a b&c/é"), "o/t");
        assert_eq!(url, "postgres://otpost@localhost/o%2Ft?host=/tmp/a%20b%26c/%C3%A9");
    }
}
