//! A provider account at run time: how to speak to it, how fast, and whether it is well.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::Semaphore;

use crate::domain::channel::Channel;
use crate::domain::event::OnUnknown;
use crate::domain::price::Price;
use crate::providers::Provider;
use crate::providers::templates::Templates;
use crate::services::breaker::Breaker;
use crate::services::limiter::Limiter;

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

/// All accounts by name. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<BTreeMap<String, Arc<Account>>>);

impl Accounts {
    pub fn new(plans: impl IntoIterator<Item = AccountPlan>) -> Self {
        Self(Arc::new(plans.into_iter().map(|plan| (plan.name.clone(), Arc::new(Account::new(plan)))).collect()))
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Account>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.values()
    }
}
