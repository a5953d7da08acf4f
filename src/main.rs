//! The program: reads the command line and the settings, and calls a command.

use std::process::ExitCode;

fn main() -> ExitCode {
    otpost::commands::run()
}
