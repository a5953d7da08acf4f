//! Provider accounts: credentials, template, limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::account_providers::{self, ProviderName};
use crate::config::countries;
use crate::config::prices::PRICE_ALLOWED;
use crate::config::section::{Section, one_of};
use crate::config::templates::{self, Naming};
use crate::config::{account_engagelab, account_http};
use crate::domain::channel::Channel;
use crate::domain::language::Language;
use crate::domain::price::Price;
use crate::domain::words::words;
use crate::providers::Provider;
use crate::providers::cliqtel::{CliqtelSms, CliqtelSmsConfig, CliqtelWhatsapp, CliqtelWhatsappConfig};
use crate::providers::engagelab::{Engagelab, EngagelabConfig};
use crate::providers::http::{Http, HttpConfig};
use crate::providers::infobip::{InfobipSms, InfobipSmsConfig, InfobipWhatsapp, InfobipWhatsappConfig};
use crate::providers::meta::{Meta, MetaConfig};
use crate::providers::sleekflow::{Sleekflow, SleekflowConfig};
use crate::providers::templates::Templates;
use crate::providers::twilio::{Twilio, TwilioConfig};
use crate::providers::vonage::{Vonage, VonageConfig};
use crate::providers::ycloud::{YcloudSms, YcloudSmsConfig, YcloudWhatsapp, YcloudWhatsappConfig};

#[derive(Clone, Debug, PartialEq)]
pub struct AccountSettings {
    pub channel: Channel,
    pub provider: ProviderSettings,
    /// None for SMS.
    pub templates: Templates,
    /// Messages a second, 0.01 to 10 000.
    pub per_second: f64,
    /// Calls at the same time, 1 to 1024.
    pub concurrency: u32,
    pub on_unknown: UnknownPolicy,
    /// What one message costs where no price list says otherwise.
    pub price: Option<Price>,
    /// Those that it sends to; `None`: all.
    pub countries: Option<BTreeSet<String>>,
}

/// What to do with an attempt that may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPolicy {
    /// Wait for a callback, then send once more. Never for WhatsApp.
    Resend,
    GiveUp,
}

words! {
    UnknownPolicy { Resend = "resend", GiveUp = "give_up" }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ProviderSettings {
    Meta(MetaConfig),
    YcloudWhatsapp(YcloudWhatsappConfig),
    YcloudSms(YcloudSmsConfig),
    CliqtelWhatsapp(CliqtelWhatsappConfig),
    CliqtelSms(CliqtelSmsConfig),
    InfobipWhatsapp(InfobipWhatsappConfig),
    InfobipSms(InfobipSmsConfig),
    Sleekflow(SleekflowConfig),
    TwilioWhatsapp(TwilioConfig),
    TwilioSms(TwilioConfig),
    VonageWhatsapp(VonageConfig),
    VonageSms(VonageConfig),
    Engagelab(EngagelabConfig),
    Http(Box<HttpConfig>),
}

impl ProviderSettings {
    pub fn build(&self) -> Box<dyn Provider> {
        match self.clone() {
            Self::Meta(config) => Box::new(Meta::new(config)),
            Self::YcloudWhatsapp(config) => Box::new(YcloudWhatsapp::new(config)),
            Self::YcloudSms(config) => Box::new(YcloudSms::new(config)),
            Self::CliqtelWhatsapp(config) => Box::new(CliqtelWhatsapp::new(config)),
            Self::CliqtelSms(config) => Box::new(CliqtelSms::new(config)),
            Self::InfobipWhatsapp(config) => Box::new(InfobipWhatsapp::new(config)),
            Self::InfobipSms(config) => Box::new(InfobipSms::new(config)),
            Self::Sleekflow(config) => Box::new(Sleekflow::new(config)),
            Self::TwilioWhatsapp(config) => Box::new(Twilio::new(Channel::Whatsapp, config)),
            Self::TwilioSms(config) => Box::new(Twilio::new(Channel::Sms, config)),
            Self::VonageWhatsapp(config) => Box::new(Vonage::new(Channel::Whatsapp, config)),
            Self::VonageSms(config) => Box::new(Vonage::new(Channel::Sms, config)),
            Self::Engagelab(config) => Box::new(Engagelab::new(config)),
            Self::Http(config) => Box::new(Http::new(*config)),
        }
    }

    /// As the settings write it; the same on both channels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Meta(_) => "meta",
            Self::YcloudWhatsapp(_) | Self::YcloudSms(_) => "ycloud",
            Self::CliqtelWhatsapp(_) | Self::CliqtelSms(_) => "cliqtel",
            Self::InfobipWhatsapp(_) | Self::InfobipSms(_) => "infobip",
            Self::Sleekflow(_) => "sleekflow",
            Self::TwilioWhatsapp(_) | Self::TwilioSms(_) => "twilio",
            Self::VonageWhatsapp(_) | Self::VonageSms(_) => "vonage",
            Self::Engagelab(_) => "engagelab",
            Self::Http(_) => "http",
        }
    }

    /// Where the provider's API is, without a slash at its end.
    pub fn base_url(&self) -> &str {
        match self {
            Self::Meta(c) => &c.base_url,
            Self::YcloudWhatsapp(c) => &c.base_url,
            Self::YcloudSms(c) => &c.base_url,
            Self::CliqtelWhatsapp(c) => &c.base_url,
            Self::CliqtelSms(c) => &c.base_url,
            Self::InfobipWhatsapp(c) => &c.base_url,
            Self::InfobipSms(c) => &c.base_url,
            Self::Sleekflow(c) => &c.base_url,
            Self::TwilioWhatsapp(c) | Self::TwilioSms(c) => &c.base_url,
            Self::VonageWhatsapp(c) | Self::VonageSms(c) => &c.base_url,
            Self::Engagelab(c) => &c.base_url,
            Self::Http(c) => &c.base_url,
        }
    }
}

pub(super) const NAME_ALLOWED: &str = "must be 1 to 63 of a-z, 0-9 and -, not beginning with -";

/// `^[a-z0-9][a-z0-9-]{0,62}$`: it stands in addresses and, in capitals, in variables.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

/// Those that could be read; of the others everything wrong has been said.
///
/// `default_language`: the texts'.
pub(super) fn read(section: &Section<'_>, default_language: &Language) -> BTreeMap<String, Option<AccountSettings>> {
    let mut accounts = BTreeMap::new();
    for (name, child) in section.children() {
        if !is_name(&name) {
            child.complain_here("is no name of an account", NAME_ALLOWED);
        }
        accounts.insert(name, AccountSettings::read(child, default_language));
    }
    accounts
}

impl AccountSettings {
    fn read(section: Section<'_>, default_language: &Language) -> Option<Self> {
        let name = section.word("provider", ProviderName::ALL);
        let name = section.required("provider", name, &one_of(ProviderName::ALL));
        let channel = section.word("channel", Channel::ALL);
        let channel = section.required("channel", channel, &one_of(Channel::ALL));
        // Which settings belong here depends on both.
        let (Some(name), Some(channel)) = (name, channel) else {
            section.give_up();
            return None;
        };
        if let (Some(why), Channel::Sms) = (name.why_no_sms(), channel) {
            section.complain("channel", format!("is \"sms\", which {why}"), "must be \"whatsapp\"");
            section.give_up();
            return None;
        }
        let provider = account_providers::read(&section, name, channel);
        let templates = match (name, channel) {
            (ProviderName::Engagelab, _) => {
                account_engagelab::templates(&section, channel, provider.as_ref(), default_language)
            }
            (ProviderName::Http, _) => {
                let template = account_http::template(&section, provider.as_ref());
                template.map(|template| templates::only(template, default_language))
            }
            (_, Channel::Whatsapp) => templates::read(&section, &Naming::of(name), default_language),
            (_, Channel::Sms) => Some(Templates::default()),
        };
        let (per_second, concurrency) = name.limits(channel);
        let per_second = section.number("per_second", 0.01..=10_000.0, "messages a second").unwrap_or(per_second);
        let concurrency = section.integer("concurrency", 1..=1024, "calls").unwrap_or(concurrency);
        let on_unknown = on_unknown(&section, channel);
        let price = section.parsed("price", PRICE_ALLOWED, |text| text.parse().ok());
        let countries = countries::read(&section, "countries");
        section.finish();
        let (provider, templates) = (provider?, templates?);
        Some(Self { channel, provider, templates, per_second, concurrency, on_unknown, price, countries })
    }
}

fn on_unknown(section: &Section<'_>, channel: Channel) -> UnknownPolicy {
    let policy = section.word("on_unknown", UnknownPolicy::ALL);
    match (channel, policy) {
        (Channel::Whatsapp, Some(UnknownPolicy::Resend)) => {
            section.complain(
                "on_unknown",
                "is \"resend\" for WhatsApp, whose replacement is on its way already",
                "must be \"give_up\"",
            );
            UnknownPolicy::GiveUp
        }
        (Channel::Whatsapp, None) => UnknownPolicy::GiveUp,
        (Channel::Sms, None) => UnknownPolicy::Resend,
        (_, Some(policy)) => policy,
    }
}
