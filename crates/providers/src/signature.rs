//! Proofs of a callback's origin: an HMAC over raw bytes, and unguessable tokens in the address.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Callback, Unverified};
use otpost_domain::secret::Secret;

/// A header with `prefix` and the lower-case hex HMAC-SHA256 of the callback.
#[derive(Clone, Debug, PartialEq)]
pub struct HmacCheck {
    /// Name of the header, in any case. It must occur exactly once.
    pub header: String,
    /// Prefix of the hex digits, `sha256=` for most; may be empty.
    pub prefix: String,
    pub scheme: Scheme,
    /// The current secret, then the previous one during a rotation. Empty ones never match.
    pub secrets: Vec<Secret>,
}

/// What the signature covers.
#[derive(Clone, Debug, PartialEq)]
pub enum Scheme {
    /// The body's raw bytes. Replays are not limited, but applying a receipt twice is harmless.
    RawBody,
    /// The text of the header named here (Unix seconds), a full stop, the body's raw bytes.
    Timestamped { header: String, tolerance: Duration },
}

/// A header with a constant secret of ours. It proves who sent the callback, and nothing about its content.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedHeader {
    /// In any case. It must occur exactly once.
    pub name: String,
    /// The current secret, then the previous one during a rotation. Empty ones never match.
    pub secrets: Vec<Secret>,
}

impl FixedHeader {
    pub(crate) fn verify(&self, callback: &Callback<'_>) -> Result<(), Unverified> {
        let given = header(callback, &self.name)?;
        if self.secrets.iter().any(|secret| is_token(secret, given)) { Ok(()) } else { Err(Unverified::Wrong) }
    }
}

impl HmacCheck {
    /// # Errors
    /// See [`Unverified`]; `Stale` only for a valid proof that is too old or too far ahead.
    pub fn verify(&self, callback: &Callback<'_>) -> Result<(), Unverified> {
        let value = header(callback, &self.header)?;
        let hex = value.strip_prefix(self.prefix.as_str()).ok_or(Unverified::Malformed)?;
        match &self.scheme {
            Scheme::RawBody => check_hex(&self.secrets, &[callback.body], hex),
            Scheme::Timestamped { header: name, tolerance } => {
                check_timestamped(&self.secrets, header(callback, name)?, hex, callback, *tolerance)
            }
        }
    }
}

/// The header's only value.
pub(crate) fn header<'a>(callback: &Callback<'a>, name: &str) -> Result<&'a str, Unverified> {
    match callback.single_header(name) {
        Some(value) => Ok(value),
        None if callback.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => Err(Unverified::Malformed),
        None => Err(Unverified::Missing),
    }
}

/// `timestamp`: signed Unix seconds. They may be up to `tolerance` in the past or in the future.
pub(crate) fn check_timestamped(
    secrets: &[Secret],
    timestamp: &str,
    hex: &str,
    callback: &Callback<'_>,
    tolerance: Duration,
) -> Result<(), Unverified> {
    let signed_at = unix_seconds(timestamp).ok_or(Unverified::Malformed)?;
    check_hex(secrets, &[timestamp.as_bytes(), b".", callback.body], hex)?;
    check_age(signed_at, callback.now, tolerance)
}

pub(crate) fn check_age(signed_at: DateTime<Utc>, now: DateTime<Utc>, tolerance: Duration) -> Result<(), Unverified> {
    let age = (now - signed_at).abs().to_std().unwrap_or(Duration::MAX);
    // `now` has fractions of a second, the timestamp has not.
    if age.as_secs() <= tolerance.as_secs() { Ok(()) } else { Err(Unverified::Stale) }
}

pub(crate) fn unix_seconds(text: &str) -> Option<DateTime<Utc>> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    DateTime::from_timestamp(digits.then(|| text.parse().ok())??, 0)
}

/// Exactly 64 lower-case hex digits of the HMAC-SHA256 over `parts` under any of `secrets`. In constant time.
pub(crate) fn check_hex(secrets: &[Secret], parts: &[&[u8]], hex: &str) -> Result<(), Unverified> {
    if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Unverified::Malformed);
    }
    let mut signature = [0; 32];
    hex::decode_to_slice(hex, &mut signature).map_err(|_| Unverified::Malformed)?;
    check_sha256(secrets, parts, &signature)
}

/// The bytes of the HMAC-SHA256 over `parts` under any of `secrets`. In constant time.
pub(crate) fn check_sha256(secrets: &[Secret], parts: &[&[u8]], signature: &[u8]) -> Result<(), Unverified> {
    if is_mac::<Hmac<Sha256>>(secrets, parts, signature) { Ok(()) } else { Err(Unverified::Wrong) }
}

/// The same with HMAC-SHA1, for providers that offer nothing better.
pub(crate) fn check_sha1(secrets: &[Secret], parts: &[&[u8]], signature: &[u8]) -> Result<(), Unverified> {
    if is_mac::<Hmac<Sha1>>(secrets, parts, signature) { Ok(()) } else { Err(Unverified::Wrong) }
}

/// Whether `signature` is the MAC over `parts` under any of `secrets`, in its full length. In constant time.
pub(crate) fn is_mac<M: Mac + KeyInit>(secrets: &[Secret], parts: &[&[u8]], signature: &[u8]) -> bool {
    let mut macs = secrets.iter().filter_map(|secret| mac::<M>(secret, parts));
    macs.any(|mac| mac.verify_slice(signature).is_ok())
}

/// The lower-case hex HMAC-SHA256 of `part`. Empty when the secret is, which [`check_hex`] never accepts.
pub(crate) fn sign_hex(secret: &Secret, part: &[u8]) -> String {
    mac::<Hmac<Sha256>>(secret, &[part]).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
}

/// `None` for an empty secret, because everybody knows that key.
fn mac<M: Mac + KeyInit>(secret: &Secret, parts: &[&[u8]]) -> Option<M> {
    if secret.is_empty() {
        return None;
    }
    let mut mac = <M as KeyInit>::new_from_slice(secret.expose().as_bytes()).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

/// Compares hashes, so that the time reveals neither the position of the first difference nor the length. An empty
/// expected token matches nothing.
pub(crate) fn is_token(expected: &Secret, given: &str) -> bool {
    let (expected_hash, given_hash) = (Sha256::digest(expected.expose()), Sha256::digest(given));
    bool::from(expected_hash.as_slice().ct_eq(given_hash.as_slice())) && !expected.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str]) -> HmacCheck {
        HmacCheck {
            header: "X-Signature".to_owned(),
            prefix: "sha256=".to_owned(),
            scheme: Scheme::RawBody,
            secrets: secrets.iter().map(|s| Secret::new(*s)).collect(),
        }
    }

    fn verify(check: &HmacCheck, headers: &[(&str, &str)]) -> Result<(), Unverified> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        check.verify(&Callback {
            headers: &headers,
            callback_url: "",
            query: "",
            body: b"body",
            now: DateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn the_current_and_the_previous_secret_are_taken_and_no_other() {
        let check = check(&["current", "previous"]);
        for (secret, verdict) in [("current", Ok(())), ("previous", Ok(())), ("older", Err(Unverified::Wrong))] {
            let value = format!("sha256={}", sign_hex(&Secret::new(secret), b"body"));
            assert_eq!(verify(&check, &[("x-signature", &value)]), verdict, "{secret}");
        }
    }

    #[test]
    fn two_signature_headers_are_refused_even_when_both_are_right() {
        let value = format!("sha256={}", sign_hex(&Secret::new("k"), b"body"));
        let twice = [("X-Signature", value.as_str()), ("x-signature", value.as_str())];
        assert_eq!(verify(&check(&["k"]), &twice), Err(Unverified::Malformed));
        assert_eq!(verify(&check(&["k"]), &[]), Err(Unverified::Missing));
    }

    #[test]
    fn an_empty_secret_verifies_nothing() {
        // HMAC-SHA256 of `body` under the empty key.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(b"body");
        let value = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(verify(&check(&[""]), &[("X-Signature", &value)]), Err(Unverified::Wrong));
        assert_eq!(verify(&check(&[]), &[("X-Signature", &value)]), Err(Unverified::Wrong));
        assert!(!is_token(&Secret::new(""), ""));
    }
}
