//! Converts the routes of the settings to the form in which messages are routed.

use crate::config::accounts::AccountSettings;
use crate::config::route::RouteOptions;
use crate::config::settings::Settings;
use crate::domain::channel::Channel;
use crate::domain::price::Price;
use crate::domain::prices::{AccountPrices, Prices};
use crate::domain::routing::{Choose, Fits, Pool, Routing, Rule, Sender, Weighted};

/// Name of `[route]` in a message's timeline.
pub(super) const EVERYBODY: &str = "the configured route";

impl Settings {
    pub fn routing(&self) -> Routing {
        let rule = |name: String, fits: Fits, options: &RouteOptions, replace_after_s| Rule {
            name,
            fits,
            steps: options.steps.iter().filter_map(|step| self.pool(step)).collect(),
            order: options.order,
            when_silent: options.when_silent,
            good_share: options.good_share,
            replace_after_s,
        };
        let named = self.routes.iter().map(|(name, route)| {
            rule(format!("the route {name}"), route.fits.clone(), &route.options, route.replace_after_s)
        });
        let everybody = rule(EVERYBODY.to_owned(), Fits::default(), &self.route.options, None);
        let sender =
            |account: &AccountSettings| Sender { channel: account.channel, countries: account.countries.clone() };
        Routing {
            rules: named.chain([everybody]).collect(),
            accounts: self.accounts.iter().map(|(name, account)| (name.clone(), sender(account))).collect(),
            prices: self.price_lists(),
        }
    }

    pub(super) fn price_lists(&self) -> Prices {
        Prices::new(self.accounts.iter().map(|(name, account)| {
            let of_account = self.prices.iter().filter(|prices| prices.account == *name);
            let lists = of_account.map(|prices| prices.list.clone()).collect();
            (name.clone(), AccountPrices { flat: account.price.clone(), lists })
        }))
    }

    /// Every price of every SMS account; `None` for an account without one.
    pub fn sms_prices(&self) -> Vec<Option<Price>> {
        let prices = self.price_lists();
        let sms = self.accounts.iter().filter(|(_, account)| account.channel == Channel::Sms);
        sms.flat_map(|(name, _)| {
            let known: Vec<Option<Price>> =
                prices.account(name).into_iter().flat_map(AccountPrices::all).cloned().map(Some).collect();
            if known.is_empty() { vec![None] } else { known }
        })
        .collect()
    }

    /// What a step names: a pool, or a single account.
    pub fn pool(&self, step: &str) -> Option<Pool> {
        let Some(pool) = self.pools.get(step) else {
            let account = self.accounts.get(step)?;
            let accounts = vec![Weighted { account: step.to_owned(), weight: 1.0 }];
            return Some(Pool { channel: account.channel, accounts, choose: Choose::Weight });
        };
        let channel = pool.accounts.iter().find_map(|name| self.accounts.get(name))?.channel;
        let accounts = pool.accounts.iter().zip(&pool.weights);
        let accounts = accounts.map(|(account, &weight)| Weighted { account: account.clone(), weight }).collect();
        Some(Pool { channel, accounts, choose: pool.choose })
    }
}
