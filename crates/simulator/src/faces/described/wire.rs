//! Answers and callbacks.

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use super::signature;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Post, Reply, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::template::Fault;
use crate::wire::{RETRY_AFTER_S, integer_id, known, rfc3339};

pub(super) fn refuse(fault: &Fault, channel: Channel) -> Reply {
    match fault {
        Fault::Wrong(key) if key == "to" => error(400, "E20", "no such number", channel),
        Fault::NoTemplate(_) => error(400, "E42", "no such template", channel),
        Fault::NotJson => error(400, "E41", "the body cannot be read", channel),
        Fault::Missing(key) | Fault::Unknown(key) | Fault::Wrong(key) => error(400, "E41", key, channel),
        Fault::Count(key) => error(400, "E41", key, channel),
        Fault::TooLong | Fault::Spaces | Fault::Disagree => error(400, "E41", "the template", channel),
    }
}

pub(super) fn trouble(trouble: Trouble, channel: Channel) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, "E10", "who are you?", channel),
        Trouble::Outage => error(503, "E51", "not taken for now", channel),
        Trouble::ServerError => error(500, "E50", "something went wrong", channel),
        Trouble::RateLimited => {
            Reply { retry_after_s: Some(RETRY_AFTER_S), ..error(429, "E30", "too many requests", channel) }
        }
        // A 200 for SMS, as many providers answer.
        Trouble::Rejected(_) if channel == Channel::Sms => error(200, "E21", "not reachable", channel),
        Trouble::Rejected(_) => error(400, "E21", "not reachable", channel),
        Trouble::NoSuchMessage => error(404, "E70", "no such message", channel),
    }
}

fn error(http: u16, code: &str, text: &str, channel: Channel) -> Reply {
    let body = match channel {
        Channel::Whatsapp => json!({"status": "refused", "error": {"code": code, "text": text}}),
        Channel::Sms => json!({"result": code, "detail": text}),
    };
    Reply { http, body: body.to_string(), retry_after_s: None, reason: format!("{code}: {text}") }
}

pub(super) fn id(draws: &Draws, channel: Channel) -> String {
    match channel {
        Channel::Whatsapp => format!("agg-{:016x}", draws.bits("id")),
        Channel::Sms => integer_id(draws).to_string(),
    }
}

pub(super) fn accepted(channel: Channel, facts: &Facts) -> (u16, String) {
    match channel {
        Channel::Whatsapp => (202, json!({"status": "queued", "message": {"id": facts.provider_id}}).to_string()),
        Channel::Sms => {
            (200, json!({"result": "E00", "msgid": facts.provider_id.parse::<u64>().unwrap_or_default()}).to_string())
        }
    }
}

pub(super) fn post(channel: Channel, batch: &Batch<'_>) -> Post {
    if channel == Channel::Sms {
        // The address is the proof.
        return Post { headers: Vec::new(), body: form_of(batch.first) };
    }
    let events: Vec<Value> = batch.all.iter().map(event).collect();
    let body = json!({"events": events}).to_string();
    let header = batch.secret.map(|secret| ("X-Agg-Signature", signature::of(secret, body.as_bytes())));
    Post { headers: header.into_iter().collect(), body }
}

fn event(callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut event = json!({
        "event": facts.event_id(callback.status),
        "id": facts.provider_id,
        "ref": facts.reference,
        "state": word(callback.status),
        "at": rfc3339(callback.status_at),
    });
    if let Status::Failed(_) = callback.status {
        event["error"] = json!("E21");
    }
    event
}

fn form_of(callback: &Callback) -> String {
    let failed = matches!(callback.status, Status::Failed(_));
    format!(
        "msgid={}&stat={}&err={}&time={}",
        callback.facts.provider_id,
        dlr_word(callback.status),
        if failed { "E21" } else { "000" },
        callback.status_at.timestamp()
    )
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Sent => "SENT",
        Status::Delivered => "DELIVERED",
        Status::Read => "SEEN",
        Status::Failed(_) => "FAILED",
    }
}

/// The words of SMPP.
fn dlr_word(status: Status) -> &'static str {
    match status {
        Status::Sent => "ENROUTE",
        Status::Delivered | Status::Read => "DELIVRD",
        Status::Failed(_) => "UNDELIV",
    }
}

pub(super) fn status(message: &SeenMessage, now: DateTime<Utc>) -> Value {
    let known = known(message, now);
    match message.channel {
        Channel::Whatsapp => {
            json!({"message": {"id": message.provider_id, "state": known.map_or("QUEUED", word)}})
        }
        Channel::Sms => json!({"msgid": message.provider_id, "stat": known.map_or("ACCEPTD", dlr_word)}),
    }
}
