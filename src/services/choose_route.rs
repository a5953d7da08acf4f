//! Chooses the route of a message, with what is known of the accounts and of the number at this moment.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::channel::Channel;
use crate::domain::health::Health;
use crate::domain::memory::Memory;
use crate::domain::phone::Phone;
use crate::domain::price::Price;
use crate::domain::routing::{Ask, Chosen, Knowledge, Unreachable};
use crate::services::account::Accounts;
use crate::services::memory::NumberMemory;
use crate::services::policy::Policy;
use crate::services::pulse::Pulse;
use crate::services::randomness;

#[derive(Clone)]
pub struct ChooseRoute {
    pub accounts: Accounts,
    pub pulse: Pulse,
    pub memory: NumberMemory,
}

/// Whom a route is for.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'a> {
    pub app: &'a str,
    pub to: &'a Phone,
    pub purpose: &'a str,
    pub channel: Option<Channel>,
}

/// A channel that can be offered to a person, in the order in which we would take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offered {
    pub channel: Channel,
    /// The one that is taken when nothing is asked for.
    pub recommended: bool,
    /// Of the account that would be tried first.
    pub price: Option<Price>,
}

impl ChooseRoute {
    /// # Errors
    /// [`Unreachable`].
    pub async fn run(&self, policy: &Policy, whom: Whom<'_>, now: DateTime<Utc>) -> Result<Chosen, Unreachable> {
        self.choose(policy, whom, now, true).await
    }

    /// The channels for a number, the recommended one first. Empty when no account sends to it.
    pub async fn offer(&self, policy: &Policy, whom: Whom<'_>, now: DateTime<Utc>) -> Vec<Offered> {
        let steps = self.choose(policy, whom, now, false).await.map_or(Vec::new(), |chosen| chosen.steps);
        let mut offered: Vec<Offered> = Vec::new();
        for step in steps {
            if offered.iter().all(|one| one.channel != step.channel) {
                let recommended = offered.is_empty();
                offered.push(Offered { channel: step.channel, recommended, price: step.price });
            }
        }
        offered
    }

    /// `sends`: a message follows, which may try an account that is not heard.
    async fn choose(
        &self,
        policy: &Policy,
        whom: Whom<'_>,
        now: DateTime<Utc>,
        sends: bool,
    ) -> Result<Chosen, Unreachable> {
        let ask = Ask {
            e164: whom.to.e164(),
            country: whom.to.country(),
            purpose: whom.purpose,
            app: whom.app,
            channel: whom.channel,
            // A wish counts more than what is remembered.
            memory: match whom.channel {
                Some(_) => Memory::default(),
                None => self.memory.recall(whom.app, whom.to).await,
            },
            on: now.date_naive(),
        };
        policy.routing.choose(&ask, &Known { choose: self, now, sends })
    }
}

struct Known<'a> {
    choose: &'a ChooseRoute,
    now: DateTime<Utc>,
    sends: bool,
}

impl Knowledge for Known<'_> {
    /// Also of an account that is not there any more.
    fn is_open(&self, account: &str) -> bool {
        self.choose.accounts.get(account).is_none_or(|account| account.breaker.is_open(self.now))
    }

    fn health(&self, account: &str, country: &str) -> Health {
        self.choose.pulse.health(account, country)
    }

    fn may_probe(&self, account: &str) -> bool {
        self.sends && self.choose.pulse.may_probe(account, self.now)
    }

    fn draw(&self) -> f64 {
        randomness::fraction()
    }
}
