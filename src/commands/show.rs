//! `otpost show`.

use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::commands::client::{Connection, Entry, Message, Story, block_on};
use crate::commands::paint::{Paint, length};

#[derive(clap::Args)]
pub struct Args {
    /// The message's id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let story: Story = block_on(client.get(&format!("/v1/messages/{}/timeline", args.id)))?;
    print!("{}", tell(&story, Paint::of_stdout()));
    Ok(ExitCode::SUCCESS)
}

fn tell(story: &Story, paint: Paint) -> String {
    let Story { message, timeline } = story;
    let mut text = format!(
        "{}  {}\n{}\n\n",
        paint.bold(&format!("{} to {}", verdict(message), message.to)),
        paint.dim(&message.id),
        paint.dim(&format!("asked for at {} UTC; times below count from then", message.created_at.format("%F %T%.3f"))),
    );
    for entry in timeline {
        text.push_str(&line(entry, message.created_at, message, paint));
        text.push('\n');
    }
    text
}

/// `verified`, `delivered`, `expired (failed)`: the outcome when there is one, else how far it came.
pub fn verdict(message: &Message) -> String {
    match (message.outcome.as_str(), message.state.as_str()) {
        ("pending", state) => state.to_owned(),
        ("verified", _) => "verified".to_owned(),
        (outcome, state) => format!("{outcome} ({state})"),
    }
}

fn line(entry: &Entry, from: DateTime<Utc>, message: &Message, paint: Paint) -> String {
    let since = seconds(from, entry.at);
    let attempt = entry.attempt_no.and_then(|no| message.attempts.iter().find(|a| a.attempt_no == no));
    let channel = attempt.map_or("", |a| channel_name(&a.channel));
    let deadline = attempt.and_then(|a| a.replace_at).filter(|_| entry.event == "timer_armed");
    let text = match deadline {
        Some(at) => format!("waits for a delivery until {:+.3} s", seconds(from, at)),
        None => entry.text.clone(),
    };
    let what = match entry.event.as_str() {
        "settled" => paint.green(&text),
        "timer_fired" | "not_replaced" => paint.yellow(&text),
        "timer_armed" | "timer_disarmed" => paint.dim(&text),
        _ => text,
    };
    let late =
        entry.lateness_ms.map(|ms| paint.cyan(&format!("  {} after it was due", length(ms)))).unwrap_or_default();
    format!("{:>+10.3} s  {channel:8}  {what}{late}", since)
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6
}

pub fn channel_name(channel: &str) -> &str {
    match channel {
        "whatsapp" => "WhatsApp",
        "sms" => "SMS",
        other => other,
    }
}
