//! What an app does with its messages: one use case per file.

mod change;
pub mod accept_message;
pub mod intake;
pub mod message_view;
pub mod watch;
pub mod cancel;
pub mod check_code;
pub mod find;
pub mod list;
pub mod resend;
pub mod timeline;
pub mod wait_for;

use crate::clock::Clock;
use crate::services::ledger::group_commit::Ledger;
use crate::services::limits::admission::Admission;
use crate::store::database::Database;

pub use self::change::ChangeError;

/// Every use case takes the app that calls, and finds no message of another app.
#[derive(Clone)]
pub struct Messages {
    pub pool: Database,
    pub ledger: Ledger,
    pub clock: Clock,
    pub admission: Admission,
}

impl Messages {
    /// Whether the database is known to be unavailable: everything then fails at once.
    pub fn database_is_away(&self) -> bool {
        self.pool.is_away()
    }
}
