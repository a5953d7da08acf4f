//! Routes: which messages they apply to, and in which order a message tries its accounts.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::countries;
use crate::config::names::{NAME_ALLOWED, is_name, one_of};
use crate::domain::phone;
use crate::domain::route::{DEFAULT_REPLACE_AFTER_S, REPLACE_AFTER_S};
use crate::domain::routing::{Fits, Order, WhenSilent};
use otpost_settings::section::{Section, shown};

/// `[route]`: for messages without a route of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSettings {
    /// 15 to 60 seconds.
    pub replace_after_s: i16,
    pub options: RouteOptions,
}

/// `[routes.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRoute {
    pub fits: Fits,
    /// 15 to 60 seconds; `None`: the purpose decides.
    pub replace_after_s: Option<i16>,
    pub options: RouteOptions,
}

/// The settings that every route has.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteOptions {
    /// Names of accounts and pools, each at most once. Empty only when there are no accounts.
    pub steps: Vec<String>,
    pub order: Order,
    pub when_silent: WhenSilent,
    /// Share of messages delivered in time that counts as good, 0 to 1.
    pub good_share: f64,
}

impl RouteOptions {
    /// These steps in this order, and defaults for everything else.
    pub fn listed(steps: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
            order: Order::Listed,
            when_silent: WhenSilent::PassBy,
            good_share: GOOD_SHARE,
        }
    }
}

/// Default: four of five messages in time.
const GOOD_SHARE: f64 = 0.8;

/// More indicate a mistake: a message has no time for them.
const MAX_STEPS: usize = 8;

const STEPS_ALLOWED: &str =
    "must be a list of 1 to 8 names of accounts or pools, each at most once, in the order to try them";

/// `targets`: all accounts and pools.
pub(super) fn read(section: Section<'_>, targets: &BTreeSet<String>) -> RouteSettings {
    let steps = steps(&section, targets);
    if !targets.is_empty() {
        section.required("steps", steps.as_ref(), STEPS_ALLOWED);
    }
    let replace_after_s = section.integer("replace_after_s", REPLACE_AFTER_S, "seconds");
    let options = options(&section, &RouteOptions::listed(steps.unwrap_or_default()));
    section.finish();
    RouteSettings { replace_after_s: replace_after_s.unwrap_or(DEFAULT_REPLACE_AFTER_S), options }
}

/// What a route does not set is taken from `everybody`.
pub(super) fn read_named(
    section: &Section<'_>,
    targets: &BTreeSet<String>,
    everybody: &RouteOptions,
) -> BTreeMap<String, NamedRoute> {
    let mut routes = BTreeMap::new();
    for (name, child) in section.children() {
        if !is_name(&name) {
            child.complain_here("is no name of a route", NAME_ALLOWED);
        }
        let fits = Fits {
            countries: countries::read(&child, "countries").unwrap_or_default(),
            prefixes: prefixes(&child),
            purposes: names(&child, "purposes"),
            apps: names(&child, "apps"),
        };
        if fits == Fits::default() {
            let allowed =
                "must have at least one of countries, prefixes, purposes, apps; [route] is for everybody else";
            child.complain_here("does not say for whom it is", allowed);
        }
        let steps = steps(&child, targets).unwrap_or_else(|| everybody.steps.clone());
        let replace_after_s = child.integer("replace_after_s", REPLACE_AFTER_S, "seconds");
        let options = options(&child, &RouteOptions { steps, ..everybody.clone() });
        child.finish();
        routes.insert(name, NamedRoute { fits, replace_after_s, options });
    }
    routes
}

fn options(section: &Section<'_>, default: &RouteOptions) -> RouteOptions {
    RouteOptions {
        steps: default.steps.clone(),
        order: section.word("order", Order::ALL).unwrap_or(default.order),
        when_silent: section.word("when_silent", WhenSilent::ALL).unwrap_or(default.when_silent),
        good_share: section.number("good_share", 0.0..=1.0, "as a share of all").unwrap_or(default.good_share),
    }
}

fn steps(section: &Section<'_>, targets: &BTreeSet<String>) -> Option<Vec<String>> {
    let steps = section.list("steps", STEPS_ALLOWED)?;
    if !(1..=MAX_STEPS).contains(&steps.len()) {
        section.complain("steps", format!("has {} entries", steps.len()), STEPS_ALLOWED);
    }
    for (i, step) in steps.iter().enumerate() {
        if !targets.contains(step) {
            section.complain(
                "steps",
                format!("names {}, which is no account and no pool", shown(step)),
                one_of(step, targets),
            );
        }
        if steps[..i].contains(step) {
            section.complain("steps", format!("names \"{step}\" twice"), STEPS_ALLOWED);
        }
    }
    Some(steps)
}

fn names(section: &Section<'_>, key: &str) -> BTreeSet<String> {
    let allowed = "must be a list of names of a-z, 0-9 and -";
    let names = section.list(key, allowed).unwrap_or_default();
    for name in names.iter().filter(|name| !is_name(name)) {
        section.complain(key, format!("has {}", shown(name)), allowed);
    }
    names.into_iter().collect()
}

/// `+` and 1 to 15 digits: a prefix of numbers in E.164, or in a former form of their country.
fn prefixes(section: &Section<'_>) -> BTreeSet<String> {
    let allowed = "must be a list of beginnings of numbers, such as \"+62811\"";
    let is_prefix = |text: &str| {
        let digits = text.strip_prefix('+').unwrap_or_default();
        (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
    };
    let prefixes = section.list("prefixes", allowed).unwrap_or_default();
    for prefix in prefixes.iter().filter(|prefix| !is_prefix(prefix)) {
        section.complain("prefixes", format!("has {}", shown(prefix)), allowed);
    }
    prefixes.iter().map(|prefix| phone::canonical_prefix(prefix)).collect()
}
