//! Deletes old data.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::ledger::transitions::Transitions;
use crate::services::upkeep::forget;
use crate::workers::round::{Found, Loop, Services, away};

const FORGET_EVERY: Duration = Duration::from_secs(15);

pub(super) struct Janitor {
    transitions: Transitions,
    clock: Clock,
}

impl Janitor {
    pub(super) fn new(services: &Services) -> Self {
        Self { transitions: services.transitions.clone(), clock: services.clock.clone() }
    }
}

impl Loop for Janitor {
    async fn run_once(&mut self) -> Found {
        if let Err(error) = forget::run_once(&self.transitions.pool, &self.clock).await {
            away(&error, "cannot delete old data");
        }
        Found::Nothing
    }

    async fn next(&mut self) -> Duration {
        FORGET_EVERY
    }
}
