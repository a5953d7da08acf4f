//! The settings that only one provider has.

mod infobip;
mod sleekflow;
mod twilio;
mod vonage;

use std::time::Duration;

use crate::config::accounts::ProviderSettings;
use crate::config::address;
use crate::config::section::Section;
use crate::config::weak;
use crate::config::{account_engagelab, account_http};
use crate::domain::channel::Channel;
use crate::domain::phone::Phone;
use crate::domain::secret::Secret;
use crate::domain::words::words;
use crate::providers::cliqtel::{self, CliqtelSender, CliqtelSmsConfig, CliqtelWhatsappConfig};
use crate::providers::meta::MetaConfig;
use crate::providers::signature::{HmacCheck, Scheme};
use crate::providers::ycloud::{self, YcloudSmsConfig, YcloudWhatsappConfig};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderName {
    Meta,
    Ycloud,
    Cliqtel,
    Infobip,
    Sleekflow,
    Twilio,
    Vonage,
    Engagelab,
    Http,
}

words! {
    ProviderName {
        Meta = "meta",
        Ycloud = "ycloud",
        Cliqtel = "cliqtel",
        Infobip = "infobip",
        Sleekflow = "sleekflow",
        Twilio = "twilio",
        Vonage = "vonage",
        Engagelab = "engagelab",
        Http = "http",
    }
}

/// The Graph API's version for which the adapter is written.
const META_VERSION: &str = "v25.0";

/// Shortest secret that we choose ourselves, in bytes.
const MIN_TOKEN_BYTES: usize = 16;

pub(super) const HEADER: &str = "must be the name of a header";

const SECRET: &str = "must be the secret, env:NAME or file:/path";

impl ProviderName {
    /// What follows "is sms, which", for those whose accounts have one channel.
    pub fn why_no_sms(self) -> Option<&'static str> {
        match self {
            Self::Meta => Some("Meta does not have"),
            Self::Sleekflow => Some("otpost does not send through SleekFlow"),
            _ => None,
        }
    }

    /// Messages a second and calls at the same time. Sources: Meta, "Throughput", which holds for every WhatsApp number;
    /// YCloud, "Rate limits"; Cliqtel, API reference (60 requests a minute); Twilio, "Rate limits and message queues" (a
    /// number or name outside of North America; 100 calls at the same time); Vonage, "Throughput limit for outbound SMS"
    /// (30 requests a second and key). Infobip has no limit for sending ("Rate limits and throttling"), so its networks'
    /// 429 set it; SleekFlow's depends on the plan and is not published, EngageLab publishes none, and those of a described
    /// provider are not ours to know: these are cautious guesses.
    pub fn limits(self, channel: Channel) -> (f64, u32) {
        match (self, channel) {
            (Self::Meta, _) | (Self::Ycloud | Self::Infobip, Channel::Whatsapp) => (80.0, 64),
            (Self::Ycloud | Self::Infobip, Channel::Sms) => (200.0, 64),
            (Self::Sleekflow, _) => (5.0, 8),
            (Self::Cliqtel, _) => (1.0, 4),
            (Self::Twilio, Channel::Whatsapp) => (80.0, 64),
            (Self::Twilio, Channel::Sms) => (10.0, 64),
            (Self::Vonage, _) => (30.0, 32),
            (Self::Engagelab, _) => (20.0, 32),
            (Self::Http, _) => (10.0, 16),
        }
    }
}

/// Every setting is read before the first `?`, so that everything wrong is said at once.
pub(super) fn read(section: &Section<'_>, name: ProviderName, channel: Channel) -> Option<ProviderSettings> {
    match (name, channel) {
        (ProviderName::Meta, _) => meta(section).map(ProviderSettings::Meta),
        (ProviderName::Ycloud, Channel::Whatsapp) => ycloud_whatsapp(section).map(ProviderSettings::YcloudWhatsapp),
        (ProviderName::Ycloud, Channel::Sms) => ycloud_sms(section).map(ProviderSettings::YcloudSms),
        (ProviderName::Cliqtel, Channel::Whatsapp) => cliqtel_whatsapp(section).map(ProviderSettings::CliqtelWhatsapp),
        (ProviderName::Cliqtel, Channel::Sms) => cliqtel_sms(section).map(ProviderSettings::CliqtelSms),
        (ProviderName::Infobip, Channel::Whatsapp) => infobip::whatsapp(section).map(ProviderSettings::InfobipWhatsapp),
        (ProviderName::Infobip, Channel::Sms) => infobip::sms(section).map(ProviderSettings::InfobipSms),
        (ProviderName::Sleekflow, _) => sleekflow::read(section).map(ProviderSettings::Sleekflow),
        (ProviderName::Twilio, Channel::Whatsapp) => {
            twilio::read(section, channel).map(ProviderSettings::TwilioWhatsapp)
        }
        (ProviderName::Twilio, Channel::Sms) => twilio::read(section, channel).map(ProviderSettings::TwilioSms),
        (ProviderName::Vonage, Channel::Whatsapp) => {
            vonage::read(section, channel).map(ProviderSettings::VonageWhatsapp)
        }
        (ProviderName::Vonage, Channel::Sms) => vonage::read(section, channel).map(ProviderSettings::VonageSms),
        (ProviderName::Engagelab, _) => account_engagelab::read(section, channel).map(ProviderSettings::Engagelab),
        (ProviderName::Http, _) => account_http::read(section, channel).map(Box::new).map(ProviderSettings::Http),
    }
}

fn meta(section: &Section<'_>) -> Option<MetaConfig> {
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
        version: version.unwrap_or_else(|| META_VERSION.to_owned()),
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

fn ycloud_whatsapp(section: &Section<'_>) -> Option<YcloudWhatsappConfig> {
    let base_url = base_url(section, ycloud::DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let from = from_number(section);
    let webhook_secrets = secrets(section, "webhook_secret", "webhook_secret_previous");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(ycloud::DEFAULT_TOLERANCE_S);
    Some(YcloudWhatsappConfig {
        base_url,
        api_key: api_key?,
        from: from?,
        webhook_secrets: webhook_secrets?,
        tolerance_s,
    })
}

fn ycloud_sms(section: &Section<'_>) -> Option<YcloudSmsConfig> {
    let base_url = base_url(section, ycloud::DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let sender_id = section.parsed("sender_id", "must be 1 to 20 characters", sender);
    let webhook_secrets = secrets(section, "webhook_secret", "webhook_secret_previous");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(ycloud::DEFAULT_TOLERANCE_S);
    Some(YcloudSmsConfig { base_url, api_key: api_key?, sender_id, webhook_secrets: webhook_secrets?, tolerance_s })
}

fn cliqtel_whatsapp(section: &Section<'_>) -> Option<CliqtelWhatsappConfig> {
    let base_url = base_url(section, cliqtel::DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let account_id = section.integer("account_id", 1..=i64::MAX, "as they give it");
    let account_id = section.required("account_id", account_id, "must be the id of their WhatsApp account");
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

fn cliqtel_sms(section: &Section<'_>) -> Option<CliqtelSmsConfig> {
    let base_url = base_url(section, cliqtel::DEFAULT_BASE_URL);
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

/// A signature that they do not document yet, for the day on which they do.
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

pub(super) fn header_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then(|| text.to_owned())
}

const ADDRESS: &str = "must begin with https://, or with http:// on this machine, without a query or a password";

pub(super) fn base_url(section: &Section<'_>, default: &str) -> String {
    section.parsed("base_url", ADDRESS, address::provider).unwrap_or_else(|| default.to_owned())
}

/// The sender: for WhatsApp a number.
fn from(section: &Section<'_>, channel: Channel) -> Option<String> {
    let is_number = |text: &str| Phone::parse(text).ok().map(|_| text.to_owned());
    match channel {
        Channel::Whatsapp => section.parsed("from", from_allowed(channel), is_number),
        Channel::Sms => section.parsed("from", "must be 1 to 20 characters", sender),
    }
}

fn from_allowed(channel: Channel) -> &'static str {
    match channel {
        Channel::Whatsapp => "must be the sender's number with + and calling code",
        Channel::Sms => "must be the sender",
    }
}

/// For WhatsApp, where the sender is always a number.
pub(super) fn from_number(section: &Section<'_>) -> Option<String> {
    section.required("from", from(section, Channel::Whatsapp), from_allowed(Channel::Whatsapp))
}

fn sender(text: &str) -> Option<String> {
    let fits = (1..=20).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

pub(super) fn tolerance_s(section: &Section<'_>, key: &str) -> Option<u32> {
    section.integer(key, 60..=86_400, "seconds")
}

pub(super) fn secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    section.required(key, section.secret(key), SECRET)
}

/// A secret that we choose ourselves: it must be long enough not to be guessed.
pub(super) fn token(section: &Section<'_>, key: &str) -> Option<Secret> {
    let secret = secret(section, key)?;
    let length = secret.expose().len();
    if length < MIN_TOKEN_BYTES {
        let allowed = format!("must be at least {MIN_TOKEN_BYTES} characters that nobody can guess");
        section.complain(key, format!("has {length} characters"), allowed);
        return None;
    }
    strong(section, key, secret)
}

/// `None` for a secret that can be guessed, which has been said then.
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
pub(super) fn secrets(section: &Section<'_>, current: &str, previous: &str) -> Option<Vec<Secret>> {
    let given = |key: &str, secret: Option<Secret>| secret.and_then(|secret| strong(section, key, secret));
    let former = given(previous, section.secret(previous));
    Some([given(current, secret(section, current))?].into_iter().chain(former).collect())
}
