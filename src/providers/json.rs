//! Reading JSON that strangers wrote, and writing ours.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::providers::Unreadable;

/// Longest provider message id that we keep, in bytes. Meta's, the longest known, have about 80.
pub const MAX_PROVIDER_MESSAGE_ID: usize = 256;

/// A request body is written into one allocation of this many bytes, so that no grown-out-of copy of the code stays
/// behind unwiped. 1600 characters of text fit, escaped or not.
pub const BODY_CAPACITY: usize = 16 * 1024;

/// Text, or an integer as text: providers write the same id or code one way here and the other way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrInteger;
        impl Visitor<'_> for TextOrInteger {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or an integer")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(TextOrInteger)
    }
}

/// A field that only tells more: of any other type, it counts as absent instead of making its object unreadable.
pub fn lenient<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

/// `None` when it cannot be kept: empty, longer than [`MAX_PROVIDER_MESSAGE_ID`], or with control characters (NUL is
/// refused by Postgres).
pub fn provider_message_id(id: &str) -> Option<String> {
    let fits = !id.is_empty() && id.len() <= MAX_PROVIDER_MESSAGE_ID && !id.chars().any(char::is_control);
    fits.then(|| id.to_owned())
}

/// A number as most carriers write it: E.164 without its `+`.
pub fn msisdn(e164: &str) -> &str {
    e164.trim_start_matches('+')
}

/// ISO 8601 with an offset, a colon in it or not. Years that Postgres or arithmetic cannot hold count as absent.
pub fn iso_instant(text: &str) -> Option<DateTime<Utc>> {
    let extended = DateTime::parse_from_rfc3339(text);
    plausible(extended.or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")).ok()?.to_utc())
}

/// As mails write it: `Tue, 14 Jul 2026 09:30:01 +0000`.
pub fn rfc2822_instant(text: &str) -> Option<DateTime<Utc>> {
    plausible(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

/// Unix seconds as text.
pub fn unix_instant(text: &str) -> Option<DateTime<Utc>> {
    plausible(DateTime::from_timestamp(text.parse().ok()?, 0)?)
}

/// 2000 to 2100: outside of it the sender's clock tells nothing.
fn plausible(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (946_684_800..4_102_444_800).contains(&at.timestamp()).then_some(at)
}

/// Our own request, which always serializes: no maps with odd keys, no failing implementations.
pub fn body(request: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_CAPACITY));
    serde_json::to_writer(&mut *bytes, request).expect("requests are plain structs of text and integers");
    bytes
}

/// Parses without ever repeating the content in the reason.
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, Unreadable> {
    // Checked first: what serde_json skips over it does not check, and a raw item has to be text.
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Unreadable { reason: format!("{what}: not UTF-8 at byte {}", e.valid_up_to()) })?;
    serde_json::from_str(text).map_err(|e| {
        let kind = match e.classify() {
            serde_json::error::Category::Data => "not the documented shape",
            _ => "not JSON",
        };
        Unreadable { reason: format!("{what}: {kind} at line {} column {}", e.line(), e.column()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_be_kept_are_refused() {
        assert_eq!(provider_message_id("wamid.x"), Some("wamid.x".to_owned()));
        for bad in ["", "a\0b", "a\nb", &"x".repeat(MAX_PROVIDER_MESSAGE_ID + 1)] {
            assert_eq!(provider_message_id(bad), None);
        }
        assert!(provider_message_id(&"x".repeat(MAX_PROVIDER_MESSAGE_ID)).is_some());
    }

    #[test]
    fn text_and_integers_are_scalars_and_nothing_else_is() {
        for (json, text) in
            [("\"a\"", "a"), ("131026", "131026"), ("-1", "-1"), ("18446744073709551615", "18446744073709551615")]
        {
            assert_eq!(serde_json::from_str::<Scalar>(json).unwrap().0, text);
        }
        for bad in ["1.5", "18446744073709551616", "null", "true", "[]", "{}", r#""\ud800""#] {
            assert!(serde_json::from_str::<Scalar>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_far_off_count_as_absent() {
        assert!(unix_instant("1789034403").is_some());
        assert!(iso_instant("2026-09-10T10:00:03.000Z").is_some());
        assert_eq!(iso_instant("2026-09-10T12:00:03.494+0200"), iso_instant("2026-09-10T10:00:03.494Z"));
        assert_eq!(rfc2822_instant("Thu, 10 Sep 2026 10:00:03 +0000"), unix_instant("1789034403"));
        for bad in ["", "Thu, 10 Sep 1926 10:00:03 +0000", "2026-09-10T10:00:03Z"] {
            assert_eq!(rfc2822_instant(bad), None, "{bad}");
        }
        for bad in ["", "-1", "9223372036854775807", "1789034403000", "x"] {
            assert_eq!(unix_instant(bad), None, "{bad}");
        }
        for bad in ["", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-09-10", "2026-13-10T10:00:03Z"] {
            assert_eq!(iso_instant(bad), None, "{bad}");
        }
    }
}
