//! `otpost replay`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::app::App;
use crate::commands::ground;
use crate::services::replay;
use crate::store::dead_letters;

#[derive(clap::Args)]
pub struct Args {
    /// Only list them, those replayed already too.
    #[arg(long)]
    list: bool,
    /// The most to take in one run, oldest first.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    let settings = ground::settings(config)?;
    let database = ground::Database::join(&settings)?;
    let means = ground::means(&settings, &database, true)?;
    let limit = i64::from(args.limit);
    ground::runtime()?.block_on(async {
        let app = App::build(&settings, means).await?;
        let api = &app.api;
        if args.list {
            println!("{:36}  {:16}  {:19}  {:19}  {:>7}  reason", "letter", "account", "received", "replayed", "bytes");
            for letter in dead_letters::list(&api.pool, true, limit).await? {
                let replayed = letter.replayed_at.map_or("-".to_owned(), |at| at.format("%F %T").to_string());
                let received = letter.received_at.format("%F %T");
                println!(
                    "{:36}  {:16}  {received:19}  {replayed:19}  {:>7}  {}",
                    letter.letter_id, letter.account, letter.body_bytes, letter.reason
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
        let replayed = replay::run(&api.pool, &app.clock, &app.keys, &api.callbacks, limit).await?;
        let mut stay = 0;
        for one in &replayed {
            match &one.result {
                Ok(receipts) => {
                    println!("{}  {}: {receipts} receipts applied", one.letter.letter_id, one.letter.account)
                }
                Err(why) => {
                    stay += 1;
                    println!("{}  {}: stays: {why}", one.letter.letter_id, one.letter.account);
                }
            }
        }
        println!("{} replayed, {stay} stay", replayed.len() - stay);
        Ok(if stay == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}
