//! `otpost simulate`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use anyhow::{Context, Result};

use crate::commands::serve::wait_for_signal;
use crate::commands::{bootstrap, terminal};
use crate::simulator::{FaceInfo, SimAccount, SimConfig, Simulator, face_info};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The simulator's own settings (TOML): seed, accounts, laws. Default: no faults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen. Keep it local: it shows codes to everybody who asks.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDR")]
    listen: SocketAddr,
    /// Where an account's callbacks go, such as NAME=http://127.0.0.1:8080/webhooks/NAME.
    #[arg(long, value_name = "ACCOUNT=URL", value_parser = callback)]
    callback: Vec<(String, String)>,
}

fn callback(text: &str) -> Result<(String, String), String> {
    let (account, url) = text.split_once('=').ok_or("must be ACCOUNT=URL")?;
    reqwest::Url::parse(url).map_err(|error| format!("{url:?} is no address: {error}"))?;
    Ok((account.to_owned(), url.to_owned()))
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let config = match &args.config {
        None => SimConfig::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            SimConfig::from_toml(&text).with_context(|| format!("cannot understand {}", path.display()))?
        }
    };
    let accounts = config.accounts.clone();
    let simulator = Simulator::start(config, args.listen)?;
    for (account, url) in &args.callback {
        simulator.set_callback(account, Some(url))?;
    }
    bootstrap::runtime()?.block_on(async {
        let mut stop = pin!(wait_for_signal());
        // Polled once before the address is announced, so that a signal is not missed.
        let heard = futures_util::poll!(&mut stop);
        terminal::print(sheet(&simulator.url(), &accounts, &args.callback).trim_end());
        if let Poll::Ready(heard) = heard {
            heard?
        } else {
            stop.await?
        };
        simulator.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Everything that a service's settings need. The credentials are invented and valid only here.
fn sheet(url: &str, accounts: &[SimAccount], callbacks: &[(String, String)]) -> String {
    let mut text = format!(
        "the simulator listens on {url}; what phones got: {url}/sim/phones\n\
         the last four digits of a number choose its fate: 0001 delivered, 0002 WhatsApp fails, 0003 silent, ...\n"
    );
    for account in accounts {
        let Some(FaceInfo { channel, title, base_path, hint }) = face_info(account) else { continue };
        let given = callbacks.iter().rev().find(|(name, _)| *name == account.name).map(|(_, url)| url);
        let callbacks = given.or(account.callback_url.as_ref());
        text.push_str(&format!("\n{} ({channel}, {title})\n", account.name));
        let lines = [
            ("base url", format!("{url}/{base_path}")),
            ("credential", account.credential.clone()),
            ("", hint),
            ("proof", account.callback_secret.clone().unwrap_or_else(|| "nothing".to_owned())),
            ("callbacks", callbacks.cloned().unwrap_or_else(|| "nowhere yet (--callback)".to_owned())),
        ];
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("  {name:12}{value}\n"));
        }
    }
    text
}
