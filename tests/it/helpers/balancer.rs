//! A plain TCP balancer: each connection goes to the next server in turn, or to the one after it if that refuses. It
//! knows nothing of HTTP and does no health checks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Runs until its runtime ends. Returns its address.
pub(crate) async fn balance(servers: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let turn = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (servers, first) = (servers.clone(), turn.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(async move {
                for n in 0..servers.len() {
                    if let Ok(mut server) = TcpStream::connect(servers[(first + n) % servers.len()]).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    address
}
