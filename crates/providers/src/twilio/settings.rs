//! Reads the settings of an account at Twilio.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::secret::Secret;
use otpost_settings::section::Section;

use super::{DEFAULT_BASE_URL, Twilio, TwilioApiKey, TwilioConfig, TwilioSender, is_sid};
use crate::configured::{Configured, Kind, Limits, Read, SenderForm};
use crate::settings::templates::{self, Naming, Written};
use crate::settings::{self, SECRET, base_url, from_allowed, secret};
use crate::templates::Templates;

pub static KIND: Kind = Kind {
    name: "twilio",
    title: "Twilio",
    why_no_sms: None,
    limits,
    sender_form: Some(MESSAGING_SERVICE),
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Source: Twilio, "Rate limits and message queues": a number or a name outside of North America; 100 concurrent calls.
fn limits(channel: Channel) -> Limits {
    match channel {
        Channel::Whatsapp => Limits { per_second: 80.0, concurrency: 64 },
        Channel::Sms => Limits { per_second: 10.0, concurrency: 64 },
    }
}

const MESSAGING_SERVICE: SenderForm =
    SenderForm { fits: |text| is_sid("MG", text), allowed: ", or a messaging service: MG and 32 of 0-9 and a-f" };

/// Source: Twilio, "Content resource".
const NAMING: Naming = Naming {
    name: |text| is_sid("HX", text).then(|| text.to_owned()),
    allowed: "must be the sid of an approved authentication template: HX and 32 of 0-9 and a-f",
    language: Written::NotSent,
};

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    let build: fn(TwilioConfig) -> Box<dyn crate::Provider> = match channel {
        Channel::Whatsapp => |config| Box::new(Twilio::new(Channel::Whatsapp, config)),
        Channel::Sms => |config| Box::new(Twilio::new(Channel::Sms, config)),
    };
    let provider = config(section, channel).map(|config| {
        let provider = Configured::new(&KIND, &config.base_url.clone(), config, build);
        // Its API has no field for the ids that India requires: sender and texts are registered with Twilio. Source:
        // Twilio, "Documents required ... Sender ID in India" (read 2026-11-26).
        provider.takes_sender(channel == Channel::Sms)
    });
    let templates = match channel {
        Channel::Whatsapp => templates::read(section, &NAMING, language),
        Channel::Sms => Some(Templates::default()),
    };
    Read { provider, templates }
}

fn config(section: &Section<'_>, channel: Channel) -> Option<TwilioConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let account_sid = sid(section, "account_sid", "AC");
    let account_sid = section.required("account_sid", account_sid, "must be AC and 32 of 0-9 and a-f");
    let auth_token = secret(section, "auth_token");
    let auth_token_previous = section.secret("auth_token_previous");
    let api_key = api_key(section);
    let sender = sender(section, channel);
    let discard_content = section.flag("discard_content").unwrap_or(false);
    Some(TwilioConfig {
        base_url,
        account_sid: account_sid?,
        auth_token: auth_token?,
        auth_token_previous,
        api_key,
        sender: sender?,
        discard_content,
    })
}

/// Both of its settings, or neither.
fn api_key(section: &Section<'_>) -> Option<TwilioApiKey> {
    let sid = self::sid(section, "api_key_sid", "SK");
    let secret = section.secret("api_key_secret");
    match (sid, secret) {
        (Some(sid), Some(secret)) => Some(TwilioApiKey { sid, secret }),
        (None, None) => None,
        (Some(_), None) => {
            section.required("api_key_secret", None::<Secret>, SECRET);
            None
        }
        (None, Some(_)) => {
            section.required("api_key_sid", None::<String>, "must be SK and 32 of 0-9 and a-f");
            None
        }
    }
}

/// A number or a name, or a messaging service.
fn sender(section: &Section<'_>, channel: Channel) -> Option<TwilioSender> {
    let from = settings::from(section, channel).filter(|from| has_its_plus(section, from));
    let service = sid(section, "messaging_service_sid", "MG");
    match (from, service) {
        (Some(from), None) => Some(TwilioSender::From(from)),
        (None, Some(sid)) => Some(TwilioSender::MessagingService(sid)),
        (Some(_), Some(_)) => {
            section.complain("messaging_service_sid", "is given beside `from`", "must be one of the two");
            None
        }
        (None, None) => {
            let allowed = format!("{}, or give a `messaging_service_sid`", from_allowed(channel));
            // Not if it is given and wrong, which has been reported.
            section.required("from", None::<String>, &allowed).map(TwilioSender::From)
        }
    }
}

/// Twilio accepts numbers in E.164 only (error 21212); digits without `+` are short codes, of at most 8 digits.
fn has_its_plus(section: &Section<'_>, from: &str) -> bool {
    let is_separator = |b: u8| matches!(b, b' ' | b'-' | b'.' | b'(' | b')');
    let digits = from.bytes().filter(u8::is_ascii_digit).count();
    let lacks = digits > 8 && from.bytes().all(|b| b.is_ascii_digit() || is_separator(b));
    if lacks {
        let allowed = "must be a number in E.164 form, such as \"+12025550100\", a short code or a name";
        section.complain("from", "is a number without its + and calling code", allowed);
    }
    !lacks
}

fn sid(section: &Section<'_>, key: &str, prefix: &str) -> Option<String> {
    let allowed = format!("must be {prefix} and 32 of 0-9 and a-f");
    section.parsed(key, &allowed, |text| is_sid(prefix, text).then(|| text.to_owned()))
}
