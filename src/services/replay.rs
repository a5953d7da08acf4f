//! Takes dead letters again, after the reader was mended.

use crate::clock::Clock;
use crate::domain::code_keys::CodeKeys;
use crate::domain::ids::AttemptId;
use crate::providers::Verified;
use crate::services::take_callback::TakeCallback;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::dead_letters::{self, DeadLetter};

/// What became of one letter.
pub struct Replayed {
    pub letter: DeadLetter,
    pub result: Result<usize, String>,
}

/// Replays the letters that were not replayed yet, at most `limit`: those never tried first, then oldest first. Repeating it is harmless: receipts that
/// are known are duplicates. A letter that still cannot be read whole stays.
///
/// # Errors
/// When the database is away.
pub async fn run(
    pool: &Database,
    clock: &Clock,
    keys: &CodeKeys,
    take: &TakeCallback,
    limit: i64,
) -> Result<Vec<Replayed>, StoreError> {
    let mut replayed = Vec::new();
    for letter in dead_letters::list(pool, false, limit).await? {
        let result = replay(keys, take, &letter).await;
        dead_letters::mark_tried(pool, letter.letter_id, result.is_ok(), clock.now()).await?;
        replayed.push(Replayed { letter, result });
    }
    Ok(replayed)
}

async fn replay(keys: &CodeKeys, take: &TakeCallback, letter: &DeadLetter) -> Result<usize, String> {
    let body = keys
        .open_bytes(letter.body_key_id, letter.letter_id.as_bytes(), &letter.body_sealed)
        .map_err(|error| error.to_string())?;
    let attempt = letter.attempt_id.and_then(|id| AttemptId::parse(&id.to_string()));
    match take.again(&letter.account, Verified::again(&body, attempt)).await {
        Ok(taken) if taken.dead_letter => Err("still cannot be read whole".to_owned()),
        Ok(taken) => Ok(taken.dispositions.len()),
        Err(error) => Err(crate::telemetry::chain(&error)),
    }
}
