//! A message as apps see it: no code, no full number.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::attempt::{Attempt, Reason, SendState, State, Timer, Why};
use crate::domain::channel::Channel;
use crate::domain::message::{Message, Outcome};
use crate::domain::receipt::ErrorClass;
use crate::store::messages::StoredMessage;

#[derive(Serialize)]
pub struct MessageView<'a> {
    id: String,
    state: &'static str,
    outcome: Outcome,
    /// Of the last attempt.
    channel: Channel,
    to: String,
    country: &'a str,
    purpose: &'a str,
    locale: Option<&'a str>,
    /// Chosen by locale and country; `None` for a message from before there were languages.
    language: Option<&'a str>,
    reference: Option<&'a str>,
    metadata: Option<&'a RawValue>,
    code_length: i16,
    tries_left: i16,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    /// Delivered because the right code came back, while no receipt said so.
    delivery_inferred: bool,
    replace_after_s: i16,
    attempts: Vec<AttemptView<'a>>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    attempt_no: i16,
    attempt_id: String,
    channel: Channel,
    account: &'a str,
    reason: Reason,
    state: &'static str,
    send_state: SendState,
    tries: i16,
    planned_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    timer: Timer,
    replace_at: Option<DateTime<Utc>>,
    not_replaced: Option<Why>,
    error_code: Option<&'a str>,
    error_class: Option<ErrorClass>,
    wasted: bool,
    price: Option<String>,
}

/// When a message was delivered: by the first receipt, or inferred from the right code.
pub fn delivered_at(message: &Message) -> Option<DateTime<Utc>> {
    let by_receipt = |a: &Attempt| [a.delivered.at, a.read.at].into_iter().flatten().min();
    let first = message.attempts.iter().filter_map(by_receipt).min();
    first.or(message.settled_at.filter(|_| message.delivery_inferred && message.state == State::Delivered))
}

pub fn view(stored: &StoredMessage) -> MessageView<'_> {
    let StoredMessage { message, recipient, labels, code_length } = stored;
    let attempts = message.attempts.iter().map(|a| attempt_view(message, a)).collect();
    let pending = message.outcome == Outcome::Pending;
    MessageView {
        id: message.id.to_string(),
        state: message.state.as_str(),
        outcome: message.outcome,
        channel: message.last().channel,
        to: recipient.masked(),
        country: recipient.country(),
        purpose: &labels.purpose,
        locale: labels.locale.as_deref(),
        language: Some(message.route.language.as_str()).filter(|tag| !tag.is_empty()),
        reference: labels.reference.as_deref(),
        metadata: labels.metadata.as_deref(),
        code_length: *code_length,
        tries_left: if pending { message.max_tries - message.wrong_tries } else { 0 },
        created_at: message.created_at,
        expires_at: message.expires_at,
        settled_at: message.settled_at,
        delivered_at: delivered_at(message),
        delivery_inferred: message.delivery_inferred,
        replace_after_s: message.route.replace_after_s,
        attempts,
    }
}

/// The view as JSON text: what the app attached stands in it as it came.
pub fn json(stored: &StoredMessage) -> String {
    serde_json::to_string(&view(stored)).expect("a view has only strings for keys")
}

fn attempt_view<'a>(message: &Message, a: &'a Attempt) -> AttemptView<'a> {
    AttemptView {
        attempt_no: a.attempt_no,
        attempt_id: message.id.attempt(a.attempt_no).to_string(),
        channel: a.channel,
        account: &a.account,
        reason: a.reason,
        state: a.state.as_str(),
        send_state: a.send_state,
        tries: a.tries,
        planned_at: a.planned_at,
        accepted_at: a.accepted_at,
        sent_at: a.sent.at,
        delivered_at: a.delivered.at,
        read_at: a.read.at,
        failed_at: a.failed.at,
        timer: a.timer,
        replace_at: a.replace_at,
        not_replaced: a.not_replaced,
        error_code: a.error_code.as_deref(),
        error_class: a.error_class,
        wasted: a.wasted,
        price: a.price.as_ref().map(ToString::to_string),
    }
}
