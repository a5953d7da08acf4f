//! Once a second: writes down what this process counted of the accounts, reads what all processes did, and judges.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::health::counts::Slot;
use crate::domain::health::{AccountEvent, Evidence, Health, HealthRules, Hearing, Judgement, USUAL, judge};
use crate::domain::health::{pace, silence};
use crate::services::pulse::{AccountHealth, AccountState, Pulse, Silence};
use crate::store::database::Database;
use crate::store::{StoreError, account_events, account_pulse};

/// Between two rounds.
pub const EVERY: TimeDelta = TimeDelta::seconds(1);
/// How often the whole last hour is read.
const READ_USUAL_EVERY: TimeDelta = TimeDelta::seconds(10);
/// A longer pause between two rounds means that this process, or its database, was away: receipts that should have
/// come meanwhile may still be on their way.
const GAP: TimeDelta = TimeDelta::seconds(5);
/// How long slots are kept.
const KEEP: TimeDelta = TimeDelta::hours(2);
/// Most slots deleted at a time.
const FORGET: i64 = 20_000;

pub struct TakePulse {
    pool: Database,
    clock: Clock,
    pulse: Pulse,
    instance: Uuid,
    /// Held during a round.
    rounds: Mutex<Rounds>,
}

/// What is known from the rounds before.
#[derive(Default)]
struct Rounds {
    last_at: Option<DateTime<Utc>>,
    listening_since: Option<DateTime<Utc>>,
    usual_read_at: Option<DateTime<Utc>>,
    bins: HashMap<String, Vec<Slot>>,
    /// Share in time by account and country.
    in_time: HashMap<String, HashMap<String, f64>>,
}

impl TakePulse {
    /// `instance`: a name for this process that no other ever had.
    pub fn new(pool: Database, clock: Clock, pulse: Pulse, instance: Uuid) -> Self {
        Self { pool, clock, pulse, instance, rounds: Mutex::default() }
    }

    /// Goes round once; does nothing when the last round is less than [`EVERY`] ago.
    ///
    /// # Errors
    /// When the database is away: what was counted is kept for the next round, and the accounts stay judged as they were.
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
            let was = (account.state.health.hearing, account.state.silence.and_then(|s| s.usual));
            judged.push(judge(was, &evidence, rules, now));
        }
        for (account, judgement) in accounts.iter().zip(&judged) {
            let same_channel = accounts.iter().zip(&judged).filter(|(other, _)| other.channel == account.channel);
            let weight = pace::weight(judgement.pace, same_channel.filter_map(|(_, judgement)| judgement.pace));
            let in_time = rounds.in_time.get(&account.account).cloned().unwrap_or_default();
            let health = Health { hearing: judgement.hearing, weight, in_time: judgement.in_time };
            self.change(account, judgement, AccountState { health, in_time, ..account.state.clone() }, now).await?;
        }
        rounds.last_at = Some(now);
        Ok(())
    }

    /// Writes down what was counted since the last round; the last thing that a process does which stops.
    ///
    /// # Errors
    /// When the database is away; then it is lost.
    pub async fn finish(&self) -> Result<(), StoreError> {
        self.write(self.clock.now()).await
    }

    /// A silence that this process did not see begin goes on.
    async fn remember_silences(&self) -> Result<(), StoreError> {
        let latest = account_events::latest(&self.pool, AccountEvent::SilentBegan).await?;
        let began: BTreeMap<String, DateTime<Utc>> = latest
            .into_iter()
            .filter(|(_, event, _)| *event == AccountEvent::SilentBegan)
            .map(|(account, _, at)| (account, at))
            .collect();
        for AccountHealth { account, mut state, .. } in self.pulse.report() {
            let Some(&since) = began.get(&account) else { continue };
            state.health.hearing = Hearing::Silent;
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

    /// Tells of what changed, then makes it known: a change that could not be written is judged again.
    async fn change(
        &self,
        before: &AccountHealth,
        judgement: &Judgement,
        mut state: AccountState,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let account = before.account.as_str();
        match (before.state.health.hearing, state.health.hearing) {
            (Hearing::Heard, Hearing::Silent) => {
                let since = judgement.silent_since.unwrap_or(now);
                state.silence = Some(Silence { since, ended_at: None, usual: judgement.usual });
                let detail = json!({ "since": since, "usual_share": judgement.usual });
                self.tell(account, AccountEvent::SilentBegan, now, detail).await?;
                tracing::error!(account, %since, "its receipts do not come any more: messages go past it until they do");
            }
            (Hearing::Silent, Hearing::Heard) => {
                let since = before.state.silence.map_or(now, |silence| silence.since);
                let lasted_s = (now - since).num_seconds();
                let unheard = account_pulse::unheard(&self.pool, account, since).await?;
                state.silence = state.silence.map(|silence| Silence { ended_at: Some(now), ..silence });
                let detail = json!({ "lasted_s": lasted_s, "unheard": unheard });
                self.tell(account, AccountEvent::SilentEnded, now, detail).await?;
                tracing::info!(account, lasted_s, unheard, "its receipts come again");
            }
            _ => {}
        }
        let weight = state.health.weight;
        match before.state.slow_since {
            None if weight < pace::SLOW_BELOW => {
                let detail = json!({ "weight": weight, "in_time": state.health.in_time });
                state.slow_since = Some(now);
                self.tell(account, AccountEvent::SlowBegan, now, detail).await?;
                tracing::warn!(account, weight, "it delivers more slowly than it usually does: it is given less");
            }
            Some(since) if weight > pace::SLOW_UNTIL => {
                let lasted_s = (now - since).num_seconds();
                state.slow_since = None;
                self.tell(account, AccountEvent::SlowEnded, now, json!({ "lasted_s": lasted_s })).await?;
                tracing::info!(account, lasted_s, "it delivers as fast as it usually does");
            }
            _ => {}
        }
        self.pulse.set(account, state);
        Ok(())
    }

    async fn tell(
        &self,
        account: &str,
        event: AccountEvent,
        at: DateTime<Utc>,
        detail: Value,
    ) -> Result<(), StoreError> {
        account_events::append(&self.pool, account, event, at, &detail).await?;
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
