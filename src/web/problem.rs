//! Problem documents (RFC 9457): the answers to refused requests.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use crate::api::problems::{self, Kind, WrongField};
use crate::domain::attempt::Why;
use crate::domain::event::Refusal;
use crate::domain::field_code::FieldCode;
use crate::domain::key_scope::Denied;
use crate::domain::limits::{LimitHit, LimitRule};
use crate::domain::phone::PhoneError;
use crate::services::database_error::DatabaseError;
use crate::services::ledger::group_commit::LedgerError;
use crate::services::limits::admission::AdmissionError;
use crate::services::messages::ChangeError;
use crate::services::messages::accept_message::AcceptError;
use crate::services::messages::cancel::CancelError;
use crate::services::messages::check_code::CheckError;
use crate::services::messages::find::FindError;
use crate::services::messages::resend::ResendError;
use crate::telemetry;

/// Every refusal of the API. `api::problems` says of each what its clients read.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{field}: {reason}")]
    Field { field: String, code: FieldCode, reason: String },
    #[error("{0}")]
    NotJson(String),
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come within {0} s")]
    TooSlow(u64),
    #[error("no API key, or one that is not known")]
    Unauthorized,
    #[error("{}", denied_text(.0))]
    Denied(Denied),
    #[error("there is no such message")]
    NoMessage,
    #[error("there is no such account")]
    NoAccount,
    #[error("there is nothing at this address")]
    NoRoute,
    /// `allowed`: the methods of the address, as in the header `Allow`.
    #[error("this address does not take this method")]
    Method { allowed: String },
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
    #[error("{}", limit_text(.0))]
    Limited(LimitHit),
    #[error("{}", refusal_text(.0))]
    Refused(Refusal),
    #[error("the service cannot do this just now; try again")]
    Unavailable,
    #[error("the code is under a key that this instance does not have: nothing was checked or counted; try again")]
    CodeKeyMissing,
    #[error("too many others are being served; try again")]
    Overloaded,
    #[error("too many requests of this app wait for messages already")]
    TooManyWait,
    #[error("something went wrong inside")]
    Internal,
}

fn denied_text(denied: &Denied) -> String {
    match denied {
        Denied::Scope(scope) => format!("this key lacks the scope {scope}"),
        Denied::Address => "this key may not be used from this address".to_owned(),
    }
}

fn limit_text(hit: &LimitHit) -> String {
    let (limit, again) = (hit.limit, format!("try again in {} s", hit.retry_after_s()));
    match hit.rule {
        LimitRule::NumberSpacing => format!("a number gets one message in {limit} s; {again}"),
        LimitRule::NumberPerHour => format!("a number gets {limit} messages an hour; {again}"),
        LimitRule::NumberPerDay => format!("a number gets {limit} messages a day; {again}"),
        LimitRule::IpPerHour => format!("an address gets {limit} messages an hour; {again}"),
        LimitRule::DevicePerHour => format!("a device gets {limit} messages an hour; {again}"),
        LimitRule::PrefixPerHour => format!("a range of numbers gets {limit} messages an hour; {again}"),
        LimitRule::CountryPerHour => format!("a country gets {limit} messages an hour; {again}"),
        LimitRule::AppPerHour => format!("the app sends {limit} messages an hour; {again}"),
        LimitRule::StrictTries => format!("a code has {limit} tries while somebody guesses; {again}"),
        LimitRule::StrictIpPerHour => {
            format!("an address gets {limit} messages an hour while somebody guesses; {again}")
        }
        LimitRule::TriesPerHour => format!("a number has {limit} wrong codes an hour; {again}"),
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Settled(outcome) => format!("the message is {outcome}; start a new one"),
        Refusal::StillSending => "the last attempt has not left yet; wait for it".to_owned(),
        Refusal::NotPlanned(Why::RouteEnd) => "the message's route has no step left; start a new one".to_owned(),
        Refusal::NotPlanned(Why::TooLate) => {
            "the message ends too soon for another attempt; start a new one".to_owned()
        }
        Refusal::NotPlanned(why) => format!("no next attempt: {why}"),
    }
}

impl ApiError {
    pub fn field(field: impl Into<String>, code: FieldCode, reason: impl Into<String>) -> Self {
        Self::Field { field: field.into(), code, reason: reason.into() }
    }

    pub fn number(error: PhoneError) -> Self {
        Self::field("to", error.code(), error.to_string())
    }

    /// The specific reason, where a problem type has several; else the type again.
    fn code(&self) -> String {
        match self {
            Self::Field { code, .. } => code.to_string(),
            Self::Refused(Refusal::Settled(outcome)) => problems::settled_code(*outcome),
            Self::Refused(Refusal::StillSending) => problems::STILL_SENDING.to_owned(),
            Self::Denied(denied) => problems::denied_code(*denied).to_owned(),
            Self::Refused(Refusal::NotPlanned(why)) => why.to_string(),
            other => other.kind().only_code(),
        }
    }

    fn of_fault(may_pass: bool) -> Self {
        if may_pass { Self::Unavailable } else { Self::Internal }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Field { .. } => Kind::InvalidField,
            Self::NotJson(_) => Kind::NotJson,
            Self::TooLarge(_) => Kind::TooLarge,
            Self::TooSlow(_) => Kind::TooSlow,
            Self::Unauthorized => Kind::Unauthorized,
            Self::Denied(_) => Kind::NotAllowed,
            Self::NoMessage => Kind::NoSuchMessage,
            Self::NoAccount => Kind::NoSuchAccount,
            Self::NoRoute => Kind::NoSuchAddress,
            Self::Method { .. } => Kind::MethodNotAllowed,
            Self::Signature => Kind::BadSignature,
            Self::Handshake => Kind::BadHandshake,
            Self::OtherBody => Kind::IdempotencyKeyReused,
            Self::TooMuchWaiting { .. } => Kind::TooMuchWaiting,
            Self::Limited(hit) => Kind::Limit(hit.rule),
            Self::Refused(Refusal::Settled(_)) => Kind::Settled,
            Self::Refused(_) => Kind::NoNextAttempt,
            Self::Unavailable => Kind::Unavailable,
            Self::CodeKeyMissing => Kind::CodeKeyMissing,
            Self::Overloaded => Kind::Overloaded,
            Self::TooManyWait => Kind::TooManyWaiting,
            Self::Internal => Kind::Internal,
        }
    }

    fn document(&self) -> problems::Problem {
        let errors = match self {
            Self::Field { field, code, reason } => {
                vec![WrongField { field: field.clone(), code: code.to_string(), reason: reason.clone() }]
            }
            _ => Vec::new(),
        };
        let mut document = self.kind().document(self.code(), self.to_string(), errors);
        if let Self::Limited(hit) = self {
            document.limit = Some(problems::LimitReached {
                rule: hit.rule.setting().to_owned(),
                counter: hit.rule.counter().to_string(),
                limit: hit.limit,
                retry_after_s: hit.retry_after_s(),
            });
        }
        document
    }

    /// Seconds of the header `Retry-After`.
    fn retry_after_s(&self) -> u64 {
        match self {
            Self::TooMuchWaiting { retry_after_s } => *retry_after_s,
            Self::Limited(hit) => hit.retry_after_s(),
            _ => 1,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind().about().status).expect("the table has statuses of HTTP")
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        match self {
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::Method { allowed } => {
                response.insert_header((header::ALLOW, allowed.as_str()));
            }
            problem if problem.kind().may_be_repeated() => {
                response.insert_header((header::RETRY_AFTER, HeaderValue::from(problem.retry_after_s())));
            }
            _ => {}
        }
        response.body(serde_json::to_string(&self.document()).expect("a problem has a JSON form"))
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        if telemetry::may_tell("requests that failed at the database") {
            tracing::error!(error = %telemetry::chain(&error), "a request failed at the database");
        }
        Self::of_fault(error.may_pass())
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        if telemetry::may_tell("requests that could not be written") {
            tracing::error!(error = %telemetry::chain(&error), "a request could not be written");
        }
        Self::of_fault(error.may_pass())
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NoMessage => Self::NoMessage,
            FindError::Database(error) => error.into(),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoMessage => Self::NoMessage,
            ChangeError::NotNow => Self::Unavailable,
            ChangeError::Ledger(error) => error.into(),
            ChangeError::Unexpected(_) => {
                tracing::error!(%error, "a request ended as none can");
                Self::Internal
            }
        }
    }
}

impl From<CheckError> for ApiError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Change(error) => error.into(),
            CheckError::KeyMissing => Self::CodeKeyMissing,
            CheckError::TooManyTries(hit) => Self::Limited(hit),
        }
    }
}

impl From<ResendError> for ApiError {
    fn from(error: ResendError) -> Self {
        match error {
            ResendError::Change(error) => error.into(),
            ResendError::Refused(refusal) => Self::Refused(refusal),
            ResendError::Find(error) => error.into(),
            ResendError::Admission(AdmissionError::Limited(hit)) => Self::Limited(hit),
            ResendError::Admission(AdmissionError::Count(error)) => error.into(),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Change(error) => error.into(),
            CancelError::Refused(refusal) => Self::Refused(refusal),
            CancelError::Find(error) => error.into(),
        }
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Field { field, code, reason } => Self::field(field, code, reason),
            AcceptError::OtherBody => Self::OtherBody,
            AcceptError::KeyMissing => Self::CodeKeyMissing,
            AcceptError::Limited(hit) => Self::Limited(hit),
            AcceptError::NotNow => Self::Unavailable,
            AcceptError::Overload { retry_after_s } => Self::TooMuchWaiting { retry_after_s },
            AcceptError::Database(error) => error.into(),
            AcceptError::Intake(error) => error.into(),
        }
    }
}
