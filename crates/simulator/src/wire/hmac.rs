//! Keyed hashes of callbacks.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Lower-case hexadecimal HMAC-SHA256 over the parts, one after the other.
pub(crate) fn sha256_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}
