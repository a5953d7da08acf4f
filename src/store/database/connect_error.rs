//! Why the database cannot be used, in one sentence that names it and never a password.

use std::fmt;
use std::io::ErrorKind;

use sqlx::Error;
use sqlx::postgres::PgConnectOptions;

use super::hosts::{self, AddressError};
use super::sessions::{Pooled, ReadOnly};

/// Which database, for display: hosts or sockets, database and user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    places: Vec<String>,
    database: String,
    user: String,
}

impl Target {
    /// # Errors
    /// When the address is malformed.
    pub fn of(url: &str) -> Result<Self, AddressError> {
        Ok(Self::of_candidates(&hosts::candidates(url)?))
    }

    pub(super) fn of_candidates(candidates: &[PgConnectOptions]) -> Self {
        let place = |one: &PgConnectOptions| match one.get_socket() {
            Some(socket) => format!("the socket in {}", socket.display()),
            None if one.get_host().contains(':') => format!("[{}]:{}", one.get_host(), one.get_port()),
            None => format!("{}:{}", one.get_host(), one.get_port()),
        };
        let first = candidates.first();
        let user = first.map_or("", |one| one.get_username()).to_owned();
        // As in libpq: without a name, the database is called like the user.
        let database = first.and_then(|one| one.get_database()).unwrap_or(&user).to_owned();
        Self { places: candidates.iter().map(place).collect(), database, user }
    }

    fn server(&self) -> String {
        self.places.join(" or ")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" at {} as user \"{}\"", self.database, self.server(), self.user)
    }
}

/// The database cannot be used. The sentence is complete: there is no source, so nothing is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{}", sentence(.reason, .target))]
    Refused { reason: Reason, target: Box<Target> },
}

impl ConnectError {
    pub(super) fn new(error: &Error, candidates: &[PgConnectOptions]) -> Self {
        Self::Refused { reason: Reason::of(error), target: Box::new(Target::of_candidates(candidates)) }
    }
}

/// The cause. `String`s are the server's or the system's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Password,
    User(String),
    NoDatabase,
    Permission(String),
    TooMany(String),
    NotReady(String),
    NoPostgres,
    NoTls,
    Certificate(String),
    NoName,
    NobodyListens,
    NoSocket,
    Unreachable(String),
    Silent,
    Closed,
    ReadOnly,
    Pooled,
    Other(String),
}

impl Reason {
    fn of(error: &Error) -> Self {
        match error {
            Error::Database(told) => {
                let words = told.message().to_owned();
                // Source: https://www.postgresql.org/docs/17/errcodes-appendix.html.
                match told.code().as_deref().unwrap_or_default() {
                    "28P01" => Self::Password,
                    // PgBouncer has no separate codes for these (src/client.c, 1.18).
                    "08P01" if words.contains("password authentication failed") || words.contains("SASL auth") => {
                        Self::Password
                    }
                    "08P01" if words.starts_with("no such database") || words.ends_with("does not exist") => {
                        Self::NoDatabase
                    }
                    "08P01" if words.starts_with("no more connections") => Self::TooMany(words),
                    code if code.starts_with("28") => Self::User(words),
                    "3D000" => Self::NoDatabase,
                    "42501" => Self::Permission(words),
                    "53300" => Self::TooMany(words),
                    code if code.starts_with("57P") => Self::NotReady(words),
                    _ => Self::Other(words),
                }
            }
            Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => Self::NobodyListens,
                ErrorKind::NotFound => Self::NoSocket,
                ErrorKind::TimedOut => Self::Silent,
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Closed,
                ErrorKind::InvalidData => Self::Certificate(error.to_string()),
                // The standard library has no kind for it.
                _ if error.to_string().contains("lookup address") => Self::NoName,
                _ => Self::Unreachable(error.to_string()),
            },
            Error::Tls(error) if error.to_string().contains("does not support TLS") => Self::NoTls,
            Error::Tls(error) => Self::Certificate(error.to_string()),
            // If the server closes without an answer, the first answer byte is read as 0x00.
            Error::Protocol(words) if words.contains("SSLRequest: 0x00") => Self::Closed,
            Error::Protocol(_) => Self::NoPostgres,
            Error::Configuration(error) if error.is::<ReadOnly>() => Self::ReadOnly,
            Error::Configuration(error) if error.is::<Pooled>() => Self::Pooled,
            other => Self::Other(other.to_string()),
        }
    }
}

fn sentence(reason: &Reason, target: &Target) -> String {
    let (server, user, database) = (target.server(), &target.user, &target.database);
    let wrong = match reason {
        Reason::Password => format!("wrong password: {server} refuses it for user \"{user}\""),
        Reason::User(words) => format!("{server} does not let user \"{user}\" in: {words}"),
        Reason::NoDatabase => {
            format!("there is no database \"{database}\" at {server}: create it, or correct the name")
        }
        Reason::Permission(words) => format!("user \"{user}\" has no permission: {words}"),
        Reason::TooMany(words) => format!("too many connections: {server} has none free ({words})"),
        Reason::NotReady(words) => format!("{server} is not ready: {words}"),
        Reason::NoPostgres => format!("what answers at {server} is not PostgreSQL: check host and port"),
        Reason::NoTls => format!("{server} does not speak TLS, which sslmode in the address asks for"),
        Reason::Certificate(words) => format!("TLS with {server} fails: {words}"),
        Reason::NoName => format!("no such host: the name in {server} cannot be resolved"),
        Reason::NobodyListens => format!("nothing listens at {server}: connection refused"),
        Reason::NoSocket => format!("nothing listens at {server}: there is no such socket"),
        Reason::Unreachable(words) => format!("{server} cannot be reached: {words}"),
        Reason::Silent => {
            format!("{server} does not answer within {} s as PostgreSQL does", hosts::FIRST_LOOK.as_secs())
        }
        Reason::Closed => {
            format!("{server} closes the connection at once: is it PostgreSQL, and does it allow this client?")
        }
        Reason::ReadOnly => format!("{server} does not take writes: it is a standby, or set to read only"),
        Reason::Pooled => {
            return format!(
                "a pooler at {server} assigns its connections per transaction or statement (PgBouncer: pool_mode); otpost \
                 keeps settings, prepared statements and locks in its sessions: set pool_mode = session for database \
                 \"{database}\", or name PostgreSQL itself"
            );
        }
        Reason::Other(words) => format!("{server} refuses: {words}"),
    };
    // Details that the sentence does not contain yet.
    let parts = [("database", database), ("user", user)].map(|(what, name)| format!("{what} \"{name}\""));
    let missing: Vec<String> = parts.into_iter().filter(|part| !wrong.contains(part.as_str())).collect();
    if missing.is_empty() { wrong } else { format!("{wrong} ({})", missing.join(", ")) }
}
