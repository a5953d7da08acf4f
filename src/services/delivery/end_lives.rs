//! Ends messages whose life is over: the code is erased, and nothing is sent any more.

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::services::ledger::command::{Command, RecordedEvent};
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::store::StoreError;
use crate::store::claims::{Claim, Claimed};
use crate::store::messages;

/// Maximum number of messages ended in one round.
pub const ROUND: i64 = 500;

/// When the next message's life ends.
///
/// # Errors
/// When the database is unavailable.
pub async fn next(transitions: &Transitions) -> Result<Option<DateTime<Utc>>, StoreError> {
    messages::next_end(&transitions.pool).await
}

/// Returns how many messages' lives were over. Does nothing while the clock is held.
///
/// # Errors
/// When the database is unavailable; they are found again.
pub async fn run_once(transitions: &Transitions, clock: &Clock) -> Result<usize, StoreError> {
    if clock.is_held() {
        return Ok(0);
    }
    let now = clock.now();
    let end = |row: &Claimed| Command { message: row.message, event: RecordedEvent::LifeEnded, at: now };
    let (ended, _) = transitions.run_claimed(Claimant::Lives, &Claim::Ended, now, ROUND, end).await?;
    Ok(ended.len())
}
