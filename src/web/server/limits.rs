//! Limits: number of connections and time per step.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::network::Network;

/// The whole head of a request, from its first byte; for the first request, from the connection's start.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// Added to the first head's limit here, because actix itself answers 408 at [`HEAD`].
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// The first request during a shutdown, on a connection that was accepted before. Without it, a proxy that just
/// connected would see its request aborted, and may not repeat a POST.
pub(super) const FIRST_AT_STOP: Duration = Duration::from_secs(1);
/// A kept-alive connection without a new request.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// A body, from the end of its head. `web/body.rs` answers 408 earlier.
pub(super) const BODY: Duration = Duration::from_secs(12);
/// A request in progress. Handlers have shorter limits of their own; this one ends a handler that hangs.
pub(super) const WORK: Duration = Duration::from_secs(100);
/// The client has to read the whole answer within this time.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// After an answer that was sent before the body was read: further input is discarded for this time, so that the client
/// reads the answer instead of a reset.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// Maximum length of a head in bytes.
pub(super) const HEAD_BYTES: usize = 32 * 1024;

/// Files that the process needs besides connections: log, listener, pollers of the threads, settings, name lookups.
const FILES: u64 = 40;
/// Places beyond the limit. A connection there serves health checks; other requests are answered with 503.
pub(super) const RESERVE: usize = 32;
/// Default number of connections: about 16 KiB of memory each.
const MOST: u64 = 20_000;
/// Minimum number of connections, whatever the number of descriptors.
const LEAST: u64 = 16;
/// At most one in this many descriptors is reserved for sends.
const SENDS_SHARE: u64 = 8;

/// Limits of the connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// All connections.
    pub all: usize,
    /// Per address, unless it is a trusted proxy's.
    pub per_address: usize,
    /// Requests that may wait for a message at the same time, and those of one app.
    pub waiting: usize,
    pub waiting_per_app: usize,
    /// Proxies, whose connections carry many clients.
    pub trusted_proxies: Vec<Network>,
    /// The limit of open files, if it determines `all`.
    pub bounded_by: Option<u64>,
}

/// What else the process needs descriptors for.
pub struct Needs {
    /// Connections of all database pools.
    pub database: u64,
    /// Concurrent calls to providers.
    pub sends: u64,
}

impl Limits {
    /// Computes the limits from `descriptors`. Reserves descriptors for the database, sends and health checks. The
    /// settings `all` and `per_address` can only lower the result.
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
        let per_address = per_address.unwrap_or((all / 4).max(8)).min(all);
        let (waiting, waiting_per_app) = (all / 4 * 3, all / 5 * 3);
        let bounded_by = (room < most).then_some(descriptors);
        Self { all, per_address, waiting, waiting_per_app, trusted_proxies, bounded_by }
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
        assert_eq!(all(1024, Some(50_000)), 794, "a setting cannot exceed the descriptors");
        assert_eq!(all(1024, Some(100)), 100);
        let limits = Limits::new(1024, &needs, None, Some(5_000), vec![Network::parse("127.0.0.0/8").unwrap()]);
        assert_eq!(limits.per_address, 794);
        assert!(limits.is_trusted("127.0.0.9".parse().unwrap()) && !limits.is_trusted("10.0.0.1".parse().unwrap()));
    }
}
