//! `otpost config check --connect`: tests what the settings name. It sends and creates nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use reqwest::Url;
use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::commands::exit::Exit;
use crate::commands::{bootstrap, terminal};
use crate::config::{Settings, is_loopback};
use crate::services::keys::code_keys;
use crate::store::database::roles;
use crate::telemetry;

/// Time limit of each test.
const WITHIN: Duration = Duration::from_secs(5);

/// Result of one test.
pub(super) enum Tried {
    Well(String),
    /// Not as it should be, but not an error.
    Perhaps(String),
    Wrong(String),
}

/// What was tested, and the result.
pub(super) type Try = (String, Tried);

pub(super) fn run(settings: &Settings) -> Result<ExitCode> {
    let all = try_all(settings)?;
    terminal::print("\n  tried");
    let width = all.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    for (what, tried) in &all {
        let (mark, text) = tried.parts();
        let mark = if mark == "fail" { "FAIL" } else { mark };
        terminal::print(&format!("    {mark:4}  {what:width$}  {text}"));
    }
    Ok(exit(&all))
}

pub(super) fn try_all(settings: &Settings) -> Result<Vec<Try>> {
    let mut all = vec![("database".to_owned(), database(settings))];
    all.extend(bootstrap::runtime()?.block_on(addresses(settings)));
    Ok(all)
}

pub(super) fn exit(all: &[Try]) -> ExitCode {
    let is_wrong = all.iter().any(|(_, tried)| matches!(tried, Tried::Wrong(_)));
    if is_wrong { Exit::Failed.into() } else { ExitCode::SUCCESS }
}

pub(super) fn json((what, tried): &Try) -> Value {
    let (result, text) = tried.parts();
    serde_json::json!({ "what": what, "result": result, "text": text })
}

impl Tried {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Well(text) => ("ok", text),
            Self::Perhaps(text) => ("note", text),
            Self::Wrong(text) => ("fail", text),
        }
    }
}

fn database(settings: &Settings) -> Tried {
    let look = || -> Result<(String, Vec<&'static str>)> {
        let database = bootstrap::Database::join_quietly(settings)?;
        let keys = settings.codes.keys.as_ref();
        let surplus = bootstrap::runtime()?.block_on(async {
            let pool = database.connect("otpost config check").await?;
            if let Some(keys) = keys {
                code_keys::compare(&pool, keys).await?;
            }
            // The private database's login owns it, and nobody else uses it.
            let surplus = if settings.database.url.is_some() { roles::surplus(&pool).await? } else { Vec::new() };
            anyhow::Ok(surplus)
        })?;
        Ok((format!("{}; its tables are up to date", bootstrap::database_place(settings)), surplus))
    };
    match look() {
        Ok((text, surplus)) if surplus.is_empty() => Tried::Well(text),
        // It works; who wants to do better reads how.
        Ok((text, surplus)) => Tried::Well(format!(
            "{text}; its login {}, which the service does not need: `otpost migrate --roles` makes a role for it",
            surplus.join(", ")
        )),
        // Before the first start there can be none.
        Err(error) if error.is::<bootstrap::NoDatabase>() => Tried::Perhaps(error.to_string()),
        Err(error) => Tried::Wrong(telemetry::chain(error.as_ref())),
    }
}

/// Tests each address once, with the names of its users, all at the same time.
async fn addresses(settings: &Settings) -> Vec<(String, Tried)> {
    let mut providers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, account) in &settings.accounts {
        providers.entry(&account.provider.base_url).or_default().push(name);
    }
    let proxy = settings.sending.client.proxy.as_ref().map(|proxy| proxy.expose());
    let of_provider = |(url, names): (&str, Vec<&str>)| {
        let (url, what) = (url.to_owned(), names.join(", "));
        async move {
            let tried = reach(&url, proxy).await;
            (what, tried.map_or_else(|error| Tried::Wrong(format!("{error:#}")), Tried::Well))
        }
    };
    let mut tried = join_all(providers.into_iter().map(of_provider)).await;
    let public = &settings.server.public_url;
    let told = match reach(public, None).await {
        Ok(text) => Tried::Well(text),
        Err(error) if is_loopback(public) => {
            Tried::Perhaps(format!("{error:#}; that is so until `otpost serve` runs on this machine"))
        }
        Err(error) => Tried::Wrong(format!("{error:#}; providers post their callbacks there")),
    };
    tried.push(("public_url".to_owned(), told));
    tried
}

/// Looks up the name, connects, and completes a TLS handshake by a HEAD request for `/`, which no provider treats as a
/// message. Any answer is accepted. With a proxy only the proxy is contacted, and it does the rest.
async fn reach(url: &str, proxy: Option<&str>) -> Result<String> {
    let target = Url::parse(url).with_context(|| format!("{url} is no address"))?;
    let first = match proxy {
        // The URL is not in the error: it may contain a password.
        Some(proxy) => Url::parse(proxy).context("the proxy's address cannot be read")?,
        None => target.clone(),
    };
    let (Some(host), Some(port)) = (first.host_str(), first.port_or_known_default()) else {
        bail!("an address names no host")
    };
    let whose = if proxy.is_some() { "the proxy " } else { "" };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(WITHIN, lookup_host((bare, port))).await;
    let found =
        found.map_err(|_| anyhow::anyhow!("DNS: {whose}{host} is not resolved within {} s", WITHIN.as_secs()))?;
    let found: Vec<_> = found.with_context(|| format!("DNS: {whose}{host} cannot be resolved"))?.collect();
    let Some(address) = found.first() else { bail!("DNS: {whose}{host} has no address") };
    let connected = timeout(WITHIN, TcpStream::connect(&*found)).await;
    let connected = connected.map_err(|_| anyhow::anyhow!("TCP: {whose}{host}:{port} ({address}) does not answer"))?;
    drop(connected.with_context(|| format!("TCP: {whose}{host}:{port} ({address})"))?);
    let status = ask(&target, proxy).await?;
    let tls = if target.scheme() == "https" { ", TLS" } else { "" };
    Ok(format!("{}: DNS, TCP{tls}; answers {status}", target.origin().ascii_serialization()))
}

async fn ask(target: &Url, proxy: Option<&str>) -> Result<u16> {
    // An error says that another part of the process installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(WITHIN).redirect(reqwest::redirect::Policy::none()).no_proxy();
    let client = match proxy {
        Some(proxy) => {
            let proxy =
                reqwest::Proxy::all(proxy).map_err(|_| anyhow::anyhow!("the proxy's address cannot be used"))?;
            client.proxy(proxy)
        }
        None => client,
    };
    let client = client.build().context("cannot set up TLS")?;
    let mut root = target.clone();
    root.set_path("/");
    root.set_query(None);
    let answer = client.head(root).send().await;
    let answer = answer.map_err(|error| {
        let kind = if target.scheme() == "https" { "TLS" } else { "HTTP" };
        if error.is_timeout() {
            return anyhow::anyhow!("{kind}: no answer within {} s", WITHIN.as_secs());
        }
        let mut cause: &dyn Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        anyhow::anyhow!("{kind}: {cause}")
    })?;
    Ok(answer.status().as_u16())
}
