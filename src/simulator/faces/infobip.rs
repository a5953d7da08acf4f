//! Infobip, WhatsApp template v1 and SMS v3. Source: Infobip, API description 3.210.0, "Response status and error codes",
//! "Logs". A message's id is the one that the client chose.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::template::{self, Fault};
use super::{Facts, RETRY_AFTER_S, Reply, Request, Trouble, code_in, e164_of, known, price};
use crate::domain::channel::Channel;
use crate::simulator::book::SeenMessage;
use crate::simulator::config::{Face, SimAccount};
use crate::simulator::draw::Draws;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;

/// Source: Infobip, WhatsApp and SMS, `messageId`, `callbackData`.
const LONGEST_ID: usize = 200;

/// Source: Infobip, SMS, `validityPeriod`: at most 48 h.
const LONGEST_VALIDITY_S: u64 = 48 * 3_600;

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_whatsapp_or_fault(account, body).map_err(|fault| refuse(Face::InfobipWhatsapp, &fault))
}

fn read_whatsapp_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let message = only_message(&body, &["from", "to", "messageId", "content", "callbackData", "notifyUrl"])?;
    template::exactly(message, "from", account.sender.trim_start_matches('+'))?;
    let to = number(message)?;
    let content = template::child(message, "content", &["templateName", "templateData", "language"])?;
    let name = template::text(content, "templateName")?;
    let name = template::existing_name(name, template::text(content, "language")?, &account.templates)?;
    let data = template::child(content, "templateData", &["body", "buttons"])?;
    let placeholders = template::child(data, "body", &["placeholders"])?;
    let in_body = template::only(placeholders, "placeholders").map_err(|_| Fault::Count("body"))?;
    let in_body = in_body.as_str().ok_or_else(|| Fault::Wrong("placeholders".into()))?;
    let button = template::object(template::only(data, "buttons")?, "buttons", &["type", "parameter"])?;
    template::exactly(button, "type", "URL")?;
    let code = template::the_code(in_body, template::text(button, "parameter")?)?;
    Ok(Request {
        to,
        code: Some(code),
        text: None,
        template: Some(name),
        reference: message_id(message)?,
        callback_url: address(message, "notifyUrl")?,
        body: Value::Null,
    })
}

pub(super) fn read_sms(body: &[u8]) -> Result<Request, Reply> {
    read_sms_or_fault(body).map_err(|fault| refuse(Face::InfobipSms, &fault))
}

fn read_sms_or_fault(body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let message = only_message(&body, &["sender", "destinations", "content", "options", "webhooks"])?;
    template::text(message, "sender")?;
    let destination = template::only(message, "destinations")?;
    let destination = template::object(destination, "destinations", &["to", "messageId"])?;
    let text = template::text(template::child(message, "content", &["text"])?, "text")?.to_owned();
    if message.contains_key("options") {
        validity(template::child(message, "options", &["validityPeriod"])?)?;
    }
    let callback_url = if message.contains_key("webhooks") {
        let webhooks = template::child(message, "webhooks", &["delivery", "contentType", "callbackData"])?;
        template::exactly(webhooks, "contentType", "application/json")?;
        address(template::child(webhooks, "delivery", &["url", "intermediateReport"])?, "url")?
    } else {
        None
    };
    let (to, reference) = (number(destination)?, message_id(destination)?);
    Ok(Request {
        to,
        code: code_in(&text),
        text: Some(text),
        template: None,
        reference,
        callback_url,
        body: Value::Null,
    })
}

/// Many can be sent at once; we look at one.
fn only_message<'v>(body: &'v Value, known: &[&str]) -> Result<&'v Map<String, Value>, Fault> {
    let object = template::object(body, "body", &["messages", "options"])?;
    template::object(template::only(object, "messages")?, "messages", known)
}

/// Digits without `+`.
fn number(object: &Map<String, Value>) -> Result<String, Fault> {
    e164_of(template::text(object, "to")?).ok_or_else(|| Fault::Wrong("to".into()))
}

fn message_id(object: &Map<String, Value>) -> Result<Option<String>, Fault> {
    match template::optional(object, "messageId")? {
        Some(id) if id.chars().count() > LONGEST_ID => Err(Fault::Wrong("messageId".into())),
        id => Ok(id.map(str::to_owned)),
    }
}

fn address(object: &Map<String, Value>, key: &str) -> Result<Option<String>, Fault> {
    let url = template::optional(object, key)?;
    match url {
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => Err(Fault::Wrong(key.into())),
        url => Ok(url.map(str::to_owned)),
    }
}

fn validity(options: &Map<String, Value>) -> Result<(), Fault> {
    let period = template::child(options, "validityPeriod", &["amount", "timeUnit"])?;
    let wrong = || Fault::Wrong("validityPeriod".into());
    let unit_s = match template::text(period, "timeUnit")? {
        "SECONDS" => 1,
        "MINUTES" => 60,
        "HOURS" => 3_600,
        _ => return Err(wrong()),
    };
    let amount = period.get("amount").and_then(Value::as_u64).ok_or_else(wrong)?;
    let fits = amount.checked_mul(unit_s).is_some_and(|s| (1..=LONGEST_VALIDITY_S).contains(&s));
    if fits { Ok(()) } else { Err(wrong()) }
}

fn refuse(face: Face, fault: &Fault) -> Reply {
    let (field, words) = match fault {
        Fault::NotJson => ("body", "must be JSON"),
        Fault::Missing(key) => (key.as_str(), "must not be blank"),
        Fault::Unknown(key) => (key.as_str(), "is not known"),
        Fault::Wrong(key) => (key.as_str(), "is not valid"),
        Fault::Count(place) => (*place, "takes one placeholder"),
        Fault::TooLong => ("placeholders", "has at most 15 characters"),
        Fault::Disagree => ("buttons", "carries another code than the body"),
        Fault::NoTemplate(_) => ("templateName", "is not registered"),
    };
    error(face, 400, "BAD_REQUEST", "Bad request", Some((field, words)))
}

pub(super) fn trouble(face: Face, trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(face, 401, "UNAUTHORIZED", "Invalid login details", None),
        Trouble::Outage => error(face, 503, "SERVICE_UNAVAILABLE", "Temporarily unavailable", None),
        Trouble::ServerError => error(face, 500, "GENERAL_ERROR", "Something went wrong", None),
        Trouble::RateLimited => Reply {
            retry_after_s: Some(RETRY_AFTER_S),
            ..error(face, 429, "TOO_MANY_REQUESTS", "Too many requests", None)
        },
        Trouble::Rejected(_) => error(face, 400, "BAD_REQUEST", "Bad request", Some(("to", "is not valid"))),
        Trouble::NoSuchMessage => error(face, 404, "NOT_FOUND", "Not found", None),
    }
}

/// WhatsApp and SMS v3 put the same into other words.
fn error(face: Face, http: u16, word: &str, text: &str, violation: Option<(&str, &str)>) -> Reply {
    let body = if face == Face::InfobipSms {
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

pub(super) fn accepted(face: Face, facts: &Facts) -> (u16, String) {
    let status = if face == Face::InfobipSms {
        json!({"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED",
            "description": "Message accepted, pending for delivery."})
    } else {
        json!({"groupId": 1, "groupName": "PENDING", "id": 7, "name": "PENDING_ENROUTE",
            "description": "Message sent to next instance"})
    };
    (200, answer(face, &facts.to, &facts.provider_id, status))
}

/// In the answer 200, beside the messages that were taken.
pub(super) fn rejected(face: Face, request: &Request) -> Reply {
    let status = json!({"groupId": 5, "groupName": "REJECTED", "id": 52, "name": "REJECTED_DESTINATION",
        "description": "Invalid destination address."});
    let body = answer(face, &request.to, request.reference.as_deref().unwrap_or("0"), status);
    Reply { http: 200, body, retry_after_s: None, reason: "REJECTED_DESTINATION".to_owned() }
}

fn answer(face: Face, to: &str, id: &str, status: Value) -> String {
    let to = to.trim_start_matches('+');
    let message = if face == Face::InfobipSms {
        json!({"messageId": id, "status": status, "destination": to, "details": {"messageCount": 1}})
    } else {
        json!({"to": to, "messageCount": 1, "messageId": id, "status": status})
    };
    json!({"bulkId": format!("bulk-{id}"), "messages": [message]}).to_string()
}

/// Reports to an address that the message named come without credentials; those of a subscription show its own.
pub(super) fn post(
    account: &SimAccount,
    secret: Option<&str>,
    batch: &[Callback],
) -> (Vec<(&'static str, String)>, String) {
    let is_named = batch.first().is_some_and(|callback| callback.facts.callback_url.is_some());
    let basic = secret.filter(|_| !is_named).map(|pair| format!("Basic {}", BASE64_STANDARD.encode(pair)));
    let results: Vec<Value> = batch.iter().map(|callback| report(account, callback)).collect();
    (basic.into_iter().map(|value| ("Authorization", value)).collect(), json!({"results": results}).to_string())
}

fn report(account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let to = facts.to.trim_start_matches('+');
    if callback.status == Status::Read {
        return json!({
            "messageId": facts.provider_id,
            "from": to,
            "to": account.sender.trim_start_matches('+'),
            "sentAt": time(facts.accepted_at),
            "seenAt": time(callback.status_at),
            "contact": {"name": "Zoë 测试 😀", "phoneNumber": to},
        });
    }
    let (status, error) = words(account.face.channel(), Some(callback.status));
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

/// Status and error. `None`: still with them.
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

/// Infobip's number for one of Meta's.
fn own_error(meta_code: u32) -> (u32, &'static str, bool) {
    match meta_code {
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

/// With an offset without a colon, as all of Infobip's times.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
}

/// The log of one SMS.
pub(super) fn log(account: &SimAccount, message: &SeenMessage, now: DateTime<Utc>) -> Value {
    let (status, error) = words(Channel::Sms, known(message, now));
    let done = message.truth.iter().filter(|(at, _)| *at <= now).map(|(at, _)| *at).max();
    json!({"results": [{
        "sender": account.name,
        "destination": message.to.trim_start_matches('+'),
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
