//! Sends of this process whose answer is not written down yet. A database that was away for longer than a lease must not make
//! such a send `unknown`: its answer is known here, and comes as soon as it can be written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::domain::ids::MessageId;

/// Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<Uuid, usize>>>);

/// One send; over when dropped.
pub struct Held {
    all: UnderWay,
    message: Uuid,
}

impl UnderWay {
    pub fn begin(&self, message: MessageId) -> Held {
        let message = message.uuid();
        *self.lock().entry(message).or_default() += 1;
        Held { all: self.clone(), message }
    }

    /// The messages that have a send under way here.
    pub fn messages(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.message) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.message);
            }
        }
    }
}
