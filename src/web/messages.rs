//! `POST /v1/messages`, `GET /v1/messages`, `GET /v1/messages/{id}` and its timeline.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::domain::phone::Phone;
use crate::services::accept_message::{IdempotencyKey, NewMessage};
use crate::services::message_view::{self, MessageView};
use crate::services::timeline;
use crate::services::watch::TooManyWait;
use crate::store::messages::{self, Filter, StoredMessage};
use crate::web::api::Api;
use crate::web::auth::{App, Id};
use crate::web::body;
use crate::web::problem::Problem;
use crate::web::server::Connection;

/// Longest text that an app may attach, in characters.
const LABEL: usize = 200;
/// Most bytes of `metadata` as JSON.
const METADATA: usize = 4096;
/// Most levels of `metadata`: readers of JSON have limits of their own, and this is below all of them.
const METADATA_DEPTH: usize = 32;
/// Longest that a GET is held, in seconds.
const LONGEST_WAIT_S: u64 = 60;
/// Postgres holds no more than some of the years that chrono reads.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// How long a GET is held while the service stops.
const STOPPING: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    to: String,
    purpose: Option<String>,
    code: Option<zeroize::Zeroizing<String>>,
    code_length: Option<u8>,
    locale: Option<String>,
    channel: Option<String>,
    replace_after_s: Option<i64>,
    valid_for_s: Option<i64>,
    client: Option<Client>,
    reference: Option<String>,
    metadata: Option<Box<RawValue>>,
}

#[derive(Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

impl Request {
    fn into_message(self) -> Result<NewMessage, Problem> {
        let to = Phone::parse(&self.to).map_err(|e| Problem::field("to", e.to_string()))?;
        let code = self.code.map(|c| Code::parse(&c)).transpose();
        let code = code.map_err(|e| Problem::field("code", e.to_string()))?;
        if self.code_length.is_some_and(|n| !(Code::MIN_LENGTH..=Code::MAX_LENGTH).contains(&n)) {
            return Err(Problem::field("code_length", "must be 4 to 10"));
        }
        let small = |field, value: Option<i64>| {
            let fits = value.map(i16::try_from).transpose();
            fits.map_err(|_| Problem::field(field, "is far out of range; it is in seconds"))
        };
        if let Some(client) = &self.client {
            label("client.platform", client.platform.as_deref())?;
            label("client.device", client.device.as_deref())?;
        }
        label("reference", self.reference.as_deref())?;
        if let Some(locale) = self.locale.as_deref() {
            let fits = (2..=35).contains(&locale.len())
                && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !fits {
                return Err(Problem::field("locale", "must be a language tag such as `en` or `pt-BR`"));
            }
        }
        if let Some(metadata) = &self.metadata {
            check_metadata(metadata.get())?;
        }
        // Any label will do; three of them say what autofill looks for.
        let platform = self.client.as_ref().and_then(|client| client.platform.as_deref()?.parse().ok());
        Ok(NewMessage {
            to,
            purpose: self.purpose.unwrap_or_else(|| "login".to_owned()),
            code,
            code_length: self.code_length,
            locale: self.locale,
            platform,
            channel: channel(self.channel.as_deref())?,
            replace_after_s: small("replace_after_s", self.replace_after_s)?,
            valid_for_s: small("valid_for_s", self.valid_for_s)?.map(i32::from),
            reference: self.reference,
            metadata: self.metadata,
            client: self.client.and_then(|c| serde_json::to_value(c).ok()),
        })
    }
}

/// `json`: valid JSON. It is kept as it came, so its numbers may have any size.
fn check_metadata(json: &str) -> Result<(), Problem> {
    if !json.starts_with('{') {
        return Err(Problem::field("metadata", "must be a JSON object"));
    }
    if json.len() > METADATA {
        return Err(Problem::field("metadata", format!("must be at most {METADATA} bytes as JSON")));
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (place, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => {
                // Whoever turns it into `jsonb` later would fail.
                if json[place..].starts_with("u0000") {
                    return Err(Problem::field("metadata", "must not contain the character U+0000"));
                }
                escaped = false;
            }
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        if depth > METADATA_DEPTH {
            return Err(Problem::field("metadata", format!("must be at most {METADATA_DEPTH} levels deep")));
        }
    }
    Ok(())
}

/// `auto` is the configured route.
pub(super) fn channel(text: Option<&str>) -> Result<Option<Channel>, Problem> {
    match text {
        None | Some("auto") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|()| Problem::field("channel", "must be auto, whatsapp or sms")),
    }
}

fn label(field: &str, text: Option<&str>) -> Result<(), Problem> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() || text.chars().count() > LABEL || text.chars().any(char::is_control) {
        let reason = format!("must be 1 to {LABEL} characters without control characters");
        return Err(Problem::field(field, reason));
    }
    Ok(())
}

pub async fn create(
    App(app): App,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let new = body::parse::<Request>(&body)?.into_message()?;
    let inner = api.clone();
    let accepted = api.run(async move {
        let repeatable = key.as_deref().map(|key| IdempotencyKey { key, body: &body });
        inner.accept.run(&app, new, repeatable).await
    });
    let accepted = accepted.await??;
    let mut response = HttpResponse::Accepted();
    response.insert_header((header::LOCATION, format!("/v1/messages/{}", accepted.id)));
    if accepted.repeated {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    Ok(response.content_type("application/json").body(accepted.answer))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=LABEL).contains(&key.len()));
    let reason = format!("must be 1 to {LABEL} visible ASCII characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Problem::field("Idempotency-Key", reason))
}

/// What a held GET waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    Sent,
    Delivered,
    Settled,
}

impl WaitFor {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "sent" => Ok(Self::Sent),
            "delivered" => Ok(Self::Delivered),
            "settled" => Ok(Self::Settled),
            _ => Err(Problem::field("wait_for", "must be sent, delivered or settled")),
        }
    }

    /// Reached, or out of reach for good.
    fn is_over(self, stored: &StoredMessage) -> bool {
        let message = &stored.message;
        let settled = message.outcome != Outcome::Pending;
        match self {
            Self::Sent => settled || message.state >= State::Sent,
            Self::Delivered => settled || message.state >= State::Failed,
            Self::Settled => settled,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetQuery {
    wait_for: Option<String>,
    timeout_s: Option<u64>,
}

pub async fn get(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query: GetQuery = query(&request)?;
    let wait_for = query.wait_for.as_deref().map(WaitFor::parse).transpose()?;
    let timeout_s = query.timeout_s.unwrap_or(20);
    if timeout_s > LONGEST_WAIT_S {
        return Err(Problem::field("timeout_s", format!("must be 0 to {LONGEST_WAIT_S}")));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    // Among those who wait before looking, so that a change between the look and the wait is heard.
    let waiting = wait_for.map(|what| Ok((what, api.watch.wait_for(&app, id)?))).transpose();
    let waiting = waiting.map_err(|TooManyWait| Problem::TooManyWait)?;
    let inner = api.clone();
    let found = api.run(async move { messages::find(&inner.pool, &app, id).await }).await?;
    let mut stored = Arc::new(found?.ok_or(Problem::NoMessage)?);
    if let Some((what, mut waiting)) = waiting
        && !what.is_over(&stored)
    {
        waiting.saw(&stored);
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        // Whoever asks again while the service stops is held for a moment, so that it does not ask without a pause.
        let stops_early = waiting.is_stopping();
        let deadline = if stops_early { deadline.min(tokio::time::Instant::now() + STOPPING) } else { deadline };
        let wait = async {
            if stops_early {
                return std::future::pending().await;
            }
            while let Some(latest) = waiting.next().await {
                stored = latest;
                if what.is_over(&stored) {
                    break;
                }
            }
        };
        tokio::select! {
            () = wait => {}
            () = left(connection.as_deref()) => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
    let body = message_view::json(&stored);
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(body.as_bytes())[..12]));
    let asked = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if asked.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).content_type("application/json").body(body))
}

/// Completes when the client has gone: it waits for nothing any more.
async fn left(connection: Option<&Connection>) {
    match connection {
        Some(connection) => connection.gone().await,
        None => std::future::pending().await,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    cursor: Option<usize>,
    limit: Option<usize>,
}

/// A part of a message's story, in the order in which it happened.
#[derive(Serialize)]
struct Story<'a> {
    message: MessageView<'a>,
    timeline: &'a [timeline::Entry],
    /// The `cursor` of the next part. What happens later is appended, so a cursor keeps its place.
    next: Option<usize>,
}

pub async fn timeline(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let TimelineQuery { cursor, limit } = query(&request)?;
    let limit = limit.unwrap_or(200);
    if !(1..=500).contains(&limit) {
        return Err(Problem::field("limit", "must be 1 to 500"));
    }
    let inner = api.clone();
    let found = api.run(async move { timeline::of_message(&inner.pool, &app, id).await }).await?;
    let (stored, entries) = found?.ok_or(Problem::NoMessage)?;
    let from = cursor.unwrap_or(0).min(entries.len());
    let until = (from + limit).min(entries.len());
    let next = (until < entries.len()).then_some(until);
    let message = message_view::view(&stored);
    Ok(HttpResponse::Ok().json(Story { message, timeline: &entries[from..until], next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    outcome: Option<String>,
    country: Option<String>,
    channel: Option<String>,
    reference: Option<String>,
    created_from: Option<DateTime<Utc>>,
    created_before: Option<DateTime<Utc>>,
    cursor: Option<String>,
    limit: Option<u16>,
}

pub async fn list(App(app): App, api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Problem::field("limit", "must be 1 to 200"));
    }
    let country = query.country.map(|c| c.to_ascii_uppercase());
    if country.as_ref().is_some_and(|c| c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase())) {
        return Err(Problem::field("country", "must be two letters, such as ID"));
    }
    label("reference", query.reference.as_deref())?;
    for (field, at) in [("created_from", query.created_from), ("created_before", query.created_before)] {
        if at.is_some_and(|at| !YEARS.contains(&at.year())) {
            return Err(Problem::field(field, "must be a time of the years 1 to 9999"));
        }
    }
    let filter = Filter {
        state: word("state", query.state.as_deref(), State::ALL)?,
        outcome: word("outcome", query.outcome.as_deref(), Outcome::ALL)?,
        country,
        channel: channel(query.channel.as_deref())?,
        reference: query.reference,
        created_from: query.created_from,
        created_before: query.created_before,
        before: cursor(query.cursor.as_deref())?,
    };
    let inner = api.clone();
    let page = api.run(async move { messages::list(&inner.pool, &app, &filter, i64::from(limit)).await }).await??;
    let messages = page.messages.iter().map(message_view::view).collect();
    Ok(HttpResponse::Ok().json(List { messages, next: page.next.map(|id| id.to_string()) }))
}

/// A part of a list. It may be shorter than was asked for and be followed by others: `next` says so.
#[derive(Serialize)]
struct List<'a> {
    messages: Vec<MessageView<'a>>,
    next: Option<String>,
}

fn cursor(text: Option<&str>) -> Result<Option<MessageId>, Problem> {
    let reason = "must be the `next` of an earlier answer";
    text.map(|text| MessageId::parse(text).ok_or_else(|| Problem::field("cursor", reason))).transpose()
}

fn word<T: std::str::FromStr + std::fmt::Display>(
    field: &str,
    text: Option<&str>,
    all: &[T],
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let known: Vec<String> = all.iter().map(T::to_string).collect();
        Problem::field(field, format!("must be one of {}", known.join(", ")))
    })
}

/// The query string, with the wrong parameter named.
pub(super) fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let text = request.query_string();
    web::Query::<T>::from_query(text).map(web::Query::into_inner).map_err(|error| {
        // Every parameter may be left out, so the one that is wrong is wrong by itself.
        let alone = text.split('&').find(|pair| web::Query::<T>::from_query(pair).is_err());
        let field = alone.map_or("query", |pair| pair.split('=').next().unwrap_or(pair));
        let reason = error.to_string();
        let reason = reason.strip_prefix("Query deserialize error: ").unwrap_or(&reason).replace('`', "");
        Problem::field(field, format!("is not valid here: {reason}"))
    })
}
