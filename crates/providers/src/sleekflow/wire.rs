//! SleekFlow's JSON, with its own names. Source: public client code and SleekFlow's help pages; this module's head
//! lists the assumptions. Its page on authentication templates was not accessible (2026-11-26): clients send WhatsApp's
//! components, so the code is in body and button as on WhatsApp's own page.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChannelType, SleekflowConfig};
use crate::Outbound;
use crate::json::{Scalar, lenient, msisdn};
use crate::whatsapp::template::AuthComponents;
use otpost_domain::receipt;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendTemplate<'a> {
    channel: &'static str,
    from: &'a str,
    to: &'a str,
    message_type: &'static str,
    extended_message: ExtendedMessage<'a>,
    /// For the account's own reports; not returned anywhere.
    analytic_tags: [String; 2],
}

/// Named after the channel, in the spellings seen to work.
#[derive(Serialize)]
enum ExtendedMessage<'a> {
    #[serde(rename = "WhatsappCloudApiTemplateMessageObject")]
    CloudApi(TemplateMessage<'a>),
    #[serde(rename = "whatsapp360DialogTemplateMessage")]
    Dialog360(TemplateMessage<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TemplateMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    template_namespace: Option<&'a str>,
    template_name: &'a str,
    language: &'a str,
    components: AuthComponents<'a, u8>,
}

impl<'a> SendTemplate<'a> {
    pub(super) fn new(config: &'a SleekflowConfig, message: &Outbound<'a>) -> Self {
        let template = |template_namespace| TemplateMessage {
            template_namespace,
            template_name: &message.template.name,
            language: &message.template.language,
            components: AuthComponents::new(message.code.digits(), 0),
        };
        Self {
            channel: config.channel_type.as_str(),
            from: msisdn(&config.from),
            to: msisdn(message.to.e164()),
            message_type: "template",
            extended_message: match config.channel_type {
                ChannelType::CloudApi => ExtendedMessage::CloudApi(template(None)),
                ChannelType::Dialog360 => ExtendedMessage::Dialog360(template(Some(&config.template_namespace))),
            },
            analytic_tags: ["otp".to_owned(), message.attempt_id.to_string()],
        }
    }
}

/// A message: the answer to a send, or one of a conversation. A refusal has only `code`. It contains the text, and so
/// the code that was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub conversation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub updated_at: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

impl Message<'_> {
    /// WhatsApp's code of the failure.
    pub(super) fn code(&self) -> Option<String> {
        let errors = lenient::<Metadata>(self.metadata)?.errors;
        errors.into_iter().next().map(|Error { code: Scalar(code) }| code).filter(|code| !code.is_empty())
    }

    /// Code of a refused request.
    pub(super) fn refusal(&self) -> Option<String> {
        lenient::<Scalar>(self.code).map(|Scalar(code)| code).filter(|code| !code.is_empty())
    }
}

#[derive(Deserialize)]
struct Metadata {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: Scalar,
}

pub(super) type List<'a> = Vec<&'a RawValue>;

/// For finding a message in a list, ignoring its other fields.
#[derive(Deserialize)]
pub(super) struct Named {
    pub id: Scalar,
}

/// The post of a flow: "outgoing message sent" as SleekFlow writes it, or the body that we ask the operator to write.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub is_sent_from_sleekflow: Option<&'a RawValue>,
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
}

impl Event<'_> {
    pub(super) fn code(&self) -> Option<String> {
        lenient::<Scalar>(self.error_code).map(|Scalar(code)| code).filter(|code| !code.is_empty())
    }
}

#[derive(Deserialize)]
pub(super) enum Status {
    Sending,
    Queued,
    Scheduled,
    Sent,
    /// Received on the person's phone.
    Received,
    Read,
    Failed,
    Undelivered,
    OutOfCredit,
    /// Taken back.
    Deleted,
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// An unknown one is counted and logged, so it must be a single word and not the text of a message.
    pub(super) fn read(field: Option<&RawValue>) -> Option<Self> {
        let is_text = |status: &Self| matches!(status, Self::Other(w) if !w.bytes().all(|b| b.is_ascii_alphabetic()));
        lenient(field).filter(|status| !is_text(status))
    }

    /// `None` when it adds nothing to our own answer, or is unknown.
    pub(super) fn ours(&self) -> Option<receipt::Status> {
        match self {
            Self::Sending | Self::Queued | Self::Scheduled | Self::Other(_) => None,
            Self::Sent => Some(receipt::Status::Sent),
            Self::Received => Some(receipt::Status::Delivered),
            Self::Read => Some(receipt::Status::Read),
            Self::Failed | Self::Undelivered | Self::OutOfCredit | Self::Deleted => Some(receipt::Status::Failed),
        }
    }
}
