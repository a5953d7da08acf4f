//! Follows the database's clock, and picks up what dead processes left behind.

use std::time::{Duration, Instant};

use crate::clock::{Clock, SAMPLE_EVERY};
use crate::services::account::Accounts;
use crate::services::apply_receipts::ApplyReceipts;
use crate::services::orphans::Orphans;
use crate::services::transitions::Transitions;
use crate::services::{forget, recover};
use crate::store::database::Database;
use crate::telemetry;
use crate::telemetry::Ticks;

const TICK: Duration = Duration::from_secs(1);
/// Pause between two rounds that looked at waiting receipts while more may wait.
const BREATH: Duration = Duration::from_millis(50);
const FORGET_EVERY: Duration = Duration::from_secs(15);

pub async fn clock_loop(transitions: Transitions, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("clock");
        tokio::time::sleep(SAMPLE_EVERY).await;
        if let Err(error) = clock.sample(&transitions.pool).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot ask the database for its time");
        }
    }
}

pub async fn recover_loop(transitions: Transitions, clock: Clock, accounts: Accounts, ticks: Ticks) {
    let mut orphans = Orphans::default();
    let mut patience = recover::Patience::default();
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
        tokio::time::sleep(TICK).await;
    }
}

/// Looks at receipts that wait for an attempt.
pub async fn waiting_loop(apply: ApplyReceipts, clock: Clock, ticks: Ticks) {
    loop {
        ticks.tick("waiting");
        let sleep = match recover::waiting_receipts(&apply, clock.now()).await {
            Ok((looked_at, matched)) => {
                if matched > 0 {
                    tracing::info!(matched, "receipts matched late");
                }
                if looked_at as i64 == recover::LOOK { BREATH } else { TICK }
            }
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot match waiting receipts");
                TICK
            }
        };
        tokio::time::sleep(sleep).await;
    }
}

/// Removes what is old. Not among the loops that must go round for readiness: a run may take half a minute.
pub async fn forget_loop(pool: Database, clock: Clock) {
    loop {
        if let Err(error) = forget::run_once(&pool, &clock).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot forget what is old");
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}
