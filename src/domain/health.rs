//! How well an account delivers right now, as the route's choice sees it, and the rules that tell: [`counts`] says what
//! an attempt adds, [`silence`] and [`pace`] what the sums mean. docs/health.md tells it in words.

pub mod counts;
pub mod silence;
pub mod pace;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::health::counts::{Counts, Slot};
use crate::domain::words::words;

/// Of one account, for one country.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    pub hearing: Hearing,
    /// What its weight is multiplied with: 1 when it is as fast as it usually is, less when it is slower than it usually
    /// is while others are not. Never 0.
    pub weight: f64,
    /// Share of its messages to the country that are delivered within the time that counts as good, as great as it can be
    /// where few were sent; `None` while too few were sent to say anything.
    pub in_time: Option<f64>,
}

/// Whether its receipts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    Heard,
    /// Receipts that should have come did not. It is passed by, but for a few messages that try whether they come again.
    Silent,
}

impl Default for Health {
    /// Nothing is known against it.
    fn default() -> Self {
        Self { hearing: Hearing::Heard, weight: 1.0, in_time: None }
    }
}

/// What happens to an account's health, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    SilentBegan,
    SilentEnded,
    SlowBegan,
    SlowEnded,
}

words! {
    AccountEvent {
        SilentBegan = "silent_began",
        SilentEnded = "silent_ended",
        SlowBegan = "slow_began",
        SlowEnded = "slow_ended",
    }
}

impl AccountEvent {
    /// The end of a beginning, and the beginning of an end.
    pub fn opposite(self) -> Self {
        match self {
            Self::SilentBegan => Self::SilentEnded,
            Self::SilentEnded => Self::SilentBegan,
            Self::SlowBegan => Self::SlowEnded,
            Self::SlowEnded => Self::SlowBegan,
        }
    }
}

/// What counts as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// Delivered so soon after the provider took it is in time; 1 to 60 s.
    pub good_within: TimeDelta,
    /// The first receipt is expected so soon after the provider took it; 1 to 60 s.
    pub receipt_within: TimeDelta,
    /// Fewest attempts without a receipt that make an account silent, 3 to 1000.
    pub silence_sends: i64,
    /// How often a silent account is given a message to try, 1 to 300 s.
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

/// How far back is looked for what is usual.
pub const USUAL: TimeDelta = TimeDelta::hours(1);

/// All that an account is judged by. Slots stand in the order of time; those of nothing sent are left out.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The last [`silence::WINDOW`], a second each.
    pub seconds: Vec<Slot>,
    /// The last [`USUAL`], [`pace::BIN`] each.
    pub bins: Vec<Slot>,
    /// Since when receipts were taken without a gap: what was sent before may have been told while nobody listened.
    pub listening_since: DateTime<Utc>,
}

/// What the evidence says about one account by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    pub hearing: Hearing,
    /// When it fell silent, when it just did.
    pub silent_since: Option<DateTime<Utc>>,
    /// Share of its attempts whose first receipt comes when it is expected; `None` when that cannot be said.
    pub usual: Option<f64>,
    /// How fast it is, where 1 is as usual and 0 is nothing in time; `None` while too few were sent.
    pub pace: Option<f64>,
    /// Of all countries; see [`Health::in_time`].
    pub in_time: Option<f64>,
}

/// `was`: how it was judged before, and what was usual then, when it is silent.
pub fn judge(was: (Hearing, Option<f64>), evidence: &Evidence, rules: &HealthRules, now: DateTime<Utc>) -> Judgement {
    let usual = silence::usual_share(&evidence.bins, now);
    let silent_since = match was.0 {
        Hearing::Heard => silence::began_at(evidence, usual, rules, now),
        Hearing::Silent => None,
    };
    let hearing = match was.0 {
        Hearing::Heard if silent_since.is_some() => Hearing::Silent,
        // A long silence becomes usual: it is measured by what was usual before it.
        Hearing::Silent if silence::ends(&evidence.seconds, was.1.or(usual), rules, now) => Hearing::Heard,
        same => same,
    };
    let ripe = evidence.bins.iter().filter(|bin| bin.at + pace::BIN + rules.good_within <= now);
    let all: Counts = ripe.map(|bin| bin.counts).sum();
    let pace = pace::pace(&evidence.bins, rules, now);
    Judgement { hearing, silent_since, usual, pace, in_time: pace::in_time(all) }
}

#[cfg(test)]
mod tests;
