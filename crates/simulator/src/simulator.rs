//! A running simulator, for programs that embed it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use crate::config::{NoFace, SimConfig};
use crate::engine::account::Mode;
use crate::engine::fates::GivenFate;
use crate::engine::laws::Laws;
use crate::engine::poster::Poster;
use crate::engine::seen::{SeenMessage, SeenPhone};
use crate::engine::stats::{Advanced, Refusal, Stats};
use crate::engine::world::{Account, Command, World, lock};
use crate::server;

#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("cannot listen on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("cannot start a thread of the simulator")]
    Thread(#[source] std::io::Error),
    #[error("cannot make the client that posts callbacks")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    NoFace(#[from] NoFace),
    #[error("there is no account named {0}")]
    NoAccount(String),
    #[error("the simulator has stopped")]
    Stopped,
    #[error("the simulator's clock is real and cannot be advanced")]
    ClockIsReal,
}

/// A running simulator. It has its own threads, so it works inside any runtime and continues while a test's only thread
/// is busy. Dropping it stops it without waiting.
pub struct Simulator {
    world: Arc<World>,
    addr: SocketAddr,
    server: actix_web::dev::ServerHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Listens at once; port 0 takes a free one, see [`Simulator::url`]. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// When an account has a face that does not exist, the address is in use, or the system has no thread or no client
    /// for it.
    pub fn start(config: SimConfig, listen: SocketAddr) -> Result<Self, SimError> {
        // reqwest is built without a crypto provider. An error is ignored: one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(listen).map_err(|source| SimError::Listen { addr: listen, source })?;
        let addr = listener.local_addr().map_err(|source| SimError::Listen { addr: listen, source })?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(config.retries.timeout_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(config.in_flight)
            .build()
            .map_err(SimError::Client)?;
        let (commands, received) = mpsc::unbounded_channel();
        let workers = config.workers;
        let world = Arc::new(config.into_world(commands)?);

        let poster = Poster { world: Arc::clone(&world), client };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SimError::Thread)?;
        let posting = std::thread::Builder::new()
            .name("sim-callbacks".into())
            .spawn(move || runtime.block_on(poster.run(received)))
            .map_err(SimError::Thread)?;

        let (tell, told) = std::sync::mpsc::channel();
        let of_server = Arc::clone(&world);
        let serving = std::thread::Builder::new()
            .name("sim-http".into())
            .spawn(move || {
                actix_web::rt::System::new().block_on(async move {
                    match server::serve(&of_server, workers, listener) {
                        Ok(server) => {
                            // The caller waits for this, or is gone and the server stops with it.
                            let _ = tell.send(Ok(server.handle()));
                            if let Err(error) = server.await {
                                tracing::warn!(%error, "the simulator's server stopped");
                            }
                        }
                        Err(error) => drop(tell.send(Err(error))),
                    }
                });
            })
            .map_err(SimError::Thread)?;
        match told.recv() {
            Ok(Ok(server)) => Ok(Self { world, addr, server, threads: vec![posting, serving] }),
            Ok(Err(source)) => {
                let _ = world.commands.send(Command::Stop);
                Err(SimError::Listen { addr, source })
            }
            Err(_) => Err(SimError::Stopped),
        }
    }

    /// `http://127.0.0.1:40123`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address for an account's callbacks from now on, including retries; `None`: none are sent.
    ///
    /// # Errors
    /// [`SimError::NoAccount`].
    pub fn set_callback(&self, account: &str, url: Option<&str>) -> Result<(), SimError> {
        lock(&self.find(account)?.live).callback_url = url.map(str::to_owned);
        Ok(())
    }

    /// # Errors
    /// [`SimError::NoAccount`].
    pub fn set_mode(&self, account: &str, mode: Mode) -> Result<(), SimError> {
        lock(&self.find(account)?.live).mode = mode;
        Ok(())
    }

    /// For requests from now on.
    pub fn set_laws(&self, laws: Laws) {
        *lock(&self.world.laws) = Arc::new(laws);
    }

    /// For requests from now on, to a whole number (`+628...`) or to all numbers with this end.
    pub fn set_fate(&self, number_or_end: &str, fate: GivenFate) {
        lock(&self.world.fates).set(number_or_end, fate);
    }

    pub fn clear_fate(&self, number_or_end: &str) {
        lock(&self.world.fates).remove(number_or_end);
    }

    /// The last `limit` valid send requests, oldest first. `to`: a whole number with its `+`, its end without, or
    /// `None` for all.
    pub fn messages(&self, to: Option<&str>, limit: usize) -> Vec<SeenMessage> {
        self.world.book.messages(to, limit)
    }

    /// What the phone got; all zero when the number was never seen.
    pub fn phone(&self, phone: &str) -> SeenPhone {
        self.world.phone(phone)
    }

    /// At most `limit` phones, in the order of their numbers.
    pub fn phones(&self, limit: usize) -> Vec<SeenPhone> {
        self.world.book.phones(None, limit)
    }

    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// The latest requests that were refused for their credentials or their shape, oldest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        lock(&self.world.refusals).iter().cloned().collect()
    }

    /// Callbacks not yet posted: scheduled, waiting for another try, or in flight. Excludes those of a late WhatsApp
    /// message whose SMS has not been seen.
    pub fn pending(&self) -> usize {
        self.world.pending()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now()
    }

    /// Manual clock only: performs everything that falls due, in order; each callback is answered before the next is
    /// posted.
    ///
    /// # Errors
    /// [`SimError::ClockIsReal`], [`SimError::Stopped`].
    pub async fn advance(&self, by: Duration) -> Result<Advanced, SimError> {
        if !self.world.clock.is_manual() {
            return Err(SimError::ClockIsReal);
        }
        let (done, advanced) = oneshot::channel();
        self.world.commands.send(Command::Advance(by, done)).map_err(|_| SimError::Stopped)?;
        advanced.await.map_err(|_| SimError::Stopped)
    }

    /// Real clock only: waits, at most this long in real time, until no callback is pending. Returns whether that
    /// happened.
    pub async fn settle(&self, at_most: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(5);
        let quiet = async {
            while self.pending() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(at_most, quiet).await.is_ok()
    }

    /// Deletes all messages, their scheduled events and the totals; accounts, fates and laws stay.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Stops listening, drops open connections, posts nothing more, and waits until its threads have ended.
    pub async fn stop(mut self) {
        let threads = std::mem::take(&mut self.threads);
        drop(self);
        // Joining blocks, so it must not happen on the caller's runtime.
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
    }

    fn find(&self, account: &str) -> Result<&Account, SimError> {
        self.world.account(account).ok_or_else(|| SimError::NoAccount(account.to_owned()))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.world.commands.send(Command::Stop);
        // The command is sent when the future is created; waiting for it is not needed.
        drop(self.server.stop(false));
    }
}
