//! `otpost serve`.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Loops};
use crate::commands::ground;

#[derive(clap::Args)]
pub struct Args {
    /// Do not migrate the database first; refuse to start when it is not up to date.
    #[arg(long)]
    no_migrate: bool,
}

pub fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    let settings = ground::settings(config)?;
    let database = ground::Database::open(&settings)?;
    let means = ground::means(&settings, &database, !args.no_migrate)?;
    let runtime = ground::runtime()?;
    runtime.block_on(async {
        let listen = settings.server.listen;
        let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let app = App::build(&settings, means).await?;
        let running = app.start(listener, Loops::Run)?;
        tracing::info!(listen = %running.address, private_database = database.is_private(), "otpost serves");
        let lingers = wait_for_signal().await?;
        tracing::info!("stopping: what is under way finishes first");
        running.stop(lingers).await;
        anyhow::Ok(())
    })?;
    drop(runtime);
    Ok(ExitCode::SUCCESS)
}

/// Completes at SIGTERM or Ctrl-C. `true`: SIGTERM, as from a supervisor with a load balancer in front.
pub async fn wait_for_signal() -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(true),
        result = tokio::signal::ctrl_c() => result.map(|()| false).map_err(Into::into),
    }
}
