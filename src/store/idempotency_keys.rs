//! Table `idempotency_keys`: the first answer to a request, given again to its repeats.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::code_keys::Fingerprint;
use crate::domain::ids::MessageId;
use crate::store::database::Database;
use crate::store::messages::message_id;
use crate::store::{StoreError, slot};

/// What a key stands for.
#[derive(Clone, Debug)]
pub struct Claim {
    pub body: Fingerprint,
    pub message: MessageId,
    /// JSON, given again as it stands.
    pub answer: String,
}

/// A key to be claimed.
#[derive(Clone, Debug)]
pub struct NewClaim {
    pub app: String,
    pub key: String,
    pub claim: Claim,
    pub at: DateTime<Utc>,
}

/// Claims keys, each for a message that is about to be stored. For each, in order: whether it was free. A claim commits
/// before its message: whoever repeats the request stores the same message under the same id.
pub async fn claim(pool: &Database, claims: &[NewClaim]) -> Result<Vec<bool>, StoreError> {
    // In the order of their keys, so that two groups cannot wait for each other.
    let mut sorted: Vec<(i16, &NewClaim)> = claims.iter().map(|c| (slot(&[&c.app, &c.key]), c)).collect();
    sorted.sort_by_key(|(slot, c)| (*slot, c.app.as_str(), c.key.as_str()));
    let slots: Vec<i16> = sorted.iter().map(|(slot, _)| *slot).collect();
    let text = |f: for<'b> fn(&'b NewClaim) -> &'b str| sorted.iter().map(|(_, c)| f(c)).collect::<Vec<_>>();
    let key_ids: Vec<i16> = sorted.iter().map(|(_, c)| c.claim.body.key_id).collect();
    let hashes: Vec<&[u8]> = sorted.iter().map(|(_, c)| c.claim.body.hash.as_slice()).collect();
    let ids: Vec<Uuid> = sorted.iter().map(|(_, c)| c.claim.message.uuid()).collect();
    let times: Vec<DateTime<Utc>> = sorted.iter().map(|(_, c)| c.at).collect();
    let won = sqlx::query_scalar!(
        "-- idempotency_keys.claim
        insert into idempotency_keys (slot, app, key, key_id, body_hash, message_id, answer, created_at)
        select slot, app, key, key_id, body_hash, message_id, answer::json, at
          from unnest($1::smallint[], $2::text[], $3::text[], $4::smallint[], $5::bytea[], $6::uuid[], $7::text[],
                      $8::timestamptz[]) as n (slot, app, key, key_id, body_hash, message_id, answer, at)
        on conflict (slot, app, key) do nothing
        returning message_id",
        &slots,
        &text(|c| &c.app) as _,
        &text(|c| &c.key) as _,
        &key_ids,
        &hashes as _,
        &ids,
        &text(|c| &c.claim.answer) as _,
        &times
    )
    .fetch_all(pool)
    .await?;
    let won: HashSet<Uuid> = won.into_iter().collect();
    Ok(claims.iter().map(|c| won.contains(&c.claim.message.uuid())).collect())
}

/// What a key stands for; `None` when nobody claimed it, or it was forgotten.
pub async fn find(pool: &Database, app: &str, key: &str) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query!(
        r#"-- idempotency_keys.find
        select key_id, body_hash, message_id, answer::text as "answer!" from idempotency_keys where slot = $1 and app = $2 and key = $3"#,
        slot(&[app, key]),
        app,
        key
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Claim {
        body: Fingerprint { key_id: row.key_id, hash: row.body_hash },
        message: message_id(row.message_id)?,
        answer: row.answer,
    }))
}

/// Forgets keys claimed before `before`; at most `limit` of them. Returns how many.
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
