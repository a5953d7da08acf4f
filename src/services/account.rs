//! A provider account at run time: how to speak to it, how fast, and whether it is well.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;

use crate::domain::channel::Channel;
use crate::domain::event::OnUnknown;
use crate::domain::price::Price;
use crate::providers::Provider;
use crate::providers::templates::Templates;
use crate::services::breaker::Breaker;
use crate::services::limiter::Limiter;
use crate::services::swap::Swap;

pub struct Account {
    pub name: String,
    pub channel: Channel,
    pub provider_name: &'static str,
    pub provider: Box<dyn Provider>,
    pub templates: Templates,
    /// Where its callbacks come in, as the provider is given it.
    pub callback_url: String,
    pub limiter: Limiter,
    /// One permit per request under way.
    pub permits: Arc<Semaphore>,
    pub concurrency: u32,
    /// One permit per question under way.
    pub questions: Arc<Semaphore>,
    pub breaker: Breaker,
    /// What to do about a request of which we do not know whether it left.
    pub on_unknown: OnUnknown,
    /// What one message costs.
    pub price: Option<Price>,
}

/// How to make an [`Account`].
pub struct AccountPlan {
    pub name: String,
    pub channel: Channel,
    pub provider_name: &'static str,
    pub provider: Box<dyn Provider>,
    pub templates: Templates,
    /// `https://host/webhooks/{name}`.
    pub callback_url: String,
    /// Sends a second.
    pub per_second: f64,
    pub concurrency: u32,
    pub breaker_failures: u32,
    pub breaker_open: TimeDelta,
    /// `None`: an unknown send is given up.
    pub resend_after: Option<TimeDelta>,
    pub price: Option<Price>,
}

/// How soon a request is repeated where the provider recognises a repeat: it costs nothing.
const RESEND_DEDUPLICATED_AFTER: TimeDelta = TimeDelta::milliseconds(250);

/// Questions under way to one account. They have this bound of their own, and take neither the sends' permits nor their
/// rate: a send must never wait for a question. At an answer in 100 ms it is 80 questions a second.
const QUESTIONS_AT_ONCE: usize = 8;

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
    /// How many more requests this instance may have under way, where `instances` share the account. At least one may be,
    /// or an instance would stand still.
    pub fn room(&self, instances: u32) -> usize {
        let free = self.permits.available_permits();
        let under_way = (self.concurrency as usize).saturating_sub(free);
        let share = (self.concurrency / instances.max(1)).max(1) as usize;
        share.saturating_sub(under_way).min(free)
    }
}

/// All accounts by name, replaceable while they are in use. Cheap to clone; all clones are one.
///
/// An account never goes while the process lives: one that is no longer in the settings is given no new messages, since
/// no route names it, and finishes those that have it in theirs.
#[derive(Clone)]
pub struct Accounts(Swap<Known>);

#[derive(Clone, Default)]
struct Known {
    accounts: BTreeMap<String, Arc<Account>>,
    /// Accounts whose place another took under the same name; the latest first.
    former: BTreeMap<String, Vec<Former>>,
}

#[derive(Clone)]
struct Former {
    account: Arc<Account>,
    replaced_at: DateTime<Utc>,
}

/// How long callbacks are still taken as an account's former settings would have them: a rotated secret signs for as long
/// as it takes the provider to notice, and what it queued before is repeated for hours. A restart ends it at once, should a
/// secret have leaked.
pub const FORMER_VERIFIES_FOR: TimeDelta = TimeDelta::hours(24);

/// Former settings of one account that are kept; each is tried on a callback that the present ones do not believe.
const MOST_FORMER: usize = 4;

impl Accounts {
    pub fn new(plans: impl IntoIterator<Item = AccountPlan>) -> Self {
        let accounts = plans.into_iter().map(|plan| (plan.name.clone(), Arc::new(Account::new(plan)))).collect();
        Self(Swap::new(Known { accounts, former: BTreeMap::new() }))
    }

    /// Puts in accounts that are new or have changed, all at once; the others keep their breaker, limiter and permits. One
    /// that has changed begins with fresh ones: calls that are under way end as they began.
    ///
    /// For one caller at a time.
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

    /// Those under whose settings a callback to `name` may be proved: the present account, then the former ones.
    pub fn verifying(&self, name: &str, now: DateTime<Utc>) -> Vec<Arc<Account>> {
        let known = self.0.get();
        let former = known.former.get(name).into_iter().flatten();
        let former = former.filter(|former| now - former.replaced_at < FORMER_VERIFIES_FOR);
        known.accounts.get(name).into_iter().chain(former.map(|former| &former.account)).cloned().collect()
    }

    /// Waits until no request to any account is under way; for when none is begun any more.
    pub async fn quiet(&self) {
        let known = self.0.get();
        let former = known.former.values().flatten().map(|former| &former.account);
        for account in known.accounts.values().chain(former) {
            // All permits free: no request to this account is under way any more.
            let _ = account.permits.acquire_many(account.concurrency).await;
        }
    }
}
