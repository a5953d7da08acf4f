//! Infobip's JSON, with its own names. Sources: Infobip's API description, 3.210.0, and for the template "Authenticate
//! users with a WhatsApp template message" and `WhatsAppTemplateUrlButtonContent` of its Java client (read 2026-11-26).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::Outbound;
use crate::json::{Scalar, lenient, msisdn};

#[derive(Serialize)]
pub(super) struct SendWhatsapp<'a> {
    messages: [WhatsappMessage<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WhatsappMessage<'a> {
    from: &'a str,
    to: &'a str,
    /// At most 200 characters; returned in every report.
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

/// An authentication template: the code is in the text and in the button.
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
    pub(super) fn new(from: &'a str, notify_url: Option<String>, message: &Outbound<'a>) -> Self {
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
pub(super) struct SendSms<'a> {
    messages: [SmsMessage<'a>; 1],
}

#[derive(Serialize)]
struct SmsMessage<'a> {
    sender: &'a str,
    destinations: [Destination<'a>; 1],
    content: SmsContent<'a>,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhooks: Option<Webhooks>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Destination<'a> {
    to: &'a str,
    /// Returned in every report.
    message_id: String,
}

#[derive(Serialize)]
struct SmsContent<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options<'a> {
    validity_period: ValidityPeriod,
    #[serde(skip_serializing_if = "Option::is_none")]
    regional: Option<Regional<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Regional<'a> {
    india_dlt: IndiaDlt<'a>,
}

/// "Distributed Ledger Technology (DLT) specific parameters required for sending SMS to phone numbers registered in India."
/// Source: Infobip's Java client, `SmsMessageOptions.regional`, `IndiaDltOptions` (read 2026-11-26).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndiaDlt<'a> {
    content_template_id: &'a str,
    principal_entity_id: &'a str,
}

/// How long networks try to deliver. After its life a code is useless.
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
    /// Also reports intermediate statuses: `sent`.
    intermediate_report: bool,
}

impl<'a> SendSms<'a> {
    pub(super) fn new(sender: &'a str, notify_url: Option<String>, message: &Outbound<'a>) -> Self {
        let webhooks = notify_url.map(|url| Webhooks {
            delivery: DeliveryWebhook { url, intermediate_report: true },
            content_type: "application/json",
        });
        let regional = message.dlt.map(|ids| Regional {
            india_dlt: IndiaDlt { content_template_id: ids.template_id, principal_entity_id: ids.entity_id },
        });
        let validity_period = ValidityPeriod { amount: message.life_s, time_unit: "SECONDS" };
        Self {
            messages: [SmsMessage {
                sender: message.sender.map_or(sender, msisdn),
                destinations: [Destination {
                    to: msisdn(message.to.e164()),
                    message_id: message.attempt_id.to_string(),
                }],
                content: SmsContent { text: message.text },
                options: Options { validity_period, regional },
                webhooks,
            }],
        }
    }
}

/// The refusals of WhatsApp (`requestError`) and of SMS (`errorCode`) differ.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    request_error: Option<&'a RawValue>,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// The only one, since one was sent.
    pub(super) fn message(&self) -> Option<Message<'a>> {
        let messages: Vec<&'a RawValue> = lenient(self.messages)?;
        lenient(messages.first().copied())
    }

    pub(super) fn code(&self) -> Option<String> {
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
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub results: Vec<&'a RawValue>,
}

/// A delivery report (`status`), a seen report (`seenAt`) or a line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
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
    /// A message from a person, or one that was withdrawn.
    pub(super) fn is_of_another_kind(&self) -> bool {
        let other = self.received_at.is_some() || self.deleted_at.is_some();
        other && self.status.is_none() && self.seen_at.is_none()
    }
}

/// Both are numbers or numbers as text: anything else is not a valid status, and must not be repeated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
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
pub(super) enum Meaning {
    Accepted,
    Sent,
    Delivered,
    Failed,
    /// A message with this id was received before, and this one is refused. Our ids are unique, so the earlier one was
    /// our own try.
    Repeated,
    Unknown(String),
}

impl Status {
    /// Groups: 0 accepted, 1 pending, 2 undeliverable, 3 delivered, 4 expired, 5 rejected.
    pub(super) fn meaning(&self) -> Meaning {
        match (self.group_id, self.id) {
            // Waiting for the handset, or with the next instance.
            (1, 3 | 7) => Meaning::Sent,
            (0 | 1, _) => Meaning::Accepted,
            (3, 5) => Meaning::Delivered,
            // The operator has it. Nothing is known about the phone.
            (3, 2) => Meaning::Sent,
            (5, 23) => Meaning::Repeated,
            (2 | 4 | 5, _) => Meaning::Failed,
            (group, id) => Meaning::Unknown(format!("{group}/{id}")),
        }
    }
}

/// `id` 0: none. `permanent`: the same message would fail again.
#[derive(Deserialize)]
pub(super) struct Error {
    #[serde(deserialize_with = "number")]
    pub id: u32,
    #[serde(default)]
    pub permanent: Option<bool>,
}
