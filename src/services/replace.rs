//! Replaces what was not delivered in time.

use crate::clock::Clock;
use crate::domain::event::{Effect, Event};
use crate::services::transitions::{Command, Done, Record, Transitions};
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::messages::Lock;

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
    let overdue = attempts::overdue(&transitions.pool, now, ROUND).await?;
    if overdue.is_empty() {
        return Ok(Round::default());
    }
    let commands: Vec<Command> = overdue
        .iter()
        .map(|&(message, attempt_no)| Command {
            message,
            event: Event::DeadlinePassed { attempt_no },
            at: now,
            record: Record::Nothing,
        })
        .collect();
    let outcomes = transitions.run(&commands, Lock::Skip).await?;
    let planned = |done: &&Done| matches!(done, Done::Effect(Effect::Planned { .. }));
    Ok(Round { due: overdue.len(), planned: outcomes.done.iter().filter(planned).count() })
}
