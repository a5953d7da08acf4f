//! A message as apps see it: no code, no full number.

use chrono::{DateTime, Utc};

use crate::api::messages as api;
use crate::domain::attempt::{Attempt, State};
use crate::domain::message::{Message, Outcome};
use crate::store::stored::StoredMessage;

/// When a message was delivered: by the first receipt, or inferred from the acceptance by a provider that never reports
/// deliveries, or from the right code.
pub fn delivered_at(message: &Message) -> Option<DateTime<Utc>> {
    let by_receipt = |a: &Attempt| [a.delivered.at, a.read.at].into_iter().flatten().min();
    let first = message.attempts.iter().filter_map(by_receipt).min();
    let inferred = match message.outcome {
        Outcome::Verified => message.settled_at,
        // A provider that never reports deliveries accepted it.
        _ => message.attempts.iter().filter_map(|a| a.accepted_at).max(),
    };
    first.or(inferred.filter(|_| message.delivery_inferred && message.state == State::Delivered))
}

pub fn view(stored: &StoredMessage) -> api::Message {
    let StoredMessage { message, recipient, labels, code_length } = stored;
    let pending = message.outcome == Outcome::Pending;
    api::Message {
        id: message.id.to_string(),
        state: message.state,
        outcome: message.outcome_now(),
        channel: message.last().channel,
        to: recipient.masked(),
        country: recipient.country().to_owned(),
        purpose: labels.purpose.clone(),
        locale: labels.locale.clone(),
        // Empty for a message from before languages were stored.
        language: Some(message.route.language.clone()).filter(|tag| !tag.is_empty()),
        reference: labels.reference.clone(),
        metadata: labels.metadata.clone().map(api::Metadata),
        code_length: *code_length,
        tries_left: if pending { message.max_tries - message.wrong_tries } else { 0 },
        created_at: message.created_at,
        expires_at: message.expires_at,
        settled_at: message.settled_at,
        delivered_at: delivered_at(message),
        delivery_inferred: message.delivery_inferred,
        replace_after_s: message.route.replace_after_s,
        attempts: message.attempts.iter().map(|a| attempt_view(message, a)).collect(),
    }
}

/// The view as JSON text, with the app's metadata unchanged.
pub fn json(stored: &StoredMessage) -> String {
    serde_json::to_string(&view(stored)).expect("a view has only strings for keys")
}

fn attempt_view(message: &Message, a: &Attempt) -> api::Attempt {
    api::Attempt {
        attempt_no: a.attempt_no,
        attempt_id: message.id.attempt(a.attempt_no).to_string(),
        channel: a.channel,
        account: a.account.clone(),
        reason: a.reason,
        state: a.state,
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
        error_code: a.error_code.clone(),
        error_class: a.error_class,
        wasted: a.wasted,
        price: a.price.clone(),
    }
}
