//! Limits of the calls to providers.

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;

use crate::domain::secret::Secret;
use crate::outbound::ClientSettings;
use otpost_settings::section::Section;

#[derive(Clone, Debug)]
pub struct SendingSettings {
    pub client: ClientSettings,
    /// How long an attempt is leased to the worker that sends it; longer than the client's total timeout, at most 300
    /// s.
    pub lease: Duration,
    /// How long to wait for a callback before an SMS of unknown outcome is sent again; 0.1 to 60 s.
    pub resend_after: Duration,
    /// Number of faults among an account's recent sends that open its breaker, if they are at least half of them, 1 to
    /// 1000.
    pub breaker_failures: u32,
    /// How long it stays open, 0.1 to 600 s.
    pub breaker_open: Duration,
}

impl SendingSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let ms = |key, range: RangeInclusive<u64>, default: Duration| {
            section.integer(key, range, "milliseconds").map_or(default, Duration::from_millis)
        };
        let default = ClientSettings::default();
        let client = ClientSettings {
            connect_timeout: ms("connect_timeout_ms", 100..=10_000, default.connect_timeout),
            total_timeout: ms("total_timeout_ms", 200..=14_999, default.total_timeout),
            max_reply_bytes: section
                .integer("max_reply_bytes", 1024..=16 * 1024 * 1024, "bytes")
                .unwrap_or(default.max_reply_bytes),
            pool_per_host: section.integer("pool_per_host", 1..=1024, "connections").unwrap_or(default.pool_per_host),
            pool_idle_timeout: ms("pool_idle_timeout_ms", 1000..=300_000, default.pool_idle_timeout),
            proxy: proxy(&section),
        };
        let settings = Self {
            lease: ms("lease_ms", 1000..=300_000, Duration::from_secs(20)),
            resend_after: ms("resend_after_ms", 100..=60_000, Duration::from_secs(5)),
            breaker_failures: section.integer("breaker_failures", 1..=1000, "failures").unwrap_or(8),
            breaker_open: ms("breaker_open_ms", 100..=600_000, Duration::from_secs(30)),
            client,
        };
        let (connect, total) = (settings.client.connect_timeout.as_millis(), settings.client.total_timeout.as_millis());
        if connect >= total {
            let allowed = format!("must be less than total_timeout_ms ({total})");
            section.complain("connect_timeout_ms", format!("is {connect}"), allowed);
        }
        let lease = settings.lease.as_millis();
        if lease <= total {
            let allowed =
                format!("must be more than total_timeout_ms ({total}), so that no two workers send the same attempt");
            section.complain("lease_ms", format!("is {lease}"), allowed);
        }
        section.finish();
        settings
    }
}

fn proxy(section: &Section<'_>) -> Option<Secret> {
    let proxy = section.secret("proxy")?;
    let url = Url::parse(proxy.expose()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        // Not repeated: it may contain a password.
        section.complain(
            "proxy",
            "is no address of a proxy",
            "must be such as http://user:password@proxy.example.com:3128",
        );
    }
    url.map(|_| proxy)
}
