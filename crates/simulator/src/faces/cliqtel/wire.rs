//! Bodies in and out.

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use super::signature;
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::face::{Batch, Post, Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::whatsapp::title;
use crate::wire::{RETRY_AFTER_S, code_in, is_e164, is_web_address, known, rfc3339};

/// Source: Cliqtel, SMS reference, `body`.
const LONGEST_TEXT: usize = 1_600;

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_whatsapp_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_whatsapp_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["account_id", "to", "type", "template"])?;
    let id = object.get("account_id").ok_or_else(|| Fault::Missing("account_id".into()))?;
    if id.as_u64() != Some(account.account_id) {
        return Err(Fault::Wrong("account_id".into()));
    }
    let to = number(template::text(object, "to")?)?;
    template::exactly(object, "type", "template")?;
    let template = template::read(object, Shape::INTEGER, &account.templates)?;
    Ok(Request {
        to,
        code: Some(template.code),
        text: None,
        template: Some(template.name),
        reference: None,
        callback_url: None,
        ..Request::default()
    })
}

pub(super) fn read_sms(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_sms_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_sms_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let known = ["to", "body", "from", "from_number_id", "status_callback_url"];
    let object = template::object(&body, "body", &known)?;
    let to = number(template::text(object, "to")?)?;
    let text = template::text(object, "body")?.to_owned();
    if text.chars().count() > LONGEST_TEXT {
        return Err(Fault::Wrong("body".into()));
    }
    // Exactly one of the two.
    match (object.get("from"), object.get("from_number_id")) {
        (Some(_), None) if account.has_sender(template::text(object, "from")?) => {}
        (Some(_), None) => return Err(Fault::Wrong("from".into())),
        (None, Some(id)) if id.as_u64() == Some(account.account_id) => {}
        (None, Some(_)) => return Err(Fault::Wrong("from_number_id".into())),
        (Some(_), Some(_)) => return Err(Fault::Wrong("from".into())),
        (None, None) => return Err(Fault::Missing("from".into())),
    }
    let callback_url = template::optional(object, "status_callback_url")?;
    if callback_url.is_some_and(|url| !is_web_address(url)) {
        return Err(Fault::Wrong("status_callback_url".into()));
    }
    let callback_url = callback_url.map(str::to_owned);
    let sender = template::optional(object, "from")?.map(str::to_owned);
    Ok(Request { to, code: code_in(&text), text: Some(text), sender, callback_url, body, ..Request::default() })
}

fn number(to: &str) -> Result<String, Fault> {
    if is_e164(to) { Ok(to.to_owned()) } else { Err(Fault::Wrong("to".into())) }
}

fn refuse(fault: &Fault) -> Reply {
    let (field, words) = match fault {
        Fault::NotJson => ("body", "The body must be JSON.".to_owned()),
        Fault::Missing(key) => (key.as_str(), format!("The {key} field is required.")),
        Fault::Unknown(key) => (key.as_str(), format!("The {key} field is not known.")),
        Fault::Wrong(key) if key == "to" => ("to", "The to field must be in E.164 form.".to_owned()),
        Fault::Wrong(key) => (key.as_str(), format!("The {key} field is invalid.")),
        Fault::Count(place) => ("template", format!("The template's {place} takes one parameter.")),
        Fault::TooLong => ("template", "A code has at most 15 characters.".to_owned()),
        Fault::Spaces => ("template", "A code has no line breaks, tabs or many spaces.".to_owned()),
        Fault::Disagree => ("template", "Body and button carry different codes.".to_owned()),
        Fault::NoTemplate(_) => ("template", "The template does not exist.".to_owned()),
    };
    let mut reply = error(422, "validation_failed", "The given data was invalid.");
    reply.reason = format!("validation_failed: {words}");
    reply.body = json!({
        "error": "validation_failed",
        "message": "The given data was invalid.",
        "errors": {field: [words]},
    })
    .to_string();
    reply
}

pub(super) fn trouble(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, "unauthenticated", "The API key is missing or wrong."),
        Trouble::Outage => error(503, "service_unavailable", "Temporarily unavailable."),
        Trouble::ServerError => error(500, "server_error", "Something went wrong."),
        Trouble::RateLimited => {
            Reply { retry_after_s: Some(RETRY_AFTER_S), ..error(429, "rate_limited", "Too many requests.") }
        }
        Trouble::Rejected(_) => refuse(&Fault::Wrong("to".into())),
        Trouble::NoSuchMessage => error(404, "not_found", "No such message."),
    }
}

fn error(http: u16, word: &str, message: &str) -> Reply {
    let body = json!({"error": word, "message": message}).to_string();
    Reply { http, body, retry_after_s: None, reason: format!("{word}: {message}") }
}

/// The documents contradict each other on `data` around the answer, so both are sent: readers must accept both.
pub(super) fn accepted(channel: Channel, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
    let id = facts.provider_id.parse::<u64>().unwrap_or_default();
    let wrapped = facts.event_base().is_multiple_of(2);
    let mut message = json!({"id": id, "to": facts.to});
    let http = if channel == Channel::Sms {
        message["from"] = json!(account.sender);
        message["body"] = json!(request.text);
        201
    } else {
        message["status"] = json!("accepted");
        if wrapped { 201 } else { 200 }
    };
    let body = if wrapped { json!({"data": message}) } else { message };
    (http, body.to_string())
}

pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    let body = event(channel, batch.first).to_string();
    let header = batch.secret.map(|secret| ("X-Cliqtel-Signature", signature::of(secret, body.as_bytes())));
    Post { headers: header.into_iter().collect(), body }
}

fn event(channel: Channel, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut data = json!({
        "id": facts.provider_id.parse::<u64>().unwrap_or_default(),
        "channel": channel,
        "status": word(callback.status, channel),
        "to": facts.to,
        "timestamp": rfc3339(callback.status_at),
    });
    if let (Status::Failed(code), Channel::Whatsapp) = (callback.status, channel) {
        data["error"] = json!({"code": code, "message": title(code)});
    }
    json!({"id": facts.event_id(callback.status), "event": "message.status", "data": data})
}

fn word(status: Status, channel: Channel) -> &'static str {
    match (status, channel) {
        (Status::Sent, _) => "sent",
        (Status::Delivered, _) => "delivered",
        (Status::Read, _) => "read",
        (Status::Failed(_), Channel::Sms) => "undelivered",
        (Status::Failed(_), Channel::Whatsapp) => "failed",
    }
}

pub(super) fn status(message: &SeenMessage, now: DateTime<Utc>) -> Value {
    let id = message.provider_id.as_deref().and_then(|id| id.parse::<u64>().ok());
    json!({"data": {
        "id": id,
        "to": message.to,
        "status": known(message, now).map_or("accepted", |status| word(status, message.channel)),
    }})
}
