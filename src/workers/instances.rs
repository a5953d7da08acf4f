//! Says once a second that this instance lives, and counts what waits at the accounts.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::backlog::Backlog;
use crate::services::instances::Instances;
use crate::services::transitions::Transitions;
use crate::telemetry;
use crate::telemetry::Ticks;

const TICK: Duration = Duration::from_secs(1);

pub async fn run(instances: Instances, backlog: Backlog, transitions: Transitions, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("instances");
        if let Err(error) = instances.beat().await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot say that this instance lives");
        }
        if let Err(error) = backlog.count(&transitions.pool, clock.now()).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot count what waits to be sent");
        }
        tokio::time::sleep(TICK).await;
    }
}
