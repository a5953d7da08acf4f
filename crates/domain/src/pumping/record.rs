//! The SMS of a range of numbers, a country or an app: how many left, how many codes came back, and what they cost.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Budget;

/// Length of a cohort, the group of SMS whose conversion is judged together.
const COHORT: TimeDelta = TimeDelta::minutes(5);
/// A code takes some time to come back: younger cohorts are not judged.
const MATURE: TimeDelta = TimeDelta::minutes(5);
const HOUR: TimeDelta = TimeDelta::hours(1);
/// Days whose best one sets the budget.
const DAYS: i64 = 14;
/// A closed range stays closed for an hour, then for twice as long each time.
const LONGEST_CLOSED: TimeDelta = TimeDelta::hours(24);
/// A range is judged from this number of SMS, and closed if fewer than a tenth come back, with 95 % confidence.
const FEWEST_OF_PREFIX: i64 = 30;
const FEWEST_OF_COUNTRY: i64 = 100;

/// Whose conversion is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Prefix,
    Country,
}

/// One row of counts. Times are the beginnings of what is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsRecord {
    /// Of the last hour and a little more, in cohorts.
    #[serde(default)]
    cohorts: Vec<Count>,
    /// Of the last 24 hours.
    #[serde(default)]
    hours: Vec<Count>,
    /// Of the last 14 days, in UTC.
    #[serde(default)]
    days: Vec<Count>,
    /// The most codes that came back within an hour of the last 14 days, by day.
    #[serde(default)]
    best_hours: Vec<(i64, i64)>,
    #[serde(default)]
    closed_until: Option<DateTime<Utc>>,
    /// How often in a row it was closed.
    #[serde(default)]
    closings: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    /// Unix seconds.
    at: i64,
    sent: i64,
    verified: i64,
    #[serde(default)]
    micros: i64,
}

impl Count {
    fn outstanding(&self) -> i64 {
        (self.sent - self.verified).max(0)
    }
}

fn begin(now: DateTime<Utc>, length: TimeDelta) -> i64 {
    now.timestamp() - now.timestamp().rem_euclid(length.num_seconds())
}

/// The count of the time that holds `at`; `None` if it is kept no longer.
fn count(counts: &mut Vec<Count>, at: DateTime<Utc>, length: TimeDelta, create: bool) -> Option<&mut Count> {
    let at = begin(at, length);
    let place = counts.partition_point(|count| count.at < at);
    if counts.get(place).is_none_or(|count| count.at != at) {
        if !create {
            return None;
        }
        counts.insert(place, Count { at, ..Count::default() });
    }
    counts.get_mut(place)
}

impl SmsRecord {
    pub(super) fn note_sent(&mut self, micros: i64, now: DateTime<Utc>) {
        self.tidy(now);
        for (counts, length) in
            [(&mut self.cohorts, COHORT), (&mut self.hours, HOUR), (&mut self.days, TimeDelta::days(1))]
        {
            if let Some(count) = count(counts, now, length, true) {
                count.sent += 1;
                count.micros += micros;
            }
        }
    }

    /// The code of an SMS came back that left at `sent_at`.
    pub fn note_verified(&mut self, sent_at: DateTime<Utc>, now: DateTime<Utc>) {
        self.tidy(now);
        for (counts, length) in
            [(&mut self.cohorts, COHORT), (&mut self.hours, HOUR), (&mut self.days, TimeDelta::days(1))]
        {
            if let Some(count) = count(counts, sent_at, length, false) {
                count.verified += 1;
            }
        }
        let day = begin(sent_at, TimeDelta::days(1));
        let in_hour = count(&mut self.hours, sent_at, HOUR, false).map_or(0, |hour| hour.verified);
        match self.best_hours.iter_mut().find(|(at, _)| *at == day) {
            Some((_, best)) => *best = in_hour.max(*best),
            None => self.best_hours.push((day, in_hour)),
        }
    }

    /// Forgets what is too old to matter.
    fn tidy(&mut self, now: DateTime<Utc>) {
        let since = |length: TimeDelta| (now - length).timestamp();
        self.cohorts.retain(|count| count.at > since(HOUR + COHORT * 2));
        self.hours.retain(|count| count.at > since(TimeDelta::hours(25)));
        self.days.retain(|count| count.at > since(TimeDelta::days(DAYS + 1)));
        self.best_hours.retain(|(at, _)| *at > since(TimeDelta::days(DAYS + 1)));
    }

    /// The SMS without a verified code and how many are allowed, if no more are.
    pub(super) fn over_budget(&self, budget: Budget, share: f64, now: DateTime<Utc>) -> Option<(i64, i64)> {
        let share_of = |verified: i64| (verified as f64 * share).floor() as i64;
        let since_hour = (now - HOUR).timestamp();
        let since_day = (now - TimeDelta::days(1)).timestamp();
        // Cohorts that began within the hour; a cohort that is partly older counts as a whole.
        let cohorts = || self.cohorts.iter().filter(|count| count.at + COHORT.num_seconds() > since_hour);
        let hours = || self.hours.iter().filter(|count| count.at + HOUR.num_seconds() > since_day);
        let sum = |counts: &mut dyn Iterator<Item = &Count>| {
            counts.fold((0, 0), |(left, came), count| (left + count.outstanding(), came + count.verified))
        };
        let (in_hour, came_in_hour) = sum(&mut cohorts());
        let (in_day, came_in_day) = sum(&mut hours());
        let best_hour = self.best_hours.iter().map(|(_, best)| *best).max().unwrap_or(0);
        let best_day = self.days.iter().map(|count| count.verified).max().unwrap_or(0);
        let of_hour = budget.floor_per_hour.max(share_of(best_hour)).max(share_of(came_in_hour));
        let of_day = budget.floor_per_day.max(share_of(best_day)).max(share_of(came_in_day));
        let over = |counted: i64, allowed: i64| (counted >= allowed).then_some((counted, allowed));
        over(in_hour, of_hour).or_else(|| over(in_day, of_day))
    }

    /// Verified codes and SMS of the last hour, if too few came back; closes it for a while then.
    pub(super) fn closed(&mut self, what: Closed, now: DateTime<Utc>) -> Option<(i64, i64)> {
        let mature = self.cohorts.iter().filter(|count| count.at + (COHORT + MATURE).num_seconds() <= now.timestamp());
        let (sent, came) = mature.fold((0, 0), |(sent, came), count| (sent + count.sent, came + count.verified));
        if self.closed_until.is_some_and(|until| now < until) {
            return Some((came, sent));
        }
        let is_poor = match what {
            Closed::Prefix => sent >= FEWEST_OF_PREFIX && upper_bound(came, sent) < 0.1,
            Closed::Country => {
                let (usual_sent, usual) = self
                    .days
                    .iter()
                    .filter(|day| day.at > (now - TimeDelta::days(7)).timestamp())
                    .fold((0, 0), |(sent, came), day| (sent + day.sent, came + day.verified));
                // Against what was usual before this hour.
                let (usual_sent, usual) = (usual_sent - sent, usual - came);
                let is_known = usual_sent >= FEWEST_OF_COUNTRY;
                let third = if is_known { usual as f64 / usual_sent as f64 / 3.0 } else { 0.1 };
                sent >= FEWEST_OF_COUNTRY && (came as f64) < third * sent as f64
            }
        };
        if !is_poor {
            // Open for a day since the last time: it begins anew.
            if self.closed_until.is_some_and(|until| now >= until + TimeDelta::days(1)) {
                (self.closed_until, self.closings) = (None, 0);
            }
            return None;
        }
        let length = HOUR * 2_i32.pow(u32::from(self.closings.min(5)));
        self.closed_until = Some(now + length.min(LONGEST_CLOSED));
        self.closings = self.closings.saturating_add(1);
        // What closed it does not close it again.
        self.cohorts.retain(|count| count.at + (COHORT + MATURE).num_seconds() > now.timestamp());
        Some((came, sent))
    }

    /// Micro-units since midnight UTC.
    pub fn spent_today(&self, now: DateTime<Utc>) -> i64 {
        let today = begin(now, TimeDelta::days(1));
        self.days.iter().find(|day| day.at == today).map_or(0, |day| day.micros)
    }

    /// Until when an operator or its conversion keeps it closed.
    pub fn closed_until(&self) -> Option<DateTime<Utc>> {
        self.closed_until
    }

    /// Opens it before its time.
    pub fn open(&mut self) {
        (self.closed_until, self.closings) = (None, 0);
        self.cohorts.clear();
    }
}

/// The upper end of the 95 % confidence interval of a share (Wilson's, one-sided): with 0 of 29 it is below a tenth.
fn upper_bound(hits: i64, of: i64) -> f64 {
    const Z: f64 = 1.645;
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (centre + spread) / (1.0 + Z * Z / n)
}
