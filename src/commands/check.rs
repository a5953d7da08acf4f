//! `otpost check`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::api::checks::CheckAnswer;
use crate::api::operations::Operation;
use crate::api::requests::CheckRequest;
use crate::api::words::CheckReason;
use crate::commands::client::{Connection, block_on};
use crate::commands::{secret, terminal};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The message's id, as `otpost send` printed it.
    id: String,
    /// What the person entered: - for a line of standard input, env:NAME, file:PATH, or the code itself, which others
    /// on this machine can see.
    code: String,
    /// JSON on one line, as POST /v1/messages/ID/check returns it: valid, outcome, tries_left, and reason unless it is
    /// valid.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let path = Operation::CheckCode.of_message(&args.id);
    let code = secret::resolve(&args.code, "the code")?;
    let answer: Value = block_on(client.post(&path, &CheckRequest { code }))?;
    let checked = CheckAnswer::deserialize(&answer).context("this is no answer of otpost's")?;
    if args.json {
        terminal::print_json(&answer);
    } else {
        terminal::print(&told(&checked));
    }
    Ok(if checked.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(checked: &CheckAnswer) -> String {
    if checked.valid {
        return format!("right: the message is {}", checked.outcome);
    }
    let tries = match checked.tries_left {
        1 => "1 try left".to_owned(),
        n => format!("{n} tries left"),
    };
    match checked.reason {
        Some(CheckReason::WrongCode) => format!("wrong: {tries}"),
        Some(CheckReason::AlreadyUsed) => "not again: this message is verified already".to_owned(),
        Some(CheckReason::Expired) => "too late: the message is expired".to_owned(),
        Some(CheckReason::TooManyTries) => "too many wrong codes: the message is exhausted".to_owned(),
        Some(CheckReason::Cancelled) => "the message was cancelled".to_owned(),
        Some(CheckReason::Superseded) => "a newer message took its place".to_owned(),
        Some(CheckReason::Other) | None => format!("not valid: the message is {}", checked.outcome),
    }
}
