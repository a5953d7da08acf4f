//! The one rule of the state machine: what an event makes of a message.
//!
//! Total: every event has an answer in every state. Pure: the same message, event and time give the same result. The
//! store brings a message here under its row lock and writes back what changed; nothing else changes a message.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::attempt::{Attempt, Lease, Reason, SendState, State, Timer, Why};
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::code_keys::CodeKeys;
use crate::domain::event::{Checked, Effect, Event, OnUnknown, Refusal, SendResult, Verdict};
use crate::domain::message::{Message, Outcome};
use crate::domain::price::Price;
use crate::domain::receipt::{DeliveryReceipt, Disposition, ErrorClass, Failure, Status};
use crate::domain::route::{MIN_LIFE_S, StandIn};

/// How often an attempt with a step behind it is tried when the provider certainly did not take it.
pub const MAX_TRIES: i16 = 3;

/// How often the last step of a route is tried; the message's life usually ends it earlier.
pub const MAX_TRIES_ON_LAST_STEP: i16 = 60;

/// Requests that may end `unknown` before an attempt is left alone: one, and one resend.
pub const MAX_UNKNOWNS: i16 = 2;

/// Applies `event` to `message`. `now` is the database's time; `keys` are needed for checks only.
pub fn step(message: &mut Message, event: &Event, keys: &CodeKeys, now: DateTime<Utc>) -> Effect {
    let effect = match event {
        Event::Lease { attempt_no, lease, price } => take_lease(message, *attempt_no, *lease, price.as_ref(), now),
        Event::Send { attempt_no, token, result } => {
            let holds = |a: &Attempt| a.lease.is_some_and(|l| l.token == *token);
            let is_current = message.attempt(*attempt_no).is_some_and(holds);
            finish_send(message, *attempt_no, is_current, result, now)
        }
        Event::LeaseRanOut { attempt_no, on_unknown } => {
            let ran_out = message.attempt(*attempt_no).is_some_and(|a| a.lease.is_some_and(|l| l.until <= now));
            let failure = Failure::new("lease_ran_out", ErrorClass::Retryable);
            finish_send(message, *attempt_no, ran_out, &SendResult::Unknown { failure, on_unknown: *on_unknown }, now)
        }
        Event::AccountGone { attempt_no } => give_up_orphan(message, *attempt_no, now),
        Event::Receipt { attempt_no, receipt } => take_receipt(message, *attempt_no, receipt, now),
        Event::DeadlinePassed { attempt_no } => pass_deadline(message, *attempt_no, now),
        Event::Check { code } => check(message, code, keys, now),
        Event::Resend { channel } => resend(message, *channel, now),
        Event::Cancel => cancel(message, now),
        Event::LifeEnded => end_life(message, now),
    };
    message.raise_state();
    effect
}

/// planned -> in_flight. The deadline runs anew from the first request on, so that neither a crash nor a lost answer can
/// lose it; the provider's acceptance moves it once more.
fn take_lease(
    message: &mut Message,
    attempt_no: i16,
    lease: Lease,
    price: Option<&Price>,
    now: DateTime<Utc>,
) -> Effect {
    let live = message.is_live(now);
    let is_waited_for = message.has_step_behind(attempt_no, StandIn::MayNot);
    let replace_after_s = message.route.replace_after_s;
    let agreed = message.attempt(attempt_no).and_then(|a| message.route.step(a.step)?.price.clone());
    let is_last = message.last().attempt_no == attempt_no;
    let may_leave = message.may_leave(attempt_no);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    let sendable = matches!(attempt.send_state, SendState::Planned | SendState::Unknown);
    if !live || !sendable || attempt.due_at.is_none_or(|due| due > now) {
        return Effect::Ignored;
    }
    if !may_leave {
        // No event leaves such a row behind. Should there be one, it must not be found again and again.
        attempt.withdraw(Why::Delivered, now);
        return Effect::Done;
    }
    attempt.send_state = SendState::InFlight;
    attempt.due_at = None;
    attempt.lease = Some(lease);
    attempt.tries += 1;
    attempt.in_flight_at.get_or_insert(now);
    attempt.price = agreed.or_else(|| price.cloned());
    if is_last && matches!(attempt.timer, Timer::None | Timer::Armed) {
        let is_first = attempt.tries == 1 && attempt.unknowns == 0;
        if !is_waited_for {
            // Only a standby is behind it, and a standby does not stand in for a person's silence.
            attempt.unarm();
        } else if is_first || attempt.timer == Timer::None {
            attempt.arm(now, replace_after_s);
        }
    }
    Effect::Leased
}

fn finish_send(
    message: &mut Message,
    attempt_no: i16,
    is_current: bool,
    result: &SendResult,
    now: DateTime<Utc>,
) -> Effect {
    let replace_after_s = message.route.replace_after_s;
    let live = message.is_live(now);
    let expires_at = message.expires_at;
    let has_step_behind = message.has_step_behind(attempt_no, StandIn::May);
    let is_last = message.last().attempt_no == attempt_no;
    let may_leave = message.may_leave(attempt_no);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    if !is_current {
        // An answer that outlived its lease still tells the truth about what the provider took.
        if let SendResult::Accepted { provider_message_id, .. } = result
            && attempt.may_have_left()
        {
            attempt.provider_message_id.get_or_insert_with(|| provider_message_id.clone());
            if attempt.send_state == SendState::Unknown {
                attempt.send_state = SendState::Accepted;
                attempt.accepted_at.get_or_insert(now);
                attempt.due_at = None;
            }
            return Effect::Done;
        }
        return Effect::Ignored;
    }
    attempt.lease = None;
    match result {
        SendResult::Accepted { provider_message_id, held } => {
            attempt.send_state = SendState::Accepted;
            attempt.provider_message_id.get_or_insert_with(|| provider_message_id.clone());
            attempt.held = *held;
            if attempt.accepted_at.is_none() {
                attempt.accepted_at = Some(now);
                if attempt.timer == Timer::Armed && attempt.unknowns == 0 {
                    attempt.arm(now, replace_after_s);
                }
            }
        }
        SendResult::Unknown { failure, on_unknown } => {
            attempt.unknowns += 1;
            if attempt.state != State::Accepted {
                attempt.note_taken(now);
                return Effect::Done;
            }
            attempt.send_state = SendState::Unknown;
            attempt.error_code = Some(failure.code.clone());
            attempt.error_class = Some(failure.class);
            let OnUnknown::ResendAfter(wait) = on_unknown else { return Effect::Done };
            let in_time = now + *wait + TimeDelta::seconds(MIN_LIFE_S) <= expires_at;
            if live && is_last && may_leave && in_time && attempt.unknowns < MAX_UNKNOWNS {
                attempt.due_at = Some(now + *wait);
            }
        }
        SendResult::BreakerOpen { closed_in } => {
            attempt.tries -= 1;
            if attempt.state != State::Accepted {
                attempt.note_taken(now);
                return Effect::Done;
            }
            let later = Some(now + *closed_in).filter(|&at| !has_step_behind && live && may_leave && at < expires_at);
            if attempt.unknowns > 0 {
                attempt.send_state = SendState::Unknown;
                attempt.due_at = later;
            } else if later.is_some() {
                attempt.send_state = SendState::Planned;
                attempt.due_at = later;
            } else {
                attempt.send_state = SendState::Rejected;
                attempt.fail(now, None, &breaker_open());
                replace_failed(message, attempt_no, Some(&breaker_open()), now);
            }
        }
        SendResult::Rejected { failure, pause } => {
            // A receipt came first: what the answer calls too early or too much did leave, and must not leave again.
            if attempt.state != State::Accepted && pause.is_some() {
                attempt.note_taken(now);
                return Effect::Done;
            }
            // An earlier request of this attempt may have left: "certainly not sent" holds for this one only.
            if attempt.unknowns > 0 {
                attempt.send_state = SendState::Unknown;
                return Effect::Done;
            }
            let again_at = pause.map(|pause| now + pause);
            let (max_tries, end) = match attempt.replace_at {
                Some(deadline) if has_step_behind => (MAX_TRIES, deadline.min(expires_at)),
                // Only a standby is behind it.
                None if has_step_behind => (MAX_TRIES, expires_at),
                _ => (MAX_TRIES_ON_LAST_STEP, expires_at),
            };
            let again_at = again_at.filter(|&at| live && is_last && may_leave && attempt.tries < max_tries && at < end);
            if let Some(at) = again_at {
                attempt.send_state = SendState::Planned;
                attempt.due_at = Some(at);
                if has_step_behind && attempt.timer == Timer::None {
                    attempt.arm(at, replace_after_s);
                }
            } else {
                attempt.send_state = SendState::Rejected;
                attempt.fail(now, None, failure);
                replace_failed(message, attempt_no, Some(failure), now);
            }
        }
    }
    Effect::Done
}

fn breaker_open() -> Failure {
    Failure::new("breaker_open", ErrorClass::Retryable)
}

/// An account without settings refuses everything: like a rejection that no pause mends.
fn give_up_orphan(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) -> Effect {
    let live = message.is_live(now);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    let sendable = matches!(attempt.send_state, SendState::Planned | SendState::Unknown);
    if !live || !sendable || attempt.due_at.is_none_or(|due| due > now) {
        return Effect::Ignored;
    }
    attempt.due_at = None;
    // Of what may have left, only the resend is given up.
    if attempt.unknowns == 0 {
        let failure = Failure::new("account_unknown", ErrorClass::ConfigError);
        attempt.send_state = SendState::Rejected;
        attempt.fail(now, None, &failure);
        replace_failed(message, attempt_no, Some(&failure), now);
    }
    Effect::Done
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
    if attempt.provider_message_id.is_none() && !receipt.provider_message_id.is_empty() {
        attempt.provider_message_id = Some(receipt.provider_message_id.clone());
    }
    // A receipt proves that it left. In flight, the answer is still to come and settles it.
    if matches!(attempt.send_state, SendState::Planned | SendState::Unknown) {
        attempt.send_state = SendState::Accepted;
        attempt.accepted_at.get_or_insert(now);
        attempt.due_at = None;
    }
    let after = attempt.state;
    if after == State::Delivered && before != State::Delivered {
        note_delivery(message, attempt_no, now);
    } else if after == State::Failed && before != State::Failed {
        replace_failed(message, attempt_no, receipt.failure.as_ref(), now);
    }
    Effect::Receipt(disposition)
}

/// A delivery ends the wait of the whole message, and shows which replacements were for nothing.
fn note_delivery(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) {
    message.stop_sending(Why::Delivered, now, |a| a.reason != Reason::Requested);
    for later in message.attempts.iter_mut().filter(|a| a.attempt_no > attempt_no) {
        later.wasted |= matches!(later.reason, Reason::Failed | Reason::Silent) && later.may_have_left();
    }
}

/// A failure issues the next attempt at once, when this one is the last and there is a reason to.
fn replace_failed(message: &mut Message, attempt_no: i16, failure: Option<&Failure>, now: DateTime<Utc>) {
    let stand_in = match failure.map(|f| f.class) {
        Some(ErrorClass::Retryable | ErrorClass::RateLimited | ErrorClass::ConfigError) => StandIn::May,
        Some(ErrorClass::RecipientUnreachable | ErrorClass::Expired | ErrorClass::Other) | None => StandIn::MayNot,
    };
    replace(message, attempt_no, Reason::Failed, failure, stand_in, now);
    if let Some(attempt) = message.attempt_mut(attempt_no) {
        attempt.disarm(Why::Failed, now);
    }
}

/// Exactly one replacement per attempt: only the last attempt of a message can have one issued.
fn replace(
    message: &mut Message,
    attempt_no: i16,
    reason: Reason,
    failure: Option<&Failure>,
    stand_in: StandIn,
    now: DateTime<Utc>,
) -> bool {
    if message.last().attempt_no != attempt_no {
        return false;
    }
    let number_is_bad = failure.is_some_and(|f| f.number_is_bad);
    let planned = if number_is_bad { Err(Why::NumberIsBad) } else { message.plan_next(reason, None, stand_in, now) };
    let Some(attempt) = message.attempt_mut(attempt_no) else { return false };
    attempt.not_replaced = planned.err();
    planned.is_ok()
}

fn pass_deadline(message: &mut Message, attempt_no: i16, now: DateTime<Utc>) -> Effect {
    let passed = |a: &Attempt| a.timer == Timer::Armed && a.replace_at.is_some_and(|at| at <= now);
    let Some(attempt) = message.attempt(attempt_no).filter(|a| passed(a)) else { return Effect::Ignored };
    // What never left says nothing of the person: the account has no room for it, so a standby may take over.
    let still_queued = attempt.send_state == SendState::Planned;
    let stand_in = if still_queued { StandIn::May } else { StandIn::MayNot };
    let replaced = replace(message, attempt_no, Reason::Silent, None, stand_in, now);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    attempt.timer = if replaced { Timer::Fired } else { Timer::Disarmed };
    attempt.timer_ended_at = Some(now);
    attempt.timer_end = attempt.not_replaced;
    if replaced {
        // Still waiting to be sent, or to be sent again: its turn is over.
        attempt.withdraw(Why::Replaced, now);
        Effect::Planned { attempt_no: attempt_no + 1 }
    } else {
        Effect::Done
    }
}

fn check(message: &mut Message, code: &Code, keys: &CodeKeys, now: DateTime<Utc>) -> Effect {
    if message.outcome == Outcome::Pending && now >= message.expires_at {
        message.settle(Outcome::Expired, now);
    }
    let verdict = match message.outcome {
        Outcome::Verified => Verdict::AlreadyUsed,
        Outcome::Expired => Verdict::Expired,
        Outcome::Exhausted => Verdict::Exhausted,
        // What ended it otherwise, a newer program knows: for the person it was called off.
        Outcome::Cancelled | Outcome::Other => Verdict::Cancelled,
        Outcome::Pending if keys.is_right(&message.code, &message.app, message.id, code) => {
            message.delivery_inferred = !message.attempts.iter().any(|a| a.state == State::Delivered);
            message.state = State::Delivered;
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
    Effect::Checked(Checked { verdict, tries_left })
}

fn resend(message: &mut Message, channel: Option<Channel>, now: DateTime<Utc>) -> Effect {
    if message.outcome != Outcome::Pending {
        return Effect::Refused(Refusal::Settled(message.outcome));
    }
    let last = message.last().attempt_no;
    if message.last().send_state == SendState::Planned {
        return Effect::Refused(Refusal::StillSending);
    }
    if message.last().not_replaced == Some(Why::NumberIsBad) {
        return Effect::Refused(Refusal::NotPlanned(Why::NumberIsBad));
    }
    // A standby only when nothing else is left: who asks again wants another way.
    let planned = message.plan_next(Reason::Requested, channel, StandIn::MayNot, now);
    let planned = planned.or_else(|_| message.plan_next(Reason::Requested, channel, StandIn::May, now));
    if let Err(why) = planned {
        return Effect::Refused(Refusal::NotPlanned(why));
    }
    if let Some(attempt) = message.attempt_mut(last) {
        attempt.disarm(Why::Requested, now);
        attempt.withdraw(Why::Requested, now);
        attempt.not_replaced = None;
    }
    Effect::Planned { attempt_no: last + 1 }
}

fn cancel(message: &mut Message, now: DateTime<Utc>) -> Effect {
    match message.outcome {
        Outcome::Pending if now >= message.expires_at => {
            message.settle(Outcome::Expired, now);
            Effect::Refused(Refusal::Settled(Outcome::Expired))
        }
        Outcome::Pending => {
            message.settle(Outcome::Cancelled, now);
            Effect::Done
        }
        Outcome::Cancelled => Effect::Ignored,
        settled => Effect::Refused(Refusal::Settled(settled)),
    }
}

fn end_life(message: &mut Message, now: DateTime<Utc>) -> Effect {
    if message.outcome != Outcome::Pending || now < message.expires_at {
        return Effect::Ignored;
    }
    message.settle(Outcome::Expired, now);
    Effect::Done
}

#[cfg(test)]
mod tests;
