//! Attempts whose account is in no instance's settings any more: they move on to the next step, instead of waiting
//! until their message expires.
//!
//! While instances are replaced one by one, another may know an account that this one does not know (yet, or any more).
//! So attempts fail only if no instance serves the account: the oldest of its due attempts is the same as
//! [`UNSERVED_AFTER`] ago. A slow account still sends its attempts in turn, oldest first.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::domain::event::Effect;
use crate::domain::ids::MessageId;
use crate::services::accounts::account::Accounts;
use crate::services::ledger::command::{Command, Done, RecordedEvent};
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::claims::{Capacity, Claim, Claimed};

/// The longest duration of a call: an account all of whose permits hang starts nothing for this time.
pub const UNSERVED_AFTER: TimeDelta = TimeDelta::seconds(15);
/// Maximum number of attempts per account failed in one round.
const ROUND: i64 = 200;

/// The accounts that this instance does not know, each with the oldest of its due attempts and the time since when that
/// is the oldest.
#[derive(Default)]
pub struct Orphans(HashMap<String, ((MessageId, i16), DateTime<Utc>)>);

impl Orphans {
    /// Fails what is due through accounts that no instance serves. Returns how many attempts there were.
    ///
    /// # Errors
    /// When the database is unavailable; they are found again.
    pub async fn run_once(
        &mut self,
        transitions: &Transitions,
        clock: &Clock,
        accounts: &Accounts,
    ) -> Result<usize, StoreError> {
        let now = clock.now();
        let known: Vec<String> = accounts.all().iter().map(|account| account.name.clone()).collect();
        let oldest = attempts::oldest_due_of_others(&transitions.pool, &known, now).await?;
        let same_since = |account: &str, head| match self.0.get(account) {
            Some((before, since)) if *before == head => *since,
            _ => now,
        };
        let seen = oldest.into_iter().map(|(message, attempt_no, account)| {
            let head = (message, attempt_no);
            let since = same_since(&account, head);
            (account, (head, since))
        });
        self.0 = seen.collect();
        if clock.is_held() {
            return Ok(0);
        }
        let mut given_up = 0;
        for (account, _) in self.0.iter().filter(|(_, (_, since))| now - *since >= UNSERVED_AFTER) {
            let orphans = give_up(transitions, account, now).await?;
            tracing::error!(account, orphans, "no instance has this account in its settings; its attempts move on");
            given_up += orphans;
        }
        Ok(given_up)
    }
}

async fn give_up(transitions: &Transitions, account: &str, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let capacities = vec![Capacity { account: account.to_owned(), sends: ROUND, first_app: 0 }];
    let due = Claim::Due { capacities, keys: None };
    let command = |row: &Claimed| Command {
        message: row.message,
        event: RecordedEvent::AccountGone { attempt_no: row.attempt_no },
        at: now,
    };
    let (_, outcomes) = transitions.run_claimed(Claimant::Orphans, &due, now, ROUND, command).await?;
    Ok(outcomes.done.iter().filter(|done| matches!(done, Done::Effect(Effect::Done))).count())
}
