//! Bounds of the calls to providers.

use std::time::Duration;

use crate::providers::client::ClientSettings;

#[derive(Clone, Debug)]
pub struct SendingSettings {
    pub client: ClientSettings,
    /// How long an attempt belongs to the worker that sends it; longer than the client's total timeout.
    pub lease: Duration,
    /// How long to wait for a callback before an SMS that may have left is sent again.
    pub resend_after: Duration,
    /// Failures in a row that open an account's breaker.
    pub breaker_failures: u32,
    /// How long it stays open.
    pub breaker_open: Duration,
}
