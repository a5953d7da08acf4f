//! A private PostgreSQL cluster, used when no `DATABASE_URL` is set: the machine's own server programs, run as a child
//! of the service on a separate directory, reachable only through a socket.
//!
//! Synchronous, because it is used before the runtime starts and after it ends. A directory contains:
//!
//! | name | what |
//! | --- | --- |
//! | `lock` | locked by the one process that uses the directory |
//! | `data` | the cluster; `data.new` while initdb creates it |
//! | `pg_hba.conf`, `pg_ident.conf` | who may connect |
//! | `socket` | the server's socket (elsewhere when the path is too long) |
//! | `server.log`, `server.log.old` | the server's log since its start, and the one before |

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod access;
mod account;
mod database;
mod environment;
mod error;
mod files;
mod postmaster;
mod programs;
mod server;
mod socket;

use account::Account;
pub use database::{ensure_database, hand_over};
pub use error::PostgresError;
use programs::{Places, Programs};
use server::{Refusal, Server};

/// The superuser of the cluster, for administration.
const SUPERUSER: &str = "otpost";
/// The role of the service: it owns its database and has no other right.
const SERVICE: &str = "otpost_service";
/// After `kill -9` of a server its backends need 3-5 s to notice.
const STILL_HELD_WITHIN: Duration = Duration::from_secs(15);
const STILL_HELD_POLL: Duration = Duration::from_millis(200);

/// Purpose of the cluster. A directory must keep its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Never loses committed data.
    Durable,
    /// For tests: never syncs. If it does not start, or another version created it, it is created anew.
    Throwaway,
}

/// A running cluster. Dropping it shuts the server down (fast shutdown; at most 35 s, usually 50 ms).
pub struct Cluster {
    // Fields are dropped in this order: the server must be gone before another process may take the directory.
    server: Server,
    _outside: Outside,
    _lock: File,
    dir: PathBuf,
    profile: Profile,
    socket: PathBuf,
}

impl Cluster {
    /// Starts the cluster in `dir`; both are created if missing. Takes about a second the first time and under 0.1 s
    /// later; after a crash as long as PostgreSQL needs to recover (5 minutes at most). May be called from any thread.
    ///
    /// # Errors
    /// No server programs; `dir` used by another process; `dir` closed to the account that runs PostgreSQL when the
    /// service is root; initdb or the server failed. Nothing is left running.
    pub fn start(dir: &Path, profile: Profile) -> Result<Self, PostgresError> {
        files::own_folder(dir)?;
        // The server compares paths and changes its working directory.
        let dir = fs::canonicalize(dir).map_err(PostgresError::io("look at", dir))?;
        let lock = lock(&dir)?;
        let (server, socket) = match launch(&dir, profile, None) {
            Err(PostgresError::Exited { .. } | PostgresError::OtherMajor { .. }) if profile == Profile::Throwaway => {
                remove(&dir.join("data"))?;
                launch(&dir, profile, None)?
            }
            other => other?,
        };
        let outside = Outside((!socket.starts_with(&dir)).then(|| socket.clone()));
        Ok(Self { server, _outside: outside, _lock: lock, dir, profile, socket })
    }

    /// Whether `dir` holds a cluster, running or not. A folder that cannot be read counts as one: starting it reports
    /// the cause.
    pub fn is_in(dir: &Path) -> bool {
        dir.join("data").try_exists().unwrap_or(true)
    }

    /// Restarts the server if it has ended, for example because it was killed; the address stays the same. Call it
    /// about once a second. Returns whether a restart was needed; a restart takes up to 15 s.
    ///
    /// # Errors
    /// As [`Cluster::start`]; calling it again is safe.
    pub fn revive(&mut self) -> Result<bool, PostgresError> {
        if !self.server.has_ended() {
            return Ok(false);
        }
        self.server = launch(&self.dir, self.profile, Some(&self.socket))?.0;
        Ok(true)
    }

    /// The superuser's address of `database` in this cluster, for sqlx and psql. `postgres` always exists; see
    /// [`ensure_database`] for others.
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket, SUPERUSER, database)
    }

    /// Creates `database` and an ordinary role that owns it. Returns that role's address. May be repeated, also on a
    /// database of an older version, where the service used the superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn serve(&self, database: &str) -> Result<String, PostgresError> {
        let prepare = async {
            ensure_database(&self.url("postgres"), database).await?;
            hand_over(&self.url("postgres"), &self.url(database), database, SERVICE).await
        };
        prepare.await.map_err(PostgresError::Prepare)?;
        Ok(socket::url(&self.socket, SERVICE, database))
    }

    /// The service role's address of `database` in the cluster that another process runs in `dir`; `None` when none is
    /// ready there. The address is valid as long as that process runs.
    pub fn url_of_running(dir: &Path, database: &str) -> Option<String> {
        let file = fs::read_to_string(dir.join("data").join("postmaster.pid")).ok()?;
        let mut lines = file.lines();
        let socket = lines.nth(4)?;
        let ready = lines.nth(2)?.trim() == "ready";
        ready.then(|| socket::url(Path::new(socket), SERVICE, database))
    }

    /// The process id of the server.
    pub fn server_id(&self) -> u32 {
        self.server.id()
    }

    /// Shuts the server down and waits for it, like dropping it; close the connections first.
    pub fn stop(self) {}
}

/// A socket folder outside the cluster's own. It is empty once the server has ended.
struct Outside(Option<PathBuf>);

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            fs::remove_dir(folder).ok();
        }
    }
}

/// How long to wait for a lock. A process that was just forked holds our locks until it executes its program, so a lock
/// that was just released may still seem taken.
const LOCK_WITHIN: Duration = Duration::from_secs(1);

fn lock(dir: &Path) -> Result<File, PostgresError> {
    let path = dir.join("lock");
    let file = files::private_file(&path, false)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WITHIN => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(PostgresError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(PostgresError::io("lock", &path)(error)),
        }
    }
}

/// The caller holds the lock of `dir`, which is canonical.
fn launch(dir: &Path, profile: Profile, kept: Option<&Path>) -> Result<(Server, PathBuf), PostgresError> {
    let data = dir.join("data");
    let account = Account::choose(&data)?;
    account.check_enters(dir)?;
    let programs = Places::of_environment().find(pinned(&data)?.map(|major| (data.as_path(), major)))?;
    account.check_enters(programs.bin())?;
    let socket = socket::prepare(dir, &account, kept)?;
    if data.exists() {
        postmaster::end_left_over(&data, &programs, &account)?;
    } else {
        initdb(&programs, &account, &data, profile)?;
    }
    Ok((serve(&programs, &account, dir, profile, &socket)?, socket))
}

/// The major version that created `data`; `None` if it does not exist yet.
fn pinned(data: &Path) -> Result<Option<u32>, PostgresError> {
    if !data.exists() {
        return Ok(None);
    }
    let file = data.join("PG_VERSION");
    let text = fs::read_to_string(&file).map_err(PostgresError::io("read", &file))?;
    let not_a_number = |_| std::io::Error::other("it holds no version number");
    Ok(Some(text.trim().parse().map_err(not_a_number).map_err(PostgresError::io("read", &file))?))
}

/// Creates the cluster under another name and renames it, so that an interrupted first start leaves nothing that looks
/// complete.
fn initdb(programs: &Programs, account: &Account, data: &Path, profile: Profile) -> Result<(), PostgresError> {
    let new = data.with_extension("new");
    remove(&new)?;
    account.make_private_dir(&new).map_err(PostgresError::io("make the folder", &new))?;
    let mut command = Command::new(programs.path("initdb"));
    // Text is compared by bytes, so the order does not depend on a machine's libraries.
    command.args(["--username", SUPERUSER, "--auth=peer", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
    command.arg(match profile {
        Profile::Durable => "--data-checksums",
        Profile::Throwaway => "--no-sync",
    });
    command.arg("--pgdata").arg(&new).current_dir(&new).stdin(Stdio::null());
    account.run(&mut command);
    let output = command.output().map_err(PostgresError::io("run", &programs.path("initdb")))?;
    if !output.status.success() {
        let said = server::last_words(&String::from_utf8_lossy(&output.stderr));
        let said = said.unwrap_or_else(|| format!("it ended with {}", output.status));
        return Err(PostgresError::Initdb { data: data.to_owned(), said });
    }
    fs::rename(&new, data).map_err(PostgresError::io("put in its place", &new))
}

fn serve(
    programs: &Programs,
    account: &Account,
    dir: &Path,
    profile: Profile,
    socket: &Path,
) -> Result<Server, PostgresError> {
    let log = dir.join("server.log");
    let access = access::write(dir)?;
    // It does not exist at the first start.
    fs::rename(&log, dir.join("server.log.old")).ok();
    let started = Instant::now();
    loop {
        match Server::start(programs, account, &dir.join("data"), &settings(profile, socket, &access), &log) {
            Ok(server) => return Ok(server),
            Err(Refusal::StillHeld(_)) if started.elapsed() < STILL_HELD_WITHIN => thread::sleep(STILL_HELD_POLL),
            Err(Refusal::StillHeld(error) | Refusal::Final(error)) => return Err(error),
        }
    }
}

fn settings(profile: Profile, socket: &Path, access: &[String]) -> Vec<String> {
    let socket = format!("unix_socket_directories={}", quoted_in_list(socket));
    let port = format!("port={}", socket::PORT);
    let common = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "max_connections=200",
        "timezone=UTC",
        "log_timezone=UTC",
        "log_checkpoints=off",
        // Error details repeat values, which may be phone numbers.
        "log_error_verbosity=terse",
        "log_min_error_statement=panic",
    ];
    let own: &[&str] = match profile {
        Profile::Durable => &["shared_buffers=128MB"],
        Profile::Throwaway => &[
            "shared_buffers=64MB",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "autovacuum=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "max_wal_size=256MB",
        ],
    };
    let settings = common
        .iter()
        .chain(own)
        .map(|setting| (*setting).to_owned())
        .chain([socket, port])
        .chain(access.iter().cloned());
    settings.flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// The setting is a comma-separated list; a quoted entry may contain any character.
fn quoted_in_list(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('"', "\"\""))
}

fn remove(dir: &Path) -> Result<(), PostgresError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(PostgresError::io("remove", dir)(error)),
        _ => Ok(()),
    }
}
