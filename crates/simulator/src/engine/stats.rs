//! Totals and refused requests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::engine::seen::Count;

/// Totals since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Send requests, whatever the result.
    pub requests: u64,
    /// Wrong or missing credentials.
    pub unauthorized: u64,
    /// Malformed requests; the latest are under `GET /sim/refusals`.
    pub malformed: u64,
    pub accepted: Count,
    pub rejected: u64,
    pub rate_limited: u64,
    pub server_errors: u64,
    pub hung: u64,
    /// Connections closed without an answer, before or after the acceptance.
    pub reset: u64,
    /// Numbers seen.
    pub phones: u64,
    /// Messages on handsets.
    pub handset: Count,
    /// Of these, messages whose code the handset had already got on the same channel. Should be zero.
    pub handset_repeated: Count,
    pub callbacks: CallbackStats,
    pub by_account: BTreeMap<String, AccountStats>,
}

/// Counts statuses, not POSTs: a batch of 20 counts 20.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackStats {
    /// Scheduled, waiting for another try, or in flight.
    pub pending: u64,
    /// Tries.
    pub posted: u64,
    /// Answered 2xx.
    pub ok: u64,
    /// Tries after the first.
    pub retried: u64,
    /// The last try failed as well.
    pub given_up: u64,
    /// Lost by law.
    pub lost: u64,
    /// Due while the account was silent.
    pub silenced: u64,
    /// Due while no address was configured.
    pub nowhere: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStats {
    pub requests: u64,
    pub accepted: u64,
    /// Total price of the accepted messages, in millionths of the account's currency.
    pub cost_micros: u64,
}

/// A request that was refused before it was recorded. Contains no body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub at: DateTime<Utc>,
    pub path: String,
    pub http_status: u16,
    pub reason: String,
}

/// What [`advance`](crate::Simulator::advance) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advanced {
    /// Messages that arrived on handsets.
    pub handset: u64,
    /// Statuses posted, including retries.
    pub posted: u64,
    /// Of these, answered 2xx.
    pub ok: u64,
}
