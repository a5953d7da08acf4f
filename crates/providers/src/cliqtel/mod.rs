//! Cliqtel, API v1: WhatsApp and SMS, one account each.
//!
//! Source: Cliqtel's API reference and OTP guide. They document requests and mention callbacks, but neither the
//! callbacks' shape nor a signature. So the callback shapes read here are assumed, and the proof is an unguessable
//! token in the address: of the account for WhatsApp, of the attempt for SMS.

mod settings;
mod errors;
mod wire;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, Pause, is_success};
use crate::signature::{HmacCheck, check_hex, is_token, sign_hex};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;

pub const DEFAULT_BASE_URL: &str = "https://cliqtel.com";

#[derive(Clone, Debug, PartialEq)]
pub struct CliqtelWhatsappConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// The whole key, including `17|` or the like. Scope `whatsapp:write`.
    pub api_key: Secret,
    /// The WhatsApp account that sends.
    pub account_id: u64,
    /// Registered at Cliqtel as `?token=` of the callback URL.
    pub callback_token: Secret,
    /// Checked in addition to the token, if Cliqtel signs its callbacks.
    pub signature: Option<HmacCheck>,
}

/// The sender of an SMS; Cliqtel accepts exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CliqtelSender {
    /// A number or a name.
    From(String),
    /// Cliqtel's id of one of the account's numbers.
    NumberId(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CliqtelSmsConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// Scope `sms:write`.
    pub api_key: Secret,
    pub sender: CliqtelSender,
    /// Key of the tokens in `status_callback_url`. Never sent.
    pub callback_secret: Secret,
}

pub struct CliqtelWhatsapp(CliqtelWhatsappConfig);

pub struct CliqtelSms(CliqtelSmsConfig);

impl CliqtelWhatsapp {
    pub fn new(config: CliqtelWhatsappConfig) -> Self {
        Self(config)
    }
}

impl CliqtelSms {
    pub fn new(config: CliqtelSmsConfig) -> Self {
        Self(config)
    }

    /// The callback URL of one attempt: it names the attempt and proves that we created it.
    fn status_callback_url(&self, callback_url: &str, attempt_id: AttemptId) -> String {
        let joint = if callback_url.contains('?') { '&' } else { '?' };
        let attempt = attempt_id.to_string();
        let token = sign_hex(&self.0.callback_secret, attempt.as_bytes());
        format!("{callback_url}{joint}attempt={attempt}&token={token}")
    }
}

impl Provider for CliqtelWhatsapp {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let body = json::body(&wire::SendWhatsapp::new(self.0.account_id, message));
        post(&self.0.base_url, "/api/v1/whatsapp/messages", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(Channel::Whatsapp, reply)
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        Some(status_query(&self.0.base_url, "whatsapp", &self.0.api_key, about))
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        told(Channel::Whatsapp, about, reply)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        let token = query::single(callback.query, "token").ok_or(Unverified::Missing)?;
        if !is_token(&self.0.callback_token, &token) {
            return Err(Unverified::Wrong);
        }
        if let Some(signature) = &self.0.signature {
            signature.verify(callback)?;
        }
        Ok(Verified::new(callback.body, None))
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(Channel::Whatsapp, &callback)
    }

    /// Neither an idempotency key nor a field for our reference is documented.
    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: false, calls_back: true, can_be_queried: true }
    }
}

impl Provider for CliqtelSms {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let callback_url = self.status_callback_url(message.callback_url, message.attempt_id);
        let body = json::body(&wire::SendSms::new(&self.0.sender, &callback_url, message));
        post(&self.0.base_url, "/api/v1/sms/messages", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(Channel::Sms, reply)
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        Some(status_query(&self.0.base_url, "sms", &self.0.api_key, about))
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        told(Channel::Sms, about, reply)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    /// `attempt` and `token` of the address: the hex HMAC-SHA256 of the attempt's id, key = `callback_secret`.
    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        let attempt = query::single(callback.query, "attempt").ok_or(Unverified::Missing)?;
        let token = query::single(callback.query, "token").ok_or(Unverified::Missing)?;
        let attempt_id = AttemptId::parse(&attempt).ok_or(Unverified::Malformed)?;
        // The signature covers the id as we print it, however it is written here.
        let attempt = attempt_id.to_string();
        check_hex(std::slice::from_ref(&self.0.callback_secret), &[attempt.as_bytes()], &token)?;
        Ok(Verified::new(callback.body, Some(attempt_id)))
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(Channel::Sms, &callback)
    }

    /// No idempotency key is documented; the callback's address contains our id.
    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: true }
    }
}

/// `GET .../messages/{id}`, which the OTP guide recommends where callbacks are uncertain; the answer's shape is assumed
/// to be that of a callback.
fn status_query(base_url: &str, channel: &str, api_key: &Secret, about: &StatusQuery<'_>) -> Call {
    let path = format!("/api/v1/{channel}/messages/{}", query::encode(about.provider_message_id));
    Call { method: Method::Get, ..post(base_url, &path, api_key, zeroize::Zeroizing::default()) }
}

fn told(channel: Channel, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
    replies::answered(reply)?;
    receipts(channel, &Verified::new(reply.body, Some(about.attempt_id)))
}

fn post(base_url: &str, path: &str, api_key: &Secret, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
    Call {
        method: Method::Post,
        url: format!("{}{path}", base_url.trim_end_matches('/')),
        content_type: "application/json",
        headers: vec![
            ("authorization".into(), Secret::new(format!("Bearer {}", api_key.expose()))),
            // Without it, the framework behind such APIs answers errors with pages or redirects.
            ("accept".into(), Secret::new("application/json")),
        ],
        body,
    }
}

/// 60 requests a minute, then 429 with `Retry-After`. The reference wraps the answer in `data`, the guide does not.
fn outcome(channel: Channel, reply: &Reply<'_>) -> SendOutcome {
    replies::outcome(reply, |raw| decide(channel, raw, reply))
}

fn decide(channel: Channel, raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(answer) = serde_json::from_str::<wire::Message<'_>>(raw.get()) else {
        return replies::by_status(None, reply);
    };
    let by_error = |error: Option<&RawValue>| match json::lenient::<wire::Error>(error).and_then(wire::Error::code) {
        Some(code) => replies::by_code(&code, errors::lookup(&code), Pause::NONE, reply),
        None => replies::by_status(None, reply),
    };
    if !is_success(reply) {
        return by_error(answer.error);
    }
    let answer = answer.innermost();
    if let Some(status @ (wire::Status::Failed | wire::Status::Undelivered)) = json::lenient(answer.status) {
        let failure = errors::failure(channel, &status, answer.code());
        let pause = errors::pause(&failure.code);
        return replies::rejected(failure, reply, pause);
    }
    match answer.id().and_then(|id| json::provider_message_id(&id)) {
        None => by_error(answer.error),
        id => replies::accepted(id),
    }
}

/// Assumed: one message per callback, in `data` or at the top.
fn receipts(channel: Channel, callback: &Verified<'_>) -> Result<Receipts, Unreadable> {
    let text = json::text(callback.body());
    let envelope: wire::Message<'_> = json::read(&text, "callback")?;
    let mut receipts = Receipts::default();
    let is_status_event = json::lenient::<String>(envelope.event).is_none_or(|event| event == "message.status");
    let message = envelope.innermost();
    let Some(raw_status) = message.status else {
        if is_status_event {
            receipts.put_aside("callback: no status in it", callback.body());
        }
        return Ok(receipts);
    };
    let Ok(status) = serde_json::from_str::<wire::Status>(raw_status.get()) else {
        receipts.put_aside("callback: a status of another type", callback.body());
        return Ok(receipts);
    };
    let Some(ours) = status.ours() else {
        if let wire::Status::Other(word) = status {
            receipts.note_unknown(&word);
        }
        return Ok(receipts);
    };
    let id = message.id().unwrap_or_default();
    let provider_message_id = match (json::provider_message_id(&id), callback.attempt_id()) {
        (Some(id), _) => id,
        // The address identifies the attempt.
        (None, Some(_)) if id.is_empty() => String::new(),
        _ => {
            receipts.put_aside("callback: no id that can be kept", callback.body());
            return Ok(receipts);
        }
    };
    receipts.receipts.push(DeliveryReceipt {
        status: ours,
        attempt_id: callback.attempt_id(),
        provider_message_id,
        provider_at: json::lenient::<Scalar>(message.timestamp)
            .and_then(|t| json::iso_instant(&t.0).or_else(|| json::unix_instant(&t.0))),
        failure: (ours == Status::Failed).then(|| errors::failure(channel, &status, message.code())),
    });
    Ok(receipts)
}
