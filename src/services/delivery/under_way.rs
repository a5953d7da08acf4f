//! Sends of this process whose result is not stored yet. After a database outage longer than a lease, such a send must
//! not become `unknown`: its result is known here, and is stored as soon as possible. Also, a delivery that is
//! committed before a request was sent cancels that request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::domain::ids::MessageId;
use crate::domain::message::{Message, Outcome};
use crate::outbound::CallOff;

/// Cheap to clone; all clones share one state.
#[derive(Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<Uuid, Vec<Send>>>>);

struct Send {
    attempt_no: i16,
    call_off: CallOff,
}

/// One send; ends when dropped.
pub struct Held {
    all: UnderWay,
    message: Uuid,
    attempt_no: i16,
    pub call_off: CallOff,
}

impl UnderWay {
    pub fn begin(&self, message: MessageId, attempt_no: i16) -> Held {
        let (message, call_off) = (message.uuid(), CallOff::default());
        self.lock().entry(message).or_default().push(Send { attempt_no, call_off: call_off.clone() });
        Held { all: self.clone(), message, attempt_no, call_off }
    }

    /// Cancels the message's requests that must not be sent any more. Called for each message that changed.
    pub fn call_off_needless(&self, message: &Message) {
        let all = self.lock();
        for send in all.get(&message.id.uuid()).into_iter().flatten() {
            if message.outcome != Outcome::Pending || !message.may_leave(send.attempt_no) {
                send.call_off.call_off();
            }
        }
    }

    /// The messages that have a send in progress here.
    pub fn messages(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Vec<Send>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(sends) = all.get_mut(&self.message) {
            if let Some(place) = sends.iter().position(|send| send.attempt_no == self.attempt_no) {
                sends.swap_remove(place);
            }
            if sends.is_empty() {
                all.remove(&self.message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::domain::app_id::AppId;
    use crate::domain::attempt::{Attempt, Reason, State};
    use crate::domain::channel::Channel;
    use crate::domain::code_keys::CodeAtRest;
    use crate::domain::ids::Bucket;
    use crate::domain::phone::Phone;
    use crate::domain::route::{Route, Step};

    fn message(second: Reason) -> Message {
        let at = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let steps = vec![Step::new(Channel::Whatsapp, "wa"), Step::new(Channel::Sms, "sms")];
        Message {
            id: MessageId::new(at, Bucket::of(&Phone::parse("+628123450003").unwrap()), [1; 8]),
            app: AppId::stored("shop"),
            state: State::Accepted,
            outcome: Outcome::Pending,
            created_at: at,
            expires_at: at + TimeDelta::seconds(300),
            settled_at: None,
            delivery_inferred: false,
            wrong_tries: 0,
            max_tries: 5,
            verified_by: None,
            code: CodeAtRest { key_id: 1, hash: vec![0; 32], sealed: Some(vec![0; 30]) },
            code_given: false,
            is_test: false,
            route: Route::new(steps, 30, 300, "test").unwrap(),
            attempts: vec![
                Attempt::planned(1, 0, Channel::Whatsapp, "wa", Reason::First, at),
                Attempt::planned(2, 1, Channel::Sms, "sms", second, at),
            ],
        }
    }

    #[test]
    fn what_became_needless_is_called_off_and_nothing_else() {
        for (state, outcome, second, called_off) in [
            (State::Sent, Outcome::Pending, Reason::Silent, false),
            (State::Delivered, Outcome::Pending, Reason::Silent, true),
            (State::Delivered, Outcome::Pending, Reason::Requested, false),
            (State::Accepted, Outcome::Cancelled, Reason::Requested, true),
        ] {
            let under_way = UnderWay::default();
            let mut message = message(second);
            let held = under_way.begin(message.id, 2);
            (message.state, message.outcome) = (state, outcome);
            under_way.call_off_needless(&message);
            assert_eq!(held.call_off.is_called_off(), called_off, "{state} {outcome} {second}");
            assert_eq!(under_way.messages(), [message.id.uuid()]);
            drop(held);
            assert!(under_way.messages().is_empty());
        }
    }
}
