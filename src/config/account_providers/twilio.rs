//! Accounts at Twilio.

use super::{SECRET, base_url, from_allowed, secret};
use crate::config::section::Section;
use crate::config::templates::is_sid;
use crate::domain::channel::Channel;
use crate::domain::secret::Secret;
use crate::providers::twilio::{DEFAULT_BASE_URL, TwilioApiKey, TwilioConfig, TwilioSender};

pub fn read(section: &Section<'_>, channel: Channel) -> Option<TwilioConfig> {
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

/// A number or a name, or a pool of them.
fn sender(section: &Section<'_>, channel: Channel) -> Option<TwilioSender> {
    let from = super::from(section, channel);
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
            section.required("from", None::<String>, &allowed).map(TwilioSender::From)
        }
    }
}

fn sid(section: &Section<'_>, key: &str, prefix: &str) -> Option<String> {
    let allowed = format!("must be {prefix} and 32 of 0-9 and a-f");
    section.parsed(key, &allowed, |text| is_sid(prefix, text).then(|| text.to_owned()))
}
