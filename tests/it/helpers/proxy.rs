//! A TCP proxy before the database's socket that simulates network faults: silence, refusal, broken connections.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Works,
    /// Connections stay open and new ones are accepted, but no data passes.
    Silent,
    /// Existing connections are silent for ever; new ones work.
    OldOnesSilent,
    /// Connections are reset, and nothing listens.
    Refuses,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    network: Arc<watch::Sender<Network>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server whose socket folder `database_url` names.
    pub(crate) async fn before(database_url: &str) -> (Self, String) {
        let (before, folder) = database_url.split_once("?host=").expect("the test cluster has a socket");
        let socket = Path::new(folder).join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(watch::Sender::new(Network::Works));
        let task = tokio::spawn(serve(listener, address, socket, Arc::clone(&network)));
        let url = before.replacen("@localhost", &format!("@{address}"), 1);
        (Self { address, network, task }, url)
    }

    pub(crate) async fn set(&self, network: Network) {
        self.network.send_replace(network);
        // The listener opens and closes with the state of the network.
        let listens = network != Network::Refuses;
        while TcpStream::connect(self.address).await.is_ok() != listens {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, socket: PathBuf, network: Arc<watch::Sender<Network>>) {
    let mut listener = Some(listener);
    let mut state = network.subscribe();
    loop {
        let refuses = *state.borrow_and_update() == Network::Refuses;
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let Some(open) = &listener else {
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            continue;
        };
        tokio::select! {
            taken = open.accept() => {
                let Ok((client, _)) = taken else { continue };
                tokio::spawn(carry(client, socket.clone(), network.subscribe()));
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

/// Copies in both directions until the network's state changes.
async fn carry(mut client: TcpStream, socket: PathBuf, mut network: watch::Receiver<Network>) {
    let mut server = None;
    loop {
        let now = *network.borrow_and_update();
        let changed = match now {
            Network::Works => {
                if server.is_none() {
                    server = UnixStream::connect(&socket).await.ok();
                }
                let Some(server) = &mut server else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, server) => return,
                    changed = network.changed() => changed,
                }
            }
            Network::Silent => network.changed().await,
            Network::OldOnesSilent if server.is_some() => {
                // As long as the client keeps it.
                let mut nothing = [0; 1];
                while client.peek(&mut nothing).await.is_ok_and(|read| read > 0) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                return;
            }
            Network::OldOnesSilent => {
                server = UnixStream::connect(&socket).await.ok();
                let Some(server) = &mut server else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, server) => return,
                    changed = network.changed() => changed,
                }
            }
            Network::Refuses => return,
        };
        if changed.is_err() {
            return;
        }
    }
}
