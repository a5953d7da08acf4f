//! The complete history of a message, in order.

use chrono::{DateTime, Utc};

use crate::api::timeline::Entry;
use crate::api::words::EventKind;
use crate::domain::app_id::AppId;
use crate::domain::attempt::{Attempt, Reason, Timer};
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::services::database_error::DatabaseError;
use crate::services::ledger::log::NO_ID;
use crate::services::messages::Messages;
use crate::services::messages::find::FindError;
use crate::services::messages::message_view::delivered_at;
use crate::store::StoreError;
use crate::store::answers::{self, PastAnswer};
use crate::store::checks::{self, ToldCheck};
use crate::store::database::Database;
use crate::store::receipts::{self, PastReceipt};
use crate::store::sends::{self, PastSend};
use crate::store::stored::StoredMessage;

impl Messages {
    /// The message, and what happened to it.
    ///
    /// # Errors
    /// [`FindError`].
    #[tracing::instrument(name = "message.timeline", skip_all, fields(app = %app, message_id = %id))]
    pub async fn timeline(&self, app: &AppId, id: MessageId) -> Result<(StoredMessage, Vec<Entry>), FindError> {
        let stored = self.find(app, id).await?;
        let entries = entries(&self.pool, &stored).await.map_err(DatabaseError::from)?;
        Ok((stored, entries))
    }
}

async fn entries(pool: &Database, stored: &StoredMessage) -> Result<Vec<Entry>, StoreError> {
    let id = stored.message.id;
    let sends = sends::of_message(pool, id).await?;
    let receipts = receipts::of_message(pool, id).await?;
    let checks = checks::of_message(pool, id).await?;
    let answers = answers::of_message(pool, id).await?;
    Ok(tell(stored, &sends, &receipts, &checks, &answers))
}

fn entry(at: DateTime<Utc>, event: EventKind, attempt_no: Option<i16>, text: String) -> Entry {
    Entry { at, event, attempt_no, text, provider_at: None, lateness_ms: None }
}

fn tell(
    stored: &StoredMessage,
    sends: &[PastSend],
    receipts: &[PastReceipt],
    checks: &[ToldCheck],
    answers: &[PastAnswer],
) -> Vec<Entry> {
    let message = &stored.message;
    let steps: Vec<String> =
        message.route.steps().iter().map(|s| format!("{} through {}", s.channel, s.account)).collect();
    let mut story = vec![entry(
        message.created_at,
        EventKind::Accepted,
        None,
        format!(
            "accepted for {}; route: {} ({}), replaced after {} s",
            stored.recipient,
            steps.join(", then "),
            message.route.why,
            message.route.replace_after_s
        ),
    )];
    for attempt in &message.attempts {
        tell_attempt(&mut story, attempt, &message.attempts);
    }
    for send in sends {
        tell_send(&mut story, send, &message.attempts);
    }
    story.extend(answers.iter().map(tell_answer));
    for receipt in receipts {
        let code = receipt.error_code.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
        let text = format!("{} receipt{code}: {}", receipt.status, receipt.disposition);
        let mut told = entry(receipt.received_at, EventKind::Receipt, Some(receipt.attempt_no), text);
        told.provider_at = receipt.provider_at;
        story.push(told);
    }
    for check in checks {
        story.push(entry(check.checked_at, EventKind::Check, None, format!("a code was checked: {}", check.verdict)));
    }
    if message.delivery_inferred && message.outcome != Outcome::Verified {
        let at = delivered_at(message).unwrap_or(message.created_at);
        let text = "counts as delivered: the provider accepted it, and never reports deliveries".to_owned();
        story.push(entry(at, EventKind::CountedDelivered, None, text));
    }
    if let Some(at) = message.settled_at {
        let inferred = if message.delivery_inferred && message.outcome == Outcome::Verified {
            "; delivery inferred from the right code"
        } else {
            ""
        };
        let text = match message.outcome {
            Outcome::Pending => String::new(),
            outcome => format!("{outcome}{inferred}"),
        };
        story.push(entry(at, EventKind::Settled, None, text));
    }
    // Entries of the same instant are in the order of cause and effect: an attempt's end creates the next one.
    story.sort_by_key(|e| {
        let attempt_no = e.attempt_no.unwrap_or(if e.event == EventKind::Settled { i16::MAX } else { 0 });
        (e.at, attempt_no, e.event)
    });
    story
}

fn tell_attempt(story: &mut Vec<Entry>, a: &Attempt, all: &[Attempt]) {
    let no = Some(a.attempt_no);
    let why = match a.reason {
        Reason::First => "first attempt",
        Reason::Failed => "replacement, because the previous attempt failed",
        Reason::Silent => "replacement, because the previous attempt was not delivered in time",
        Reason::Requested => "next attempt, requested by the app",
        Reason::Other => "attempt planned by a newer version",
    };
    story.push(entry(a.planned_at, EventKind::Planned, no, format!("{why}: {} through {}", a.channel, a.account)));
    if let Some(deadline) = a.replace_at {
        let from = a.accepted_at.or(a.in_flight_at).unwrap_or(a.planned_at).min(deadline);
        story.push(entry(
            from,
            EventKind::TimerArmed,
            no,
            format!("waits for a delivery until {}", deadline.format("%T%.3f")),
        ));
    }
    if let Some(at) = a.timer_ended_at {
        let why = a.timer_end.map(|w| format!(": {w}")).unwrap_or_default();
        match a.timer {
            Timer::Fired => story.push(entry(at, EventKind::TimerFired, no, "not delivered in time".to_owned())),
            _ => story.push(entry(at, EventKind::TimerDisarmed, no, format!("no longer waits{why}"))),
        }
    }
    if a.wasted {
        let price = a.price.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
        let text = format!("unnecessary{price}: an earlier attempt was delivered after all");
        let earlier = all.iter().filter(|e| e.attempt_no < a.attempt_no);
        let learned = earlier.filter_map(|e| e.delivered.at.or(e.read.at)).min().unwrap_or(a.planned_at);
        story.push(entry(learned, EventKind::Wasted, no, text));
    }
    if let Some(why) = a.not_replaced {
        let at = a.failed.at.into_iter().chain(a.timer_ended_at).max().unwrap_or(a.planned_at);
        story.push(entry(at, EventKind::NotReplaced, no, format!("no replacement: {why}")));
    }
}

fn tell_send(story: &mut Vec<Entry>, send: &PastSend, attempts: &[Attempt]) {
    let no = Some(send.attempt_no);
    if send.result == "breaker_open" {
        story.push(entry(
            send.ended_at,
            EventKind::Answer,
            no,
            format!("{} is left alone: too many failures", send.account),
        ));
        return;
    }
    let mut request =
        entry(send.started_at, EventKind::Request, no, format!("request {} sent to {}", send.try_no, send.account));
    request.lateness_ms = lateness_ms(send, attempts);
    story.push(request);
    let took = (send.ended_at - send.started_at).num_milliseconds();
    let status = send.http_status.map(|s| format!(", HTTP {s}")).unwrap_or_default();
    let code = match send.error_code.as_deref() {
        Some(NO_ID) => ", but the answer has no readable id: receipts are matched by our reference".to_owned(),
        code => code.map(|c| format!(", {c}")).unwrap_or_default(),
    };
    story.push(entry(send.ended_at, EventKind::Answer, no, format!("{}{status}{code} after {took} ms", send.result)));
}

fn tell_answer(answer: &PastAnswer) -> Entry {
    let took = (answer.ended_at - answer.asked_at).num_milliseconds();
    let status = answer.http_status.map(|s| format!(", HTTP {s}")).unwrap_or_default();
    let told = match (&answer.told, &answer.trouble) {
        (Some(told), _) => told.as_str(),
        (None, Some(trouble)) => trouble,
        (None, None) => "nothing new",
    };
    let text = format!("status query to {}: {told}{status} after {took} ms", answer.account);
    entry(answer.asked_at, EventKind::Question, Some(answer.attempt_no), text)
}

/// How late the first request of a replacement was sent; `None` for every other request.
fn lateness_ms(send: &PastSend, attempts: &[Attempt]) -> Option<f64> {
    let index = usize::try_from(send.attempt_no).ok()?.checked_sub(1)?;
    let (attempt, before) = (attempts.get(index)?, attempts.get(index.checked_sub(1)?)?);
    if send.try_no != 1 {
        return None;
    }
    let due = match attempt.reason {
        Reason::Silent => before.replace_at?,
        Reason::Failed => before.failed.at?,
        Reason::First | Reason::Requested | Reason::Other => return None,
    };
    Some((send.started_at - due).num_microseconds()? as f64 / 1000.0)
}
