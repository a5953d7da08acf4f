//! Removes what nobody will ask for any more, as fast as it comes.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::{callback_nonces, dead_letters, idempotency_keys, number_memory, questions, receipts};
use crate::telemetry::names;

/// Most rows removed by one statement.
const BATCH: i64 = 2_000;
/// Pause between two batches: at most 20 000 rows a second, ten times what one instance takes in.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest run. What is left has its turn in the next one.
const LONGEST: Duration = Duration::from_secs(30);
/// How long an idempotency key is remembered.
const IDEMPOTENCY_KEY_LIFE: TimeDelta = TimeDelta::hours(24);
/// How long after its time a question is kept that nobody takes up: longer than any message lives.
const QUESTION_LIFE: TimeDelta = TimeDelta::minutes(15);
/// How long a receipt of an unknown id is kept; providers repeat callbacks for up to 7 days.
const UNMATCHED_LIFE: TimeDelta = TimeDelta::days(14);
/// How long after its end the name of a callback is kept: as much as instances' clocks may differ, and more.
const NONCE_LIFE: TimeDelta = TimeDelta::minutes(10);

/// How long a dead letter is kept: longer than providers repeat callbacks.
const DEAD_LETTER_LIFE: TimeDelta = TimeDelta::days(14);

/// What is removed for its age.
#[derive(Clone, Copy, Debug)]
enum Kind {
    IdempotencyKeys,
    UnmatchedReceipts,
    Questions,
    NumberMemory,
    CallbackNonces,
    DeadLetters,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::IdempotencyKeys,
        Self::UnmatchedReceipts,
        Self::Questions,
        Self::NumberMemory,
        Self::CallbackNonces,
        Self::DeadLetters,
    ];

    /// Removes one batch; returns how many rows there were.
    async fn batch(self, pool: &Database, clock: &Clock) -> Result<u64, StoreError> {
        let now = clock.now();
        match self {
            Self::IdempotencyKeys => idempotency_keys::forget(pool, now - IDEMPOTENCY_KEY_LIFE, BATCH).await,
            Self::UnmatchedReceipts => receipts::forget_unmatched(pool, now - UNMATCHED_LIFE, BATCH).await,
            Self::Questions => questions::forget(pool, now - QUESTION_LIFE, BATCH).await,
            Self::NumberMemory => number_memory::forget(pool, now, BATCH).await,
            Self::DeadLetters => {
                let dropped = dead_letters::forget(pool, now - DEAD_LETTER_LIFE, BATCH).await?;
                metrics::counter!(names::DEAD_LETTERS_DROPPED).increment(dropped);
                Ok(dropped)
            }
            Self::CallbackNonces => callback_nonces::forget(pool, now - NONCE_LIFE, BATCH).await,
        }
    }
}

/// Removes what is old until each kind brings a short batch, or the run is long enough. Nothing while the clock is held.
/// Returns how many rows went. A kind that fails leaves the others alone.
///
/// # Errors
/// The last one there was; what it concerns is found again.
pub async fn run_once(pool: &Database, clock: &Clock) -> Result<u64, StoreError> {
    let began = Instant::now();
    let mut removed = 0;
    let mut failed = None;
    for kind in Kind::ALL {
        while !clock.is_held() && began.elapsed() < LONGEST {
            match kind.batch(pool, clock).await {
                Ok(rows) => {
                    removed += rows;
                    if rows < BATCH.unsigned_abs() {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
    }
    failed.map_or(Ok(removed), Err)
}
