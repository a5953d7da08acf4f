//! Answers, reports and the log.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::template::Fault;
use crate::wire::{RETRY_AFTER_S, digits, known, price};

pub(super) fn refuse(channel: Channel, fault: &Fault) -> Reply {
    let (field, words) = match fault {
        Fault::NotJson => ("body", "must be JSON"),
        Fault::Missing(key) => (key.as_str(), "must not be blank"),
        Fault::Unknown(key) => (key.as_str(), "is not known"),
        Fault::Wrong(key) => (key.as_str(), "is not valid"),
        Fault::Count(place) => (*place, "takes one placeholder"),
        Fault::TooLong => ("placeholders", "has at most 15 characters"),
        Fault::Spaces => ("placeholders", "has line breaks, tabs or many spaces"),
        Fault::Disagree => ("buttons", "carries another code than the body"),
        Fault::NoTemplate(_) => ("templateName", "is not registered"),
    };
    error(channel, 400, "BAD_REQUEST", "Bad request", Some((field, words)))
}

pub(super) fn trouble(channel: Channel, trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(channel, 401, "UNAUTHORIZED", "Invalid login details", None),
        Trouble::Outage => error(channel, 503, "SERVICE_UNAVAILABLE", "Temporarily unavailable", None),
        Trouble::ServerError => error(channel, 500, "GENERAL_ERROR", "Something went wrong", None),
        Trouble::RateLimited => Reply {
            retry_after_s: Some(RETRY_AFTER_S),
            ..error(channel, 429, "TOO_MANY_REQUESTS", "Too many requests", None)
        },
        Trouble::Rejected(_) => error(channel, 400, "BAD_REQUEST", "Bad request", Some(("to", "is not valid"))),
        Trouble::NoSuchMessage => error(channel, 404, "NOT_FOUND", "Not found", None),
    }
}

/// WhatsApp and SMS v3 use different formats for the same content.
fn error(channel: Channel, http: u16, word: &str, text: &str, violation: Option<(&str, &str)>) -> Reply {
    let body = if channel == Channel::Sms {
        let violations = violation.map(|(property, words)| json!({"property": property, "violation": words}));
        json!({
            "errorCode": format!("E{http}"),
            "description": text,
            "action": "Check the request against the API's description.",
            "violations": violations.into_iter().collect::<Vec<_>>(),
            "resources": [],
        })
    } else {
        let mut exception = json!({"messageId": word, "text": text});
        if let Some((property, words)) = violation {
            exception["validationErrors"] = json!({property: [words]});
        }
        json!({"requestError": {"serviceException": exception}})
    };
    let (field, words) = violation.unwrap_or_default();
    Reply { http, body: body.to_string(), retry_after_s: None, reason: format!("{word}: {text} {field} {words}") }
}

pub(super) fn id(request: &Request, draws: &Draws) -> String {
    request.reference.clone().unwrap_or_else(|| draws.bits("id").to_string())
}

pub(super) fn accepted(channel: Channel, facts: &Facts) -> (u16, String) {
    let status = if channel == Channel::Sms {
        json!({"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED",
            "description": "Message accepted, pending for delivery."})
    } else {
        json!({"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE",
            "description": "Message sent to next instance"})
    };
    (200, answer(channel, &facts.to, &facts.provider_id, status))
}

/// In the answer 200, beside the accepted messages.
pub(super) fn rejected(channel: Channel, request: &Request) -> Reply {
    let status = json!({"groupId": 5, "groupName": "REJECTED", "id": 52, "name": "REJECTED_DESTINATION",
        "description": "Invalid destination address."});
    let body = answer(channel, &request.to, request.reference.as_deref().unwrap_or("0"), status);
    Reply { http: 200, body, retry_after_s: None, reason: "REJECTED_DESTINATION".to_owned() }
}

fn answer(channel: Channel, to: &str, id: &str, status: Value) -> String {
    let to = digits(to);
    let message = if channel == Channel::Sms {
        json!({"messageId": id, "status": status, "destination": to, "details": {"messageCount": 1}})
    } else {
        json!({"to": to, "messageCount": 1, "messageId": id, "status": status})
    };
    json!({"bulkId": format!("bulk-{id}"), "messages": [message]}).to_string()
}

/// Reports to an address that the message named have no credentials; those of a subscription contain its own.
pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    let is_named = batch.first.facts.callback_url.is_some();
    let basic = batch.secret.filter(|_| !is_named).map(|pair| format!("Basic {}", BASE64_STANDARD.encode(pair)));
    let results: Vec<Value> = batch.all.iter().map(|callback| report(channel, batch.account, callback)).collect();
    let headers = basic.into_iter().map(|value| ("Authorization", value)).collect();
    Post { headers, body: json!({"results": results}).to_string() }
}

fn report(channel: Channel, account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let to = digits(&facts.to);
    if callback.status == Status::Read {
        return json!({
            "messageId": facts.provider_id,
            "from": to,
            "to": digits(&account.sender),
            "sentAt": time(facts.accepted_at),
            "seenAt": time(callback.status_at),
            "contact": {"name": "Zoë 测试 😀", "phoneNumber": to},
        });
    }
    let (status, error) = words(channel, Some(callback.status));
    json!({
        "bulkId": format!("bulk-{}", facts.provider_id),
        "price": {"pricePerMessage": price(account.price_micros), "currency": account.currency},
        "status": status,
        "error": error,
        "messageId": facts.provider_id,
        "doneAt": time(callback.status_at),
        "messageCount": 1,
        "sentAt": time(facts.accepted_at),
        "to": to,
    })
}

/// Status and error. `None`: still in progress.
fn words(channel: Channel, status: Option<Status>) -> (Value, Value) {
    let (group, group_name, id, name) = match status {
        None => (1, "PENDING", 26, "PENDING_ACCEPTED"),
        Some(Status::Sent) => (1, "PENDING", 7, "PENDING_ENROUTE"),
        Some(Status::Delivered | Status::Read) => (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
        Some(Status::Failed(_)) => (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
    };
    let (error, error_name, permanent) = match (status, channel) {
        (Some(Status::Failed(_)), Channel::Sms) => (27, "EC_ABSENT_SUBSCRIBER", false),
        (Some(Status::Failed(code)), Channel::Whatsapp) => own_error(code),
        _ => (0, "NO_ERROR", false),
    };
    let status = json!({"id": id, "groupId": group, "groupName": group_name, "name": name, "description": name});
    let error_group = if error == 0 { (0, "OK") } else { (1, "HANDSET_ERRORS") };
    let error = json!({"id": error, "name": error_name, "description": error_name, "groupId": error_group.0,
        "groupName": error_group.1, "permanent": permanent});
    (status, error)
}

/// Infobip's code for one of WhatsApp's.
fn own_error(whatsapp_code: u32) -> (u32, &'static str, bool) {
    match whatsapp_code {
        131_026 => (7_002, "EC_UNKNOWN_USER", true),
        130_403 => (7_003, "EC_BLOCKED_USER", true),
        130_472 | 131_049 => (7_032, "EC_FREQUENCY_CAPPING", true),
        131_042 => (7_019, "EC_PROVIDER_BILLING_ERROR", true),
        131_048 => (7_016, "EC_SPAM_RATE", true),
        130_429 | 131_056 => (7_017, "EC_TOO_MANY_REQUESTS", false),
        132_000 => (7_008, "EC_INVALID_TEMPLATE_ARGS", true),
        132_001 => (7_009, "EC_INVALID_TEMPLATE", true),
        _ => (7_050, "EC_PROVIDER_INTERNAL_ERROR", false),
    }
}

/// With an offset without a colon, like all of Infobip's times.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
}

/// The log of one SMS.
pub(super) fn log(account: &SimAccount, message: &SeenMessage, now: DateTime<Utc>) -> Value {
    let (status, error) = words(Channel::Sms, known(message, now));
    let done = message.truth.iter().filter(|(at, _)| *at <= now).map(|(at, _)| *at).max();
    json!({"results": [{
        "sender": account.name,
        "destination": digits(&message.to),
        "messageId": message.provider_id,
        "sentAt": time(message.received_at),
        "doneAt": done.map(time),
        "messageCount": 1,
        "price": {"pricePerMessage": price(message.price_micros), "currency": account.currency},
        "status": status,
        "error": error,
        "content": {"text": message.text},
    }]})
}
