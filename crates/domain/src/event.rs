//! What can happen to a message.

use chrono::TimeDelta;
use uuid::Uuid;

use crate::attempt::{Lease, Why};
use crate::channel::Channel;
use crate::code::Code;
use crate::limits::LimitHit;
use crate::message::Outcome;
use crate::price::Price;
use crate::receipt::{DeliveryReceipt, Disposition, Failure, Scope};
use crate::words;

/// One event. Every change of a message is one of these, whatever its source.
#[derive(Clone, Debug)]
pub enum Event {
    /// The sender is about to send what is due.
    Lease {
        attempt_no: i16,
        lease: Lease,
        /// What the account charges now.
        price: Option<Price>,
    },
    /// The result of the request made under a lease.
    Send {
        attempt_no: i16,
        token: Uuid,
        result: SendResult,
    },
    /// A lease expired without a result: the process that held it is gone.
    LeaseRanOut {
        attempt_no: i16,
        on_unknown: OnUnknown,
    },
    /// It is due through an account that no settings contain any more.
    AccountGone {
        attempt_no: i16,
    },
    /// It is due, and no instance has the key of its code any more.
    KeyGone {
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
    /// A person entered a code.
    Check {
        code: Code,
        /// The caller's name for this check, if it gave one. A repeat under the same name gets the same answer.
        caller: Option<String>,
    },
    /// The app requests the next attempt now.
    Resend {
        channel: Option<Channel>,
    },
    Cancel,
    /// A newer message of the same number, app and purpose takes its place.
    Supersede,
    /// The clock reached the end of the message's life.
    LifeEnded,
}

/// The result of one request to a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum SendResult {
    Accepted {
        /// Empty when the answer contained no readable id.
        provider_message_id: String,
        held: bool,
        /// This provider never reports deliveries, so no receipt will follow.
        nobody_tells: bool,
    },
    /// Certainly not sent. `pause`: wait before the next try, jitter included; `None` when another try is useless.
    Rejected { failure: Failure, pause: Option<TimeDelta> },
    /// The breaker of the account, or of the part named by `scope`, is open, so nothing was sent. `closed_in`: time
    /// until it may be tried again.
    BreakerOpen { scope: Scope, closed_in: TimeDelta },
    /// The request may have reached the provider.
    Unknown { failure: Failure, on_unknown: OnUnknown },
}

/// What to do after a request of which it is unknown whether it reached the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Never send it again: the replacement deadline is already running.
    GiveUp,
    /// Send it once more after this wait, unless a receipt arrives first.
    ResendAfter(TimeDelta),
}

/// The effect of an event, for its caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Applied; there is no further result.
    Done,
    /// The event was late, repeated or from the wrong holder: nothing changed.
    Ignored,
    /// The sender may send; otherwise the lease was `Ignored`.
    Leased,
    Receipt(Disposition),
    Checked(Checked),
    /// This program does not have the key of the code: nothing was checked and nothing counted.
    KeyMissing,
    /// The number has had too many wrong codes: nothing was checked and nothing counted.
    TooManyTries(LimitHit),
    /// The next attempt is planned.
    Planned {
        attempt_no: i16,
    },
    Refused(Refusal),
}

/// The result of a check of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub verdict: Verdict,
    /// Of the message, after the check.
    pub outcome: Outcome,
    /// Wrong codes that are still compared.
    pub tries_left: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Right,
    /// The check that was right a moment ago, from the same caller: its answer may have been lost.
    RightAgain,
    Wrong,
    /// A right code was accepted before; a code is valid once.
    AlreadyUsed,
    Expired,
    Exhausted,
    Cancelled,
    Superseded,
}

words! {
    Verdict {
        Right = "right",
        RightAgain = "right_again",
        Wrong = "wrong",
        AlreadyUsed = "already_used",
        Expired = "expired",
        Exhausted = "exhausted",
        Cancelled = "cancelled",
        Superseded = "superseded",
    }
}

/// Why a request of an app was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message is settled.
    Settled(Outcome),
    /// The last attempt has not been sent yet.
    StillSending,
    NotPlanned(Why),
}
