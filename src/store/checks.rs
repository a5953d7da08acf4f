//! Table `checks`: each check of a code, without the code.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::event::Verdict;
use crate::domain::ids::MessageId;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};

/// Maximum number of checks stored per message. A live message has at most ten; further ones came too late.
const KEPT: i64 = 30;

#[derive(Clone, Debug)]
pub struct PastCheck {
    pub message: MessageId,
    pub check_id: Uuid,
    pub app: AppId,
    pub checked_at: DateTime<Utc>,
    pub verdict: Verdict,
}

/// A check as it is shown.
#[derive(Clone, Debug)]
pub struct ToldCheck {
    pub checked_at: DateTime<Utc>,
    /// As stored: a newer version may have other words.
    pub verdict: String,
}

/// Stores checks, up to `KEPT` per message. Returns how many were left out.
pub async fn insert(connection: &mut Session, checks: &[PastCheck]) -> Result<u64, StoreError> {
    let done = columns!(query, [KEPT], for c in checks {
            "bucket": "smallint" = c.message.bucket().as_i16(),
            "message_id": "uuid" = c.message.uuid(),
            "check_id": "uuid" = c.check_id,
            "app": "text" ~ c.app.as_str(),
            "checked_at": "timestamptz" = c.checked_at,
            "verdict": "text" ~ c.verdict.as_str(),
        },
        "-- checks.insert
        insert into checks (" {names} ")
        select n.* from " {rows "n"} "
         where (select count(*) from (select from checks c where c.bucket = n.bucket and c.message_id = n.message_id
                                       limit $1) k) < $1"
    )
    .execute(connection)
    .await?;
    Ok((checks.len() as u64).saturating_sub(done.rows_affected()))
}

/// All stored checks of a message, in order.
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
