//! A message: one one-time password for one recipient.

use chrono::{DateTime, TimeDelta, Utc};

use crate::app_id::AppId;
use crate::attempt::{Attempt, Reason, SendState, State, Timer, Why};
use crate::channel::Channel;
use crate::code_keys::Caller;
use crate::code_keys::CodeAtRest;
use crate::ids::MessageId;
use crate::route::{MIN_LIFE_S, Route, StandIn};
use crate::words;

/// Maximum number of attempts per message that may repeat a step, after the person asked and the route was used up.
pub const MAX_REPEATS: usize = 1;

/// How the message ended for the person; separate from its delivery state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Pending,
    /// The right code was checked. This is stronger evidence than any receipt.
    Verified,
    Expired,
    /// Too many wrong codes.
    Exhausted,
    Cancelled,
    /// A newer message of the same number, app and purpose took its place.
    Superseded,
    /// Every step failed. Stored when the message's life ends: until then a late delivery, the right code or a resend
    /// may still change it, and [`Message::outcome_now`] reports it.
    Failed,
    /// An outcome that only a newer version knows: settled, and nothing is sent any more.
    Other,
}

words! {
    Outcome {
        Pending = "pending",
        Verified = "verified",
        Expired = "expired",
        Exhausted = "exhausted",
        Cancelled = "cancelled",
        Superseded = "superseded",
        Failed = "failed";
        else Other
    }
}

impl Outcome {
    /// Why nothing is sent any more; `None` while the message is pending.
    pub fn why(self) -> Option<Why> {
        match self {
            Self::Pending => None,
            Self::Verified => Some(Why::Verified),
            Self::Expired | Self::Failed => Some(Why::Expired),
            Self::Exhausted => Some(Why::Exhausted),
            Self::Cancelled => Some(Why::Cancelled),
            Self::Superseded => Some(Why::Superseded),
            Self::Other => Some(Why::Other),
        }
    }
}

/// A row of `messages` with its rows of `attempts`: everything that the rules read and change.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub id: MessageId,
    pub app: AppId,
    pub state: State,
    pub outcome: Outcome,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// When the outcome left `pending`.
    pub settled_at: Option<DateTime<Utc>>,
    /// Counted as delivered without a receipt that says so: the right code was checked, or a provider that never
    /// reports deliveries accepted it.
    pub delivery_inferred: bool,
    pub wrong_tries: i16,
    pub max_tries: i16,
    /// Who entered the right code, if the check named its caller: a repeat of that check gets the same answer.
    pub verified_by: Option<Caller>,
    pub code: CodeAtRest,
    /// The app chose the code and so knew it: a right code then proves no delivery.
    pub code_given: bool,
    /// To a test number: nothing leaves, and it counts nowhere.
    pub is_test: bool,
    pub route: Route,
    /// In the order of their numbers, without a gap; never empty.
    pub attempts: Vec<Attempt>,
}

impl Message {
    /// Only a live message has effects; an event on an older one is only recorded in the history.
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

    /// The outcome that apps see. It is `failed` also while the message lives, if every step failed and nothing is
    /// under way.
    pub fn outcome_now(&self) -> Outcome {
        if self.outcome == Outcome::Pending && self.is_failed() { Outcome::Failed } else { self.outcome }
    }

    /// Whether every attempt failed and none can follow.
    fn is_failed(&self) -> bool {
        let none_follows = self.outcome != Outcome::Pending || self.last().not_replaced.is_some();
        none_follows && self.attempts.iter().all(|a| a.state == State::Failed)
    }

    /// Whether another attempt is allowed and useful.
    fn may_plan(&self, reason: Reason, now: DateTime<Utc>) -> Result<(), Why> {
        if let Some(why) = self.outcome.why() {
            return Err(why);
        }
        if now >= self.expires_at {
            return Err(Why::Expired);
        }
        // A person who asks again does not have the code, whatever a receipt said.
        if self.state == State::Delivered && reason != Reason::Requested {
            return Err(Why::Delivered);
        }
        if self.expires_at - now < TimeDelta::seconds(MIN_LIFE_S) {
            return Err(Why::TooLate);
        }
        Ok(())
    }

    /// Plans the attempt on the next step, on `channel` if one is named, or returns why not.
    pub(super) fn plan_next(
        &mut self,
        reason: Reason,
        channel: Option<Channel>,
        stand_in: StandIn,
        now: DateTime<Utc>,
    ) -> Result<(), Why> {
        self.may_plan(reason, now)?;
        let next = self.route.next_after(self.furthest_step(self.last().attempt_no), channel, stand_in);
        let (index, step) = next.ok_or(Why::RouteEnd)?;
        let next = Attempt::planned(self.last().attempt_no + 1, index, step.channel, &step.account, reason, now);
        self.attempts.push(next);
        self.arm_in_queue();
        Ok(())
    }

    /// Plans an attempt on a step that was taken before, because the person asks again and the route is used up: on
    /// `channel`, or by SMS if none is named. At most [`MAX_REPEATS`] attempts of a message repeat a step.
    pub(super) fn plan_again(&mut self, channel: Option<Channel>, now: DateTime<Utc>) -> Result<(), Why> {
        self.may_plan(Reason::Requested, now)?;
        if self.has_way_on(self.last().attempt_no) || self.repeats() >= MAX_REPEATS {
            return Err(Why::RouteEnd);
        }
        let (index, step) = self.route.last_on(channel.unwrap_or(Channel::Sms)).ok_or(Why::RouteEnd)?;
        let no = self.last().attempt_no + 1;
        self.attempts.push(Attempt::planned(no, index, step.channel, &step.account, Reason::Requested, now));
        Ok(())
    }

    /// Attempts on a step that an earlier attempt had taken or passed.
    fn repeats(&self) -> usize {
        self.attempts.windows(2).filter(|pair| pair[1].step <= self.furthest_step(pair[0].attempt_no)).count()
    }

    /// The furthest step of the route that the attempts up to this one reached; a repeated step goes back.
    fn furthest_step(&self, attempt_no: i16) -> i16 {
        self.attempts.iter().take_while(|a| a.attempt_no <= attempt_no).map(|a| a.step).max().unwrap_or(0)
    }

    /// Gives the last attempt, just planned, a deadline if a further step exists: an account without capacity must not
    /// keep a message from the next step. The first request moves the deadline.
    pub fn arm_in_queue(&mut self) {
        let (attempt_no, replace_after_s) = (self.last().attempt_no, self.route.replace_after_s);
        let has_step_behind = self.has_step_behind(attempt_no, StandIn::May);
        if let Some(attempt) = self.attempt_mut(attempt_no).filter(|_| has_step_behind) {
            attempt.arm(attempt.planned_at, replace_after_s);
        }
    }

    /// Whether a request for the attempt, the first or a repeat, may be sent: no receipt proved that an earlier one was
    /// sent, and the message is not delivered, unless the person asked for this attempt.
    pub fn may_leave(&self, attempt_no: i16) -> bool {
        let is_wanted = |a: &Attempt| self.state != State::Delivered || a.reason == Reason::Requested;
        self.attempt(attempt_no).is_some_and(|a| a.state == State::Accepted && is_wanted(a))
    }

    /// Whether a further step is left, for a person's silence ([`StandIn::MayNot`]) or for a fault of the account.
    pub(super) fn has_step_behind(&self, attempt_no: i16, stand_in: StandIn) -> bool {
        self.attempt(attempt_no).is_some()
            && self.route.next_after(self.furthest_step(attempt_no), None, stand_in).is_some()
    }

    /// Whether a step is left, standbys included, if this attempt's account refuses.
    pub fn has_way_on(&self, attempt_no: i16) -> bool {
        self.has_step_behind(attempt_no, StandIn::May)
    }

    /// Ends the message because its life is over.
    pub(super) fn settle_by_time(&mut self, now: DateTime<Utc>) {
        let outcome = if self.outcome_now() == Outcome::Failed { Outcome::Failed } else { Outcome::Expired };
        self.settle(outcome, now);
    }

    /// Ends the message for the person: nothing is sent any more, no timer runs, and the sealed code is erased.
    pub(super) fn settle(&mut self, outcome: Outcome, now: DateTime<Utc>) {
        self.outcome = outcome;
        self.settled_at = Some(now);
        self.code.sealed = None;
        if let Some(why) = outcome.why() {
            self.stop_sending(why, now, |_| true);
        }
    }

    /// Disarms the timer and withdraws the unsent request of each attempt that `which` selects.
    pub(super) fn stop_sending(&mut self, why: Why, now: DateTime<Utc>, which: impl Fn(&Attempt) -> bool) {
        for attempt in &mut self.attempts {
            attempt.disarm(why, now);
            if which(attempt) {
                attempt.withdraw(why, now);
            }
        }
    }

    /// Raises the state to what the attempts prove: `delivered` if any attempt is, else `failed` if every attempt
    /// failed and none can follow, else `sent` if any attempt was sent.
    pub(super) fn raise_state(&mut self) {
        let any = |state: State| self.attempts.iter().any(|a| a.state == state);
        let proved = if any(State::Delivered) {
            State::Delivered
        } else if self.is_failed() {
            State::Failed
        } else if self.attempts.iter().any(|a| a.state == State::Sent || a.sent.at.is_some()) {
            State::Sent
        } else {
            State::Accepted
        };
        self.state = self.state.max(proved);
    }

    /// Violated invariants; empty when the message is consistent. Tests check it after every step.
    pub fn broken_rules(&self) -> Vec<&'static str> {
        let mut broken = Vec::new();
        let mut rule = |holds: bool, name: &'static str| {
            if !holds {
                broken.push(name);
            }
        };
        rule(!self.attempts.is_empty(), "a message has at least one attempt");
        rule(self.attempts.len() <= self.route.steps().len() + MAX_REPEATS, "no more attempts than steps and repeats");
        rule(
            self.attempts.iter().enumerate().all(|(i, a)| usize::from(a.attempt_no.unsigned_abs()) == i + 1),
            "attempts are numbered from 1 without a gap",
        );
        rule(
            self.attempts.windows(2).all(|w| w[0].step < w[1].step || w[1].reason == Reason::Requested),
            "each attempt takes a later step, unless the person asked",
        );
        rule(self.repeats() <= MAX_REPEATS, "no more repeats than allowed");
        rule((self.outcome == Outcome::Pending) == self.settled_at.is_none(), "a settled message has settled_at");
        rule(
            (self.outcome == Outcome::Pending) == self.code.sealed.is_some(),
            "the sealed code of a settled message is erased",
        );
        rule(self.wrong_tries <= self.max_tries, "no more wrong codes than allowed");
        for attempt in &self.attempts {
            let last = attempt.attempt_no == self.last().attempt_no;
            let armed = attempt.timer == Timer::Armed;
            rule(
                !armed || (last && self.outcome == Outcome::Pending),
                "only the last attempt of a pending message is armed",
            );
            rule(!armed || attempt.state < State::Failed, "a failed or delivered attempt is not armed");
            rule(!armed || attempt.replace_at.is_some(), "an armed attempt has a deadline");
            rule(
                (attempt.send_state == SendState::InFlight) == attempt.lease.is_some(),
                "an attempt has a lease exactly while in flight",
            );
            rule(
                attempt.send_state != SendState::Planned || attempt.due_at.is_some(),
                "a planned attempt has a due time",
            );
            rule(
                attempt.due_at.is_none() || self.outcome == Outcome::Pending,
                "nothing is due once the message is settled",
            );
            rule(
                attempt.due_at.is_none() || self.may_leave(attempt.attempt_no),
                "nothing is due that was delivered or already sent",
            );
            rule(
                attempt.send_state != SendState::Planned
                    || attempt.timer != Timer::None
                    || !self.has_step_behind(attempt.attempt_no, StandIn::May),
                "an attempt that waits to be sent has a deadline if a further step exists",
            );
            rule(
                attempt.send_state != SendState::Rejected || attempt.state >= State::Failed,
                "a rejected attempt is failed",
            );
            rule(attempt.state != State::Failed || attempt.failed.at.is_some(), "a failed attempt has a failure time");
        }
        broken
    }
}

/// For tests of rules that need whole messages.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::Bucket;
    use crate::phone::Phone;
    use crate::route::Step;

    /// A pending message with these attempts.
    pub(crate) fn message_with(attempts: Vec<Attempt>) -> Message {
        let at = attempts[0].planned_at;
        let steps = attempts.iter().map(|a| Step::new(a.channel, a.account.as_str())).collect();
        let code = CodeAtRest { key_id: 1, hash: vec![0; 32], sealed: Some(vec![0; 30]) };
        let mut message = Message {
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
            code,
            code_given: false,
            is_test: false,
            route: Route::new(steps, 30, 300, "test").unwrap(),
            attempts,
        };
        message.raise_state();
        message
    }
}
