//! Fires replacement deadlines, each at its time.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::delivery::replace;
use crate::services::ledger::transitions::Transitions;
use crate::workers::round::{Found, Loop, Services, TICK, away, until};

/// A deadline is armed at least 15 s ahead, so no wake-up is needed for new ones.
pub(super) struct Deadlines {
    transitions: Transitions,
    clock: Clock,
}

impl Deadlines {
    pub(super) fn new(services: &Services) -> Self {
        Self { transitions: services.transitions.clone(), clock: services.clock.clone() }
    }
}

impl Loop for Deadlines {
    async fn run_once(&mut self) -> Found {
        match replace::run_once(&self.transitions, &self.clock).await {
            Ok(round) if round.due > 0 && round.planned > 0 => Found::More,
            Ok(round) if round.due > 0 => Found::Busy,
            Ok(_) => Found::Nothing,
            Err(error) => away(&error, "cannot look for deadlines"),
        }
    }

    async fn next(&mut self) -> Duration {
        if self.clock.is_held() {
            return TICK;
        }
        until(&self.clock, replace::next(&self.transitions).await)
    }
}
