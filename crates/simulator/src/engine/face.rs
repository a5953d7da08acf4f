//! A provider's side of the wire format, as the engine sees it: plain values in, plain values out, no IO.

use actix_web::HttpRequest;
use actix_web::web::Query;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde_json::Value;

use crate::engine::account::SimAccount;
use crate::engine::book::Book;
use crate::engine::callback::{Callback, Facts};
use crate::engine::draw::Draws;
use crate::engine::seen::{Dlt, SeenMessage};

/// One product of one provider on one channel.
///
/// A face implements the provider's documentation: addresses, credentials, requests, answers, callbacks and their
/// proofs. It is written separately from the adapter of the same provider, so that each reveals the other's mistakes.
pub(crate) trait Face: Send + Sync {
    /// Its constant properties.
    fn product(&self) -> &'static Product;

    /// The account that exists unless settings define others.
    fn default_account(&self) -> SimAccount;

    /// The lines of an `[accounts.NAME]` table (without its heading) that configure a service for the default account,
    /// besides its channel, price and limits. `base_url`: address of the face, without a slash at its end.
    fn service_settings(&self, base_url: &str) -> String;

    /// What else a caller needs to know about `account`, in a few words.
    fn hint(&self, account: &SimAccount) -> String;

    /// Whether a request to a shared address is for this face.
    fn is_meant(&self, _call: &Call<'_>) -> bool {
        true
    }

    /// The credential in the request; it is compared with [`SimAccount::credential`].
    fn credential(&self, call: &Call<'_>) -> Option<String>;

    /// Whether the ids in the request's path are those of the account.
    fn fits_path(&self, _account: &SimAccount, _call: &Call<'_>) -> bool {
        true
    }

    /// # Errors
    /// The provider's answer to a malformed request.
    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply>;

    /// The provider's answer to an error other than a malformed request.
    fn trouble(&self, trouble: Trouble) -> Reply;

    /// The same for a request that was read.
    fn refused(&self, trouble: Trouble, _request: &Request) -> Reply {
        self.trouble(trouble)
    }

    /// HTTP status and body of the answer to an accepted message.
    fn accepted(&self, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String);

    /// The provider's id of the message.
    fn provider_id(&self, request: &Request, draws: &Draws) -> String;

    /// One POST with these statuses. More than one only if [`CallsBack::Account`] allows it.
    fn post(&self, batch: &Batch<'_>) -> Post;

    /// The answer to a status query; `None`: there is no such message, or the face supports no queries.
    fn status(&self, _query: &StatusQuery<'_>) -> Option<Value> {
        None
    }

    /// The answer to a status query for a message that does not exist.
    fn no_such_message(&self) -> Reply {
        self.trouble(Trouble::NoSuchMessage)
    }
}

impl dyn Face {
    pub(crate) fn name(&self) -> &'static str {
        self.product().name
    }

    pub(crate) fn channel(&self) -> Channel {
        self.product().channel
    }
}

/// The constant properties of a face.
#[derive(Debug)]
pub(crate) struct Product {
    /// In settings and in `GET /sim/messages`.
    pub name: &'static str,
    /// Part of every draw for its requests. No two faces share one, and it never changes: a seed written into a test
    /// must give the same run next year.
    pub draw_no: u8,
    pub channel: Channel,
    /// The provider's name for display.
    pub title: &'static str,
    /// First part of all its paths: `{simulator}/{base_path}` is the base address for a service's settings.
    pub base_path: &'static str,
    /// Its addresses. Several faces may share one.
    pub routes: &'static [Route],
    /// Content type of its callbacks; the `Content-Type` of a request must begin with it. The real providers find
    /// nothing in a body of another type.
    pub content_type: &'static str,
    pub calls_back: CallsBack,
    /// Whether an SMS can contain India's ids. With the others, sender and text are registered in their consoles.
    pub takes_dlt: bool,
    /// What follows the address of the default account's callbacks: nothing, or a query with its `?`.
    pub callback_query: &'static str,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// One address. Path segments in braces are read with [`Call::path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// POST: sends a message.
    Send(&'static str),
    /// GET: status query.
    Status(&'static str),
}

impl Route {
    pub(crate) fn path(&self) -> &'static str {
        match self {
            Self::Send(path) | Self::Status(path) => path,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallsBack {
    /// Never: the provider has to be queried.
    Never,
    /// To the account's address, or to the one that the message names. `batches`: several statuses may be sent
    /// together.
    Account { batches: bool },
    /// Only if the message itself names an address.
    WhereAsked,
}

/// An HTTP request to a face.
pub(crate) struct Call<'a> {
    pub http: &'a HttpRequest,
    pub body: &'a [u8],
    /// By the simulator's clock.
    pub now: DateTime<Utc>,
}

impl Call<'_> {
    /// The path segment that the route has in braces under this name; empty when it has none.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.http.match_info().get(name).unwrap_or_default()
    }

    /// The first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let pairs = Query::<Vec<(String, String)>>::from_query(self.http.query_string()).ok()?.into_inner();
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.http.headers().get(name)?.to_str().ok()
    }

    /// The text after the scheme in `Authorization`, such as `Bearer`.
    pub(crate) fn authorization(&self, scheme: &str) -> Option<&str> {
        self.header("authorization")?.strip_prefix(scheme)?.strip_prefix(' ')
    }

    /// Name, colon and password of HTTP Basic authentication.
    pub(crate) fn basic(&self) -> Option<String> {
        String::from_utf8(STANDARD.decode(self.authorization("Basic")?).ok()?).ok()
    }
}

/// A valid send request.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub to: String,
    pub code: Option<String>,
    pub text: Option<String>,
    pub template: Option<String>,
    pub reference: Option<String>,
    /// Sender of an SMS, unchanged; `None`: the account's.
    pub sender: Option<String>,
    /// Only for an SMS to India.
    pub dlt: Option<Dlt>,
    /// Address for the callbacks of this one message.
    pub callback_url: Option<String>,
    /// The part of the request that the answer repeats.
    pub body: Value,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub http: u16,
    pub body: String,
    pub retry_after_s: Option<u32>,
    /// In a few words, for the list of refusals. Never repeats the request.
    pub reason: String,
}

impl Reply {
    pub(crate) fn ok(body: &Value) -> Self {
        Self { http: 200, body: body.to_string(), retry_after_s: None, reason: String::new() }
    }
}

/// Errors other than a malformed request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Unauthorized,
    Outage,
    ServerError,
    RateLimited,
    /// With WhatsApp's error code, also on the other channel.
    Rejected(u32),
    NoSuchMessage,
}

/// Statuses that are sent in one POST.
pub(crate) struct Batch<'a> {
    pub account: &'a SimAccount,
    /// Signs the POST, or is contained in it.
    pub secret: Option<&'a str>,
    pub url: &'a str,
    pub first: &'a Callback,
    /// The first one included.
    pub all: &'a [Callback],
    /// The time of this try.
    pub now: DateTime<Utc>,
}

/// Headers and body of a callback.
#[derive(Debug, Default)]
pub(crate) struct Post {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// What a face can look up to answer a status query.
pub(crate) struct StatusQuery<'a> {
    pub call: &'a Call<'a>,
    pub face: &'static str,
    pub account: &'a SimAccount,
    pub book: &'a Book,
}

impl StatusQuery<'_> {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.call.now
    }

    /// The face's message with this id.
    pub(crate) fn message(&self, provider_id: &str) -> Option<SeenMessage> {
        self.book.by_provider_id(provider_id).filter(|message| message.face == self.face)
    }

    /// The account's accepted messages to a number, oldest first.
    pub(crate) fn messages_to(&self, number: &str) -> Vec<SeenMessage> {
        let mut messages = self.book.messages(Some(number), usize::MAX);
        messages.retain(|message| message.account == self.account.name && message.provider_id.is_some());
        messages
    }
}
