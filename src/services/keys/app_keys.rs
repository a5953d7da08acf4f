//! API keys: created once, shown once, stored as a hash.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::key_scope::{KeyRights, KeyScope};
use crate::domain::secret::Secret;
use crate::services::database_error::DatabaseError;
use crate::services::randomness;
use crate::store::StoreError;
use crate::store::api_keys::{self, StoredKey};
use crate::store::database::Database;

/// Prefix of every key, so that scanners for leaked secrets recognise it.
const PREFIX: &str = "otp_live_";
/// Every instance refuses a revoked key after at most this time, even if it cannot follow revocations ([`AppKeys::follow`]).
const REMEMBER: Duration = Duration::from_secs(5);
/// A cached key older than this is looked up again in the background while it is still valid, so that no request waits.
const ASK_AFTER: Duration = Duration::from_millis(2_500);
/// Maximum wait of a request whose key is not cached.
const STRANGER_WAITS: Duration = Duration::from_secs(2);
/// How far back revocations are looked for each second.
const FOLLOWED: TimeDelta = TimeDelta::seconds(10);
/// The last use of a key is stored to this precision.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Maximum number of cached keys.
const REMEMBERED: usize = 10_000;

#[derive(Clone)]
pub struct AppKeys {
    pub pool: Database,
    pub clock: Clock,
    known: Arc<Mutex<HashMap<String, Known>>>,
    /// Keys used since the last time that this was stored.
    used: Arc<Mutex<HashSet<String>>>,
    strangers: Arc<Semaphore>,
}

struct Known {
    /// When it was read from the database.
    at: Instant,
    key: StoredKey,
    /// A refresh is in progress.
    is_asked: bool,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct KeyHolder {
    pub app: AppId,
    pub rights: KeyRights,
}

/// What a new key may do, and until when.
#[derive(Clone, Debug)]
pub struct Wish {
    /// For people.
    pub label: String,
    pub rights: KeyRights,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Wish {
    /// What an app's server needs, without an end.
    pub fn usual(label: &str) -> Self {
        let scopes = KeyScope::USUAL.into_iter().collect();
        Self { label: label.to_owned(), rights: KeyRights { scopes, networks: Vec::new() }, expires_at: None }
    }
}

/// A new key, shown to its owner once.
pub struct NewKey {
    pub key_id: String,
    pub app: AppId,
    pub key: Secret,
}

impl AppKeys {
    pub fn new(pool: Database, clock: Clock) -> Self {
        Self { pool, clock, known: Arc::default(), used: Arc::default(), strangers: Arc::new(Semaphore::new(1)) }
    }

    /// Creates a key of 256 random bits for `app` that may do what an app's server needs.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create(&self, app: &AppId, label: &str) -> Result<NewKey, StoreError> {
        self.create_as(app, Wish::usual(label)).await
    }

    /// Creates a key of 256 random bits for `app`: `otp_live_<id>_<secret>`.
    ///
    /// # Errors
    /// When it cannot be stored; `app` must be lower-case letters, digits and hyphens.
    pub async fn create_as(&self, app: &AppId, wish: Wish) -> Result<NewKey, StoreError> {
        let key_id = hex::encode(randomness::bytes::<4>());
        let secret = URL_SAFE_NO_PAD.encode(randomness::bytes::<32>());
        let stored = StoredKey {
            key_id: key_id.clone(),
            app: app.clone(),
            secret_hash: Sha256::digest(secret.as_bytes()).to_vec(),
            label: wish.label,
            created_at: self.clock.now(),
            revoked_at: None,
            expires_at: wish.expires_at,
            last_used_at: None,
            rights: wish.rights,
        };
        api_keys::insert(&self.pool, &stored).await?;
        Ok(NewKey { app: stored.app, key: Secret::new(format!("{PREFIX}{key_id}_{secret}")), key_id })
    }

    /// The app that this key belongs to and what it may do; `None` when the key is unknown, revoked or expired.
    ///
    /// # Errors
    /// When the database is unavailable and the key is not cached.
    pub async fn holder_of(&self, key: &str) -> Result<Option<KeyHolder>, DatabaseError> {
        let Some((key_id, secret)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        if key_id.len() != 8 || !key_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let Some(stored) = self.find(key_id).await? else { return Ok(None) };
        let hash = Sha256::digest(secret.as_bytes());
        let is_right: bool = subtle::ConstantTimeEq::ct_eq(hash.as_slice(), stored.secret_hash.as_slice()).into();
        let now = self.clock.now();
        let is_valid = is_right && stored.revoked_at.is_none() && stored.expires_at.is_none_or(|end| now < end);
        if !is_valid {
            return Ok(None);
        }
        if stored.last_used_at.is_none_or(|last| last < now - NOTED_EVERY) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(stored.key_id);
        }
        Ok(Some(KeyHolder { app: stored.app, rights: stored.rights }))
    }

    /// Forgets keys that were revoked elsewhere, and stores which keys were used. Called once a second.
    ///
    /// # Errors
    /// When the database is unavailable; a revoked key is then refused when its cached entry ends.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for key_id in api_keys::revoked_since(&self.pool, now - FOLLOWED).await? {
            self.lock().remove(&key_id);
        }
        let used: Vec<String> = self.used.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if used.is_empty() { Ok(()) } else { api_keys::note_used(&self.pool, &used, now).await }
    }

    async fn find(&self, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
        let remembered = self.lock().get_mut(key_id).and_then(|known| {
            let age = known.at.elapsed();
            let asks = age >= ASK_AFTER && !std::mem::replace(&mut known.is_asked, true);
            (age < REMEMBER).then(|| (known.key.clone(), asks))
        });
        let Some((key, asks)) = remembered else { return self.ask_for_stranger(key_id).await };
        if asks {
            // Refreshed early, once for all requests; meanwhile the cached value is used.
            let (keys, key_id) = (self.clone(), key_id.to_owned());
            tokio::spawn(async move {
                if keys.ask(&key_id).await.is_err()
                    && let Some(known) = keys.lock().get_mut(&key_id)
                {
                    known.is_asked = false;
                }
            });
        }
        Ok(Some(key))
    }

    /// Anybody can send an unknown key. Their look-ups run one after the other, so that those of known keys never wait
    /// for them.
    async fn ask_for_stranger(&self, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
        let turn = tokio::time::timeout(STRANGER_WAITS, self.strangers.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(sqlx::Error::PoolTimedOut.into()) };
        // Another request may have looked up the same key meanwhile.
        let remembered = self.lock().get(key_id).filter(|known| known.at.elapsed() < ASK_AFTER).map(|k| k.key.clone());
        match remembered {
            Some(key) => Ok(Some(key)),
            None => self.ask(key_id).await,
        }
    }

    async fn ask(&self, key_id: &str) -> Result<Option<StoredKey>, StoreError> {
        let found = api_keys::find(&self.pool, key_id).await?;
        let mut known = self.lock();
        match &found {
            Some(key) => {
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                let key = Known { at: Instant::now(), key: key.clone(), is_asked: false };
                known.insert(key_id.to_owned(), key);
            }
            None => {
                known.remove(key_id);
            }
        }
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
