//! The providers' words: what a request must look like, what is answered, what a callback says. Written from their
//! documentation and apart from the adapters, so that each finds the other's mistakes.

use actix_web::http::header::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::simulator::book::SeenMessage;
use crate::simulator::config::{Face, SimAccount};
use crate::simulator::draw::Draws;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;

mod template;
mod meta;
mod ycloud;
mod cliqtel;
mod infobip;
pub(in crate::simulator) mod sleekflow;
pub(crate) mod twilio;
pub(crate) mod vonage;
mod engagelab;
mod http;

/// A send request with a right shape.
#[derive(Debug)]
pub(crate) struct Request {
    pub to: String,
    pub code: Option<String>,
    pub text: Option<String>,
    pub template: Option<String>,
    pub reference: Option<String>,
    /// Where this one message's callbacks go, used as it stands.
    pub callback_url: Option<String>,
    /// As it came: some answers repeat it.
    pub body: Value,
}

/// What the callbacks of a message say again and again.
#[derive(Debug)]
pub(crate) struct Facts {
    pub to: String,
    pub provider_id: String,
    /// Meta's id of the message, which YCloud passes on beside its own.
    pub wamid: String,
    pub reference: Option<String>,
    pub callback_url: Option<String>,
    pub accepted_at: DateTime<Utc>,
    pub truth: Vec<(DateTime<Utc>, Status)>,
    /// Names this message's events.
    pub event_base: u64,
}

impl Facts {
    /// The provider's time of a status, if it is not after `now`.
    fn time_of(&self, status: Status, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.truth.iter().find(|(at, one)| *one == status && *at <= now).map(|(at, _)| *at)
    }

    /// The same for a repeat of the event, another for another status.
    fn event_id(&self, status: Status) -> String {
        let no = match status {
            Status::Sent => 1,
            Status::Delivered => 2,
            Status::Read => 3,
            Status::Failed(_) => 4,
        };
        format!("evt_{:016x}{no}", self.event_base)
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub http: u16,
    pub body: String,
    pub retry_after_s: Option<u32>,
    /// In a few words, for the list of refusals. Never repeats the request.
    pub reason: String,
}

/// What can be wrong that is not the request's shape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Unauthorized,
    Outage,
    ServerError,
    RateLimited,
    Rejected(u32),
    NoSuchMessage,
}

/// How long a rate limit asks to wait where the provider says so at all.
const RETRY_AFTER_S: u32 = 30;

impl Face {
    /// The credential that the request shows; of Basic authentication the name, a colon and the password, of a signed
    /// token whom it speaks for.
    pub(crate) fn credential(self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<String> {
        let header = |name| headers.get(name)?.to_str().ok();
        let shown = match self {
            Self::EngagelabWhatsapp
            | Self::EngagelabSms
            | Self::EngagelabPlainWhatsapp
            | Self::EngagelabPlainSms
            | Self::HttpSms => return basic(header("authorization")?),
            Self::Meta | Self::CliqtelWhatsapp | Self::CliqtelSms => {
                header("authorization")?.strip_prefix("Bearer ")?
            }
            Self::YcloudWhatsapp | Self::YcloudSms | Self::HttpWhatsapp => header("x-api-key")?,
            Self::InfobipWhatsapp | Self::InfobipSms => header("authorization")?.strip_prefix("App ")?,
            Self::SleekflowWhatsapp => header("x-sleekflow-api-key")?,
            Self::TwilioWhatsapp | Self::TwilioSms => return basic(header("authorization")?),
            Self::VonageWhatsapp | Self::VonageSms => {
                let authorization = header("authorization")?;
                return match authorization.strip_prefix("Bearer ") {
                    Some(token) => vonage::application(token, now),
                    None => basic(authorization),
                };
            }
        };
        Some(shown.to_owned())
    }

    /// What a request's `Content-Type` must begin with, or the real ones find nothing in its body.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::TwilioWhatsapp | Self::TwilioSms => "application/x-www-form-urlencoded",
            Self::Meta | Self::YcloudWhatsapp | Self::YcloudSms | Self::CliqtelWhatsapp | Self::CliqtelSms => {
                "application/json"
            }
            Self::InfobipWhatsapp | Self::InfobipSms | Self::SleekflowWhatsapp => "application/json",
            Self::VonageWhatsapp | Self::VonageSms => "application/json",
            Self::EngagelabWhatsapp
            | Self::EngagelabSms
            | Self::EngagelabPlainWhatsapp
            | Self::EngagelabPlainSms
            | Self::HttpWhatsapp => "application/json",
            Self::HttpSms => "application/x-www-form-urlencoded",
        }
    }

    /// # Errors
    /// The provider's answer to a request of that wrong shape.
    pub(crate) fn read(self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        match self {
            Self::Meta => meta::read(account, body),
            Self::YcloudWhatsapp => ycloud::read_whatsapp(account, body),
            Self::YcloudSms => ycloud::read_sms(body),
            Self::CliqtelWhatsapp => cliqtel::read_whatsapp(account, body),
            Self::CliqtelSms => cliqtel::read_sms(account, body),
            Self::InfobipWhatsapp => infobip::read_whatsapp(account, body),
            Self::InfobipSms => infobip::read_sms(body),
            Self::SleekflowWhatsapp => sleekflow::read(account, body),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::read(self.channel(), account, body),
            Self::VonageWhatsapp | Self::VonageSms => vonage::read(self.channel(), account, body),
            Self::EngagelabWhatsapp | Self::EngagelabSms => engagelab::read(account, body),
            Self::EngagelabPlainWhatsapp => engagelab::read_whatsapp(account, body),
            Self::EngagelabPlainSms => engagelab::read_sms(body),
            Self::HttpWhatsapp => http::read_whatsapp(account, body),
            Self::HttpSms => http::read_sms(body),
        }
    }

    pub(crate) fn trouble(self, trouble: Trouble) -> Reply {
        match self {
            Self::Meta => meta::trouble(trouble),
            Self::YcloudWhatsapp => ycloud::trouble(trouble, true),
            Self::YcloudSms => ycloud::trouble(trouble, false),
            Self::CliqtelWhatsapp | Self::CliqtelSms => cliqtel::trouble(trouble),
            Self::InfobipWhatsapp | Self::InfobipSms => infobip::trouble(self, trouble),
            Self::SleekflowWhatsapp => sleekflow::trouble(trouble),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::trouble(trouble, self.channel()),
            Self::VonageWhatsapp | Self::VonageSms => vonage::trouble(trouble, self.channel()),
            Self::EngagelabWhatsapp | Self::EngagelabSms | Self::EngagelabPlainWhatsapp | Self::EngagelabPlainSms => {
                engagelab::trouble(trouble, self.channel())
            }
            Self::HttpWhatsapp | Self::HttpSms => http::trouble(trouble, self.channel()),
        }
    }

    /// The same for a request that was read: Infobip answers 200 and rejects each message by itself.
    pub(crate) fn refused(self, trouble: Trouble, request: &Request) -> Reply {
        match (self, trouble) {
            (Self::InfobipWhatsapp | Self::InfobipSms, Trouble::Rejected(_)) => infobip::rejected(self, request),
            _ => self.trouble(trouble),
        }
    }

    pub(crate) fn accepted(self, account: &SimAccount, request: &Request, facts: &Facts) -> Reply {
        let (http, body) = match self {
            Self::Meta => meta::accepted(request, facts),
            Self::YcloudWhatsapp => ycloud::accepted_whatsapp(account, request, facts),
            Self::YcloudSms => ycloud::accepted_sms(account, request, facts),
            Self::CliqtelWhatsapp | Self::CliqtelSms => cliqtel::accepted(self, account, request, facts),
            Self::InfobipWhatsapp | Self::InfobipSms => infobip::accepted(self, facts),
            Self::SleekflowWhatsapp => sleekflow::accepted(account, request, facts),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::accepted(self.channel(), account, request, facts),
            Self::VonageWhatsapp | Self::VonageSms => vonage::accepted(facts),
            Self::EngagelabWhatsapp | Self::EngagelabSms | Self::EngagelabPlainWhatsapp | Self::EngagelabPlainSms => {
                engagelab::accepted(account, facts)
            }
            Self::HttpWhatsapp | Self::HttpSms => http::accepted(self.channel(), facts),
        };
        Reply { http, body, retry_after_s: None, reason: String::new() }
    }

    pub(crate) fn provider_id(self, request: &Request, draws: &Draws) -> String {
        match self {
            Self::Meta => meta::wamid(&request.to, draws),
            Self::YcloudWhatsapp | Self::YcloudSms => ycloud::id(draws),
            Self::CliqtelWhatsapp | Self::CliqtelSms | Self::SleekflowWhatsapp => cliqtel::id(draws).to_string(),
            Self::InfobipWhatsapp | Self::InfobipSms => infobip::id(request, draws),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::id(draws),
            Self::VonageWhatsapp | Self::VonageSms => vonage::id(draws),
            Self::EngagelabWhatsapp | Self::EngagelabSms | Self::EngagelabPlainWhatsapp | Self::EngagelabPlainSms => {
                engagelab::id(draws)
            }
            Self::HttpWhatsapp | Self::HttpSms => http::id(draws, self.channel()),
        }
    }

    /// Headers and body of one POST to `url` that tells these statuses. Only Meta's can be more than one.
    pub(crate) fn post(
        self,
        account: &SimAccount,
        secret: Option<&str>,
        url: &str,
        batch: &[Callback],
        now: DateTime<Utc>,
    ) -> (Vec<(&'static str, String)>, String) {
        match self {
            Self::Meta => meta::post(account, secret, batch),
            Self::YcloudWhatsapp | Self::YcloudSms => ycloud::post(account, secret, batch, now),
            Self::CliqtelWhatsapp | Self::CliqtelSms => cliqtel::post(self, secret, batch),
            Self::InfobipWhatsapp | Self::InfobipSms => infobip::post(account, secret, batch),
            // Never asked for: it calls nobody back.
            Self::SleekflowWhatsapp => (Vec::new(), String::new()),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::post(self.channel(), account, secret, url, batch),
            Self::VonageWhatsapp | Self::VonageSms => vonage::post(self.channel(), account, secret, batch, now),
            Self::EngagelabWhatsapp | Self::EngagelabSms | Self::EngagelabPlainWhatsapp | Self::EngagelabPlainSms => {
                engagelab::post(account, secret, batch, now)
            }
            Self::HttpWhatsapp | Self::HttpSms => http::post(self.channel(), secret, batch),
        }
    }

    /// The answer to somebody who asks for a message; Meta, Vonage, EngageLab and Infobip's WhatsApp cannot be asked.
    pub(crate) fn status(self, account: &SimAccount, message: &SeenMessage, now: DateTime<Utc>) -> Value {
        match self {
            Self::CliqtelWhatsapp | Self::CliqtelSms => cliqtel::status(message, now),
            Self::InfobipWhatsapp | Self::InfobipSms => infobip::log(account, message, now),
            Self::SleekflowWhatsapp => sleekflow::message(account, message, now),
            Self::TwilioWhatsapp | Self::TwilioSms => twilio::status(account, message, now),
            Self::HttpWhatsapp | Self::HttpSms => http::status(message, now),
            Self::YcloudWhatsapp | Self::YcloudSms => ycloud::status(account, message, now),
            Self::Meta | Self::VonageWhatsapp | Self::VonageSms => Value::Null,
            Self::EngagelabWhatsapp | Self::EngagelabSms | Self::EngagelabPlainWhatsapp | Self::EngagelabPlainSms => {
                Value::Null
            }
        }
    }
}

/// Name, colon and password.
fn basic(authorization: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?).ok()
}

pub(crate) fn wamid(to: &str, draws: &Draws) -> String {
    meta::wamid(to, draws)
}

/// The latest status that is not in the future: what a poll is told.
fn known(message: &SeenMessage, now: DateTime<Utc>) -> Option<Status> {
    message.truth.iter().filter(|(at, _)| *at <= now).max_by_key(|(at, _)| *at).map(|(_, status)| *status)
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `+` and 7 to 15 digits. The simulator knows no numbering plan, so that any number can be tried.
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|rest| {
        (7..=15).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.starts_with('0')
    })
}

/// The same without its `+`, as an E.164 number.
fn e164_of(digits: &str) -> Option<String> {
    let number = format!("+{digits}");
    is_e164(&number).then_some(number)
}

/// The first 4 to 15 digits in a row.
fn code_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit()).find(|run| (4..=15).contains(&run.len())).map(str::to_owned)
}

fn price(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
