//! Request and answer bodies.

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use super::signature;
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::{RETRY_AFTER_S, code_in, is_e164, known, price, rfc3339, whatsapp};

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_whatsapp_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_whatsapp_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["from", "to", "type", "template", "externalId"])?;
    template::exactly(object, "from", &account.sender)?;
    let to = number(template::text(object, "to")?)?;
    template::exactly(object, "type", "template")?;
    let reference = template::optional(object, "externalId")?.map(str::to_owned);
    let template = template::read(object, Shape::EITHER, &account.templates)?;
    Ok(Request {
        to,
        code: Some(template.code),
        text: None,
        template: Some(template.name),
        reference,
        body,
        ..Request::default()
    })
}

pub(super) fn read_sms(body: &[u8]) -> Result<Request, Reply> {
    read_sms_or_fault(body).map_err(|fault| refuse(&fault))
}

fn read_sms_or_fault(body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let known = ["to", "text", "senderId", "signature", "externalId", "callbackUrl"];
    let object = template::object(&body, "body", &known)?;
    let to = number(template::text(object, "to")?)?;
    let text = template::text(object, "text")?.to_owned();
    let sender = template::optional(object, "senderId")?.map(str::to_owned);
    template::optional(object, "signature")?;
    let reference = template::optional(object, "externalId")?.map(str::to_owned);
    let callback_url = template::optional(object, "callbackUrl")?.map(str::to_owned);
    let (code, text) = (code_in(&text), Some(text));
    Ok(Request { to, code, text, reference, sender, callback_url, body, ..Request::default() })
}

fn number(to: &str) -> Result<String, Fault> {
    if is_e164(to) { Ok(to.to_owned()) } else { Err(Fault::Wrong("to".into())) }
}

fn refuse(fault: &Fault) -> Reply {
    match fault {
        Fault::NotJson => error(400, "BAD_REQUEST", "The body is not JSON.", None),
        Fault::Missing(key) => error(400, "PARAM_MISSING", "The parameter is missing.", Some(key)),
        Fault::Unknown(key) => error(400, "PARAM_INVALID", "The parameter is not known.", Some(key)),
        Fault::Wrong(key) => error(400, "PARAM_INVALID", "The parameter is not valid.", Some(key)),
        Fault::Count(place) => upstream(400, "BAD_REQUEST", 132_000, &format!("{place}: 1 parameter expected.")),
        Fault::TooLong => error(400, "PARAM_INVALID_LENGTH", "A code has at most 15 characters.", Some("text")),
        Fault::Spaces => upstream(400, "BAD_REQUEST", 132_018, "Param text cannot have new-lines or tabs."),
        Fault::Disagree => error(400, "PARAM_NOT_MATCH", "Body and button carry different codes.", Some("template")),
        Fault::NoTemplate(_) => {
            error(403, "WHATSAPP_TEMPLATE_UNAVAILABLE", "The template cannot be used.", Some("template"))
        }
    }
}

pub(super) fn trouble(trouble: Trouble, channel: Channel) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, "UNAUTHORIZED", "The API key is missing or wrong.", None),
        Trouble::Outage => error(503, "SERVICE_UNAVAILABLE", "Temporarily unavailable.", None),
        Trouble::ServerError => error(500, "INTERNAL_SERVER_ERROR", "Something went wrong.", None),
        Trouble::RateLimited => Reply {
            retry_after_s: Some(RETRY_AFTER_S),
            ..error(429, "TOO_MANY_REQUESTS", "The request rate is too high.", None)
        },
        Trouble::Rejected(code) if channel == Channel::Whatsapp => {
            upstream(400, "BAD_REQUEST", code, whatsapp::title(code))
        }
        Trouble::Rejected(_) => {
            error(403, "RECIPIENT_IN_BLOCK_LIST", "The recipient is on the block list.", Some("to"))
        }
        Trouble::NoSuchMessage => error(404, "NOT_FOUND", "The object does not exist.", Some("id")),
    }
}

fn error(http: u16, code: &str, message: &str, target: Option<&str>) -> Reply {
    let mut body = json!({"error": {
        "status": http,
        "code": code,
        "message": message,
        "docUrl": "https://docs.ycloud.com/reference/errors",
        "requestId": format!("req_sim{http}"),
    }});
    if let Some(target) = target {
        body["error"]["target"] = json!(target);
    }
    let reason = format!("{code}: {message} {}", target.unwrap_or_default());
    Reply { http, body: body.to_string(), retry_after_s: None, reason }
}

/// An error passed on from WhatsApp: its number as text, in `whatsappApiError`.
fn upstream(http: u16, code: &str, whatsapp_code: u32, details: &str) -> Reply {
    let message = format!("(#{whatsapp_code}) {details}");
    let mut reply = error(http, code, &message, Some("whatsappApiError"));
    if let Ok(mut body) = serde_json::from_str::<Value>(&reply.body) {
        body["error"]["whatsappApiError"] = json!({
            "message": message,
            "type": "OAuthException",
            "code": whatsapp_code.to_string(),
            "fbtrace_id": format!("Asim{whatsapp_code:06}xyz"),
            "error_data": {"messaging_product": "whatsapp", "details": details},
        });
        reply.body = body.to_string();
    }
    reply
}

/// 24 hexadecimal digits.
pub(super) fn id(draws: &Draws) -> String {
    format!("{:016x}{:08x}", draws.bits("id"), draws.bits("id's end") & 0xffff_ffff)
}

/// The answer repeats the template, and so the code, as the real one does.
pub(super) fn accepted_whatsapp(account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
    let mut body = json!({
        "id": facts.provider_id,
        "wabaId": account.business_id,
        "from": account.sender,
        "to": facts.to,
        "type": "template",
        "template": request.body["template"],
        "status": "accepted",
        "createTime": rfc3339(facts.accepted_at),
        "totalPrice": price(account.price_micros),
        "currency": account.currency,
        "pricingCategory": "authentication",
        "bizType": "whatsapp",
    });
    echo(&mut body, facts.reference.as_deref());
    (200, body.to_string())
}

pub(super) fn accepted_sms(account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
    let text = request.text.as_deref().unwrap_or_default();
    let mut body = json!({
        "id": facts.provider_id,
        "to": facts.to,
        "text": text,
        "totalSegments": text.chars().count().div_ceil(160),
        "totalPrice": price(account.price_micros),
        "currency": account.currency,
        "status": "accepted",
        "createTime": rfc3339(facts.accepted_at),
        "bizType": "sms",
    });
    if let Some(sender) = request.body.get("senderId") {
        body["senderId"] = sender.clone();
    }
    echo(&mut body, facts.reference.as_deref());
    (200, body.to_string())
}

fn echo(body: &mut Value, reference: Option<&str>) {
    if let Some(reference) = reference {
        body["externalId"] = json!(reference);
    }
}

/// One event per POST: YCloud documents no batches. The signature has the time of this try.
pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    let body = event(channel, batch.account, batch.first).to_string();
    let mut headers = vec![("X-Webhook-Endpoint-ID", format!("endpoint_{}", batch.account.name))];
    if let Some(secret) = batch.secret {
        headers.push(("YCloud-Signature", signature::of(secret, batch.now.timestamp(), body.as_bytes())));
    }
    Post { headers, body }
}

fn event(channel: Channel, account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let at = callback.status_at;
    let (kind, name, payload) = if channel == Channel::Whatsapp {
        ("whatsapp.message.updated", "whatsappMessage", whatsapp_message(account, facts, callback.status, at))
    } else {
        ("sms.message.updated", "sms", sms(facts, callback.status, at))
    };
    json!({
        "id": facts.event_id(callback.status),
        "type": kind,
        "apiVersion": "v2",
        "createTime": rfc3339(at),
        name: payload,
    })
}

fn whatsapp_message(account: &SimAccount, facts: &Facts, status: Status, at: DateTime<Utc>) -> Value {
    let mut message = json!({
        "id": facts.provider_id,
        "wamid": whatsapp::wamid(&facts.to, &facts.draws),
        "wabaId": account.business_id,
        "from": account.sender,
        "to": facts.to,
        "type": "template",
        "status": word(status, Channel::Whatsapp),
        "createTime": rfc3339(facts.accepted_at),
        "updateTime": rfc3339(at),
        "totalPrice": price(account.price_micros),
        "currency": account.currency,
        "pricingCategory": "authentication",
        "pricingModel": "PMP",
        "pricingType": "regular",
        "bizType": "whatsapp",
    });
    echo(&mut message, facts.reference.as_deref());
    for (key, status) in [("sendTime", Status::Sent), ("deliverTime", Status::Delivered), ("readTime", Status::Read)] {
        if let Some(time) = facts.time_of(status, at) {
            message[key] = json!(rfc3339(time));
        }
    }
    if let Status::Failed(code) = status {
        message["errorCode"] = json!(code.to_string());
        message["errorMessage"] = json!(whatsapp::title(code));
        message["whatsappApiError"] = json!({
            "message": whatsapp::title(code),
            "code": code.to_string(),
            "error_data": {"details": "The recipient cannot receive this message."},
        });
    }
    message
}

fn sms(facts: &Facts, status: Status, at: DateTime<Utc>) -> Value {
    let mut sms = json!({
        "id": facts.provider_id,
        "to": facts.to,
        "status": word(status, Channel::Sms),
        "updateTime": rfc3339(at),
    });
    echo(&mut sms, facts.reference.as_deref());
    if matches!(status, Status::Failed(_)) {
        // Invented, because the list is not published.
        sms["errorCode"] = json!("UNDELIV");
    }
    sms
}

fn word(status: Status, channel: Channel) -> &'static str {
    match status {
        Status::Sent => "sent",
        Status::Delivered => "delivered",
        Status::Read => "read",
        Status::Failed(_) if channel == Channel::Sms => "undelivered",
        Status::Failed(_) => "failed",
    }
}

/// WhatsApp: the message. SMS: a list with one item, because YCloud offers only a list.
pub(super) fn status(channel: Channel, account: &SimAccount, message: &SeenMessage, now: DateTime<Utc>) -> Value {
    let known = known(message, now);
    let mut body = json!({
        "id": message.provider_id,
        "to": message.to,
        "status": known.map_or("accepted", |status| word(status, channel)),
        "createTime": rfc3339(message.received_at),
        "totalPrice": price(message.price_micros),
        "currency": account.currency,
    });
    echo(&mut body, message.reference.as_deref());
    if channel == Channel::Whatsapp {
        body["wabaId"] = json!(account.business_id);
        body["from"] = json!(account.sender);
        body["type"] = json!("template");
        if let Some(Status::Failed(code)) = known {
            body["errorCode"] = json!(code.to_string());
            body["errorMessage"] = json!(whatsapp::title(code));
        }
        return body;
    }
    if let Some(Status::Failed(_)) = known {
        body["errorCode"] = json!("UNDELIV");
    }
    body["text"] = json!(message.text);
    json!({"offset": 0, "limit": 10, "length": 1, "items": [body]})
}
