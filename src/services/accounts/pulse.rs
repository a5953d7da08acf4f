//! How the accounts deliver: counted here as messages change, judged by [`crate::services::accounts::take_pulse`], read by
//! the choice of a route.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::domain::channel::Channel;
use crate::domain::health::counts::{Counts, Slot};
use crate::domain::health::{Health, HealthRules, ReceiptHealth, USUAL};
use crate::domain::message::Message;
use crate::services::swap::Swap;
use crate::store::account_pulse::PulseRow;

/// Maximum number of slots kept; the oldest are dropped first. About 8 MB.
const MOST_SLOTS: usize = 65_536;

/// Cheap to clone; all clones share one state. Its data are of the last second, and stay unchanged while the database
/// is unavailable.
#[derive(Clone)]
pub struct Pulse(Arc<Inner>);

struct Inner {
    /// `None`: accounts are not monitored, so nothing is known against any.
    rules: Option<HealthRules>,
    /// By name. Accounts that were added stay.
    accounts: Swap<BTreeMap<String, Arc<Watched>>>,
    tally: Mutex<Tally>,
}

struct Watched {
    /// Its index in [`SlotKey`].
    index: u16,
    channel: Channel,
    state: RwLock<AccountState>,
    /// When it may be probed again while it is silent, in microseconds since 1970.
    next_probe_us: AtomicI64,
}

/// Judgement of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountState {
    /// For all countries together.
    pub health: Health,
    /// On-time share by country, where enough was sent.
    pub in_time: HashMap<String, f64>,
    /// The current silence, or the last one.
    pub silence: Option<Silence>,
    pub slow_since: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Silence {
    /// Acceptance time of the oldest attempt without a receipt. After a restart: the time we noticed the silence.
    pub since: DateTime<Utc>,
    /// `None` while it lasts.
    pub ended_at: Option<DateTime<Utc>>,
    /// The usual share of attempts that were confirmed in time before it.
    pub usual: Option<f64>,
}

/// An account's state, for monitoring.
#[derive(Clone, Debug)]
pub struct AccountHealth {
    pub account: String,
    pub channel: Channel,
    pub state: AccountState,
}

/// Second, account, country of the attempts that were accepted then.
type SlotKey = (i64, u16, [u8; 2]);

/// What this process counted in the slots of the last hour.
#[derive(Default)]
struct Tally {
    slots: BTreeMap<SlotKey, Tallied>,
    /// Slots that changed since they were last taken, each once.
    changed: Vec<SlotKey>,
    /// Slots before this second were dropped.
    from: i64,
}

#[derive(Default)]
struct Tallied {
    counts: Counts,
    is_changed: bool,
}

impl Pulse {
    /// `rules`: `None` when accounts are not to be monitored. `accounts`: all accounts.
    pub fn new<'a>(rules: Option<HealthRules>, accounts: impl IntoIterator<Item = (&'a str, Channel)>) -> Self {
        let pulse = Self(Arc::new(Inner { rules, accounts: Swap::new(BTreeMap::new()), tally: Mutex::default() }));
        pulse.watch(accounts);
        pulse
    }

    /// Adds accounts. Not for concurrent callers.
    pub fn watch<'a>(&self, accounts: impl IntoIterator<Item = (&'a str, Channel)>) {
        let mut all = BTreeMap::clone(&self.0.accounts.get());
        for (name, channel) in accounts {
            let index = u16::try_from(all.len()).unwrap_or(u16::MAX);
            let state = RwLock::default();
            let watched = || Watched { index, channel, state, next_probe_us: AtomicI64::new(i64::MIN) };
            all.entry(name.to_owned()).or_insert_with(|| Arc::new(watched()));
        }
        self.0.accounts.set(all);
    }

    pub fn rules(&self) -> Option<&HealthRules> {
        self.0.rules.as_ref()
    }

    /// Counts what changes of messages show about their attempts: before, after, and the recipient's country.
    pub fn note<'a>(&self, changes: impl IntoIterator<Item = (&'a Message, &'a Message, &'a str)>) {
        let Some(rules) = &self.0.rules else { return };
        let accounts = self.0.accounts.get();
        let mut tally = lock(&self.0.tally);
        for (before, after, country) in changes.into_iter().filter(|(_, after, _)| !after.is_test) {
            let Ok(country) = <[u8; 2]>::try_from(country.as_bytes()) else { continue };
            for attempt in &after.attempts {
                let Some((at, now)) = Counts::of(after, attempt, rules) else { continue };
                let then = before.attempt(attempt.attempt_no).and_then(|old| Counts::of(before, old, rules));
                let new = now.since(then.map_or(Counts::default(), |(_, counts)| counts));
                let Some(account) = accounts.get(&attempt.account).filter(|_| !new.is_zero()) else { continue };
                tally.add((at.timestamp(), account.index, country), new);
            }
        }
    }

    /// How an account delivers to a country now; its deliveries to other countries are not considered. Nothing is known
    /// against an account that is not monitored.
    pub fn health(&self, account: &str, country: &str) -> Health {
        let Some(watched) = self.watched(account) else { return Health::default() };
        let state = watched.read();
        Health { in_time: state.in_time.get(country).copied(), ..state.health }
    }

    /// Whether a message may probe a silent account, to test whether its receipts arrive again: one per
    /// `probe_every_s`. After `true` the caller must send it. `false` for an account that is not silent.
    pub fn may_probe(&self, account: &str, now: DateTime<Utc>) -> bool {
        let (Some(rules), Some(watched)) = (&self.0.rules, self.watched(account)) else { return false };
        if watched.read().health.receipts == ReceiptHealth::Arriving {
            return false;
        }
        let now_us = now.timestamp_micros();
        let next_us = (now + rules.probe_every).timestamp_micros();
        let claim = |due_us: i64| (due_us <= now_us).then_some(next_us);
        watched.next_probe_us.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim).is_ok()
    }

    /// Whether the account was silent for all recipients when it accepted an attempt at `at`.
    pub fn was_silent(&self, account: &str, at: DateTime<Utc>) -> bool {
        let Some(watched) = self.watched(account) else { return false };
        let silence = watched.read().silence;
        silence.is_some_and(|s| at >= s.since && s.ended_at.is_none_or(|ended_at| at <= ended_at))
    }

    fn watched(&self, account: &str) -> Option<Arc<Watched>> {
        self.0.accounts.get().get(account).cloned()
    }

    /// All accounts, by name.
    pub fn report(&self) -> Vec<AccountHealth> {
        let one = |(account, watched): (&String, &Arc<Watched>)| AccountHealth {
            account: account.clone(),
            channel: watched.channel,
            state: watched.read().clone(),
        };
        self.0.accounts.get().iter().map(one).collect()
    }

    /// What was counted since the last call: the total of each slot that changed.
    pub(super) fn take(&self, now: DateTime<Utc>) -> Vec<PulseRow> {
        let mut tally = lock(&self.0.tally);
        tally.give_up_before((now - USUAL).timestamp());
        let accounts = self.0.accounts.get();
        let mut names: Vec<(u16, &String)> = accounts.iter().map(|(name, w)| (w.index, name)).collect();
        names.sort_unstable();
        let changed = std::mem::take(&mut tally.changed);
        let taken = |(second, index, country): SlotKey| {
            let tallied = tally.slots.get_mut(&(second, index, country))?;
            tallied.is_changed = false;
            Some(PulseRow {
                account: names.get(usize::from(index))?.1.clone(),
                country: String::from_utf8_lossy(&country).into_owned(),
                slot: Slot { at: DateTime::from_timestamp(second, 0)?, counts: tallied.counts },
            })
        };
        changed.into_iter().filter_map(taken).collect()
    }

    /// Puts back what could not be written, so that it is taken again.
    pub(super) fn untake(&self, taken: &[PulseRow]) {
        let mut tally = lock(&self.0.tally);
        for one in taken {
            let Some(watched) = self.watched(&one.account) else { continue };
            let Ok(country) = <[u8; 2]>::try_from(one.country.as_bytes()) else { continue };
            tally.add((one.slot.at.timestamp(), watched.index, country), Counts::default());
        }
    }

    pub(super) fn set(&self, account: &str, state: AccountState) {
        if let Some(watched) = self.watched(account) {
            *watched.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }
}

impl Watched {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, AccountState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn add(&mut self, key: SlotKey, new: Counts) {
        if key.0 < self.from {
            return;
        }
        let tallied = self.slots.entry(key).or_default();
        tallied.counts = tallied.counts + new;
        if !tallied.is_changed {
            tallied.is_changed = true;
            self.changed.push(key);
        }
    }

    /// A dropped slot is never counted again: the table would get a lower total than it has.
    fn give_up_before(&mut self, second: i64) {
        self.from = self.from.max(second);
        while self.slots.len() > MOST_SLOTS
            && let Some((oldest, ..)) = self.slots.keys().next()
        {
            self.from = self.from.max(oldest + 1);
            self.slots = self.slots.split_off(&(self.from, 0, [0; 2]));
        }
        if self.slots.keys().next().is_some_and(|(oldest, ..)| *oldest < self.from) {
            self.slots = self.slots.split_off(&(self.from, 0, [0; 2]));
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
