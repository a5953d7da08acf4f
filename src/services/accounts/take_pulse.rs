//! Once a second: writes what this process counted about the accounts, reads the counts of all processes, and judges.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::health::counts::Slot;
use crate::domain::health::{AccountEvent, Evidence, Health, HealthRules, Judgement, ReceiptHealth, USUAL, judge};
use crate::domain::health::{pace, silence};
use crate::services::accounts::pulse::{AccountHealth, AccountState, Pulse, Silence};
use crate::store::database::Database;
use crate::store::{StoreError, account_events, account_pulse};

/// Interval between two rounds.
pub const EVERY: TimeDelta = TimeDelta::seconds(1);
/// How often the whole last hour is read.
const READ_USUAL_EVERY: TimeDelta = TimeDelta::seconds(10);
/// A longer pause between two rounds means that this process, or its database, was unavailable: receipts that were due
/// meanwhile may still arrive.
const GAP: TimeDelta = TimeDelta::seconds(5);
/// How long slots are kept.
const KEEP: TimeDelta = TimeDelta::hours(2);
/// Maximum number of slots deleted at a time.
const FORGET: i64 = 20_000;

pub struct TakePulse {
    pool: Database,
    clock: Clock,
    pulse: Pulse,
    instance: Uuid,
    /// Locked during a round.
    rounds: Mutex<Rounds>,
}

/// A change of an account, with the details that are stored of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    SilentBegan { since: DateTime<Utc>, usual_share: Option<f64> },
    SilentEnded { lasted_s: i64, unheard: i64 },
    SlowBegan { weight: f64, in_time: Option<f64> },
    SlowEnded { lasted_s: i64 },
}

impl Told {
    fn event(&self) -> AccountEvent {
        match self {
            Self::SilentBegan { .. } => AccountEvent::SilentBegan,
            Self::SilentEnded { .. } => AccountEvent::SilentEnded,
            Self::SlowBegan { .. } => AccountEvent::SlowBegan,
            Self::SlowEnded { .. } => AccountEvent::SlowEnded,
        }
    }
}

/// State from earlier rounds.
#[derive(Default)]
struct Rounds {
    last_at: Option<DateTime<Utc>>,
    listening_since: Option<DateTime<Utc>>,
    usual_read_at: Option<DateTime<Utc>>,
    bins: HashMap<String, Vec<Slot>>,
    /// On-time share by account and country.
    in_time: HashMap<String, HashMap<String, f64>>,
}

impl TakePulse {
    /// `instance`: unique to this process.
    pub fn new(pool: Database, clock: Clock, pulse: Pulse, instance: Uuid) -> Self {
        Self { pool, clock, pulse, instance, rounds: Mutex::default() }
    }

    /// Runs one round; does nothing when the last round is less than [`EVERY`] ago.
    ///
    /// # Errors
    /// When the database is unavailable: the counts are kept for the next round, and the judgements stay.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let Some(rules) = self.pulse.rules() else { return Ok(()) };
        let mut rounds = self.rounds.lock().await;
        let now = self.clock.now();
        if rounds.last_at.is_some_and(|last_at| now - last_at < EVERY) {
            return Ok(());
        }
        if rounds.last_at.is_none() {
            self.remember_silences().await?;
        }
        if rounds.last_at.is_none_or(|last_at| now - last_at > GAP) {
            rounds.listening_since = Some(now);
        }
        self.write(now).await?;
        if rounds.usual_read_at.is_none_or(|read_at| now - read_at >= READ_USUAL_EVERY) {
            self.read_usual(&mut rounds, rules, now).await?;
            rounds.usual_read_at = Some(now);
        }
        let mut seconds = by_account(account_pulse::seconds(&self.pool, now - silence::WINDOW).await?);
        let accounts = self.pulse.report();
        let mut judged = Vec::new();
        for account in &accounts {
            let evidence = Evidence {
                seconds: seconds.remove(&account.account).unwrap_or_default(),
                bins: rounds.bins.get(&account.account).cloned().unwrap_or_default(),
                listening_since: rounds.listening_since.unwrap_or(now),
            };
            let was = (account.state.health.receipts, account.state.silence.and_then(|s| s.usual));
            judged.push(judge(was, &evidence, rules, now));
        }
        for (account, judgement) in accounts.iter().zip(&judged) {
            let same_channel = accounts.iter().zip(&judged).filter(|(other, _)| other.channel == account.channel);
            let weight = pace::weight(judgement.pace, same_channel.filter_map(|(_, judgement)| judgement.pace));
            let in_time = rounds.in_time.get(&account.account).cloned().unwrap_or_default();
            let health = Health { receipts: judgement.receipts, weight, in_time: judgement.in_time };
            self.change(account, judgement, AccountState { health, in_time, ..account.state.clone() }, now).await?;
        }
        rounds.last_at = Some(now);
        Ok(())
    }

    /// Writes what was counted since the last round; the last action of a process that stops.
    ///
    /// # Errors
    /// When the database is unavailable; the counts are then lost.
    pub async fn finish(&self) -> Result<(), StoreError> {
        self.write(self.clock.now()).await
    }

    /// Continues a silence that began before this process started.
    async fn remember_silences(&self) -> Result<(), StoreError> {
        let latest = account_events::latest(&self.pool, AccountEvent::SilentBegan).await?;
        let began: BTreeMap<String, DateTime<Utc>> = latest
            .into_iter()
            .filter(|(_, event, _)| *event == AccountEvent::SilentBegan)
            .map(|(account, _, at)| (account, at))
            .collect();
        for AccountHealth { account, mut state, .. } in self.pulse.report() {
            let Some(&since) = began.get(&account) else { continue };
            state.health.receipts = ReceiptHealth::Silent;
            state.silence = Some(Silence { since, ended_at: None, usual: None });
            self.pulse.set(&account, state);
        }
        Ok(())
    }

    async fn write(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let taken = self.pulse.take(now);
        if taken.is_empty() {
            return Ok(());
        }
        let written = account_pulse::write(&self.pool, self.instance, &taken).await;
        if written.is_err() {
            self.pulse.untake(&taken);
        }
        written
    }

    async fn read_usual(&self, rounds: &mut Rounds, rules: &HealthRules, now: DateTime<Utc>) -> Result<(), StoreError> {
        rounds.bins = by_account(account_pulse::bins(&self.pool, now - USUAL).await?);
        rounds.in_time.clear();
        let ripe_before = now - rules.good_within - TimeDelta::seconds(1);
        for (account, country, counts) in account_pulse::countries(&self.pool, now - USUAL, ripe_before).await? {
            if let Some(share) = pace::in_time(counts) {
                rounds.in_time.entry(account).or_default().insert(country, share);
            }
        }
        account_pulse::forget(&self.pool, now - KEEP, FORGET).await?;
        Ok(())
    }

    /// Logs changes, then applies them: a change that could not be written is judged again.
    async fn change(
        &self,
        before: &AccountHealth,
        judgement: &Judgement,
        mut state: AccountState,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let account = before.account.as_str();
        match (before.state.health.receipts, state.health.receipts) {
            (ReceiptHealth::Arriving, ReceiptHealth::Silent) => {
                let since = judgement.silent_since.unwrap_or(now);
                state.silence = Some(Silence { since, ended_at: None, usual: judgement.usual });
                let told = Told::SilentBegan { since, usual_share: judgement.usual };
                self.tell(account, &told, now).await?;
                tracing::error!(account, %since, "its receipts have stopped arriving: messages avoid it until they arrive again");
            }
            (ReceiptHealth::Silent, ReceiptHealth::Arriving) => {
                let since = before.state.silence.map_or(now, |silence| silence.since);
                let lasted_s = (now - since).num_seconds();
                let unheard = account_pulse::unheard(&self.pool, account, since).await?;
                state.silence = state.silence.map(|silence| Silence { ended_at: Some(now), ..silence });
                self.tell(account, &Told::SilentEnded { lasted_s, unheard }, now).await?;
                tracing::info!(account, lasted_s, unheard, "its receipts arrive again");
            }
            _ => {}
        }
        let weight = state.health.weight;
        match before.state.slow_since {
            None if weight < pace::SLOW_BELOW => {
                let told = Told::SlowBegan { weight, in_time: state.health.in_time };
                state.slow_since = Some(now);
                self.tell(account, &told, now).await?;
                tracing::warn!(account, weight, "it delivers more slowly than usual: it gets less traffic");
            }
            Some(since) if weight > pace::SLOW_UNTIL => {
                let lasted_s = (now - since).num_seconds();
                state.slow_since = None;
                self.tell(account, &Told::SlowEnded { lasted_s }, now).await?;
                tracing::info!(account, lasted_s, "it delivers as fast as usual again");
            }
            _ => {}
        }
        self.pulse.set(account, state);
        Ok(())
    }

    async fn tell(&self, account: &str, told: &Told, at: DateTime<Utc>) -> Result<(), StoreError> {
        let detail = serde_json::to_value(told).expect("the details of an event are plain values");
        account_events::append(&self.pool, account, told.event(), at, &detail).await?;
        Ok(())
    }
}

fn by_account(rows: Vec<(String, Slot)>) -> HashMap<String, Vec<Slot>> {
    let mut slots: HashMap<String, Vec<Slot>> = HashMap::new();
    for (account, slot) in rows {
        slots.entry(account).or_default().push(slot);
    }
    slots
}
