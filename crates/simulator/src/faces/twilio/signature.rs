//! `X-Twilio-Signature`: base64 HMAC-SHA1 over the URL without its fragment and over all parameters, each name followed by
//! its value, sorted by name. Source: Twilio, "Validating requests are coming from Twilio".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub(super) fn of(auth_token: &str, url: &str, params: &[(&str, String)]) -> String {
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
            let params = vector["params"].as_object().unwrap().iter();
            let params: Vec<_> =
                params.map(|(name, value)| (name.as_str(), value.as_str().unwrap().to_owned())).collect();
            assert_eq!(of(text("secret"), text("url"), &params), text("signature"), "{}", text("name"));
        }
    }
}
