//! Accepts a message: checks it against the purposes and the route, and stores it with its first attempt.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::Span;
use tracing::field::{self, Empty};

use crate::clock::Clock;
use crate::domain::app_id::AppId;
use crate::domain::attempt::{Attempt, Reason, State};
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::code_keys::CodeKeys;
use crate::domain::field_code::FieldCode;
use crate::domain::ids::{Bucket, MessageId};
use crate::domain::limits::sends::Sending;
use crate::domain::limits::{LimitHit, OnNewer};
use crate::domain::message::{Message, Outcome};
use crate::domain::phone::Phone;
use crate::domain::route::{Platform, Route, RouteError};
use crate::domain::routing::Unreachable;
use crate::services::accounts::backlog::Backlog;
use crate::services::database_error::DatabaseError;
use crate::services::ledger::command::{AppRequest, Command, Done, RecordedEvent};
use crate::services::ledger::group_commit::{Ledger, LedgerError};
use crate::services::ledger::transitions::WakeSender;
use crate::services::limits::admission::{Admission, AdmissionError, Asked, RACES};
use crate::services::messages::intake::Intake;
use crate::services::messages::message_view;
use crate::services::policy::Policy;
use crate::services::randomness;
use crate::services::routing::choose_route::{ChooseRoute, Whom};
use crate::services::swap::Swap;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::idempotency_keys::{self, Claim, NewClaim};
use crate::store::messages;
use crate::store::number_sends::CountedNumber;
use crate::store::stored::{Labels, StoredMessage};
use crate::telemetry::names;

/// Allowed life of a message, in seconds (NIST SP 800-63B-4: at most ten minutes).
pub const VALID_FOR_S: std::ops::RangeInclusive<i32> = 105..=600;
/// A message that is older has ended.
const LONGEST_LIFE: TimeDelta = TimeDelta::seconds(600);

#[derive(Clone)]
pub struct AcceptMessage {
    pub pool: Database,
    pub intake: Intake,
    pub admission: Admission,
    /// Ends older messages.
    pub ledger: Ledger,
    pub clock: Clock,
    pub keys: CodeKeys,
    pub choose: ChooseRoute,
    pub backlog: Backlog,
    pub policy: Swap<Policy>,
    pub wake_sender: WakeSender,
}

/// What an app requests.
#[derive(Debug)]
pub struct NewMessage {
    pub to: Phone,
    pub purpose: String,
    pub code: Option<Code>,
    pub code_length: Option<u8>,
    pub locale: Option<String>,
    pub platform: Option<Platform>,
    pub channel: Option<Channel>,
    pub replace_after_s: Option<i16>,
    pub valid_for_s: Option<i32>,
    pub reference: Option<String>,
    /// A JSON object.
    pub metadata: Option<Box<RawValue>>,
    pub client: Option<Value>,
    /// Of the person's device.
    pub ip: Option<IpAddr>,
    /// The app's name of the person's device.
    pub device: Option<String>,
    /// What becomes of an older message of the same number, app and purpose.
    pub on_newer: Option<OnNewer>,
}

/// The client's idempotency key and the request body that it belongs to.
#[derive(Debug)]
pub struct IdempotencyKey<'a> {
    pub key: &'a str,
    pub body: &'a [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("{field}: {reason}")]
    Field { field: &'static str, code: FieldCode, reason: String },
    #[error("the idempotency key was used with another body")]
    OtherBody,
    /// The body that belongs to the idempotency key was hashed under a code key that this instance does not have.
    #[error("the idempotency key's body cannot be compared without its code key")]
    KeyMissing,
    /// More messages wait at the accounts of the route than can be sent in time.
    #[error("more messages wait than can be sent in time")]
    Overload { retry_after_s: u64 },
    /// A limit of the number, or of what it has in common with others.
    #[error("a limit is reached: {}", .0.rule)]
    Limited(LimitHit),
    /// The older message cannot be ended just now.
    #[error("the older message of this number is locked")]
    NotNow,
    #[error("cannot store the message")]
    Database(#[source] DatabaseError),
    #[error("cannot store the message")]
    Intake(#[from] LedgerError),
}

impl From<AdmissionError> for AcceptError {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Limited(hit) => Self::Limited(hit),
            AdmissionError::Count(error) => Self::Intake(error),
        }
    }
}

impl From<StoreError> for AcceptError {
    fn from(error: StoreError) -> Self {
        Self::Database(error.into())
    }
}

/// The answer, and whether it repeats the one to an earlier request.
#[derive(Debug)]
pub struct Accepted {
    pub id: MessageId,
    /// JSON.
    pub answer: String,
    pub repeated: bool,
}

impl AcceptMessage {
    /// # Errors
    /// See [`AcceptError`]; nothing is stored then.
    #[tracing::instrument(
        name = "message.accept",
        skip_all,
        fields(app = %app, purpose = new.purpose, country = new.to.country(), message_id = Empty)
    )]
    pub async fn run(
        &self,
        app: &AppId,
        new: NewMessage,
        repeatable: Option<IdempotencyKey<'_>>,
    ) -> Result<Accepted, AcceptError> {
        let on_newer = new.on_newer.unwrap_or(self.policy.get().on_newer);
        let (ip, device, to) = (new.ip, new.device.clone(), new.to.clone());
        let mut stored = self.plan(app, new).await?;
        let purpose = stored.labels.purpose.clone();
        let asked = Asked { app, to: &to, purpose: &purpose, what: Sending::New, ip, device: device.as_deref() };
        let is_test = stored.message.is_test;
        let mut number = match !is_test && self.policy.get().counts_numbers(on_newer) {
            true => Some(self.admission.number(app, &to).await?),
            false => None,
        };
        if let (OnNewer::Reuse, Some(number)) = (on_newer, &number)
            && let Some(pending) = self.pending(app, number, &stored).await?
        {
            return Ok(Accepted { id: pending.message.id, answer: message_view::json(&pending), repeated: false });
        }
        let admitted = if is_test { Ok(()) } else { self.admit(&asked, number.as_ref(), &stored).await };
        let is_counted = !is_test && admitted.is_ok();
        if let Err(refusal) = admitted
            && !self.is_repeat(app, repeatable.as_ref()).await?
        {
            return Err(refusal);
        }
        let mut answer = message_view::json(&stored);
        let mut claimed = None;
        let mut repeated = false;
        if let Some(IdempotencyKey { key, body }) = repeatable {
            let fingerprint = self.keys.fingerprint(body);
            let claim = Claim {
                body: fingerprint,
                message: stored.message.id,
                answer: answer.clone(),
                created_at: stored.message.created_at,
                expires_at: Some(stored.message.expires_at),
            };
            if let Some(first) = self.claim(app, key, claim).await? {
                match self.keys.is_same_body(&first.body, body) {
                    Some(true) => {}
                    Some(false) => return Err(AcceptError::OtherBody),
                    None => return Err(AcceptError::KeyMissing),
                }
                // The first request may have died between its claim and its message: then this one stores it.
                if messages::find(&self.pool, app, first.message).await?.is_some() {
                    if is_counted {
                        self.admission.give_back(&asked).await;
                    }
                    return Ok(Accepted { id: first.message, answer: first.answer, repeated: true });
                }
                stored = self.as_promised(stored, &first)?;
                if stored.message.expires_at <= self.clock.now() {
                    return Ok(Accepted { id: first.message, answer: first.answer, repeated: true });
                }
                answer = first.answer;
                repeated = true;
            }
            claimed = Some(key);
        }
        let id = stored.message.id;
        Span::current().record("message_id", field::display(id));
        let account = stored.message.last().account.clone();
        let stored = Arc::new(stored);
        let mut races = 0;
        loop {
            if let (OnNewer::Supersede, Some(number)) = (on_newer, &number) {
                self.supersede(app, &purpose, number).await?;
            }
            let counted = number.map(|number| self.admission.counted(&asked, number, id));
            let message = messages::NewMessage { message: Arc::clone(&stored), counted };
            if self.intake.messages.write(message).await? {
                break;
            }
            // Another message to the number was faster: it counts.
            races += 1;
            let newest = self.admission.number(app, &to).await?;
            let refused = match self.admission.judge(&asked, &newest) {
                Err(hit) => AcceptError::Limited(hit),
                Ok(()) if races == RACES => LedgerError::Busy.into(),
                Ok(()) => {
                    number = Some(newest);
                    continue;
                }
            };
            if is_counted {
                self.admission.give_back(&asked).await;
            }
            if let Some(key) = claimed {
                idempotency_keys::release(&self.pool, app, key, id).await?;
            }
            return Err(refused);
        }
        tracing::debug!(repeated, "the message is stored");
        self.backlog.note(&account);
        self.wake_sender.notify_one();
        Ok(Accepted { id, answer, repeated })
    }

    /// Asks whether the message may be sent at all: whether its accounts can send it in time, and its limits.
    async fn admit(
        &self,
        asked: &Asked<'_>,
        number: Option<&CountedNumber>,
        stored: &StoredMessage,
    ) -> Result<(), AcceptError> {
        let valid_for_s = (stored.message.expires_at - stored.message.created_at).num_seconds();
        let valid_for_s = i32::try_from(valid_for_s).unwrap_or(i32::MAX);
        if let Some(retry_after_s) = self.backlog.overload(&stored.message.route, valid_for_s) {
            metrics::counter!(names::RATE_LIMITED, "limit" => "backlog").increment(1);
            return Err(AcceptError::Overload { retry_after_s });
        }
        if let Some(number) = number {
            self.admission.judge(asked, number).map_err(AcceptError::Limited)?;
        }
        Ok(self.admission.count(asked).await?)
    }

    /// The pending message that is used again: the newest of its number and purpose, unless the app gives another code.
    async fn pending(
        &self,
        app: &AppId,
        number: &CountedNumber,
        new: &StoredMessage,
    ) -> Result<Option<StoredMessage>, AcceptError> {
        let now = self.clock.now();
        let Some(newest) = number.sends.since(&new.labels.purpose, now - LONGEST_LIFE).first().copied() else {
            return Ok(None);
        };
        let given = if new.message.code_given { Some(self.revealed(&new.message)?) } else { None };
        let has_code = |pending: &Message| {
            given.as_ref().is_none_or(|code| self.keys.is_right(&pending.code, app, pending.id, code))
        };
        let newest = messages::find(&self.pool, app, newest).await?;
        Ok(newest.filter(|found| found.message.is_live(now) && has_code(&found.message)))
    }

    /// Ends the older messages of the number, before the newer one is stored. If this process dies in between, the person has to
    /// ask again, which the app's request without an answer makes likely anyway.
    async fn supersede(&self, app: &AppId, purpose: &str, number: &CountedNumber) -> Result<(), AcceptError> {
        let at = self.clock.now();
        let event = RecordedEvent::ByApp { app: app.clone(), request: AppRequest::Supersede };
        let older = number.sends.since(purpose, at - LONGEST_LIFE);
        let commands: Vec<_> = older.into_iter().map(|message| Command { message, event: event.clone(), at }).collect();
        if commands.is_empty() {
            return Ok(());
        }
        let done = self.ledger.apply(commands).await?;
        // A message of a newer version ends by itself.
        if done.iter().any(|done| matches!(done, Done::Locked)) { Err(AcceptError::NotNow) } else { Ok(()) }
    }

    /// Whether an earlier request used the key: its answer is repeated, however much waits.
    async fn is_repeat(&self, app: &AppId, repeatable: Option<&IdempotencyKey<'_>>) -> Result<bool, StoreError> {
        match repeatable {
            Some(IdempotencyKey { key, .. }) => Ok(idempotency_keys::find(&self.pool, app, key).await?.is_some()),
            None => Ok(false),
        }
    }

    /// The earlier entry of the key; `None` when this message has claimed it.
    async fn claim(&self, app: &AppId, key: &str, claim: Claim) -> Result<Option<Claim>, AcceptError> {
        let new = NewClaim { app: app.clone(), key: key.to_owned(), claim };
        loop {
            if self.intake.claims.write(new.clone()).await? {
                return Ok(None);
            }
            if let Some(first) = idempotency_keys::find(&self.pool, app, key).await? {
                return Ok(Some(first));
            }
            // Deleted meanwhile: the key is free again.
        }
    }

    async fn plan(&self, app: &AppId, new: NewMessage) -> Result<StoredMessage, AcceptError> {
        let field = |field, code, reason: String| AcceptError::Field { field, code, reason };
        let policy = self.policy.get();
        let purpose =
            policy.purpose(&new.purpose).map_err(|reason| field("purpose", FieldCode::UnknownValue, reason))?;
        let valid_for_s = new.valid_for_s.unwrap_or(purpose.valid_for_s);
        if !VALID_FOR_S.contains(&valid_for_s) {
            let (least, most) = (VALID_FOR_S.start(), VALID_FOR_S.end());
            return Err(field("valid_for_s", FieldCode::OutOfRange, format!("must be {least} to {most} seconds")));
        }
        // To the microsecond, as Postgres stores it.
        let now = self.clock.now();
        let whom = Whom { app, to: &new.to, purpose: &new.purpose, channel: new.channel };
        let chosen = self.choose.run(&policy, whom, now).await.map_err(|unreachable| {
            let (name, code, reason) = match unreachable {
                Unreachable::Country => {
                    ("to", FieldCode::CountryNotServed, "belongs to a country to which no account sends")
                }
                Unreachable::Channel => (
                    "channel",
                    FieldCode::ChannelNotServed,
                    "no account sends to this number on this channel; leave it out to use the configured route",
                ),
            };
            field(name, code, reason.to_owned())
        })?;
        let code_given = new.code.is_some();
        let code = match (new.code, new.code_length) {
            (Some(code), Some(length)) if i16::from(length) != code.length() => {
                return Err(field(
                    "code_length",
                    FieldCode::CodeLengthConflict,
                    "does not fit the code that is given; leave it out".to_owned(),
                ));
            }
            (Some(code), _) => code,
            (None, _) if let Some(code) = policy.test_code(&new.to, now) => code.clone(),
            (None, length) => Code::generate(length.unwrap_or(purpose.code_length), randomness::word),
        };
        let replace_after_s = new.replace_after_s.or(chosen.replace_after_s).unwrap_or(purpose.replace_after_s);
        let route = Route::new(chosen.steps, replace_after_s, valid_for_s, chosen.why);
        let mut route = route.map_err(|error| match error {
            RouteError::ReplaceAfter | RouteError::Empty => {
                field("replace_after_s", FieldCode::OutOfRange, error.to_string())
            }
            RouteError::ValidTooShort => field("valid_for_s", FieldCode::ValidForTooShort, error.to_string()),
        })?;
        route.language = policy.languages.choose(new.locale.as_deref(), new.to.country()).to_string();
        route.platform = new.platform;
        let id = MessageId::new(now, Bucket::of(&new.to), randomness::bytes());
        let first = &route.steps()[0];
        let mut message = Message {
            id,
            app: app.clone(),
            state: State::Accepted,
            outcome: Outcome::Pending,
            created_at: now,
            expires_at: now + chrono::TimeDelta::seconds(i64::from(valid_for_s)),
            settled_at: None,
            delivery_inferred: false,
            wrong_tries: 0,
            max_tries: policy.max_tries,
            verified_by: None,
            code: self.keys.protect(app, id, &code, randomness::bytes()),
            code_given,
            is_test: policy.test_code(&new.to, now).is_some(),
            attempts: vec![Attempt::planned(1, 0, first.channel, &first.account, Reason::First, now)],
            route,
        };
        message.arm_in_queue();
        let labels = Labels {
            purpose: new.purpose,
            locale: new.locale,
            reference: new.reference,
            metadata: new.metadata,
            client: new.client,
        };
        Ok(StoredMessage { message, recipient: new.to, labels, code_length: code.length() })
    }

    /// The same message under the id and with the times promised earlier. Its code is bound to the id, so it is
    /// protected anew.
    fn as_promised(&self, mut stored: StoredMessage, first: &Claim) -> Result<StoredMessage, AcceptError> {
        let code = self.revealed(&stored.message)?;
        let message = &mut stored.message;
        message.code = self.keys.protect(&message.app, first.message, &code, randomness::bytes());
        message.id = first.message;
        let valid_for = message.expires_at - message.created_at;
        message.created_at = first.created_at;
        message.expires_at = first.expires_at.unwrap_or(first.created_at + valid_for);
        Ok(stored)
    }
    /// The code of a message that is not stored yet.
    fn revealed(&self, message: &Message) -> Result<Code, StoreError> {
        let sealed = message.code.sealed.as_deref().unwrap_or_default();
        let code = self.keys.reveal(message.code.key_id, sealed, &message.app, message.id);
        code.map_err(|error| StoreError::Corrupt { what: error.to_string() })
    }
}
