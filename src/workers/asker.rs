//! Asks providers what became of messages.

use std::sync::Arc;
use std::time::Duration;

use crate::services::ask::Ask;
use crate::store::questions;
use crate::telemetry;
use crate::telemetry::Ticks;
use crate::workers::{AWAY, until};

/// Pause after a round that found something: an account without room is asked again soon.
const BREATH: Duration = Duration::from_millis(3);

pub async fn run(ask: Arc<Ask>, ticks: Ticks) {
    loop {
        ticks.tick("asker");
        let sleep = match ask.run_once().await {
            Ok(round) if round.due > 0 => BREATH,
            // A question is planned seconds ahead, so no wake-up is needed for new ones.
            Ok(_) => until(&ask.clock, questions::next(&ask.pool, &ask.ready()).await),
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot look for questions to ask");
                AWAY
            }
        };
        tokio::time::sleep(sleep).await;
    }
}
