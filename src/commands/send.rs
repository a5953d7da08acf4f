//! `otpost send`.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::commands::client::{Client, Connection, Message, block_on};
use crate::commands::secret;
use crate::commands::show::channel_name;

#[derive(clap::Args)]
pub struct Args {
    /// The recipient in E.164 form, such as +628123450003.
    #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
    to: String,
    /// What the code is for: login, signup, payment, reset, other, or one of the settings.
    #[arg(long)]
    purpose: Option<String>,
    /// The way it goes; auto is the configured route.
    #[arg(long, value_parser = ["auto", "whatsapp", "sms"])]
    channel: Option<String>,
    /// The code, 4 to 10 digits: - for a line of standard input, env:NAME, file:PATH, or itself. The service draws one when it
    /// is left out.
    #[arg(long)]
    code: Option<String>,
    /// A word of yours to find the message by.
    #[arg(long)]
    reference: Option<String>,
    /// Wait until it is delivered or has failed, and say what happens meanwhile. Exit code 1 unless it is delivered.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let mut body = Map::new();
    body.insert("to".to_owned(), args.to.clone().into());
    let wishes = [("purpose", &args.purpose), ("channel", &args.channel), ("reference", &args.reference)];
    if let Some(code) = &args.code {
        body.insert("code".to_owned(), secret::resolve(code, "the code")?.as_str().into());
    }
    for (name, value) in wishes {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.clone().into());
        }
    }
    block_on(async {
        let message: Message = client.post("/v1/messages", &Value::Object(body)).await?;
        // The id alone on stdout: ID=$(otpost send ...)
        println!("{}", message.id);
        eprintln!(
            "accepted for {}, by {} first; `otpost show {}` tells its story",
            message.to,
            channel_name(&message.channel),
            message.id
        );
        if args.wait { wait(&client, message).await } else { Ok(ExitCode::SUCCESS) }
    })
}

async fn wait(client: &Client, mut message: Message) -> Result<ExitCode> {
    let path = format!("/v1/messages/{}?wait_for=delivered&timeout_s=1", message.id);
    loop {
        let now: Message = client.get(&path).await?;
        if now.attempts.len() > message.attempts.len() {
            let why = match now.attempts.last().map(|a| a.reason.as_str()) {
                Some("silent") => "no delivery in time",
                Some("failed") => "that failed",
                _ => "as asked",
            };
            eprintln!("{why}: now by {}", channel_name(&now.channel));
        }
        if now.state != message.state {
            eprintln!("{} by {}", now.state, channel_name(&now.channel));
        }
        message = now;
        match (message.state.as_str(), message.outcome.as_str()) {
            ("delivered", _) => return Ok(ExitCode::SUCCESS),
            ("failed", _) => return Ok(ExitCode::FAILURE),
            (_, "pending") => {}
            (_, outcome) => {
                eprintln!("{outcome}");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}
