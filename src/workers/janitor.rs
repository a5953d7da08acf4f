//! Follows the database's clock, and picks up what dead processes left behind.

use std::time::{Duration, Instant};

use crate::clock::{Clock, SAMPLE_EVERY};
use crate::services::account::Accounts;
use crate::services::apply_receipts::ApplyReceipts;
use crate::services::orphans::Orphans;
use crate::services::recover;
use crate::services::transitions::Transitions;
use crate::telemetry;
use crate::telemetry::Ticks;

const TICK: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(60);

pub async fn clock_loop(transitions: Transitions, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("clock");
        tokio::time::sleep(SAMPLE_EVERY).await;
        if let Err(error) = clock.sample(&transitions.pool).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot ask the database for its time");
        }
    }
}

pub async fn recover_loop(
    transitions: Transitions,
    clock: Clock,
    accounts: Accounts,
    apply: ApplyReceipts,
    ticks: Ticks,
) {
    let mut orphans = Orphans::default();
    let mut patience = recover::Patience::default();
    let mut forgot = Instant::now();
    loop {
        ticks.tick("recovery");
        let looked = orphans.run_once(&transitions, &clock, &accounts).await;
        patience.note(looked.is_ok(), Instant::now());
        if let Err(error) = looked {
            tracing::warn!(error = %telemetry::chain(&error), "cannot look for attempts of accounts that are gone");
        }
        if patience.is_over(Instant::now()) {
            match recover::abandoned_sends(&transitions, &clock, &accounts).await {
                Ok(0) => {}
                Ok(found) => tracing::warn!(found, "sends of a process that is gone; whether they left is unknown"),
                Err(error) => tracing::warn!(error = %telemetry::chain(&error), "cannot look for abandoned sends"),
            }
        }
        match recover::interrupted_matches(&apply).await {
            Ok(0) => {}
            Ok(found) => tracing::info!(found, "receipts matched late"),
            Err(error) => tracing::warn!(error = %telemetry::chain(&error), "cannot match waiting receipts"),
        }
        if forgot.elapsed() > FORGET_EVERY {
            forgot = Instant::now();
            if let Err(error) = recover::forget(&transitions, &clock).await {
                tracing::warn!(error = %telemetry::chain(&error), "cannot forget what is old");
            }
        }
        tokio::time::sleep(TICK).await;
    }
}
