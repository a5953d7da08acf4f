//! Group commit of what the API creates: new messages, and the idempotency keys claimed for them. Nothing here needs a lock.

use crate::clock::Clock;
use crate::domain::limits::sends;
use crate::services::grouped::{Grouped, WORKERS};
use crate::store::database::Database;
use crate::store::idempotency_keys::{self, NewClaim};
use crate::store::messages::{self, NewMessage};

/// One for each worker of each queue.
pub const CONNECTIONS: u32 = 2 * WORKERS as u32;

#[derive(Clone)]
pub struct Intake {
    /// Whether the key was free.
    pub claims: Grouped<NewClaim, bool>,
    /// Whether it is stored: not if another message to the number was faster.
    pub messages: Grouped<NewMessage, bool>,
}

impl Intake {
    /// Starts its workers. Call it inside a tokio runtime.
    pub fn start(pool: &Database, clock: &Clock) -> Self {
        let (of_claims, of_messages) = (pool.clone(), pool.clone());
        let claims = Grouped::start(WORKERS, move |group: Vec<NewClaim>| {
            let pool = of_claims.clone();
            async move { idempotency_keys::claim(&pool, &group).await }
        });
        let clock = clock.clone();
        let messages = Grouped::start(WORKERS, move |group: Vec<NewMessage>| {
            let (pool, forget_at) = (of_messages.clone(), clock.now() + sends::KEPT_FOR);
            async move { messages::insert(&pool, &group, forget_at).await }
        });
        Self { claims, messages }
    }
}
