//! How an attempt is replaced: at most once, and only while it is the last of its message.

use chrono::{DateTime, Utc};

use crate::attempt::{Reason, Why};
use crate::message::Message;
use crate::receipt::{ErrorClass, Failure};
use crate::route::StandIn;

/// A failure issues the next attempt at once, if this attempt is the last and the failure is a reason.
pub(super) fn replace_failed(message: &mut Message, attempt_no: i16, failure: Option<&Failure>, now: DateTime<Utc>) {
    let stand_in = match failure.map(|f| f.class) {
        Some(ErrorClass::Retryable | ErrorClass::RateLimited | ErrorClass::ConfigError) => StandIn::May,
        Some(ErrorClass::RecipientUnreachable | ErrorClass::Expired | ErrorClass::Other) | None => StandIn::MayNot,
    };
    replace(message, attempt_no, Reason::Failed, stand_in, now);
    if let Some(attempt) = message.attempt_mut(attempt_no) {
        attempt.disarm(Why::Failed, now);
    }
}

/// Exactly one replacement per attempt: only the last attempt of a message can be replaced.
pub(super) fn replace(
    message: &mut Message,
    attempt_no: i16,
    reason: Reason,
    stand_in: StandIn,
    now: DateTime<Utc>,
) -> bool {
    if message.last().attempt_no != attempt_no {
        return false;
    }
    let planned = message.plan_next(reason, None, stand_in, now);
    // No failure ends a message while a step is left.
    let planned = match planned {
        Err(Why::RouteEnd) if reason == Reason::Failed => message.plan_next(reason, None, StandIn::May, now),
        planned => planned,
    };
    let Some(attempt) = message.attempt_mut(attempt_no) else { return false };
    attempt.not_replaced = planned.err();
    planned.is_ok()
}
