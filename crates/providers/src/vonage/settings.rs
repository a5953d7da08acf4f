//! Reads the settings of an account at Vonage.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::secret::Secret;
use otpost_settings::section::Section;

use super::jwt::PrivateKey;
use super::{DEFAULT_BASE_URL, DEFAULT_TOLERANCE_S, Vonage, VonageAuth, VonageConfig};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming, is_word};
use crate::settings::{base_url, from, from_allowed, secrets, tolerance_s};
use crate::templates::Templates;

pub static KIND: Kind = Kind {
    name: "vonage",
    title: "Vonage",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Source: Vonage, "Throughput limit for outbound SMS": 30 requests per second and key.
fn limits(_: Channel) -> Limits {
    Limits { per_second: 30.0, concurrency: 32 }
}

/// Vonage's other templates are named `namespace:name`, so many operators write these so too. Only the name is sent.
/// Source: Vonage, "Send a WhatsApp Authentication Template".
const NAMING: Naming = Naming {
    name: |text| {
        let (space, name) = text.split_once(':').unwrap_or(("namespace", text));
        (is_word(space) && is_word(name)).then(|| name.to_owned())
    },
    ..Naming::WHATSAPP
};

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    let build: fn(VonageConfig) -> Box<dyn crate::Provider> = match channel {
        Channel::Whatsapp => |config| Box::new(Vonage::new(Channel::Whatsapp, config)),
        Channel::Sms => |config| Box::new(Vonage::new(Channel::Sms, config)),
    };
    let provider = config(section, channel).map(|config| {
        let is_sms = channel == Channel::Sms;
        let provider = Configured::new(&KIND, &config.base_url.clone(), config, build);
        provider.takes_sender(is_sms).takes_dlt(is_sms)
    });
    let templates = match channel {
        Channel::Whatsapp => templates::read(section, &NAMING, language),
        Channel::Sms => Some(Templates::default()),
    };
    Read { provider, templates }
}

fn config(section: &Section<'_>, channel: Channel) -> Option<VonageConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let is_id = |s: &str| (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let allowed = "must be the account's API key, which is no secret";
    let api_key = section.parsed("api_key", allowed, |text| is_id(text).then(|| text.to_owned()));
    let api_key = section.required("api_key", api_key, allowed);
    let auth = auth(section, is_id);
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
fn auth(section: &Section<'_>, is_id: impl Fn(&str) -> bool) -> Option<VonageAuth> {
    let api_secret = section.secret("api_secret");
    let allowed = "must be the application's id";
    let application = section.parsed("application_id", allowed, |text| is_id(text).then(|| text.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_templates_go_by_their_name_alone() {
        let name = NAMING.name;
        for (given, sent) in [
            ("login_code", Some("login_code")),
            ("00000000_0000_0000_0000_000000000003:login_code", Some("login_code")),
            (":login_code", None),
            ("ns:", None),
            ("ns:a:b", None),
            ("ns:Login", None),
            ("", None),
        ] {
            assert_eq!(name(given).as_deref(), sent, "{given}");
        }
        assert_eq!((Naming::WHATSAPP.name)("ns:login_code"), None);
    }
}
