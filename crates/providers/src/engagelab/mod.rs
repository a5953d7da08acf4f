//! EngageLab: its OTP product with a code chosen by us, and its plain WhatsApp and SMS products.
//!
//! Source: EngageLab's documentation of each product, "REST API" and "Callback". A template of the OTP product may
//! itself switch from WhatsApp to SMS, after an unpublished time, so our templates have one channel each.

mod settings;
mod errors;
mod proof;
mod wire;
#[cfg(test)]
pub(crate) mod tests;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json::{self, Scalar};
use crate::registry::engagelab::proof::is_url_check;
use crate::replies::{self, Pause, is_success};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, basic,
};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Failure, Status};
use otpost_domain::secret::Secret;

pub use self::proof::CallbackId;

/// Default maximum age of a callback's signature, in seconds. EngageLab prescribes none.
pub const DEFAULT_TOLERANCE_S: u32 = 300;

#[derive(Clone, Debug, PartialEq)]
pub struct EngagelabConfig {
    /// One of [`Product`]'s, without a slash at its end.
    pub base_url: String,
    /// User name of an API key of the product; each product has its own keys.
    pub dev_key: String,
    pub dev_secret: Secret,
    pub channel: Channel,
    pub product: Product,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Product {
    /// Either channel: the template decides which.
    Otp {
        params: Vec<Parameter>,
        callbacks: CallbackId,
    },
    /// WhatsApp's templates. Its callbacks are not signed: an unguessable token in their address is the proof.
    Whatsapp {
        /// The sender: a WhatsApp number of the account, E.164.
        from: String,
        /// Registered at EngageLab as `?token=` of the callback URL.
        callback_token: Secret,
    },
    Sms {
        params: Vec<Parameter>,
        callbacks: CallbackId,
    },
}

impl Product {
    pub const OTP_BASE_URL: &'static str = "https://otp.api.engagelab.cc";
    pub const WHATSAPP_BASE_URL: &'static str = "https://wa.api.engagelab.cc";
    pub const SMS_BASE_URL: &'static str = "https://smsapi.engagelab.com";

    fn is_otp(&self) -> bool {
        matches!(self, Self::Otp { .. })
    }
}

/// A variable of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Code,
    /// The whole text of an SMS.
    Text,
    Fixed(String),
}

impl Value {
    /// `{code}` and `{text}` are placeholders; anything else is constant.
    pub fn parse(text: &str) -> Self {
        match text {
            "{code}" => Self::Code,
            "{text}" => Self::Text,
            other => Self::Fixed(other.to_owned()),
        }
    }

    fn of<'a>(&'a self, message: &'a Outbound<'_>) -> &'a str {
        match self {
            Self::Code => message.code.digits(),
            Self::Text => message.text,
            Self::Fixed(text) => text,
        }
    }
}

pub struct Engagelab(EngagelabConfig);

impl Engagelab {
    pub fn new(config: EngagelabConfig) -> Self {
        Self(config)
    }

    fn failure(&self, status: &wire::RowStatus<'_>) -> Failure {
        let EngagelabConfig { channel, product, .. } = &self.0;
        errors::failure(*channel, product.is_otp(), &status.message_status, status.code(), status.text())
    }

    fn decide(&self, raw: &RawValue, reply: &Reply<'_>) -> SendOutcome {
        let Ok(answer) = serde_json::from_str::<wire::Answer<'_>>(raw.get()) else {
            return replies::by_status(None, reply);
        };
        if let Some(code) = answer.code() {
            let meaning = errors::lookup(&code, self.0.product.is_otp());
            return replies::by_code(&code, meaning, errors::pause(&code), reply);
        }
        if !is_success(reply) {
            return replies::by_status(None, reply);
        }
        if answer.took_none() {
            return replies::rejected(errors::took_none(), reply, Pause::NONE);
        }
        replies::accepted(
            json::lenient::<Scalar>(answer.message_id).and_then(|Scalar(id)| json::provider_message_id(&id)),
        )
    }

    /// The error says why it cannot be read.
    fn read_row(&self, raw: &RawValue, receipts: &mut Receipts) -> Result<(), &'static str> {
        let row: wire::Row<'_> = serde_json::from_str(raw.get()).map_err(|_| "row: not an object")?;
        // Notifications, messages from people and account events have another field instead.
        let Some(status) = row.status else { return Ok(()) };
        let status: wire::RowStatus<'_> =
            serde_json::from_str(status.get()).map_err(|_| "row: a status of another shape")?;
        let Some(ours) = status.message_status.ours() else {
            if let wire::Status::Other(word) = &status.message_status {
                receipts.note_unknown(word);
            }
            return Ok(());
        };
        let id = json::lenient::<Scalar>(row.message_id).and_then(|Scalar(id)| json::provider_message_id(&id));
        receipts.receipts.push(DeliveryReceipt {
            status: ours,
            attempt_id: row.attempt().and_then(|id| AttemptId::parse(&id)),
            provider_message_id: id.ok_or("row: no id that can be kept")?,
            provider_at: json::lenient::<Scalar>(row.itime).and_then(|Scalar(at)| json::unix_instant(&at)),
            failure: (ours == Status::Failed).then(|| self.failure(&status)),
        });
        Ok(())
    }
}

impl Provider for Engagelab {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let EngagelabConfig { base_url, dev_key, dev_secret, product, .. } = &self.0;
        let (path, body) = match product {
            Product::Otp { params, .. } => ("/v1/codes", json::body(&wire::SendCode::new(params, message))),
            Product::Whatsapp { from, .. } => ("/v1/messages", json::body(&wire::SendWhatsapp::new(from, message))),
            Product::Sms { params, .. } => ("/v1/messages", json::body(&wire::SendSms::new(params, message))),
        };
        Call {
            method: Method::Post,
            url: format!("{}{path}", base_url.trim_end_matches('/')),
            content_type: "application/json",
            headers: vec![("authorization".into(), basic::authorization(dev_key, dev_secret))],
            body,
        }
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        replies::outcome(reply, |raw| self.decide(raw, reply))
    }

    /// No status query is documented.
    fn status_query(&self, _about: &StatusQuery<'_>) -> Option<Call> {
        None
    }

    fn status_answer(&self, _about: &StatusQuery<'_>, _reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        Ok(Receipts::default())
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        match &self.0.product {
            Product::Otp { callbacks, .. } | Product::Sms { callbacks, .. } => callbacks.verify(callback),
            Product::Whatsapp { callback_token, .. } => proof::by_token(callback_token, callback),
        }
    }

    /// Possibly several rows in one callback, each read separately.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let mut receipts = Receipts::default();
        if is_url_check(callback.body()) {
            return Ok(receipts);
        }
        let text = json::text(callback.body());
        let envelope: wire::Envelope<'_> = json::read(&text, "callback")?;
        for row in envelope.rows {
            if let Err(reason) = self.read_row(row, &mut receipts) {
                receipts.put_aside(reason, row.get().as_bytes());
            }
        }
        Ok(receipts)
    }

    /// The OTP product takes no reference of ours. It does refuse the same template to the same number while the first
    /// code lives, but says so with an error and not with the first id.
    fn abilities(&self) -> Abilities {
        let echoes_attempt_id = !self.0.product.is_otp();
        Abilities { deduplicates: false, echoes_attempt_id, calls_back: true, can_be_queried: false }
    }
}
