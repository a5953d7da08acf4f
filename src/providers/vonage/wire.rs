//! Vonage's JSON, in its own names. Source: Vonage, "Messages API" reference, v1.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::receipt;
use crate::providers::Outbound;
use crate::providers::json::{Scalar, lenient};

/// Numbers are digits without a `+`.
pub fn digits(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// What both channels have.
#[derive(Serialize)]
struct Envelope<'a> {
    to: &'a str,
    from: &'a str,
    /// At most 100 characters; every callback repeats it.
    client_ref: String,
    /// In place of the application's own.
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

#[derive(Serialize)]
pub struct SendWhatsapp<'a> {
    message_type: &'static str,
    channel: &'static str,
    template: Template<'a>,
    whatsapp: Whatsapp<'a>,
    #[serde(flatten)]
    envelope: Envelope<'a>,
}

#[derive(Serialize)]
struct Template<'a> {
    /// `namespace:name`.
    name: &'a str,
    parameters: [&'a str; 1],
}

#[derive(Serialize)]
struct Whatsapp<'a> {
    policy: &'static str,
    locale: &'a str,
}

impl<'a> SendWhatsapp<'a> {
    pub fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        Self {
            message_type: "template",
            channel: "whatsapp",
            template: Template { name: &message.template.name, parameters: [message.code.digits()] },
            whatsapp: Whatsapp { policy: "deterministic", locale: &message.template.language },
            envelope: Envelope::new(from, message),
        }
    }
}

#[derive(Serialize)]
pub struct SendSms<'a> {
    message_type: &'static str,
    channel: &'static str,
    /// At most 1000 characters.
    text: &'a str,
    /// Seconds.
    ttl: u32,
    #[serde(flatten)]
    envelope: Envelope<'a>,
}

impl<'a> SendSms<'a> {
    pub fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        Self {
            message_type: "text",
            channel: "sms",
            text: message.text,
            ttl: message.life_s.max(SHORTEST_TTL_S),
            envelope: Envelope::new(from, message),
        }
    }
}

/// Source: Vonage, SMS API, `ttl`: 20 seconds to 7 days.
const SHORTEST_TTL_S: u32 = 20;

/// The id of a message, or the refusal of one as a problem document.
#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub message_uuid: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl Answer<'_> {
    pub fn code(&self) -> Option<String> {
        code_of_type(self.r#type)
    }
}

/// A status of a message, or a message that somebody wrote, which has none.
#[derive(Deserialize)]
pub struct Event<'a> {
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
    /// A number in `title`, which may be text, else what stands behind the `#` of `type`.
    pub fn code(&self) -> Option<String> {
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
pub enum Status {
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
    /// `None` for what they add later.
    pub fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Submitted => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Rejected | Self::Undeliverable => Some(receipt::Status::Failed),
            Self::Other(_) => None,
        }
    }
}
