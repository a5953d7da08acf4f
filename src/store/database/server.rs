//! Which server is the primary, whether it is there, and the pools that lead to it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Error, PgConnection, PgPool};
use tokio::time::timeout;

use super::availability::Availability;
use super::errors::Doubt;
use super::{Database, Plans, errors, hosts};
use crate::store::StoreError;

/// Longest a statement may run before the server ends it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest a statement waits for a row lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest an open transaction may idle; it would hold back vacuum and locks.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest the search for a primary takes at the start.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A connection that idled longer is asked whether it still lives before it is used.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Longest it may take to answer that; then another one is opened.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// How often the database is looked at while it is there; a failure of a statement makes us look at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often while it is away.
const LOOK_FOR_EVERY: Duration = Duration::from_millis(100);
/// Longest wait for the answer to one look, and for one new connection. As long as a statement may take: a busy server is
/// not away. So silence is known after two of these, and a refusal at once.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Makes the server's system notice that our machine is gone, so that our locks are released: idle time, interval, and
/// number of probes; longest time for data without acknowledgement. They do nothing on a Unix socket. Our own side
/// cannot be set, since sqlx does not hand out its sockets: there the limits of this module do it.
const KEEPALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "3"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

/// The candidates, and the pools that follow the one that is the primary.
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
    /// Finds the server that takes writes among those that `url` names.
    ///
    /// # Errors
    /// When the address is malformed, or no server there takes writes within 5 s.
    pub async fn find(url: &str) -> Result<Arc<Self>, StoreError> {
        let candidates = hosts::candidates(url).map_err(Error::from)?;
        let (primary, connection) = timeout(FIRST_LOOK, look_everywhere(&candidates, FIRST_LOOK))
            .await
            .unwrap_or_else(|_| Err(errors::timed_out(FIRST_LOOK)))?;
        drop(connection);
        let state = Mutex::new(State { primary, pools: Vec::new() });
        Ok(Arc::new(Self { candidates, availability: Availability::open(), state }))
    }

    /// A pool that leads to the primary, also when that is another server later; see [`Server::keep_watch`].
    pub fn pool(self: &Arc<Self>, name: &'static str, max_connections: u32, plans: Plans) -> Database {
        let role = Role { name, plans };
        let gate = self.availability.clone();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                // While servers change their roles, an address may lead to a standby.
                Box::pin(takes_writes(connection))
            })
            .before_acquire(move |connection, meta| {
                let trusted = gate.trusts(meta.age);
                Box::pin(async move {
                    if !trusted {
                        return Err(errors::lost());
                    }
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
            .connect_lazy_with(role.options(&self.candidates[state.primary]));
        state.pools.push((pool.clone(), role));
        Database { pool, availability: self.availability.clone(), _server: Some(Arc::clone(self)) }
    }

    /// Starts to look at the database all the time, on a connection of its own: when it does not answer or does not
    /// take writes, all pools fail at once instead of waiting, until it does again. Ends when the pools are gone.
    pub fn keep_watch(self: &Arc<Self>) {
        tokio::spawn(watch(Arc::downgrade(self), self.availability.clone()));
    }

    /// Leads the pools to another server.
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
        let ms = |d: Duration| format!("{}ms", d.as_millis());
        quiet(candidate.clone())
            .application_name(self.name)
            .options([
                ("statement_timeout", ms(STATEMENT_TIMEOUT)),
                ("lock_timeout", ms(LOCK_TIMEOUT)),
                ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION_TIMEOUT)),
                ("timezone", "UTC".to_owned()),
            ])
            .options(self.plans.settings().iter().copied())
    }
}

/// Without a log of statements, and with the server's end of the connection watched.
pub(super) fn quiet(options: PgConnectOptions) -> PgConnectOptions {
    options
        .options(KEEPALIVE)
        .log_statements(log::LevelFilter::Off)
        .log_slow_statements(log::LevelFilter::Off, Duration::MAX)
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
    /// Whether the primary is there and takes writes; looks for it everywhere when it is not where it was.
    async fn look(&self, kept: &mut Option<PgConnection>, write: bool) -> Result<(), Error> {
        if let Some(mut connection) = kept.take() {
            match timeout(LOOK_LIMIT, takes_writes(&mut connection)).await {
                Ok(Ok(())) => {
                    if write {
                        in_time(write_something(&mut connection)).await?;
                    }
                    *kept = Some(connection);
                    return Ok(());
                }
                Ok(Err(_)) => {}
                // The others are silent as well: nobody is to wait for them.
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

/// A connection to the first server that takes writes, and its place among the candidates.
async fn look_everywhere(candidates: &[PgConnectOptions], limit: Duration) -> Result<(usize, PgConnection), Error> {
    let mut looks: FuturesUnordered<_> = candidates
        .iter()
        .enumerate()
        .map(|(place, candidate)| async move {
            let options = quiet(candidate.clone()).application_name("otpost probe");
            let look = async {
                let mut connection = PgConnection::connect_with(&options).await?;
                takes_writes(&mut connection).await?;
                Ok((place, connection))
            };
            timeout(limit, look).await.unwrap_or_else(|_| Err(errors::timed_out(limit)))
        })
        .collect();
    let mut refusal = None;
    while let Some(look) = looks.next().await {
        match look {
            Ok(found) => return Ok(found),
            // Of several, one that answered says more than one that did not.
            Err(error @ Error::Database(_)) => refusal = Some(error),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(errors::away))
}

/// Fails on a standby and where an operator forbade writes.
async fn takes_writes(connection: &mut PgConnection) -> Result<(), Error> {
    let read_only: String =
        sqlx::query_scalar("show transaction_read_only").persistent(false).fetch_one(connection).await?;
    if read_only == "on" { Err(Error::Configuration("this server does not take writes".into())) } else { Ok(()) }
}

/// Fails where a row cannot be written, as on a full disk; the connection is of no use then. Nothing of it stays.
async fn write_something(connection: &mut PgConnection) -> Result<(), Error> {
    let write = "begin; \
                 create temporary table otpost_probe on commit drop as \
                 select g, repeat(md5(g::text), 100) as filler from generate_series(1, 100) g; \
                 rollback";
    match sqlx::raw_sql(write).execute(&mut *connection).await {
        // A role that may not make such a table says nothing about the disk.
        Err(error) if errors::doubt(&error) == Doubt::None => {
            sqlx::raw_sql("rollback").execute(connection).await.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(LOOK_LIMIT, work).await.unwrap_or_else(|_| Err(errors::timed_out(LOOK_LIMIT)))
}
