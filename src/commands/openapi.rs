//! `otpost openapi`.

use std::process::ExitCode;

use anyhow::Result;

use crate::api::openapi;
use crate::commands::terminal;

pub(super) fn run() -> Result<ExitCode> {
    terminal::print_as_it_is(&openapi::json());
    Ok(ExitCode::SUCCESS)
}
