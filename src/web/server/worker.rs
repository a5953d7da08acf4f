//! A thread that serves connections. actix's services stay on the thread that created them.

use std::net::TcpStream as StdStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use actix_http::{HttpService, KeepAlive};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, ResponseError, web};
use futures_util::future::{Either, ready};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::web::api::Api;
use crate::web::routes;
use crate::web::server::connection::Connection;
use crate::web::server::connections::Place;
use crate::web::server::limits;
use crate::web::server::stream::Stream;
use crate::web::server::track::Tracked;

/// Receives connections from the acceptor.
pub(super) struct Worker {
    queue: mpsc::UnboundedSender<(StdStream, Place)>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// # Errors
    /// When the system provides no thread or no poller.
    pub(super) fn start(number: usize, api: web::Data<Api>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Bounded by the number of places.
        let (queue, mut queued) = mpsc::unbounded_channel::<(StdStream, Place)>();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let thread = thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            LocalSet::new().block_on(&runtime, async move {
                let Some(service) = service(api).await else { return };
                let service = Rc::new(service);
                while let Some((socket, place)) = queued.recv().await {
                    let (service, count) = (Rc::clone(&service), Counted::new(&count));
                    tokio::task::spawn_local(async move {
                        let _count = count;
                        serve(&*service, socket, &place).await;
                    });
                }
            });
        })?;
        Ok(Self { queue, connections, thread })
    }

    pub(super) fn load(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn give(&self, socket: StdStream, place: Place) {
        // If the worker is gone, the socket is dropped and so closed.
        let _ = self.queue.send((socket, place));
    }

    /// Ends the thread and the connections it still serves. Blocks until it has ended.
    pub(super) fn stop(self) {
        drop(self.queue);
        let _ = self.thread.join();
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Peer = Option<std::net::SocketAddr>;

async fn service(api: web::Data<Api>) -> Option<impl Service<(Stream, Peer)>> {
    let app = App::new().app_data(api.clone()).configure(routes::configure).wrap_fn(move |mut request, app| {
        let tracked = Tracked::begin(&mut request);
        let answer = match tracked.refusal(&request) {
            None => Either::Left(app.call(request)),
            Some(problem) => Either::Right(ready(Ok(request.into_response(problem.error_response())))),
        };
        let api = api.clone();
        async move {
            let answer = answer.await?;
            Ok(tracked.end(answer, api.is_stopping()).await)
        }
    });
    let http = HttpService::<Stream, _, _>::build()
        // We end idle connections, see `Connection::is_overdue`.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(limits::HEAD)
        .client_disconnect_timeout(limits::DRAIN)
        .on_connect_ext(|stream: &Stream, data| {
            data.insert::<Arc<Connection>>(Arc::clone(&stream.connection));
        })
        .h1(map_config(app, |()| AppConfig::default()));
    http.new_service(()).await.ok()
}

async fn serve(service: &impl Service<(Stream, Peer)>, socket: StdStream, place: &Place) {
    let peer = socket.peer_addr().ok();
    let _ = socket.set_nodelay(true);
    let Ok(socket) = TcpStream::from_std(socket) else { return };
    let stream = Stream::new(socket, Arc::clone(&place.connection));
    if std::future::poll_fn(|cx: &mut Context<'_>| match service.poll_ready(cx) {
        Poll::Ready(ready) => Poll::Ready(ready.is_ok()),
        Poll::Pending => Poll::Pending,
    })
    .await
    {
        place.connection.begins();
        let mut served = pin!(service.call((stream, peer)));
        loop {
            tokio::select! {
                biased;
                _ = &mut served => return,
                // Whatever the connection waits for is dropped, and its socket closed.
                () = place.connection.end.notified() => if place.connection.is_over() { return },
            }
        }
    }
}
