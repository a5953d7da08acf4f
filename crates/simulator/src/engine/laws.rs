//! The behaviour of numbers without a fate: latencies and probabilities, per channel.

use std::f64::consts::TAU;
use std::time::Duration;

use otpost_domain::channel::Channel;
use serde::{Deserialize, Serialize};

use crate::engine::draw::Draws;

/// Maximum drawn latency, whatever the tail of its distribution.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A duration, in milliseconds of the simulator's clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "lowercase", deny_unknown_fields)]
pub enum Latency {
    Fixed {
        ms: f64,
    },
    Uniform {
        from_ms: f64,
        to_ms: f64,
    },
    /// Typical of messaging: half are below the median, with a long tail. `sigma` is of the logarithm: 0.5 mild, 1.5
    /// wild.
    Lognormal {
        median_ms: f64,
        sigma: f64,
    },
    Exponential {
        mean_ms: f64,
    },
}

impl Latency {
    pub const NONE: Self = Self::Fixed { ms: 0.0 };

    pub(crate) fn draw(&self, draws: &Draws, what: &str) -> Duration {
        let unit = draws.unit(what);
        let ms = match *self {
            Self::Fixed { ms } => ms,
            Self::Uniform { from_ms, to_ms } => from_ms + unit * (to_ms - from_ms),
            Self::Exponential { mean_ms } => -mean_ms * (1.0 - unit).ln(),
            // Box-Muller: two uniform draws give a normal one.
            Self::Lognormal { median_ms, sigma } => {
                let angle = TAU * draws.unit(&format!("{what}, angle"));
                median_ms * (sigma * (-2.0 * (1.0 - unit).ln()).sqrt() * angle.cos()).exp()
            }
        };
        // Also handles negative values and NaN.
        Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::ZERO).min(LONGEST)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Laws {
    #[serde(deserialize_with = "over_whatsapp")]
    pub whatsapp: ChannelLaws,
    #[serde(deserialize_with = "over_sms")]
    pub sms: ChannelLaws,
}

impl Default for Laws {
    /// A good day: everything arrives, at realistic speed.
    fn default() -> Self {
        Self { whatsapp: ChannelLaws::good_whatsapp(), sms: ChannelLaws::good_sms() }
    }
}

impl Laws {
    /// Everything arrives without any delay. For tests and load.
    pub fn instant() -> Self {
        Self { whatsapp: ChannelLaws::default(), sms: ChannelLaws::default() }
    }

    pub fn of(&self, channel: Channel) -> &ChannelLaws {
        match channel {
            Channel::Whatsapp => &self.whatsapp,
            Channel::Sms => &self.sms,
        }
    }
}

/// Probabilities are per request unless stated otherwise. Those from `hang` to `server_error` exclude each other, and
/// so do those from `failed` to `contradictory`; the sum of each group should be below 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelLaws {
    /// From request to answer.
    pub answer: Latency,
    /// From acceptance to `sent`. WhatsApp only: no SMS provider here reports it.
    pub sent: Latency,
    /// From `sent` to the handset.
    pub delivered: Latency,
    /// From `delivered` to `read`.
    pub read: Latency,
    /// From acceptance to `failed`.
    pub failed_after: Latency,
    /// Delay between a status and its callback, drawn separately for each copy.
    pub callback: Latency,
    /// Share of delivered WhatsApp messages that are read with receipts on.
    pub is_read: f64,

    /// Accepts the request and never answers; nothing is sent.
    pub hang: f64,
    /// The connection is closed before the message was accepted; nothing is sent.
    pub reset_before: f64,
    /// The connection is closed after the message was accepted: the handset gets it.
    pub reset_after: f64,
    pub rate_limited: f64,
    /// A 5xx; nothing is sent.
    pub server_error: f64,
    /// Share of the 5xx with an unreadable body, as a proxy in between would write it.
    pub server_error_unreadable: f64,

    /// An SMS to +91 without India's ids fails, because the networks there drop it; only at providers that accept the
    /// ids with a message.
    pub needs_dlt: bool,
    pub failed: f64,
    /// Error codes of WhatsApp failures with their weights. Empty: 131026.
    pub failed_codes: Vec<(u32, f64)>,
    /// Accepted and possibly `sent`, then nothing; the handset does not get it.
    pub silent: f64,
    /// `failed` and then `delivered`: the handset gets it.
    pub contradictory: f64,
    /// Share of numbers that this channel never reaches: always failed with 131026.
    pub not_on_channel: f64,

    /// `delivered` comes without `sent`.
    pub sent_skipped: f64,
    /// Callbacks up to `delivered` arrive before the answer to the send.
    pub callback_first: f64,
    /// The callbacks of a message are reordered.
    pub shuffled: f64,
    /// Per callback: it is never posted.
    pub lost: f64,
    /// Per callback: it is posted twice.
    pub doubled: f64,
    /// A message not delivered within this time after acceptance is dropped without a callback. 0: no limit.
    pub lifetime_ms: u64,
}

impl Default for ChannelLaws {
    fn default() -> Self {
        Self {
            answer: Latency::NONE,
            sent: Latency::NONE,
            delivered: Latency::NONE,
            read: Latency::NONE,
            failed_after: Latency::NONE,
            callback: Latency::NONE,
            is_read: 0.0,
            hang: 0.0,
            reset_before: 0.0,
            reset_after: 0.0,
            rate_limited: 0.0,
            server_error: 0.0,
            server_error_unreadable: 0.0,
            needs_dlt: false,
            failed: 0.0,
            failed_codes: Vec::new(),
            silent: 0.0,
            contradictory: 0.0,
            not_on_channel: 0.0,
            sent_skipped: 0.0,
            callback_first: 0.0,
            shuffled: 0.0,
            lost: 0.0,
            doubled: 0.0,
            lifetime_ms: 0,
        }
    }
}

impl ChannelLaws {
    fn good_whatsapp() -> Self {
        Self {
            answer: Latency::Uniform { from_ms: 60.0, to_ms: 180.0 },
            sent: Latency::Uniform { from_ms: 200.0, to_ms: 600.0 },
            delivered: Latency::Lognormal { median_ms: 900.0, sigma: 0.6 },
            read: Latency::Exponential { mean_ms: 4_000.0 },
            failed_after: Latency::Uniform { from_ms: 500.0, to_ms: 1_500.0 },
            callback: Latency::Uniform { from_ms: 20.0, to_ms: 80.0 },
            is_read: 0.6,
            // WhatsApp's default for authentication templates.
            lifetime_ms: 600_000,
            ..Self::default()
        }
    }

    fn good_sms() -> Self {
        Self {
            answer: Latency::Uniform { from_ms: 80.0, to_ms: 250.0 },
            sent: Latency::Uniform { from_ms: 100.0, to_ms: 400.0 },
            delivered: Latency::Lognormal { median_ms: 2_500.0, sigma: 0.5 },
            failed_after: Latency::Uniform { from_ms: 2_000.0, to_ms: 6_000.0 },
            callback: Latency::Uniform { from_ms: 50.0, to_ms: 300.0 },
            needs_dlt: true,
            ..Self::default()
        }
    }
}

/// Keys missing from `laws.whatsapp` keep their default values, not zero.
fn over_whatsapp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ChannelLaws, D::Error> {
    over(&ChannelLaws::good_whatsapp(), deserializer)
}

fn over_sms<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ChannelLaws, D::Error> {
    over(&ChannelLaws::good_sms(), deserializer)
}

fn over<'de, D: serde::Deserializer<'de>>(base: &ChannelLaws, deserializer: D) -> Result<ChannelLaws, D::Error> {
    use serde::de::Error as _;
    let given = serde_json::Map::deserialize(deserializer)?;
    let mut all = serde_json::to_value(base).map_err(D::Error::custom)?;
    for (key, value) in given {
        all[key] = value;
    }
    serde_json::from_value(all).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_law_has_the_middle_it_promises() {
        for (law, expected) in [
            (Latency::Fixed { ms: 40.0 }, 40.0),
            (Latency::Uniform { from_ms: 100.0, to_ms: 300.0 }, 200.0),
            (Latency::Lognormal { median_ms: 900.0, sigma: 0.6 }, 900.0),
            (Latency::Exponential { mean_ms: 1000.0 }, 1000.0 * 2_f64.ln()),
        ] {
            let mut all: Vec<f64> =
                (0..4_001).map(|n| law.draw(&Draws::new(3, 0, "+1", n), "x").as_secs_f64() * 1000.0).collect();
            all.sort_by(f64::total_cmp);
            let median = all[2_000];
            assert!((median / expected - 1.0).abs() < 0.06, "{law:?}: {median}");
        }
    }

    #[test]
    fn nonsense_takes_no_time_and_nothing_takes_for_ever() {
        let draws = Draws::new(1, 0, "+1", 1);
        assert_eq!(Latency::Fixed { ms: -5.0 }.draw(&draws, "x"), Duration::ZERO);
        assert_eq!(Latency::Fixed { ms: f64::NAN }.draw(&draws, "x"), Duration::ZERO);
        assert_eq!(Latency::Fixed { ms: 1e13 }.draw(&draws, "x"), LONGEST);
    }

    #[test]
    fn a_law_changed_alone_leaves_the_others_as_they_were() {
        let laws: Laws = serde_json::from_str(r#"{"whatsapp": {"lost": 0.5}}"#).unwrap();
        assert_eq!(laws.whatsapp, ChannelLaws { lost: 0.5, ..ChannelLaws::good_whatsapp() });
        assert_eq!(laws.sms, ChannelLaws::good_sms());
        assert!(serde_json::from_str::<Laws>(r#"{"sms": {"loss": 0.5}}"#).is_err());
    }
}
