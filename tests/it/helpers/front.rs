//! A proxy in front of the simulator that answers some requests itself, with recorded answers of providers, byte for
//! byte.

use std::sync::{Arc, Mutex};

use otpost::config::Settings;
use otpost::domain::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Canned {
    pub status: u16,
    /// In addition to `Content-Length` and `Connection`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Canned {
    pub(crate) fn json(status: u16, body: impl ToString) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }
}

/// A request that passed.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub url: String,
    pub body: String,
}

impl Seen {
    /// Whether the address or the body contains this.
    fn has(&self, text: &str) -> bool {
        self.url.contains(text) || self.body.contains(text)
    }
}

#[derive(Default)]
struct State {
    answers: Vec<(Vec<String>, Canned)>,
    seen: Vec<Seen>,
}

/// Ends with the runtime of its test.
#[derive(Clone)]
pub(crate) struct Front {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Front {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Created this late because the app chooses the cryptography provider.
                let http = reqwest::Client::builder().no_proxy().build().expect("a client");
                tokio::spawn(serve(stream, Arc::clone(&shared), http));
            }
        });
        Self { url, state }
    }

    /// All calls to providers go through it.
    pub(crate) fn stand_before_providers(&self, settings: &mut Settings) {
        settings.sending.client.proxy = Some(Secret::new(&*self.url));
    }

    /// Answers requests whose address or body contains all of these. The latest match counts.
    pub(crate) fn answer(&self, having: &[&str], canned: Canned) {
        let having = having.iter().map(|text| (*text).to_owned()).collect();
        self.state.lock().expect("no panic").answers.push((having, canned));
    }

    pub(crate) fn forget_answers(&self) {
        self.state.lock().expect("no panic").answers.clear();
    }

    /// Requests whose address or body contains all of these.
    pub(crate) fn seen(&self, having: &[&str]) -> Vec<Seen> {
        let state = self.state.lock().expect("no panic");
        state.seen.iter().filter(|seen| having.iter().all(|text| seen.has(text))).cloned().collect()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, http: reqwest::Client) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, url) = (request.next()?.to_owned(), request.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, length)| length.parse().expect("a length"));
        while read.len() < end + length {
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        let body = read[end..end + length].to_vec();
        read.drain(..end + length);
        let seen = Seen { url: url.clone(), body: String::from_utf8_lossy(&body).into_owned() };
        let canned = {
            let mut state = state.lock().expect("no panic");
            let fits = |having: &Vec<String>| having.iter().all(|text| seen.has(text));
            let canned = state.answers.iter().rev().find(|(having, _)| fits(having)).map(|(_, canned)| canned.clone());
            state.seen.push(seen);
            canned
        };
        let canned = match canned {
            Some(canned) => canned,
            None => forward(&http, &method, &url, headers, body).await?,
        };
        let mut answer = format!("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n", canned.status, canned.body.len());
        for (name, value) in &canned.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.write_all(&canned.body).await.ok()?;
    }
}

async fn forward(
    http: &reqwest::Client,
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> Option<Canned> {
    let mut request = http.request(method.parse().ok()?, url).body(body);
    for (name, value) in headers {
        if !matches!(name.as_str(), "host" | "content-length" | "connection" | "proxy-connection") {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").map(|v| ("Retry-After", v.to_str().unwrap_or("").to_owned()));
    let headers = retry_after.into_iter().collect();
    Some(Canned { status, headers, body: answer.bytes().await.ok()?.to_vec() })
}
