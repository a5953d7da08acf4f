//! The rule as a table.

use chrono::{DateTime, Utc};

use super::*;
use crate::attempt::{FirstSeen, SendState};
use crate::message::tests::message_with;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_034_400 + seconds, 0).unwrap()
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Planned,
    /// Taken, and perhaps `sent`.
    Taken(State),
    Unknown,
    /// By a receipt.
    Failed(ErrorClass),
    /// In the answer.
    Refused(ErrorClass),
    Withdrawn,
    Delivered,
}

fn attempt(no: i16, channel: Channel, reason: Reason, is: Is) -> Attempt {
    let mut a = Attempt::planned(no, no - 1, channel, channel.as_str(), reason, at(0));
    let (send_state, state, class) = match is {
        Is::Planned => return a,
        Is::Taken(state) => (SendState::Accepted, state, None),
        Is::Unknown => (SendState::Unknown, State::Accepted, Some(ErrorClass::Retryable)),
        Is::Failed(class) => (SendState::Accepted, State::Failed, Some(class)),
        Is::Refused(class) => (SendState::Rejected, State::Failed, Some(class)),
        Is::Withdrawn => (SendState::Rejected, State::Failed, Some(ErrorClass::Expired)),
        Is::Delivered => (SendState::Accepted, State::Delivered, None),
    };
    (a.send_state, a.state, a.error_class, a.due_at) = (send_state, state, class, None);
    a.accepted_at = (send_state == SendState::Accepted).then_some(at(1));
    let seen = FirstSeen { at: Some(at(2)), provider_at: None };
    match state {
        State::Failed => a.failed = seen,
        State::Delivered => a.delivered = seen,
        State::Accepted | State::Sent => {}
    }
    a
}

fn whatsapp(is: Is) -> Attempt {
    attempt(1, Channel::Whatsapp, Reason::First, is)
}

fn sms(reason: Reason, is: Is) -> Attempt {
    attempt(2, Channel::Sms, reason, is)
}

fn verified(mut message: Message) -> Message {
    message.outcome = Outcome::Verified;
    message.settled_at = Some(at(9));
    message
}

const UNREACHABLE: ErrorClass = ErrorClass::RecipientUnreachable;
const NOT_ON: Option<Lesson> = Some(Lesson::OffWhatsapp(Memory { not_on_whatsapp: true, answers_by_sms: false }));
const BY_SMS: Option<Lesson> = Some(Lesson::OffWhatsapp(Memory { not_on_whatsapp: false, answers_by_sms: true }));
const BOTH: Option<Lesson> = Some(Lesson::OffWhatsapp(Memory { not_on_whatsapp: true, answers_by_sms: true }));
const ON: Option<Lesson> = Some(Lesson::OnWhatsapp);

#[test]
fn what_becomes_of_whatsapp_teaches_about_the_number() {
    let silent = Is::Taken(State::Sent);
    for (before, after, expected) in [
        (Is::Taken(State::Accepted), silent, None),
        (silent, Is::Failed(UNREACHABLE), NOT_ON),
        (Is::Planned, Is::Refused(UNREACHABLE), NOT_ON),
        (silent, Is::Failed(ErrorClass::Retryable), None),
        (silent, Is::Failed(ErrorClass::Expired), None),
        (silent, Is::Failed(ErrorClass::ConfigError), None),
        (Is::Planned, Is::Withdrawn, None),
        (Is::Failed(UNREACHABLE), Is::Failed(UNREACHABLE), None),
        (silent, Is::Delivered, ON),
        (Is::Failed(UNREACHABLE), Is::Delivered, ON),
        (Is::Delivered, Is::Delivered, None),
    ] {
        let (before, after) = (message_with(vec![whatsapp(before)]), message_with(vec![whatsapp(after)]));
        assert_eq!(lesson(&before, &after, |_| false), expected, "{before:?} -> {after:?}");
    }
}

#[test]
fn an_sms_that_arrives_behind_whatsapp_teaches_about_the_number() {
    let silent = Is::Taken(State::Sent);
    for (first, reason, expected) in [
        (silent, Reason::Silent, BY_SMS),
        (Is::Taken(State::Accepted), Reason::Silent, BY_SMS),
        (Is::Failed(UNREACHABLE), Reason::Failed, BY_SMS),
        (Is::Refused(UNREACHABLE), Reason::Failed, BY_SMS),
        (Is::Failed(ErrorClass::Expired), Reason::Failed, BY_SMS),
        // The person did not want to wait.
        (silent, Reason::Requested, None),
        // The account could not.
        (Is::Failed(ErrorClass::RateLimited), Reason::Failed, None),
        (Is::Refused(ErrorClass::Retryable), Reason::Failed, None),
        (Is::Refused(ErrorClass::ConfigError), Reason::Failed, None),
        (Is::Withdrawn, Reason::Silent, None),
        // It may never have left.
        (Is::Unknown, Reason::Silent, None),
        // It came after all.
        (Is::Delivered, Reason::Silent, None),
    ] {
        let with = |is| message_with(vec![whatsapp(first), sms(reason, is)]);
        let (before, taken, arrived) = (with(Is::Planned), with(silent), with(Is::Delivered));
        let what = format!("{first:?}, {reason:?}");
        assert_eq!(lesson(&taken, &arrived, |_| false), expected, "{what}");
        assert_eq!(lesson(&taken, &verified(taken.clone()), |_| false), expected, "{what}, verified");
        assert_eq!(lesson(&before, &verified(before.clone()), |_| false), None, "{what}, verified before it left");
        assert_eq!(
            lesson(&arrived, &verified(arrived.clone()), |_| false).is_some(),
            expected.is_some(),
            "{what}, again"
        );
        assert_eq!(lesson(&before, &taken, |_| false), None, "{what}, not arrived");
        assert_eq!(lesson(&taken, &arrived, |a| a.account == "whatsapp"), None, "{what}, but nobody was heard");
    }
}

#[test]
fn a_group_that_brings_the_failure_and_the_sms_teaches_both() {
    let before = message_with(vec![whatsapp(Is::Taken(State::Sent))]);
    let after = message_with(vec![whatsapp(Is::Failed(UNREACHABLE)), sms(Reason::Failed, Is::Delivered)]);
    assert_eq!(lesson(&before, &after, |_| false), BOTH);
    let late = message_with(vec![whatsapp(Is::Delivered), sms(Reason::Silent, Is::Delivered)]);
    assert_eq!(lesson(&before, &late, |_| false), ON);
}

#[test]
fn whatsapp_behind_sms_teaches_only_by_itself() {
    let first = attempt(1, Channel::Sms, Reason::First, Is::Taken(State::Accepted));
    let with = |is| message_with(vec![first.clone(), attempt(2, Channel::Whatsapp, Reason::Silent, is)]);
    let taken = with(Is::Taken(State::Sent));
    assert_eq!(lesson(&taken, &with(Is::Delivered), |_| false), ON);
    assert_eq!(lesson(&taken, &with(Is::Failed(UNREACHABLE)), |_| false), NOT_ON);
    let mut arrived = taken.clone();
    arrived.attempts[0].state = State::Delivered;
    assert_eq!(lesson(&taken, &arrived, |_| false), None);
}

#[test]
fn of_two_lessons_a_delivery_is_the_stronger() {
    let (not_on, by_sms) = (NOT_ON.unwrap(), BY_SMS.unwrap());
    assert_eq!(not_on.and(by_sms), BOTH.unwrap());
    for (a, b) in [(not_on, Lesson::OnWhatsapp), (Lesson::OnWhatsapp, by_sms)] {
        assert_eq!(a.and(b), Lesson::OnWhatsapp);
    }
}
