//! Records once a second that this instance lives, counts what waits at the accounts, and forgets revoked keys.

use std::time::Duration;

use crate::clock::Clock;
use crate::services::accounts::backlog::Backlog;
use crate::services::accounts::instances::Instances;
use crate::services::keys::app_keys::AppKeys;
use crate::services::keys::code_keys;
use crate::services::ledger::transitions::Transitions;
use crate::workers::round::{Found, Loop, Services, away};

const TICK: Duration = Duration::from_secs(1);

pub(super) struct InstanceLoop {
    instances: Instances,
    backlog: Backlog,
    transitions: Transitions,
    clock: Clock,
    app_keys: AppKeys,
}

impl InstanceLoop {
    pub(super) fn new(services: &Services) -> Self {
        Self {
            instances: services.instances.clone(),
            backlog: services.backlog.clone(),
            transitions: services.transitions.clone(),
            clock: services.clock.clone(),
            app_keys: services.app_keys.clone(),
        }
    }
}

impl Loop for InstanceLoop {
    async fn run_once(&mut self) -> Found {
        let Self { instances, backlog, transitions, clock, app_keys } = self;
        if let Err(error) = instances.beat().await {
            away(&error, "cannot record that this instance lives");
        }
        if let Err(error) = code_keys::hold(&transitions.pool, &transitions.keys, clock.now()).await {
            away(&error, "cannot record which code keys this instance has");
        }
        if let Err(error) = backlog.count(&transitions.pool, clock.now()).await {
            away(&error, "cannot count what waits to be sent");
        }
        if let Err(error) = transitions.spraying.run_once().await {
            away(&error, "cannot look for guesses over many numbers");
        }
        if let Err(error) = app_keys.follow().await {
            away(&error, "cannot look for revoked keys");
        }
        Found::Nothing
    }

    async fn next(&mut self) -> Duration {
        TICK
    }
}
