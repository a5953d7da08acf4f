//! Replaces attempts that were not delivered in time.

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::domain::event::Effect;
use crate::services::ledger::command::{Command, Done, RecordedEvent};
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::claims::{Claim, Claimed};

/// Deadlines fired per round. After downtime the backlog is processed oldest first, this many at a time.
pub const ROUND: i64 = 200;

/// Result of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineRound {
    /// Deadlines that had passed.
    pub due: usize,
    /// Replacements planned.
    pub planned: usize,
}

/// The nearest deadline.
///
/// # Errors
/// When the database is unavailable.
pub async fn next(transitions: &Transitions) -> Result<Option<DateTime<Utc>>, StoreError> {
    attempts::next_deadline(&transitions.pool).await
}

/// Fires the deadlines that have passed, each exactly once however many instances try. Does nothing while the clock is
/// held.
///
/// # Errors
/// When the database is unavailable; the deadlines stay unchanged.
pub async fn run_once(transitions: &Transitions, clock: &Clock) -> Result<DeadlineRound, StoreError> {
    if clock.is_held() {
        return Ok(DeadlineRound::default());
    }
    let now = clock.now();
    let command = |row: &Claimed| Command {
        message: row.message,
        event: RecordedEvent::DeadlinePassed { attempt_no: row.attempt_no },
        at: now,
    };
    let (overdue, outcomes) =
        transitions.run_claimed(Claimant::Deadlines, &Claim::Overdue, now, ROUND, command).await?;
    let planned = |done: &&Done| matches!(done, Done::Effect(Effect::Planned { .. }));
    Ok(DeadlineRound { due: overdue.len(), planned: outcomes.done.iter().filter(planned).count() })
}
