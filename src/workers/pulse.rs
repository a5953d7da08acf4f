//! Takes the accounts' pulse.

use std::sync::Arc;
use std::time::Duration;

use crate::services::take_pulse::TakePulse;
use crate::telemetry;
use crate::telemetry::Ticks;

/// A round that finds the last one less than a second ago does nothing, so this is a little shorter than two of them.
const TICK: Duration = Duration::from_millis(500);

pub async fn run(take_pulse: Arc<TakePulse>, ticks: Ticks) {
    loop {
        ticks.tick("pulse");
        if let Err(error) = take_pulse.run_once().await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot take the accounts' pulse");
        }
        tokio::time::sleep(TICK).await;
    }
}
