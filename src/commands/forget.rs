//! `otpost forget`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::clock::Clock;
use crate::commands::exit::Exit;
use crate::commands::{audit, bootstrap, terminal};
use crate::domain::audit::AuditAction;
use crate::domain::phone::Phone;
use crate::services::keys::code_keys;
use crate::services::upkeep::forget_number::forget_number;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The number with + and calling code, in any notation: +628123450003.
    number: String,
    /// For the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    // All types of numbers, because the settings may have allowed them.
    let phone = match Phone::read(&args.number) {
        Ok(number) => number.phone,
        Err(error) => bail!("the number {error}"),
    };
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    let keys = bootstrap::code_keys(&settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database.connect("otpost forget").await?;
        // With another secret nothing would be found, even if it is there.
        let compared = code_keys::compare(&pool, &keys).await;
        compared.map_err(|error| bootstrap::about_own_key(error.into(), &settings))?;
        let tables = forget_number(&pool, &keys, &phone).await?;
        if !tables.is_empty() {
            let what = tables.iter().map(|table| match *table {
                "number_memory" => "which channel works for it",
                "number_sends" => "how many messages it had",
                _ => "how many wrong codes it had",
            });
            let clock = Clock::live(&pool).await?;
            audit::record(&pool, &clock, AuditAction::NumberForgotten, &phone.masked(), &args.reason).await?;
            terminal::print(&format!("{phone}: forgotten {}", what.collect::<Vec<_>>().join(", ")));
            return Ok(ExitCode::SUCCESS);
        }
        let ids = keys.ids();
        let ids = ids.iter().map(i16::to_string).collect::<Vec<_>>().join(", ");
        terminal::print(&format!(
            "{phone}: nothing was remembered. Looked in table number_memory of database {}, and in number_sends and number_tries, for \
             every app and for all together, under code key {ids}",
            bootstrap::database_place(&settings)
        ));
        Ok(Exit::Nowhere.into())
    })
}
