//! Finds the primary, monitors it, and provides the pools that connect to it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Error, PgConnection, PgPool};
use tokio::time::timeout;

use super::availability::Availability;
use super::connect_error::ConnectError;
use super::errors::Doubt;
use super::{Database, Plans, errors, hosts, sessions};

/// Time after which the server ends a statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum wait of a statement for a row lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum idle time of an open transaction, which would hold back vacuum and locks.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum wait of a request for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that was idle longer is tested before use.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Time limit of that test; then another connection is opened.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// Interval of checks while the database is available; a failed statement triggers a check at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Interval of checks while it is unavailable.
const LOOK_FOR_EVERY: Duration = Duration::from_millis(100);
/// Time limit of one check and of one new connection. It equals the statement limit, because a busy server is not
/// unavailable. So silence is detected after two of these, and a refusal at once.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// The candidates, and the pools that follow the current primary.
pub struct Server {
    candidates: Vec<PgConnectOptions>,
    availability: Availability,
    state: Mutex<State>,
}

struct State {
    primary: usize,
    pools: Vec<(PgPool, Role)>,
}

#[derive(Clone, Copy)]
struct Role {
    name: &'static str,
    plans: Plans,
}

impl Server {
    /// Finds the server that accepts writes among those that `url` names.
    ///
    /// # Errors
    /// When the address is malformed, no server accepts writes within 5 s, or a pooler before it does not keep
    /// sessions.
    pub async fn find(url: &str) -> Result<Arc<Self>, ConnectError> {
        let candidates = hosts::candidates(url)?;
        let look = async {
            let (primary, mut connection) = look_everywhere(&candidates, hosts::FIRST_LOOK).await?;
            sessions::check_sessions(&mut connection, &probe(&candidates[primary])).await?;
            Ok(primary)
        };
        let found =
            timeout(hosts::FIRST_LOOK, look).await.unwrap_or_else(|_| Err(errors::timed_out(hosts::FIRST_LOOK)));
        let primary = found.map_err(|error| ConnectError::new(&error, &candidates))?;
        let state = Mutex::new(State { primary, pools: Vec::new() });
        Ok(Arc::new(Self { candidates, availability: Availability::open(), state }))
    }

    /// A pool that connects to the primary, also after it has moved to another server; see [`Server::keep_watch`].
    pub fn pool(self: &Arc<Self>, name: &'static str, max_connections: u32, plans: Plans) -> Database {
        let role = Role { name, plans };
        let gate = self.availability.clone();
        let settings = Arc::new(role.settings());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move { sessions::prepare(connection, &settings).await })
            })
            .before_acquire(move |connection, metadata| {
                let trusted = gate.trusts(metadata.age);
                Box::pin(async move {
                    if !trusted {
                        return Err(errors::lost());
                    }
                    // A future dropped during `begin` can leave an open transaction behind: such a connection is not
                    // reused.
                    if connection.is_in_transaction() {
                        return Ok(false);
                    }
                    if metadata.idle_for > PING_AFTER {
                        let ping = timeout(PING_LIMIT, connection.ping());
                        ping.await.unwrap_or_else(|_| Err(errors::timed_out(PING_LIMIT)))?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(role.options(&self.candidates[state.primary]));
        state.pools.push((pool.clone(), role));
        Database { pool, availability: self.availability.clone(), _server: Some(Arc::clone(self)) }
    }

    /// Starts to monitor the database on a separate connection. While it does not answer or does not accept writes, all
    /// pools fail at once instead of waiting. Ends when the pools are gone.
    pub fn keep_watch(self: &Arc<Self>) {
        tokio::spawn(watch(Arc::downgrade(self), self.availability.clone()));
    }

    /// Makes the pools connect to another server.
    fn follow(&self, primary: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.primary == primary {
            return;
        }
        state.primary = primary;
        for (pool, role) in &state.pools {
            pool.set_connect_options(role.options(&self.candidates[primary]));
        }
        self.availability.distrust_connections();
        let candidate = &self.candidates[primary];
        tracing::warn!(
            host = candidate.get_host(),
            port = candidate.get_port(),
            "the database moved to another server"
        );
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Role {
    fn options(self, candidate: &PgConnectOptions) -> PgConnectOptions {
        quiet(candidate.clone()).application_name(self.name)
    }

    fn settings(self) -> sessions::Settings {
        let ms = |d: Duration| format!("{}ms", d.as_millis());
        let limits = [
            ("statement_timeout", ms(STATEMENT_TIMEOUT)),
            ("lock_timeout", ms(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION_TIMEOUT)),
            ("timezone", "UTC".to_owned()),
        ];
        let plans = self.plans.settings().iter().map(|(name, value)| (*name, (*value).to_owned()));
        limits.into_iter().chain(plans).collect()
    }
}

/// Without a log of statements, and without the one startup parameter of sqlx that `PgBouncer` refuses: since
/// `PostgreSQL` 12 the default already prints numbers in full.
pub(super) fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    options
        .extra_float_digits(None::<i8>)
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Off, Duration::MAX)
}

fn probe(candidate: &PgConnectOptions) -> PgConnectOptions {
    quiet(candidate.clone()).application_name("otpost probe")
}

async fn watch(server: Weak<Server>, availability: Availability) {
    let mut connection = None;
    let mut writes_in_doubt = false;
    loop {
        let pause = if availability.is_away() { LOOK_FOR_EVERY } else { LOOK_EVERY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = availability.doubted(), if pause == LOOK_EVERY => {}
        }
        let Some(server) = server.upgrade() else { return };
        writes_in_doubt |= availability.take_doubt_of_writes();
        let seen = server.look(&mut connection, writes_in_doubt).await;
        let changed = availability.set_open(seen.is_ok());
        match seen {
            Ok(()) => {
                writes_in_doubt = false;
                if changed {
                    tracing::warn!("the database is back");
                }
            }
            Err(error) if changed => {
                tracing::error!(%error, "the database is away; requests are refused until it is back");
            }
            Err(_) => {}
        }
    }
}

impl Server {
    /// Whether the primary is there and accepts writes; if not, searches all candidates.
    async fn look(&self, kept: &mut Option<PgConnection>, write: bool) -> Result<(), Error> {
        if let Some(mut connection) = kept.take() {
            match timeout(LOOK_LIMIT, sessions::takes_writes(&mut connection)).await {
                Ok(Ok(())) => {
                    if write {
                        in_time(write_something(&mut connection)).await?;
                    }
                    *kept = Some(connection);
                    return Ok(());
                }
                Ok(Err(_)) => {}
                // The other connections are silent too: nothing should wait for them.
                Err(_) => self.availability.distrust_connections(),
            }
        }
        let (primary, mut connection) = look_everywhere(&self.candidates, LOOK_LIMIT).await?;
        if write {
            in_time(write_something(&mut connection)).await?;
        }
        self.follow(primary);
        *kept = Some(connection);
        Ok(())
    }
}

/// A connection to the first server that accepts writes, and its index among the candidates.
async fn look_everywhere(candidates: &[PgConnectOptions], limit: Duration) -> Result<(usize, PgConnection), Error> {
    let mut looks: FuturesUnordered<_> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| async move {
            let options = probe(candidate);
            let look = async {
                let mut connection = PgConnection::connect_with(&options).await?;
                sessions::prepare(&mut connection, &[]).await?;
                Ok((place, connection))
            };
            timeout(limit, look).await.unwrap_or_else(|_| Err(errors::timed_out(limit)))
        })
        .collect();
    let mut refusal = None;
    while let Some(look) = looks.next().await {
        match look {
            Ok(found) => return Ok(found),
            // Among several errors, one from a server that answered is more useful.
            Err(error @ Error::Database(_)) => refusal = Some(error),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(errors::away))
}

/// Fails if a row cannot be written, as on a full disk; the connection is then unusable. Nothing is kept.
async fn write_something(connection: &mut PgConnection) -> Result<(), Error> {
    let write = "begin; \
                 create temporary table otpost_probe on commit drop as \
                 select g, repeat(md5(g::text), 100) as filler from generate_series(1, 100) g; \
                 rollback";
    match sqlx::raw_sql(write).execute(&mut *connection).await {
        // A role that may not create such a table says nothing about the disk.
        Err(error) if errors::doubt(&error) == Doubt::None => {
            sqlx::raw_sql("rollback").execute(connection).await.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(LOOK_LIMIT, work).await.unwrap_or_else(|_| Err(errors::timed_out(LOOK_LIMIT)))
}
