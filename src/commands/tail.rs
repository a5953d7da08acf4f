//! `otpost tail`.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::commands::client::{Client, Connection, Message, Page, block_on};
use crate::commands::paint::Paint;
use crate::commands::show::{channel_name, verdict};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// Of one look: the newest messages. Changes of older ones are not seen.
const NEWEST: usize = 200;
/// How long a service may be away, say while it restarts.
const PATIENCE: u32 = 20;

#[derive(clap::Args)]
pub struct Args {
    /// How many of the latest messages to begin with, at most 200.
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    lines: usize,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    block_on(async {
        tokio::select! {
            result = follow(&client, args.lines) => result,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn follow(client: &Client, lines: usize) -> Result<ExitCode> {
    let paint = Paint::of_stdout();
    let mut known: Option<HashMap<String, Message>> = None;
    let mut failures = 0;
    loop {
        let page = match client.get::<Page>(&format!("/v1/messages?limit={NEWEST}")).await {
            Ok(page) => page,
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
        let quiet = if first_look { page.messages.len().saturating_sub(lines) } else { 0 };
        // The newest comes first.
        for message in page.messages.iter().rev().skip(quiet) {
            if let Some(line) = news(before.get(&message.id), message, paint) {
                // The reader of a pipe is gone.
                if writeln!(std::io::stdout(), "{line}").is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        known = Some(page.messages.into_iter().map(|message| (message.id.clone(), message)).collect());
        tokio::time::sleep(PERIOD).await;
    }
}

/// `None`: nothing that a person would call news.
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
        Some(old) if old.tries_left > now.tries_left && now.outcome == "pending" => {
            format!("wrong code, {} left", now.tries_left)
        }
        _ => verdict(now),
    };
    let happened = [now.settled_at, Some(now.created_at)]
        .into_iter()
        .chain(now.attempts.iter().flat_map(|a| [a.accepted_at, a.sent_at, a.delivered_at, a.read_at, a.failed_at]));
    let at = happened.flatten().max().unwrap_or(now.created_at);
    let path: Vec<&str> = now.attempts.iter().map(|a| channel_name(&a.channel)).collect();
    let padded = format!("{word:20}");
    let word = match now.outcome.as_str() {
        "verified" => paint.green(&padded),
        "expired" | "exhausted" => paint.red(&padded),
        _ if now.state == "failed" => paint.red(&padded),
        _ if now.state == "delivered" => paint.green(&padded),
        _ => padded,
    };
    let reference = now.reference.as_deref().map(|r| format!("  {r}")).unwrap_or_default();
    let id = paint.dim(&now.id);
    Some(format!("{}  {:9}  {word} {:14}  {id}{reference}", at.format("%T%.3f"), now.to, path.join(" → ")))
}
