//! Sends what is due.

use std::sync::Arc;
use std::time::Duration;

use crate::services::delivery::dispatch::Dispatch;
use crate::workers::round::{AWAY, BREATH, Found, Loop, Services, away};

/// Maximum sleep: what another instance planned is found after this at the latest.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Sender(Arc<Dispatch>);

impl Sender {
    pub(super) fn new(services: &Services) -> Self {
        Self(Arc::clone(&services.dispatch))
    }

    /// Time until something can be due; `None` when the database did not answer.
    async fn due_in(&self) -> Option<Duration> {
        let (ready, others_in) = self.0.readiness();
        let due = self.0.next_due(&ready).await.ok()?;
        let due_in = due.map_or(TICK, |at| self.0.clock.until(at).max(BREATH));
        Some(due_in.min(others_in).min(TICK))
    }
}

impl Loop for Sender {
    async fn run_once(&mut self) -> Found {
        match self.0.run_once().await {
            Ok(round) if !round.sends.is_empty() => Found::More,
            // Somebody else holds it briefly.
            Ok(round) if round.more_due => Found::Busy,
            Ok(_) => Found::Nothing,
            Err(error) => away(&error, "cannot look for what is to be sent"),
        }
    }

    async fn next(&mut self) -> Duration {
        self.due_in().await.unwrap_or(AWAY)
    }

    /// Something planned during a round is not missed: the wake-up is stored for the next wait.
    async fn woken(&mut self) {
        self.0.transitions.wake_sender.notified().await;
    }
}
