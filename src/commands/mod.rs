//! The command line: one file per command, and what they share (`ground`, `client`, `papers`, `running`, `paint`).

mod ground;
mod paint;
mod papers;
mod client;
mod secret;
mod demo;
mod serve;
mod reload;
mod running;
mod migrate;
mod keys;
mod send;
mod check;
mod show;
mod tail;
mod replay;
mod forget;
mod config;
mod texts;
mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry;

/// One-time passwords that arrive: WhatsApp first, the same code by SMS when it fails or stays silent.
#[derive(Parser)]
#[command(
    name = "otpost",
    version,
    about,
    max_term_width = 100,
    after_help = "Begin with `otpost demo`: it needs no settings and no accounts."
)]
struct Cli {
    /// The same as after the command, which is where the help shows it.
    #[arg(id = "config_before", long = "config", value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct SettingsFile {
    /// Settings file; `otpost.toml` in the working directory when there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine, played through: service, database, simulated providers, twelve phones.
    Demo(demo::Args),
    /// Runs the service until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: serve::Args,
    },
    /// Makes the running service on this machine read its settings anew, without losing a message; says what changed.
    Reload {
        #[command(flatten)]
        file: SettingsFile,
    },
    /// Brings the database's tables up to date.
    Migrate {
        #[command(flatten)]
        file: SettingsFile,
    },
    /// API keys: create, list, revoke.
    Keys {
        #[command(flatten)]
        file: SettingsFile,
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Sends a code to a number through a running service; prints the message's id.
    Send(send::Args),
    /// Checks the code that a person typed; exit code 0 when it is right.
    Check(check::Args),
    /// Tells the story of a message, step by step, with the time of each.
    Show(show::Args),
    /// Follows the messages as they change, a line each, until Ctrl-C.
    Tail(tail::Args),
    /// Takes callbacks again that could not be read (dead letters).
    Replay {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: replay::Args,
    },
    /// Forgets which channel works for a number, as when its owner asks for erasure. Messages are not touched.
    Forget {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: forget::Args,
    },
    /// The settings: check them.
    Config {
        #[command(flatten)]
        file: SettingsFile,
        #[command(subcommand)]
        command: config::Command,
    },
    /// Shows the texts of all languages with their length and price in parts, and which WhatsApp templates are missing.
    Texts {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: texts::Args,
    },
    /// Runs the simulated providers alone, for trying settings out.
    Simulate(simulate::Args),
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let Cli { config: before, command } = Cli::parse();
    let settings = |file: SettingsFile| file.config.or(before);
    let result = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve { file, args } => serve::run(settings(file).as_deref(), &args),
        Command::Reload { file } => reload::run(settings(file).as_deref()),
        Command::Migrate { file } => migrate::run(settings(file).as_deref()),
        Command::Keys { file, command } => keys::run(settings(file).as_deref(), command),
        Command::Send(args) => send::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Replay { file, args } => replay::run(settings(file).as_deref(), &args),
        Command::Forget { file, args } => forget::run(settings(file).as_deref(), &args),
        Command::Config { file, command } => config::run(settings(file).as_deref(), &command),
        Command::Texts { file, args } => texts::run(settings(file).as_deref(), &args),
        Command::Simulate(args) => simulate::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("otpost: {}", telemetry::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
