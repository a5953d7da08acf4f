//! A description that was read and checked.

use std::borrow::Cow;

use otpost_domain::channel::Channel;
use otpost_domain::secret::Secret;

use super::pattern::{Body, Pattern};
use super::place::Place;
use super::proof::Proof;
use super::shape::{Codes, Field, Pointer, Statuses};

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedConfig {
    pub channel: Channel,
    /// Scheme and host of `url`, to test the connection.
    pub base_url: String,
    pub url: Pattern,
    pub body: Body,
    /// Headers of every request, including `Authorization`. The names live as long as the program.
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    /// For `{sender}`, if the recipient's country has no sender of its own.
    pub sender: Option<String>,
    /// For `{user}` and `{password}` of the body.
    pub login: Option<(String, Secret)>,
    pub answer: AnswerShape,
    pub codes: Codes,
    /// `None`: it sends no callbacks. If it offers no status query either, an accepted message counts as delivered.
    pub callback: Option<CallbackShape>,
    /// `None`: it offers no status query.
    pub ask: Option<QueryShape>,
    /// A repeat with the same attempt id is not sent a second time.
    pub deduplicates: bool,
}

/// The JSON answer to a send.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerShape {
    /// The provider's message id.
    pub id: Pointer,
    /// Where it says whether the message was accepted, and the value for yes. Without it any 2xx with an id is an
    /// acceptance.
    pub accepted: Option<(Pointer, String)>,
    pub error_code: Option<Pointer>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallbackShape {
    pub proof: Proof,
    pub content: Content,
    /// The provider's message id, ours, or both.
    pub id: Option<Field>,
    pub attempt_id: Option<Field>,
    pub status: Field,
    pub statuses: Statuses,
    /// ISO 8601 or Unix seconds.
    pub time: Option<Field>,
    pub error_code: Option<Field>,
    /// Where it names the type of the event, and the values for receipts. Events of other types are ignored.
    pub kind: Option<(Field, Vec<String>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Form,
    /// One receipt, or a list of them at this place.
    Json {
        list: Option<Pointer>,
    },
}

/// A GET, with the headers of a send.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryShape {
    pub url: Pattern,
    pub status: Pointer,
    pub statuses: Statuses,
    pub time: Option<Pointer>,
    pub error_code: Option<Pointer>,
}

impl DescribedConfig {
    /// Whether a send uses this placeholder anywhere.
    pub fn has(&self, place: Place) -> bool {
        self.url.has(place) || self.body.has(place)
    }
}
