//! Cliqtel's JSON, with its own names. Requests follow its API reference, whose template is WhatsApp's with an integer as
//! `index`; callback bodies are assumed.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::CliqtelSender;
use crate::Outbound;
use crate::json::{Scalar, lenient};
use crate::whatsapp::template::AuthTemplate;
use otpost_domain::receipt;

#[derive(Serialize)]
pub(super) struct SendWhatsapp<'a> {
    account_id: u64,
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, u8>,
}

impl<'a> SendWhatsapp<'a> {
    pub(super) fn new(account_id: u64, message: &Outbound<'a>) -> Self {
        Self {
            account_id,
            to: message.to.e164(),
            r#type: "template",
            template: AuthTemplate::new(message.template, message.code.digits(), 0),
        }
    }
}

#[derive(Serialize)]
pub(super) struct SendSms<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_number_id: Option<u64>,
    to: &'a str,
    /// At most 1600 characters.
    body: &'a str,
    status_callback_url: &'a str,
}

impl<'a> SendSms<'a> {
    pub(super) fn new(sender: &'a CliqtelSender, status_callback_url: &'a str, message: &Outbound<'a>) -> Self {
        let (from, from_number_id) = match (message.sender, sender) {
            (Some(from), _) => (Some(from), None),
            (None, CliqtelSender::From(from)) => (Some(from.as_str()), None),
            (None, CliqtelSender::NumberId(id)) => (None, Some(*id)),
        };
        Self { from, from_number_id, to: message.to.e164(), body: message.text, status_callback_url }
    }
}

/// An answer or a callback, or the `data` object inside it.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub event: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// The contents of `data` if that is an object: the outer id is then the event's.
    pub(super) fn innermost(self) -> Self {
        lenient(self.data).unwrap_or(self)
    }

    /// An integer in their examples.
    pub(super) fn id(&self) -> Option<String> {
        let id = lenient::<Scalar>(self.id).or_else(|| lenient(self.message_id));
        id.map(|Scalar(id)| id)
    }

    pub(super) fn code(&self) -> Option<String> {
        lenient::<Error>(self.error)?.code()
    }
}

/// `{"error":"<word>"}` in answers; assumed to be an object with a code in callbacks.
pub(super) struct Error(Scalar);

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            code: Scalar,
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let code = match raw.as_bytes().first() {
            Some(b'{') => serde_json::from_str::<Object>(raw).map(|object| object.code),
            _ => serde_json::from_str(raw),
        };
        code.map(Self).map_err(serde::de::Error::custom)
    }
}

impl Error {
    pub(super) fn code(self) -> Option<String> {
        let Self(Scalar(code)) = self;
        (!code.is_empty()).then_some(code)
    }
}

/// `undelivered` is assumed, of SMS only.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Accepted,
    Sent,
    Delivered,
    Read,
    Failed,
    Undelivered,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// `None` when it adds nothing to our own answer, or is unknown.
    pub(super) fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Accepted | Self::Other(_) => None,
            Self::Sent => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Failed | Self::Undelivered => Some(receipt::Status::Failed),
        }
    }
}
