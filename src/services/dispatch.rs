//! Sends what is due: lease, call, finish. No transaction and no lock is open during a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::asking::AskPlan;
use crate::domain::attempt::Lease;
use crate::domain::event::{Effect, Event, SendResult};
use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::client::{CALLED_OFF, Client, Sent};
use crate::providers::{Abilities, Outbound, Reply, Retry, SendOutcome};
use crate::services::account::{Account, Accounts};
use crate::services::breaker::Permission;
use crate::services::instances::Instances;
use crate::services::ledger::Ledger;
use crate::services::policy::Policy;
use crate::services::quarantine::Loop;
use crate::services::randomness;
use crate::services::swap::Swap;
use crate::services::transitions::{Command, Done, Record, Transitions};
use crate::services::under_way::Held;
use crate::store::StoreError;
use crate::store::claims::{Capacity, Claim, Claimed};
use crate::store::messages::LockedMessage;
use crate::telemetry;

/// Most attempts leased in one round.
const ROUND: i64 = 200;
/// First pause before an attempt that was certainly not sent is tried again; doubled each time, jittered by half.
const BACKOFF: Duration = Duration::from_millis(400);
/// Longest such pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

pub struct Dispatch {
    pub transitions: Transitions,
    pub ledger: Ledger,
    pub clock: Clock,
    pub client: Client,
    pub accounts: Accounts,
    /// For the texts of SMS.
    pub policy: Swap<Policy>,
    pub instances: Instances,
    /// Longer than the client's timeout: a lease that runs out means that its holder is gone.
    pub lease: TimeDelta,
    /// Held while leasing; `true` when nothing is to be leased any more.
    pub stopped: tokio::sync::Mutex<bool>,
}

/// What one round did.
pub struct Round {
    /// Sends under way.
    pub sends: Vec<JoinHandle<()>>,
    /// More was due than was leased: somebody else held it, or an account had no room.
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
    /// Until the answer is written down.
    held: Held,
}

/// What became of an errand.
struct Called {
    result: SendResult,
    /// When the request left; `None` when there was none.
    started: Option<Instant>,
    http_status: Option<i16>,
    /// How to ask about it, when the provider took it and can be asked.
    ask: Option<AskPlan>,
}

impl Called {
    fn not(result: SendResult) -> Self {
        Self { result, started: None, http_status: None, ask: None }
    }
}

impl Dispatch {
    /// Leases what is due and begins to send it.
    ///
    /// # Errors
    /// When the database cannot be asked; what was leased then runs out and is found again.
    pub async fn run_once(self: &Arc<Self>) -> Result<Round, StoreError> {
        let stopped = self.stopped.lock().await;
        if *stopped {
            return Ok(Round { sends: Vec::new(), more_due: false });
        }
        let now = self.clock.now();
        let capacities = self.capacities();
        let lease = |row: &Claimed| Command {
            message: row.message,
            event: Event::Lease {
                attempt_no: row.attempt_no,
                lease: Lease { token: randomness::token(), until: now + self.lease },
                price: self.accounts.get(&row.account).and_then(|a| a.price.clone()),
            },
            at: now,
            record: Record::Nothing,
        };
        let claim = Claim::Due(capacities.clone());
        let claimed = self.transitions.run_claimed(Loop::Sender, &claim, now, ROUND, lease).await;
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
        Ok(Round { more_due: sends.len() < wanted.len(), sends })
    }

    /// Leases nothing more, and waits for what is under way.
    pub async fn stop(&self) {
        *self.stopped.lock().await = true;
        self.accounts.quiet().await;
    }

    /// Accounts with room, each with what it may send now.
    fn capacities(&self) -> Vec<Capacity> {
        let (live, now) = (self.instances.live(), self.clock.now());
        let room = |account: &Arc<Account>| {
            if account.breaker.is_probing(now) {
                return None;
            }
            let free = i64::try_from(account.room(live)).unwrap_or(i64::MAX).min(ROUND);
            let sends = account.limiter.take(free);
            let first_app = usize::from(randomness::word() as u16);
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

    /// Accounts that could send more at once, and how long until the next of the others may.
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

    async fn send(self: Arc<Self>, errand: Errand) {
        let began = Instant::now();
        let Called { result, started, http_status, ask } = self.call(&errand).await;
        let started_at = self.clock.at(started.unwrap_or(began));
        let command = Command {
            message: errand.stored.message.id,
            event: Event::Send { attempt_no: errand.attempt_no, token: errand.token, result },
            at: self.clock.now(),
            record: Record::Send { started_at, http_status, ask },
        };
        let mut pause = Duration::from_millis(50);
        // As long as the message lives the answer is worth writing down, also when the database is away for longer than the
        // lease: nobody but us knows what the provider said.
        while let Err(error) = self.ledger.apply_one(command.clone()).await {
            tracing::warn!(attempt.id = %errand.stored.message.id.attempt(errand.attempt_no),
                error = %telemetry::chain(&error), "cannot write down what a send did");
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
        if let Permission::Open { closed_in } = account.breaker.ask(self.clock.now()) {
            return Called::not(SendResult::BreakerOpen { closed_in });
        }
        let sealed = message.code.sealed.as_deref().unwrap_or_default();
        let Ok(code) = self.transitions.keys.reveal(message.code.key_id, sealed, &message.app, message.id) else {
            tracing::error!(message.id = %message.id, "the code cannot be opened with the configured keys");
            let failure = Failure::new("code_key_missing", ErrorClass::ConfigError);
            return Called::not(SendResult::Rejected { failure, pause: None });
        };
        let life_s = (message.expires_at - self.clock.now()).num_seconds();
        let (route, country) = (&message.route, stored.recipient.country());
        let policy = self.policy.get();
        let text = policy.texts.choose(&route.language, country);
        let text = policy.texts.render(text, route.platform, &code, life_s);
        let call = account.provider.call(&Outbound {
            attempt_id: message.id.attempt(*attempt_no),
            to: &stored.recipient,
            code: &code,
            text: &text,
            template: account.templates.choose(&route.language, country, route.platform),
            callback_url: &account.callback_url,
            life_s: u32::try_from(life_s).unwrap_or(0).max(1),
        });
        let exchange = self.client.send(account.provider_name, &account.name, call, &errand.held.call_off).await;
        let started = Some(exchange.started.into_std());
        let (outcome, http_status) = match &exchange.sent {
            Sent::Reply { status, retry_after, body } => {
                let reply = Reply { status: *status, retry_after: *retry_after, body };
                (account.provider.outcome(&reply), i16::try_from(*status).ok())
            }
            Sent::NotSent(CALLED_OFF) => {
                account.breaker.forget(self.clock.now());
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
        self.tell_breaker(account, &outcome);
        let mut ask = None;
        let result = match outcome {
            SendOutcome::Accepted { provider_message_id, held, ask_by } => {
                let Abilities { can_be_asked, calls_back, .. } = account.provider.abilities();
                ask = can_be_asked.then_some(AskPlan { ask_by, calls_back });
                if held {
                    tracing::warn!(account = account.name, "the provider keeps messages back; the deadline still runs");
                }
                SendResult::Accepted { provider_message_id, held }
            }
            SendOutcome::Unknown { failure } => SendResult::Unknown { failure, on_unknown: account.on_unknown },
            SendOutcome::Rejected { failure, retry: Retry::Never } => SendResult::Rejected { failure, pause: None },
            SendOutcome::Rejected { failure, retry: Retry::After(wait) } => {
                let pause = wait.max(backoff(errand.tries));
                SendResult::Rejected { failure, pause: TimeDelta::from_std(pause).ok() }
            }
        };
        Called { result, started, http_status, ask }
    }

    fn tell_breaker(&self, account: &Account, outcome: &SendOutcome) {
        let well = match outcome {
            SendOutcome::Accepted { .. } => true,
            SendOutcome::Unknown { .. } => false,
            SendOutcome::Rejected { failure, .. } => match failure.class {
                ErrorClass::RecipientUnreachable
                | ErrorClass::RateLimited
                | ErrorClass::Expired
                | ErrorClass::Other => true,
                ErrorClass::Retryable => false,
                ErrorClass::ConfigError => {
                    tracing::error!(
                        account = account.name,
                        error.code = failure.code,
                        "the provider refuses us: settings, template, credit or permission are wrong"
                    );
                    false
                }
            },
        };
        if account.breaker.tell(well, self.clock.now()) {
            tracing::error!(
                account = account.name,
                "too many failures in a row: the account is left alone for a while"
            );
        }
    }
}

/// The pause after the `tries`-th try, between half and the whole of the doubled value.
fn backoff(tries: i16) -> Duration {
    let doublings = u32::try_from(tries - 1).unwrap_or(0).min(10);
    let whole = (BACKOFF * 2_u32.pow(doublings)).min(LONGEST_BACKOFF);
    whole.mul_f64(0.5 + randomness::fraction() / 2.0)
}
