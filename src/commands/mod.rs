//! The command line.

mod ground;
mod serve;
mod migrate;
mod keys;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry;

/// One-time passwords that arrive: WhatsApp first, the same code by SMS when it fails or stays silent.
#[derive(Parser)]
#[command(name = "otpost", version, about, max_term_width = 100)]
struct Cli {
    /// Settings file; `otpost.toml` in the working directory when there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service until SIGTERM or Ctrl-C.
    Serve(serve::Args),
    /// Brings the database's tables up to date.
    Migrate,
    /// API keys: create, list, revoke.
    #[command(subcommand)]
    Keys(keys::Command),
}

/// Runs what the command line asks for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let config = cli.config.as_deref();
    let result = match cli.command {
        Command::Serve(args) => serve::run(config, &args),
        Command::Migrate => migrate::run(config),
        Command::Keys(command) => keys::run(config, command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("otpost: {}", telemetry::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
