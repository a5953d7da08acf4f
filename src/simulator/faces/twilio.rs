//! Twilio Programmable Messaging, SMS and WhatsApp. Sources: Twilio, "Messages resource", "Content API", "Outbound
//! message status in status callbacks", "Error and warning dictionary".

use std::collections::BTreeMap;

use actix_web::web::Query;
use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Facts, RETRY_AFTER_S, Reply, Request, Trouble, code_in, is_e164, known};
use crate::domain::channel::Channel;
use crate::simulator::book::SeenMessage;
use crate::simulator::config::SimAccount;
use crate::simulator::draw::Draws;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;
use crate::simulator::sign;

/// Source: Twilio, Messages resource, `Body`.
const LONGEST_TEXT: usize = 1_600;

/// Seconds. Source: Twilio, Messages resource, `ValidityPeriod`.
const LONGEST_VALIDITY: u32 = 36_000;

const API_VERSION: &str = "2010-04-01";

/// A form whose fields come once each.
type Form = BTreeMap<String, String>;

/// Both channels share one path: an address with a prefix is WhatsApp's.
pub(crate) fn is_whatsapp(body: &[u8]) -> bool {
    form(body).is_ok_and(|form| form.get("To").is_some_and(|to| to.starts_with(prefix(Channel::Whatsapp))))
}

pub(super) fn read(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    let form = form(body)?;
    let common = ["To", "From", "MessagingServiceSid", "StatusCallback", "ContentRetention", "AddressRetention"];
    let own: &[&str] = match channel {
        Channel::Sms => &["Body", "ValidityPeriod"],
        Channel::Whatsapp => &["ContentSid", "ContentVariables"],
    };
    if let Some(unknown) = form.keys().find(|key| !common.contains(&key.as_str()) && !own.contains(&key.as_str())) {
        return Err(refuse(20_001, &format!("The parameter {unknown} is not known here.")));
    }
    let to = form.get("To").ok_or_else(|| refuse(21_604, "A 'To' phone number is required."))?;
    let to = to.strip_prefix(prefix(channel)).filter(|to| is_e164(to));
    let to = to.ok_or_else(|| refuse(21_211, "The 'To' number is not a valid phone number."))?.to_owned();
    check_sender(channel, account, &form)?;
    check_options(&form)?;
    let (code, text, template) = match channel {
        Channel::Sms => read_text(&form)?,
        Channel::Whatsapp => read_content(account, &form)?,
    };
    Ok(Request {
        to,
        code,
        text,
        template,
        reference: None,
        callback_url: form.get("StatusCallback").cloned(),
        body: json!(form.get("MessagingServiceSid")),
    })
}

fn form(body: &[u8]) -> Result<Form, Reply> {
    let text = std::str::from_utf8(body).map_err(|_| refuse(20_001, "The body is not UTF-8."))?;
    let fields =
        Query::<Vec<(String, String)>>::from_query(text).map_err(|_| refuse(20_001, "The body is not a form."))?;
    let mut form = Form::new();
    for (name, value) in fields.into_inner() {
        if form.insert(name.clone(), value).is_some() {
            return Err(refuse(20_001, &format!("The parameter {name} is there twice.")));
        }
    }
    Ok(form)
}

fn prefix(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "",
        Channel::Whatsapp => "whatsapp:",
    }
}

/// Exactly one of a sender and a pool of them.
fn check_sender(channel: Channel, account: &SimAccount, form: &Form) -> Result<(), Reply> {
    match (form.get("From"), form.get("MessagingServiceSid")) {
        (Some(from), None) if *from == format!("{}{}", prefix(channel), account.sender) => Ok(()),
        (Some(from), None) if channel == Channel::Whatsapp && !from.starts_with(prefix(channel)) => {
            Err(refuse(21_910, "'From' and 'To' are on different channels."))
        }
        (Some(_), None) if channel == Channel::Whatsapp => {
            Err(refuse(63_007, "Twilio could not find a Channel with the specified From address."))
        }
        (Some(_), None) => Err(refuse(21_606, "The 'From' number is not a number of this account.")),
        (None, Some(sid)) if is_sid("MG", sid) => Ok(()),
        (None, Some(_)) => Err(refuse(21_705, "The Messaging Service Sid is invalid.")),
        (Some(_), Some(_)) => Err(refuse(20_001, "Both 'From' and 'MessagingServiceSid' are given.")),
        (None, None) => Err(refuse(21_603, "A 'From' phone number is required.")),
    }
}

fn check_options(form: &Form) -> Result<(), Reply> {
    let is_url = |url: &String| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if form.get("StatusCallback").is_some_and(|url| !is_url(url)) {
        return Err(refuse(21_609, "The 'StatusCallback' URL is not a valid fully qualified URL."));
    }
    for (name, words) in [("ContentRetention", ["retain", "discard"]), ("AddressRetention", ["retain", "obfuscate"])] {
        if form.get(name).is_some_and(|word| !words.contains(&word.as_str())) {
            return Err(refuse(20_001, &format!("{name} is not valid.")));
        }
    }
    Ok(())
}

type Content = (Option<String>, Option<String>, Option<String>);

fn read_text(form: &Form) -> Result<Content, Reply> {
    let text = form.get("Body").filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| refuse(21_602, "Message body is required."))?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(refuse(21_617, "The concatenated message body exceeds the 1600 character limit."));
    }
    let validity = form.get("ValidityPeriod").map(|text| text.parse::<u32>());
    if validity.is_some_and(|validity| !validity.is_ok_and(|s| (1..=LONGEST_VALIDITY).contains(&s))) {
        return Err(refuse(20_001, "ValidityPeriod must be 1 to 36000."));
    }
    Ok((code_in(text), Some(text.clone()), None))
}

fn read_content(account: &SimAccount, form: &Form) -> Result<Content, Reply> {
    let sid = form.get("ContentSid").ok_or_else(|| refuse(21_654, "The ContentSid parameter is required."))?;
    if !is_sid("HX", sid) || !(account.templates.is_empty() || account.templates.contains(sid)) {
        return Err(refuse(21_655, "The ContentSid parameter is invalid."));
    }
    let invalid = || refuse(21_656, "The ContentVariables parameter is invalid.");
    let variables = form.get("ContentVariables").ok_or_else(invalid)?;
    let variables: Map<String, Value> = serde_json::from_str(variables).map_err(|_| invalid())?;
    let code = variables.get("1").and_then(Value::as_str).filter(|code| !code.is_empty() && variables.len() == 1);
    Ok((Some(code.ok_or_else(invalid)?.to_owned()), None, Some(sid.clone())))
}

fn is_sid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn refuse(code: u32, message: &str) -> Reply {
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

/// What Twilio makes of Meta's code, and of any failure of an SMS.
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

/// One status for each POST. A doubled one has the same idempotency token.
pub(super) fn post(
    channel: Channel,
    account: &SimAccount,
    secret: Option<&str>,
    url: &str,
    batch: &[Callback],
) -> (Vec<(&'static str, String)>, String) {
    let Some(callback) = batch.first() else { return (Vec::new(), String::new()) };
    let params = params(channel, account, callback);
    let mut headers = vec![("I-Twilio-Idempotency-Token", callback.facts.event_id(callback.status))];
    if let Some(secret) = secret {
        headers.push(("X-Twilio-Signature", sign::twilio(secret, url, &params)));
    }
    let form = Url::parse_with_params("http://form/", &params).ok();
    (headers, form.as_ref().and_then(Url::query).unwrap_or_default().to_owned())
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
                // Not ASCII, so that it tells whether values are signed as UTF-8.
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
