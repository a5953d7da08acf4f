//! `otpost tail`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::api::messages::Message;
use crate::api::operations::Operation;
use crate::commands::client::{Client, Connection, block_on};
use crate::commands::paint::Paint;
use crate::commands::show::{channel_name, verdict};
use crate::commands::terminal;
use crate::domain::attempt::State;
use crate::domain::message::Outcome;

/// Interval between two queries.
const PERIOD: Duration = Duration::from_millis(500);
/// Number of messages per query, newest first. Changes of older ones are not seen.
const NEWEST: usize = 200;
/// Number of failed queries after which the service counts as gone; it may be restarting.
const PATIENCE: u32 = 20;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How many of the latest messages to begin with, at most 200.
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    lines: usize,
    /// JSON, in the API's format of a message (id, state, outcome, channel, attempts, ...): one line per changed
    /// message.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    // Ctrl-C ends it like other programs, so that a shell can tell it from a normal end.
    block_on(follow(&client, args))
}

async fn follow(client: &Client, args: &Args) -> Result<ExitCode> {
    let paint = Paint::of_stdout();
    let mut known: Option<HashMap<String, Message>> = None;
    let mut failures = 0;
    while !terminal::reader_is_gone() {
        let page = match client.get::<RawPage>(&format!("{}?limit={NEWEST}", Operation::ListMessages.path())).await {
            Ok(page) => page.read()?,
            Err(_) if known.is_some() && failures < PATIENCE => {
                failures += 1;
                tokio::time::sleep(PERIOD).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        failures = 0;
        let first_look = known.is_none();
        let before = known.take().unwrap_or_default();
        let quiet = if first_look { page.len().saturating_sub(args.lines) } else { 0 };
        // The newest comes first.
        for (message, raw) in page.iter().rev().skip(quiet) {
            if let Some(line) = news(before.get(&message.id), message, paint) {
                let line = if args.json { raw.to_string() } else { line };
                match if args.json { terminal::try_print_as_it_is(&line) } else { terminal::try_print(&line) } {
                    Ok(()) => {}
                    // The reader of a pipe has gone.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                    Err(error) => return Err(error).context("cannot write to standard output"),
                }
            }
        }
        known = Some(page.into_iter().map(|(message, _)| (message.id.clone(), message)).collect());
        tokio::time::sleep(PERIOD).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// A list, kept unchanged so that it can be printed unchanged.
#[derive(serde::Deserialize)]
struct RawPage {
    messages: Vec<Value>,
}

impl RawPage {
    fn read(self) -> Result<Vec<(Message, Value)>> {
        let read =
            |raw: Value| Ok((serde_json::from_value(raw.clone()).context("this is no message of otpost's")?, raw));
        self.messages.into_iter().map(read).collect()
    }
}

/// Narrower terminals get the id in a separate line.
const WIDE: usize = 100;

/// `None`: nothing that is worth a line for a person.
fn news(before: Option<&Message>, now: &Message, paint: Paint) -> Option<String> {
    let is_same = |old: &Message| {
        (&old.state, &old.outcome, old.attempts.len(), old.tries_left)
            == (&now.state, &now.outcome, now.attempts.len(), now.tries_left)
    };
    if before.is_some_and(is_same) {
        return None;
    }
    let word = match before {
        Some(old) if old.outcome == now.outcome && old.attempts.len() < now.attempts.len() => "replaced".to_owned(),
        Some(old) if old.tries_left > now.tries_left && now.outcome == Outcome::Pending => {
            format!("wrong code, {} left", now.tries_left)
        }
        _ => verdict(now),
    };
    let happened = [now.settled_at, Some(now.created_at)]
        .into_iter()
        .chain(now.attempts.iter().flat_map(|a| [a.accepted_at, a.sent_at, a.delivered_at, a.read_at, a.failed_at]));
    let at = happened.flatten().max().unwrap_or(now.created_at);
    let path: Vec<&str> = now.attempts.iter().map(|a| channel_name(a.channel)).collect();
    let padded = format!("{word:20}");
    let word = match now.outcome {
        Outcome::Verified => paint.green(&padded),
        Outcome::Expired | Outcome::Exhausted => paint.red(&padded),
        _ if now.state == State::Failed => paint.red(&padded),
        _ if now.state == State::Delivered => paint.green(&padded),
        _ => padded,
    };
    let reference = now.reference.as_deref().map(|r| format!("  {r}")).unwrap_or_default();
    let id = paint.dim(&now.id);
    let is_narrow = terminal::columns(&std::io::stdout()).is_some_and(|columns| columns < WIDE);
    let between = if is_narrow { "\n              " } else { "  " };
    Some(format!("{}  {:9}  {word} {:14}{between}{id}{reference}", at.format("%T%.3f"), now.to, path.join(" → ")))
}
