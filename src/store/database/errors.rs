//! What a failure says about the connection.

use std::io;
use std::time::Duration;

use sqlx::Error;

/// The limit passed before the answer came.
pub(super) fn timed_out(limit: Duration) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer from the database within {limit:?}")))
}

/// The connection was closed by an earlier failure.
pub(super) fn lost() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::NotConnected, "the connection to the database was closed"))
}

/// Whether the connection must not be used again. After an error that the server reports it can be, unless the server
/// is about to end it.
pub(super) fn ends_connection(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed)
}
