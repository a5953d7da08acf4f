//! Reads the settings of an account at YCloud.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_settings::section::Section;

use super::{DEFAULT_BASE_URL, DEFAULT_TOLERANCE_S, YcloudSms, YcloudSmsConfig, YcloudWhatsapp, YcloudWhatsappConfig};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming};
use crate::settings::{base_url, from_number, secret, secrets, sender, tolerance_s};
use crate::templates::Templates;

pub static KIND: Kind = Kind {
    name: "ycloud",
    title: "YCloud",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Source: YCloud, "Rate limits".
fn limits(channel: Channel) -> Limits {
    match channel {
        Channel::Whatsapp => Limits { per_second: 80.0, concurrency: 64 },
        Channel::Sms => Limits { per_second: 200.0, concurrency: 64 },
    }
}

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    match channel {
        Channel::Whatsapp => Read {
            provider: whatsapp(section).map(|config| {
                Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(YcloudWhatsapp::new(c)))
            }),
            templates: templates::read(section, &Naming::WHATSAPP, language),
        },
        Channel::Sms => {
            let provider = sms(section).map(|config| {
                let provider =
                    Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(YcloudSms::new(c)));
                // Its API has no field for the ids that India requires: they are registered in its console. Source:
                // YCloud, "Send an SMS" (read 2026-11-26).
                provider.takes_sender(true)
            });
            Read { provider, templates: Some(Templates::default()) }
        }
    }
}

fn whatsapp(section: &Section<'_>) -> Option<YcloudWhatsappConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let from = from_number(section);
    let webhook_secrets = secrets(section, "webhook_secret", "webhook_secret_previous");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(DEFAULT_TOLERANCE_S);
    Some(YcloudWhatsappConfig {
        base_url,
        api_key: api_key?,
        from: from?,
        webhook_secrets: webhook_secrets?,
        tolerance_s,
    })
}

fn sms(section: &Section<'_>) -> Option<YcloudSmsConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let sender_id = section.parsed("sender_id", "must be 1 to 20 characters", sender);
    let webhook_secrets = secrets(section, "webhook_secret", "webhook_secret_previous");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(DEFAULT_TOLERANCE_S);
    Some(YcloudSmsConfig { base_url, api_key: api_key?, sender_id, webhook_secrets: webhook_secrets?, tolerance_s })
}
