//! Checks the settings as a whole before they are used: which countries they reach, which step follows which, what it
//! costs.
//!
//! Each finding is a sentence with a remedy. Settings that would lose codes or depend on chance are refused; those that
//! work, but less well than they should, are degraded.

mod india;
mod templates;

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::config::route::RouteOptions;
use crate::config::settings::Settings;
use crate::domain::channel::Channel;
use crate::domain::phone;
use crate::domain::prices::{AccountPrices, Prices};
use crate::domain::route::LIFE_AFTER_REPLACEMENT_S;
use crate::domain::routing::{Choose, Fits, Order, Pool};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The program does not start with it.
    Refused,
    /// It starts, and reports it.
    Degraded,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub verdict: Verdict,
    /// Its path: `routes.asia.steps`.
    pub setting: String,
    pub wrong: String,
    pub remedy: String,
}

impl Finding {
    /// For a list of warnings.
    pub(super) fn sentence(&self) -> String {
        format!("{} {}; {}.", self.setting, self.wrong, self.remedy)
    }
}

/// One route as the checks see it.
struct Route<'a> {
    /// `route` or `routes.NAME`.
    path: String,
    fits: Fits,
    options: &'a RouteOptions,
    /// The wait that the route itself sets.
    replace_after_s: Option<i16>,
    pools: Vec<Pool>,
    /// All countries that its numbers can belong to.
    countries: BTreeSet<String>,
}

/// Checks settings whose values are valid one by one. `today` decides which price lists are valid.
pub(super) fn check(settings: &Settings, today: NaiveDate) -> Vec<Finding> {
    let mut findings = Findings::default();
    let routes = routes(settings);
    for route in &routes {
        reach(settings, route, &mut findings);
        behind_whatsapp(settings, route, &mut findings);
        prices_to_compare(settings, route, today, &mut findings);
        lives(settings, route, &mut findings);
    }
    ambiguous(&routes, &mut findings);
    templates::check(settings, &routes, &mut findings);
    india::check(settings, &routes, &mut findings);
    prices_known(settings, today, &mut findings);
    caps(settings, &mut findings);
    findings.0
}

/// A cap bounds nothing where an SMS has no price, or one in another currency.
fn caps(settings: &Settings, findings: &mut Findings) {
    let Some(currency) = &settings.pumping.currency else { return };
    let prices = settings.sms_prices();
    let caps = [
        ("pumping.app_cap_per_day", settings.pumping.rules.app_cap_micros),
        ("pumping.country_cap_per_day", settings.pumping.rules.country_cap_micros),
    ];
    for (setting, _) in caps.into_iter().filter(|(_, cap)| *cap > 0) {
        let remedy = format!("give every SMS account a `price` in {currency}, or leave the cap out");
        if prices.iter().any(Option::is_none) {
            let wrong = "cannot be kept: an SMS account has no price".to_owned();
            findings.add(Verdict::Refused, setting.to_owned(), wrong, remedy);
        } else if prices.iter().flatten().any(|price| price.currency != *currency) {
            let wrong = format!("is in {currency}, and an SMS has a price in another currency");
            findings.add(Verdict::Refused, setting.to_owned(), wrong, remedy);
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, setting: String, wrong: String, remedy: impl Into<String>) {
        self.0.push(Finding { verdict, setting, wrong, remedy: remedy.into() });
    }
}

fn routes(settings: &Settings) -> Vec<Route<'_>> {
    let all: BTreeSet<String> = phone::countries().collect();
    let pools = |options: &RouteOptions| options.steps.iter().filter_map(|step| settings.pool(step)).collect();
    let named = settings.routes.iter().map(|(name, route)| Route {
        path: format!("routes.{name}"),
        fits: route.fits.clone(),
        options: &route.options,
        replace_after_s: route.replace_after_s,
        pools: pools(&route.options),
        countries: if route.fits.countries.is_empty() { all.clone() } else { route.fits.countries.clone() },
    });
    let mut routes: Vec<Route<'_>> = named.collect();
    if !settings.accounts.is_empty() {
        // Countries with their own route never use this one.
        let own = settings.routes.values().filter(|route| is_for_countries_alone(&route.fits));
        let own: BTreeSet<&String> = own.flat_map(|route| &route.fits.countries).collect();
        let options = &settings.route.options;
        routes.push(Route {
            path: "route".to_owned(),
            fits: Fits::default(),
            options,
            replace_after_s: None,
            pools: pools(options),
            countries: all.iter().filter(|country| !own.contains(country)).cloned().collect(),
        });
    }
    routes
}

fn is_for_countries_alone(fits: &Fits) -> bool {
    !fits.countries.is_empty() && fits.prefixes.is_empty() && fits.purposes.is_empty() && fits.apps.is_empty()
}

impl Settings {
    /// Whether an account of the pool sends to the country.
    fn reaches(&self, pool: &Pool, country: &str) -> bool {
        pool.accounts.iter().any(|one| self.sends_to(&one.account, country))
    }

    fn sends_to(&self, account: &str, country: &str) -> bool {
        let account = self.accounts.get(account);
        account.is_some_and(|account| account.countries.as_ref().is_none_or(|some| some.contains(country)))
    }
}

/// A route for named countries must reach them; the general route need not reach every country.
fn reach(settings: &Settings, route: &Route<'_>, findings: &mut Findings) {
    let reached = |country: &&String| route.pools.iter().any(|pool| settings.reaches(pool, country));
    let missed: Vec<&String> = route.countries.iter().filter(|country| !reached(country)).collect();
    if missed.is_empty() {
        return;
    }
    let verdict = if route.fits.countries.is_empty() { Verdict::Degraded } else { Verdict::Refused };
    let wrong = format!("reaches nobody in {}", some_of(&missed));
    let remedy = "add an account that sends there, or take the country out of its account's `countries` limit";
    let remedy = if verdict == Verdict::Refused { remedy } else { "messages to them are refused" };
    findings.add(verdict, format!("{}.steps", route.path), wrong, remedy);
}

/// WhatsApp reports neither everybody who lacks it nor every block, so an SMS step must follow if WhatsApp comes first.
/// If an SMS comes first, WhatsApp may be the last step.
fn behind_whatsapp(settings: &Settings, route: &Route<'_>, findings: &mut Findings) {
    let alone = |country: &&String| {
        let channels = route.pools.iter().filter(|pool| settings.reaches(pool, country)).map(|pool| pool.channel);
        let channels: Vec<Channel> = channels.collect();
        channels.contains(&Channel::Whatsapp) && !channels.contains(&Channel::Sms)
    };
    let alone: Vec<&String> = route.countries.iter().filter(alone).collect();
    if alone.is_empty() {
        return;
    }
    let place = if alone.len() == route.countries.len() { String::new() } else { format!(" in {}", some_of(&alone)) };
    let wrong = format!("has no SMS step behind its WhatsApp step{place}");
    let remedy = "what WhatsApp fails to deliver stays undelivered";
    findings.add(Verdict::Degraded, format!("{}.steps", route.path), wrong, remedy);
}

/// A choice by price needs every price, in one currency.
fn prices_to_compare(settings: &Settings, route: &Route<'_>, today: NaiveDate, findings: &mut Findings) {
    let prices = settings.price_lists();
    let mut compared = |setting: &str, pools: &[&Pool]| {
        let accounts: Vec<&str> =
            pools.iter().flat_map(|pool| &pool.accounts).map(|one| one.account.as_str()).collect();
        compare(settings, &prices, route, setting, &accounts, today, findings);
    };
    if route.options.order == Order::Cheapest {
        return compared(&format!("{}.order", route.path), &route.pools.iter().collect::<Vec<_>>());
    }
    for (name, pool) in route.options.steps.iter().zip(&route.pools).filter(|(_, pool)| pool.choose == Choose::Cheapest)
    {
        compared(&format!("pools.{name}.choose"), &[pool]);
    }
}

fn compare(
    settings: &Settings,
    prices: &Prices,
    route: &Route<'_>,
    setting: &str,
    accounts: &[&str],
    today: NaiveDate,
    findings: &mut Findings,
) {
    for account in accounts {
        let sends = route.countries.iter().filter(|country| settings.sends_to(account, country));
        let unknown: Vec<&String> = sends.filter(|country| prices.of(account, country, today).is_none()).collect();
        if !unknown.is_empty() {
            let wrong = format!("is \"cheapest\", but {account} has no price for {}", some_of(&unknown));
            let remedy = format!("set accounts.{account}.price, or `other` in a list of [prices]");
            findings.add(Verdict::Refused, setting.to_owned(), wrong, remedy);
        }
    }
    // Includes lists that begin later, because nobody would check again on that day.
    let all = accounts.iter().filter_map(|account| prices.account(account)).flat_map(AccountPrices::all);
    let currencies: BTreeSet<&str> = all.map(|price| price.currency.as_str()).collect();
    if currencies.len() > 1 {
        let wrong = format!("is \"cheapest\", but prices are in {}", Vec::from_iter(currencies).join(" and "));
        findings.add(Verdict::Refused, setting.to_owned(), wrong, "must all be in one currency, to be compared");
    }
}

/// A replacement needs a remaining life in which it can be used.
fn lives(settings: &Settings, route: &Route<'_>, findings: &mut Findings) {
    let Some(wait) = route.replace_after_s else { return };
    let least = i32::from(wait) + LIFE_AFTER_REPLACEMENT_S;
    let uses = |name: &String| route.fits.purposes.is_empty() || route.fits.purposes.contains(name);
    for (name, purpose) in settings.purposes.iter().filter(|(name, p)| uses(name) && p.valid_for_s < least) {
        let wrong = format!("is {wait}, too long for {name}, whose codes live {} s", purpose.valid_for_s);
        let remedy = format!("must be at most {}", purpose.valid_for_s - LIFE_AFTER_REPLACEMENT_S);
        findings.add(Verdict::Refused, format!("{}.replace_after_s", route.path), wrong, remedy);
    }
    for name in route.fits.purposes.iter().filter(|name| !settings.purposes.contains_key(*name)) {
        let known = Vec::from_iter(settings.purposes.keys().map(String::as_str)).join(", ");
        let wrong = format!("names {name}, which is no purpose");
        findings.add(Verdict::Refused, format!("{}.purposes", route.path), wrong, format!("there are: {known}"));
    }
}

fn ambiguous(routes: &[Route<'_>], findings: &mut Findings) {
    for (i, route) in routes.iter().enumerate() {
        for other in routes[..i].iter().filter(|other| route.fits.is_as_specific_as(&other.fits)) {
            let wrong = format!("is for some of the same messages as {}", other.path);
            findings.add(
                Verdict::Refused,
                route.path.clone(),
                wrong,
                "one of the two must ask for more, or for others",
            );
        }
    }
}

/// Costs are stored with every attempt: without prices the cost of an unnecessary message is unknown.
fn prices_known(settings: &Settings, today: NaiveDate, findings: &mut Findings) {
    let prices = settings.price_lists();
    for name in settings.accounts.keys() {
        let Some(account) = prices.account(name) else { continue };
        let setting = format!("accounts.{name}");
        if account.flat.is_none() && account.lists.is_empty() {
            let wrong = "has no price".to_owned();
            findings.add(Verdict::Degraded, setting, wrong, "what its messages cost is not known");
        } else if account.flat.is_none() && !account.lists.iter().any(|list| list.is_valid(today)) {
            let wrong = "has price lists, but none that is valid today".to_owned();
            findings.add(Verdict::Degraded, setting, wrong, "what its messages cost is not known");
        }
    }
}

/// The first few, and how many more.
fn some_of(names: &[&String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
