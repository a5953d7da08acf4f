//! The only HTTP client: one call is one request, never repeated, and its result states reliably whether the request
//! can have been sent.

mod unpack;

use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use tokio::time::Instant;
use tracing::field::Empty;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;
use crate::providers::{Call, Method};

/// Upper limit of the duration of a call: leases and replacement deadlines are designed for it.
pub const MAX_TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Far beyond any code's life, and small enough to be added to any instant.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// Time limit of name look-up, connection and TLS.
    pub connect_timeout: Duration,
    /// Time limit of the whole call up to the answer's last byte; longer than `connect_timeout`, shorter than
    /// [`MAX_TOTAL_TIMEOUT`].
    pub total_timeout: Duration,
    /// A longer answer, decompressed, is truncated.
    pub max_reply_bytes: usize,
    /// Idle connections kept per host.
    pub pool_per_host: usize,
    /// How long one is kept: shorter than servers keep theirs, so that it is rarely closed during a request.
    pub pool_idle_timeout: Duration,
    /// `http://user:password@host:port`. Proxies from the environment are never used.
    pub proxy: Option<Secret>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(4),
            total_timeout: Duration::from_secs(10),
            max_reply_bytes: 256 * 1024,
            pool_per_host: 64,
            pool_idle_timeout: Duration::from_secs(20),
            proxy: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the connect timeout must be shorter than the total timeout, and that shorter than 15 s")]
    Timeouts,
    #[error("the proxy's address cannot be used")]
    Proxy,
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

/// Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    max_reply_bytes: usize,
}

/// Cancels a request that has not been sent yet. Cheap to clone; all clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CallOff(Arc<AtomicBool>);

impl CallOff {
    /// From now on the request is not sent. No effect if it was sent already.
    pub fn call_off(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_called_off(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The reason of [`Sent::NotSent`] for a request that was cancelled in time.
pub const CALLED_OFF: &str = "called_off";

/// Result of a call. `reason`s are words for counters and the timeline.
pub enum Sent {
    Reply {
        status: u16,
        retry_after: Option<Duration>,
        /// Decompressed, if it was compressed and can be.
        body: Zeroizing<Vec<u8>>,
        /// Why the body is incomplete. The status is valid all the same.
        cut_off: Option<&'static str>,
    },
    /// No byte of the request was written.
    NotSent(&'static str),
    /// It was, or may have been, written, and no answer arrived, not even its head.
    MaybeSent(&'static str),
}

/// Prints neither the body, which may repeat the code, nor its length.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reply { status, retry_after, .. } => write!(f, "Reply({status}, {retry_after:?})"),
            Self::NotSent(reason) => write!(f, "NotSent({reason})"),
            Self::MaybeSent(reason) => write!(f, "MaybeSent({reason})"),
        }
    }
}

#[derive(Debug)]
pub struct Exchange {
    /// When the request was passed to its connected, encrypted socket; if it never was, when it failed.
    pub started: Instant,
    pub sent: Sent,
}

impl Client {
    /// Installs ring as the process's TLS provider if there is none yet.
    ///
    /// # Errors
    /// Contradictory timeouts, an invalid proxy address, or no certificate store on this machine.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        if settings.connect_timeout >= settings.total_timeout || settings.total_timeout >= MAX_TOTAL_TIMEOUT {
            return Err(ClientError::Timeouts);
        }
        // An error says that another part of the process installed it first, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.total_timeout)
            .pool_max_idle_per_host(settings.pool_per_host)
            .pool_idle_timeout(settings.pool_idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // By default reqwest repeats requests that HTTP/2 servers refuse; repeats are the caller's decision.
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("otpost/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose()).map_err(|_| ClientError::Proxy)?);
        }
        let http = builder.build().map_err(ClientError::Tls)?;
        Ok(Self { http, max_reply_bytes: settings.max_reply_bytes })
    }

    /// One request. `provider` and `account` are only for the span. If the future is dropped, it is unknown whether the
    /// request was written. `call_off` is reliable: its body, and so the whole request, is not written after that.
    #[tracing::instrument(
        name = "provider.call",
        skip_all,
        fields(provider = provider, account = account, host = Empty, http_status = Empty, unanswered = Empty, duration_s = Empty)
    )]
    pub async fn send(&self, provider: &str, account: &str, call: Call, call_off: &CallOff) -> Exchange {
        let span = tracing::Span::current();
        let called = Instant::now();
        let handed_over = Arc::new(OnceLock::new());
        let kept_back = Arc::new(AtomicBool::new(false));
        let sent = match prepare(&call) {
            // A request without a body can be cancelled only here.
            Ok(_) if call_off.is_called_off() => Sent::NotSent(CALLED_OFF),
            Ok((url, headers)) => {
                span.record("host", url.host_str());
                let body = OneWrite {
                    bytes: Some(Bytes::from_owner(call.body)),
                    handed_over: Arc::clone(&handed_over),
                    call_off: call_off.clone(),
                    kept_back: Arc::clone(&kept_back),
                };
                let request = match call.method {
                    Method::Get => self.http.get(url),
                    Method::Post => self.http.post(url).body(reqwest::Body::wrap(body)),
                };
                let request = request.headers(headers);
                match request.send().await {
                    Ok(response) => self.read(response).await,
                    Err(_) if kept_back.load(Ordering::SeqCst) => Sent::NotSent(CALLED_OFF),
                    Err(error) => not_answered(&error, handed_over.get().is_some()),
                }
            }
            Err(reason) => Sent::NotSent(reason),
        };
        match &sent {
            Sent::Reply { status, .. } => span.record("http_status", status),
            Sent::NotSent(reason) | Sent::MaybeSent(reason) => span.record("unanswered", reason),
        };
        span.record("duration_s", called.elapsed().as_secs_f64());
        tracing::debug!("the call to the provider ended");
        Exchange { started: handed_over.get().copied().unwrap_or_else(Instant::now), sent }
    }

    async fn read(&self, mut response: Response) -> Sent {
        let status = response.status().as_u16();
        #[expect(clippy::disallowed_methods, reason = "the answer's own `Date` is used where it has one")]
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let encoding = unpack::Encoding::of(response.headers());
        // Grown by hand, so that no outgrown copy stays behind unwiped.
        let mut body: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(4 * 1024));
        let cut_off = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.max_reply_bytes => break Some("answer_too_long"),
                Ok(Some(chunk)) => {
                    if body.len() + chunk.len() > body.capacity() {
                        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (body.len() + chunk.len())));
                        larger.extend_from_slice(&body);
                        body = larger;
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break None,
                Err(error) if error.is_timeout() => break Some("timeout"),
                Err(_) => break Some("answer_cut_off"),
            }
        };
        let body = unpack::unpack(body, encoding, self.max_reply_bytes);
        Sent::Reply { status, retry_after, body, cut_off }
    }
}

fn prepare(call: &Call) -> Result<(Url, HeaderMap), &'static str> {
    let url = Url::parse(&call.url).map_err(|_| "url")?;
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(call.content_type));
    for (name, value) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "header")?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| "header")?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok((url, headers))
}

/// `written`: the connection took the body, which it does when it writes the head.
fn not_answered(error: &reqwest::Error, written: bool) -> Sent {
    // Connecting covers name, TCP and TLS; the request waits until all of it is done.
    if error.is_connect() && !written {
        let reason = if error.is_timeout() {
            "connect_timeout"
        } else if error.is_dns() {
            "dns"
        } else if is_refused(error) {
            "refused"
        } else {
            "connect"
        };
        Sent::NotSent(reason)
    } else if error.is_timeout() {
        // Another thread may be taking the request at this moment, so `written` proves nothing here.
        Sent::MaybeSent("timeout")
    } else if written {
        Sent::MaybeSent("closed")
    } else {
        // A kept connection was closed before it took the request.
        Sent::NotSent("closed")
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// How long to wait, at most [`MAX_RETRY_AFTER`]: seconds, of which some providers write fractions, or a date (RFC
/// 9110, 10.2.3). A date is compared with the answer's own `Date`, so neither side's clock matters; without one, with `now`.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds.max(0.0).min(MAX_RETRY_AFTER.as_secs_f64())).ok()?,
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
            at.duration_since(date.unwrap_or(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// A body in one piece, wiped when dropped. It records when the connection took it, and is not given if the request was
/// cancelled.
struct OneWrite {
    bytes: Option<Bytes>,
    handed_over: Arc<OnceLock<Instant>>,
    call_off: CallOff,
    kept_back: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("the request was called off")]
struct CalledOff;

impl Body for OneWrite {
    type Data = Bytes;
    type Error = CalledOff;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.bytes.is_some() && this.call_off.is_called_off() {
            this.kept_back.store(true, Ordering::SeqCst);
            return Poll::Ready(Some(Err(CalledOff)));
        }
        this.handed_over.get_or_init(Instant::now);
        Poll::Ready(this.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that it is sent with `Content-Length` and not in chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests;
