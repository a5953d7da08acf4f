//! The loops that call services. Each takes no input but the database, so the path after a restart is the path always
//! taken: find what is due, do it, sleep until the nearest deadline, a wake-up or the tick, whichever is first.

pub mod supervise;
pub mod sender;
pub mod deadlines;
pub mod asker;
pub mod janitor;
pub mod matcher;
pub mod pulse;
pub mod instances;
pub mod watcher;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::store::StoreError;

/// Longest sleep of a loop that waits for a time in the database.
const TICK: Duration = Duration::from_millis(250);
/// Pause after the database did not answer.
const AWAY: Duration = Duration::from_millis(250);

/// How long to sleep when `next` is the next time at which something is due.
fn until(clock: &Clock, next: Result<Option<DateTime<Utc>>, StoreError>) -> Duration {
    match next {
        Ok(Some(at)) => clock.until(at).clamp(Duration::from_millis(1), TICK),
        Ok(None) => TICK,
        Err(_) => AWAY,
    }
}
