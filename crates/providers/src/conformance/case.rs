//! What a provider brings to the suite.

use chrono::DateTime;
use otpost_domain::ids::{AttemptId, Bucket, MessageId};
use otpost_domain::phone::Phone;
use serde_json::Value;

use crate::Provider;
use crate::signature::Scheme;

/// A provider and the expected number of its cases, so that nothing is skipped unnoticed.
pub struct Case {
    /// Of its folder.
    pub name: &'static str,
    /// Builds the adapter of this name in the manifest, with these keys.
    pub adapter: fn(&str, &Keys) -> Box<dyn Provider>,
    /// Approved template of the request fixtures: name and language.
    pub template: (&'static str, &'static str),
    /// The adapters that its signature vectors are for.
    pub signing: &'static [&'static str],
    /// An acceptance with an id in it; `None` where it is described in the settings.
    pub accepted: Option<Accepted>,
    /// Headers by which its callbacks are proven, with values of the right form.
    pub proofs: &'static [(&'static str, &'static str)],
    /// Its codes are those that others pass on.
    pub is_whatsapp_itself: bool,
    pub runs: Runs,
}

/// What answers an acceptance.
pub struct Accepted {
    pub adapter: &'static str,
    pub status: u16,
    pub body: fn(&str) -> String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub requests: usize,
    pub answers: usize,
    /// Answers to status queries.
    pub told: usize,
    pub callbacks: usize,
    pub receipts: usize,
    /// Rows of `codes.json`.
    pub codes: usize,
    /// Answers and callbacks generated from those rows.
    pub verdicts: usize,
    pub signatures: usize,
    pub handshakes: usize,
    pub tokens: usize,
}

pub struct Keys {
    pub secret: String,
    pub verify_token: String,
    pub tolerance_s: u32,
    pub scheme: Option<Scheme>,
    /// The whole vector, for provider-specific fields.
    pub vector: Value,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            secret: "secret".to_owned(),
            verify_token: "token".to_owned(),
            tolerance_s: 21_600,
            scheme: None,
            vector: Value::Null,
        }
    }
}

/// The id that replaces a fixture's `att_...`.
pub(crate) fn our_id(name: &str) -> AttemptId {
    let mut random = [0; 8];
    random.copy_from_slice(&name.as_bytes()[name.len() - 8..]);
    let phone = Phone::from_stored("+447700900123", "GB", 2).unwrap();
    let at = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
    MessageId::new(at, Bucket::of(&phone), random).attempt(1)
}
