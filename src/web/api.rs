//! What request handlers use.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::services::accept_message::AcceptMessage;
use crate::services::app_keys::AppKeys;
use crate::services::ledger::Ledger;
use crate::services::memory::NumberMemory;
use crate::services::pulse::Pulse;
use crate::services::take_callback::TakeCallback;
use crate::services::watch::Watch;
use crate::store::database::Database;
use crate::telemetry::Ticks;
use crate::web::bodies::Bodies;

pub struct Api {
    /// The API's own connections: callbacks, timers and sends have theirs.
    pub pool: Database,
    pub clock: Clock,
    pub ledger: Ledger,
    pub watch: Watch,
    pub accept: AcceptMessage,
    pub app_keys: AppKeys,
    pub callbacks: TakeCallback,
    pub pulse: Pulse,
    pub memory: NumberMemory,
    pub ticks: Ticks,
    pub bodies: Bodies,
    pub stopping: AtomicBool,
}

impl Api {
    /// From now on `/readyz` says no.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
