//! Ends the lives of messages, each at its time.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::delivery::end_lives;
use crate::services::ledger::transitions::Transitions;
use crate::workers::round::{Found, Loop, Services, away, until};

/// A life is longer than the longest sleep, so no wake-up is needed for new ones.
pub(super) struct Lives {
    transitions: Transitions,
    clock: Clock,
}

impl Lives {
    pub(super) fn new(services: &Services) -> Self {
        Self { transitions: services.transitions.clone(), clock: services.clock.clone() }
    }
}

impl Loop for Lives {
    async fn run_once(&mut self) -> Found {
        match end_lives::run_once(&self.transitions, &self.clock).await {
            Ok(0) => Found::Nothing,
            Ok(_) => Found::Busy,
            Err(error) => away(&error, "cannot look for messages to end"),
        }
    }

    async fn next(&mut self) -> Duration {
        until(&self.clock, end_lives::next(&self.transitions).await)
    }
}
