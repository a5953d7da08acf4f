//! The API as its client sees it: for the commands that talk to a running service, and for the demo.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::commands::papers::{Papers, demo_dir};
use crate::commands::secret;

/// Longer than the service holds any answer back.
const TIMEOUT: Duration = Duration::from_secs(75);

/// Where the service is. A demo that runs is found by itself.
#[derive(clap::Args)]
pub struct Connection {
    /// The service's address, such as https://otp.example.com.
    #[arg(long, env = "OTPOST_URL", value_name = "URL")]
    url: Option<String>,
    /// An API key of the app (`otpost keys create` makes one): env:NAME, file:PATH, - for a line of standard input, or the
    /// key itself, which others on this machine can see.
    #[arg(long, env = "OTPOST_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// Data directory of the demo to talk to, when neither address nor key is given.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Connection {
    /// # Errors
    /// When there is neither an address with a key nor a demo.
    pub fn open(&self) -> Result<Client> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&self.url), given(&self.key)) {
            (Some(url), Some(key)) => Client::new(&url, &secret::resolve(&key, "the key")?),
            (Some(_), None) => bail!("an address needs a key: --key or OTPOST_KEY"),
            (None, Some(_)) => bail!("a key needs an address: --url or OTPOST_URL"),
            (None, None) => {
                let dir = self.data_dir.clone().map_or_else(demo_dir, Ok)?;
                let papers = Papers::read(&dir)?.with_context(|| {
                    let looked = Papers::path(&dir);
                    format!(
                        "which service? Give --url and --key (or OTPOST_URL and OTPOST_KEY), or start `otpost demo` \
                         (there is no {})",
                        looked.display()
                    )
                })?;
                Client::new(&papers.api_url, &papers.api_key)
            }
        }
    }
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

/// What a client reads of a message; new fields are no surprise.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Message {
    pub id: String,
    pub state: String,
    pub outcome: String,
    pub channel: String,
    pub to: String,
    pub reference: Option<String>,
    pub tries_left: i16,
    pub replace_after_s: i16,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Attempt {
    pub attempt_no: i16,
    pub channel: String,
    pub reason: String,
    pub state: String,
    pub send_state: String,
    pub tries: i16,
    pub accepted_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub read_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    pub timer: String,
    pub replace_at: Option<DateTime<Utc>>,
    pub error_code: Option<String>,
    pub wasted: bool,
}

/// One thing that happened to a message.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub event: String,
    pub attempt_no: Option<i16>,
    pub text: String,
    pub lateness_ms: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Story {
    pub message: Message,
    pub timeline: Vec<Entry>,
}

#[derive(Deserialize)]
pub struct Page {
    pub messages: Vec<Message>,
}

#[derive(Deserialize)]
pub struct Checked {
    pub valid: bool,
    pub outcome: String,
    pub reason: Option<String>,
    pub tries_left: i16,
}

/// The API's refusals; see `web/problem.rs`.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<WrongField>,
}

#[derive(Deserialize)]
struct WrongField {
    field: String,
    reason: String,
}

impl Client {
    /// # Errors
    /// When the address is none, or this machine's certificates cannot be read.
    pub fn new(url: &str, key: &str) -> Result<Self> {
        let parsed = reqwest::Url::parse(url).with_context(|| format!("{url:?} is no address"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            bail!("{url:?} is no address: it begins neither with http:// nor with https://");
        }
        // An error says that another part of the process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("otpost/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// # Errors
    /// The service's own words when it refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// # Errors
    /// The service's own words when it refuses.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.call(Method::POST, path, Some(body.to_string())).await
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
        anyhow!("nothing answers at {}: {cause}", self.url)
    }
}

fn refused(status: u16, text: &str) -> anyhow::Error {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else {
        return anyhow!("the service answers {status} in words that are not otpost's; is this its address?");
    };
    let fields: Vec<String> = problem.errors.iter().map(|e| format!("{} {}", e.field, e.reason)).collect();
    let words = match (fields.is_empty(), problem.detail.or(problem.title)) {
        (false, _) => fields.join("; "),
        (true, Some(detail)) => detail,
        (true, None) => "no reason is given".to_owned(),
    };
    anyhow!("{words} ({status})")
}

/// For commands that wait for answers and do nothing else.
///
/// # Errors
/// What `future` fails with.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
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
