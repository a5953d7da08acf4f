//! Query parameters. All are optional.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::api::meanings;

/// What a GET waits for.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Holds the response until the message has come this far or can no longer do so, or until the timeout. Without it the
    /// response comes at once.
    #[param(value_type = Option<meanings::WaitFor>)]
    pub wait_for: Option<String>,
    /// Longest time to hold the response, in seconds. After it the response is the message as it is.
    #[param(minimum = 0, maximum = 60, default = 20)]
    pub timeout_s: Option<u64>,
}

/// Selects a page of a timeline.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// The `next` of an earlier page. Default: the beginning.
    #[param(minimum = 0)]
    pub cursor: Option<usize>,
    /// Maximum number of events on the page.
    #[param(minimum = 1, maximum = 500, default = 200)]
    pub limit: Option<usize>,
}

/// Selects messages of the app. A message must meet all conditions.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Messages in this state.
    #[param(value_type = Option<meanings::State>)]
    pub state: Option<String>,
    /// Messages with this outcome, except `other`.
    #[param(value_type = Option<meanings::Outcome>)]
    pub outcome: Option<String>,
    /// Messages to numbers of this country: ISO 3166-1 alpha-2, in either case.
    #[param(pattern = "^[A-Za-z]{2}$", example = "ID")]
    pub country: Option<String>,
    /// Messages with an attempt on this channel; `auto` means any.
    #[param(value_type = Option<meanings::ChannelWish>)]
    pub channel: Option<String>,
    /// Messages with this `reference`.
    #[param(min_length = 1, max_length = 200)]
    pub reference: Option<String>,
    /// Messages created at this time or later. Years 1 to 9999.
    pub created_from: Option<DateTime<Utc>>,
    /// Messages created before this time. Years 1 to 9999.
    pub created_before: Option<DateTime<Utc>>,
    /// The `next` of an earlier page.
    #[param(format = "uuid")]
    pub cursor: Option<String>,
    /// Maximum number of messages on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u16>,
}
