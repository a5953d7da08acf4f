//! Follows the database's clock.

use std::time::Duration;

use crate::clock::{Clock, SAMPLE_EVERY};
use crate::services::ledger::transitions::Transitions;
use crate::workers::round::{Found, Loop, Services, away};

pub(super) struct ClockLoop {
    transitions: Transitions,
    clock: Clock,
}

impl ClockLoop {
    pub(super) fn new(services: &Services) -> Self {
        Self { transitions: services.transitions.clone(), clock: services.clock.clone() }
    }
}

impl Loop for ClockLoop {
    /// The pause comes first, because the clock took a sample when it was created.
    async fn run_once(&mut self) -> Found {
        tokio::time::sleep(SAMPLE_EVERY).await;
        if let Err(error) = self.clock.sample(&self.transitions.pool).await {
            away(&error, "cannot ask the database for its time");
        }
        Found::More
    }

    async fn next(&mut self) -> Duration {
        Duration::ZERO
    }
}
