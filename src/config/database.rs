//! Which Postgres, and how many connections to it.

use crate::domain::secret::Secret;
use otpost_settings::section::Section;

#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseSettings {
    /// `None`: a private cluster in the data directory.
    pub url: Option<Secret>,
    /// Connections of the API's pool, 1 to 500.
    pub connections: u32,
    /// Connections of the pool for callbacks, timers and sends, 1 to 500. These never wait for the API's.
    pub ledger_connections: u32,
}

/// A good value for a Postgres on two cores; leaves room for a few instances under its usual limit of 100.
const CONNECTIONS: u32 = 16;
const LEDGER_CONNECTIONS: u32 = 8;

impl DatabaseSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let url = section.secret("url").filter(|url| {
            let fits = ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme));
            if !fits {
                // Not repeated: most contain a password.
                section.complain("url", "is no address of a Postgres", "must begin with postgres:// or postgresql://");
            }
            fits
        });
        let connections = section.integer("connections", 1..=500, "connections").unwrap_or(CONNECTIONS);
        let ledger_connections =
            section.integer("ledger_connections", 1..=500, "connections").unwrap_or(LEDGER_CONNECTIONS);
        section.finish();
        Self { url, connections, ledger_connections }
    }
}
