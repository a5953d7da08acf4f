//! Price lists: what an account charges, by country and time.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::config::countries;
use crate::config::names::one_of;
use crate::domain::phone;
use crate::domain::price::Price;
use crate::domain::prices::PriceList;
use otpost_settings::section::{Section, shown};

/// A list and its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSettings {
    /// `[prices.NAME]`.
    pub name: String,
    pub account: String,
    pub list: PriceList,
}

pub(super) const PRICE_ALLOWED: &str = "must be an amount with at most 6 decimals and a currency, such as \"0.04 USD\"";
const DAY_ALLOWED: &str = "must be a day, such as \"2026-12-31\"";
const COUNTRY_ALLOWED: &str = "must be two capital letters (ISO 3166-1), such as ID";

/// `accounts`: all account names.
pub(super) fn read(section: &Section<'_>, accounts: &std::collections::BTreeSet<String>) -> Vec<PriceSettings> {
    let mut lists = Vec::new();
    for (name, child) in section.children() {
        let account = child.required("account", child.text("account"), "must be the account whose prices these are");
        if let Some(account) = account.as_ref().filter(|account| !accounts.contains(*account)) {
            child.complain(
                "account",
                format!("names {}, which is no account", shown(account)),
                one_of(account, accounts),
            );
        }
        let from = child.required("from", child.parsed("from", DAY_ALLOWED, day), DAY_ALLOWED);
        let until = child.parsed("until", DAY_ALLOWED, day);
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            child.complain(
                "until",
                format!("is {until}, not after {from}"),
                "must be the first day on which it is over",
            );
        }
        let other = child.parsed("other", PRICE_ALLOWED, price);
        let countries = by_country(child.section("countries"));
        if other.is_none() && countries.is_empty() {
            child.complain_here("has no price", "must have `other` or a table `countries`");
        }
        child.finish();
        if let (Some(account), Some(from)) = (account, from) {
            lists.push(PriceSettings { name, account, list: PriceList { from, until, countries, other } });
        }
    }
    lists
}

fn by_country(section: Section<'_>) -> BTreeMap<String, Price> {
    let mut countries = BTreeMap::new();
    for key in section.keys() {
        let country = key.to_ascii_uppercase();
        if !phone::is_country(&country) {
            let meant = countries::meant(&key).unwrap_or_else(|| COUNTRY_ALLOWED.to_owned());
            section.complain(&key, "is no country with a calling code", meant);
        }
        if let Some(price) = section.parsed(&key, PRICE_ALLOWED, price) {
            countries.insert(country, price);
        }
    }
    section.finish();
    countries
}

fn day(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}

fn price(text: &str) -> Option<Price> {
    text.parse().ok()
}
