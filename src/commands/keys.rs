//! `otpost keys create|list|revoke`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::clock::Clock;
use crate::commands::ground;
use crate::services::app_keys::AppKeys;
use crate::store::{api_keys, database};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Makes a key and prints it, this once.
    Create {
        /// The app (tenant) that it belongs to: lower-case letters, digits and hyphens. Made when it is new.
        app: String,
        /// A word to know it by.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Lists the keys, without their secrets.
    List,
    /// Ends a key; every instance refuses it within 5 seconds.
    Revoke {
        /// The eight digits after `otp_live_`.
        key_id: String,
    },
}

pub fn run(config: Option<&Path>, command: Command) -> Result<ExitCode> {
    let settings = ground::settings(config)?;
    let database = ground::Database::join(&settings)?;
    ground::runtime()?.block_on(async {
        let pool = database::connect(&database.url, "otpost keys", 1, database::Plans::Search).await?;
        database::migrate(&pool).await?;
        let clock = Clock::live(&pool).await?;
        match command {
            Command::Create { app, label } => {
                if !is_app_name(&app) {
                    bail!("{app:?} is no name for an app: 1 to 63 lower-case letters, digits and hyphens");
                }
                let key = AppKeys::new(pool, clock).create(&app, &label).await?;
                println!("{}", key.key.expose());
                eprintln!("key {} of app {}; it is shown this once", key.key_id, key.app);
            }
            Command::List => {
                println!("{:10} {:24} {:20} {:20} label", "key", "app", "created", "revoked");
                for key in api_keys::list(&pool).await? {
                    let revoked = key.revoked_at.map_or("-".to_owned(), |at| at.format("%F %T").to_string());
                    let created = key.created_at.format("%F %T").to_string();
                    println!("{:10} {:24} {created:20} {revoked:20} {}", key.key_id, key.app, key.label);
                }
            }
            Command::Revoke { key_id } => {
                if !api_keys::revoke(&pool, &key_id, clock.now()).await? {
                    bail!("there is no key {key_id} that is still good; `otpost keys list` shows them");
                }
                println!("key {key_id} is revoked");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn is_app_name(app: &str) -> bool {
    (1..=63).contains(&app.len())
        && !app.starts_with('-')
        && app.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
