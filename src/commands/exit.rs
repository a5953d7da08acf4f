//! Exit statuses, so that a script can tell the cause.

use std::process::ExitCode;

use crate::app::BuildError;
use crate::commands::bootstrap::NoDatabase;
use crate::services::keys::code_keys::KeysError;
use crate::store::database::{ConnectError, MigrationError, SchemaError};

/// In addition to 0, and 2 for an invalid command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Failed = 1,
    /// The database has no tables, or older ones.
    NotMigrated = 3,
    /// The database cannot be reached or used.
    Database = 4,
    /// A code key's id is known to the database with another secret.
    CodeKeys = 5,
    /// What the command names does not exist.
    Nowhere = 6,
}

/// Part of the program's help text.
pub(super) const HELP: &str = "\
Begin with `otpost demo`: it needs no settings and no accounts.

Exit status:
  0  done
  1  something else went wrong, or the answer is no (a wrong code, a phone without its message)
  2  the command line cannot be read
  3  the database has no otpost tables, or older ones: run `otpost migrate`
  4  the database cannot be reached or used
  5  a code key has another secret than this database knows by its id
  6  what was named is nowhere (`forget`)
Ctrl-C ends a command with 130; `serve`, `demo` and `simulate` stop in order and end with 0.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_one).unwrap_or(Self::Failed)
    }

    fn of_one(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let tables = |error: &SchemaError| match error {
            SchemaError::Empty | SchemaError::Older { .. } | SchemaError::Broken(_) => Self::NotMigrated,
            SchemaError::Forbidden(_) | SchemaError::Store(_) => Self::Database,
        };
        let keys = |error: &KeysError| match error {
            KeysError::OtherSecret(_) => Self::CodeKeys,
            KeysError::Store(_) => Self::Database,
        };
        if let Some(error) = error.downcast_ref::<BuildError>() {
            return match error {
                BuildError::Tables(error) => Some(tables(error)),
                BuildError::Keys(error) => Some(keys(error)),
                BuildError::Connect(_) | BuildError::Store(_) | BuildError::Migrate(_) => Some(Self::Database),
                BuildError::Client(_) | BuildError::Listen(..) => None,
            };
        }
        let database = error.is::<ConnectError>() || error.is::<MigrationError>() || error.is::<NoDatabase>();
        database
            .then_some(Self::Database)
            .or_else(|| error.downcast_ref::<SchemaError>().map(tables))
            .or_else(|| error.downcast_ref::<KeysError>().map(keys))
    }
}
