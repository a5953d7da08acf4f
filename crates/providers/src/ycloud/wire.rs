//! YCloud's JSON, in its own names. Sources: YCloud's OpenAPI file, 1.16.2, and for the template "WhatsApp messaging
//! examples", "Authentication template message" (read 2026-11-26). The page writes the button's index as text, the file as an
//! integer, as here; the policy of the language is optional.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Outbound;
use crate::json::{Scalar, lenient};
use crate::whatsapp::template::AuthTemplate;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendWhatsapp<'a> {
    from: &'a str,
    to: &'a str,
    r#type: &'static str,
    template: AuthTemplate<'a, u8>,
    external_id: String,
}

impl<'a> SendWhatsapp<'a> {
    pub(super) fn new(from: &'a str, message: &Outbound<'a>) -> Self {
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
pub(super) struct SendSms<'a> {
    to: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    external_id: String,
}

impl<'a> SendSms<'a> {
    pub(super) fn new(sender_id: Option<&'a str>, message: &Outbound<'a>) -> Self {
        let sender_id = message.sender.or(sender_id);
        Self { to: message.to.e164(), text: message.text, sender_id, external_id: message.attempt_id.to_string() }
    }
}

/// Only `id`, `wabaId` and `from` are required. It repeats the template or the text, and so the code.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
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
    pub(super) fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.error_code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Error<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    whatsapp_api_error: Option<&'a RawValue>,
}

impl Error<'_> {
    pub(super) fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
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
pub(super) struct Item<'a> {
    pub id: Scalar,
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
    pub(super) fn best_code(&self) -> Option<String> {
        best_code(self.whatsapp_api_error, self.error_code)
    }
}

/// The answer to a look-up through a filter.
#[derive(Deserialize)]
pub(super) struct List<'a> {
    #[serde(borrow)]
    pub items: Vec<&'a RawValue>,
}

/// `undelivered` is of SMS only.
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

/// WhatsApp's own code, which says more, else YCloud's.
fn best_code(upstream: Option<&RawValue>, own: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Upstream {
        code: Scalar,
    }
    let code = lenient::<Upstream>(upstream).map(|e| e.code).or_else(|| lenient(own));
    code.map(|Scalar(code)| code).filter(|code| !code.is_empty())
}
