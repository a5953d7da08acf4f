//! A message: one one-time password for one recipient.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::attempt::{Attempt, Reason, SendState, State, Timer, Why};
use crate::domain::channel::Channel;
use crate::domain::code_keys::CodeAtRest;
use crate::domain::ids::MessageId;
use crate::domain::route::{MIN_LIFE_S, Route, StandIn};
use crate::domain::words::words;

/// How the message ended for the person, beside how far it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Pending,
    /// The right code came back. Stronger evidence than any receipt.
    Verified,
    Expired,
    /// Too many wrong codes.
    Exhausted,
    Cancelled,
    /// An outcome of a newer program: settled, and nothing is sent any more.
    Other,
}

words! {
    Outcome {
        Pending = "pending",
        Verified = "verified",
        Expired = "expired",
        Exhausted = "exhausted",
        Cancelled = "cancelled";
        else Other
    }
}

impl Outcome {
    /// Why nothing is sent any more; `None` while the message is pending.
    pub fn why(self) -> Option<Why> {
        match self {
            Self::Pending => None,
            Self::Verified => Some(Why::Verified),
            Self::Expired => Some(Why::Expired),
            Self::Exhausted => Some(Why::Exhausted),
            Self::Cancelled => Some(Why::Cancelled),
            Self::Other => Some(Why::Other),
        }
    }
}

/// A row of `messages` with its rows of `attempts`: all that the rules look at, and all that they change.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: MessageId,
    pub app: String,
    pub state: State,
    pub outcome: Outcome,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// When the outcome left `pending`.
    pub settled_at: Option<DateTime<Utc>>,
    /// Delivered because the right code came back, while no receipt said so.
    pub delivery_inferred: bool,
    pub wrong_tries: i16,
    pub max_tries: i16,
    pub code: CodeAtRest,
    /// The app chose the code, and so knew it: that it comes back proves no delivery to anybody.
    pub code_given: bool,
    pub route: Route,
    /// In the order of their numbers, without a gap; never empty.
    pub attempts: Vec<Attempt>,
}

impl Message {
    /// Only a live message has effects: old events update its history and nothing else.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.outcome == Outcome::Pending && now < self.expires_at
    }

    pub fn attempt(&self, attempt_no: i16) -> Option<&Attempt> {
        self.attempts.get(usize::try_from(attempt_no).ok()?.checked_sub(1)?)
    }

    pub(super) fn attempt_mut(&mut self, attempt_no: i16) -> Option<&mut Attempt> {
        self.attempts.get_mut(usize::try_from(attempt_no).ok()?.checked_sub(1)?)
    }

    pub fn last(&self) -> &Attempt {
        self.attempts.last().expect("a message has at least one attempt")
    }

    /// Plans the attempt on the next step, on `channel` when one is named, or says why not.
    pub(super) fn plan_next(
        &mut self,
        reason: Reason,
        channel: Option<Channel>,
        stand_in: StandIn,
        now: DateTime<Utc>,
    ) -> Result<(), Why> {
        if let Some(why) = self.outcome.why() {
            return Err(why);
        }
        if now >= self.expires_at {
            return Err(Why::Expired);
        }
        // A person who asks again does not have it, whatever a receipt said.
        if self.state == State::Delivered && reason != Reason::Requested {
            return Err(Why::Delivered);
        }
        if self.expires_at - now < TimeDelta::seconds(MIN_LIFE_S) {
            return Err(Why::TooLate);
        }
        let last = self.last();
        let Some((index, step)) = self.route.next_after(last.step, channel, stand_in) else {
            return Err(Why::RouteEnd);
        };
        let next = Attempt::planned(last.attempt_no + 1, index, step.channel, &step.account, reason, now);
        self.attempts.push(next);
        self.arm_in_queue();
        Ok(())
    }

    /// Gives the last attempt, just planned, a deadline where a step is behind it: an account without room must not keep a
    /// message from the next step. The first request moves the deadline.
    pub fn arm_in_queue(&mut self) {
        let (attempt_no, replace_after_s) = (self.last().attempt_no, self.route.replace_after_s);
        let has_step_behind = self.has_step_behind(attempt_no, StandIn::May);
        if let Some(attempt) = self.attempt_mut(attempt_no).filter(|_| has_step_behind) {
            attempt.arm(attempt.planned_at, replace_after_s);
        }
    }

    /// Whether a request for the attempt may leave, the first or a repeat: no receipt proved that one has left already,
    /// and the message is not delivered, unless the person asked for this attempt all the same.
    pub fn may_leave(&self, attempt_no: i16) -> bool {
        let is_wanted = |a: &Attempt| self.state != State::Delivered || a.reason == Reason::Requested;
        self.attempt(attempt_no).is_some_and(|a| a.state == State::Accepted && is_wanted(a))
    }

    /// Whether a step is left for when nobody answers ([`StandIn::MayNot`]), or for when the account cannot do it.
    pub(super) fn has_step_behind(&self, attempt_no: i16, stand_in: StandIn) -> bool {
        self.attempt(attempt_no).is_some_and(|a| self.route.next_after(a.step, None, stand_in).is_some())
    }

    /// Ends the message for the person: nothing is sent any more, no timer runs, the code cannot be read again.
    pub(super) fn settle(&mut self, outcome: Outcome, now: DateTime<Utc>) {
        self.outcome = outcome;
        self.settled_at = Some(now);
        self.code.sealed = None;
        if let Some(why) = outcome.why() {
            self.stop_sending(why, now, |_| true);
        }
    }

    /// Disarms every timer and withdraws what has not left, where `which` says so.
    pub(super) fn stop_sending(&mut self, why: Why, now: DateTime<Utc>, which: impl Fn(&Attempt) -> bool) {
        for attempt in &mut self.attempts {
            attempt.disarm(why, now);
            if which(attempt) {
                attempt.withdraw(why, now);
            }
        }
    }

    /// Raises the state to what the attempts prove: `delivered` if any attempt is, else `failed` when every attempt
    /// failed and none can follow, else `sent` if any attempt left.
    pub(super) fn raise_state(&mut self) {
        let any = |state: State| self.attempts.iter().any(|a| a.state == state);
        let none_follows = self.outcome != Outcome::Pending || self.last().not_replaced.is_some();
        let proved = if any(State::Delivered) {
            State::Delivered
        } else if none_follows && self.attempts.iter().all(|a| a.state == State::Failed) {
            State::Failed
        } else if self.attempts.iter().any(|a| a.state == State::Sent || a.sent.at.is_some()) {
            State::Sent
        } else {
            State::Accepted
        };
        self.state = self.state.max(proved);
    }

    /// What can never be, whatever happened. Empty when all is well; tests look at it after every step.
    pub fn broken_rules(&self) -> Vec<&'static str> {
        let mut broken = Vec::new();
        let mut rule = |holds: bool, name: &'static str| {
            if !holds {
                broken.push(name);
            }
        };
        rule(!self.attempts.is_empty(), "a message has an attempt");
        rule(self.attempts.len() <= self.route.steps().len(), "no more attempts than steps");
        rule(
            self.attempts.iter().enumerate().all(|(i, a)| usize::from(a.attempt_no.unsigned_abs()) == i + 1),
            "attempts are numbered from 1 without a gap",
        );
        rule(self.attempts.windows(2).all(|w| w[0].step < w[1].step), "each attempt takes a later step");
        rule((self.outcome == Outcome::Pending) == self.settled_at.is_none(), "settled means a time");
        rule((self.outcome == Outcome::Pending) == self.code.sealed.is_some(), "settled means erased");
        rule(self.wrong_tries <= self.max_tries, "no more wrong codes than allowed");
        for attempt in &self.attempts {
            let last = attempt.attempt_no == self.last().attempt_no;
            let armed = attempt.timer == Timer::Armed;
            rule(
                !armed || (last && self.outcome == Outcome::Pending),
                "only the last attempt of a pending message is armed",
            );
            rule(!armed || attempt.state < State::Failed, "a failed or delivered attempt is not armed");
            rule(!armed || attempt.replace_at.is_some(), "armed means a deadline");
            rule((attempt.send_state == SendState::InFlight) == attempt.lease.is_some(), "in flight means leased");
            rule(
                attempt.send_state != SendState::Planned || attempt.due_at.is_some(),
                "planned means due at some time",
            );
            rule(attempt.due_at.is_none() || self.outcome == Outcome::Pending, "nothing is due once settled");
            rule(
                attempt.due_at.is_none() || self.may_leave(attempt.attempt_no),
                "nothing is due that was delivered or has left already",
            );
            rule(
                attempt.send_state != SendState::Planned
                    || attempt.timer != Timer::None
                    || !self.has_step_behind(attempt.attempt_no, StandIn::May),
                "what waits to be sent has a deadline when a step is behind it",
            );
            rule(attempt.send_state != SendState::Rejected || attempt.state >= State::Failed, "rejected means failed");
            rule(attempt.state != State::Failed || attempt.failed.at.is_some(), "failed means a time");
        }
        broken
    }
}

/// For the tests of the rules that look at whole messages.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::ids::Bucket;
    use crate::domain::phone::Phone;
    use crate::domain::route::Step;

    /// A pending message that has come as far as these attempts.
    pub fn message_with(attempts: Vec<Attempt>) -> Message {
        let at = attempts[0].planned_at;
        let steps = attempts.iter().map(|a| Step::new(a.channel, a.account.as_str())).collect();
        let code = CodeAtRest { key_id: 1, hash: vec![0; 32], sealed: Some(vec![0; 30]) };
        let mut message = Message {
            id: MessageId::new(at, Bucket::of(&Phone::parse("+628123450003").unwrap()), [1; 8]),
            app: "shop".into(),
            state: State::Accepted,
            outcome: Outcome::Pending,
            created_at: at,
            expires_at: at + TimeDelta::seconds(300),
            settled_at: None,
            delivery_inferred: false,
            wrong_tries: 0,
            max_tries: 5,
            code,
            code_given: false,
            route: Route::new(steps, 30, 300, "test").unwrap(),
            attempts,
        };
        message.raise_state();
        message
    }
}
