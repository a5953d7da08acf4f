//! An aggregator that does not exist, for accounts that settings describe: WhatsApp with JSON and signatures, SMS with
//! forms. Its documentation is the table in README.md of the simulator.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::template::{self, Fault};
use super::{Facts, RETRY_AFTER_S, Reply, Request, Trouble, code_in, is_e164, known, rfc3339};
use crate::domain::channel::Channel;
use crate::simulator::book::SeenMessage;
use crate::simulator::config::SimAccount;
use crate::simulator::draw::Draws;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;
use crate::simulator::sign;

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_whatsapp_or_fault(account, body).map_err(|fault| refuse(&fault, Channel::Whatsapp))
}

fn read_whatsapp_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["recipient", "template", "ref", "callback", "ttl"])?;
    let part = |key: &str| object.get(key).ok_or_else(|| Fault::Missing(key.into()));
    let recipient = template::object(part("recipient")?, "recipient", &["msisdn"])?;
    let to = number(template::text(recipient, "msisdn")?)?;
    let sent = template::object(part("template")?, "template", &["name", "lang", "vars"])?;
    let full_name = format!("{}/{}", template::text(sent, "name")?, template::text(sent, "lang")?);
    if !account.templates.is_empty() && !account.templates.contains(&full_name) {
        return Err(Fault::NoTemplate(full_name));
    }
    let vars = sent.get("vars").and_then(Value::as_array).ok_or_else(|| Fault::Missing("vars".into()))?;
    let [Value::String(code)] = &vars[..] else { return Err(Fault::Count("template")) };
    if !part("ttl")?.as_u64().is_some_and(|seconds| (1..=86_400).contains(&seconds)) {
        return Err(Fault::Wrong("ttl".into()));
    }
    let callback_url = address(template::optional(object, "callback")?)?;
    Ok(Request {
        to,
        code: Some(code.clone()),
        text: None,
        template: Some(template::text(sent, "name")?.to_owned()),
        reference: Some(template::text(object, "ref")?.to_owned()),
        callback_url,
        body: Value::Null,
    })
}

pub(super) fn read_sms(body: &[u8]) -> Result<Request, Reply> {
    read_sms_or_fault(body).map_err(|fault| refuse(&fault, Channel::Sms))
}

fn read_sms_or_fault(body: &[u8]) -> Result<Request, Fault> {
    let mut fields = [None, None, None];
    let names = ["to", "text", "dlr_url"];
    for (name, value) in form(body)? {
        let place = names.iter().position(|known| *known == name).ok_or(Fault::Unknown(name))?;
        if fields[place].replace(value).is_some() {
            return Err(Fault::Wrong(names[place].into()));
        }
    }
    let [to, text, dlr_url] = fields;
    let to = number(&to.ok_or_else(|| Fault::Missing("to".into()))?)?;
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| Fault::Missing("text".into()))?;
    let callback_url = address(dlr_url.as_deref())?;
    let code = code_in(&text);
    Ok(Request { to, code, text: Some(text), template: None, reference: None, callback_url, body: Value::Null })
}

/// Fields in the order of their appearance.
fn form(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let url = std::str::from_utf8(body).ok().and_then(|text| reqwest::Url::parse(&format!("x:?{text}")).ok());
    let url = url.ok_or(Fault::NotJson)?;
    Ok(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// Digits with the calling code and without a `+`.
fn number(msisdn: &str) -> Result<String, Fault> {
    let to = format!("+{msisdn}");
    if is_e164(&to) { Ok(to) } else { Err(Fault::Wrong("to".into())) }
}

fn address(url: Option<&str>) -> Result<Option<String>, Fault> {
    match url {
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
            Err(Fault::Wrong("callback".into()))
        }
        url => Ok(url.map(str::to_owned)),
    }
}

fn refuse(fault: &Fault, channel: Channel) -> Reply {
    match fault {
        Fault::Wrong(key) if key == "to" => error(400, "E20", "no such number", channel),
        Fault::NoTemplate(_) => error(400, "E42", "no such template", channel),
        Fault::NotJson => error(400, "E41", "the body cannot be read", channel),
        Fault::Missing(key) | Fault::Unknown(key) | Fault::Wrong(key) => error(400, "E41", key, channel),
        Fault::Count(key) => error(400, "E41", key, channel),
        Fault::TooLong | Fault::Disagree => error(400, "E41", "the template", channel),
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
        // By SMS a 200, as many do.
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
        // An integer that JSON readers with doubles keep whole.
        Channel::Sms => (draws.bits("id") >> 12).to_string(),
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

pub(super) fn post(
    channel: Channel,
    secret: Option<&str>,
    batch: &[Callback],
) -> (Vec<(&'static str, String)>, String) {
    if channel == Channel::Sms {
        // The address is the proof.
        return (Vec::new(), batch.first().map(form_of).unwrap_or_default());
    }
    let events: Vec<Value> = batch.iter().map(event).collect();
    let body = json!({"events": events}).to_string();
    let headers = secret.map(|secret| ("X-Agg-Signature", sign::aggregator(secret, body.as_bytes())));
    (headers.into_iter().collect(), body)
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

/// As SMPP has them.
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
