//! What is the same in every provider's answers.

use std::time::Duration;

use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::{Reply, Retry, SendOutcome, Unreadable};

/// How long their documentation asks to wait before the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    AtLeast(Duration),
    /// Longer than any code lives.
    TooLong,
}

impl Pause {
    pub const NONE: Self = Self::AtLeast(Duration::ZERO);
}

/// What one of their error codes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub class: ErrorClass,
    /// See [`Failure::number_is_bad`].
    pub number_is_bad: bool,
    /// In an answer: it was certainly not sent.
    pub definite: bool,
}

impl Meaning {
    /// As most codes are: certainly not sent, and nothing against the number.
    pub const fn of(class: ErrorClass) -> Self {
        Self { class, number_is_bad: false, definite: true }
    }

    pub fn failure(&self, code: &str) -> Failure {
        let failure = Failure::new(code, self.class);
        if self.number_is_bad { failure.number_is_bad() } else { failure }
    }
}

/// An answer with one of their codes. A code without a meaning leaves it to the HTTP status.
pub fn by_code(code: &str, meaning: Option<Meaning>, pause: Pause, reply: &Reply<'_>) -> SendOutcome {
    match meaning {
        Some(meaning) if meaning.definite => rejected(meaning.failure(code), reply, pause),
        Some(_) => unknown(Some(code.to_owned()), reply),
        None => by_status(Some(code.to_owned()), reply),
    }
}

/// They say that they did not take it.
pub fn rejected(failure: Failure, reply: &Reply<'_>, pause: Pause) -> SendOutcome {
    let retry = match (failure.class, pause) {
        (ErrorClass::Retryable | ErrorClass::RateLimited, Pause::AtLeast(floor)) => {
            Retry::After(reply.retry_after.unwrap_or_default().max(floor))
        }
        _ => Retry::Never,
    };
    SendOutcome::Rejected { failure, retry }
}

/// It may have left. `code`: theirs, or one made of the HTTP status.
pub fn unknown(code: Option<String>, reply: &Reply<'_>) -> SendOutcome {
    let code = code.unwrap_or_else(|| http_code(reply.status));
    SendOutcome::Unknown { failure: Failure::new(code, ErrorClass::Retryable) }
}

/// An answer whose body tells nothing that we know, so that the HTTP status has to: 3xx and 4xx were not accepted;
/// behind a 5xx, or a 2xx without an id, it may have left.
pub fn by_status(code: Option<String>, reply: &Reply<'_>) -> SendOutcome {
    let class = match reply.status {
        429 => ErrorClass::RateLimited,
        300..=499 => ErrorClass::ConfigError,
        _ => return unknown(code, reply),
    };
    rejected(Failure::new(code.unwrap_or_else(|| http_code(reply.status)), class), reply, Pause::NONE)
}

fn http_code(status: u16) -> String {
    format!("http_{status}")
}

pub fn is_success(reply: &Reply<'_>) -> bool {
    (200..300).contains(&reply.status)
}

/// For the answer to a question: anything but a 2xx tells nothing about the message.
pub fn answered(reply: &Reply<'_>) -> Result<(), Unreadable> {
    if is_success(reply) { Ok(()) } else { Err(Unreadable { reason: format!("answered {}", reply.status) }) }
}
