//! Table `sms_exceptions`: what operators decided about ranges of numbers, countries and apps.

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::domain::pumping::Exception;
use crate::store::database::{Database, Session};
use crate::store::sms_records::RecordKey;
use crate::store::{StoreError, word};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredException {
    pub key: RecordKey,
    pub decision: Exception,
    /// For people; 1 to 200 characters.
    pub reason: String,
    pub until: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// Those that hold at `now`.
pub async fn valid(connection: &mut Session, now: DateTime<Utc>) -> Result<Vec<StoredException>, StoreError> {
    let rows = sqlx::query!(
        "-- sms_exceptions.valid
        select app, counter, key, decision, reason, until, created_at
          from sms_exceptions where until > $1 order by app, counter, key",
        now
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let counter = word("sms_exceptions.counter", &row.counter)?;
            Ok(StoredException {
                key: RecordKey { app: AppId::stored(&row.app), counter, key: row.key },
                decision: word("sms_exceptions.decision", &row.decision)?,
                reason: row.reason,
                until: row.until,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// Stores one, instead of an earlier one of the same key.
pub async fn put(pool: &Database, exception: &StoredException) -> Result<(), StoreError> {
    let RecordKey { app, counter, key } = &exception.key;
    sqlx::query!(
        "-- sms_exceptions.put
        insert into sms_exceptions (app, counter, key, decision, reason, until, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (app, counter, key) do update
           set decision = excluded.decision, reason = excluded.reason, until = excluded.until,
               created_at = excluded.created_at",
        app.as_str(),
        counter.as_str(),
        key,
        exception.decision.as_str(),
        exception.reason,
        exception.until,
        exception.created_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes one. Returns whether it existed.
pub async fn remove(pool: &Database, key: &RecordKey) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "-- sms_exceptions.remove
        delete from sms_exceptions where app = $1 and counter = $2 and key = $3",
        key.app.as_str(),
        key.counter.as_str(),
        key.key
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}
