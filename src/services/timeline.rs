//! The whole story of a message, in order.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::attempt::{Attempt, Reason, Timer};
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::store::StoreError;
use crate::store::answers::{self, PastAnswer};
use crate::store::checks::{self, ToldCheck};
use crate::store::database::Database;
use crate::store::messages::{self, StoredMessage};
use crate::store::receipts::{self, PastReceipt};
use crate::store::sends::{self, PastSend};

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// One of [`EVENTS`].
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_no: Option<i16>,
    /// For a person.
    pub text: String,
    /// The provider's clock, for receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_at: Option<DateTime<Utc>>,
    /// For the first request of a replacement: how long after its deadline, or after the failure it answers, it left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<f64>,
}

/// `None` when this app has no such message.
///
/// # Errors
/// When the database is away.
pub async fn of_message(
    pool: &Database,
    app: &str,
    id: MessageId,
) -> Result<Option<(StoredMessage, Vec<Entry>)>, StoreError> {
    let Some(stored) = messages::find(pool, app, id).await? else { return Ok(None) };
    let sends = sends::of_message(pool, id).await?;
    let receipts = receipts::of_message(pool, id).await?;
    let checks = checks::of_message(pool, id).await?;
    let answers = answers::of_message(pool, id).await?;
    let entries = tell(&stored, &sends, &receipts, &checks, &answers);
    Ok(Some((stored, entries)))
}

fn entry(at: DateTime<Utc>, event: &'static str, attempt_no: Option<i16>, text: String) -> Entry {
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
        "accepted",
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
        let mut told = entry(receipt.received_at, "receipt", Some(receipt.attempt_no), text);
        told.provider_at = receipt.provider_at;
        story.push(told);
    }
    for check in checks {
        story.push(entry(check.checked_at, "check", None, format!("a code was checked: {}", check.verdict)));
    }
    if let Some(at) = message.settled_at {
        let inferred = if message.delivery_inferred { "; delivery inferred from the right code" } else { "" };
        let text = match message.outcome {
            Outcome::Pending => String::new(),
            outcome => format!("{outcome}{inferred}"),
        };
        story.push(entry(at, "settled", None, text));
    }
    // What happened at the same instant is told in the order of cause and effect: an attempt's end makes the next one.
    story.sort_by_key(|e| {
        let attempt_no = e.attempt_no.unwrap_or(if e.event == "settled" { i16::MAX } else { 0 });
        (e.at, attempt_no, EVENTS.iter().position(|event| *event == e.event))
    });
    story
}

/// Every event, causes before their effects within an attempt.
const EVENTS: [&str; 13] = [
    "accepted",
    "check",
    "planned",
    "request",
    "answer",
    "timer_armed",
    "question",
    "receipt",
    "timer_fired",
    "timer_disarmed",
    "not_replaced",
    "wasted",
    "settled",
];

fn tell_attempt(story: &mut Vec<Entry>, a: &Attempt, all: &[Attempt]) {
    let no = Some(a.attempt_no);
    let why = match a.reason {
        Reason::First => "first attempt",
        Reason::Failed => "replacement, because the attempt before failed",
        Reason::Silent => "replacement, because the attempt before was not delivered in time",
        Reason::Requested => "next attempt, as the app asked",
        Reason::Other => "attempt planned by a newer version",
    };
    story.push(entry(a.planned_at, "planned", no, format!("{why}: {} through {}", a.channel, a.account)));
    if let Some(deadline) = a.replace_at {
        let from = a.accepted_at.or(a.in_flight_at).unwrap_or(a.planned_at).min(deadline);
        story.push(entry(from, "timer_armed", no, format!("waits for a delivery until {}", deadline.format("%T%.3f"))));
    }
    if let Some(at) = a.timer_ended_at {
        let why = a.timer_end.map(|w| format!(": {w}")).unwrap_or_default();
        match a.timer {
            Timer::Fired => story.push(entry(at, "timer_fired", no, "not delivered in time".to_owned())),
            _ => story.push(entry(at, "timer_disarmed", no, format!("no longer waits{why}"))),
        }
    }
    if a.wasted {
        let price = a.price.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
        let text = format!("needless{price}: an earlier attempt was delivered after all");
        let earlier = all.iter().filter(|e| e.attempt_no < a.attempt_no);
        let learned = earlier.filter_map(|e| e.delivered.at.or(e.read.at)).min().unwrap_or(a.planned_at);
        story.push(entry(learned, "wasted", no, text));
    }
    if let Some(why) = a.not_replaced {
        let at = a.failed.at.into_iter().chain(a.timer_ended_at).max().unwrap_or(a.planned_at);
        story.push(entry(at, "not_replaced", no, format!("no replacement: {why}")));
    }
}

fn tell_send(story: &mut Vec<Entry>, send: &PastSend, attempts: &[Attempt]) {
    let no = Some(send.attempt_no);
    if send.result == "breaker_open" {
        story.push(entry(send.ended_at, "answer", no, format!("{} is left alone: too many failures", send.account)));
        return;
    }
    let mut request =
        entry(send.started_at, "request", no, format!("request {} to {} leaves", send.try_no, send.account));
    request.lateness_ms = lateness_ms(send, attempts);
    story.push(request);
    let took = (send.ended_at - send.started_at).num_milliseconds();
    let status = send.http_status.map(|s| format!(", HTTP {s}")).unwrap_or_default();
    let code = send.error_code.as_ref().map(|c| format!(", {c}")).unwrap_or_default();
    story.push(entry(send.ended_at, "answer", no, format!("{}{status}{code} after {took} ms", send.result)));
}

fn tell_answer(answer: &PastAnswer) -> Entry {
    let took = (answer.ended_at - answer.asked_at).num_milliseconds();
    let status = answer.http_status.map(|s| format!(", HTTP {s}")).unwrap_or_default();
    let told = match (&answer.told, &answer.trouble) {
        (Some(told), _) => told.as_str(),
        (None, Some(trouble)) => trouble,
        (None, None) => "nothing new",
    };
    let text = format!("{} is asked what became of it: {told}{status} after {took} ms", answer.account);
    entry(answer.asked_at, "question", Some(answer.attempt_no), text)
}

/// How late the first request of a replacement left; `None` for every other request.
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
