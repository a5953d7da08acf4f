//! `otpost serve`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Loops, Running};
use crate::commands::audit;
use crate::commands::bootstrap;
use crate::commands::running::{Announcement, Answer};
use crate::config::{Settings, environment};
use crate::domain::audit::AuditAction;
use crate::process;
use crate::reload;
use crate::services::keys::code_keys::{self, KeysError};
use crate::telemetry;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Do not migrate the database first; refuse to start (exit status 3) when it is not up to date.
    #[arg(long)]
    no_migrate: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    process::forbid_core_dumps();
    let settings = bootstrap::settings(config)?;
    bootstrap::warn(&settings);
    process::raise_descriptors();
    tracing::info!("{}", bootstrap::place(config, &settings));
    let database = bootstrap::Database::open(&settings)?;
    let means = bootstrap::means(&settings, &database, !args.no_migrate)?;
    let runtime = bootstrap::runtime()?;
    runtime.block_on(async {
        let listen = settings.server.listen;
        let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let built = App::build(&settings, means).await;
        let app = built.map_err(|error| bootstrap::about_own_key(error.into(), &settings))?;
        let mut hangups = signal(SignalKind::hangup())?;
        let running = app.start(listener, Loops::Run)?;
        tracing::info!(listen = %running.address, private_database = database.is_private(), "otpost serves");
        let announcement = announce(&settings.data_dir);
        let mut stop = pin!(wait_for_signal());
        let lingers = loop {
            tokio::select! {
                lingers = &mut stop => break lingers?,
                _ = hangups.recv() => {
                    let answer = read_anew(config.map(Path::to_path_buf), &running).await;
                    if let Some(Err(error)) = announcement.as_ref().map(|a| a.answer(&answer)) {
                        tracing::warn!(%error, "cannot answer `otpost reload`");
                    }
                }
            }
        };
        tracing::info!("stopping: work in progress finishes first");
        drop(announcement);
        running.stop(lingers).await;
        anyhow::Ok(())
    })?;
    drop(runtime);
    Ok(ExitCode::SUCCESS)
}

/// A service that stores nothing in its data directory may lack the permission to write there.
fn announce(data_dir: &Path) -> Option<Announcement> {
    let made = Announcement::make(data_dir);
    made.inspect_err(|error| tracing::info!(%error, "`otpost reload` will not find this process; SIGHUP does the same"))
        .ok()
}

/// Reloads the settings in this process's environment. Invalid ones change nothing.
async fn read_anew(config: Option<PathBuf>, running: &Running) -> Answer {
    let read = tokio::task::spawn_blocking(move || Settings::load(config.as_deref(), &environment())).await;
    let refused = |text: String| Answer { taken_over: false, text };
    let settings = match read {
        Ok(Ok(settings)) => settings,
        Ok(Err(errors)) => {
            for problem in errors.problems() {
                tracing::error!(%problem, "the new settings are wrong; the old ones stay");
            }
            let lacks = errors.problems().iter().any(|problem| problem.wrong.contains("refers to env:"));
            let why =
                if lacks { "; a running process does not see variables that were set later: restart it" } else { "" };
            return refused(format!("{errors}\nthe new settings are wrong; the old ones stay{why}"));
        }
        Err(error) => return refused(format!("cannot read the settings: {error}")),
    };
    let about_environment = reload::about_environment(&settings);
    // Compared even if the key cannot be applied by a reload, so that a wrong one is reported before the next restart.
    if let Some(keys) = &settings.codes.keys {
        match code_keys::compare(&running.api.messages.pool, keys).await {
            Err(error @ KeysError::OtherSecret(_)) => {
                tracing::error!(%error, "the new settings are wrong; the old ones stay");
                return refused(format!("{error}\nthe new settings are wrong; the old ones stay"));
            }
            Err(error) => tracing::warn!(error = %telemetry::chain(&error), "cannot compare the code keys"),
            Ok(()) => {}
        }
    }
    match running.reload.run(settings.clone()) {
        Ok(changed) => {
            if !changed.is_nothing() {
                bootstrap::warn(&settings);
            }
            tracing::info!(%changed, "the settings were read anew");
            if !changed.is_nothing() {
                let (pool, clock) = (&running.api.messages.pool, &running.api.clock);
                let what = changed.to_string().replace('\n', ";");
                if let Err(error) = audit::record(pool, clock, AuditAction::SettingsReloaded, &what, "").await {
                    tracing::warn!(%error, "the reload is not in the audit log");
                }
            }
            let lines = std::iter::once(changed.to_string()).chain(about_environment);
            Answer { taken_over: true, text: lines.collect::<Vec<_>>().join("\n") }
        }
        Err(needs_restart) => {
            tracing::error!(error = %needs_restart, "the new settings are not in use");
            refused(needs_restart.to_string())
        }
    }
}

/// Completes at SIGTERM or Ctrl-C. `true`: SIGTERM, as from a supervisor with a load balancer in front.
pub(super) async fn wait_for_signal() -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(true),
        result = tokio::signal::ctrl_c() => result.map(|()| false).map_err(Into::into),
    }
}
