//! Table `idempotency_keys`: the first answer to a request, returned again to its repeats.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::code_keys::Fingerprint;
use crate::domain::ids::MessageId;
use crate::store::columns::columns;
use crate::store::database::Database;
use crate::store::stored::message_id;
use crate::store::{StoreError, slot};

/// What is stored for a key.
#[derive(Clone, Debug)]
pub struct Claim {
    pub body: Fingerprint,
    pub message: MessageId,
    /// JSON, returned unchanged.
    pub answer: String,
    /// When the message is created, as the answer says. The key's life begins then.
    pub created_at: DateTime<Utc>,
    /// When the message expires, as the answer says. `None` in rows of versions that did not store it.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key to be claimed.
#[derive(Clone, Debug)]
pub struct NewClaim {
    pub app: AppId,
    pub key: String,
    pub claim: Claim,
}

/// Claims keys, each for a message that is about to be stored. Returns for each, in order, whether it was free. A claim
/// commits before its message: a repeat of the request stores the same message under the same id.
pub async fn claim(pool: &Database, claims: &[NewClaim]) -> Result<Vec<bool>, StoreError> {
    // In the order of their keys, so that two groups cannot deadlock.
    let mut sorted: Vec<(i16, &NewClaim)> = claims.iter().map(|c| (slot(&[c.app.as_str(), &c.key]), c)).collect();
    sorted.sort_by_key(|(slot, c)| (*slot, c.app.as_str(), c.key.as_str()));
    let won = columns!(query_scalar, [], for (slot, c) in sorted {
            "slot": "smallint" = *slot,
            "app": "text" ~ c.app.as_str(),
            "key": "text" ~ c.key.as_str(),
            "key_id": "smallint" = c.claim.body.key_id,
            "body_hash": "bytea" ~ c.claim.body.hash.as_slice(),
            "message_id": "uuid" = c.claim.message.uuid(),
            "answer": "text[]::json" ~ c.claim.answer.as_str(),
            "created_at": "timestamptz" = c.claim.created_at,
            "message_expires_at": "timestamptz" ~ c.claim.expires_at,
        },
        "-- idempotency_keys.claim
        insert into idempotency_keys (" {names} ")
        select n.* from " {rows "n"} "
        on conflict (slot, app, key) do nothing
        returning message_id"
    )
    .fetch_all(pool)
    .await?;
    let won: HashSet<Uuid> = won.into_iter().collect();
    Ok(claims.iter().map(|c| won.contains(&c.claim.message.uuid())).collect())
}

/// The entry of a key; `None` when nobody claimed it, or it was deleted.
pub async fn find(pool: &Database, app: &AppId, key: &str) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query!(
        r#"-- idempotency_keys.find
        select key_id, body_hash, message_id, answer::text as "answer!", created_at, message_expires_at
          from idempotency_keys
         where slot = $1 and app = $2 and key = $3"#,
        slot(&[app.as_str(), key]),
        app.as_str(),
        key
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Claim {
        body: Fingerprint { key_id: row.key_id, hash: row.body_hash },
        message: message_id(row.message_id)?,
        answer: row.answer,
        created_at: row.created_at,
        expires_at: row.message_expires_at,
    }))
}

/// Frees a key whose message was refused after all.
pub async fn release(pool: &Database, app: &AppId, key: &str, message: MessageId) -> Result<(), StoreError> {
    sqlx::query!(
        "-- idempotency_keys.release
        delete from idempotency_keys where slot = $1 and app = $2 and key = $3 and message_id = $4",
        slot(&[app.as_str(), key]),
        app.as_str(),
        key,
        message.uuid()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` keys claimed before `before`. Returns how many.
pub async fn forget(pool: &Database, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
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
