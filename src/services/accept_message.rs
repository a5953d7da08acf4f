//! Accepts a message: checks it against the purposes and the route, and stores it with its first attempt.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::domain::attempt::{Attempt, Reason, State};
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::code_keys::CodeKeys;
use crate::domain::ids::{Bucket, MessageId};
use crate::domain::message::{Message, Outcome};
use crate::domain::phone::Phone;
use crate::domain::route::{Platform, Route, RouteError};
use crate::domain::routing::Unreachable;
use crate::services::backlog::Backlog;
use crate::services::choose_route::{ChooseRoute, Whom};
use crate::services::intake::Intake;
use crate::services::ledger::LedgerError;
use crate::services::message_view;
use crate::services::policy::Policy;
use crate::services::randomness;
use crate::services::swap::Swap;
use crate::services::transitions::WakeSender;
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::idempotency_keys::{self, Claim, NewClaim};
use crate::store::messages::{self, Labels, StoredMessage};
use crate::telemetry::names;

/// Longest and shortest life that an app may ask for, in seconds (NIST SP 800-63B-4: at most ten minutes).
pub const VALID_FOR_S: std::ops::RangeInclusive<i32> = 105..=600;

#[derive(Clone)]
pub struct AcceptMessage {
    pub pool: Database,
    pub intake: Intake,
    pub clock: Clock,
    pub keys: CodeKeys,
    pub choose: ChooseRoute,
    pub backlog: Backlog,
    pub policy: Swap<Policy>,
    pub wake_sender: WakeSender,
}

/// What an app asks for.
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
}

/// A repeatable request: the client's key, and the body that it stands for.
#[derive(Debug)]
pub struct IdempotencyKey<'a> {
    pub key: &'a str,
    pub body: &'a [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("the idempotency key was used with another body")]
    OtherBody,
    /// More waits at the accounts of the route than can be sent in time.
    #[error("more messages wait than can be sent in time")]
    Overload { retry_after_s: u64 },
    #[error("cannot store the message")]
    Store(#[from] StoreError),
    #[error("cannot store the message")]
    Intake(#[from] LedgerError),
}

/// What an answer promised that its message must keep.
#[derive(serde::Deserialize)]
struct PromisedTimes {
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// The answer, and whether it is the one that a former request got.
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
    pub async fn run(
        &self,
        app: &str,
        new: NewMessage,
        repeatable: Option<IdempotencyKey<'_>>,
    ) -> Result<Accepted, AcceptError> {
        let mut stored = self.plan(app, new).await?;
        let valid_for_s = (stored.message.expires_at - stored.message.created_at).num_seconds();
        let overload = self.backlog.overload(&stored.message.route, i32::try_from(valid_for_s).unwrap_or(i32::MAX));
        if let Some(retry_after_s) = overload
            && !self.is_repeat(app, repeatable.as_ref()).await?
        {
            metrics::counter!(names::RATE_LIMITED, "limit" => "backlog").increment(1);
            return Err(AcceptError::Overload { retry_after_s });
        }
        let mut answer = message_view::json(&stored);
        let mut repeated = false;
        if let Some(IdempotencyKey { key, body }) = repeatable {
            let fingerprint = self.keys.fingerprint(body);
            let claim = Claim { body: fingerprint, message: stored.message.id, answer: answer.clone() };
            if let Some(first) = self.claim(app, key, claim, stored.message.created_at).await? {
                if !self.keys.is_same_body(&first.body, body) {
                    return Err(AcceptError::OtherBody);
                }
                // The first request may have died between its claim and its message: then this one stores it.
                if messages::find(&self.pool, app, first.message).await?.is_some() {
                    return Ok(Accepted { id: first.message, answer: first.answer, repeated: true });
                }
                stored = self.as_promised(stored, first.message, &first.answer)?;
                if stored.message.expires_at <= self.clock.now() {
                    return Ok(Accepted { id: first.message, answer: first.answer, repeated: true });
                }
                answer = first.answer;
                repeated = true;
            }
        }
        let id = stored.message.id;
        let account = stored.message.last().account.clone();
        self.intake.messages.write(Arc::new(stored)).await?;
        self.backlog.note(&account);
        self.wake_sender.notify_one();
        Ok(Accepted { id, answer, repeated })
    }

    /// Whether an earlier request had the key: its answer is given again, however much waits.
    async fn is_repeat(&self, app: &str, repeatable: Option<&IdempotencyKey<'_>>) -> Result<bool, StoreError> {
        match repeatable {
            Some(IdempotencyKey { key, .. }) => Ok(idempotency_keys::find(&self.pool, app, key).await?.is_some()),
            None => Ok(false),
        }
    }

    /// What the key stands for already; `None` when it stands for this message from now on.
    async fn claim(&self, app: &str, key: &str, claim: Claim, at: DateTime<Utc>) -> Result<Option<Claim>, AcceptError> {
        let mut new = NewClaim { app: app.to_owned(), key: key.to_owned(), claim, at };
        loop {
            if self.intake.claims.write(new.clone()).await? {
                return Ok(None);
            }
            if let Some(first) = idempotency_keys::find(&self.pool, app, key).await? {
                return Ok(Some(first));
            }
            // Forgotten in between: it is free again.
            new.at = self.clock.now();
        }
    }

    async fn plan(&self, app: &str, new: NewMessage) -> Result<StoredMessage, AcceptError> {
        let field = |field, reason: String| AcceptError::Field { field, reason };
        let policy = self.policy.get();
        let purpose = policy.purpose(&new.purpose).map_err(|reason| field("purpose", reason))?;
        let valid_for_s = new.valid_for_s.unwrap_or(purpose.valid_for_s);
        if !VALID_FOR_S.contains(&valid_for_s) {
            let (least, most) = (VALID_FOR_S.start(), VALID_FOR_S.end());
            return Err(field("valid_for_s", format!("must be {least} to {most} seconds")));
        }
        // To the microsecond, as Postgres keeps it.
        let now = self.clock.now();
        let whom = Whom { app, to: &new.to, purpose: &new.purpose, channel: new.channel };
        let chosen = self.choose.run(&policy, whom, now).await.map_err(|unreachable| {
            let (name, reason) = match unreachable {
                Unreachable::Country => ("to", "belongs to a country to which no account sends"),
                Unreachable::Channel => (
                    "channel",
                    "no account sends to this number on this channel; leave it out to use the configured route",
                ),
            };
            field(name, reason.to_owned())
        })?;
        let code_given = new.code.is_some();
        let code = match (new.code, new.code_length) {
            (Some(code), Some(length)) if i16::from(length) != code.length() => {
                return Err(field("code_length", "does not fit the code that is given; leave it out".to_owned()));
            }
            (Some(code), _) => code,
            (None, length) => Code::generate(length.unwrap_or(purpose.code_length), randomness::word),
        };
        let replace_after_s = new.replace_after_s.or(chosen.replace_after_s).unwrap_or(purpose.replace_after_s);
        let route = Route::new(chosen.steps, replace_after_s, valid_for_s, chosen.why);
        let mut route = route.map_err(|error| match error {
            RouteError::ReplaceAfter | RouteError::Empty => field("replace_after_s", error.to_string()),
            RouteError::ValidTooShort => field("valid_for_s", error.to_string()),
        })?;
        route.language = policy.languages.choose(new.locale.as_deref(), new.to.country()).to_string();
        route.platform = new.platform;
        let id = MessageId::new(now, Bucket::of(&new.to), randomness::bytes());
        let first = &route.steps()[0];
        let mut message = Message {
            id,
            app: app.to_owned(),
            state: State::Accepted,
            outcome: Outcome::Pending,
            created_at: now,
            expires_at: now + chrono::TimeDelta::seconds(i64::from(valid_for_s)),
            settled_at: None,
            delivery_inferred: false,
            wrong_tries: 0,
            max_tries: policy.max_tries,
            code: self.keys.protect(app, id, &code, randomness::bytes()),
            code_given,
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

    /// The same message under the name and with the times that were promised earlier. Its code is bound to the name, so
    /// it is protected anew.
    fn as_promised(
        &self,
        mut stored: StoredMessage,
        id: MessageId,
        answer: &str,
    ) -> Result<StoredMessage, AcceptError> {
        let message = &mut stored.message;
        let sealed = message.code.sealed.as_deref().unwrap_or_default();
        let code = self.keys.reveal(message.code.key_id, sealed, &message.app, message.id);
        let code = code.map_err(|error| StoreError::Corrupt { what: error.to_string() })?;
        message.code = self.keys.protect(&message.app, id, &code, randomness::bytes());
        message.id = id;
        let corrupt = |_| StoreError::Corrupt { what: format!("idempotency_keys.answer of {id}: its times") };
        let times: PromisedTimes = serde_json::from_str(answer).map_err(corrupt)?;
        (message.created_at, message.expires_at) = (times.created_at, times.expires_at);
        Ok(stored)
    }
}
