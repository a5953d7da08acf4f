//! Vonage's JSON, with its own names. Sources: Vonage, "Messages API" reference, v1, and for the WhatsApp "Send a
//! WhatsApp Authentication Template" (read 2026-11-26).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outbound;
use crate::json::{Scalar, lenient};
use crate::whatsapp::template::AuthTemplate;
use otpost_domain::receipt;

/// Numbers are digits without a `+`.
pub(super) fn digits(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// Common to both channels.
#[derive(Serialize)]
struct Envelope<'a> {
    to: &'a str,
    from: &'a str,
    /// At most 100 characters; every callback returns it.
    client_ref: String,
    /// Instead of the application's own.
    webhook_url: &'a str,
    webhook_version: &'static str,
}

impl<'a> Envelope<'a> {
    fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        Self {
            to: digits(message.to.e164()),
            from: digits(from),
            client_ref: message.attempt_id.to_string(),
            webhook_url: message.callback_url,
            webhook_version: "v1",
        }
    }
}

/// An authentication template has a button, so it is sent as `custom` and never as `template`: Vonage passes the
/// contents of `custom` to WhatsApp unchanged.
#[derive(Serialize)]
pub(super) struct SendWhatsapp<'a> {
    message_type: &'static str,
    channel: &'static str,
    custom: Custom<'a>,
    #[serde(flatten)]
    envelope: Envelope<'a>,
}

#[derive(Serialize)]
struct Custom<'a> {
    r#type: &'static str,
    template: AuthTemplate<'a, &'static str>,
}

impl<'a> SendWhatsapp<'a> {
    pub(super) fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        let template = AuthTemplate::new(message.template, message.code.digits(), "0").deterministic();
        Self {
            message_type: "custom",
            channel: "whatsapp",
            custom: Custom { r#type: "template", template },
            envelope: Envelope::new(from, message),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SendSms<'a> {
    message_type: &'static str,
    channel: &'static str,
    /// At most 1000 characters.
    text: &'a str,
    /// Seconds.
    ttl: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms: Option<SmsOptions<'a>>,
    #[serde(flatten)]
    envelope: Envelope<'a>,
}

/// India's registration. Source: Vonage, "Messages API" reference, `sms.entity_id`, `sms.content_id`, and its Python client
/// (`SmsOptions`, read 2026-11-26).
#[derive(Serialize)]
struct SmsOptions<'a> {
    entity_id: &'a str,
    content_id: &'a str,
}

impl<'a> SendSms<'a> {
    pub(super) fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        Self {
            message_type: "text",
            channel: "sms",
            text: message.text,
            ttl: message.life_s.max(SHORTEST_TTL_S),
            sms: message.dlt.map(|ids| SmsOptions { entity_id: ids.entity_id, content_id: ids.template_id }),
            envelope: Envelope::new(message.sender.unwrap_or(from), message),
        }
    }
}

/// Source: Vonage, SMS API, `ttl`: 20 seconds to 7 days.
const SHORTEST_TTL_S: u32 = 20;

/// The id of a message, or the refusal of one as a problem document.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub message_uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl Answer<'_> {
    pub(super) fn code(&self) -> Option<String> {
        code_of_type(self.r#type)
    }
}

/// A status of a message, or a message from a person, which has none.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub message_uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub client_ref: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Event<'_> {
    /// A number in `title`, which may be text, else the fragment of `type`.
    pub(super) fn code(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Error<'a> {
            #[serde(borrow)]
            r#type: Option<&'a RawValue>,
            #[serde(borrow)]
            title: Option<&'a RawValue>,
        }
        let error: Error<'_> = lenient(self.error)?;
        let number = |Scalar(title): Scalar| {
            let is_number = !title.is_empty() && title.bytes().all(|b| b.is_ascii_digit());
            is_number.then_some(title)
        };
        lenient(error.title).and_then(number).or_else(|| code_of_type(error.r#type))
    }
}

/// `https://developer.vonage.com/api-errors/messages#1150`
fn code_of_type(link: Option<&RawValue>) -> Option<String> {
    let link: String = lenient(link)?;
    let (_, code) = link.rsplit_once('#')?;
    (!code.is_empty()).then(|| code.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Submitted,
    Delivered,
    Read,
    Rejected,
    /// Vonage could not reach the channel's own provider.
    Undeliverable,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// `None` for words added later.
    pub(super) fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Submitted => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Rejected | Self::Undeliverable => Some(receipt::Status::Failed),
            Self::Other(_) => None,
        }
    }
}
