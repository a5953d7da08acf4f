//! Proofs of a callback's origin; the settings choose one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::signature::{header, is_token};
use crate::{Callback, Unverified, query};
use otpost_domain::secret::Secret;
use otpost_domain::words;

#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    Signature(Signature),
    /// `?token=` of the callback URL.
    Token(Secret),
    /// A header with a constant value; Basic authentication is one.
    Header {
        name: String,
        value: Secret,
    },
}

/// An HMAC of the body's raw bytes in a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// In any case. It must occur exactly once.
    pub header: String,
    /// Prefix of the digits, such as `sha256=`; may be empty.
    pub prefix: String,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// The current secret, then the previous one during a rotation. Empty ones never match.
    pub secrets: Vec<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
    /// Still secure inside an HMAC.
    Sha1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// In either case.
    Hex,
    /// RFC 4648, section 4, with padding.
    Base64,
}

words! {
    Algorithm { Sha256 = "sha256", Sha512 = "sha512", Sha1 = "sha1" }
    Encoding { Hex = "hex", Base64 = "base64" }
}

impl Proof {
    pub fn verify(&self, callback: &Callback<'_>) -> Result<(), Unverified> {
        let (expected, given) = match self {
            Self::Signature(signature) => return signature.verify(callback),
            Self::Token(token) => (token, query::single(callback.query, "token").ok_or(Unverified::Missing)?),
            Self::Header { name, value } => (value, header(callback, name)?.to_owned()),
        };
        if is_token(expected, &given) { Ok(()) } else { Err(Unverified::Wrong) }
    }
}

impl Signature {
    fn verify(&self, callback: &Callback<'_>) -> Result<(), Unverified> {
        let text = header(callback, &self.header)?;
        let text = text.strip_prefix(self.prefix.as_str()).ok_or(Unverified::Malformed)?;
        let given = match self.encoding {
            Encoding::Hex => hex::decode(text).map_err(|_| Unverified::Malformed)?,
            Encoding::Base64 => BASE64_STANDARD.decode(text).map_err(|_| Unverified::Malformed)?,
        };
        let is_of = |secret: &Secret| match self.algorithm {
            Algorithm::Sha256 => is_hmac::<Hmac<Sha256>>(secret, callback.body, &given),
            Algorithm::Sha512 => is_hmac::<Hmac<Sha512>>(secret, callback.body, &given),
            Algorithm::Sha1 => is_hmac::<Hmac<Sha1>>(secret, callback.body, &given),
        };
        if self.secrets.iter().any(is_of) { Ok(()) } else { Err(Unverified::Wrong) }
    }
}

/// Compares the whole MAC in constant time. An empty secret never matches.
fn is_hmac<M: Mac + KeyInit>(secret: &Secret, body: &[u8], given: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret.expose().as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(given).is_ok() && !secret.is_empty()
}
