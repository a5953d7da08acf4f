//! The rule as a table, and as properties over any events in any order.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::app_id::AppId;
use crate::attempt::{Attempt, FirstSeen, Lease};
use crate::code_keys::CodeKey;
use crate::event::OnUnknown;
use crate::ids::{Bucket, MessageId};
use crate::phone::Phone;
use crate::receipt::Scope;
use crate::route::{Route, Step};

fn keys() -> CodeKeys {
    CodeKeys::new(vec![CodeKey::new(1, &[9; 32]).unwrap()]).unwrap()
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_034_400, 0).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn right_code() -> Code {
    Code::parse("012345").unwrap()
}

/// WhatsApp, SMS, and a second SMS account; 30 s, 300 s of life.
fn message(steps: usize) -> Message {
    let all = [(Channel::Whatsapp, "wa"), (Channel::Sms, "sms"), (Channel::Sms, "sms-2")];
    let steps = all[..steps].iter().map(|&(channel, account)| Step::new(channel, account)).collect();
    let route = Route::new(steps, 30, 300, "test").unwrap();
    let id = MessageId::new(start(), Bucket::of(&Phone::parse("+628123450003").unwrap()), [1; 8]);
    let first = route.step(0).unwrap();
    let mut message = Message {
        id,
        app: AppId::stored("shop"),
        state: State::Accepted,
        outcome: Outcome::Pending,
        created_at: start(),
        expires_at: at(300),
        settled_at: None,
        delivery_inferred: false,
        wrong_tries: 0,
        max_tries: 5,
        verified_by: None,
        code: keys().protect(&AppId::stored("shop"), id, &right_code(), [3; 24]),
        code_given: false,
        is_test: false,
        attempts: vec![Attempt::planned(1, 0, first.channel, &first.account, Reason::First, start())],
        route,
    };
    message.arm_in_queue();
    message
}

fn apply(message: &mut Message, event: Event, now: DateTime<Utc>) -> Effect {
    let effect = step(message, &event, &keys(), now);
    assert_eq!(message.broken_rules(), Vec::<&str>::new(), "after {event:?} at {now}: {message:#?}");
    effect
}

fn lease(now: DateTime<Utc>, n: u128) -> Lease {
    Lease { token: Uuid::from_u128(n), until: now + TimeDelta::seconds(20) }
}

fn leased(attempt_no: i16, now: DateTime<Utc>) -> Event {
    Event::Lease { attempt_no, lease: lease(now, u128::from(attempt_no.unsigned_abs())), price: None }
}

fn sent(attempt_no: i16, result: SendResult) -> Event {
    Event::Send { attempt_no, token: Uuid::from_u128(u128::from(attempt_no.unsigned_abs())), result }
}

fn accepted() -> SendResult {
    SendResult::Accepted { provider_message_id: "pm".into(), held: false, nobody_tells: false }
}

fn rejected(class: ErrorClass, pause_ms: Option<i64>) -> SendResult {
    SendResult::Rejected { failure: Failure::new("x", class), pause: pause_ms.map(TimeDelta::milliseconds) }
}

fn unknown(on_unknown: OnUnknown) -> SendResult {
    SendResult::Unknown { failure: Failure::new("timeout", ErrorClass::Retryable), on_unknown }
}

fn receipt(attempt_no: i16, status: Status) -> Event {
    let failure = (status == Status::Failed).then(|| Failure::new("131026", ErrorClass::RecipientUnreachable));
    let receipt =
        DeliveryReceipt { status, attempt_id: None, provider_message_id: "pm".into(), provider_at: None, failure };
    Event::Receipt { attempt_no, receipt }
}

/// A message whose first attempt was accepted after one second: its deadline is at 31 s.
fn accepted_message(steps: usize) -> Message {
    let mut m = message(steps);
    assert_eq!(apply(&mut m, leased(1, at(0)), at(0)), Effect::Leased);
    assert_eq!(apply(&mut m, sent(1, accepted()), at(1)), Effect::Done);
    m
}

#[test]
fn the_table_of_receipts() {
    let mut table = String::new();
    for history in [vec![], vec![Status::Sent], vec![Status::Failed], vec![Status::Delivered], vec![Status::Read]] {
        for &status in Status::ALL {
            let mut m = accepted_message(2);
            for &past in &history {
                apply(&mut m, receipt(1, past), at(2));
            }
            let effect = apply(&mut m, receipt(1, status), at(3));
            let Effect::Receipt(disposition) = effect else { panic!("{effect:?}") };
            let before = history.first().map_or("-", |s| s.as_str());
            let first = m.attempt(1).unwrap();
            table += &format!(
                "{before:9} + {:9} -> {:9} {:13} message {:9} attempts {} timer {}\n",
                status.as_str(),
                first.state,
                disposition,
                m.state,
                m.attempts.len(),
                first.timer
            );
        }
    }
    assert_eq!(table, include_str!("receipts.table"), "{table}");
}

#[test]
fn silence_is_replaced_at_the_deadline_and_not_before() {
    let mut m = accepted_message(2);
    assert_eq!(m.attempt(1).unwrap().replace_at, Some(at(31)));
    let almost = at(31) - TimeDelta::microseconds(1);
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, almost), Effect::Ignored);
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31)), Effect::Planned { attempt_no: 2 });
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31)), Effect::Ignored);
    let second = m.attempt(2).unwrap();
    assert_eq!((second.channel, second.reason, second.due_at), (Channel::Sms, Reason::Silent, Some(at(31))));
    assert_eq!(m.attempt(1).unwrap().timer, Timer::Fired);

    // A later failure finds the attempt replaced.
    apply(&mut m, receipt(1, Status::Failed), at(32));
    assert_eq!(m.attempts.len(), 2);
}

#[test]
fn a_later_sent_does_not_restart_the_wait() {
    let mut m = accepted_message(2);
    apply(&mut m, receipt(1, Status::Sent), at(20));
    assert_eq!(m.attempt(1).unwrap().replace_at, Some(at(31)));
}

#[test]
fn a_late_delivery_marks_the_replacement_as_wasted() {
    let mut m = accepted_message(2);
    apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31));
    apply(&mut m, leased(2, at(31)), at(31));
    apply(&mut m, sent(2, accepted()), at(32));
    apply(&mut m, receipt(1, Status::Delivered), at(33));
    assert!(m.attempt(2).unwrap().wasted);
    assert_eq!(m.state, State::Delivered);
}

#[test]
fn a_delivery_before_the_replacement_left_takes_it_back() {
    let mut m = accepted_message(2);
    apply(&mut m, receipt(1, Status::Failed), at(2));
    assert_eq!(m.attempts.len(), 2);
    apply(&mut m, receipt(1, Status::Delivered), at(2));
    assert_eq!((m.attempt(2).unwrap().send_state, m.attempt(2).unwrap().wasted), (SendState::Rejected, false));
    assert_eq!(apply(&mut m, leased(2, at(3)), at(3)), Effect::Ignored);
}

#[test]
fn the_right_code_disarms_and_infers_delivery() {
    let mut m = accepted_message(2);
    let wrong = Event::Check { code: Code::parse("999999").unwrap(), caller: None };
    assert_eq!(
        apply(&mut m, wrong, at(5)),
        Effect::Checked(Checked { verdict: Verdict::Wrong, outcome: Outcome::Pending, tries_left: 4 })
    );
    let right = Event::Check { code: right_code(), caller: None };
    let effect = apply(&mut m, right.clone(), at(6));
    assert_eq!(effect, Effect::Checked(Checked { verdict: Verdict::Right, outcome: Outcome::Verified, tries_left: 0 }));
    assert_eq!((m.state, m.delivery_inferred, m.outcome), (State::Delivered, true, Outcome::Verified));
    assert_eq!(m.attempt(1).unwrap().timer_end, Some(Why::Verified));
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31)), Effect::Ignored);
    let Effect::Checked(again) = apply(&mut m, right, at(7)) else { panic!() };
    assert_eq!(again.verdict, Verdict::AlreadyUsed);
}

#[test]
fn the_fifth_wrong_code_exhausts_the_message_and_the_right_one_is_too_late() {
    let mut m = accepted_message(2);
    for left in [4, 3, 2, 1, 0] {
        let effect = apply(&mut m, Event::Check { code: Code::parse("999999").unwrap(), caller: None }, at(5));
        assert_eq!(effect, Effect::Checked(Checked { verdict: Verdict::Wrong, outcome: m.outcome, tries_left: left }));
    }
    let Effect::Checked(checked) = apply(&mut m, Event::Check { code: right_code(), caller: None }, at(6)) else {
        panic!()
    };
    assert_eq!((checked.verdict, m.outcome), (Verdict::Exhausted, Outcome::Exhausted));
}

#[test]
fn a_code_is_good_until_the_last_moment_and_no_longer() {
    for (now, verdict) in [(at(300) - TimeDelta::milliseconds(1), Verdict::Right), (at(300), Verdict::Expired)] {
        let mut m = accepted_message(2);
        let Effect::Checked(checked) = apply(&mut m, Event::Check { code: right_code(), caller: None }, now) else {
            panic!()
        };
        assert_eq!(checked.verdict, verdict);
    }
}

#[test]
fn every_reason_for_not_replacing_is_kept() {
    let failed_at = |m: &mut Message, seconds| apply(m, receipt(1, Status::Failed), at(seconds));
    let why = |m: &Message| m.attempt(1).unwrap().not_replaced;

    let mut m = accepted_message(2);
    failed_at(&mut m, 256);
    assert_eq!((why(&m), m.state), (Some(Why::TooLate), State::Failed));

    let mut m = accepted_message(1);
    failed_at(&mut m, 2);
    assert_eq!((why(&m), m.state), (Some(Why::RouteEnd), State::Failed));

    let mut m = accepted_message(2);
    apply(&mut m, Event::Cancel, at(2));
    failed_at(&mut m, 3);
    assert_eq!(why(&m), Some(Why::Cancelled));

    let mut m = message(2);
    let failure = Failure::new("landline", ErrorClass::RecipientUnreachable);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, SendResult::Rejected { failure, pause: None }), at(1));
    assert_eq!((why(&m), m.attempts.len()), (None, 2), "no error about a number ends a message while a step is left");
}

#[test]
fn a_certain_refusal_is_tried_again_inside_the_deadline_then_replaced() {
    let mut m = message(2);
    for (now, due) in [(0, Some(at(2))), (2, Some(at(4))), (4, None)] {
        assert_eq!(apply(&mut m, leased(1, at(now)), at(now)), Effect::Leased);
        apply(&mut m, sent(1, rejected(ErrorClass::Retryable, Some(2000))), at(now));
        assert_eq!(m.attempt(1).unwrap().due_at, due);
    }
    assert_eq!((m.attempts.len(), m.attempt(1).unwrap().state), (2, State::Failed));

    // A pause that would end after the deadline is not taken: the next step starts at once.
    let mut m = message(2);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, rejected(ErrorClass::RateLimited, Some(30_000))), at(0));
    assert_eq!(m.attempts.len(), 2);
}

#[test]
fn the_last_step_is_kept_until_the_message_ends() {
    let mut m = message(1);
    let mut now = 0;
    while now < 290 {
        assert_eq!(apply(&mut m, leased(1, at(now)), at(now)), Effect::Leased, "at {now}");
        apply(&mut m, sent(1, rejected(ErrorClass::Retryable, Some(10_000))), at(now));
        now += 10;
    }
    apply(&mut m, leased(1, at(290)), at(290));
    apply(&mut m, sent(1, rejected(ErrorClass::Retryable, Some(10_000))), at(290));
    assert_eq!((m.state, m.attempts.len()), (State::Failed, 1));
}

#[test]
fn an_unknown_whatsapp_is_never_sent_again_and_an_unknown_sms_once() {
    let mut m = message(2);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, unknown(OnUnknown::GiveUp)), at(10));
    let first = m.attempt(1).unwrap();
    assert_eq!((first.send_state, first.due_at, first.timer), (SendState::Unknown, None, Timer::Armed));
    assert_eq!(first.replace_at, Some(at(30)));

    let resend = OnUnknown::ResendAfter(TimeDelta::seconds(5));
    apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(30));
    apply(&mut m, leased(2, at(30)), at(30));
    apply(&mut m, sent(2, unknown(resend)), at(40));
    assert_eq!(m.attempt(2).unwrap().due_at, Some(at(45)));
    assert_eq!(apply(&mut m, leased(2, at(45)), at(45)), Effect::Leased);
    apply(&mut m, sent(2, unknown(resend)), at(50));
    assert_eq!((m.attempt(2).unwrap().due_at, m.attempt(2).unwrap().unknowns), (None, 2));
}

#[test]
fn a_receipt_resolves_an_unknown_send() {
    let mut m = message(1);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, unknown(OnUnknown::ResendAfter(TimeDelta::seconds(5)))), at(10));
    apply(&mut m, receipt(1, Status::Sent), at(12));
    let first = m.attempt(1).unwrap();
    assert_eq!((first.send_state, first.due_at, first.accepted_at), (SendState::Accepted, None, Some(at(12))));
}

#[test]
fn a_lease_that_ran_out_is_unknown_and_a_late_answer_still_counts() {
    let mut m = message(2);
    apply(&mut m, leased(1, at(0)), at(0));
    let ran_out = Event::LeaseRanOut { attempt_no: 1, on_unknown: OnUnknown::GiveUp };
    assert_eq!(apply(&mut m, ran_out.clone(), at(19)), Effect::Ignored);
    assert_eq!(apply(&mut m, ran_out, at(20)), Effect::Done);
    assert_eq!(m.attempt(1).unwrap().send_state, SendState::Unknown);
    apply(&mut m, sent(1, accepted()), at(21));
    assert_eq!(m.attempt(1).unwrap().send_state, SendState::Accepted);
}

#[test]
fn an_open_breaker_moves_on_at_once_and_the_last_step_waits_for_it() {
    let mut m = message(2);
    let open = SendResult::BreakerOpen { scope: Scope::Account, closed_in: TimeDelta::seconds(20) };
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, open.clone()), at(0));
    assert_eq!((m.attempts.len(), m.attempt(1).unwrap().tries), (2, 0));
    apply(&mut m, leased(2, at(0)), at(0));
    apply(&mut m, sent(2, open), at(0));
    assert_eq!(m.attempt(2).unwrap().due_at, Some(at(20)));
}

#[test]
fn resend_takes_the_next_step_now_even_after_a_delivery() {
    let mut m = accepted_message(2);
    apply(&mut m, receipt(1, Status::Delivered), at(3));
    assert_eq!(apply(&mut m, Event::Resend { channel: None }, at(9)), Effect::Planned { attempt_no: 2 });
    assert_eq!(apply(&mut m, Event::Resend { channel: None }, at(9)), Effect::Refused(Refusal::StillSending));
    assert_eq!(apply(&mut m, leased(2, at(9)), at(9)), Effect::Leased);
    assert!(!m.attempt(2).unwrap().wasted);
}

#[test]
fn after_the_last_step_a_resend_sends_an_sms_once_more() {
    // Both when the last step is under way and when it has failed, for each channel of the last attempt.
    for last_fails in [false, true] {
        let mut m = accepted_message(2);
        apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31));
        apply(&mut m, leased(2, at(31)), at(31));
        apply(&mut m, sent(2, accepted()), at(31));
        if last_fails {
            apply(&mut m, receipt(1, Status::Failed), at(32));
            apply(&mut m, receipt(2, Status::Failed), at(33));
            assert_eq!((m.state, m.outcome, m.outcome_now()), (State::Failed, Outcome::Pending, Outcome::Failed));
        }
        let again = || Event::Resend { channel: None };
        assert_eq!(apply(&mut m, again(), at(40)), Effect::Planned { attempt_no: 3 });
        assert_eq!((m.last().channel, m.last().step, m.last().reason), (Channel::Sms, 1, Reason::Requested));
        assert_eq!(m.outcome_now(), Outcome::Pending, "an attempt is under way again");
        assert_eq!(apply(&mut m, again(), at(40)), Effect::Refused(Refusal::StillSending));
        assert_eq!(apply(&mut m, leased(3, at(40)), at(40)), Effect::Leased);
        assert_eq!(m.last().timer, Timer::None, "no further step exists");
        apply(&mut m, sent(3, accepted()), at(41));
        let refused = Effect::Refused(Refusal::NotPlanned(Why::RouteEnd));
        assert_eq!(apply(&mut m, again(), at(42)), refused, "once");
        apply(&mut m, receipt(3, Status::Failed), at(43));
        assert_eq!((m.attempts.len(), m.last().not_replaced), (3, Some(Why::RouteEnd)), "the route does not go back");
        apply(&mut m, receipt(3, Status::Delivered), at(44));
        assert_eq!(m.state, State::Delivered);
    }
}

#[test]
fn a_resend_repeats_the_channel_that_is_asked_for_and_goes_no_further() {
    let mut m = accepted_message(2);
    apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31));
    apply(&mut m, leased(2, at(31)), at(31));
    apply(&mut m, sent(2, accepted()), at(31));
    let whatsapp = Event::Resend { channel: Some(Channel::Whatsapp) };
    assert_eq!(apply(&mut m, whatsapp, at(40)), Effect::Planned { attempt_no: 3 });
    assert_eq!((m.last().channel, m.last().step, m.last().timer), (Channel::Whatsapp, 0, Timer::None));
    apply(&mut m, leased(3, at(40)), at(40));
    apply(&mut m, sent(3, rejected(ErrorClass::ConfigError, None)), at(41));
    assert_eq!((m.attempts.len(), m.last().not_replaced), (3, Some(Why::RouteEnd)), "its SMS left already");
}

#[test]
fn a_message_whose_every_step_failed_says_so_at_once_and_ends_as_failed() {
    let mut m = accepted_message(1);
    apply(&mut m, receipt(1, Status::Failed), at(2));
    assert_eq!((m.outcome, m.outcome_now()), (Outcome::Pending, Outcome::Failed));
    let mut ended = m.clone();
    assert_eq!(apply(&mut ended, Event::LifeEnded, at(300)), Effect::Done);
    assert_eq!((ended.outcome, ended.code.sealed.is_none()), (Outcome::Failed, true));
    // Until then the person may still receive it.
    let mut late = m.clone();
    apply(&mut late, receipt(1, Status::Delivered), at(3));
    assert_eq!((late.state, late.outcome_now()), (State::Delivered, Outcome::Pending));
    let Effect::Checked(checked) = apply(&mut m, Event::Check { code: right_code(), caller: None }, at(4)) else {
        panic!()
    };
    assert_eq!((checked.verdict, m.outcome_now()), (Verdict::Right, Outcome::Verified));
}

#[test]
fn what_is_too_much_for_this_person_goes_to_the_next_step_at_once() {
    let pair = || {
        let failure = Failure::new("131056", ErrorClass::RateLimited).about(Scope::Recipient);
        SendResult::Rejected { failure, pause: Some(TimeDelta::seconds(6)) }
    };
    let mut m = message(2);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, pair()), at(0));
    assert_eq!((m.attempts.len(), m.last().due_at), (2, Some(at(0))));
    apply(&mut m, leased(2, at(0)), at(0));
    apply(&mut m, sent(2, pair()), at(0));
    assert_eq!(
        (m.attempts.len(), m.last().due_at),
        (2, Some(at(6))),
        "the last step waits for as long as the answer says"
    );
}

#[test]
fn a_standby_takes_over_even_from_a_person_who_cannot_be_reached_when_nothing_else_is_left() {
    for class in [ErrorClass::RecipientUnreachable, ErrorClass::Expired] {
        let mut m = message_with_standbys();
        m.attempts = vec![Attempt::planned(1, 2, Channel::Sms, "sms", Reason::First, at(0))];
        apply(&mut m, leased(1, at(0)), at(0));
        apply(&mut m, sent(1, rejected(class, None)), at(1));
        assert_eq!(accounts(&m), ["sms", "sms-2"], "{class}");
    }
}

#[test]
fn settling_erases_the_code_and_takes_back_what_has_not_left() {
    for (event, outcome) in [(Event::Cancel, Outcome::Cancelled), (Event::LifeEnded, Outcome::Expired)] {
        let mut m = message(2);
        let now = if outcome == Outcome::Expired { at(300) } else { at(1) };
        assert_eq!(apply(&mut m, event, now), Effect::Done);
        assert_eq!((m.outcome, m.state, m.code.sealed.is_none()), (outcome, State::Failed, true));
    }
}

#[test]
fn a_code_under_a_missing_key_is_not_judged_and_no_try_is_counted() {
    let other = CodeKeys::new(vec![CodeKey::new(2, &[8; 32]).unwrap()]).unwrap();
    let mut m = message(2);
    let before = m.clone();
    for code in [right_code(), Code::parse("999999").unwrap()] {
        assert_eq!(step(&mut m, &Event::Check { code, caller: None }, &other, at(1)), Effect::KeyMissing);
        assert_eq!(m, before);
    }
    // A settled message needs no key.
    let late = step(&mut m, &Event::Check { code: right_code(), caller: None }, &other, at(300));
    assert_eq!(late, Effect::Checked(Checked { verdict: Verdict::Expired, outcome: m.outcome, tries_left: 0 }));
}

#[test]
fn a_code_whose_key_nobody_has_is_given_up_at_each_step() {
    let mut m = message(2);
    for attempt_no in [1, 2] {
        assert_eq!(apply(&mut m, Event::KeyGone { attempt_no }, at(10)), Effect::Done);
        let attempt = m.attempt(attempt_no).unwrap();
        assert_eq!(
            (attempt.send_state, attempt.error_code.as_deref(), attempt.tries),
            (SendState::Rejected, Some("code_key_missing"), 0)
        );
    }
    assert_eq!((m.state, m.attempts.len()), (State::Failed, 2));
}

#[test]
fn an_account_that_is_gone_refuses_what_is_due_and_gives_up_what_was_to_be_resent() {
    let mut m = message(2);
    assert_eq!(apply(&mut m, Event::AccountGone { attempt_no: 1 }, at(-1)), Effect::Ignored, "not due yet");
    assert_eq!(apply(&mut m, Event::AccountGone { attempt_no: 1 }, at(10)), Effect::Done);
    let first = m.attempt(1).unwrap();
    assert_eq!((first.send_state, first.error_code.as_deref()), (SendState::Rejected, Some("account_unknown")));
    assert_eq!((m.attempt(2).unwrap().reason, first.tries, first.in_flight_at), (Reason::Failed, 0, None));
    assert_eq!(apply(&mut m, Event::AccountGone { attempt_no: 1 }, at(10)), Effect::Ignored);

    apply(&mut m, leased(2, at(10)), at(10));
    assert_eq!(apply(&mut m, Event::AccountGone { attempt_no: 2 }, at(20)), Effect::Ignored, "it is being sent");
    apply(&mut m, sent(2, unknown(OnUnknown::ResendAfter(TimeDelta::seconds(5)))), at(20));
    assert_eq!(apply(&mut m, Event::AccountGone { attempt_no: 2 }, at(25)), Effect::Done);
    let second = m.attempt(2).unwrap();
    assert_eq!((second.send_state, second.due_at, second.state), (SendState::Unknown, None, State::Accepted));
}

/// Results of a request that plan the attempt again.
fn ends_that_repeat() -> Vec<SendResult> {
    vec![
        unknown(OnUnknown::ResendAfter(TimeDelta::seconds(5))),
        rejected(ErrorClass::RateLimited, Some(1500)),
        rejected(ErrorClass::Retryable, Some(0)),
        SendResult::BreakerOpen { scope: Scope::Account, closed_in: TimeDelta::seconds(2) },
    ]
}

#[test]
fn nothing_leaves_again_once_the_message_is_delivered() {
    let under_way = || {
        let mut m = accepted_message(2);
        apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31));
        apply(&mut m, leased(2, at(31)), at(31));
        apply(&mut m, receipt(1, Status::Delivered), at(32));
        m
    };
    for end in ends_that_repeat() {
        let mut m = under_way();
        apply(&mut m, sent(2, end.clone()), at(40));
        let second = m.attempt(2).unwrap();
        assert_eq!((second.due_at, m.attempts.len()), (None, 2), "{end:?}");
        assert_eq!(apply(&mut m, leased(2, at(60)), at(60)), Effect::Ignored, "{end:?}");
    }
    let mut m = under_way();
    apply(&mut m, Event::LeaseRanOut { attempt_no: 2, on_unknown: OnUnknown::ResendAfter(TimeDelta::zero()) }, at(51));
    assert_eq!((m.attempt(2).unwrap().send_state, m.attempt(2).unwrap().due_at), (SendState::Unknown, None));
}

#[test]
fn what_the_person_asked_for_is_repeated_even_after_a_delivery() {
    for end in ends_that_repeat() {
        let mut m = accepted_message(2);
        apply(&mut m, receipt(1, Status::Delivered), at(3));
        apply(&mut m, Event::Resend { channel: None }, at(9));
        apply(&mut m, leased(2, at(9)), at(9));
        apply(&mut m, sent(2, end.clone()), at(10));
        assert!(m.attempt(2).unwrap().due_at.is_some(), "{end:?}");
        assert_eq!(apply(&mut m, leased(2, at(30)), at(30)), Effect::Leased, "{end:?}");
    }
}

#[test]
fn what_a_receipt_proved_to_have_left_never_leaves_again() {
    for status in [Status::Sent, Status::Delivered, Status::Read, Status::Failed] {
        for steps in [1, 2] {
            for end in ends_that_repeat() {
                let mut m = message(steps);
                apply(&mut m, leased(1, at(0)), at(0));
                apply(&mut m, receipt(1, status), at(1));
                apply(&mut m, sent(1, end.clone()), at(2));
                let first = m.attempt(1).unwrap();
                assert_eq!((first.send_state, first.due_at), (SendState::Accepted, None), "{status} {end:?}");
                assert_eq!(first.state, status.state(), "the contradicting answer changes nothing: {status} {end:?}");
                assert_eq!(apply(&mut m, leased(1, at(20)), at(20)), Effect::Ignored, "{status} {end:?}");
            }
        }
    }
    // A permanent refusal is not repeated: the next step starts at once.
    let mut m = message(2);
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, receipt(1, Status::Sent), at(1));
    apply(&mut m, sent(1, rejected(ErrorClass::ConfigError, None)), at(2));
    assert_eq!((m.attempts.len(), m.attempt(1).unwrap().state), (2, State::Failed));
}

#[test]
fn what_waits_too_long_for_its_account_moves_on() {
    let mut m = message(2);
    assert_eq!(
        (m.last().timer, m.last().replace_at),
        (Timer::Armed, Some(at(30))),
        "the deadline runs from the planning on"
    );
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(30)), Effect::Planned { attempt_no: 2 });
    let first = m.attempt(1).unwrap();
    assert_eq!((first.send_state, first.error_code.as_deref()), (SendState::Rejected, Some("withdrawn: replaced")));
    assert_eq!(apply(&mut m, leased(1, at(31)), at(31)), Effect::Ignored);

    // The first request moves the deadline, and the acceptance moves it again.
    let mut m = message(2);
    apply(&mut m, leased(1, at(20)), at(20));
    assert_eq!(m.last().replace_at, Some(at(50)));
    apply(&mut m, sent(1, accepted()), at(22));
    assert_eq!(m.last().replace_at, Some(at(52)));

    // A standby takes over for an account without capacity, and not for a person who does not react.
    let mut m = message_with_standbys();
    apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(30));
    assert_eq!((accounts(&m), m.last().timer), (vec!["wa", "wa-2"], Timer::Armed));
}

#[test]
fn what_waits_for_its_account_stays_when_nothing_can_follow() {
    let mut m = message(2);
    m.expires_at = at(60);
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(30)), Effect::Done);
    let first = m.attempt(1).unwrap();
    assert_eq!((first.timer_end, first.due_at), (Some(Why::TooLate), Some(at(0))), "it may still be sent");
    assert_eq!(apply(&mut m, leased(1, at(31)), at(31)), Effect::Leased);
}

#[test]
fn the_caller_of_a_right_code_gets_the_same_answer_again_for_ten_seconds() {
    let mut m = accepted_message(2);
    let check = |m: &mut Message, caller: Option<&str>, code: Code, now| {
        let effect = apply(m, Event::Check { code, caller: caller.map(str::to_owned) }, at(now));
        let Effect::Checked(checked) = effect else { panic!("{effect:?}") };
        checked.verdict
    };
    assert_eq!(check(&mut m, Some("a"), right_code(), 4), Verdict::Right);
    let verified = m.clone();
    assert_eq!(check(&mut m, Some("a"), right_code(), 5), Verdict::RightAgain);
    assert_eq!(m, verified, "a repeat changes nothing");
    assert_eq!(check(&mut m, Some("a"), Code::parse("999999").unwrap(), 5), Verdict::AlreadyUsed);
    assert_eq!(check(&mut m, Some("b"), right_code(), 5), Verdict::AlreadyUsed);
    assert_eq!(check(&mut m, None, right_code(), 5), Verdict::AlreadyUsed);
    assert_eq!(check(&mut m, Some("a"), right_code(), 14), Verdict::AlreadyUsed);

    let mut m = accepted_message(2);
    assert_eq!(check(&mut m, None, right_code(), 4), Verdict::Right);
    assert_eq!(check(&mut m, Some("a"), right_code(), 5), Verdict::AlreadyUsed, "nobody was named");
}

#[test]
fn a_superseded_message_sends_nothing_more_and_takes_no_code() {
    let mut m = accepted_message(2);
    assert_eq!(m.last().timer, Timer::Armed);
    assert_eq!(apply(&mut m, Event::Supersede, at(10)), Effect::Done);
    assert_eq!((m.outcome, m.settled_at), (Outcome::Superseded, Some(at(10))));
    assert_eq!((m.last().timer, m.last().timer_end), (Timer::Disarmed, Some(Why::Superseded)));
    assert_eq!(apply(&mut m, Event::Supersede, at(11)), Effect::Ignored);
    let Effect::Checked(checked) = apply(&mut m, Event::Check { code: right_code(), caller: None }, at(12)) else {
        panic!()
    };
    assert_eq!((checked.verdict, checked.tries_left), (Verdict::Superseded, 0));
    assert_eq!(apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(60)), Effect::Ignored);
    assert_eq!(m.attempts.len(), 1);

    let mut m = accepted_message(2);
    apply(&mut m, Event::Supersede, at(300));
    assert_eq!(m.outcome, Outcome::Expired, "its life was over");
}

fn any_event() -> impl Strategy<Value = (u8, i16, u8, i64)> {
    (0..13_u8, 1..4_i16, 0..4_u8, 0..40_i64)
}

/// Makes an event from drawn numbers; leases and answers use the attempt's own token, and sometimes another one.
fn event_of(kind: u8, attempt_no: i16, detail: u8, now: DateTime<Utc>) -> Event {
    let token = u128::from(attempt_no.unsigned_abs()) + if detail == 3 { 100 } else { 0 };
    let send = |result| Event::Send { attempt_no, token: Uuid::from_u128(token), result };
    let resend = OnUnknown::ResendAfter(TimeDelta::seconds(5));
    match kind {
        0 | 1 => Event::Lease { attempt_no, lease: lease(now, token), price: None },
        2 => send(accepted()),
        3 => send(rejected(ErrorClass::Retryable, (detail < 2).then_some(1500))),
        4 => send(unknown(if detail < 2 { resend } else { OnUnknown::GiveUp })),
        5 => send(SendResult::BreakerOpen { scope: Scope::Account, closed_in: TimeDelta::seconds(20) }),
        6 | 7 => receipt(attempt_no, Status::ALL[usize::from(detail)]),
        8 => Event::DeadlinePassed { attempt_no },
        9 => {
            Event::Check { code: if detail == 0 { right_code() } else { Code::parse("999999").unwrap() }, caller: None }
        }
        10 if detail == 0 => Event::Cancel,
        10 if detail == 1 => Event::Resend { channel: None },
        10 if detail == 2 => Event::Supersede,
        10 => Event::LeaseRanOut { attempt_no, on_unknown: resend },
        11 if detail == 0 => Event::KeyGone { attempt_no },
        11 => Event::AccountGone { attempt_no },
        _ => Event::LifeEnded,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Any events, in any order and with repeats: the invariants hold, the state only rises, and each attempt is
    /// replaced at most once.
    #[test]
    fn any_events_keep_the_rules(steps in 1..=3_usize, events in prop::collection::vec(any_event(), 0..60)) {
        let mut m = message(steps);
        let mut now = start();
        for (kind, attempt_no, detail, wait) in events {
            now += TimeDelta::seconds(wait);
            let before = m.clone();
            let effect = step(&mut m, &event_of(kind, attempt_no, detail, now), &keys(), now);
            prop_assert!(effect != Effect::Leased || before.may_leave(attempt_no));
            prop_assert_eq!(m.broken_rules(), Vec::<&str>::new());
            prop_assert!(m.state >= before.state);
            prop_assert!(m.attempts.len() <= before.attempts.len() + 1);
            prop_assert!(before.outcome == Outcome::Pending || m.outcome == before.outcome);
            prop_assert!(before.outcome == Outcome::Pending || m.attempts.len() == before.attempts.len());
            for (new, old) in m.attempts.iter().zip(&before.attempts) {
                prop_assert!(new.state >= old.state);
            }
        }
    }

    /// The same receipts, in any order and with repeats, give the same state and the same first times.
    #[test]
    fn order_and_repetition_of_receipts_do_not_matter(
        receipts in prop::collection::vec((0..4_u8, 0..20_i64), 1..8),
        shuffled in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let run = |order: Vec<(u8, i64)>| {
            let mut m = accepted_message(2);
            for (status, seconds) in order {
                step(&mut m, &receipt(1, Status::ALL[usize::from(status)]), &keys(), at(2 + seconds));
                assert!(m.attempts.len() <= 2);
            }
            let a = m.attempt(1).unwrap().clone();
            let seen: [FirstSeen; 4] = [a.sent, a.delivered, a.read, a.failed];
            (a.state, seen, a.error_code, a.timer == Timer::Armed)
        };
        let mut any_order: Vec<_> = shuffled.iter().map(|i| *i.get(&receipts)).collect();
        any_order.extend(receipts.iter().rev());
        prop_assert_eq!(run(any_order), run(receipts));
    }
}

/// WhatsApp with a standby account, then SMS with another.
fn message_with_standbys() -> Message {
    let mut m = message(1);
    let step = |channel, account, standby| Step { standby, ..Step::new(channel, account) };
    let steps = vec![
        step(Channel::Whatsapp, "wa", false),
        step(Channel::Whatsapp, "wa-2", true),
        step(Channel::Sms, "sms", false),
        step(Channel::Sms, "sms-2", true),
    ];
    m.route = Route::new(steps, 30, 300, "test").unwrap();
    m.arm_in_queue();
    m
}

fn accounts(message: &Message) -> Vec<&str> {
    message.attempts.iter().map(|attempt| attempt.account.as_str()).collect()
}

#[test]
fn a_standby_takes_over_for_the_account_and_never_for_the_person() {
    let failed = |class| Event::Receipt {
        attempt_no: 1,
        receipt: DeliveryReceipt {
            status: Status::Failed,
            attempt_id: None,
            provider_message_id: "pm".into(),
            provider_at: None,
            failure: Some(Failure::new("x", class)),
        },
    };
    let breaker = SendResult::BreakerOpen { scope: Scope::Account, closed_in: TimeDelta::seconds(30) };
    for (event, second) in [
        (sent(1, breaker), "wa-2"),
        (sent(1, rejected(ErrorClass::ConfigError, None)), "wa-2"),
        (sent(1, rejected(ErrorClass::RateLimited, None)), "wa-2"),
        (sent(1, rejected(ErrorClass::RecipientUnreachable, None)), "sms"),
        (failed(ErrorClass::Retryable), "wa-2"),
        (failed(ErrorClass::RecipientUnreachable), "sms"),
        (failed(ErrorClass::Expired), "sms"),
        (Event::Resend { channel: None }, "sms"),
        (Event::Resend { channel: Some(Channel::Whatsapp) }, "wa-2"),
        (Event::Resend { channel: Some(Channel::Sms) }, "sms"),
    ] {
        let mut m = message_with_standbys();
        apply(&mut m, leased(1, at(0)), at(0));
        apply(&mut m, event.clone(), at(1));
        assert_eq!(accounts(&m), ["wa", second], "{event:?}");
    }
    let mut m = message_with_standbys();
    apply(&mut m, leased(1, at(0)), at(0));
    apply(&mut m, sent(1, accepted()), at(1));
    apply(&mut m, Event::DeadlinePassed { attempt_no: 1 }, at(31));
    assert_eq!(accounts(&m), ["wa", "sms"], "no standby for a person's silence");
}

#[test]
fn the_last_account_with_a_standby_is_not_waited_for_and_fails_over_soon() {
    let mut m = message_with_standbys();
    m.attempts = vec![Attempt::planned(1, 2, Channel::Sms, "sms", Reason::First, at(0))];
    m.arm_in_queue();
    apply(&mut m, leased(1, at(0)), at(0));
    assert_eq!(m.last().timer, Timer::None, "no standby for a silent SMS");
    for n in 1..MAX_TRIES {
        apply(&mut m, sent(1, rejected(ErrorClass::Retryable, Some(400))), at(i64::from(n)));
        assert_eq!(m.last().due_at, Some(at(i64::from(n)) + TimeDelta::milliseconds(400)));
        assert_eq!(m.last().timer, Timer::Armed, "the attempt waits for the account again");
        apply(&mut m, leased(1, at(i64::from(n) + 1)), at(i64::from(n) + 1));
    }
    apply(&mut m, sent(1, rejected(ErrorClass::Retryable, Some(400))), at(5));
    assert_eq!(accounts(&m), ["sms", "sms-2"], "three tries, then the standby");
}
