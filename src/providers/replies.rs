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
