//! Table `audit_log`: what operators did. Rows are appended and never changed.

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::audit::{AuditAction, AuditEntry, BEFORE_THE_FIRST};
use crate::store::StoreError;
use crate::store::database::Database;

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// At most 200 characters.
    pub actor: String,
    pub action: AuditAction,
    /// At most 200 characters; never a whole number or a secret.
    pub object: String,
    /// At most 500 characters.
    pub reason: String,
}

struct Row {
    day: NaiveDate,
    entry: i64,
    at: DateTime<Utc>,
    actor: String,
    action: String,
    object: String,
    reason: String,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl Row {
    fn into_entry(self) -> Result<AuditEntry, StoreError> {
        let Row { day, entry, at, actor, action, object, reason, previous_hash, hash } = self;
        let corrupt = |_| StoreError::Corrupt { what: format!("audit_log {day} {entry}: a hash") };
        let (previous_hash, hash) = (previous_hash.try_into().map_err(corrupt)?, hash.try_into().map_err(corrupt)?);
        Ok(AuditEntry { day, entry, at, actor, action, object, reason, previous_hash, hash })
    }
}

/// How often an entry is appended anew because another one was faster.
const RACES: usize = 50;

/// Appends an entry behind the last one.
pub async fn append(pool: &Database, new: &NewEntry, now: DateTime<Utc>) -> Result<(), StoreError> {
    for _ in 0..RACES {
        let last = last(pool).await?;
        // A clock that was ahead must not leave the days out of order.
        let at = last.as_ref().map_or(now, |last| now.max(last.at));
        let day = at.date_naive();
        let number = last.as_ref().filter(|last| last.day == day).map_or(1, |last| last.entry + 1);
        let mut entry = AuditEntry {
            day,
            entry: number,
            at,
            actor: new.actor.clone(),
            action: new.action.to_string(),
            object: new.object.clone(),
            reason: new.reason.clone(),
            previous_hash: last.map_or(BEFORE_THE_FIRST, |last| last.hash),
            hash: BEFORE_THE_FIRST,
        };
        entry.hash = entry.computed();
        let done = sqlx::query!(
            "-- audit_log.append
            insert into audit_log (day, entry, at, actor, action, object, reason, previous_hash, hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict (day, entry) do nothing",
            entry.day,
            entry.entry,
            entry.at,
            entry.actor,
            entry.action,
            entry.object,
            entry.reason,
            entry.previous_hash.as_slice(),
            entry.hash.as_slice()
        )
        .execute(pool)
        .await?;
        if done.rows_affected() > 0 {
            return Ok(());
        }
    }
    Err(StoreError::Refused { constraint: "audit_log_pkey".to_owned(), source: sqlx::Error::RowNotFound })
}

async fn last(pool: &Database) -> Result<Option<AuditEntry>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "-- audit_log.last
        select day, entry, at, actor, action, object, reason, previous_hash, hash
          from audit_log order by day desc, entry desc limit 1"
    )
    .fetch_optional(pool)
    .await?;
    row.map(Row::into_entry).transpose()
}

/// At most `limit` entries behind this one, in order.
pub async fn after(pool: &Database, (day, entry): (NaiveDate, i64), limit: i64) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "-- audit_log.after
        select day, entry, at, actor, action, object, reason, previous_hash, hash
          from audit_log where (day, entry) > ($1, $2) order by day, entry limit $3",
        day,
        entry,
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::into_entry).collect()
}

/// The last `limit` entries, newest first.
pub async fn newest(pool: &Database, limit: i64) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "-- audit_log.newest
        select day, entry, at, actor, action, object, reason, previous_hash, hash
          from audit_log order by day desc, entry desc limit $1",
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::into_entry).collect()
}

/// Deletes at most `limit` entries of days before `before`, oldest first. Returns how many.
pub async fn forget(pool: &Database, before: NaiveDate, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- audit_log.forget
        delete from audit_log
         where (day, entry) in (select day, entry from audit_log where day < $1 order by day, entry limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
