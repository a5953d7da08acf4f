//! `Authorization` of callbacks: `Bearer` and a JWT, HS256 with the signature secret. Source: Vonage, "Signed webhooks".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The token's claims besides the body's hash.
pub(super) struct Claims<'a> {
    pub iat: i64,
    pub jti: &'a str,
    pub api_key: &'a str,
    pub application_id: &'a str,
}

pub(super) fn of(secret: &str, claims: &Claims<'_>, body: &[u8]) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let claims = json!({
        "iat": claims.iat,
        "jti": claims.jti,
        "iss": "Vonage",
        "payload_hash": hex::encode(Sha256::digest(body)),
        "api_key": claims.api_key,
        "application_id": claims.application_id,
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
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
            let (jti, api_key, application_id) = (text("jti"), text("api_key"), text("application_id"));
            let claims = Claims { iat: vector["iat"].as_i64().unwrap(), jti, api_key, application_id };
            assert_eq!(of(text("secret"), &claims, text("body").as_bytes()), text("signature"), "{}", text("name"));
        }
    }
}
