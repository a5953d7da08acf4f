//! Table `answers`: each status query to a provider, and its answer.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::ids::MessageId;
use crate::domain::receipt::Status;
use crate::store::StoreError;
use crate::store::database::Database;

#[derive(Clone, Debug)]
pub struct PastAnswer {
    pub message: MessageId,
    pub attempt_no: i16,
    /// Number of the attempt's query, counted from 1.
    pub question_no: i16,
    pub app: AppId,
    pub account: String,
    /// Also stored with the receipts that the answer contained.
    pub callback_id: Uuid,
    pub asked_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub http_status: Option<i16>,
    /// The furthest status in the answer.
    pub told: Option<Status>,
    /// Why there is no status, in a word; at most 64 bytes.
    pub trouble: Option<String>,
}

pub async fn insert(pool: &Database, answer: &PastAnswer) -> Result<(), StoreError> {
    sqlx::query!(
        "-- answers.insert
        insert into answers (bucket, message_id, attempt_no, question_no, app, account, callback_id, asked_at, ended_at,
                             http_status, told, trouble)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        on conflict do nothing",
        answer.message.bucket().as_i16(),
        answer.message.uuid(),
        answer.attempt_no,
        answer.question_no,
        answer.app.as_str(),
        answer.account,
        answer.callback_id,
        answer.asked_at,
        answer.ended_at,
        answer.http_status,
        answer.told.map(Status::as_str),
        answer.trouble
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// All answers about a message's attempts, in the order of the queries.
pub async fn of_message(pool: &Database, message: MessageId) -> Result<Vec<PastAnswer>, StoreError> {
    let rows = sqlx::query!(
        "-- answers.of_message
        select attempt_no, question_no, app, account, callback_id, asked_at, ended_at, http_status, told, trouble
          from answers where bucket = $1 and message_id = $2 order by asked_at, attempt_no, question_no",
        message.bucket().as_i16(),
        message.uuid()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PastAnswer {
                message,
                attempt_no: row.attempt_no,
                question_no: row.question_no,
                app: AppId::stored(&row.app),
                account: row.account,
                callback_id: row.callback_id,
                asked_at: row.asked_at,
                ended_at: row.ended_at,
                http_status: row.http_status,
                told: row.told.as_deref().and_then(|told| told.parse().ok()),
                trouble: row.trouble,
            })
        })
        .collect()
}
