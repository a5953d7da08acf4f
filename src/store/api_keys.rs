//! Tables `apps` and `api_keys`.

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::store::StoreError;
use crate::store::database::Database;

#[derive(Clone, Debug)]
pub struct StoredKey {
    pub key_id: String,
    pub app: AppId,
    pub secret_hash: Vec<u8>,
    pub label: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

struct Row {
    key_id: String,
    app: String,
    secret_hash: Vec<u8>,
    label: String,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for StoredKey {
    fn from(row: Row) -> Self {
        let Row { key_id, app, secret_hash, label, created_at, revoked_at } = row;
        Self { key_id, app: AppId::stored(&app), secret_hash, label, created_at, revoked_at }
    }
}

/// Stores a key, and its app if that is new.
pub async fn insert(pool: &Database, key: &StoredKey) -> Result<(), StoreError> {
    sqlx::query!(
        "-- api_keys.insert
        with new_app as (insert into apps (app, created_at) values ($2, $5) on conflict do nothing)
        insert into api_keys (key_id, app, secret_hash, label, created_at) values ($1, $2, $3, $4, $5)",
        key.key_id,
        key.app.as_str(),
        key.secret_hash,
        key.label,
        key.created_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn find(pool: &Database, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
    let found = sqlx::query_as!(
        Row,
        "-- api_keys.find
        select key_id, app, secret_hash, label, created_at, revoked_at from api_keys where key_id = $1",
        key_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.map(StoredKey::from))
}

/// All apps that have or had a key.
pub async fn apps(pool: &Database) -> Result<Vec<AppId>, StoreError> {
    let apps = sqlx::query_scalar!("-- apps.list\nselect app from apps order by app").fetch_all(pool).await?;
    Ok(apps.iter().map(|app| AppId::stored(app)).collect())
}

pub async fn list(pool: &Database) -> Result<Vec<StoredKey>, StoreError> {
    let found = sqlx::query_as!(
        Row,
        "-- api_keys.list
        select key_id, app, secret_hash, label, created_at, revoked_at from api_keys order by created_at, key_id"
    )
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(StoredKey::from).collect())
}

/// `false` when there is no such valid key.
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
