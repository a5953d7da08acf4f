//! Proof that a callback is Infobip's.
//!
//! If a message names its callback address itself, no further proof is documented for the report: an unguessable token
//! in that address is the proof. Basic authentication, a custom header and an HMAC can be chosen only for a
//! subscription (its "notification profile"), which has the address itself.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Hmac;
use sha2::{Sha256, Sha512};

use crate::signature::{FixedHeader, header, is_mac, is_token};
use crate::{Callback, Unverified, Verified, query};
use otpost_domain::secret::Secret;
use otpost_domain::words;

/// Everything that is set must match. With nothing set, every callback is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InfobipProof {
    /// `token` in the query of the callback address.
    pub token: Option<Secret>,
    /// User, a colon and the password.
    pub basic: Option<Secret>,
    pub header: Option<FixedHeader>,
    pub signature: Option<BodySignature>,
}

/// A header with the HMAC over the body's raw bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct BodySignature {
    /// In any case. It must occur exactly once.
    pub header: String,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// The current secret, then the previous one during a rotation. Empty ones never match.
    pub secrets: Vec<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base64,
}

words! {
    Algorithm { Sha256 = "sha256", Sha512 = "sha512" }
    Encoding { Hex = "hex", Base64 = "base64" }
}

impl InfobipProof {
    /// The address that a message should name: only if the token is the only proof. Otherwise reports have to come
    /// through the subscription, which alone can send the other proofs.
    pub(super) fn notify_url(&self, callback_url: &str) -> Option<String> {
        let token = self.token.as_ref()?;
        if self.basic.is_some() || self.header.is_some() || self.signature.is_some() {
            return None;
        }
        let joint = if callback_url.contains('?') { '&' } else { '?' };
        Some(format!("{callback_url}{joint}token={}", query::encode(token.expose())))
    }

    pub(super) fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        let mut verdict = Err(Unverified::Missing);
        if let Some(expected) = &self.token {
            let given = query::single(callback.query, "token").ok_or(Unverified::Missing)?;
            verdict = Ok(right(is_token(expected, &given))?);
        }
        if let Some(expected) = &self.basic {
            verdict = Ok(right(is_token(expected, &credentials(callback)?))?);
        }
        if let Some(header) = &self.header {
            verdict = Ok(header.verify(callback)?);
        }
        if let Some(signature) = &self.signature {
            verdict = Ok(signature.verify(callback)?);
        }
        verdict.map(|()| Verified::new(callback.body, None))
    }
}

fn right(is_right: bool) -> Result<(), Unverified> {
    if is_right { Ok(()) } else { Err(Unverified::Wrong) }
}

/// User, colon and password of Basic authentication. Source: RFC 7617; the scheme's name may be in any case.
fn credentials(callback: &Callback<'_>) -> Result<String, Unverified> {
    let (scheme, encoded) = header(callback, "Authorization")?.split_once(' ').ok_or(Unverified::Malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unverified::Malformed);
    }
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or(Unverified::Malformed)
}

impl BodySignature {
    fn verify(&self, callback: &Callback<'_>) -> Result<(), Unverified> {
        let value = header(callback, &self.header)?;
        let given = match self.encoding {
            Encoding::Hex => hex::decode(value).ok(),
            Encoding::Base64 => BASE64_STANDARD.decode(value).ok(),
        };
        let given = given.ok_or(Unverified::Malformed)?;
        right(match self.algorithm {
            Algorithm::Sha256 => is_mac::<Hmac<Sha256>>(&self.secrets, &[callback.body], &given),
            Algorithm::Sha512 => is_mac::<Hmac<Sha512>>(&self.secrets, &[callback.body], &given),
        })
    }
}
