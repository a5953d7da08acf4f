//! A delivery receipt: one provider's word on one attempt, in our terms.

use chrono::{DateTime, Utc};

use crate::ids::AttemptId;
use crate::words;

/// Status in a receipt. `Read` counts as delivered and has a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// What a provider's error means for the message. The error tables use these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// This person cannot receive messages on this channel.
    RecipientUnreachable,
    /// A temporary fault at the provider.
    Retryable,
    /// A limit of the account, the sender, the number or the pair of both.
    RateLimited,
    /// Our account, sender, template, credit or request is wrong; an operator has to act.
    ConfigError,
    /// Its life ended before it was delivered.
    Expired,
    /// A class that only a newer version knows.
    Other,
}

/// Whom else a refusal affects. It decides what is left unused for a while; it never ends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All traffic of the account: credentials, credit, permission, faults of the provider.
    Account,
    /// All messages from the same sender: a number or name that is not registered or not allowed there.
    Sender,
    /// All messages with the same template or text in the same language.
    Template,
    /// All recipients in the same country.
    Country,
    /// This recipient alone. Also used for errors of unknown scope.
    Recipient,
}

/// Why an attempt failed: the provider's code and our classification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The provider's own code as text, or one of our codes if it gave none. At most [`Failure::MAX_CODE`] bytes.
    pub code: String,
    pub class: ErrorClass,
    pub scope: Scope,
}

impl ErrorClass {
    /// The scope of an error of this class, unless its code has a narrower one.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Retryable | Self::RateLimited | Self::ConfigError => Scope::Account,
            Self::RecipientUnreachable | Self::Expired | Self::Other => Scope::Recipient,
        }
    }
}

impl Failure {
    /// Maximum length of `code` in bytes; longer ones are truncated.
    pub const MAX_CODE: usize = 64;

    /// Uses the scope of the class.
    pub fn new(code: impl Into<String>, class: ErrorClass) -> Self {
        let mut code: String = code.into().chars().filter(|c| !c.is_control()).collect();
        if code.len() > Self::MAX_CODE {
            let cut = (0..=Self::MAX_CODE).rev().find(|&i| code.is_char_boundary(i)).unwrap_or(0);
            code.truncate(cut);
        }
        Self { code, class, scope: class.scope() }
    }

    pub fn about(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

/// One receipt, before it is matched to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReceipt {
    pub status: Status,
    /// Our attempt id as the provider returned it; `None` if the field contains anything else.
    pub attempt_id: Option<AttemptId>,
    /// The provider's message id. Empty when it gave none.
    pub provider_message_id: String,
    /// Time by the provider's clock; stored and shown, never used for timers.
    pub provider_at: Option<DateTime<Utc>>,
    /// Present when `status` is `Failed`.
    pub failure: Option<Failure>,
}

/// How a receipt was handled. Every receipt is stored with its disposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// It raised the state, or gave the first time of a status that raises nothing (`read`).
    Applied,
    /// This status of this attempt was already known.
    Duplicate,
    /// New, but a higher state was already reached.
    Stale,
    /// `failed` after `delivered`, or `delivered` after `failed`.
    Contradictory,
    /// No attempt with its ids is known (yet).
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
    Scope {
        Account = "account",
        Sender = "sender",
        Template = "template",
        Country = "country",
        Recipient = "recipient",
    }
    Disposition {
        Applied = "applied",
        Duplicate = "duplicate",
        Stale = "stale",
        Contradictory = "contradictory",
        Unmatched = "unmatched",
    }
}
