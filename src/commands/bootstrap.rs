//! What most commands need: settings, a database, the code keys, a runtime.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::app::{BuildError, Means};
use crate::commands::terminal;
use crate::config::{LogFormat, OWN_CODE_KEY, Settings, environment, settings_file};
use crate::domain::code_keys::{CodeKey, CodeKeys};
use crate::postgres::{Cluster, PostgresError, Profile};
use crate::services::keys::code_keys::KeysError;
use crate::services::randomness;
use crate::store::database::{self, Plans, Target};
use crate::telemetry;

/// Name of the database in a private cluster.
const DATABASE: &str = "otpost";
/// Interval of the checks of a private server.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Reads the settings from file and environment, and configures the log accordingly.
///
/// # Errors
/// Every problem in the settings, one per line.
pub(super) fn settings(config: Option<&Path>) -> Result<Settings> {
    let settings = Settings::load(config, &environment()).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let json = match settings.log.format {
        LogFormat::Auto => None,
        LogFormat::Text => Some(false),
        LogFormat::Json => Some(true),
    };
    telemetry::start(json, &settings.log.filter)?;
    Ok(settings)
}

/// Logs which settings work less well than they should. Only services do this; for other commands the settings are not
/// the subject.
pub(super) fn warn(settings: &Settings) {
    for warning in settings.degraded.iter().chain(&settings.warnings) {
        tracing::warn!("{warning}");
    }
}

/// No database is configured, and no private one exists yet.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no database yet: none is named (DATABASE_URL, or url in [database]), and {0} holds none. `otpost serve` makes \
     one there; to use another, name it, or another data directory"
)]
pub(super) struct NoDatabase(String);

/// The settings file and the database, for display; without a password.
pub(super) fn place(config: Option<&Path>, settings: &Settings) -> String {
    format!("{}; database {}", file_place(config), database_place(settings))
}

/// The settings file, for display.
pub(super) fn file_place(config: Option<&Path>) -> String {
    settings_file(config).map_or("no settings file".to_owned(), |file| format!("settings {}", file.display()))
}

/// Which database is used, for display; without a password.
pub(super) fn database_place(settings: &Settings) -> String {
    match &settings.database.url {
        Some(url) => Target::of(url.expose()).map_or_else(|error| error.to_string(), |target| target.to_string()),
        None => format!("a private one in {}", cluster_dir(settings).display()),
    }
}

fn cluster_dir(settings: &Settings) -> PathBuf {
    settings.data_dir.join("postgres")
}

/// The database: the configured one, or a private one that lives as long as this value.
pub(super) struct Database {
    pub url: String,
    keeper: Option<Keeper>,
}

/// Monitors a private server, and shuts it down when dropped.
struct Keeper {
    stop: mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Database {
    /// For a service: it owns its private server alone.
    ///
    /// # Errors
    /// When no private server can be started; says what to install or set.
    pub(super) fn open(settings: &Settings) -> Result<Self> {
        if let Some(url) = &settings.database.url {
            return Ok(Self { url: url.expose().to_owned(), keeper: None });
        }
        Self::private(Cluster::start(&cluster_dir(settings), Profile::Durable)?)
    }

    /// For a command that may run beside a service, whose private server it then uses. Creates no database, and prints
    /// on stderr which settings and which database are used, so that a command does not work on the wrong database
    /// unnoticed.
    ///
    /// # Errors
    /// As [`Database::open`], and when there is none.
    pub(super) fn join(config: Option<&Path>, settings: &Settings) -> Result<Self> {
        terminal::say(&format!("otpost: {}", place(config, settings)));
        Self::join_quietly(settings)
    }

    /// The same without printing.
    ///
    /// # Errors
    /// As [`Database::join`].
    pub(super) fn join_quietly(settings: &Settings) -> Result<Self> {
        if settings.database.url.is_some() {
            return Self::open(settings);
        }
        let dir = cluster_dir(settings);
        if !Cluster::is_in(&dir) {
            return Err(NoDatabase(dir.display().to_string()).into());
        }
        match Cluster::start(&dir, Profile::Durable) {
            Err(in_use @ PostgresError::InUse(_)) => {
                let url = Cluster::url_of_running(&dir, DATABASE).ok_or(in_use)?;
                Ok(Self { url, keeper: None })
            }
            started => Self::private(started?),
        }
    }

    fn private(cluster: Cluster) -> Result<Self> {
        let url = runtime()?.block_on(cluster.serve(DATABASE)).context("cannot create the database")?;
        Ok(Self { url, keeper: Some(Keeper::start(cluster)) })
    }

    /// One connection for a command that reads or writes tables.
    ///
    /// # Errors
    /// When the database cannot be used, or lacks a table of this program.
    pub(super) async fn connect(&self, name: &'static str) -> Result<database::Database> {
        let pool = database::connect(&self.url, name, 1, Plans::Search).await?;
        database::check_tables(&pool).await?;
        Ok(pool)
    }

    pub(super) fn is_private(&self) -> bool {
        self.keeper.is_some()
    }
}

impl Keeper {
    fn start(mut cluster: Cluster) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_AFTER) {
                match cluster.revive() {
                    Ok(false) => {}
                    Ok(true) => tracing::warn!("the private PostgreSQL had ended and was restarted"),
                    Err(error) => tracing::error!(error = %telemetry::chain(&error), "cannot revive PostgreSQL"),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The code keys: from the settings or, with a private database, one stored in the data directory.
///
/// # Errors
/// When the file cannot be created or read.
pub(super) fn code_keys(settings: &Settings) -> Result<CodeKeys> {
    if let Some(keys) = &settings.codes.keys {
        return Ok(keys.clone());
    }
    let path = settings.data_dir.join(OWN_CODE_KEY);
    if !path.exists() {
        fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
        let new = path.with_extension("key.new");
        // Left by an interrupted start, or placed by another user who wants to read the key.
        fs::remove_file(&new).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(hex::encode(randomness::bytes::<32>()).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // With an id in front where the first key was lost.
    let (id, digits) = text.trim().split_once(':').unwrap_or(("1", text.trim()));
    let (Some(id), Ok(secret)) = (id.parse().ok().filter(|id| *id > 0), hex::decode(digits)) else {
        bail!(
            "{} does not hold a key in hexadecimal digits; codes sealed with the lost key cannot be sent",
            path.display()
        )
    };
    let key = CodeKey::new(id, &secret).with_context(|| format!("{} does not hold a key", path.display()))?;
    Ok(CodeKeys::new(vec![key])?)
}

/// Explains what to do about an unknown key that the program itself stores.
pub(super) fn about_own_key(error: anyhow::Error, settings: &Settings) -> anyhow::Error {
    let is_other = error.chain().any(|cause| {
        let keys = cause.downcast_ref::<BuildError>().and_then(|error| match error {
            BuildError::Keys(error) => Some(error),
            _ => None,
        });
        matches!(keys.or_else(|| cause.downcast_ref::<KeysError>()), Some(KeysError::OtherSecret(_)))
    });
    if !is_other || settings.codes.keys.is_some() {
        return error;
    }
    error.context(format!(
        "{} is not the key that was here before: put the former file back from your backup or, when it is lost, write `2:` (or \
         another new id) before its digits; live codes under the lost key are lost with it",
        settings.data_dir.join(OWN_CODE_KEY).display()
    ))
}

/// What an [`crate::app::App`] is built with.
///
/// # Errors
/// See [`code_keys`].
pub(super) fn means(settings: &Settings, database: &Database, migrate: bool) -> Result<Means> {
    Ok(Means { database_url: database.url.clone(), code_keys: code_keys(settings)?, clock: None, migrate })
}

/// # Errors
/// When the system provides no threads.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
