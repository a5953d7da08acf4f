//! What request handlers use.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

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
use crate::web::problem::Problem;

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
    /// The runtime that the database's connections belong to.
    pub runtime: Handle,
    pub stopping: AtomicBool,
}

impl Api {
    /// From now on `/readyz` says no, and nobody is kept waiting.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.watch.stop();
    }

    /// Runs what talks to the database where its connections belong: a thread that answers requests ends earlier than
    /// they do. It runs to its end also when the client has gone.
    ///
    /// # Errors
    /// [`Problem::Internal`] when it panics.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Problem> {
        self.runtime.spawn(work).await.map_err(|error| {
            tracing::error!(%error, "a request ended before its answer");
            Problem::Internal
        })
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
