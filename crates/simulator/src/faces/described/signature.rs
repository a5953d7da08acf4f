//! `X-Agg-Signature`: base64 of the HMAC-SHA512 of the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

pub(super) fn of(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("signature-vectors.json")).unwrap();
        assert_eq!(vectors.len(), 1);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            assert_eq!(of(text("secret"), text("body").as_bytes()), text("signature"), "{}", text("name"));
        }
    }
}
