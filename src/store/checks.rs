//! Table `checks`: each try of a person's code, without the code.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::event::Verdict;
use crate::domain::ids::MessageId;
use crate::store::database::{Database, Session};
use crate::store::{StoreError, word};

#[derive(Clone, Debug)]
pub struct PastCheck {
    pub message: MessageId,
    pub check_id: Uuid,
    pub app: String,
    pub checked_at: DateTime<Utc>,
    pub verdict: Verdict,
}

pub async fn insert(connection: &mut Session, checks: &[PastCheck]) -> Result<(), StoreError> {
    let buckets: Vec<i16> = checks.iter().map(|c| c.message.bucket().as_i16()).collect();
    let messages: Vec<Uuid> = checks.iter().map(|c| c.message.uuid()).collect();
    let ids: Vec<Uuid> = checks.iter().map(|c| c.check_id).collect();
    let apps: Vec<&str> = checks.iter().map(|c| c.app.as_str()).collect();
    let times: Vec<DateTime<Utc>> = checks.iter().map(|c| c.checked_at).collect();
    let verdicts: Vec<&str> = checks.iter().map(|c| c.verdict.as_str()).collect();
    sqlx::query!(
        "-- checks.insert
        insert into checks (bucket, message_id, check_id, app, checked_at, verdict)
        select * from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[])",
        &buckets,
        &messages,
        &ids,
        &apps as _,
        &times,
        &verdicts as _
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All checks of a message, in order.
pub async fn of_message(pool: &Database, message: MessageId) -> Result<Vec<PastCheck>, StoreError> {
    let rows = sqlx::query!(
        "-- checks.of_message
        select check_id, app, checked_at, verdict from checks where bucket = $1 and message_id = $2
         order by checked_at, check_id",
        message.bucket().as_i16(),
        message.uuid()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let verdict = word("checks.verdict", &row.verdict)?;
            Ok(PastCheck { message, check_id: row.check_id, app: row.app, checked_at: row.checked_at, verdict })
        })
        .collect()
}
