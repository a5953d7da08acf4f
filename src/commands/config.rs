//! `otpost config check`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::config::{Settings, environment};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Reads the settings as `serve` would, and says everything that is wrong with them, and where. Starts nothing.
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
    text.push_str("\n  route\n");
    for (place, name) in settings.route.steps.iter().enumerate() {
        let Some(account) = settings.accounts.get(name) else { continue };
        let then = if place + 1 < settings.route.steps.len() {
            format!("; replaced after {} s", settings.route.replace_after_s)
        } else {
            String::new()
        };
        text.push_str(&format!("    {}. {} through {name}{then}\n", place + 1, account.channel));
    }
    if settings.route.steps.is_empty() {
        text.push_str("    none: nothing can be sent\n");
    }
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
