//! The API as a client sees it: for the commands that talk to a running service, and for the demo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::problems::Problem;
use crate::commands::connection_file::{ConnectionFile, demo_dir};
use crate::commands::{hints, secret};

/// Longer than the service holds any answer back.
const TIMEOUT: Duration = Duration::from_secs(75);

/// Which service to talk to. A running demo is found automatically.
#[derive(clap::Args)]
pub(super) struct Connection {
    /// The service's address, such as `https://otp.example.com`.
    #[arg(long, env = "OTPOST_URL", value_name = "URL")]
    url: Option<String>,
    /// An API key of the app (`otpost keys create` makes one): env:NAME, file:PATH, - for a line of standard input, or the
    /// key itself, which others on this machine can see.
    #[arg(long, env = "OTPOST_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// Data directory of the demo to talk to, if neither address nor key is given; default: `demo` in the default data
    /// directory.
    #[arg(long, env = "OTPOST_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Connection {
    /// # Errors
    /// When there is neither an address with a key nor a demo.
    pub(super) fn open(&self) -> Result<Client> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.url), given(&self.key)) {
            (Some(url), Some(key)) => Client::new(&url, &secret::resolve(&key, "the key")?),
            (Some(_), None) => bail!("an address needs a key: --key or OTPOST_KEY"),
            (None, Some(_)) => bail!("a key needs an address: --url or OTPOST_URL"),
            (None, None) => {
                let given = self.given_dir();
                let dir = given.map_or_else(demo_dir, |dir| Ok(dir.to_owned()))?;
                let file = ConnectionFile::path(&dir).display().to_string();
                let demo = format!("`otpost demo{}`", hints::flags(None, given));
                let connection = ConnectionFile::read(&dir)?.with_context(|| {
                    format!(
                        "which service? Give --url and --key (or OTPOST_URL and OTPOST_KEY), or start {demo} (there is no \
                         {file})"
                    )
                })?;
                let client = Client::new(&connection.api_url, &connection.api_key)?;
                let when_away = format!(
                    ". That is the address in {file}; if the demo that wrote it is gone, start {demo} again, or give --url \
                     and --key"
                );
                Ok(Client { when_away, ..client })
            }
        }
    }

    fn given_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
    }

    /// Flags with which another command finds the same service; besides `--url` it needs the same key, which is not
    /// repeated.
    pub(super) fn flags(&self) -> String {
        match self.url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => format!(" --url {}", hints::quoted(url)),
            None => hints::flags(None, self.given_dir()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
    /// What is added to the error if nothing answers.
    when_away: String,
}

impl Client {
    /// # Errors
    /// When the address is invalid, or this machine's certificates cannot be read.
    pub(super) fn new(url: &str, key: &str) -> Result<Self> {
        let parsed = reqwest::Url::parse(url).with_context(|| format!("{url:?} is no address"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            bail!("{url:?} is no address: it begins neither with http:// nor with https://");
        }
        // An error says that another part of the process installed it first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("otpost/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key: key.to_owned(), when_away: String::new() })
    }

    /// # Errors
    /// The service's reason when it refuses.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// # Errors
    /// The service's reason when it refuses.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = serde_json::to_string(body).context("the request has no JSON form")?;
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<String>) -> Result<T> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.no_answer(&error))?;
        if !status.is_success() {
            return Err(refused(status.as_u16(), &text));
        }
        serde_json::from_str(&text).with_context(|| format!("{} does not answer like otpost", self.url))
    }

    fn no_answer(&self, error: &reqwest::Error) -> anyhow::Error {
        if error.is_timeout() {
            return anyhow!("{} does not answer in time", self.url);
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        anyhow!("nothing answers at {}: {cause}{}", self.url, self.when_away)
    }
}

fn refused(status: u16, text: &str) -> anyhow::Error {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else {
        return anyhow!("the service answers {status} in words that are not otpost's; is this its address?");
    };
    let fields: Vec<String> = problem.errors.iter().map(|e| format!("{} {}", e.field, e.reason)).collect();
    let words = [fields.join("; "), problem.detail, problem.title].into_iter().find(|words| !words.is_empty());
    let words = words.unwrap_or_else(|| "no reason is given".to_owned());
    anyhow!("{words} ({status})")
}

/// For commands that wait for answers and do nothing else.
///
/// # Errors
/// The error of `future`.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_service_s_words() {
        let fields = r#"{"type":"t","title":"A field is not valid","status":422,"detail":"to: must be E.164","errors":[{"field":"to","reason":"must be E.164"}]}"#;
        assert_eq!(refused(422, fields).to_string(), "to must be E.164 (422)");
        assert_eq!(
            refused(404, r#"{"detail":"there is no such message"}"#).to_string(),
            "there is no such message (404)"
        );
        assert!(refused(502, "<html>").to_string().contains("502"));
    }

    #[test]
    fn half_an_address_is_refused() {
        let open = |url: Option<&str>, key: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let dir = Some(PathBuf::from("/nonexistent"));
            Connection { url: owned(url), key: owned(key), data_dir: dir }.open().err().map(|e| e.to_string())
        };
        assert!(open(Some("http://x"), None).unwrap().contains("--key"));
        assert!(open(None, Some("k")).unwrap().contains("--url"));
        assert!(open(None, None).unwrap().contains("otpost demo"));
        assert!(open(Some("x"), Some("k")).unwrap().contains("is no address"));
        assert_eq!(open(Some("http://127.0.0.1:1/"), Some("k")), None);
    }
}
