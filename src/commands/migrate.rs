//! `otpost migrate`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::commands::ground;
use crate::store::database;

pub fn run(config: Option<&Path>) -> Result<ExitCode> {
    let settings = ground::settings(config)?;
    let database = ground::Database::join(&settings)?;
    ground::runtime()?.block_on(async {
        let pool = database::connect(&database.url, "otpost migrate", 1, database::Plans::Search).await?;
        database::migrate(&pool).await?;
        anyhow::Ok(())
    })?;
    println!("the database is up to date");
    Ok(ExitCode::SUCCESS)
}
