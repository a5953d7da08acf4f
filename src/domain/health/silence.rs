//! When an account falls silent, and when it is heard again.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::health::counts::{Counts, Slot};
use crate::domain::health::{Evidence, HealthRules};

/// How far back is looked for attempts that nothing was heard of.
pub const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// What is newer than this says nothing about what is usual: it may be the silence itself.
const RECENT: TimeDelta = TimeDelta::minutes(1);
/// Fewest attempts from which what is usual can be told.
const USUAL_FROM: i64 = 20;
/// An account that answers less often than this cannot be told from a silent one.
const LEAST_SHARE: f64 = 0.2;
/// A silence spans at least this long: receipts of the same moment are often held up together.
const LEAST_SPAN: TimeDelta = TimeDelta::seconds(3);
/// What one instance heard, the others know so soon: each writes once a second.
const TOLD_WITHIN: TimeDelta = TimeDelta::seconds(1);
/// An account is silent when it is heard less often than this part of what is usual.
const SILENT_SHARE: f64 = 0.1;
/// The odds that an account which is as usual leaves so many attempts unheard, each by itself.
///
/// So `ln(ODDS) / ln(1 - usual)` attempts are needed: 5 where 99 % are usually heard in time, 9 for 90 %, 30 for 50 %.
/// Below 85 %, [`SILENT_SHARE`] forgives one that was heard, which makes the odds at most 50 times worse. An account is
/// looked at 3e7 times a year: that is one or two false alarms a year for the worst account, and one in thirty years for
/// an account that is usually heard nine times out of ten.
const ODDS: f64 = 1e-9;
/// Attempts heard that end a silence.
const HEARD_AGAIN: i64 = 2;
/// It has ended when the newest attempts are heard at least so often as this part of what is usual.
const HEARD_SHARE: f64 = 0.75;

/// The share of attempts that are usually heard of when they are expected to be. `None`: too few, or an account that
/// hardly ever gives receipts.
pub fn usual_share(bins: &[Slot], now: DateTime<Utc>) -> Option<f64> {
    let usual: Counts = bins.iter().filter(|bin| bin.at < now - RECENT).map(|bin| bin.counts).sum();
    if usual.sent < USUAL_FROM {
        return None;
    }
    // As if two more had been lost: twenty of twenty are no proof that all are always heard.
    let share = usual.prompt.min(usual.sent) as f64 / (usual.sent + 2) as f64;
    (share >= LEAST_SHARE).then_some(share)
}

/// How many attempts without a receipt are more than chance.
pub(super) fn needed(usual: f64, rules: &HealthRules) -> i64 {
    let by_chance = (ODDS.ln() / (1.0 - usual).ln()).ceil();
    rules.silence_sends.max(by_chance as i64)
}

/// Since when the newest attempts, of which something should have been heard by now, are unheard beyond chance. `None`:
/// they are not.
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
    // It may have begun before the attempts that prove it.
    let first = known.take_while(|slot| slot.counts.heard == 0).last().unwrap_or(last);
    is_silent.then_some(first.at)
}

/// Whether the newest attempts are heard again: two in a row, or nearly all where many are still sent. Receipts that
/// come late for attempts from before count as well. Where so little is sent that it is the only one, one is enough.
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

/// Whether all attempts of a second should have been heard of, by whichever instance.
fn is_ripe(slot: &Slot, rules: &HealthRules, now: DateTime<Utc>) -> bool {
    slot.at + TimeDelta::seconds(1) + rules.receipt_within + TOLD_WITHIN <= now
}
