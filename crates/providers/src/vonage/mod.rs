//! Vonage, Messages API v1: WhatsApp and SMS, one account each.
//!
//! Source: Vonage, "Messages API" reference and "Signed webhooks". They say that a callback may come unsigned on rare
//! occasions. It is answered 401 like every other without proof. The reference promises to repeat whatever is not
//! answered 2xx, while a support page names 429 and 5xx only. If it is not repeated, the replacement deadline decides.

mod settings;
mod errors;
pub mod jwt;
mod wire;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::jwt::PrivateKey;
pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, Pause, is_success};
use crate::signature::header;
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, basic,
};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;

pub const DEFAULT_BASE_URL: &str = "https://api.nexmo.com";

/// Default maximum age of a callback's token, in seconds. Vonage prescribes none; retries continue for 24 hours, and it
/// is not documented whether they are signed again. A replay within that time has a known `jti`, and changes nothing.
pub const DEFAULT_TOLERANCE_S: u32 = 86_400;

/// How far Vonage's clock may be ahead of ours, in seconds; less if the tolerance is less.
const AHEAD_S: u32 = 300;

/// Life of our tokens, counted from the creation of the message: longer than any code lives.
const TOKEN_LIFE_S: i64 = 900;

/// Maximum length of a stored `jti`, in bytes. Vonage's are UUIDs.
const MAX_JTI: usize = 128;

#[derive(Clone, Debug, PartialEq)]
pub struct VonageConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// The account's API key; callbacks contain it.
    pub api_key: String,
    pub auth: VonageAuth,
    /// Digits, with or without `+`; for SMS also a name.
    pub from: String,
    /// The account's current secret, then the previous one during a rotation.
    pub signature_secrets: Vec<Secret>,
    pub tolerance_s: u32,
}

/// Authentication of requests.
#[derive(Clone, Debug, PartialEq)]
pub enum VonageAuth {
    /// Basic, with the account's API key.
    ApiSecret(Secret),
    /// A token per request.
    Application { id: String, key: PrivateKey },
}

pub struct Vonage {
    channel: Channel,
    config: VonageConfig,
}

impl Vonage {
    pub fn new(channel: Channel, config: VonageConfig) -> Self {
        Self { channel, config }
    }

    fn authorization(&self, attempt_id: AttemptId) -> Secret {
        match &self.config.auth {
            VonageAuth::ApiSecret(secret) => basic::authorization(&self.config.api_key, secret),
            VonageAuth::Application { id, key } => {
                let issued_at = attempt_id.message().created_at().timestamp();
                let jti = Uuid::from_u128(rand::random());
                let token = key.sign(&OurClaims {
                    application_id: id,
                    iat: issued_at,
                    exp: issued_at + TOKEN_LIFE_S,
                    jti: jti.to_string(),
                });
                Secret::new(format!("Bearer {}", token.expose()))
            }
        }
    }
}

#[derive(Serialize)]
struct OurClaims<'a> {
    application_id: &'a str,
    /// The message's own time, so that no clock is needed here.
    iat: i64,
    exp: i64,
    /// A new one for each request, also for a repeat of the same attempt.
    jti: String,
}

/// Other claims are allowed.
#[derive(Deserialize)]
struct TheirClaims {
    iss: String,
    iat: i64,
    exp: Option<i64>,
    jti: String,
    /// Lower-case hex SHA-256 of the raw body.
    payload_hash: String,
    api_key: String,
    application_id: Option<String>,
}

impl Provider for Vonage {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let from = &self.config.from;
        Call {
            method: Method::Post,
            url: format!("{}/v1/messages", self.config.base_url.trim_end_matches('/')),
            content_type: "application/json",
            headers: vec![("authorization".into(), self.authorization(message.attempt_id))],
            body: match self.channel {
                Channel::Whatsapp => json::body(&wire::SendWhatsapp::new(from, message)),
                Channel::Sms => json::body(&wire::SendSms::new(from, message)),
            },
        }
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        replies::outcome(reply, |raw| decide(raw, reply))
    }

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
        let value = header(callback, "Authorization")?;
        let (scheme, token) = value.split_once(' ').ok_or(Unverified::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Unverified::Malformed);
        }
        let claims: TheirClaims = jwt::verified(&self.config.signature_secrets, token.trim())?;
        self.check(&claims, callback)?;
        let until = instant(claims.iat)? + TimeDelta::seconds(self.config.tolerance_s.into());
        Ok(Verified::new(callback.body, None).once(claims.jti, until))
    }

    /// One status per callback.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let text = json::text(callback.body());
        let event: wire::Event<'_> = json::read(&text, "callback")?;
        let mut receipts = Receipts::default();
        // Without a status: a message from a person.
        let Some(raw_status) = event.status else { return Ok(receipts) };
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
        let id = json::lenient::<Scalar>(event.message_uuid).map(|Scalar(id)| id).unwrap_or_default();
        let Some(provider_message_id) = json::provider_message_id(&id) else {
            receipts.put_aside("callback: no id that can be kept", callback.body());
            return Ok(receipts);
        };
        receipts.receipts.push(DeliveryReceipt {
            status: ours,
            attempt_id: json::lenient::<Scalar>(event.client_ref).and_then(|id| AttemptId::parse(&id.0)),
            provider_message_id,
            provider_at: json::lenient::<String>(event.timestamp).and_then(|text| json::iso_instant(&text)),
            failure: (ours == Status::Failed).then(|| errors::failure(self.channel, &status, event.code())),
        });
        Ok(receipts)
    }

    /// `client_ref` is returned in every callback; it is not documented to be an idempotency key, and there is no
    /// status query.
    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: false }
    }
}

fn decide(raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
        return replies::by_status(None, reply);
    };
    let id = json::lenient::<Scalar>(answer.message_uuid).and_then(|Scalar(id)| json::provider_message_id(&id));
    match (id, answer.code()) {
        (Some(id), _) if is_success(reply) => replies::accepted(Some(id)),
        (_, Some(code)) => replies::by_code(&code, errors::lookup(&code), Pause::NONE, reply),
        (_, None) => replies::by_status(None, reply),
    }
}

impl Vonage {
    /// The required claims of a callback's token.
    fn check(&self, claims: &TheirClaims, callback: &Callback<'_>) -> Result<(), Unverified> {
        let config = &self.config;
        let is_our_application = match (&config.auth, &claims.application_id) {
            (VonageAuth::Application { id, .. }, Some(theirs)) => id == theirs,
            _ => true,
        };
        let is_about_body = claims.payload_hash == hex::encode(Sha256::digest(callback.body));
        if claims.iss != "Vonage" || claims.api_key != config.api_key || !is_our_application || !is_about_body {
            return Err(Unverified::Wrong);
        }
        if claims.jti.is_empty() || claims.jti.len() > MAX_JTI {
            return Err(Unverified::Malformed);
        }
        let age = callback.now - instant(claims.iat)?;
        let ahead = TimeDelta::seconds(config.tolerance_s.min(AHEAD_S).into());
        let is_over = claims.exp.is_some_and(|exp| exp <= callback.now.timestamp());
        if age > TimeDelta::seconds(config.tolerance_s.into()) || -age > ahead || is_over {
            return Err(Unverified::Stale);
        }
        Ok(())
    }
}

fn instant(unix_s: i64) -> Result<DateTime<Utc>, Unverified> {
    DateTime::from_timestamp(unix_s, 0).ok_or(Unverified::Malformed)
}
