//! Ends the life of messages whose time is over: the code is erased, nothing is sent any more.

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::services::quarantine::Loop;
use crate::services::transitions::{Command, Record, Transitions};
use crate::store::StoreError;
use crate::store::claims::{Claim, Claimed};

/// Most messages ended in one round.
pub const ROUND: i64 = 500;

/// Returns how many had come to their end. Nothing while the clock is held.
///
/// # Errors
/// When the database is away; they are found again.
pub async fn run_once(transitions: &Transitions, clock: &Clock) -> Result<usize, StoreError> {
    if clock.is_held() {
        return Ok(0);
    }
    let now = clock.now();
    let end =
        |row: &Claimed| Command { message: row.message, event: Event::LifeEnded, at: now, record: Record::Nothing };
    let (ended, _) = transitions.run_claimed(Loop::Lives, &Claim::Ended, now, ROUND, end).await?;
    Ok(ended.len())
}
