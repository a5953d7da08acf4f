//! `otpost forget`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::clock::Clock;
use crate::commands::ground;
use crate::domain::phone::Phone;
use crate::services::memory::NumberMemory;
use crate::store::database;

#[derive(clap::Args)]
pub struct Args {
    /// The number in E.164 form: +628123450003.
    number: String,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    let phone = match Phone::parse(&args.number) {
        Ok(phone) => phone,
        Err(error) => bail!("the number {error}"),
    };
    let settings = ground::settings(config)?;
    let database = ground::Database::join(&settings)?;
    let keys = ground::code_keys(&settings)?;
    ground::runtime()?.block_on(async {
        let pool = database::connect(&database.url, "otpost forget", 1, database::Plans::Search).await?;
        database::migrate(&pool).await?;
        let clock = Clock::live(&pool).await?;
        let memory = NumberMemory {
            pool,
            clock,
            keys,
            remember_for: settings.memory.remember_for,
            shared: settings.memory.shared,
        };
        if memory.forget(&phone).await? {
            println!("{phone}: forgotten which channel works for it");
        } else {
            println!("{phone}: nothing was remembered");
        }
        Ok(ExitCode::SUCCESS)
    })
}
