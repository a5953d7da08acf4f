//! Answers and callbacks.

use otpost_domain::channel::Channel;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{APPLICATION_ID, signature};
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Trouble};
use crate::engine::plan::Status;
use crate::wire::template::Fault;
use crate::wire::{RETRY_AFTER_S, digits, price, rfc3339};

/// `code`: 1150 for "invalid params", 1022 for "invalid template".
pub(super) fn refuse(code: u32, fault: &Fault) -> Reply {
    let (name, why) = match fault {
        Fault::NotJson => ("body", "is not JSON"),
        Fault::Missing(key) => (key.as_str(), "is required"),
        Fault::Unknown(key) => (key.as_str(), "is not known"),
        Fault::Wrong(key) => (key.as_str(), "invalid value"),
        Fault::Count(place) => (*place, "takes one text"),
        Fault::TooLong => ("template", "has more than 15 characters"),
        Fault::Spaces => ("template", "has line breaks, tabs or many spaces"),
        Fault::Disagree => ("template", "carries two codes"),
        Fault::NoTemplate(name) => (name.as_str(), "does not exist"),
    };
    let mut reply = numbered(422, code, if code == 1022 { "Invalid template" } else { "Invalid params" });
    if let Ok(mut body) = serde_json::from_str::<Value>(&reply.body) {
        body["invalid_parameters"] = json!([{"name": name, "reason": why}]);
        reply.body = body.to_string();
    }
    reply.reason = format!("{code}: {name} {why}");
    reply
}

pub(super) fn trouble(trouble: Trouble, channel: Channel) -> Reply {
    match trouble {
        Trouble::Unauthorized => problem(401, "#unauthorized", "Unauthorized"),
        Trouble::Outage => problem(503, "#unavailable", "Service Unavailable"),
        Trouble::ServerError => problem(500, "#internal-error", "Internal Error"),
        Trouble::RateLimited => {
            Reply { retry_after_s: Some(RETRY_AFTER_S), ..problem(429, "#throttled", "Rate Limit Hit") }
        }
        Trouble::Rejected(code) => numbered(422, own_code(code, channel), "Rejected"),
        Trouble::NoSuchMessage => problem(404, "#not-found", "Not Found"),
    }
}

fn numbered(http: u16, code: u32, title: &str) -> Reply {
    problem(http, &format!("/messages#{code}"), title)
}

fn problem(http: u16, place: &str, title: &str) -> Reply {
    let body = json!({
        "type": format!("https://developer.vonage.com/api-errors{place}"),
        "title": title,
        "detail": "The request was not taken.",
        "instance": format!("sim{http}"),
    });
    Reply { http, body: body.to_string(), retry_after_s: None, reason: format!("{place}: {title}") }
}

/// Vonage's code for WhatsApp's code, and for any failure of an SMS.
fn own_code(code: u32, channel: Channel) -> u32 {
    match (channel, code) {
        (Channel::Sms, _) => 1180,
        (_, 131_026) => 1300,
        (_, 130_429 | 131_048 | 131_056) => 1000,
        (_, 131_047) => 1340,
        (_, 131_049) => 1310,
        (_, 132_000..=132_099) => 1022,
        _ => 1330,
    }
}

pub(super) fn id(draws: &Draws) -> String {
    uuid(draws.bits("id"), draws.bits("id's end"))
}

fn uuid(start: u64, end: u64) -> String {
    uuid::Uuid::from_u64_pair(start, end).to_string()
}

pub(super) fn accepted(facts: &Facts) -> (u16, String) {
    (202, json!({"message_uuid": facts.provider_id}).to_string())
}

/// One status per POST. Every try has a new token; whether the real service does that is not documented.
pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    let (callback, now) = (batch.first, batch.now);
    let body = event(channel, batch.account, callback).to_string();
    let try_of_event = format!("{} {}", callback.facts.event_id(callback.status), now.timestamp_millis());
    let hash = Sha256::digest(try_of_event);
    let half = |at: usize| hash[at..at + 8].iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    let claims = signature::Claims {
        iat: now.timestamp(),
        jti: &uuid(half(0), half(8)),
        api_key: &batch.account.business_id,
        application_id: APPLICATION_ID,
    };
    let token = batch.secret.map(|secret| ("Authorization", signature::of(secret, &claims, body.as_bytes())));
    Post { headers: token.into_iter().collect(), body }
}

fn event(channel: Channel, account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut event = json!({
        "message_uuid": facts.provider_id,
        "to": digits(&facts.to),
        "from": digits(&account.sender),
        "timestamp": rfc3339(callback.status_at),
        "status": match callback.status {
            Status::Sent => "submitted",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Failed(_) => "rejected",
        },
        "channel": channel,
    });
    if let Some(reference) = &facts.reference {
        event["client_ref"] = json!(reference);
    }
    if let Status::Failed(code) = callback.status {
        let code = own_code(code, channel);
        // Sometimes a number and sometimes a text, as in their examples.
        let title = if facts.event_base().is_multiple_of(2) { json!(code) } else { json!(code.to_string()) };
        event["error"] = json!({
            "type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
            "title": title,
            "detail": "The message could not be delivered.",
            "instance": facts.provider_id,
        });
    }
    if callback.status == Status::Delivered {
        event["usage"] = json!({"currency": account.currency, "price": format!("{:.4}", price(account.price_micros))});
    }
    event
}
