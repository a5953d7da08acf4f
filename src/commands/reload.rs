//! `otpost reload`: a running service reloads its settings.
//!
//! The service reads them itself, in its own environment, and reports the result; this command only sends the signal.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, kill_process};

use crate::commands::running::{self, Service};
use crate::commands::terminal;
use crate::config::{Settings, environment};

/// A service answers in milliseconds, unless its machine is busy.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn run(config: Option<&Path>) -> Result<ExitCode> {
    let data_dir = Settings::data_dir(config, &environment()).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let services = running::services(&data_dir);
    if services.is_empty() {
        bail!(
            "no `otpost serve` runs with {} as its data directory; in a container, or under another user, send it SIGHUP \
             yourself and read its log",
            data_dir.display()
        );
    }
    let mut all_taken_over = true;
    for service in &services {
        let pid = service.pid.as_raw_nonzero();
        let answer = ask(service).with_context(|| format!("process {pid}"))?;
        if services.len() > 1 {
            terminal::print(&format!("process {pid}:"));
        }
        if answer.taken_over {
            terminal::print(&answer.text);
        } else {
            terminal::say(&answer.text);
            all_taken_over = false;
        }
    }
    Ok(if all_taken_over { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(service: &Service) -> Result<running::Answer> {
    service.forget_answer();
    kill_process(service.pid, Signal::HUP).context("cannot send it SIGHUP")?;
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        if let Some(answer) = service.answer() {
            return Ok(answer);
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("did not answer within {} s; its log says more", PATIENCE.as_secs())
}
