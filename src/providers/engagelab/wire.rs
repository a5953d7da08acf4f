//! EngageLab's JSON, in its own names. Sources: EngageLab, OTP "Custom OTP send", SMS "Send SMS", WhatsApp "Send
//! messages", and "Callback" of each.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::receipt;
use crate::providers::Outbound;
use crate::providers::engagelab::Parameter;
use crate::providers::json::{Scalar, lenient};
use crate::providers::meta::wire::AuthComponents;

/// `POST /v1/codes`: a code of our own.
#[derive(Serialize)]
pub struct SendCode<'a> {
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
    pub fn new(params: &'a [Parameter], message: &'a Outbound<'a>) -> Self {
        let language = Some(message.template.language.as_str());
        let params = Params { values: params, message };
        let template = Template { id: &message.template.name, language, params };
        Self { to: message.to.e164(), code: message.code.digits(), template }
    }
}

#[derive(Serialize)]
pub struct SendSms<'a> {
    to: [&'a str; 1],
    template: Template<'a>,
    custom_args: CustomArgs,
}

impl<'a> SendSms<'a> {
    pub fn new(params: &'a [Parameter], message: &'a Outbound<'a>) -> Self {
        let params = Params { values: params, message };
        let template = Template { id: &message.template.name, language: None, params };
        Self { to: [message.to.e164()], template, custom_args: CustomArgs::new(message) }
    }
}

#[derive(Serialize)]
pub struct SendWhatsapp<'a> {
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

/// Meta's, but for the language, which is plain text here.
#[derive(Serialize)]
struct WhatsappTemplate<'a> {
    name: &'a str,
    language: &'a str,
    components: AuthComponents<'a, u8>,
}

impl<'a> SendWhatsapp<'a> {
    pub fn new(from: &'a str, message: &Outbound<'a>) -> Self {
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

/// Comes back in every row about the message.
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
pub struct Answer<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    accepted_count: Option<&'a RawValue>,
}

impl Answer<'_> {
    /// 0 is no error.
    pub fn code(&self) -> Option<String> {
        code(self.code)
    }

    /// The SMS product counts; the others do not.
    pub fn took_none(&self) -> bool {
        lenient::<u64>(self.accepted_count) == Some(0)
    }
}

#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub rows: Vec<&'a RawValue>,
}

/// Has `status`, or is about something else than a message of ours.
#[derive(Deserialize)]
pub struct Row<'a> {
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
    pub fn attempt(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Args {
            attempt: String,
        }
        lenient::<Args>(self.custom_args).map(|args| args.attempt)
    }
}

#[derive(Deserialize)]
pub struct RowStatus<'a> {
    pub message_status: Status,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    error_detail: Option<&'a RawValue>,
}

impl RowStatus<'_> {
    pub fn code(&self) -> Option<String> {
        code(self.error_code)
    }

    pub fn text(&self) -> Option<String> {
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
pub enum Status {
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
    /// WhatsApp: Meta confirmed nothing within 5 minutes. It may still arrive.
    DeliveredTimeout,
    Verified,
    VerifiedFailed,
    VerifiedTimeout,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// `None` when it says nothing about the delivery, or nothing that we know. What was `verified` was so at EngageLab,
    /// whose checks we do not use.
    pub fn ours(&self) -> Option<receipt::Status> {
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
