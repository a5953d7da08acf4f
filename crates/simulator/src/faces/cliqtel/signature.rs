//! `X-Cliqtel-Signature`: assumed, because none is published.

use crate::wire::hmac;

pub(super) fn of(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac::sha256_hex(secret, &[body]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("signature-vectors.json")).unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            assert_eq!(of(text("secret"), text("body").as_bytes()), text("signature"), "{}", text("name"));
        }
    }
}
