//! `otpost replay`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::commands::{audit, bootstrap, hints, terminal};
use crate::domain::audit::AuditAction;
use crate::services::callbacks::replay::{self, Replayed};
use crate::store::dead_letters::{self, DeadLetter};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only list them, including those already replayed.
    #[arg(long, conflicts_with = "show")]
    list: bool,
    /// Show one entry of the list: its body decrypted, with every group of digits that could be a code or a number
    /// masked.
    #[arg(long, value_name = "ID")]
    show: Option<Uuid>,
    /// JSON, one line per letter: letter_id, account, callback_id, attempt_id, reason, body_bytes, received_at,
    /// replayed_at; with --show also body or body_error; without --list and --show also receipts, or stays (why it
    /// stays).
    #[arg(long)]
    json: bool,
    /// The maximum number to process in one run, oldest first.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    let means = bootstrap::means(&settings, &database, false)?;
    let limit = i64::from(args.limit);
    bootstrap::runtime()?.block_on(async {
        let app = App::build(&settings, means).await?;
        let api = &app.api;
        if let Some(id) = args.show {
            let Some(letter) = dead_letters::find(&api.messages.pool, id).await? else {
                let place = hints::same_place(config);
                bail!("there is no dead letter {id}; `otpost replay --list{place}` shows them")
            };
            show(&letter, &replay::shown(&app.keys, &letter), args.json);
            return Ok(ExitCode::SUCCESS);
        }
        if args.list {
            let letters = dead_letters::list(&api.messages.pool, true, limit).await?;
            if letters.is_empty() && !args.json {
                terminal::say("there are no dead letters");
            }
            for letter in &letters {
                match args.json {
                    true => terminal::print_json(&json(letter)),
                    false => terminal::print(&told(letter)),
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        let replayed = replay::run(&api.messages.pool, &app.clock, &app.keys, &api.callbacks, limit).await?;
        let stay = replayed.iter().filter(|one| one.result.is_err()).count();
        let object = format!("{} dead letters, {stay} stay", replayed.len());
        audit::record(&api.messages.pool, &app.clock, AuditAction::LettersReplayed, &object, "").await?;
        if args.json {
            replayed.iter().map(json_of_replayed).for_each(|one| terminal::print_json(&one));
        } else {
            replayed.iter().for_each(|one| terminal::print(&told_of_replayed(one)));
            terminal::print(&format!("{} replayed, {stay} stay", replayed.len() - stay));
        }
        Ok(if stay == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn told_of_replayed(one: &Replayed) -> String {
    let DeadLetter { letter_id, account, .. } = &one.letter;
    match &one.result {
        Ok(receipts) => format!("{letter_id}  {account}: {receipts} receipts applied"),
        Err(why) => format!("{letter_id}  {account}: stays: {why}"),
    }
}

fn json_of_replayed(one: &Replayed) -> serde_json::Value {
    let mut value = json(&one.letter);
    value["receipts"] = one.result.as_ref().ok().copied().into();
    value["stays"] = one.result.as_ref().err().cloned().into();
    value
}

/// One letter of the list.
fn told(letter: &DeadLetter) -> String {
    let DeadLetter { letter_id, account, received_at, body_bytes, reason, .. } = letter;
    let replayed = letter.replayed_at.map_or(String::new(), |at| format!("; replayed at {}", at.format("%F %T")));
    format!("{letter_id}  {account}  {}\n    {body_bytes} bytes: {reason}{replayed}", received_at.format("%F %T"))
}

fn json(letter: &DeadLetter) -> serde_json::Value {
    serde_json::json!({
        "letter_id": letter.letter_id,
        "account": letter.account,
        "callback_id": letter.callback_id,
        "attempt_id": letter.attempt_id,
        "reason": letter.reason,
        "body_bytes": letter.body_bytes,
        "received_at": letter.received_at,
        "replayed_at": letter.replayed_at,
    })
}

/// `body`: masked, or why it cannot be decrypted.
fn show(letter: &DeadLetter, body: &Result<String, String>, as_json: bool) {
    if as_json {
        let mut value = json(letter);
        value["body"] = body.clone().ok().into();
        value["body_error"] = body.clone().err().into();
        return terminal::print_json(&value);
    }
    let at = |at: DateTime<Utc>| at.format("%F %T UTC").to_string();
    for (name, value) in [
        ("letter", letter.letter_id.to_string()),
        ("account", letter.account.clone()),
        ("received", at(letter.received_at)),
        ("replayed", letter.replayed_at.map_or("no".to_owned(), at)),
        ("reason", letter.reason.clone()),
        ("attempt", letter.attempt_id.map_or("not named by its address".to_owned(), |id| id.to_string())),
        ("body", format!("{} bytes, digits that could be a code masked", letter.body_bytes)),
    ] {
        terminal::print(&format!("{name:9} {value}"));
    }
    match body {
        Ok(body) => terminal::print(&format!("\n{body}")),
        Err(why) => terminal::print(&format!("\nit cannot be opened: {why}")),
    }
}
