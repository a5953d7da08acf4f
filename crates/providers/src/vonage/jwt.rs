//! JSON Web Tokens as Vonage uses them: RS256 for our requests, HS256 for its callbacks. Source: RFC 7519, RFC 7515;
//! Vonage, "Authentication" and "Signed webhooks".

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::Unverified;
use crate::signature::check_sha256;
use otpost_domain::secret::Secret;

/// The private key of an application. Cheap to clone.
#[derive(Clone)]
pub struct PrivateKey(Arc<KeyPair>);

/// Compares the public keys, each of which belongs to one private key.
impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public().as_ref() == other.0.public().as_ref()
    }
}

impl PrivateKey {
    /// `None` when it is not an RSA key of 2048 to 4096 bits in PEM, PKCS#8 or PKCS#1.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return None,
        };
        Some(Self(Arc::new(key.ok()?)))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &impl Serialize) -> Secret {
        let json = serde_json::to_vec(claims).expect("claims are plain structs of text and integers");
        let mut token = format!("{}.{}", part(br#"{"alg":"RS256","typ":"JWT"}"#), part(&json));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("the system has randomness and the buffer has the key's length");
        token.push('.');
        token.push_str(&part(&signature));
        Secret::new(token)
    }

    #[cfg(test)]
    pub fn public(&self) -> Vec<u8> {
        self.0.public().as_ref().to_vec()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn part(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a token that one of `secrets` signed with HS256. The algorithm in its header is only compared with
/// HS256, never followed.
pub fn verified<T: for<'de> Deserialize<'de>>(secrets: &[Secret], token: &str) -> Result<T, Unverified> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Unverified::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Unverified::Malformed)?;
    if decoded::<Header>(header)?.alg != "HS256" {
        return Err(Unverified::Malformed);
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unverified::Malformed)?;
    check_sha256(secrets, &[signed.as_bytes()], &signature)?;
    decoded(claims)
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Unverified> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Unverified::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Unverified::Malformed)
}
