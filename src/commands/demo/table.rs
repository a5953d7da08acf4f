//! The table: one line per phone, from its timeline.

use chrono::{DateTime, Utc};

use super::play::Row;
use crate::api::messages::Attempt;
use crate::api::timeline::{Entry, Timeline};
use crate::api::words::EventKind;
use crate::commands::paint::{Paint, length};
use crate::commands::show::channel_name;
use crate::domain::attempt::{Reason, SendState, State, Timer};
use crate::domain::message::Outcome;

const SPINNER: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];
/// Widths of the columns before the story, and of the gap between two.
const TO: usize = 9;
const FATE: usize = 20;
const PATH: usize = 14;
const STATE: usize = 11;
const GAP: usize = 2;
/// Narrower terminals omit the fate, then the story.
const WITH_FATE: usize = 96;
/// Wider lines are hard to read.
const WIDEST: usize = 132;
const NARROWEST: usize = 48;

/// Up to this rank a part is omitted before another is shortened.
const HARDLY: u8 = 2;

/// One step of a story, in words that can be shortened or omitted.
struct Part {
    /// From the longest form to the shortest, which may be empty.
    forms: Vec<String>,
    /// Lower ranks are shortened first.
    rank: u8,
}

fn part(rank: u8, forms: &[&str]) -> Part {
    Part { forms: forms.iter().map(|form| (*form).to_owned()).collect(), rank }
}

/// How to draw it.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub width: usize,
    pub paint: Paint,
    /// The service's clock.
    pub now: DateTime<Utc>,
    /// Counts frames, for the spinner; `None` for the last frame.
    pub turn: Option<usize>,
}

pub(super) fn lines(rows: &[Row], look: Look) -> Vec<String> {
    let width = look.width.clamp(NARROWEST, WIDEST);
    let with_fate = width >= WITH_FATE;
    let paint = look.paint;
    let head = |text: &str, width: usize| paint.dim(&padded(text, width));
    let gap = " ".repeat(GAP);
    let mut columns = vec![head("phone", TO)];
    if with_fate {
        columns.push(head("WhatsApp …", FATE));
    }
    columns.extend([head("path", PATH), head("state", STATE), head("what happened", 0)]);
    let mut lines = vec![columns.join(&gap)];
    let fixed = TO + PATH + STATE + 3 * GAP + if with_fate { FATE + GAP } else { 0 };
    for row in rows {
        let mut columns = vec![padded(&row.to, TO)];
        if with_fate {
            columns.push(padded(row.fate.words, FATE));
        }
        columns.push(path(row, paint));
        columns.push(state(row, look));
        columns.push(story(row, look, width.saturating_sub(fixed + 1)));
        lines.push(columns.join(&gap));
    }
    lines
}

fn padded(text: &str, width: usize) -> String {
    let cut: String = text.chars().take(if width == 0 { usize::MAX } else { width }).collect();
    format!("{cut:width$}")
}

fn path(row: &Row, paint: Paint) -> String {
    let attempts = row.story.as_ref().map_or(&[][..], |story| &story.message.attempts);
    let names: Vec<&str> = attempts.iter().map(|a| channel_name(a.channel)).collect();
    let text = padded(&names.join(" → "), PATH);
    if attempts.len() > 1 { paint.cyan(&text) } else { text }
}

fn state(row: &Row, look: Look) -> String {
    let paint = look.paint;
    let turning = |word: &str| {
        let icon = look.turn.map_or('…', |turn| SPINNER[turn % SPINNER.len()]);
        paint.yellow(&padded(&format!("{icon} {word}"), STATE))
    };
    let Some(Timeline { message, .. }) = &row.story else { return turning("posted") };
    match (message.state, message.outcome) {
        (_, Outcome::Verified) => paint.bold(&paint.green(&padded("✓ verified", STATE))),
        (_, outcome) if outcome != Outcome::Pending => paint.red(&padded(&format!("✗ {outcome}"), STATE)),
        (State::Delivered, _) => paint.green(&padded("✓ delivered", STATE)),
        (State::Failed, _) => paint.red(&padded("✗ failed", STATE)),
        (state, _) => turning(state.as_str()),
    }
}

fn story(row: &Row, look: Look, room: usize) -> String {
    let mut parts = vec![part(1, &[&format!("accepted {}", length(row.posted_ms)), ""])];
    let mut countdown = None;
    if let Some(story) = &row.story {
        tell(story, &mut parts);
        countdown = waiting(story, look);
    }
    let countdown_room = countdown.as_ref().map_or(0, |text| text.chars().count() + 3);
    let told = fitted(parts, room.saturating_sub(countdown_room));
    match countdown {
        Some(text) if told.is_empty() => look.paint.yellow(&text),
        Some(text) => format!("{told} · {}", look.paint.yellow(&text)),
        None => told,
    }
}

/// `SMS in 8.3 s`, while a deadline is running.
fn waiting(story: &Timeline, look: Look) -> Option<String> {
    look.turn?;
    let last = story.message.attempts.last()?;
    let deadline = last.replace_at.filter(|_| last.timer == Timer::Armed && last.delivered_at.is_none())?;
    Some(format!("SMS in {:.1} s", ms(look.now, deadline).max(0.0) / 1000.0))
}

fn tell(story: &Timeline, parts: &mut Vec<Part>) {
    let attempts = &story.message.attempts;
    let Some(first) = attempts.first() else { return };
    let left = |no: i16| story.timeline.iter().find(|e| e.event == EventKind::Request && e.attempt_no == Some(no));
    let left_at = |a: &Attempt| left(a.attempt_no).map(|e| e.at).or(a.accepted_at);
    let since_left = |a: &Attempt, at: DateTime<Utc>| left_at(a).map_or(0.0, |from| ms(from, at).max(0.0));
    match attempts.get(1) {
        None => tell_only(story, first, &since_left, parts),
        Some(second) => {
            tell_end(story, first, second, &since_left, parts);
            if let Some(late) = left(second.attempt_no).and_then(|e| e.lateness_ms) {
                let (long, short) = match second.reason {
                    Reason::Silent => (format!("SMS {} late", length(late)), format!("SMS +{}", length(late))),
                    _ => (format!("SMS {} later", length(late)), format!("SMS +{}", length(late))),
                };
                parts.push(part(5, &[&long, &short, ""]));
            }
            if let Some(at) = second.delivered_at {
                let took = length(since_left(second, at));
                parts.push(part(6, &[&format!("delivered {took}"), &format!("in {took}"), &took]));
            } else if let Some(at) = second.failed_at {
                parts.push(part(6, &[&format!("failed too {}", length(since_left(second, at))), "failed too"]));
            }
            if let (Some(one), Some(other)) = (first.delivered_at, second.delivered_at.or(second.accepted_at)) {
                let order = if one > other { "then WhatsApp too" } else { "WhatsApp too" };
                parts.push(part(6, &[order, "WhatsApp too", "both", ""]));
            }
        }
    }
    let wrong = count(&story.timeline, EventKind::Check, "wrong");
    if wrong > 0 {
        parts.push(part(4, &[&format!("{wrong} wrong code, then right"), &format!("{wrong} wrong code"), ""]));
    }
}

/// Only one attempt so far.
fn tell_only(
    story: &Timeline,
    first: &Attempt,
    since_left: &impl Fn(&Attempt, DateTime<Utc>) -> f64,
    parts: &mut Vec<Part>,
) {
    if first.tries > 1 {
        parts.push(part(3, &[&format!("{} tries", first.tries), ""]));
    }
    let Some(delivered) = first.delivered_at else {
        if let Some(at) = first.failed_at {
            parts.push(part(6, &[&format!("failed {}", length(since_left(first, at)))]));
        }
        return;
    };
    let took = length(since_left(first, delivered));
    parts.push(part(6, &[&format!("delivered {took}"), &took]));
    if first.accepted_at.is_some_and(|answered| delivered < answered) {
        parts.push(part(3, &["before the answer", ""]));
    }
    if first.sent_at.is_none() {
        parts.push(part(3, &["never `sent`", ""]));
    }
    let receipts = story.timeline.iter().filter(|e| e.event == EventKind::Receipt).count();
    if count(&story.timeline, EventKind::Receipt, "duplicate") > 0 {
        parts.push(part(3, &[&format!("{receipts} receipts, counted once"), &format!("{receipts} receipts"), ""]));
    } else if let Some(read) = first.read_at {
        parts.push(part(2, &[&format!("read {} later", length(ms(delivered, read).max(0.0))), "read", ""]));
    }
}

/// How the first attempt ended, so that a second was needed.
fn tell_end(
    story: &Timeline,
    first: &Attempt,
    second: &Attempt,
    since_left: &impl Fn(&Attempt, DateTime<Utc>) -> f64,
    parts: &mut Vec<Part>,
) {
    if second.reason == Reason::Silent {
        if first.send_state == SendState::Unknown {
            parts.push(part(2, &["no answer", ""]));
        }
        let fired =
            story.timeline.iter().find(|e| e.event == EventKind::TimerFired && e.attempt_no == Some(first.attempt_no));
        // The length that was requested, and how late the timer fired.
        let late = fired.zip(first.replace_at).map(|(fired, deadline)| ms(deadline, fired.at));
        let waited = late.map(|late| f64::from(story.message.replace_after_s) * 1000.0 + late);
        if let Some(waited) = waited {
            let waited = format!("+{:.3} s", waited / 1000.0);
            parts.push(part(4, &[&format!("deadline {waited}"), &waited, ""]));
        }
    } else if let Some(failed) = first.failed_at {
        let after = length(since_left(first, failed));
        let long = match first.send_state {
            SendState::Rejected if first.tries > 1 => format!("refused {}× in {after}", first.tries),
            SendState::Rejected => format!("refused in {after}"),
            _ => format!("failed {after}"),
        };
        parts.push(part(4, &[&long, ""]));
    }
}

fn count(timeline: &[Entry], event: EventKind, word: &str) -> usize {
    timeline.iter().filter(|e| e.event == event && e.text.ends_with(word)).count()
}

fn ms(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1000.0
}

/// Shortens the least important parts until all fits.
fn fitted(mut parts: Vec<Part>, room: usize) -> String {
    loop {
        let text: Vec<&str> = parts.iter().map(|p| p.forms[0].as_str()).filter(|form| !form.is_empty()).collect();
        let text = text.join(" · ");
        if text.chars().count() <= room {
            return text;
        }
        // First omit parts of low rank, then shorten, then omit the rest.
        let next = |p: &&mut Part| (p.rank > HARDLY && p.forms[1].is_empty(), p.rank);
        let Some(least) = parts.iter_mut().filter(|p| p.forms.len() > 1).min_by_key(next) else {
            return text.chars().take(room).collect();
        };
        least.forms.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_shortened_where_it_matters_least() {
        let parts = || {
            vec![
                part(1, &["accepted 12 ms", ""]),
                part(4, &["deadline +15.002 s", "+15.002 s", ""]),
                part(6, &["delivered 2.4 s", "2.4 s"]),
            ]
        };
        assert_eq!(fitted(parts(), 60), "accepted 12 ms · deadline +15.002 s · delivered 2.4 s");
        assert_eq!(fitted(parts(), 40), "deadline +15.002 s · delivered 2.4 s");
        assert_eq!(fitted(parts(), 30), "+15.002 s · delivered 2.4 s");
        assert_eq!(fitted(parts(), 20), "+15.002 s · 2.4 s");
        assert_eq!(fitted(parts(), 15), "2.4 s");
        assert_eq!(fitted(parts(), 3), "2.4");
    }
}
