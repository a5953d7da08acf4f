//! Brings the tables up to date, beside instances that serve meanwhile.
//!
//! On a connection of its own: a migration may take long, while a statement of the service may not. A lock on a table
//! is waited for only shortly, since whoever wants the table meanwhile queues behind the wait; it is tried again.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, Error, PgConnection};
use tokio::time::timeout;

use super::server::quiet;
use super::{Database, errors};

/// Longest wait for another process that migrates the same database.
const OTHERS_WITHIN: Duration = Duration::from_secs(120);
/// How often such a wait is mentioned in the log.
const MENTION_EVERY: Duration = Duration::from_secs(5);
/// Longest wait of a migration for a lock on a table, and so longest wait of those who queue behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before a migration that did not get its lock is tried again.
const BREATH: Duration = Duration::from_millis(500);
/// How long that is done.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);
/// Longest a migration takes. It bounds the wait for a server that went silent.
const WITHIN: Duration = Duration::from_secs(3600);

const TABLE: &str = "_sqlx_migrations";

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("cannot connect to migrate")]
    Connect(#[source] Error),
    #[error(
        "another process has been migrating this database for {} s: wait for it, or look for who holds an advisory lock in \
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
    #[error(transparent)]
    Failed(#[from] MigrateError),
}

/// How long others are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest wait for another process that migrates.
    pub others: Duration,
    /// Longest time in which a lock on a table is tried for.
    pub locks: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { others: OTHERS_WITHIN, locks: LOCKED_WITHIN }
    }
}

/// Applies the migrations of `migrator` that the database does not have. Safe to run from several processes at once.
/// Newer ones than `migrator` knows are left alone: each program works with the tables of the next one.
///
/// # Errors
/// See [`MigrationError`]; what was applied stays, and running it again goes on from there.
pub async fn migrate_with(migrator: &Migrator, database: &Database, patience: Patience) -> Result<(), MigrationError> {
    let ms = |d: Duration| format!("{}ms", d.as_millis());
    let options = quiet((*database.pool.connect_options()).clone())
        .application_name("otpost migrate")
        // The last word counts; the pool's own limits and plans stand before.
        .options([
            ("statement_timeout", "0".to_owned()),
            ("idle_in_transaction_session_timeout", "0".to_owned()),
            ("lock_timeout", ms(LOCK_TIMEOUT)),
            ("plan_cache_mode", "auto".to_owned()),
            ("enable_seqscan", "on".to_owned()),
            ("enable_hashjoin", "on".to_owned()),
            ("enable_mergejoin", "on".to_owned()),
        ]);
    let connect = timeout(LOCK_TIMEOUT * 5, PgConnection::connect_with(&options)).await;
    let mut connection =
        connect.unwrap_or_else(|_| Err(errors::timed_out(LOCK_TIMEOUT * 5))).map_err(MigrationError::Connect)?;
    let migrator = Migrator {
        migrations: Cow::Owned(migrator.iter().cloned().collect()),
        // Looked at below.
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
    timeout(WITHIN, work).await.unwrap_or(Err(MigrationError::Late(WITHIN)))?;
    let _ = timeout(LOCK_TIMEOUT, connection.close()).await;
    Ok(())
}

/// Takes the advisory lock that all processes which migrate take, also older ones.
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
        // One migration that does not get its lock does not undo those before it: each has a transaction.
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

/// In a rolling upgrade an older program starts again beside a newer one. Other migrations that we do not know belong to
/// another program.
async fn look_at_unknown(migrator: &Migrator, connection: &mut PgConnection) -> Result<(), MigrationError> {
    let latest = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    let applied = connection.list_applied_migrations(TABLE).await?;
    let unknown: Vec<i64> =
        applied.iter().map(|one| one.version).filter(|version| !migrator.version_exists(*version)).collect();
    if let Some(older) = unknown.iter().find(|version| **version < latest) {
        return Err(MigrateError::VersionMissing(*older).into());
    }
    if !unknown.is_empty() {
        tracing::warn!(migrations = ?unknown, "the database was migrated by a newer program");
    }
    Ok(())
}

/// A lock was not granted in time, or we were the one to give way in a deadlock.
fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(|e| e.code());
    code.is_some_and(|code| ["55P03", "40P01"].contains(&&*code))
}
