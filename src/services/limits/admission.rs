//! The one place that admits messages: asked before a message is stored, and before one is sent again.
//!
//! Two kinds of limits. The sends of a number are exact: they are read here, judged by [`crate::domain::limits::sends::NumberSends::refuse`], and written in the
//! statement that stores the message, unless somebody else wrote them meanwhile ([`CountedNumber`]). Everything else is counted in
//! windows, before the message is stored: a crash in between counts a message too many, and never one too few.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::code_keys::CodeKeys;
use crate::domain::ids::MessageId;
use crate::domain::limits::sends::{KEPT_FOR, Sending};
use crate::domain::limits::{LimitHit, LimitRule, Limits, Mode};
use crate::domain::network;
use crate::domain::phone::Phone;
use crate::services::grouped::{Grouped, WORKERS};
use crate::services::ledger_error::LedgerError;
use crate::services::limits::enforce::enforce;
use crate::services::limits::spraying::Spraying;
use crate::services::policy::Policy;
use crate::services::swap::Swap;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::number_sends::{self, CountedNumber, NumberKey};
use crate::store::window_counters::{self, CounterKey, Taken, Wanted};
use crate::telemetry;

/// One for each worker of each queue, and one for the SMS guard.
pub const CONNECTIONS: u32 = 2 * WORKERS as u32 + 1;
/// As a limit: nothing is refused, but everything is counted.
const UNLIMITED: i64 = 1 << 50;

#[derive(Clone)]
pub struct Admission {
    pool: Database,
    clock: Clock,
    keys: CodeKeys,
    policy: Swap<Policy>,
    spraying: Spraying,
    numbers: Grouped<NumberKey, CountedNumber>,
    windows: Grouped<Vec<WindowLimit>, Option<LimitHit>>,
}

/// A message that an app wants to send.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub app: &'a AppId,
    pub to: &'a Phone,
    pub purpose: &'a str,
    pub what: Sending,
    /// Of the person.
    pub ip: Option<IpAddr>,
    pub device: Option<&'a str>,
}

/// A limit of one counter.
#[derive(Clone, Debug)]
struct WindowLimit {
    key: CounterKey,
    rule: LimitRule,
    limit: i64,
    enforced: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    #[error("a limit is reached: {}", .0.rule)]
    Limited(LimitHit),
    #[error("cannot count the message")]
    Count(#[from] LedgerError),
}

impl From<StoreError> for AdmissionError {
    fn from(error: StoreError) -> Self {
        Self::Count(error.into())
    }
}

impl Admission {
    /// Starts its workers. Call it inside a tokio runtime.
    pub fn start(pool: &Database, clock: &Clock, keys: &CodeKeys, policy: &Swap<Policy>, spraying: &Spraying) -> Self {
        let of_numbers = pool.clone();
        let numbers = Grouped::start(WORKERS, move |group: Vec<NumberKey>| {
            let pool = of_numbers.clone();
            async move { number_sends::read(&mut pool.acquire().await?, &group).await }
        });
        let (of_windows, of_clock) = (pool.clone(), clock.clone());
        let windows = Grouped::start(WORKERS, move |group| count(of_windows.clone(), of_clock.clone(), group));
        let (pool, clock, keys, policy) = (pool.clone(), clock.clone(), keys.clone(), policy.clone());
        Self { pool, clock, keys, policy, spraying: spraying.clone(), numbers, windows }
    }

    /// The sends of a number.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn number(&self, app: &AppId, to: &Phone) -> Result<CountedNumber, LedgerError> {
        self.numbers.write(NumberKey::of(&self.keys, app, to)).await
    }

    /// Judges a message by the sends of its number.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn judge(&self, asked: &Asked<'_>, number: &CountedNumber) -> Result<(), LimitHit> {
        let policy = self.policy.get();
        let limits = policy.limits.of(asked.app, asked.purpose);
        enforce(number.sends.refuse(asked.what, asked.purpose, &limits, self.clock.now()), policy.limits.mode)
    }

    /// Counts a message by address, device, prefix, country and app. What is refused is not counted.
    ///
    /// # Errors
    /// The limit that is reached, or the database is unavailable.
    pub async fn count(&self, asked: &Asked<'_>) -> Result<(), AdmissionError> {
        let policy = self.policy.get();
        let mode = policy.limits.mode;
        if mode == Mode::Off {
            return Ok(());
        }
        let windows = self.windows(asked, &policy.limits.of(asked.app, asked.purpose), mode);
        if windows.is_empty() {
            return Ok(());
        }
        enforce(self.windows.write(windows).await?, mode).map_err(AdmissionError::Limited)
    }

    fn windows(&self, asked: &Asked<'_>, limits: &Limits, mode: Mode) -> Vec<WindowLimit> {
        let Asked { app, to, ip, device, .. } = *asked;
        let strict = limits.of(LimitRule::StrictIpPerHour);
        let of_ip = limits.of(LimitRule::IpPerHour);
        // The same counter with another limit.
        let is_strict = strict > 0 && (of_ip == 0 || strict < of_ip) && self.spraying.is_strict(app);
        let ip_rule = if is_strict { LimitRule::StrictIpPerHour } else { LimitRule::IpPerHour };
        let hashed = |text: &str| self.keys.counter_hash(app, text);
        let keys = [
            (ip_rule, ip.map(|ip| hashed(&network::origin(ip).to_string()))),
            (LimitRule::DevicePerHour, device.map(hashed)),
            (LimitRule::PrefixPerHour, Some(to.prefix().to_owned())),
            (LimitRule::CountryPerHour, Some(to.country().to_owned())),
            (LimitRule::AppPerHour, Some("all".to_owned())),
        ];
        let limited = keys.into_iter().filter_map(|(rule, key)| {
            let limit = limits.of(rule);
            let key = CounterKey::new(app, rule.counter(), key.filter(|_| limit > 0)?);
            Some(WindowLimit { key, rule, limit, enforced: mode == Mode::Enforce })
        });
        limited.collect()
    }

    /// Takes back what [`Admission::count`] counted for a message that is not sent.
    pub async fn give_back(&self, asked: &Asked<'_>) {
        let policy = self.policy.get();
        if policy.limits.mode == Mode::Off {
            return;
        }
        let windows = self.windows(asked, &policy.limits.of(asked.app, asked.purpose), policy.limits.mode);
        give_back(&self.pool, windows.into_iter().map(|window| (window.key, 1)).collect(), self.clock.now()).await;
    }

    /// Counts a message that is sent again, by all limits. The sends of its number are written before it is sent.
    ///
    /// # Errors
    /// The limit that is reached, or the database is unavailable; nothing may be sent then.
    pub async fn send_again(&self, asked: &Asked<'_>, message: MessageId) -> Result<(), AdmissionError> {
        if self.policy.get().limits.mode == Mode::Off {
            return Ok(());
        }
        for attempt in 0..RACES {
            let mut number = self.number(asked.app, asked.to).await?;
            let judged = self.judge(asked, &number).map_err(AdmissionError::Limited);
            if attempt == 0 {
                judged?;
                self.count(asked).await?;
            } else if judged.is_err() {
                self.give_back(asked).await;
                return judged;
            }
            let now = self.clock.now();
            number.sends.note(asked.what, asked.purpose, message, now);
            if number_sends::write(&self.pool, &number, now + KEPT_FOR).await? {
                return Ok(());
            }
        }
        Err(LedgerError::Busy.into())
    }

    /// The sends of its number, once this message is stored.
    pub fn counted(&self, asked: &Asked<'_>, mut number: CountedNumber, message: MessageId) -> Arc<CountedNumber> {
        number.sends.note(asked.what, asked.purpose, message, self.clock.now());
        Arc::new(number)
    }
}

/// How often a message is judged anew because another message to its number was faster. Each time one of them is stored.
pub const RACES: usize = 64;

/// Takes back what was counted and not used. If that fails, it stays counted: too much, never too little.
async fn give_back(pool: &Database, mut unused: Vec<(CounterKey, i64)>, now: DateTime<Utc>) {
    if unused.is_empty() {
        return;
    }
    unused.sort();
    if let Err(error) = window_counters::give_back(pool, &unused, now).await {
        tracing::debug!(error = %telemetry::chain(&error), "messages that were not sent stay counted");
    }
}

/// Counts a group: equal keys are added up, and what is granted is given out in order. A message that one of its limits refuses
/// gives back what the others granted. Returns for each the limit that it reached.
async fn count(
    pool: Database,
    clock: Clock,
    group: Vec<Vec<WindowLimit>>,
) -> Result<Vec<Option<LimitHit>>, StoreError> {
    let now = clock.now();
    let mut wanted: BTreeMap<&CounterKey, Wanted> = BTreeMap::new();
    for window in group.iter().flatten() {
        let limit = if window.enforced { window.limit } else { UNLIMITED };
        let one = wanted.entry(&window.key).or_insert_with(|| Wanted { key: window.key.clone(), wanted: 0, limit });
        one.wanted += 1;
        one.limit = one.limit.min(limit);
    }
    let wanted: Vec<Wanted> = wanted.into_values().collect();
    let taken = window_counters::take(&pool, &wanted, now).await?;
    let mut left: BTreeMap<&CounterKey, Taken> = wanted.iter().map(|one| &one.key).zip(taken).collect();
    let mut hits = Vec::with_capacity(group.len());
    for windows in &group {
        let refusing = windows.iter().find(|window| left.get(&window.key).is_none_or(|taken| taken.granted == 0));
        let over = |window: &&WindowLimit| {
            !window.enforced && left.get(&window.key).is_some_and(|taken| taken.window.counted(now) > window.limit)
        };
        let hit = refusing.or_else(|| windows.iter().find(over)).map(|window| {
            let counted = left.get(&window.key).map(|taken| taken.window.retry_after(window.limit, now));
            LimitHit { rule: window.rule, limit: window.limit, retry_after: counted.unwrap_or_default() }
        });
        if refusing.is_none() {
            for window in windows {
                if let Some(taken) = left.get_mut(&window.key) {
                    taken.granted -= 1;
                }
            }
        }
        hits.push(hit);
    }
    let unused = left.into_iter().filter(|(_, taken)| taken.granted > 0);
    give_back(&pool, unused.map(|(key, taken)| (key.clone(), taken.granted)).collect(), now).await;
    Ok(hits)
}
