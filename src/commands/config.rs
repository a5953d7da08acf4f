//! `otpost config check`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::config::{Settings, Way, environment};
use crate::domain::routing::Order;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Reads the settings as `serve` would, and says everything that is wrong with them, and where. Starts nothing. What
    /// works but less well than it should is marked degraded; that alone is no failure.
    Check,
}

pub fn run(config: Option<&Path>, command: &Command) -> Result<ExitCode> {
    let Command::Check = command;
    let settings = match Settings::load(config, &environment()) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("{errors}");
            let count = errors.problems().len();
            eprintln!("{count} {} wrong", if count == 1 { "setting is" } else { "settings are" });
            return Ok(ExitCode::FAILURE);
        }
    };
    for sentence in &settings.degraded {
        eprintln!("degraded: {sentence}");
    }
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", summary(&settings));
    Ok(ExitCode::SUCCESS)
}

fn summary(settings: &Settings) -> String {
    let database = if settings.database.url.is_some() { "the one that is named" } else { "a private one" };
    let mut text = format!(
        "the settings are right\n\n  listens on  {}\n  public url  {}\n  data        {}\n  database    {database}\n",
        settings.server.listen,
        settings.server.public_url,
        settings.data_dir.display()
    );
    routes(settings, &mut text);
    text.push_str("\n  accounts\n");
    for (name, account) in &settings.accounts {
        text.push_str(&format!(
            "    {name:20} {:8} {:8} at most {}/s, {} at a time, on unknown: {}\n",
            account.channel,
            account.provider.name(),
            account.per_second,
            account.concurrency,
            account.on_unknown
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

/// Each route with its steps, the most special first.
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
        steps(settings, &route.way, route.replace_after_s, text);
    }
    text.push_str(if settings.routes.is_empty() { "\n  route\n" } else { "\n  route for everybody else\n" });
    steps(settings, &settings.route.way, Some(settings.route.replace_after_s), text);
}

/// `replace_after_s`: `None` where the purpose decides.
fn steps(settings: &Settings, way: &Way, replace_after_s: Option<i16>, text: &mut String) {
    if way.steps.is_empty() {
        text.push_str("    none: nothing can be sent\n");
    }
    for (place, name) in way.steps.iter().enumerate() {
        let pool = settings.pools.get(name);
        let members =
            pool.map(|pool| format!(" ({}, by {})", pool.accounts.join(", "), pool.choose)).unwrap_or_default();
        let first = pool.and_then(|pool| pool.accounts.first()).unwrap_or(name);
        let channel = settings.accounts.get(first).map_or("", |account| account.channel.as_str());
        let is_last = place + 1 == way.steps.len();
        let wait = replace_after_s.map_or("as the purpose says".to_owned(), |seconds| format!("after {seconds} s"));
        let then = if is_last { String::new() } else { format!("; replaced {wait}") };
        text.push_str(&format!("    {}. {channel} through {name}{members}{then}\n", place + 1));
    }
    if way.order == Order::Cheapest {
        text.push_str("    the cheapest for the country first, among those that deliver well enough\n");
    }
}
