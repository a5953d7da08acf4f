//! What the ledger is asked to do, and the result.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::app_id::AppId;
use crate::domain::attempt::Lease;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::event::{Effect, Event, OnUnknown, SendResult};
use crate::domain::ids::MessageId;
use crate::domain::price::Price;
use crate::domain::status_query::StatusQueryPlan;
use crate::store::receipts::ReceivedReceipt;

/// Something that happened to a message, with what is to be recorded about it.
#[derive(Clone, Debug)]
pub struct Command {
    pub message: MessageId,
    pub event: RecordedEvent,
    /// When it happened, by our clock.
    pub at: DateTime<Utc>,
}

/// An event together with what is recorded of it beside the message: each variant has the fields of the [`Event`] of the
/// same name, and those that only its row has. A row more is a field or a variant here, and `log.rs` writes it.
#[derive(Clone, Debug)]
pub enum RecordedEvent {
    Lease {
        attempt_no: i16,
        lease: Lease,
        price: Option<Price>,
    },
    Send {
        attempt_no: i16,
        token: Uuid,
        result: SendResult,
        request: SentRequest,
    },
    LeaseRanOut {
        attempt_no: i16,
        on_unknown: OnUnknown,
    },
    AccountGone {
        attempt_no: i16,
    },
    KeyGone {
        attempt_no: i16,
    },
    Receipt {
        attempt_no: i16,
        received: Box<ReceivedReceipt>,
    },
    DeadlinePassed {
        attempt_no: i16,
    },
    LifeEnded,
    /// Only the app that owns the message may do this.
    ByApp {
        app: AppId,
        request: AppRequest,
    },
}

/// The request to a provider behind a [`SendResult`].
#[derive(Clone, Debug)]
pub struct SentRequest {
    /// When it was sent.
    pub started_at: DateTime<Utc>,
    /// Of the answer.
    pub http_status: Option<i16>,
    /// How to query its status, if it was accepted.
    pub ask: Option<StatusQueryPlan>,
}

/// What an app asks of its message.
#[derive(Clone, Debug)]
pub enum AppRequest {
    Check {
        /// UUIDv7.
        check_id: Uuid,
        code: Code,
        /// See [`Event::Check`].
        caller: Option<String>,
    },
    Resend {
        channel: Option<Channel>,
    },
    Cancel,
    /// A newer message takes its place.
    Supersede,
}

impl RecordedEvent {
    /// The event as the rule takes it.
    pub fn event(&self) -> Event {
        match self {
            Self::Lease { attempt_no, lease, price } => {
                Event::Lease { attempt_no: *attempt_no, lease: *lease, price: price.clone() }
            }
            Self::Send { attempt_no, token, result, .. } => {
                Event::Send { attempt_no: *attempt_no, token: *token, result: result.clone() }
            }
            Self::LeaseRanOut { attempt_no, on_unknown } => {
                Event::LeaseRanOut { attempt_no: *attempt_no, on_unknown: *on_unknown }
            }
            Self::AccountGone { attempt_no } => Event::AccountGone { attempt_no: *attempt_no },
            Self::KeyGone { attempt_no } => Event::KeyGone { attempt_no: *attempt_no },
            Self::Receipt { attempt_no, received } => {
                Event::Receipt { attempt_no: *attempt_no, receipt: received.receipt.clone() }
            }
            Self::DeadlinePassed { attempt_no } => Event::DeadlinePassed { attempt_no: *attempt_no },
            Self::LifeEnded => Event::LifeEnded,
            Self::ByApp { request: AppRequest::Check { code, caller, .. }, .. } => {
                Event::Check { code: code.clone(), caller: caller.clone() }
            }
            Self::ByApp { request: AppRequest::Resend { channel }, .. } => Event::Resend { channel: *channel },
            Self::ByApp { request: AppRequest::Cancel, .. } => Event::Cancel,
            Self::ByApp { request: AppRequest::Supersede, .. } => Event::Supersede,
        }
    }
}

/// Result of a command.
#[derive(Clone, Debug)]
pub enum Done {
    Effect(Effect),
    /// No such message; with [`RecordedEvent::ByApp`], none of this app.
    NotFound,
    /// Another transaction holds the message. Nothing happened; it may be tried again.
    Locked,
    /// The message contains an unknown word, or the database refuses this change of it. Nothing happened, and a retry
    /// does not help this version.
    Unreadable,
}
