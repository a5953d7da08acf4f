//! Where the program listens, and its public address.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::network::Network;
use otpost_settings::address;
use otpost_settings::section::Section;

const DEFAULT_PORT: u16 = 8080;
const MAX_WORKERS: usize = 64;
const LINGER_S: u64 = 5;

#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub listen: SocketAddr,
    /// The address at which providers and people reach [`ServerSettings::listen`]; `http` or `https`, without a slash
    /// at its end.
    pub public_url: String,
    /// Threads that serve requests, 1 to 64.
    pub workers: usize,
    /// Addresses whose connections carry many clients. By default this machine's own.
    pub trusted_proxies: Vec<Network>,
    /// Maximum number of connections, 16 to 1000000; fewer where the system allows fewer open files.
    pub max_connections: Option<usize>,
    /// Maximum number of connections per address, except trusted proxies, 1 to 1000000.
    pub max_connections_per_address: Option<usize>,
    /// How long after SIGTERM connections are still accepted while `/readyz` fails, so that a load balancer notices; up
    /// to 60 s.
    pub linger: Duration,
}

/// A proxy on the same machine carries all clients.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

impl ServerSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let allowed = "must be an IP address and a port, such as 127.0.0.1:8080";
        let listen = section.parsed("listen", allowed, |text| text.parse().ok());
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)));
        let allowed = "must be such as https://otp.example.com, without a query or a password";
        let public_url = section.parsed("public_url", allowed, address::base);
        let public_url = public_url.unwrap_or_else(|| format!("http://{listen}"));
        let workers = section.integer("workers", 1..=MAX_WORKERS, "threads");
        let trusted_proxies = read_proxies(&section).unwrap_or_else(loopback);
        let max_connections = section.integer("max_connections", 16..=1_000_000, "connections");
        let max_connections_per_address = section.integer("max_connections_per_address", 1..=1_000_000, "connections");
        let linger = section.integer("linger_s", 0..=60, "seconds").unwrap_or(LINGER_S);
        section.finish();
        Self {
            linger: Duration::from_secs(linger),
            trusted_proxies,
            max_connections,
            max_connections_per_address,
            listen,
            public_url,
            workers: workers.unwrap_or_else(processors),
        }
    }
}

/// The default list.
pub fn loopback() -> Vec<Network> {
    LOOPBACK.iter().filter_map(|text| Network::parse(text)).collect()
}

fn read_proxies(section: &Section<'_>) -> Option<Vec<Network>> {
    let allowed = "must be a list of IP addresses or ranges, such as \"10.0.0.5\" or \"10.0.0.0/8\"";
    let given = section.list("trusted_proxies", allowed)?;
    let mut networks = Vec::new();
    for text in given.iter().filter(|text| !text.is_empty()) {
        match Network::parse(text) {
            Some(network) => networks.push(network),
            None => section.complain("trusted_proxies", format!("has the entry \"{text}\""), allowed),
        }
    }
    Some(networks)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS))
}
