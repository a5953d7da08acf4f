//! Table `sends`: each request to a provider.

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::domain::ids::MessageId;
use crate::domain::receipt::ErrorClass;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};

/// One request, from the moment it was passed to the network.
#[derive(Clone, Debug)]
pub struct PastSend {
    pub message: MessageId,
    pub attempt_no: i16,
    /// Number of the attempt's request, counted from 1.
    pub try_no: i16,
    pub app: AppId,
    pub account: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// `accepted`, `rejected`, `unknown`, `breaker_open` or `lease_ran_out`.
    pub result: String,
    pub http_status: Option<i16>,
    pub error_code: Option<String>,
    pub error_class: Option<ErrorClass>,
}

pub async fn insert(connection: &mut Session, sends: &[PastSend]) -> Result<(), StoreError> {
    columns!(query, [], for s in sends {
            "bucket": "smallint" = s.message.bucket().as_i16(),
            "message_id": "uuid" = s.message.uuid(),
            "attempt_no": "smallint" = s.attempt_no,
            "try_no": "smallint" = s.try_no,
            "app": "text" ~ s.app.as_str(),
            "account": "text" ~ s.account.as_str(),
            "started_at": "timestamptz" = s.started_at,
            "ended_at": "timestamptz" = s.ended_at,
            "result": "text" ~ s.result.as_str(),
            "http_status": "smallint" ~ s.http_status,
            "error_code": "text" ~ s.error_code.as_deref(),
            "error_class": "text" ~ s.error_class.map(|class| class.as_str()),
        },
        "-- sends.insert\ninsert into sends (" {names} ") select * from " {rows "n"} " on conflict do nothing"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All requests of a message, in the order of their start.
pub async fn of_message(pool: &Database, message: MessageId) -> Result<Vec<PastSend>, StoreError> {
    let rows = sqlx::query!(
        "-- sends.of_message
        select attempt_no, try_no, app, account, started_at, ended_at, result, http_status, error_code, error_class
          from sends where bucket = $1 and message_id = $2 order by started_at, attempt_no, try_no",
        message.bucket().as_i16(),
        message.uuid()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PastSend {
                message,
                attempt_no: row.attempt_no,
                try_no: row.try_no,
                app: AppId::stored(&row.app),
                account: row.account,
                started_at: row.started_at,
                ended_at: row.ended_at,
                result: row.result,
                http_status: row.http_status,
                error_code: row.error_code,
                error_class: row.error_class.as_deref().map(ErrorClass::read),
            })
        })
        .collect()
}
