//! Counts and judges the accounts' deliveries.

use std::sync::Arc;
use std::time::Duration;

use crate::services::accounts::take_pulse::TakePulse;
use crate::workers::round::{Found, Loop, Services, away};

/// Shorter than the interval between two counts, because a round does nothing if the last count is less than a second
/// old.
const TICK: Duration = Duration::from_millis(500);

pub(super) struct PulseLoop(Arc<TakePulse>);

impl PulseLoop {
    pub(super) fn new(services: &Services) -> Self {
        Self(Arc::clone(&services.take_pulse))
    }
}

impl Loop for PulseLoop {
    async fn run_once(&mut self) -> Found {
        if let Err(error) = self.0.run_once().await {
            away(&error, "cannot count and judge the accounts' deliveries");
        }
        Found::Nothing
    }

    async fn next(&mut self) -> Duration {
        TICK
    }
}
