//! How many messages and wrong codes are allowed.

use std::collections::BTreeMap;

use otpost_settings::section::Section;

use crate::config::names::{NAME_ALLOWED, is_name};
use crate::domain::limits::{LimitRule, LimitTable, Limits, Mode, Overrides, sends, tries};

/// Highest limit, and the unit of its numbers. Sends and wrong codes of a number are kept one by one.
fn range(rule: LimitRule) -> (i64, &'static str) {
    match rule {
        LimitRule::NumberSpacing => (3_600, "seconds; 0 is no limit"),
        LimitRule::NumberPerHour | LimitRule::NumberPerDay => (sends::MOST_KEPT as i64, "messages; 0 is no limit"),
        LimitRule::TriesPerHour => (tries::MOST_KEPT as i64, "wrong codes; 0 is no limit"),
        LimitRule::StrictTries => (10, "wrong codes; 0 is no limit"),
        LimitRule::IpPerHour
        | LimitRule::StrictIpPerHour
        | LimitRule::DevicePerHour
        | LimitRule::PrefixPerHour
        | LimitRule::CountryPerHour
        | LimitRule::AppPerHour => (1_000_000_000, "messages; 0 is no limit"),
    }
}

/// Wrong codes count for their number, whatever the message was for.
const OF_APPS: [LimitRule; 2] = [LimitRule::TriesPerHour, LimitRule::StrictTries];

/// `purposes`: the names of all purposes.
pub(super) fn read(section: Section<'_>, purposes: &[&str]) -> LimitTable {
    let mode = section.word("mode", Mode::ALL).unwrap_or_default();
    let usual = own(&section, LimitRule::ALL);
    let usual = usual.iter().fold(Limits::default(), |limits, (rule, limit)| limits.with(*rule, *limit));
    let mut of_purposes = BTreeMap::new();
    let children = section.section("purposes");
    for (name, child) in children.children() {
        if !purposes.contains(&name.as_str()) {
            child.complain_here("is no purpose", format!("must be one of {}", purposes.join(", ")));
        }
        let rules: Vec<LimitRule> = LimitRule::ALL.iter().filter(|rule| !OF_APPS.contains(rule)).copied().collect();
        of_purposes.insert(name, own(&child, &rules));
        child.finish();
    }
    children.finish();
    let mut apps = BTreeMap::new();
    let children = section.section("apps");
    for (name, child) in children.children() {
        if !is_name(&name) {
            child.complain_here("is no name of an app", NAME_ALLOWED);
        }
        apps.insert(name, own(&child, LimitRule::ALL));
        child.finish();
    }
    children.finish();
    section.finish();
    LimitTable { mode, usual, purposes: of_purposes, apps }
}

fn own(section: &Section<'_>, rules: &[LimitRule]) -> Overrides {
    let one = |rule: &LimitRule| {
        let (most, unit) = range(*rule);
        Some((*rule, section.integer(rule.setting(), 0..=most, unit)?))
    };
    rules.iter().filter_map(one).collect()
}
