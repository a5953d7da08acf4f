//! Providers: what to send, the meaning of their answers, whether a callback is theirs and what it contains.
//!
//! An adapter does no IO and has no clock; only the program's HTTP client uses the network. One folder per provider,
//! one conformance suite for all of them.
//!
//! [`Provider`] is what each folder implements: the request for a message, the meaning of the answer, the proof of a
//! callback and its receipts. [`registry`] has one row per provider. [`templates`] and [`regional`] decide which template
//! and which sender a message gets. To add a provider, copy the nearest folder; CONTRIBUTING.md lists the steps.

pub mod signature;
pub mod templates;
pub mod regional;
pub mod basic;
mod form;
mod json;
mod noise;
mod query;
mod replies;
pub mod shown;
mod hidden;
mod settings;
mod whatsapp;
pub mod configured;
pub mod registry;
pub use replies::unread;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod noisy;

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use crate::regional::DltIds;
use otpost_domain::code::Code;
use otpost_domain::ids::AttemptId;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{DeliveryReceipt, Failure};
use otpost_domain::secret::Secret;

/// One provider account, in the provider's formats. No default methods: a missing one must not compile.
pub trait Provider: Send + Sync {
    /// The request that sends this attempt.
    fn call(&self, message: &Outbound<'_>) -> Call;

    /// The meaning of the answer to [`Provider::call`]. Total: an unreadable 2xx counts as accepted.
    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome;

    /// The status query for an attempt; `None` where the provider offers none.
    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call>;

    /// Reads the answer to [`Provider::status_query`]. Each of its receipts is about the queried attempt.
    ///
    /// # Errors
    /// When it cannot be read, or says that there is no such message.
    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable>;

    /// The answer to a GET of the callback URL.
    fn handshake(&self, query: &str) -> Handshake;

    /// Whether the callback is theirs, decided on its raw bytes.
    ///
    /// # Errors
    /// The reason in a word, for a counter; the caller answers 401 and stores nothing.
    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified>;

    /// The receipts of a callback, each read separately: an unreadable one does not block the others.
    ///
    /// # Errors
    /// When the envelope is unreadable.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable>;

    fn abilities(&self) -> Abilities;
}

/// What a provider offers to find the result of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// A repeat with the same attempt id is not sent a second time.
    pub deduplicates: bool,
    /// Callbacks carry our attempt id.
    pub echoes_attempt_id: bool,
    /// It sends callbacks that report deliveries. Without them it has to be queried.
    pub calls_back: bool,
    /// [`Provider::status_query`] returns a query.
    pub can_be_queried: bool,
}

impl Abilities {
    /// Whether it ever reports deliveries. If not, an accepted message counts as delivered.
    pub fn tells_delivery(&self) -> bool {
        self.calls_back || self.can_be_queried
    }
}

/// The attempt of a status query.
#[derive(Clone, Copy, Debug)]
pub struct StatusQuery<'a> {
    pub attempt_id: AttemptId,
    pub provider_message_id: &'a str,
    /// Returned by [`SendOutcome::Accepted`] besides the id, where the provider's query needs something else.
    pub ask_by: Option<&'a str>,
}

/// One attempt, ready to be written in a provider's format.
#[derive(Debug)]
pub struct Outbound<'a> {
    pub attempt_id: AttemptId,
    pub to: &'a Phone,
    pub code: &'a Code,
    /// Text of an SMS, including the code. WhatsApp adapters do not use it.
    pub text: &'a str,
    /// Approved WhatsApp template. SMS adapters do not use it.
    pub template: &'a Template,
    /// For an SMS: the sender for the recipient's country, if the account has a separate one for it.
    pub sender: Option<&'a str>,
    /// For an SMS to India: the ids under which `text` is registered. Adapters without a field for them do not use it.
    pub dlt: Option<DltIds<'a>>,
    /// The address of this account's callbacks: `https://host/webhooks/{account}`.
    pub callback_url: &'a str,
    /// Remaining life of the message, in seconds; at least 1.
    pub life_s: u32,
}

/// An approved authentication template of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    /// As the provider writes it: `en_US`, `id`, `pt_BR`.
    pub language: String,
}

/// An HTTP request to a provider. Its body contains the code: it is wiped when dropped and never printed.
pub struct Call {
    pub method: Method,
    pub url: String,
    pub content_type: &'static str,
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    pub body: Zeroizing<Vec<u8>>,
}

/// A GET has no body, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// A complete HTTP answer. It may contain the code, so it is never printed.
pub struct Reply<'a> {
    pub status: u16,
    /// Header `Retry-After`, if it could be read.
    pub retry_after: Option<Duration>,
    pub body: &'a [u8],
}

/// Result of a send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// `provider_message_id`: empty when the answer had no readable one, see [`unread`]. `held`: accepted, but the
    /// provider holds the message back for now. `ask_by`: see [`StatusQuery`].
    Accepted { provider_message_id: String, held: bool, ask_by: Option<String> },
    /// It was certainly not sent.
    Rejected { failure: Failure, retry: Retry },
    /// It may have been sent: a second send may be a second message.
    Unknown { failure: Failure },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again.
    Never,
    /// Worth another try, but not before this long from now; zero leaves the pause to the caller.
    After(Duration),
}

/// The answer to a GET of the callback URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// 200, this text as `text/plain`.
    Answer(String),
    /// 403: the token is wrong or missing.
    Refused,
    /// 400: not a handshake.
    Malformed,
    /// 405: this provider has none.
    None,
}

/// A callback as received: raw bytes, nothing parsed.
pub struct Callback<'a> {
    /// Names in any case; a name may occur more than once.
    pub headers: &'a [(String, Vec<u8>)],
    /// The account's callback URL as given to the provider, without a query: built from the settings, never from a
    /// `Host` header. Some schemes sign it.
    pub callback_url: &'a str,
    /// The URL's query, without `?`, still percent-encoded.
    pub query: &'a str,
    pub body: &'a [u8],
    /// For schemes with a replay window.
    pub now: DateTime<Utc>,
}

impl<'a> Callback<'a> {
    /// The header's value, if it occurs exactly once and is visible ASCII.
    pub fn single_header(&self, name: &str) -> Option<&'a str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        std::str::from_utf8(value).ok()
    }
}

/// A verified callback. Only an adapter's `verify` creates one, and [`Verified::again`] for callbacks that were
/// verified on arrival.
pub struct Verified<'a> {
    body: &'a [u8],
    attempt_id: Option<AttemptId>,
    once: Option<Once>,
}

/// The name under which a provider sends something only once (a nonce). A second callback of this name is answered like
/// the first and changes nothing; it is stored only when the first was durable, so that a repeat after our 503 counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    pub name: String,
    /// After this time the signature is too old anyway.
    pub until: DateTime<Utc>,
}

impl<'a> Verified<'a> {
    /// `attempt_id`: if the callback's address names the attempt and proved it.
    pub(crate) fn new(body: &'a [u8], attempt_id: Option<AttemptId>) -> Self {
        Self { body, attempt_id, once: None }
    }

    pub(crate) fn once(mut self, name: impl Into<String>, until: DateTime<Utc>) -> Self {
        self.once = Some(Once { name: name.into(), until });
        self
    }

    /// A callback from the dead letters, where only verified callbacks are stored.
    pub fn again(body: &'a [u8], attempt_id: Option<AttemptId>) -> Self {
        Self { body, attempt_id, once: None }
    }

    pub fn only_once(&self) -> Option<&Once> {
        self.once.as_ref()
    }

    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    pub fn attempt_id(&self) -> Option<AttemptId> {
        self.attempt_id
    }
}

/// Why a callback is refused. A word for a counter: neither the sender nor the log learns more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("signature missing")]
    Missing,
    #[error("signature malformed")]
    Malformed,
    #[error("signature wrong")]
    Wrong,
    #[error("signed outside the replay window")]
    Stale,
    /// The name that counts once was used with another body. Only the caller, who stores the names, can know this.
    #[error("its nonce came with another body before")]
    Replayed,
}

/// An authentic callback with an unreadable envelope. It becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// What was expected and where, without repeating the content.
    pub reason: String,
}

/// The contents of a callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    pub receipts: Vec<DeliveryReceipt>,
    /// Items that should have been receipts: the reason and the item's own bytes, for the dead letters.
    pub unreadable: Vec<(String, Vec<u8>)>,
    /// Unknown statuses, as the provider writes them: counted and logged, not refused.
    pub unknown_statuses: Vec<String>,
    /// Events that are not receipts, from providers that do not name the type of their events.
    pub other_events: usize,
}

impl Receipts {
    /// Only a word with at most three digits is kept: an unexpected callback may have a text, and so a code, in this
    /// place.
    pub(crate) fn note_unknown(&mut self, status: &str) {
        const DIGITS: usize = 3;
        let word: String = status.chars().filter(|c| !c.is_control()).collect();
        let is_of_words = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let fits = (1..=Failure::MAX_CODE).contains(&word.len()) && word.bytes().all(is_of_words) && digits <= DIGITS;
        self.unknown_statuses.push(if fits { word } else { "(not a word)".to_owned() });
    }

    /// Keeps one unreadable item with its own bytes.
    pub(crate) fn put_aside(&mut self, reason: impl Into<String>, item: &[u8]) {
        self.unreadable.push((reason.into(), item.to_owned()));
    }
}
