//! What a failure means for the statement, the connection and the database.

use std::io;
use std::time::Duration;

use sqlx::Error;

/// Whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fault {
    /// The same statement may work later or elsewhere.
    Unavailable,
    /// A constraint of the schema refused it.
    Refused,
    /// The statement or the row is wrong, and will stay wrong.
    Corrupt,
}

/// What a failure suggests about the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing: it concerns this statement only.
    None,
    /// The database may be unavailable.
    Alive,
    /// The database may answer, but not accept writes.
    Writes,
}

/// One row of the table below.
struct Class {
    /// A SQLSTATE, or its first two or three characters.
    prefix: &'static str,
    fault: Fault,
    /// The connection must not be used again.
    ends: bool,
    doubt: Doubt,
}

const fn class(prefix: &'static str, fault: Fault, ends: bool, doubt: Doubt) -> Class {
    Class { prefix, fault, ends, doubt }
}

/// The first matching row applies. Source: <https://www.postgresql.org/docs/17/errcodes-appendix.html>.
const CLASSES: &[Class] = &[
    // Connection exceptions; PgBouncer reports a lost server this way.
    class("08", Fault::Unavailable, true, Doubt::Alive),
    class("23", Fault::Refused, false, Doubt::None),
    // A standby, or a primary that an operator made read-only.
    class("25006", Fault::Unavailable, true, Doubt::Writes),
    // In a failed transaction; ended for being idle in one; ended for its length.
    class("25P", Fault::Unavailable, true, Doubt::None),
    // A prepared statement that the server does not know: behind a pooler, or after `discard all`.
    class("26000", Fault::Unavailable, true, Doubt::None),
    class("42P05", Fault::Unavailable, true, Doubt::None),
    // The password or pg_hba.conf changed; the database was dropped or is being restored.
    class("28", Fault::Unavailable, true, Doubt::Alive),
    class("3D000", Fault::Unavailable, true, Doubt::Alive),
    // A missing privilege of the role; it says nothing about a row.
    class("42501", Fault::Unavailable, false, Doubt::None),
    // Rolled back: serialization, deadlock, conflict with recovery on a standby.
    class("40", Fault::Unavailable, false, Doubt::None),
    class("53300", Fault::Unavailable, true, Doubt::Alive),
    // Disk full, out of memory, a limit of the configuration.
    class("53", Fault::Unavailable, true, Doubt::Writes),
    // The wait for a lock took too long.
    class("55P03", Fault::Unavailable, false, Doubt::None),
    // Cancelled: most often by the statement's time limit.
    class("57014", Fault::Unavailable, false, Doubt::None),
    // Shut down, crashed, starting, dropped.
    class("57", Fault::Unavailable, true, Doubt::Alive),
    // Input and output failed below the server.
    class("58", Fault::Unavailable, true, Doubt::Writes),
    class("72000", Fault::Unavailable, false, Doubt::None),
    class("F0", Fault::Unavailable, true, Doubt::None),
    // Damaged data or a bug of the server: it may be one row, so the statement is refused, and the backend is not
    // trusted.
    class("XX", Fault::Corrupt, true, Doubt::None),
];

/// What `PostgreSQL` says when a migration changed a table under a prepared statement; a new connection prepares anew.
const STALE_PLAN: &str = "cached plan must not change result type";

fn classify(code: &str, message: &str) -> (Fault, bool, Doubt) {
    if code == "0A000" && message == STALE_PLAN {
        return (Fault::Unavailable, true, Doubt::None);
    }
    let found = CLASSES.iter().find(|class| code.starts_with(class.prefix));
    found.map_or((Fault::Corrupt, false, Doubt::None), |class| (class.fault, class.ends, class.doubt))
}

fn judge(error: &Error) -> (Fault, bool, Doubt) {
    match error {
        Error::Database(database) => {
            let code = database.code();
            classify(code.as_deref().unwrap_or_default(), database.message())
        }
        Error::Io(_) | Error::Tls(_) | Error::WorkerCrashed => (Fault::Unavailable, true, Doubt::Alive),
        // We and the server no longer agree on the protocol state.
        Error::Protocol(_) | Error::BeginFailed => (Fault::Unavailable, true, Doubt::None),
        Error::PoolTimedOut => (Fault::Unavailable, false, Doubt::Alive),
        Error::PoolClosed | Error::Configuration(_) => (Fault::Unavailable, false, Doubt::None),
        _ => (Fault::Corrupt, false, Doubt::None),
    }
}

pub(in crate::store) fn fault(error: &Error) -> Fault {
    judge(error).0
}

pub(super) fn ends_connection(error: &Error) -> bool {
    judge(error).1
}

pub(super) fn doubt(error: &Error) -> Doubt {
    judge(error).2
}

/// The limit passed before the answer arrived.
pub(super) fn timed_out(limit: Duration) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer from the database within {limit:?}")))
}

/// The connection was closed by an earlier failure.
pub(super) fn lost() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the connection to the database was closed"))
}

/// The database is known to be unavailable.
pub(super) fn away() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the database is away"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fault::{Corrupt, Refused, Unavailable};

    #[test]
    fn each_sqlstate_is_judged() {
        let table = [
            ("08000", Unavailable, true, Doubt::Alive),
            ("08006", Unavailable, true, Doubt::Alive),
            ("08P01", Unavailable, true, Doubt::Alive),
            ("22001", Corrupt, false, Doubt::None),
            ("22P05", Corrupt, false, Doubt::None),
            ("23505", Refused, false, Doubt::None),
            ("23514", Refused, false, Doubt::None),
            ("25001", Corrupt, false, Doubt::None),
            ("25006", Unavailable, true, Doubt::Writes),
            ("25P02", Unavailable, true, Doubt::None),
            ("25P03", Unavailable, true, Doubt::None),
            ("25P04", Unavailable, true, Doubt::None),
            ("26000", Unavailable, true, Doubt::None),
            ("28000", Unavailable, true, Doubt::Alive),
            ("28P01", Unavailable, true, Doubt::Alive),
            ("3D000", Unavailable, true, Doubt::Alive),
            ("40001", Unavailable, false, Doubt::None),
            ("40003", Unavailable, false, Doubt::None),
            ("40P01", Unavailable, false, Doubt::None),
            ("42501", Unavailable, false, Doubt::None),
            ("42601", Corrupt, false, Doubt::None),
            ("42703", Corrupt, false, Doubt::None),
            ("42P01", Corrupt, false, Doubt::None),
            ("53100", Unavailable, true, Doubt::Writes),
            ("53200", Unavailable, true, Doubt::Writes),
            ("53300", Unavailable, true, Doubt::Alive),
            ("54000", Corrupt, false, Doubt::None),
            ("55P03", Unavailable, false, Doubt::None),
            ("57014", Unavailable, false, Doubt::None),
            ("57P01", Unavailable, true, Doubt::Alive),
            ("57P02", Unavailable, true, Doubt::Alive),
            ("57P03", Unavailable, true, Doubt::Alive),
            ("57P04", Unavailable, true, Doubt::Alive),
            ("57P05", Unavailable, true, Doubt::Alive),
            ("58000", Unavailable, true, Doubt::Writes),
            ("58030", Unavailable, true, Doubt::Writes),
            ("58P01", Unavailable, true, Doubt::Writes),
            ("72000", Unavailable, false, Doubt::None),
            ("P0001", Corrupt, false, Doubt::None),
            ("XX000", Corrupt, true, Doubt::None),
            ("XX001", Corrupt, true, Doubt::None),
            ("", Corrupt, false, Doubt::None),
            ("0A000", Corrupt, false, Doubt::None),
        ];
        for (code, fault, ends, doubt) in table {
            assert_eq!(classify(code, "any"), (fault, ends, doubt), "{code}");
        }
        assert_eq!(classify("0A000", STALE_PLAN), (Unavailable, true, Doubt::None));
    }

    #[test]
    fn failures_without_a_sqlstate_are_judged() {
        assert_eq!(judge(&timed_out(Duration::from_secs(1))), (Unavailable, true, Doubt::Alive));
        assert_eq!(judge(&Error::PoolTimedOut), (Unavailable, false, Doubt::Alive));
        assert_eq!(judge(&Error::Protocol("odd".to_owned())), (Unavailable, true, Doubt::None));
        assert_eq!(judge(&Error::RowNotFound), (Corrupt, false, Doubt::None));
        assert_eq!(judge(&Error::Decode("odd".into())), (Corrupt, false, Doubt::None));
    }
}
