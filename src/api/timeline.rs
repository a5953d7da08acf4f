//! The timeline of a message.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::meanings;
use crate::api::messages::Message;
use crate::api::words::EventKind;

/// A page of a message's events, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    pub message: Message,
    pub timeline: Vec<Entry>,
    /// The `cursor` of the next page; null on the last page. Later events are appended, so a cursor stays valid.
    #[schema(required)]
    pub next: Option<usize>,
}

/// One event in the life of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub at: DateTime<Utc>,
    #[schema(value_type = meanings::EventKind)]
    pub event: EventKind,
    /// The attempt concerned; omitted for events of the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub attempt_no: Option<i16>,
    /// Description for people. The wording may change.
    pub text: String,
    /// Time by the provider's clock; omitted where the provider gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_at: Option<DateTime<Utc>>,
    /// For the first request of a replacement: milliseconds from the deadline, or from the failure, to the request. Omitted for
    /// every other event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<f64>,
}
