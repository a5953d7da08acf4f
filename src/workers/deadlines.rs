//! Fires replacement deadlines and ends lives, each when its time comes. A deadline is armed at least 15 s ahead and a life
//! lasts longer, so no wake-up is needed for new ones.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::transitions::Transitions;
use crate::services::{end_lives, replace};
use crate::store::{attempts, messages};
use crate::telemetry;
use crate::telemetry::Ticks;
use crate::workers::{AWAY, TICK, until};

/// Pause when a round found rows that somebody else holds.
const BREATH: Duration = Duration::from_millis(3);

pub async fn replace_loop(transitions: Transitions, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("deadlines");
        let sleep = match replace::run_once(&transitions, &clock).await {
            // A full round hides others behind it.
            Ok(round) if round.due > 0 && round.planned > 0 => Duration::ZERO,
            Ok(round) if round.due > 0 => BREATH,
            Ok(_) if clock.is_held() => TICK,
            Ok(_) => until(&clock, attempts::next_deadline(&transitions.pool).await),
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot look for deadlines");
                AWAY
            }
        };
        tokio::time::sleep(sleep).await;
    }
}

pub async fn end_loop(transitions: Transitions, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("lives");
        let sleep = match end_lives::run_once(&transitions, &clock).await {
            Ok(0) => until(&clock, messages::next_end(&transitions.pool).await),
            Ok(_) => BREATH,
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot look for messages to end");
                AWAY
            }
        };
        tokio::time::sleep(sleep).await;
    }
}
