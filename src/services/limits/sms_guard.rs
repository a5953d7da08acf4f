//! Asks at the moment in which an SMS would leave whether it may: country list, budgets, conversion, money caps, and what operators
//! decided. See [`crate::domain::pumping`] for the rules.
//!
//! Read, judge, write if nobody else wrote meanwhile: an SMS leaves only after it is counted. A crash in between counts one too many.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::attempt::Attempt;
use crate::domain::channel::Channel;
use crate::domain::ids::MessageId;
use crate::domain::limits::{Counter, Mode};
use crate::domain::phone::Phone;
use crate::domain::pumping::{self, SmsAsked, SmsRecords, SmsRefusal, SmsRules};
use crate::services::grouped::Grouped;
use crate::services::ledger_error::LedgerError;
use crate::services::policy::Policy;
use crate::services::swap::Swap;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::sms_decisions::{self, Decision};
use crate::store::sms_exceptions::{self, StoredException};
use crate::store::sms_records::{self, RecordKey, Versioned};
use crate::telemetry;
use crate::telemetry::names;

/// How often a group is judged anew because another instance was faster.
const RACES: usize = 32;
/// The key of an app's own record.
const WHOLE: &str = "all";
/// The app of an exception that holds for every app.
pub const EVERY_APP: &str = "*";

#[derive(Clone)]
pub struct SmsGuard {
    policy: Swap<Policy>,
    clock: Clock,
    asks: Grouped<Ask, Option<SmsRefusal>>,
}

#[derive(Clone, Debug)]
struct Ask {
    sms: SmsAsked,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Leave { message: MessageId, attempt_no: i16, leaves_at: DateTime<Utc> },
    Verified { sent_at: DateTime<Utc> },
}

impl SmsGuard {
    /// Starts its workers. Call it inside a tokio runtime.
    pub fn start(pool: &Database, clock: &Clock, policy: &Swap<Policy>) -> Self {
        let (of_asks, of_clock, of_policy) = (pool.clone(), clock.clone(), policy.clone());
        let asks = Grouped::start(1, move |group| judge(of_asks.clone(), of_clock.clone(), of_policy.clone(), group));
        Self { policy: policy.clone(), clock: clock.clone(), asks }
    }

    fn is_off(&self) -> bool {
        self.policy.get().sms_rules.is_off()
    }

    /// Whether an SMS may leave; it is counted then. Returns the rule that refuses it. Ask once for each attempt.
    ///
    /// # Errors
    /// When the database is unavailable; nothing may leave then.
    pub async fn ask(
        &self,
        app: &AppId,
        to: &Phone,
        (message, attempt): (MessageId, &Attempt),
    ) -> Result<Option<SmsRefusal>, LedgerError> {
        if self.is_off() {
            return Ok(None);
        }
        // The same time when its code comes back.
        let leaves_at = attempt.in_flight_at.unwrap_or_else(|| self.clock.now());
        let what = What::Leave { message, attempt_no: attempt.attempt_no, leaves_at };
        self.asks.write(Ask { sms: asked(app, to, attempt), what }).await
    }

    /// Gives the unit of each SMS back whose message was verified. Does not wait; what a crash loses stays counted.
    pub fn note_verified(&self, app: &AppId, to: &Phone, attempts: &[Attempt]) {
        if self.is_off() {
            return;
        }
        for attempt in attempts.iter().filter(|a| a.channel == Channel::Sms && a.may_have_left()) {
            let Some(sent_at) = attempt.in_flight_at else { continue };
            let ask = Ask { sms: asked(app, to, attempt), what: What::Verified { sent_at } };
            let asks = self.asks.clone();
            tokio::spawn(async move {
                if let Err(error) = asks.write(ask).await {
                    tracing::debug!(error = %telemetry::chain(&error), "a verified SMS stays counted as unverified");
                }
            });
        }
    }
}

fn asked(app: &AppId, to: &Phone, attempt: &Attempt) -> SmsAsked {
    SmsAsked {
        app: app.clone(),
        country: to.country().to_owned(),
        prefix: to.prefix().to_owned(),
        price_micros: attempt.price.as_ref().map_or(0, |price| price.micros),
    }
}

/// The records that concern an SMS: of its prefix, its country and its app.
fn keys(sms: &SmsAsked) -> [RecordKey; 3] {
    let of = |counter, key: &str| RecordKey { app: sms.app.clone(), counter, key: key.to_owned() };
    [of(Counter::Prefix, &sms.prefix), of(Counter::Country, &sms.country), of(Counter::App, WHOLE)]
}

async fn judge(
    pool: Database,
    clock: Clock,
    policy: Swap<Policy>,
    group: Vec<Ask>,
) -> Result<Vec<Option<SmsRefusal>>, StoreError> {
    let policy = policy.get();
    for _ in 0..RACES {
        let now = clock.now();
        let mut connection = pool.acquire().await?;
        let mut wanted: Vec<RecordKey> = group.iter().flat_map(|ask| keys(&ask.sms)).collect();
        wanted.sort();
        wanted.dedup();
        let exceptions = sms_exceptions::valid(&mut connection, now).await?;
        let read = sms_records::read(&mut connection, &wanted).await?;
        let mut judged = Judged { before: read.clone().into_iter().collect(), ..Judged::default() };
        judged.after = judged.before.clone();
        let answers = group.iter().map(|ask| judged.judge(ask, &policy.sms_rules, &exceptions, now)).collect();
        let changed = judged.changed();
        if changed.is_empty() || sms_records::write(&mut connection, &changed, now).await? {
            if !judged.decisions.is_empty() {
                sms_decisions::insert(&mut connection, &judged.decisions, now).await?;
            }
            judged.tell(&policy.sms_rules, now);
            return Ok(answers);
        }
    }
    Err(StoreError::Refused { constraint: "sms_records".to_owned(), source: sqlx::Error::RowNotFound })
}

/// A group that is being judged, in its order.
#[derive(Default)]
struct Judged {
    before: BTreeMap<RecordKey, Versioned>,
    after: BTreeMap<RecordKey, Versioned>,
    decisions: Vec<Decision>,
}

impl Judged {
    fn judge(
        &mut self,
        ask: &Ask,
        rules: &SmsRules,
        exceptions: &[StoredException],
        now: DateTime<Utc>,
    ) -> Option<SmsRefusal> {
        let keys = keys(&ask.sms);
        let mut take = |key: &RecordKey| self.after.get(key).map(|one| one.record.clone()).unwrap_or_default();
        let [prefix, country, app] = keys.each_ref().map(&mut take);
        let applies = |exception: &&StoredException| {
            let RecordKey { app, counter, key } = &exception.key;
            let is_app = *app == ask.sms.app || app.as_str() == EVERY_APP;
            is_app && keys.iter().any(|mine| mine.counter == *counter && mine.key == *key)
        };
        let exceptions = exceptions.iter().filter(applies).map(|exception| exception.decision).collect();
        let mut records = SmsRecords { prefix, country, app, exceptions };
        let refused = match ask.what {
            What::Verified { sent_at } => {
                for record in [&mut records.prefix, &mut records.country, &mut records.app] {
                    record.note_verified(sent_at, now);
                }
                None
            }
            What::Leave { message, attempt_no, leaves_at } => {
                let refusals = records.judge(&ask.sms, rules, now);
                for refusal in &refusals {
                    let key = keys.iter().find(|key| key.counter == refusal.rule.counter()).cloned();
                    let enforced = rules.mode(refusal.rule) == Mode::Enforce;
                    self.decisions.extend(key.map(|key| Decision {
                        message,
                        attempt_no,
                        refusal: *refusal,
                        enforced,
                        key,
                    }));
                }
                let refused = refusals.into_iter().find(|refusal| rules.mode(refusal.rule) == Mode::Enforce);
                if refused.is_none() {
                    records.note_sent(&ask.sms, leaves_at);
                }
                refused
            }
        };
        let SmsRecords { prefix, country, app, .. } = records;
        for (key, record) in keys.iter().zip([prefix, country, app]) {
            if let Some(one) = self.after.get_mut(key) {
                one.record = record;
            }
        }
        refused
    }

    fn changed(&self) -> Vec<(RecordKey, Versioned)> {
        let changed = self.after.iter().filter(|(key, one)| self.before.get(*key) != Some(one));
        changed.map(|(key, one)| (key.clone(), one.clone())).collect()
    }

    /// Counts what was refused, and says when half and when 80 % of a money cap are spent. Called once, when it is stored.
    fn tell(&self, rules: &SmsRules, now: DateTime<Utc>) {
        for decision in &self.decisions {
            let name = if decision.enforced { names::SMS_REFUSED } else { names::SMS_RECORDED };
            metrics::counter!(name, "rule" => decision.refusal.rule.as_str()).increment(1);
        }
        for (key, after) in &self.after {
            let cap = match key.counter {
                Counter::App => rules.app_cap_micros,
                Counter::Country => rules.country_cap_micros,
                _ => 0,
            };
            let before = self.before.get(key).map_or(0, |one| one.record.spent_today(now));
            if let Some(share) = pumping::alarm(before, after.record.spent_today(now), cap) {
                tracing::warn!(
                    app = %key.app,
                    counter = %key.counter,
                    key = key.key,
                    share,
                    "so many percent of today's money cap for SMS are spent"
                );
            }
        }
    }
}
