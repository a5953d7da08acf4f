//! Which Postgres, and how many connections to it.

use crate::domain::secret::Secret;

#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `None`: a private cluster in the data directory.
    pub url: Option<Secret>,
    /// Of the pool behind the API, 1 to 500.
    pub connections: u32,
    /// Of the pool behind callbacks, timers and sends, 1 to 500. They never wait for the API's.
    pub ledger_connections: u32,
}
