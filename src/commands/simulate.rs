//! `otpost simulate`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use anyhow::{Context, Result};

use crate::commands::ground;
use crate::commands::serve::wait_for_signal;
use crate::simulator::{Face, SimAccount, SimConfig, Simulator};

#[derive(clap::Args)]
pub struct Args {
    /// The simulator's own settings (TOML): seed, accounts, laws. A good day without it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen. Keep it to this machine: it hands out codes to whoever asks.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDR")]
    listen: SocketAddr,
    /// Where an account's callbacks go, such as meta-main=http://127.0.0.1:8080/webhooks/meta-main.
    #[arg(long, value_name = "ACCOUNT=URL", value_parser = callback)]
    callback: Vec<(String, String)>,
}

fn callback(text: &str) -> Result<(String, String), String> {
    let (account, url) = text.split_once('=').ok_or("must be ACCOUNT=URL")?;
    reqwest::Url::parse(url).map_err(|error| format!("{url:?} is no address: {error}"))?;
    Ok((account.to_owned(), url.to_owned()))
}

pub fn run(args: &Args) -> Result<ExitCode> {
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
    ground::runtime()?.block_on(async {
        let mut stop = pin!(wait_for_signal());
        // Heard from before anybody can know that we are there.
        let heard = futures_util::poll!(&mut stop);
        print!("{}", sheet(&simulator.url(), &accounts, &args.callback));
        if let Poll::Ready(heard) = heard {
            heard?
        } else {
            stop.await?
        };
        simulator.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Everything that a service's settings need. The credentials are made up and open nothing.
fn sheet(url: &str, accounts: &[SimAccount], callbacks: &[(String, String)]) -> String {
    let mut text = format!(
        "the simulator listens on {url}; what phones got: {url}/sim/phones\n\
         the last four digits of a number choose its fate: 0001 delivered, 0002 WhatsApp fails, 0003 silent, ...\n"
    );
    for account in accounts {
        let (base, provider, extra) = match account.face {
            Face::Meta => ("meta", "Meta", format!("phone number id {}", account.phone_number_id)),
            Face::YcloudWhatsapp => ("ycloud", "YCloud", format!("sender {}", account.sender)),
            Face::YcloudSms => ("ycloud", "YCloud", String::new()),
            Face::CliqtelWhatsapp => ("cliqtel", "Cliqtel", format!("account id {}", account.account_id)),
            Face::EngagelabWhatsapp | Face::EngagelabSms => ("engagelab", "EngageLab", String::new()),
            Face::EngagelabPlainWhatsapp => {
                ("engagelab-wa", "EngageLab", format!("plain product, sender {}", account.sender))
            }
            Face::EngagelabPlainSms => ("engagelab-sms", "EngageLab", "plain product".to_owned()),
            Face::HttpWhatsapp | Face::HttpSms => ("http", "an aggregator for settings to describe", String::new()),
            Face::CliqtelSms => ("cliqtel", "Cliqtel", format!("from number id {}", account.account_id)),
            Face::InfobipWhatsapp => ("infobip", "Infobip", format!("sender {}", account.sender)),
            Face::InfobipSms => ("infobip", "Infobip", String::new()),
            Face::SleekflowWhatsapp => ("sleekflow", "SleekFlow", format!("sender {}", account.sender)),
            Face::TwilioWhatsapp | Face::TwilioSms => {
                ("twilio", "Twilio", format!("account sid {}, sender {}", account.phone_number_id, account.sender))
            }
            Face::VonageWhatsapp | Face::VonageSms => {
                ("vonage", "Vonage", format!("api key {}, sender {}", account.business_id, account.sender))
            }
        };
        let given = callbacks.iter().rev().find(|(name, _)| *name == account.name).map(|(_, url)| url);
        let callbacks = given.or(account.callback_url.as_ref());
        text.push_str(&format!("\n{} ({}, {provider})\n", account.name, account.face.channel()));
        let lines = [
            ("base url", format!("{url}/{base}")),
            ("credential", account.credential.clone()),
            ("", extra),
            ("proof", account.callback_secret.clone().unwrap_or_else(|| "nothing".to_owned())),
            ("callbacks", callbacks.cloned().unwrap_or_else(|| "nowhere yet (--callback)".to_owned())),
        ];
        for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&format!("  {name:12}{value}\n"));
        }
    }
    text
}
