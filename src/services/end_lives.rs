//! Ends the life of messages whose time is over: the code is erased, nothing is sent any more.

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::services::transitions::{Command, Record, Transitions};
use crate::store::StoreError;
use crate::store::messages::{self, Lock};

/// Most messages ended in one round.
pub const ROUND: i64 = 500;

/// Returns how many had come to their end.
///
/// # Errors
/// When the database is away; they are found again.
pub async fn run_once(transitions: &Transitions, clock: &Clock) -> Result<usize, StoreError> {
    let now = clock.now();
    let ended = messages::ended(&transitions.pool, now, ROUND).await?;
    let end = |&message: &_| Command { message, event: Event::LifeEnded, at: now, record: Record::Nothing };
    let commands: Vec<Command> = ended.iter().map(end).collect();
    if !commands.is_empty() {
        transitions.run(&commands, Lock::Skip).await?;
    }
    Ok(ended.len())
}
