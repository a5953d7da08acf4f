//! Brings events to messages: lock, decide, write, commit. Everything that changes a message goes through here.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::asking::{self, AskPlan};
use crate::domain::attempt::SendState;
use crate::domain::code_keys::CodeKeys;
use crate::domain::event::{Effect, Event, SendResult};
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::receipt::{Disposition, ErrorClass};
use crate::domain::step::step;
use crate::services::memory;
use crate::services::pulse::Pulse;
use crate::services::quarantine::{Loop, Quarantine};
use crate::services::under_way::UnderWay;
use crate::services::watch::Watch;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::checks::{self, PastCheck};
use crate::store::claims::{self, Claim, Claimed};
use crate::store::database::{Database, Session};
use crate::store::messages::{self, LockedMessage};
use crate::store::number_memory;
use crate::store::provider_ids::{self, ProviderId};
use crate::store::questions::{self, NewQuestion};
use crate::store::receipts::{self, MatchedReceipt, ReceivedReceipt};
use crate::store::sends::{self, PastSend};
use crate::store::transitions::{self as rows, Change};
use crate::telemetry;
use crate::telemetry::names;

/// Something that happened to a message, and what is to be written down about it.
#[derive(Clone, Debug)]
pub struct Command {
    pub message: MessageId,
    pub event: Event,
    /// When it happened, by our clock.
    pub at: DateTime<Utc>,
    pub record: Record,
}

#[derive(Clone, Debug)]
pub enum Record {
    Nothing,
    Receipt(Box<ReceivedReceipt>),
    /// A request to a provider: when it left, the HTTP status of the answer, and how to ask about it when it was taken.
    Send {
        started_at: DateTime<Utc>,
        http_status: Option<i16>,
        ask: Option<AskPlan>,
    },
    /// Only the app that owns the message may do this; UUIDv7 of a check.
    ByApp {
        app: String,
        check_id: Uuid,
    },
}

/// What became of a command.
#[derive(Clone, Debug)]
pub enum Done {
    Effect(Effect),
    /// No such message; with [`Record::ByApp`], none of this app.
    NotFound,
    /// Somebody else holds the message just now. Nothing happened; it may be tried again.
    Locked,
    /// The message fits none of our words, or the database refuses this change of it. Nothing happened, and trying again
    /// does not help this program.
    Unreadable,
}

/// Told when something was planned that is due at once.
pub type WakeSender = std::sync::Arc<tokio::sync::Notify>;

#[derive(Clone)]
pub struct Transitions {
    pub pool: Database,
    pub keys: CodeKeys,
    pub watch: Watch,
    pub wake_sender: WakeSender,
    pub pulse: Pulse,
    pub quarantine: Quarantine,
    pub under_way: UnderWay,
    /// How long it is remembered which channel works for a number; `None`: not at all.
    pub remember_for: Option<TimeDelta>,
    /// What is remembered is every app's, and not only that of the app whose message taught it.
    pub share_memory: bool,
}

/// What others hear of a group once it is committed.
struct Told {
    before: HashMap<MessageId, LockedMessage>,
    changed: Vec<MessageId>,
    newly_due: bool,
}

/// What a group of commands did.
#[derive(Default)]
pub struct Outcomes {
    /// One for each command, in order.
    pub done: Vec<Done>,
    /// The messages as they are now.
    pub messages: HashMap<MessageId, LockedMessage>,
    /// Ids of providers that became known.
    pub provider_ids: Vec<ProviderId>,
}

impl Transitions {
    /// Applies a group of commands in one transaction: one commit serves them all. Messages that somebody else holds are left
    /// out, and so are those that cannot be read: their commands say so.
    ///
    /// Runs to its end once begun: call it from a task of its own, never from one that a client can cancel.
    ///
    /// # Errors
    /// When the database is away or refuses; then nothing of the group happened.
    pub async fn run(&self, commands: &[Command]) -> Result<Outcomes, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let (outcomes, told) = self.apply_all(&mut transaction, commands).await?;
        transaction.commit().await?;
        self.tell(told, &outcomes);
        Ok(outcomes)
    }

    /// Takes up what a loop looks for and applies to each row the command that `command` makes of it, in one transaction, so
    /// that no other instance takes up the same. Returns the rows with what became of them.
    ///
    /// A group that the database refuses is taken up again with half of its rows, down to the one that is refused; that one is
    /// left alone for a while, and so is each row that cannot be read. So a bad row stops itself and nothing else.
    ///
    /// # Errors
    /// When the database is away or refuses; then nothing of the group happened.
    pub async fn run_claimed(
        &self,
        from: Loop,
        claim: &Claim,
        now: DateTime<Utc>,
        most: i64,
        command: impl Fn(&Claimed) -> Command,
    ) -> Result<(Vec<Claimed>, Outcomes), StoreError> {
        let limit = self.quarantine.group(from, most);
        let mut transaction = self.pool.begin().await?;
        let claimed = claims::take(&mut transaction, claim, now, limit, &self.quarantine.messages()).await?;
        if claimed.is_empty() {
            return Ok((claimed, Outcomes::default()));
        }
        let commands: Vec<Command> = claimed.iter().map(command).collect();
        let done = match self.apply_all(&mut transaction, &commands).await {
            Ok(done) => transaction.commit().await.map(|()| done).map_err(StoreError::from),
            Err(error) => Err(error),
        };
        match done {
            Ok((outcomes, told)) => {
                self.quarantine.went_well(from);
                self.tell(told, &outcomes);
                Ok((claimed, outcomes))
            }
            Err(error) => {
                self.quarantine.went_wrong(from, &claimed, &error);
                Err(error)
            }
        }
    }

    async fn apply_all(&self, connection: &mut Session, commands: &[Command]) -> Result<(Outcomes, Told), StoreError> {
        let mut ids: Vec<MessageId> = commands.iter().map(|c| c.message).collect();
        ids.sort_unstable();
        ids.dedup();

        let mut found = messages::lock(connection, &ids).await?;
        attempts::load(connection, &mut found).await?;
        let mut missing: HashMap<MessageId, Done> = HashMap::new();
        for (id, error) in found.unreadable {
            self.quarantine.put(id, &error);
            missing.insert(id, Done::Unreadable);
        }
        let before: HashMap<MessageId, LockedMessage> = found.messages.into_iter().map(|m| (m.message.id, m)).collect();
        let absent: Vec<MessageId> =
            ids.iter().filter(|id| !before.contains_key(id) && !missing.contains_key(id)).copied().collect();
        if !absent.is_empty() {
            let existing = messages::existing(connection, &absent).await?;
            missing.extend(existing.into_iter().map(|id| (id, Done::Locked)));
        }

        let mut after = before.clone();
        let mut log = Log::default();
        let apply = |command: &Command| match missing.get(&command.message) {
            Some(done) => done.clone(),
            None => self.apply(&mut after, command, &mut log),
        };
        let done: Vec<Done> = commands.iter().map(apply).collect();

        let changes: Vec<Change<'_>> = after
            .iter()
            .map(|(id, now)| Change { before: &before[id].message, after: &now.message })
            .filter(|change| change.before != change.after)
            .collect();
        rows::write(connection, &changes).await?;
        let changed: Vec<MessageId> = changes.iter().map(|change| change.after.id).collect();
        let newly_due = changes.iter().any(|c| is_due_now(c));
        drop(changes);
        log.write(connection, &after).await?;
        self.remember(connection, &before, &after, log.at).await?;
        let told = Told { before, changed, newly_due };
        Ok((Outcomes { done, messages: after, provider_ids: log.provider_ids }, told))
    }

    /// After the commit.
    fn tell(&self, Told { before, changed, newly_due }: Told, outcomes: &Outcomes) {
        for id in &changed {
            self.under_way.call_off_needless(&outcomes.messages[id].message);
        }
        if newly_due {
            self.wake_sender.notify_one();
        }
        self.pulse.note(changed.iter().map(|id| {
            let now = &outcomes.messages[id];
            (&before[id].message, &now.message, now.recipient.country())
        }));
        self.watch.tell(changed);
    }

    /// Writes down what the changes teach about their numbers.
    async fn remember(
        &self,
        connection: &mut Session,
        before: &HashMap<MessageId, LockedMessage>,
        after: &HashMap<MessageId, LockedMessage>,
        at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let (Some(at), Some(remember_for)) = (at, self.remember_for) else { return Ok(()) };
        let changes = after.iter().map(|(id, now)| (&before[id].message, now));
        let learned = memory::learned(changes, &self.keys, &self.pulse, self.share_memory);
        if !learned.is_empty() {
            number_memory::write(connection, &learned, at, at + remember_for).await?;
        }
        Ok(())
    }

    fn apply(&self, messages: &mut HashMap<MessageId, LockedMessage>, command: &Command, log: &mut Log) -> Done {
        let Some(stored) = messages.get_mut(&command.message) else { return Done::NotFound };
        let message = &mut stored.message;
        match &command.record {
            Record::ByApp { app, .. } if *app != message.app => return Done::NotFound,
            Record::Receipt(received) => {
                // A receipt speaks for the attempts of the accounts that prove it and for no others.
                let Event::Receipt { attempt_no, .. } = &command.event else { return Done::NotFound };
                match message.attempt(*attempt_no) {
                    Some(attempt) if received.speaks_for(&attempt.account) => {}
                    attempt => {
                        tell_stranger(received, attempt.map(|a| a.account.as_str()));
                        return Done::Effect(Effect::Receipt(Disposition::Unmatched));
                    }
                }
            }
            _ => {}
        }
        let effect = step(message, &command.event, &self.keys, command.at);
        log.note(command, &effect, message);
        Done::Effect(effect)
    }
}

/// Says that a receipt names an attempt of ours and is not believed about it.
fn tell_stranger(received: &ReceivedReceipt, attempts_account: Option<&str>) {
    if received.receipt.attempt_id.is_some() && telemetry::may_tell("receipts about attempts of other accounts") {
        tracing::warn!(
            callback_account = received.account,
            attempt_account = attempts_account.unwrap_or("none"),
            "a receipt names an attempt of another account, whose secret does not prove it: give both accounts the same \
             secret, or give each its own callback address at the provider"
        );
    }
}

/// Counts rows that were not stored, since enough of their kind are there.
fn left_out(table: &'static str, rows: u64) {
    if rows > 0 {
        metrics::counter!(names::ROWS_LEFT_OUT, "table" => table).increment(rows);
    }
}

/// Whether the change left something to be sent at once.
fn is_due_now(change: &Change<'_>) -> bool {
    let known = change.before.attempts.len();
    change.after.attempts.iter().skip(known).any(|a| a.send_state == SendState::Planned)
}

/// What is written beside the messages themselves.
#[derive(Default)]
struct Log {
    receipts: Vec<(Box<ReceivedReceipt>, MessageId, i16, Disposition)>,
    sends: Vec<PastSend>,
    checks: Vec<PastCheck>,
    provider_ids: Vec<ProviderId>,
    questions: Vec<NewQuestion>,
    at: Option<DateTime<Utc>>,
}

impl Log {
    fn note(&mut self, command: &Command, effect: &Effect, message: &Message) {
        self.at = Some(command.at);
        match (&command.event, &command.record, effect) {
            (Event::Receipt { attempt_no, .. }, Record::Receipt(received), Effect::Receipt(disposition)) => {
                self.receipts.push((received.clone(), command.message, *attempt_no, *disposition));
            }
            (Event::Send { attempt_no, result, .. }, Record::Send { started_at, http_status, ask }, effect) => {
                let (word, failure) = match result {
                    SendResult::Accepted { provider_message_id, .. } => {
                        self.note_provider_id(message, *attempt_no, provider_message_id);
                        if let Some(plan) = ask {
                            self.note_questions(message, *attempt_no, plan, command.at);
                        }
                        ("accepted", None)
                    }
                    SendResult::Rejected { failure, .. } => ("rejected", Some(failure)),
                    SendResult::Unknown { failure, .. } => ("unknown", Some(failure)),
                    SendResult::BreakerOpen { .. } if *effect == Effect::Ignored => return,
                    SendResult::BreakerOpen { .. } => ("breaker_open", None),
                };
                let code = failure.map(|f| f.code.clone());
                let error = (code, failure.map(|f| f.class));
                self.note_send(message, *attempt_no, word, (*started_at, command.at), *http_status, error);
            }
            (Event::LeaseRanOut { attempt_no, .. }, _, Effect::Done) => {
                let Some(attempt) = message.attempt(*attempt_no) else { return };
                let times = (attempt.in_flight_at.unwrap_or(command.at), command.at);
                let error = (attempt.error_code.clone(), attempt.error_class);
                self.note_send(message, *attempt_no, "lease_ran_out", times, None, error);
            }
            (Event::Check { .. }, Record::ByApp { check_id, .. }, Effect::Checked(checked)) => {
                self.checks.push(PastCheck {
                    message: message.id,
                    check_id: *check_id,
                    app: message.app.clone(),
                    checked_at: command.at,
                    verdict: checked.verdict,
                });
            }
            _ => {}
        }
    }

    fn note_provider_id(&mut self, message: &Message, attempt_no: i16, provider_message_id: &str) {
        let Some(attempt) = message.attempt(attempt_no) else { return };
        self.provider_ids.push(ProviderId {
            account: attempt.account.clone(),
            provider_message_id: provider_message_id.to_owned(),
            attempt: message.id.attempt(attempt_no),
        });
    }

    /// In the transaction that notes the acceptance, so that no crash can lose them.
    fn note_questions(&mut self, message: &Message, attempt_no: i16, plan: &AskPlan, at: DateTime<Utc>) {
        // An answer to an attempt that was accepted before planned them then.
        let Some(attempt) = message.attempt(attempt_no).filter(|a| a.accepted_at == Some(at)) else { return };
        let times = asking::times(attempt, plan.calls_back, at);
        if !times.is_empty() && asking::is_open(message, attempt_no, plan.calls_back, at) {
            let (account, ask_by) = (attempt.account.clone(), plan.ask_by.clone());
            self.questions.push(NewQuestion { message: message.id, attempt_no, account, ask_by, times });
        }
    }

    fn note_send(
        &mut self,
        message: &Message,
        attempt_no: i16,
        result: &str,
        (started_at, ended_at): (DateTime<Utc>, DateTime<Utc>),
        http_status: Option<i16>,
        (error_code, error_class): (Option<String>, Option<ErrorClass>),
    ) {
        let Some(attempt) = message.attempt(attempt_no) else { return };
        self.sends.push(PastSend {
            message: message.id,
            attempt_no,
            try_no: attempt.tries,
            app: message.app.clone(),
            account: attempt.account.clone(),
            started_at,
            ended_at,
            result: result.to_owned(),
            http_status,
            error_code,
            error_class,
        });
    }

    async fn write(
        &self,
        connection: &mut Session,
        messages: &HashMap<MessageId, LockedMessage>,
    ) -> Result<(), StoreError> {
        if !self.receipts.is_empty() {
            let matched: Vec<MatchedReceipt<'_>> = self
                .receipts
                .iter()
                .map(|(received, message, attempt_no, disposition)| MatchedReceipt {
                    received,
                    message: *message,
                    attempt_no: *attempt_no,
                    app: &messages[message].message.app,
                    account: messages[message].message.attempt(*attempt_no).map_or("", |a| a.account.as_str()),
                    disposition: *disposition,
                })
                .collect();
            left_out("receipts", receipts::insert(connection, &matched).await?);
        }
        if !self.sends.is_empty() {
            sends::insert(connection, &self.sends).await?;
        }
        if !self.checks.is_empty() {
            left_out("checks", checks::insert(connection, &self.checks).await?);
        }
        if let Some(at) = self.at.filter(|_| !self.provider_ids.is_empty()) {
            provider_ids::insert(connection, &self.provider_ids, at).await?;
        }
        if !self.questions.is_empty() {
            questions::insert(connection, &self.questions).await?;
        }
        Ok(())
    }
}
