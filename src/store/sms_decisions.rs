//! Table `sms_decisions`: each time a rule said no to an SMS.

use chrono::{DateTime, Utc};

use crate::domain::ids::MessageId;
use crate::domain::pumping::SmsRefusal;
use crate::store::StoreError;
use crate::store::columns::columns;
use crate::store::database::{Database, Session};
use crate::store::sms_records::RecordKey;

/// A rule's no, with what it was said to.
#[derive(Clone, Debug)]
pub struct Decision {
    pub message: MessageId,
    pub attempt_no: i16,
    pub refusal: SmsRefusal,
    pub enforced: bool,
    /// What the rule counts.
    pub key: RecordKey,
}

/// Stores decisions. One that exists stays: the attempt was asked for before.
pub async fn insert(connection: &mut Session, decisions: &[Decision], now: DateTime<Utc>) -> Result<(), StoreError> {
    columns!(query, [now], for d in decisions {
            "bucket": "smallint" = d.message.bucket().as_i16(),
            "message_id": "uuid" = d.message.uuid(),
            "attempt_no": "smallint" = d.attempt_no,
            "rule": "text" ~ d.refusal.rule.as_str(),
            "enforced": "boolean" = d.enforced,
            "app": "text" ~ d.key.app.as_str(),
            "counter": "text" ~ d.key.counter.as_str(),
            "key": "text" ~ d.key.key.as_str(),
            "counted": "bigint" = d.refusal.counted,
            "allowed": "bigint" = d.refusal.limit,
        },
        "-- sms_decisions.insert
        insert into sms_decisions (" {names} ", decided_at) select " {names} ", $1 from " {rows "n"} "
        on conflict (bucket, message_id, attempt_no, rule) do nothing"
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes at most `limit` decisions made before `before`. Returns how many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- sms_decisions.forget
        delete from sms_decisions
         where (bucket, message_id, attempt_no, rule) in
               (select bucket, message_id, attempt_no, rule from sms_decisions where decided_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
