//! `POST /v1/messages`, `GET /v1/messages`, `GET /v1/messages/{id}` and its timeline.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Datelike;
use sha2::{Digest, Sha256};

use crate::api::messages::MessageList;
use crate::api::queries::{ListQuery, TimelineQuery, WaitQuery};
use crate::api::requests::MessageRequest;
use crate::api::timeline::Timeline;
use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::field_code::FieldCode;
use crate::domain::ids::MessageId;
use crate::domain::limits::OnNewer;
use crate::domain::message::Outcome;
use crate::domain::phone::Number;
use crate::services::messages::accept_message::{IdempotencyKey, NewMessage};
use crate::services::messages::list::Filter;
use crate::services::messages::message_view;
use crate::services::messages::wait_for::{self, WaitFor};
use crate::services::messages::watch::TooManyWait;
use crate::services::policy::Policy;
use crate::telemetry::names;
use crate::web::api::Api;
use crate::web::auth::{App, Id};
use crate::web::body;
use crate::web::hints;
use crate::web::metadata;
use crate::web::problem::ApiError;
use crate::web::server::connection::Connection;

/// Maximum length of a text that an app may attach, in characters.
const LABEL: usize = 200;
/// Maximum time that a GET is held, in seconds.
const LONGEST_WAIT_S: u64 = 60;
/// Postgres supports fewer years than chrono reads.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

fn into_message(asked: MessageRequest, policy: &Policy) -> Result<NewMessage, ApiError> {
    let number = policy.number(&asked.to).map_err(|error| {
        metrics::counter!(names::NUMBERS_REFUSED, "code" => error.code().as_str()).increment(1);
        ApiError::number(error)
    })?;
    let code = asked.code.map(|c| Code::parse(&c)).transpose();
    let code = code.map_err(|e| ApiError::field("code", FieldCode::CodeNotDigits, e.to_string()))?;
    if asked.code_length.is_some_and(|n| !(Code::MIN_LENGTH..=Code::MAX_LENGTH).contains(&n)) {
        return Err(ApiError::field("code_length", FieldCode::OutOfRange, "must be 4 to 10"));
    }
    let small = |field, value: Option<i64>| {
        let fits = value.map(i16::try_from).transpose();
        fits.map_err(|_| ApiError::field(field, FieldCode::OutOfRange, "is far out of range; it is in seconds"))
    };
    let reference = hints::given(asked.reference);
    label("reference", reference.as_deref())?;
    if let Some(metadata) = &asked.metadata {
        metadata::check(metadata.get())?;
    }
    let client = hints::client(asked.client.as_deref());
    let on_newer = on_newer(asked.on_newer.as_deref())?;
    count(&number);
    Ok(NewMessage {
        to: number.phone,
        purpose: hints::given(asked.purpose).unwrap_or_else(|| "login".to_owned()),
        code,
        code_length: asked.code_length,
        locale: hints::locale(asked.locale.as_deref()),
        platform: client.as_ref().and_then(hints::known_platform),
        channel: channel(asked.channel.as_deref())?,
        replace_after_s: small("replace_after_s", asked.replace_after_s)?,
        valid_for_s: small("valid_for_s", asked.valid_for_s)?.map(i32::from),
        reference,
        metadata: asked.metadata,
        ip: client.as_ref().and_then(|client| client.ip),
        device: client.as_ref().and_then(|client| client.device.clone()),
        on_newer,
        client: client.and_then(|c| serde_json::to_value(c).ok()),
    })
}

fn count(number: &Number) {
    let country = || number.phone.country().to_owned();
    if number.line.is_none() {
        metrics::counter!(names::NUMBERS_UNKNOWN, "country" => country()).increment(1);
    }
    if number.rewritten {
        metrics::counter!(names::NUMBERS_REWRITTEN, "country" => country()).increment(1);
    }
}

/// `auto` is the configured route.
pub(super) fn channel(text: Option<&str>) -> Result<Option<Channel>, ApiError> {
    match text.map(str::trim) {
        None | Some("" | "auto") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|()| ApiError::field("channel", FieldCode::UnknownValue, "must be auto, whatsapp or sms")),
    }
}

/// Without it, the setting.
fn on_newer(text: Option<&str>) -> Result<Option<OnNewer>, ApiError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let reason = "must be supersede, reuse or keep";
    text.parse().map(Some).map_err(|()| ApiError::field("on_newer", FieldCode::UnknownValue, reason))
}

fn label(field: &str, text: Option<&str>) -> Result<(), ApiError> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() || text.chars().count() > LABEL || text.chars().any(char::is_control) {
        let reason = format!("must be 1 to {LABEL} characters without control characters");
        return Err(ApiError::field(field, FieldCode::TextNotValid, reason));
    }
    Ok(())
}

pub async fn create(
    App(app): App,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let key = idempotency_key(&request)?;
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let new = into_message(body::parse::<MessageRequest>(&body)?, &api.accept.policy.get())?;
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

pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=LABEL).contains(&key.len()));
    let reason = format!("must be 1 to {LABEL} visible ASCII characters");
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| ApiError::field("Idempotency-Key", FieldCode::IdempotencyKeyNotValid, reason))
}

fn wished(text: &str) -> Result<WaitFor, ApiError> {
    match text {
        "sent" => Ok(WaitFor::Sent),
        "delivered" => Ok(WaitFor::Delivered),
        "settled" => Ok(WaitFor::Settled),
        _ => Err(ApiError::field("wait_for", FieldCode::UnknownValue, "must be sent, delivered or settled")),
    }
}

pub async fn get(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let query: WaitQuery = query(&request)?;
    let what = query.wait_for.as_deref().map(wished).transpose()?;
    let timeout_s = query.timeout_s.unwrap_or(20);
    if timeout_s > LONGEST_WAIT_S {
        return Err(ApiError::field("timeout_s", FieldCode::OutOfRange, format!("must be 0 to {LONGEST_WAIT_S}")));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    // Registered as waiting before the message is read, so that a change in between is noticed.
    let waiting = what.map(|what| Ok((what, api.watch.wait_for(&app, id)?))).transpose();
    let waiting = waiting.map_err(|TooManyWait| ApiError::TooManyWait)?;
    let messages = api.messages.clone();
    let stored = api.run(async move { messages.find(&app, id).await }).await??;
    let stored = match waiting {
        Some((what, waiting)) => {
            let connection = request.conn_data::<Arc<Connection>>().cloned();
            wait_for::wait_for(what, waiting, stored, deadline, left(connection.as_deref())).await
        }
        None => Arc::new(stored),
    };
    let body = message_view::json(&stored);
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(body.as_bytes())[..12]));
    let asked = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if asked.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag)) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).content_type("application/json").body(body))
}

/// Completes when the client has gone, so that the wait can end.
async fn left(connection: Option<&Connection>) {
    match connection {
        Some(connection) => connection.gone().await,
        None => std::future::pending().await,
    }
}

pub async fn timeline(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let TimelineQuery { cursor, limit } = query(&request)?;
    let limit = limit.unwrap_or(200);
    if !(1..=500).contains(&limit) {
        return Err(ApiError::field("limit", FieldCode::OutOfRange, "must be 1 to 500"));
    }
    let messages = api.messages.clone();
    let (stored, mut entries) = api.run(async move { messages.timeline(&app, id).await }).await??;
    let from = cursor.unwrap_or(0).min(entries.len());
    let until = (from + limit).min(entries.len());
    let next = (until < entries.len()).then_some(until);
    let timeline = entries.drain(from..until).collect();
    Ok(HttpResponse::Ok().json(Timeline { message: message_view::view(&stored), timeline, next }))
}

pub async fn list(App(app): App, api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = query(&request)?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(ApiError::field("limit", FieldCode::OutOfRange, "must be 1 to 200"));
    }
    let country = query.country.map(|c| c.to_ascii_uppercase());
    if country.as_ref().is_some_and(|c| c.len() != 2 || !c.bytes().all(|b| b.is_ascii_uppercase())) {
        return Err(ApiError::field("country", FieldCode::NotValid, "must be two letters, such as ID"));
    }
    label("reference", query.reference.as_deref())?;
    for (field, at) in [("created_from", query.created_from), ("created_before", query.created_before)] {
        if at.is_some_and(|at| !YEARS.contains(&at.year())) {
            return Err(ApiError::field(field, FieldCode::OutOfRange, "must be a time of the years 1 to 9999"));
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
    let messages = api.messages.clone();
    let page = api.run(async move { messages.list(&app, &filter, limit).await }).await??;
    let messages = page.messages.iter().map(message_view::view).collect();
    Ok(HttpResponse::Ok().json(MessageList { messages, next: page.next.map(|id| id.to_string()) }))
}

fn cursor(text: Option<&str>) -> Result<Option<MessageId>, ApiError> {
    let reason = "must be the `next` of an earlier answer";
    text.map(|text| MessageId::parse(text).ok_or_else(|| ApiError::field("cursor", FieldCode::NotValid, reason)))
        .transpose()
}

fn word<T: std::str::FromStr + std::fmt::Display>(
    field: &str,
    text: Option<&str>,
    all: &[T],
) -> Result<Option<T>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let known: Vec<String> = all.iter().map(T::to_string).collect();
        ApiError::field(field, FieldCode::UnknownValue, format!("must be one of {}", known.join(", ")))
    })
}

/// Parses the query string; an error names the wrong parameter.
pub(super) fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    let text = request.query_string();
    web::Query::<T>::from_query(text).map(web::Query::into_inner).map_err(|error| {
        // Every parameter is optional, so a wrong one is also wrong by itself.
        let alone = text.split('&').find(|pair| web::Query::<T>::from_query(pair).is_err());
        let field = alone.map_or("query", |pair| pair.split('=').next().unwrap_or(pair));
        let reason = error.to_string();
        let reason = reason.strip_prefix("Query deserialize error: ").unwrap_or(&reason).replace('`', "");
        ApiError::field(field, FieldCode::NotValid, format!("is not valid here: {reason}"))
    })
}
