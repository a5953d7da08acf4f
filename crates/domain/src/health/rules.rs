//! Limits that define good health.

use chrono::TimeDelta;

/// The limits, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// Delivered within this time after acceptance counts as in time; 1 to 60 s.
    pub good_within: TimeDelta,
    /// The first receipt is expected within this time after acceptance; 1 to 60 s.
    pub receipt_within: TimeDelta,
    /// Minimum number of attempts without a receipt that make an account silent, 3 to 1000.
    pub silence_sends: i64,
    /// Interval between probe messages through a silent account, 1 to 300 s.
    pub probe_every: TimeDelta,
}

impl Default for HealthRules {
    fn default() -> Self {
        Self {
            good_within: TimeDelta::seconds(10),
            receipt_within: TimeDelta::seconds(5),
            silence_sends: 5,
            probe_every: TimeDelta::seconds(5),
        }
    }
}
