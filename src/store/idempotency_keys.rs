//! Table `idempotency_keys`: the first answer to a request, given again to its repeats.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::domain::code_keys::Fingerprint;
use crate::domain::ids::MessageId;
use crate::store::messages::message_id;
use crate::store::{StoreError, slot};

/// What a key stands for.
#[derive(Clone, Debug)]
pub struct Claim {
    pub body: Fingerprint,
    pub message: MessageId,
    pub answer: Value,
}

/// Claims the key for a message that is about to be stored, or says what it already stands for. The claim commits
/// before the message: whoever repeats the request stores the same message under the same id.
pub async fn claim(
    pool: &PgPool,
    app: &str,
    key: &str,
    claim: &Claim,
    now: DateTime<Utc>,
) -> Result<Option<Claim>, StoreError> {
    let slot = slot(&[app, key]);
    let done = sqlx::query!(
        "-- idempotency_keys.claim
        insert into idempotency_keys (slot, app, key, key_id, body_hash, message_id, answer, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (slot, app, key) do nothing",
        slot,
        app,
        key,
        claim.body.key_id,
        claim.body.hash,
        claim.message.uuid(),
        claim.answer,
        now
    )
    .execute(pool)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(None);
    }
    let row = sqlx::query!(
        "-- idempotency_keys.find
        select key_id, body_hash, message_id, answer from idempotency_keys where slot = $1 and app = $2 and key = $3",
        slot,
        app,
        key
    )
    .fetch_one(pool)
    .await?;
    Ok(Some(Claim {
        body: Fingerprint { key_id: row.key_id, hash: row.body_hash },
        message: message_id(row.message_id)?,
        answer: row.answer,
    }))
}

/// Forgets keys claimed before `before`; at most `limit` of them. Returns how many.
pub async fn forget(pool: &PgPool, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- idempotency_keys.forget
        delete from idempotency_keys
         where (slot, app, key) in (select slot, app, key from idempotency_keys where created_at < $1 limit $2)",
        before,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
