//! Brings the tables up to date while other instances serve.
//!
//! It uses a separate connection: a migration may take long, a statement of the service may not. Each wait for a table
//! lock is short, because every other user of the table queues behind it; it is then tried again.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};
use tokio::time::timeout;

use super::server::quiet;
use super::{Database, errors, sessions};

/// Maximum wait for another process that migrates the same database.
const OTHERS_WITHIN: Duration = Duration::from_secs(120);
/// Interval of log lines about such a wait.
const MENTION_EVERY: Duration = Duration::from_secs(5);
/// Maximum wait of a migration for a table lock, and so of the statements that queue behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before a migration that did not get its lock is tried again.
const BREATH: Duration = Duration::from_millis(500);
/// Total time for such tries.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);
/// Time limit of a migration; it bounds the wait for a silent server.
const WITHIN: Duration = Duration::from_secs(3600);

const TABLE: &str = "_sqlx_migrations";

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("cannot connect to migrate")]
    Connect(#[source] Error),
    #[error(
        "another process has been migrating this database for {} s: wait for it, or find the holder of the advisory lock in \
         pg_locks", .0.as_secs()
    )]
    Busy(Duration),
    #[error("a table has been locked for {} s: see pg_stat_activity for who holds it", .waited.as_secs())]
    Locked {
        waited: Duration,
        #[source]
        source: MigrateError,
    },
    #[error("the migrations did not end within {} s", .0.as_secs())]
    Late(Duration),
    /// `words`: the server's own.
    #[error(
        "user \"{user}\" has no permission to make the tables in database \"{database}\" ({words}): let the owner of the \
         database run `otpost migrate`, or grant create on its schema"
    )]
    Forbidden { user: String, database: String, words: String },
    #[error(transparent)]
    Failed(#[from] MigrateError),
}

impl MigrationError {
    /// For a missing privilege: a sentence that says whose.
    fn in_words(self, options: &PgConnectOptions) -> Self {
        let Self::Failed(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = &self else {
            return self;
        };
        let Some(told) = error.as_database_error().filter(|told| told.code().is_some_and(|code| code == "42501"))
        else {
            return self;
        };
        let user = options.get_username().to_owned();
        let database = options.get_database().unwrap_or(&user).to_owned();
        Self::Forbidden { words: told.message().to_owned(), user, database }
    }
}

/// How long to wait for others.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Maximum wait for another process that migrates.
    pub others: Duration,
    /// Maximum total time for tries to lock a table.
    pub locks: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { others: OTHERS_WITHIN, locks: LOCKED_WITHIN }
    }
}

/// Applies the migrations of `migrator` that the database lacks. Safe to run from several processes at once. Migrations
/// that `migrator` does not know are ignored: each version works with the tables of the next one.
///
/// # Errors
/// See [`MigrationError`]; applied migrations stay, and running it again continues from there.
pub async fn migrate_with(migrator: &Migrator, database: &Database, patience: Patience) -> Result<(), MigrationError> {
    let ms = |d: Duration| format!("{}ms", d.as_millis());
    let options = quiet((*database.pool.connect_options()).clone()).application_name("otpost migrate");
    // Removes the time limits of a service, including those that the role sets.
    let settings = [
        ("statement_timeout", "0".to_owned()),
        ("idle_in_transaction_session_timeout", "0".to_owned()),
        ("lock_timeout", ms(LOCK_TIMEOUT)),
    ];
    let connect = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        sessions::prepare(&mut connection, &settings).await?;
        Ok(connection)
    };
    let connect = timeout(LOCK_TIMEOUT * 5, connect).await;
    let mut connection =
        connect.unwrap_or_else(|_| Err(errors::timed_out(LOCK_TIMEOUT * 5))).map_err(MigrationError::Connect)?;
    let migrator = Migrator {
        migrations: Cow::Owned(migrator.iter().cloned().collect()),
        // Checked below.
        ignore_missing: true,
        locking: false,
        ..Migrator::DEFAULT
    };
    let work = async {
        wait_for_others(&mut connection, patience.others).await?;
        connection.ensure_migrations_table(TABLE).await?;
        look_at_unknown(&migrator, &mut connection).await?;
        apply(&migrator, &mut connection, patience.locks).await?;
        connection.unlock().await?;
        Ok(())
    };
    let done = timeout(WITHIN, work).await.unwrap_or(Err(MigrationError::Late(WITHIN)));
    done.map_err(|error| error.in_words(&options))?;
    let _ = timeout(LOCK_TIMEOUT, connection.close()).await;
    Ok(())
}

/// Takes the advisory lock that every migrating process takes, including older ones.
async fn wait_for_others(connection: &mut PgConnection, limit: Duration) -> Result<(), MigrationError> {
    let began = Instant::now();
    let mut mentioned = None::<Instant>;
    loop {
        match connection.lock().await {
            Err(error) if !is_locked(&error) => return Err(error.into()),
            Ok(()) => return Ok(()),
            Err(_) if began.elapsed() >= limit => return Err(MigrationError::Busy(began.elapsed())),
            Err(_) => {}
        }
        if mentioned.is_none_or(|at| at.elapsed() > MENTION_EVERY) {
            mentioned = Some(Instant::now());
            tracing::info!(
                waited_s = began.elapsed().as_secs(),
                "another process migrates the database; waiting for it"
            );
        }
    }
}

async fn apply(migrator: &Migrator, connection: &mut PgConnection, limit: Duration) -> Result<(), MigrationError> {
    let began = Instant::now();
    loop {
        // A migration that does not get its lock does not undo those before it: each has a transaction.
        match migrator.run_direct(None, connection, false).await {
            Err(error) if is_locked(&error) && began.elapsed() < limit => {
                tracing::info!(%error, "a table is locked; the migration is tried again");
                tokio::time::sleep(BREATH).await;
            }
            Err(error) if is_locked(&error) => {
                return Err(MigrationError::Locked { waited: began.elapsed(), source: error });
            }
            done => return Ok(done?),
        }
    }
}

/// In a rolling upgrade an older version may start again beside a newer one. Other unknown migrations belong to another
/// program.
async fn look_at_unknown(migrator: &Migrator, connection: &mut PgConnection) -> Result<(), MigrationError> {
    let latest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    let applied = connection.list_applied_migrations(TABLE).await?;
    let unknown: Vec<i64> =
        applied.iter().map(|one| one.version).filter(|version| !migrator.version_exists(*version)).collect();
    if let Some(older) = unknown.iter().find(|version| **version < latest) {
        return Err(MigrateError::VersionMissing(*older).into());
    }
    if !unknown.is_empty() {
        tracing::warn!(migrations = %unknown.iter().map(i64::to_string).collect::<Vec<_>>().join(" "), "the database was migrated by a newer program");
    }
    Ok(())
}

/// A lock was not granted in time, or we were chosen as the victim of a deadlock.
fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| ["55P03", "40P01"].contains(&&*code))
}
