//! What most commands stand on: settings, a database, the keys of codes, a runtime.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::app::Means;
use crate::config::{LogFormat, Settings, environment};
use crate::domain::code_keys::{CodeKey, CodeKeys};
use crate::postgres::{Cluster, PostgresError, Profile};
use crate::services::randomness;
use crate::telemetry;

/// Name of the database in a private cluster.
const DATABASE: &str = "otpost";
/// How often a private server is looked after.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Settings from file and environment, with the log set up after them.
///
/// # Errors
/// Everything that is wrong with them, a line each.
pub fn settings(config: Option<&Path>) -> Result<Settings> {
    let settings = Settings::load(config, &environment()).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let json = match settings.log.format {
        LogFormat::Auto => None,
        LogFormat::Text => Some(false),
        LogFormat::Json => Some(true),
    };
    telemetry::start(json, &settings.log.filter)?;
    for warning in settings.degraded.iter().chain(&settings.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// The database: the one that the settings name, or a private one that lives as long as this.
pub struct Database {
    pub url: String,
    keeper: Option<Keeper>,
}

/// Looks after a private server, and shuts it down when dropped.
struct Keeper {
    stop: mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Database {
    /// For a service: a private server is its own and nobody else's.
    ///
    /// # Errors
    /// When no private server can be started; says what to install or set.
    pub fn open(settings: &Settings) -> Result<Self> {
        if let Some(url) = &settings.database.url {
            return Ok(Self { url: url.expose().to_owned(), keeper: None });
        }
        Self::private(Cluster::start(&settings.data_dir.join("postgres"), Profile::Durable)?)
    }

    /// For a command beside a service that may be running: its private server will do.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn join(settings: &Settings) -> Result<Self> {
        if settings.database.url.is_some() {
            return Self::open(settings);
        }
        let dir = settings.data_dir.join("postgres");
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

    pub fn is_private(&self) -> bool {
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
                    Ok(true) => tracing::warn!("the private PostgreSQL had ended; it runs again"),
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

/// The keys of codes: of the settings, or beside a private database one that is kept in the data directory.
///
/// # Errors
/// When the file cannot be made or read.
pub fn code_keys(settings: &Settings) -> Result<CodeKeys> {
    if let Some(keys) = &settings.codes.keys {
        return Ok(keys.clone());
    }
    let path = settings.data_dir.join("code.key");
    if !path.exists() {
        fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot make {}", settings.data_dir.display()))?;
        let new = path.with_extension("key.new");
        // Left by a start that was interrupted, or put there by somebody who would like to read it.
        fs::remove_file(&new).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(hex::encode(randomness::bytes::<32>()).as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Ok(secret) = hex::decode(text.trim()) else {
        bail!(
            "{} does not hold a key in hexadecimal digits; codes sealed with the lost key cannot be sent",
            path.display()
        )
    };
    let key = CodeKey::new(1, &secret).with_context(|| format!("{} does not hold a key", path.display()))?;
    Ok(CodeKeys::new(vec![key])?)
}

/// What an [`crate::app::App`] is built with.
///
/// # Errors
/// See [`code_keys`].
pub fn means(settings: &Settings, database: &Database, migrate: bool) -> Result<Means> {
    Ok(Means { database_url: database.url.clone(), code_keys: code_keys(settings)?, clock: None, migrate })
}

/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
