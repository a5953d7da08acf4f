//! Infobip's JSON, in its own names. Source: Infobip's API description, 3.210.0.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::providers::Outbound;
use crate::providers::json::{Scalar, lenient, msisdn};

#[derive(Serialize)]
pub struct SendWhatsapp<'a> {
    messages: [WhatsappMessage<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhatsappMessage<'a> {
    from: &'a str,
    to: &'a str,
    /// At most 200 characters; comes back in every report.
    message_id: String,
    content: TemplateContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateContent<'a> {
    template_name: &'a str,
    template_data: TemplateData<'a>,
    language: &'a str,
}

/// Of an authentication template: the code goes into the text and into the button.
#[derive(Serialize)]
struct TemplateData<'a> {
    body: TemplateBody<'a>,
    buttons: [Button<'a>; 1],
}

#[derive(Serialize)]
struct TemplateBody<'a> {
    placeholders: [&'a str; 1],
}

#[derive(Serialize)]
struct Button<'a> {
    r#type: &'static str,
    parameter: &'a str,
}

impl<'a> SendWhatsapp<'a> {
    pub fn new(from: &'a str, notify_url: Option<String>, message: &Outbound<'a>) -> Self {
        let digits = message.code.digits();
        let template_data = TemplateData {
            body: TemplateBody { placeholders: [digits] },
            buttons: [Button { r#type: "URL", parameter: digits }],
        };
        Self {
            messages: [WhatsappMessage {
                from: msisdn(from),
                to: msisdn(message.to.e164()),
                message_id: message.attempt_id.to_string(),
                content: TemplateContent {
                    template_name: &message.template.name,
                    template_data,
                    language: &message.template.language,
                },
                notify_url,
            }],
        }
    }
}

#[derive(Serialize)]
pub struct SendSms<'a> {
    messages: [SmsMessage<'a>; 1],
}

#[derive(Serialize)]
struct SmsMessage<'a> {
    sender: &'a str,
    destinations: [Destination<'a>; 1],
    content: SmsContent<'a>,
    options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhooks: Option<Webhooks>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Destination<'a> {
    to: &'a str,
    /// Comes back in every report.
    message_id: String,
}

#[derive(Serialize)]
struct SmsContent<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    validity_period: ValidityPeriod,
}

/// How long networks go on trying. A code is worth nothing after its life.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValidityPeriod {
    amount: u32,
    time_unit: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhooks {
    delivery: DeliveryWebhook,
    content_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryWebhook {
    url: String,
    /// Reports what happens on the way, too: `sent`.
    intermediate_report: bool,
}

impl<'a> SendSms<'a> {
    pub fn new(sender: &'a str, notify_url: Option<String>, message: &Outbound<'a>) -> Self {
        let webhooks = notify_url.map(|url| Webhooks {
            delivery: DeliveryWebhook { url, intermediate_report: true },
            content_type: "application/json",
        });
        Self {
            messages: [SmsMessage {
                sender,
                destinations: [Destination {
                    to: msisdn(message.to.e164()),
                    message_id: message.attempt_id.to_string(),
                }],
                content: SmsContent { text: message.text },
                options: Options { validity_period: ValidityPeriod { amount: message.life_s, time_unit: "SECONDS" } },
                webhooks,
            }],
        }
    }
}

/// The refusals of WhatsApp (`requestError`) and of SMS (`errorCode`) differ.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    request_error: Option<&'a RawValue>,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// The only one, since one was sent.
    pub fn message(&self) -> Option<Message<'a>> {
        let messages: Vec<&'a RawValue> = lenient(self.messages)?;
        lenient(messages.first().copied())
    }

    pub fn code(&self) -> Option<String> {
        let exception = lenient::<RequestError>(self.request_error).map(|e| e.service_exception.message_id);
        let code = exception.or_else(|| lenient(self.error_code));
        code.map(|Scalar(code)| code).filter(|code| !code.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestError {
    service_exception: ServiceException,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceException {
    message_id: Scalar,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub results: Vec<&'a RawValue>,
}

/// A delivery report (`status`), a seen report (`seenAt`) or a line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub sent_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub done_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub seen_at: Option<&'a RawValue>,
    #[serde(borrow)]
    received_at: Option<&'a RawValue>,
    #[serde(borrow)]
    deleted_at: Option<&'a RawValue>,
}

impl Report<'_> {
    /// A person's own message, or one that was taken back.
    pub fn is_of_another_kind(&self) -> bool {
        let other = self.received_at.is_some() || self.deleted_at.is_some();
        other && self.status.is_none() && self.seen_at.is_none()
    }
}

/// Both are numbers, as text or not: whatever else stands there is no status of theirs, and nothing to be repeated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(deserialize_with = "number")]
    pub group_id: u32,
    /// 0 when it is missing.
    #[serde(default, deserialize_with = "number")]
    pub id: u32,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let Scalar(text) = Scalar::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    Accepted,
    Sent,
    Delivered,
    Failed,
    /// They have had a message of this id before, and refuse this one. Our ids are ours alone, so it was a try of ours.
    Repeated,
    Unknown(String),
}

impl Status {
    /// Groups: 0 accepted, 1 pending, 2 undeliverable, 3 delivered, 4 expired, 5 rejected.
    pub fn meaning(&self) -> Meaning {
        match (self.group_id, self.id) {
            // Waiting for the handset, or with the next instance.
            (1, 3 | 7) => Meaning::Sent,
            (0 | 1, _) => Meaning::Accepted,
            (3, 5) => Meaning::Delivered,
            // The operator has it. Nothing is known of the phone.
            (3, 2) => Meaning::Sent,
            (5, 23) => Meaning::Repeated,
            (2 | 4 | 5, _) => Meaning::Failed,
            (group, id) => Meaning::Unknown(format!("{group}/{id}")),
        }
    }
}

/// `id` 0: none. `permanent`: the same message would fail again.
#[derive(Deserialize)]
pub struct Error {
    #[serde(deserialize_with = "number")]
    pub id: u32,
    #[serde(default)]
    pub permanent: Option<bool>,
}
