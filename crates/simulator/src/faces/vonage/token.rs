//! Tokens with which an application sends.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::PRIVATE_KEY;

/// Maximum life of a token, in seconds. Source: Vonage, "JWTs": at most 24 hours.
const LONGEST_TOKEN: i64 = 86_400;

static PUBLIC_KEY: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let der = PrivatePkcs8KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).ok()?;
    Some(KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?.public().as_ref().to_vec())
});

/// The application that a request's token belongs to, if its key signed it.
pub(super) fn application(token: &str, now: DateTime<Utc>) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let (header, claims) = (part(header)?, part(claims)?);
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY.as_ref()?);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (iat, exp) = (claims["iat"].as_i64()?, claims["exp"].as_i64()?);
    let is_fresh = exp > now.timestamp() && exp > iat && exp - iat <= LONGEST_TOKEN;
    let is_named = claims["jti"].as_str().is_some_and(|jti| jti.len() == 36);
    let application = claims["application_id"].as_str()?;
    (header["alg"] == "RS256" && is_fresh && is_named).then(|| application.to_owned())
}
