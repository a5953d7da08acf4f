//! `otpost send`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::api::messages::Message;
use crate::api::operations::Operation;
use crate::api::requests::MessageRequest;
use crate::commands::client::{Client, Connection, block_on};
use crate::commands::secret;
use crate::commands::show::channel_name;
use crate::commands::terminal;
use crate::domain::attempt::{Reason, State};
use crate::domain::message::Outcome;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The recipient in E.164 form, such as +628123450003.
    #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
    to: String,
    /// The purpose of the code: login, signup, payment, reset, other, or one from the settings.
    #[arg(long)]
    purpose: Option<String>,
    /// The channel that comes first; auto is the configured route.
    #[arg(long, value_parser = ["auto", "whatsapp", "sms"])]
    channel: Option<String>,
    /// The code, 4 to 10 digits: - for a line of standard input, env:NAME, file:PATH, or the code itself. By default
    /// the service generates one.
    #[arg(long)]
    code: Option<String>,
    /// A reference of yours to find the message by.
    #[arg(long)]
    reference: Option<String>,
    /// Wait until it is delivered or has failed, and print the changes meanwhile. Exit status 1 unless it is delivered.
    #[arg(long)]
    wait: bool,
    /// JSON instead of the id, in the API's format of a message (id, state, outcome, channel, attempts, ...); with
    /// --wait one line per change.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let client = args.connection.open()?;
    let asked = MessageRequest {
        to: args.to.clone(),
        purpose: args.purpose.clone(),
        code: args.code.as_deref().map(|code| secret::resolve(code, "the code")).transpose()?,
        channel: args.channel.clone(),
        reference: args.reference.clone(),
        ..MessageRequest::default()
    };
    block_on(async {
        let answer: Value = client.post(Operation::SendMessage.path(), &asked).await?;
        let message = read(&answer)?;
        if args.json {
            terminal::print_json(&answer);
        } else {
            // Only the id on stdout: ID=$(otpost send ...)
            terminal::print(&message.id);
        }
        let channel = channel_name(message.channel);
        terminal::say(&format!("accepted for {}, by {channel} first; its history, with the same key:", message.to));
        terminal::say_as_it_is(&format!("  otpost show {}{}", message.id, args.connection.flags()));
        if args.wait { wait(&client, message, args.json).await } else { Ok(ExitCode::SUCCESS) }
    })
}

fn read(answer: &Value) -> Result<Message> {
    Message::deserialize(answer).context("this is no message of otpost's")
}

async fn wait(client: &Client, mut message: Message, json: bool) -> Result<ExitCode> {
    let path = format!("{}?wait_for=delivered&timeout_s=1", Operation::GetMessage.of_message(&message.id));
    loop {
        let answer: Value = client.get(&path).await?;
        let now = read(&answer)?;
        if json && now != message {
            terminal::print_json(&answer);
        }
        if now.attempts.len() > message.attempts.len() {
            let why = match now.attempts.last().map(|a| a.reason) {
                Some(Reason::Silent) => "no delivery in time",
                Some(Reason::Failed) => "that failed",
                _ => "as asked",
            };
            terminal::say(&format!("{why}: now by {}", channel_name(now.channel)));
        }
        if now.state != message.state {
            terminal::say(&format!("{} by {}", now.state, channel_name(now.channel)));
        }
        message = now;
        match (message.state, message.outcome) {
            (State::Delivered, _) => return Ok(ExitCode::SUCCESS),
            (State::Failed, _) => return Ok(ExitCode::FAILURE),
            (_, Outcome::Pending) => {}
            (_, outcome) => {
                terminal::say(outcome.as_str());
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}
