//! YCloud, API v2: WhatsApp and SMS, one account each.
//!
//! Source: YCloud's public OpenAPI file (1.16.2), webhook guide and developer kit.

mod settings;
mod errors;
mod wire;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::replies::{self, is_success};
use crate::signature::{check_timestamped, header};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};
use otpost_domain::secret::Secret;

/// Default maximum age of a callback's signature, in seconds. YCloud prescribes none; the seventh and last retry comes
/// 5 h 36 min after the first try, and it is not documented whether it is signed again.
pub const DEFAULT_TOLERANCE_S: u32 = 21_600;

pub const DEFAULT_BASE_URL: &str = "https://api.ycloud.com";

#[derive(Clone, Debug, PartialEq)]
pub struct YcloudWhatsappConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    pub api_key: Secret,
    /// The sender: a WhatsApp number of the account, E.164.
    pub from: String,
    /// Secret of the webhook endpoint, including `whsec_`: the current one, then the previous one during a rotation.
    pub webhook_secrets: Vec<Secret>,
    pub tolerance_s: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct YcloudSmsConfig {
    /// [`DEFAULT_BASE_URL`], without a slash at its end.
    pub base_url: String,
    pub api_key: Secret,
    /// By default the account's.
    pub sender_id: Option<String>,
    /// Secret of the webhook endpoint, including `whsec_`: the current one, then the previous one during a rotation.
    pub webhook_secrets: Vec<Secret>,
    pub tolerance_s: u32,
}

pub struct YcloudWhatsapp(YcloudWhatsappConfig);

pub struct YcloudSms(YcloudSmsConfig);

impl YcloudWhatsapp {
    pub fn new(config: YcloudWhatsappConfig) -> Self {
        Self(config)
    }
}

impl YcloudSms {
    pub fn new(config: YcloudSmsConfig) -> Self {
        Self(config)
    }
}

impl Provider for YcloudWhatsapp {
    /// `sendDirectly` passes the message to WhatsApp before it answers; the other call only queues it.
    fn call(&self, message: &Outbound<'_>) -> Call {
        let body = json::body(&wire::SendWhatsapp::new(&self.0.from, message));
        post(&self.0.base_url, "/v2/whatsapp/messages/sendDirectly", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(Channel::Whatsapp, reply)
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let path = format!("/v2/whatsapp/messages/{}", query::encode(about.provider_message_id));
        Some(get(&self.0.base_url, &path, &self.0.api_key))
    }

    /// The message itself, in the format of events.
    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let text = json::text(reply.body);
        let raw = json::read::<&RawValue>(&text, "answer")?;
        let mut receipts = Receipts::default();
        read_item(Channel::Whatsapp, raw, None, Some(about.attempt_id), &mut receipts);
        Ok(receipts)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        verify(&self.0.webhook_secrets, self.0.tolerance_s, callback)
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(&callback)
    }

    fn abilities(&self) -> Abilities {
        ABILITIES
    }
}

impl Provider for YcloudSms {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let body = json::body(&wire::SendSms::new(self.0.sender_id.as_deref(), message));
        post(&self.0.base_url, "/v2/sms", &self.0.api_key, body)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        outcome(Channel::Sms, reply)
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let path = format!("/v2/sms?filter.id={}", query::encode(about.provider_message_id));
        Some(get(&self.0.base_url, &path, &self.0.api_key))
    }

    /// A list, because an SMS can only be looked up with a filter.
    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        replies::answered(reply)?;
        let text = json::text(reply.body);
        let list: wire::List<'_> = json::read(&text, "answer")?;
        let mut receipts = Receipts::default();
        for raw in list.items {
            read_item(Channel::Sms, raw, None, Some(about.attempt_id), &mut receipts);
        }
        receipts.receipts.retain(|receipt| receipt.provider_message_id == about.provider_message_id);
        Ok(receipts)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        verify(&self.0.webhook_secrets, self.0.tolerance_s, callback)
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        receipts(&callback)
    }

    fn abilities(&self) -> Abilities {
        ABILITIES
    }
}

/// `externalId` is returned in every event; it is documented not to be an idempotency key.
const ABILITIES: Abilities =
    Abilities { deduplicates: false, echoes_attempt_id: true, calls_back: true, can_be_queried: true };

fn get(base_url: &str, path: &str, api_key: &Secret) -> Call {
    Call { method: Method::Get, ..post(base_url, path, api_key, zeroize::Zeroizing::default()) }
}

fn post(base_url: &str, path: &str, api_key: &Secret, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
    Call {
        method: Method::Post,
        url: format!("{}{path}", base_url.trim_end_matches('/')),
        content_type: "application/json",
        headers: vec![("x-api-key".into(), api_key.clone())],
        body,
    }
}

fn outcome(channel: Channel, reply: &Reply<'_>) -> SendOutcome {
    replies::outcome(reply, |raw| decide(channel, raw, reply))
}

fn decide(channel: Channel, raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
    let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
        return replies::by_status(None, reply);
    };
    if let Some(error) = json::lenient::<wire::Error<'_>>(answer.error) {
        return match error.best_code() {
            Some(code) => replies::by_code(&code, errors::lookup(&code), errors::pause(&code), reply),
            None if is_success(reply) => replies::refused(None, reply),
            None => replies::by_status(None, reply),
        };
    }
    if !is_success(reply) {
        return replies::by_status(None, reply);
    }
    // The schema allows a message that failed within the call.
    if let Some(status @ (wire::Status::Failed | wire::Status::Undelivered)) = json::lenient(answer.status) {
        let failure = errors::failure(channel, &status, answer.best_code());
        let pause = errors::pause(&failure.code);
        return replies::rejected(failure, reply, pause);
    }
    replies::accepted(json::lenient::<Scalar>(answer.id).and_then(|Scalar(id)| json::provider_message_id(&id)))
}

/// Header `YCloud-Signature`: `t=<Unix seconds>,s=<hex>`, the hex HMAC-SHA256 of `t`, a full stop and the raw body, key
/// = the endpoint's secret including `whsec_`. Older help pages sign another full stop at the end, which the SDK calls
/// wrong. Source: YCloud, webhook guide and developer kit. Requiring exactly one `t` and one `s`, in this order, is our
/// rule.
fn verify<'a>(secrets: &[Secret], tolerance_s: u32, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
    let value = header(callback, "YCloud-Signature")?;
    let (timestamp, hex) =
        value.strip_prefix("t=").and_then(|rest| rest.split_once(",s=")).ok_or(Unverified::Malformed)?;
    check_timestamped(secrets, timestamp, hex, callback, Duration::from_secs(tolerance_s.into()))?;
    Ok(Verified::new(callback.body, None))
}

/// One event per callback. An endpoint may be subscribed to both channels, so both are read at either address: the
/// event names the attempt.
fn receipts(callback: &Verified<'_>) -> Result<Receipts, Unreadable> {
    let text = json::text(callback.body());
    let event: wire::Event<'_> = json::read(&text, "event")?;
    let mut receipts = Receipts::default();
    let (channel, item) = match event.r#type.as_str() {
        "whatsapp.message.updated" => (Channel::Whatsapp, event.whatsapp_message),
        "sms.message.updated" => (Channel::Sms, event.sms),
        _ => return Ok(receipts),
    };
    let Some(raw) = item else {
        receipts.put_aside("event: no message in it", callback.body());
        return Ok(receipts);
    };
    read_item(channel, raw, event.create_time, None, &mut receipts);
    Ok(receipts)
}

/// `asked_about`: the attempt, when the message is the answer to a status query about it.
fn read_item(
    channel: Channel,
    raw: &RawValue,
    event_time: Option<&RawValue>,
    asked_about: Option<AttemptId>,
    receipts: &mut Receipts,
) {
    let Ok(item) = serde_json::from_str::<wire::Item<'_>>(raw.get()) else {
        return receipts.put_aside("message: not the documented shape", raw.get().as_bytes());
    };
    let Some(provider_message_id) = json::provider_message_id(&item.id.0) else {
        return receipts.put_aside("message: an id that cannot be kept", raw.get().as_bytes());
    };
    let instant = |time: Option<&RawValue>| json::iso_instant(&json::lenient::<String>(time)?);
    let status = match &item.status {
        // Known, and older than our own answer.
        wire::Status::Accepted => None,
        wire::Status::Sent => Some(Status::Sent),
        wire::Status::Delivered => Some(Status::Delivered),
        wire::Status::Read => Some(Status::Read),
        wire::Status::Failed | wire::Status::Undelivered => Some(Status::Failed),
        wire::Status::Other(word) => {
            receipts.note_unknown(word);
            None
        }
    };
    // Each time is a separate receipt, whatever the status: a failed message may have been delivered before.
    let times =
        [(Status::Sent, item.send_time), (Status::Delivered, item.deliver_time), (Status::Read, item.read_time)];
    let is_news = |of: Status| of != Status::Sent || status.is_some();
    let times = times.into_iter().filter(|(of, _)| is_news(*of));
    let mut told: Vec<_> = times.filter_map(|(of, time)| Some((of, Some(instant(time)?)))).collect();
    if let Some(status) = status.filter(|status| told.iter().all(|(of, _)| of != status)) {
        told.push((status, [item.update_time, event_time].into_iter().find_map(instant)));
    }
    let attempt_id =
        asked_about.or_else(|| json::lenient::<Scalar>(item.external_id).and_then(|id| AttemptId::parse(&id.0)));
    receipts.receipts.extend(told.into_iter().map(|(status, provider_at)| DeliveryReceipt {
        status,
        attempt_id,
        provider_message_id: provider_message_id.clone(),
        provider_at,
        failure: (status == Status::Failed).then(|| errors::failure(channel, &item.status, item.best_code())),
    }));
}
