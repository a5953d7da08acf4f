//! Table `checks`: each try of a person's code, without the code.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::event::Verdict;
use crate::domain::ids::MessageId;
use crate::store::StoreError;
use crate::store::database::{Database, Session};

/// Most checks kept of a message. It has at most ten tries while it lives; the rest are tries that came too late.
const KEPT: i64 = 30;

#[derive(Clone, Debug)]
pub struct PastCheck {
    pub message: MessageId,
    pub check_id: Uuid,
    pub app: String,
    pub checked_at: DateTime<Utc>,
    pub verdict: Verdict,
}

/// A check as it is told.
#[derive(Clone, Debug)]
pub struct ToldCheck {
    pub checked_at: DateTime<Utc>,
    /// As stored: a newer program may have words of its own.
    pub verdict: String,
}

/// Stores checks, beyond [`KEPT`] of a message none. Returns how many were left out.
pub async fn insert(connection: &mut Session, checks: &[PastCheck]) -> Result<u64, StoreError> {
    let buckets: Vec<i16> = checks.iter().map(|c| c.message.bucket().as_i16()).collect();
    let messages: Vec<Uuid> = checks.iter().map(|c| c.message.uuid()).collect();
    let ids: Vec<Uuid> = checks.iter().map(|c| c.check_id).collect();
    let apps: Vec<&str> = checks.iter().map(|c| c.app.as_str()).collect();
    let times: Vec<DateTime<Utc>> = checks.iter().map(|c| c.checked_at).collect();
    let verdicts: Vec<&str> = checks.iter().map(|c| c.verdict.as_str()).collect();
    let done = sqlx::query!(
        "-- checks.insert
        insert into checks (bucket, message_id, check_id, app, checked_at, verdict)
        select n.bucket, n.message_id, n.check_id, n.app, n.checked_at, n.verdict
          from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[])
               as n (bucket, message_id, check_id, app, checked_at, verdict)
         where (select count(*) from (select from checks c where c.bucket = n.bucket and c.message_id = n.message_id
                                       limit $7) k) < $7",
        &buckets,
        &messages,
        &ids,
        &apps as _,
        &times,
        &verdicts as _,
        KEPT
    )
    .execute(connection)
    .await?;
    Ok((checks.len() as u64).saturating_sub(done.rows_affected()))
}

/// All checks of a message that are kept, in order.
pub async fn of_message(pool: &Database, message: MessageId) -> Result<Vec<ToldCheck>, StoreError> {
    let rows = sqlx::query_as!(
        ToldCheck,
        "-- checks.of_message
        select checked_at, verdict from checks where bucket = $1 and message_id = $2 order by checked_at, check_id",
        message.bucket().as_i16(),
        message.uuid()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
