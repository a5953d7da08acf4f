//! How many connections are served, and how long each step of one may take.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::network::Network;

/// The whole head of a request, from its first byte; for the first request, from the connection on.
pub const HEAD: Duration = Duration::from_secs(10);
/// Added to the first head's time here: actix itself answers 408 at [`HEAD`].
pub const GRACE: Duration = Duration::from_millis(500);
/// A kept connection without a new request.
pub const IDLE: Duration = Duration::from_secs(75);
/// A body, from the end of its head. `web/body.rs` answers 408 before that.
pub const BODY: Duration = Duration::from_secs(12);
/// A request that is being worked on. Handlers have shorter limits of their own; this ends one that has lost its way.
pub const WORK: Duration = Duration::from_secs(100);
/// A client takes its whole answer within this.
pub const ANSWER: Duration = Duration::from_secs(30);
/// After an answer that came before the body was read: what still arrives is thrown away for so long, so that the client
/// reads the answer instead of a reset.
pub const DRAIN: Duration = Duration::from_secs(2);
/// Most bytes of a head.
pub const HEAD_BYTES: usize = 32 * 1024;

/// Files that the process needs besides connections: log, listener, pollers of the threads, settings, name lookups.
const FILES: u64 = 40;
/// Places beyond the limit. A connection there is asked about its health, or answered 503.
pub const RESERVE: usize = 32;
/// Connections when nobody sets another number: about 16 KiB of memory each.
const MOST: u64 = 20_000;
/// However few descriptors there are.
const LEAST: u64 = 16;
/// Sends for which descriptors are kept at most, as a part of all.
const SENDS_SHARE: u64 = 8;

/// Bounds of the connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// All connections.
    pub all: usize,
    /// Of one address, unless it is a trusted proxy's.
    pub per_address: usize,
    /// Requests that may wait for a message at a time, and those of one app.
    pub waiting: usize,
    pub waiting_per_app: usize,
    /// Proxies, whose connections are those of many clients.
    pub trusted_proxies: Vec<Network>,
}

/// What else the process needs descriptors for.
pub struct Needs {
    /// Connections of all database pools.
    pub database: u64,
    /// Calls to providers at a time.
    pub sends: u64,
}

impl Limits {
    /// In step with `descriptors`. Keeps room for the database, sends and health checks. `all` and `per_address` are the
    /// settings, which can only lower what there is room for.
    pub fn new(
        descriptors: u64,
        needs: &Needs,
        all: Option<usize>,
        per_address: Option<usize>,
        trusted_proxies: Vec<Network>,
    ) -> Self {
        let sends = needs.sends.min((descriptors / SENDS_SHARE).max(LEAST));
        let kept = FILES + needs.database + sends + RESERVE as u64;
        let room = usize::try_from(descriptors.saturating_sub(kept).max(LEAST)).unwrap_or(usize::MAX);
        let most = all.unwrap_or(MOST as usize);
        let all = room.min(most);
        if room < most {
            tracing::info!(descriptors, connections = all, "the limit of open files bounds the connections");
        }
        let per_address = per_address.unwrap_or((all / 4).max(8)).min(all);
        let (waiting, waiting_per_app) = (all / 4 * 3, all / 5 * 3);
        Self { all, per_address, waiting, waiting_per_app, trusted_proxies }
    }

    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_in_step_with_the_descriptors() {
        let needs = Needs { database: 30, sends: 320 };
        let all = |descriptors, all| Limits::new(descriptors, &needs, all, None, Vec::new()).all;
        for (descriptors, expected) in [(64, 16), (256, 122), (1024, 794), (20_000, 19_578), (1 << 20, 20_000)] {
            assert_eq!(all(descriptors, None), expected, "{descriptors} descriptors");
        }
        assert_eq!(all(1 << 20, Some(50_000)), 50_000);
        assert_eq!(all(1024, Some(50_000)), 794, "a setting does not make descriptors");
        assert_eq!(all(1024, Some(100)), 100);
        let limits = Limits::new(1024, &needs, None, Some(5_000), vec![Network::parse("127.0.0.0/8").unwrap()]);
        assert_eq!(limits.per_address, 794);
        assert!(limits.is_trusted("127.0.0.9".parse().unwrap()) && !limits.is_trusted("10.0.0.1".parse().unwrap()));
    }
}
