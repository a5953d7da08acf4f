//! What is remembered of a number: learned as its messages change, asked when the next one is accepted.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::domain::attempt::Attempt;
use crate::domain::code_keys::{CodeKeys, NumberHash};
use crate::domain::ids::Bucket;
use crate::domain::memory::{Lesson, Memory, lesson};
use crate::domain::message::Message;
use crate::domain::phone::Phone;
use crate::services::pulse::Pulse;
use crate::store::StoreError;
use crate::store::api_keys;
use crate::store::database::Database;
use crate::store::messages::LockedMessage;
use crate::store::number_memory::{self, Learned};
use crate::telemetry;

#[derive(Clone)]
pub struct NumberMemory {
    pub pool: Database,
    pub clock: Clock,
    pub keys: CodeKeys,
    /// `None`: nothing is remembered.
    pub remember_for: Option<TimeDelta>,
    /// What one app's messages teach is used for every app's.
    pub shared: bool,
}

impl NumberMemory {
    /// What is remembered of a number. Nothing when the database does not say: no message waits for that.
    pub async fn recall(&self, app: &str, phone: &Phone) -> Memory {
        let Some(remember_for) = self.remember_for else { return Memory::default() };
        let since = self.clock.now() - remember_for;
        let hashes = self.keys.number_hashes(scope(app, self.shared), phone);
        number_memory::recall(&self.pool, Bucket::of(phone), &hashes, since).await.unwrap_or_else(|error| {
            tracing::warn!(error = %telemetry::chain(&error), "cannot recall which channel works for a number");
            Memory::default()
        })
    }

    /// Forgets what all apps know of a number. Returns whether anything was remembered.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn forget(&self, phone: &Phone) -> Result<bool, StoreError> {
        let apps = api_keys::apps(&self.pool).await?;
        let scopes = std::iter::once(None).chain(apps.iter().map(|app| Some(app.as_str())));
        let hashes: Vec<NumberHash> = scopes.flat_map(|app| self.keys.number_hashes(app, phone)).collect();
        number_memory::erase(&self.pool, Bucket::of(phone), &hashes).await
    }
}

/// Whose memory it is; `None`: everybody's.
fn scope(app: &str, shared: bool) -> Option<&str> {
    (!shared).then_some(app)
}

/// What changes of messages teach, each number once under each key, in the order of their keys.
pub(super) fn learned<'a>(
    changes: impl IntoIterator<Item = (&'a Message, &'a LockedMessage)>,
    keys: &CodeKeys,
    pulse: &Pulse,
    shared: bool,
) -> Vec<Learned> {
    let mut learned: BTreeMap<(Bucket, [u8; 32]), Learned> = BTreeMap::new();
    for (before, after) in changes {
        let silent = |a: &Attempt| a.accepted_at.is_some_and(|accepted_at| pulse.was_silent(&a.account, accepted_at));
        let Some(lesson) = lesson(before, &after.message, silent) else { continue };
        let bucket = after.message.id.bucket();
        for number in told_under(lesson, keys.number_hashes(scope(&after.message.app, shared), &after.recipient)) {
            let one = learned.entry((bucket, number.hash)).or_insert(Learned { bucket, number, lesson });
            one.lesson = one.lesson.and(lesson);
        }
    }
    learned.into_values().collect()
}

/// A failure is remembered under the key in use. A delivery undoes what was remembered under any.
fn told_under(lesson: Lesson, mut hashes: Vec<NumberHash>) -> Vec<NumberHash> {
    if matches!(lesson, Lesson::OffWhatsapp(_)) {
        hashes.truncate(1);
    }
    hashes
}
