//! `otpost config check`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::commands::{bootstrap, connect, terminal};
use crate::config::{
    AccountSettings, ConfigErrors, RouteOptions, Settings, SettingsProblem, environment, settings_file,
};
use crate::domain::routing::Order;

#[derive(clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Checks the settings as `serve` would, and reports every problem with its place. Starts nothing. A setting that
    /// works but less well than it should is marked degraded, which is not a failure.
    Check {
        /// Also tests what the settings name, without sending a message: the database with its tables and code keys,
        /// and, by name lookup, TCP and TLS, each provider's address and the public URL. Each within 5 s; exit status 1
        /// when one fails.
        #[arg(long)]
        connect: bool,
        /// JSON on one line: right, settings (the file, or null), problems (place, setting, wrong, allowed), degraded,
        /// warnings; when the settings are right also listen, public_url, data_dir, database, accounts (name, channel,
        /// provider) and, with --connect, tried (what, result: ok, note or fail, text).
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: Option<&Path>, command: &ConfigCommand) -> Result<ExitCode> {
    let ConfigCommand::Check { connect, json } = command;
    let settings = match Settings::load(config, &environment()) {
        Ok(settings) => settings,
        Err(errors) if *json => {
            terminal::print_json(&json_of_problems(config, &errors));
            return Ok(ExitCode::FAILURE);
        }
        Err(errors) => {
            terminal::say(&errors.to_string());
            let count = errors.problems().len();
            terminal::say(&format!("{count} {} wrong", if count == 1 { "setting is" } else { "settings are" }));
            return Ok(ExitCode::FAILURE);
        }
    };
    if *json {
        let mut told = json_of_settings(config, &settings);
        let tried = if *connect { Some(connect::try_all(&settings)?) } else { None };
        if let Some(tried) = &tried {
            told["tried"] = tried.iter().map(connect::json).collect();
        }
        terminal::print_json(&told);
        return Ok(connect::exit(&tried.unwrap_or_default()));
    }
    for sentence in &settings.degraded {
        terminal::say(&format!("degraded: {sentence}"));
    }
    for warning in &settings.warnings {
        terminal::say(&format!("warning: {warning}"));
    }
    terminal::print(summary(config, &settings).trim_end());
    if *connect {
        return connect::run(&settings);
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of_problems(config: Option<&Path>, errors: &ConfigErrors) -> Value {
    let one = |SettingsProblem { place, setting, wrong, allowed }: &SettingsProblem| json!({ "place": place, "setting": setting, "wrong": wrong, "allowed": allowed });
    let problems: Vec<Value> = errors.problems().iter().map(one).collect();
    json!({ "right": false, "settings": settings_file(config), "problems": problems, "degraded": [], "warnings": [] })
}

fn json_of_settings(config: Option<&Path>, settings: &Settings) -> Value {
    let account = |(name, account): (&String, &AccountSettings)| json!({ "name": name, "channel": account.channel.as_str(), "provider": account.provider.kind.name });
    json!({
        "right": true,
        "settings": settings_file(config),
        "problems": [],
        "degraded": settings.degraded,
        "warnings": settings.warnings,
        "listen": settings.server.listen.to_string(),
        "public_url": settings.server.public_url,
        "data_dir": settings.data_dir,
        "database": bootstrap::database_place(settings),
        "accounts": settings.accounts.iter().map(account).collect::<Vec<_>>(),
    })
}

fn summary(config: Option<&Path>, settings: &Settings) -> String {
    let file = settings_file(config).map_or("none".to_owned(), |file| file.display().to_string());
    let database = bootstrap::database_place(settings);
    let mut text = format!(
        "the settings are right\n\n  settings    {file}\n  listens on  {}\n  public url  {}\n  data        {}\n  database    {database}\n",
        settings.server.listen,
        settings.server.public_url,
        settings.data_dir.display()
    );
    routes(settings, &mut text);
    text.push_str("\n  accounts\n");
    for (name, account) in &settings.accounts {
        text.push_str(&format!(
            "    {name:20} {:8} {:8} at most {}/s, {} at a time, on unknown: {}\n",
            account.channel, account.provider.kind.name, account.per_second, account.concurrency, account.on_unknown
        ));
    }
    if settings.accounts.is_empty() {
        text.push_str("    none\n");
    }
    text.push_str("\n  purposes\n");
    for (name, purpose) in &settings.purposes {
        text.push_str(&format!(
            "    {name:20} {} digits, valid for {} s, replaced after {} s\n",
            purpose.code_length, purpose.valid_for_s, purpose.replace_after_s
        ));
    }
    text
}

/// Each route with its steps, the most specific first.
fn routes(settings: &Settings, text: &mut String) {
    for (name, route) in &settings.routes {
        let fits = &route.fits;
        let parts = [
            ("countries", &fits.countries),
            ("prefixes", &fits.prefixes),
            ("purposes", &fits.purposes),
            ("apps", &fits.apps),
        ];
        let given = parts.iter().filter(|(_, items)| !items.is_empty());
        let whom =
            given.map(|(what, items)| format!("{what} {}", Vec::from_iter(items.iter().map(String::as_str)).join(" ")));
        text.push_str(&format!("\n  route {name}: {}\n", whom.collect::<Vec<_>>().join("; ")));
        steps(settings, &route.options, route.replace_after_s, text);
    }
    text.push_str(if settings.routes.is_empty() { "\n  route\n" } else { "\n  route for everybody else\n" });
    steps(settings, &settings.route.options, Some(settings.route.replace_after_s), text);
}

/// `replace_after_s`: `None` where the purpose decides.
fn steps(settings: &Settings, options: &RouteOptions, replace_after_s: Option<i16>, text: &mut String) {
    if options.steps.is_empty() {
        text.push_str("    none: nothing can be sent\n");
    }
    for (place, name) in options.steps.iter().enumerate() {
        let pool = settings.pools.get(name);
        let members =
            pool.map(|pool| format!(" ({}, by {})", pool.accounts.join(", "), pool.choose)).unwrap_or_default();
        let first = pool.and_then(|pool| pool.accounts.first()).unwrap_or(name);
        let channel = settings.accounts.get(first).map_or("", |account| account.channel.as_str());
        let is_last = place + 1 == options.steps.len();
        let wait = replace_after_s.map_or("as the purpose says".to_owned(), |seconds| format!("after {seconds} s"));
        let then = if is_last { String::new() } else { format!("; replaced {wait}") };
        text.push_str(&format!("    {}. {channel} through {name}{members}{then}\n", place + 1));
    }
    if options.order == Order::Cheapest {
        text.push_str("    the cheapest for the country first, among those that deliver well enough\n");
    }
}
