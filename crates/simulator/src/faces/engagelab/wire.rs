//! Answers and callbacks.

use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use super::{AUTHORIZATION, Kind, USERNAME, signature};
use crate::engine::account::SimAccount;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Trouble};
use crate::engine::plan::{Status, UNDELIVERABLE};
use crate::wire::RETRY_AFTER_S;
use crate::wire::template::Fault;

pub(super) fn refuse(fault: &Fault) -> Reply {
    match fault {
        Fault::NotJson => error(400, 3001, "request body is not valid json"),
        Fault::Missing(key) => error(400, 3002, &format!("parameter {key} is required")),
        Fault::Unknown(key) => error(400, 3002, &format!("parameter {key} is not known")),
        Fault::Wrong(key) if key == "to" => error(400, 5011, "invalid phone number"),
        Fault::Wrong(key) => error(400, 3002, &format!("parameter {key} is invalid")),
        Fault::NoTemplate(_) => error(400, 4001, "resource not found"),
        // Of templates that are sent whole.
        Fault::Count(_) | Fault::TooLong | Fault::Spaces | Fault::Disagree => {
            error(400, 3002, "parameters are invalid")
        }
    }
}

pub(super) fn trouble(trouble: Trouble, channel: Channel) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, 2001, "authentication failed"),
        Trouble::Outage => error(503, 1000, "service unavailable"),
        Trouble::ServerError => error(500, 1000, "internal error"),
        // Assumed: neither the status nor the body is documented.
        Trouble::RateLimited => Reply {
            http: 429,
            body: json!({"message": "too many requests"}).to_string(),
            retry_after_s: Some(RETRY_AFTER_S),
            reason: "too many requests".to_owned(),
        },
        Trouble::Rejected(code) => {
            let failure = Failure::of(code, channel);
            error(400, failure.code, failure.text)
        }
        Trouble::NoSuchMessage => error(400, 4001, "resource not found"),
    }
}

fn error(http: u16, code: u32, message: &str) -> Reply {
    let body = json!({"code": code, "message": message}).to_string();
    Reply { http, body, retry_after_s: None, reason: format!("{code}: {message}") }
}

/// Why a message fails, in EngageLab's words.
struct Failure {
    code: u32,
    status: &'static str,
    text: &'static str,
}

impl Failure {
    /// The simulator's plan uses WhatsApp's codes.
    fn of(whatsapp_code: u32, channel: Channel) -> Self {
        let (code, status, text) = match (channel, whatsapp_code) {
            (Channel::Sms, _) => (5012, "delivered_failed", "Target unreachable"),
            (_, UNDELIVERABLE) => (5020, "sent_failed", "Number is not registered on WhatsApp"),
            (_, 131_042) => (5015, "sent_failed", "Message intercepted"),
            _ => (5001, "sent_failed", "Send failed"),
        };
        Self { code, status, text }
    }
}

/// 19 digits.
pub(super) fn id(draws: &Draws) -> String {
    format!("{:019}", 1_000_000_000_000_000_000 + (draws.bits("id") >> 5))
}

pub(super) fn accepted(kind: Kind, channel: Channel, facts: &Facts) -> (u16, String) {
    let id = &facts.provider_id;
    let body = match kind {
        Kind::PlainWhatsapp => json!({"message_id": id, "request_id": format!("{:016x}", facts.event_base())}),
        Kind::PlainSms => json!({"plan_id": id, "total_count": 1, "accepted_count": 1, "message_id": id}),
        Kind::Otp => json!({"message_id": id, "send_channel": channel}),
    };
    (200, body.to_string())
}

/// The real service may send several rows together; here each is sent alone.
pub(super) fn post(kind: Kind, channel: Channel, batch: &Batch<'_>) -> Post {
    let rows: Vec<Value> = batch.all.iter().map(|callback| row(kind, channel, batch.account, callback)).collect();
    let body = json!({"total": rows.len(), "rows": rows}).to_string();
    // The WhatsApp product sends no proof: only the secret address protects the receiver.
    if matches!(kind, Kind::PlainWhatsapp) {
        return Post { headers: Vec::new(), body };
    }
    let mut headers = vec![("Authorization", AUTHORIZATION.to_owned())];
    if let Some(secret) = batch.secret {
        let (first, now) = (batch.first, batch.now);
        // Different for each try, and the same in each run.
        let nonce = format!("{}-{:x}", first.facts.event_id(first.status), now.timestamp_millis());
        headers.push(("X-CALLBACK-ID", signature::of(secret, now.timestamp(), &nonce, USERNAME)));
    }
    Post { headers, body }
}

fn row(kind: Kind, channel: Channel, account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut status = json!({
        "message_status": word(callback.status, channel),
        "status_data": {
            "msg_time": facts.accepted_at.timestamp(),
            "message_id": facts.provider_id,
            "current_send_channel": channel,
            "template_key": "sim-template",
            "business_id": account.business_id,
        },
        "error_code": 0,
    });
    if let Status::Failed(code) = callback.status {
        let failure = Failure::of(code, channel);
        status["error_code"] = json!(failure.code);
        status["error_detail"] = json!({"message": failure.text});
    }
    let server = match kind {
        Kind::PlainWhatsapp => "whatsapp",
        Kind::PlainSms => "sms",
        Kind::Otp => "otp",
    };
    let mut row = json!({
        "message_id": facts.provider_id,
        "to": facts.to,
        "server": server,
        "channel": channel,
        "itime": callback.status_at.timestamp(),
        "status": status,
    });
    if let Some(args) = facts.reference.as_deref().and_then(|args| serde_json::from_str::<Value>(args).ok()) {
        row["custom_args"] = args;
    }
    row
}

fn word(status: Status, channel: Channel) -> &'static str {
    match status {
        Status::Sent => "sent",
        Status::Delivered => "delivered",
        Status::Read => "read",
        Status::Failed(code) => Failure::of(code, channel).status,
    }
}
