//! Reads the settings of an account at Meta.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_settings::section::Section;

use super::{Meta, MetaConfig};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming};
use crate::settings::{base_url, secret, secrets, token};

/// Version of the Graph API for which the adapter is written.
const VERSION: &str = "v25.0";

pub static KIND: Kind = Kind {
    name: "meta",
    title: "Meta",
    why_no_sms: Some("Meta does not have"),
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Source: Meta, "Throughput".
fn limits(_: Channel) -> Limits {
    Limits { per_second: 80.0, concurrency: 64 }
}

fn read(section: &Section<'_>, _: Channel, language: &Language) -> Read {
    let config = config(section);
    let provider =
        config.map(|config| Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(Meta::new(c))));
    Read { provider, templates: templates::read(section, &Naming::WHATSAPP, language) }
}

fn config(section: &Section<'_>) -> Option<MetaConfig> {
    let base_url = base_url(section, MetaConfig::DEFAULT_BASE_URL);
    let version = section.parsed("version", "must be such as v25.0", |text| is_version(text).then(|| text.to_owned()));
    let allowed = "must be the digits of the number's id, which is not the phone number itself";
    let phone_number_id = section.parsed("phone_number_id", allowed, |text| {
        let fits = (5..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.to_owned())
    });
    let phone_number_id = section.required("phone_number_id", phone_number_id, allowed);
    let access_token = secret(section, "access_token");
    let app_secrets = secrets(section, "app_secret", "app_secret_previous");
    let verify_token = token(section, "verify_token");
    Some(MetaConfig {
        base_url,
        version: version.unwrap_or_else(|| VERSION.to_owned()),
        phone_number_id: phone_number_id?,
        access_token: access_token?,
        app_secrets: app_secrets?,
        verify_token: verify_token?,
    })
}

fn is_version(text: &str) -> bool {
    let digits = |s: &str| (1..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    let parts = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(major, minor)| digits(major) && digits(minor))
}
