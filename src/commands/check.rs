//! `otpost check`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::commands::client::{Checked, Connection, block_on};
use crate::commands::secret;

#[derive(clap::Args)]
pub struct Args {
    /// The message's id, as `otpost send` printed it.
    id: String,
    /// What the person typed: - for a line of standard input, env:NAME, file:PATH, or the code itself, which others on this
    /// machine can see.
    code: String,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let path = format!("/v1/messages/{}/check", args.id);
    let code = secret::resolve(&args.code, "the code")?;
    let checked: Checked = block_on(client.post(&path, &json!({ "code": *code })))?;
    if checked.valid {
        println!("right: the message is {}", checked.outcome);
        return Ok(ExitCode::SUCCESS);
    }
    let tries = match checked.tries_left {
        1 => "1 try left".to_owned(),
        n => format!("{n} tries left"),
    };
    println!(
        "{}",
        match checked.reason.as_deref() {
            Some("wrong_code") => format!("wrong: {tries}"),
            Some("already_used") => "not again: this message is verified already".to_owned(),
            Some("expired") => "too late: the message is expired".to_owned(),
            Some("too_many_tries") => "too many wrong codes: the message is exhausted".to_owned(),
            Some("cancelled") => "the message was cancelled".to_owned(),
            _ => format!("not valid: the message is {}", checked.outcome),
        }
    );
    Ok(ExitCode::FAILURE)
}
