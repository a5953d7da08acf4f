//! Infobip: WhatsApp (templates, API v1) and SMS (API v3), one account each.
//!
//! Source: Infobip's API description (3.210.0), its status and error tables, and its Java client. Assumed: the classes
//! of the codes, and all of the HMAC but its algorithms, since neither its header nor its encoding is published.
//! That a repeated `messageId` is refused is documented, but not for how long: so it is no promise to send once.

mod settings;
mod errors;
mod proof;
mod wire;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

pub use self::proof::{Algorithm, BodySignature, Encoding, InfobipProof};
pub use self::settings::KIND;
use self::wire::Meaning;
use crate::json::{self, Scalar};
use crate::replies::{self, is_success};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;

#[derive(Clone, Debug, PartialEq)]
pub struct InfobipWhatsappConfig {
    /// Each account has its own, without a slash at its end: `https://xxxxx.api.infobip.com`.
    pub base_url: String,
    pub api_key: Secret,
    /// The registered sender, E.164.
    pub from: String,
    pub proof: InfobipProof,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InfobipSmsConfig {
    /// Each account has its own, without a slash at its end: `https://xxxxx.api.infobip.com`.
    pub base_url: String,
    pub api_key: Secret,
    /// A name or a number.
    pub sender: String,
    pub proof: InfobipProof,
}

pub struct InfobipWhatsapp(InfobipWhatsappConfig);

pub struct InfobipSms(InfobipSmsConfig);

impl InfobipWhatsapp {
    pub fn new(config: InfobipWhatsappConfig) -> Self {
        Self(config)
    }
}

impl InfobipSms {
    pub fn new(config: InfobipSmsConfig) -> Self {
        Self(config)
    }
}

impl Provider for InfobipWhatsapp {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let notify_url = self.0.proof.notify_url(message.callback_url);
        let body = json::body(&wire::SendWhatsapp::new(&self.0.from, notify_url, message));
        post(&self.0.base_url, "/whatsapp/1/message/template", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(reply)
    }

    /// Infobip's description has no status query for it, and the calls seen in use are refused by some accounts.
    fn status_query(&self, _about: &StatusQuery<'_>) -> Option<Call> {
        None
    }

    fn status_answer(&self, _about: &StatusQuery<'_>, _reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        Err(Unreadable { reason: "answer: nothing was asked".to_owned() })
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        self.0.proof.verify(callback)
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(callback.body(), "callback", None)
    }

    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: false }
    }
}

impl Provider for InfobipSms {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let notify_url = self.0.proof.notify_url(message.callback_url);
        let body = json::body(&wire::SendSms::new(&self.0.sender, notify_url, message));
        post(&self.0.base_url, "/sms/3/messages", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(reply)
    }

    /// The log, which can be read again for 48 h. Delivery reports are returned only once: an answer lost in transit
    /// would lose the report.
    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let path = format!("/sms/3/logs?messageId={}", query::encode(about.provider_message_id));
        let call = post(&self.0.base_url, &path, &self.0.api_key, zeroize::Zeroizing::default());
        Some(Call { method: Method::Get, ..call })
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let mut told = receipts(reply.body, "answer", Some(about.attempt_id))?;
        told.receipts.retain(|receipt| receipt.provider_message_id == about.provider_message_id);
        Ok(told)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        self.0.proof.verify(callback)
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(callback.body(), "callback", None)
    }

    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: true }
    }
}

fn post(base_url: &str, path: &str, api_key: &Secret, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
    Call {
        method: Method::Post,
        url: format!("{}{path}", base_url.trim_end_matches('/')),
        content_type: "application/json",
        headers: vec![
            ("authorization".into(), Secret::new(format!("App {}", api_key.expose()))),
            ("accept".into(), Secret::new("application/json")),
        ],
        body,
    }
}

/// A 200 says that the request was read; the result is in the message's own status.
fn outcome(reply: &Reply<'_>) -> SendOutcome {
    replies::outcome(reply, |raw| decide(raw, reply))
}

fn decide(raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
        return replies::by_status(None, reply);
    };
    if !is_success(reply) {
        return replies::by_status(answer.code(), reply);
    }
    let Some(message) = answer.message() else {
        return answer.code().map_or_else(|| replies::accepted(None), |code| replies::refused(Some(code), reply));
    };
    let status = json::lenient::<wire::Status>(message.status);
    if let Some(status) = status.as_ref().filter(|status| status.meaning() == Meaning::Failed) {
        let failure = errors::failure(status, None);
        let pause = errors::pause(&failure.code);
        return replies::rejected(failure, reply, pause);
    }
    replies::accepted(json::lenient::<Scalar>(message.message_id).and_then(|Scalar(id)| json::provider_message_id(&id)))
}

/// Delivery and seen reports arrive at one address, for both channels. `asked_about`: the attempt, when they answer a
/// status query about it.
fn receipts(body: &[u8], what: &str, asked_about: Option<AttemptId>) -> Result<Receipts, Unreadable> {
    let text = json::text(body);
    let envelope: wire::Envelope<'_> = json::read(&text, what)?;
    let mut receipts = Receipts::default();
    for raw in envelope.results {
        read_result(raw, asked_about, &mut receipts);
    }
    Ok(receipts)
}

fn read_result(raw: &RawValue, asked_about: Option<AttemptId>, receipts: &mut Receipts) {
    let Ok(result) = serde_json::from_str::<wire::Report<'_>>(raw.get()) else {
        return receipts.put_aside("result: not the documented shape", raw.get().as_bytes());
    };
    if result.is_of_another_kind() {
        return;
    }
    let status = json::lenient::<wire::Status>(result.status);
    let ours = match status.as_ref().map(wire::Status::meaning) {
        Some(Meaning::Sent) => Status::Sent,
        Some(Meaning::Delivered) => Status::Delivered,
        Some(Meaning::Failed) => Status::Failed,
        // Known, and older than our own answer; or about a repeat, and not about the message itself.
        Some(Meaning::Accepted | Meaning::Repeated) => return,
        Some(Meaning::Unknown(word)) => return receipts.note_unknown(&word),
        None if result.status.is_none() && result.seen_at.is_some() => Status::Read,
        None => return receipts.put_aside("result: neither a status nor seenAt", raw.get().as_bytes()),
    };
    let id = json::lenient::<Scalar>(result.message_id).map(|Scalar(id)| id).unwrap_or_default();
    let Some(provider_message_id) = json::provider_message_id(&id) else {
        return receipts.put_aside("result: no id that can be kept", raw.get().as_bytes());
    };
    let times = match ours {
        Status::Sent => [result.sent_at, result.done_at],
        Status::Read => [result.seen_at, None],
        Status::Delivered | Status::Failed => [result.done_at, result.sent_at],
    };
    let failure = status.filter(|_| ours == Status::Failed).map(|s| errors::failure(&s, json::lenient(result.error)));
    receipts.receipts.push(DeliveryReceipt {
        status: ours,
        attempt_id: asked_about.or_else(|| AttemptId::parse(&id)),
        provider_message_id,
        provider_at: times.into_iter().find_map(|t| json::iso_instant(&json::lenient::<String>(t)?)),
        failure,
    });
}
