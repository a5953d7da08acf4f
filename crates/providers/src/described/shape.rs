//! The place of a value in a body, and the meaning of a provider's words.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use crate::json::{self, Scalar};
use crate::replies::Meaning;
use otpost_domain::channel::Channel;
use otpost_domain::receipt::{Failure, Status};

/// A JSON pointer: `/data/0/id`. Source: RFC 6901.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Empty: the whole document. `None` when it does not begin with a slash or has a `~` that is neither `~0` nor
    /// `~1`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let token = |token: &str| {
            let well = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            well.then(|| token.replace("~1", "/").replace("~0", "~"))
        };
        text.strip_prefix('/')?.split('/').map(token).collect::<Option<_>>().map(Self)
    }

    /// The value that it points at, as raw JSON. Of equal keys the last one counts.
    pub fn find<'a>(&self, within: &'a RawValue) -> Option<&'a RawValue> {
        find(&self.0, within)
    }

    /// Text, or a number as text; empty counts as absent.
    pub fn text(&self, within: &RawValue) -> Option<String> {
        text(&self.0, within)
    }

    pub fn tokens(&self) -> &[String] {
        &self.0
    }

    /// If it points at one entry of a list: the pointer to the list, and the pointer within an entry.
    pub fn split_at_index(&self) -> Option<(String, String)> {
        let at = self.0.iter().position(|token| index(token).is_some())?;
        let written = |tokens: &[String]| {
            let escaped = tokens.iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
            escaped.collect::<String>()
        };
        Some((written(&self.0[..at]), written(&self.0[at + 1..])))
    }

    /// Also `true` and `false`.
    pub fn word(&self, within: &RawValue) -> Option<String> {
        let is_bool = |raw: &&RawValue| matches!(raw.get(), "true" | "false");
        self.text(within).or_else(|| self.find(within).filter(is_bool).map(|raw| raw.get().to_owned()))
    }
}

/// Of equal keys the last one counts.
pub(super) fn find<'a>(tokens: &[String], within: &'a RawValue) -> Option<&'a RawValue> {
    let mut found = within;
    for token in tokens {
        found = match found.get().as_bytes().first()? {
            b'{' => serde_json::from_str::<HashMap<String, &RawValue>>(found.get()).ok()?.remove(token)?,
            b'[' => *serde_json::from_str::<Vec<&RawValue>>(found.get()).ok()?.get(index(token)?)?,
            _ => return None,
        };
    }
    Some(found)
}

pub(super) fn text(tokens: &[String], within: &RawValue) -> Option<String> {
    json::lenient::<Scalar>(find(tokens, within)).map(|Scalar(text)| text).filter(|text| !text.is_empty())
}

pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    plain.then(|| token.parse().ok())?
}

/// The place of a value in a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Json(Pointer),
    /// A field of a form.
    Form(String),
}

/// The provider's status words. `None`: known, but says nothing about the delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(pub BTreeMap<String, Option<Status>>);

/// The provider's error codes. A status word may be one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes(pub BTreeMap<String, Meaning>);

impl Codes {
    pub fn known(&self, code: &str) -> Option<Meaning> {
        self.0.get(code).copied()
    }

    /// Failure of a message that was accepted before. A code of zeros is none.
    pub fn failure(&self, channel: Channel, status: &str, code: Option<String>) -> Failure {
        let code = code.filter(|code| !code.bytes().all(|b| b == b'0'));
        let unlisted = Meaning::unlisted(if code.is_some() { channel } else { Channel::Sms });
        let name = code.as_deref().unwrap_or(status);
        let meaning = self.known(name).or_else(|| self.known(status));
        meaning.unwrap_or(unlisted).failure(name)
    }
}

/// ISO 8601 or Unix seconds.
pub(super) fn instant(text: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    json::iso_instant(text).or_else(|| json::unix_instant(text))
}
