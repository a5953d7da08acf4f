//! What each loop is: a round of work, what it found, and how long to sleep after it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::services::accounts::account::Accounts;
use crate::services::accounts::backlog::Backlog;
use crate::services::accounts::instances::Instances;
use crate::services::accounts::take_pulse::TakePulse;
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::callbacks::status_queries::StatusQueries;
use crate::services::delivery::dispatch::Dispatch;
use crate::services::keys::app_keys::AppKeys;
use crate::services::ledger::transitions::Transitions;
use crate::services::messages::watch::Watcher;
use crate::telemetry;

/// Maximum sleep of a loop that waits for a time in the database.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Pause after a round that found rows held by others, or an account without capacity.
pub(super) const BREATH: Duration = Duration::from_millis(3);
/// Pause after the database did not answer.
pub(super) const AWAY: Duration = Duration::from_millis(250);

/// One loop. The supervisor calls `run_once` and sleeps for `next`, in turn.
pub(super) trait Loop: Send + 'static {
    /// Does what is due now. Logs what it could not do.
    fn run_once(&mut self) -> impl Future<Output = Found> + Send;

    /// Time until something can be due; called after a round that found nothing.
    fn next(&mut self) -> impl Future<Output = Duration> + Send;

    /// Ends the sleep early when something became due. Never completes for a loop without wake-ups.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// What a round found, which decides how soon the next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing more is due now: the next round starts after [`Loop::next`].
    Nothing,
    /// A full round, after which more may follow: the next starts at once.
    More,
    /// Something is due that could not be done yet: the next round starts after a short pause.
    Busy,
    /// The database did not answer.
    Away,
}

/// The services that the loops call. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub transitions: Transitions,
    pub clock: Clock,
    pub accounts: Accounts,
    pub apply: ApplyReceipts,
    pub dispatch: Arc<Dispatch>,
    pub ask: Arc<StatusQueries>,
    pub take_pulse: Arc<TakePulse>,
    pub instances: Instances,
    pub backlog: Backlog,
    pub app_keys: AppKeys,
    pub watcher: Watcher,
}

/// Logs why a round found nothing: `what` is what the loop could not do.
pub(super) fn away(error: &dyn Error, what: &'static str) -> Found {
    tracing::warn!(error = %telemetry::chain(error), "{what}");
    Found::Away
}

/// How long to sleep when `next` is the next time at which something is due.
pub(super) fn until<E>(clock: &Clock, next: Result<Option<DateTime<Utc>>, E>) -> Duration {
    match next {
        Ok(Some(at)) => clock.until(at).clamp(Duration::from_millis(1), TICK),
        Ok(None) => TICK,
        Err(_) => AWAY,
    }
}
