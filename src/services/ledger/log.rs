//! What is stored with the messages: receipts, sends, checks, provider ids, status queries.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::domain::event::{Effect, SendResult, Verdict};
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::receipt::{Disposition, ErrorClass, Failure};
use crate::domain::spraying::Compared;
use crate::domain::status_query::{self, StatusQueryPlan};
use crate::services::ledger::command::{AppRequest, Command, RecordedEvent, SentRequest};
use crate::store::StoreError;
use crate::store::checks::{self, PastCheck};
use crate::store::database::Session;
use crate::store::provider_ids::{self, ProviderId};
use crate::store::questions::{self, NewQuestion};
use crate::store::receipts::{self, MatchedReceipt, ReceivedReceipt};
use crate::store::sends::{self, PastSend};
use crate::store::stored::LockedMessage;
use crate::telemetry::names;

/// A failure that was reported after the provider accepted the message.
pub(super) struct ToldLate {
    pub message: MessageId,
    pub attempt_no: i16,
    pub failure: Failure,
    pub at: DateTime<Utc>,
}

/// The code of a send whose answer means "accepted" but contains no readable id.
pub const NO_ID: &str = "no_id";

/// What is stored with the messages.
#[derive(Default)]
pub(super) struct Log {
    receipts: Vec<(Box<ReceivedReceipt>, MessageId, i16, Disposition)>,
    sends: Vec<PastSend>,
    checks: Vec<PastCheck>,
    pub(super) provider_ids: Vec<ProviderId>,
    questions: Vec<NewQuestion>,
    pub(super) at: Option<DateTime<Utc>>,
    /// Codes that were compared, by app.
    pub(super) compared: Vec<(AppId, Compared)>,
}

impl Log {
    pub(super) fn note(&mut self, command: &Command, effect: &Effect, message: &Message) {
        self.at = Some(command.at);
        match &command.event {
            RecordedEvent::Receipt { attempt_no, received } => {
                if let Effect::Receipt(disposition) = effect {
                    self.receipts.push((received.clone(), command.message, *attempt_no, *disposition));
                }
            }
            RecordedEvent::Send { attempt_no, result, request, .. } => {
                let is_ignored = *effect == Effect::Ignored;
                self.note_result(message, *attempt_no, (result, is_ignored), request, command.at);
            }
            RecordedEvent::LeaseRanOut { attempt_no, .. } => {
                if let (Effect::Done, Some(attempt)) = (effect, message.attempt(*attempt_no)) {
                    let times = (attempt.in_flight_at.unwrap_or(command.at), command.at);
                    let error = (attempt.error_code.clone(), attempt.error_class);
                    self.note_send(message, *attempt_no, "lease_ran_out", times, None, error);
                }
            }
            RecordedEvent::ByApp { request: AppRequest::Check { check_id, .. }, .. } => {
                if let Effect::Checked(checked) = effect {
                    self.checks.push(PastCheck {
                        message: message.id,
                        check_id: *check_id,
                        app: message.app.clone(),
                        checked_at: command.at,
                        verdict: checked.verdict,
                    });
                }
            }
            RecordedEvent::ByApp {
                request: AppRequest::Resend { .. } | AppRequest::Cancel | AppRequest::Supersede,
                ..
            }
            | RecordedEvent::Lease { .. }
            | RecordedEvent::AccountGone { .. }
            | RecordedEvent::KeyGone { .. }
            | RecordedEvent::DeadlinePassed { .. }
            | RecordedEvent::LifeEnded => {}
        }
    }

    pub(super) fn note_compared(&mut self, app: &AppId, verdict: Verdict) {
        let one = match verdict {
            Verdict::Right => Compared { right: 1, wrong: 0 },
            Verdict::Wrong => Compared { right: 0, wrong: 1 },
            _ => return,
        };
        match self.compared.iter_mut().find(|(other, _)| other == app) {
            Some((_, sum)) => *sum = *sum + one,
            None => self.compared.push((app.clone(), one)),
        }
    }

    fn note_result(
        &mut self,
        message: &Message,
        attempt_no: i16,
        (result, is_ignored): (&SendResult, bool),
        request: &SentRequest,
        at: DateTime<Utc>,
    ) {
        let (word, failure) = match result {
            SendResult::Accepted { provider_message_id, .. } => {
                self.note_provider_id(message, attempt_no, provider_message_id);
                if let Some(plan) = &request.ask {
                    self.note_questions(message, attempt_no, plan, at);
                }
                let nameless = Failure::new(NO_ID, ErrorClass::Other);
                ("accepted", provider_message_id.is_empty().then_some(nameless))
            }
            SendResult::Rejected { failure, .. } => ("rejected", Some(failure.clone())),
            SendResult::Unknown { failure, .. } => ("unknown", Some(failure.clone())),
            SendResult::BreakerOpen { .. } if is_ignored => return,
            SendResult::BreakerOpen { .. } => ("breaker_open", None),
        };
        let class = failure.as_ref().map(|f| f.class).filter(|class| *class != ErrorClass::Other);
        let error = (failure.map(|f| f.code), class);
        self.note_send(message, attempt_no, word, (request.started_at, at), request.http_status, error);
    }

    fn note_provider_id(&mut self, message: &Message, attempt_no: i16, provider_message_id: &str) {
        let Some(attempt) = message.attempt(attempt_no).filter(|_| !provider_message_id.is_empty()) else { return };
        self.provider_ids.push(ProviderId {
            account: attempt.account.clone(),
            provider_message_id: provider_message_id.to_owned(),
            attempt: message.id.attempt(attempt_no),
        });
    }

    /// In the transaction that records the acceptance, so that no crash can lose them.
    fn note_questions(&mut self, message: &Message, attempt_no: i16, plan: &StatusQueryPlan, at: DateTime<Utc>) {
        // An earlier acceptance has planned them already.
        let Some(attempt) = message.attempt(attempt_no).filter(|a| a.accepted_at == Some(at)) else { return };
        let times = status_query::times(attempt, plan.calls_back, at);
        if !times.is_empty() && status_query::is_open(message, attempt_no, plan.calls_back, at) {
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

    /// Failures that receipts reported first.
    pub(super) fn failures(&self) -> Vec<ToldLate> {
        let told = |(received, message, attempt_no, disposition): &(Box<ReceivedReceipt>, _, _, _)| {
            let failure = received.receipt.failure.clone().filter(|_| *disposition == Disposition::Applied)?;
            Some(ToldLate { message: *message, attempt_no: *attempt_no, failure, at: received.received_at })
        };
        self.receipts.iter().filter_map(told).collect()
    }

    pub(super) async fn write(
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

/// Counts rows that were not stored, because enough of their kind exist.
fn left_out(table: &'static str, rows: u64) {
    if rows > 0 {
        metrics::counter!(names::ROWS_LEFT_OUT, "table" => table).increment(rows);
    }
}
