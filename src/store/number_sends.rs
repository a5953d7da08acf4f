//! Table `number_sends`: the sends of a number within a day. It contains keyed hashes, no numbers.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::app_id::AppId;
use crate::domain::code_keys::{CodeKeys, NumberHash};
use crate::domain::ids::Bucket;
use crate::domain::limits::sends::NumberSends;
use crate::domain::phone::Phone;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};

/// The sends of a number, as they were read or are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedNumber {
    pub bucket: Bucket,
    /// Under the active key.
    pub number: NumberHash,
    /// Of the row that was read; 0 if there is none.
    pub version: i64,
    pub sends: NumberSends,
}

/// A number, by its hashes under all live keys; the active key's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberKey {
    pub bucket: Bucket,
    pub hashes: Vec<NumberHash>,
}

impl NumberKey {
    /// As the sends and the tries of a number of an app are kept.
    pub fn of(keys: &CodeKeys, app: &AppId, phone: &Phone) -> Self {
        Self { bucket: Bucket::of(phone), hashes: keys.number_hashes(Some(app), phone) }
    }
}

/// The sends of these numbers, in order. Nothing is locked: whoever writes names the version it has read.
pub async fn read(connection: &mut Session, numbers: &[NumberKey]) -> Result<Vec<CountedNumber>, StoreError> {
    let keys: Vec<(i16, &[u8])> = numbers
        .iter()
        .flat_map(|number| number.hashes.iter().map(|hash| (number.bucket.as_i16(), hash.hash.as_slice())))
        .collect();
    let (buckets, hashes): (Vec<i16>, Vec<&[u8]>) = keys.into_iter().unzip();
    let rows = sqlx::query!(
        "-- number_sends.read
        select bucket, number_hash, version, sends from number_sends
         where (bucket, number_hash) in (select * from unnest($1::smallint[], $2::bytea[]))",
        &buckets,
        &hashes as _
    )
    .fetch_all(connection)
    .await?;
    let row = |bucket: Bucket, hash: &NumberHash| {
        rows.iter().find(|row| row.bucket == bucket.as_i16() && row.number_hash == hash.hash)
    };
    let one = |key: &NumberKey| {
        let active = *key.hashes.first().ok_or_else(|| StoreError::Corrupt { what: "no code key".to_owned() })?;
        let mut counted =
            CountedNumber { bucket: key.bucket, number: active, version: 0, sends: NumberSends::default() };
        for hash in &key.hashes {
            let Some(row) = row(key.bucket, hash) else { continue };
            counted.sends.join(sends(&row.sends)?);
            if *hash == active {
                counted.version = row.version;
            }
        }
        Ok(counted)
    };
    numbers.iter().map(one).collect()
}

fn sends(stored: &Value) -> Result<NumberSends, StoreError> {
    serde::Deserialize::deserialize(stored).map_err(|_| StoreError::Corrupt { what: "number_sends.sends".to_owned() })
}

/// The row in JSON.
pub(super) fn as_json(sends: &NumberSends) -> Value {
    serde_json::to_value(sends).unwrap_or_default()
}

/// Writes the sends of one number, unless somebody else wrote them since they were read. Returns whether they were written.
pub async fn write(pool: &Database, counted: &CountedNumber, forget_at: DateTime<Utc>) -> Result<bool, StoreError> {
    let numbers = [counted];
    let done = columns!(query, [], for c in numbers {
            "bucket": "smallint" = c.bucket.as_i16(),
            "number_hash": "bytea" ~ c.number.hash.as_slice(),
            "key_id": "smallint" = c.number.key_id,
            "version": "bigint" = c.version + 1,
            "sends": "jsonb" = as_json(&c.sends),
            "forget_at": "timestamptz" = forget_at,
        },
        "-- number_sends.write
        insert into number_sends as o (" {names} ")
        select " {names} " from " {rows "n"} "
        on conflict (bucket, number_hash) do update
           set version = excluded.version, sends = excluded.sends, forget_at = excluded.forget_at
         where o.version = excluded.version - 1"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes the entry of one number. Returns whether there was one.
pub async fn erase(pool: &Database, number: &NumberKey) -> Result<bool, StoreError> {
    let hashes: Vec<&[u8]> = number.hashes.iter().map(|hash| hash.hash.as_slice()).collect();
    let done = sqlx::query!(
        "-- number_sends.erase
        delete from number_sends where bucket = $1 and number_hash = any($2)",
        number.bucket.as_i16(),
        &hashes as _
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes at most `limit` expired entries. Returns how many.
pub async fn forget(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- number_sends.forget
        delete from number_sends
         where (bucket, number_hash) in (select bucket, number_hash from number_sends where forget_at <= $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
