//! Proof that a callback is EngageLab's.

use std::time::Duration;

use crate::signature::{check_age, check_hex, header, is_token, unix_seconds};
use crate::{Callback, Unverified, Verified, query};
use otpost_domain::secret::Secret;

/// Header `X-CALLBACK-ID`: `timestamp=..;nonce=..;username=..;signature=..`, the lower-case hex HMAC-SHA256 of
/// timestamp, nonce and user name concatenated, key = the secret that was entered beside the callback URL. The body is
/// not signed: anybody who sees one callback could send another body with its header, so a nonce counts once. Source:
/// EngageLab, OTP and SMS, "Callback", "Username and secret".
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackId {
    pub username: String,
    /// The current secret, then the previous one during a rotation.
    pub secrets: Vec<Secret>,
    /// Value of the header `Authorization` that was entered beside them; checked as well.
    pub authorization: Option<Secret>,
    pub tolerance_s: u32,
}

impl CallbackId {
    pub fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        if is_url_check(callback.body) {
            return Ok(Verified::new(callback.body, None));
        }
        let [timestamp, nonce, username, signature] = segments(header(callback, "X-CALLBACK-ID")?)?;
        let signed_at = unix_seconds(timestamp).ok_or(Unverified::Malformed)?;
        let signed = [timestamp.as_bytes(), nonce.as_bytes(), username.as_bytes()];
        check_hex(&self.secrets, &signed, signature)?;
        if username != self.username {
            return Err(Unverified::Wrong);
        }
        if let Some(expected) = &self.authorization
            && !is_token(expected, header(callback, "Authorization")?)
        {
            return Err(Unverified::Wrong);
        }
        let tolerance = Duration::from_secs(self.tolerance_s.into());
        check_age(signed_at, callback.now, tolerance)?;
        Ok(Verified::new(callback.body, None).once(nonce, signed_at + tolerance))
    }
}

/// EngageLab tests the URL with an empty body, or an empty object, when it is entered. It is answered 200 with or
/// without a signature, because it contains nothing.
pub(super) fn is_url_check(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), b"" | b"{}")
}

pub(super) fn by_token<'a>(expected: &Secret, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
    let token = query::single(callback.query, "token").ok_or(Unverified::Missing)?;
    if is_token(expected, &token) { Ok(Verified::new(callback.body, None)) } else { Err(Unverified::Wrong) }
}

/// Timestamp, nonce, user name and signature, each exactly once and not empty; other segments are ignored.
fn segments(value: &str) -> Result<[&str; 4], Unverified> {
    let mut found = [""; 4];
    for segment in value.split(';') {
        let (name, value) = segment.trim().split_once('=').ok_or(Unverified::Malformed)?;
        let place = match name {
            "timestamp" => 0,
            "nonce" => 1,
            "username" => 2,
            "signature" => 3,
            _ => continue,
        };
        if value.is_empty() || !found[place].is_empty() {
            return Err(Unverified::Malformed);
        }
        found[place] = value;
    }
    if found.contains(&"") { Err(Unverified::Malformed) } else { Ok(found) }
}
