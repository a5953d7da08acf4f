//! How many messages wait at each account, so that no more are accepted than can be sent in time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::domain::queueing::{Queue, overload};
use crate::domain::route::Route;
use crate::services::accounts::account::Accounts;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::database::Database;
use crate::telemetry::names;

/// The count is limited to what can be sent within the longest life of a message, 600 s.
const COUNTED_S: f64 = 600.0;
/// Maximum number of rows counted per account.
const MOST: i64 = 100_000;

/// Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Backlog {
    accounts: Accounts,
    /// Due attempts at the last count, plus those accepted here since.
    waiting: Arc<Mutex<HashMap<String, i64>>>,
}

impl Backlog {
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, waiting: Arc::default() }
    }

    /// Counts the waiting attempts of all instances.
    ///
    /// # Errors
    /// When the database is unavailable; the last count then stays.
    pub async fn count(&self, pool: &Database, now: DateTime<Utc>) -> Result<(), StoreError> {
        let most = |per_second: f64| ((per_second * COUNTED_S) as i64 + 1).min(MOST);
        let all: Vec<(String, i64)> =
            self.accounts.all().iter().map(|a| (a.name.clone(), most(a.limiter.per_second()))).collect();
        let counted = attempts::waiting(pool, &all, now).await?;
        for (account, waiting) in &counted {
            metrics::gauge!(names::SENDS_WAITING, "account" => account.clone()).set(*waiting as f64);
        }
        *self.lock() = counted;
        Ok(())
    }

    /// Adds one waiting attempt to this account until the next count.
    pub fn note(&self, account: &str) {
        let mut waiting = self.lock();
        match waiting.get_mut(account) {
            Some(count) => *count += 1,
            None => drop(waiting.insert(account.to_owned(), 1)),
        }
    }

    /// After how many seconds a message with this route is worth another try; `None` when it can be sent in time now.
    pub fn overload(&self, route: &Route, valid_for_s: i32) -> Option<u64> {
        let waiting = self.lock();
        let queue = |account: &str| {
            let per_second = self.accounts.get(account).map_or(f64::INFINITY, |a| a.limiter.per_second());
            Queue { waiting: waiting.get(account).copied().unwrap_or(0), per_second }
        };
        let steps: Vec<Queue> = route.steps().iter().map(|step| queue(&step.account)).collect();
        overload(&steps, route.replace_after_s, valid_for_s)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
