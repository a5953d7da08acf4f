//! The wrong codes of numbers, while a group of checks is applied: locked and read before, counted in it, and written with it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::code_keys::CodeKeys;
use crate::domain::event::{Effect, Verdict};
use crate::domain::ids::MessageId;
use crate::domain::limits::sends::NumberSends;
use crate::domain::limits::tries::{COUNTS_FOR, RESERVED};
use crate::domain::limits::{LimitHit, LimitRule, Mode};
use crate::domain::message::Message;
use crate::services::ledger::command::{AppRequest, Command, Done, RecordedEvent};
use crate::services::policy::Policy;
use crate::store::StoreError;
use crate::store::database::Session;
use crate::store::number_sends::{self, NumberKey};
use crate::store::number_tries::{self, CountedTries};
use crate::store::stored::LockedMessage;

/// The numbers whose codes a group checks.
#[derive(Default)]
pub(super) struct Tries {
    mode: Mode,
    /// The index in `numbers` of each message that is checked.
    of: HashMap<MessageId, usize>,
    numbers: Vec<Number>,
}

struct Number {
    key: NumberKey,
    counted: CountedTries,
    limit: i64,
    /// Read only for a number that has had many wrong codes.
    sends: NumberSends,
    changed: bool,
}

impl Tries {
    /// Locks the numbers of the messages that `commands` check. Messages of a number that another transaction holds are added to
    /// `missing`.
    pub(super) async fn lock(
        connection: &mut Session,
        (keys, policy): (&CodeKeys, &Policy),
        commands: &[Command],
        messages: &HashMap<MessageId, LockedMessage>,
        missing: &mut HashMap<MessageId, Done>,
    ) -> Result<Self, StoreError> {
        let mut tries = Self { mode: policy.limits.mode, ..Self::default() };
        if tries.mode == Mode::Off {
            return Ok(tries);
        }
        let mut asked: Vec<(NumberKey, i64, Vec<MessageId>)> = Vec::new();
        let mut latest: Option<DateTime<Utc>> = None;
        for command in commands {
            let is_check = matches!(&command.event, RecordedEvent::ByApp { request: AppRequest::Check { .. }, .. });
            let stored = messages.get(&command.message).filter(|stored| is_check && !stored.message.is_test);
            let Some(stored) = stored else { continue };
            let limit = policy.limits.of_tries(&stored.message.app, LimitRule::TriesPerHour);
            if limit == 0 {
                continue;
            }
            latest = latest.max(Some(command.at));
            let key = NumberKey::of(keys, &stored.message.app, &stored.recipient);
            match asked.iter_mut().find(|(other, ..)| *other == key) {
                Some((.., ids)) => ids.push(command.message),
                None => asked.push((key, limit, vec![command.message])),
            }
        }
        let Some(now) = latest else { return Ok(tries) };
        let number_keys: Vec<NumberKey> = asked.iter().map(|(key, ..)| key.clone()).collect();
        let locked = number_tries::lock(connection, &number_keys).await?;
        for ((key, limit, ids), locked) in asked.into_iter().zip(locked) {
            let Some(counted) = locked else {
                missing.extend(ids.into_iter().map(|id| (id, Done::Locked)));
                continue;
            };
            tries.of.extend(ids.into_iter().map(|id| (id, tries.numbers.len())));
            let number = Number { key, counted, limit, sends: NumberSends::default(), changed: false };
            tries.numbers.push(number);
        }
        let exhausted: Vec<usize> = (0..tries.numbers.len())
            .filter(|&i| tries.numbers[i].counted.tries.left(tries.numbers[i].limit, now) <= i64::from(RESERVED))
            .collect();
        if !exhausted.is_empty() {
            let keys: Vec<NumberKey> = exhausted.iter().map(|&i| tries.numbers[i].key.clone()).collect();
            for (i, read) in exhausted.into_iter().zip(number_sends::read(connection, &keys).await?) {
                tries.numbers[i].sends = read.sends;
            }
        }
        Ok(tries)
    }

    /// Why the code of this message is not compared.
    pub(super) fn refuse(&self, stored: &LockedMessage, now: DateTime<Utc>) -> Option<LimitHit> {
        let number = &self.numbers[*self.of.get(&stored.message.id)?];
        let tries = &number.counted.tries;
        tries.refuse(stored.message.id, stored.message.wrong_tries, number.limit, &number.sends, now)
    }

    /// Counts a wrong code. Of a message that is still pending, no more tries are left than its number has.
    pub(super) fn note(&mut self, stored: &LockedMessage, effect: &mut Effect, now: DateTime<Utc>) {
        let Message { id, wrong_tries, .. } = &stored.message;
        let Some(number) = self.of.get(id).and_then(|&i| self.numbers.get_mut(i)) else { return };
        if let Effect::Checked(checked) = effect
            && checked.verdict == Verdict::Wrong
        {
            let tries = &mut number.counted.tries;
            tries.note(now);
            number.changed = true;
            let reserved = if number.sends.is_newest(*id) { i64::from((RESERVED - wrong_tries).max(0)) } else { 0 };
            let left = tries.left(number.limit, now).max(reserved);
            if self.mode != Mode::Enforce {
                return;
            }
            checked.tries_left = checked.tries_left.min(i16::try_from(left).unwrap_or(i16::MAX));
        }
    }

    pub(super) async fn write(self, connection: &mut Session, at: Option<DateTime<Utc>>) -> Result<(), StoreError> {
        let changed: Vec<CountedTries> =
            self.numbers.into_iter().filter(|number| number.changed).map(|number| number.counted).collect();
        match at.filter(|_| !changed.is_empty()) {
            Some(at) => number_tries::write(connection, &changed, at + COUNTS_FOR + SOME_TIME).await,
            None => Ok(()),
        }
    }
}

/// An entry is kept a little longer than it counts, since instances' clocks differ.
const SOME_TIME: TimeDelta = TimeDelta::minutes(1);
