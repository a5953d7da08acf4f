//! Cloud API's JSON, in its own names. Source: Meta, Cloud API, "Messages" and "Webhooks, messages"; v25.0.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::providers::json::Scalar;
use crate::providers::{Outbound, Template};

#[derive(Serialize)]
pub struct SendMessage<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    /// With `+`: without it, Meta puts the calling code of the business in front.
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, &'static str>,
    biz_opaque_callback_data: String,
}

impl<'a> SendMessage<'a> {
    pub fn new(message: &Outbound<'a>) -> Self {
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

/// An authentication template: one shape for copy-code, one-tap and zero-tap buttons; the code goes into the text and
/// into the button. `Index`: text for Meta, an integer for those who pass it on.
#[derive(Serialize)]
pub struct AuthTemplate<'a, Index> {
    name: &'a str,
    language: Language<'a>,
    components: AuthComponents<'a, Index>,
}

/// The code, in the text and in the button.
#[derive(Serialize)]
pub struct AuthComponents<'a, Index>([Component<'a, Index>; 2]);

#[derive(Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Component<'a, Index> {
    Body { parameters: [Parameter<'a>; 1] },
    Button { sub_type: &'static str, index: Index, parameters: [Parameter<'a>; 1] },
}

#[derive(Serialize)]
pub struct Parameter<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl<'a, Index> AuthTemplate<'a, Index> {
    pub fn new(template: &'a Template, digits: &'a str, index: Index) -> Self {
        let language = Language { code: &template.language };
        Self { name: &template.name, language, components: AuthComponents::new(digits, index) }
    }
}

impl<'a, Index> AuthComponents<'a, Index> {
    pub fn new(digits: &'a str, index: Index) -> Self {
        let parameters = || [Parameter { r#type: "text", text: digits }];
        Self([
            Component::Body { parameters: parameters() },
            Component::Button { sub_type: "url", index, parameters: parameters() },
        ])
    }
}

#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub messages: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Taken {
    pub id: String,
    pub message_status: Option<String>,
}

/// Of an answer, or of a failed status. `error_data` and the `(#code)` before the message may be missing.
#[derive(Deserialize)]
pub struct Error {
    pub code: Scalar,
}

#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Entry<'a> {
    #[serde(borrow)]
    pub changes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Change<'a> {
    pub field: String,
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Value<'a> {
    #[serde(borrow)]
    pub statuses: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
pub struct StatusItem<'a> {
    pub id: String,
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
pub enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
    #[serde(untagged)]
    Other(String),
}
