//! Answers and callbacks.

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use reqwest::Url;
use serde_json::{Value, json};

use super::signature;
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::{RETRY_AFTER_S, known};

const API_VERSION: &str = "2010-04-01";

/// The prefix of a number.
pub(super) fn prefix(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "",
        Channel::Whatsapp => "whatsapp:",
    }
}

pub(super) fn refuse(code: u32, message: &str) -> Reply {
    error(400, code, message)
}

pub(super) fn trouble(trouble: Trouble, channel: Channel) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, 20_003, "Authenticate"),
        Trouble::Outage => error(503, 20_503, "Service unavailable"),
        Trouble::ServerError => error(500, 20_500, "Internal server error"),
        Trouble::RateLimited => Reply { retry_after_s: Some(RETRY_AFTER_S), ..error(429, 20_429, "Too Many Requests") },
        Trouble::Rejected(code) => refuse(own_code(code, channel), "The message was refused."),
        Trouble::NoSuchMessage => error(404, 20_404, "The requested resource was not found"),
    }
}

fn error(http: u16, code: u32, message: &str) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({"code": code, "message": message, "more_info": more_info, "status": http}).to_string();
    Reply { http, body, retry_after_s: None, reason: format!("{code}: {message}") }
}

/// Twilio's code for WhatsApp's code, and for any failure of an SMS.
fn own_code(code: u32, channel: Channel) -> u32 {
    match (channel, code) {
        (Channel::Sms, _) => 30_003,
        (_, 131_026) => 63_024,
        (_, 131_049) => 63_049,
        (_, 130_429 | 131_048 | 131_056) => 63_018,
        (_, 131_047) => 63_016,
        (_, 131_031 | 368) => 63_051,
        _ => 63_010,
    }
}

/// `SM` and 32 hexadecimal digits.
pub(super) fn id(draws: &Draws) -> String {
    format!("SM{:016x}{:016x}", draws.bits("id"), draws.bits("id's end"))
}

/// The answer repeats the text, and so the code, as the real one does.
pub(super) fn accepted(channel: Channel, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
    let by_service = !request.body.is_null();
    let mut message = message(channel, account, &facts.provider_id, &facts.to);
    let text = request.text.clone().or_else(|| request.code.as_ref().map(|code| format!("{code} is your code.")));
    message["body"] = json!(text);
    message["date_created"] = json!(facts.accepted_at.to_rfc2822());
    message["date_updated"] = json!(facts.accepted_at.to_rfc2822());
    message["status"] = json!(if by_service { "accepted" } else { "queued" });
    if by_service {
        message["from"] = Value::Null;
        message["messaging_service_sid"] = request.body.clone();
    }
    (201, message.to_string())
}

fn message(channel: Channel, account: &SimAccount, sid: &str, to: &str) -> Value {
    let uri = format!("/{API_VERSION}/Accounts/{}/Messages/{sid}", account.phone_number_id);
    json!({
        "account_sid": account.phone_number_id,
        "api_version": API_VERSION,
        "body": "",
        "date_created": null,
        "date_sent": null,
        "date_updated": null,
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": format!("{}{}", prefix(channel), account.sender),
        "messaging_service_sid": null,
        "num_media": "0",
        "num_segments": "1",
        "price": null,
        "price_unit": null,
        "sid": sid,
        "status": "queued",
        "subresource_uris": {"media": format!("{uri}/Media.json")},
        "to": format!("{}{to}", prefix(channel)),
        "uri": format!("{uri}.json"),
    })
}

/// One status per POST. A repeated one has the same idempotency token.
pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    let callback = batch.first;
    let params = params(channel, batch.account, callback);
    let mut headers = vec![("I-Twilio-Idempotency-Token", callback.facts.event_id(callback.status))];
    if let Some(secret) = batch.secret {
        headers.push(("X-Twilio-Signature", signature::of(secret, batch.url, &params)));
    }
    let form = Url::parse_with_params("http://form/", &params).ok();
    Post { headers, body: form.as_ref().and_then(Url::query).unwrap_or_default().to_owned() }
}

fn params(channel: Channel, account: &SimAccount, callback: &Callback) -> Vec<(&'static str, String)> {
    let (facts, word) = (&callback.facts, word(callback.status, channel));
    let address = |number: &str| format!("{}{number}", prefix(channel));
    let mut params = vec![
        ("AccountSid", account.phone_number_id.clone()),
        ("From", address(&account.sender)),
        ("MessageSid", facts.provider_id.clone()),
        ("MessageStatus", word.to_owned()),
        ("SmsSid", facts.provider_id.clone()),
        ("SmsStatus", word.to_owned()),
        ("To", address(&facts.to)),
        ("ApiVersion", API_VERSION.to_owned()),
    ];
    if channel == Channel::Whatsapp {
        params.push(("ChannelInstallSid", "XE00000000000000000000000000005100".to_owned()));
        params.push(("ChannelPrefix", "whatsapp".to_owned()));
        params.push(("ChannelToAddress", facts.to.clone()));
    } else if callback.status != Status::Sent {
        // The carrier's own time, to the minute.
        params.push(("RawDlrDoneDate", callback.status_at.format("%y%m%d%H%M").to_string()));
    }
    match callback.status {
        Status::Failed(code) => {
            params.push(("ErrorCode", own_code(code, channel).to_string()));
            if channel == Channel::Whatsapp {
                // Not ASCII, so that it shows whether values are signed as UTF-8.
                params.push(("ChannelStatusMessage", "Recipient cannot receive this message – try another way".into()));
            }
        }
        Status::Read => params.push(("EventType", "READ".to_owned())),
        Status::Sent | Status::Delivered => {}
    }
    params
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

pub(super) fn status(account: &SimAccount, seen: &SeenMessage, now: DateTime<Utc>) -> Value {
    let channel = seen.channel;
    let known = known(seen, now);
    let mut message = message(channel, account, seen.provider_id.as_deref().unwrap_or_default(), &seen.to);
    message["date_created"] = json!(seen.received_at.to_rfc2822());
    let updated = seen.truth.iter().map(|(at, _)| *at).filter(|at| *at <= now).max().unwrap_or(seen.received_at);
    message["date_updated"] = json!(updated.to_rfc2822());
    if let Some(status) = known {
        message["status"] = json!(word(status, channel));
        message["date_sent"] = json!(seen.truth.iter().map(|(at, _)| *at).min().map(|at| at.to_rfc2822()));
    }
    if let Some(Status::Failed(code)) = known {
        message["error_code"] = json!(own_code(code, channel));
        message["error_message"] = json!("The message could not be delivered.");
    }
    message
}
