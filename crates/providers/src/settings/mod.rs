//! Settings that several providers have in common.

pub(crate) mod templates;

use otpost_domain::channel::Channel;
use otpost_domain::phone::Phone;
use otpost_domain::secret::Secret;
use otpost_settings::section::Section;
use otpost_settings::{address, weak};

/// Minimum length in bytes of a secret that the operator chooses.
const MIN_TOKEN_BYTES: usize = 16;

pub(crate) const HEADER: &str = "must be the name of a header";

pub(crate) const SECRET: &str = "must be the secret, env:NAME or file:/path";

pub(crate) const ADDRESS: &str =
    "must begin with https://, or with http:// on this machine, without a query or a password";

const SMS_SENDER: &str = "must be a name of 1 to 20 characters, or a number with + and calling code";

pub(crate) fn header_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then(|| text.to_owned())
}

pub(crate) fn base_url(section: &Section<'_>, default: &str) -> String {
    section.parsed("base_url", ADDRESS, address::provider).unwrap_or_else(|| default.to_owned())
}

/// The sender: for WhatsApp a number.
pub(crate) fn from(section: &Section<'_>, channel: Channel) -> Option<String> {
    match channel {
        Channel::Whatsapp => section.parsed("from", from_allowed(channel), Phone::sender),
        Channel::Sms => section.parsed("from", SMS_SENDER, sender),
    }
}

pub(crate) fn from_allowed(channel: Channel) -> &'static str {
    match channel {
        Channel::Whatsapp => "must be the sender's number with + and calling code",
        Channel::Sms => "must be the sender",
    }
}

/// For WhatsApp, where the sender is always a number.
pub(crate) fn from_number(section: &Section<'_>) -> Option<String> {
    section.required("from", from(section, Channel::Whatsapp), from_allowed(Channel::Whatsapp))
}

/// A number is normalised; a name or a short code stays unchanged.
pub(crate) fn sender(text: &str) -> Option<String> {
    let number = Phone::sender(text);
    if number.is_some() || text.trim_start().starts_with('+') {
        return number;
    }
    let fits = (1..=20).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

pub(crate) fn tolerance_s(section: &Section<'_>, key: &str) -> Option<u32> {
    section.integer(key, 60..=86_400, "seconds")
}

pub(crate) fn secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    section.required(key, section.secret(key), SECRET)
}

/// A secret that the operator chooses: it must be long enough not to be guessed.
pub(crate) fn token(section: &Section<'_>, key: &str) -> Option<Secret> {
    let secret = secret(section, key)?;
    let length = secret.expose().len();
    if length < MIN_TOKEN_BYTES {
        let allowed = format!("must be at least {MIN_TOKEN_BYTES} characters that nobody can guess");
        section.complain(key, format!("has {length} characters"), allowed);
        return None;
    }
    strong(section, key, secret)
}

/// `None` for a weak secret, which has been reported then.
fn strong(section: &Section<'_>, key: &str, secret: Secret) -> Option<Secret> {
    match weak::secret(secret.expose()) {
        None => Some(secret),
        Some(wrong) => {
            section.complain(key, wrong, "must be a secret of the provider, or one that nobody can guess");
            None
        }
    }
}

/// The current secret, then the previous one during a rotation.
pub(crate) fn secrets(section: &Section<'_>, current: &str, previous: &str) -> Option<Vec<Secret>> {
    let given = |key: &str, secret: Option<Secret>| secret.and_then(|secret| strong(section, key, secret));
    let former = given(previous, section.secret(previous));
    Some([given(current, secret(section, current))?].into_iter().chain(former).collect())
}
