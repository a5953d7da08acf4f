//! Cloud API's JSON, with its own names. Source: Meta, Cloud API, "Messages" and "Webhooks, messages"; v25.0.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outbound;
use crate::json::Scalar;
use crate::whatsapp::template::AuthTemplate;

#[derive(Serialize)]
pub(super) struct SendMessage<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    /// With `+`: without it, Meta puts the calling code of the business in front.
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, &'static str>,
    biz_opaque_callback_data: String,
}

impl<'a> SendMessage<'a> {
    pub(super) fn new(message: &Outbound<'a>) -> Self {
        Self {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: message.to.e164(),
            r#type: "template",
            template: AuthTemplate::new(message.template, message.code.digits(), "0"),
            biz_opaque_callback_data: message.attempt_id.to_string(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub messages: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Taken {
    pub id: Scalar,
    pub message_status: Option<String>,
}

/// In an answer, or in a failed status. `error_data` and the `(#code)` before the message may be missing.
#[derive(Deserialize)]
pub(super) struct Error {
    pub code: Scalar,
}

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub changes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Change<'a> {
    pub field: String,
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Value<'a> {
    #[serde(borrow)]
    pub statuses: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
pub(super) struct StatusItem<'a> {
    pub id: Scalar,
    pub status: Status,
    #[serde(borrow)]
    pub timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub biz_opaque_callback_data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub errors: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
    #[serde(untagged)]
    Other(String),
}
