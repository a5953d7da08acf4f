//! Reads request bodies within limits of size and time, and reports what is wrong with them.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::domain::field_code::FieldCode;
use crate::web::bodies::{Bodies, NoRoom, Share};
use crate::web::problem::ApiError;

/// Maximum length of an API request body, in bytes.
pub const API_LIMIT: usize = 64 * 1024;
/// Maximum length of a callback, in bytes.
pub const CALLBACK_LIMIT: usize = 4 * 1024 * 1024;
/// Time limit of a body. actix itself has none.
const DEADLINE: Duration = Duration::from_secs(10);

/// Initial capacity for a body of unknown length, in bytes.
const FIRST: usize = 8 * 1024;

/// After this many bytes the client's `Content-Length` is trusted for the allocation.
const TRUSTED: usize = 256 * 1024;

/// A complete body, wiped from memory when dropped, because it may contain a code. It keeps its share of the budget
/// until then.
pub struct Body {
    bytes: Zeroizing<Vec<u8>>,
    share: Share,
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// # Errors
/// When it is longer than `limit` bytes, takes longer than 10 s, or ends early; or when too many others are in
/// progress. A `Content-Length` that is too large is refused before anything is read.
pub async fn read(request: &HttpRequest, payload: Payload, bodies: &Bodies, limit: usize) -> Result<Body, ApiError> {
    let told = told_length(request, limit)?;
    let body = Body { bytes: Zeroizing::default(), share: bodies.begin() };
    let whole = tokio::time::timeout(DEADLINE, read_whole(payload, body, told, limit)).await;
    let mut body = whole.map_err(|_| ApiError::TooSlow(DEADLINE.as_secs()))??;
    body.share.is_whole();
    Ok(body)
}

/// The body's length according to the head.
///
/// # Errors
/// When it is more than `limit`.
pub fn told_length(request: &HttpRequest, limit: usize) -> Result<Option<usize>, ApiError> {
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    match told.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(told)) if told <= limit => Ok(Some(told)),
        Some(_) => Err(ApiError::TooLarge(limit)),
    }
}

async fn read_whole(mut payload: Payload, mut body: Body, told: Option<usize>, limit: usize) -> Result<Body, ApiError> {
    loop {
        let chunk = tokio::select! {
            chunk = payload.next() => chunk,
            () = body.share.gives_up() => return Err(ApiError::Overloaded),
        };
        let Some(chunk) = chunk else { return Ok(body) };
        let chunk = chunk.map_err(|_| ApiError::NotJson("the body broke off".to_owned()))?;
        let length = body.bytes.len() + chunk.len();
        if length > limit {
            return Err(ApiError::TooLarge(limit));
        }
        if length > body.bytes.capacity() {
            // Grows with the received bytes, not with the announced length: a client may announce much and send little.
            let room = if length > TRUSTED { told.unwrap_or(2 * length) } else { 2 * body.bytes.capacity() };
            let room = room.max(FIRST).min(told.unwrap_or(limit)).max(length);
            let more = room - body.bytes.capacity();
            body.share.take(more).await.map_err(|NoRoom| ApiError::Overloaded)?;
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&body.bytes);
            // The smaller buffer is wiped here; growing it in place would leave a copy behind.
            body.bytes = larger;
        }
        body.bytes.extend_from_slice(&chunk);
    }
}

/// # Errors
/// [`ApiError::NotJson`] when it is not a JSON object; [`ApiError::Field`] with the name of a field that is unknown,
/// missing or of the wrong type. Values are not repeated: one of them may be a code.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::NotJson("the body is empty; send a JSON object".to_owned()));
    }
    // serde would also accept an array, as the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::NotJson("the body is not a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let (field, code, reason) = tell(&path, &inner.to_string());
                ApiError::field(field, code, reason)
            }
            _ => ApiError::NotJson(format!("not JSON: line {}, column {}", inner.line(), inner.column())),
        }
    })?;
    json.end().map_err(|_| ApiError::NotJson("something follows the JSON object".to_owned()))?;
    Ok(value)
}

/// serde's message, without the value that it repeats.
fn tell(path: &str, message: &str) -> (String, FieldCode, String) {
    let message = message.split(" at line ").next().unwrap_or(message);
    let quoted = |s: &str| s.split('`').nth(1).map(str::to_owned);
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let field = quoted(rest).unwrap_or_default();
        let known = rest.split_once(", expected ").map_or("", |(_, known)| known);
        let parent = path.strip_suffix(&field).unwrap_or("").trim_end_matches('.');
        let field = if parent.is_empty() { field } else { format!("{parent}.{field}") };
        return (
            field,
            FieldCode::UnknownField,
            format!("is not known; there are {}", known.replace("one of ", "").replace('`', "")),
        );
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return (quoted(rest).unwrap_or_default(), FieldCode::Missing, "is missing".to_owned());
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        let field = quoted(rest).unwrap_or_default();
        let parent = path.strip_suffix(&field).unwrap_or(path).trim_matches('.');
        let field = if parent.is_empty() { field } else { format!("{parent}.{field}") };
        return (field, FieldCode::Duplicate, "comes twice".to_owned());
    }
    let field = if path == "." { "body" } else { path };
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let reason = format!("has the wrong type or range: expected {expected}");
            (field.to_owned(), FieldCode::WrongType, reason)
        }
        None => (field.to_owned(), FieldCode::NotValid, "is not valid".to_owned()),
    }
}
