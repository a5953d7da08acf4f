//! Accounts at Vonage.

use super::{base_url, from, from_allowed, secrets, tolerance_s};
use crate::config::section::Section;
use crate::domain::channel::Channel;
use crate::domain::secret::Secret;
use crate::providers::vonage::jwt::PrivateKey;
use crate::providers::vonage::{DEFAULT_BASE_URL, DEFAULT_TOLERANCE_S, VonageAuth, VonageConfig};

pub fn read(section: &Section<'_>, channel: Channel) -> Option<VonageConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let is_word = |s: &str| (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let allowed = "must be the account's API key, which is no secret";
    let api_key = section.parsed("api_key", allowed, |text| is_word(text).then(|| text.to_owned()));
    let api_key = section.required("api_key", api_key, allowed);
    let auth = auth(section, is_word);
    let from = section.required("from", from(section, channel), from_allowed(channel));
    let signature_secrets = secrets(section, "signature_secret", "signature_secret_previous");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(DEFAULT_TOLERANCE_S);
    Some(VonageConfig {
        base_url,
        api_key: api_key?,
        auth: auth?,
        from: from?,
        signature_secrets: signature_secrets?,
        tolerance_s,
    })
}

/// Either the account's secret or an application with its key.
fn auth(section: &Section<'_>, is_word: impl Fn(&str) -> bool) -> Option<VonageAuth> {
    let api_secret = section.secret("api_secret");
    let allowed = "must be the application's id";
    let application = section.parsed("application_id", allowed, |text| is_word(text).then(|| text.to_owned()));
    let key = section.multiline_secret("private_key");
    if let Some(secret) = api_secret {
        for one in [application.is_some().then_some("application_id"), key.is_some().then_some("private_key")] {
            let Some(one) = one else { continue };
            section.complain(one, "is given beside `api_secret`", "must be left out, or `api_secret` must");
        }
        return Some(VonageAuth::ApiSecret(secret));
    }
    if application.is_none() && key.is_none() {
        let allowed = "must be the secret, env:NAME or file:/path, or give `application_id` and `private_key`";
        section.required("api_secret", None::<Secret>, allowed);
        return None;
    }
    let id = section.required("application_id", application, allowed);
    let allowed = "must be the application's private key, env:NAME or file:/path";
    let pem = section.required("private_key", key, allowed)?;
    let Some(key) = PrivateKey::from_pem(pem.expose()) else {
        section.complain("private_key", "is no RSA key of 2048 to 4096 bits", "must be a private key in PEM");
        return None;
    };
    Some(VonageAuth::Application { id: id?, key })
}
