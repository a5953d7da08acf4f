//! Vonage Messages API v1, WhatsApp and SMS. Sources: Vonage, "Messages API" reference, "Authentication", "Signed
//! webhooks".

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::template::{self, Fault};
use super::{Facts, RETRY_AFTER_S, Reply, Request, Trouble, code_in, is_e164, rfc3339};
use crate::domain::channel::Channel;
use crate::simulator::config::{SimAccount, VONAGE_APPLICATION_ID, VONAGE_PRIVATE_KEY};
use crate::simulator::draw::Draws;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;
use crate::simulator::sign;

/// Source: Vonage, Messages API, `text` and `client_ref`.
const LONGEST_TEXT: usize = 1_000;
const LONGEST_REFERENCE: usize = 100;

/// Seconds. Source: Vonage, `ttl`: 20 s to 7 days.
const TTL: std::ops::RangeInclusive<u64> = 20..=604_800;

/// Longest life of a token, in seconds. Source: Vonage, "JWTs": at most 24 hours.
const LONGEST_TOKEN: i64 = 86_400;

static PUBLIC_KEY: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let der = PrivatePkcs8KeyDer::from_pem_slice(VONAGE_PRIVATE_KEY.as_bytes()).ok()?;
    Some(KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?.public().as_ref().to_vec())
});

/// The application that a request's token speaks for, when its key signed it.
pub(super) fn application(token: &str, now: DateTime<Utc>) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let (header, claims) = (part(header)?, part(claims)?);
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY.as_ref()?);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (iat, exp) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?);
    let is_fresh = exp > now.timestamp() && exp > iat && exp - iat <= LONGEST_TOKEN;
    let is_named = claims["jti"].as_str().is_some_and(|jti| jti.len() == 36);
    let application = claims["application_id"].as_str()?;
    (header["alg"] == "RS256" && is_fresh && is_named).then(|| application.to_owned())
}

/// Both channels share one path, and the body names which.
pub(crate) fn is_whatsapp(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["channel"] == "whatsapp")
}

pub(super) fn read(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_or_fault(channel, account, body).map_err(|fault| refuse(&fault))
}

fn read_or_fault(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let own: &[&str] = match channel {
        Channel::Whatsapp => &["template", "whatsapp"],
        Channel::Sms => &["text", "ttl"],
    };
    let common = ["message_type", "channel", "to", "from", "client_ref", "webhook_url", "webhook_version"];
    let object = template::object(&body, "body", &[&common, own].concat())?;
    template::exactly(object, "channel", channel.as_str())?;
    // Digits only: with a `+` it is refused.
    let to = format!("+{}", template::text(object, "to")?);
    if !is_e164(&to) {
        return Err(Fault::Wrong("to".into()));
    }
    template::exactly(object, "from", account.sender.trim_start_matches('+'))?;
    let reference = template::optional(object, "client_ref")?;
    if reference.is_some_and(|text| text.chars().count() > LONGEST_REFERENCE) {
        return Err(Fault::Wrong("client_ref".into()));
    }
    let callback_url = template::optional(object, "webhook_url")?;
    if callback_url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(Fault::Wrong("webhook_url".into()));
    }
    if template::optional(object, "webhook_version")?.is_some_and(|version| version != "v1") {
        return Err(Fault::Wrong("webhook_version".into()));
    }
    let (code, text, name) = match channel {
        Channel::Whatsapp => read_template(account, object)?,
        Channel::Sms => read_text(object)?,
    };
    Ok(Request {
        to,
        code,
        text,
        template: name,
        reference: reference.map(str::to_owned),
        callback_url: callback_url.map(str::to_owned),
        body: Value::Null,
    })
}

type Content = (Option<String>, Option<String>, Option<String>);

fn read_text(object: &Map<String, Value>) -> Result<Content, Fault> {
    template::exactly(object, "message_type", "text")?;
    let text = template::text(object, "text")?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(Fault::Wrong("text".into()));
    }
    if object.get("ttl").is_some_and(|ttl| !ttl.as_u64().is_some_and(|ttl| TTL.contains(&ttl))) {
        return Err(Fault::Wrong("ttl".into()));
    }
    Ok((code_in(text), Some(text.to_owned()), None))
}

fn read_template(account: &SimAccount, object: &Map<String, Value>) -> Result<Content, Fault> {
    template::exactly(object, "message_type", "template")?;
    let template = object.get("template").ok_or_else(|| Fault::Missing("template".into()))?;
    let template = template::object(template, "template", &["name", "parameters"])?;
    let name = template::text(template, "name")?;
    if name.split_once(':').is_none_or(|(space, name)| space.is_empty() || name.is_empty()) {
        return Err(Fault::Wrong("template.name".into()));
    }
    let whatsapp = object.get("whatsapp").ok_or_else(|| Fault::Missing("whatsapp".into()))?;
    let whatsapp = template::object(whatsapp, "whatsapp", &["policy", "locale"])?;
    template::exactly(whatsapp, "policy", "deterministic")?;
    let full_name = format!("{name}/{}", template::text(whatsapp, "locale")?);
    if !account.templates.is_empty() && !account.templates.contains(&full_name) {
        return Err(Fault::NoTemplate(full_name));
    }
    let parameters = template.get("parameters").and_then(Value::as_array);
    match parameters.map(Vec::as_slice) {
        Some([Value::String(code)]) if !code.is_empty() => Ok((Some(code.clone()), None, Some(name.to_owned()))),
        _ => Err(Fault::Count("template.parameters")),
    }
}

fn refuse(fault: &Fault) -> Reply {
    let (code, name, why) = match fault {
        Fault::NotJson => (1150, "body", "is not JSON"),
        Fault::Missing(key) => (1150, key.as_str(), "is required"),
        Fault::Unknown(key) => (1150, key.as_str(), "is not known"),
        Fault::Wrong(key) => (1150, key.as_str(), "invalid value"),
        Fault::Count(place) => (1022, *place, "takes one text"),
        Fault::TooLong | Fault::Disagree => (1022, "template", "invalid value"),
        Fault::NoTemplate(name) => (1022, name.as_str(), "does not exist"),
    };
    let mut reply = numbered(422, code, "Invalid params");
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

/// What Vonage makes of Meta's code, and of any failure of an SMS.
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

/// One status for each POST. Every try has a token of its own: whether theirs do is not documented.
pub(super) fn post(
    channel: Channel,
    account: &SimAccount,
    secret: Option<&str>,
    batch: &[Callback],
    now: DateTime<Utc>,
) -> (Vec<(&'static str, String)>, String) {
    let Some(callback) = batch.first() else { return (Vec::new(), String::new()) };
    let body = event(channel, account, callback).to_string();
    let try_of_event = format!("{} {}", callback.facts.event_id(callback.status), now.timestamp_millis());
    let hash = Sha256::digest(try_of_event);
    let half = |at: usize| hash[at..at + 8].iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    let claims = sign::VonageClaims {
        iat: now.timestamp(),
        jti: &uuid(half(0), half(8)),
        api_key: &account.business_id,
        application_id: VONAGE_APPLICATION_ID,
    };
    let token = secret.map(|secret| ("Authorization", sign::vonage(secret, &claims, body.as_bytes())));
    (token.into_iter().collect(), body)
}

fn event(channel: Channel, account: &SimAccount, callback: &Callback) -> Value {
    let facts = &callback.facts;
    let mut event = json!({
        "message_uuid": facts.provider_id,
        "to": facts.to.trim_start_matches('+'),
        "from": account.sender.trim_start_matches('+'),
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
        // A number here and a text there, as in their examples.
        let title = if facts.event_base.is_multiple_of(2) { json!(code) } else { json!(code.to_string()) };
        event["error"] = json!({
            "type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
            "title": title,
            "detail": "The message could not be delivered.",
            "instance": facts.provider_id,
        });
    }
    if callback.status == Status::Delivered {
        event["usage"] =
            json!({"currency": account.currency, "price": format!("{:.4}", super::price(account.price_micros))});
    }
    event
}
