//! Reads the settings of an account at Cliqtel.

use std::time::Duration;

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_settings::section::Section;

use super::{CliqtelSender, CliqtelSms, CliqtelSmsConfig, CliqtelWhatsapp, CliqtelWhatsappConfig, DEFAULT_BASE_URL};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming};
use crate::settings::{HEADER, base_url, header_name, secret, secrets, sender, token, tolerance_s};
use crate::signature::{HmacCheck, Scheme};
use crate::templates::Templates;

const BETA: &str = " uses Cliqtel, which is beta: the shape of its callbacks is not documented but assumed.";

pub static KIND: Kind = Kind {
    name: "cliqtel",
    title: "Cliqtel",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Source: Cliqtel, API reference: 60 requests a minute.
fn limits(_: Channel) -> Limits {
    Limits { per_second: 1.0, concurrency: 4 }
}

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    let cautions = vec![BETA.to_owned()];
    match channel {
        Channel::Whatsapp => {
            let provider = whatsapp(section).map(|config| {
                let provider =
                    Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(CliqtelWhatsapp::new(c)));
                provider.cautions(cautions)
            });
            Read { provider, templates: templates::read(section, &Naming::WHATSAPP, language) }
        }
        Channel::Sms => {
            let provider = sms(section).map(|config| {
                let provider =
                    Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(CliqtelSms::new(c)));
                // Its API has no field for the ids that India requires. Source: Cliqtel, SMS reference (read
                // 2026-11-26).
                provider.takes_sender(true).cautions(cautions)
            });
            Read { provider, templates: Some(Templates::default()) }
        }
    }
}

fn whatsapp(section: &Section<'_>) -> Option<CliqtelWhatsappConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let account_id = section.integer("account_id", 1..=i64::MAX, "as they give it");
    let account_id =
        section.required("account_id", account_id, "must be the id of the WhatsApp account at the provider");
    let callback_token = token(section, "callback_token");
    let child = section.section("signature");
    let signature = if child.is_given() { Some(signature(child)?) } else { None };
    Some(CliqtelWhatsappConfig {
        base_url,
        api_key: api_key?,
        account_id: account_id?.unsigned_abs(),
        callback_token: callback_token?,
        signature,
    })
}

fn sms(section: &Section<'_>) -> Option<CliqtelSmsConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let from = section.parsed("from", "must be 1 to 20 characters", sender);
    let number_id = section.integer("number_id", 1..=i64::MAX, "as they give it");
    let callback_secret = token(section, "callback_secret");
    let sender = match (from, number_id) {
        (Some(from), None) => Some(CliqtelSender::From(from)),
        (None, Some(id)) => Some(CliqtelSender::NumberId(id.unsigned_abs())),
        (Some(_), Some(_)) => {
            section.complain("number_id", "is given beside `from`", "must be one of the two");
            None
        }
        (None, None) => {
            let from = section.required("from", None::<String>, "must be the sender, or give its `number_id`");
            from.map(CliqtelSender::From)
        }
    };
    Some(CliqtelSmsConfig { base_url, api_key: api_key?, sender: sender?, callback_secret: callback_secret? })
}

/// Signatures are not documented yet; this setting is for the day when they are.
fn signature(section: Section<'_>) -> Option<HmacCheck> {
    let header = section.required("header", section.parsed("header", HEADER, header_name), HEADER);
    let prefix = section.text("prefix").unwrap_or_default();
    let timestamp_header = section.parsed("timestamp_header", HEADER, header_name);
    let tolerance_s = tolerance_s(&section, "tolerance_s").unwrap_or(300);
    let secrets = secrets(&section, "secret", "secret_previous");
    section.finish();
    let scheme = match timestamp_header {
        Some(header) => Scheme::Timestamped { header, tolerance: Duration::from_secs(tolerance_s.into()) },
        None => Scheme::RawBody,
    };
    Some(HmacCheck { header: header?, prefix, scheme, secrets: secrets? })
}
