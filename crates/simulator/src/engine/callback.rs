//! One status to be sent to the receiver of callbacks.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::engine::draw::Draws;
use crate::engine::plan::Status;

/// Identifies a recorded message.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub phone: Arc<str>,
    /// Position among all messages of the number, dropped ones included.
    pub place: u64,
}

/// Data that all callbacks of a message contain.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub to: String,
    pub provider_id: String,
    pub reference: Option<String>,
    /// Address that the message named for its own callbacks.
    pub callback_url: Option<String>,
    pub accepted_at: DateTime<Utc>,
    pub truth: Vec<(DateTime<Utc>, Status)>,
    /// The random draws of this message's request.
    pub draws: Draws,
}

impl Facts {
    /// The provider's time of a status, if it is not after `now`.
    pub(crate) fn time_of(&self, status: Status, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.truth.iter().find(|(at, one)| *one == status && *at <= now).map(|(at, _)| *at)
    }

    /// Common part of the ids of this message's events.
    pub(crate) fn event_base(&self) -> u64 {
        self.draws.bits("event")
    }

    /// The same for a repeat of the event; different for another status.
    pub(crate) fn event_id(&self, status: Status) -> String {
        let no = match status {
            Status::Sent => 1,
            Status::Delivered => 2,
            Status::Read => 3,
            Status::Failed(_) => 4,
        };
        format!("evt_{:016x}{no}", self.event_base())
    }
}

/// One status for the receiver of one account.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    /// Index of the account.
    pub account: usize,
    pub key: Key,
    pub facts: Arc<Facts>,
    pub status: Status,
    /// The provider's time of the status: not later than the callback.
    pub status_at: DateTime<Utc>,
}
