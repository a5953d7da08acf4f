//! What can happen to a message.

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::attempt::{Lease, Why};
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::message::Outcome;
use crate::domain::price::Price;
use crate::domain::receipt::{DeliveryReceipt, Disposition, Failure};
use crate::domain::words::words;

/// One thing that happened. Every change of a message is one of these, whoever brings it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The sender is about to send what is due.
    Lease {
        attempt_no: i16,
        lease: Lease,
        /// What the account charges now.
        price: Option<Price>,
    },
    /// What became of the request made under a lease.
    Send {
        attempt_no: i16,
        token: Uuid,
        result: SendResult,
    },
    /// A lease ran out without a word: the process that held it is gone.
    LeaseRanOut {
        attempt_no: i16,
        on_unknown: OnUnknown,
    },
    /// It is due through an account that is in nobody's settings any more.
    AccountGone {
        attempt_no: i16,
    },
    Receipt {
        attempt_no: i16,
        receipt: DeliveryReceipt,
    },
    /// The clock reached a replacement deadline.
    DeadlinePassed {
        attempt_no: i16,
    },
    /// A person typed a code.
    Check {
        code: Code,
    },
    /// The app wants the next attempt now.
    Resend {
        channel: Option<Channel>,
    },
    Cancel,
    /// The clock reached the end of the message's life.
    LifeEnded,
}

/// What became of one request to a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum SendResult {
    Accepted {
        provider_message_id: String,
        held: bool,
    },
    /// Certainly not sent. `pause`: how long to wait before trying again, jitter included; `None` when that is useless.
    Rejected {
        failure: Failure,
        pause: Option<TimeDelta>,
    },
    /// The account's breaker is open: not tried at all. `closed_in`: when it may be tried again.
    BreakerOpen {
        closed_in: TimeDelta,
    },
    /// It may have left.
    Unknown {
        failure: Failure,
        on_unknown: OnUnknown,
    },
}

/// What to do about a request of which we do not know whether it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Never send it again: the replacement deadline is already running.
    GiveUp,
    /// Send it once more after this wait, unless a receipt comes first.
    ResendAfter(TimeDelta),
}

/// What an event did, for whoever brought it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing to tell.
    Done,
    /// It came too late, from somebody else, or twice: nothing changed.
    Ignored,
    /// The sender may send; otherwise the lease was `Ignored`.
    Leased,
    Receipt(Disposition),
    Checked(Checked),
    /// The next attempt is planned.
    Planned {
        attempt_no: i16,
    },
    Refused(Refusal),
}

/// What became of a check of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub verdict: Verdict,
    pub tries_left: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Right,
    Wrong,
    /// A right code was accepted before; a code counts once.
    AlreadyUsed,
    Expired,
    Exhausted,
    Cancelled,
}

words! {
    Verdict {
        Right = "right",
        Wrong = "wrong",
        AlreadyUsed = "already_used",
        Expired = "expired",
        Exhausted = "exhausted",
        Cancelled = "cancelled",
    }
}

/// Why an app's wish was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message is settled.
    Settled(Outcome),
    /// The last attempt has not left yet.
    StillSending,
    NotPlanned(Why),
}
