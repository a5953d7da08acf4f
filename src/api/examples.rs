//! Examples for the OpenAPI document, as values of the types, so that they cannot differ from them.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::api::channels::{Channels, OfferedChannel};
use crate::api::checks::CheckAnswer;
use crate::api::health::{Health, Readiness};
use crate::api::messages::{Attempt, Message, MessageList, Metadata};
use crate::api::problems::{Kind, Problem, WrongField};
use crate::api::requests::{ChannelsRequest, CheckRequest, MessageRequest, ResendRequest};
use crate::api::timeline::{Entry, Timeline};
use crate::api::words::CheckReason;
use crate::api::words::EventKind;
use crate::domain::attempt::{Reason, SendState, State, Timer};
use crate::domain::channel::Channel;
use crate::domain::field_code::FieldCode;
use crate::domain::message::Outcome;
use crate::domain::price::Price;

/// Shown wherever a message's id is needed.
pub(super) const ID: &str = "01a21a05-6fd3-7028-b0ff-345139de3d00";

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_789_034_400_000 + millis).expect("a time")
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn price(micros: i64) -> Option<Price> {
    Some(Price { micros, currency: "USD".to_owned() })
}

pub(super) fn message_request() -> MessageRequest {
    MessageRequest {
        to: "+628123450003".to_owned(),
        purpose: Some("login".to_owned()),
        locale: Some(json("\"id-ID\"")),
        reference: Some("order-4711".to_owned()),
        metadata: Some(json(r#"{"session":"a1b2"}"#)),
        ..MessageRequest::default()
    }
}

pub(super) fn check_request() -> CheckRequest {
    CheckRequest { code: "493817".to_owned().into() }
}

pub(super) fn resend_request() -> ResendRequest {
    ResendRequest { channel: Some("sms".to_owned()) }
}

pub(super) fn channels_request() -> ChannelsRequest {
    ChannelsRequest { to: "+628123450003".to_owned(), purpose: Some("login".to_owned()) }
}

/// A WhatsApp message that stayed silent, and the SMS that took over.
pub(super) fn message() -> Message {
    Message {
        id: ID.to_owned(),
        state: State::Delivered,
        outcome: Outcome::Pending,
        channel: Channel::Sms,
        to: "+62 … 03".to_owned(),
        country: "ID".to_owned(),
        purpose: "login".to_owned(),
        locale: Some("id-ID".to_owned()),
        language: Some("id".to_owned()),
        reference: Some("order-4711".to_owned()),
        metadata: Some(Metadata(json(r#"{"session":"a1b2"}"#))),
        code_length: 6,
        tries_left: 5,
        created_at: at(0),
        expires_at: at(300_000),
        settled_at: None,
        delivered_at: Some(at(33_100)),
        delivery_inferred: false,
        replace_after_s: 30,
        attempts: vec![
            Attempt {
                sent_at: Some(at(900)),
                timer: Timer::Fired,
                replace_at: Some(at(30_240)),
                price: price(25_000),
                ..attempt(1, Channel::Whatsapp, "whatsapp-main", Reason::First, 0)
            },
            Attempt {
                state: State::Delivered,
                delivered_at: Some(at(33_100)),
                price: price(40_000),
                ..attempt(2, Channel::Sms, "sms-main", Reason::Silent, 30_240)
            },
        ],
    }
}

fn attempt(attempt_no: i16, channel: Channel, account: &str, reason: Reason, planned: i64) -> Attempt {
    Attempt {
        attempt_no,
        attempt_id: format!("{}{attempt_no:02}", &ID[..34]),
        channel,
        account: account.to_owned(),
        reason,
        state: State::Sent,
        send_state: SendState::Accepted,
        tries: 1,
        planned_at: at(planned),
        accepted_at: Some(at(planned + 240)),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
        timer: Timer::None,
        replace_at: None,
        not_replaced: None,
        error_code: None,
        error_class: None,
        wasted: false,
        price: None,
    }
}

/// The answer to `POST /v1/messages`.
pub(super) fn accepted() -> Message {
    let first = Attempt {
        state: State::Accepted,
        send_state: SendState::Planned,
        tries: 0,
        accepted_at: None,
        timer: Timer::Armed,
        replace_at: Some(at(30_000)),
        ..attempt(1, Channel::Whatsapp, "whatsapp-main", Reason::First, 0)
    };
    Message {
        state: State::Accepted,
        channel: Channel::Whatsapp,
        delivered_at: None,
        attempts: vec![first],
        ..message()
    }
}

/// The answer to a resend.
pub(super) fn resent() -> Message {
    let mut message = accepted();
    message.channel = Channel::Sms;
    let first = &mut message.attempts[0];
    (first.send_state, first.tries, first.accepted_at) = (SendState::Accepted, 1, Some(at(240)));
    (first.timer, first.replace_at) = (Timer::Disarmed, Some(at(30_240)));
    message.attempts.push(Attempt {
        state: State::Accepted,
        send_state: SendState::Planned,
        tries: 0,
        accepted_at: None,
        ..attempt(2, Channel::Sms, "sms-main", Reason::Requested, 12_000)
    });
    message
}

/// The answer to a cancel.
pub(super) fn cancelled() -> Message {
    let mut message = accepted();
    (message.outcome, message.tries_left, message.settled_at) = (Outcome::Cancelled, 0, Some(at(9_000)));
    let first = &mut message.attempts[0];
    (first.send_state, first.tries, first.accepted_at) = (SendState::Accepted, 1, Some(at(240)));
    (first.timer, first.replace_at) = (Timer::Disarmed, Some(at(30_240)));
    message
}

pub(super) fn list() -> MessageList {
    MessageList { messages: vec![message()], next: Some(ID.to_owned()) }
}

pub(super) fn timeline() -> Timeline {
    let entry = |millis, event, attempt_no, text: &str| Entry {
        at: at(millis),
        event,
        attempt_no,
        text: text.to_owned(),
        provider_at: None,
        lateness_ms: None,
    };
    let mut timeline = vec![
        entry(0, EventKind::Planned, Some(1), "first attempt: whatsapp through whatsapp-main"),
        entry(240, EventKind::TimerArmed, Some(1), "waits for a delivery until 10:00:30.240"),
        entry(900, EventKind::Receipt, Some(1), "sent receipt: applied"),
        entry(30_240, EventKind::TimerFired, Some(1), "not delivered in time"),
        entry(30_246, EventKind::Request, Some(2), "request 1 sent to sms-main"),
    ];
    timeline[2].provider_at = Some(at(0));
    timeline[4].lateness_ms = Some(6.1);
    Timeline { message: message(), timeline, next: None }
}

pub(super) fn right() -> CheckAnswer {
    CheckAnswer { valid: true, outcome: Outcome::Verified, tries_left: 0, reason: None }
}

pub(super) fn wrong() -> CheckAnswer {
    CheckAnswer { valid: false, outcome: Outcome::Pending, tries_left: 4, reason: Some(CheckReason::WrongCode) }
}

pub(super) fn channels() -> Channels {
    let offered = |channel, recommended, price| OfferedChannel { channel, recommended, price };
    Channels {
        to: "+62 … 03".to_owned(),
        country: "ID".to_owned(),
        channels: vec![offered(Channel::Whatsapp, true, price(25_000)), offered(Channel::Sms, false, price(40_000))],
    }
}

pub(super) fn health() -> Health {
    Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

pub(super) fn ready() -> Readiness {
    Readiness { status: "ready".to_owned(), reasons: Vec::new() }
}

pub(super) fn not_ready() -> Readiness {
    Readiness { status: "not ready".to_owned(), reasons: vec!["the database does not answer".to_owned()] }
}

/// A document of this type, with the first of its codes.
pub(super) fn problem(kind: Kind) -> Problem {
    let code = kind.codes().swap_remove(0);
    match kind {
        Kind::InvalidField => {
            let reason = "is a fixed-line number; no codes are sent to those".to_owned();
            let code = FieldCode::NumberFixedLine.to_string();
            let wrong = WrongField { field: "to".to_owned(), code: code.clone(), reason };
            kind.document(code, format!("to: {}", wrong.reason), vec![wrong])
        }
        Kind::Settled => kind.document(code, "the message is verified; start a new one".to_owned(), Vec::new()),
        Kind::NoNextAttempt => {
            kind.document(code, "the last attempt has not left yet; wait for it".to_owned(), Vec::new())
        }
        _ => kind.document(code, kind.about().when.to_owned(), Vec::new()),
    }
}
