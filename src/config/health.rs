//! Limits of an account's good health.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use crate::domain::health::HealthRules;
use otpost_settings::section::Section;

#[derive(Clone, Debug, PartialEq)]
pub struct HealthSettings {
    /// Whether accounts are monitored at all.
    pub watch: bool,
    pub rules: HealthRules,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { watch: true, rules: HealthRules::default() }
    }
}

impl HealthSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let default = Self::default();
        let seconds = |key, range: RangeInclusive<i64>, default: TimeDelta| {
            section.integer(key, range, "seconds").map_or(default, TimeDelta::seconds)
        };
        let rules = HealthRules {
            good_within: seconds("good_within_s", 1..=60, default.rules.good_within),
            receipt_within: seconds("receipt_within_s", 1..=60, default.rules.receipt_within),
            silence_sends: section
                .integer("silence_sends", 3..=1000, "attempts")
                .unwrap_or(default.rules.silence_sends),
            probe_every: seconds("probe_every_s", 1..=300, default.rules.probe_every),
        };
        let watch = section.word("watch", &["on", "off"]).map_or(default.watch, |word| word == "on");
        section.finish();
        Self { watch, rules }
    }
}
