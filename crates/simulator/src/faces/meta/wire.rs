//! Request and answer bodies. Outgoing ones are escaped as Meta escapes them.

use serde_json::{Value, json};

use super::signature::{self, escape};
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::face::{Batch, Post, Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::whatsapp::title;
use crate::wire::{digits, is_e164};

/// Maximum length of `biz_opaque_callback_data`; assumed, because Meta publishes none.
const LONGEST_REFERENCE: usize = 256;

/// The name of everybody in `contacts`. Not ASCII, so that every callback except `failed` shows whether its raw bytes
/// were verified.
const PROFILE_NAME: &str = "Zoë 测试 😀";

/// `v25.0`
pub(super) fn is_version(text: &str) -> bool {
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    numbers.is_some_and(|(major, minor)| major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok())
}

pub(super) fn read(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let known = ["messaging_product", "recipient_type", "to", "type", "template", "biz_opaque_callback_data"];
    let object = template::object(&body, "body", &known)?;
    template::exactly(object, "messaging_product", "whatsapp")?;
    if template::optional(object, "recipient_type")?.is_some_and(|kind| kind != "individual") {
        return Err(Fault::Wrong("recipient_type".into()));
    }
    let to = template::text(object, "to")?;
    // Without `+` the digits are taken as a national number of the business's own country.
    let to = if to.starts_with('+') { to.to_owned() } else { format!("{}{to}", country_of(&account.sender)) };
    if !is_e164(&to) {
        return Err(Fault::Wrong("to".into()));
    }
    template::exactly(object, "type", "template")?;
    let reference = template::optional(object, "biz_opaque_callback_data")?;
    if reference.is_some_and(|text| text.chars().count() > LONGEST_REFERENCE) {
        return Err(Fault::Wrong("biz_opaque_callback_data".into()));
    }
    let template = template::read(object, Shape::EITHER, &account.templates)?;
    Ok(Request {
        to,
        code: Some(template.code),
        text: None,
        template: Some(template.name),
        reference: reference.map(str::to_owned),
        callback_url: None,
        ..Request::default()
    })
}

/// All senders here are North American.
fn country_of(sender: &str) -> &str {
    sender.get(..2).unwrap_or("+1")
}

fn refuse(fault: &Fault) -> Reply {
    match fault {
        Fault::NotJson => error(400, 100, "Invalid parameter", "The body is not JSON."),
        Fault::Unknown(key) => error(400, 100, "Invalid parameter", &format!("Unexpected key \"{key}\".")),
        Fault::Missing(key) if ["button", "sub_type", "index", "parameters", "text", "to"].contains(&key.as_str()) => {
            error(400, 131_008, "Required parameter is missing", &format!("The {key} parameter is missing."))
        }
        Fault::Missing(key) => error(400, 100, "Invalid parameter", &format!("The parameter {key} is required.")),
        Fault::Wrong(key) => error(400, 131_009, "Parameter value is not valid", &format!("{key} is not valid.")),
        Fault::Count(place) => {
            let details = format!("{place}: number of localizable parameters does not match the expected 1.");
            error(400, 132_000, "Number of parameters does not match", &details)
        }
        Fault::TooLong => error(400, 132_005, "Translated text too long", "A code has at most 15 characters."),
        Fault::Spaces => {
            let details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces.";
            error(400, 132_018, "Template parameters failed validation", details)
        }
        Fault::Disagree => {
            error(400, 132_018, "Template parameters failed validation", "Body and button carry different codes.")
        }
        Fault::NoTemplate(name) => {
            error(404, 132_001, "Template name does not exist in the translation", &format!("No template {name}."))
        }
    }
}

pub(super) fn trouble(trouble: Trouble) -> Reply {
    match trouble {
        // A plain Graph error: no prefix, no `error_data`.
        Trouble::Unauthorized => plain(401, 190, "Invalid OAuth access token.", false),
        Trouble::Outage => plain(503, 2, "(#2) Service temporarily unavailable", true),
        Trouble::ServerError => {
            error(500, 131_000, "Something went wrong", "The message failed for an unknown reason.")
        }
        // HTTP 400, not 429, and no Retry-After.
        Trouble::RateLimited => {
            error(400, 130_429, "Rate limit hit", "Cloud API throughput for the number has been reached.")
        }
        Trouble::Rejected(code) => error(400, code, title(code), "The recipient cannot receive this message."),
        Trouble::NoSuchMessage => plain(
            400,
            100,
            "Unsupported post request. Object does not exist, cannot be loaded due to missing permissions, or does \
             not support this operation",
            false,
        ),
    }
}

fn error(http: u16, code: u32, title: &str, details: &str) -> Reply {
    let message = format!("(#{code}) {title}");
    let body = json!({"error": {
        "message": message,
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": format!("Asim{code:06}xyz"),
    }});
    Reply { http, body: escape(&body.to_string()), retry_after_s: None, reason: format!("{message}: {details}") }
}

fn plain(http: u16, code: u32, message: &str, transient: bool) -> Reply {
    let mut body = json!({"error": {
        "message": message, "type": "OAuthException", "code": code, "fbtrace_id": format!("Asim{code:06}xyz"),
    }});
    if transient {
        body["error"]["is_transient"] = json!(true);
    }
    Reply { http, body: escape(&body.to_string()), retry_after_s: None, reason: message.to_owned() }
}

pub(super) fn accepted(request: &Request, facts: &Facts) -> (u16, String) {
    let mut message = json!({"id": facts.provider_id});
    // `message_status` may be absent.
    if facts.event_base().is_multiple_of(2) {
        message["message_status"] = json!("accepted");
    }
    let body = json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": request.to, "wa_id": digits(&request.to)}],
        "messages": [message],
    });
    (200, escape(&body.to_string()))
}

pub(super) fn post(batch: &Batch<'_>) -> Post {
    // `contacts` is absent when a message failed, so failures get a change of their own.
    let (failed, well): (Vec<&Callback>, Vec<&Callback>) =
        batch.all.iter().partition(|callback| matches!(callback.status, Status::Failed(_)));
    let changes: Vec<Value> = [well, failed]
        .iter()
        .filter(|callbacks| !callbacks.is_empty())
        .map(|callbacks| json!({"field": "messages", "value": value(batch.account, callbacks)}))
        .collect();
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": batch.account.business_id, "changes": changes}],
    });
    let body = escape(&body.to_string());
    let header = batch.secret.map(|secret| ("X-Hub-Signature-256", signature::of(secret, body.as_bytes())));
    Post { headers: header.into_iter().collect(), body }
}

fn value(account: &SimAccount, callbacks: &[&Callback]) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": digits(&account.sender),
            "phone_number_id": account.phone_number_id,
        },
        "statuses": callbacks.iter().map(|callback| status(callback)).collect::<Vec<_>>(),
    });
    let mut contacts: Vec<&str> = Vec::new();
    for callback in callbacks.iter().filter(|callback| !matches!(callback.status, Status::Failed(_))) {
        let wa_id = digits(&callback.facts.to);
        if !contacts.contains(&wa_id) {
            contacts.push(wa_id);
        }
    }
    if !contacts.is_empty() {
        let each = contacts.iter().map(|wa_id| json!({"profile": {"name": PROFILE_NAME}, "wa_id": wa_id}));
        value["contacts"] = each.collect();
    }
    value
}

fn status(callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut status = json!({
        "id": facts.provider_id,
        "status": match callback.status {
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Failed(_) => "failed",
        },
        // Seconds, as text.
        "timestamp": callback.status_at.timestamp().to_string(),
        "recipient_id": digits(&facts.to),
    });
    if let Some(reference) = &facts.reference {
        status["biz_opaque_callback_data"] = json!(reference);
    }
    match callback.status {
        Status::Failed(code) => {
            status["errors"] = json!([{
                "code": code,
                "title": title(code),
                "message": title(code),
                "error_data": {"details": "The message could not be delivered to this recipient."},
                "href": "/documentation/business-messaging/whatsapp/support/error-codes",
            }]);
        }
        Status::Read => {}
        Status::Sent | Status::Delivered => {
            status["pricing"] = json!({
                "billable": true, "pricing_model": "PMP", "type": "regular", "category": "authentication",
            });
        }
    }
    status
}
