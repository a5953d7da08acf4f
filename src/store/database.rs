//! Connections and migrations.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::store::StoreError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Longest a statement may run before the server ends it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest a statement waits for a row lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest an open transaction may idle; it would hold back vacuum and locks.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that idled longer is asked whether it still lives before it is used.
const PING_AFTER: Duration = Duration::from_secs(1);

/// How the server is to plan the statements of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plans {
    /// Anew for each set of parameters where that pays: for lists and searches.
    Search,
    /// Once, and always through the indexes: for statements that find their rows by key, however many. Left to itself
    /// the server plans these anew each time, which is more work than to run them, and a plan made while a table was
    /// empty would read all of it later.
    ByKey,
}

impl Plans {
    const BY_KEY: [(&str, &str); 4] = [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ];

    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Search => &[],
            Self::ByKey => &Self::BY_KEY,
        }
    }
}

/// Connects. The server's own guards (time limits) are set on every connection.
///
/// # Errors
/// When the URL is malformed or nobody answers there.
pub async fn connect(url: &str, name: &'static str, max_connections: u32, plans: Plans) -> Result<PgPool, StoreError> {
    let ms = |d: Duration| format!("{}ms", d.as_millis());
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name(name)
        .options([
            ("statement_timeout", ms(STATEMENT_TIMEOUT)),
            ("lock_timeout", ms(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION_TIMEOUT)),
            ("timezone", "UTC".to_owned()),
        ])
        .options(plans.settings().iter().copied())
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Off, Duration::MAX);
    // The pool would only say that it waited; the first connection by itself says what is wrong.
    PgConnection::connect_with(&options).await?.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // A future dropped during `begin` can leave an open transaction behind: never hand that on.
                if connection.is_in_transaction() {
                    return Ok(false);
                }
                if meta.idle_for > PING_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok(pool)
}

/// Brings the tables up to date. Safe to run from several instances at once.
///
/// # Errors
/// When a migration fails, or the database was migrated by a newer program.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATIONS.run(pool).await
}
