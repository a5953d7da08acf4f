//! Sends what is due: lease, call, finish. No transaction and no lock is open during a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::attempt::Lease;
use crate::domain::channel::Channel;
use crate::domain::event::{Effect, SendResult};
use crate::domain::receipt::{ErrorClass, Failure, Scope};
use crate::domain::status_query::StatusQueryPlan;
use crate::outbound::{CALLED_OFF, Client, Sent};
use crate::providers::{self, Abilities, Outbound, Reply, Retry, SendOutcome};
use crate::services::accounts::account::{Account, Accounts};
use crate::services::accounts::breaker::{Permission, Sending, Shown, TemplateKey};
use crate::services::accounts::instances::Instances;
use crate::services::delivery::under_way::Held;
use crate::services::ledger::command::{Command, Done, RecordedEvent, SentRequest};
use crate::services::ledger::group_commit::Ledger;
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::services::limits::sms_guard::SmsGuard;
use crate::services::policy::Policy;
use crate::services::randomness;
use crate::services::swap::Swap;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::claims::{Capacity, Claim, Claimed};
use crate::store::stored::LockedMessage;
use crate::telemetry;

/// Maximum number of attempts leased in one round.
const ROUND: i64 = 200;
/// First pause before an attempt that was certainly not sent is tried again; doubled each time, jittered by half.
const BACKOFF: Duration = Duration::from_millis(400);
/// Maximum such pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// Pause before the guard of SMS is asked again when the database did not answer.
const GUARD_PAUSE: TimeDelta = TimeDelta::seconds(1);

pub struct Dispatch {
    pub transitions: Transitions,
    pub ledger: Ledger,
    pub clock: Clock,
    pub client: Client,
    pub accounts: Accounts,
    /// Contains the texts of SMS.
    pub policy: Swap<Policy>,
    pub instances: Instances,
    pub sms_guard: SmsGuard,
    /// Longer than the client's timeout: an expired lease means that its holder is gone.
    pub lease: TimeDelta,
    /// Locked while leasing; `true` when nothing more is to be leased.
    pub stopped: tokio::sync::Mutex<bool>,
}

/// Result of one round.
pub struct SendRound {
    /// Sends in progress.
    pub sends: Vec<JoinHandle<()>>,
    /// More was due than was leased: another instance held it, or an account had no capacity.
    pub more_due: bool,
}

/// What a send needs.
struct Errand {
    account: Arc<Account>,
    stored: LockedMessage,
    attempt_no: i16,
    token: Uuid,
    tries: i16,
    _permit: OwnedSemaphorePermit,
    /// Held until the result is stored.
    held: Held,
}

/// Result of a send.
struct Called {
    result: SendResult,
    /// When the request was sent; `None` when there was none.
    started: Option<Instant>,
    http_status: Option<i16>,
    /// How to query its status, if the provider accepted it and supports queries.
    ask: Option<StatusQueryPlan>,
}

impl Called {
    fn not(result: SendResult) -> Self {
        Self { result, started: None, http_status: None, ask: None }
    }
}

impl Dispatch {
    /// Leases what is due and starts to send it.
    ///
    /// # Errors
    /// When the database is unavailable; leases taken before that expire and are found again.
    pub async fn run_once(self: &Arc<Self>) -> Result<SendRound, StoreError> {
        let stopped = self.stopped.lock().await;
        if *stopped {
            return Ok(SendRound { sends: Vec::new(), more_due: false });
        }
        let now = self.clock.now();
        let capacities = self.capacities();
        if capacities.is_empty() {
            return Ok(SendRound { sends: Vec::new(), more_due: false });
        }
        let lease = |row: &Claimed| Command {
            message: row.message,
            event: RecordedEvent::Lease {
                attempt_no: row.attempt_no,
                lease: Lease { token: randomness::token(), until: now + self.lease },
                price: self.accounts.get(&row.account).and_then(|a| a.price.clone()),
            },
            at: now,
        };
        let claim = Claim::Due { capacities: capacities.clone(), keys: Some(self.transitions.keys.ids()) };
        let claimed = self.transitions.run_claimed(Claimant::Sender, &claim, now, ROUND, lease).await;
        let (wanted, outcomes) = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                self.give_back(&capacities, &[]);
                return Err(error);
            }
        };
        let mut started = Vec::new();
        let mut sends = Vec::new();
        for (row, done) in wanted.iter().zip(&outcomes.done) {
            if !matches!(done, Done::Effect(Effect::Leased)) {
                continue;
            }
            let Some(stored) = outcomes.messages.get(&row.message) else { continue };
            let Some(attempt) = stored.message.attempt(row.attempt_no) else { continue };
            let Some(account) = self.accounts.get(&attempt.account) else { continue };
            let Some(lease) = attempt.lease else { continue };
            let Ok(permit) = Arc::clone(&account.permits).try_acquire_owned() else { continue };
            started.push(account.name.clone());
            let errand = Errand {
                account,
                tries: attempt.tries,
                stored: stored.clone(),
                attempt_no: row.attempt_no,
                token: lease.token,
                _permit: permit,
                held: self.transitions.under_way.begin(row.message, row.attempt_no),
            };
            sends.push(tokio::spawn(Arc::clone(self).send(errand)));
        }
        self.give_back(&capacities, &started);
        Ok(SendRound { more_due: sends.len() < wanted.len(), sends })
    }

    /// Stops leasing, and waits for sends in progress.
    pub async fn stop(&self) {
        *self.stopped.lock().await = true;
        self.accounts.quiet().await;
    }

    /// Accounts with capacity, each with the number of sends it may start now.
    fn capacities(&self) -> Vec<Capacity> {
        let (live, now) = (self.instances.live(), self.clock.now());
        let first_app = usize::from(randomness::word() as u16);
        let room = |account: &Arc<Account>| {
            if account.breaker.is_probing(now) {
                return None;
            }
            let free = i64::try_from(account.room(live)).unwrap_or(i64::MAX).min(ROUND);
            let sends = account.limiter.take(free);
            (sends > 0).then(|| Capacity { account: account.name.clone(), sends, first_app })
        };
        self.accounts.all().iter().filter_map(room).collect()
    }

    fn give_back(&self, capacities: &[Capacity], started: &[String]) {
        for capacity in capacities {
            let used = started.iter().filter(|name| **name == capacity.account).count();
            if let Some(account) = self.accounts.get(&capacity.account) {
                account.limiter.give_back(capacity.sends - i64::try_from(used).unwrap_or(capacity.sends));
            }
        }
    }

    /// When the next attempt of these accounts is due whose code is under one of our keys.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn next_due(&self, accounts: &[String]) -> Result<Option<DateTime<Utc>>, StoreError> {
        attempts::next_due(&self.transitions.pool, accounts, &self.transitions.keys.ids()).await
    }

    /// Accounts that can send more at once, and the time until the next of the others can.
    pub fn readiness(&self) -> (Vec<String>, Duration) {
        let mut ready = Vec::new();
        let mut wait = Duration::MAX;
        let (live, now) = (self.instances.live(), self.clock.now());
        let can_take = |a: &&Arc<Account>| a.room(live) > 0 && !a.breaker.is_probing(now);
        for account in self.accounts.all().iter().filter(can_take) {
            match account.limiter.next_in() {
                Duration::ZERO => ready.push(account.name.clone()),
                next => wait = wait.min(next),
            }
        }
        (ready, wait)
    }

    /// Every line about the send has the span's fields.
    #[tracing::instrument(
        name = "attempt.send",
        skip_all,
        fields(
            message_id = %errand.stored.message.id,
            attempt_id = %errand.stored.message.id.attempt(errand.attempt_no),
            attempt = errand.attempt_no,
            channel = %errand.account.channel,
            provider = errand.account.provider_name,
            account = errand.account.name,
            country = errand.stored.recipient.country(),
        )
    )]
    async fn send(self: Arc<Self>, errand: Errand) {
        let began = Instant::now();
        let Called { result, started, http_status, ask } = self.call(&errand).await;
        let started_at = self.clock.at(started.unwrap_or(began));
        let command = Command {
            message: errand.stored.message.id,
            event: RecordedEvent::Send {
                attempt_no: errand.attempt_no,
                token: errand.token,
                result,
                request: SentRequest { started_at, http_status, ask },
            },
            at: self.clock.now(),
        };
        let mut pause = Duration::from_millis(50);
        // The result is worth storing as long as the message lives, even if the database is unavailable for longer than
        // the lease: only this process knows the provider's answer.
        while let Err(error) = self.ledger.apply_one(command.clone()).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot store the result of a send");
            if self.clock.now() >= errand.stored.message.expires_at {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn call(&self, errand: &Errand) -> Called {
        let Errand { account, stored, attempt_no, .. } = errand;
        let message = &stored.message;
        let now = self.clock.now();
        let sealed = message.code.sealed.as_deref().unwrap_or_default();
        let Ok(code) = self.transitions.keys.reveal(message.code.key_id, sealed, &message.app, message.id) else {
            tracing::error!("the code cannot be opened with the configured keys");
            let failure = Failure::new("code_key_missing", ErrorClass::ConfigError);
            return Called::not(SendResult::Rejected { failure, pause: None });
        };
        if message.is_test {
            let (provider_message_id, held) = (String::new(), false);
            return Called::not(SendResult::Accepted { provider_message_id, held, nobody_tells: true });
        }
        if account.channel == Channel::Sms
            && let Some(refused) = self.ask_guard(errand).await
        {
            return Called::not(refused);
        }
        let life_s = (message.expires_at - now).num_seconds();
        let (route, country) = (&message.route, stored.recipient.country());
        let policy = self.policy.get();
        let (text, dlt) = account.regional.text(&policy.texts, &route.language, &stored.recipient);
        let text_language = text.language.to_string();
        // Only the text itself is registered; the line for autofill would change it.
        let platform = route.platform.filter(|_| dlt.is_none());
        let text = policy.texts.render(text, platform, &code, life_s);
        let template = account.open_template(route, country, now);
        let template = template.unwrap_or_else(|| account.templates.choose(&route.language, country, route.platform));
        let sending = Sending {
            country: country.to_owned(),
            template: match account.channel {
                Channel::Whatsapp => template.into(),
                Channel::Sms => TemplateKey { name: String::new(), language: text_language },
            },
        };
        let permission = account.breaker.ask(&sending, message.has_way_on(*attempt_no), now);
        if let Permission::Open { scope, closed_in } = permission {
            return Called::not(SendResult::BreakerOpen { scope, closed_in });
        }
        let call = account.provider.call(&Outbound {
            attempt_id: message.id.attempt(*attempt_no),
            to: &stored.recipient,
            code: &code,
            text: &text,
            template,
            sender: account.regional.sender(&stored.recipient),
            dlt,
            callback_url: &account.callback_url,
            life_s: u32::try_from(life_s).unwrap_or(0).max(1),
        });
        let exchange = self.client.send(account.provider_name, &account.name, call, &errand.held.call_off).await;
        let started = Some(exchange.started.into_std());
        let (outcome, http_status) = match &exchange.sent {
            Sent::Reply { status, retry_after, body, cut_off } => {
                let reply = Reply { status: *status, retry_after: *retry_after, body };
                let outcome = account.provider.outcome(&reply);
                say_unread(account, &outcome, &reply, *cut_off);
                (outcome, i16::try_from(*status).ok())
            }
            Sent::NotSent(CALLED_OFF) => {
                account.breaker.tell(&sending, Shown::Nothing, self.clock.now());
                let failure = Failure::new(CALLED_OFF, ErrorClass::Expired);
                return Called::not(SendResult::Rejected { failure, pause: None });
            }
            Sent::NotSent(reason) => {
                let failure = Failure::new(*reason, ErrorClass::Retryable);
                (SendOutcome::Rejected { failure, retry: Retry::After(Duration::ZERO) }, None)
            }
            Sent::MaybeSent(reason) => {
                (SendOutcome::Unknown { failure: Failure::new(*reason, ErrorClass::Retryable) }, None)
            }
        };
        self.tell_breaker(account, &sending, &outcome);
        let mut ask = None;
        let result = match outcome {
            SendOutcome::Accepted { provider_message_id, held, ask_by } => {
                let abilities = account.provider.abilities();
                let Abilities { can_be_queried, calls_back, .. } = abilities;
                // Without an id a status query is impossible.
                let is_named = !provider_message_id.is_empty();
                ask = (can_be_queried && is_named).then_some(StatusQueryPlan { ask_by, calls_back });
                if held {
                    tracing::warn!(account = account.name, "the provider keeps messages back; the deadline still runs");
                }
                SendResult::Accepted { provider_message_id, held, nobody_tells: !abilities.tells_delivery() }
            }
            SendOutcome::Unknown { failure } => SendResult::Unknown { failure, on_unknown: account.on_unknown },
            SendOutcome::Rejected { failure, retry: Retry::Never } => {
                // This template is closed now. Another language is better than another channel.
                let has_other = failure.scope == Scope::Template
                    && account.open_template(route, country, self.clock.now()).is_some();
                SendResult::Rejected { failure, pause: has_other.then_some(TimeDelta::zero()) }
            }
            SendOutcome::Rejected { failure, retry: Retry::After(wait) } => {
                let pause = wait.max(backoff(errand.tries));
                SendResult::Rejected { failure, pause: TimeDelta::from_std(pause).ok() }
            }
        };
        Called { result, started, http_status, ask }
    }

    /// Why the SMS may not leave. A further try of an attempt that was counted is not counted again.
    async fn ask_guard(&self, errand: &Errand) -> Option<SendResult> {
        let Errand { stored, attempt_no, tries, .. } = errand;
        let attempt = stored.message.attempt(*attempt_no)?;
        if *tries > 1 || attempt.unknowns > 0 {
            return None;
        }
        let asked = (stored.message.id, attempt);
        match self.sms_guard.ask(&stored.message.app, &stored.recipient, asked).await {
            Ok(None) => None,
            Ok(Some(refusal)) => {
                tracing::info!(
                    rule = refusal.rule.as_str(),
                    counted = refusal.counted,
                    limit = refusal.limit,
                    "a rule against pumping refuses the SMS"
                );
                let failure = Failure::new(refusal.rule.as_str(), ErrorClass::RateLimited).about(Scope::Recipient);
                Some(SendResult::Rejected { failure, pause: None })
            }
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot ask whether an SMS may leave; it waits");
                // Not counted as a try, so that it is asked again.
                Some(SendResult::BreakerOpen { scope: Scope::Account, closed_in: GUARD_PAUSE })
            }
        }
    }

    fn tell_breaker(&self, account: &Account, sending: &Sending, outcome: &SendOutcome) {
        let shown = match outcome {
            // The answer could not be read: that shows nothing about the account.
            SendOutcome::Accepted { provider_message_id, .. } if provider_message_id.is_empty() => Shown::Nothing,
            SendOutcome::Accepted { .. } => Shown::Well,
            SendOutcome::Unknown { failure } => Shown::Fault(failure.scope),
            SendOutcome::Rejected { failure, retry } => {
                if failure.class == ErrorClass::ConfigError {
                    tracing::error!(
                        account = account.name,
                        error_code = failure.code,
                        error_scope = failure.scope.as_str(),
                        "the provider refuses us: settings, template, credit or permission are wrong"
                    );
                }
                account.shown_by(failure, *retry)
            }
        };
        account.tell_breaker(sending, shown, self.clock.now());
    }
}

/// Logs that an answer which means "accepted" could not be read. The answer itself is not logged, because it may repeat
/// the code.
fn say_unread(account: &Account, outcome: &SendOutcome, reply: &Reply<'_>, cut_off: Option<&'static str>) {
    let is_nameless = matches!(outcome, SendOutcome::Accepted { provider_message_id: id, .. } if id.is_empty());
    if is_nameless && telemetry::may_tell("answers that cannot be read") {
        tracing::warn!(
            account = account.name,
            http_status = reply.status,
            reason = cut_off.map_or_else(|| providers::unread(reply), str::to_owned),
            "the provider took a message, but its id cannot be read: receipts find it by our reference alone, and it is \
             not sent again"
        );
    }
}

/// The pause after the `tries`-th try, between half and the whole of the doubled value.
fn backoff(tries: i16) -> Duration {
    let doublings = u32::try_from(tries - 1).unwrap_or(0).min(10);
    let whole = (BACKOFF * 2_u32.pow(doublings)).min(LONGEST_BACKOFF);
    whole.mul_f64(0.5 + randomness::fraction() / 2.0)
}
