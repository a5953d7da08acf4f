//! Table `number_memory`: which channel did not work for a number. It contains keyed hashes, no numbers.

use chrono::{DateTime, Utc};

use crate::domain::code_keys::NumberHash;
use crate::domain::ids::Bucket;
use crate::domain::memory::{Lesson, Memory};
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};

/// What was learned about a number. A delivery is written for its hash under every live key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    pub bucket: Bucket,
    pub number: NumberHash,
    pub lesson: Lesson,
}

/// Stores what was learned at `at`, until `forget_at`. Each number at most once, in the order of their keys, so that
/// two writers cannot deadlock. A delivery clears an existing entry, and adds none.
pub async fn write(
    connection: &mut Session,
    learned: &[Learned],
    at: DateTime<Utc>,
    forget_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let says = |learned: &Learned, f: fn(&Memory) -> bool| match &learned.lesson {
        Lesson::OffWhatsapp(memory) => f(memory),
        _ => false,
    };
    columns!(query, [at, forget_at], for l in learned {
            "bucket": "smallint" = l.bucket.as_i16(),
            "number_hash": "bytea" ~ l.number.hash.as_slice(),
            "key_id": "smallint" = l.number.key_id,
            - "not_on_whatsapp": "boolean" = says(l, |memory| memory.not_on_whatsapp),
            - "answers_by_sms": "boolean" = says(l, |memory| memory.answers_by_sms),
        },
        "-- number_memory.write
        insert into number_memory as o (" {names} ", not_on_whatsapp_at, answers_by_sms_at, whatsapp_delivered_at, forget_at)
        select " {names} ", case when n.not_on_whatsapp then $1::timestamptz end,
               case when n.answers_by_sms then $1 end,
               case when not (n.not_on_whatsapp or n.answers_by_sms) then $1 end, $2::timestamptz
          from " {rows "n"} "
         where n.not_on_whatsapp or n.answers_by_sms
            or exists (select from number_memory m where m.bucket = n.bucket and m.number_hash = n.number_hash)
         order by n.bucket, n.number_hash
        on conflict (bucket, number_hash) do update
           set not_on_whatsapp_at = case when excluded.whatsapp_delivered_at is null
                                         then coalesce(excluded.not_on_whatsapp_at, o.not_on_whatsapp_at) end,
               answers_by_sms_at = case when excluded.whatsapp_delivered_at is null
                                        then coalesce(excluded.answers_by_sms_at, o.answers_by_sms_at) end,
               whatsapp_delivered_at = coalesce(excluded.whatsapp_delivered_at, o.whatsapp_delivered_at),
               forget_at = greatest(o.forget_at, excluded.forget_at)"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was learned since `since` about the number with these hashes.
pub async fn recall(
    pool: &Database,
    bucket: Bucket,
    hashes: &[NumberHash],
    since: DateTime<Utc>,
) -> Result<Memory, StoreError> {
    let row = sqlx::query!(
        r#"-- number_memory.recall
        select coalesce(bool_or(not_on_whatsapp_at > $3), false) as "not_on_whatsapp!",
               coalesce(bool_or(answers_by_sms_at > $3), false) as "answers_by_sms!"
          from number_memory where bucket = $1 and number_hash = any($2)"#,
        bucket.as_i16(),
        &as_bytes(hashes) as _,
        since
    )
    .fetch_one(pool)
    .await?;
    Ok(Memory { not_on_whatsapp: row.not_on_whatsapp, answers_by_sms: row.answers_by_sms })
}

/// Deletes the entry of one number. Returns whether there was one.
pub async fn erase(pool: &Database, bucket: Bucket, hashes: &[NumberHash]) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "-- number_memory.erase
        delete from number_memory where bucket = $1 and number_hash = any($2)",
        bucket.as_i16(),
        &as_bytes(hashes) as _
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes at most `limit` expired entries. Returns how many.
pub async fn forget(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- number_memory.forget
        delete from number_memory
         where (bucket, number_hash) in (select bucket, number_hash from number_memory where forget_at <= $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

fn as_bytes(hashes: &[NumberHash]) -> Vec<&[u8]> {
    hashes.iter().map(|number| number.hash.as_slice()).collect()
}
