//! Recovers what a process left behind when it died.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::domain::event::OnUnknown;
use crate::domain::receipt::Disposition;
use crate::services::accounts::account::Accounts;
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::ledger::command::{Command, RecordedEvent};
use crate::services::ledger::group_commit::LedgerError;
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::store::StoreError;
use crate::store::claims::{Claim, Claimed};
use crate::store::receipts;

/// Maximum number of rows per round.
const ROUND: i64 = 500;
/// Maximum number of waiting receipts checked per round.
pub const LOOK: i64 = 500;

/// How long after an outage of the database results of other instances may still arrive: each tries to write its own at
/// least once a second.
const ANSWERS_TAKE: Duration = Duration::from_secs(5);

/// Decides after an outage of the database, and after a start, from when on an expired lease means that its holder is
/// gone.
#[derive(Default)]
pub struct Patience {
    /// When the database last answered.
    answered: Option<Instant>,
    /// Since when it has answered without a gap.
    steady_since: Option<Instant>,
}

impl Patience {
    /// Records whether the database answered just now.
    pub fn note(&mut self, answered: bool, now: Instant) {
        let has_gap = self.answered.is_none_or(|last| now.duration_since(last) > ANSWERS_TAKE);
        if !answered {
            self.steady_since = None;
        } else if has_gap || self.steady_since.is_none() {
            self.steady_since = Some(now);
        }
        if answered {
            self.answered = Some(now);
        }
    }

    /// Whether an expired lease can be trusted.
    pub fn is_over(&self, now: Instant) -> bool {
        self.steady_since.is_some_and(|since| now.duration_since(since) >= ANSWERS_TAKE)
    }
}

/// Turns sends whose process is gone to `unknown`. Returns how many there were. Does nothing while the clock is held.
///
/// # Errors
/// When the database is unavailable; they are found again.
pub async fn abandoned_sends(
    transitions: &Transitions,
    clock: &Clock,
    accounts: &Accounts,
) -> Result<usize, StoreError> {
    if clock.is_held() {
        return Ok(0);
    }
    let now = clock.now();
    let command = |row: &Claimed| Command {
        message: row.message,
        event: RecordedEvent::LeaseRanOut {
            attempt_no: row.attempt_no,
            on_unknown: accounts.get(&row.account).map_or(OnUnknown::GiveUp, |a| a.on_unknown),
        },
        at: now,
    };
    let abandoned = Claim::Abandoned(transitions.under_way.messages());
    let (abandoned, _) = transitions.run_claimed(Claimant::Recovery, &abandoned, now, ROUND, command).await?;
    Ok(abandoned.len())
}

/// Tries again to match receipts that wait for an attempt: those whose match was interrupted, and those whose message
/// could not be changed when they arrived. Each is checked a limited number of times, at growing intervals, and by one
/// instance at a time. Returns how many were checked, and how many found their attempt.
///
/// # Errors
/// When the database is unavailable; they are checked again.
pub async fn waiting_receipts(apply: &ApplyReceipts, now: DateTime<Utc>) -> Result<(usize, usize), LedgerError> {
    let waiting = receipts::take_up(&apply.pool, now, LOOK).await?;
    let looked_at = waiting.len();
    if looked_at == 0 {
        return Ok((0, 0));
    }
    let dispositions = apply.match_waiting(waiting).await?;
    Ok((looked_at, dispositions.iter().filter(|d| **d != Disposition::Unmatched).count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_outage_the_answers_get_their_time() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut patience = Patience::default();
        for s in 0..6 {
            patience.note(true, at(s));
            assert_eq!(patience.is_over(at(s)), s >= 5, "after a start, at {s}");
        }
        patience.note(false, at(6));
        assert!(!patience.is_over(at(6)));
        for s in 40..46 {
            patience.note(true, at(s));
            assert_eq!(patience.is_over(at(s)), s >= 45, "after an outage, at {s}");
        }
        // A call that hung without an error is an outage too.
        patience.note(true, at(80));
        assert!(!patience.is_over(at(80)));
    }
}
