//! Every SQL statement of the program, one file per table. Time is passed in as a parameter.

mod columns;
pub mod stored;
pub mod number_sends;
pub mod messages;
pub mod watched;
pub mod attempts;
pub mod transitions;
pub mod claims;
pub mod receipts;
pub mod provider_ids;
pub mod sends;
pub mod questions;
pub mod answers;
pub mod checks;
pub mod code_keys;
pub mod idempotency_keys;
pub mod api_keys;
pub mod audit_log;
pub mod dead_letters;
pub mod callback_nonces;
pub mod account_pulse;
pub mod account_events;
pub mod number_memory;
pub mod number_tries;
pub mod window_counters;
pub mod compared_codes;
pub mod sms_records;
pub mod sms_exceptions;
pub mod sms_decisions;
pub mod instances;
pub mod health;
pub mod database;

use sha2::{Digest, Sha256};

use crate::store::database::errors::{self, Fault};

/// Errors between us and the database. A lost race or a duplicate key is a return value, not an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or did not answer in time; the same statement may work later.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A guard of the schema refused the statement: a rule is wrong, or another writer was faster.
    #[error("the database refused a change: {constraint}")]
    Refused {
        constraint: String,
        #[source]
        source: sqlx::Error,
    },
    /// A row with a word unknown to this version, or a statement that does not fit the tables.
    #[error("the database contains an invalid value: {what}")]
    Corrupt { what: String },
}

impl StoreError {
    /// Whether every statement would fail now. Otherwise a single row may be the cause: a held lock (55P03), a deadlock
    /// (40), a statement that took too long (57014), a guard, an unknown word.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(e)) => {
                e.code().is_none_or(|code| code != "55P03" && code != "57014" && !code.starts_with("40"))
            }
            Self::Unavailable(_) => true,
            Self::Refused { .. } | Self::Corrupt { .. } => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match errors::fault(&error) {
            Fault::Unavailable => Self::Unavailable(error),
            Fault::Refused => {
                let constraint = error.as_database_error().and_then(|e| e.constraint());
                let constraint = constraint.unwrap_or("a constraint without a name").to_owned();
                Self::Refused { constraint, source: error }
            }
            Fault::Corrupt => Self::Corrupt {
                what: error.as_database_error().map_or_else(|| error.to_string(), |e| e.message().to_owned()),
            },
        }
    }
}

/// Reads one of our words from a column.
pub(crate) fn word<T: std::str::FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { what: format!("{column} = {text:?}") })
}

/// The bucket of rows whose natural key is not a recipient's: the first byte of SHA-256 over the key's parts.
pub fn slot(parts: &[&str]) -> i16 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    i16::from(hash.finalize()[0])
}
