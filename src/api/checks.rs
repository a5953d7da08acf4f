//! The answer to a check of a code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::meanings;
use crate::api::words::CheckReason;
use crate::domain::message::Outcome;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAnswer {
    /// Whether the code is right. True at most once for each message.
    pub valid: bool,
    /// Outcome of the message after this check.
    #[schema(value_type = meanings::Outcome)]
    pub outcome: Outcome,
    /// Number of wrong codes that are still accepted for checking.
    #[schema(minimum = 0)]
    pub tries_left: i16,
    /// Why the code is not valid; omitted when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<meanings::CheckReason>, nullable = false)]
    pub reason: Option<CheckReason>,
}
