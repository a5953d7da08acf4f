//! Which instances live. They share the rate and the concurrency of each account in equal parts.
//!
//! The others notice a new instance within a second, and a dead one after 5 s; in between the total may be slightly
//! above or below the limit. Breakers are not shared: each instance finds out by itself that an account has a fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::clock::Clock;
use crate::services::accounts::account::Accounts;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::instances;
use crate::telemetry::names;

/// An instance that was not seen for this time is dead.
const LIVES_FOR: TimeDelta = TimeDelta::seconds(5);

/// Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Instances {
    pool: Database,
    clock: Clock,
    accounts: Accounts,
    id: Uuid,
    live: Arc<AtomicU32>,
}

impl Instances {
    /// `id`: unique to this process.
    pub fn new(pool: Database, clock: Clock, accounts: Accounts, id: Uuid) -> Self {
        Self { pool, clock, accounts, id, live: Arc::new(AtomicU32::new(1)) }
    }

    /// Records that this instance lives, counts the others, and takes its share of each account.
    ///
    /// # Errors
    /// When the database is unavailable; the shares then stay as they are.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let live = instances::beat(&self.pool, self.id, now, now - LIVES_FOR).await?;
        self.live.store(live, Ordering::Relaxed);
        metrics::gauge!(names::INSTANCES).set(f64::from(live));
        for account in self.accounts.all() {
            account.limiter.share(live);
        }
        Ok(())
    }

    /// Records that this instance stops, so that the others need not wait for its expiry.
    ///
    /// # Errors
    /// When the database is unavailable; then they wait.
    pub async fn leave(&self) -> Result<(), StoreError> {
        instances::leave(&self.pool, self.id).await
    }

    /// The number of live instances, including this one.
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }
}
