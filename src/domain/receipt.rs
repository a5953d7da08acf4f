//! A delivery receipt: one provider's word on one attempt, in our terms.

use chrono::{DateTime, Utc};

use crate::domain::ids::AttemptId;
use crate::domain::words::words;

/// What a receipt says. `Read` counts as delivered and is a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// What a provider's error means for the message. The names are the ones of the error tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// This person cannot get it on this channel.
    RecipientUnreachable,
    /// A passing fault on their side.
    Retryable,
    /// A limit of the account, the sender, the number or the pair.
    RateLimited,
    /// Our account, sender, template, credit or request is wrong: an operator has to act.
    ConfigError,
    /// Its life ended before it was delivered.
    Expired,
    /// A class of a newer program.
    Other,
}

/// Why an attempt failed, as the provider put it and as we class it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The provider's own code as text, or a word of ours when it gave none. At most [`Failure::MAX_CODE`] bytes.
    pub code: String,
    pub class: ErrorClass,
    /// The code condemns the number itself (not valid, landline, opted out of SMS): another channel cannot help.
    pub number_is_bad: bool,
}

impl Failure {
    /// Bound of `code` in bytes; longer ones are cut.
    pub const MAX_CODE: usize = 64;

    pub fn new(code: impl Into<String>, class: ErrorClass) -> Self {
        let mut code: String = code.into().chars().filter(|c| !c.is_control()).collect();
        if code.len() > Self::MAX_CODE {
            let cut = (0..=Self::MAX_CODE).rev().find(|&i| code.is_char_boundary(i)).unwrap_or(0);
            code.truncate(cut);
        }
        Self { code, class, number_is_bad: false }
    }

    pub fn number_is_bad(mut self) -> Self {
        self.number_is_bad = true;
        self
    }
}

/// One receipt, before we know which attempt it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReceipt {
    pub status: Status,
    /// Our attempt id as the provider echoes it; anything else it may carry there is `None`.
    pub attempt_id: Option<AttemptId>,
    /// The provider's name for the attempt. Empty when it gave none.
    pub provider_message_id: String,
    /// The provider's clock; kept and shown, never used for timers.
    pub provider_at: Option<DateTime<Utc>>,
    /// Present when `status` is `Failed`.
    pub failure: Option<Failure>,
}

/// What became of a receipt. Every receipt is stored with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// It raised the state, or told the first time of a status that raises nothing (`read`).
    Applied,
    /// This status of this attempt was known.
    Duplicate,
    /// New, but a higher state was already reached.
    Stale,
    /// `failed` after `delivered`, or `delivered` after `failed`.
    Contradictory,
    /// No attempt is known by its ids (yet).
    Unmatched,
}

words! {
    Status { Sent = "sent", Delivered = "delivered", Read = "read", Failed = "failed" }
    ErrorClass {
        RecipientUnreachable = "recipient_unreachable",
        Retryable = "retryable",
        RateLimited = "rate_limited",
        ConfigError = "config_error",
        Expired = "expired";
        else Other
    }
    Disposition {
        Applied = "applied",
        Duplicate = "duplicate",
        Stale = "stale",
        Contradictory = "contradictory",
        Unmatched = "unmatched",
    }
}
