//! Cliqtel's JSON, in its own names. Requests after its API reference; whatever comes by callback is assumed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::receipt;
use crate::providers::Outbound;
use crate::providers::cliqtel::CliqtelSender;
use crate::providers::json::{Scalar, lenient};
use crate::providers::meta::wire::AuthTemplate;

#[derive(Serialize)]
pub struct SendWhatsapp<'a> {
    account_id: u64,
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, u8>,
}

impl<'a> SendWhatsapp<'a> {
    pub fn new(account_id: u64, message: &Outbound<'a>) -> Self {
        Self {
            account_id,
            to: message.to.e164(),
            r#type: "template",
            template: AuthTemplate::new(message.template, message.code.digits(), 0),
        }
    }
}

#[derive(Serialize)]
pub struct SendSms<'a> {
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
    pub fn new(sender: &'a CliqtelSender, status_callback_url: &'a str, message: &Outbound<'a>) -> Self {
        let (from, from_number_id) = match sender {
            CliqtelSender::From(from) => (Some(from.as_str()), None),
            CliqtelSender::NumberId(id) => (None, Some(*id)),
        };
        Self { from, from_number_id, to: message.to.e164(), body: message.text, status_callback_url }
    }
}

/// An answer or a callback, or the `data` inside of one.
#[derive(Deserialize)]
pub struct Message<'a> {
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
    /// What is in `data`, when that is an object: the outer id is then the event's.
    pub fn innermost(self) -> Self {
        lenient(self.data).unwrap_or(self)
    }

    /// An integer in their examples.
    pub fn id(&self) -> Option<String> {
        let id = lenient::<Scalar>(self.id).or_else(|| lenient(self.message_id));
        id.map(|Scalar(id)| id)
    }

    pub fn code(&self) -> Option<String> {
        lenient::<Error>(self.error)?.code()
    }
}

/// `{"error":"<word>"}` in answers; assumed to be an object with a code in callbacks.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Error {
    Word(Scalar),
    Object { code: Scalar },
}

impl Error {
    pub fn code(self) -> Option<String> {
        let (Self::Word(Scalar(code)) | Self::Object { code: Scalar(code) }) = self;
        (!code.is_empty()).then_some(code)
    }
}

/// `undelivered` is assumed, of SMS only.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
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
    /// `None` when it tells nothing that our own answer did not, or nothing that we know.
    pub fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Accepted | Self::Other(_) => None,
            Self::Sent => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Failed | Self::Undelivered => Some(receipt::Status::Failed),
        }
    }
}
