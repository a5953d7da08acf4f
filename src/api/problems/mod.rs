//! Problem documents (RFC 9457): what is answered instead of a result.

mod kinds;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::meanings;

pub use kinds::{About, Kind, STILL_SENDING, denied_code, settled_code};

/// Why a request was refused. Decide by `type` and `code`: their meaning never changes.
// Members have defaults for the client: the document may be a proxy's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    #[serde(default, rename = "type")]
    #[schema(required, value_type = ProblemType)]
    pub kind: String,
    /// For people; the same for every problem of this type.
    #[serde(default)]
    #[schema(required)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    #[schema(required, minimum = 400, maximum = 599)]
    pub status: u16,
    /// The exact reason. `invalid-field`: the code of the field. `settled` and `no-next-attempt`: why. Every other type: its name
    /// with underscores.
    #[serde(default)]
    #[schema(required)]
    pub code: String,
    /// For people: what is wrong with this request. The wording may change.
    #[serde(default)]
    #[schema(required)]
    pub detail: String,
    /// The wrong field; omitted unless the type is `invalid-field`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<WrongField>,
    /// The limit that is reached; omitted unless the type begins with `limit-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<LimitReached>,
}

/// A limit that is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitReached {
    /// Its name in the settings' section `limits`.
    pub rule: String,
    /// What it counts.
    #[schema(value_type = meanings::Counter)]
    pub counter: String,
    /// How many are allowed; of `number_spacing_s`, the seconds.
    pub limit: i64,
    /// As in the header `Retry-After`: when the same request may pass.
    #[schema(minimum = 1)]
    pub retry_after_s: u64,
}

/// A field, parameter or header that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrongField {
    /// Its name, or its path (`client.ip`) when it is inside another field.
    pub field: String,
    #[serde(default)]
    #[schema(value_type = meanings::FieldCode, required)]
    pub code: String,
    /// For people: what is allowed. The wording may change.
    pub reason: String,
}

/// The `type` of a problem.
pub struct ProblemType;

impl PartialSchema for ProblemType {
    fn schema() -> RefOr<Schema> {
        let types = Kind::ALL.map(|kind| (kind.uri(), kind.about().when));
        let words = types.each_ref().map(|(uri, when)| (uri.as_str(), *when));
        meanings::of_words("The type of the problem. Its meaning never changes.", &words)
    }
}

impl ToSchema for ProblemType {}
