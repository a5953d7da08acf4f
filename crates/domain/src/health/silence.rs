//! When an account becomes silent, and when its silence ends.

use chrono::{DateTime, TimeDelta, Utc};

use crate::health::counts::{Counts, Slot};
use crate::health::{Evidence, HealthRules};

/// The period that is searched for attempts without a receipt.
pub const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Newer attempts are excluded from the usual share: they may belong to the silence itself.
const RECENT: TimeDelta = TimeDelta::minutes(1);
/// Minimum number of attempts from which the usual share is computed.
const USUAL_FROM: i64 = 20;
/// An account with a lower usual share cannot be told from a silent one.
const LEAST_SHARE: f64 = 0.2;
/// Minimum duration of a silence: receipts of the same moment are often delayed together.
const LEAST_SPAN: TimeDelta = TimeDelta::seconds(3);
/// Delay until other instances know what one instance received: each writes once a second.
const TOLD_WITHIN: TimeDelta = TimeDelta::seconds(1);
/// An account is silent when its share of confirmed attempts is below this part of the usual share.
const SILENT_SHARE: f64 = 0.1;
/// Maximum probability that an account in its usual condition leaves this many attempts unconfirmed, each
/// independently.
///
/// So `ln(ODDS) / ln(1 - usual)` attempts are needed: 5 where 99 % are usually confirmed in time, 9 for 90 %, 30 for 50
/// %. Below 85 %, [`SILENT_SHARE`] tolerates one confirmed attempt, which raises the probability at most 50 times. An
/// account is judged 3e7 times a year: that gives one or two false alarms a year for the worst account, and one in
/// thirty years for an account that usually confirms nine attempts out of ten.
const ODDS: f64 = 1e-9;
/// Number of confirmed attempts that ends a silence.
const HEARD_AGAIN: i64 = 2;
/// A silence has ended when the newest attempts reach at least this part of the usual share.
const HEARD_SHARE: f64 = 0.75;

/// The share of attempts that are usually confirmed within the expected time. `None`: too few attempts, or an account
/// that hardly ever sends receipts.
pub fn usual_share(bins: &[Slot], now: DateTime<Utc>) -> Option<f64> {
    let usual: Counts = bins.iter().filter(|bin| bin.at < now - RECENT).map(|bin| bin.counts).sum();
    if usual.sent < USUAL_FROM {
        return None;
    }
    // As if two more had been lost: twenty of twenty do not prove a share of 1.
    let share = usual.prompt.min(usual.sent) as f64 / (usual.sent + 2) as f64;
    (share >= LEAST_SHARE).then_some(share)
}

/// How many attempts without a receipt exceed chance.
pub(super) fn needed(usual: f64, rules: &HealthRules) -> i64 {
    let by_chance = (ODDS.ln() / (1.0 - usual).ln()).ceil();
    rules.silence_sends.max(by_chance as i64)
}

/// Start of the silence, if the newest attempts that should be confirmed by now are unconfirmed beyond chance. `None`:
/// no silence.
pub fn began_at(
    evidence: &Evidence,
    usual: Option<f64>,
    rules: &HealthRules,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let usual = usual?;
    let needed = needed(usual, rules);
    let is_known =
        |slot: &&Slot| is_ripe(slot, rules, now) && slot.at >= evidence.listening_since && slot.at >= now - WINDOW;
    let mut known = evidence.seconds.iter().rev().filter(is_known).peekable();
    let end = known.peek()?.at + TimeDelta::seconds(1);
    let mut run = Counts::default();
    let last = known.find(|slot| {
        run = run + slot.counts;
        run.sent >= needed && end - slot.at >= LEAST_SPAN
    })?;
    let is_silent = (run.heard as f64) < SILENT_SHARE * usual * run.sent as f64;
    // The silence may have begun before the attempts that prove it.
    let first = known.take_while(|slot| slot.counts.heard == 0).last().unwrap_or(last);
    is_silent.then_some(first.at)
}

/// Whether the newest attempts are confirmed again: two in a row, or nearly all where traffic is high. Late receipts
/// for earlier attempts count as well. If only one attempt was sent in the window, one is enough.
pub fn ends(seconds: &[Slot], usual: Option<f64>, rules: &HealthRules, now: DateTime<Utc>) -> bool {
    let mut seen = Counts::default();
    for slot in seconds.iter().rev() {
        let is_known = is_ripe(slot, rules, now) || slot.counts.heard >= slot.counts.sent;
        if !is_known || slot.counts.sent == 0 || slot.at < now - WINDOW {
            continue;
        }
        seen = seen + slot.counts;
        if seen.heard >= HEARD_AGAIN {
            return seen.heard as f64 >= HEARD_SHARE * usual.unwrap_or(1.0) * seen.sent as f64;
        }
    }
    seen.sent > 0 && seen.heard >= seen.sent
}

/// Whether all attempts of the second should be confirmed by now, by whichever instance.
fn is_ripe(slot: &Slot, rules: &HealthRules, now: DateTime<Utc>) -> bool {
    slot.at + TimeDelta::seconds(1) + rules.receipt_within + TOLD_WITHIN <= now
}
