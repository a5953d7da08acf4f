//! The state that the simulator's threads share.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::engine::account::{Mode, SimAccount};
use crate::engine::book::Book;
use crate::engine::callback::Callback;
use crate::engine::clock::Clock;
use crate::engine::face::Face;
use crate::engine::fates::GivenFates;
use crate::engine::laws::Laws;
use crate::engine::retries::{Batching, Retries};
use crate::engine::schedule::Schedule;
use crate::engine::seen::SeenPhone;
use crate::engine::stats::{AccountStats, Advanced, Refusal, Stats};

/// Number of refusals kept.
const KEPT_REFUSALS: usize = 100;

pub(crate) struct Account {
    pub fixed: SimAccount,
    pub face: &'static dyn Face,
    pub live: Mutex<Live>,
    /// Statuses waiting for their batch.
    pub batch: Mutex<Vec<Callback>>,
}

/// What can be changed at run time.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub callback_url: Option<String>,
    pub callback_secret: Option<String>,
    pub mode: Mode,
}

impl Account {
    pub(crate) fn new(fixed: SimAccount, face: &'static dyn Face) -> Self {
        let live = Live {
            callback_url: fixed.callback_url.clone(),
            callback_secret: fixed.callback_secret.clone(),
            mode: fixed.mode,
        };
        Self { fixed, face, live: Mutex::new(live), batch: Mutex::default() }
    }

    pub(crate) fn live(&self) -> Live {
        lock(&self.live).clone()
    }
}

/// Commands for the thread that posts callbacks.
pub(crate) enum Command {
    /// Posts at once; replies when each was answered.
    PostNow(Vec<Callback>, oneshot::Sender<()>),
    Advance(Duration, oneshot::Sender<Advanced>),
    Stop,
}

pub(crate) struct World {
    pub seed: u64,
    pub accounts: Vec<Account>,
    pub laws: Mutex<Arc<Laws>>,
    pub fates: Mutex<GivenFates>,
    pub clock: Clock,
    pub book: Book,
    pub schedule: Schedule,
    pub stats: Mutex<Stats>,
    pub refusals: Mutex<VecDeque<Refusal>>,
    pub next_seq: AtomicU64,
    pub commands: mpsc::UnboundedSender<Command>,
    pub retries: Retries,
    pub batching: Batching,
    /// Time from an SMS's arrival at the simulator to the late WhatsApp on the handset, by the simulator's clock.
    pub late_after: Duration,
    /// Maximum duration of a hanging connection, in real time.
    pub hang_limit: Duration,
    /// Maximum number of concurrent callback posts, over all accounts.
    pub in_flight: usize,
}

impl World {
    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.fixed.name == name)
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut lock(&self.stats));
    }

    pub(crate) fn count_account(&self, index: usize, count: impl FnOnce(&mut AccountStats)) {
        let name = &self.accounts[index].fixed.name;
        let mut stats = lock(&self.stats);
        if let Some(account) = stats.by_account.get_mut(name) {
            return count(account);
        }
        count(stats.by_account.entry(name.clone()).or_default());
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = lock(&self.stats).clone();
        stats.phones = self.book.count_phones();
        stats.callbacks.pending = self.pending() as u64;
        stats
    }

    /// Statuses not yet posted: scheduled, waiting in a batch or for another try, or in flight.
    pub(crate) fn pending(&self) -> usize {
        let batched: usize = self.accounts.iter().map(|account| lock(&account.batch).len()).sum();
        batched + self.schedule.callbacks()
    }

    pub(crate) fn phone(&self, phone: &str) -> SeenPhone {
        self.book.phone(phone).unwrap_or_else(|| SeenPhone { phone: phone.to_owned(), ..SeenPhone::default() })
    }

    pub(crate) fn refuse(&self, path: &str, http_status: u16, reason: String) {
        let refusal = Refusal { at: self.clock.now(), path: path.to_owned(), http_status, reason };
        tracing::debug!(path, http_status, reason = refusal.reason, "simulator refuses a request");
        let mut refusals = lock(&self.refusals);
        if refusals.len() == KEPT_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back(refusal);
    }

    /// Deletes all messages, their scheduled events and the totals; fates, laws and accounts stay.
    pub(crate) fn reset(&self) {
        self.schedule.clear();
        self.accounts.iter().for_each(|account| lock(&account.batch).clear());
        self.book.clear();
        lock(&self.refusals).clear();
        *lock(&self.stats) = Stats::default();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
