//! Request bodies. The service names the field when it refuses one.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::meanings::{ChannelWish, Locales, OnNewer};
use crate::api::messages::Metadata;

/// A code to send.
///
/// `locale` and `client` are hints: unreadable parts are dropped, and they never cause an error. An invalid value in any other
/// field is an error that names the field. An empty `purpose`, `channel` or `reference` counts as omitted, and so does null
/// in every field but `to`.
// An empty `code` is refused: the app would check a different code from the one that was sent.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The recipient's number with `+` or `00` and its calling code. Spaces, hyphens and brackets are ignored. Former formats of
    /// a country are converted to today's.
    #[schema(min_length = 4, example = "+628123450003")]
    pub to: String,
    /// What the code is for: `login` (the default), `signup`, `payment`, `reset`, `other`, or a purpose from the settings. Selects
    /// text, template and route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "login")]
    pub purpose: Option<String>,
    /// The code, 4 to 10 digits. The service generates one when it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[0-9]{4,10}$", write_only)]
    pub code: Option<Zeroizing<String>>,
    /// Length of the generated code, in digits. Default: the setting of the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4, maximum = 10)]
    pub code_length: Option<u8>,
    /// The person's locale, or several: as text (`pt-BR,pt;q=0.9`) or as an array. A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Locales>)]
    pub locale: Option<Box<RawValue>>,
    /// Channel of the first attempt. Default: `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChannelWish>)]
    pub channel: Option<String>,
    /// Seconds to wait for delivery, from the provider's acceptance, before the next step of the route starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 15, maximum = 60)]
    pub replace_after_s: Option<i64>,
    /// Lifetime of the code in seconds. At least `replace_after_s` + 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 105, maximum = 600)]
    pub valid_for_s: Option<i64>,
    /// The person's device, as far as the app knows it. A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Client>)]
    pub client: Option<Box<RawValue>>,
    /// What becomes of an older message of the same number and purpose that is still pending. `supersede`: it ends, and what has not
    /// left of it is not sent. `reuse`: it is the answer, with the same id and code, and nothing is sent anew. `keep`: both live. Default:
    /// the setting `codes.on_newer`, which is `supersede`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OnNewer>)]
    pub on_newer: Option<String>,
    /// Your own reference, to find the message by. At most 200 characters, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub reference: Option<String>,
    /// Your own JSON object, returned with the message. At most 4096 bytes and 32 levels, without the character U+0000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Metadata>)]
    pub metadata: Option<Box<RawValue>>,
}

/// The person's device, as far as the app knows it. Unreadable parts are dropped.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Client {
    /// IPv4 or IPv6 address of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub ip: Option<IpAddr>,
    /// `web`, `ios` or `android`, in any common spelling. Selects the line for autofill at the end of an SMS. Cut to 200
    /// characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ios")]
    pub platform: Option<String>,
    /// Your name for the device. Cut to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// A code that a person entered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// 4 to 10 digits. Spaces and hyphens between them are ignored, and digits of other scripts are understood. Anything else is
    /// an error and does not count as a try.
    #[schema(value_type = String, min_length = 4, write_only, example = "493817")]
    pub code: Zeroizing<String>,
}

/// A further attempt. An empty body selects the next step of the route.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResendRequest {
    /// Channel of the attempt. Default: `auto`, any channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ChannelWish>)]
    pub channel: Option<String>,
}

/// A number to offer channels for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelsRequest {
    /// The number, as in `POST /v1/messages`.
    #[schema(min_length = 4, example = "+628123450003")]
    pub to: String,
    /// What the code is for, as in `POST /v1/messages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}
