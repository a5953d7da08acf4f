//! Runs the status queries.

use std::sync::Arc;
use std::time::Duration;

use crate::services::callbacks::status_queries::StatusQueries;
use crate::workers::round::{Found, Loop, Services, away, until};

/// A query is planned seconds ahead, so no wake-up is needed for new ones.
pub(super) struct StatusQueryLoop(Arc<StatusQueries>);

impl StatusQueryLoop {
    pub(super) fn new(services: &Services) -> Self {
        Self(Arc::clone(&services.ask))
    }
}

impl Loop for StatusQueryLoop {
    async fn run_once(&mut self) -> Found {
        match self.0.run_once().await {
            // An account without capacity is checked again soon.
            Ok(round) if round.due > 0 => Found::Busy,
            Ok(_) => Found::Nothing,
            Err(error) => away(&error, "cannot look for due status queries"),
        }
    }

    async fn next(&mut self) -> Duration {
        until(&self.0.clock, self.0.next().await)
    }
}
