//! The HTTP server: accepts as many connections as the process can hold, sets a time limit for each step of a
//! connection, and ends idle connections when others need their place.
//!
//! actix parses requests and writes answers. This module adds what it lacks: a time limit for the second head of a
//! connection and for a body that no handler reads, and a count of connections by descriptors instead of by thread.

pub(crate) mod connection;
mod connections;
mod headers;
mod limits;
mod stream;
mod track;
mod worker;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use self::connection::Connection;
pub use self::connections::Connections;
pub use self::limits::{Limits, Needs};
use crate::telemetry;
use crate::web::api::Api;
use crate::web::server::worker::Worker;

/// Connections that wait in the system's queue until they are accepted.
const BACKLOG: i32 = 1024;
/// Pause after the system failed to provide a connection, for example when the machine has no free files.
const REFUSED: Duration = Duration::from_millis(50);

/// A running server.
pub struct Server {
    connections: Arc<Connections>,
    acceptor: JoinHandle<Vec<Worker>>,
    stop: Arc<Notify>,
    sweeper: JoinHandle<()>,
}

impl Server {
    /// Call it inside a tokio runtime. Connections are accepted there and served by `workers` threads.
    ///
    /// # Errors
    /// When the listener cannot be used, or no threads can be started.
    pub fn start(listener: StdListener, workers: usize, limits: Limits, api: &web::Data<Api>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Called again for a longer queue than the standard library requests.
        rustix::net::listen(&listener, BACKLOG)?;
        let listener = TcpListener::from_std(listener)?;
        let workers = (0..workers).map(|n| Worker::start(n, api.clone())).collect::<io::Result<Vec<_>>>()?;
        if let Some(descriptors) = limits.bounded_by {
            tracing::info!(descriptors, connections = limits.all, "the limit of open files bounds the connections");
        }
        let connections = Arc::new(Connections::new(limits));
        let sweeper = tokio::spawn(Arc::clone(&connections).sweep());
        let stop = Arc::new(Notify::new());
        let acceptor = tokio::spawn(accept(listener, workers, Arc::clone(&connections), Arc::clone(&stop)));
        Ok(Self { connections, acceptor, stop, sweeper })
    }

    /// Accepts no more connections, closes idle ones, and lets requests finish for at most `patience`.
    pub async fn stop(self, patience: Duration) {
        self.stop.notify_one();
        let workers = self.acceptor.await.unwrap_or_default();
        self.connections.close();
        if tokio::time::timeout(patience, self.connections.all_left()).await.is_err() {
            tracing::warn!(connections = self.connections.count(), "some requests did not finish before the stop");
            self.connections.end_all();
        }
        self.sweeper.abort();
        let _ = tokio::task::spawn_blocking(|| workers.into_iter().for_each(Worker::stop)).await;
    }
}

/// Passes each admitted connection to the worker with the fewest, until `stop`. Returns the workers.
async fn accept(
    listener: TcpListener,
    workers: Vec<Worker>,
    connections: Arc<Connections>,
    stop: Arc<Notify>,
) -> Vec<Worker> {
    let give = |socket: StdStream, peer: SocketAddr| {
        let place = connections.admit(peer.ip());
        if let (Some(place), Some(worker)) = (place, workers.iter().min_by_key(|worker| worker.load())) {
            worker.give(socket, place);
        }
    };
    loop {
        let next = async {
            connections.room().await;
            listener.accept().await
        };
        tokio::select! {
            biased;
            () = stop.notified() => break,
            accepted = next => match accepted {
                Ok((socket, peer)) => {
                    if let Ok(socket) = socket.into_std() {
                        give(socket, peer);
                    }
                }
                Err(error) => {
                    if telemetry::may_tell("connections that could not be accepted") {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
    }
    // Connections in the system's queue would be reset, so they are accepted first. The system itself is asked, because
    // tokio reports nothing until it has been notified of them.
    if let Ok(listener) = listener.into_std() {
        loop {
            match listener.accept() {
                Ok((socket, peer)) if socket.set_nonblocking(true).is_ok() => give(socket, peer),
                // The client left while it waited.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => break,
            }
        }
    }
    workers
}
