//! Problem documents (RFC 9457): what is answered instead of a result.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::domain::attempt::Why;
use crate::domain::event::Refusal;
use crate::services::accept_message::AcceptError;
use crate::services::ledger::LedgerError;
use crate::store::StoreError;
use crate::telemetry;

/// Every refusal of the API. `type` is stable: clients may decide by it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{field}: {reason}")]
    Field { field: String, reason: String },
    #[error("{0}")]
    NotJson(String),
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come within {0} s")]
    TooSlow(u64),
    #[error("no API key, or one that is not known")]
    Unauthorized,
    #[error("there is no such message")]
    NoMessage,
    #[error("there is no such account")]
    NoAccount,
    #[error("there is nothing at this address")]
    NoRoute,
    #[error("this address does not take this method")]
    Method,
    #[error("the signature does not prove that this callback is the provider's")]
    Signature,
    #[error("the verify token is wrong or missing")]
    Handshake,
    #[error("the idempotency key was used with another body")]
    OtherBody,
    #[error(
        "more messages wait for the accounts of this route than can be sent in time; try again in {retry_after_s} s"
    )]
    TooMuchWaiting { retry_after_s: u64 },
    #[error("{}", refusal_text(.0))]
    Refused(Refusal),
    #[error("the service cannot do this just now; try again")]
    Unavailable,
    #[error("too many others are being served; try again")]
    Overloaded,
    #[error("too many requests of this app wait for messages already")]
    TooManyWait,
    #[error("something went wrong inside")]
    Internal,
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Settled(outcome) => format!("the message is {outcome}; start a new one"),
        Refusal::StillSending => "the last attempt has not left yet; wait for it".to_owned(),
        Refusal::NotPlanned(Why::RouteEnd) => "the message's route has no step left; start a new one".to_owned(),
        Refusal::NotPlanned(Why::TooLate) => {
            "the message ends too soon for another attempt; start a new one".to_owned()
        }
        Refusal::NotPlanned(Why::NumberIsBad) => "the provider says that the number cannot receive messages".to_owned(),
        Refusal::NotPlanned(why) => format!("no next attempt: {why}"),
    }
}

impl Problem {
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field { field: field.into(), reason: reason.into() }
    }

    /// Whether the same request may work later.
    fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::Refused { .. } | StoreError::Corrupt { .. } => Self::Internal,
        }
    }

    fn kind(&self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::Field { .. } => ("invalid-field", "A field is not valid", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotJson(_) => ("not-json", "The body is not the JSON that is expected", StatusCode::BAD_REQUEST),
            Self::TooLarge(_) => ("too-large", "The body is too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooSlow(_) => ("too-slow", "The body came too slowly", StatusCode::REQUEST_TIMEOUT),
            Self::Unauthorized => ("unauthorized", "An API key is needed", StatusCode::UNAUTHORIZED),
            Self::NoMessage => ("no-such-message", "Not found", StatusCode::NOT_FOUND),
            Self::NoAccount => ("no-such-account", "Not found", StatusCode::NOT_FOUND),
            Self::NoRoute => ("no-such-address", "Not found", StatusCode::NOT_FOUND),
            Self::Method => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Signature => ("bad-signature", "The callback is not believed", StatusCode::UNAUTHORIZED),
            Self::Handshake => ("bad-handshake", "The handshake is refused", StatusCode::FORBIDDEN),
            Self::OtherBody => {
                ("idempotency-key-reused", "The idempotency key was used before", StatusCode::UNPROCESSABLE_ENTITY)
            }
            Self::TooMuchWaiting { .. } => ("too-much-waiting", "Too much is waiting", StatusCode::TOO_MANY_REQUESTS),
            Self::Refused(Refusal::Settled(_)) => ("settled", "The message is settled", StatusCode::CONFLICT),
            Self::Refused(_) => ("no-next-attempt", "There is no next attempt", StatusCode::CONFLICT),
            Self::Unavailable => ("unavailable", "Not available", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("overloaded", "Too many requests at once", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooManyWait => ("too-many-waiting", "Too many requests wait", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind().2
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let (name, title, status) = self.kind();
        let mut document = json!({
            "type": format!("urn:otpost:problem:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        if let Self::Field { field, reason } = self {
            document["errors"] = json!([{ "field": field, "reason": reason }]);
        }
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        match self {
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::TooMuchWaiting { retry_after_s } => {
                response.insert_header((header::RETRY_AFTER, HeaderValue::from(*retry_after_s)));
            }
            Self::Unavailable | Self::Overloaded | Self::TooManyWait => {
                response.insert_header((header::RETRY_AFTER, HeaderValue::from_static("1")));
            }
            _ => {}
        }
        response.body(document.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if telemetry::may_tell("requests that failed at the database") {
            tracing::error!(error = %telemetry::chain(&error), "a request failed at the database");
        }
        Self::of_store(&error)
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        if telemetry::may_tell("requests that could not be written") {
            tracing::error!(error = %telemetry::chain(&error), "a request could not be written");
        }
        match error {
            LedgerError::Busy | LedgerError::Locked => Self::Unavailable,
            LedgerError::Store(error) => Self::of_store(&error),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Field { field, reason } => Self::field(field, reason),
            AcceptError::OtherBody => Self::OtherBody,
            AcceptError::Overload { retry_after_s } => Self::TooMuchWaiting { retry_after_s },
            AcceptError::Store(error) => error.into(),
            AcceptError::Intake(error) => error.into(),
        }
    }
}
