//! `X-CALLBACK-ID`: timestamp, nonce and user name are signed, one after the other, and the body is not. Source:
//! EngageLab OTP, "Callback".

use crate::wire::hmac;

pub(super) fn of(secret: &str, unix_s: i64, nonce: &str, username: &str) -> String {
    let signature = hmac::sha256_hex(secret, &[unix_s.to_string().as_bytes(), nonce.as_bytes(), username.as_bytes()]);
    format!("timestamp={unix_s};nonce={nonce};username={username};signature={signature}")
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
            let signature = of(text("secret"), vector["t"].as_i64().unwrap(), text("nonce"), text("username"));
            assert_eq!(signature, text("signature"), "{}", text("name"));
        }
    }
}
