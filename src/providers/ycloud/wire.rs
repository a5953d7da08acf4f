//! YCloud's JSON, in its own names. Source: YCloud's OpenAPI file, 1.16.2.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::providers::Outbound;
use crate::providers::json::{Scalar, lenient};
use crate::providers::meta::wire::AuthTemplate;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendWhatsapp<'a> {
    from: &'a str,
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, u8>,
    external_id: String,
}

impl<'a> SendWhatsapp<'a> {
    pub fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        Self {
            from,
            to: message.to.e164(),
            r#type: "template",
            template: AuthTemplate::new(message.template, message.code.digits(), 0),
            external_id: message.attempt_id.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendSms<'a> {
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    external_id: String,
}

impl<'a> SendSms<'a> {
    pub fn new(sender_id: Option<&'a str>, message: &Outbound<'a>) -> Self {
        Self { to: message.to.e164(), text: message.text, sender_id, external_id: message.attempt_id.to_string() }
    }
}

/// Only `id`, `wabaId` and `from` are required. It repeats the template or the text, and so the code.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    whatsapp_api_error: Option<&'a RawValue>,
}

impl Answer<'_> {
    pub fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.error_code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Error<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    whatsapp_api_error: Option<&'a RawValue>,
}

impl Error<'_> {
    pub fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    pub r#type: String,
    #[serde(borrow)]
    pub create_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub whatsapp_message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub sms: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item<'a> {
    pub id: String,
    pub status: Status,
    #[serde(borrow)]
    pub external_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub send_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub deliver_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub read_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub update_time: Option<&'a RawValue>,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    whatsapp_api_error: Option<&'a RawValue>,
}

impl Item<'_> {
    pub fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.error_code)
    }
}

/// The answer to a look-up through a filter.
#[derive(Deserialize)]
pub struct List<'a> {
    #[serde(borrow)]
    pub items: Vec<&'a RawValue>,
}

/// `undelivered` is of SMS only.
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

/// Meta's own code, which says more, else YCloud's.
fn best_code(upstream: Option<&RawValue>, own: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Upstream {
        code: Scalar,
    }
    let code = lenient::<Upstream>(upstream).map(|e| e.code).or_else(|| lenient(own));
    code.map(|Scalar(code)| code).filter(|code| !code.is_empty())
}
