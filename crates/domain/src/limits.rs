//! Limits of messages and checks: how many a number, an address, a device, a prefix, a country and an app may have.
//!
//! [`sends`] counts the messages of one number exactly, by their times. [`window`] counts everything else in two windows. [`tries`]
//! counts the wrong codes of one number.

pub mod sends;
pub mod tries;
pub mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveDate;

use crate::app_id::AppId;
use crate::code::Code;
use crate::words;

/// A limit: what is counted, and over which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitRule {
    /// Seconds between two messages of one purpose to one number.
    NumberSpacing,
    NumberPerHour,
    NumberPerDay,
    IpPerHour,
    DevicePerHour,
    PrefixPerHour,
    CountryPerHour,
    AppPerHour,
    /// Wrong codes of one number, over all its messages.
    TriesPerHour,
    /// Wrong codes of one message, while somebody guesses over many numbers.
    StrictTries,
    /// As `IpPerHour`, while somebody guesses over many numbers.
    StrictIpPerHour,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    Number,
    /// The person's address; of IPv6, the network of 64 bits.
    Ip,
    /// The person's device, as the app names it.
    Device,
    /// A number without its last four digits.
    Prefix,
    Country,
    App,
}

/// What is done when a rule says no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    Off,
    /// It is recorded and counted, and nothing is refused.
    Record,
    #[default]
    Enforce,
}

words! {
    LimitRule {
        NumberSpacing = "number_spacing",
        NumberPerHour = "number_per_hour",
        NumberPerDay = "number_per_day",
        IpPerHour = "ip_per_hour",
        DevicePerHour = "device_per_hour",
        PrefixPerHour = "prefix_per_hour",
        CountryPerHour = "country_per_hour",
        AppPerHour = "app_per_hour",
        TriesPerHour = "tries_per_hour",
        StrictTries = "strict_tries",
        StrictIpPerHour = "strict_ip_per_hour",
    }
    Counter {
        Number = "number",
        Ip = "ip",
        Device = "device",
        Prefix = "prefix",
        Country = "country",
        App = "app",
    }
    Mode { Off = "off", Record = "record", Enforce = "enforce" }
}

impl LimitRule {
    /// Its name in the settings.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::NumberSpacing => "number_spacing_s",
            other => other.as_str(),
        }
    }

    pub const fn counter(self) -> Counter {
        match self {
            Self::NumberSpacing | Self::NumberPerHour | Self::NumberPerDay | Self::TriesPerHour | Self::StrictTries => {
                Counter::Number
            }
            Self::IpPerHour | Self::StrictIpPerHour => Counter::Ip,
            Self::DevicePerHour => Counter::Device,
            Self::PrefixPerHour => Counter::Prefix,
            Self::CountryPerHour => Counter::Country,
            Self::AppPerHour => Counter::App,
        }
    }
}

/// The limits of one app and purpose. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([i64; LimitRule::ALL.len()]);

impl Default for Limits {
    /// One message a minute, 5 an hour and 10 a day to a number, and ten wrong codes an hour. An address may be that of an office
    /// or of a mobile network's gateway. How much a country or an app sends is not known here.
    fn default() -> Self {
        Self([0; LimitRule::ALL.len()])
            .with(LimitRule::NumberSpacing, 60)
            .with(LimitRule::NumberPerHour, 5)
            .with(LimitRule::NumberPerDay, 10)
            .with(LimitRule::IpPerHour, 60)
            .with(LimitRule::DevicePerHour, 10)
            .with(LimitRule::PrefixPerHour, 60)
            .with(LimitRule::TriesPerHour, 10)
            .with(LimitRule::StrictTries, 3)
            .with(LimitRule::StrictIpPerHour, 10)
    }
}

impl Limits {
    pub fn of(&self, rule: LimitRule) -> i64 {
        self.0[rule as usize]
    }

    #[must_use]
    pub fn with(mut self, rule: LimitRule, limit: i64) -> Self {
        self.0[rule as usize] = limit;
        self
    }
}

/// Limits that differ from the usual ones.
pub type Overrides = BTreeMap<LimitRule, i64>;

/// The limits of every app and purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitTable {
    pub mode: Mode,
    pub usual: Limits,
    /// By purpose.
    pub purposes: BTreeMap<String, Overrides>,
    /// By app. They take precedence over those of a purpose.
    pub apps: BTreeMap<String, Overrides>,
}

impl LimitTable {
    /// Wrong codes count over all purposes, so their limits are those of the app.
    pub fn of_tries(&self, app: &AppId, rule: LimitRule) -> i64 {
        let own = self.apps.get(app.as_str()).and_then(|own| own.get(&rule));
        own.copied().unwrap_or(self.usual.of(rule))
    }

    pub fn of(&self, app: &AppId, purpose: &str) -> Limits {
        let overrides = [self.purposes.get(purpose), self.apps.get(app.as_str())];
        let overrides = overrides.into_iter().flatten().flatten();
        overrides.fold(self.usual, |limits, (rule, limit)| limits.with(*rule, *limit))
    }
}

/// What a newer message does to an older one of the same number, app and purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNewer {
    /// The older one ends, and its attempts that have not left are withdrawn.
    #[default]
    Supersede,
    /// The older one is the answer. Nothing is sent.
    Reuse,
    /// Both live.
    Keep,
}

words! {
    OnNewer { Supersede = "supersede", Reuse = "reuse", Keep = "keep" }
}

/// A number to which nothing is sent, and which has no limits.
#[derive(Clone, Debug)]
pub struct TestNumber {
    pub code: Code,
    /// The first day on which it is a number like any other.
    pub until: NaiveDate,
}

/// Codes have no `==`: they are compared in constant time.
impl PartialEq for TestNumber {
    fn eq(&self, other: &Self) -> bool {
        let same: bool =
            subtle::ConstantTimeEq::ct_eq(self.code.digits().as_bytes(), other.code.digits().as_bytes()).into();
        same && self.until == other.until
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHit {
    pub rule: LimitRule,
    /// Messages, wrong codes, or with [`LimitRule::NumberSpacing`] seconds.
    pub limit: i64,
    /// When the same request may pass, if nothing else is counted meanwhile; at least a second.
    pub retry_after: Duration,
}

impl LimitHit {
    /// Of the header `Retry-After`: at least 1.
    pub fn retry_after_s(&self) -> u64 {
        let whole = self.retry_after.as_secs();
        (if self.retry_after.subsec_nanos() > 0 { whole + 1 } else { whole }).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apps_limit_comes_before_a_purposes_and_both_before_the_usual() {
        let table = LimitTable {
            purposes: BTreeMap::from([(
                "payment".to_owned(),
                BTreeMap::from([(LimitRule::NumberPerHour, 8), (LimitRule::NumberSpacing, 20)]),
            )]),
            apps: BTreeMap::from([("bank".to_owned(), BTreeMap::from([(LimitRule::NumberPerHour, 3)]))]),
            ..LimitTable::default()
        };
        let of = |app, purpose| {
            let limits = table.of(&AppId::stored(app), purpose);
            [LimitRule::NumberSpacing, LimitRule::NumberPerHour, LimitRule::NumberPerDay].map(|rule| limits.of(rule))
        };
        assert_eq!(of("shop", "login"), [60, 5, 10]);
        assert_eq!(of("shop", "payment"), [20, 8, 10]);
        assert_eq!(of("bank", "payment"), [20, 3, 10]);
        assert_eq!(of("bank", "login"), [60, 3, 10]);
    }

    #[test]
    fn what_remains_of_a_second_is_waited_for() {
        let hit = |ms| LimitHit { rule: LimitRule::AppPerHour, limit: 1, retry_after: Duration::from_millis(ms) };
        assert_eq!([0, 1, 1_000, 1_001].map(|ms| hit(ms).retry_after_s()), [1, 1, 1, 2]);
    }
}
