//! Deletes data that is no longer needed, as fast as it accumulates.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::domain::spraying;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::{
    callback_nonces, compared_codes, dead_letters, idempotency_keys, number_memory, number_sends, number_tries,
    questions, receipts, sms_decisions, sms_records, window_counters,
};
use crate::telemetry::names;

/// Maximum number of rows deleted by one statement.
const BATCH: i64 = 2_000;
/// Pause between two batches: at most 20 000 rows a second, ten times what one instance takes in.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limit per kind in one run, so that much of one kind does not delay the others. The rest follows in the next
/// run.
const LONGEST: Duration = Duration::from_secs(5);
/// How long an idempotency key is kept.
const IDEMPOTENCY_KEY_LIFE: TimeDelta = TimeDelta::hours(24);
/// How long an unclaimed status query is kept after its time: longer than any message lives.
const QUESTION_LIFE: TimeDelta = TimeDelta::minutes(15);
/// How long a receipt with an unknown id is kept; providers repeat callbacks for up to 7 days.
const UNMATCHED_LIFE: TimeDelta = TimeDelta::days(14);
/// How long the name of a callback is kept after its end: longer than instances' clocks may differ.
const NONCE_LIFE: TimeDelta = TimeDelta::minutes(10);

/// How long a decision about an SMS is kept: as long as the messages.
const DECISION_LIFE: TimeDelta = TimeDelta::days(90);

/// How long a dead letter is kept: longer than providers repeat callbacks.
const DEAD_LETTER_LIFE: TimeDelta = TimeDelta::days(14);

/// The kinds of data that are deleted for their age.
#[derive(Clone, Copy, Debug)]
enum Kind {
    IdempotencyKeys,
    UnmatchedReceipts,
    Questions,
    NumberMemory,
    CallbackNonces,
    DeadLetters,
    NumberSends,
    NumberTries,
    WindowCounters,
    SmsRecords,
    SmsDecisions,
    ComparedCodes,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::IdempotencyKeys,
        Self::UnmatchedReceipts,
        Self::Questions,
        Self::NumberMemory,
        Self::CallbackNonces,
        Self::DeadLetters,
        Self::NumberSends,
        Self::NumberTries,
        Self::WindowCounters,
        Self::SmsRecords,
        Self::SmsDecisions,
        Self::ComparedCodes,
    ];

    /// Deletes one batch; returns the number of rows.
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
            Self::NumberSends => number_sends::forget(pool, now, BATCH).await,
            Self::NumberTries => number_tries::forget(pool, now, BATCH).await,
            Self::WindowCounters => window_counters::forget(pool, now, BATCH).await,
            Self::SmsRecords => sms_records::forget(pool, now, BATCH).await,
            Self::SmsDecisions => sms_decisions::forget(pool, now - DECISION_LIFE, BATCH).await,
            Self::ComparedCodes => {
                compared_codes::forget(pool, now - spraying::USUAL - TimeDelta::days(1), BATCH).await
            }
            Self::CallbackNonces => callback_nonces::forget(pool, now - NONCE_LIFE, BATCH).await,
        }
    }
}

/// Deletes what is old until each kind has a short batch or has used its time. Does nothing while the clock is held.
/// Returns the number of deleted rows. A kind that fails does not stop the others.
///
/// # Errors
/// The last error; the rows concerned are found again.
pub async fn run_once(pool: &Database, clock: &Clock) -> Result<u64, StoreError> {
    let mut removed = 0;
    let mut failed = None;
    for kind in Kind::ALL {
        let began = Instant::now();
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
