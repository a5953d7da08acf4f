//! SleekFlow, Platform API: WhatsApp through its Cloud API or 360dialog channels.
//!
//! Its official reference was not accessible. Seen in public client code and help pages: the endpoints, the header, the
//! send bodies, the words of `status`, the list of a conversation's messages. Assumed: the bodies of refusals, that
//! `metadata.errors` contains WhatsApp's codes, that the list begins with the newest message, that the send does not
//! wait for WhatsApp, and every callback with a status.
//!
//! It has no delivery callbacks, so it has to be queried. Flow Builder can post to us if an operator sets it up; such
//! posts are read, in the body that we ask the operator to write, and proven by a header that the operator chooses.

mod settings;
mod errors;
mod wire;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, Pause, is_success};
use crate::signature::FixedHeader;
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;
use otpost_domain::words;

/// Regional accounts have another one.
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
    /// The current one, then the previous one during a rotation. Without any, every callback is refused.
    pub hook_secrets: Vec<Secret>,
}

/// The SleekFlow WhatsApp channel that sends.
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

/// Number of a conversation's messages in a query. A person gets few codes, and ours is among the last.
const LIST_LIMIT: u32 = 10;

impl Provider for Sleekflow {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let body = json::body(&wire::SendTemplate::new(&self.0, message));
        self.request(Method::Post, "/api/message/send/json", body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(reply)
    }

    /// By the conversation, whose id is in the answer: without it there is no query.
    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let conversation_id = query::encode(about.ask_by?);
        let path = format!("/api/conversation/message/{conversation_id}?offset=0&limit={LIST_LIMIT}");
        Some(self.request(Method::Get, &path, zeroize::Zeroizing::default()))
    }

    /// The conversation's last messages, including those of other origin.
    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let text = json::text(reply.body);
        let list: wire::List<'_> = json::read(&text, "answer")?;
        let ours = |named: wire::Named| named.id.0.trim() == about.provider_message_id;
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

    /// A body with a repeated field is not read: the operator's proxy may have read the other value.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let text = json::text(callback.body());
        let event: wire::Event<'_> = json::read(&text, "callback")?;
        let mut receipts = Receipts::default();
        let status = match (event.status, event.is_sent_from_sleekflow) {
            (Some(_), _) => wire::Status::read(event.status),
            // "Outgoing message sent", for a message that was sent by the API.
            (None, Some(raw)) if json::lenient(Some(raw)) == Some(false) => Some(wire::Status::Sent),
            // A person's chat.
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
        Abilities { deduplicates: false, echoes_attempt_id: false, calls_back: false, can_be_queried: true }
    }
}

fn outcome(reply: &Reply<'_>) -> SendOutcome {
    replies::outcome(reply, |raw| decide(raw, reply))
}

fn decide(raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(message) = serde_json::from_str::<wire::Message<'_>>(raw.get()) else {
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
        None => match message.refusal().filter(|code| *code != reply.status.to_string()) {
            Some(code) => replies::refused(Some(code), reply),
            None => replies::accepted(None),
        },
    }
}

/// A receipt's data about one message.
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
        // In progress: older than our own answer.
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
