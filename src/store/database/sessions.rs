//! Settings of every new connection, and the conditions it must meet.
//!
//! The settings are sent as a statement, not in the startup packet: `PgBouncer` refuses unknown parameters there. They
//! last as long as the session, so a pooler that assigns its sessions per transaction is refused; see
//! [`check_sessions`].

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Error, PgConnection};

/// Makes the server's system notice that our machine is gone, so that our locks are released: idle time, interval, and
/// number of probes; maximum time for unacknowledged data. They have no effect on a Unix socket. Our own side cannot be
/// set, because sqlx does not expose its sockets; the limits of `server` replace it there.
const KEEPALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "3"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

/// Number of comparisons of two sessions. A pooler without other clients gives the same server to both at once; a busy
/// one changes the server of one of them within a few statements.
const LOOKS: usize = 6;

/// Names and values, as in `set`.
pub(super) type Settings = Vec<(&'static str, String)>;

/// Applies the settings to a new connection. Fails on a standby and where an operator forbade writes: while servers
/// change roles, an address may lead there.
pub(super) async fn prepare(connection: &mut PgConnection, settings: &[(&'static str, String)]) -> Result<(), Error> {
    let all = KEEPALIVE.iter().copied().chain(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let (names, values): (Vec<&str>, Vec<&str>) = all.unzip();
    let sql = "select current_setting('transaction_read_only'), count(set_config(s.name, s.value, false)) \
                 from unnest($1::text[], $2::text[]) as s (name, value)";
    let (read_only, _): (String, i64) =
        sqlx::query_as(sql).bind(names).bind(values).persistent(false).fetch_one(connection).await?;
    refuse_read_only(&read_only)
}

/// Fails on a standby and where an operator forbade writes.
pub(super) async fn takes_writes(connection: &mut PgConnection) -> Result<(), Error> {
    let read_only: String =
        sqlx::query_scalar("show transaction_read_only").persistent(false).fetch_one(connection).await?;
    refuse_read_only(&read_only)
}

fn refuse_read_only(setting: &str) -> Result<(), Error> {
    if setting == "on" { Err(Error::Configuration(Box::new(ReadOnly))) } else { Ok(()) }
}

/// Fails with [`Pooled`] when two connections share a server session: then a pooler assigns sessions per transaction,
/// and settings, prepared statements and the migration lock are lost.
pub(super) async fn check_sessions(one: &mut PgConnection, options: &PgConnectOptions) -> Result<(), Error> {
    let mut other = PgConnection::connect_with(options).await?;
    let first = backend(one).await?;
    let mut pooled = false;
    for _ in 0..LOOKS {
        let seen = (backend(&mut other).await?, backend(one).await?);
        pooled |= seen.0 == seen.1 || seen.0 == first || seen.1 != first;
        if pooled {
            break;
        }
    }
    other.close().await.ok();
    if pooled { Err(Error::Configuration(Box::new(Pooled))) } else { Ok(()) }
}

/// Uses the simple protocol: it needs no prepared statement, which such a pooler might lose.
async fn backend(connection: &mut PgConnection) -> Result<String, Error> {
    use sqlx::Row;
    let row = sqlx::Executor::fetch_one(connection, sqlx::raw_sql("select pg_backend_pid()::text")).await?;
    row.try_get(0)
}

#[derive(Debug, thiserror::Error)]
#[error("this server does not take writes")]
pub(super) struct ReadOnly;

#[derive(Debug, thiserror::Error)]
#[error("two connections share one session of the server")]
pub(super) struct Pooled;
