//! Tables `apps` and `api_keys`.

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::domain::key_scope::KeyRights;
use crate::domain::network::Network;
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
    pub expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub rights: KeyRights,
}

struct Row {
    key_id: String,
    app: String,
    secret_hash: Vec<u8>,
    label: String,
    created_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    scopes: Vec<String>,
    networks: Vec<String>,
}

impl From<Row> for StoredKey {
    /// A scope of a newer version is left out, and a network that cannot be read admits nobody.
    fn from(row: Row) -> Self {
        let Row { key_id, app, secret_hash, label, created_at, revoked_at, expires_at, last_used_at, .. } = row;
        let nobody = || Network::parse("0.0.0.0/32").expect("an address");
        let rights = KeyRights {
            scopes: row.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            networks: row.networks.iter().map(|text| Network::parse(text).unwrap_or_else(nobody)).collect(),
        };
        let app = AppId::stored(&app);
        Self { key_id, app, secret_hash, label, created_at, revoked_at, expires_at, last_used_at, rights }
    }
}

/// Stores a key, and its app if that is new.
pub async fn insert(pool: &Database, key: &StoredKey) -> Result<(), StoreError> {
    let scopes: Vec<&str> = key.rights.scopes.iter().map(|scope| scope.as_str()).collect();
    let networks: Vec<String> = key.rights.networks.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "-- api_keys.insert
        with new_app as (insert into apps (app, created_at) values ($2, $5) on conflict do nothing)
        insert into api_keys (key_id, app, secret_hash, label, created_at, expires_at, scopes, networks)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.key_id,
        key.app.as_str(),
        key.secret_hash,
        key.label,
        key.created_at,
        key.expires_at,
        &scopes as _,
        &networks
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn find(pool: &Database, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
    let found = sqlx::query_as!(
        Row,
        "-- api_keys.find
        select key_id, app, secret_hash, label, created_at, revoked_at, expires_at, last_used_at, scopes, networks
          from api_keys where key_id = $1",
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
        select key_id, app, secret_hash, label, created_at, revoked_at, expires_at, last_used_at, scopes, networks
          from api_keys order by created_at, key_id"
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

/// Ids of the keys revoked since `since`.
pub async fn revoked_since(pool: &Database, since: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    let ids = sqlx::query_scalar!(
        "-- api_keys.revoked_since
        select key_id from api_keys where revoked_at >= $1",
        since
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Notes that keys were used.
pub async fn note_used(pool: &Database, key_ids: &[String], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- api_keys.note_used
        update api_keys set last_used_at = $2 where key_id = any($1) and coalesce(last_used_at, '-infinity') < $2",
        key_ids,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}
