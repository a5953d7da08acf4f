//! Send requests.

use serde_json::{Map, Value};

use crate::engine::account::SimAccount;
use crate::engine::face::Request;
use crate::engine::seen::Dlt;
use crate::wire::template::{self, Fault};
use crate::wire::{code_in, digits, e164_of, is_web_address};

/// Source: Infobip, WhatsApp and SMS, `messageId`, `callbackData`.
const LONGEST_ID: usize = 200;

/// Source: Infobip, SMS, `validityPeriod`: at most 48 h.
const LONGEST_VALIDITY_S: u64 = 48 * 3_600;

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let message = only_message(&body, &["from", "to", "messageId", "content", "callbackData", "notifyUrl"])?;
    template::exactly(message, "from", digits(&account.sender))?;
    let to = number(message)?;
    let content = template::child(message, "content", &["templateName", "templateData", "language"])?;
    let name = template::text(content, "templateName")?;
    let name = template::existing_name(name, template::text(content, "language")?, &account.templates)?;
    let data = template::child(content, "templateData", &["body", "buttons"])?;
    let placeholders = template::child(data, "body", &["placeholders"])?;
    let in_body = template::only(placeholders, "placeholders").map_err(|_| Fault::Count("body"))?;
    let in_body = in_body.as_str().ok_or_else(|| Fault::Wrong("placeholders".into()))?;
    let button = template::object(template::only(data, "buttons")?, "buttons", &["type", "parameter"])?;
    template::exactly(button, "type", "URL")?;
    let code = template::the_code(in_body, template::text(button, "parameter")?)?;
    Ok(Request {
        to,
        code: Some(code),
        text: None,
        template: Some(name),
        reference: message_id(message)?,
        callback_url: address(message, "notifyUrl")?,
        ..Request::default()
    })
}

pub(super) fn read_sms(body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let message = only_message(&body, &["sender", "destinations", "content", "options", "webhooks"])?;
    let sender = template::text(message, "sender")?.to_owned();
    let destination = template::only(message, "destinations")?;
    let destination = template::object(destination, "destinations", &["to", "messageId"])?;
    let text = template::text(template::child(message, "content", &["text"])?, "text")?.to_owned();
    let mut dlt = None;
    if message.contains_key("options") {
        let options = template::child(message, "options", &["validityPeriod", "regional"])?;
        if options.contains_key("validityPeriod") {
            validity(options)?;
        }
        if options.contains_key("regional") {
            dlt = india(template::child(options, "regional", &["indiaDlt"])?)?;
        }
    }
    let callback_url = if message.contains_key("webhooks") {
        let webhooks = template::child(message, "webhooks", &["delivery", "contentType", "callbackData"])?;
        template::exactly(webhooks, "contentType", "application/json")?;
        address(template::child(webhooks, "delivery", &["url", "intermediateReport"])?, "url")?
    } else {
        None
    };
    let (to, reference) = (number(destination)?, message_id(destination)?);
    Ok(Request {
        to,
        code: code_in(&text),
        text: Some(text),
        template: None,
        reference,
        sender: Some(sender),
        dlt,
        callback_url,
        ..Request::default()
    })
}

/// `principalEntityId` is required in an `indiaDlt`. Source: Infobip's Java client, `IndiaDltOptions` (read 2026-11-26).
fn india(regional: &Map<String, Value>) -> Result<Option<Dlt>, Fault> {
    let ids = template::child(regional, "indiaDlt", &["contentTemplateId", "principalEntityId"])?;
    let entity_id = template::text(ids, "principalEntityId")?.to_owned();
    let template_id = template::optional(ids, "contentTemplateId")?.map(str::to_owned);
    Ok(template_id.map(|template_id| Dlt { entity_id, template_id }))
}

/// The API accepts several messages; this face accepts one.
fn only_message<'v>(body: &'v Value, known: &[&str]) -> Result<&'v Map<String, Value>, Fault> {
    let object = template::object(body, "body", &["messages", "options"])?;
    template::object(template::only(object, "messages")?, "messages", known)
}

/// Digits without `+`.
fn number(object: &Map<String, Value>) -> Result<String, Fault> {
    e164_of(template::text(object, "to")?).ok_or_else(|| Fault::Wrong("to".into()))
}

fn message_id(object: &Map<String, Value>) -> Result<Option<String>, Fault> {
    match template::optional(object, "messageId")? {
        Some(id) if id.chars().count() > LONGEST_ID => Err(Fault::Wrong("messageId".into())),
        id => Ok(id.map(str::to_owned)),
    }
}

fn address(object: &Map<String, Value>, key: &str) -> Result<Option<String>, Fault> {
    let url = template::optional(object, key)?;
    match url {
        Some(url) if !is_web_address(url) => Err(Fault::Wrong(key.into())),
        url => Ok(url.map(str::to_owned)),
    }
}

fn validity(options: &Map<String, Value>) -> Result<(), Fault> {
    let period = template::child(options, "validityPeriod", &["amount", "timeUnit"])?;
    let wrong = || Fault::Wrong("validityPeriod".into());
    let unit_s = match template::text(period, "timeUnit")? {
        "SECONDS" => 1,
        "MINUTES" => 60,
        "HOURS" => 3_600,
        _ => return Err(wrong()),
    };
    let amount = period.get("amount").and_then(Value::as_u64).ok_or_else(wrong)?;
    let fits = amount.checked_mul(unit_s).is_some_and(|s| (1..=LONGEST_VALIDITY_S).contains(&s));
    if fits { Ok(()) } else { Err(wrong()) }
}
