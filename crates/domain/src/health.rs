//! How well an account delivers now, as the choice of a route sees it. [`counts`] defines what an attempt adds;
//! [`silence`] and [`pace`] judge the sums. docs/health.md describes the rules.

mod rules;
pub mod counts;
pub mod silence;
pub mod pace;

use chrono::{DateTime, TimeDelta, Utc};

use crate::health::counts::{Counts, Slot};
use crate::words;

pub use self::rules::HealthRules;

/// Health of one account for one country.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    pub receipts: ReceiptHealth,
    /// Factor for its weight: 1 when it is as fast as usual; less when it is slower than usual while others are not.
    /// Never 0.
    pub weight: f64,
    /// Share of its messages to the country that are delivered within the "good" time. An upper bound where few were
    /// sent; `None` where too few were sent.
    pub in_time: Option<f64>,
}

/// Whether receipts from the account arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptHealth {
    Arriving,
    /// Expected receipts did not arrive. The account is skipped, except for a few probe messages that test whether they
    /// arrive again.
    Silent,
}

impl Default for Health {
    /// The default when nothing is known.
    fn default() -> Self {
        Self { receipts: ReceiptHealth::Arriving, weight: 1.0, in_time: None }
    }
}

/// A change in an account's health, for monitoring.
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
    /// The event that ends a condition, for the event that begins it, and the reverse.
    pub fn opposite(self) -> Self {
        match self {
            Self::SilentBegan => Self::SilentEnded,
            Self::SilentEnded => Self::SilentBegan,
            Self::SlowBegan => Self::SlowEnded,
            Self::SlowEnded => Self::SlowBegan,
        }
    }
}

/// The period from which the usual values are computed.
pub const USUAL: TimeDelta = TimeDelta::hours(1);

/// All data by which an account is judged. Slots are in time order; empty slots are left out.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The last [`silence::WINDOW`], in slots of one second.
    pub seconds: Vec<Slot>,
    /// The last [`USUAL`], in slots of [`pace::BIN`].
    pub bins: Vec<Slot>,
    /// Since when receipts were processed without a gap. Receipts for earlier messages may have been lost.
    pub listening_since: DateTime<Utc>,
}

/// The judgement of one account by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    pub receipts: ReceiptHealth,
    /// When it became silent; set only if that just happened.
    pub silent_since: Option<DateTime<Utc>>,
    /// Share of its attempts whose first receipt usually arrives in time; `None` when unknown.
    pub usual: Option<f64>,
    /// Its speed: 1 is as usual, 0 is nothing in time; `None` while too few were sent.
    pub pace: Option<f64>,
    /// For all countries together; see [`Health::in_time`].
    pub in_time: Option<f64>,
}

/// `was`: the previous judgement and, if that was silent, the usual share before the silence.
pub fn judge(
    was: (ReceiptHealth, Option<f64>),
    evidence: &Evidence,
    rules: &HealthRules,
    now: DateTime<Utc>,
) -> Judgement {
    let usual = silence::usual_share(&evidence.bins, now);
    let silent_since = match was.0 {
        ReceiptHealth::Arriving => silence::began_at(evidence, usual, rules, now),
        ReceiptHealth::Silent => None,
    };
    let receipts = match was.0 {
        ReceiptHealth::Arriving if silent_since.is_some() => ReceiptHealth::Silent,
        // A long silence lowers the usual share, so it is compared with the usual share from before the silence.
        ReceiptHealth::Silent if silence::ends(&evidence.seconds, was.1.or(usual), rules, now) => {
            ReceiptHealth::Arriving
        }
        same => same,
    };
    let ripe = evidence.bins.iter().filter(|bin| bin.at + pace::BIN + rules.good_within <= now);
    let all: Counts = ripe.map(|bin| bin.counts).sum();
    let pace = pace::pace(&evidence.bins, rules, now);
    Judgement { receipts, silent_since, usual, pace, in_time: pace::in_time(all) }
}

#[cfg(test)]
mod tests;
