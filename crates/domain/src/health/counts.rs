//! What is counted for each attempt.

use std::iter::Sum;
use std::ops::Add;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::attempt::Attempt;
use crate::health::rules::HealthRules;
use crate::message::{Message, Outcome};

/// Attempts that a provider accepted in the same time slot, and what happened to them since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted by the provider.
    pub sent: i64,
    /// Confirmed in some way: a receipt of any status arrived, or the code was checked.
    pub heard: i64,
    /// Confirmed within the expected time.
    pub prompt: i64,
    pub delivered: i64,
    /// Delivered within the "good" time.
    pub in_time: i64,
}

/// Counts of the attempts that were accepted in the slot that begins at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub at: DateTime<Utc>,
    pub counts: Counts,
}

impl Counts {
    /// What one attempt adds, and the second of its acceptance, which is its slot. `None` until it was accepted.
    ///
    /// Receipts only add facts, so an attempt's counts never shrink and its slot never changes.
    pub fn of(message: &Message, attempt: &Attempt, rules: &HealthRules) -> Option<(DateTime<Utc>, Self)> {
        let accepted_at = attempt.accepted_at?;
        let verified_at = verified_through(message, attempt);
        let delivered_at = earliest([attempt.delivered.at, attempt.read.at, verified_at]);
        let heard_at = earliest([attempt.sent.at, attempt.failed.at, delivered_at]);
        let within = |at: Option<DateTime<Utc>>, limit: TimeDelta| at.is_some_and(|at| at - accepted_at <= limit);
        let counts = Self {
            sent: 1,
            heard: heard_at.is_some().into(),
            prompt: within(heard_at, rules.receipt_within).into(),
            delivered: delivered_at.is_some().into(),
            in_time: within(delivered_at, rules.good_within).into(),
        };
        Some((accepted_at.duration_trunc(TimeDelta::seconds(1)).unwrap_or(accepted_at), counts))
    }

    /// The increase since `before`; never negative.
    pub fn since(self, before: Self) -> Self {
        let grown = |now: i64, before: i64| (now - before).max(0);
        Self {
            sent: grown(self.sent, before.sent),
            heard: grown(self.heard, before.heard),
            prompt: grown(self.prompt, before.prompt),
            delivered: grown(self.delivered, before.delivered),
            in_time: grown(self.in_time, before.in_time),
        }
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// When the code was checked, if the person can only have received it through this attempt.
fn verified_through(message: &Message, attempt: &Attempt) -> Option<DateTime<Utc>> {
    let is_other = |a: &&Attempt| a.attempt_no != attempt.attempt_no && a.may_have_left();
    let alone = !message.attempts.iter().any(|a| is_other(&a));
    message.settled_at.filter(|_| message.outcome == Outcome::Verified && alone && !message.code_given)
}

fn earliest<const N: usize>(times: [Option<DateTime<Utc>>; N]) -> Option<DateTime<Utc>> {
    times.into_iter().flatten().min()
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            heard: self.heard + other.heard,
            prompt: self.prompt + other.prompt,
            delivered: self.delivered + other.delivered,
            in_time: self.in_time + other.in_time,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}
