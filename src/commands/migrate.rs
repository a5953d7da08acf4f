//! `otpost migrate`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::commands::{bootstrap, terminal};
use crate::store::database;

pub(super) fn run(config: Option<&Path>) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database::connect(&database.url, "otpost migrate", 1, database::Plans::Search).await?;
        database::migrate(&pool).await?;
        anyhow::Ok(())
    })?;
    terminal::print("the database is up to date");
    Ok(ExitCode::SUCCESS)
}
