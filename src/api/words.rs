//! Closed sets of words that only the API has. The rules have the others.

use crate::domain::words;

/// Why a code is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckReason {
    WrongCode,
    AlreadyUsed,
    Expired,
    TooManyTries,
    Cancelled,
    Superseded,
    /// A reason of a newer service.
    Other,
}

words! {
    CheckReason {
        WrongCode = "wrong_code",
        AlreadyUsed = "already_used",
        Expired = "expired",
        TooManyTries = "too_many_tries",
        Cancelled = "cancelled",
        Superseded = "superseded";
        else Other
    }
}

/// Ordered so that causes come before their effects: events of the same instant are listed in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    Accepted,
    Check,
    Planned,
    Request,
    Answer,
    TimerArmed,
    Question,
    Receipt,
    TimerFired,
    TimerDisarmed,
    CountedDelivered,
    NotReplaced,
    Wasted,
    Settled,
    /// An event of a newer service.
    Other,
}

words! {
    EventKind {
        Accepted = "accepted",
        Check = "check",
        Planned = "planned",
        Request = "request",
        Answer = "answer",
        TimerArmed = "timer_armed",
        Question = "question",
        Receipt = "receipt",
        TimerFired = "timer_fired",
        TimerDisarmed = "timer_disarmed",
        CountedDelivered = "counted_delivered",
        NotReplaced = "not_replaced",
        Wasted = "wasted",
        Settled = "settled";
        else Other
    }
}
