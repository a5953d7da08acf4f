//! Twilio, Programmable Messaging (API 2010-04-01): SMS, and WhatsApp by content template, one account each.
//!
//! Source: Twilio, "Messages resource", "Outbound message status in status callbacks", "Webhooks connection overrides".

mod settings;
mod errors;
mod signature;
mod wire;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, is_success};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, basic, form, query,
};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;

pub const DEFAULT_BASE_URL: &str = "https://api.twilio.com";

#[derive(Clone, Debug, PartialEq)]
pub struct TwilioConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// `AC` and 32 hex digits.
    pub account_sid: String,
    /// The primary one. It signs callbacks, and authenticates requests unless there is an API key.
    pub auth_token: Secret,
    /// The previous one, during a rotation.
    pub auth_token_previous: Option<Secret>,
    pub api_key: Option<TwilioApiKey>,
    pub sender: TwilioSender,
    /// Twilio deletes the text and masks the number when the message is done.
    pub discard_content: bool,
}

/// For sending; it does not sign callbacks.
#[derive(Clone, Debug, PartialEq)]
pub struct TwilioApiKey {
    /// `SK` and 32 hex digits.
    pub sid: String,
    pub secret: Secret,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioSender {
    /// A number, E.164 without `whatsapp:`; for SMS also a name or a short code.
    From(String),
    /// `MG` and 32 hex digits: a pool of senders.
    MessagingService(String),
}

impl TwilioSender {
    /// A messaging service if it is a sid of one; anything else is a sender.
    pub fn read(text: &str) -> Self {
        if is_sid("MG", text) { Self::MessagingService(text.to_owned()) } else { Self::From(text.to_owned()) }
    }
}

/// Twilio's ids: two letters and 32 hex digits.
pub fn is_sid(prefix: &str, text: &str) -> bool {
    let is_hex = |s: &str| s.len() == 32 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix(prefix).is_some_and(is_hex)
}

pub struct Twilio {
    channel: Channel,
    config: TwilioConfig,
    authorization: Secret,
    /// The tokens that sign callbacks.
    auth_tokens: Vec<Secret>,
}

impl Twilio {
    pub fn new(channel: Channel, config: TwilioConfig) -> Self {
        let authorization = match &config.api_key {
            Some(key) => basic::authorization(&key.sid, &key.secret),
            None => basic::authorization(&config.account_sid, &config.auth_token),
        };
        let auth_tokens = std::iter::once(&config.auth_token).chain(&config.auth_token_previous).cloned().collect();
        Self { channel, config, authorization, auth_tokens }
    }

    fn request(&self, method: Method, path: &str, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
        let base_url = self.config.base_url.trim_end_matches('/');
        Call {
            method,
            url: format!("{base_url}/2010-04-01/Accounts/{}/{path}", self.config.account_sid),
            content_type: form::CONTENT_TYPE,
            headers: vec![("authorization".into(), self.authorization.clone())],
            body,
        }
    }
}

impl Provider for Twilio {
    fn call(&self, message: &Outbound<'_>) -> Call {
        self.request(Method::Post, "Messages.json", wire::send(self.channel, &self.config, message))
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        replies::outcome(reply, |raw| self.decide(raw, reply))
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let path = format!("Messages/{}.json", query::encode(about.provider_message_id));
        Some(self.request(Method::Get, &path, zeroize::Zeroizing::default()))
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let text = json::text(reply.body);
        let message: wire::Answer<'_> = json::read(&text, "answer")?;
        if json::lenient::<Scalar>(message.sid).is_none_or(|Scalar(sid)| sid.trim() != about.provider_message_id) {
            return Err(Unreadable { reason: "answer: of another message".to_owned() });
        }
        let word = json::lenient::<String>(message.status)
            .ok_or_else(|| Unreadable { reason: "answer: no status in it".to_owned() })?;
        let mut receipts = Receipts::default();
        let instant = |at| json::lenient::<String>(at).and_then(|text| json::rfc2822_instant(&text));
        let sent_at = instant(message.date_sent);
        let news = |provider_at| News {
            sid: about.provider_message_id.to_owned(),
            attempt_id: Some(about.attempt_id),
            provider_at,
            code: code(message.error_code),
        };
        // The time of sending is reported separately, whatever the final status.
        let is_over = wire::Status::parse(&word).is_some_and(|status| status.ours().is_some());
        if sent_at.is_some() && is_over && word != "sent" {
            self.read("sent", news(sent_at), &mut receipts);
        }
        let at = if word == "sent" { sent_at } else { instant(message.date_updated) };
        self.read(&word, news(at), &mut receipts);
        Ok(receipts)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    /// The address names the attempt, and the signature covers the address.
    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        signature::verify(&self.auth_tokens, callback)?;
        let attempt_id = query::single(callback.query, "attempt").and_then(|id| AttemptId::parse(&id));
        Ok(Verified::new(callback.body, attempt_id))
    }

    /// One status per callback. `RawDlrDoneDate` is in the carrier's unknown time zone, so it is ignored.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let unreadable = |reason: String| Unreadable { reason };
        let told = wire::Told::from_fields(form::fields(callback.body())).map_err(unreadable)?;
        let word = told.message_status.or(told.sms_status);
        let word = word.ok_or_else(|| unreadable("callback: no status in it".to_owned()))?;
        let mut receipts = Receipts::default();
        if wire::Status::parse(&word).is_some_and(|status| status.ours().is_none()) {
            return Ok(receipts);
        }
        let sid = told.message_sid.as_deref().and_then(json::provider_message_id);
        let sid = sid.ok_or_else(|| unreadable("callback: no id that can be kept".to_owned()))?;
        let code = told.error_code.filter(|code| !code.is_empty());
        let news = News { sid, attempt_id: callback.attempt_id(), provider_at: None, code };
        self.read(&word, news, &mut receipts);
        Ok(receipts)
    }

    /// No idempotency key is documented; the callback's address contains our id.
    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: true }
    }
}

/// The data beside a status.
struct News {
    sid: String,
    attempt_id: Option<AttemptId>,
    provider_at: Option<DateTime<Utc>>,
    code: Option<String>,
}

impl Twilio {
    fn decide(&self, raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
        let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
            return replies::by_status(None, reply);
        };
        if let Some(code) = code(answer.code) {
            return replies::by_code(&code, errors::lookup(&code), errors::pause(&code), reply);
        }
        if !is_success(reply) {
            return replies::by_status(None, reply);
        }
        let status = json::lenient::<String>(answer.status).and_then(|word| wire::Status::parse(&word));
        if let Some(status @ (wire::Status::Failed | wire::Status::Canceled)) = status {
            let failure = errors::failure(self.channel, status, code(answer.error_code));
            let pause = errors::pause(&failure.code);
            return replies::rejected(failure, reply, pause);
        }
        replies::accepted(json::lenient::<Scalar>(answer.sid).and_then(|Scalar(sid)| json::provider_message_id(&sid)))
    }

    fn read(&self, word: &str, news: News, receipts: &mut Receipts) {
        let Some(theirs) = wire::Status::parse(word) else {
            return receipts.note_unknown(word);
        };
        let Some(status) = theirs.ours() else { return };
        receipts.receipts.push(DeliveryReceipt {
            status,
            attempt_id: news.attempt_id,
            provider_message_id: news.sid,
            provider_at: news.provider_at,
            failure: (status == Status::Failed).then(|| errors::failure(self.channel, theirs, news.code)),
        });
    }
}

fn code(field: Option<&RawValue>) -> Option<String> {
    json::lenient::<Scalar>(field).map(|Scalar(code)| code).filter(|code| !code.is_empty())
}
