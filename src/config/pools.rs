//! Pools: interchangeable accounts of one channel.

use std::collections::BTreeMap;

use crate::config::accounts::AccountSettings;
use crate::config::names::{NAME_ALLOWED, is_name, one_of};
use crate::domain::channel::Channel;
use crate::domain::routing::Choose;
use otpost_settings::section::{Section, shown};

#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// Names of accounts of one channel, each at most once.
    pub accounts: Vec<String>,
    /// One for each account, 0.01 to 1000.
    pub weights: Vec<f64>,
    pub choose: Choose,
}

const MAX_ACCOUNTS: usize = 8;
const ACCOUNTS_ALLOWED: &str = "must be a list of 1 to 8 names of accounts of one channel, each at most once";
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// `accounts`: all account names, including those with wrong settings.
pub(super) fn read(
    section: &Section<'_>,
    accounts: &BTreeMap<String, Option<AccountSettings>>,
) -> BTreeMap<String, PoolSettings> {
    let mut pools = BTreeMap::new();
    for (name, child) in section.children() {
        if !is_name(&name) {
            child.complain_here("is no name of a pool", NAME_ALLOWED);
        }
        if accounts.contains_key(&name) {
            child.complain_here("has the name of an account", "must have a name of its own, since routes name both");
        }
        let pool = read_one(&child, accounts);
        child.finish();
        pools.insert(name, pool);
    }
    pools
}

fn read_one(section: &Section<'_>, accounts: &BTreeMap<String, Option<AccountSettings>>) -> PoolSettings {
    let members = section.required("accounts", section.list("accounts", ACCOUNTS_ALLOWED), ACCOUNTS_ALLOWED);
    let given = members.is_some();
    let members = members.unwrap_or_default();
    if given && !(1..=MAX_ACCOUNTS).contains(&members.len()) {
        section.complain("accounts", format!("has {} entries", members.len()), ACCOUNTS_ALLOWED);
    }
    let known = accounts.keys().cloned().collect();
    let mut channel: Option<Channel> = None;
    for (i, member) in members.iter().enumerate() {
        match accounts.get(member) {
            None => {
                section.complain(
                    "accounts",
                    format!("names {}, which is no account", shown(member)),
                    one_of(member, &known),
                );
            }
            Some(Some(account)) if channel.is_some_and(|channel| channel != account.channel) => {
                section.complain(
                    "accounts",
                    format!("mixes channels: {member} sends {}", account.channel),
                    ACCOUNTS_ALLOWED,
                );
            }
            Some(Some(account)) => channel = Some(account.channel),
            Some(None) => {}
        }
        if members[..i].contains(member) {
            section.complain("accounts", format!("names \"{member}\" twice"), ACCOUNTS_ALLOWED);
        }
    }
    let weights = section.numbers("weights", WEIGHTS).unwrap_or_else(|| vec![1.0; members.len()]);
    if weights.len() != members.len() {
        let allowed = format!("must have one for each of the {} accounts", members.len());
        section.complain("weights", format!("has {} numbers", weights.len()), allowed);
    }
    let choose = section.word("choose", Choose::ALL).unwrap_or(Choose::Weight);
    PoolSettings { accounts: members, weights, choose }
}
