//! How the sender's events change a message: a lease, a provider's answer, and sends that are impossible.

use chrono::{DateTime, TimeDelta, Utc};

use super::replacing::replace_failed;
use crate::attempt::{Lease, SendState, State, Timer, Why};
use crate::event::{Effect, OnUnknown, SendResult};
use crate::message::Message;
use crate::price::Price;
use crate::receipt::{ErrorClass, Failure, Scope};
use crate::route::{MIN_LIFE_S, StandIn};

/// Maximum number of tries of an attempt with a further step, if the provider certainly did not accept it.
pub const MAX_TRIES: i16 = 3;

/// Maximum number of tries of the last step of a route; the message's life usually ends earlier.
pub const MAX_TRIES_ON_LAST_STEP: i16 = 60;

/// Maximum number of requests of an attempt that may end `unknown`: the first and one resend.
pub const MAX_UNKNOWNS: i16 = 2;

/// planned -> in_flight. The deadline restarts at the first request, so neither a crash nor a lost answer can lose it;
/// the provider's acceptance moves it once more.
pub(super) fn take_lease(
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
    let is_test = message.is_test;
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    let sendable = matches!(attempt.send_state, SendState::Planned | SendState::Unknown);
    if !live || !sendable || attempt.due_at.is_none_or(|due| due > now) {
        return Effect::Ignored;
    }
    if !may_leave {
        // No event leaves such a row. If one exists, it must not be found again and again.
        attempt.withdraw(Why::Delivered, now);
        return Effect::Done;
    }
    attempt.send_state = SendState::InFlight;
    attempt.due_at = None;
    attempt.lease = Some(lease);
    attempt.tries += 1;
    attempt.in_flight_at.get_or_insert(now);
    attempt.price = agreed.or_else(|| price.cloned()).filter(|_| !is_test);
    if is_last && matches!(attempt.timer, Timer::None | Timer::Armed) {
        let is_first = attempt.tries == 1 && attempt.unknowns == 0;
        if !is_waited_for {
            // Only a standby follows, and a standby does not take over for a person's silence.
            attempt.unarm();
        } else if is_first || attempt.timer == Timer::None {
            attempt.arm(now, replace_after_s);
        }
    }
    Effect::Leased
}

pub(super) fn finish_send(
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
        // An answer that arrives after its lease expired still tells what the provider accepted.
        if let SendResult::Accepted { provider_message_id, .. } = result
            && attempt.may_have_left()
        {
            attempt.note_name(provider_message_id);
            if attempt.send_state == SendState::Unknown {
                attempt.note_taken(now);
            }
            return Effect::Done;
        }
        return Effect::Ignored;
    }
    attempt.lease = None;
    match result {
        SendResult::Accepted { provider_message_id, held, .. } => {
            attempt.send_state = SendState::Accepted;
            attempt.note_name(provider_message_id);
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
        SendResult::BreakerOpen { scope, closed_in } => {
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
                let failure = closed(*scope);
                attempt.fail(now, None, &failure);
                replace_failed(message, attempt_no, Some(&failure), now);
            }
        }
        SendResult::Rejected { failure, pause } => {
            // A receipt arrived first: although the answer says "too early" or "too many", the request was accepted and
            // must not be sent again.
            if attempt.state != State::Accepted && pause.is_some() {
                attempt.note_taken(now);
                return Effect::Done;
            }
            // An earlier request of this attempt may have been accepted: "certainly not sent" applies to this one only.
            if attempt.unknowns > 0 {
                attempt.send_state = SendState::Unknown;
                return Effect::Done;
            }
            // A limit of this recipient alone moves on to the next step at once.
            let is_persons_limit = failure.class == ErrorClass::RateLimited && failure.scope == Scope::Recipient;
            let again_at = pause.map(|pause| now + pause).filter(|_| !(is_persons_limit && has_step_behind));
            let (max_tries, end) = match attempt.replace_at {
                Some(deadline) if has_step_behind => (MAX_TRIES, deadline.min(expires_at)),
                // Only a standby follows.
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

/// The account, or the part of it named by `scope`, is not used for now.
fn closed(scope: Scope) -> Failure {
    let code = match scope {
        Scope::Account | Scope::Recipient => "breaker_open",
        Scope::Sender => "sender_closed",
        Scope::Template => "template_closed",
        Scope::Country => "country_closed",
    };
    Failure::new(code, ErrorClass::Retryable).about(scope)
}

/// An account without settings, or a code without its key, cannot send: treated as a permanent rejection.
pub(super) fn give_up(message: &mut Message, attempt_no: i16, code: &'static str, now: DateTime<Utc>) -> Effect {
    let live = message.is_live(now);
    let Some(attempt) = message.attempt_mut(attempt_no) else { return Effect::Ignored };
    let sendable = matches!(attempt.send_state, SendState::Planned | SendState::Unknown);
    if !live || !sendable || attempt.due_at.is_none_or(|due| due > now) {
        return Effect::Ignored;
    }
    attempt.due_at = None;
    // The earlier request may still be delivered, so its state stays; only the resend is cancelled.
    if attempt.unknowns == 0 {
        let failure = Failure::new(code, ErrorClass::ConfigError);
        attempt.send_state = SendState::Rejected;
        attempt.fail(now, None, &failure);
        replace_failed(message, attempt_no, Some(&failure), now);
    }
    Effect::Done
}
