//! The most that an attacker can make a service send, for its settings as they are.

use super::{SmsRule, SmsRules};
use crate::limits::{Counter, LimitRule, Limits, Mode};

/// A window of the clock may be full at its end and the next one at its beginning: so many windows touch an hour and a day.
const WINDOWS_OF_AN_HOUR: i64 = 2;
const WINDOWS_OF_A_DAY: i64 = 25;

/// The most SMS within any hour or any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub sms: i64,
    /// The setting that bounds it.
    pub rule: &'static str,
}

/// The bounds of one number, one range, one country, or a whole app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub counter: Counter,
    /// SMS whose code nobody enters, as a pump's usually are; `None`: nothing bounds them.
    pub unverified: [Option<Bound>; 2],
    /// Whatever the attacker does.
    pub any: [Option<Bound>; 2],
}

/// What the ceilings follow from.
#[derive(Clone, Copy, Debug)]
pub struct Exposure<'a> {
    pub limits: &'a Limits,
    pub limits_mode: Mode,
    pub rules: &'a SmsRules,
    /// Most SMS attempts that one message makes by itself: the SMS steps of its route.
    pub sms_per_message: i64,
    /// The lowest price of an SMS; 0 if one is unknown.
    pub least_price_micros: i64,
}

/// For a number, a range, a country and an app; each for an hour and for a day.
pub fn ceilings(exposure: &Exposure<'_>) -> [Ceiling; 4] {
    let Exposure { limits, limits_mode, rules, sms_per_message: each, least_price_micros: price } = *exposure;
    let limited = |rule: LimitRule, times: i64| {
        let limit = limits.of(rule);
        let holds = limits_mode == Mode::Enforce && limit > 0;
        holds.then(|| Bound { sms: limit.saturating_mul(times).saturating_mul(each), rule: rule.setting() })
    };
    let window = |rule| [limited(rule, WINDOWS_OF_AN_HOUR), limited(rule, WINDOWS_OF_A_DAY)];
    let enforced = |rule, sms, setting| (rules.mode(rule) == Mode::Enforce).then_some(Bound { sms, rule: setting });
    let capped = |rule, cap: i64, setting| {
        // A day of the clock may be spent at its end, and the next at its beginning.
        let bound = (cap > 0 && price > 0).then(|| enforced(rule, 2 * (cap / price.max(1)), setting)).flatten();
        [bound, bound]
    };
    let budget = |rule, budget: super::Budget, [hour, day]: [&'static str; 2]| {
        [enforced(rule, budget.floor_per_hour, hour), enforced(rule, budget.floor_per_day, day)]
    };

    let number = [limited(LimitRule::NumberPerHour, 1), limited(LimitRule::NumberPerDay, 1)];
    let app = least(window(LimitRule::AppPerHour), capped(SmsRule::AppCap, rules.app_cap_micros, "app_cap_per_day"));
    let cap = capped(SmsRule::CountryCap, rules.country_cap_micros, "country_cap_per_day");
    let country = least(least(window(LimitRule::CountryPerHour), cap), app);
    let prefix = least(window(LimitRule::PrefixPerHour), country);
    let of_prefix = budget(SmsRule::PrefixBudget, rules.prefix, ["prefix_floor_per_hour", "prefix_floor_per_day"]);
    let of_country = budget(SmsRule::CountryBudget, rules.country, ["country_floor_per_hour", "country_floor_per_day"]);
    let number = least(number, prefix);
    let of = |counter, unverified, any| Ceiling { counter, unverified: least(unverified, any), any };
    [
        of(Counter::Number, least(of_prefix, of_country), number),
        of(Counter::Prefix, least(of_prefix, of_country), prefix),
        of(Counter::Country, of_country, country),
        of(Counter::App, [None, None], app),
    ]
}

fn least(one: [Option<Bound>; 2], other: [Option<Bound>; 2]) -> [Option<Bound>; 2] {
    let pick = |i: usize| [one[i], other[i]].into_iter().flatten().min_by_key(|bound| bound.sms);
    [pick(0), pick(1)]
}
