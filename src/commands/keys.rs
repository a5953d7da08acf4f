//! `otpost keys create|list|revoke`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::commands::{audit, bootstrap, hints, terminal};
use crate::domain::app_id::AppId;
use crate::domain::audit::AuditAction;
use crate::domain::key_scope::KeyScope;
use crate::domain::network::Network;
use crate::services::keys::app_keys::{AppKeys, Wish};
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
        /// What it may do; may be repeated. Default: messages:send, messages:read, checks, channels. Others:
        /// analytics:read, admin.
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<KeyScope>,
        /// Days until it expires, 1 to 3650; default: never.
        #[arg(long = "for-days", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
        /// Addresses from which it may be used, such as 10.0.0.0/8; may be repeated. Default: all.
        #[arg(long = "from", value_name = "NETWORK", value_parser = network)]
        networks: Vec<Network>,
    },
    /// Lists the keys, without their secrets.
    List {
        /// JSON, one line per key: key_id, app, label, created_at, revoked_at (null while it is valid), expires_at,
        /// last_used_at, scopes, networks.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key; every instance refuses it within a second, or within 5 seconds if it cannot reach the database.
    Revoke {
        /// The eight digits after `otp_live_`.
        key_id: String,
        /// For the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

fn scope(text: &str) -> Result<KeyScope, String> {
    let known = KeyScope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|()| format!("must be one of {known}"))
}

fn network(text: &str) -> Result<Network, String> {
    Network::parse(text).ok_or_else(|| "must be an address or a network, such as 10.0.0.0/8".to_owned())
}

pub(super) fn run(config: Option<&Path>, command: KeysCommand) -> Result<ExitCode> {
    let settings = bootstrap::settings(config)?;
    let database = bootstrap::Database::join(config, &settings)?;
    bootstrap::runtime()?.block_on(async {
        let pool = database.connect("otpost keys").await?;
        let clock = Clock::live(&pool).await?;
        match command {
            KeysCommand::Create { app, label, scopes, days, networks } => {
                let app: AppId = app.parse()?;
                let mut wish = Wish::usual(&label);
                if !scopes.is_empty() {
                    wish.rights.scopes = scopes.into_iter().collect();
                }
                wish.rights.networks = networks;
                wish.expires_at = days.map(|days| clock.now() + TimeDelta::days(i64::from(days)));
                let may = wish.rights.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
                let key = AppKeys::new(pool.clone(), clock.clone()).create_as(&app, wish).await?;
                if let Err(error) = terminal::try_print(key.key.expose()) {
                    // Nobody has seen it.
                    api_keys::revoke(&pool, &key.key_id, clock.now()).await?;
                    return Err(error).context("cannot print the key, so it is revoked again");
                }
                let object = format!("key {} of app {} ({may})", key.key_id, key.app);
                audit::record(&pool, &clock, AuditAction::KeyCreated, &object, &label).await?;
                terminal::say(&format!("key {} of app {}; it cannot be shown again", key.key_id, key.app));
            }
            KeysCommand::List { json } => list(&api_keys::list(&pool).await?, json),
            KeysCommand::Revoke { key_id, reason } => {
                if !api_keys::revoke(&pool, &key_id, clock.now()).await? {
                    let place = hints::same_place(config);
                    bail!("there is no valid key {key_id}; `otpost keys list{place}` shows them");
                }
                audit::record(&pool, &clock, AuditAction::KeyRevoked, &format!("key {key_id}"), &reason).await?;
                terminal::print(&format!("key {key_id} is revoked"));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(keys: &[StoredKey], as_json: bool) {
    if as_json {
        for StoredKey { key_id, app, label, created_at, revoked_at, expires_at, last_used_at, rights, .. } in keys {
            let networks: Vec<String> = rights.networks.iter().map(ToString::to_string).collect();
            let key = serde_json::json!({
                "key_id": key_id, "app": app, "label": label, "created_at": created_at, "revoked_at": revoked_at,
                "expires_at": expires_at, "last_used_at": last_used_at, "scopes": rights.scopes, "networks": networks,
            });
            terminal::print_json(&key);
        }
        return;
    }
    let app_width = keys.iter().map(|key| key.app.as_str().len()).max().unwrap_or(0).max(3);
    let (created, ends, used) = ("created", "ends", "last used");
    terminal::print(&format!("{:8}  {:app_width$}  {created:10}  {ends:10}  {used:10}  label", "key", "app"));
    for key in keys {
        let day = |at: Option<DateTime<Utc>>| at.map_or("-".to_owned(), |at| at.format("%F").to_string());
        let (created, used) = (day(Some(key.created_at)), day(key.last_used_at));
        let ends = if key.revoked_at.is_some() { "revoked".to_owned() } else { day(key.expires_at) };
        let mut about = key.label.clone();
        if key.rights.scopes != KeyScope::USUAL.into_iter().collect() {
            let scopes: Vec<&str> = key.rights.scopes.iter().map(|scope| scope.as_str()).collect();
            about = format!("{about} [{}]", scopes.join(", "));
        }
        if !key.rights.networks.is_empty() {
            let networks: Vec<String> = key.rights.networks.iter().map(ToString::to_string).collect();
            about = format!("{about} from {}", networks.join(", "));
        }
        let row =
            format!("{:8}  {:app_width$}  {created:10}  {ends:10}  {used:10}  {}", key.key_id, key.app, about.trim());
        terminal::print(row.trim_end());
    }
}
