//! Whether the service is alive, and whether traffic should come to it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    #[schema(pattern = "^ok$")]
    pub status: String,
    /// Version of the service.
    pub version: String,
}

/// Whether this instance should receive traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// `ready`, or `not ready`.
    #[schema(pattern = "^(not )?ready$")]
    pub status: String,
    /// Why not, for people; omitted when it is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}
