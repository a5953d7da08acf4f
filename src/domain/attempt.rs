//! One try to deliver a message: one channel, one provider account.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::channel::Channel;
use crate::domain::price::Price;
use crate::domain::receipt::{ErrorClass, Failure, Status};
use crate::domain::words::words;

/// How far an attempt, and a message, has come. The order is the rule: a receipt can only raise it. It is the order of
/// the Postgres enum `delivery_state` too, and a test holds the two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Ours to send, or taken by the provider; no receipt yet. Moved on by receipts and by rejections.
    Accepted,
    /// A receipt said that it is on its way.
    Sent,
    /// A receipt or a rejection said no. Only `delivered` goes beyond.
    Failed,
    /// A receipt said that it is on the handset; for a message, also that its code came back.
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

/// How far our own request has come; each change is one committed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendState {
    /// To be sent at `due_at`; no request for it may have left. A crash here loses nothing: the sender finds the row again.
    Planned,
    /// Committed before the first byte leaves. A crash here makes it `unknown` when the lease runs out.
    InFlight,
    /// The provider took it, or a receipt proved that it did.
    Accepted,
    /// Certainly not sent, and not to be sent any more.
    Rejected,
    /// It may have left. `due_at` is set when it is to be sent once more.
    Unknown,
}

/// Why an attempt exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    First,
    /// The one before failed.
    Failed,
    /// The one before was not delivered in time.
    Silent,
    /// The app asked for it.
    Requested,
    /// A reason of a newer program.
    Other,
}

/// The replacement deadline of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Never armed: no step is behind it.
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
    /// It failed, which replaced it at once.
    Failed,
    Delivered,
    Verified,
    Cancelled,
    Expired,
    Exhausted,
    /// The app asked for the next attempt first.
    Requested,
    /// Too little life left for a code to be of use.
    TooLate,
    /// The provider's error condemns the number itself.
    NumberIsBad,
    /// The route has no step left.
    RouteEnd,
    /// It was replaced already.
    Replaced,
    /// A reason of a newer program.
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
        Requested = "requested",
        TooLate = "too_late",
        NumberIsBad = "number_is_bad",
        RouteEnd = "route_end",
        Replaced = "replaced";
        else Other
    }
}

/// The first time of a status, by our clock and by the provider's. Both only ever take the smaller value, so that
/// neither order nor repetition of receipts matters.
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
    /// Index of its step in the message's route, from 0.
    pub step: i16,
    pub channel: Channel,
    pub account: String,
    pub reason: Reason,
    pub state: State,
    pub send_state: SendState,
    pub planned_at: DateTime<Utc>,
    /// When to send it; `None` when there is nothing to send.
    pub due_at: Option<DateTime<Utc>>,
    /// Requests begun.
    pub tries: i16,
    /// Requests that ended `unknown`.
    pub unknowns: i16,
    /// When the first request was begun.
    pub in_flight_at: Option<DateTime<Utc>>,
    /// Held while in flight. Names the one request whose result counts.
    pub lease: Option<Lease>,
    /// When the provider took it, by our clock.
    pub accepted_at: Option<DateTime<Utc>>,
    pub provider_message_id: Option<String>,
    /// Taken, but the provider keeps it back.
    pub held: bool,
    pub timer: Timer,
    /// The deadline; kept after it fired or was disarmed.
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
    /// A replacement that left although an earlier attempt was delivered after all.
    pub wasted: bool,
    /// What the account charges for it, as the settings said when it was sent.
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

    pub(super) fn arm(&mut self, from: DateTime<Utc>, replace_after_s: i16) {
        self.timer = Timer::Armed;
        self.replace_at = Some(from + TimeDelta::seconds(i64::from(replace_after_s)));
    }

    /// As if it had never been armed.
    pub(super) fn unarm(&mut self) {
        self.timer = Timer::None;
        self.replace_at = None;
    }

    /// A receipt proved that the provider took it, whatever its answer to our request said or did not say.
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

    /// Takes back what has not left yet. What may have left stays as it is, but is not sent again.
    pub(super) fn withdraw(&mut self, why: Why, now: DateTime<Utc>) {
        self.due_at = None;
        if self.send_state == SendState::Planned {
            self.send_state = SendState::Rejected;
            self.fail(now, None, &Failure::new(format!("withdrawn: {why}"), ErrorClass::Expired));
        }
    }

    /// Notes a failure. The code kept is the one that was seen first.
    pub(super) fn fail(&mut self, at: DateTime<Utc>, provider_at: Option<DateTime<Utc>>, failure: &Failure) {
        if self.failed.at.is_none_or(|first| at < first) {
            self.error_code = Some(failure.code.clone());
            self.error_class = Some(failure.class);
        }
        self.failed.note(at, provider_at);
        self.state = self.state.max(State::Failed);
    }
}
