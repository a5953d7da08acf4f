//! Notifies requests that wait for a message when it changes.
//!
//! All requests that wait for one message share its reads: after a change by this process it is read once, and changes
//! by other instances are found by one statement for many messages, however many requests wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::domain::app_id::AppId;
use crate::domain::attempt::State;
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::store::database::Database;
use crate::store::messages;
use crate::store::stored::StoredMessage;
use crate::store::{StoreError, watched};

/// Maximum number of messages in one statement.
const GROUP: usize = 512;
/// How often each watched message is checked for changes by other instances.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Pause between two groups of these checks, so that many watched messages do not overload the database.
const PAUSE: Duration = Duration::from_millis(50);

/// Maximum number of waiting requests.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    pub all: usize,
    pub per_app: usize,
}

/// Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Watch(Arc<Shared>);

struct Shared {
    limits: WaitLimits,
    state: Mutex<Watched>,
    /// Something changed.
    changed: Notify,
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Watched {
    messages: BTreeMap<MessageId, Message>,
    changed: BTreeSet<MessageId>,
    per_app: HashMap<AppId, usize>,
    all: usize,
    /// The last message that was checked, and the start of the current round over all of them.
    round: Option<(MessageId, Instant)>,
}

struct Message {
    latest: watch::Sender<Option<Arc<StoredMessage>>>,
    waiters: usize,
    /// As last read.
    standing: Option<(State, Outcome)>,
}

/// The maximum number of requests is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyWait;

/// A place among the waiting requests; released when dropped.
pub struct Waiting {
    watch: Watch,
    message: MessageId,
    app: AppId,
    latest: watch::Receiver<Option<Arc<StoredMessage>>>,
    stopping: watch::Receiver<bool>,
}

/// Reads messages for the waiting requests.
#[derive(Clone)]
pub struct Watcher {
    pub watch: Watch,
    /// With separate connections, so that waiting takes none from other requests.
    pub pool: Database,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(WaitLimits { all: usize::MAX, per_app: usize::MAX })
    }
}

impl Watch {
    pub fn new(limits: WaitLimits) -> Self {
        let (stopping, _) = watch::channel(false);
        Self(Arc::new(Shared { limits, state: Mutex::default(), changed: Notify::new(), stopping }))
    }

    /// Changes from now on are noticed.
    ///
    /// # Errors
    /// [`TooManyWait`].
    pub fn wait_for(&self, app: &AppId, message: MessageId) -> Result<Waiting, TooManyWait> {
        let mut state = self.lock();
        let of_app = state.per_app.get(app).copied().unwrap_or(0);
        if state.all >= self.0.limits.all || of_app >= self.0.limits.per_app {
            return Err(TooManyWait);
        }
        state.all += 1;
        *state.per_app.entry(app.clone()).or_default() += 1;
        let watched = state.messages.entry(message).or_insert_with(|| Message {
            latest: watch::channel(None).0,
            waiters: 0,
            standing: None,
        });
        watched.waiters += 1;
        let latest = watched.latest.subscribe();
        drop(state);
        let stopping = self.0.stopping.subscribe();
        Ok(Waiting { watch: self.clone(), message, app: app.clone(), latest, stopping })
    }

    /// Announces committed changes of these messages.
    pub fn tell(&self, messages: impl IntoIterator<Item = MessageId>) {
        let mut state = self.lock();
        if state.messages.is_empty() {
            return;
        }
        let watched: Vec<MessageId> = messages.into_iter().filter(|id| state.messages.contains_key(id)).collect();
        if !watched.is_empty() {
            state.changed.extend(watched);
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Ends all waits: each request is answered with what is known.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// The number of waiting requests.
    pub fn waiters(&self) -> usize {
        self.lock().all
    }

    /// Waits until there is something to check: at most `longest`.
    pub async fn work(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest.min(self.pause()), self.0.changed.notified()).await;
    }

    fn publish(&self, found: Vec<StoredMessage>) {
        let mut state = self.lock();
        for message in found {
            if let Some(watched) = state.messages.get_mut(&message.message.id) {
                watched.standing = Some((message.message.state, message.message.outcome));
                watched.latest.send_replace(Some(Arc::new(message)));
            }
        }
    }

    /// The next watched messages to check. Empty when all of them were checked a moment ago.
    fn next_group(&self) -> Vec<MessageId> {
        let mut state = self.lock();
        let (after, began) = match state.round {
            Some((last, began)) => (Bound::Excluded(last), began),
            None => (Bound::Unbounded, Instant::now()),
        };
        let group: Vec<MessageId> =
            state.messages.range((after, Bound::Unbounded)).take(GROUP).map(|(id, _)| *id).collect();
        match group.last() {
            Some(last) => state.round = Some((*last, began)),
            // All were checked; the next round starts when it is time.
            None if began.elapsed() >= LOOK_AGAIN => state.round = None,
            None => {}
        }
        group
    }

    /// How long nothing needs to be checked.
    fn pause(&self) -> Duration {
        let state = self.lock();
        match state.round {
            Some((last, _)) if state.messages.range((Bound::Excluded(last), Bound::Unbounded)).next().is_some() => {
                PAUSE
            }
            Some((_, began)) => LOOK_AGAIN.saturating_sub(began.elapsed()).max(PAUSE),
            None if state.messages.is_empty() => LOOK_AGAIN,
            None => PAUSE,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Reads what changed, once for all waiting requests, and looks for changes by other instances when it is time.
    ///
    /// # Errors
    /// When the database is unavailable. The changes are read the next time.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let Self { watch, pool } = self;
        let changed: Vec<MessageId> = {
            let mut state = watch.lock();
            let some = state.changed.iter().take(GROUP).copied().collect::<Vec<_>>();
            some.iter().for_each(|id| {
                state.changed.remove(id);
            });
            if !state.changed.is_empty() {
                watch.0.changed.notify_one();
            }
            some
        };
        if !changed.is_empty() {
            match messages::read(pool, &changed).await {
                Ok(found) => watch.publish(found.messages),
                Err(error) => {
                    watch.lock().changed.extend(changed);
                    return Err(error);
                }
            }
        }
        let group = watch.next_group();
        if !group.is_empty() {
            let found = watched::standing(pool, &group).await?;
            let others: Vec<MessageId> = {
                let state = watch.lock();
                let differs = |id: &MessageId, now| {
                    state.messages.get(id).and_then(|m| m.standing).is_some_and(|known| known != now)
                };
                found.iter().filter(|(id, s, o)| differs(id, (*s, *o))).map(|(id, ..)| *id).collect()
            };
            watch.tell(others);
        }
        Ok(())
    }
}

impl Waiting {
    /// What the waiting request has read itself, after it began to wait.
    pub fn saw(&self, message: &StoredMessage) {
        let mut state = self.watch.lock();
        if let Some(watched) = state.messages.get_mut(&self.message) {
            watched.standing.get_or_insert((message.message.state, message.message.outcome));
        }
    }

    /// The message at its next change. `None` when the service stops.
    pub async fn next(&mut self) -> Option<Arc<StoredMessage>> {
        loop {
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                changed = self.latest.changed() => changed.ok()?,
            }
            let latest = self.latest.borrow_and_update().clone();
            if latest.is_some() {
                return latest;
            }
        }
    }

    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        state.all -= 1;
        if let Some(count) = state.per_app.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                state.per_app.remove(&self.app);
            }
        }
        if let Some(watched) = state.messages.get_mut(&self.message) {
            watched.waiters -= 1;
            if watched.waiters == 0 {
                state.messages.remove(&self.message);
                state.changed.remove(&self.message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Bucket;
    use crate::domain::phone::Phone;

    fn message(n: u8) -> MessageId {
        let bucket = Bucket::of(&Phone::parse("+628123450003").unwrap());
        MessageId::new(chrono::DateTime::UNIX_EPOCH, bucket, [n; 8])
    }

    #[test]
    fn each_app_has_its_share_of_those_who_wait_and_places_come_back() {
        let watch = Watch::new(WaitLimits { all: 3, per_app: 2 });
        let one = watch.wait_for(&AppId::stored("shop"), message(1)).unwrap();
        let _two = watch.wait_for(&AppId::stored("shop"), message(1)).unwrap();
        assert!(watch.wait_for(&AppId::stored("shop"), message(2)).is_err());
        let _three = watch.wait_for(&AppId::stored("bank"), message(2)).unwrap();
        assert!(watch.wait_for(&AppId::stored("bank"), message(3)).is_err(), "all together");
        drop(one);
        assert_eq!(watch.waiters(), 2);
        drop(watch.wait_for(&AppId::stored("shop"), message(3)).unwrap());
        drop((_two, _three));
        let state = watch.lock();
        assert_eq!((state.all, state.messages.len(), state.per_app.len(), state.changed.len()), (0, 0, 0, 0));
    }

    #[test]
    fn every_watched_message_has_its_turn() {
        let watch = Watch::new(WaitLimits { all: 5_000, per_app: 5_000 });
        let ids: BTreeSet<MessageId> = (0..=255_u8).map(message).collect();
        let waiting: Vec<Waiting> =
            ids.iter().flat_map(|id| (0..4).map(|_| watch.wait_for(&AppId::stored("shop"), *id).unwrap())).collect();
        assert_eq!(watch.next_group().into_iter().collect::<BTreeSet<_>>(), ids, "each once, whoever waits for it");
        assert!(watch.next_group().is_empty(), "not again at once");
        watch.tell([message(7), message(7), MessageId::new(chrono::DateTime::UNIX_EPOCH, message(7).bucket(), [9; 8])]);
        assert_eq!(watch.lock().changed.len(), 2, "each once");
        drop(waiting);
        assert!(watch.lock().changed.is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_let_go_when_the_service_stops() {
        let watch = Watch::new(WaitLimits { all: 3, per_app: 2 });
        let mut one = watch.wait_for(&AppId::stored("shop"), message(1)).unwrap();
        let waiting = tokio::spawn(async move { one.next().await.is_none() });
        watch.stop();
        assert!(waiting.await.unwrap());
        let mut late = watch.wait_for(&AppId::stored("shop"), message(1)).unwrap();
        assert!(late.is_stopping() && late.next().await.is_none());
    }
}
