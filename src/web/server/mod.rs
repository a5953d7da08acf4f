//! The HTTP server: accepts connections up to what the process can hold, gives each a deadline for each of its steps, and
//! ends those that do nothing when others need their place.
//!
//! actix parses and answers. What it does not do is done here: it has no deadline for the second head of a connection or
//! for a body that no handler reads, and it counts connections per thread, whatever the descriptors.

mod connection;
mod connections;
mod headers;
mod limits;
mod stream;
mod track;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use self::connection::Connection;
pub use self::connections::Connections;
pub use self::limits::{Limits, Needs};
use crate::telemetry;
use crate::web::api::Api;
use crate::web::server::worker::Worker;

/// Connections that wait in the system until they are accepted.
const BACKLOG: i32 = 1024;
/// Pause after the system could not give a connection, as when the whole machine is out of files.
const REFUSED: Duration = Duration::from_millis(50);

/// A server that is up.
pub struct Server {
    connections: Arc<Connections>,
    acceptor: JoinHandle<Vec<Worker>>,
    stop: Arc<Notify>,
    sweeper: JoinHandle<()>,
}

impl Server {
    /// Call it inside a tokio runtime: connections are accepted there, and served by `workers` threads of their own.
    ///
    /// # Errors
    /// When the listener cannot be used, or there are no threads.
    pub fn start(listener: StdListener, workers: usize, limits: Limits, api: &web::Data<Api>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Once more, for a longer queue than the standard library asks for.
        rustix::net::listen(&listener, BACKLOG)?;
        let listener = TcpListener::from_std(listener)?;
        let workers = (0..workers).map(|n| Worker::start(n, api.clone())).collect::<io::Result<Vec<_>>>()?;
        let connections = Arc::new(Connections::new(limits));
        let sweeper = tokio::spawn(Arc::clone(&connections).sweep());
        let stop = Arc::new(Notify::new());
        let acceptor = tokio::spawn(accept(listener, workers, Arc::clone(&connections), Arc::clone(&stop)));
        Ok(Self { connections, acceptor, stop, sweeper })
    }

    /// Takes no more connections, closes those that are idle, and lets requests finish for at most `patience`.
    pub async fn stop(self, patience: Duration) {
        self.stop.notify_one();
        let workers = self.acceptor.await.unwrap_or_default();
        self.connections.close();
        if tokio::time::timeout(patience, self.connections.all_left()).await.is_err() {
            tracing::warn!(connections = self.connections.count(), "some requests did not finish");
            self.connections.end_all();
        }
        self.sweeper.abort();
        let _ = tokio::task::spawn_blocking(|| workers.into_iter().for_each(Worker::stop)).await;
    }
}

/// Gives each connection that gets a place to the worker with the fewest, until `stop`. Returns the workers.
async fn accept(
    listener: TcpListener,
    workers: Vec<Worker>,
    connections: Arc<Connections>,
    stop: Arc<Notify>,
) -> Vec<Worker> {
    let give = |socket: TcpStream, peer: SocketAddr| {
        let Ok(socket) = socket.into_std() else { return };
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
                Ok((socket, peer)) => give(socket, peer),
                Err(error) => {
                    if telemetry::may_tell("connections that could not be accepted") {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
    }
    // Those who were let in by the system already would be reset.
    while let Some(Ok((socket, peer))) = listener.accept().now_or_never() {
        give(socket, peer);
    }
    drop(listener);
    workers
}
