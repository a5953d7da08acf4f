//! How fast an account delivers, against how fast it usually does.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::health::HealthRules;
use crate::domain::health::counts::{Counts, Slot};

/// Length of the slots that pace is told from.
pub const BIN: TimeDelta = TimeDelta::seconds(10);
/// What counts as now.
const RECENT: TimeDelta = TimeDelta::minutes(2);
/// Where little is sent, now reaches back so far: an account that is slow and therefore given little must not be taken
/// for well again, only because there is little to go by.
const RECENT_AT_MOST: TimeDelta = TimeDelta::minutes(15);
/// Fewest attempts that say how fast an account is, now and usually.
const PACE_FROM: i64 = 30;
/// Fewest attempts that say which share is in time.
const SHARE_FROM: i64 = 20;
/// A slow account keeps so much of its weight, so that it is seen when it is fast again.
const LEAST_WEIGHT: f64 = 0.05;

/// A weight below the first is an event for whoever watches; it ends above the second.
pub const SLOW_BELOW: f64 = 0.5;
pub const SLOW_UNTIL: f64 = 0.8;

/// Which part of what is usually in time is in time now; 1 also when it is more. `None`: too few attempts.
pub fn pace(bins: &[Slot], rules: &HealthRules, now: DateTime<Utc>) -> Option<f64> {
    let ripe_before = now - rules.good_within;
    let (mut recent, mut usual) = (Counts::default(), Counts::default());
    for bin in bins.iter().rev().filter(|bin| bin.at + BIN <= ripe_before) {
        let is_new = bin.at >= ripe_before - RECENT;
        let is_wanted = recent.sent < PACE_FROM && bin.at >= ripe_before - RECENT_AT_MOST;
        if usual.sent == 0 && (is_new || is_wanted) {
            recent = recent + bin.counts;
        } else {
            usual = usual + bin.counts;
        }
    }
    if recent.sent < PACE_FROM || usual.sent < PACE_FROM || usual.in_time == 0 {
        return None;
    }
    Some((share(recent) / share(usual)).min(1.0))
}

/// The weight of an account among those of its channel: 1, less what it has lost more than the one that lost least. When
/// all are slow it is not theirs, and nothing moves. (A quotient would do the same, but where all are nearly at 0 it would
/// be a quotient of chances.) `channel`: the paces of all its accounts, this one's too.
pub fn weight(own: Option<f64>, channel: impl IntoIterator<Item = f64>) -> f64 {
    let Some(own) = own else { return 1.0 };
    let best = channel.into_iter().fold(own, f64::max);
    (1.0 - (best - own)).clamp(LEAST_WEIGHT, 1.0)
}

/// The share in time, as great as it can be where so few were sent: the upper bound of Wilson's interval, at 95 %. An
/// account is not to lose a country for a few attempts that had bad luck.
pub fn in_time(counts: Counts) -> Option<f64> {
    const Z: f64 = 1.645;
    if counts.sent < SHARE_FROM {
        return None;
    }
    let (share, n) = (share(counts), counts.sent as f64);
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(((middle + spread) / (1.0 + Z * Z / n)).min(1.0))
}

/// `sent` can be a little too small after a crash.
fn share(counts: Counts) -> f64 {
    counts.in_time.min(counts.sent) as f64 / counts.sent.max(1) as f64
}
