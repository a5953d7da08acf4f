//! Tables `apps` and `api_keys`.

use chrono::{DateTime, Utc};

use crate::store::StoreError;
use crate::store::database::Database;

#[derive(Clone, Debug)]
pub struct StoredKey {
    pub key_id: String,
    pub app: String,
    pub secret_hash: Vec<u8>,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Stores a key, and its app when that is new.
pub async fn insert(pool: &Database, key: &StoredKey) -> Result<(), StoreError> {
    sqlx::query!(
        "-- api_keys.insert
        with new_app as (insert into apps (app, created_at) values ($2, $5) on conflict do nothing)
        insert into api_keys (key_id, app, secret_hash, label, created_at) values ($1, $2, $3, $4, $5)",
        key.key_id,
        key.app,
        key.secret_hash,
        key.label,
        key.created_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn find(pool: &Database, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
    Ok(sqlx::query_as!(
        StoredKey,
        "-- api_keys.find
        select key_id, app, secret_hash, label, created_at, revoked_at from api_keys where key_id = $1",
        key_id
    )
    .fetch_optional(pool)
    .await?)
}

/// All apps that ever had a key.
pub async fn apps(pool: &Database) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!("-- apps.list\nselect app from apps order by app").fetch_all(pool).await?)
}

pub async fn list(pool: &Database) -> Result<Vec<StoredKey>, StoreError> {
    Ok(sqlx::query_as!(
        StoredKey,
        "-- api_keys.list
        select key_id, app, secret_hash, label, created_at, revoked_at from api_keys order by created_at, key_id"
    )
    .fetch_all(pool)
    .await?)
}

/// `false` when there is no such key that is still good.
pub async fn revoke(pool: &Database, key_id: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "-- api_keys.revoke
        update api_keys set revoked_at = $2 where key_id = $1 and revoked_at is null",
        key_id,
        now
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}
