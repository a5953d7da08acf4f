//! Twilio's forms and JSON, in its own names. Source: Twilio, "Messages resource" and "Status callbacks".

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::domain::channel::Channel;
use crate::domain::receipt;
use crate::providers::Outbound;
use crate::providers::form::Form;
use crate::providers::twilio::{TwilioConfig, TwilioSender};

/// The longest `ValidityPeriod`, in seconds.
const LONGEST_VALIDITY_S: u32 = 36_000;

/// Beyond it, Twilio posts a callback again only when it could not connect: 5 tries more, after any failure.
const RETRIES: &str = "#rc=5&rp=all";

/// The body of `POST .../Messages.json`.
pub fn send(channel: Channel, config: &TwilioConfig, message: &Outbound<'_>) -> Zeroizing<Vec<u8>> {
    let prefix = match channel {
        Channel::Sms => "",
        Channel::Whatsapp => "whatsapp:",
    };
    let mut form = Form::new().field("To", &[prefix, message.to.e164()]);
    form = match &config.sender {
        TwilioSender::From(from) => form.field("From", &[prefix, from]),
        TwilioSender::MessagingService(sid) => form.field("MessagingServiceSid", &[sid]),
    };
    form = match channel {
        Channel::Sms => {
            let validity_s = message.life_s.clamp(1, LONGEST_VALIDITY_S).to_string();
            form.field("Body", &[message.text]).field("ValidityPeriod", &[&validity_s])
        }
        // JSON inside of the form; a code is digits and needs no escapes.
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

/// A message, or the refusal of one. It repeats the text, and so the code.
#[derive(Deserialize)]
pub struct Answer<'a> {
    /// Of a refusal.
    #[serde(borrow)]
    pub code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub sid: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    /// Of a message that failed.
    #[serde(borrow)]
    pub error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub date_sent: Option<&'a RawValue>,
    #[serde(borrow)]
    pub date_updated: Option<&'a RawValue>,
}

/// What a status callback tells. Its parameters vary, and new ones come without notice.
#[derive(Default)]
pub struct Told {
    pub message_sid: Option<String>,
    pub message_status: Option<String>,
    /// The older name; inbound messages have only this one.
    pub sms_status: Option<String>,
    pub error_code: Option<String>,
}

impl Told {
    /// `Err` names a field that is there twice: which one counts is not documented.
    pub fn from_fields(fields: Vec<(String, String)>) -> Result<Self, &'static str> {
        let mut told = Self::default();
        for (name, value) in fields {
            let (name, slot) = match name.as_str() {
                "MessageSid" => ("MessageSid", &mut told.message_sid),
                "MessageStatus" => ("MessageStatus", &mut told.message_status),
                "SmsStatus" => ("SmsStatus", &mut told.sms_status),
                "ErrorCode" => ("ErrorCode", &mut told.error_code),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(name);
            }
        }
        Ok(told)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `queued`, `accepted`, `scheduled`, `sending`: no news after our own answer.
    Underway,
    Sent,
    Delivered,
    Read,
    Failed,
    /// Of scheduled messages.
    Canceled,
    /// `receiving`, `received`: somebody wrote to us.
    Inbound,
}

impl Status {
    /// `None` for what they add later.
    pub fn parse(word: &str) -> Option<Self> {
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

    /// `None` when it tells nothing about one of our attempts.
    pub fn ours(self) -> Option<receipt::Status> {
        match self {
            Self::Underway | Self::Inbound => None,
            Self::Sent => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Failed | Self::Canceled => Some(receipt::Status::Failed),
        }
    }
}
