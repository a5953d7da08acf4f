//! Where the program listens, and under which address the world finds it.

use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Under which providers and people reach [`ServerSettings::listen`]; `http` or `https`, no slash at its end.
    pub public_url: String,
    /// Threads that answer requests, 1 to 64.
    pub workers: usize,
}
