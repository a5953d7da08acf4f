//! Code keys across instances: each id belongs to one secret, decided by the first instance, and the database records
//! which keys are in use.
//!
//! An instance does not process a code under a key that it lacks: it does not check it, and leaves its sends to an
//! instance with the key. If no instance has it any more, its attempts fail, so that the message's timeline says why.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::domain::code_keys::CodeKeys;
use crate::domain::event::Effect;
use crate::services::ledger::command::{Command, Done, RecordedEvent};
use crate::services::ledger::quarantine::Claimant;
use crate::services::ledger::transitions::Transitions;
use crate::services::messages::accept_message::VALID_FOR_S;
use crate::store::StoreError;
use crate::store::claims::{Claim, Claimed};
use crate::store::code_keys;
use crate::store::database::Database;
use crate::telemetry;

/// Interval at which a held key is recorded.
const HOLD_EVERY: TimeDelta = TimeDelta::seconds(5);
/// A key that was not recorded for this time is held by no instance; allows for some missed beats of a slow one.
pub const LET_GO_AFTER: TimeDelta = TimeDelta::seconds(15);
/// How long a key must have been held by no instance, as observed here, before its attempts fail. After an outage of
/// all instances, another one may be about to start.
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::seconds(15);
/// After a start: the time in which the other instances have recorded the keys that they share with one that has just
/// stopped.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Maximum number of attempts failed in one round.
const ROUND: i64 = 200;

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(
        "codes.keys: the secret with the id {0} is not the one that this database knows by that id, so right codes would be \
         called wrong: give this instance the secret that the others have, or put a new secret first under an id that was \
         never used"
    )]
    OtherSecret(i16),
    #[error("cannot compare the code keys with those of the database")]
    Store(#[from] StoreError),
}

/// Records the keys in the database, and compares them with the recorded ones. For a service, at its start.
///
/// # Errors
/// [`KeysError::OtherSecret`]; these keys must then not be used.
pub async fn agree(pool: &Database, keys: &CodeKeys, now: DateTime<Utc>) -> Result<(), KeysError> {
    // Compared first, so that a wrong list is not recorded in part.
    compare(pool, keys).await?;
    code_keys::register(pool, &keys.key_fingerprints(), now).await?;
    compare(pool, keys).await?;
    hold(pool, keys, now).await?;
    Ok(())
}

/// Compares without recording. For commands, and for reloaded settings.
///
/// # Errors
/// As [`agree`].
pub async fn compare(pool: &Database, keys: &CodeKeys) -> Result<(), KeysError> {
    let known = code_keys::known(pool, &keys.ids()).await?;
    let ours = keys.key_fingerprints();
    let other = known.iter().find(|known| {
        ours.iter().any(|key| key.key_id == known.key_id && key.hash.as_slice() != known.fingerprint.as_slice())
    });
    other.map_or(Ok(()), |known| Err(KeysError::OtherSecret(known.key_id)))
}

/// Records that this instance has its keys. Call it about once a second.
///
/// # Errors
/// When the database is unavailable; the next call records it.
pub async fn hold(pool: &Database, keys: &CodeKeys, now: DateTime<Utc>) -> Result<(), StoreError> {
    code_keys::hold(pool, &keys.ids(), now, now - HOLD_EVERY).await
}

/// Records that this instance stops. Others with the same keys record them again within about a second.
///
/// # Errors
/// When the database is unavailable; then it is noticed after [`LET_GO_AFTER`].
pub async fn let_go(pool: &Database, keys: &CodeKeys, now: DateTime<Utc>) -> Result<(), StoreError> {
    code_keys::hold(pool, &keys.ids(), now - LET_GO_AFTER, now).await
}

/// Logs after a start which live messages need a key that these settings lack, and again when the last instance with
/// the key is gone.
pub async fn tell_missing(pool: Database, keys: CodeKeys, clock: Clock) {
    for wait in [SETTLED_AFTER, (LET_GO_AFTER + HOLD_EVERY).to_std().unwrap_or(SETTLED_AFTER)] {
        tokio::time::sleep(wait).await;
        match tell_missing_now(&pool, &keys, clock.now()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = %telemetry::chain(&error), "cannot count the messages whose code key is missing");
            }
        }
    }
}

/// Returns whether some were missing that another instance has.
async fn tell_missing_now(pool: &Database, keys: &CodeKeys, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let mut elsewhere = false;
    for under in code_keys::live_under_others(pool, &keys.ids(), now).await? {
        let until = under.until.format("%F %T UTC").to_string();
        if under.held_at.is_some_and(|at| at > now - LET_GO_AFTER) {
            elsewhere = true;
            tracing::warn!(
                key = under.key_id,
                live_messages = under.messages,
                %until,
                "live messages need a code key that codes.keys does not have; another instance has it. Requests about them \
                 that come here are answered 503"
            );
        } else {
            tracing::error!(
                key = under.key_id,
                live_messages = under.messages,
                %until,
                "live messages need a code key that codes.keys does not have, and no other instance has it: their codes can \
                 neither be checked nor sent. Put the key back, behind the others, until the last of them ends"
            );
        }
    }
    Ok(elsewhere)
}

/// The keys that no instance has, with the time when this instance first noticed.
#[derive(Default)]
pub struct LostKeys(HashMap<i16, DateTime<Utc>>);

impl LostKeys {
    /// Fails the due attempts under keys that no instance has. Returns how many there were.
    ///
    /// # Errors
    /// When the database is unavailable; they are found again.
    pub async fn run_once(&mut self, transitions: &Transitions, clock: &Clock) -> Result<usize, StoreError> {
        let now = clock.now();
        // After this time every message under the key has ended.
        let longest = TimeDelta::seconds(i64::from(*VALID_FOR_S.end())) + LET_GO_AFTER + GIVE_UP_AFTER;
        let let_go = code_keys::let_go(&transitions.pool, now - longest, now - LET_GO_AFTER).await?;
        let ours = transitions.keys.ids();
        let lost = let_go.into_iter().filter(|id| !ours.contains(id));
        self.0 = lost.map(|id| (id, self.0.get(&id).copied().unwrap_or(now))).collect();
        let over = self.0.iter().filter(|(_, since)| now - **since >= GIVE_UP_AFTER);
        let keys: Vec<i16> = over.map(|(id, _)| *id).collect();
        if keys.is_empty() || clock.is_held() {
            return Ok(0);
        }
        let command = |row: &Claimed| Command {
            message: row.message,
            event: RecordedEvent::KeyGone { attempt_no: row.attempt_no },
            at: now,
        };
        let claim = Claim::Sealed(keys.clone());
        let (_, outcomes) = transitions.run_claimed(Claimant::LostKeys, &claim, now, ROUND, command).await?;
        let given_up = outcomes.done.iter().filter(|done| matches!(done, Done::Effect(Effect::Done))).count();
        if given_up > 0 {
            tracing::error!(
                ?keys,
                attempts = given_up,
                "no instance has these code keys: what is under them cannot be sent (code_key_missing). Put them back into \
                 codes.keys, behind the others"
            );
        }
        Ok(given_up)
    }
}
