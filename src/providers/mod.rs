//! Providers: what to send, what their answers mean, whether a callback is theirs and what it says.
//!
//! An adapter does no IO and knows no clock; [`client`] alone talks to the network. One folder per provider, one
//! conformance suite over all of them.

pub mod client;
pub mod signature;
pub mod templates;
pub mod basic;
mod form;
mod json;
mod query;
mod replies;
pub mod meta;
pub mod ycloud;
pub mod cliqtel;
pub mod infobip;
pub mod sleekflow;
pub mod twilio;
pub mod vonage;
pub mod engagelab;
pub mod http;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod hostile;

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use crate::domain::code::Code;
use crate::domain::ids::AttemptId;
use crate::domain::phone::Phone;
use crate::domain::receipt::{DeliveryReceipt, Failure};
use crate::domain::secret::Secret;

/// One provider account, spoken to in the provider's words. No default methods: forgetting one must not compile.
pub trait Provider: Send + Sync {
    /// The request that sends this attempt.
    fn call(&self, message: &Outbound<'_>) -> Call;

    /// What their answer to [`Provider::call`] means. Total: an answer that makes no sense is [`SendOutcome::Unknown`].
    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome;

    /// The request that asks what became of an attempt; `None` where the provider cannot be asked.
    fn question(&self, about: &Question<'_>) -> Option<Call>;

    /// What the answer to [`Provider::question`] says. Each of its receipts is of the attempt that was asked about.
    ///
    /// # Errors
    /// When it cannot be read, or says that there is no such message.
    fn told(&self, about: &Question<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable>;

    /// What to answer when the callback URL is asked for by GET.
    fn handshake(&self, query: &str) -> Handshake;

    /// Whether the callback is theirs, decided on its raw bytes.
    ///
    /// # Errors
    /// The reason in a word, for a counter; the caller answers 401 and keeps nothing.
    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified>;

    /// The receipts of a callback, each read alone: one that cannot be read does not block the others.
    ///
    /// # Errors
    /// When not even the envelope can be read.
    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable>;

    fn abilities(&self) -> Abilities;
}

/// What a provider offers for finding out what became of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// A repeat with the same attempt id is not sent a second time.
    pub deduplicates: bool,
    /// Callbacks carry our attempt id.
    pub echoes_attempt_id: bool,
    /// It posts callbacks that say whether a message was delivered. Without them it has to be asked.
    pub calls_back: bool,
    /// [`Provider::question`] has one.
    pub can_be_asked: bool,
}

/// An attempt that a provider is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub attempt_id: AttemptId,
    pub provider_message_id: &'a str,
    /// What [`SendOutcome::Accepted`] gave besides the id, where the provider wants to be asked by something else.
    pub ask_by: Option<&'a str>,
}

/// One attempt, ready to be put into a provider's words.
#[derive(Debug)]
pub struct Outbound<'a> {
    pub attempt_id: AttemptId,
    pub to: &'a Phone,
    pub code: &'a Code,
    /// Text of an SMS, code included. WhatsApp adapters do not use it.
    pub text: &'a str,
    /// Approved WhatsApp template. SMS adapters do not use it.
    pub template: &'a Template,
    /// Where this account's callbacks come in: `https://host/webhooks/{account}`.
    pub callback_url: &'a str,
    /// What is left of the message's life, in seconds; at least 1.
    pub life_s: u32,
}

/// An approved authentication template of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    /// As the provider writes it: `en_US`, `id`, `pt_BR`.
    pub language: String,
}

/// An HTTP request to a provider. Its body holds the code: it is wiped when dropped and never printed.
pub struct Call {
    pub method: Method,
    pub url: String,
    pub content_type: &'static str,
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    pub body: Zeroizing<Vec<u8>>,
}

/// A GET has no body, and asks without changing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// A whole HTTP answer. It may repeat the code: never printed.
pub struct Reply<'a> {
    pub status: u16,
    /// Header `Retry-After`, when it was a number of seconds.
    pub retry_after: Option<Duration>,
    pub body: &'a [u8],
}

/// What became of a send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// `held`: taken, but the provider says that it keeps it back for now. `ask_by`: see [`Question`].
    Accepted { provider_message_id: String, held: bool, ask_by: Option<String> },
    /// It was certainly not sent.
    Rejected { failure: Failure, retry: Retry },
    /// It may have left: a second send may be a second message.
    Unknown { failure: Failure },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again.
    Never,
    /// Worth another try, not before this long from now; zero leaves the pause to the caller.
    After(Duration),
}

/// What a GET of the callback URL is answered.
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

/// A callback as it came in: raw bytes, nothing parsed.
pub struct Callback<'a> {
    /// Names in any case; a name may come more than once.
    pub headers: &'a [(String, Vec<u8>)],
    /// The account's callback URL as providers are given it, without a query: made from the settings, never from a
    /// `Host` header. Some schemes sign it.
    pub callback_url: &'a str,
    /// The URL's query, without `?`, still percent-encoded.
    pub query: &'a str,
    pub body: &'a [u8],
    /// For schemes with a replay window.
    pub now: DateTime<Utc>,
}

impl<'a> Callback<'a> {
    /// The header's value, when it is there exactly once and is visible ASCII.
    pub fn single_header(&self, name: &str) -> Option<&'a str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        std::str::from_utf8(value).ok()
    }
}

/// A callback that is the provider's. Only an adapter's `verify` makes one, and [`Verified::again`] for what was verified
/// when it came in.
pub struct Verified<'a> {
    body: &'a [u8],
    attempt_id: Option<AttemptId>,
    once: Option<Once>,
}

/// The name under which a provider sends something only once (a nonce). A second callback of this name is answered like
/// the first and changes nothing; it is remembered only when the first was durable, so that a repeat after our 503 counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    pub name: String,
    /// After this the signature is too old anyway.
    pub until: DateTime<Utc>,
}

impl<'a> Verified<'a> {
    /// `attempt_id`: when the callback's address names the attempt and proved it.
    pub(in crate::providers) fn new(body: &'a [u8], attempt_id: Option<AttemptId>) -> Self {
        Self { body, attempt_id, once: None }
    }

    pub(in crate::providers) fn once(mut self, name: impl Into<String>, until: DateTime<Utc>) -> Self {
        self.once = Some(Once { name: name.into(), until });
        self
    }

    /// A callback from the dead letters: nothing gets there that was not verified.
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

/// Why a callback is not believed. A word for a counter: neither the sender nor the log learns more.
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
    /// The name that counts once came before, with another body. Only who keeps the names can tell.
    #[error("its nonce came with another body before")]
    Replayed,
}

/// An authentic callback whose envelope cannot be read. It goes to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// What was expected and where, without repeating the content.
    pub reason: String,
}

/// What a callback carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    pub receipts: Vec<DeliveryReceipt>,
    /// Items that should have been receipts: the reason and the item's own bytes, for the dead letters.
    pub unreadable: Vec<(String, Vec<u8>)>,
    /// Statuses that we do not know, as the provider writes them: counted and logged, not refused.
    pub unknown_statuses: Vec<String>,
}

impl Receipts {
    /// Only what looks like a word, with at most three digits, is kept: a callback that is not what it seems may have a
    /// text, and so a code, in this place.
    pub(in crate::providers) fn note_unknown(&mut self, status: &str) {
        const DIGITS: usize = 3;
        let word: String = status.chars().filter(|c| !c.is_control()).collect();
        let is_of_words = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let fits = (1..=Failure::MAX_CODE).contains(&word.len()) && word.bytes().all(is_of_words) && digits <= DIGITS;
        self.unknown_statuses.push(if fits { word } else { "(not a word)".to_owned() });
    }

    /// Puts one item aside with its own bytes.
    pub(in crate::providers) fn put_aside(&mut self, reason: impl Into<String>, item: &[u8]) {
        self.unreadable.push((reason.into(), item.to_owned()));
    }
}
