//! Tests the result of the verifiers for exactly these bytes (`fixtures/vectors`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conformance::case::{Case, Keys, Runs};
use crate::signature::Scheme;
use crate::{Callback, Handshake, Unverified};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;

impl Case {
    pub fn check_vectors(&self, runs: &mut Runs) {
        let vectors = self.vectors("vectors/signatures.json");
        // The names that count once, by adapter and vector.
        let mut used: BTreeMap<(&str, &str), Option<String>> = BTreeMap::new();
        for vector in &vectors {
            let text = |key: &str| vector[key].as_str().unwrap_or_else(|| panic!("{key} in {vector}"));
            let tolerance_s = vector["tolerance_s"].as_u64().map_or(300, |s| u32::try_from(s).unwrap());
            let timestamped = vector["scheme"] == "timestamped";
            let mut names = vector["headers"].as_object().unwrap().keys();
            let header =
                names.find(|name| name.ends_with("-Timestamp")).map_or("X-Timestamp", String::as_str).to_owned();
            let tolerance = Duration::from_secs(tolerance_s.into());
            let scheme = if timestamped { Scheme::Timestamped { header, tolerance } } else { Scheme::RawBody };
            let keys = Keys {
                secret: text("secret").to_owned(),
                tolerance_s,
                scheme: Some(scheme),
                vector: vector.clone(),
                ..Keys::default()
            };
            let headers: Vec<(String, Vec<u8>)> = vector["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec()))
                .collect();
            let body = BASE64_STANDARD.decode(text("body_base64")).unwrap();
            let now = DateTime::from_timestamp(vector["now"].as_i64().unwrap_or_default(), 0).unwrap();
            // If a scheme signs the address, the vector names it.
            let url = vector["url"].as_str().unwrap_or("https://otp.example.org/webhooks/main?token=token");
            let (callback_url, query) = url.split_once('?').unwrap_or((url, ""));
            for name in self.signing {
                let adapter = (self.adapter)(name, &keys);
                let callback = Callback { headers: &headers, callback_url, query, body: &body, now };
                let mut verdict = adapter.verify(&callback);
                if let Ok(verified) = &verdict {
                    let once = verified.only_once().map(|once| once.name.clone());
                    // The earlier vector makes this one a repeat.
                    if vector["after"].is_string() && once == used.get(&(*name, text("after"))).cloned().flatten() {
                        verdict = Err(Unverified::Stale);
                    }
                    used.insert((*name, text("name")), once);
                }
                assert_eq!(verdict.is_ok(), vector["valid"] == true, "{} {}", self.name, text("name"));
                if let Ok(verified) = verdict {
                    assert_eq!((verified.body(), verified.attempt_id()), (body.as_slice(), None));
                }
                runs.signatures += 1;
            }
        }
        for vector in self.vectors("vectors/handshakes.json") {
            let keys = Keys { verify_token: vector["verify_token"].as_str().unwrap().to_owned(), ..Keys::default() };
            let given = (self.adapter)("whatsapp", &keys).handshake(vector["query"].as_str().unwrap());
            let expected = match vector["expect_status"].as_u64() {
                Some(200) => Handshake::Answer(vector["expect_body"].as_str().unwrap().to_owned()),
                Some(403) => Handshake::Refused,
                Some(400) => Handshake::Malformed,
                other => panic!("{other:?}"),
            };
            assert_eq!(given, expected, "{}", vector["name"]);
            runs.handshakes += 1;
        }
        for vector in self.vectors("vectors/tokens.json") {
            let keys = Keys { verify_token: vector["expected_token"].as_str().unwrap().to_owned(), ..Keys::default() };
            let token = vector["path"].as_str().unwrap().rsplit('/').next().unwrap();
            let query = if token.is_empty() { String::new() } else { format!("token={token}") };
            let callback =
                Callback { headers: &[], callback_url: "", query: &query, body: b"{}", now: DateTime::UNIX_EPOCH };
            let verdict = (self.adapter)("whatsapp", &keys).verify(&callback).map(|_| ());
            let refused = if token.is_empty() { Unverified::Missing } else { Unverified::Wrong };
            let expected = if vector["accept"] == true { Ok(()) } else { Err(refused) };
            assert_eq!(verdict, expected, "{}", vector["name"]);
            runs.tokens += 1;
        }
    }
}
