//! Where the program listens, and under which address the world finds it.

use std::net::SocketAddr;

use crate::config::address;
use crate::config::section::Section;

const DEFAULT_PORT: u16 = 8080;
const MAX_WORKERS: usize = 64;

#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// Under which providers and people reach [`ServerSettings::listen`]; `http` or `https`, no slash at its end.
    pub public_url: String,
    /// Threads that answer requests, 1 to 64.
    pub workers: usize,
}

impl ServerSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let allowed = "must be an IP address and a port, such as 127.0.0.1:8080";
        let listen = section.parsed("listen", allowed, |text| text.parse().ok());
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)));
        let allowed = "must be such as https://otp.example.com, without a query or a password";
        let public_url = section.parsed("public_url", allowed, address::base);
        let public_url = public_url.unwrap_or_else(|| format!("http://{listen}"));
        let workers = section.integer("workers", 1..=MAX_WORKERS, "threads");
        section.finish();
        Self { listen, public_url, workers: workers.unwrap_or_else(processors) }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS))
}
