//! Which instances live. They share the rate and the concurrency of each account: a share is one part of as many as live.
//!
//! A new instance is seen by the others within a second, and one that died is forgotten after 5 s; in between a little more
//! or less than the limit may leave. Breakers are not shared: each instance finds out by itself that an account is not well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use uuid::Uuid;

use crate::clock::Clock;
use crate::services::account::Accounts;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::instances;
use crate::telemetry::names;

/// An instance that was not seen for so long is dead.
const LIVES_FOR: TimeDelta = TimeDelta::seconds(5);

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Instances {
    pool: Database,
    clock: Clock,
    accounts: Accounts,
    id: Uuid,
    live: Arc<AtomicU32>,
}

impl Instances {
    /// `id`: a name for this process that no other ever had.
    pub fn new(pool: Database, clock: Clock, accounts: Accounts, id: Uuid) -> Self {
        Self { pool, clock, accounts, id, live: Arc::new(AtomicU32::new(1)) }
    }

    /// Says that this instance lives, counts the others, and takes its share of each account.
    ///
    /// # Errors
    /// When the database is away; the shares then stay as they are.
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

    /// The others need not wait until it is forgotten.
    ///
    /// # Errors
    /// When the database is away; then they wait.
    pub async fn leave(&self) -> Result<(), StoreError> {
        instances::leave(&self.pool, self.id).await
    }

    /// How many live, this one among them.
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }
}
