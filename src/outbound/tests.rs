//! Against real sockets that misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

fn client() -> Client {
    let settings = ClientSettings {
        connect_timeout: Duration::from_secs(1),
        total_timeout: Duration::from_secs(2),
        ..ClientSettings::default()
    };
    Client::new(&settings).unwrap()
}

fn call(url: String) -> Call {
    Call {
        method: Method::Post,
        url,
        content_type: "application/json",
        headers: vec![("authorization".into(), Secret::new("Bearer k"))],
        body: Zeroizing::new(b"{\"code\":\"493817\"}".to_vec()),
    }
}

async fn post(client: &Client, at: SocketAddr) -> Exchange {
    client.send("test", "test-main", call(format!("http://{at}/v1/send?x=1")), &CallOff::default()).await
}

/// Reads one request, head and body.
async fn read_request(socket: &TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        socket.readable().await.unwrap();
        match socket.try_read_buf(&mut request) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => panic!("{e}"),
        }
    }
    request
}

async fn write(socket: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        socket.writable().await.unwrap();
        match socket.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            // The client had enough of us.
            Err(_) => return,
        }
    }
}

/// Serves every connection with `f`; counts them.
async fn server<F, Fut>(f: F) -> (SocketAddr, Arc<AtomicUsize>, JoinHandle<()>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(f(socket));
        }
    });
    (at, connections, task)
}

/// Serves `answer` to every request, and closes after it.
async fn answering(answer: Vec<u8>) -> SocketAddr {
    let answer = Arc::new(answer);
    let (at, _, _) = server(move |socket| {
        let answer = Arc::clone(&answer);
        async move {
            read_request(&socket).await;
            write(&socket, &answer).await;
        }
    })
    .await;
    at
}

fn maybe_sent(exchange: &Exchange) -> &'static str {
    match exchange.sent {
        Sent::MaybeSent(reason) => reason,
        ref other => panic!("{other:?}"),
    }
}

fn not_sent(exchange: &Exchange) -> &'static str {
    match exchange.sent {
        Sent::NotSent(reason) => reason,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_handed_over_whole_and_the_request_went_out_once() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let (at, connections, _) = server(move |socket| {
        let seen = seen.clone();
        async move {
            seen.send(read_request(&socket).await).unwrap();
            write(&socket, b"HTTP/1.1 429 Too Many\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\n{}").await;
        }
    })
    .await;
    let before = Instant::now();
    let exchange = post(&client(), at).await;
    let Sent::Reply { status, retry_after, body, cut_off: None } = &exchange.sent else { panic!("{exchange:?}") };
    assert_eq!((*status, *retry_after, body.as_slice()), (429, Some(Duration::from_secs(30)), b"{}".as_slice()));
    assert!(exchange.started >= before && exchange.started <= Instant::now());

    let request = String::from_utf8(requests.recv().await.unwrap()).unwrap().to_lowercase();
    assert!(request.starts_with("post /v1/send?x=1 http/1.1\r\n"), "{request}");
    for line in
        ["authorization: bearer k", "content-type: application/json", "content-length: 17", "user-agent: otpost/"]
    {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(!request.contains("transfer-encoding"), "{request}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_connection_is_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(not_sent(&post(&client(), at).await), "refused");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_certainly_not_sent() {
    let exchange =
        client().send("test", "test-main", call("http://otpost.invalid/".to_owned()), &CallOff::default()).await;
    // A resolver without a network may take longer than connecting may.
    assert!(matches!(not_sent(&exchange), "dns" | "connect_timeout"), "{exchange:?}");
}

#[tokio::test]
async fn tls_that_fails_or_hangs_is_certainly_not_sent() {
    let (plain, _, _) = server(|socket| async move { write(&socket, b"HTTP/1.1 400 no\r\n\r\n").await }).await;
    let (silent, _, _) = server(|socket| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(socket);
    })
    .await;
    for (at, reason) in [(plain, "connect"), (silent, "connect_timeout")] {
        let exchange = client().send("test", "test-main", call(format!("https://{at}/")), &CallOff::default()).await;
        assert_eq!(not_sent(&exchange), reason);
    }
}

#[tokio::test]
async fn a_connection_closed_at_once_may_have_taken_the_request() {
    let (at, connections, _) = server(|socket| async move { drop(socket) }).await;
    let exchange = post(&client(), at).await;
    // Whether the request was taken before the close was seen is a race; never an answer, and never a second try once
    // it was written.
    match exchange.sent {
        Sent::MaybeSent("closed") => assert_eq!(connections.load(Ordering::SeqCst), 1),
        Sent::NotSent("closed") => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reset_after_the_request_was_read_may_be_sent_and_is_not_repeated() {
    let (at, connections, _) = server(|socket| async move {
        read_request(&socket).await;
        socket.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(maybe_sent(&post(&client(), at).await), "closed");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn silence_after_the_request_was_read_may_be_sent() {
    let (at, _, _) = server(|socket| async move {
        read_request(&socket).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    })
    .await;
    let before = Instant::now();
    let exchange = post(&client(), at).await;
    assert_eq!(maybe_sent(&exchange), "timeout");
    assert!(before.elapsed() < Duration::from_secs(5));
    assert!(exchange.started.duration_since(before) < Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_cut_off_or_stalled_or_endless_keeps_its_status_and_what_came() {
    let came = |exchange: Exchange| match exchange.sent {
        Sent::Reply { status, body, cut_off, .. } => (status, body.len(), cut_off),
        other => panic!("{other:?}"),
    };
    let cut = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"messages\":[".to_vec()).await;
    assert_eq!(came(post(&client(), cut).await), (200, 13, Some("answer_cut_off")));

    let (stalled, _, _) = server(|socket| async move {
        read_request(&socket).await;
        write(&socket, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    })
    .await;
    assert_eq!(came(post(&client(), stalled).await), (200, 1, Some("timeout")));

    let mut long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    long.resize(long.len() + 1_000_000, b' ');
    let (status, length, cut_off) = came(post(&client(), answering(long).await).await);
    assert!(status == 200 && length <= 256 * 1024 && cut_off == Some("answer_too_long"), "{length} {cut_off:?}");
    let refused = answering(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n{".to_vec()).await;
    assert_eq!(came(post(&client(), refused).await), (403, 1, Some("answer_cut_off")));
    assert_eq!(maybe_sent(&post(&client(), answering(b"SSH-2.0-x\r\n".to_vec()).await).await), "closed");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (elsewhere, followed, _) = server(|socket| async move { drop(socket) }).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!("HTTP/1.1 {status} Moved\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        let at = answering(redirect.into_bytes()).await;
        let Sent::Reply { status: given, .. } = post(&client(), at).await.sent else { panic!("not an answer") };
        assert_eq!((given, followed.load(Ordering::SeqCst)), (status, 0));
    }
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_its_idle_close_is_told_honestly() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    // Two requests a connection, then it is closed while idle.
    let (at, connections, _) = server(move |socket| {
        let counter = Arc::clone(&counter);
        async move {
            for _ in 0..2 {
                read_request(&socket).await;
                counter.fetch_add(1, Ordering::SeqCst);
                write(&socket, OK).await;
            }
        }
    })
    .await;
    let client = client();
    let (mut answered, mut maybe) = (0, 0);
    for round in 0..200 {
        match post(&client, at).await.sent {
            Sent::Reply { status: 200, .. } => answered += 1,
            // The close crossed the request.
            Sent::MaybeSent("closed") => maybe += 1,
            Sent::NotSent("closed") => {}
            other => panic!("{round}: {other:?}"),
        }
        // From "the close cannot have arrived" to "it has for long".
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
    }
    let read = requests.load(Ordering::SeqCst);
    assert!((answered..=answered + maybe).contains(&read), "{read} read, {answered} answered, {maybe} may be sent");
    assert!(answered >= 100 && connections.load(Ordering::SeqCst) < 200, "{answered} {connections:?}");
}

#[tokio::test]
async fn what_cannot_be_a_request_is_certainly_not_sent() {
    let client = client();
    for url in ["", "not a url", "ftp://127.0.0.1/", "data:,x"] {
        not_sent(&client.send("test", "test-main", call(url.to_owned()), &CallOff::default()).await);
    }
    let mut bad = call("http://127.0.0.1:9/".to_owned());
    bad.headers = vec![("authorization".into(), Secret::new("Bearer a\nb"))];
    assert_eq!(not_sent(&client.send("test", "test-main", bad, &CallOff::default()).await), "header");
}

#[test]
fn timeouts_that_outlive_a_lease_are_refused() {
    for (connect, total) in [(4, 15), (10, 10), (12, 10)] {
        let settings = ClientSettings {
            connect_timeout: Duration::from_secs(connect),
            total_timeout: Duration::from_secs(total),
            ..ClientSettings::default()
        };
        assert!(matches!(Client::new(&settings), Err(ClientError::Timeouts)), "{connect} {total}");
    }
    let proxy = ClientSettings { proxy: Some(Secret::new("::not a proxy")), ..ClientSettings::default() };
    assert!(matches!(Client::new(&proxy), Err(ClientError::Proxy)));
}

/// Everything that any crate says at any level, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_trace_names_provider_and_host_and_neither_code_nor_key_nor_query() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    // With one subscriber alone, tracing asks whichever thread meets a span first, and the other tests' have none: the
    // span would be off for good. With two it asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let at = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"code\":\"493817\"}".to_vec()).await;
    let mut call = call(format!("http://{at}/v1/send?token=t0psecret"));
    call.headers = vec![("authorization".into(), Secret::new("Bearer hunter2"))];
    let exchange = client().send("example", "example-main", call, &CallOff::default()).await;
    let said = format!("{exchange:?} {}", String::from_utf8_lossy(&log.0.lock().unwrap()));
    for expected in ["provider.call", "example-main", "127.0.0.1", "status"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    for secret in ["493817", "hunter2", "t0psecret"] {
        assert!(!said.contains(secret), "{said}");
    }
}

/// The delivery is committed while the connection is being made: the head may leave, the request does not.
#[tokio::test]
async fn a_request_that_is_called_off_while_it_connects_does_not_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let call_off = CallOff::default();
    let body = OneWrite {
        bytes: Some(Bytes::from_static(b"{}")),
        handed_over: Arc::default(),
        call_off: call_off.clone(),
        kept_back: Arc::default(),
    };
    let (kept_back, handed_over) = (Arc::clone(&body.kept_back), Arc::clone(&body.handed_over));
    call_off.call_off();
    let answer = reqwest::Client::new().post(format!("http://{at}/")).body(reqwest::Body::wrap(body)).send();
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        read_request(&socket).await
    };
    let (answer, read) = tokio::join!(answer, server);
    assert!(answer.is_err() && kept_back.load(Ordering::SeqCst) && handed_over.get().is_none());
    assert!(!String::from_utf8_lossy(&read).contains("{}"), "no body, so no request");

    let exchange = client().send("test", "test-main", call(format!("http://{at}/")), &call_off).await;
    assert!(matches!(exchange.sent, Sent::NotSent(CALLED_OFF)), "{exchange:?}");
}

#[test]
fn retry_after_is_read_in_each_form() {
    let now = httpdate::parse_http_date("Thu, 10 Sep 2026 10:00:00 GMT").unwrap();
    for (retry, date, expected_ms) in [
        ("30", None, Some(30_000)),
        (" 1.5 ", None, Some(1_500)),
        ("0", None, Some(0)),
        ("-3", None, Some(0)),
        ("1e99", None, Some(86_400_000)),
        ("NaN", None, Some(0)),
        ("Thu, 10 Sep 2026 10:00:30 GMT", Some("Thu, 10 Sep 2026 10:00:00 GMT"), Some(30_000)),
        ("Thu, 10 Sep 2026 09:00:00 GMT", Some("Thu, 10 Sep 2026 10:00:00 GMT"), Some(0)),
        ("Thursday, 10-Sep-26 10:00:05 GMT", Some("Thu, 10 Sep 2026 10:00:00 GMT"), Some(5_000)),
        ("Thu, 10 Sep 2026 10:00:20 GMT", None, Some(20_000)),
        ("Fri, 10 Sep 2100 10:00:00 GMT", None, Some(86_400_000)),
        ("soon", None, None),
        ("", None, None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let read = retry_after(&headers, now).map(|wait| wait.as_millis());
        assert_eq!(read, expected_ms, "{retry}");
    }
}
