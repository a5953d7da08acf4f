//! Waits until a message reaches a state.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::attempt::State;
use crate::domain::message::Outcome;
use crate::services::messages::watch::Waiting;
use crate::store::stored::StoredMessage;

/// How long a request is held that arrives while the service stops: briefly, so that its client does not repeat it
/// without a pause.
const STOPPING: Duration = Duration::from_secs(1);

/// The state to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    Sent,
    Delivered,
    Settled,
}

impl WaitFor {
    /// Reached, or no longer reachable.
    pub fn is_over(self, stored: &StoredMessage) -> bool {
        let message = &stored.message;
        let settled = message.outcome_now() != Outcome::Pending;
        match self {
            Self::Sent => settled || message.state >= State::Sent,
            Self::Delivered => settled || message.state == State::Delivered,
            Self::Settled => settled,
        }
    }
}

/// Returns the message when `what` is over, at `deadline`, when `gone` completes, or when the service stops, whichever
/// is first.
///
/// `waiting` must be older than `stored`, so that no change between the two is missed.
pub async fn wait_for(
    what: WaitFor,
    mut waiting: Waiting,
    stored: StoredMessage,
    deadline: Instant,
    gone: impl Future<Output = ()>,
) -> Arc<StoredMessage> {
    let mut stored = Arc::new(stored);
    if what.is_over(&stored) {
        return stored;
    }
    waiting.saw(&stored);
    let stops_early = waiting.is_stopping();
    let deadline = if stops_early { deadline.min(Instant::now() + STOPPING) } else { deadline };
    let wait = async {
        if stops_early {
            return std::future::pending().await;
        }
        while let Some(latest) = waiting.next().await {
            stored = latest;
            if what.is_over(&stored) {
                break;
            }
        }
    };
    tokio::select! {
        () = wait => {}
        () = gone => {}
        () = tokio::time::sleep_until(deadline) => {}
    }
    stored
}
