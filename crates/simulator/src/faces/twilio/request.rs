//! Send requests, which are forms.

use std::collections::BTreeMap;

use actix_web::web::Query;
use otpost_domain::channel::Channel;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::wire::{prefix, refuse};
use crate::engine::account::SimAccount;
use crate::engine::face::{Reply, Request};
use crate::wire::{code_in, is_e164};

/// Source: Twilio, Messages resource, `Body`.
const LONGEST_TEXT: usize = 1_600;

/// Sources: Twilio, "whatsapp/authentication" (read 2026-11-26): the code is the only variable; its older edition says
/// "less than 15 characters", WhatsApp's page "maximum 15".
const LONGEST_CODE: usize = 15;

/// Seconds. Source: Twilio, Messages resource, `ValidityPeriod`.
const LONGEST_VALIDITY: u32 = 36_000;

/// A form in which no field is repeated.
type Form = BTreeMap<String, String>;

/// Both channels share one path: an address with a prefix is WhatsApp's.
pub(super) fn channel_of(body: &[u8]) -> Channel {
    let is_whatsapp = |form: Form| form.get("To").is_some_and(|to| to.starts_with(prefix(Channel::Whatsapp)));
    if form(body).is_ok_and(is_whatsapp) { Channel::Whatsapp } else { Channel::Sms }
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
        sender: form.get("From").or_else(|| form.get("MessagingServiceSid")).cloned(),
        body: json!(form.get("MessagingServiceSid")),
        ..Request::default()
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

/// Exactly one of a sender and a messaging service.
fn check_sender(channel: Channel, account: &SimAccount, form: &Form) -> Result<(), Reply> {
    match (form.get("From"), form.get("MessagingServiceSid")) {
        (Some(from), None) if from.strip_prefix(prefix(channel)).is_some_and(|from| account.has_sender(from)) => Ok(()),
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
    let fits = |code: &&str| {
        let is_one_line = !code.contains(['\n', '\r', '\t']) && !code.contains("     ");
        (1..=LONGEST_CODE).contains(&code.chars().count()) && is_one_line
    };
    let code = variables.get("1").and_then(Value::as_str).filter(|code| fits(code) && variables.len() == 1);
    Ok((Some(code.ok_or_else(invalid)?.to_owned()), None, Some(sid.clone())))
}

fn is_sid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
