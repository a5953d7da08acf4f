//! Table `number_tries`: wrong codes of a number within an hour. It contains keyed hashes, no numbers.

use chrono::{DateTime, Utc};

use crate::domain::code_keys::NumberHash;
use crate::domain::ids::Bucket;
use crate::domain::limits::tries::NumberTries;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::number_sends::NumberKey;

/// The wrong tries of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedTries {
    pub bucket: Bucket,
    /// Under the active key.
    pub number: NumberHash,
    pub tries: NumberTries,
}

/// Locks the wrong tries of these numbers and reads them, in order; `None` where another transaction holds them. It never waits.
pub async fn lock(connection: &mut Session, numbers: &[NumberKey]) -> Result<Vec<Option<CountedTries>>, StoreError> {
    let keys = numbers.iter().flat_map(|n| n.hashes.iter().map(|hash| (n.bucket.as_i16(), hash.hash.as_slice())));
    let (buckets, hashes): (Vec<i16>, Vec<&[u8]>) = keys.unzip();
    let rows = sqlx::query!(
        r#"-- number_tries.lock
        with locked as (
            select bucket, number_hash, wrong_at from number_tries
             where (bucket, number_hash) in (select * from unnest($1::smallint[], $2::bytea[]))
             for no key update skip locked
        )
        select t.bucket, t.number_hash, l.wrong_at as "wrong_at?"
          from number_tries t left join locked l using (bucket, number_hash)
         where (t.bucket, t.number_hash) in (select * from unnest($1::smallint[], $2::bytea[]))"#,
        &buckets,
        &hashes as _
    )
    .fetch_all(connection)
    .await?;
    let one = |key: &NumberKey| {
        let number = *key.hashes.first().ok_or_else(|| StoreError::Corrupt { what: "no code key".to_owned() })?;
        let mut tries = NumberTries::default();
        for hash in &key.hashes {
            let row = rows.iter().find(|row| row.bucket == key.bucket.as_i16() && row.number_hash == hash.hash);
            match row.map(|row| &row.wrong_at) {
                Some(Some(wrong_at)) => tries.join(NumberTries(wrong_at.clone())),
                Some(None) => return Ok(None),
                None => {}
            }
        }
        Ok(Some(CountedTries { bucket: key.bucket, number, tries }))
    };
    numbers.iter().map(one).collect()
}

/// Writes the wrong tries of numbers that [`lock`] read in this transaction, each at most once.
pub async fn write(
    connection: &mut Session,
    counted: &[CountedTries],
    forget_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Arrays of arrays cannot differ in length, so the times are one array with the number of each.
    let times: Vec<(i32, DateTime<Utc>)> =
        counted.iter().zip(1..).flat_map(|(c, row)| c.tries.0.iter().map(move |at| (row, *at))).collect();
    let rows: Vec<(i32, &CountedTries)> = (1..).zip(counted).collect();
    columns!(query, [forget_at],
        for (row, c) in rows {
            - "row": "integer" = *row,
            "bucket": "smallint" = c.bucket.as_i16(),
            "number_hash": "bytea" ~ c.number.hash.as_slice(),
            "key_id": "smallint" = c.number.key_id,
        },
        for (row, at) in times {
            - "row": "integer" = *row,
            "wrong_at": "timestamptz" = *at,
        },
        "-- number_tries.write
        insert into number_tries (" {names} ", wrong_at, forget_at)
        select " {names} ", array(select t.wrong_at from " {rows 2 "t"} " where t.row = n.row order by t.wrong_at), $1
          from " {rows "n"} "
         order by n.bucket, n.number_hash
        on conflict (bucket, number_hash) do update set wrong_at = excluded.wrong_at, forget_at = excluded.forget_at"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the entry of one number. Returns whether there was one.
pub async fn erase(pool: &Database, number: &NumberKey) -> Result<bool, StoreError> {
    let hashes: Vec<&[u8]> = number.hashes.iter().map(|hash| hash.hash.as_slice()).collect();
    let done = sqlx::query!(
        "-- number_tries.erase
        delete from number_tries where bucket = $1 and number_hash = any($2)",
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
        "-- number_tries.forget
        delete from number_tries
         where (bucket, number_hash) in (select bucket, number_hash from number_tries where forget_at <= $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
