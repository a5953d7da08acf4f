//! `otpost keys create|list|revoke`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::clock::Clock;
use crate::commands::{bootstrap, hints, terminal};
use crate::domain::app_id::AppId;
use crate::services::keys::app_keys::AppKeys;
use crate::store::api_keys::{self, StoredKey};

#[derive(clap::Subcommand)]
pub(super) enum KeysCommand {
    /// Creates a key and prints it. The key cannot be shown again.
    Create {
        /// The app (tenant) that it belongs to: lower-case letters, digits and hyphens. Created if it is new.
        app: String,
        /// A label to recognise it by.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Lists the keys, without their secrets.
    List {
        /// JSON, one line per key: key_id, app, label, created_at, revoked_at (null while it is valid).
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key; every instance refuses it within 5 seconds.
    Revoke {
        /// The eight digits after `otp_live_`.
        key_id: String,
    },
}

pub(super) fn run(config: Option<&Path>, command: KeysCommand) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database.connect("otpost keys").await?;
        let clock = Clock::live(&pool).await?;
        match command {
            KeysCommand::Create { app, label } => {
                let app: AppId = app.parse()?;
                let key = AppKeys::new(pool.clone(), clock.clone()).create(&app, &label).await?;
                if let Err(error) = terminal::try_print(key.key.expose()) {
                    // Nobody has seen it.
                    api_keys::revoke(&pool, &key.key_id, clock.now()).await?;
                    return Err(error).context("cannot print the key, so it is revoked again");
                }
                terminal::say(&format!("key {} of app {}; it cannot be shown again", key.key_id, key.app));
            }
            KeysCommand::List { json } => list(&api_keys::list(&pool).await?, json),
            KeysCommand::Revoke { key_id } => {
                if !api_keys::revoke(&pool, &key_id, clock.now()).await? {
                    let place = hints::same_place(config);
                    bail!("there is no valid key {key_id}; `otpost keys list{place}` shows them");
                }
                terminal::print(&format!("key {key_id} is revoked"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(keys: &[StoredKey], as_json: bool) {
    if as_json {
        for StoredKey { key_id, app, label, created_at, revoked_at, .. } in keys {
            let key = serde_json::json!({
                "key_id": key_id, "app": app, "label": label, "created_at": created_at, "revoked_at": revoked_at,
            });
            terminal::print_json(&key);
        }
        return;
    }
    let app_width = keys.iter().map(|key| key.app.as_str().len()).max().unwrap_or(0).max(3);
    terminal::print(&format!("{:8}  {:app_width$}  {:10}  {:10}  label", "key", "app", "created", "revoked"));
    for key in keys {
        let revoked = key.revoked_at.map_or("-".to_owned(), |at| at.format("%F").to_string());
        let created = key.created_at.format("%F").to_string();
        let row = format!("{:8}  {:app_width$}  {created:10}  {revoked:10}  {}", key.key_id, key.app, key.label);
        terminal::print(row.trim_end());
    }
}
