//! Checks receipts that wait for an attempt.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::delivery::recover;
use crate::workers::round::{Found, Loop, Services, away};

const TICK: Duration = Duration::from_secs(1);
/// Pause after a full round: more may wait.
const BREATH: Duration = Duration::from_millis(50);

pub(super) struct Waiting {
    apply: ApplyReceipts,
    clock: Clock,
    pause: Duration,
}

impl Waiting {
    pub(super) fn new(services: &Services) -> Self {
        Self { apply: services.apply.clone(), clock: services.clock.clone(), pause: TICK }
    }
}

impl Loop for Waiting {
    async fn run_once(&mut self) -> Found {
        self.pause = TICK;
        match recover::waiting_receipts(&self.apply, self.clock.now()).await {
            Ok((looked_at, matched)) => {
                if matched > 0 {
                    tracing::info!(matched, "receipts matched late");
                }
                if looked_at as i64 == recover::LOOK {
                    self.pause = BREATH;
                }
            }
            Err(error) => {
                away(&error, "cannot match waiting receipts");
            }
        }
        Found::Nothing
    }

    async fn next(&mut self) -> Duration {
        self.pause
    }
}
