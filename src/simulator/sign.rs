//! Signatures of callbacks, and the bytes they cover.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// Lower-case hexadecimal HMAC-SHA256 over the parts, one after the other.
pub(crate) fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

/// `X-Hub-Signature-256`. Source: Meta, Webhooks, "Validate payloads".
pub(crate) fn meta(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac_hex(secret, &[body]))
}

/// `YCloud-Signature`: `t` in seconds, a full stop and the body are signed, with the whole secret, `whsec_` included.
/// Source: YCloud, "Webhook signature"; their kit says that the full stop of older pages behind the body is wrong.
pub(crate) fn ycloud(secret: &str, unix_s: i64, body: &[u8]) -> String {
    format!("t={unix_s},s={}", hmac_hex(secret, &[unix_s.to_string().as_bytes(), b".", body]))
}

/// `X-Cliqtel-Signature`: assumed, none is published.
pub(crate) fn cliqtel(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac_hex(secret, &[body]))
}

/// `X-Twilio-Signature`: base64 HMAC-SHA1 over the URL without its fragment and over all parameters, each name followed by
/// its value, sorted by name. Source: Twilio, "Validating requests are coming from Twilio".
pub(crate) fn twilio(auth_token: &str, url: &str, params: &[(&str, String)]) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(url.split('#').next().unwrap_or_default().as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What a token of Vonage's says beside the body's hash.
pub(crate) struct VonageClaims<'a> {
    pub iat: i64,
    pub jti: &'a str,
    pub api_key: &'a str,
    pub application_id: &'a str,
}

/// `Authorization`: `Bearer` and a JWT, HS256 with the signature secret. Source: Vonage, "Signed webhooks".
pub(crate) fn vonage(secret: &str, claims: &VonageClaims<'_>, body: &[u8]) -> String {
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

/// `X-CALLBACK-ID`: timestamp, nonce and user name are signed, one after the other, and the body is not. Source:
/// EngageLab OTP, "Callback".
pub(crate) fn engagelab(secret: &str, unix_s: i64, nonce: &str, username: &str) -> String {
    let signature = hmac_hex(secret, &[unix_s.to_string().as_bytes(), nonce.as_bytes(), username.as_bytes()]);
    format!("timestamp={unix_s};nonce={nonce};username={username};signature={signature}")
}

/// `X-Agg-Signature` of the aggregator that does not exist: base64 of the HMAC-SHA512 of the body.
pub(crate) fn aggregator(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// JSON as Meta puts it on the wire: what is not ASCII as `\u` escapes, `/` as `\/`. Both occur inside strings only, so
/// that it can be done to the written text. Whoever parses the body and writes it again gets other bytes to verify.
pub(crate) fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    for c in json.chars() {
        match c {
            '/' => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("writing into a String cannot fail");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The valid ones of the providers' vectors: name, secret, body, signature.
    const VECTORS: &str = include_str!("signature-vectors.json");

    #[test]
    fn signatures_are_the_ones_of_the_vectors() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        for vector in vectors.as_array().unwrap() {
            let text = |key: &str| vector[key].as_str().unwrap();
            let (secret, body) = (text("secret"), text("body").as_bytes());
            let signature = match text("provider") {
                "meta" => meta(secret, body),
                "ycloud" => ycloud(secret, vector["t"].as_i64().unwrap(), body),
                "twilio" => {
                    let params = vector["params"].as_object().unwrap().iter();
                    let params: Vec<_> =
                        params.map(|(name, value)| (name.as_str(), value.as_str().unwrap().to_owned())).collect();
                    twilio(secret, text("url"), &params)
                }
                "vonage" => {
                    let (jti, api_key, application_id) = (text("jti"), text("api_key"), text("application_id"));
                    let iat = vector["iat"].as_i64().unwrap();
                    vonage(secret, &VonageClaims { iat, jti, api_key, application_id }, body)
                }
                "engagelab" => engagelab(secret, vector["t"].as_i64().unwrap(), text("nonce"), text("username")),
                "aggregator" => aggregator(secret, body),
                _ => cliqtel(secret, body),
            };
            assert_eq!(signature, text("signature"), "{} {}", text("provider"), text("name"));
        }
        assert_eq!(vectors.as_array().unwrap().len(), 13);
    }

    #[test]
    fn meta_escapes_what_is_not_ascii_and_every_slash() {
        let json = r#"{"name":"äöå 你好 😀","url":"https://example.org/a<b>%@"}"#;
        let wire = escape(json);
        assert_eq!(
            wire,
            r#"{"name":"\u00e4\u00f6\u00e5 \u4f60\u597d \ud83d\ude00","url":"https:\/\/example.org\/a<b>%@"}"#
        );
        assert_eq!(serde_json::from_str::<Value>(&wire).unwrap(), serde_json::from_str::<Value>(json).unwrap());
    }
}
