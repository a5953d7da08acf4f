//! The audit log: what operators did, in a chain of hashes.

use chrono::{DateTime, NaiveDate, Utc};
use sha2::{Digest, Sha256};

use crate::words;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    KeyCreated,
    KeyRevoked,
    SmsAllowed,
    SmsBlocked,
    SmsDecided,
    NumberForgotten,
    LettersReplayed,
    SettingsReloaded,
}

words! {
    AuditAction {
        KeyCreated = "key.create",
        KeyRevoked = "key.revoke",
        SmsAllowed = "sms.allow",
        SmsBlocked = "sms.block",
        SmsDecided = "sms.remove",
        NumberForgotten = "number.forget",
        LettersReplayed = "letters.replay",
        SettingsReloaded = "settings.reload",
    }
}

/// A hash that stands before the first entry.
pub const BEFORE_THE_FIRST: [u8; 32] = [0; 32];

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// In UTC.
    pub day: NaiveDate,
    /// Counts from 1 in each day.
    pub entry: i64,
    /// To the microsecond.
    pub at: DateTime<Utc>,
    /// Who: `cli:root`, or the id of an API key.
    pub actor: String,
    /// As stored: a newer version may have other words.
    pub action: String,
    /// On what; never a whole number or a secret.
    pub object: String,
    pub reason: String,
    pub previous_hash: [u8; 32],
    pub hash: [u8; 32],
}

impl AuditEntry {
    /// What its hash has to be.
    pub fn computed(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.previous_hash);
        let numbers = [self.day.to_string(), self.entry.to_string(), self.at.timestamp_micros().to_string()];
        let texts = [&self.actor, &self.action, &self.object, &self.reason];
        for part in numbers.iter().chain(texts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }
}

/// Where a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("entry {entry} of {day} was changed")]
    Changed { day: NaiveDate, entry: i64 },
    #[error("before entry {entry} of {day} one is missing")]
    Missing { day: NaiveDate, entry: i64 },
}

/// Follows the chain through entries in their order, from `previous`; the first one that is kept may follow deleted ones. Returns
/// the hash of the last one.
///
/// # Errors
/// [`Broken`]: the first place that does not fit. Whether entries are missing at the end shows only beside a hash noted earlier.
pub fn verify(previous: Option<&AuditEntry>, entries: &[AuditEntry]) -> Result<Option<[u8; 32]>, Broken> {
    let mut before = previous;
    for entry in entries {
        let AuditEntry { day, entry: number, .. } = *entry;
        if entry.computed() != entry.hash {
            return Err(Broken::Changed { day, entry: number });
        }
        if let Some(before) = before {
            let follows = if before.day == day { number == before.entry + 1 } else { number == 1 && day > before.day };
            if !follows || entry.previous_hash != before.hash {
                return Err(Broken::Missing { day, entry: number });
            }
        }
        before = Some(entry);
    }
    Ok(before.map(|last| last.hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: i64) -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for i in 0..n {
            let at = DateTime::from_timestamp(1_789_000_000 + i * 20_000, 0).unwrap();
            let day = at.date_naive();
            let last = entries.last();
            let entry = last.filter(|last| last.day == day).map_or(1, |last| last.entry + 1);
            let previous_hash = last.map_or(BEFORE_THE_FIRST, |last| last.hash);
            let (actor, action) = ("cli:root".to_owned(), AuditAction::KeyCreated.to_string());
            let (object, reason) = (format!("key {i}"), String::new());
            let mut one = AuditEntry { day, entry, at, actor, action, object, reason, previous_hash, hash: [0; 32] };
            one.hash = one.computed();
            entries.push(one);
        }
        entries
    }

    #[test]
    fn a_chain_shows_what_was_changed_or_taken_out() {
        let whole = chain(12);
        assert_eq!(verify(None, &whole), Ok(Some(whole[11].hash)));
        assert_eq!(verify(None, &whole[3..]), Ok(Some(whole[11].hash)), "old entries go");
        assert_eq!(verify(Some(&whole[2]), &whole[3..]), Ok(Some(whole[11].hash)), "in pages");
        assert_eq!(verify(None, &[]), Ok(None));
        for (i, entry) in whole.iter().enumerate() {
            let broken = Err(Broken::Changed { day: entry.day, entry: entry.entry });
            for change in [
                |e: &mut AuditEntry| e.actor.push('x'),
                |e: &mut AuditEntry| e.object = "key 99".to_owned(),
                |e: &mut AuditEntry| e.reason = "none".to_owned(),
                |e: &mut AuditEntry| e.at += chrono::TimeDelta::microseconds(1),
                |e: &mut AuditEntry| e.entry += 1,
            ] {
                let mut changed = whole.clone();
                change(&mut changed[i]);
                let found = verify(None, &changed);
                assert!(found == broken || matches!(found, Err(Broken::Changed { .. })), "{i}: {found:?}");
            }
            // With a hash that fits, the next one does not.
            if i < 11 {
                let mut changed = whole.clone();
                changed[i].actor = "cli:somebody".to_owned();
                changed[i].hash = changed[i].computed();
                assert!(matches!(verify(None, &changed), Err(Broken::Missing { .. })), "{i}");
                let mut shorter = whole.clone();
                shorter.remove(i);
                assert_eq!(verify(None, &shorter).is_err(), i > 0, "{i}");
            }
        }
        // A text cannot be moved from one column to the next.
        let mut moved = whole.clone();
        (moved[0].object, moved[0].reason) = ("key".to_owned(), " 0".to_owned());
        assert!(verify(None, &moved).is_err());
    }
}
