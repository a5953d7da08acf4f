//! EngageLab's JSON, with its own names. Sources: EngageLab, OTP "Custom OTP send", SMS "Send SMS", WhatsApp "Send
//! messages", and "Callback" of each. Its page on WhatsApp templates has WhatsApp's components and the language as text;
//! the format of a button is documented on WhatsApp's page only (read 2026-11-26).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Parameter;
use crate::Outbound;
use crate::json::{Scalar, lenient};
use crate::whatsapp::template::AuthComponents;
use otpost_domain::receipt;

/// `POST /v1/codes`: a code chosen by us.
#[derive(Serialize)]
pub(super) struct SendCode<'a> {
    to: &'a str,
    code: &'a str,
    template: Template<'a>,
}

#[derive(Serialize)]
struct Template<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Params::is_empty")]
    params: Params<'a>,
}

/// Written as an object.
struct Params<'a> {
    values: &'a [Parameter],
    message: &'a Outbound<'a>,
}

impl Params<'_> {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Serialize for Params<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|one| (&one.name, one.value.of(self.message))))
    }
}

impl<'a> SendCode<'a> {
    pub(super) fn new(params: &'a [Parameter], message: &'a Outbound<'a>) -> Self {
        let language = Some(message.template.language.as_str());
        let params = Params { values: params, message };
        let template = Template { id: &message.template.name, language, params };
        Self { to: message.to.e164(), code: message.code.digits(), template }
    }
}

#[derive(Serialize)]
pub(super) struct SendSms<'a> {
    to: [&'a str; 1],
    template: Template<'a>,
    custom_args: CustomArgs,
}

impl<'a> SendSms<'a> {
    pub(super) fn new(params: &'a [Parameter], message: &'a Outbound<'a>) -> Self {
        let params = Params { values: params, message };
        let template = Template { id: &message.template.name, language: None, params };
        Self { to: [message.to.e164()], template, custom_args: CustomArgs::new(message) }
    }
}

#[derive(Serialize)]
pub(super) struct SendWhatsapp<'a> {
    from: &'a str,
    to: [&'a str; 1],
    body: WhatsappBody<'a>,
    request_id: String,
    custom_args: CustomArgs,
}

#[derive(Serialize)]
struct WhatsappBody<'a> {
    r#type: &'static str,
    template: WhatsappTemplate<'a>,
}

/// WhatsApp's, except for the language, which is plain text here.
#[derive(Serialize)]
struct WhatsappTemplate<'a> {
    name: &'a str,
    language: &'a str,
    components: AuthComponents<'a, u8>,
}

impl<'a> SendWhatsapp<'a> {
    pub(super) fn new(from: &'a str, message: &Outbound<'a>) -> Self {
        let template = WhatsappTemplate {
            name: &message.template.name,
            language: &message.template.language,
            components: AuthComponents::new(message.code.digits(), 0),
        };
        Self {
            from,
            to: [message.to.e164()],
            body: WhatsappBody { r#type: "template", template },
            request_id: message.attempt_id.to_string(),
            custom_args: CustomArgs::new(message),
        }
    }
}

/// Returned in every row about the message.
#[derive(Serialize)]
struct CustomArgs {
    attempt: String,
}

impl CustomArgs {
    fn new(message: &Outbound<'_>) -> Self {
        Self { attempt: message.attempt_id.to_string() }
    }
}

#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    accepted_count: Option<&'a RawValue>,
}

impl Answer<'_> {
    /// 0 is not an error.
    pub(super) fn code(&self) -> Option<String> {
        code(self.code)
    }

    /// The SMS product counts accepted targets; the others do not.
    pub(super) fn took_none(&self) -> bool {
        lenient::<u64>(self.accepted_count) == Some(0)
    }
}

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub rows: Vec<&'a RawValue>,
}

/// Has `status`, or is not about one of our messages.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    /// Unix seconds of the event.
    #[serde(borrow)]
    pub itime: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_args: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
}

impl Row<'_> {
    pub(super) fn attempt(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Args {
            attempt: String,
        }
        lenient::<Args>(self.custom_args).map(|args| args.attempt)
    }
}

#[derive(Deserialize)]
pub(super) struct RowStatus<'a> {
    pub message_status: Status,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    error_detail: Option<&'a RawValue>,
}

impl RowStatus<'_> {
    pub(super) fn code(&self) -> Option<String> {
        code(self.error_code)
    }

    pub(super) fn text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Detail {
            message: String,
        }
        lenient::<Detail>(self.error_detail).map(|detail| detail.message)
    }
}

fn code(raw: Option<&RawValue>) -> Option<String> {
    lenient::<Scalar>(raw).map(|Scalar(code)| code).filter(|code| !code.is_empty() && code != "0")
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Plan,
    TargetValid,
    Sent,
    Delivered,
    Read,
    TargetInvalid,
    /// `sent_fail` in one of their examples.
    #[serde(alias = "sent_fail")]
    SentFailed,
    DeliveredFailed,
    /// WhatsApp confirmed nothing within 5 minutes. It may still be delivered.
    DeliveredTimeout,
    Verified,
    VerifiedFailed,
    VerifiedTimeout,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// `None` when it says nothing about the delivery, or is unknown. `verified` refers to EngageLab's own checks,
    /// which we do not use.
    pub(super) fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Sent => Some(receipt::Status::Sent),
            Self::Delivered => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::TargetInvalid | Self::SentFailed | Self::DeliveredFailed => Some(receipt::Status::Failed),
            Self::Plan | Self::TargetValid | Self::DeliveredTimeout => None,
            Self::Verified | Self::VerifiedFailed | Self::VerifiedTimeout | Self::Other(_) => None,
        }
    }
}
