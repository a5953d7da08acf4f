//! Protection against SMS pumping: somebody asks for codes to numbers that earn by each SMS.
//!
//! Codes that come back are the sign of honest traffic. So a range of numbers and a country have a *budget* of SMS whose code has not
//! come back: a floor, or a share of what they verified before. Pumped SMS use the budget up and are refused from then on; an honest
//! person's code gives its unit back. In addition a range or a country whose codes hardly ever come back is closed for a while, and
//! money caps bound what an app and a country cost a day.
//!
//! All of it is asked at the moment in which an SMS would leave, whatever step of its route it is. WhatsApp stays open.

mod ceiling;
mod record;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

pub use self::ceiling::{Bound, Ceiling, Exposure, ceilings};
pub use self::record::{Closed, SmsRecord};
use crate::app_id::AppId;
use crate::limits::{Counter, Mode};
use crate::words;

/// A rule that may refuse an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SmsRule {
    /// The country is not in the list.
    Country,
    /// An operator closed it.
    Blocked,
    PrefixBudget,
    CountryBudget,
    PrefixConversion,
    CountryConversion,
    AppCap,
    CountryCap,
}

words! {
    SmsRule {
        Country = "sms_country",
        Blocked = "sms_blocked",
        PrefixBudget = "sms_prefix_budget",
        CountryBudget = "sms_country_budget",
        PrefixConversion = "sms_prefix_conversion",
        CountryConversion = "sms_country_conversion",
        AppCap = "sms_app_cap",
        CountryCap = "sms_country_cap",
    }
}

impl SmsRule {
    pub const fn counter(self) -> Counter {
        match self {
            Self::PrefixBudget | Self::PrefixConversion | Self::Blocked => Counter::Prefix,
            Self::Country | Self::CountryBudget | Self::CountryConversion | Self::CountryCap => Counter::Country,
            Self::AppCap => Counter::App,
        }
    }
}

/// SMS without a verified code, within an hour and within a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is allowed in any case.
    pub floor_per_hour: i64,
    pub floor_per_day: i64,
}

/// The settings of the protection.
#[derive(Clone, Debug, PartialEq)]
pub struct SmsRules {
    /// Countries that get SMS; `None`: all.
    pub countries: Option<BTreeSet<String>>,
    pub prefix: Budget,
    pub country: Budget,
    /// Of what was verified in the best day (hour) of the last 14 days, or in the last 24 hours (hour): the share that may be
    /// outstanding.
    pub share: f64,
    /// Micro-units of the currency of the prices, per day; 0 is no cap.
    pub app_cap_micros: i64,
    pub country_cap_micros: i64,
    modes: BTreeMap<SmsRule, Mode>,
    usual: Mode,
}

impl Default for SmsRules {
    /// Rules are recorded until an operator enforces them. What an operator sets expressly (the country list, blocks, money caps)
    /// refuses from that moment.
    fn default() -> Self {
        Self {
            countries: None,
            prefix: Budget { floor_per_hour: 15, floor_per_day: 30 },
            country: Budget { floor_per_hour: 200, floor_per_day: 1_000 },
            share: 0.5,
            app_cap_micros: 0,
            country_cap_micros: 0,
            modes: [SmsRule::Country, SmsRule::Blocked, SmsRule::AppCap, SmsRule::CountryCap]
                .map(|rule| (rule, Mode::Enforce))
                .into(),
            usual: Mode::Record,
        }
    }
}

impl SmsRules {
    pub fn mode(&self, rule: SmsRule) -> Mode {
        self.modes.get(&rule).copied().unwrap_or(self.usual)
    }

    /// The mode of all rules that have none of their own.
    pub fn set_usual(&mut self, mode: Mode) {
        self.usual = mode;
    }

    /// The mode of every rule.
    pub fn set_all(&mut self, mode: Mode) {
        (self.usual, self.modes) = (mode, BTreeMap::new());
    }

    pub fn set(&mut self, rule: SmsRule, mode: Mode) {
        self.modes.insert(rule, mode);
    }

    /// Whether nothing is counted and nothing refused.
    pub fn is_off(&self) -> bool {
        SmsRule::ALL
            .iter()
            .all(|rule| self.mode(*rule) == Mode::Off || (*rule == SmsRule::Country && self.countries.is_none()))
    }
}

/// An SMS that is about to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsAsked {
    pub app: AppId,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The number without its last four digits.
    pub prefix: String,
    /// Micro-units; 0 if unknown.
    pub price_micros: i64,
}

/// What an operator decided about a range of numbers, a country, or an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// No rule refuses.
    Allow,
    Block,
}

words! {
    Exception { Allow = "allow", Block = "block" }
}

/// A rule that says no, with the values it judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmsRefusal {
    pub rule: SmsRule,
    /// What was counted: SMS without a verified code, micro-units, or of a conversion verified codes.
    pub counted: i64,
    /// What is allowed; of a conversion the number of SMS.
    pub limit: i64,
}

/// What is known about the range, the country and the app of an SMS.
#[derive(Clone, Debug, Default)]
pub struct SmsRecords {
    pub prefix: SmsRecord,
    pub country: SmsRecord,
    pub app: SmsRecord,
    /// What operators decided about any of them.
    pub exceptions: Vec<Exception>,
}

impl SmsRecords {
    /// Every rule that says no, the ones that are enforced and those that are only recorded. An SMS may leave if none of them is
    /// enforced.
    pub fn judge(&mut self, asked: &SmsAsked, rules: &SmsRules, now: DateTime<Utc>) -> Vec<SmsRefusal> {
        if self.exceptions.contains(&Exception::Block) {
            return vec![SmsRefusal { rule: SmsRule::Blocked, counted: 0, limit: 0 }];
        }
        if self.exceptions.contains(&Exception::Allow) {
            return Vec::new();
        }
        let is_unlisted = rules.countries.as_ref().is_some_and(|listed| !listed.contains(&asked.country));
        let country = is_unlisted.then_some(SmsRefusal { rule: SmsRule::Country, counted: 0, limit: 0 });
        let found = [
            country,
            self.prefix.over_budget(rules.prefix, rules.share, now).map(|(c, l)| refusal(SmsRule::PrefixBudget, c, l)),
            self.country
                .over_budget(rules.country, rules.share, now)
                .map(|(c, l)| refusal(SmsRule::CountryBudget, c, l)),
            self.prefix.closed(Closed::Prefix, now).map(|(c, l)| refusal(SmsRule::PrefixConversion, c, l)),
            self.country.closed(Closed::Country, now).map(|(c, l)| refusal(SmsRule::CountryConversion, c, l)),
            over_cap(&self.app, asked, rules.app_cap_micros, now).map(|(c, l)| refusal(SmsRule::AppCap, c, l)),
            over_cap(&self.country, asked, rules.country_cap_micros, now)
                .map(|(c, l)| refusal(SmsRule::CountryCap, c, l)),
        ];
        found.into_iter().flatten().filter(|refusal| rules.mode(refusal.rule) != Mode::Off).collect()
    }

    /// Counts an SMS that leaves.
    pub fn note_sent(&mut self, asked: &SmsAsked, now: DateTime<Utc>) {
        for record in [&mut self.prefix, &mut self.country, &mut self.app] {
            record.note_sent(asked.price_micros, now);
        }
    }
}

fn refusal(rule: SmsRule, counted: i64, limit: i64) -> SmsRefusal {
    SmsRefusal { rule, counted, limit }
}

fn over_cap(record: &SmsRecord, asked: &SmsAsked, cap: i64, now: DateTime<Utc>) -> Option<(i64, i64)> {
    let spent = record.spent_today(now);
    (cap > 0 && spent + asked.price_micros > cap).then_some((spent, cap))
}

/// The share of a cap from which an alarm is due: half, or 80 %.
pub fn alarm(before: i64, after: i64, cap: i64) -> Option<i64> {
    let reached = |share: i64| cap > 0 && before * 100 < cap * share && after * 100 >= cap * share;
    [80, 50].into_iter().find(|share| reached(*share))
}

#[cfg(test)]
mod tests;
