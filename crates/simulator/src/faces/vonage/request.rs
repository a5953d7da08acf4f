//! Send requests.

use otpost_domain::channel::Channel;
use serde_json::{Map, Value};

use super::wire::refuse;
use crate::engine::account::SimAccount;
use crate::engine::face::{Reply, Request};
use crate::engine::seen::Dlt;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::{code_in, is_e164, is_web_address};

/// Source: Vonage, Messages API, `text` and `client_ref`.
const LONGEST_TEXT: usize = 1_000;
const LONGEST_REFERENCE: usize = 100;

/// Seconds. Source: Vonage, `ttl`: 20 s to 7 days.
const TTL: std::ops::RangeInclusive<u64> = 20..=604_800;

/// Both channels share one path; the body names the channel.
pub(super) fn channel_of(body: &[u8]) -> Channel {
    let is_whatsapp = serde_json::from_slice::<Value>(body).is_ok_and(|body| body["channel"] == "whatsapp");
    if is_whatsapp { Channel::Whatsapp } else { Channel::Sms }
}

/// Where the error is: in the parameters of the Messages API, or in what it passes on to WhatsApp.
enum Refused {
    Params(Fault),
    Template(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Params(fault)
    }
}

pub(super) fn read(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_or_refuse(channel, account, body).map_err(|refused| match refused {
        Refused::Params(fault) => refuse(1150, &fault),
        Refused::Template(fault) => refuse(1022, &fault),
    })
}

fn read_or_refuse(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Refused> {
    let body = template::parse(body)?;
    let own: &[&str] = match channel {
        Channel::Whatsapp => &["custom"],
        Channel::Sms => &["text", "ttl", "sms"],
    };
    let common = ["message_type", "channel", "to", "from", "client_ref", "webhook_url", "webhook_version"];
    let object = template::object(&body, "body", &[&common, own].concat())?;
    template::exactly(object, "channel", channel.as_str())?;
    // Digits only: with a `+` it is refused.
    let to = format!("+{}", template::text(object, "to")?);
    if !is_e164(&to) {
        return Err(Fault::Wrong("to".into()).into());
    }
    // Numbers without a `+`.
    let from = template::text(object, "from")?;
    if from.starts_with('+') || !account.has_sender(from) && !account.has_sender(&format!("+{from}")) {
        return Err(Fault::Wrong("from".into()).into());
    }
    let reference = template::optional(object, "client_ref")?;
    if reference.is_some_and(|text| text.chars().count() > LONGEST_REFERENCE) {
        return Err(Fault::Wrong("client_ref".into()).into());
    }
    let callback_url = template::optional(object, "webhook_url")?;
    if callback_url.is_some_and(|url| !is_web_address(url)) {
        return Err(Fault::Wrong("webhook_url".into()).into());
    }
    if template::optional(object, "webhook_version")?.is_some_and(|version| version != "v1") {
        return Err(Fault::Wrong("webhook_version".into()).into());
    }
    let sender = (channel == Channel::Sms).then(|| from.to_owned());
    let dlt = match object.get("sms") {
        Some(options) => india(options)?,
        None => None,
    };
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
        sender,
        dlt,
        callback_url: callback_url.map(str::to_owned),
        ..Request::default()
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

/// "Satisfies regulatory requirements when sending an SMS to specific countries". Source: Vonage, "Messages API" reference,
/// `sms` (read 2026-11-26).
fn india(options: &Value) -> Result<Option<Dlt>, Fault> {
    let options = template::object(options, "sms", &["encoding_type", "content_id", "entity_id", "pool_id"])?;
    let ids = (template::optional(options, "entity_id")?, template::optional(options, "content_id")?);
    let (Some(entity), Some(template)) = ids else { return Ok(None) };
    Ok(Some(Dlt { entity_id: entity.to_owned(), template_id: template.to_owned() }))
}

/// A message of type `template` cannot fill a button, which every authentication template has, so it must be `custom`.
fn read_template(account: &SimAccount, object: &Map<String, Value>) -> Result<Content, Refused> {
    const SHAPE: Shape = Shape { index_as_text: true, needs_policy: true };
    if object.get("message_type").is_some_and(|kind| kind == "template") {
        return Err(Refused::Template(Fault::Missing("button".into())));
    }
    template::exactly(object, "message_type", "custom")?;
    let custom = template::child(object, "custom", &["type", "template"])?;
    template::exactly(custom, "type", "template")?;
    let template = template::read(custom, SHAPE, &account.templates).map_err(Refused::Template)?;
    Ok((Some(template.code), None, Some(template.name)))
}
