//! A message as apps see it: no code, no full number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::meanings;
use crate::domain::attempt::{Reason, SendState, State, Timer, Why};
use crate::domain::channel::Channel;
use crate::domain::message::Outcome;
use crate::domain::price::Price;
use crate::domain::receipt::ErrorClass;

/// A one-time password for one recipient. No response contains the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Identifies the message in every other request.
    #[schema(format = "uuid")]
    pub id: String,
    #[schema(value_type = meanings::State)]
    pub state: State,
    #[schema(value_type = meanings::Outcome)]
    pub outcome: Outcome,
    /// Channel of the last attempt.
    #[schema(value_type = meanings::Channel)]
    pub channel: Channel,
    /// The recipient's number, masked except for its calling code and last two digits.
    pub to: String,
    /// Country of the number: ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$")]
    pub country: String,
    /// What the code is for.
    pub purpose: String,
    /// The locales of the request, as far as they could be read; null when there were none.
    #[schema(required)]
    pub locale: Option<String>,
    /// Language of the texts (BCP 47), chosen by locale and country; null where the account's default is used.
    #[schema(required)]
    pub language: Option<String>,
    /// The `reference` of the request; null when there was none.
    #[schema(required)]
    pub reference: Option<String>,
    /// The `metadata` of the request, unchanged; null when there was none.
    #[schema(required)]
    pub metadata: Option<Metadata>,
    /// Length of the code in digits.
    #[schema(minimum = 4, maximum = 10)]
    pub code_length: i16,
    /// Number of wrong codes that are still accepted for checking; 0 once the message is settled.
    #[schema(minimum = 0)]
    pub tries_left: i16,
    pub created_at: DateTime<Utc>,
    /// End of the message's lifetime. After it nothing is sent and no code is valid.
    pub expires_at: DateTime<Utc>,
    /// When the outcome became final; null until then.
    #[schema(required)]
    pub settled_at: Option<DateTime<Utc>>,
    /// Time of the first delivery of any attempt, by the service's clock; null until then.
    #[schema(required)]
    pub delivered_at: Option<DateTime<Utc>>,
    /// True when no receipt reported the delivery: it follows from the right code, or from the acceptance by a provider that sends no
    /// receipts.
    pub delivery_inferred: bool,
    /// Seconds to wait for delivery, from the provider's acceptance, before the next step of the route starts.
    #[schema(minimum = 15, maximum = 60)]
    pub replace_after_s: i16,
    /// Ordered by `attempt_no`; never empty.
    #[schema(min_items = 1)]
    pub attempts: Vec<Attempt>,
}

/// One try to deliver a message, on one channel, through one provider account. Times are by the service's clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Counts from 1.
    #[schema(minimum = 1)]
    pub attempt_no: i16,
    /// The message's id with the attempt's number in its last byte. Sent to the provider as our reference.
    #[schema(format = "uuid")]
    pub attempt_id: String,
    #[schema(value_type = meanings::Channel)]
    pub channel: Channel,
    /// Name of the provider account in the settings.
    pub account: String,
    #[schema(value_type = meanings::Reason)]
    pub reason: Reason,
    #[schema(value_type = meanings::State)]
    pub state: State,
    #[schema(value_type = meanings::SendState)]
    pub send_state: SendState,
    /// Number of requests to the provider that were started.
    #[schema(minimum = 0)]
    pub tries: i16,
    pub planned_at: DateTime<Utc>,
    /// When the provider accepted it; null until then.
    #[schema(required)]
    pub accepted_at: Option<DateTime<Utc>>,
    /// Time of the first receipt with the status sent; null without one.
    #[schema(required)]
    pub sent_at: Option<DateTime<Utc>>,
    /// Time of the first receipt with the status delivered; null without one.
    #[schema(required)]
    pub delivered_at: Option<DateTime<Utc>>,
    /// Time of the first receipt with the status read; null without one.
    #[schema(required)]
    pub read_at: Option<DateTime<Utc>>,
    /// Time of the first failure; null without one.
    #[schema(required)]
    pub failed_at: Option<DateTime<Utc>>,
    #[schema(value_type = meanings::Timer)]
    pub timer: Timer,
    /// Deadline of `timer`; kept after the timer ended; null when there is none.
    #[schema(required)]
    pub replace_at: Option<DateTime<Utc>>,
    /// Why no replacement followed although one was due; null otherwise.
    #[schema(required, value_type = Option<meanings::Why>)]
    pub not_replaced: Option<Why>,
    /// The provider's error code, or a code of the service where the provider gave none; null without a failure.
    #[schema(required, max_length = 64)]
    pub error_code: Option<String>,
    /// Class of the error; null without a failure.
    #[schema(required, value_type = Option<meanings::ErrorClass>)]
    pub error_class: Option<ErrorClass>,
    /// True for a replacement that was sent although an earlier attempt was delivered in the end.
    pub wasted: bool,
    /// Price of the attempt by the settings at the time of sending; null where the settings have no price.
    #[schema(required, value_type = Option<meanings::Price>)]
    pub price: Option<Price>,
}

/// A page of messages, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageList {
    /// A page may have fewer than `limit` messages and still have a `next`.
    pub messages: Vec<Message>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// Your JSON object, kept byte for byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub Box<RawValue>);

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some("Your JSON object, kept byte for byte."))
            .into()
    }
}

impl ToSchema for Metadata {}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}
