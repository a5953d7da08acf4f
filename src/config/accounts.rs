//! Provider accounts: credentials, template, limits.

use crate::domain::channel::Channel;
use crate::domain::words::words;
use crate::providers::cliqtel::{CliqtelSms, CliqtelSmsConfig, CliqtelWhatsapp, CliqtelWhatsappConfig};
use crate::providers::meta::{Meta, MetaConfig};
use crate::providers::ycloud::{YcloudSms, YcloudSmsConfig, YcloudWhatsapp, YcloudWhatsappConfig};
use crate::providers::{Provider, Template};

#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub channel: Channel,
    pub provider: ProviderSettings,
    /// Name and language, both empty for SMS.
    pub template: Template,
    /// Messages a second, 0.01 to 10 000.
    pub per_second: f64,
    /// Calls at the same time, 1 to 1024.
    pub concurrency: u32,
    pub on_unknown: UnknownPolicy,
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

#[derive(Clone, Debug)]
pub enum ProviderSettings {
    Meta(MetaConfig),
    YcloudWhatsapp(YcloudWhatsappConfig),
    YcloudSms(YcloudSmsConfig),
    CliqtelWhatsapp(CliqtelWhatsappConfig),
    CliqtelSms(CliqtelSmsConfig),
}

impl ProviderSettings {
    pub fn build(&self) -> Box<dyn Provider> {
        match self.clone() {
            Self::Meta(config) => Box::new(Meta::new(config)),
            Self::YcloudWhatsapp(config) => Box::new(YcloudWhatsapp::new(config)),
            Self::YcloudSms(config) => Box::new(YcloudSms::new(config)),
            Self::CliqtelWhatsapp(config) => Box::new(CliqtelWhatsapp::new(config)),
            Self::CliqtelSms(config) => Box::new(CliqtelSms::new(config)),
        }
    }

    /// As the settings write it; the same on both channels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Meta(_) => "meta",
            Self::YcloudWhatsapp(_) | Self::YcloudSms(_) => "ycloud",
            Self::CliqtelWhatsapp(_) | Self::CliqtelSms(_) => "cliqtel",
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
        }
    }
}
