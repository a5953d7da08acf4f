//! Connections, their time limits, and migrations.

mod availability;
mod connect_error;
pub(super) mod errors;
mod hosts;
pub mod migrations;
pub mod schema;
pub mod roles;
mod server;
mod session;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr};
use tokio::time::{Instant, timeout_at};

pub use availability::Availability;
pub use connect_error::{ConnectError, Target};
pub use migrations::MigrationError;
pub use schema::SchemaError;
pub use server::Server;
pub use session::Session;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Time limit of one statement, including the wait for a connection. It is longer than the server's own limit, whose
/// error is more precise.
const STATEMENT_LIMIT: Duration = Duration::from_secs(3);
/// Time limit of a transaction from its beginning to the end of its commit, including the wait for a connection.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(5);

/// How the server plans the statements of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plans {
    /// Anew for each set of parameters, where that pays: for lists and searches.
    Search,
    /// Once, and always through the indexes: for statements that find their rows by key, however many. By default the
    /// server plans these anew each time, which costs more than running them, and a plan made while a table was empty
    /// would later read the whole table.
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

/// Access to the database: a pool of connections on which every wait has a limit, whatever the network does. The
/// server's own limits end slow statements; these limits also end waits for a silent server.
///
/// A query runs on `&Database` as on a pool of sqlx, within `STATEMENT_LIMIT`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    availability: Availability,
    /// Keeps its monitoring alive.
    _server: Option<Arc<Server>>,
}

impl Database {
    /// A connection for a few statements that together take at most `TRANSACTION_LIMIT`.
    ///
    /// # Errors
    /// When the database is unavailable or all connections are busy.
    pub async fn acquire(&self) -> Result<Session, Error> {
        self.session(TRANSACTION_LIMIT).await
    }

    /// Begins a transaction that takes at most `TRANSACTION_LIMIT`. It is rolled back unless it is committed.
    ///
    /// # Errors
    /// When the database is unavailable or all connections are busy.
    pub async fn begin(&self) -> Result<Session, Error> {
        let mut session = self.session(TRANSACTION_LIMIT).await?;
        session.begin().await?;
        Ok(session)
    }

    /// Whether the database is known to be unavailable: everything then fails at once.
    pub fn is_away(&self) -> bool {
        self.availability.is_away()
    }

    /// Waits until all connections are returned, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn session(&self, limit: Duration) -> Result<Session, Error> {
        let deadline = Instant::now() + limit;
        let acquire =
            async { timeout_at(deadline, self.pool.acquire()).await.unwrap_or_else(|_| Err(errors::timed_out(limit))) };
        match self.availability.unless_away(acquire).await {
            Ok(connection) => Ok(Session::new(connection, self.availability.clone(), deadline, limit)),
            Err(error) => {
                self.availability.note(&error);
                Err(error)
            }
        }
    }
}

/// For tests and tools with their own pool.
impl From<PgPool> for Database {
    fn from(pool: PgPool) -> Self {
        Self { pool, availability: Availability::open(), _server: None }
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

/// Connects once, for a command; a service also monitors its [`Server`]. Every connection gets the server's own time
/// limits.
///
/// # Errors
/// See [`Server::find`].
pub async fn connect(
    url: &str,
    name: &'static str,
    max_connections: u32,
    plans: Plans,
) -> Result<Database, ConnectError> {
    Ok(Server::find(url).await?.pool(name, max_connections, plans))
}

/// Brings the tables up to date; see [`migrations`].
///
/// # Errors
/// See [`MigrationError`].
pub async fn migrate(database: &Database) -> Result<(), MigrationError> {
    migrations::migrate_with(&MIGRATIONS, database, migrations::Patience::default()).await
}

/// Whether the database has every table of this program; see [`schema`].
///
/// # Errors
/// See [`SchemaError`].
pub async fn check_tables(database: &Database) -> Result<(), SchemaError> {
    schema::check(&MIGRATIONS, database).await
}
