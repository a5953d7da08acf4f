//! Table `dead_letters`: authentic callbacks that could not be read, or only in part.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::database::Database;
use crate::store::{StoreError, slot};

#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// UUIDv7.
    pub letter_id: Uuid,
    pub account: String,
    pub callback_id: Uuid,
    pub reason: String,
    /// The attempt that the callback's address named and proved.
    pub attempt_id: Option<Uuid>,
    pub body_key_id: i16,
    /// The raw bytes, sealed under the letter's id.
    pub body_sealed: Vec<u8>,
    /// Length of the raw bytes.
    pub body_bytes: i32,
    pub received_at: DateTime<Utc>,
    pub replayed_at: Option<DateTime<Utc>>,
}

impl DeadLetter {
    fn slot(letter_id: Uuid) -> i16 {
        slot(&[&letter_id.to_string()])
    }
}

pub async fn insert(pool: &Database, letter: &DeadLetter) -> Result<(), StoreError> {
    sqlx::query!(
            "-- dead_letters.insert
            insert into dead_letters (slot, letter_id, account, callback_id, reason, attempt_id, body_key_id, body_sealed,
                                      body_bytes, received_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict do nothing",
            DeadLetter::slot(letter.letter_id),
            letter.letter_id,
            letter.account,
            letter.callback_id,
            letter.reason,
            letter.attempt_id,
            letter.body_key_id,
            letter.body_sealed,
            letter.body_bytes,
            letter.received_at
        )
        .execute(pool)
        .await?;
    Ok(())
}

/// Letters not replayed yet; all letters with `replayed_too`. Those never tried come first, oldest first, so that
/// letters which stay unreadable do not hide the others.
pub async fn list(pool: &Database, replayed_too: bool, limit: i64) -> Result<Vec<DeadLetter>, StoreError> {
    Ok(sqlx::query_as!(
        DeadLetter,
        "-- dead_letters.list
        select letter_id, account, callback_id, reason, attempt_id, body_key_id, body_sealed, body_bytes, received_at, replayed_at
          from dead_letters where $1 or replayed_at is null
         order by tried_at nulls first, received_at, letter_id limit $2",
        replayed_too,
        limit
    )
    .fetch_all(pool)
    .await?)
}

pub async fn find(pool: &Database, letter_id: Uuid) -> Result<Option<DeadLetter>, StoreError> {
    Ok(sqlx::query_as!(
        DeadLetter,
        "-- dead_letters.find
        select letter_id, account, callback_id, reason, attempt_id, body_key_id, body_sealed, body_bytes, received_at, replayed_at
          from dead_letters where slot = $1 and letter_id = $2",
        DeadLetter::slot(letter_id),
        letter_id
    )
    .fetch_optional(pool)
    .await?)
}

/// Records a replay of the letter, and whether all of it could be read.
pub async fn mark_tried(pool: &Database, letter_id: Uuid, whole: bool, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- dead_letters.mark_tried
        update dead_letters set tried_at = $4, replayed_at = case when $3 then $4 else replayed_at end
         where slot = $1 and letter_id = $2",
        DeadLetter::slot(letter_id),
        letter_id,
        whole,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Maximum number of letters per account, and maximum size of their bodies. Beyond them the oldest are deleted.
const KEPT: i64 = 10_000;
const KEPT_BYTES: i64 = 256 * 1024 * 1024;

/// Deletes letters received before `before`, and the oldest of accounts with too many; at most `limit`. Returns how
/// many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- dead_letters.forget
        with kept as (
            select slot, letter_id, received_at, row_number() over newest as place, sum(body_bytes) over newest as bytes
              from dead_letters
            window newest as (partition by account order by received_at desc, letter_id)
        )
        delete from dead_letters
         where (slot, letter_id) in (select slot, letter_id from kept
                                      where received_at < $1 or place > $2 or bytes > $3 limit $4)",
        before,
        KEPT,
        KEPT_BYTES,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
