//! The command line: one file per command, and what they share (`bootstrap`, `exit`, `client`, `connection_file`, `running`, `paint`,
//! `terminal`, `hints`). What they say goes through `terminal`: `println!` panics when its reader has gone.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod exit;
mod bootstrap;
mod connect;
mod paint;
mod terminal;
mod hints;
mod connection_file;
mod client;
mod secret;
mod demo;
mod serve;
mod reload;
mod running;
mod migrate;
mod audit;
mod keys;
mod send;
mod check;
mod show;
mod tail;
mod replay;
mod forget;
mod limits;
mod config;
mod texts;
mod openapi;
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
    after_help = exit::HELP
)]
struct Cli {
    /// The same list as after each command; the program's help shows it here.
    #[arg(id = "config_before", long = "config", value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct SettingsFile {
    /// Settings file; default: `otpost.toml` in the working directory, if it exists.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory; overrides `data_dir` of the settings and OTPOST_DATA_DIR.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything on this machine: service, database, simulated providers, and messages to twelve phones.
    Demo(demo::Args),
    /// Runs the service until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: serve::Args,
    },
    /// Makes the running service on this machine reload its settings without losing a message; prints what changed.
    Reload {
        #[command(flatten)]
        file: SettingsFile,
    },
    /// Brings the database's tables up to date.
    Migrate {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: migrate::Args,
    },
    /// API keys: create, list, revoke.
    Keys {
        #[command(flatten)]
        file: SettingsFile,
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Sends a code to a number through a running service; prints the message's id.
    Send(send::Args),
    /// Checks the code that a person entered; exit status 0 when it is right.
    Check(check::Args),
    /// Shows the history of a message, step by step, with times.
    Show(show::Args),
    /// Follows the messages as they change, one line each, until Ctrl-C.
    Tail(tail::Args),
    /// Processes unreadable callbacks (dead letters) again.
    Replay {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: replay::Args,
    },
    /// Forgets which channel works for a number, for example when its owner asks for erasure. Messages are not changed.
    /// Exit status 6 when nothing was stored.
    Forget {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: forget::Args,
    },
    /// Limits: what an attacker can cost at most, and what operators allow and block.
    Limits {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: limits::Args,
    },
    /// The audit log: what operators did, and whether it is whole.
    Audit {
        #[command(flatten)]
        file: SettingsFile,
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// The settings: check them.
    Config {
        #[command(flatten)]
        file: SettingsFile,
        #[command(subcommand)]
        command: config::ConfigCommand,
    },
    /// Shows the texts of all languages with their length and number of SMS parts, and which WhatsApp templates are
    /// missing.
    Texts {
        #[command(flatten)]
        file: SettingsFile,
        #[command(flatten)]
        args: texts::Args,
    },
    /// Prints the OpenAPI document of the HTTP API, as GET /openapi.json returns it.
    Openapi,
    /// Runs only the simulated providers, to test settings.
    Simulate(simulate::Args),
}

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    let Cli { config: before, command } = Cli::parse();
    let settings = |file: SettingsFile| {
        if let Some(dir) = &file.data_dir {
            crate::config::set_data_dir(dir);
        }
        file.config.or(before)
    };
    let result = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve { file, args } => serve::run(settings(file).as_deref(), &args),
        Command::Reload { file } => reload::run(settings(file).as_deref()),
        Command::Migrate { file, args } => migrate::run(settings(file).as_deref(), &args),
        Command::Keys { file, command } => keys::run(settings(file).as_deref(), command),
        Command::Send(args) => send::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Replay { file, args } => replay::run(settings(file).as_deref(), &args),
        Command::Forget { file, args } => forget::run(settings(file).as_deref(), &args),
        Command::Limits { file, args } => limits::run(settings(file).as_deref(), args),
        Command::Audit { file, command } => audit::run(settings(file).as_deref(), command),
        Command::Config { file, command } => config::run(settings(file).as_deref(), &command),
        Command::Texts { file, args } => texts::run(settings(file).as_deref(), &args),
        Command::Openapi => openapi::run(),
        Command::Simulate(args) => simulate::run(&args),
    };
    match result {
        // A script must not take truncated output for the whole.
        Ok(_) if let Some(error) = terminal::lost() => {
            terminal::say(&format!("otpost: cannot write to standard output: {error}"));
            exit::Exit::Failed.into()
        }
        Ok(code) => code,
        Err(error) => {
            terminal::say(&format!("otpost: {}", telemetry::chain(error.as_ref())));
            exit::Exit::of(&error).into()
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
