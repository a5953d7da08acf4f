//! Looks at messages for those who wait for them.

use std::time::Duration;

use crate::services::watch::Watch;
use crate::store::database::Database;
use crate::telemetry;
use crate::telemetry::Ticks;
use crate::workers::{AWAY, TICK};

/// Longest round; the connection is given up then.
const ROUND: Duration = Duration::from_secs(3);

pub async fn run(watch: Watch, pool: Database, ticks: Ticks) {
    loop {
        ticks.tick("watcher");
        match tokio::time::timeout(ROUND, watch.run_once(&pool)).await {
            Ok(Ok(())) => watch.work(TICK).await,
            Ok(Err(error)) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot look at messages that are waited for");
                tokio::time::sleep(AWAY).await;
            }
            Err(_) => tracing::warn!("looking at messages that are waited for took too long"),
        }
    }
}
