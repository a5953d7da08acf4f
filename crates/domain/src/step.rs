//! The rule of the state machine: how an event changes a message.
//!
//! Total: every event has a result in every state. Pure: the same message, event and time give the same result. The
//! store loads a message under its row lock, calls this function and writes back the changes; nothing else changes a
//! message.

mod replacing;
mod sending;

use chrono::{DateTime, TimeDelta, Utc};

use self::replacing::{replace, replace_failed};
pub use self::sending::{MAX_TRIES, MAX_TRIES_ON_LAST_STEP, MAX_UNKNOWNS};
use self::sending::{finish_send, give_up, take_lease};
use crate::attempt::{Attempt, Reason, SendState, State, Timer, Why};
use crate::channel::Channel;
use crate::code::Code;
use crate::code_keys::CodeKeys;
use crate::event::{Checked, Effect, Event, Refusal, SendResult, Verdict};
use crate::message::{Message, Outcome};
use crate::receipt::{DeliveryReceipt, Disposition, ErrorClass, Failure, Status};
use crate::route::StandIn;

/// How long the caller of a right code gets the same answer to the same check.
pub const REPEATED_FOR: TimeDelta = TimeDelta::seconds(10);

/// Applies `event` to `message`. `now` is the database's time; `keys` are used for checks only.
pub fn step(message: &mut Message, event: &Event, keys: &CodeKeys, now: DateTime<Utc>) -> Effect {
    let effect = match event {
        Event::Lease { attempt_no, lease, price } => take_lease(message, *attempt_no, *lease, price.as_ref(), now),
        Event::Send { attempt_no, token, result } => {
            let holds = |a: &Attempt| a.lease.is_some_and(|l| l.token == *token);
            let is_current = message.attempt(*attempt_no).is_some_and(holds);
            let effect = finish_send(message, *attempt_no, is_current, result, now);
            if let SendResult::Accepted { nobody_tells: true, .. } = result {
                count_delivered(message, *attempt_no, now);
            }
            effect
        }
        Event::LeaseRanOut { attempt_no, on_unknown } => {
            let ran_out = message.attempt(*attempt_no).is_some_and(|a| a.lease.is_some_and(|l| l.until <= now));
            let failure = Failure::new("lease_ran_out", ErrorClass::Retryable);
            finish_send(message, *attempt_no, ran_out, &SendResult::Unknown { failure, on_unknown: *on_unknown }, now)
        }
        Event::AccountGone { attempt_no } => give_up(message, *attempt_no, "account_unknown", now),
        Event::KeyGone { attempt_no } => give_up(message, *attempt_no, "code_key_missing", now),
        Event::Receipt { attempt_no, receipt } => take_receipt(message, *attempt_no, receipt, now),
        Event::DeadlinePassed { attempt_no } => pass_deadline(message, *attempt_no, now),
        Event::Check { code, caller } => check(message, code, caller.as_deref(), keys, now),
        Event::Resend { channel } => message.resend(*channel, now),
        Event::Cancel => cancel(message, now),
        Event::Supersede => supersede(message, now),
        Event::LifeEnded => end_life(message, now),
    };
    message.raise_state();
    effect
}

fn take_receipt(message: &mut Message, attempt_no: i16, receipt: &DeliveryReceipt, now: DateTime<Utc>) -> Effect {
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Receipt(Disposition::Unmatched) };
    let status = receipt.status;
    let before = attempt.state;
    let known = attempt.first_seen(status).at.is_some() && (status != Status::Failed || before >= State::Failed);
    let disposition = match (status.state(), before) {
        _ if known => Disposition::Duplicate,
        (State::Failed, State::Delivered) | (State::Delivered, State::Failed) => Disposition::Contradictory,
        (new, old) if new > old => Disposition::Applied,
        _ if status == Status::Read => Disposition::Applied,
        _ => Disposition::Stale,
    };
    if let (Status::Failed, Some(failure)) = (status, &receipt.failure) {
        attempt.fail(now, receipt.provider_at, failure);
    } else {
        attempt.first_seen(status).note(now, receipt.provider_at);
        attempt.state = attempt.state.max(status.state());
    }
    attempt.note_name(&receipt.provider_message_id);
    // A receipt proves that it was sent. While it is in flight, the answer is still to come and settles it.
    if matches!(attempt.send_state, SendState::Planned | SendState::Unknown) {
        attempt.note_taken(now);
    }
    let after = attempt.state;
    if after == State::Delivered && before != State::Delivered {
        note_delivery(message, attempt_no, now);
    } else if after == State::Failed && before != State::Failed {
        replace_failed(message, attempt_no, receipt.failure.as_ref(), now);
    }
    Effect::Receipt(disposition)
}

/// A delivery ends the wait of the whole message, and shows which replacements were unnecessary.
fn note_delivery(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) {
    // A receipt replaces an inference; after a right code it changes nothing.
    message.delivery_inferred &= message.outcome != Outcome::Pending;
    message.stop_sending(Why::Delivered, now, |a| a.reason != Reason::Requested);
    for later in message.attempts.iter_mut().filter(|a| a.attempt_no > attempt_no) {
        later.wasted |= matches!(later.reason, Reason::Failed | Reason::Silent) && later.may_have_left();
    }
}

/// A provider that never reports deliveries cannot be judged silent. An accepted attempt then counts as delivered by
/// inference, and no deadline replaces it. The attempt's own state stays at what is known.
fn count_delivered(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) {
    let is_pending = message.outcome == Outcome::Pending;
    let Some(attempt) = message.attempt_mut(attempt_no) else { return };
    if attempt.send_state != SendState::Accepted || attempt.state >= State::Failed {
        return;
    }
    attempt.disarm(Why::NobodyTells, now);
    if is_pending && message.state != State::Delivered {
        message.state = State::Delivered;
        message.delivery_inferred = true;
        message.stop_sending(Why::Delivered, now, |a| a.reason != Reason::Requested);
    }
}

fn pass_deadline(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) -> Effect {
    let passed = |a: &Attempt| a.timer == Timer::Armed && a.replace_at.is_some_and(|at| at <= now);
    let Some(attempt) = message.attempt(attempt_no).filter(|a| passed(a)) else { return Effect::Ignored };
    // An attempt that was never sent shows nothing about the person: its account has no capacity, so a standby may take
    // over.
    let still_queued = attempt.send_state == SendState::Planned;
    let stand_in = if still_queued { StandIn::May } else { StandIn::MayNot };
    let replaced = replace(message, attempt_no, Reason::Silent, stand_in, now);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    attempt.timer = if replaced { Timer::Fired } else { Timer::Disarmed };
    attempt.timer_ended_at = Some(now);
    attempt.timer_end = attempt.not_replaced;
    if replaced {
        // Still waiting to be sent or sent again: it is withdrawn.
        attempt.withdraw(Why::Replaced, now);
        Effect::Planned { attempt_no: attempt_no + 1 }
    } else {
        Effect::Done
    }
}

fn check(message: &mut Message, code: &Code, caller: Option<&str>, keys: &CodeKeys, now: DateTime<Utc>) -> Effect {
    if message.outcome == Outcome::Pending && now >= message.expires_at {
        message.settle_by_time(now);
    }
    let verdict = match message.outcome {
        Outcome::Verified if is_repeat(message, code, caller, keys, now) => Verdict::RightAgain,
        Outcome::Verified => Verdict::AlreadyUsed,
        Outcome::Expired | Outcome::Failed => Verdict::Expired,
        Outcome::Exhausted => Verdict::Exhausted,
        // Only a newer version knows this outcome: the person sees a cancelled message.
        Outcome::Cancelled | Outcome::Other => Verdict::Cancelled,
        Outcome::Superseded => Verdict::Superseded,
        Outcome::Pending if !keys.have(message.code.key_id) => return Effect::KeyMissing,
        Outcome::Pending if keys.is_right(&message.code, &message.app, message.id, code) => {
            message.delivery_inferred = !message.attempts.iter().any(|a| a.state == State::Delivered);
            message.state = State::Delivered;
            message.verified_by =
                caller.and_then(|name| keys.caller(message.code.key_id, &message.app, message.id, name));
            message.settle(Outcome::Verified, now);
            Verdict::Right
        }
        Outcome::Pending => {
            message.wrong_tries += 1;
            if message.wrong_tries >= message.max_tries {
                message.settle(Outcome::Exhausted, now);
            }
            Verdict::Wrong
        }
    };
    let tries_left = match message.outcome {
        Outcome::Pending => message.max_tries - message.wrong_tries,
        _ => 0,
    };
    Effect::Checked(Checked { verdict, outcome: message.outcome, tries_left })
}

/// Whether the caller whose check was right repeats it, because the answer was lost: the same name and code, at most
/// [`REPEATED_FOR`] later.
fn is_repeat(message: &Message, code: &Code, caller: Option<&str>, keys: &CodeKeys, now: DateTime<Utc>) -> bool {
    let caller = caller.and_then(|name| keys.caller(message.code.key_id, &message.app, message.id, name));
    let is_recent = message.settled_at.is_some_and(|at| now < at + REPEATED_FOR);
    is_recent
        && caller.is_some()
        && caller == message.verified_by
        && keys.is_right(&message.code, &message.app, message.id, code)
}

impl Message {
    /// Plans the next attempt because the person asked.
    pub fn resend(&mut self, channel: Option<Channel>, now: DateTime<Utc>) -> Effect {
        if self.outcome != Outcome::Pending {
            return Effect::Refused(Refusal::Settled(self.outcome));
        }
        let last = self.last().attempt_no;
        if self.last().send_state == SendState::Planned {
            return Effect::Refused(Refusal::StillSending);
        }
        // A standby only when nothing else is left: a person who asks again wants another channel.
        let planned = self.plan_next(Reason::Requested, channel, StandIn::MayNot, now);
        let planned = planned.or_else(|_| self.plan_next(Reason::Requested, channel, StandIn::May, now));
        let planned = planned.or_else(|_| self.plan_again(channel, now));
        if let Err(why) = planned {
            return Effect::Refused(Refusal::NotPlanned(why));
        }
        if let Some(attempt) = self.attempt_mut(last) {
            attempt.disarm(Why::Requested, now);
            attempt.withdraw(Why::Requested, now);
            attempt.not_replaced = None;
        }
        Effect::Planned { attempt_no: last + 1 }
    }
}

fn cancel(message: &mut Message, now: DateTime<Utc>) -> Effect {
    match message.outcome {
        Outcome::Pending if now >= message.expires_at => {
            message.settle_by_time(now);
            Effect::Refused(Refusal::Settled(message.outcome))
        }
        Outcome::Pending => {
            message.settle(Outcome::Cancelled, now);
            Effect::Done
        }
        Outcome::Cancelled => Effect::Ignored,
        settled => Effect::Refused(Refusal::Settled(settled)),
    }
}

/// A message whose life is over ended before the newer one came.
fn supersede(message: &mut Message, now: DateTime<Utc>) -> Effect {
    if message.outcome != Outcome::Pending {
        return Effect::Ignored;
    }
    if now >= message.expires_at {
        message.settle_by_time(now);
    } else {
        message.settle(Outcome::Superseded, now);
    }
    Effect::Done
}

fn end_life(message: &mut Message, now: DateTime<Utc>) -> Effect {
    if message.outcome != Outcome::Pending || now < message.expires_at {
        return Effect::Ignored;
    }
    message.settle_by_time(now);
    Effect::Done
}

#[cfg(test)]
mod tests;
