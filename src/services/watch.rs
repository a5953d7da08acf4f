//! Who waits for a message hears that it changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::domain::ids::MessageId;

/// Waiters of this process, by message. Only a hint: a change made by another instance is found by asking again.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<HashMap<MessageId, Waiters>>>);

struct Waiters {
    notify: Arc<Notify>,
    count: usize,
}

/// A place in the queue; given up when dropped.
pub struct Waiting {
    watch: Watch,
    message: MessageId,
    notify: Arc<Notify>,
}

impl Watch {
    /// Changes from now on are heard.
    pub fn wait_for(&self, message: MessageId) -> Waiting {
        let mut map = self.lock();
        let waiters = map.entry(message).or_insert_with(|| Waiters { notify: Arc::new(Notify::new()), count: 0 });
        waiters.count += 1;
        Waiting { watch: self.clone(), message, notify: Arc::clone(&waiters.notify) }
    }

    pub fn tell(&self, messages: impl IntoIterator<Item = MessageId>) {
        let map = self.lock();
        if map.is_empty() {
            return;
        }
        for message in messages {
            if let Some(waiters) = map.get(&message) {
                waiters.notify.notify_waiters();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<MessageId, Waiters>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Waiting {
    /// Completes at the next change. Call it before looking at the message, await it after: then none is missed.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut map = self.watch.lock();
        if let Some(waiters) = map.get_mut(&self.message) {
            waiters.count -= 1;
            if waiters.count == 0 {
                map.remove(&self.message);
            }
        }
    }
}
