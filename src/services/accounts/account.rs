//! A provider account at run time: how to call it, at which rate, and its condition.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;

use crate::domain::channel::Channel;
use crate::domain::event::OnUnknown;
use crate::domain::price::Price;
use crate::domain::receipt::{ErrorClass, Failure, Scope};
use crate::domain::route::Route;
use crate::providers::regional::Regional;
use crate::providers::templates::Templates;
use crate::providers::{Provider, Retry, Template};
use crate::services::accounts::breaker::{Breaker, Sending, Shown, TemplateKey};
use crate::services::accounts::limiter::Limiter;
use crate::services::swap::Swap;
use crate::telemetry::names;

pub struct Account {
    pub name: String,
    pub channel: Channel,
    pub provider_name: &'static str,
    pub provider: Box<dyn Provider>,
    pub templates: Templates,
    pub regional: Regional,
    /// The address of its callbacks, as given to the provider.
    pub callback_url: String,
    pub limiter: Limiter,
    /// One permit per request in progress.
    pub permits: Arc<Semaphore>,
    pub concurrency: u32,
    /// One permit per status query in progress.
    pub questions: Arc<Semaphore>,
    pub breaker: Breaker,
    /// What to do after a request of unknown outcome.
    pub on_unknown: OnUnknown,
    /// The price of one message.
    pub price: Option<Price>,
}

/// How to build an [`Account`].
pub struct AccountPlan {
    pub name: String,
    pub channel: Channel,
    pub provider_name: &'static str,
    pub provider: Box<dyn Provider>,
    pub templates: Templates,
    pub regional: Regional,
    /// `https://host/webhooks/{name}`.
    pub callback_url: String,
    /// Sends per second.
    pub per_second: f64,
    pub concurrency: u32,
    pub breaker_failures: u32,
    pub breaker_open: TimeDelta,
    /// `None`: an attempt of unknown outcome is not resent.
    pub resend_after: Option<TimeDelta>,
    pub price: Option<Price>,
}

/// Wait before a repeat where the provider recognises repeats, so that a repeat costs nothing.
const RESEND_DEDUPLICATED_AFTER: TimeDelta = TimeDelta::milliseconds(250);

/// Maximum number of concurrent status queries per account. They have a separate limit and use neither the sends'
/// permits nor their rate, because a send must never wait for a query. With answers in 100 ms this allows 80 queries a
/// second.
const QUESTIONS_AT_ONCE: usize = 8;

impl From<&Template> for TemplateKey {
    fn from(template: &Template) -> Self {
        Self { name: template.name.clone(), language: template.language.clone() }
    }
}

impl Account {
    pub fn new(plan: AccountPlan) -> Self {
        let deduplicates = plan.provider.abilities().deduplicates;
        let on_unknown = match plan.resend_after {
            _ if deduplicates => OnUnknown::ResendAfter(RESEND_DEDUPLICATED_AFTER),
            Some(wait) if plan.channel == Channel::Sms => OnUnknown::ResendAfter(wait),
            _ => OnUnknown::GiveUp,
        };
        Self {
            name: plan.name,
            channel: plan.channel,
            provider_name: plan.provider_name,
            provider: plan.provider,
            templates: plan.templates,
            regional: plan.regional,
            callback_url: plan.callback_url,
            limiter: Limiter::new(plan.per_second),
            permits: Arc::new(Semaphore::new(plan.concurrency as usize)),
            concurrency: plan.concurrency,
            questions: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
            breaker: Breaker::new(plan.breaker_failures, plan.breaker_open),
            on_unknown,
            price: plan.price,
        }
    }
}

impl Account {
    /// The nearest template that is not closed now; `None` for SMS, or when all are closed.
    pub fn open_template(&self, route: &Route, country: &str, now: DateTime<Utc>) -> Option<&Template> {
        let may_be_sent = |one: &Template| self.breaker.template_closed_in(&one.into(), now).is_none();
        self.templates.choose_among(&route.language, country, route.platform, may_be_sent)
    }

    /// Handles a failure that a callback reported after a message of this route was accepted. A refusal closes its
    /// scope, as the answer to a send would; other failures of accepted messages close nothing.
    pub fn note_late(&self, failure: &Failure, route: &Route, country: &str, now: DateTime<Utc>) {
        if failure.class != ErrorClass::ConfigError {
            return;
        }
        let shown = self.shown_by(failure, Retry::Never);
        if shown == Shown::Nothing {
            return;
        }
        if self.channel == Channel::Sms && shown == Shown::Fault(Scope::Template) {
            // The text of that send is not known any more.
            return;
        }
        // The nearest template, whether or not it has been closed since: a late callback must not count against another
        // one.
        let template = self.templates.choose(&route.language, country, route.platform).into();
        let sending = Sending { country: country.to_owned(), template };
        self.say_closed(&sending, self.breaker.tell_late(&sending, shown, now));
    }

    /// Passes the result of a send to the breaker, and logs what that closed.
    pub fn tell_breaker(&self, sending: &Sending, shown: Shown, now: DateTime<Utc>) {
        self.say_closed(sending, self.breaker.tell(sending, shown, now));
    }

    fn say_closed(&self, sending: &Sending, scope: Option<Scope>) {
        let Some(scope) = scope else { return };
        let what = match scope {
            Scope::Country | Scope::Sender => sending.country.clone(),
            Scope::Template => format!("{} {}", sending.template.name, sending.template.language),
            Scope::Account | Scope::Recipient => String::new(),
        };
        let scope = scope.as_str();
        metrics::counter!(names::ACCOUNT_CLOSED, "account" => self.name.clone(), "scope" => scope).increment(1);
        tracing::error!(account = self.name, scope, what, "refused or failing: not used for a while");
    }

    /// What a refusal shows about future sends.
    pub fn shown_by(&self, failure: &Failure, retry: Retry) -> Shown {
        // WhatsApp accounts have one sender, so a fault of the sender is a fault of the account.
        let scope = match failure.scope {
            Scope::Sender if self.channel == Channel::Whatsapp => Scope::Account,
            scope => scope,
        };
        match (failure.class, scope) {
            (_, Scope::Recipient) => Shown::Nothing,
            (ErrorClass::ConfigError, scope) => Shown::Fault(scope),
            // A limit that no pause lifts; other limits are kept by waiting.
            (ErrorClass::RateLimited, scope) if retry == Retry::Never => Shown::Fault(scope),
            (ErrorClass::Retryable, Scope::Account) => Shown::Fault(Scope::Account),
            _ => Shown::Nothing,
        }
    }

    /// How many more requests this instance may start, where `instances` share the account. At least one in progress is
    /// allowed, so that no instance stands still.
    pub fn room(&self, instances: u32) -> usize {
        let free = self.permits.available_permits();
        let under_way = (self.concurrency as usize).saturating_sub(free);
        let share = (self.concurrency / instances.max(1)).max(1) as usize;
        share.saturating_sub(under_way).min(free)
    }
}

/// All accounts by name; they can be replaced while in use. Cheap to clone; all clones share one map.
///
/// An account is never removed while the process lives. One that is no longer in the settings gets no new messages,
/// since no route names it, and finishes its current ones.
#[derive(Clone)]
pub struct Accounts(Swap<Known>);

#[derive(Clone, Default)]
struct Known {
    accounts: BTreeMap<String, Arc<Account>>,
    /// Replaced accounts of the same name; the latest first.
    former: BTreeMap<String, Vec<Former>>,
}

#[derive(Clone)]
struct Former {
    account: Arc<Account>,
    replaced_at: DateTime<Utc>,
}

/// How long callbacks are still accepted under an account's former settings. The provider signs with a rotated secret
/// until it has applied the change, and repeats what it queued before for hours. A restart ends this at once, in case
/// the secret has leaked.
pub const FORMER_VERIFIES_FOR: TimeDelta = TimeDelta::hours(24);

/// Maximum number of former settings kept per account. Each is tried on a callback that the current ones do not prove.
const MOST_FORMER: usize = 4;

impl Accounts {
    pub fn new(plans: impl IntoIterator<Item = AccountPlan>) -> Self {
        let accounts = plans.into_iter().map(|plan| (plan.name.clone(), Arc::new(Account::new(plan)))).collect();
        Self(Swap::new(Known { accounts, former: BTreeMap::new() }))
    }

    /// Adds accounts that are new or have changed, all at once; the others keep their breaker, limiter and permits. A
    /// changed one starts with fresh ones; its calls in progress end under the old settings.
    ///
    /// Not for concurrent callers.
    pub fn put(&self, plans: impl IntoIterator<Item = AccountPlan>, now: DateTime<Utc>) {
        let mut known = Known::clone(&self.0.get());
        for plan in plans {
            let name = plan.name.clone();
            if let Some(account) = known.accounts.insert(name.clone(), Arc::new(Account::new(plan))) {
                let kept = known.former.entry(name).or_default();
                kept.insert(0, Former { account, replaced_at: now });
                kept.truncate(MOST_FORMER);
            }
        }
        self.0.set(known);
    }

    pub fn get(&self, name: &str) -> Option<Arc<Account>> {
        self.0.get().accounts.get(name).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Account>> {
        self.0.get().accounts.values().cloned().collect()
    }

    /// The settings under which a callback to `name` may be proved: the current account, then the former ones.
    pub fn verifying(&self, name: &str, now: DateTime<Utc>) -> Vec<Arc<Account>> {
        let known = self.0.get();
        let former = known.former.get(name).into_iter().flatten();
        let former = former.filter(|former| now - former.replaced_at < FORMER_VERIFIES_FOR);
        known.accounts.get(name).into_iter().chain(former.map(|former| &former.account)).cloned().collect()
    }

    /// Waits until no request to any account is in progress; for use when no more are started.
    pub async fn quiet(&self) {
        let known = self.0.get();
        let former = known.former.values().flatten().map(|former| &former.account);
        for account in known.accounts.values().chain(former) {
            // All permits are free: no request to this account is in progress.
            let _ = account.permits.acquire_many(account.concurrency).await;
        }
    }
}
