//! Meta's WhatsApp Cloud API, called directly.
//!
//! Source: developers.facebook.com, WhatsApp Business Platform, Cloud API: "Messages", "Error codes", "Webhooks".

mod settings;
mod wire;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, is_success};
use crate::signature::{HmacCheck, Scheme, is_token};
use crate::whatsapp::errors;
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Failure, Status};
use otpost_domain::secret::Secret;

/// Maximum length of an echoed challenge, in bytes. Meta's are integers.
const MAX_CHALLENGE: usize = 256;

#[derive(Clone, Debug, PartialEq)]
pub struct MetaConfig {
    /// [`MetaConfig::DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    /// Version of the Graph API: `v25.0`.
    pub version: String,
    pub phone_number_id: String,
    /// Token of a system user with `whatsapp_business_messaging`.
    pub access_token: Secret,
    /// The app's current secret, then the previous one during a rotation.
    pub app_secrets: Vec<Secret>,
    /// Answers the GET of the callback URL when it is registered.
    pub verify_token: Secret,
}

impl MetaConfig {
    pub const DEFAULT_BASE_URL: &'static str = "https://graph.facebook.com";
}

pub struct Meta {
    config: MetaConfig,
    signature: HmacCheck,
}

impl Meta {
    pub fn new(config: MetaConfig) -> Self {
        // Header `X-Hub-Signature-256`: `sha256=` and the hex HMAC-SHA256 of the raw body, key = app secret. Source:
        // Meta, Webhooks, "Validate payloads". Accepting lower-case digits only is our rule.
        let signature = HmacCheck {
            header: "X-Hub-Signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            scheme: Scheme::RawBody,
            secrets: config.app_secrets.clone(),
        };
        Self { config, signature }
    }
}

impl Provider for Meta {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let MetaConfig { base_url, version, phone_number_id, access_token, .. } = &self.config;
        Call {
            method: Method::Post,
            url: format!("{}/{version}/{phone_number_id}/messages", base_url.trim_end_matches('/')),
            content_type: "application/json",
            headers: vec![("authorization".into(), Secret::new(format!("Bearer {}", access_token.expose())))],
            body: json::body(&wire::SendMessage::new(message)),
        }
    }

    /// Decided by the error's code, never by the HTTP status, which is 400 for a throttled request: a documented code
    /// says that the message was not accepted, also with a 5xx. Source: Meta, Cloud API, "Error codes".
    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        replies::outcome(reply, |raw| outcome(raw, reply))
    }

    /// The Cloud API has no status query.
    fn status_query(&self, _about: &StatusQuery<'_>) -> Option<Call> {
        None
    }

    fn status_answer(&self, _about: &StatusQuery<'_>, _reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        Ok(Receipts::default())
    }

    /// Source: Meta, Webhooks, "Verification requests". The text/plain echo of any short challenge and the 4xx are our
    /// choice.
    fn handshake(&self, query: &str) -> Handshake {
        let Some(mode) = query::single(query, "hub.mode") else { return Handshake::Malformed };
        let token = query::single(query, "hub.verify_token").unwrap_or_default();
        if !is_token(&self.config.verify_token, &token) || mode != "subscribe" {
            return Handshake::Refused;
        }
        match query::single(query, "hub.challenge") {
            Some(challenge) if !challenge.is_empty() && challenge.len() <= MAX_CHALLENGE => {
                Handshake::Answer(challenge)
            }
            _ => Handshake::Malformed,
        }
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        self.signature.verify(callback)?;
        Ok(Verified::new(callback.body, None))
    }

    /// Up to 1000 updates in one callback, in several entries and changes. Source: Meta, Webhooks, "Overview".
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let text = json::text(callback.body());
        let envelope: wire::Envelope<'_> = json::read(&text, "envelope")?;
        let mut receipts = Receipts::default();
        for entry in envelope.entry {
            read_entry(entry, &mut receipts);
        }
        Ok(receipts)
    }

    /// No idempotency key is documented; `biz_opaque_callback_data` is returned in every status.
    fn abilities(&self) -> Abilities {
        Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: false }
    }
}

fn outcome(raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
        return replies::by_status(None, reply);
    };
    if let Some(Scalar(code)) = json::lenient::<wire::Error>(answer.error).map(|e| e.code) {
        return replies::by_code(&code, errors::lookup(&code), errors::pause(&code), reply);
    }
    let taken = json::lenient::<Vec<wire::Taken>>(answer.messages).and_then(|m| m.into_iter().next());
    match taken.and_then(|m| Some((json::provider_message_id(&m.id.0)?, m.message_status))) {
        Some((provider_message_id, status)) if is_success(reply) => {
            let held = matches!(status.as_deref(), Some("held_for_quality_assessment" | "paused"));
            SendOutcome::Accepted { provider_message_id, held, ask_by: None }
        }
        _ => replies::by_status(None, reply),
    }
}

fn read_entry(entry: &RawValue, receipts: &mut Receipts) {
    let Ok(wire::Entry { changes }) = serde_json::from_str(entry.get()) else {
        return receipts.put_aside("entry: not the documented shape", entry.get().as_bytes());
    };
    for change in changes {
        match serde_json::from_str::<wire::Change<'_>>(change.get()) {
            // Events about templates, accounts and others arrive at the same address.
            Ok(change) if change.field != "messages" => {}
            Ok(wire::Change { value: Some(value), .. }) => read_value(value, receipts),
            _ => receipts.put_aside("change: not the documented shape", change.get().as_bytes()),
        }
    }
}

fn read_value(value: &RawValue, receipts: &mut Receipts) {
    // Without statuses: a message from a person, or an account error, which concerns no message.
    let Ok(wire::Value { statuses }) = serde_json::from_str(value.get()) else {
        return receipts.put_aside("value: not the documented shape", value.get().as_bytes());
    };
    for status in statuses.unwrap_or_default() {
        match read_status(status) {
            Ok(Ok(receipt)) => receipts.receipts.push(receipt),
            Ok(Err(unknown)) => receipts.note_unknown(&unknown),
            Err(reason) => receipts.put_aside(reason, status.get().as_bytes()),
        }
    }
}

/// The receipt, or an unknown status; the error says why it cannot be read.
fn read_status(raw: &RawValue) -> Result<Result<DeliveryReceipt, String>, &'static str> {
    let item: wire::StatusItem<'_> = serde_json::from_str(raw.get()).map_err(|_| "status: not the documented shape")?;
    let status = match item.status {
        wire::Status::Sent => Status::Sent,
        wire::Status::Delivered => Status::Delivered,
        wire::Status::Read => Status::Read,
        wire::Status::Failed => Status::Failed,
        wire::Status::Other(word) => return Ok(Err(word)),
    };
    Ok(Ok(DeliveryReceipt {
        status,
        attempt_id: json::lenient::<String>(item.biz_opaque_callback_data).and_then(|id| AttemptId::parse(&id)),
        provider_message_id: json::provider_message_id(&item.id.0).ok_or("status: an id that cannot be kept")?,
        provider_at: json::lenient::<Scalar>(item.timestamp).and_then(|t| json::unix_instant(&t.0)),
        failure: (status == Status::Failed).then(|| failure(item.errors)),
    }))
}

/// A failure counts even if its reason is unreadable.
fn failure(errors: Option<&RawValue>) -> Failure {
    let first = json::lenient::<Vec<wire::Error>>(errors).and_then(|errors| errors.into_iter().next());
    errors::failure(first.map(|wire::Error { code: Scalar(code) }| code))
}
