//! Why the private cluster cannot run. Operators see these texts unchanged, so each says what to do.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error(
        "found no PostgreSQL server programs of version 15 or newer: install PostgreSQL (Debian: the package `postgresql`), \
         or set OTPOST_PG_BIN to the folder that holds `initdb` and `postgres`, or DATABASE_URL to a server that runs"
    )]
    NoPrograms,
    #[error(
        "OTPOST_PG_BIN is {}, which does not hold `initdb` and `postgres` of version 15 or newer: correct it, or unset it and \
         install PostgreSQL (Debian: the package `postgresql`), or set DATABASE_URL", .0.display()
    )]
    NotInPgBin(PathBuf),
    #[error(
        "the database in {} was made by PostgreSQL {major}, whose server programs were not found: install PostgreSQL {major} \
         or set OTPOST_PG_BIN to its folder", .data.display()
    )]
    OtherMajor { data: PathBuf, major: u32 },
    #[error("another otpost process is using this database directory (it holds the lock on {}): stop it, or name another directory", .0.display())]
    InUse(PathBuf),
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as: add one of them, or set DATABASE_URL"
    )]
    NoAccount,
    #[error(
        "the account {account}, which runs PostgreSQL because it refuses root, cannot enter {}: keep {} elsewhere, for example \
         below /var/lib/otpost", .closed.display(), .wanted.display()
    )]
    CannotEnter { account: String, closed: PathBuf, wanted: PathBuf },
    #[error("no folder is short enough for the database's socket (107 bytes with its name): {} is too long; set TMPDIR to a shorter one", .0.display())]
    SocketPathTooLong(PathBuf),
    #[error("{} is in the way of the database's socket: it is not a folder of the account that runs PostgreSQL; remove it", .0.display())]
    SocketFolderTaken(PathBuf),
    #[error(
        "{} belongs to another user (number {uid}), who could put files in the database's way: remove it, or name another \
         directory", .dir.display()
    )]
    FolderOfAnother { dir: PathBuf, uid: u32 },
    #[error("everybody can write in {}, and so put files in the database's way: close it (chmod o-w), or name another directory", .0.display())]
    FolderOpenToAll(PathBuf),
    #[error("{} is in the way: it is a link, or belongs to another user; remove it", .0.display())]
    FileTaken(PathBuf),
    #[error("the database refuses to be prepared for the service")]
    Prepare(#[source] sqlx::Error),
    #[error("initdb could not make a database in {}: {said}", .data.display())]
    Initdb { data: PathBuf, said: String },
    #[error("the PostgreSQL server does not start: {said} (its log is {})", .log.display())]
    Exited { said: String, log: PathBuf },
    #[error("the PostgreSQL server was not ready within {seconds} s (its log is {})", .log.display())]
    NotReady { seconds: u64, log: PathBuf },
    #[error("cannot {doing} {}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl PostgresError {
    /// For `map_err`: `doing` is a verb phrase that `path` completes.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
