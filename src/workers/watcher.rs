//! Reads messages for the requests that wait for them.

use std::time::Duration;

use crate::services::messages::watch::Watcher;
use crate::workers::round::{Found, Loop, Services, TICK, away};

pub(super) struct WatcherLoop {
    watcher: Watcher,
    is_away: bool,
}

impl WatcherLoop {
    pub(super) fn new(services: &Services) -> Self {
        Self { watcher: services.watcher.clone(), is_away: false }
    }
}

impl Loop for WatcherLoop {
    async fn run_once(&mut self) -> Found {
        let result = self.watcher.run_once().await;
        self.is_away = result.is_err();
        match result {
            Ok(()) => Found::Nothing,
            Err(error) => away(&error, "cannot read messages for waiting requests"),
        }
    }

    async fn next(&mut self) -> Duration {
        TICK
    }

    /// A change that could not be read does not shorten the pause after it.
    async fn woken(&mut self) {
        if self.is_away {
            return std::future::pending().await;
        }
        self.watcher.watch.work(TICK).await;
    }
}
