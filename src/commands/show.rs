//! `otpost show`.

use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::api::messages::Message;
use crate::api::operations::Operation;
use crate::api::timeline::{Entry, Timeline};
use crate::api::words::EventKind;
use crate::commands::client::{Connection, block_on};
use crate::commands::paint::{Paint, length};
use crate::commands::terminal;
use crate::domain::attempt::State;
use crate::domain::channel::Channel;
use crate::domain::message::Outcome;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The message's id.
    id: String,
    /// JSON on one line, as GET /v1/messages/ID/timeline returns it: message, timeline.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let path = Operation::GetTimeline.of_message(&args.id);
    if args.json {
        let story: serde_json::Value = block_on(client.get(&path))?;
        terminal::print_json(&story);
        return Ok(ExitCode::SUCCESS);
    }
    let story: Timeline = block_on(client.get(&path))?;
    let columns = terminal::columns(&std::io::stdout()).unwrap_or(usize::MAX);
    terminal::print_as_it_is(&tell(&story, Paint::of_stdout(), columns));
    Ok(ExitCode::SUCCESS)
}

/// The column where the text of an entry begins.
const TEXT_COLUMN: usize = 24;

fn tell(story: &Timeline, paint: Paint, columns: usize) -> String {
    let Timeline { message, timeline, .. } = story;
    let head = format!(
        "{}  {}\n{}\n\n",
        paint.bold(&format!("{} to {}", verdict(message), message.to)),
        paint.dim(&message.id),
        paint.dim(&format!("asked for at {} UTC; times below count from then", message.created_at.format("%F %T%.3f"))),
    );
    let mut text = terminal::fold(&head, columns);
    for entry in timeline {
        let line = line(entry, message.created_at, message, paint);
        text.push_str(&terminal::fold_line(&line, columns, TEXT_COLUMN));
        text.push('\n');
    }
    text
}

/// `verified`, `delivered`, `expired (failed)`: the outcome if there is one, else the delivery state.
pub(super) fn verdict(message: &Message) -> String {
    match (message.outcome, message.state) {
        (Outcome::Pending, state) => state.to_string(),
        (Outcome::Verified, _) | (Outcome::Failed, State::Failed) => message.outcome.to_string(),
        (outcome, state) => format!("{outcome} ({state})"),
    }
}

fn line(entry: &Entry, from: DateTime<Utc>, message: &Message, paint: Paint) -> String {
    let since = seconds(from, entry.at);
    let attempt = entry.attempt_no.and_then(|no| message.attempts.iter().find(|a| a.attempt_no == no));
    let channel = attempt.map_or("", |a| channel_name(a.channel));
    let deadline = attempt.and_then(|a| a.replace_at).filter(|_| entry.event == EventKind::TimerArmed);
    let text = match deadline {
        Some(at) => format!("waits for a delivery until {:+.3} s", seconds(from, at)),
        None => entry.text.clone(),
    };
    let what = match entry.event {
        EventKind::Settled => paint.green(&text),
        EventKind::TimerFired | EventKind::NotReplaced => paint.yellow(&text),
        EventKind::TimerArmed | EventKind::TimerDisarmed => paint.dim(&text),
        _ => text,
    };
    let late =
        entry.lateness_ms.map(|ms| paint.cyan(&format!("  {} after it was due", length(ms)))).unwrap_or_default();
    format!("{:>+10.3} s  {channel:8}  {what}{late}", since)
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

pub(super) fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Whatsapp => "WhatsApp",
        Channel::Sms => "SMS",
    }
}
