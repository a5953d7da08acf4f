//! Chooses a message's route: which accounts, in which order, and how long to wait for each.
//!
//! Pure: the inputs are the routes of the settings, the request, the state of the accounts, the memory of the number,
//! and a few random draws. The result is the steps with the reasons in words. It is fixed with the message.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::app_id::AppId;
use crate::channel::Channel;
use crate::health::{Health, ReceiptHealth};
use crate::memory::Memory;
use crate::price::Price;
use crate::prices::Prices;
use crate::route::{REPLACE_AFTER_S, Step};
use crate::words;

/// The routes of the settings.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// The last rule matches every message; of the others, the most specific that matches applies.
    pub rules: Vec<Rule>,
    pub accounts: BTreeMap<String, Sender>,
    pub prices: Prices,
}

/// What the choice needs to know about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub channel: Channel,
    /// ISO 3166-1 alpha-2; `None`: it sends to all countries.
    pub countries: Option<BTreeSet<String>>,
}

/// One route, and the messages it applies to.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub fits: Fits,
    pub steps: Vec<Pool>,
    pub order: Order,
    pub when_silent: WhenSilent,
    /// Share of messages delivered in time from which an account counts as good, 0 to 1.
    pub good_share: f64,
    /// In seconds; `None`: the purpose decides.
    pub replace_after_s: Option<i16>,
}

/// The messages a route applies to; an empty field matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// ISO 3166-1 alpha-2.
    pub countries: BTreeSet<String>,
    /// Prefixes of E.164 numbers, with `+`.
    pub prefixes: BTreeSet<String>,
    pub purposes: BTreeSet<String>,
    pub apps: BTreeSet<String>,
}

/// Interchangeable accounts of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub channel: Channel,
    pub accounts: Vec<Weighted>,
    pub choose: Choose,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    pub account: String,
    /// Weight of the account among those of the pool, which sets its share of the messages. Greater than 0.
    pub weight: f64,
}

/// Which account of a pool comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choose {
    /// Chosen at random in proportion to the weights.
    Weight,
    /// The cheapest for the country among the good ones.
    Cheapest,
}

/// The order of a route's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Listed,
    /// The cheapest for the country first, among the good ones.
    Cheapest,
}

/// How to treat a step when all of its accounts are silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenSilent {
    /// The other steps come first.
    PassBy,
    /// Its deadline is the minimum.
    Shorten,
    Ignore,
}

words! {
    Choose { Weight = "weight", Cheapest = "cheapest" }
    Order { Listed = "listed", Cheapest = "cheapest" }
    WhenSilent { PassBy = "pass_by", Shorten = "shorten", Ignore = "ignore" }
}

/// The request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub e164: &'a str,
    pub country: &'a str,
    pub purpose: &'a str,
    pub app: &'a AppId,
    /// The channel that the person or the app chose.
    pub channel: Option<Channel>,
    pub memory: Memory,
    /// Day for which prices are looked up.
    pub on: NaiveDate,
}

/// What is known about the accounts now.
pub trait Knowledge {
    /// Whether the circuit breaker is open for all countries or for this one, so that the account would not be called.
    fn is_open(&self, account: &str, country: &str) -> bool;
    fn health(&self, account: &str, country: &str) -> Health;
    /// Whether this message may probe a silent account. Each `true` is counted.
    fn may_probe(&self, account: &str) -> bool;
    /// A random number of at least 0 and less than 1; a new one for each call.
    fn draw(&self) -> f64;
}

/// The chosen route.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    pub steps: Vec<Step>,
    /// The route's own wait in seconds, or the minimum because of a silent account.
    pub replace_after_s: Option<i16>,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No account of the route sends to this country.
    Country,
    /// No account sends on the requested channel.
    Channel,
}

impl Ask<'_> {
    /// Whether nothing is known against beginning on this channel.
    fn leaves_first(&self, channel: Channel) -> bool {
        match self.channel {
            Some(asked) => asked == channel,
            None => channel == Channel::Sms || !(self.memory.not_on_whatsapp || self.memory.answers_by_sms),
        }
    }
}

impl Fits {
    fn fit(&self, ask: &Ask<'_>) -> bool {
        let among = |set: &BTreeSet<String>, value: &str| set.is_empty() || set.contains(value);
        among(&self.countries, ask.country)
            && among(&self.purposes, ask.purpose)
            && among(&self.apps, ask.app.as_str())
            && (self.prefixes.is_empty() || self.longest_prefix(ask.e164) > 0)
    }

    fn longest_prefix(&self, e164: &str) -> usize {
        self.prefixes.iter().filter(|prefix| e164.starts_with(prefix.as_str())).map(String::len).max().unwrap_or(0)
    }

    /// A longer prefix ranks highest, then a country, an app, a purpose.
    fn rank(&self, e164: &str) -> (usize, bool, bool, bool) {
        let asks = |set: &BTreeSet<String>| !set.is_empty();
        (self.longest_prefix(e164), asks(&self.countries), asks(&self.apps), asks(&self.purposes))
    }

    /// Whether a message could match both equally well, so that the choice would be arbitrary.
    pub fn is_as_specific_as(&self, other: &Self) -> bool {
        let meet = |a: &BTreeSet<String>, b: &BTreeSet<String>| match (a.is_empty(), b.is_empty()) {
            (true, true) => true,
            (false, false) => a.intersection(b).next().is_some(),
            _ => false,
        };
        meet(&self.countries, &other.countries)
            && meet(&self.prefixes, &other.prefixes)
            && meet(&self.purposes, &other.purposes)
            && meet(&self.apps, &other.apps)
    }
}

impl Sender {
    fn reaches(&self, country: &str) -> bool {
        self.countries.as_ref().is_none_or(|countries| countries.contains(country))
    }
}

/// A pool as seen by one message: its accounts in the order in which they are tried.
struct Ranked {
    channel: Channel,
    accounts: Vec<Candidate>,
}

struct Candidate {
    account: String,
    price: Option<Price>,
    open: bool,
    silent: bool,
    /// It is silent, and this message is a probe.
    probing: bool,
    good: bool,
}

impl Ranked {
    /// All of its accounts are silent, and none is probed.
    fn is_silent(&self) -> bool {
        self.accounts.iter().all(|c| c.silent)
    }

    fn is_good(&self) -> bool {
        self.accounts.first().is_some_and(|c| c.good && !c.open)
    }

    fn micros(&self) -> i64 {
        self.accounts.first().and_then(|c| c.price.as_ref()).map_or(i64::MAX, |price| price.micros)
    }
}

impl Routing {
    /// The most specific rule; the last one if several have the same rank, which the settings do not allow.
    pub fn rule(&self, ask: &Ask<'_>) -> Option<&Rule> {
        self.rules.iter().filter(|rule| rule.fits.fit(ask)).max_by_key(|rule| rule.fits.rank(ask.e164))
    }

    /// # Errors
    /// [`Unreachable`].
    pub fn choose(&self, ask: &Ask<'_>, known: &impl Knowledge) -> Result<Chosen, Unreachable> {
        let rule = self.rule(ask).ok_or(Unreachable::Country)?;
        let mut pools: Vec<Ranked> = rule
            .steps
            .iter()
            .map(|pool| self.rank(rule, pool, ask, known))
            .filter(|p| !p.accounts.is_empty())
            .collect();
        if pools.is_empty() {
            return Err(Unreachable::Country);
        }
        let mut chosen = Chosen { steps: Vec::new(), replace_after_s: rule.replace_after_s, why: rule.name.clone() };
        if rule.order == Order::Cheapest {
            // The sort is stable: among equals the one listed first wins.
            pools.sort_by_key(|pool| (!pool.is_good(), pool.micros()));
            chosen.because("the cheapest first");
        }
        match ask.channel {
            Some(channel) => {
                if !pools.iter().any(|pool| pool.channel == channel) {
                    return Err(Unreachable::Channel);
                }
                chosen.put_last(&mut pools, |pool| pool.channel != channel, &format!("{channel} as asked"));
            }
            None => chosen.reorder(&mut pools, rule, ask.memory),
        }
        chosen.steps = pools.into_iter().flat_map(Ranked::into_steps).collect();
        Ok(chosen)
    }

    /// The pool's accounts that send to the country, in the order of trying.
    fn rank(&self, rule: &Rule, pool: &Pool, ask: &Ask<'_>, known: &impl Knowledge) -> Ranked {
        let reaching = pool
            .accounts
            .iter()
            .filter(|one| self.accounts.get(&one.account).is_some_and(|sender| sender.reaches(ask.country)));
        let mut keyed: Vec<(f64, Candidate)> = reaching
            .map(|one| {
                let health = known.health(&one.account, ask.country);
                let silent = health.receipts == ReceiptHealth::Silent && rule.when_silent != WhenSilent::Ignore;
                // Called only if the message would go there, because each `true` is counted.
                let open = known.is_open(&one.account, ask.country);
                let probing = silent && !open && ask.leaves_first(pool.channel) && known.may_probe(&one.account);
                let candidate = Candidate {
                    price: self.prices.of(&one.account, ask.country, ask.on).cloned(),
                    account: one.account.clone(),
                    open,
                    silent: silent && !probing,
                    probing,
                    good: health.in_time.is_none_or(|share| share >= rule.good_share),
                };
                let key = match pool.choose {
                    // Weighted random choice without a table: each account draws a value, and its probability to be the
                    // smallest is proportional to its weight.
                    Choose::Weight => -(1.0 - known.draw()).ln() / (one.weight * health.weight),
                    Choose::Cheapest => candidate.price.as_ref().map_or(f64::MAX, |price| price.micros as f64),
                };
                (key, candidate)
            })
            .collect();
        let by_price = pool.choose == Choose::Cheapest;
        keyed.sort_by(|(a_key, a), (b_key, b)| {
            let rank = |c: &Candidate| (c.open, c.silent, !c.probing, by_price && !c.good);
            rank(a).cmp(&rank(b)).then(a_key.total_cmp(b_key))
        });
        Ranked { channel: pool.channel, accounts: keyed.into_iter().map(|(_, candidate)| candidate).collect() }
    }
}

impl Ranked {
    /// The first account is the step; the others are its standbys.
    fn into_steps(self) -> impl Iterator<Item = Step> {
        let channel = self.channel;
        let step = move |(place, candidate): (usize, Candidate)| Step {
            channel,
            account: candidate.account,
            standby: place > 0,
            price: candidate.price,
        };
        self.accounts.into_iter().enumerate().map(step)
    }
}

impl Chosen {
    /// The memory of the number and silent accounts change the order.
    fn reorder(&mut self, pools: &mut Vec<Ranked>, rule: &Rule, memory: Memory) {
        if rule.when_silent == WhenSilent::PassBy {
            self.put_last(pools, Ranked::is_silent, "silent accounts last");
        } else if rule.when_silent == WhenSilent::Shorten && pools.first().is_some_and(Ranked::is_silent) {
            self.replace_after_s = Some(*REPLACE_AFTER_S.start());
            self.because("the shortest wait for a silent account");
        }
        let is_whatsapp = |pool: &Ranked| pool.channel == Channel::Whatsapp;
        if memory.not_on_whatsapp {
            self.put_last(pools, is_whatsapp, "the number was not on WhatsApp");
        } else if memory.answers_by_sms {
            self.put_last(pools, is_whatsapp, "the number answered by SMS");
        }
    }

    /// Moves pools to the end, and records the reason if that changed anything.
    fn put_last(&mut self, pools: &mut Vec<Ranked>, which: impl Fn(&Ranked) -> bool, why: &str) {
        let in_order = pools.windows(2).all(|pair| !which(&pair[0]) || which(&pair[1]));
        if !in_order {
            let (last, mut first): (Vec<_>, Vec<_>) = std::mem::take(pools).into_iter().partition(which);
            first.extend(last);
            *pools = first;
            self.because(why);
        }
    }

    fn because(&mut self, why: &str) {
        self.why.push_str("; ");
        self.why.push_str(why);
    }
}

#[cfg(test)]
mod tests;
