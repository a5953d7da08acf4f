//! `X-Hub-Signature-256` and the bytes that it covers. Source: Meta, Webhooks, "Validate payloads".

use std::fmt::Write as _;

use crate::wire::hmac;

pub(super) fn of(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac::sha256_hex(secret, &[body]))
}

/// JSON as Meta sends it: non-ASCII characters as `\u` escapes, `/` as `\/`. Both occur only inside strings, so the
/// written text can be converted. A receiver that parses and rewrites the body gets other bytes to verify.
pub(super) fn escape(json: &str) -> String {
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

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("signature-vectors.json")).unwrap();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            assert_eq!(of(text("secret"), text("body").as_bytes()), text("signature"), "{}", text("name"));
        }
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
