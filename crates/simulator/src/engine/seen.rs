//! The records of send requests, callbacks and phones, as tests read them.

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use serde::{Deserialize, Serialize};

use crate::engine::fates::Fate;
use crate::engine::plan::Status;

/// What the simulator did with a send request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Accepted,
    Rejected,
    RateLimited,
    ServerError,
    Hung,
    ResetBefore,
    /// Accepted, but the answer was never sent.
    ResetAfter,
    /// The account was in [`Mode::Outage`](crate::Mode::Outage) or `Refuse`.
    Outage,
}

impl Outcome {
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::ResetAfter)
    }
}

/// One valid send request, and everything that followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenMessage {
    /// Index among all requests from 0, in the order of their arrival.
    pub seq: u64,
    pub account: String,
    /// Name of its face.
    pub face: String,
    pub channel: Channel,
    pub to: String,
    /// Index among the requests for this number on this face, from 1.
    pub nth: u32,
    /// WhatsApp: the template's parameter. SMS: the first 4 to 15 digits in a row of the text.
    pub code: Option<String>,
    pub text: Option<String>,
    /// `name/language`
    pub template: Option<String>,
    /// What the app wants returned.
    pub reference: Option<String>,
    /// Of an SMS, as it came; `None`: the account's.
    pub sender: Option<String>,
    /// Of an SMS, for India.
    pub dlt: Option<Dlt>,
    pub received_at: DateTime<Utc>,
    pub fate: Fate,
    pub outcome: Outcome,
    pub provider_id: Option<String>,
    /// `None`: no answer was given.
    pub http_status: Option<u16>,
    /// The statuses of the message with their times, as the provider knows them; times may be in the future.
    pub truth: Vec<(DateTime<Utc>, Status)>,
    /// When it arrived on the handset; `None` until then.
    pub handset_at: Option<DateTime<Utc>>,
    pub price_micros: u64,
    pub callbacks: Vec<SeenCallback>,
}

/// India's ids: of the company and of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dlt {
    pub entity_id: String,
    pub template_id: String,
}

/// One try to post one status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenCallback {
    pub status: Status,
    pub posted_at: DateTime<Utc>,
    /// 0: could not be posted, or was not answered in time.
    pub http_status: u16,
    /// From 1.
    pub try_no: usize,
}

/// Per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub whatsapp: u64,
    pub sms: u64,
}

impl Count {
    pub fn of(&self, channel: Channel) -> u64 {
        match channel {
            Channel::Whatsapp => self.whatsapp,
            Channel::Sms => self.sms,
        }
    }

    pub(crate) fn add(&mut self, channel: Channel) {
        match channel {
            Channel::Whatsapp => self.whatsapp += 1,
            Channel::Sms => self.sms += 1,
        }
    }
}

/// What one phone really got. The counts include messages that were dropped from the records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SeenPhone {
    pub phone: String,
    /// Valid send requests, whatever the answer.
    pub requests: Count,
    pub accepted: Count,
    /// Messages on the handset.
    pub received: Count,
    /// By code, in the order of their first arrival.
    pub codes: Vec<SeenCode>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SeenCode {
    pub code: String,
    pub received: Count,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}
