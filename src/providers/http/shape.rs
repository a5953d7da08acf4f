//! Where something stands in a body, and what their words mean.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use crate::domain::channel::Channel;
use crate::domain::receipt::{ErrorClass, Failure, Status};
use crate::providers::json::{self, Scalar};
use crate::providers::query;
use crate::providers::replies::Meaning;

/// A JSON pointer: `/data/0/id`. Source: RFC 6901.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// `None` when it does not begin with a slash or has a `~` that is neither `~0` nor `~1`.
    pub fn parse(text: &str) -> Option<Self> {
        let token = |token: &str| {
            let well = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            well.then(|| token.replace("~1", "/").replace("~0", "~"))
        };
        text.strip_prefix('/')?.split('/').map(token).collect::<Option<_>>().map(Self)
    }

    /// What it points at, with its own bytes. Of equal keys the last one counts.
    pub fn find<'a>(&self, within: &'a RawValue) -> Option<&'a RawValue> {
        let mut found = within;
        for token in &self.0 {
            found = match found.get().as_bytes().first()? {
                b'{' => serde_json::from_str::<HashMap<String, &RawValue>>(found.get()).ok()?.remove(token)?,
                b'[' => *serde_json::from_str::<Vec<&RawValue>>(found.get()).ok()?.get(index(token)?)?,
                _ => return None,
            };
        }
        Some(found)
    }

    /// Text, or an integer as text; empty counts as absent.
    pub fn text(&self, within: &RawValue) -> Option<String> {
        json::lenient::<Scalar>(self.find(within)).map(|Scalar(text)| text).filter(|text| !text.is_empty())
    }

    /// Also `true` and `false`.
    pub fn word(&self, within: &RawValue) -> Option<String> {
        let is_bool = |raw: &&RawValue| matches!(raw.get(), "true" | "false");
        self.text(within).or_else(|| self.find(within).filter(is_bool).map(|raw| raw.get().to_owned()))
    }
}

fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    plain.then(|| token.parse().ok())?
}

/// Where something stands in a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Json(Pointer),
    /// Of a form.
    Form(String),
}

/// One receipt to be, as it came.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Json(&'a RawValue),
    Form(&'a str),
}

impl Item<'_> {
    pub fn text(self, field: &Field) -> Option<String> {
        match (self, field) {
            (Item::Json(raw), Field::Json(pointer)) => pointer.text(raw),
            (Item::Form(text), Field::Form(name)) => query::single(text, name).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Item::Json(raw) => raw.get().as_bytes(),
            Item::Form(text) => text.as_bytes(),
        }
    }
}

/// Their status words. `None`: known, and no news about the delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(pub BTreeMap<String, Option<Status>>);

/// Their error codes. A status word may be one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes(pub BTreeMap<String, Meaning>);

impl Codes {
    pub fn known(&self, code: &str) -> Option<Meaning> {
        self.0.get(code).copied()
    }

    /// Of a message that failed after it was taken. A code of zeros is none.
    pub fn failure(&self, channel: Channel, status: &str, code: Option<String>) -> Failure {
        let code = code.filter(|code| !code.bytes().all(|b| b == b'0'));
        let unlisted = match (channel, &code) {
            (Channel::Whatsapp, Some(_)) => ErrorClass::ConfigError,
            _ => ErrorClass::Retryable,
        };
        let name = code.as_deref().unwrap_or(status);
        let meaning = self.known(name).or_else(|| self.known(status));
        meaning.unwrap_or(Meaning::of(unlisted)).failure(name)
    }
}
