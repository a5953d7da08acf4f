//! `YCloud-Signature`: HMAC over `t` in seconds, a full stop and the body, with the whole secret including `whsec_`.
//! Source: YCloud, "Webhook signature"; their SDK says that the full stop after the body on older pages is wrong.

use crate::wire::hmac;

pub(super) fn of(secret: &str, unix_s: i64, body: &[u8]) -> String {
    format!("t={unix_s},s={}", hmac::sha256_hex(secret, &[unix_s.to_string().as_bytes(), b".", body]))
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
            let signature = of(text("secret"), vector["t"].as_i64().unwrap(), text("body").as_bytes());
            assert_eq!(signature, text("signature"), "{}", text("name"));
        }
    }
}
