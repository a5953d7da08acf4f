//! What request handlers use.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::domain::network::Network;
use crate::services::accounts::pulse::Pulse;
use crate::services::callbacks::take_callback::TakeCallback;
use crate::services::keys::app_keys::AppKeys;
use crate::services::messages::Messages;
use crate::services::messages::accept_message::AcceptMessage;
use crate::services::messages::watch::Watch;
use crate::services::routing::memory::NumberMemory;
use crate::services::upkeep::loops::Ticks;
use crate::web::bodies::Bodies;
use crate::web::problem::ApiError;

pub struct Api {
    pub messages: Messages,
    pub clock: Clock,
    pub watch: Watch,
    pub accept: AcceptMessage,
    pub app_keys: AppKeys,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
    pub callbacks: TakeCallback,
    pub pulse: Pulse,
    pub memory: NumberMemory,
    pub ticks: Ticks,
    pub bodies: Bodies,
    /// The runtime that the database connections belong to.
    pub runtime: Handle,
    pub stopping: AtomicBool,
}

impl Api {
    /// From now on `/readyz` fails, and held requests are answered.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.watch.stop();
    }

    /// Runs database work on the runtime that owns the connections, because a thread that serves requests may end
    /// earlier. It runs to its end even if the client has gone.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when it panics.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, ApiError> {
        self.runtime.spawn(work).await.map_err(|error| {
            tracing::error!(%error, "a request ended before its answer");
            ApiError::Internal
        })
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
