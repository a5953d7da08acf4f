//! SleekFlow, Platform API: WhatsApp through its Cloud API or 360dialog channels.
//!
//! Its official reference could not be read. Seen in public client code and help pages: the endpoints, the header, the
//! send bodies, the words of `status`, the list of a conversation's messages. Assumed: the bodies of refusals, that
//! `metadata.errors` carries Meta's codes, that the list begins with the newest message, that the send does not wait for
//! Meta, and every callback that tells a status.
//!
//! It has no delivery callbacks: it has to be asked. Flow Builder can post to us where an operator sets it up; such posts
//! are read, in the body that we ask the operator to write, and proven by a header of the operator's.

mod errors;
mod wire;
#[cfg(test)]
mod tests;

use crate::domain::ids::AttemptId;
use crate::domain::receipt::{DeliveryReceipt, Status};
use crate::domain::secret::Secret;
use crate::domain::words::words;
use crate::providers::json::{self, Scalar};
use crate::providers::replies::{self, Pause, is_success};
use crate::providers::signature::FixedHeader;
use crate::providers::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Question, Receipts, Reply, SendOutcome,
    Unreadable, Unverified, Verified, query,
};

/// Regional accounts have another.
pub const DEFAULT_BASE_URL: &str = "https://api.sleekflow.io";

/// The header that the operator's flow adds to each post.
pub const HOOK_HEADER: &str = "X-Otp-Hook-Secret";

#[derive(Clone, Debug, PartialEq)]
pub struct SleekflowConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    pub api_key: Secret,
    pub channel_type: ChannelType,
    /// The sender: a WhatsApp number of the account, E.164.
    pub from: String,
    /// 360dialog's namespace of the template. Not used by the Cloud API.
    pub template_namespace: String,
    /// The current one, then the previous one during a rotation. Without any, no callback is believed.
    pub hook_secrets: Vec<Secret>,
}

/// Which of SleekFlow's WhatsApp channels sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelType {
    CloudApi,
    Dialog360,
}

words! {
    ChannelType { CloudApi = "whatsappcloudapi", Dialog360 = "whatsapp360dialog" }
}

pub struct Sleekflow(SleekflowConfig);

impl Sleekflow {
    pub fn new(config: SleekflowConfig) -> Self {
        Self(config)
    }

    fn request(&self, method: Method, path: &str, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
        Call {
            method,
            url: format!("{}{path}", self.0.base_url.trim_end_matches('/')),
            content_type: "application/json",
            headers: vec![("x-sleekflow-api-key".into(), self.0.api_key.clone())],
            body,
        }
    }
}

/// Messages of a conversation that a question asks for. A person gets few codes, and ours is among the last.
const LIST_LIMIT: u32 = 10;

impl Provider for Sleekflow {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let body = json::body(&wire::SendTemplate::new(&self.0, message));
        self.request(Method::Post, "/api/message/send/json", body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(reply)
    }

    /// By the conversation, which is told in the answer: without it there is no question.
    fn question(&self, about: &Question<'_>) -> Option<Call> {
        let conversation_id = query::encode(about.ask_by?);
        let path = format!("/api/conversation/message/{conversation_id}?offset=0&limit={LIST_LIMIT}");
        Some(self.request(Method::Get, &path, zeroize::Zeroizing::default()))
    }

    /// The conversation's last messages, those of other people's making included.
    fn told(&self, about: &Question<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let list: wire::List<'_> = json::read(reply.body, "answer")?;
        let ours = |named: wire::Named| named.id.0 == about.provider_message_id;
        let Some(raw) = list.into_iter().find(|raw| json::lenient(Some(*raw)).is_some_and(ours)) else {
            return Err(Unreadable { reason: format!("answer: not among the last {LIST_LIMIT} messages") });
        };
        let message: wire::Message<'_> = serde_json::from_str(raw.get())
            .map_err(|_| Unreadable { reason: "message: not the documented shape".to_owned() })?;
        let status = wire::Status::read(message.status)
            .ok_or_else(|| Unreadable { reason: "message: no status that can be read".to_owned() })?;
        let mut receipts = Receipts::default();
        let at = json::lenient::<String>(message.updated_at);
        let heard = Heard { id: about.provider_message_id.to_owned(), status, code: message.code(), at };
        heard.read(Some(about.attempt_id), &mut receipts);
        Ok(receipts)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        let header = FixedHeader { name: HOOK_HEADER.to_owned(), secrets: self.0.hook_secrets.clone() };
        header.verify(callback)?;
        Ok(Verified::new(callback.body, None))
    }

    /// A body that says something twice is not read: the operator's proxy may have read the other one.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let event: wire::Event<'_> = json::read(callback.body(), "callback")?;
        let mut receipts = Receipts::default();
        let status = match (event.status, event.is_sent_from_sleekflow) {
            (Some(_), _) => wire::Status::read(event.status),
            // "Outgoing message sent", of a message that came by the API.
            (None, Some(raw)) if json::lenient(Some(raw)) == Some(false) => Some(wire::Status::Sent),
            // Somebody's chat.
            (None, Some(_)) => return Ok(receipts),
            (None, None) if event.message_id.is_none() => return Ok(receipts),
            (None, None) => None,
        };
        let id = json::lenient::<Scalar>(event.message_id).and_then(|Scalar(id)| json::provider_message_id(&id));
        match (id, status) {
            (Some(id), Some(status)) => Heard { id, status, code: event.code(), at: None }.read(None, &mut receipts),
            _ => receipts.put_aside("callback: no id or status that can be read", callback.body()),
        }
        Ok(receipts)
    }

    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: false, calls_back: false, can_be_asked: true }
    }
}

fn outcome(reply: &Reply<'_>) -> SendOutcome {
    let Ok(message) = json::read::<wire::Message<'_>>(reply.body, "answer") else {
        return replies::by_status(None, reply);
    };
    if !is_success(reply) {
        return replies::by_status(message.refusal().filter(|code| *code != reply.status.to_string()), reply);
    }
    if let Some(status) = json::lenient::<wire::Status>(message.status)
        && status.ours() == Some(Status::Failed)
    {
        return replies::rejected(errors::failure(&status, message.code()), reply, Pause::NONE);
    }
    let id = json::lenient::<Scalar>(message.id).and_then(|Scalar(id)| json::provider_message_id(&id));
    let conversation_id = json::lenient::<String>(message.conversation_id);
    match id {
        Some(provider_message_id) => SendOutcome::Accepted {
            provider_message_id,
            held: false,
            ask_by: conversation_id.and_then(|id| json::provider_message_id(&id)),
        },
        None => replies::unknown(None, reply),
    }
}

/// What is said of one message.
struct Heard {
    id: String,
    status: wire::Status,
    code: Option<String>,
    at: Option<String>,
}

impl Heard {
    fn read(self, attempt_id: Option<AttemptId>, receipts: &mut Receipts) {
        if let wire::Status::Other(word) = &self.status {
            return receipts.note_unknown(word);
        }
        // On its way: older news than our own answer.
        let Some(ours) = self.status.ours() else { return };
        receipts.receipts.push(DeliveryReceipt {
            status: ours,
            attempt_id,
            provider_message_id: self.id,
            provider_at: self.at.as_deref().and_then(json::iso_instant),
            failure: (ours == Status::Failed).then(|| errors::failure(&self.status, self.code)),
        });
    }
}
