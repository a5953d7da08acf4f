//! Everything the simulator's threads share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::simulator::book::{Book, Count, SeenPhone};
use crate::simulator::clock::Clock;
use crate::simulator::config::{Mode, SimAccount, SimConfig};
use crate::simulator::fates::GivenFates;
use crate::simulator::laws::Laws;
use crate::simulator::schedule::{Callback, Schedule};

/// Totals since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Send requests, whatever came of them.
    pub requests: u64,
    /// Wrong or missing credentials.
    pub unauthorized: u64,
    /// Wrong shape; the latest are under `GET /sim/refusals`.
    pub malformed: u64,
    pub accepted: Count,
    pub rejected: u64,
    pub rate_limited: u64,
    pub server_errors: u64,
    pub hung: u64,
    /// Connections closed without an answer, before or after the acceptance.
    pub reset: u64,
    /// Numbers seen.
    pub phones: u64,
    /// Messages on handsets.
    pub handset: Count,
    /// Of these, messages whose code the handset had already got on the same channel. Not zero: somebody got it twice.
    pub handset_repeated: Count,
    pub callbacks: CallbackStats,
    pub by_account: BTreeMap<String, AccountStats>,
}

/// Counts statuses, not POSTs: a batch of 20 counts 20.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackStats {
    /// Scheduled, waiting for another try, or on their way.
    pub pending: u64,
    /// Tries.
    pub posted: u64,
    /// Answered 2xx.
    pub ok: u64,
    /// Tries after the first.
    pub retried: u64,
    /// The last try failed as well.
    pub given_up: u64,
    /// Lost by law.
    pub lost: u64,
    /// Due while the account was silent.
    pub silenced: u64,
    /// Due while nobody had said where to.
    pub nowhere: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStats {
    pub requests: u64,
    pub accepted: u64,
    /// What the accepted ones cost, in millionths of the account's currency.
    pub cost_micros: u64,
}

/// A request that was turned away before it was put on a page. Keeps no body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    pub at: DateTime<Utc>,
    pub path: String,
    pub http_status: u16,
    pub reason: String,
}

/// As many refusals are kept.
pub(crate) const KEPT_REFUSALS: usize = 100;

pub(crate) struct Account {
    pub fixed: SimAccount,
    pub live: Mutex<Live>,
    /// Statuses waiting for company.
    pub batch: Mutex<Vec<Callback>>,
}

/// What can be changed while running.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub callback_url: Option<String>,
    pub callback_secret: Option<String>,
    pub mode: Mode,
}

impl Account {
    pub(crate) fn live(&self) -> Live {
        lock(&self.live).clone()
    }
}

/// What the thread of the callbacks is told.
pub(crate) enum Command {
    /// Post at once; answer when each was answered.
    PostNow(Vec<Callback>, oneshot::Sender<()>),
    Advance(std::time::Duration, oneshot::Sender<Advanced>),
    Stop,
}

/// What [`advance`](crate::simulator::Simulator::advance) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advanced {
    /// Messages that came onto handsets.
    pub handset: u64,
    /// Statuses posted, tries again included.
    pub posted: u64,
    /// Of these, answered 2xx.
    pub ok: u64,
}

pub(crate) struct World {
    pub config: SimConfig,
    pub accounts: Vec<Account>,
    pub laws: Mutex<Arc<Laws>>,
    pub fates: Mutex<GivenFates>,
    pub clock: Clock,
    pub book: Book,
    pub schedule: Schedule,
    pub stats: Mutex<Stats>,
    pub refusals: Mutex<std::collections::VecDeque<Refusal>>,
    pub next_seq: AtomicU64,
    pub commands: mpsc::UnboundedSender<Command>,
}

impl World {
    pub(crate) fn new(config: SimConfig, commands: mpsc::UnboundedSender<Command>) -> Self {
        let account = |fixed: &SimAccount| Account {
            fixed: fixed.clone(),
            live: Mutex::new(Live {
                callback_url: fixed.callback_url.clone(),
                callback_secret: fixed.callback_secret.clone(),
                mode: fixed.mode,
            }),
            batch: Mutex::default(),
        };
        Self {
            accounts: config.accounts.iter().map(account).collect(),
            laws: Mutex::new(Arc::new(config.laws.clone())),
            fates: Mutex::default(),
            clock: Clock::new(config.time),
            book: Book::new(config.keep),
            schedule: Schedule::default(),
            stats: Mutex::default(),
            refusals: Mutex::default(),
            next_seq: AtomicU64::new(0),
            commands,
            config,
        }
    }

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

    /// Statuses not yet told: scheduled, waiting in a batch or for another try, or on their way.
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

    /// Forgets all messages, what is scheduled for them and the totals; fates, laws and accounts stay.
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
