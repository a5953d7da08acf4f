//! Sends what is due.

use std::sync::Arc;
use std::time::Duration;

use crate::services::dispatch::Dispatch;
use crate::store::attempts;
use crate::telemetry;
use crate::telemetry::Ticks;

/// Longest sleep: what another instance planned is found after this at the latest.
const TICK: Duration = Duration::from_millis(100);
/// Pause when more is due than could be leased: somebody holds it for a moment.
const BREATH: Duration = Duration::from_millis(3);
/// Pause after the database did not answer.
const AWAY: Duration = Duration::from_millis(250);

pub async fn run(dispatch: Arc<Dispatch>, ticks: Ticks) {
    loop {
        ticks.tick("sender");
        let woken = Arc::clone(&dispatch.transitions.wake_sender);
        // Made before looking, so that what is planned while we look is not missed.
        let woken = woken.notified();
        let sleep = match dispatch.run_once().await {
            Ok(round) if round.more_due || !round.sends.is_empty() => {
                if round.sends.is_empty() {
                    BREATH
                } else {
                    Duration::ZERO
                }
            }
            Ok(_) => next(&dispatch).await.unwrap_or(AWAY),
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot look for what is to be sent");
                AWAY
            }
        };
        if sleep > Duration::ZERO {
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }
}

/// How long nothing can be due.
async fn next(dispatch: &Dispatch) -> Option<Duration> {
    let (ready, others_in) = dispatch.readiness();
    let due = attempts::next_due(&dispatch.transitions.pool, &ready).await.ok()?;
    let due_in = due.map_or(TICK, |at| dispatch.clock.until(at).max(BREATH));
    Some(due_in.min(others_in).min(TICK))
}
