//! API keys: created once, shown once, stored as a hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::secret::Secret;
use crate::services::database_error::DatabaseError;
use crate::services::randomness;
use crate::store::StoreError;
use crate::store::api_keys::{self, StoredKey};
use crate::store::database::Database;

/// Prefix of every key, so that scanners for leaked secrets recognise it.
const PREFIX: &str = "otp_live_";
/// Every instance refuses a revoked key after at most this time.
const REMEMBER: Duration = Duration::from_secs(5);
/// A cached key older than this is looked up again in the background while it is still valid, so that no request waits.
const ASK_AFTER: Duration = Duration::from_millis(2_500);
/// Maximum wait of a request whose key is not cached.
const STRANGER_WAITS: Duration = Duration::from_secs(2);
/// Maximum number of cached keys.
const REMEMBERED: usize = 10_000;

#[derive(Clone)]
pub struct AppKeys {
    pub pool: Database,
    pub clock: Clock,
    known: Arc<Mutex<HashMap<String, Known>>>,
    strangers: Arc<Semaphore>,
}

struct Known {
    /// When it was read from the database.
    at: Instant,
    key: StoredKey,
    /// A refresh is in progress.
    is_asked: bool,
}

/// A new key, shown to its owner once.
pub struct NewKey {
    pub key_id: String,
    pub app: AppId,
    pub key: Secret,
}

impl AppKeys {
    pub fn new(pool: Database, clock: Clock) -> Self {
        Self { pool, clock, known: Arc::default(), strangers: Arc::new(Semaphore::new(1)) }
    }

    /// Creates a key of 256 random bits for `app`: `otp_live_<id>_<secret>`.
    ///
    /// # Errors
    /// When it cannot be stored; `app` must be lower-case letters, digits and hyphens.
    pub async fn create(&self, app: &AppId, label: &str) -> Result<NewKey, StoreError> {
        let key_id = hex::encode(randomness::bytes::<4>());
        let secret = URL_SAFE_NO_PAD.encode(randomness::bytes::<32>());
        let stored = StoredKey {
            key_id: key_id.clone(),
            app: app.clone(),
            secret_hash: Sha256::digest(secret.as_bytes()).to_vec(),
            label: label.to_owned(),
            created_at: self.clock.now(),
            revoked_at: None,
        };
        api_keys::insert(&self.pool, &stored).await?;
        Ok(NewKey { app: stored.app, key: Secret::new(format!("{PREFIX}{key_id}_{secret}")), key_id })
    }

    /// The app that this key belongs to; `None` when the key is unknown or revoked.
    ///
    /// # Errors
    /// When the database is unavailable and the key is not cached.
    pub async fn app_of(&self, key: &str) -> Result<Option<AppId>, DatabaseError> {
        let Some((key_id, secret)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        if key_id.len() != 8 || !key_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let Some(stored) = self.find(key_id).await? else { return Ok(None) };
        let hash = Sha256::digest(secret.as_bytes());
        let is_right: bool = subtle::ConstantTimeEq::ct_eq(hash.as_slice(), stored.secret_hash.as_slice()).into();
        Ok((is_right && stored.revoked_at.is_none()).then_some(stored.app))
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
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
