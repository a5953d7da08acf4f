//! `otpost serve`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Loops};
use crate::commands::ground;
use crate::commands::running::{Announcement, Answer};
use crate::config::{Settings, environment};
use crate::process;
use crate::reload::Reload;

#[derive(clap::Args)]
pub struct Args {
    /// Do not migrate the database first; refuse to start when it is not up to date.
    #[arg(long)]
    no_migrate: bool,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    process::forbid_core_dumps();
    let settings = ground::settings(config)?;
    process::raise_descriptors();
    let database = ground::Database::open(&settings)?;
    let means = ground::means(&settings, &database, !args.no_migrate)?;
    let runtime = ground::runtime()?;
    runtime.block_on(async {
        let listen = settings.server.listen;
        let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let app = App::build(&settings, means).await?;
        let mut hangups = signal(SignalKind::hangup())?;
        let running = app.start(listener, Loops::Run)?;
        tracing::info!(listen = %running.address, private_database = database.is_private(), "otpost serves");
        let announcement = announce(&settings.data_dir);
        let mut stop = pin!(wait_for_signal());
        let lingers = loop {
            tokio::select! {
                lingers = &mut stop => break lingers?,
                _ = hangups.recv() => {
                    let answer = reload(config.map(Path::to_path_buf), &running.reload).await;
                    if let Some(Err(error)) = announcement.as_ref().map(|a| a.answer(&answer)) {
                        tracing::warn!(%error, "cannot answer `otpost reload`");
                    }
                }
            }
        };
        tracing::info!("stopping: what is under way finishes first");
        drop(announcement);
        running.stop(lingers).await;
        anyhow::Ok(())
    })?;
    drop(runtime);
    Ok(ExitCode::SUCCESS)
}

/// A service that keeps nothing in its data directory need not be able to write there.
fn announce(data_dir: &Path) -> Option<Announcement> {
    let made = Announcement::make(data_dir);
    made.inspect_err(|error| tracing::info!(%error, "`otpost reload` will not find this process; SIGHUP does the same"))
        .ok()
}

/// Reads the settings anew, in this process's environment. Those that are wrong change nothing.
async fn reload(config: Option<PathBuf>, reload: &Reload) -> Answer {
    let read = tokio::task::spawn_blocking(move || Settings::load(config.as_deref(), &environment())).await;
    let refused = |text: String| Answer { taken_over: false, text };
    let settings = match read {
        Ok(Ok(settings)) => settings,
        Ok(Err(errors)) => {
            for problem in errors.problems() {
                tracing::error!(%problem, "the new settings are wrong; the old ones stay");
            }
            return refused(format!("{errors}\nthe new settings are wrong; the old ones stay"));
        }
        Err(error) => return refused(format!("cannot read the settings: {error}")),
    };
    let warnings = settings.warnings.clone();
    match reload.run(settings) {
        Ok(changed) => {
            for warning in &warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(?changed, "the settings were read anew");
            Answer { taken_over: true, text: changed.to_string() }
        }
        Err(needs_restart) => {
            tracing::error!(error = %needs_restart, "the new settings are not in use");
            refused(needs_restart.to_string())
        }
    }
}

/// Completes at SIGTERM or Ctrl-C. `true`: SIGTERM, as from a supervisor with a load balancer in front.
pub async fn wait_for_signal() -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(true),
        result = tokio::signal::ctrl_c() => result.map(|()| false).map_err(Into::into),
    }
}
