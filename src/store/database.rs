//! Connections, their time limits, and migrations.

mod errors;
mod session;

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    ConnectOptions, Connection, Describe, Either, Error, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::store::StoreError;

pub use session::Session;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Longest a statement may run before the server ends it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest a statement waits for a row lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest an open transaction may idle; it would hold back vacuum and locks.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest one statement takes, with the wait for a connection: longer than the server's own limit, which says more.
const STATEMENT_LIMIT: Duration = Duration::from_secs(3);
/// Longest a transaction takes from its beginning to the end of its commit, with the wait for a connection.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(5);
/// Longest a new connection takes.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection that idled longer is asked whether it still lives before it is used.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Longest it may take to answer that.
const PING_LIMIT: Duration = Duration::from_millis(500);

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

/// The way to the database: a pool of connections on which every wait has a limit, whatever the network does. The
/// server's own limits end what is slow; these end what is silent.
///
/// A query runs on `&Database` as on a pool of sqlx, within [`STATEMENT_LIMIT`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// A connection for a few statements that together take at most [`TRANSACTION_LIMIT`].
    ///
    /// # Errors
    /// When the database is away or all connections are busy.
    pub async fn acquire(&self) -> Result<Session, Error> {
        self.session(TRANSACTION_LIMIT).await
    }

    /// Begins a transaction that takes at most [`TRANSACTION_LIMIT`]. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// When the database is away or all connections are busy.
    pub async fn begin(&self) -> Result<Session, Error> {
        let mut session = self.session(TRANSACTION_LIMIT).await?;
        session.begin().await?;
        Ok(session)
    }

    /// Waits until all connections are given back, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn session(&self, limit: Duration) -> Result<Session, Error> {
        let deadline = Instant::now() + limit;
        let connection = timeout_at(deadline, self.pool.acquire()).await.map_err(|_| errors::timed_out(limit))??;
        Ok(Session::new(connection, deadline, limit))
    }
}

/// For tests and tools that have a pool of their own.
impl From<PgPool> for Database {
    fn from(pool: PgPool) -> Self {
        Self { pool }
    }
}

impl<'p> Executor<'p> for &'p Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all = async move { self.session(STATEMENT_LIMIT).await?.fetch_many(query).try_collect::<Vec<_>>().await };
        stream::once(all).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move { self.session(STATEMENT_LIMIT).await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        async move { self.session(STATEMENT_LIMIT).await?.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        async move { self.session(STATEMENT_LIMIT).await?.describe(sql).await }.boxed()
    }
}

/// Connects. The server's own guards (time limits) are set on every connection.
///
/// # Errors
/// When the URL is malformed or nobody answers there.
pub async fn connect(
    url: &str,
    name: &'static str,
    max_connections: u32,
    plans: Plans,
) -> Result<Database, StoreError> {
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
    let first = async { PgConnection::connect_with(&options).await?.close().await };
    timeout(CONNECT_LIMIT, first).await.unwrap_or_else(|_| Err(errors::timed_out(CONNECT_LIMIT)))?;
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
                    let ping = timeout(PING_LIMIT, connection.ping());
                    ping.await.unwrap_or_else(|_| Err(errors::timed_out(PING_LIMIT)))?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok(Database { pool })
}

/// Brings the tables up to date. Safe to run from several instances at once.
///
/// # Errors
/// When a migration fails, or the database was migrated by a newer program.
pub async fn migrate(database: &Database) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATIONS.run(&database.pool).await
}
