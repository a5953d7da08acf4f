//! The channels to offer for a number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::meanings;
use crate::domain::channel::Channel;
use crate::domain::price::Price;

/// The channels for a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Channels {
    /// The number, masked except for its calling code and last two digits.
    pub to: String,
    /// Country of the number: ISO 3166-1 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$")]
    pub country: String,
    /// The recommended channel first; empty when no account sends to the number.
    pub channels: Vec<OfferedChannel>,
}

/// A channel that can be offered to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedChannel {
    #[schema(value_type = meanings::Channel)]
    pub channel: Channel,
    /// True for the channel that `POST /v1/messages` would use first.
    pub recommended: bool,
    /// Price of the account that would be tried first; null where the settings have no price.
    #[schema(required, value_type = Option<meanings::Price>)]
    pub price: Option<Price>,
}
