//! Processes dead letters again, for example after an update.

use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::domain::code_keys::CodeKeys;
use crate::domain::ids::AttemptId;
use crate::providers::{Verified, shown};
use crate::services::callbacks::take_callback::TakeCallback;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::dead_letters::{self, DeadLetter};

/// Result for one letter.
pub struct Replayed {
    pub letter: DeadLetter,
    pub result: Result<usize, String>,
}

/// Replays at most `limit` letters that were not replayed yet: those never tried first, then oldest first. Repeating it
/// is harmless: known receipts are duplicates. A letter that still cannot be read completely stays.
///
/// # Errors
/// When the database is unavailable.
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

/// The letter's body, masked for display; see [`shown::readable`].
///
/// # Errors
/// In words, when the key that sealed it is no longer configured.
pub fn shown(keys: &CodeKeys, letter: &DeadLetter) -> Result<String, String> {
    Ok(shown::readable(&open(keys, letter)?))
}

fn open(keys: &CodeKeys, letter: &DeadLetter) -> Result<Zeroizing<Vec<u8>>, String> {
    keys.open_bytes(letter.body_key_id, letter.letter_id.as_bytes(), &letter.body_sealed)
        .map_err(|error| error.to_string())
}

async fn replay(keys: &CodeKeys, take: &TakeCallback, letter: &DeadLetter) -> Result<usize, String> {
    let body = open(keys, letter)?;
    let attempt = letter.attempt_id.and_then(|id| AttemptId::parse(&id.to_string()));
    match take.again(&letter.account, Verified::again(&body, attempt)).await {
        Ok(taken) if taken.dead_letter => Err("still cannot be read whole".to_owned()),
        Ok(taken) => Ok(taken.dispositions.len()),
        Err(error) => Err(crate::telemetry::chain(&error)),
    }
}
