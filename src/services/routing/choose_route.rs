//! Chooses the route of a message from the current state of the accounts and the memory of the number.

use chrono::{DateTime, Utc};

use crate::api::channels::OfferedChannel;
use crate::domain::app_id::AppId;
use crate::domain::channel::Channel;
use crate::domain::health::Health;
use crate::domain::memory::Memory;
use crate::domain::phone::Phone;
use crate::domain::routing::{Ask, Chosen, Knowledge, Unreachable};
use crate::services::accounts::account::Accounts;
use crate::services::accounts::pulse::Pulse;
use crate::services::policy::Policy;
use crate::services::randomness;
use crate::services::routing::memory::NumberMemory;

#[derive(Clone)]
pub struct ChooseRoute {
    pub accounts: Accounts,
    pub pulse: Pulse,
    pub memory: NumberMemory,
}

/// The message that a route is for.
#[derive(Clone, Copy, Debug)]
pub struct Whom<'a> {
    pub app: &'a AppId,
    pub to: &'a Phone,
    pub purpose: &'a str,
    pub channel: Option<Channel>,
}

impl ChooseRoute {
    /// # Errors
    /// [`Unreachable`].
    pub async fn run(&self, policy: &Policy, whom: Whom<'_>, now: DateTime<Utc>) -> Result<Chosen, Unreachable> {
        self.choose(policy, whom, now, true).await
    }

    /// The channels for a number, the recommended one first. Empty when no account sends to it.
    pub async fn offer(&self, policy: &Policy, whom: Whom<'_>, now: DateTime<Utc>) -> Vec<OfferedChannel> {
        let steps = self.choose(policy, whom, now, false).await.map_or(Vec::new(), |chosen| chosen.steps);
        let mut offered: Vec<OfferedChannel> = Vec::new();
        for step in steps {
            if offered.iter().all(|one| one.channel != step.channel) {
                let recommended = offered.is_empty();
                offered.push(OfferedChannel { channel: step.channel, recommended, price: step.price });
            }
        }
        offered
    }

    /// `sends`: a message follows, which may probe a silent account.
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
            // A requested channel takes precedence over the memory.
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
    /// Also for an account that no longer exists.
    fn is_open(&self, account: &str, country: &str) -> bool {
        self.choose.accounts.get(account).is_none_or(|account| account.breaker.is_open(country, self.now))
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
