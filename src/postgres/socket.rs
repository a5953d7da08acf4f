//! The folder of the server's socket. The server listens nowhere else, and the folder is closed (0700) to other users,
//! so no port and no password are needed.

use std::env;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::PostgresError;
use super::files;

/// The server gives its socket this name in every folder; the number is its port, which nothing else uses.
const NAME: &str = ".s.PGSQL.5432";
pub(super) const PORT: &str = "5432";
/// Maximum length of a Unix socket's path on Linux, without the terminating zero. The server refuses longer paths.
const LONGEST: usize = 107;

/// Creates or reuses `dir`/socket, or a folder elsewhere if `dir` is too deep. `kept`: the folder of an earlier start,
/// whose address is in use.
pub(super) fn prepare(dir: &Path, account: &Account, kept: Option<&Path>) -> Result<PathBuf, PostgresError> {
    let places: Vec<PathBuf> = match kept {
        Some(kept) => vec![kept.to_owned()],
        None => places(dir).filter(|folder| folder.join(NAME).as_os_str().len() <= LONGEST).collect(),
    };
    let mut first = None;
    for folder in places {
        let refused = match account.make_private_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Some of these places are writable for everyone, so the folder's owner is checked.
                match files::close_folder_of(&folder, account.uid()) {
                    Ok(true) => return Ok(folder),
                    Ok(false) => PostgresError::SocketFolderTaken(folder),
                    Err(error) => PostgresError::io("close", &folder)(error),
                }
            }
            Err(error) => PostgresError::io("make the folder", &folder)(error),
        };
        tracing::warn!(error = %refused, "the database's socket is placed in another folder");
        first = first.or(Some(refused));
    }
    Err(first.unwrap_or_else(|| PostgresError::SocketPathTooLong(dir.join("socket"))))
}

/// In order of preference. All but the last are the same at every start, so a killed service leaves one folder and not
/// many. The last one cannot be guessed, so nobody can create it before us.
fn places(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let name = short_name(dir);
    let of_root = rustix::process::geteuid().is_root().then(|| PathBuf::from("/run"));
    // Root's own folder is closed to the account that runs the server.
    let of_user = env::var_os("XDG_RUNTIME_DIR").filter(|dir| of_root.is_none() && !dir.is_empty()).map(PathBuf::from);
    let temporary = env::temp_dir();
    let unknown = temporary.join(format!("{name}-{}", hex::encode(rand::random::<[u8; 8]>())));
    let fixed = of_root.into_iter().chain(of_user).chain([temporary]).map(move |place| place.join(&name));
    [dir.join("socket")].into_iter().chain(fixed).chain([unknown])
}

/// The address in the form that libpq and sqlx share. `database` and the path may contain any characters.
pub(super) fn url(folder: &Path, role: &str, database: &str) -> String {
    format!(
        "postgres://{role}@localhost/{}?host={}",
        percent_encoded(database.as_bytes(), false),
        percent_encoded(folder.as_os_str().as_bytes(), true)
    )
}

fn short_name(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    format!("otpost-{}", hex::encode(&digest[..8]))
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
        let url = url(Path::new("/tmp/a b&c/é"), "otpost", "o/t");
        assert_eq!(url, "postgres://otpost@localhost/o%2Ft?host=/tmp/a%20b%26c/%C3%A9");
    }
}
