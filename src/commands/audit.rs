//! `otpost audit list|verify`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use chrono::NaiveDate;

use crate::clock::Clock;
use crate::commands::{bootstrap, terminal};
use crate::domain::audit::{self, AuditAction, AuditEntry};
use crate::store::audit_log::{self, NewEntry};
use crate::store::database::Database;

#[derive(clap::Subcommand)]
pub(super) enum AuditCommand {
    /// Lists what operators did, newest first.
    List {
        /// Number of entries, 1 to 10000.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// JSON, one line per entry: at, actor, action, object, reason, hash.
        #[arg(long)]
        json: bool,
    },
    /// Follows the chain of hashes through all entries. Exit status 1 when an entry was changed or is missing.
    Verify {
        /// A hash that an earlier `verify` printed: it must still be in the chain. So missing newest entries show too.
        #[arg(long)]
        hash: Option<String>,
    },
}

/// Entries read at once.
const PAGE: i64 = 1_000;

pub(super) fn run(config: Option<&Path>, command: AuditCommand) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database.connect("otpost audit").await?;
        match command {
            AuditCommand::List { limit, json } => list(&audit_log::newest(&pool, limit).await?, json),
            AuditCommand::Verify { hash } => return verify(&pool, hash.as_deref()).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(entries: &[AuditEntry], as_json: bool) {
    for entry in entries {
        let AuditEntry { at, actor, action, object, reason, .. } = entry;
        if as_json {
            let hash = hex::encode(entry.hash);
            terminal::print_json(&serde_json::json!({
                "at": at, "actor": actor, "action": action, "object": object, "reason": reason, "hash": hash,
            }));
        } else {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            terminal::print(&format!("{}  {actor}  {action}  {object}{why}", at.format("%F %T")));
        }
    }
    if entries.is_empty() && !as_json {
        terminal::print("nothing has been recorded");
    }
}

async fn verify(pool: &Database, wanted: Option<&str>) -> Result<ExitCode> {
    let mut last: Option<AuditEntry> = None;
    let (mut count, mut found) = (0, wanted.is_none());
    loop {
        let from = last.as_ref().map_or((FIRST_DAY, 0), |last| (last.day, last.entry));
        let page = audit_log::after(pool, from, PAGE).await?;
        if let Err(broken) = audit::verify(last.as_ref(), &page) {
            terminal::say(&format!("otpost: {broken}"));
            return Ok(ExitCode::FAILURE);
        }
        count += page.len();
        found |= page.iter().any(|entry| Some(hex::encode(entry.hash).as_str()) == wanted);
        match page.last() {
            Some(newest) => last = Some(newest.clone()),
            None => break,
        }
    }
    if !found {
        terminal::say("otpost: no entry has this hash: newest entries are missing, or it is of another database");
        return Ok(ExitCode::FAILURE);
    }
    let newest = last.map_or(String::new(), |last| format!("; the newest has the hash {}", hex::encode(last.hash)));
    terminal::print(&format!("{count} entries, none changed and none missing{newest}"));
    Ok(ExitCode::SUCCESS)
}

/// Before the first entry that any version can have written.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a day");

/// Records what a command did, for the user who runs it.
///
/// # Errors
/// When it cannot be stored. The command has done its work then.
pub(super) async fn record(
    pool: &Database,
    clock: &Clock,
    action: AuditAction,
    object: &str,
    reason: &str,
) -> Result<()> {
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let (actor, object, reason) = (cut(&who(), 200), cut(object, 200), cut(reason, 500));
    let entry = NewEntry { actor, action, object, reason };
    audit_log::append(pool, &entry, clock.now()).await?;
    Ok(())
}

/// The user at the keyboard, as far as the system knows: with sudo, who called it.
fn who() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let uid = rustix::process::getuid().as_raw();
    match name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) {
        Some(name) => format!("cli:{name} (uid {uid})"),
        None => format!("cli:uid {uid}"),
    }
}
