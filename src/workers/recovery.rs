//! Recovers what dead processes left behind, and fails what no instance can send any more.

use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::services::accounts::account::Accounts;
use crate::services::delivery::orphans::Orphans;
use crate::services::delivery::recover::{self, Patience};
use crate::services::keys::code_keys::LostKeys;
use crate::services::ledger::transitions::Transitions;
use crate::workers::round::{Found, Loop, Services, away};

const TICK: Duration = Duration::from_secs(1);

pub(super) struct Recovery {
    transitions: Transitions,
    clock: Clock,
    accounts: Accounts,
    orphans: Orphans,
    lost_keys: LostKeys,
    patience: Patience,
}

impl Recovery {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            transitions: services.transitions.clone(),
            clock: services.clock.clone(),
            accounts: services.accounts.clone(),
            orphans: Orphans::default(),
            lost_keys: LostKeys::default(),
            patience: Patience::default(),
        }
    }
}

impl Loop for Recovery {
    async fn run_once(&mut self) -> Found {
        let Self { transitions, clock, accounts, orphans, lost_keys, patience } = self;
        let looked = orphans.run_once(transitions, clock, accounts).await;
        patience.note(looked.is_ok(), Instant::now());
        if let Err(error) = looked {
            away(&error, "cannot look for attempts of accounts that are gone");
        }
        if let Err(error) = lost_keys.run_once(transitions, clock).await {
            away(&error, "cannot look for attempts under keys that are gone");
        }
        if patience.is_over(Instant::now()) {
            match recover::abandoned_sends(transitions, clock, accounts).await {
                Ok(0) => {}
                Ok(found) => tracing::warn!(found, "sends of a process that is gone; their outcome is unknown"),
                Err(error) => {
                    away(&error, "cannot look for abandoned sends");
                }
            }
        }
        Found::Nothing
    }

    async fn next(&mut self) -> Duration {
        TICK
    }
}
