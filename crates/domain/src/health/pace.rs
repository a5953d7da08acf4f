//! How fast an account delivers, compared with its usual speed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::health::counts::{Counts, Slot};
use crate::health::rules::HealthRules;

/// Length of the slots that pace is computed from.
pub const BIN: TimeDelta = TimeDelta::seconds(10);
/// The period that counts as recent.
const RECENT: TimeDelta = TimeDelta::minutes(2);
/// Where little is sent, the recent period extends up to this length. A slow account is given little traffic and must
/// not be judged recovered for lack of data.
const RECENT_AT_MOST: TimeDelta = TimeDelta::minutes(15);
/// Minimum number of attempts, both recent and usual, from which pace is computed.
const PACE_FROM: i64 = 30;
/// Minimum number of attempts from which the on-time share is computed.
const SHARE_FROM: i64 = 20;
/// Minimum weight of a slow account, so that its recovery is noticed.
const LEAST_WEIGHT: f64 = 0.05;

/// A weight below `SLOW_BELOW` raises an event for monitoring; the event ends above the second value.
pub const SLOW_BELOW: f64 = 0.5;
pub const SLOW_UNTIL: f64 = 0.8;

/// Recent on-time share divided by the usual one, capped at 1. `None`: too few attempts.
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

/// The weight of an account among those of its channel: 1, minus its loss of pace beyond the loss of the least affected
/// account. When all are slow, the cause is not the account, and the weights stay. (A quotient would be dominated by
/// chance where all paces are near 0.) `channel`: the paces of all accounts of the channel, including this one.
pub fn weight(own: Option<f64>, channel: impl IntoIterator<Item = f64>) -> f64 {
    let Some(own) = own else { return 1.0 };
    let best = channel.into_iter().fold(own, f64::max);
    (1.0 - (best - own)).clamp(LEAST_WEIGHT, 1.0)
}

/// The on-time share as an upper bound where few were sent: the upper end of the Wilson interval at 95 %. A few unlucky
/// attempts must not exclude an account from a country.
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

/// `sent` can be slightly too small after a crash.
fn share(counts: Counts) -> f64 {
    counts.in_time.min(counts.sent) as f64 / counts.sent.max(1) as f64
}
