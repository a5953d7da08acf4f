//! Table `sends`: each request to a provider.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::ids::MessageId;
use crate::domain::receipt::ErrorClass;
use crate::store::StoreError;
use crate::store::database::{Database, Session};

/// One request, from the moment it was handed to the network.
#[derive(Clone, Debug)]
pub struct PastSend {
    pub message: MessageId,
    pub attempt_no: i16,
    /// Counts the requests of the attempt, from 1.
    pub try_no: i16,
    pub app: String,
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
    let number = |f: fn(&PastSend) -> i16| sends.iter().map(f).collect::<Vec<i16>>();
    let time = |f: fn(&PastSend) -> DateTime<Utc>| sends.iter().map(f).collect::<Vec<_>>();
    let text = |f: for<'b> fn(&'b PastSend) -> &'b str| sends.iter().map(f).collect::<Vec<_>>();
    let ids: Vec<Uuid> = sends.iter().map(|s| s.message.uuid()).collect();
    let statuses: Vec<Option<i16>> = sends.iter().map(|s| s.http_status).collect();
    let codes: Vec<Option<&str>> = sends.iter().map(|s| s.error_code.as_deref()).collect();
    let classes: Vec<Option<&str>> = sends.iter().map(|s| s.error_class.map(|c| c.as_str())).collect();
    sqlx::query!(
        "-- sends.insert
        insert into sends (bucket, message_id, attempt_no, try_no, app, account, started_at, ended_at, result,
                           http_status, error_code, error_class)
        select * from unnest($1::smallint[], $2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $6::text[],
                             $7::timestamptz[], $8::timestamptz[], $9::text[], $10::smallint[], $11::text[], $12::text[])
        on conflict do nothing",
        &number(|s| s.message.bucket().as_i16()),
        &ids,
        &number(|s| s.attempt_no),
        &number(|s| s.try_no),
        &text(|s| &s.app) as _,
        &text(|s| &s.account) as _,
        &time(|s| s.started_at),
        &time(|s| s.ended_at),
        &text(|s| &s.result) as _,
        &statuses as _,
        &codes as _,
        &classes as _
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All requests of a message, in the order in which they began.
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
                app: row.app,
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
