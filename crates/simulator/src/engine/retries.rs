//! Retries of unanswered callbacks, and batches of statuses.

use serde::{Deserialize, Serialize};

/// What happens to a callback that is not answered 2xx. Providers retry for hours or days; this is a short version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Waits before the second, third, ... try, in milliseconds of its clock. Empty: no second try.
    pub after_ms: Vec<u64>,
    /// Time limit of a receiver, in real time.
    pub timeout_ms: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { after_ms: vec![500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000], timeout_ms: 6_000 }
    }
}

/// Several statuses in one POST, if the face supports it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// 1: every status alone.
    pub max: usize,
    /// How long the first status of a batch waits for others. Milliseconds of its clock.
    pub window_ms: u64,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max: 1, window_ms: 100 }
    }
}
