//! Replaces what was not delivered in time.

use crate::clock::Clock;
use crate::domain::event::{Effect, Event};
use crate::services::quarantine::Loop;
use crate::services::transitions::{Command, Done, Record, Transitions};
use crate::store::StoreError;
use crate::store::claims::{Claim, Claimed};

/// Most deadlines taken in one round: after downtime they are worked off oldest first at this measure.
pub const ROUND: i64 = 200;

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Deadlines that had passed.
    pub due: usize,
    /// Replacements planned.
    pub planned: usize,
}

/// Fires the deadlines that have passed, each exactly once however many instances try. Nothing while the clock is held.
///
/// # Errors
/// When the database is away; the deadlines stay where they are.
pub async fn run_once(transitions: &Transitions, clock: &Clock) -> Result<Round, StoreError> {
    if clock.is_held() {
        return Ok(Round::default());
    }
    let now = clock.now();
    let command = |row: &Claimed| Command {
        message: row.message,
        event: Event::DeadlinePassed { attempt_no: row.attempt_no },
        at: now,
        record: Record::Nothing,
    };
    let (overdue, outcomes) = transitions.run_claimed(Loop::Deadlines, &Claim::Overdue, now, ROUND, command).await?;
    let planned = |done: &&Done| matches!(done, Done::Effect(Effect::Planned { .. }));
    Ok(Round { due: overdue.len(), planned: outcomes.done.iter().filter(planned).count() })
}
