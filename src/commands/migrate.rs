//! `otpost migrate`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use chrono::TimeDelta;

use crate::clock::Clock;
use crate::commands::{bootstrap, terminal};
use crate::store::audit_log;
use crate::store::database;
use crate::store::database::roles::{self, SERVER_ROLE};

/// How long an entry of the audit log is kept.
const AUDIT_LIFE: TimeDelta = TimeDelta::days(400);
const BATCH: i64 = 1_000;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Also makes the role otpost_server, which can read and write rows and change no table. Make the service's login a
    /// member of it: grant otpost_server to LOGIN.
    #[arg(long)]
    roles: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database::connect(&database.url, "otpost migrate", 1, database::Plans::Search).await?;
        database::migrate(&pool).await?;
        // Not by the service: its role may only append to the audit log.
        let now = Clock::live(&pool).await?.now();
        while audit_log::forget(&pool, (now - AUDIT_LIFE).date_naive(), BATCH).await? > 0 {}
        if args.roles {
            roles::set_up(&pool).await?;
        }
        anyhow::Ok(())
    })?;
    terminal::print("the database is up to date");
    if args.roles {
        terminal::print(&format!(
            "the role {SERVER_ROLE} can read and write rows; make the service's login its member:"
        ));
        terminal::print(&format!("  grant {SERVER_ROLE} to LOGIN"));
    }
    Ok(ExitCode::SUCCESS)
}
