//! Keeps a bad row from stopping a loop: groups that the database refuses shrink until the refused row is alone, and
//! that one is skipped for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::domain::ids::MessageId;
use crate::store::StoreError;
use crate::store::claims::Claimed;
use crate::telemetry::names;

/// How long a bad row is skipped: long enough to cost nothing, short enough for an instance that can read it, or for an
/// operator who repairs it.
const APART_FOR: Duration = Duration::from_secs(60);
/// The same for a row whose statement timed out on a lock, which is soon released.
const BUSY_FOR: Duration = Duration::from_secs(2);
/// Maximum number of skipped rows. Beyond it, the one that was found first is tried again.
const MOST: usize = 1000;

/// After success at this size a group may have any size again.
const LARGE: i64 = 256;

/// The loops and jobs of the recovery loop that claim rows; each has its own group size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    Sender,
    Deadlines,
    Lives,
    Recovery,
    Orphans,
    LostKeys,
}

/// Cheap to clone; all clones share one state. In memory and per process: another instance may be able to read the row.
#[derive(Clone, Default)]
pub struct Quarantine(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By message, until when.
    apart: HashMap<Uuid, Instant>,
    /// By [`Claimant`], how many rows its next group may have; 0: as many as it likes.
    groups: [i64; 6],
}

impl Quarantine {
    /// Messages that are skipped now.
    pub fn messages(&self) -> Vec<Uuid> {
        let mut state = self.lock();
        if !state.apart.is_empty() {
            let now = Instant::now();
            state.apart.retain(|_, until| now < *until);
        }
        state.apart.keys().copied().collect()
    }

    /// Skips a message from now on, and logs it.
    pub fn put(&self, message: MessageId, error: &StoreError) {
        let mut state = self.lock();
        if state.apart.len() >= MOST
            && let Some(oldest) = state.apart.iter().min_by_key(|(_, until)| **until).map(|(id, _)| *id)
        {
            state.apart.remove(&oldest);
        }
        let apart_for = if matches!(error, StoreError::Unavailable(_)) { BUSY_FOR } else { APART_FOR };
        let is_new = state.apart.insert(message.uuid(), Instant::now() + apart_for).is_none();
        drop(state);
        if is_new {
            metrics::counter!(names::ROWS_LEFT_ALONE).increment(1);
            tracing::error!(
                message_id = %message,
                error = %crate::telemetry::chain(error),
                left_alone_s = apart_for.as_secs(),
                "this message cannot be processed; the others continue"
            );
        }
    }

    /// How many rows the loop's next group may have, at most `most`.
    pub(super) fn group(&self, from: Claimant, most: i64) -> i64 {
        match self.lock().groups[from as usize] {
            0 => most,
            size => size.min(most),
        }
    }

    pub(super) fn went_well(&self, from: Claimant) {
        let size = &mut self.lock().groups[from as usize];
        *size = if *size >= LARGE { 0 } else { *size * 2 };
    }

    pub(super) fn went_wrong(&self, from: Claimant, claimed: &[Claimed], error: &StoreError) {
        if error.is_away() {
            return;
        }
        if let [one] = claimed {
            self.put(one.message, error);
            return;
        }
        let half = i64::try_from(claimed.len() / 2).unwrap_or(1).max(1);
        self.lock().groups[from as usize] = half;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::app_id::AppId;
    use crate::domain::ids::Bucket;
    use crate::domain::phone::Phone;

    fn claimed(n: u8) -> Claimed {
        let at = chrono::DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let message = MessageId::new(at, Bucket::of(&Phone::parse("+628123450003").unwrap()), [n; 8]);
        Claimed { message, attempt_no: 1, account: "wa".into(), app: AppId::stored("shop") }
    }

    fn refused() -> StoreError {
        StoreError::Refused { constraint: "x".into(), source: sqlx::Error::RowNotFound }
    }

    #[test]
    fn a_group_shrinks_to_the_row_that_is_refused_and_grows_again() {
        let quarantine = Quarantine::default();
        let all: Vec<Claimed> = (0..100).map(claimed).collect();
        let mut sizes = Vec::new();
        loop {
            let size = quarantine.group(Claimant::Sender, 100);
            sizes.push(size);
            quarantine.went_wrong(Claimant::Sender, &all[..size as usize], &refused());
            if size == 1 {
                break;
            }
        }
        assert_eq!(sizes, [100, 50, 25, 12, 6, 3, 1]);
        assert_eq!(quarantine.messages(), [all[0].message.uuid()]);
        assert_eq!(quarantine.group(Claimant::Lives, 100), 100, "another loop is not concerned");
        for size in [1, 2, 4] {
            assert_eq!(quarantine.group(Claimant::Sender, 100), size);
            quarantine.went_well(Claimant::Sender);
        }
    }

    #[test]
    fn a_database_that_is_away_says_nothing_about_a_row() {
        let quarantine = Quarantine::default();
        let away = StoreError::Unavailable(sqlx::Error::PoolTimedOut);
        quarantine.went_wrong(Claimant::Sender, &[claimed(1)], &away);
        assert!(quarantine.messages().is_empty());
    }

    #[test]
    fn the_list_has_an_end() {
        let quarantine = Quarantine::default();
        for n in 0..1100_u32 {
            let mut one = claimed(1);
            one.message = MessageId::new(
                chrono::DateTime::from_timestamp(1_789_034_400 + i64::from(n), 0).unwrap(),
                Bucket::of(&Phone::parse("+628123450003").unwrap()),
                [1; 8],
            );
            quarantine.put(one.message, &refused());
        }
        assert_eq!(quarantine.messages().len(), MOST);
    }
}
