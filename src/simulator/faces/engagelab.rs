//! EngageLab's OTP product with a code of the app's own, for a template of WhatsApp and one of SMS, and its plain WhatsApp
//! and SMS products. Sources: EngageLab OTP, "Custom OTP send", "Error codes" and "Callback"; WhatsApp, "Send message" and
//! "Message status callback"; SMS, "Send SMS".

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::template::{self, Fault};
use super::{Facts, RETRY_AFTER_S, Reply, Request, Trouble, code_in, is_e164};
use crate::domain::channel::Channel;
use crate::simulator::config::{ENGAGELAB_AUTHORIZATION, ENGAGELAB_USERNAME, Face, SimAccount};
use crate::simulator::draw::Draws;
use crate::simulator::plan::{Status, UNDELIVERABLE};
use crate::simulator::schedule::Callback;
use crate::simulator::sign;

pub(super) fn read(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["to", "code", "template"])?;
    let to = template::text(object, "to")?;
    if !is_e164(to) {
        return Err(Fault::Wrong("to".into()));
    }
    let code = template::text(object, "code")?;
    // Lengths that a template can have. Source: EngageLab OTP, "Templates", `verify_code_len`.
    if !(4..=10).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Fault::Wrong("code".into()));
    }
    let template = read_template(object, account)?;
    let text = (account.face.channel() == Channel::Sms).then(|| format!("{code} is your verification code."));
    Ok(Request {
        to: to.to_owned(),
        code: Some(code.to_owned()),
        text,
        template: Some(template),
        reference: None,
        callback_url: None,
        body: Value::Null,
    })
}

/// The plain WhatsApp product: Meta's components, the language as text.
pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    let read = || {
        let body = template::parse(body)?;
        let object = template::object(&body, "body", &["from", "to", "body", "request_id", "custom_args"])?;
        template::exactly(object, "from", &account.sender)?;
        let to = only_number(object)?;
        let inner = template::child(object, "body", &["type", "template"])?;
        template::exactly(inner, "type", "template")?;
        let sent = template::child(inner, "template", &["name", "language", "components"])?;
        let (name, language) = (template::text(sent, "name")?, template::text(sent, "language")?);
        let name = template::existing_name(name, language, &account.templates)?;
        let code = template::code_in_components(sent, false)?;
        Ok(Request { template: Some(name), ..plain(to, code, None, custom_args(object)?) })
    };
    read().map_err(|fault| refuse(&fault))
}

/// The plain SMS product: a template of theirs whose variables are filled. Which of them has the code is the template's
/// matter; here it is the first digits in any of them.
pub(super) fn read_sms(body: &[u8]) -> Result<Request, Reply> {
    let read = || {
        let body = template::parse(body)?;
        let object = template::object(&body, "body", &["to", "template", "custom_args"])?;
        let to = only_number(object)?;
        let sent = template::child(object, "template", &["id", "params"])?;
        let id = template::text(sent, "id")?.to_owned();
        let params = sent.get("params").and_then(Value::as_object).ok_or_else(|| Fault::Missing("params".into()))?;
        let text = params.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let code = code_in(&text).ok_or_else(|| Fault::Wrong("params".into()))?;
        Ok(Request { template: Some(id), ..plain(to, code, Some(text), custom_args(object)?) })
    };
    read().map_err(|fault| refuse(&fault))
}

fn plain(to: String, code: String, text: Option<String>, reference: Option<String>) -> Request {
    Request { to, code: Some(code), text, template: None, reference, callback_url: None, body: Value::Null }
}

fn only_number(object: &Map<String, Value>) -> Result<String, Fault> {
    let to = template::only(object, "to")?.as_str().unwrap_or_default();
    if is_e164(to) { Ok(to.to_owned()) } else { Err(Fault::Wrong("to".into())) }
}

/// Comes back in every row, as it is.
fn custom_args(object: &Map<String, Value>) -> Result<Option<String>, Fault> {
    let Some(args) = object.get("custom_args") else { return Ok(None) };
    if args.is_object() { Ok(Some(args.to_string())) } else { Err(Fault::Wrong("custom_args".into())) }
}

fn read_template(object: &Map<String, Value>, account: &SimAccount) -> Result<String, Fault> {
    let template = object.get("template").ok_or_else(|| Fault::Missing("template".into()))?;
    let template = template::object(template, "template", &["id", "language", "params"])?;
    let id = template::text(template, "id")?;
    let language = template::optional(template, "language")?.unwrap_or("default");
    if let Some(params) = template.get("params") {
        let params = params.as_object().ok_or_else(|| Fault::Wrong("params".into()))?;
        if let Some((name, _)) = params.iter().find(|(_, value)| !value.is_string()) {
            return Err(Fault::Wrong(name.clone()));
        }
    }
    let full_name = format!("{id}/{language}");
    if !account.templates.is_empty() && !account.templates.contains(&full_name) {
        return Err(Fault::NoTemplate(full_name));
    }
    Ok(id.to_owned())
}

fn refuse(fault: &Fault) -> Reply {
    match fault {
        Fault::NotJson => error(400, 3001, "request body is not valid json"),
        Fault::Missing(key) => error(400, 3002, &format!("parameter {key} is required")),
        Fault::Unknown(key) => error(400, 3002, &format!("parameter {key} is not known")),
        Fault::Wrong(key) if key == "to" => error(400, 5011, "invalid phone number"),
        Fault::Wrong(key) => error(400, 3002, &format!("parameter {key} is invalid")),
        Fault::NoTemplate(_) => error(400, 4001, "resource not found"),
        // Of templates that are sent whole.
        Fault::Count(_) | Fault::TooLong | Fault::Disagree => error(400, 3002, "parameters are invalid"),
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

/// Why a message fails, in their words.
struct Failure {
    code: u32,
    status: &'static str,
    text: &'static str,
}

impl Failure {
    /// The simulator's plan has Meta's codes.
    fn of(meta_code: u32, channel: Channel) -> Self {
        let (code, status, text) = match (channel, meta_code) {
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

pub(super) fn accepted(account: &SimAccount, facts: &Facts) -> (u16, String) {
    let id = &facts.provider_id;
    let body = match account.face {
        Face::EngagelabPlainWhatsapp => json!({"message_id": id, "request_id": format!("{:016x}", facts.event_base)}),
        Face::EngagelabPlainSms => json!({"plan_id": id, "total_count": 1, "accepted_count": 1, "message_id": id}),
        _ => json!({"message_id": id, "send_channel": account.face.channel()}),
    };
    (200, body.to_string())
}

/// Several rows can travel together; here each travels alone.
pub(super) fn post(
    account: &SimAccount,
    secret: Option<&str>,
    batch: &[Callback],
    now: DateTime<Utc>,
) -> (Vec<(&'static str, String)>, String) {
    let rows: Vec<Value> = batch.iter().map(|callback| row(account, callback)).collect();
    let body = json!({"total": rows.len(), "rows": rows}).to_string();
    // The WhatsApp product proves nothing: whoever is called has to know the address for one that nobody else knows.
    if account.face == Face::EngagelabPlainWhatsapp {
        return (Vec::new(), body);
    }
    let mut headers = vec![("Authorization", ENGAGELAB_AUTHORIZATION.to_owned())];
    if let (Some(secret), Some(first)) = (secret, batch.first()) {
        // Another for each try, and the same in each run.
        let nonce = format!("{}-{:x}", first.facts.event_id(first.status), now.timestamp_millis());
        headers.push(("X-CALLBACK-ID", sign::engagelab(secret, now.timestamp(), &nonce, ENGAGELAB_USERNAME)));
    }
    (headers, body)
}

fn row(account: &SimAccount, callback: &Callback) -> Value {
    let (facts, channel) = (&callback.facts, account.face.channel());
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
    let server = match account.face {
        Face::EngagelabPlainWhatsapp => "whatsapp",
        Face::EngagelabPlainSms => "sms",
        _ => "otp",
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
