//! One try to deliver a message: one channel, one provider account.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::channel::Channel;
use crate::price::Price;
use crate::receipt::{ErrorClass, Failure, Status};
use crate::words;

/// Delivery state of an attempt or a message. A receipt can only raise it. The order of the variants is the order of
/// the Postgres enum `delivery_state`; a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waiting to be sent, or accepted by the provider; no receipt yet. Receipts and rejections move it on.
    Accepted,
    /// A receipt said that the message is on its way.
    Sent,
    /// A receipt or a rejection said that it failed. Only `delivered` is higher.
    Failed,
    /// A receipt said that it reached the handset. For a message also: the right code was checked.
    Delivered,
}

impl Status {
    /// The state that a receipt with this status proves.
    pub fn state(self) -> State {
        match self {
            Self::Sent => State::Sent,
            Self::Failed => State::Failed,
            Self::Delivered | Self::Read => State::Delivered,
        }
    }
}

/// Progress of our own request to the provider; each change is one committed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendState {
    /// To be sent at `due_at`; no request for it may have left. After a crash the sender finds the row again.
    Planned,
    /// Committed before the first byte is sent. After a crash it becomes `unknown` when the lease expires.
    InFlight,
    /// The provider accepted it, or a receipt proved that it did.
    Accepted,
    /// Certainly not sent, and not to be sent any more.
    Rejected,
    /// The request may have reached the provider. `due_at` is set when the attempt will be sent once more.
    Unknown,
}

/// Why an attempt exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    First,
    /// The previous attempt failed.
    Failed,
    /// The previous attempt was not delivered in time.
    Silent,
    /// The app requested it.
    Requested,
    /// A reason that only a newer version knows.
    Other,
}

/// The replacement deadline of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Never armed: the route has no further step.
    None,
    Armed,
    /// It passed, and a replacement was issued.
    Fired,
    /// Ended without a replacement; `timer_end` says why.
    Disarmed,
}

/// Why an attempt has no replacement, or why its timer was disarmed. Stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It failed, and the failure replaced it at once.
    Failed,
    Delivered,
    Verified,
    Cancelled,
    Expired,
    Exhausted,
    /// A newer message took the place of this one.
    Superseded,
    /// The app requested the next attempt before the deadline.
    Requested,
    /// The remaining life is too short for another code to be useful.
    TooLate,
    /// The route has no step left.
    RouteEnd,
    /// It has been replaced already.
    Replaced,
    /// The provider never reports deliveries, so there is nothing to wait for.
    NobodyTells,
    /// A reason that only a newer version knows.
    Other,
}

words! {
    State { Accepted = "accepted", Sent = "sent", Failed = "failed", Delivered = "delivered" }
    SendState {
        Planned = "planned",
        InFlight = "in_flight",
        Accepted = "accepted",
        Rejected = "rejected",
        Unknown = "unknown",
    }
    Reason { First = "first", Failed = "failed", Silent = "silent", Requested = "requested"; else Other }
    Timer { None = "none", Armed = "armed", Fired = "fired", Disarmed = "disarmed" }
    Why {
        Failed = "failed",
        Delivered = "delivered",
        Verified = "verified",
        Cancelled = "cancelled",
        Expired = "expired",
        Exhausted = "exhausted",
        Superseded = "superseded",
        Requested = "requested",
        TooLate = "too_late",
        RouteEnd = "route_end",
        Replaced = "replaced",
        NobodyTells = "nobody_tells";
        else Other
    }
}

/// First time of a status, by our clock and by the provider's. Each keeps the smallest value it was given, so the order
/// and repetition of receipts do not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstSeen {
    pub at: Option<DateTime<Utc>>,
    pub provider_at: Option<DateTime<Utc>>,
}

impl FirstSeen {
    pub fn note(&mut self, at: DateTime<Utc>, provider_at: Option<DateTime<Utc>>) {
        self.at = Some(self.at.map_or(at, |old| old.min(at)));
        self.provider_at = match (self.provider_at, provider_at) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }
}

/// A row of `attempts`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Counts from 1.
    pub attempt_no: i16,
    /// Index of its step in the message's route, counted from 0.
    pub step: i16,
    pub channel: Channel,
    pub account: String,
    pub reason: Reason,
    pub state: State,
    pub send_state: SendState,
    pub planned_at: DateTime<Utc>,
    /// When to send it; `None` when there is nothing to send.
    pub due_at: Option<DateTime<Utc>>,
    /// Requests started.
    pub tries: i16,
    /// Requests that ended `unknown`.
    pub unknowns: i16,
    /// When the first request started.
    pub in_flight_at: Option<DateTime<Utc>>,
    /// Set while in flight. Names the one request whose result counts.
    pub lease: Option<Lease>,
    /// When the provider accepted it, by our clock.
    pub accepted_at: Option<DateTime<Utc>>,
    pub provider_message_id: Option<String>,
    /// Accepted, but the provider holds it back.
    pub held: bool,
    pub timer: Timer,
    /// Replacement deadline; kept after it fired or was disarmed.
    pub replace_at: Option<DateTime<Utc>>,
    pub timer_ended_at: Option<DateTime<Utc>>,
    pub timer_end: Option<Why>,
    /// Set when a replacement was due and was not issued.
    pub not_replaced: Option<Why>,
    pub sent: FirstSeen,
    pub delivered: FirstSeen,
    pub read: FirstSeen,
    pub failed: FirstSeen,
    pub error_code: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// This replacement was sent, and an earlier attempt was delivered after all.
    pub wasted: bool,
    /// What the account charges for it, by the settings at the time of sending.
    pub price: Option<Price>,
}

/// Who is sending an attempt, and until when nobody else may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: Uuid,
    pub until: DateTime<Utc>,
}

impl Attempt {
    pub fn planned(
        attempt_no: i16,
        step: i16,
        channel: Channel,
        account: &str,
        reason: Reason,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            attempt_no,
            step,
            channel,
            account: account.to_owned(),
            reason,
            state: State::Accepted,
            send_state: SendState::Planned,
            planned_at: now,
            due_at: Some(now),
            tries: 0,
            unknowns: 0,
            in_flight_at: None,
            lease: None,
            accepted_at: None,
            provider_message_id: None,
            held: false,
            timer: Timer::None,
            replace_at: None,
            timer_ended_at: None,
            timer_end: None,
            not_replaced: None,
            sent: FirstSeen::default(),
            delivered: FirstSeen::default(),
            read: FirstSeen::default(),
            failed: FirstSeen::default(),
            error_code: None,
            error_class: None,
            wasted: false,
            price: None,
        }
    }

    /// Whether a request for it may have reached the provider.
    pub fn may_have_left(&self) -> bool {
        match self.send_state {
            SendState::InFlight | SendState::Accepted | SendState::Unknown => true,
            SendState::Planned | SendState::Rejected => false,
        }
    }

    pub(super) fn first_seen(&mut self, status: Status) -> &mut FirstSeen {
        match status {
            Status::Sent => &mut self.sent,
            Status::Delivered => &mut self.delivered,
            Status::Read => &mut self.read,
            Status::Failed => &mut self.failed,
        }
    }

    /// Stores the provider's message id. The first one is kept; an empty one is ignored.
    pub(super) fn note_name(&mut self, provider_message_id: &str) {
        if self.provider_message_id.is_none() && !provider_message_id.is_empty() {
            self.provider_message_id = Some(provider_message_id.to_owned());
        }
    }

    pub(super) fn arm(&mut self, from: DateTime<Utc>, replace_after_s: i16) {
        self.timer = Timer::Armed;
        self.replace_at = Some(from + TimeDelta::seconds(i64::from(replace_after_s)));
    }

    /// Resets the timer to the state in which it was never armed.
    pub(super) fn unarm(&mut self) {
        self.timer = Timer::None;
        self.replace_at = None;
    }

    /// A receipt or a late answer proved that the provider accepted it, whatever the earlier answer said.
    pub(super) fn note_taken(&mut self, now: DateTime<Utc>) {
        self.send_state = SendState::Accepted;
        self.accepted_at.get_or_insert(now);
        self.due_at = None;
    }

    pub(super) fn disarm(&mut self, why: Why, now: DateTime<Utc>) {
        if self.timer == Timer::Armed {
            self.timer = Timer::Disarmed;
            self.timer_ended_at = Some(now);
            self.timer_end = Some(why);
        }
    }

    /// Cancels what has not left yet. A request that may have left keeps its state but is not sent again.
    pub(super) fn withdraw(&mut self, why: Why, now: DateTime<Utc>) {
        self.due_at = None;
        if self.send_state == SendState::Planned {
            self.send_state = SendState::Rejected;
            self.fail(now, None, &Failure::new(format!("withdrawn: {why}"), ErrorClass::Expired));
        }
    }

    /// Records a failure. The first code is kept.
    pub(super) fn fail(&mut self, at: DateTime<Utc>, provider_at: Option<DateTime<Utc>>, failure: &Failure) {
        if self.failed.at.is_none_or(|first| at < first) {
            self.error_code = Some(failure.code.clone());
            self.error_class = Some(failure.class);
        }
        self.failed.note(at, provider_at);
        self.state = self.state.max(State::Failed);
    }
}
