//! Reads request bodies: bounded in size and in time, and read to say what is wrong with them.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::web::problem::Problem;

/// Most bytes of an API request.
pub const API_LIMIT: usize = 64 * 1024;
/// Most bytes of a callback.
pub const CALLBACK_LIMIT: usize = 4 * 1024 * 1024;
/// How long a body may take. actix itself would wait for ever.
const DEADLINE: Duration = Duration::from_secs(10);

/// # Errors
/// When it is longer than `limit` bytes, takes longer than 10 s, or breaks off.
pub async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let whole = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::NotJson("the body broke off".to_owned()))?;
            if body.len() + chunk.len() > limit {
                return Err(Problem::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(DEADLINE, whole).await.map_err(|_| Problem::TooSlow(DEADLINE.as_secs()))?
}

/// # Errors
/// [`Problem::NotJson`] when it is no JSON object, [`Problem::Field`] naming the field when one is unknown, missing or of
/// the wrong type. Values are not repeated: one of them may be a code.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::NotJson("the body is empty; send a JSON object".to_owned()));
    }
    // serde would take an array too, as the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::NotJson("the body is not a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let (field, reason) = tell(&path, &inner.to_string());
                Problem::field(field, reason)
            }
            _ => Problem::NotJson(format!("not JSON: line {}, column {}", inner.line(), inner.column())),
        }
    })?;
    json.end().map_err(|_| Problem::NotJson("something follows the JSON object".to_owned()))?;
    Ok(value)
}

/// serde's sentence, without the value that it repeats.
fn tell(path: &str, message: &str) -> (String, String) {
    let message = message.split(" at line ").next().unwrap_or(message);
    let quoted = |s: &str| s.split('`').nth(1).map(str::to_owned);
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let field = quoted(rest).unwrap_or_default();
        let known = rest.split_once(", expected ").map_or("", |(_, known)| known);
        let parent = path.strip_suffix(&field).unwrap_or("").trim_end_matches('.');
        let field = if parent.is_empty() { field } else { format!("{parent}.{field}") };
        return (field, format!("is not known; there are {}", known.replace("one of ", "").replace('`', "")));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return (quoted(rest).unwrap_or_default(), "is missing".to_owned());
    }
    if let Some(rest) = message.strip_prefix("duplicate field ") {
        let field = quoted(rest).unwrap_or_default();
        let parent = path.strip_suffix(&field).unwrap_or(path).trim_matches('.');
        return (if parent.is_empty() { field } else { format!("{parent}.{field}") }, "comes twice".to_owned());
    }
    let field = if path == "." { "body" } else { path };
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => (field.to_owned(), format!("has the wrong type or range: expected {expected}")),
        None => (field.to_owned(), "is not valid".to_owned()),
    }
}
