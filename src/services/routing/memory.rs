//! The memory of numbers: written when their messages change, read when the next one is accepted.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::attempt::Attempt;
use crate::domain::code_keys::{CodeKeys, NumberHash};
use crate::domain::ids::Bucket;
use crate::domain::memory::{Lesson, Memory, lesson};
use crate::domain::message::Message;
use crate::domain::phone::Phone;
use crate::services::accounts::pulse::Pulse;
use crate::store::database::Database;
use crate::store::number_memory::{self, Learned};
use crate::store::stored::LockedMessage;
use crate::telemetry;

#[derive(Clone)]
pub struct NumberMemory {
    pub pool: Database,
    pub clock: Clock,
    pub keys: CodeKeys,
    /// `None`: nothing is remembered.
    pub remember_for: Option<TimeDelta>,
    /// What one app's messages show is used for every app.
    pub shared: bool,
}

impl NumberMemory {
    /// What is remembered about a number. Empty if the database does not answer: a message does not wait for it.
    pub async fn recall(&self, app: &AppId, phone: &Phone) -> Memory {
        let Some(remember_for) = self.remember_for else { return Memory::default() };
        let since = self.clock.now() - remember_for;
        let hashes = self.keys.number_hashes(scope(app, self.shared), phone);
        number_memory::recall(&self.pool, Bucket::of(phone), &hashes, since).await.unwrap_or_else(|error| {
            tracing::warn!(error = %telemetry::chain(&error), "cannot recall which channel works for a number");
            Memory::default()
        })
    }
}

/// The app that a memory belongs to; `None`: shared by all.
fn scope(app: &AppId, shared: bool) -> Option<&AppId> {
    (!shared).then_some(app)
}

/// What changes of messages show, each number once under each key, in the order of their keys.
pub fn learned<'a>(
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

/// A failure is stored under the active key. A delivery clears the entries under every key.
fn told_under(lesson: Lesson, mut hashes: Vec<NumberHash>) -> Vec<NumberHash> {
    if matches!(lesson, Lesson::OffWhatsapp(_)) {
        hashes.truncate(1);
    }
    hashes
}
