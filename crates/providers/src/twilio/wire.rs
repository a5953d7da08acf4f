//! Twilio's forms and JSON, with its own names. Sources: Twilio, "Messages resource", "Status callbacks", and for the
//! template "whatsapp/authentication" (read 2026-11-26): one variable, "1", the code, which Twilio puts into text and
//! button.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{TwilioConfig, TwilioSender};
use crate::Outbound;
use crate::form::{self, Form};
use otpost_domain::channel::Channel;
use otpost_domain::receipt;

/// Maximum `ValidityPeriod`, in seconds.
const LONGEST_VALIDITY_S: u32 = 36_000;

/// Retry settings. By default Twilio repeats a callback only when it could not connect; with this, 5 more times after
/// any failure.
const RETRIES: &str = "#rc=5&rp=all";

/// The body of `POST .../Messages.json`.
pub(super) fn send(channel: Channel, config: &TwilioConfig, message: &Outbound<'_>) -> Zeroizing<Vec<u8>> {
    let prefix = match channel {
        Channel::Sms => "",
        Channel::Whatsapp => "whatsapp:",
    };
    let mut form = Form::new().field("To", &[prefix, message.to.e164()]);
    let of_country = message.sender.map(TwilioSender::read);
    form = match of_country.as_ref().unwrap_or(&config.sender) {
        TwilioSender::From(from) => form.field("From", &[prefix, from]),
        TwilioSender::MessagingService(sid) => form.field("MessagingServiceSid", &[sid]),
    };
    form = match channel {
        Channel::Sms => {
            let validity_s = message.life_s.clamp(1, LONGEST_VALIDITY_S).to_string();
            form.field("Body", &[message.text]).field("ValidityPeriod", &[&validity_s])
        }
        // JSON inside the form; a code consists of digits and needs no escapes.
        Channel::Whatsapp => form
            .field("ContentSid", &[&message.template.name])
            .field("ContentVariables", &["{\"1\":\"", message.code.digits(), "\"}"]),
    };
    let attempt = message.attempt_id.to_string();
    let joint = if message.callback_url.contains('?') { "&" } else { "?" };
    form = form.field("StatusCallback", &[message.callback_url, joint, "attempt=", &attempt, RETRIES]);
    if config.discard_content {
        form = form.field("ContentRetention", &["discard"]).field("AddressRetention", &["obfuscate"]);
    }
    form.into_body()
}

/// A message, or the refusal of one. It contains the text, and so the code.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    /// Present in a refusal.
    #[serde(borrow)]
    pub code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub sid: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    /// Present in a failed message.
    #[serde(borrow)]
    pub error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub date_sent: Option<&'a RawValue>,
    #[serde(borrow)]
    pub date_updated: Option<&'a RawValue>,
}

/// A status callback. Its parameters vary, and new ones are added without notice.
#[derive(Default)]
pub(super) struct Told {
    pub message_sid: Option<String>,
    pub message_status: Option<String>,
    /// The older name; inbound messages have only this one.
    pub sms_status: Option<String>,
    pub error_code: Option<String>,
}

impl Told {
    /// `Err` names a field that cannot be read, or that occurs twice: it is not documented which one counts.
    pub(super) fn from_fields(fields: Vec<form::Field>) -> Result<Self, String> {
        let mut told = Self::default();
        for form::Field { name, value } in fields {
            let slot = match name.as_slice() {
                b"MessageSid" => &mut told.message_sid,
                b"MessageStatus" => &mut told.message_status,
                b"SmsStatus" => &mut told.sms_status,
                b"ErrorCode" => &mut told.error_code,
                _ => continue,
            };
            let name = String::from_utf8_lossy(&name);
            let value = String::from_utf8(value).map_err(|_| format!("callback: {name} is not UTF-8"))?;
            if slot.replace(value).is_some() {
                return Err(format!("callback: two of {name}"));
            }
        }
        Ok(told)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// `queued`, `accepted`, `scheduled`, `sending`: nothing new after our own answer.
    Underway,
    Sent,
    Delivered,
    Read,
    Failed,
    /// Only for scheduled messages.
    Canceled,
    /// `receiving`, `received`: a message from a person.
    Inbound,
}

impl Status {
    /// `None` for words added later.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "queued" | "accepted" | "scheduled" | "sending" => Self::Underway,
            "sent" => Self::Sent,
            // `partially_delivered`: some parts of a long one.
            "delivered" | "partially_delivered" => Self::Delivered,
            "read" => Self::Read,
            "failed" | "undelivered" => Self::Failed,
            "canceled" => Self::Canceled,
            "receiving" | "received" => Self::Inbound,
            _ => return None,
        })
    }

    /// `None` when it says nothing about one of our attempts.
    pub(super) fn ours(self) -> Option<receipt::Status> {
        match self {
            Self::Underway | Self::Inbound => None,
            Self::Sent => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Failed | Self::Canceled => Some(receipt::Status::Failed),
        }
    }
}
